"""What methods are worth in human labels: a table, a column of the result tables, and a sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import ClassVar

from bench.core.texts import plural
from bench.report.tables.base import Context, ReportTable, register
from bench.report.tables.blocks import common_columns, with_enough_seeds
from bench.report.tables.entries import RULE_TEXT, column_head
from bench.report.tables.model import Entry, Head, Row, Table
from bench.report.tables.stats import common_seeds
from bench.report.tables.yardstick import LABELLER, Yardstick

MOST_SAID = 4
"""Columns that the sentence at the top of a report names."""
FEW_SEEDS = 5
"""With fewer, the bootstrap over seeds gives intervals that are too narrow (docs/human-labels.md says by how much)."""

FLATTERS = "a choice that flatters it"
"""What to say of a method's score on the texts that chose it."""


@register
class WorthTable(ReportTable):
    """How many random human labels alone give the accuracy of each method."""

    name, order = "worth", 15
    kinds: ClassVar[Mapping[str, str]] = {"worth": "worth in human labels"}

    def make(self, context: Context) -> Iterable[Table]:
        """One table, where there is a learning curve."""
        block, yardstick = context.block, context.yardstick
        columns = yardstick.columns
        if not columns or not yardstick.measured:
            return
        entries = {
            method: tuple(yardstick.entry(method, [column]) for column in columns)
            for method in (*yardstick.measured, LABELLER)
        }
        rows = [block.row(method, entries[method]) for method in yardstick.measured]
        if any(entry.state != "empty" for entry in entries[LABELLER]):
            rows.append(Row(LABELLER, "reference", entries[LABELLER]))
        heads, title = (column_head(block, column) for column in columns), f"Worth in human labels: {block.setup}"
        yield block.table("worth", title, heads, rows, _caption(yardstick), decimals=0)


def _caption(yardstick: Yardstick) -> list[str]:
    said = [
        "The number of random human labels that alone give the same accuracy on this encoder and task (95 % interval: "
        "bootstrap over seeds and test texts).",
        "It is read off the learning curve of gold[rows=k], made monotone, linearly in log k between its points; "
        "< and > mean outside the curve.",
        RULE_TEXT[yardstick.rule],
    ]
    own = yardstick.rule != "last"
    if own:
        said.append("Each noise source has its own curve, as its validation labels choose the curve's steps too.")
    ends = dict.fromkeys(
        f"{task}{f' with {noise}' if own else ''}: {', '.join(f'{size:,}' for size in curve.sizes)}"
        f"{' (all there are)' if curve.whole else ''}"
        for (task, noise), curve in yardstick.curves.items()
    )
    said.append(f"Sizes of the curve: {'; '.join(ends)}.")
    if yardstick.draws is None:
        said.append("No intervals, because there are so many cells; `bench report --full` makes them.")
    elif few := too_narrow(min(yardstick.fewest_seeds(yardstick.measured, [each]) for each in yardstick.columns)):
        said.append(few)
    return said


def too_narrow(seeds: int) -> str:
    """What to say of an interval where a method or a size of the curve has that many seeds; empty for enough."""
    if seeds >= FEW_SEEDS:
        return ""
    return (
        f"A method or a size of the curve has only {plural(seeds, 'seed')}: with fewer than five the 95 % interval is "
        "too narrow."
    )


def with_worth(table: Table, yardstick: Yardstick) -> Table:
    """A result table of one task with what its methods are worth in a further column, where there is a curve.

    Of several noise sources it is the worth of the average accuracy.
    """
    block = yardstick.block
    columns = [(head.task, head.noise) for head in table.heads if head.task and head.noise]
    shared, _ = common_columns(block, columns, f"accuracy_{yardstick.rule}")
    if not table.task or not shared or not set(shared) <= set(yardstick.columns):
        return table
    known = {*yardstick.measured, LABELLER}
    entries = [yardstick.entry(row.label, shared) if row.label in known else Entry("empty") for row in table.rows]
    group = next(head.group for head in table.heads if head.noise)
    head = Head("worth", group, "human labels", task=table.task)
    rows = [dataclasses.replace(row, entries=(*row.entries, e)) for row, e in zip(table.rows, entries, strict=True)]
    of = " of the average accuracy" if len(shared) > 1 else ""
    said = [f"Worth{of}: the number of random human labels that alone give the same accuracy, with 95 % interval."]
    with_interval = [row.label for row, e in zip(table.rows, entries, strict=True) if has_interval(e.text)]
    if with_interval and (few := too_narrow(yardstick.fewest_seeds(with_interval, shared))):
        said.append(few)
    return dataclasses.replace(table, heads=(*table.heads, head), rows=tuple(rows), caption=(*table.caption, *said))


def has_interval(text: str) -> bool:
    """Whether a worth in words has its interval with it."""
    return "(" in text


def worth_sentences(yardsticks: Iterable[Yardstick], tables: Iterable[Table]) -> list[str]:
    """Per set-up with a learning curve: what the most accurate method of each column is worth, in one sentence."""
    found = {table.setup: table for table in tables if table.kind == "worth"}
    return [_sentence(each, found[each.block.setup]) for each in yardsticks if each.block.setup in found]


def _sentence(yardstick: Yardstick, table: Table) -> str:
    block, rule = yardstick.block, yardstick.rule
    said, fewest = list[str](), FEW_SEEDS
    for place, head in enumerate(table.heads):
        scores = {
            row.label: (values, row.entries[place].text)
            for row in table.rows
            if row.kind in ("method", "baseline")
            and (values := block.values(row.label, (head.task, head.noise), f"accuracy_{rule}", 100))
        }
        enough, _ = with_enough_seeds(block, list(scores), [(head.task, head.noise)], f"accuracy_{rule}")
        scores = {name: scores[name] for name in enough}
        if seeds := common_seeds(values for values, _ in scores.values()):
            best = max(scores, key=lambda name: sum(scores[name][0][seed] for seed in seeds))
            values, text = scores[best]
            mean = sum(values.values()) / len(values)
            if has_interval(text) and len(said) < MOST_SAID:
                fewest = min(fewest, yardstick.fewest_seeds([best], [(head.task, head.noise)]))
            said.append(f"{text} on {head.task} with {head.noise} ({best}, {mean:.1f} %)")
        elif scores:
            said.append(f"not known on {head.task} with {head.noise}, where the methods share no seed")
    more = f"; {len(said) - MOST_SAID} more columns are in the table" if len(said) > MOST_SAID else ""
    return (
        f"{block.setup}: what the method with the highest test accuracy ({FLATTERS}) is worth in random "
        f"human labels (95 % interval): {'; '.join(said[:MOST_SAID]) or 'none has a score'}{more}."
        f"{f' {few}' if (few := too_narrow(fewest)) else ''}"
    )
