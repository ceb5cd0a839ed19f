"""Tables as plain data: what a renderer needs, and nothing about how it was computed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.core.errors import UsageError, nearest

Kind = Literal["method", "baseline", "human", "reference"]
"""What a row is; a reference never competes for being the best: it saw gold, or opened data by itself. Nor does a
method with human labels."""

APART = ("human", "reference")
"""Kinds of rows that stand apart, below those that compete."""

State = Literal["value", "text", "no gold", "failed", "skipped", "not run", "empty"]


@dataclass(frozen=True)
class Entry:
    """One entry of a table: a number with its interval and the cells behind it, or why it is missing."""

    state: State
    mean: float = math.nan  # in the table's unit
    half: float = math.nan  # half-width of the 95 % interval; NaN with one seed
    n: int = 0  # seeds behind the mean; 0 where seeds have no part in it
    best: bool = False
    cells: tuple[str, ...] = ()  # ids of the cells behind it
    note: str = ""
    text: str = ""  # shown in place of the number, e.g. "< 0.001"
    decimals: int | None = None  # where they differ from the table's
    signed: bool = False
    limits: tuple[float, float] | None = None  # of an interval over test texts, where seeds give none


@dataclass(frozen=True)
class Head:
    """The head of one column: a group over several columns, its own name, a line below."""

    name: str
    group: str = ""
    below: str = ""
    task: str = ""  # whose scores the column holds; "" = of several
    noise: str = ""


@dataclass(frozen=True)
class Row:
    """One line of a table: what it is called and one entry per column."""

    label: str
    kind: Kind
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Table:
    """One table of the report, without any markup."""

    name: str  # unique within a report, safe in a file name
    title: str
    kind: str  # "accuracy", "ece", "gain", "significance", "ranks", "wins", "selection", "calibration", "cost"
    setup: str
    task: str  # "" = all tasks
    heads: tuple[Head, ...]
    rows: tuple[Row, ...]
    decimals: int = 1
    caption: tuple[str, ...] = ()  # sentences
    seeds: int = 0  # the usual number of seeds; entries with fewer are marked (0: none is)
    higher_is_better: bool = True
    noise: str = ""  # "" = all noise sources
    first: str = "method"  # what its rows are

    def part(self, columns: Sequence[int]) -> Table:
        """The table with the columns at some places, in their order."""
        rows = tuple(replace(row, entries=tuple(row.entries[at] for at in columns)) for row in self.rows)
        return replace(self, heads=tuple(self.heads[at] for at in columns), rows=rows)


def number(value: float, decimals: int, signed: bool = False) -> str:
    """A number with a true minus sign, never `-0.0`; a sign always where `signed`."""
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    if float(text) == 0:
        text = f"{0:.{decimals}f}"
    return text.replace("-", "−")


def parts(entry: Entry, table: Table) -> tuple[str, str, str]:
    """The texts of an entry: its mean (or why it is missing), its half-width, and in brackets its number of
    seeds where unusual and the limits of an interval over test texts."""
    if entry.state != "value":
        return {"text": entry.text, "empty": "–"}.get(entry.state, entry.state), "", ""
    decimals = table.decimals if entry.decimals is None else entry.decimals
    half = "" if math.isnan(entry.half) or entry.limits else f"± {width(entry.half, decimals)}"
    marks = [f"n={entry.n}"] if 0 < entry.n < table.seeds else []
    if entry.limits:
        marks.append(" to ".join(number(limit, decimals, entry.signed) for limit in entry.limits))
    few = f"({', '.join(marks)})" if marks else ""
    return entry.text or number(entry.mean, decimals, entry.signed), half, few


def width(half: float, decimals: int) -> str:
    """A half-width; one that would round to 0 is not a certainty, and says so."""
    text = number(half, decimals)
    return text if float(text) else f"< {10**-decimals:.{decimals}f}"


def pick(kind: str, name: str, known: Iterable[str]) -> str:
    """`name` if it is among `known`. Raises UsageError that lists what is there, the nearest first."""
    known = list(dict.fromkeys(known))
    if name in known:
        return name
    close = nearest(name, known)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise UsageError(f"unknown {kind} '{name}': {hint}There are: {', '.join(known) or 'none'}")
