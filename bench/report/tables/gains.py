"""What every method gains over the baseline in every column, paired by seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import ClassVar

from bench.report.tables import stats
from bench.report.tables.base import SHOWN, Context, ReportTable, register
from bench.report.tables.blocks import Block, Column, averages, common_columns, row_kind
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
        return [gain_table(context.block, metric, context.rule, context.baseline) for metric in SHOWN]


def gain_table(block: Block, metric_name: str, rule: str, baseline: str | None) -> Table | None:
    """Methods x columns: score minus the baseline's, mean and 95 % interval over the seeds that both have.

    Bold where the interval of a gain excludes zero. None without a baseline, or where it has nothing beside it.
    """
    metric, name = METRICS[metric_name], f"{metric_name}_{rule}"
    methods = [method for method in block.methods if method != baseline]
    if baseline not in block.methods or not methods:
        return None
    shared, left_out = common_columns(block, block.columns, name)
    average = {
        method: {} if method in left_out else averages(block, method, shared, name, metric.scale)
        for method in block.methods
    }
    rows = []
    for method in methods:
        entries = [_gain(block, method, column, name, metric, baseline) for column in block.columns]
        if len(block.current()) > 1:
            entries.append(difference(average, method, baseline, block.ids(method, shared)))
        if method not in block.references:
            entries = [_marked(each, metric) for each in entries]
        rows.append(Row(method, row_kind(block, method, baseline), tuple(entries)))
    heads = [column_head(block, column) for column in block.columns]
    if len(block.current()) > 1:
        heads.append(Head("average"))
    unit = "points" if metric.unit == "%" else metric.unit
    better = "above" if metric.higher_is_better else "below"
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
            f"Bold: the interval excludes 0 and lies {better} it (at least {stats.MIN_SEEDS} shared seeds); entries "
            "are not corrected for their number; the table of significance is.",
            *average_sentences(block, block.columns, shared, left_out),
            *reference_sentences(block, methods),
        ),
        seeds=max((each.n for row in rows for each in row.entries), default=0),
        higher_is_better=metric.higher_is_better,
    )


def _gain(block: Block, method: str, column: Column, name: str, metric: Metric, baseline: str) -> Entry:
    """The gain in one column, or why the method has no score there."""
    scores = {each: block.values(each, column, name, metric.scale) for each in (method, baseline)}
    if scores[method]:
        return difference(scores, method, baseline, block.ids(method, [column]))
    return entry(block, method, column, name, metric)


def _marked(gain: Entry, metric: Metric) -> Entry:
    """The entry, marked where its interval supports a gain."""
    sign = 1 if metric.higher_is_better else -1
    supported = gain.state == "value" and gain.n >= stats.MIN_SEEDS and sign * gain.mean - gain.half > 0
    return dataclasses.replace(gain, best=supported)
