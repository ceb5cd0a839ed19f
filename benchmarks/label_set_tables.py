"""Rewrite the three tables of docs/label_sets.md from the files that `bench labels --out` wrote.

python -m benchmarks.label_set_tables
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks.evidence_table import markdown
from benchmarks.which_method import replace_tables

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "label_sets.md"
NUMBERS = ROOT / "results" / "reference" / "label-sets"
MANY_CLASSES = 10
"""Tasks with more have no rows per class on the page."""


def noise(sizes: pd.DataFrame) -> list[str]:
    """A row per label set: size, share without an answer, noise of every split with its interval, estimate, kind."""
    kinds = pd.read_csv(NUMBERS / "kind.csv").set_index(["task", "labels"])
    splits = ("train", "valid", "test")
    heads = ["task", "labels", "texts (train)", "no answer %", *(f"noise {split} %" for split in splits)]
    rows = []
    for (task, labels), own in sizes.groupby(["task", "labels"]):
        own = own.set_index("split")
        rates = [
            "{:.1f} ({:.1f}–{:.1f})".format(*(100 * own.loc[split, ["noise_rate", "noise_low", "noise_high"]]))
            for split in splits
        ]
        kind = kinds.loc[(task, labels)]
        asked, missing = own.loc["train", "asked"], 100 * own.loc["train", "no_answer_rate"]
        estimate = 100 * kind["noise_rate_estimate"]
        rows.append([task, labels, str(asked), f"{missing:.1f}", *rates, f"{estimate:.1f}", kind["noise"]])
    return list(markdown([*heads, "estimate %", "kind"], rows))


def mistakes() -> list[str]:
    """A row per label set and class: share of its training texts labelled correctly, and the most frequent mistake."""
    table = pd.read_csv(NUMBERS / "confusion.csv", keep_default_na=False)
    table = table[table["split"] == "train"]
    rows = []
    for (task, labels), own in table.groupby(["task", "labels"]):
        if own["gold"].nunique() > MANY_CLASSES:
            continue
        for gold, row in own.groupby("gold", sort=False):
            right = row[row["label"] == gold]["share"].sum()
            worst = row[row["label"] != gold].sort_values("count", ascending=False, kind="stable").iloc[0]
            mistake = worst["label"], f"{100 * worst['share']:.1f}"
            rows.append([task, labels, gold, str(row["count"].sum()), f"{100 * right:.1f}", *mistake])
    return list(markdown(["task", "labels", "class", "texts", "correct %", "most often labelled as", "%"], rows))


def agreement() -> list[str]:
    """A row per pair of label sets of a task, and one for all of them."""
    rows = []
    for row in pd.read_csv(NUMBERS / "agreement.csv").itertuples():
        both, same = ("–" if pd.isna(share) else f"{100 * share:.1f}" for share in (row.both_wrong, row.same_error))
        kappa = f"{row.kappa:.2f} ({row.statistic})"
        rows.append([row.task, row.labellers, str(row.texts), f"{100 * row.agreement:.1f}", kappa, both, same])
    heads = ["task", "labellers", "texts", "agreement %", "κ", "both wrong %", "same class if both wrong %"]
    return list(markdown(heads, rows))


def main() -> None:
    """Replace the tables, in their order."""
    sizes = pd.read_csv(NUMBERS / "sizes.csv")
    replace_tables(PAGE, "task", ["\n".join(lines) for lines in (noise(sizes), mistakes(), agreement())])


if __name__ == "__main__":
    main()
