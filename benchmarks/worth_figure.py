"""The README's picture of human labels: what random ones alone give, and where training on an LLM's labels stands.

python -m benchmarks.worth_figure results/reference/human docs/figures/worth.png
"""

from __future__ import annotations

import argparse

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

import bench
from bench.report.tables.stats import mean_interval
from bench.report.tables.yardstick import LABELLER, Yardstick, labeller_accuracy

GREEN, BLUE, ORANGE, GREY = "#009e73", "#0072b2", "#d55e00", "#5b6770"


def drawn(folder: str, rule: str) -> Figure:
    """One panel per label set: the curve of human labels, plain training, the range of all methods, the labeller."""
    loaded = bench.load_results(folder)
    yardstick = Yardstick(loaded.results, loaded.block(), rule)
    block = yardstick.block
    methods = [name for name in yardstick.measured if name not in block.references]
    columns = yardstick.columns
    figure, axes = plt.subplots(2, -(-len(columns) // 2), figsize=(10.5, 5), layout="constrained", squeeze=False)
    for axis, column in zip(axes.flat, columns, strict=False):
        curve = yardstick.curves[column]
        points = [mean_interval(list(values.values())) for values in curve.by_seed]
        halves = np.nan_to_num([each.half for each in points])
        axis.errorbar(
            curve.sizes, [each.mean for each in points], yerr=halves, color=GREEN, marker="^", markersize=4, capsize=2
        )
        found = {m: np.mean(list(block.values(m, column, f"accuracy_{rule}", 100).values())) for m in methods}
        axis.axhspan(min(found.values()), max(found.values()), color=BLUE, alpha=0.15, linewidth=0)
        axis.axhline(found["plain"], color=ORANGE)
        axis.axhline(labeller_accuracy(block.labelled(column)), color=GREY, linestyle=":")
        worth = yardstick.worth("plain", [column])
        axis.set_title(f"{column[0]}: {column[1].partition('/')[0]}", loc="left", fontsize=9.5)
        said = f"plain: {worth.words(curve.sizes)}" if worth else ""
        axis.text(0.97, 0.04, said, transform=axis.transAxes, ha="right", fontsize=8, color=ORANGE)
        axis.set_xscale("log")
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel("random human labels")
    for axis in axes[:, 0]:
        axis.set_ylabel("test accuracy (%)")
    for axis in axes.flat[len(columns) :]:
        axis.set_visible(False)
    handles = [
        plt.Line2D([], [], color=GREEN, marker="^", label="that many human labels alone"),
        plt.Line2D([], [], color=ORANGE, label="plain training on the LLM's labels"),
        plt.Rectangle((0, 0), 1, 1, color=BLUE, alpha=0.15, label=f"{len(methods)} methods, lowest to highest"),
        plt.Line2D([], [], color=GREY, linestyle=":", label=LABELLER.replace(" (test)", "")),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False)
    return figure


def main() -> None:
    """Write the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results")
    parser.add_argument("out")
    parser.add_argument("--rule", default="last", choices=("last", "noisy_valid"))
    asked = parser.parse_args()
    drawn(asked.results, asked.rule).savefig(asked.out, dpi=140)


if __name__ == "__main__":
    main()
