"""What is known of accuracies where only some test texts have gold: intervals, without and with the others' labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np

from bench.report.tables.base import Context, ReportTable, register
from bench.report.tables.blocks import Column
from bench.report.tables.entries import RULE_TEXT
from bench.report.tables.model import Entry, Head, Table
from bench.store.records import Record


@register
class PartialTable(ReportTable):
    """Accuracies with the intervals of a few test texts with gold."""

    name, order = "partial", 12
    kinds: ClassVar[Mapping[str, str]] = {"partial": "few texts with gold"}

    def make(self, context: Context) -> Iterable[Table]:
        """One table, two entries per column: Wilson's interval and the prediction-powered one; none without gaps."""
        block, by_cell = context.block, context.read.by_cell
        found: dict[tuple[str, Column], list[Record]] = {}
        for (method, column), cells in block.rows.items():
            records = [by_cell[row["cell"]] for row in cells if method != block.early]
            if partial := [record for record in records if context.rule in record.partial]:
                found[method, column] = partial
        columns = [column for column in block.columns if any(each == column for _, each in found)]
        if not columns:
            return
        rows, heads = [], []
        for method in (each for each in block.methods if any(each == name for name, _ in found)):
            entries = []
            for column in columns:
                scores = [record.partial[context.rule] for record in found.get((method, column), [])]
                ids = block.ids(method, [column])
                entries.append(_entry([score.wilson for score in scores], ids))
                entries.append(_entry([score.ppi for score in scores if score.ppi], ids))
            rows.append(block.row(method, entries))
        for task, noise in columns:
            records = [each for (_, column), some in found.items() for each in some if column == (task, noise)]
            counts = ", ".join(f"{count} texts" for count in _scored(records))
            heads.append(Head("with gold alone", f"{task}, {noise}", counts, task, noise))
            heads.append(Head("with the others", f"{task}, {noise}", "prediction-powered", task, noise))
        caption = (
            "Accuracy (%) with its 95 % interval over texts, where only some test texts have gold; means over seeds "
            "of estimates and limits.",
            "With gold alone: Wilson's interval. With the others: prediction-powered inference (Angelopoulos et al. "
            "2023), in which the labeller's labels of the texts without gold help as far as they agree with gold.",
            RULE_TEXT[context.rule],
        )
        yield block.table("partial", f"Few texts with gold: {block.setup}", heads, rows, caption)


def _scored(records: Iterable[Record]) -> list[str]:
    """How many test texts are scored in the cells of records: `300 of 1,000`, each count once."""
    data = [record.data for record in records if record.data is not None]
    return sorted({f"{each.n_scored:,} of {each.n_test:,}" for each in data})


def with_few(table: Table, context: Context) -> Table:
    """A result table that says of how many test texts its scores are, where it is not of all."""
    columns = {(head.task, head.noise) for head in table.heads if head.task and head.noise}
    cells = (row["cell"] for (_, column), rows in context.block.rows.items() if column in columns for row in rows)
    counts = _scored(record for record in map(context.read.by_cell.__getitem__, cells) if record.partial)
    if not counts:
        return table
    said = f"Only test texts with gold are scored: {', '.join(counts)}; a separate table shows how uncertain that is."
    return dataclasses.replace(table, caption=(*table.caption, said))


def _entry(estimates: list[tuple[float, float, float]], ids: tuple[str, ...]) -> Entry:
    if not estimates:
        return Entry("empty")
    mean, low, high = 100 * np.mean(estimates, axis=0)
    return Entry("value", float(mean), cells=ids, text=f"{mean:.1f} ({low:.1f} to {high:.1f})")
