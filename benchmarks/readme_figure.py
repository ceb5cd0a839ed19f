"""The README's picture: every method by the last step and by the step chosen on noisy validation labels.

python -m benchmarks.readme_figure results/reference/frozen docs/figures/rules.png
"""

from __future__ import annotations

import argparse

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

import bench
from bench.report.figures.kinds import RULES as STYLES
from bench.report.tables.stats import mean_interval
from benchmarks.evidence_table import by_seed, complete_seeds

RULES = {
    "accuracy_last": ("last step", STYLES["last"][1], 0.14),
    "accuracy_noisy_valid": ("step chosen on noisy validation labels", STYLES["noisy_valid"][1], -0.14),
}
"""Column of the cells -> label, marks and colour (those of a report), height above the middle of its row."""


def drawn(folder: str) -> Figure:
    """Accuracy over all sources with its 95 % t-interval over seeds: one row per method, the best at the top."""
    cells = bench.load_results(folder).cells
    cells = complete_seeds(cells[cells["status"] == "done"])
    scores = {
        rule: {method: mean_interval(list(seeds.values())) for method, seeds in by_seed(cells, rule).items()}
        for rule in RULES
    }
    chosen = scores["accuracy_noisy_valid"]
    methods = sorted((m for m in chosen if m not in ("oracle", "plain+ts")), key=lambda m: chosen[m].mean)
    figure, axes = plt.subplots(figsize=(7.2, 3.9), layout="constrained")
    for rule, (label, style, height) in RULES.items():
        found = [scores[rule][method] for method in methods]
        means, halves = [each.mean for each in found], [each.half for each in found]
        heights = [row + height for row in range(len(methods))]
        axes.errorbar(means, heights, xerr=halves, markersize=5, label=label, **style)
        axes.axvline(scores[rule]["plain"].mean, color=style["color"], linestyle="--", linewidth=1, zorder=0)
    sources = len(cells.drop_duplicates(["task", "noise"]))
    axes.set_yticks(range(len(methods)), methods)
    axes.set_xlabel(f"test accuracy (%), mean of {sources} noise sources ± 95 % interval; dashed: plain")
    axes.grid(axis="x", color="#e3e6e8")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def main() -> None:
    """Write the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results")
    parser.add_argument("out")
    asked = parser.parse_args()
    drawn(asked.results).savefig(asked.out, dpi=140)


if __name__ == "__main__":
    main()
