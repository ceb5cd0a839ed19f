"""Tables over all columns of a set-up: selection of the step, calibration, cost of training and of labelling."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import ClassVar

from bench.report.tables import stats
from bench.report.tables.base import Context, ReportTable, register
from bench.report.tables.blocks import Block, Column, averages, common_columns, row_kind
from bench.report.tables.cost import cost_table
from bench.report.tables.entries import RULE_TEXT, mean_entry
from bench.report.tables.model import Entry, Head, Row, Table
from bench.store.metrics import METRICS


@register
class SummaryTables(ReportTable):
    """Averages over all columns of a set-up."""

    name, order = "summaries", 60
    kinds: ClassVar = {
        "selection": "which step is scored",
        "calibration": "all calibration metrics",
        "cost": "cost",
    }

    def make(self, context: Context) -> Iterable[Table | None]:
        """The tables of selection, calibration and cost."""
        return summary_tables(context.block, context.rule, context.baseline)


def summary_tables(block: Block, rule: str, baseline: str | None) -> list[Table]:
    """Selection, calibration and cost table of one set-up; none where no column is shared by the methods."""
    shared, left_out = common_columns(block, block.columns, f"accuracy_{rule}")
    if not shared:
        return []
    methods = [method for method in block.methods if method not in left_out]
    own = [method for method in methods if method != block.early]  # the row stopped early has no cells of its own
    made = [
        selection_table(block, own, shared, baseline),
        calibration_table(block, methods, shared, rule, baseline),
        cost_table(block, own, shared, baseline),
    ]
    if len(shared) == len(block.current()):
        over = f"Averages over all {len(shared)} columns (task and noise source)."
    else:
        over = f"Averages over the {len(shared)} of {len(block.current())} columns (task and noise source) that every "
        over += "compared method has."
    if left_out:
        over += f" Without {', '.join(left_out)}, having fewer than half of the columns."
    seeds = "Mean ± 95 % t-interval over seeds."
    return [
        dataclasses.replace(table, caption=(over, *([seeds] if table.seeds > 1 else []), *table.caption))
        for table in made
    ]


def selection_table(block: Block, methods: list[str], shared: list[Column], baseline: str | None) -> Table:
    """Accuracy of the last step, of the step chosen on noisy valid, and of the best step on test, side by side."""
    rows = []
    for method in methods:
        by_rule = {
            rule: averages(block, method, shared, f"accuracy_{rule}", 100)
            for rule in ("last", "noisy_valid", "oracle_best")
        }
        ids = block.ids(method, shared)
        gaps = [
            stats.paired_difference(by_rule[ours], by_rule[theirs])
            for ours, theirs in (("noisy_valid", "last"), ("oracle_best", "last"))
        ]
        entries = [_summary(by_rule[rule], ids) for rule in by_rule]
        entries += [Entry("value", *gap, cells=ids, signed=True) if gap.n else Entry("empty") for gap in gaps]
        rows.append(Row(method, row_kind(block, method, baseline), tuple(entries)))
    heads = (
        Head("last step", "accuracy (%)"),
        Head("noisy valid", "accuracy (%)"),
        Head("oracle best", "accuracy (%)", "selected on test"),
        Head("noisy valid − last", "difference"),
        Head("oracle best − last", "difference", "selected on test"),
    )
    caption = (
        "Last: the last step. Noisy valid: the step with the highest accuracy on the noisy validation labels. "
        "Oracle best: the best step on the test set, which cannot be chosen without gold labels: a diagnostic, "
        "never a result.",
    )
    title = f"Which step is scored: {block.setup}"
    return Table(
        f"selection-{block.setup}", title, "selection", block.setup, "", heads, tuple(rows), 1, caption, _most(rows)
    )


def calibration_table(block: Block, methods: list[str], shared: list[Column], rule: str, baseline: str | None) -> Table:
    """Every metric but accuracy, averaged over the shared columns."""
    names = [name for name in METRICS if name != "accuracy"]
    grid: dict[str, list[Entry]] = {method: [] for method in methods}
    for name in names:
        metric = METRICS[name]
        values = {method: averages(block, method, shared, f"{name}_{rule}", metric.scale) for method in methods}
        for method in methods:
            filled = _summary(values[method], block.ids(method, shared))
            grid[method].append(dataclasses.replace(filled, decimals=metric.decimals))
    heads = tuple(
        Head(METRICS[name].short, "", "higher is better" if METRICS[name].higher_is_better else "lower is better")
        for name in names
    )
    rows = tuple(Row(method, row_kind(block, method, baseline), tuple(grid[method])) for method in methods)
    caption = (
        "Calibration errors use 15 bins: of equal width (ECE, classwise, maximum) or of equal mass (adaptive).",
        RULE_TEXT[rule],
    )
    title = f"Calibration: {block.setup}"
    return Table(
        f"calibration-{block.setup}", title, "calibration", block.setup, "", heads, rows, 1, caption, _most(rows)
    )


def _summary(by_seed: dict[int, float], ids: tuple[str, ...]) -> Entry:
    """Mean and 95 % interval over seeds; empty without a score."""
    return mean_entry(by_seed, ids, lambda: math.nan)


def _most(rows) -> int:
    """The largest number of seeds behind an entry."""
    return max((entry.n for row in rows for entry in row.entries), default=0)
