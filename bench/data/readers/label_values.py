"""What a label is: the spellings of one class, class ids, missing values, and values that mean no answer.

- Spellings that differ in case, outer space, Unicode form or quotes only are one class, and `1.0` is `1`.
- A column holds class names or class ids, never both. Ids are read only where no class name is a number.
- MISSING are missing everywhere, and so is what `--no-answer` lists, unless label.json declares it as a class.
- `-1` means no answer only where it can be nothing else: it is not a class, and the column could not be a shifted one.
- SILENT_WORDS are classes where gold or label.json has them; elsewhere they are refused, with both readings.
"""

from __future__ import annotations

import functools
import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from bench.core.errors import UsageError

MISSING = frozenset(
    ("", "NaN", "nan", "NAN", "-NaN", "-nan", "NaT", "NA", "<NA>", "N/A", "n/a", "#N/A", "null", "NULL", "Null", "None")
)
"""Values that software writes where it has none; pandas reads these as missing too."""
SILENT_WORDS = frozenset((
    "abstain", "abstained", "abstains", "abstention", "unknown", "unsure", "undecided", "undetermined", "unclear",
    "unlabeled", "unlabelled", "refused", "refuse", "refusal", "declined", "skip", "skipped", "error", "failed",
    "invalid", "missing", "empty", "none", "na", "null", "nan", "idk", "?", "??", "-", "--", ".", "_", "uncertain",
    "not sure", "no answer", "no_answer", "no label", "don't know", "do not know", "i don't know", "cannot answer",
))  # fmt: skip
"""Folded words with which people and models say that they give no answer."""
QUOTES = ('""', "''", "``", "“”", "‘’", "„“", "«»", "´´")
LONGEST = 500
"""A longer value is a text: its spelling is not looked into."""
SHOWN_NAMES, SHOWN_CHARACTERS = 30, 80
_INTEGER = re.compile(r"([+\-\u2212\u2013]?)(0|[1-9][0-9]*)(?:\.0*)?")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?")


def key(value: str) -> str:
    """What all spellings of a class have in common."""
    if len(value) > LONGEST:
        return value.strip()
    if not value.isascii():
        value = "".join(c for c in unicodedata.normalize("NFKC", value) if unicodedata.category(c) != "Cf")
    text = " ".join(value.split())
    while len(text) > 1 and text[0] + text[-1] in QUOTES:
        text = text[1:-1].strip()
    text = text.casefold() if text.isascii() else unicodedata.normalize("NFKC", text.casefold())
    if whole := _INTEGER.fullmatch(text):
        return ("-" if whole[1] not in ("", "+") and whole[2] != "0" else "") + whole[2]
    return text


def is_number(value: str) -> bool:
    """Whether a value is written as a number, `01` and `1e5` included."""
    return _NUMBER.fullmatch(key(value).removeprefix("-")) is not None


def is_decimal(value: str) -> bool:
    """Whether a value is a number with a fraction, such as a confidence."""
    return is_number(value) and not _INTEGER.fullmatch(key(value)) and not float(key(value)).is_integer()


def quoted(values: Mapping[str, int] | Iterable[str], most: int = 3) -> str:
    """Up to three values for a message, the most frequent first, each cut to a length that a person reads."""
    order = sorted(values, key=lambda value: (-values[value], value)) if isinstance(values, Mapping) else list(values)
    return ", ".join(repr(value[:SHOWN_CHARACTERS]) for value in order[:most])


@dataclass(frozen=True)
class LabelSet:
    """The classes of a task, and what means no answer beside MISSING."""

    names: tuple[str, ...]
    declared: bool  # by label.json or a known task, rather than found in the data
    no_answer: frozenset[str] = frozenset()  # keys of the values that --no-answer lists

    @functools.cached_property
    def by_key(self) -> dict[str, int]:
        """Class id by key; -2 where two classes differ in spelling only: these must be written exactly."""
        found: dict[str, int] = {}
        for position, name in enumerate(self.names):
            found[key(name)] = -2 if key(name) in found else position
        return found

    @functools.cached_property
    def has_numbers(self) -> bool:
        """Whether a class name is a number: then no value can be an id."""
        return any(is_number(name) for name in self.names)

    @property
    def shown(self) -> str:
        """The names for a message."""
        return ", ".join(self.names[:SHOWN_NAMES]) + (", ..." if len(self.names) > SHOWN_NAMES else "")


@dataclass
class Reading:
    """What the values of one column mean. Counters hold rows by value, values without their outer space."""

    ids: dict[str, int] = field(default_factory=dict)  # value -> class id, -1 = no answer
    named: Counter[str] = field(default_factory=Counter)  # read as class names
    numbered: Counter[str] = field(default_factory=Counter)  # read as class ids
    silent: Counter[str] = field(default_factory=Counter)  # no answer
    respelt: Counter[str] = field(default_factory=Counter)  # those of `named` that are not spelt as the class is
    outside: Counter[str] = field(default_factory=Counter)  # not classes, nor known to mean no answer
    doubt: str = ""  # two readings, and what decides between them; "" = there is one

    @property
    def inside(self) -> Counter[str]:
        """The values that are classes."""
        return self.named + self.numbered

    @property
    def rows(self) -> int:
        """How many rows the column has."""
        return (self.inside + self.silent + self.outside).total()

    def encode(self, values: Iterable[str]) -> np.ndarray:
        """int64[n]: the class ids of the column's values, or of some of them."""
        return np.array([self.ids[value.strip()] for value in values], dtype=np.int64)

    def first_outside(self, values: Iterable[str]) -> int:
        """The position of the first value that is not a class; 0 where all are."""
        return next((row for row, value in enumerate(values) if value.strip() in self.outside), 0)


def stripped(counts: Mapping[str, int]) -> Counter[str]:
    """Rows by value, without the outer space of values."""
    found: Counter[str] = Counter()
    for value, count in counts.items():
        found[value.strip()] += count
    return found


def silent(value: str, no_answer: frozenset[str]) -> bool:
    """Whether a value is missing wherever it stands, unless it is declared as a class."""
    return value.strip() in MISSING or not key(value) or key(value) in no_answer


def read(counts: Mapping[str, int], labels: LabelSet) -> Reading:
    """The values of one column (rows by value) as classes of `labels`. Nothing is refused here: see `complaint`."""
    reading = Reading()
    exact = {name: position for position, name in enumerate(labels.names)}
    left: Counter[str] = Counter()
    for value, rows in stripped(counts).items():
        found = exact.get(value, labels.by_key.get(key(value)))
        if found is not None and found >= 0 and value in MISSING and value not in exact and not labels.declared:
            reading.doubt = (
                f"{value!r} may be a missing value or another spelling of the class '{labels.names[found]}': "
                f"list the classes in a label.json if it is that class, or give --no-answer {value} if it is not"
            )
        if found is not None and key(value) in labels.no_answer and not labels.declared:
            found = None
        if found is not None and found >= 0:
            reading.ids[value] = found
            reading.named[value] = rows
            if value != labels.names[found]:
                reading.respelt[value] = rows
        elif silent(value, labels.no_answer) or key(value) == "-1":
            reading.ids[value] = -1
            reading.silent[value] = rows
        else:
            left[value] = rows
    whole = [key(value) for value in left if _INTEGER.fullmatch(key(value))]
    in_range = len(whole) == len(left) and all(len(text) < 9 and 0 <= int(text) < len(labels.names) for text in whole)
    if left and in_range and not reading.named and not labels.has_numbers:
        reading.numbered = left
        reading.ids |= {value: int(key(value)) for value in left}
    else:
        reading.outside = left
        reading.ids |= dict.fromkeys(left, -2)
    reading.doubt = reading.doubt or _minus_one(reading, labels)
    return reading


def _minus_one(reading: Reading, labels: LabelSet) -> str:
    """Why -1 may be something else than no answer, and what decides; "" where it can be nothing else."""
    rows = sum(count for value, count in reading.silent.items() if key(value) == "-1")
    if not rows or "-1" in labels.no_answer or labels.declared:
        return ""
    if not any(is_number(value) for value in reading.inside + reading.outside):
        return ""  # -1 among words
    if not reading.outside and {reading.ids[value] for value in reading.named} == set(range(len(labels.names))):
        return ""  # a column that has every class beside -1 cannot be a shifted one
    return (
        f"-1 in {rows} of {reading.rows} rows may mean no answer or be a class of its own: give --no-answer -1 if it "
        "means no answer, or list the classes in a label.json beside the file if it is a class"
    )


def complaint(reading: Reading, labels: LabelSet) -> str:
    """What is wrong with the values of a column, and how to fix it; "" where all are understood."""
    if not reading.outside:
        return reading.doubt
    rows, count = reading.outside.total(), (reading.inside + reading.outside).total()
    verb = "is" if len(reading.outside) == 1 else "are"
    start = f"{quoted(reading.outside)} {verb} outside the label set ({labels.shown}) in {rows} of {count} rows"
    numbers = [value for value in reading.outside if is_number(value)]
    if len(numbers) == len(reading.outside) and reading.named and not labels.has_numbers:
        return f"{start}: class names and numbers are mixed; use only one kind, or give --no-answer {numbers[0]}"
    if len(numbers) == len(reading.outside) and not labels.has_numbers:
        return f"{start}; as class ids they must be 0..{len(labels.names) - 1}; {way_out(min(reading.outside))}"
    if numbers and labels.has_numbers and "0" in map(key, reading.outside):
        start += ": 0 means no answer, or the column counts the classes from 0, which gold does not"
    return f"{start}; {way_out(min(reading.outside))}"


def way_out(value: str) -> str:
    """What to do about a value that is not a class."""
    shown = shlex.quote(value[:SHOWN_CHARACTERS])
    if key(value) == "0":
        return "give --no-answer 0 if it means no answer, or else write the classes as gold does"
    if key(value) in SILENT_WORDS:
        return f"give --no-answer {shown} if it means no answer, or list all classes in a label.json if it is a class"
    return (
        "correct it, list all classes in a label.json beside the file, or give --no-answer VALUE if it means no answer"
    )


def inferred(counts: Mapping[str, int], no_answer: frozenset[str], where: str) -> LabelSet:
    """The classes that the values of gold, or of labellers without gold, make; sorted, as numbers if all are.

    The name of a class is its most frequent spelling. Raises UsageError for values that make no classes: decimal
    numbers, names and numbers together, more classes than half the rows.
    """
    spellings: dict[str, Counter[str]] = {}
    for value, rows in stripped(counts).items():
        if not silent(value, no_answer):
            spellings.setdefault(key(value), Counter())[value] += rows
    declare = "list the classes in a label.json beside the file if they are"
    numbers = [each for each in spellings if is_number(each)]
    decimals = Counter({each: spellings[each].total() for each in numbers if is_decimal(each)})
    if decimals:
        raise UsageError(f"{where}: decimal numbers, such as {quoted(decimals)}, are not read as classes; {declare}")
    if numbers and len(numbers) < len(spellings):
        words = {each: spellings[each].total() for each in spellings if each not in numbers}
        raise UsageError(
            f"{where}: it contains both names ({quoted(words)}) and numbers ({quoted(sorted(numbers))}); "
            "use one kind everywhere, or give --no-answer VALUE for a number that means no answer"
        )
    rows = sum(spelt.total() for spelt in spellings.values())
    if len(spellings) > max(rows / 2, 3):
        shown = quoted({each: spellings[each].total() for each in spellings})
        raise UsageError(
            f"{where}: {len(spellings)} different values in {rows} rows, such as {shown}, "
            f"are not read as classes; {declare}"
        )
    names = [
        each if _INTEGER.fullmatch(each) else min(spelt, key=lambda value: (-spelt[value], value))
        for each, spelt in spellings.items()
    ]
    try:
        return LabelSet(tuple(sorted(names, key=int)), False, no_answer)
    except ValueError:
        return LabelSet(tuple(sorted(names)), False, no_answer)
