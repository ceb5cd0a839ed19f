"""What was understood of a user's tables, in one sentence for the start of a run and for the record."""

from __future__ import annotations

from collections.abc import Mapping

from bench.data.readers.columns import Roles
from bench.data.readers.label_values import SILENT_WORDS, LabelSet, Reading, key, quoted
from bench.data.readers.labellers import Found, mapping
from bench.data.readers.tables import Table

SHOWN_COLUMNS = 20


def sentence(
    tables: Mapping[str, Table],
    found: Roles,
    gold: str | None,
    gold_reading: Reading | None,
    labels: LabelSet,
    labellers: Found,
) -> str:
    """Gold, classes, labellers with their share of no answer, and the columns left out, each with the reason."""
    classes = f"{len(labels.names)} classes: {labels.shown}" + (" (label.json)" if labels.declared else "")
    if gold_reading is None:
        parts = [f"no gold, {classes}"]
    else:
        odd = [name for name in labels.names if key(name) in (*SILENT_WORDS, "-1") and not labels.declared]
        facts = _facts(gold_reading, labels, "missing") + ([f"{quoted(odd)} is a class"] if odd else [])
        parts = [f"gold = {gold}{_in_brackets(facts)}, {classes}"]
    if found.split:
        parts.append(f"split = {found.split}")
    elif len(tables) == 1:
        parts.append("split 70/10/20 at random")
    listed = []
    for name, reading in labellers.readings.items():
        absent = {split: len(table) for split, table in tables.items() if name not in table.columns}
        facts = _facts(reading, labels, "no answer", sum(absent.values())) + [f"not in {split}" for split in absent]
        listed.append(name + _in_brackets(facts))
    parts.append(f"labellers: {_some(listed) or 'none'}")
    if labellers.ignored:
        parts.append("ignored: " + _some([f"{name or 'unnamed'} ({why})" for name, why in labellers.ignored.items()]))
    return "; ".join(parts)


def _facts(reading: Reading, labels: LabelSet, silent: str, absent: int = 0) -> list[str]:
    """How values were read; `absent`: rows of splits that do not have the column, counted as silent ones."""
    facts = []
    if count := reading.silent.total() - absent:
        words = [value for value in reading.silent if value]
        means = f": {quoted(words)}" if words else ""
        share = 100 * count / (reading.rows - absent)
        facts.append(f"{share:.0f} % {silent}{means}" if share >= 1 else f"{count} {silent}{means}")
    if reading.numbered:
        facts.append(mapping(labels.names))
    if reading.respelt:
        example = min(reading.respelt, key=lambda value: (-reading.respelt[value], value))
        meant = labels.names[reading.ids[example]]
        facts.append(f"{reading.respelt.total()} spelt differently, such as {example[:80]!r} = {meant}")
    return facts


def _in_brackets(facts: list[str]) -> str:
    return f" ({'; '.join(facts)})" if facts else ""


def _some(items: list[str]) -> str:
    more = len(items) - SHOWN_COLUMNS
    return ", ".join(items[:SHOWN_COLUMNS]) + (f" and {more} more" if more > 0 else "")
