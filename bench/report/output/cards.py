"""How the page lays out tables: the average first, rows by it, a card with a face per metric, groups of cards."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from bench.report.tables.base import SHOWN
from bench.report.tables.model import APART, Row, Table
from bench.store.metrics import METRICS

GROUPS = {
    "Accuracy": ("accuracy", "partial", "worth", "ece", "gain", "selection", "against"),
    "Calibration": ("calibration",),
    "Labels, and methods together": ("detection", "together"),
    "Significance": ("significance", "ranks", "wins"),
    "Cost and provenance": ("cost",),
}
"""The groups of tables in the order of the page, each with its kinds; other kinds come last, as `Other tables`."""


class Span(NamedTuple):
    """Neighbouring columns under one head; `lead` is the column that stays in sight beside the methods."""

    name: str
    width: int
    lead: bool


@dataclasses.dataclass(frozen=True)
class Face:
    """One table as the page shows it."""

    table: Table
    label: str  # what a card of several faces calls it
    lead: bool  # its first column is the average, and stays in sight

    @property
    def spans(self) -> list[Span]:
        """The groups above its columns; none where no column has one."""
        if not any(head.group for head in self.table.heads):
            return []
        keyed = groupby(enumerate(self.table.heads), key=lambda each: (self.lead and each[0] == 0, each[1].group))
        found = [Span(group, len(list(some)), lead) for (lead, group), some in keyed]
        if len(found) > 1 and found[0].lead and found[0].name == found[1].name:
            found[1] = found[1]._replace(name="")  # its name stands above the column that stays in sight
        return found

    @property
    def starts(self) -> set[int]:
        """The columns at which a group of columns begins."""
        groups = [head.group for head in self.table.heads]
        return {at for at, group in enumerate(groups) if at == 0 or group != groups[at - 1]} if any(groups) else set()


@dataclasses.dataclass(frozen=True)
class Card:
    """A table, or the same table by several metrics, of which one is shown at a time."""

    faces: list[Face]
    anchor: str

    @property
    def first(self) -> Table:
        """The table that is shown at first."""
        return self.faces[0].table

    @property
    def kinds(self) -> str:
        """The kinds of its tables."""
        return " ".join(dict.fromkeys(face.table.kind for face in self.faces))


class Group(NamedTuple):
    """Cards that are folded away together."""

    title: str
    anchor: str
    cards: list[Card]


def grouped(tables: Sequence[Table]) -> tuple[Card | None, list[Group]]:
    """The first table of accuracies, which is always in sight, and the groups of all the others."""
    cards = list(_cards(tables))
    main = next((card for card in cards if card.first.kind == "accuracy"), None)
    place = {kind: title for title, kinds in GROUPS.items() for kind in kinds}
    found: dict[str, list[Card]] = {title: [] for title in [*GROUPS, "Other tables"]}
    for card in cards:
        if card is not main:
            found[place.get(card.first.kind, "Other tables")].append(card)
    return main, [Group(title, anchor("g", title), some) for title, some in found.items() if some]


def _cards(tables: Sequence[Table]) -> Iterator[Card]:
    """One card per table; tables that differ in the metric alone share one."""
    pairs: dict[str, list[Face]] = {}
    for table in tables:
        metric = next((each for each in SHOWN if re.search(rf"\b{each}\b", table.name)), "")
        bare = re.sub(rf"\b{metric}-", "", table.name, count=1) if metric else table.name
        pairs.setdefault(bare, []).append(arranged(table, METRICS[metric].short if metric else ""))
    for faces in pairs.values():
        yield Card(faces, anchor("t", faces[0].table.name))


def arranged(table: Table, label: str = "") -> Face:
    """A table with the columns over several tasks first, methods by the first that holds no differences."""
    order = sorted(range(len(table.heads)), key=lambda at: bool(table.heads[at].task or table.heads[at].noise))
    summaries = sum(not (head.task or head.noise) for head in table.heads)
    lead = 0 < summaries < len(table.heads) or (table.kind in SHOWN and summaries > 1)

    def differs(at: int) -> bool:
        return all(row.entries[at].signed or row.entries[at].state != "value" for row in table.rows)

    if lead and differs(order[0]):
        lead, order = False, list(range(len(table.heads)))  # a difference alone: it has no average before it
    by = next((at for at in order if not differs(at)), 0)  # the baseline has no difference from itself

    def place(row: Row) -> tuple[int, bool, float]:
        mean = row.entries[by].mean
        above = -mean if table.higher_is_better else mean
        return APART.index(row.kind) + 1 if row.kind in APART else 0, mean != mean, above if mean == mean else 0.0

    if lead or table.kind in SHOWN:
        table = dataclasses.replace(table, rows=tuple(sorted(table.rows, key=place)))
    return Face(table.part(order), label, lead)


def anchor(prefix: str, name: str) -> str:
    """An id of the page."""
    return f"{prefix}-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}"
