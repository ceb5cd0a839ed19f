"""Errors that a user can act on: each names the thing, the value and how to fix it."""

from __future__ import annotations

import difflib
import logging
import reprlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pydantic import ValidationError

SHOWN = 200  # characters of a value in an error
NAMES = "bench.names"
"""The logger that tells of short names that were completed."""
LISTS = {
    "kind": "", "task": " tasks", "method": " methods", "wrapper": " methods", "llm": " llms", "noise": " noise",
    "executor": " executors",
}  # fmt: skip
"""Where `bench list` shows the names of a kind."""


class BenchError(Exception):
    """Base of every error that is shown to the user as one message, without a traceback."""


class UsageError(BenchError):
    """The request is wrong: unknown name, bad file, bad value. Exit code 2, nothing written."""


class Unavailable(BenchError):
    """A resource (model, data set, label set) cannot be obtained here; the message names every way to get it."""


class EncoderUnavailable(Unavailable):
    """An encoder cannot be obtained here."""


class Skip(BenchError):
    """A combination that cannot run; shown as a row `skipped (reason)`, not as an error."""


class ToldToEnd(SystemExit):
    """This process was told to end: unlike another SystemExit, not the doing of the method that it runs."""


def is_unicode(text: str) -> bool:
    """Whether text can be written as UTF-8: file names of other bytes, and halves of surrogate pairs, cannot."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def shown(value: Any) -> str:
    """A value as Python writes it, at a length that a person reads: YAML may hold any size in a few lines."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = SHOWN
    short.maxlevel = 2
    try:
        text = short.repr(value)
        return text if len(text) <= SHOWN + 2 else f"{text[:SHOWN]}..."
    except ValueError:  # Python does not write integers of thousands of digits
        return f"a {type(value).__name__} too large to show"


class Problem(NamedTuple):
    """One thing that pydantic found wrong; as text it is `where = value: why`."""

    where: str  # the field, dotted where it lies deeper; "" for the whole
    value: str  # as a person reads it
    why: str
    kind: str  # pydantic's name of the error

    def __str__(self) -> str:
        if self.where and self.kind == "missing":  # its value is what it was looked for in
            return f"{self.where} is needed"
        return f"{self.where} = {self.value}: {self.why}" if self.where else self.why

    @property
    def option(self) -> str:
        """The problem in terms of the command line: `--batch-size = 0: why`."""
        return f"--{self.where.partition('.')[0].replace('_', '-')} = {self.value}: {self.why}"


WHOLE, NUMBER, TRUTH = "give a whole number", "give a number", "give true or false"
IN_PLAIN_WORDS = {
    "int_parsing": WHOLE, "int_type": WHOLE, "int_from_float": WHOLE, "float_parsing": NUMBER, "float_type": NUMBER,
    "bool_parsing": TRUTH, "bool_type": TRUTH,
}  # fmt: skip
"""What to say instead of pydantic, by its name of the error."""


def first_problem(error: ValidationError) -> Problem:
    """The first of the problems in a pydantic error."""
    first = error.errors()[0]
    why = IN_PLAIN_WORDS.get(first["type"]) or first["msg"].removeprefix("Value error, ")
    return Problem(".".join(map(str, first["loc"])), shown(first["input"]), why, first["type"])


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names with commas; of many the first ones and how many there are."""
    names = list(names)
    more = f", ... ({len(names):,} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Names in `known` that look like `name`, best first; containment counts as likeness."""
    known = list(dict.fromkeys(known))
    lowered = {candidate.lower(): candidate for candidate in known}
    close = [lowered[hit] for hit in difflib.get_close_matches(name.lower(), lowered, n=count, cutoff=0.5)]
    within = [candidate for candidate in known if name and name.lower() in candidate.lower()]
    return list(dict.fromkeys([*close, *within]))[:count]


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for an unknown name, with the nearest right ones and the full list when it is short."""
    known = sorted(set(known))
    close = nearest(name, known)
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    elif len(known) <= 20:
        hint = f"known: {', '.join(known) or 'none'}"
    else:
        hint = f"{len(known)} are known"
    where = f" (`bench list{LISTS[kind]}` shows all)" if kind in LISTS else ""
    return UsageError(f"unknown {kind} '{name}': {hint}{where}")


def completed(name: str, full: str) -> str:
    """The full name; that `name` stands for it is logged."""
    logging.getLogger(NAMES).info("%s → %s", name, full)
    return full


def resolve(kind: str, name: str, known: Iterable[str]) -> str:
    """The full name that `name` stands for: itself, or the one known name that starts with it, which is logged.

    Raises UsageError when nothing fits (with the nearest names) or when two things fit (with both).
    """
    known = sorted(set(known))
    for candidate in known:
        if candidate.lower() == name.lower():
            return candidate
    fits = [candidate for candidate in known if name and candidate.lower().startswith(name.lower())]
    if len(fits) == 1:
        return completed(name, fits[0])
    if len(fits) > 1:
        raise UsageError(f"{kind} '{name}' matches {' and '.join(fits)}: write one of them in full")
    raise unknown(kind, name, known)
