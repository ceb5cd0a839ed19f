"""What every reader hands over, and the checks that all data must pass, wherever it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.core.errors import UsageError, is_unicode
from bench.core.texts import SPLITS
from bench.data.readers.label_values import LabelSet, complaint, read
from bench.data.readers.tables import load_json

MAX_TEXT_BYTES = 10 * 2**20
"""A longer text is a broken file (an unclosed quote) rather than a text; the tokenizer cuts shorter ones."""


@dataclass(frozen=True)
class RawSplit:
    """One split as it was read: nothing marked, cut or left out."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    gold: np.ndarray | None = None  # int64[n]
    votes: np.ndarray | None = None  # int64[n, F], -1 = abstain
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)  # labeller -> int64[n], -1 = no answer
    entities: np.ndarray | None = None  # int64[n, 2, 2]: entity 1 and 2, start and end in the text

    def take(self, rows: np.ndarray) -> RawSplit:
        """The rows in the given order."""
        return RawSplit(
            ids=tuple(self.ids[row] for row in rows),
            texts=tuple(self.texts[row] for row in rows),
            gold=None if self.gold is None else self.gold[rows],
            votes=None if self.votes is None else self.votes[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
            entities=None if self.entities is None else self.entities[rows],
        )


@dataclass(frozen=True)
class RawTask:
    """A whole task as it was read."""

    label_names: tuple[str, ...]
    splits: Mapping[str, RawSplit]
    origin: str  # where it came from, for messages
    notes: tuple[str, ...] = ()  # what was understood, filled or left out, a sentence each
    ignored: tuple[tuple[str, str], ...] = ()  # columns of a user's table that are not used, with the reason
    gold_column: str = ""  # of a user's table


def read_label_names(path: Path) -> tuple[str, ...]:
    """The class names in a label.json: `{"0": "name", ...}` or a list. Raises UsageError."""
    content = load_json(path)
    if isinstance(content, dict):
        missing = [str(position) for position in range(len(content)) if str(position) not in content]
        if missing:
            raise UsageError(f"{path}: class ids must be 0..{len(content) - 1}, each once; {missing[0]} is missing")
        content = [content[str(position)] for position in range(len(content))]
    if not isinstance(content, list) or not all(isinstance(name, str) and name.strip() for name in content):
        raise UsageError(f"{path}: expected names of classes, like {{'0': 'negative', '1': 'positive'}}")
    if len(set(content)) != len(content):
        raise UsageError(f"{path}: two classes have the same name")
    return tuple(content)


def encode(values: Sequence[str], label_names: Sequence[str], where: str) -> np.ndarray:
    """Class ids int64[n] of values that are class names, or all of them class ids; missing values and "-1" give -1.

    Raises UsageError naming the first row with a value outside the label set.
    """
    labels = LabelSet(tuple(label_names), declared=True)
    reading = read(Counter(values), labels)
    if wrong := complaint(reading, labels):
        raise UsageError(f"{where}, row {reading.first_outside(values) + 1}: label {wrong}")
    return reading.encode(values)


def check(task: RawTask) -> None:
    """Raise UsageError for data that no method could be trained or scored on, naming split, row and how to fix it."""
    if len(task.label_names) < 2:
        names = ", ".join(task.label_names) or "none"
        raise UsageError(
            f"{task.origin}: a task needs at least two classes, found: {names}; "
            "list all classes in a label.json beside the file if only some of them occur here"
        )
    for name in (*task.label_names, *task.splits["train"].columns):
        if not is_unicode(name):
            raise UsageError(f"{task.origin}: the class or column {name!r} is not valid Unicode: rename it")
    for split in SPLITS:
        check_rows(f"{task.origin}, {split}", task.splits[split].ids, task.splits[split].texts)
    gold = task.splits["train"].gold
    if gold is not None and (gold < 0).any():
        return  # a few labels need not have every class
    if gold is not None and len(np.unique(gold)) < 2:
        name = task.label_names[gold[0]]
        raise UsageError(f"{task.origin}: every train text has the gold class '{name}'; at least two are needed")
    test = task.splits["test"].gold
    if gold is not None and test is not None and (test >= 0).all() and not np.intersect1d(gold, test).size:
        only = [task.label_names[position] for position in np.unique(test)[:3]]
        raise UsageError(
            f"{task.origin}: no gold class of test ({', '.join(only)}) occurs in train: are the classes written in two "
            "ways?"
        )


def refuse_half_pair(where: str, row: int, text: str) -> None:
    """Raise UsageError naming the row of a text that is not valid Unicode."""
    if not is_unicode(text):
        raise UsageError(f"{where}, row {row}: the text holds half a surrogate pair, which is not valid Unicode")


def is_missing(text: str) -> bool:
    """Whether there is no text: blank, or what pandas writes for a missing value."""
    return not text.strip() or text in ("NaN", "nan")


def check_rows(where: str, ids: Sequence[str], texts: Sequence[str]) -> None:
    """Raise UsageError naming the row of a text that is missing, too long or broken, or of a repeated id."""
    if not texts:
        raise UsageError(f"{where} is empty: it needs at least one row of data")
    for row, text in enumerate(texts, 1):
        # 4 bytes a character at most: only long texts need be encoded to be measured
        if is_missing(text):
            shown = "is empty" if not text.strip() else f"is '{text}', a missing value"
            raise UsageError(f"{where}, row {row}: the text {shown}; remove the row or fill it in")
        if len(text) * 4 > MAX_TEXT_BYTES and len(text.encode("utf-8", "replace")) > MAX_TEXT_BYTES:
            raise UsageError(
                f"{where}, row {row}: a text of {len(text)} characters; the limit is {MAX_TEXT_BYTES >> 20} MiB "
                "(is a closing quote missing?)"
            )
        refuse_half_pair(where, row, text)
    first = {name: row for row, name in reversed(list(enumerate(ids, 1)))}
    if len(first) < len(ids):
        row, name = next((row, name) for row, name in enumerate(ids, 1) if first[name] < row)
        raise UsageError(f"{where}, row {row}: duplicate id '{name[:80]}'; every id must be unique")


HELD_OUT = "; there is no valid split, so a random 20 % of train serves as one"


def hold_out_valid(splits: dict[str, RawSplit], where: str) -> dict[str, RawSplit]:
    """Give a task without a validation split one: 20 % of train, scikit-learn's train_test_split with seed 42.

    The order is scikit-learn's, so row numbers of train and valid are positions in its two index arrays.
    """
    if "valid" in splits:
        return splits
    from sklearn.model_selection import train_test_split

    count = len(splits["train"].texts)
    if count < 2:
        raise UsageError(f"{where}: {count} train texts; at least 2 are needed, as 20 % become the validation split")
    train, valid = train_test_split(np.arange(count), test_size=0.2, random_state=42)
    return {**splits, "train": splits["train"].take(train), "valid": splits["train"].take(valid)}
