"""Rewrite the table of docs/llm_anatomy.md from what `bench labels --out` wrote, and print the numbers in its text.

python -m benchmarks.llm_anatomy
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bench.core.seeds import named_generator
from benchmarks.evidence_table import markdown
from benchmarks.which_method import replace_tables

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "llm_anatomy.md"
NUMBERS = ROOT / "results" / "reference" / "llm-anatomy"
HEADS = (
    "task", "sets", "wrong (%)", "AUC: median (range)", "sets with AUC above 0.5", "κ of errors, mean over pairs",
    "κ, lowest to highest pair", "same class (%)", "all agree", "of which wrong",
)  # fmt: skip
ENOUGH_SETS = 10
"""Tasks with at least this many have a rank correlation over their sets."""


def of_sets() -> pd.DataFrame:
    """A row per label set: how predictable its mistakes are, its noise rate, how asymmetric a mistake is."""
    table = pd.read_csv(NUMBERS / "predictable.csv")
    table["rate"] = table["wrong"] / table["texts"]
    kinds = ["task", "labels", "symmetric_distance", "noise_rate", "symmetric_p", "instance_p"]
    table = table.merge(pd.read_csv(NUMBERS / "kind.csv")[kinds], on=["task", "labels"])
    return table.assign(asymmetry=table["symmetric_distance"] / table["noise_rate"])


def table() -> str:
    """The page's table, a row per task."""
    shared, rows = pd.read_csv(NUMBERS / "shared.csv").set_index("task"), []
    for task, own in of_sets().groupby("task"):
        row, auc = shared.loc[task], own["auc"]
        rows.append([
            task, str(len(own)), f"{100 * own['rate'].min():.0f} to {100 * own['rate'].max():.0f}",
            f"{auc.median():.2f} ({auc.min():.2f} to {auc.max():.2f})", str((own["auc_low"] > 0.5).sum()),
            f"{row['kappa']:.2f} ({row['kappa_low']:.2f} to {row['kappa_high']:.2f})",
            f"{row['kappa_least']:.2f} to {row['kappa_most']:.2f}", f"{100 * row['same_wrong']:.0f}",
            f"{row['unanimous']:,.0f} ({100 * row['unanimous_share']:.0f} %)",
            "{:.1f} % ({:.1f}–{:.1f})".format(*100 * row[[f"unanimous_wrong{end}" for end in ("", "_low", "_high")]]),
        ])  # fmt: skip
    return "\n".join(markdown(list(HEADS), rows)).replace("-0.", "−0.")


def rank_correlation(sets: pd.DataFrame, one: str, other: str, draws: int = 2000) -> str:
    """Spearman's, with the percentile interval of a bootstrap over the sets."""
    from scipy.stats import spearmanr

    rng = named_generator("llm-anatomy", one, other)
    drawn = (sets.iloc[rng.integers(len(sets), size=len(sets))] for _ in range(draws))
    found = [spearmanr(each[one], each[other])[0] for each in drawn]
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return f"{spearmanr(sets[one], sets[other])[0]:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Replace the table; print what the sentences of the page say."""
    replace_tables(PAGE, "task", [table()])
    sets, pairs = of_sets(), pd.read_csv(NUMBERS / "mistakes.csv")
    print(f"{len(sets)} sets; AUC above 0.5 in {(sets['auc_low'] > 0.5).sum()}, median {sets['auc'].median():.2f}")
    print(f"AUC above 0.7 in {(sets['auc'] > 0.7).sum()}; the highest:")
    print(sets.nlargest(3, "auc")[["task", "labels", "auc", "auc_low", "auc_high"]].round(2).to_string(index=False))
    print(f"symmetric noise rejected in {(sets['symmetric_p'] < 0.05).sum()}, independence of the text in "
          f"{(sets['instance_p'] < 0.05).sum()}")  # fmt: skip
    for task, own in sets.groupby("task"):
        if len(own) < ENOUGH_SETS:
            continue
        better = set(own[own["rate"] <= own["rate"].median()]["labels"])
        kappas = pairs[pairs["task"] == task]
        of_better = kappas["a"].isin(better).astype(int) + kappas["b"].isin(better)
        fewer, more = (kappas[of_better == n]["kappa"].mean() for n in (2, 0))
        print(f"{task}: κ between sets with fewer mistakes {fewer:.2f}, with more {more:.2f}; rank correlation of the "
              f"noise rate with the AUC {rank_correlation(own, 'rate', 'auc')}, with asymmetry "
              f"{rank_correlation(own, 'rate', 'asymmetry')}")  # fmt: skip


if __name__ == "__main__":
    main()
