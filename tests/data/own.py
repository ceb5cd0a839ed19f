"""Tables of a user's own, and what a task read from them holds."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bench.core.errors import UsageError
from bench.data.task import SPLITS

N = 60
NAMES = ("negative", "neutral", "positive")
GOLD = [row % 3 for row in range(N)]
GUESS = [(gold + (row % 5 == 0)) % 3 for row, gold in enumerate(GOLD)]  # one of five is wrong, by one class
COIN = [row // 3 % 2 for row in range(N)]  # says nothing about gold
EVERY_SEVENTH = range(0, N, 7)


def named(ids):
    return [NAMES[each] for each in ids]


def with_some(values, other):
    """The values with `other` in every seventh row."""
    return [other if row in EVERY_SEVENTH else value for row, value in enumerate(values)]


def write(path: Path, columns: dict) -> Path:
    rows = len(next(iter(columns.values())))
    columns = columns if any(name.strip().lower() == "text" for name in columns) else {"text": None} | columns
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(columns)
        for row in range(rows):
            table.writerow([f"text {row}" if values is None else values[row] for values in columns.values()])
    return path


def answers(task, name):
    """A column's answers by row of the file, as class names; None = no answer."""
    found = {}
    for split in SPLITS:
        for row, answer in zip(task.texts(split).ids, task.columns[name][split], strict=True):
            found[int(row)] = None if answer < 0 else task.label_names[answer]
    return [found[row] for row in range(N)]


def gold(task):
    found = {int(row): c for s in SPLITS for row, c in zip(task.texts(s).ids, task.gold.of(s), strict=True)}
    return [task.label_names[found[row]] if found[row] >= 0 else None for row in range(N)]


def note(task) -> str:
    (sentence,) = task.notes
    return sentence


def refused(load, *parts, **options):
    with pytest.raises(UsageError) as raised:
        load(**options)
    message = str(raised.value)
    assert "\n" not in message
    assert all(part in message for part in ("mine.csv", *parts)), message
