"""A task from tables: a user's own file, or a folder with one table a split.

Columns
- text: the one named by `text_column`, else the first of TEXT_COLUMNS that is there;
- gold: the one named by `gold_column` ("none": there is no gold), else the first of GOLD_COLUMNS that is there;
- labellers: those named by `label_columns`, else every column that is neither text, gold, `id` nor `split` and
  whose values lie in the label set ("" or -1 = no answer);
- `id`: unique names of the rows; without it the row number;
- `split`: train, valid (or dev, val, validation) and test. Without it the rows of a single file are split
  70/10/20 at random, the same way for every file of that many rows.

Label set: label.json beside the file, else the values of gold and of the columns named by `label_columns`, sorted.
With neither gold nor named columns: of all columns with 2 to 50 different values that are no decimal numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.errors import UsageError
from bench.core.seeds import named_generator
from bench.data.readers.raw import RawSplit, RawTask, check_rows, encode, hold_out_valid
from bench.data.readers.tables import Table

__all__ = ["Columns", "from_single_table", "from_tables"]

TEXT_COLUMNS = ("text", "sentence", "original_sent", "content")
GOLD_COLUMNS = ("gold", "gold_label", "true_label", "label")
SPLIT_NAMES = {"train": "train", "test": "test", **dict.fromkeys(("valid", "validation", "val", "dev"), "valid")}
MAX_INFERRED_CLASSES = 50


@dataclass(frozen=True)
class Columns:
    """Which columns mean what; None = found by name."""

    text: str | None = None
    gold: str | None = None
    labellers: Sequence[str] | None = None


def from_single_table(table: Table, label_names: tuple[str, ...] | None, columns: Columns) -> RawTask:
    """A task from one table with all splits in it. Raises UsageError."""
    whole = from_tables({"train": table}, label_names, columns, str(table.path))
    # before the split: a message then names the row of the file
    check_rows(str(table.path), whole.splits["train"].ids, whole.splits["train"].texts)
    rows = _rows_by_split(table)
    splits = {split: whole.splits["train"].take(chosen) for split, chosen in rows.items()}
    splits = {name: _without_absent_gold(f"{table.path}, {name}", split) for name, split in splits.items()}
    return RawTask(whole.label_names, hold_out_valid(splits, str(table.path)), str(table.path))


def from_tables(
    tables: Mapping[str, Table], label_names: tuple[str, ...] | None, columns: Columns, origin: str
) -> RawTask:
    """The splits that there are tables for, with one label set for all. Gold may still have gaps, as -1."""
    present = list(dict.fromkeys(name for table in tables.values() for name in table.columns))
    text = _named(present, columns.text, TEXT_COLUMNS, "text", origin)
    if text is None and len(present) == 1 and any(mark in present[0] for mark in ";\t|"):
        raise UsageError(f"{origin}: one column only, '{present[0][:80]}'; save the file with commas, or tabs as .tsv")
    if text is None:
        raise UsageError(f"{origin}: no text column; name one of {', '.join(present)} with --text-column")
    gold = None if columns.gold == "none" else _gold_column(present, columns, origin)
    others = [name for name in present if name not in (text, gold, "id", "split")]
    if columns.labellers is not None:
        missing = [name for name in columns.labellers if name not in present]
        if missing:
            raise UsageError(f"{origin} has no column '{missing[0]}'; it has: {', '.join(present)}")
        others = list(columns.labellers)
    values = {name: _all_values(tables, name) for name in others}
    names = label_names or _inferred_names(tables, gold, values, columns.labellers is not None)
    if columns.labellers is None:
        values = {name: seen for name, seen in values.items() if _is_labeller(name, seen, names, origin)}
    if len(names) < 2 and not gold and not values:
        raise UsageError(
            f"{origin}: neither gold nor a labeller's column was found among {', '.join(present)}; "
            "name them with --gold-column and --label-columns"
        )
    splits = {split: _split(table, text, gold, list(values), names) for split, table in tables.items()}
    return RawTask(names, splits, origin)


def finished(raw: RawTask) -> RawTask:
    """Tables of a folder: gold complete or absent in every split."""
    splits = {name: _without_absent_gold(f"{raw.origin}, {name}", split) for name, split in raw.splits.items()}
    return RawTask(raw.label_names, hold_out_valid(splits, raw.origin), raw.origin)


def _named(present: list[str], wanted: str | None, usual: Sequence[str], what: str, origin: str) -> str | None:
    if wanted is not None and wanted not in present:
        raise UsageError(f"{origin} has no column '{wanted}' for the {what}; it has: {', '.join(present)}")
    return wanted or next((name for name in usual if name in present), None)


def _gold_column(present: list[str], columns: Columns, origin: str) -> str | None:
    usual = [name for name in GOLD_COLUMNS if name not in (columns.labellers or ())]
    return _named(present, columns.gold, usual, "gold", origin)


def _all_values(tables: Mapping[str, Table], column: str) -> set[str]:
    """The different values of a column over all splits, without those that mean 'no answer'."""
    found = {value.strip() for table in tables.values() for value in table.columns.get(column, ())}
    return found - {"", "-1"}


def _inferred_names(
    tables: Mapping[str, Table], gold: str | None, values: Mapping[str, set[str]], named: bool
) -> tuple[str, ...]:
    found = set() if gold is None else _all_values(tables, gold)
    if named:
        found = found.union(*values.values()) if values else found
    elif gold is None:
        likely = [seen for seen in values.values() if 2 <= len(seen) <= MAX_INFERRED_CLASSES and not _decimals(seen)]
        found = set().union(*likely)
    try:
        return tuple(sorted(found, key=int))
    except ValueError:
        return tuple(sorted(found))


def _decimals(values: set[str]) -> bool:
    """Whether these are measurements, such as confidences, rather than classes."""
    try:
        return any(not float(value).is_integer() for value in values)
    except (ValueError, OverflowError):
        return False


def _is_labeller(name: str, seen: set[str], names: tuple[str, ...], origin: str) -> bool:
    allowed = {*names, *map(str, range(len(names)))}
    outside = seen - allowed
    if seen and not outside:
        return True
    if outside and len(seen & allowed) >= 2 and len(outside) < len(seen & allowed):
        raise UsageError(
            f"{origin}: column '{name}' looks like a labeller's, but {min(outside)[:80]!r} is outside the label set "
            f"({', '.join(names[:30])}); correct it, or choose the columns with --label-columns"
        )
    return False


def _split(table: Table, text: str, gold: str | None, labellers: list[str], names: tuple[str, ...]) -> RawSplit:
    def encoded(column: str) -> np.ndarray:
        values = table.columns.get(column, [""] * len(table))
        return encode(values, names, f"{table.path}, column {column}")

    ids = table.columns.get("id", [str(row) for row in range(len(table))])
    return RawSplit(
        ids=tuple(ids),
        texts=tuple(table.column(text)),
        gold=None if gold is None else encoded(gold),
        columns={name: encoded(name) for name in labellers},
    )


def _without_absent_gold(where: str, split: RawSplit) -> RawSplit:
    """Gold of a split is known for all its rows or for none."""
    if split.gold is None or (split.gold >= 0).all():
        return split
    if (split.gold < 0).all():
        return RawSplit(split.ids, split.texts, None, split.votes, split.columns, split.entities)
    row = int(np.flatnonzero(split.gold < 0)[0])
    raise UsageError(
        f"{where}: the text with id '{split.ids[row][:80]}' has no gold label while others have; "
        "fill it in, or leave gold out with --gold-column none"
    )


def _rows_by_split(table: Table) -> dict[str, np.ndarray]:
    count = len(table)
    if "split" not in table.columns:
        if count < 3:
            raise UsageError(f"{table.path}: {count} rows; at least 3 are needed to split them into train/valid/test")
        order = named_generator("split", count).permutation(count)
        n_test, n_valid = max(1, round(0.2 * count)), max(1, round(0.1 * count))
        parts = np.split(order, [count - n_test - n_valid, count - n_test])
        return {split: np.sort(part) for split, part in zip(("train", "valid", "test"), parts, strict=True)}
    given = [SPLIT_NAMES.get(value.strip().lower()) for value in table.column("split")]
    if None in given:
        row = given.index(None)
        raise UsageError(
            f"{table.path}, row {row + 1}: split {table.column('split')[row][:80]!r}; it must be train, valid or test"
        )
    assigned = np.array(given)
    for needed in ("train", "test"):
        if needed not in given:
            raise UsageError(f"{table.path}: no row has the split '{needed}'")
    return {split: np.flatnonzero(assigned == split) for split in ("train", "valid", "test") if split in given}
