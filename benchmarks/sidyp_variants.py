"""Variants of one method beside each other: what noisy validation labels say of them, and what the test set says.

bench run --methods sidyp,"sidyp[neighbours=50]",... --results FOLDER
python -m benchmarks.sidyp_variants FOLDER [--method sidyp]

A variant may be chosen by its accuracy on noisy validation labels, which needs no gold; the test accuracy beside it
shows what that choice is worth. Numbers are of the last step, means over seeds; sources are weighted equally. Only
sources and seeds that every variant has count; methods that see gold are shown but never chosen.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from bench.report.names import canonical, shown
from bench.store.records import CellKey, Record, read_records
from benchmarks.evidence_table import markdown
from methods import registry


def names_of(keys: list[CellKey]) -> list[str]:
    """`sidyp[width=full]`, `sidyp (3 epochs)`: the parameters that are not the method's defaults (of a method that is
    not known here: that vary), and the epochs of stage 1 where they are not the commonest of the folder."""
    known = registry.available()
    usual = Counter(key.recipe["epochs"] for key in keys).most_common(1)[0][0]
    values = defaultdict(set)
    for key in keys:
        for name, value in key.config.items():
            values[key.method, name].add(canonical(value))
    names = []
    for key in keys:
        common = {
            name: next(iter(found))
            for (method, name), found in values.items()
            if method == key.method and len(found) == 1
        }
        if key.method in known:
            common = {name: canonical(value) for name, value in asdict(known[key.method].Config()).items()}
        differing = [f"{name}={shown(v)}" for name, v in key.config.items() if canonical(v) != common.get(name)]
        label = f"{key.method}[{','.join(differing)}]" if differing else key.method
        names.append(label if key.recipe["epochs"] == usual else f"{label} ({key.recipe['epochs']} epochs)")
    return names


def table_of(cells: pd.DataFrame) -> list[list[str]]:
    """A row a variant: means of noisy validation accuracy, test accuracy, ECE; test accuracy by source."""
    by_source = cells.pivot_table(index="variant", columns="source", values="test")
    whole = cells.pivot_table(index="variant", columns=["source", "seed"], values="test").dropna(axis=1).columns
    kept = cells[[pair in whole for pair in zip(cells["source"], cells["seed"], strict=True)]]
    means = (
        kept.groupby(["variant", "source"])[["noisy valid", "test", "ece", "seconds"]].mean().groupby(level=0).mean()
    )
    spread = kept.groupby(["variant", "seed"])["test"].mean().groupby(level=0).sem()
    means["error"] = spread
    rows = []
    for variant, mean in means.sort_values("noisy valid", ascending=False).iterrows():
        error = "" if pd.isna(mean["error"]) else f" (s.e. {mean['error']:.1f})"
        row = [f"`{variant}`", f"{mean['noisy valid']:.1f}", f"{mean['test']:.1f}{error}", f"{mean['ece']:.1f}"]
        row += [f"{mean['seconds']:.0f}"]
        rows.append([*row, *(f"{value:.1f}" for value in by_source.loc[variant])])
    return rows


def main() -> None:
    """Print the table as Markdown, the variant that noisy validation labels prefer first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--method", help="only the variants of this method; default: all that is there")
    asked = parser.parse_args()
    records = [r for r in read_records(asked.results) if isinstance(r, Record) and r.status == "done"]
    records = [r for r in records if asked.method in (None, r.key.method)]
    if not records:
        raise SystemExit(f"no finished cells in {asked.results}")
    cells = pd.DataFrame(
        {
            "variant": name,
            "source": f"{record.key.task} {record.key.noise}",
            "seed": record.key.seed,
            "test": 100 * record.scores.last.accuracy,
            "ece": 100 * record.scores.last.ece,
            "noisy valid": 100 * record.curve[-1].noisy_valid_accuracy,
            "seconds": record.seconds["total"],
        }
        for name, record in zip(names_of([r.key for r in records]), records, strict=True)
    )
    heads = ["variant", "noisy valid", "test", "ECE", "seconds", *sorted(cells["source"].unique())]
    print("\n".join(markdown(heads, table_of(cells))))


if __name__ == "__main__":
    main()
