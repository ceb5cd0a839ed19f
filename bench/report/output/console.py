"""The main table for a terminal, as a rich renderable; nothing is printed here."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.cells import cell_len

from bench.report.frame import Results
from bench.report.tables.blocks import blocks, check_baseline
from bench.report.tables.bootstrap import draws_of
from bench.report.tables.model import APART, Entry, Table, parts
from bench.report.tables.result import result_table
from bench.report.tables.rules import rules_table

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

LONGEST_HEAD, FEWEST_OF_A_NAME = 13, 8
"""Characters of a head, and of a row's name, that are not broken."""
GAP = 3
"""Characters that rich sets between two columns of `SIMPLE_HEAD`, and one fewer around all of them."""


def main_table(results: Results, *, rule: str = "last", baseline: str = "plain", width: int | None = None) -> Group:
    """The accuracy tables as one renderable: of each set-up by both rules, then of each task by `rule`.

    A table wider than `width` characters comes in several parts, so that no column is cut. Raises UsageError as
    `build_report` does.
    """
    from rich.console import Group
    from rich.text import Text

    named = check_baseline(results.cells, baseline)
    pieces = []
    for block in blocks(results.cells, named):
        draws, _ = draws_of(results, block)
        both = rules_table(block, draws)
        single = [result_table(block.by(rule), task, "accuracy", rule, draws=draws) for task in block.tasks()]
        for table in [*([_grouped(both)] if both else []), *single]:
            pieces += [rich_table(part, width) for part in in_parts(table, width)]
            pieces += [Text(" ".join(table.caption), style="dim"), Text("")]
    if not pieces:
        pieces.append(Text("No table: nothing among the results has scores."))
    return Group(*pieces)


def _grouped(table: Table) -> Table:
    """A table whose heads name their groups: a terminal has no line above them."""
    return replace(table, heads=tuple(replace(head, name=f"{head.group}\n{head.name}") for head in table.heads))


def in_parts(table: Table, width: int | None) -> list[Table]:
    """A table as parts that fit into `width` characters each, with the rows of all and some of the columns."""
    first, needs = _needs(table, LONGEST_HEAD)
    columns: list[list[int]] = [[]]
    used = first
    for index, need in enumerate(needs):
        if width is not None and columns[-1] and used + need > width:
            columns.append([])
            used = first
        columns[-1].append(index)
        used += need
    return [
        replace(table.part(some), title=f"{table.title} (continued)" if number else table.title)
        for number, some in enumerate(columns)
    ]


def _needs(table: Table, longest: int) -> tuple[int, list[int]]:
    """The characters that the names of rows take, broken at spaces, and those of each column with what parts them.

    Heads of more than `longest` characters may be broken.
    """
    first = max(cell_len(word) for label in [table.first, *(row.label for row in table.rows)] for word in label.split())
    needs = []
    for index, head in enumerate(table.heads):
        shown = [" ".join(filter(None, parts(row.entries[index], table))) for row in table.rows]
        heads = (min(cell_len(line), longest) for line in head.name.split("\n"))
        needs.append(max([*map(cell_len, [*shown, *_lines(head.below)]), *heads]) + GAP)
    return first + GAP - 1, needs


def rich_table(table: Table, width: int | None = None):
    """One table of a report for a terminal of so many characters, where only names are broken if it is narrow."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(title=Text(table.title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    first, whole = _needs(table, sys.maxsize)
    narrow = width is not None and first + sum(whole) > width
    needs = _needs(table, LONGEST_HEAD)[1] if narrow else whole
    shown.add_column(table.first, overflow="fold")
    for head, need in zip(table.heads, needs, strict=True):
        room = need if width is None else min(need, width - FEWEST_OF_A_NAME - GAP + 1)
        name = Text("\n".join([head.name, *_lines(head.below)]))
        shown.add_column(name, justify="right", overflow="fold", width=max(room - GAP, 1))
    for row in table.rows:
        label = Text(row.label, style="italic" if row.kind in APART else "")
        shown.add_row(label, *(_text(entry, table) for entry in row.entries))
    return shown


def _lines(below: str) -> list[str]:
    """The line below a head, what it has in brackets and after a comma in lines of their own."""
    return below.replace(" (", "\n(").replace(", ", ",\n").splitlines()


def _text(entry: Entry, table: Table) -> Text:
    from rich.text import Text

    mean, half, few = parts(entry, table)
    style = "bold green" if entry.best else "" if entry.state == "value" else "dim"
    return Text.assemble((mean, style), (f" {half}" if half else "", "dim"), (f" {few}" if few else "", "dim"))
