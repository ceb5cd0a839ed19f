"""What a report table is: made from the cells of one set-up, on the page and in every format of the report.

A new table is one file in this folder, or a class of another package under the entry point group `bench.tables`:

    @register
    class Mine(ReportTable):
        \"\"\"One line: what it tells.\"\"\"

        name, kinds = "mine", {"mine": "what the page calls it"}

        def make(self, context):
            yield context.block.table("mine", title, heads, rows)
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from bench.core.registry import Registry
from bench.report.frame import Results
from bench.report.tables.blocks import Block, row_kind
from bench.report.tables.bootstrap import Draws
from bench.report.tables.model import Entry, Head, Row, Table
from bench.report.tables.yardstick import Yardstick

__all__ = ["SHOWN", "Context", "Entry", "Head", "ReportTable", "Row", "Table", "register", "row_kind"]

REPORT_TABLES: Registry[ReportTable] = Registry("report table", "bench.report.tables", "bench.tables", typed=False)

SHOWN = ("accuracy", "ece")
"""Metrics with tables of their own; the calibration table has them all."""


@dataclass(frozen=True)
class Context:
    """What the tables of one set-up are made from.

    Attributes
    ----------
    read : Results
        The whole results folder.
    block : Block
        The cells of the set-up.
    rule : str
        The step whose scores count: last or noisy_valid.
    full : bool
        Whether to make what takes long for very many cells.
    draws : Callable[[], (Draws or None, str)]
        The bootstrap of the accuracies, or None and why there is none; computed at the first call.
    """

    read: Results
    block: Block
    rule: str
    full: bool
    draws: Callable[[], tuple[Draws | None, str]]

    @property
    def baseline(self) -> str | None:
        """The method that differences are taken to; None where it was not run."""
        return self.block.baseline

    @functools.cached_property
    def yardstick(self) -> Yardstick:
        """What the methods of the set-up are worth in human labels, where there is a learning curve."""
        return Yardstick(self.read, self.block, self.rule, self.full)


class ReportTable(abc.ABC):
    """One table of a report, or several that belong together.

    Attributes
    ----------
    name : str
        What it is called in messages.
    order : int
        Its place among the tables of a set-up; those of other packages come last.
    kinds : dict[str, str]
        The `kind` of every table that it makes, and what the page calls that kind.
    """

    name: ClassVar[str]
    order: ClassVar[int] = 1000
    kinds: ClassVar[Mapping[str, str]] = {}

    @abc.abstractmethod
    def make(self, context: Context) -> Iterable[Table | None]:
        """The tables of one set-up; None where there is nothing to show.

        Parameters
        ----------
        context : Context
            What a report knows: the set-up's cells (`block`), the rule, the whole folder. An error is a note of the
            report, which goes on without this table.
        """


def register(cls: type[ReportTable]) -> type[ReportTable]:
    """Class decorator: make a report table known under its `name`."""
    return REPORT_TABLES.add(cls)


def report_tables() -> list[type[ReportTable]]:
    """Every registered report table, in the order of the report."""
    return sorted(REPORT_TABLES.available().values(), key=lambda cls: (cls.order, cls.name))


def table_kinds() -> dict[str, str]:
    """What the page calls every kind of table; where two say so of one kind, the first in order counts."""
    return {kind: title for cls in reversed(report_tables()) for kind, title in cls.kinds.items()}


def problem(table: Table, names: Iterable[str]) -> str:
    """Why a report cannot show a table beside those named `names`; empty where it can."""
    if not isinstance(table, Table):
        return f"it gave {type(table).__name__}, not a Table"
    if table.name in names:
        return f"there is another table named '{table.name}'"
    wrong = [row.label for row in table.rows if len(row.entries) != len(table.heads)]
    if wrong:
        return f"'{table.name}': row '{wrong[0]}' must have {len(table.heads)} entries, one per head"
    return ""
