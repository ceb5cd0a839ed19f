"""What every method gains over the baseline in every column, paired by seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import ClassVar

from bench.report.tables import stats
from bench.report.tables.averages import averages_of
from bench.report.tables.base import SHOWN, Context, ReportTable, register
from bench.report.tables.blocks import Block, Column, row_kind
from bench.report.tables.bootstrap import Draws, gap
from bench.report.tables.entries import (
    RULE_TEXT,
    average_sentences,
    column_head,
    difference,
    entry,
    reference_sentences,
)
from bench.report.tables.model import Entry, Head, Row, Table
from bench.store.metrics import METRICS, Metric


@register
class GainTables(ReportTable):
    """What every method gains over the baseline in every column."""

    name, order = "gains", 20
    kinds: ClassVar = {"gain": "difference from the baseline"}

    def make(self, context: Context) -> Iterable[Table | None]:
        """One table per shown metric."""
        draws, _ = context.draws()
        return [gain_table(context.block, metric, context.rule, context.baseline, draws) for metric in SHOWN]


def gain_table(
    block: Block, metric_name: str, rule: str, baseline: str | None, draws: Draws | None = None
) -> Table | None:
    """Methods x columns: score minus the baseline's, averages by kind of noise first.

    Bold where seeds and test texts show a gain. None without a baseline, or where it has nothing beside it.
    """
    metric, name = METRICS[metric_name], f"{metric_name}_{rule}"
    methods = [method for method in block.methods if method != baseline]
    if baseline not in block.methods or not methods:
        return None
    made = averages_of(block, block.columns, block.methods, name, metric.scale)
    heads: list[Head] = [each.head for each in made] + [column_head(block, column) for column in block.columns]
    rows = []
    for method in methods:
        entries = [difference(block, draws, method, baseline, each.columns, rule, each.by_seed) for each in made]
        entries += [_gain(block, draws, method, column, name, metric, baseline, rule) for column in block.columns]
        if metric_name == "accuracy" and method not in block.references:
            spans = [*(each.columns for each in made), *([column] for column in block.columns)]
            shown = [gap(block, draws, method, baseline, over, rule).sure() for over in spans]
            entries = [
                dataclasses.replace(each, best=sure and each.state == "value")
                for each, sure in zip(entries, shown, strict=True)
            ]
        rows.append(Row(method, row_kind(block, method, baseline), tuple(entries)))
    unit = "points" if metric.unit == "%" else metric.unit
    return Table(
        name=f"gain-{metric_name}-{block.setup}",
        title=f"{metric.title}: difference from {baseline} ({unit}), {block.setup}",
        kind="gain",
        setup=block.setup,
        task="",
        heads=tuple(heads),
        rows=tuple(rows),
        decimals=metric.decimals,
        caption=(
            f"Score minus that of {baseline}, paired by seed: mean ± 95 % t-interval over seeds.",
            RULE_TEXT[rule],
            "Bold: the interval over seeds and the bootstrap over test texts both exclude 0 and lie above it (accuracy "
            f"only, at least {stats.MIN_SEEDS} shared seeds); entries are not corrected for their number; the table of "
            "significance is.",
            *average_sentences(block, block.columns, made),
            *reference_sentences(block, methods),
        ),
        seeds=max((each.n for row in rows for each in row.entries), default=0),
        higher_is_better=metric.higher_is_better,
    )


def _gain(
    block: Block,
    draws: Draws | None,
    method: str,
    column: Column,
    name: str,
    metric: Metric,
    baseline: str,
    rule: str,
) -> Entry:
    """The gain in one column, or why the method has no score there."""
    scores = {each: block.values(each, column, name, metric.scale) for each in (method, baseline)}
    if scores[method]:
        return difference(block, draws, method, baseline, [column], rule, scores)
    return entry(block, method, column, name, metric)
