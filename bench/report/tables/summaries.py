"""Tables over all columns of a set-up: selection of the step, calibration, cost of training and of labelling."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import ClassVar

from bench.report.frame import ALL_RULES
from bench.report.tables import stats
from bench.report.tables.averages import no_seed_sentence
from bench.report.tables.base import Context, ReportTable, register
from bench.report.tables.blocks import Block, Column, averages, common_columns, without_average
from bench.report.tables.cost import cost_table
from bench.report.tables.entries import RULE_TEXT, interval_entry, mean_entry, seeds_or_texts
from bench.report.tables.model import Head, Table
from bench.report.tables.seeds import own_seeds_sentence
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

    def make(self, context: Context) -> Iterable[Table]:
        """The tables of selection, calibration and cost; none where no column is shared by the methods."""
        block = context.block
        shared, left_out = common_columns(block, block.columns, f"accuracy_{context.rule}")
        if not shared:
            return
        methods = [method for method in block.methods if method not in left_out]
        own = [method for method in methods if method != block.early]  # the row stopped early has no cells of its own
        whole = len(shared) == len(block.current())
        of = "" if whole else f" of {len(block.current())} columns"
        columns = f"Over the one column{of}"
        if len(shared) > 1:
            columns = f"Averages over {f'the {len(shared)}{of}' if of else f'all {len(shared)} columns'}"
        over = f"{columns} (task and noise source){' that every compared method has' if of else ''}."
        if left_out:
            over += f" Without {', '.join(left_out)}, which have fewer than half of the columns."
        no_seed = no_seed_sentence(without_average(block, methods, shared, f"accuracy_{context.rule}"))
        for table in (
            selection_table(block, own, shared),
            calibration_table(block, methods, shared, context.rule),
            cost_table(block, own, shared),
        ):
            seeds = ["Mean ± 95 % t-interval over seeds."] if table.seeds > 1 else ["One seed, no interval."]
            seeds = seeds if table.seeds else []  # costs
            lost = [no_seed] if no_seed and table.kind != "cost" else []  # costs are averaged over seeds first
            yield dataclasses.replace(table, caption=(over, *lost, *seeds, *table.caption))


def selection_table(block: Block, methods: list[str], shared: list[Column]) -> Table:
    """Accuracy of the last step, of the step chosen on noisy valid, and of the best step on test, side by side."""
    rows = []
    for method in methods:
        ids = block.ids(method, shared)
        by_rule = {rule: averages(block, method, shared, f"accuracy_{rule}", 100) for rule in ALL_RULES}
        gaps = [stats.paired_difference(by_rule[rule], by_rule["last"]) for rule in ALL_RULES[1:]]
        entries = [seeds_or_texts(stats.mean_interval(list(found.values())), ids) for found in by_rule.values()]
        rows.append(block.row(method, [*entries, *(interval_entry(gap, ids, signed=True) for gap in gaps)]))
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
        own_seeds_sentence(block, methods, shared, "accuracy_last"),
    )
    return block.table("selection", f"Which step is scored: {block.setup}", heads, rows, caption)


def calibration_table(block: Block, methods: list[str], shared: list[Column], rule: str) -> Table:
    """Every metric but accuracy, averaged over the shared columns."""
    metrics = {f"{name}_{rule}": metric for name, metric in METRICS.items() if name != "accuracy"}
    rows = []
    for method in methods:
        entries = []
        for name, metric in metrics.items():
            by_seed = averages(block, method, shared, name, metric.scale)
            filled = mean_entry(block, method, shared, name, by_seed)
            entries.append(dataclasses.replace(filled, decimals=metric.decimals))
        rows.append(block.row(method, entries))
    heads = (
        Head(metric.short, "", f"{metric.unit}, {better}" if metric.unit else better)
        for metric in metrics.values()
        for better in [f"{'higher' if metric.higher_is_better else 'lower'} is better"]
    )
    caption = (
        "ECE and CE: (expected) calibration error; 15 bins, of equal width (ECE, classwise, maximum) or of equal mass "
        "(adaptive). NLL: negative log-likelihood.",
        RULE_TEXT[rule],
        next(filter(None, (own_seeds_sentence(block, methods, shared, name) for name in metrics)), ""),
    )
    return block.table("calibration", f"Calibration: {block.setup}", heads, rows, caption)
