"""The figure of SiDyP's inside, from what its records keep: candidates, the prior by epoch, paths over the simplex."""

from __future__ import annotations

import functools
import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from bench.report.figures.by_task import BLUE, GREEN, GREY, INK, LINE, ORANGE, PAPER, new_figure
from bench.report.figures.plan import Plan, make_plan, short
from bench.report.frame import Results
from bench.report.tables.blocks import Block

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Left: how many candidate labels the train texts have. Then, of the texts with several, the weights that the "
    "dynamic prior gives after each epoch (0: as retrieved; thick: mean over seeds)."
)
TRIANGLES = (
    " Triangles: the reverse process for the most, the median and the least certain test text of the first seed, "
    "within its three likeliest classes; each chain from its hollow to its filled mark, which is that of "
    "the label that it was given, as at the corners. A chain that ends in a fourth class ends in the middle. "
    "Numbers: the predicted probabilities."
)

MOST_NOISES = 4
PATHS = 3
TRIANGLE = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(0.75)]])
"""Corners of the simplex of three classes."""
LABELS = ((BLUE, "o", "●"), (ORANGE, "s", "■"), (GREEN, "^", "▲"))
"""Colour and marker of the chains that were given the label of each corner, and the sign before its name."""


class Prior(BaseModel):
    """The candidate weights of the uncertain texts after an epoch (0: as retrieved)."""

    epoch: int
    noisy_label: float
    best: float
    entropy: float


class Path(BaseModel):
    """The chains of one test text: [given label x sample] of R + 1 points over three classes."""

    row: int
    classes: tuple[int, int, int]
    prediction: tuple[float, float, float]
    chains: list[list[tuple[float, float, float]]]


class Story(BaseModel):
    """What a record of SiDyP keeps under the diagnostics `story`."""

    candidates: list[float] = Field(min_length=1)  # share of texts with 1, 2, ... candidates
    prior: list[Prior] = Field(min_length=1)
    paths: list[Path]


def stories(results: Results, block: Block, method: str, task: str) -> dict[str, list[Story]]:
    """By noise source: the stories of a method's cells, by seed; cells without a readable one are left out."""
    found: dict[str, list[Story]] = {}
    for column in block.of_task(task):
        for row in block.rows.get((method, column), ()):
            try:
                told = Story.model_validate(results.by_cell[row["cell"]].diagnostics["story"])
            except (KeyError, ValidationError):
                continue
            found.setdefault(column[1], []).append(told)
    return dict(list(found.items())[:MOST_NOISES])


def label_names(results: Results, block: Block, method: str, task: str, noise: str) -> list[str]:
    """The names of the classes."""
    data = results.by_cell[block.rows[method, (task, noise)][0]["cell"]].data
    return data.label_names if data else []


def paths_of(found: dict[str, list[Story]], names: list[str]) -> dict[str, list[Path]]:
    """By noise source: the texts whose triangles are drawn; none of two classes, which have no triangle."""
    return {noise: [p for p in told[0].paths[:PATHS] if max(p.classes) < len(names)] for noise, told in found.items()}


def draw(found: dict[str, list[Story]], names: list[str]) -> Figure:
    """One row per noise source: numbers of candidates, weights by epoch, and up to three texts' paths."""
    paths = paths_of(found, names)
    most = max(map(len, paths.values()))
    figure = new_figure(4.7 + 2.25 * most, 0.6 + 2.35 * len(found))
    axes = figure.subplots(len(found), 2 + most, squeeze=False, width_ratios=[1, 1.25] + [1.15] * most)
    for row, (noise, told) in enumerate(found.items()):
        _candidates(axes[row][0], told)
        axes[row][0].set_ylabel(f"{short(noise, 24)}\nshare of train texts")
        _prior(axes[row][1], told)
        for place, axis in enumerate(axes[row][2:]):
            if place < len(paths[noise]):
                _path(axis, paths[noise][place], names)
            else:
                axis.set_axis_off()
    handles, labels = axes[0][1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3 if most else 2)
    return figure


def _candidates(axis: Axes, told: list[Story]) -> None:
    width = max(len(story.candidates) for story in told)
    shares = np.array([story.candidates + [0.0] * (width - len(story.candidates)) for story in told]).mean(0)
    axis.bar(np.arange(1, width + 1), shares, color=BLUE, edgecolor=PAPER)
    axis.set(xlabel="candidates", ylim=(0, 1))
    axis.locator_params(axis="x", integer=True)
    axis.grid(axis="x", visible=False)


def _prior(axis: Axes, told: list[Story]) -> None:
    length = min(len(story.prior) for story in told)
    epochs = [row.epoch for row in told[0].prior[:length]]
    lines = {
        "best": ("weight of the best candidate", GREEN, "-", "o"),
        "noisy_label": ("weight of the noisy label", ORANGE, "--", "s"),
        "entropy": ("entropy", GREY, ":", "^"),
    }
    for name, (label, colour, dashes, marker) in lines.items():
        values = np.array([[getattr(row, name) for row in story.prior[:length]] for story in told])
        axis.plot(epochs, values.T, color=colour, linewidth=0.6, alpha=0.4)
        axis.plot(epochs, values.mean(0), color=colour, linestyle=dashes, marker=marker, markersize=3, label=label)
    axis.set(xlabel="epoch", ylabel="weight; entropy in nats", title="uncertain texts")
    axis.set_ylim(bottom=0)
    axis.locator_params(axis="x", integer=True)


def _path(axis: Axes, path: Path, names: list[str]) -> None:
    """Chains from their start (hollow) to their end (filled); colour and marker: the label they were given."""
    axis.plot(*np.vstack([TRIANGLE, TRIANGLE[:1]]).T, color=LINE, linewidth=1)
    chains = np.array(path.chains) @ TRIANGLE
    per_label = max(1, len(chains) // 3)
    for index, chain in enumerate(chains):
        colour, marker, _ = LABELS[min(index // per_label, 2)]
        axis.plot(*chain.T, color=colour, linewidth=0.7, alpha=0.55)
        axis.plot(*chain[0], marker, color=colour, markerfacecolor=PAPER, markersize=3.5, markeredgewidth=0.8)
        axis.plot(*chain[-1], marker, color=colour, markersize=6, alpha=0.8)
    for corner, index, chance, (_, _, sign) in zip(TRIANGLE, path.classes, path.prediction, LABELS, strict=True):
        name, (shift, side) = short(names[index], 20), (0.06, "bottom") if corner[1] else (-0.06, "top")
        if side == "top":  # two of them stand side by side
            name = "\n".join(textwrap.wrap(name, 12))
        text = f"{sign} {name}\n{chance:.2f}"
        axis.text(corner[0], corner[1] + shift, text, ha="center", va=side, fontsize=7, color=INK)
    axis.set(xlim=(-0.45, 1.45), ylim=(-0.42, 1.16), aspect="equal")
    axis.set_title(f"test text {path.row}", fontsize=8)
    axis.set_axis_off()


def sidyp_plans(results: Results, block: Block, task: str) -> list[Plan]:
    """One figure per variant of SiDyP whose records tell enough."""
    made = []
    for method in block.methods:
        if method.split("[")[0].split("+")[0].split(" ")[0] != "sidyp":
            continue
        if found := stories(results, block, method, task):
            names = label_names(results, block, method, task, next(iter(found)))
            suffix = "" if method == "sidyp" else method
            drawn = functools.partial(draw, found, names)
            caption = CAPTION + (TRIANGLES if any(paths_of(found, names).values()) else "")
            made.append(make_plan("sidyp", f"Inside {method}", caption, drawn, task, block.setup, suffix))
    return made
