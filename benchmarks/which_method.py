"""Rewrite the three tables of docs/which_method.md from the files of `benchmarks.noise_properties`.

python -m benchmarks.which_method
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from bench.report.tables.model import number
from benchmarks.evidence_table import markdown

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "which_method.md"
NUMBERS = ROOT / "results" / "reference" / "llm-axis-properties"
COLUMNS = {
    "mpnet, last step": ("mpnet", "last"),
    "mpnet, early stopping": ("mpnet", "noisy_valid"),
    "MiniLM, last step": ("minilm", "last"),
    "MiniLM, early stopping": ("minilm", "noisy_valid"),
}
PROPERTIES = {
    "noise rate": "noise_rate",
    "asymmetry": "asymmetry",
    "strength": "strength",
    "predictability": "predictability",
    "ln classes": "log_classes",
}
SLOPES_OF = ("dygen", "npc", "second-opinion", "selfmix", "sidyp", "co-teaching", "oracle")


def read(name: str, encoder: str, rule: str) -> pd.DataFrame:
    """The rows of a file for an encoder and a rule, by method."""
    table = pd.read_csv(NUMBERS / encoder / f"{name}.csv")
    return table[(table["rule"] == rule) & (table["method"] != "plain+ts")].set_index("method")


def by_method(columns: list[str], rows: dict[str, list[str]]) -> str:
    """A table with one row per method."""
    return "\n".join(markdown(["method", *columns], [[name, *cells] for name, cells in rows.items()]))


def replace_tables(page: Path, first: str, tables: list[str]) -> None:
    """Put tables in the place of those of a page whose first column has this head, in their order."""
    made = iter(tables)
    pattern = rf"\| {re.escape(first)} \|.*\n\|---.*\n(?:\|.*\n)+"
    page.write_text(re.sub(pattern, lambda _: next(made) + "\n", page.read_text("utf-8")), "utf-8")


def main() -> None:
    """Replace the tables of gains, slopes and R² of predicted gains, in this order."""
    order = list(read("averages", "mpnet", "noisy_valid").index)
    gains: dict[str, list[str]] = {method: [] for method in order}
    foretold: dict[str, list[str]] = {method: [] for method in order}
    for encoder, rule in COLUMNS.values():
        averages, shares = read("averages", encoder, rule), read("foretold", encoder, rule)
        for method in order:
            mean, half = averages.loc[method, ["mean", "half"]]
            shown = f"{number(mean, 1, signed=True)} ± {half:.1f}"
            gains[method].append(f"**{shown}**" if abs(mean) > half else shown)
            foretold[method].append(number(shares.loc[method, "r2_left_out_task"], 2, signed=True))
    found = read("slopes", "mpnet", "noisy_valid").set_index("property", append=True)
    slopes: dict[str, list[str]] = {method: [] for method in SLOPES_OF}
    for method in SLOPES_OF:
        for name in PROPERTIES.values():
            slope, low, high = found.loc[(method, name), ["slope", "low", "high"]]
            shown = "{} ({} to {})".format(*(number(value, 1, signed=True) for value in (slope, low, high)))
            slopes[method].append(f"**{shown}**" if low > 0 or high < 0 else shown)
    tables = [by_method(list(COLUMNS), gains), by_method(list(PROPERTIES), slopes), by_method(list(COLUMNS), foretold)]
    replace_tables(PAGE, "method", tables)


if __name__ == "__main__":
    main()
