"""What is known of accuracies where only some test texts have gold: intervals, without and with the others' labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np

from bench.report.tables.base import Context, ReportTable, register
from bench.report.tables.blocks import Column, row_kind
from bench.report.tables.entries import RULE_TEXT
from bench.report.tables.model import Entry, Head, Row, Table
from bench.store.records import Record


@register
class PartialTable(ReportTable):
    """Accuracies with the intervals of a few test texts with gold."""

    name, order = "partial", 12
    kinds: ClassVar[Mapping[str, str]] = {"partial": "few texts with gold"}

    def make(self, context: Context) -> Iterable[Table | None]:
        """One table, where some test texts have gold and others have not."""
        return [partial_table(context)]


def partial_table(context: Context) -> Table | None:
    """Methods x columns, two entries each: Wilson's interval and the prediction-powered one. None without gaps."""
    block, by_cell = context.block, context.read.by_cell
    found: dict[tuple[str, Column], list[Record]] = {}
    for (method, column), cells in block.rows.items():
        records = [by_cell[row["cell"]] for row in cells if method != block.early]
        if partial := [record for record in records if context.rule in record.partial]:
            found[method, column] = partial
    columns = [column for column in block.columns if any(each == column for _, each in found)]
    if not columns:
        return None
    rows, heads = [], []
    for method in (each for each in block.methods if any(each == name for name, _ in found)):
        entries = []
        for column in columns:
            scores = [record.partial[context.rule] for record in found.get((method, column), [])]
            ids = block.ids(method, [column])
            entries.append(_entry([score.wilson for score in scores], ids))
            entries.append(_entry([score.ppi for score in scores if score.ppi], ids))
        rows.append(Row(method, row_kind(block, method, context.baseline), tuple(entries)))
    for task, noise in columns:
        counts = {
            f"{record.data.n_scored:,} of {record.data.n_test:,} texts"
            for (_, column), records in found.items()
            for record in records
            if column == (task, noise) and record.data is not None
        }
        heads.append(Head("with gold alone", f"{task}, {noise}", ", ".join(sorted(counts)), task, noise))
        heads.append(Head("with the others", f"{task}, {noise}", "prediction-powered", task, noise))
    caption = (
        "Accuracy (%) with its 95 % interval over texts, where only some test texts have gold; means over seeds of "
        "estimates and limits.",
        "With gold alone: Wilson's interval. With the others: prediction-powered inference (Angelopoulos et al. 2023), "
        "in which the labeller's labels of the texts without gold help as far as they agree with gold.",
        RULE_TEXT[context.rule],
    )
    title = f"Few texts with gold: {block.setup}"
    return Table(
        f"partial-{block.setup}", title, "partial", block.setup, "", tuple(heads), tuple(rows), caption=caption
    )


def with_few(table: Table, context: Context) -> Table:
    """A result table that says of how many test texts its scores are, where it is not of all."""
    columns = {(head.task, head.noise) for head in table.heads if head.task and head.noise}
    cells = (row["cell"] for (_, column), rows in context.block.rows.items() if column in columns for row in rows)
    data = [record.data for record in map(context.read.by_cell.__getitem__, cells) if record.partial]
    counts = {f"{each.n_scored:,} of {each.n_test:,}" for each in data if each is not None}
    if not counts:
        return table
    said = f"Only test texts with gold are scored: {', '.join(sorted(counts))}; how little that says has its own table."
    return dataclasses.replace(table, caption=(*table.caption, said))


def _entry(estimates: list[tuple[float, float, float]], ids: tuple[str, ...]) -> Entry:
    if not estimates:
        return Entry("empty")
    mean, low, high = 100 * np.mean(estimates, axis=0)
    return Entry("value", float(mean), cells=ids, text=f"{mean:.1f} ({low:.1f} to {high:.1f})")
