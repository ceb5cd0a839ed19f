"""Columns with gaps: gold of some rows, labellers that mostly do not answer."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping

from bench.core.errors import UsageError
from bench.data.readers.columns import is_metadata_header, is_persons_header
from bench.data.readers.label_values import SILENT_WORDS, LabelSet, is_number, key, read
from bench.data.readers.labellers import Found
from bench.data.readers.tables import Table


def sparse_labellers(tables: Mapping[str, Table], labellers: Found, settled: bool, weak: str | None) -> list[str]:
    """The labellers that leave more than half of their texts without an answer, with the share.

    The only one of them that is called like a person's is not a labeller but offered as gold, unless that is `settled`.
    Raises UsageError where there is one beside `weak`, a column that is gold by a name that noisy labels have as well.
    """
    found = {}
    for name, reading in labellers.readings.items():
        rows = sum(len(table) for table in tables.values() if name in table.columns)
        if 2 * reading.inside.total() < rows:
            found[name] = rows
    persons = [name for name in found if is_persons_header(name)]
    if len(persons) == 1 and weak is not None:
        name = persons[0]
        raise UsageError(
            f"{next(iter(tables.values())).path}: gold may be '{weak}' or '{name}', which labels "
            f"{labellers.readings[name].inside.total():,} of {found[name]:,} texts and is named like a person's: give "
            f"--gold-column {shlex.quote(name)} if '{weak}' is a labeller's, or --gold-column {shlex.quote(weak)}"
        )
    if not settled and len(persons) == 1:
        name = persons[0]
        answered = labellers.readings.pop(name).inside.total()
        labellers.ignored[name] = (
            f"labels {answered:,} of {found.pop(name):,} texts and is named like a person's: name it with "
            f"--gold-column if these labels are correct, or with --label-columns if it is a labeller's"
        )
    return [
        f"{name} ({100 - 100 * labellers.readings[name].inside.total() / rows:.0f} %)" for name, rows in found.items()
    ]


def more_classes(labels: LabelSet, others: Mapping[str, list[str]], no_answer: frozenset[str]) -> Counter[str]:
    """Values of labellers' columns that are classes although no gold label is: rows by value.

    They are words beside gold's classes that two columns have, or that make a hundredth of the only column's answers.
    """
    rows: Counter[str] = Counter()
    columns: Counter[str] = Counter()
    answers = {}
    for name, column in others.items():
        reading = read(Counter(column), labels)
        alike = len({reading.ids[value] for value in reading.named}) > 1 and reading.named.total() > len(column) / 4
        if alike and not is_metadata_header(name):
            answers[name] = reading.named.total() + reading.outside.total()
            words = [value for value in reading.outside if key(value) not in SILENT_WORDS and not is_number(value)]
            rows.update({value: reading.outside[value] for value in words})
            columns.update({key(value) for value in words})
    enough = max(2, sum(answers.values()) / 100)
    total: Counter[str] = Counter()
    for value, count in rows.items():
        total[key(value)] += count
    taken = {each for each in columns if columns[each] > 1 or (len(answers) == 1 and total[each] >= enough)}
    return Counter({value: count for value, count in rows.items() if key(value) in taken})
