"""The learning curve from human labels, with every method as a line at its accuracy."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FixedLocator, NullLocator

from bench.report.figures.by_task import BLUE, GREEN, GREY, INK, LEADER, ORANGE, beside, panels
from bench.report.figures.plan import Plan, make_plan, not_shown, short
from bench.report.tables import stats
from bench.report.tables.blocks import Block, Column, row_kind
from bench.report.tables.yardstick import CURVE, Curve, labels_for, learning_curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_PANELS = 3
STYLES = {"method": (BLUE, "-"), "baseline": (ORANGE, "-"), "human": (GREEN, "--"), "reference": (GREY, "--")}
"""Colour and line of each kind of row."""


def figure(block: Block, curves: dict[Column, Curve], rule: str) -> Figure:
    """One panel per noise source: accuracy after k human labels, and the methods' accuracies as lines."""
    made, axes = panels(len(curves), 7.6, 3.6, across=1, sharex=True)
    for axis, (column, curve) in zip(axes, curves.items(), strict=True):
        points = [stats.mean_interval(list(values.values())) for values in curve.by_seed]
        halves = np.nan_to_num([point.half for point in points])
        means = [point.mean for point in points]
        axis.errorbar(curve.sizes, means, yerr=halves, color=GREEN, marker="^", capsize=2.5, elinewidth=1.2, zorder=3)
        scores = {
            method: float(np.mean(list(values.values())))
            for method in block.methods
            if not method.startswith(CURVE) and (values := block.values(method, column, f"accuracy_{rule}", 100))
        }
        looks = {method: STYLES[row_kind(block, method, block.baseline)] for method in scores}
        for method, accuracy in scores.items():
            colour, line = looks[method]
            axis.axhline(accuracy, color=colour, linestyle=line, linewidth=0.8, alpha=0.7)
            (worth,) = labels_for(np.array([accuracy]), curve.means[None], np.array(curve.sizes))
            if 0 < worth < np.inf:
                axis.plot(worth, accuracy, "o", color=colour, markersize=4, zorder=4)
        for name, place in beside(axis, scores, 0.07).items():
            axis.annotate(
                f"{short(name, 34)}  {scores[name]:.1f}", (1.0, scores[name]), (1.03, place), va="center",
                xycoords=axis.get_yaxis_transform(), textcoords="axes fraction", color=looks[name][0], fontsize=7.5,
                arrowprops=LEADER | {"color": INK, "linewidth": 0.4, "shrinkB": 1},
                annotation_clip=False,
            )  # fmt: skip
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(FixedLocator(list(curve.sizes)))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.set_title(short(column[1], 50), loc="left")
        axis.set_ylabel("accuracy (%)")
    axes[-1].set_xlabel("random human labels (log scale)")
    return made


def worth_plans(block: Block, task: str, rule: str) -> list[Plan]:
    """The figure of a task; none without a learning curve."""
    found = {column: learning_curve(block, [column], rule) for column in block.current(block.of_task(task))}
    curves = {column: curve for column, curve in found.items() if curve is not None}
    if not curves:
        return []
    caption = (
        "Triangles: accuracy of gold[rows=k], trained on k random human labels alone, mean over seeds with 95 % "
        "t-interval. Lines: mean accuracies of the methods; dots: where they meet the curve (made monotone), which "
        "is how many labels they are worth. Dashed: references and methods with human labels."
    )
    cut = not_shown([noise for _, noise in list(curves)[MOST_PANELS:]])
    draw = functools.partial(figure, block, dict(list(curves.items())[:MOST_PANELS]), rule)
    return [make_plan("worth", "Worth in human labels", caption + cut, draw, task, block.setup)]
