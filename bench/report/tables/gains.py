"""What every method gains over the baseline in every column, paired by seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import ClassVar

from bench.report.tables import stats
from bench.report.tables.averages import averages_of
from bench.report.tables.base import SHOWN, Context, ReportTable, register
from bench.report.tables.bootstrap import gap
from bench.report.tables.entries import (
    RULE_TEXT,
    average_sentences,
    column_head,
    difference,
    entry,
    reference_sentences,
)
from bench.report.tables.model import Table
from bench.store.metrics import METRICS

BOLD_GAIN = (
    "Bold: the interval over seeds and the bootstrap over test texts both exclude 0 and lie above it (at least "
    f"{stats.MIN_SEEDS} shared seeds); entries are not corrected for their number; the table of significance is."
)


@register
class GainTables(ReportTable):
    """What every method gains over the baseline in every column."""

    name, order = "gains", 20
    kinds: ClassVar = {"gain": "difference from the baseline"}

    def make(self, context: Context) -> Iterable[Table | None]:
        """One table per shown metric."""
        return [gain_table(context, metric) for metric in SHOWN]


def gain_table(context: Context, metric_name: str) -> Table | None:
    """Methods x columns: score minus the baseline's, averages by kind of noise first.

    Bold where seeds and test texts show a gain. None without a baseline, or where it has nothing beside it.
    """
    block, rule, baseline = context.block, context.rule, context.baseline
    metric, name = METRICS[metric_name], f"{metric_name}_{rule}"
    methods = [method for method in block.methods if method != baseline]
    if baseline not in block.methods or not methods:
        return None
    draws = context.draws()[0] if metric_name == "accuracy" else None  # they are of accuracies
    made = averages_of(block, block.columns, block.methods, name, metric.scale)
    heads = [*(each.head for each in made), *(column_head(block, column) for column in block.columns)]
    rows = []
    for method in methods:
        entries = [difference(block, draws, method, each.columns, rule, each.by_seed) for each in made]
        for column in block.columns:
            scores = {each: block.values(each, column, name, metric.scale) for each in (method, baseline)}
            gain = difference(block, draws, method, [column], rule, scores) if scores[method] else None
            entries.append(gain or entry(block, method, column, name, metric))
        if metric_name == "accuracy" and method not in block.references:
            spans = [*(each.columns for each in made), *([column] for column in block.columns)]
            shown = [gap(block, draws, method, baseline, over, rule).sure() for over in spans]
            entries = [
                dataclasses.replace(each, best=sure and each.state == "value")
                for each, sure in zip(entries, shown, strict=True)
            ]
        rows.append(block.row(method, entries))
    caption = (
        f"Score minus that of {baseline}, paired by seed: mean ± 95 % t-interval over seeds; "
        f"{'higher' if metric.higher_is_better else 'lower'} is better.",
        RULE_TEXT[rule],
        BOLD_GAIN if metric_name == "accuracy" else "",
        *average_sentences(block, block.columns, made),
        *reference_sentences(block, methods),
    )
    unit = "points" if metric.unit == "%" else metric.unit
    title = f"{metric.title}: difference from {baseline} ({unit}), {block.setup}"
    return block.table("gain", title, heads, rows, caption, metric, name=f"gain-{metric_name}")
