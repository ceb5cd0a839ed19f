"""Figures over all columns of a set-up: gain by noise rate, accuracy against cost, ranks with critical difference."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import offset_copy

from bench.core.texts import plural
from bench.report.figures.by_task import (
    BLUE,
    GREEN,
    GREY,
    INK,
    KINDS,
    LEADER,
    ORANGE,
    PAPER,
    PURPLE,
    below,
    beside,
    new_figure,
    panels,
    two_lines,
)
from bench.report.figures.plan import Plan, make_plan, not_shown, short
from bench.report.tables import stats
from bench.report.tables.blocks import (
    Block,
    averages,
    common_columns,
    compared,
    row_kind,
    with_enough_seeds,
)
from bench.report.tables.cost import cost_doubt, seconds_unit
from bench.report.tables.model import APART
from bench.report.tables.ranks import ranked_means, ranks, shared_texts_sentence
from bench.report.tables.seeds import seeds_sentence
from bench.store.metrics import METRICS
from bench.store.noise_words import NOISE_KINDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 12
MOST_VECTOR_POINTS = 300
"""More points of a panel are drawn as an image within the vector file."""
MIN_RATES = 3
"""Fewer columns carry no line."""


def improvement_data(block: Block, rule: str) -> dict[str, np.ndarray]:
    """By method: float64[cells, 3] of noise rate, gain over the baseline with the same seed (both percent), column."""
    found, baseline = {}, block.baseline
    if baseline is None:
        return {}
    for method in block.methods:
        if method == baseline or method in block.references:
            continue
        points = []
        for place, column in enumerate(block.current()):
            ours, theirs = (block.values(each, column, f"accuracy_{rule}", 100) for each in (method, baseline))
            rates = block.values(method, column, "noise_rate_trained", 100)
            points += [
                (rates[s], ours[s] - theirs[s], place) for s in sorted(ours.keys() & theirs.keys() & rates.keys())
            ]
        if points:
            found[method] = np.array(points, dtype=np.float64)
    return found


KIND_STYLES = {
    "llm": ("o", BLUE), "weak": ("^", GREEN), "synthetic": ("s", ORANGE), "human": ("D", PURPLE), "column": ("v", INK),
}  # fmt: skip
"""Marker and colour of each kind of noise; of others that of a user's own column."""


def improvement(data: dict[str, np.ndarray], block: Block) -> Figure:
    """Gain over the baseline by noise rate, one panel per method, after one with all; a colour per kind of noise."""
    kinds = [str(block.kinds[column]) for column in block.current()]
    present = sorted(set(kinds), key=[*NOISE_KINDS, *kinds].index)
    shown = dict(list(data.items())[: MOST_PANELS - 1])
    whole = {"all methods": np.concatenate(list(data.values()))} if len(data) > 1 else {}
    every = whole | shown
    figure, axes = panels(len(every), 2.35, 1.9, sharex=True, sharey=True)
    for axis, (method, points) in zip(axes, every.items(), strict=True):
        axis.axhline(0, color=INK, linewidth=0.8, linestyle="--")
        for kind in reversed(present):  # LLM labels on top
            some = points[[kinds[int(place)] == kind for place in points[:, 2]]]
            marker, colour = KIND_STYLES.get(kind, KIND_STYLES["column"])
            dots: dict[str, Any] = {"color": colour, "alpha": 0.5, "markersize": 3.6, "markeredgewidth": 0}
            axis.plot(some[:, 0], some[:, 1], marker, **dots, rasterized=len(points) > MOST_VECTOR_POINTS)
            if len(np.unique(some[:, 2])) >= MIN_RATES and np.ptp(some[:, 0]) > 1:
                _fit(axis, some, colour)
        axis.set_title(two_lines(method), loc="left")
    values = np.concatenate([points[:, 1] for points in every.values()])
    low, high = min(0.0, values.min()), max(0.0, values.max())
    pad = 0.08 * (high - low) + 0.3
    axes[0].set_ylim(low - pad, high + pad)
    for axis in axes:
        if (spec := axis.get_subplotspec()) and spec.is_first_col():
            axis.set_ylabel("points")
    below(axes, "noise rate (%)")
    handles = []
    for kind in present:
        marker, colour = KIND_STYLES.get(kind, KIND_STYLES["column"])
        handles += axes[0].plot([], [], marker, color=colour, label=NOISE_KINDS.get(kind, "other noise"))
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles))
    return figure


def _fit(axis: Axes, points: np.ndarray, colour: str) -> None:
    """A line and its 95 % band; the bootstrap draws whole columns, whose cells share their noise."""
    import seaborn

    seaborn.regplot(
        x=points[:, 0], y=points[:, 1], units=points[:, 2], ax=axis, scatter=False, color=colour, seed=0, n_boot=300,
        line_kws={"linewidth": 1.3},
    )  # fmt: skip


def pareto_data(block: Block, rule: str) -> dict[str, tuple[float, float, str]]:
    """By method: mean stand-alone seconds per cell, mean accuracy over the shared columns (percent), kind of row.

    Over the seeds that all competing methods have; methods with too few of them are left out.
    """
    shared, left_out = common_columns(block, block.columns, f"accuracy_{rule}")
    competing = [method for method in block.methods if method not in {*block.references, *left_out}]
    _, few = with_enough_seeds(block, competing, shared, f"accuracy_{rule}")
    methods = [method for method in block.methods if method not in {*left_out, *few}]
    scores = {method: averages(block, method, shared, f"accuracy_{rule}", 100) for method in methods}
    seeds = stats.common_seeds(each for method, each in scores.items() if each and method not in block.references)
    found: dict[str, tuple[float, float, str]] = {}
    for method, by_seed in scores.items():
        times = averages(block, method, shared, "seconds_stand_alone")
        accuracies = [by_seed[seed] for seed in seeds if seed in by_seed]
        seconds = [times[seed] for seed in seeds if seed in by_seed and times.get(seed, 0) > 0]
        if accuracies and seconds:
            accuracy = float(np.mean(accuracies))
            found[method] = (float(np.mean(seconds)), accuracy, row_kind(block, method, block.baseline))
    return found


def front(data: dict[str, tuple[float, float, str]]) -> list[str]:
    """The methods (no references) that no other one beats in accuracy at equal or less cost, cheapest first."""
    best, chosen = -math.inf, []
    competing = [(s, -a, name) for name, (s, a, kind) in data.items() if kind not in APART]
    for _, negative, name in sorted(competing):
        if -negative > best:
            best = -negative
            chosen.append(name)
    return chosen


def within(data: dict[str, tuple[float, float, str]]) -> tuple[float, float]:
    """Where the axis of accuracy begins and ends: around the methods that compete, whatever the references reach."""
    accuracies = [accuracy for _, accuracy, kind in data.values() if kind not in APART]
    pad = 0.1 * (max(accuracies) - min(accuracies)) + 0.3
    return min(accuracies) - pad, max(accuracies) + pad


def pareto(data: dict[str, tuple[float, float, str]], unit: str) -> Figure:
    """Accuracy against stand-alone seconds per cell (log scale), each with its name beside the frame.

    A line leads on from each method that none dominates, whose mark has a dark edge. `unit`: what the seconds are.
    """
    best, (low, high) = front(data), within(data)
    data = {name: each for name, each in data.items() if low <= each[1] <= high}
    figure = new_figure(7.2, max(2.8, 0.9 + 0.2 * len(data)))
    axis = figure.subplots()
    for name, (*point, kind) in data.items():
        marker, colour, face = KINDS[kind]
        edge = INK if name in best else colour
        axis.plot(*point, marker, color=edge, markerfacecolor=face, markersize=6, zorder=4 if name in best else 3)
    axis.set_xscale("log")
    seconds = [s for s, _, _ in data.values()]
    wide = max(seconds) > 4 * min(seconds)
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)) if wide else MaxNLocator(6))
    axis.xaxis.set_major_formatter("{x:g}")  # the log scale's own labels are TeX
    axis.xaxis.set_minor_formatter(NullFormatter())
    pad = (max(seconds) / min(seconds)) ** 0.08 * 1.01
    axis.set_xlim(min(seconds) / pad, max(seconds) * pad)
    line = np.array([data[name][:2] for name in best])
    axis.hlines(line[:, 1], line[:, 0], [*line[1:, 0], max(seconds)], color=BLUE, linewidth=1.2)
    axis.set_ylim(low, high)
    for name, place in beside(axis, {name: accuracy for name, (_, accuracy, _) in data.items()}, 0.075).items():
        axis.annotate(
            short(name, 34), data[name][:2], (1.03, place), textcoords="axes fraction", va="center", fontsize=8,
            fontweight="bold" if name in best else "normal", annotation_clip=False,
            color=GREY if data[name][2] in APART else INK,
            arrowprops=LEADER | {"color": GREY, "linewidth": 0.5, "shrinkB": 3}, zorder=1,
        )  # fmt: skip
    axis.set(xlabel=f"{unit} seconds per cell, stand-alone (log scale)", ylabel="accuracy (%)")
    return figure


def critical_difference(methods: list[str], ranked: stats.Ranks) -> Figure:
    """Average ranks on an axis; bars join methods that Nemenyi's test does not tell apart (Demsar 2006)."""
    import pandas as pd
    from scikit_posthocs import critical_difference_diagram

    names = [short(name, 34) for name in methods]
    if len(set(names)) < len(names):
        names = [f"{short(name, 30)} ({place})" for place, name in enumerate(methods, 1)]
    figure = new_figure(5.7, 1.5 + 0.12 * len(names))
    axis = figure.subplots()
    made = critical_difference_diagram(  # numbers for names: the order of a set of strings changes between processes
        pd.Series(ranked.mean), pd.DataFrame(ranked.pairwise), ax=axis,
        label_fmt_left="{label} {rank:.2f}", label_fmt_right="{label} {rank:.2f}",
        label_props={"fontsize": 8}, elbow_props={"color": INK, "linewidth": 0.6},
        marker_props={"color": BLUE, "s": 22, "edgecolor": PAPER}, crossbar_props={"color": INK, "linewidth": 2.4},
    )  # fmt: skip
    for label in made["labels"]:  # the lines end where the numbers begin
        place, rank = label.get_text().split()
        name, left = names[int(place)], label.get_horizontalalignment() == "right"
        label.set_text(f"{name}  {rank}" if left else f"{rank}  {name}")
        label.set_transform(offset_copy(label.get_transform(), figure, x=-3 if left else 3, units="points"))
    axis.spines["top"].set_visible(True)
    axis.grid(visible=False)
    axis.tick_params(labelsize=8)
    low, critical = ranked.mean.min(), ranked.critical_difference
    axis.plot([low, low + critical], [3, 3], color=ORANGE, linewidth=2.4, marker="|", markersize=7, markeredgewidth=1.4)
    axis.text(low + critical, 3, f"   critical difference {critical:.2f}", va="center", fontsize=8, color=INK)
    return figure


def overview_plans(block: Block, rule: str) -> list[Plan]:
    """The figures over all columns of a set-up that its cells have data for."""
    made = []
    block = block.by(rule)
    methods, shared = compared(block, f"accuracy_{rule}")
    columns, seeds = len(shared), seeds_sentence(block, methods, shared, f"accuracy_{rule}")
    for metric in ("accuracy", "ece"):
        ranked = ranks(block, metric, rule)
        if ranked and ranked[1].pairwise is not None:
            name, (_, over, _) = METRICS[metric].short, ranked_means(block, f"{metric}_{rule}")
            caption = (
                f"Ranks by {name} over {ranked[1].blocks} columns (task and noise source), seeds averaged first; 1 is "
                "best. Bars join methods that Nemenyi's test does not tell apart (5 %)."
            )
            caption += "".join(f" {said}" for said in (shared_texts_sentence(over), seeds) if said)
            draw = functools.partial(critical_difference, *ranked)
            made.append(make_plan("ranks", f"Average ranks by {name}", caption, draw, setup=block.setup, suffix=metric))
    if columns > 1 and (gains := improvement_data(block, rule)):
        gains = dict(sorted(gains.items(), key=lambda item: -item[1][:, 1].mean()))
        caption = (
            f"Each point is a cell against {block.baseline} with the same seed. Noise rate: the share of wrong "
            "labels among those trained on. Lines: least squares within a kind of noise; band: its 95 % interval by a "
            f"bootstrap over columns (task and noise source), from {MIN_RATES} columns on. Largest mean gain first."
        )
        caption += not_shown(list(gains)[MOST_PANELS - 1 :])
        what = f"Accuracy over {block.baseline}, by noise rate"
        made.append(make_plan("improvement", what, caption, lambda: improvement(gains, block), setup=block.setup))
    if not cost_doubt(block) and len(costs := pareto_data(block, rule)) > 1:
        caption = (
            f"Means over {plural(columns, 'column')}{' and the seeds that all have' * bool(seeds)}, without intervals: "
            "which differences could be chance is in the tables. Lines, dark edges and bold names: methods that no "
            "other one beats at equal or less cost. Stand-alone seconds, as if no stage had been shared. Squares: the "
            "baseline, also stopped early. Hollow: references (diamonds) and methods with human labels (triangles), "
            "which do not compete."
        )
        low, high = within(costs)
        beyond = [f"{name} {accuracy:.1f} %" for name, (_, accuracy, _) in costs.items() if not low <= accuracy <= high]
        caption += f" Beyond the frame: {', '.join(beyond)}." if beyond else ""
        lacking = [method for method in block.methods if method not in costs]
        caption += f" Left out, as they share too few seeds or columns: {', '.join(lacking)}." if lacking else ""
        draw = functools.partial(pareto, costs, seconds_unit(block, methods, shared))
        made.append(make_plan("pareto", "Accuracy against cost", caption, draw, setup=block.setup))
    return made
