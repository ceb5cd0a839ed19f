"""A task from tables: a user's own file, or a folder with one table per split.

Beside this module, `columns` tells which column is what, `labellers` which of them are labellers', `label_values` what
a value means. The label set is label.json's, else the values of gold, else those of the labellers' columns. Without a
split column the rows of a single file are split 70/10/20 at random, the same way for every file of that many rows,
equal texts in one split. What was understood is a sentence in the task's notes.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from bench.core.errors import UsageError
from bench.core.seeds import named_generator
from bench.core.texts import SPLITS
from bench.data.readers.columns import SPLIT_NAMES, Columns, Roles, cleaned, folded, roles
from bench.data.readers.label_values import LabelSet, Reading, complaint, inferred, is_number, key, read, silent
from bench.data.readers.labellers import Found, chosen, chosen_without_gold
from bench.data.readers.partial import more_classes, sparse_labellers
from bench.data.readers.raw import HELD_OUT, RawSplit, RawTask, check_rows, hold_out_valid
from bench.data.readers.splits import split_together
from bench.data.readers.tables import Table
from bench.data.readers.understood import sentence


def from_single_table(table: Table, label_names: tuple[str, ...] | None, columns: Columns) -> RawTask:
    """A task from one table with all splits in it. Raises UsageError."""
    where = str(table.path)
    tables = cleaned({"train": table}, where)
    table = tables["train"]
    found = roles(tables, columns, where)
    texts = table.column(found.text)
    # before the split: a message then names the row of the file
    check_rows(where, _ids(table, found), texts)
    return _understood(tables, found, label_names, columns, where, _rows_by_split(table, found.split, texts))


def from_tables(
    tables: Mapping[str, Table], label_names: tuple[str, ...] | None, columns: Columns, origin: str
) -> RawTask:
    """The task of a folder's tables by split, with one label set for all. Raises UsageError."""
    tables = cleaned(tables, origin)
    found = roles(tables, columns, origin)
    for split, table in tables.items():
        for row, value in enumerate(() if found.split is None else table.columns.get(found.split, ()), 1):
            if SPLIT_NAMES.get(value.strip().lower()) != split:
                raise UsageError(
                    f"{table.path}, row {row}: the column '{found.split}' says {value[:80]!r} in the file of {split}; "
                    "correct one of them, or rename the column"
                )
    ends = np.cumsum([len(table) for table in tables.values()])
    rows = dict(zip(tables, np.split(np.arange(ends[-1]), ends[:-1]), strict=True))
    return _understood(tables, found, label_names, columns, origin, rows)


def _ids(table: Table, found: Roles) -> list[str]:
    numbers = [str(row) for row in range(len(table))]
    return numbers if found.id is None else table.columns.get(found.id, numbers)


def _finished(raw: RawTask, silent_gold: Sequence[str]) -> RawTask:
    """The task with a validation split, and a note that tells for how many texts of which split gold is known."""
    splits = hold_out_valid(dict(raw.splits), raw.origin)
    splits = {
        name: dataclasses.replace(part, gold=None) if part.gold is not None and (part.gold < 0).all() else part
        for name, part in splits.items()
    }
    golds = {name: part.gold for name, part in splits.items()}
    (note,) = raw.notes
    note += HELD_OUT if "valid" not in raw.splits else ""
    if any(gold is not None and (gold < 0).any() for gold in golds.values()):
        counts = (
            f"{0 if part.gold is None else int((part.gold >= 0).sum()):,} of {len(part.texts):,} {name}"
            for name, part in splits.items()
        )
        note += (
            f"; gold is known for {', '.join(counts)} texts: only these are scored, and those in train are human labels"
        )
        note += f" ({', '.join(silent_gold)} means unknown)" if silent_gold else ""
        named = np.concatenate([gold for gold in golds.values() if gold is not None])
        if missing := [name for at, name in enumerate(raw.label_names) if at not in named]:
            note += f"; no text has the gold label {', '.join(missing[:10])}"
    elif len(unknown := [name for name, gold in golds.items() if gold is None]) < len(golds) and unknown:
        note += f"; gold is unknown in {', '.join(unknown)}"
    if golds["train"] is not None and (golds["train"] >= 0).all():
        known = [gold for gold in golds.values() if gold is not None]
        unseen = sorted(set(np.concatenate(known).tolist()) - {-1, *golds["train"].tolist()})
        if unseen:
            note += f"; no train text has the label {', '.join(raw.label_names[each] for each in unseen[:10])}"
    return dataclasses.replace(raw, splits=splits, notes=(note,))


def _understood(
    tables: Mapping[str, Table],
    found: Roles,
    label_names: tuple[str, ...] | None,
    columns: Columns,
    origin: str,
    rows: Mapping[str, np.ndarray],
) -> RawTask:
    """The task with classes for values. `rows`: those of every split, of all tables one after the other."""
    named, no_answer = columns.labellers is not None, frozenset(key(value) for value in columns.no_answer)

    def joined(column: str) -> list[str]:
        return [v for table in tables.values() for v in table.columns.get(column, [""] * len(table))]

    def place(column: str, row: int) -> str:
        for table in tables.values():
            if row < len(table):
                return f"{table.path}, column {column}, row {row + 1}"
            row -= len(table)
        return f"{origin}, column {column}"

    if label_names and (clash := [name for name in label_names if key(name) in no_answer]):
        raise UsageError(
            f"{origin}: '{clash[0]}' is a class in label.json, but --no-answer says it means no answer: drop one"
        )
    values = {name: joined(name) for name in found.others}
    gold, gold_reading, gold_ids, labels = found.gold, None, None, None
    if gold is not None and all(silent(value, no_answer) for value in set(joined(gold))):
        if columns.gold is not None:
            raise UsageError(
                f"{origin}: the gold column '{gold}' has no value in any row: name another, or leave gold out with "
                "--gold-column none"
            )
        found.ignored[gold] = "gold without any value"
        gold = None
    if gold is not None:
        gold_values = joined(gold)
        parts = list(rows.values()) if found.split or len(tables) > 1 else [np.arange(len(gold_values))]
        labels, gold_reading = _gold(gold_values, values, label_names, no_answer, parts, lambda row: place(gold, row))
        gold_ids = gold_reading.encode(gold_values)
    elif label_names:
        labels = LabelSet(label_names, True, no_answer)
    if labels is not None:
        labellers = chosen(values, labels, gold_ids, named, place)
    else:
        labels, labellers = chosen_without_gold(values, no_answer, named, origin, place)
    if labels is None:
        present = ", ".join(dict.fromkeys(name for table in tables.values() for name in table.columns))
        why = "".join(f"; {name}: {reason}" for name, reason in (found.ignored | labellers.ignored).items())
        raise UsageError(
            f"{origin}: neither gold nor a labeller's column was found among {present}; "
            f"name them with --gold-column and --label-columns{why}"
        )
    labellers = Found(labellers.readings, found.ignored | labellers.ignored)
    weak = gold if gold and columns.gold is None and not named and folded(gold) == "label" else None
    sparse = sparse_labellers(tables, labellers, named or gold is not None, weak)
    whole = RawSplit(
        ids=tuple(name for table in tables.values() for name in _ids(table, found)),
        texts=tuple(text for table in tables.values() for text in table.column(found.text)),
        gold=gold_ids,
        columns={name: reading.encode(values[name]) for name, reading in labellers.readings.items()},
    )
    note = sentence(tables, found, gold, gold_reading, labels, labellers)
    if sparse:
        note += (
            f"; warning: more than half of the texts have no answer, and so get a random class, by {', '.join(sparse)}"
        )
    silent_gold = [value for value in (gold_reading.silent if gold_reading else ()) if value]
    splits = {split: whole.take(part) for split, part in rows.items()}
    raw = RawTask(labels.names, splits, origin, (note,), tuple(labellers.ignored.items()), gold or "")
    return _finished(raw, silent_gold)


def _gold(
    values: list[str],
    others: Mapping[str, list[str]],
    label_names: tuple[str, ...] | None,
    no_answer: frozenset[str],
    parts: Sequence[np.ndarray],
    place,
) -> tuple[LabelSet, Reading]:
    """The label set, and what gold's values mean. Raises UsageError for values that are not classes."""
    counts = Counter(values)
    if label_names:
        labels = LabelSet(label_names, True, no_answer)
        reading = read(counts, labels)
        if wrong := complaint(reading, labels):
            raise UsageError(f"{place(reading.first_outside(values))}: label {wrong}")
        return labels, reading
    where = place(0).rpartition(", row ")[0]
    missing = no_answer | ({"-1"} if _minus_one_is_missing(values, others, no_answer, parts, where) else set())
    labels = inferred(counts, missing, where)
    if any(silent(value, missing) for value in counts):  # a few labels need not have every class
        labels = inferred(counts + more_classes(labels, others, no_answer), missing, where)
    reading = read(counts, labels)
    if reading.doubt:
        raise UsageError(f"{where}: {reading.doubt}")
    if len(labels.names) == 1:
        raise UsageError(
            f"{where}: gold has only the class '{labels.names[0]}', and a task needs at least two; labellers' columns "
            "can add classes only if gold has at least two: list all classes in a label.json beside the file"
        )
    return dataclasses.replace(labels, no_answer=no_answer), reading


def _minus_one_is_missing(
    values: list[str],
    others: Mapping[str, list[str]],
    no_answer: frozenset[str],
    parts: Sequence[np.ndarray],
    where: str,
) -> bool:
    """Whether -1 in gold is a missing value rather than a class. Raises UsageError where it may be either.

    It is missing among words, and where it fills splits. It is a class beside other negative numbers, where there is
    one other class only, and where a labeller answers -1 in most of its rows.
    """
    here = {value: key(value) for value in set(values)}
    classes = {here[value] for value in here if not silent(value, no_answer)}
    if "-1" not in classes:
        return False
    rest = classes - {"-1"}
    if not all(is_number(each) for each in rest):
        return True
    minus = np.array([here[value] == "-1" for value in values])
    if rest and all(minus[part].all() or not minus[part].any() for part in parts) and not minus.all():
        return True
    if len(rest) < 2 or any(each.startswith("-") for each in rest):
        return False
    for column in others.values():
        said = np.array([key(value) == "-1" for value in column])
        if (said & minus).sum() * 2 > max(said.sum(), minus.sum()):
            return False
    raise UsageError(
        f"{where}: gold is -1 in {int(minus.sum())} of {len(minus)} rows: if -1 is a class, list the classes in a "
        'label.json beside the file, like ["-1", "0", "1"]; if it means that gold is unknown, give --no-answer -1'
    )


def _rows_by_split(table: Table, column: str | None, texts: Sequence[str]) -> dict[str, np.ndarray]:
    count = len(table)
    if column is None:
        if count < 3:
            raise UsageError(f"{table.path}: {count} rows; at least 3 are needed to split them into train/valid/test")
        order = named_generator("split", count).permutation(count)
        n_test, n_valid = max(1, round(0.2 * count)), max(1, round(0.1 * count))
        parts = split_together(texts, order, n_valid, n_test, str(table.path))
        return {split: np.sort(part) for split, part in zip(SPLITS, parts, strict=True)}
    given = [SPLIT_NAMES.get(value.strip().lower()) for value in table.column(column)]
    if None in given:
        row = given.index(None)
        raise UsageError(
            f"{table.path}, row {row + 1}: split {table.column(column)[row][:80]!r}; it must be train, valid or test"
        )
    assigned = np.array(given)
    for needed in ("train", "test"):
        if needed not in given:
            raise UsageError(f"{table.path}: no row has the split '{needed}'")
    return {split: np.flatnonzero(assigned == split) for split in SPLITS if split in given}
