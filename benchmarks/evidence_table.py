"""The README's table: accuracy, ECE and difference to plain of every method, averaged over groups of noise sources.

python -m benchmarks.evidence_table results/reference/frozen

Seeds are averaged last: a cell of the table is the mean over seeds of the mean over the group's sources, with the
95 % t-interval over seeds; the difference is paired by seed. Only seeds that have every source for every method count.
"""

from __future__ import annotations

import argparse

import pandas as pd

import bench
from bench.stats import mean_interval, paired_difference

GROUPS = {"llm": "LLM labels", "weak": "weak labels", "synthetic": "synthetic"}


def complete_seeds(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of the seeds that have a score for every method and source."""
    table = cells.pivot_table(index="seed", columns=["task", "noise", "method_label"], values="accuracy_last")
    return cells[cells["seed"].isin(table.dropna().index)]


def by_seed(cells: pd.DataFrame, value: str) -> dict[str, dict[int, float]]:
    """method -> seed -> mean over sources, in percent."""
    means = 100 * cells.groupby(["method_label", "seed"])[value].mean()
    return {method: part.droplevel(0).to_dict() for method, part in means.groupby(level=0)}


def shown(interval) -> str:
    """`71.2 ± 0.4`, or the mean alone where there is no interval."""
    return f"{interval.mean:.1f} ± {interval.half:.1f}" if interval.n > 1 else f"{interval.mean:.1f}"


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results")
    cells = bench.load_results(parser.parse_args().results).cells
    cells = complete_seeds(cells[cells["status"] == "done"])
    if cells.empty:
        raise SystemExit("no seed has every method on every source yet")
    kinds = [kind for kind in GROUPS if (cells["noise_kind"] == kind).any()]
    counts = {k: len(cells[cells["noise_kind"] == k].drop_duplicates(["task", "noise"])) for k in kinds}
    groups = {kind: by_seed(cells[cells["noise_kind"] == kind], "accuracy_last") for kind in kinds}
    accuracy, ece = by_seed(cells, "accuracy_last"), by_seed(cells, "ece_last")
    order = sorted(accuracy, key=lambda method: -mean_interval(list(accuracy[method].values())).mean)
    heads = [f"{GROUPS[kind]} ({counts[kind]})" for kind in kinds]
    print(f"{cells['seed'].nunique()} seeds, {sum(counts.values())} sources")
    print("| method | " + " | ".join(heads) + " | average | difference to plain | ECE |")
    print("|---" * (len(heads) + 4) + "|")
    for method in order:
        parts = [shown(mean_interval(list(groups[kind][method].values()))) for kind in kinds]
        difference = "–" if method == "plain" else shown(paired_difference(accuracy[method], accuracy["plain"]))
        if not difference.startswith(("-", "–")):
            difference = "+" + difference
        parts += [shown(mean_interval(list(accuracy[method].values()))), difference.replace("-", "−")]
        print(f"| {method} | " + " | ".join([*parts, shown(mean_interval(list(ece[method].values())))]) + " |")


if __name__ == "__main__":
    main()
