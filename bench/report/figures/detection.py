"""The figure of wrong labels found: average precision of every method's ranking, as a multiple of chance."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bench.report.figures.by_task import BLUE, GREY, INK, ORANGE, below, panels, two_lines
from bench.report.figures.plan import Plan, make_plan, not_shown, short
from bench.report.frame import Results
from bench.report.tables.blocks import Block, Column
from bench.report.tables.detection import scores
from bench.store.trust import Detection

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_COLUMNS = 9


def detection_plans(results: Results, block: Block) -> list[Plan]:
    """The figure of one set-up, where its cells keep beliefs about labels whose gold is known."""
    block = block.by("noisy_valid")  # as in the table: without the baseline stopped early as a row of its own
    found = scores(results, block)
    columns = [column for column in block.current() if any((method, column) in found for method in block.methods)]
    if not columns:
        return []
    caption = (
        "Average precision of the ranking of training labels by 1 − each method's belief in them, divided by that of a "
        "random ranking (the error rate). Points: means over seeds; small points: single seeds. Dashed: chance; "
        "dotted: the most that is possible."
    )
    shown = columns[:MOST_COLUMNS]
    if any(("cleanlab", column) in found for column in shown):
        caption += " cleanlab is the baseline to beat."
    caption += not_shown([f"{task}, {noise}" for task, noise in columns[MOST_COLUMNS:]])
    draw = functools.partial(detection_figure, found, shown)
    return [make_plan("detection", "Wrong labels found", caption, draw, setup=block.setup)]


def detection_figure(found: Mapping[tuple[str, Column], Mapping[int, Detection]], columns: list[Column]) -> Figure:
    """One panel per column, methods from the best on average down."""
    times = {
        key: np.array([score.average_precision / score.chance for score in seeds.values()])
        for key, seeds in found.items()
        if key[1] in columns
    }

    def mean(method: str) -> float:
        return float(np.mean([values.mean() for (name, _), values in times.items() if name == method]))

    methods = sorted({method for method, _ in times}, key=mean)
    figure, axes = panels(len(columns), 2.5, 0.9 + 0.19 * len(methods), across=3, sharey=True)
    for axis, column in zip(axes, columns, strict=True):
        most = max(1 / s.chance for m in methods for s in found.get((m, column), {}).values())
        axis.axvline(1, color=ORANGE, linewidth=0.9, linestyle="--")
        axis.axvline(most, color=GREY, linewidth=0.9, linestyle=":")
        for place, method in enumerate(methods):
            values = times.get((method, column))
            if values is None:
                continue
            colour = INK if method == "cleanlab" else BLUE
            axis.plot(values, np.full(len(values), place), "o", color=colour, alpha=0.35, markersize=2.5)
            axis.plot(values.mean(), place, "o", color=colour, markersize=5)
        axis.set_title(f"{short(column[0])}\n{short(column[1])}", loc="left")
        axis.set_xlim(min(0.9, *(v.min() - 0.05 for (_, c), v in times.items() if c == column)), None)
    axes[0].set_yticks(range(len(methods)), [two_lines(method) for method in methods])
    below(axes, "times chance")
    return figure
