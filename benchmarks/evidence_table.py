"""Tables of evidence as Markdown: accuracy, difference from plain and ECE of every method.

python -m benchmarks.evidence_table results/reference/frozen                   averaged over kinds of noise sources
python -m benchmarks.evidence_table --by-source results/reference/frozen       source by source, one table per task
python -m benchmarks.evidence_table --together results/reference/deep-*        source by source, one table

Seeds are averaged last: a cell of a table is the mean over seeds (of the mean over a group's sources), with the 95 %
t-interval over seeds; differences are paired by seed. Only seeds that have every method on every source count.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pandas as pd

import bench
from bench.report.tables.model import number
from bench.report.tables.stats import mean_interval, paired_difference

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


def signed(difference) -> str:
    """`+1.2 ± 0.4`, or the mean alone where there is no interval."""
    return number(difference.mean, 1, signed=True) + (f" ± {difference.half:.1f}" if difference.n > 1 else "")


def gain(scores: dict[str, dict[int, float]], method: str) -> str:
    """The paired difference from plain, with its sign."""
    if method == "plain":
        return "–"
    return signed(paired_difference(scores[method], scores["plain"]))


def ordered(scores: dict[str, dict[int, float]]) -> list[str]:
    """Methods by their mean, the best first."""
    return sorted(scores, key=lambda method: -mean_interval(list(scores[method].values())).mean)


def markdown(heads: list[str], rows: list[list[str]]) -> Iterator[str]:
    """The lines of a table."""
    yield "| " + " | ".join(heads) + " |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def by_kind(cells: pd.DataFrame) -> Iterator[str]:
    """One table over all sources, averaged over each kind."""
    kinds = [kind for kind in GROUPS if (cells["noise_kind"] == kind).any()]
    counts = {k: len(cells[cells["noise_kind"] == k].drop_duplicates(["task", "noise"])) for k in kinds}
    groups = {kind: by_seed(cells[cells["noise_kind"] == kind], "accuracy_last") for kind in kinds}
    accuracy, ece = by_seed(cells, "accuracy_last"), by_seed(cells, "ece_last")
    yield f"{cells['seed'].nunique()} seeds, {sum(counts.values())} sources"
    heads = [
        "method",
        *(f"{GROUPS[kind]} ({counts[kind]})" for kind in kinds),
        "average",
        "difference from plain",
        "ECE",
    ]
    rows = []
    for method in ordered(accuracy):
        columns = [groups[kind] for kind in kinds] + [accuracy]
        parts = [shown(mean_interval(list(column[method].values()))) for column in columns]
        rows.append([method, *parts, gain(accuracy, method), shown(mean_interval(list(ece[method].values())))])
    yield from markdown(heads, rows)


def by_source(cells: pd.DataFrame, together: bool) -> Iterator[str]:
    """Accuracy, difference from plain and ECE of every method on every source: one table per task, or one."""
    for task, own in [("", cells)] if together else cells.groupby("task"):
        tables = {
            f"{each} {noise}" if together else noise: own[(own["task"] == each) & (own["noise"] == noise)]
            for each, _, noise in sorted(set(zip(own["task"], own["noise_kind"], own["noise"], strict=True)))
        }
        scores = {name: (by_seed(t, "accuracy_last"), by_seed(t, "ece_last")) for name, t in tables.items()}
        heads = [
            "method",
            *(f"{name} ({100 * t['noise_rate_trained'].mean():.1f} % wrong)" for name, t in tables.items()),
        ]
        rows = []
        for method in ordered(by_seed(own, "accuracy_last")):
            row = [method]
            for accuracy, ece in scores.values():
                mean, error = (shown(mean_interval(list(each[method].values()))) for each in (accuracy, ece))
                row.append("<br>".join([mean, gain(accuracy, method), f"*{error}*"]))
            rows.append(row)
        if not together:
            yield f"\n### {task}, {own['setup'].iloc[0]}, {own['seed'].nunique()} seeds\n"
        yield from markdown(heads, rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+")
    parser.add_argument("--by-source", action="store_true", help="source by source, one table per task")
    parser.add_argument("--together", action="store_true", help="source by source, in one table")
    asked = parser.parse_args()
    found = []
    for folder in asked.results:
        cells = bench.load_results(folder).cells
        found.append(complete_seeds(cells[cells["status"] == "done"]))
    cells = pd.concat(found)
    if cells.empty:
        raise SystemExit("no seed has every method on every source yet")
    lines = by_source(cells, asked.together) if asked.by_source or asked.together else by_kind(cells)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
