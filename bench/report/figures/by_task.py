"""The figures, drawn from tables and records onto plain matplotlib figures (no pyplot, no global state)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bench.report.figures.cut import Frame, arrowheads, frame_around
from bench.report.figures.plan import short
from bench.report.many_classes import most_confused
from bench.report.tables import stats
from bench.report.tables.blocks import Block, Column, row_kind
from bench.store.metrics import METRICS

BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
INK, PAPER, LINE = "#1b1f24", "#ffffff", "#d8dde3"
GREY = "#7a7a7a"
ACROSS = 4
"""Panels side by side before a new row begins."""
LEADER: dict[str, Any] = {"arrowstyle": "-", "relpos": (0, 0.5), "patchA": None, "shrinkA": 0}
"""Of a line that leads to a name on its right: it ends at the middle of the name's left edge, however steep it is."""


def beside(axis: Axes, heights: Mapping[str, float], step: float) -> dict[str, float]:
    """Where names right of the frame cover no other, as shares of its height: in the order of their `heights`.

    Neighbours are `step` apart or more, or as far as there is room.
    """
    low, high = axis.get_ylim()
    names = sorted(heights, key=heights.__getitem__)
    step = min(step, 1.0 / max(1, len(names) - 1))
    places = [(heights[name] - low) / (high - low) for name in names]
    for at in range(1, len(places)):
        places[at] = max(places[at], places[at - 1] + step)
    for at in range(len(places) - 1, -1, -1):
        places[at] = min(places[at], 1.0 - (len(places) - 1 - at) * step)
    return dict(zip(names, places, strict=True))


def two_lines(method: str) -> str:
    """A method's label for an axis: its parameters, which tell variants apart, on a line of their own."""
    name, bracket, parameters = method.partition("[")
    if not bracket or len(method) <= 20:
        return short(method)
    return f"{short(name)}\n{short(bracket + parameters, 32)}"


def row_height(methods: Sequence[str]) -> float:
    """Inches that a row of a figure needs for the names of its methods."""
    return 0.34 if any("\n" in two_lines(method) for method in methods) else 0.24


def panels(count: int, width: float, height: float, across: int = ACROSS, **share) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels of `width` x `height` inches, `across` in a row; surplus places stay empty."""
    rows = math.ceil(count / across)
    columns = math.ceil(count / rows)  # as even as it goes: no half of a figure is empty
    figure = new_figure(columns * width, rows * height + 0.5)
    axes = list(figure.subplots(rows, columns, squeeze=False, **share).ravel())
    for empty in axes[count:]:
        empty.set_visible(False)
    return figure, axes[:count]


def below(axes: Sequence[Axes], label: str) -> None:
    """Label the shared horizontal axis at the panels with none below them."""
    places = [(spec.rowspan.start, spec.colspan.start) for axis in axes if (spec := axis.get_subplotspec())]
    for axis, (row, column) in zip(axes, places, strict=True):
        if (row + 1, column) not in places:
            axis.set_xlabel(label)
            axis.tick_params(labelbottom=True)


def new_figure(width: float, height: float) -> Figure:
    """A figure of `width` x `height` inches, or what its title needs, that makes room for its labels."""
    return Figure(figsize=(max(width, 4.8), max(height, 1.7)), layout=ConstrainedLayoutEngine(h_pad=0.07, w_pad=0.05))


Found = dict[Column, dict[str, np.ndarray]]
"""The scores of the seeds, float[n], by column and method; only what has some."""


def shown_scores(block: Block, columns: list[Column], metric_name: str, rule: str) -> tuple[Found, Frame]:
    """What `scores` shows, and where its horizontal axis begins and ends."""
    name, scale = f"{metric_name}_{rule}", METRICS[metric_name].scale
    found = {
        column: {
            method: np.array(list(values.values()))
            for method in block.methods
            if (values := block.values(method, column, name, scale))
        }
        for column in columns
    }
    every = [values for of_column in found.values() for values in of_column.values()]
    low, high = frame_around(np.concatenate(every or [np.zeros(1)]), map(stats.mean_interval, every), 0.12, 2.0)
    return found, (max(0.0, low), min(100.5, high))


def scores(block: Block, columns: list[Column], metric_name: str, rule: str) -> Figure:
    """Mean and 95 % interval by method, one panel per noise source; faint points are single seeds."""
    metric = METRICS[metric_name]
    methods = [each for each in block.methods if any((each, column) in block.rows for column in columns)]
    figure, axes = panels(len(columns), 2.9, 0.55 + row_height(methods) * len(methods), sharex=True, sharey=True)
    every, frame = shown_scores(block, columns, metric_name, rule)
    for axis, column in zip(axes, columns, strict=True):
        found = {place: every[column][method] for place, method in enumerate(methods) if method in every[column]}
        for kind, style in KINDS.items():
            chosen = {p: v for p, v in found.items() if row_kind(block, methods[p], block.baseline) == kind}
            if chosen:
                _points_with_intervals(axis, chosen, frame, *style)
            if chosen and kind == "baseline":
                axis.axvline(next(iter(chosen.values())).mean(), color=style[1], linewidth=0.8, linestyle="--")
        for place in set(range(len(methods))) - set(found):
            _say_why_not(axis, place, block.rows.get((methods[place], column), []))
        axis.set_title(short(column[1], 34), loc="left")
        method_axis(axis, methods)
    axes[0].set_xlim(frame)
    below(axes, f"{metric.short}{f' ({metric.unit})' if metric.unit else ''}")
    return figure


KINDS = {
    "method": ("o", BLUE, BLUE),
    "baseline": ("s", ORANGE, ORANGE),
    "human": ("^", GREEN, PAPER),
    "reference": ("D", GREY, PAPER),
}
"""Marker, colour and face of each kind of row."""


def _points_with_intervals(
    axis: Axes, found: dict[int, np.ndarray], frame: Frame, marker: str, colour: str, face: str
) -> None:
    """Means with 95 % intervals at the places of `found`, and every single seed as a faint point."""
    places = np.array(list(found))
    intervals = [stats.mean_interval(values) for values in found.values()]
    singles = np.concatenate(list(found.values()))
    seeds = np.repeat(places, [len(values) for values in found.values()])
    axis.plot(singles, seeds, ".", color=colour, alpha=0.35, markersize=3.5)
    style: dict[str, Any] = {"fmt": marker, "color": colour, "markerfacecolor": face, "capsize": 2.5, "elinewidth": 1.2}
    halves = np.nan_to_num([interval.half for interval in intervals])
    axis.errorbar([interval.mean for interval in intervals], places, xerr=halves if halves.any() else None, **style)
    arrowheads(axis, intervals, places, frame, colour)


def _say_why_not(axis: Axes, place: int, rows: list[dict]) -> None:
    """Write `failed`, `skipped` or `not run` where a method has no point."""
    states = {row["status"] for row in rows}
    text = next((state for state in ("failed", "skipped") if state in states), "no score" if rows else "not run")
    axis.text(0.02, place, text, transform=axis.get_yaxis_transform(), va="center", color=GREY, fontsize=7)


def method_axis(axis: Axes, methods: Sequence[str]) -> None:
    """The vertical axis of a panel with a row per method, the first on top."""
    axis.set_yticks(range(len(methods)), [two_lines(method) for method in methods])
    axis.set_ylim(len(methods) - 0.5, -0.5)
    axis.grid(axis="y", visible=False)


Grid = Mapping[tuple[str, str], dict[str, np.ndarray] | None]
"""What each panel of small multiples shows, by noise source and method."""


def _multiples(
    grid: Grid,
    size: tuple[float, float, float],
    labels: tuple[str, str],
    draw: Callable[[Axes, dict[str, np.ndarray]], None],
    **share: Any,
) -> tuple[Figure, np.ndarray]:
    """A figure and its panels: noise sources down, methods across.

    `size` in inches: width and height of a panel, height of all else; `labels`: of the horizontal and vertical axis.
    """
    noises, methods = (list(dict.fromkeys(names)) for names in zip(*grid, strict=True))
    figure = new_figure(0.7 + size[0] * len(methods), size[2] + size[1] * len(noises))
    axes = figure.subplots(len(noises), len(methods), squeeze=False, sharey=True, **share)
    for row, noise in zip(axes, noises, strict=True):
        row[0].set_ylabel(f"{short(noise, 24)}\n{labels[1]}")
        for axis, method in zip(row, methods, strict=True):
            if (data := grid[noise, method]) is not None:
                draw(axis, data)
            else:
                axis.text(0.5, 0.5, "no data", ha="center", va="center", color=GREY, transform=axis.transAxes)
    for axis, method in zip(axes[0], methods, strict=True):
        axis.set_title(two_lines(method))
    for axis in axes[-1]:
        axis.set_xlabel(labels[0])
    return figure, axes


def reliability(grid: Grid) -> Figure:
    """Reliability diagrams.

    `grid[noise, method]` holds `count`, `accuracy`, `confidence` float[15], pooled over seeds, and `ece`, a
    fraction. Bars: accuracy of each confidence bin; hatched: the gap to the confidence; strip below: counts.
    """
    figure, axes = _multiples(grid, (1.75, 1.95, 0.85), ("confidence", "accuracy"), _reliability_panel, sharex=True)
    axes[0][0].set(xlim=(0, 1), ylim=(-0.14, 1.2), yticks=[0, 0.5, 1], xticks=[0, 0.5, 1])
    return figure


def _reliability_panel(axis: Axes, bins: dict[str, np.ndarray]) -> None:
    filled = bins["count"] > 0
    count, accuracy, confidence = (bins[name][filled] for name in ("count", "accuracy", "confidence"))
    width = 1 / len(filled)
    left = np.flatnonzero(filled) * width
    _bars(axis, left, width, 0 * accuracy, accuracy, facecolor=BLUE, edgecolor=PAPER, linewidth=0.4)
    _bars(axis, left, width, accuracy, confidence, facecolor="none", edgecolor=ORANGE, hatch="//////", linewidth=0.6)
    _bars(axis, left, width, -0.13, -0.13 + 0.1 * count / count.max(), facecolor=GREY, linewidth=0)
    axis.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--")
    axis.text(0.04, 1.05, f"ECE {100 * float(bins['ece']):.1f} %", fontsize=8, color=INK)  # above a full bar


def _bars(axis: Axes, left: np.ndarray, width: float, bottom, top: np.ndarray, **style) -> None:
    """Bars as one artist: a patch for each of them would make a page of diagrams slow to draw."""
    bottom = np.broadcast_to(bottom, top.shape)
    corners = [[left, bottom], [left, top], [left + width, top], [left + width, bottom]]
    axis.add_collection(PolyCollection(list(np.moveaxis(np.array(corners), 2, 0)), **style), autolim=False)


CURVES = {
    "fit_correct": ("fit to correct labels", GREEN, "-", "o"),
    "fit_wrong": ("fit to wrong labels (memorised noise)", ORANGE, "--", "s"),
    "test_accuracy": ("test accuracy", BLUE, ":", "^"),
}
"""Name, colour, line and marker of what is followed over the steps of training."""


def memorisation(grid: Grid) -> Figure:
    """How far right and wrong training labels are fitted, and test accuracy, over the steps of training.

    `grid[noise, method]` maps `step` and the names of `CURVES` to float arrays [seeds, steps]. Thick: mean over
    seeds; thin: single seeds.
    """
    figure, axes = _multiples(grid, (1.85, 1.6, 1.05), ("step", "share"), _memorisation_panel, sharex=True)
    for axis in axes[-1]:
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0][0].set(ylim=(-0.02, 1.02), yticks=[0, 0.25, 0.5, 0.75, 1])
    handles = [
        axes[0][0].plot([], [], color=colour, linestyle=dashes, marker=marker, markersize=3, label=label)[0]
        for label, colour, dashes, marker in CURVES.values()
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=min(3, 1 + axes.shape[1]))
    return figure


def _memorisation_panel(axis: Axes, curves: dict[str, np.ndarray]) -> None:
    step = curves["step"]
    for name, (_, colour, dashes, marker) in CURVES.items():
        if not np.isnan(values := curves[name]).all():
            axis.plot(step, values.T, color=colour, linewidth=0.6, alpha=0.4)
            style: dict[str, Any] = {"linestyle": dashes, "marker": marker, "markevery": max(1, len(step) // 8)}
            axis.plot(step, values.mean(axis=0), color=colour, markersize=3, **style)


def confusion(matrices: dict[str, np.ndarray], label_names: Sequence[str], task: str) -> Figure:
    """Noise confusion heat-maps: of the train texts of each gold class (rows), which share got which label.

    `matrices[noise]` int[C, C], rows gold, columns noisy label. Of many classes the most confused are shown.
    """
    chosen = most_confused(np.sum(list(matrices.values()), axis=0))
    classes = len(chosen)
    side = max(2.3, 0.9 + min(0.3 * classes, 9.0))
    across = max(1, min(ACROSS, int(12 // side)))
    figure, axes = panels(len(matrices), side, side, across, sharex=True, sharey=True)
    mesh = None
    names = [short(label_names[at], 14) for at in chosen]
    for axis, (noise, counts) in zip(axes, matrices.items(), strict=True):
        totals = counts.sum(axis=1, keepdims=True)
        share = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)[np.ix_(chosen, chosen)]
        mesh = axis.pcolormesh(share, cmap="Blues", norm=Normalize(0, 1), edgecolors=PAPER, linewidth=0.4)
        said = f"{100 * (1 - np.trace(counts) / counts.sum()):.1f} % wrong" if counts.sum() else "no answers"
        axis.set_title(f"{short(noise, 22)}\n{said}", loc="left")
        axis.set_xticks(np.arange(classes) + 0.5, names, rotation=45, ha="right", rotation_mode="anchor")
        axis.set_yticks(np.arange(classes) + 0.5, names)
        axis.set(aspect="equal", ylim=(classes, 0))
        axis.grid(visible=False)
        axis.tick_params(length=0, labelsize=8 if classes <= 10 else 6, labelbottom=True)
        if classes <= 10:
            for gold, noisy in np.argwhere(share >= 0.005):
                colour = "#fefefe" if share[gold, noisy] > 0.55 else "#0a0a0a"
                text = f"{100 * share[gold, noisy]:.0f}"
                axis.text(noisy + 0.5, gold + 0.5, text, ha="center", va="center", color=colour, fontsize=7)
    axes[0].set_ylabel("gold class")
    figure.supxlabel("noisy label", fontsize=9)
    assert mesh is not None  # there is a matrix
    if classes > 10:  # else the numbers are in the cells
        bar = figure.colorbar(mesh, ax=axes, shrink=0.7, pad=0.02)
        bar.set_label("share of the gold class")
    figure.suptitle(f"Noisy labels: {short(task)}\n", x=0.01, ha="left")  # a line between it and the titles
    return figure
