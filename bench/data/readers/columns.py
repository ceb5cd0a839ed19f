"""Which column of a user's table is what, by its header; headers match without regard to case and outer space.

- text: the one named by `text_column`, else the first of TEXT_COLUMNS that is there;
- gold: the one named by `gold_column` ("none": there is no gold), else the first of GOLD_COLUMNS that is there, unless
  `bench clean` corrected it;
- `id`: unique names of the rows; without it the row number;
- split: `split`, or any other column that holds train and test and nothing but names of splits;
- the others may be labellers' (see `bench.data.readers.labellers`), but for the index that pandas writes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.core.errors import UsageError
from bench.data.readers.delimited import refuse_another_delimiter
from bench.data.readers.label_values import key, quoted
from bench.data.readers.tables import Table

GIVEN, CLEANED = "given_label", "cleaned_label"
"""What `bench clean` adds to a table."""
TEXT_COLUMNS = ("text", "sentence", "original_sent", "content")
GOLD_COLUMNS = ("gold", "gold_label", "true_label", "label")
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
}
ROW_NUMBERS = "row numbers"
INDEX_HEADERS = re.compile(r"|index|level_0|unnamed:?_\d+")
METADATA = frozenset((
    "year", "yr", "month", "day", "hour", "week", "weekday", "date", "time", "timestamp", "age", "fold", "folds",
    "index", "idx", "row", "rows", "rowid", "number", "num", "nr", "count", "counts", "n", "len", "length", "size",
    "words", "tokens", "chars", "likes", "retweets", "shares", "replies", "views", "stars", "score", "scores",
    "confidence", "conf", "prob", "probs", "probability", "logprob", "logprobs", "weight", "weights", "rank", "flag",
    "flags", "is", "has", "was", "url", "link", "user", "author", "lang", "language", "source", "platform", "device",
    "country", "region", "gender", "sex", "verified", "retweet", "reply", "duplicate", "dup", "seed", "batch",
    "group", "cluster", "page", "chapter", "version", "offset", "checked", "reviewed", "done", "active", "deleted",
    "selected", "seconds", "cost", "price",
))  # fmt: skip
LABELLERS = re.compile(
    r"(chat)?gpt.*|.*llms?|llm.*|mix|mi[sx]tral.*|llama.*|claude.*|gemini.*|gemma.*|qwen.*|phi\d*|palm\d*|bard|deepseek.*"
    r"|smollm.*|falcon.*|bert|.*bert|bloom.*|vicuna.*|alpaca.*|cohere|grok.*|yi|zephyr.*|flan|t5|model.*|ann\d*"
    r"|annot.*|raters?\d*|coders?\d*|workers?\d*|judges?\d*|crowd.*|experts?\d*|humans?\d*|label.*|noisy|weak|lf\d*"
    r"|pred.*|votes?\d*|answers?\d*"
)


@dataclass(frozen=True)
class Columns:
    """Which columns mean what; None = found by name."""

    text: str | None = None
    gold: str | None = None
    labellers: Sequence[str] | None = None
    no_answer: Sequence[str] = ()  # values that mean no answer, in every column of labels

    def unused(self, where: str) -> tuple[str, ...]:
        """A note that options were given for what is not a table of columns; nothing where none was."""
        options = {"text": "--text-column", "gold": "--gold-column", "labellers": "--label-columns"}
        given = [option for name, option in options.items() if getattr(self, name) is not None]
        given += ["--no-answer"] if self.no_answer else []
        return (f"{where} is not read from a table: {', '.join(given)} not applied there",) if given else ()


@dataclass
class Roles:
    """What the columns of a table, or of a folder's tables, are."""

    text: str
    gold: str | None
    id: str | None
    split: str | None
    others: list[str]  # those that may be labellers'
    ignored: dict[str, str] = field(default_factory=dict)  # column -> why it is not even looked at


PERSONS = re.compile(
    r"humans?\d*|ann\d*|annot.*|raters?\d*|coders?\d*|workers?\d*|experts?\d*|persons?\d*|manual.*|checked|verified|reviewed"
    r"|corrected"
)


def folded(header: str) -> str:
    """A header without regard to case, outer space, and how its words are joined."""
    return re.sub(r"[\s-]+", "_", unicodedata.normalize("NFKC", header).strip().casefold())


def is_metadata_header(header: str) -> bool:
    """Whether a header reads like a fact about the text (a year, a flag, a score) rather than like a labeller."""
    return not METADATA.isdisjoint(_words(header))


def is_labellers_header(header: str) -> bool:
    """Whether a header reads like a model or a human labeller."""
    return not is_metadata_header(header) and any(LABELLERS.fullmatch(word) for word in _words(header))


def is_persons_header(header: str) -> bool:
    """Whether a header reads like labels of a person, an annotator or a check."""
    return any(PERSONS.fullmatch(word) for word in _words(header))


def _words(header: str) -> set[str]:
    parts = re.sub(r"([a-z])([A-Z])", r"\1 \2", header)
    return set(re.split(r"[^0-9a-z]+", parts.casefold())) | {folded(header)}


def cleaned(tables: Mapping[str, Table], origin: str) -> dict[str, Table]:
    """The tables with headers without outer space, spelt alike in all of them. Raises UsageError for one name twice."""
    spelt: dict[str, str] = {}
    found = {}
    for split, table in tables.items():
        columns: dict[str, list[str]] = {}
        for header, values in table.columns.items():
            name = spelt.setdefault(header.strip().casefold(), header.strip())
            if name in columns:
                raise UsageError(f"{origin} has two columns named '{name}', ignoring case and outer space: rename one")
            columns[name] = values
        found[split] = Table(table.path, columns)
    return found


class NoColumn(UsageError):
    """An option names a column that a table does not have."""


def one_of(present: Iterable[str], wanted: str, what: str, origin: str) -> str:
    """The column that an option names. Raises UsageError listing those that there are."""
    present = list(present)
    fits = [name for name in present if name == wanted.strip()]
    fits = fits or [name for name in present if folded(name) == folded(wanted)]
    if len(fits) != 1:
        raise NoColumn(f"{origin} has no column '{wanted}'{what}; it has: {', '.join(present)}")
    return fits[0]


def first_of(present: Iterable[str], usual: Sequence[str], origin: str) -> str | None:
    """The first usual name that a column has. Raises UsageError where two columns have it."""
    for name in usual:
        fits = [column for column in present if folded(column) == name]
        if len(fits) > 1:
            raise UsageError(f"{origin}: each of the columns {quoted(fits)} may be '{name}': rename one")
        if fits:
            return fits[0]
    return None


def texts_of(table: Table, named: str | None = None) -> list[str]:
    """The texts of a table that may have nothing else. Raises UsageError where its text column cannot be told."""
    origin = str(table.path)
    columns = cleaned({"": table}, origin)[""].columns
    return columns[_text_column(columns, columns, named, origin)]


def _text_column(present: Collection[str], free: Iterable[str], named: str | None, origin: str) -> str:
    """The column of the texts: the one that is named, else the first of `free` with a usual name."""
    if named is not None:
        return one_of(present, named, " for the text", origin)
    if found := first_of(free, TEXT_COLUMNS, origin):
        return found
    refuse_another_delimiter(origin, list(present))
    raise UsageError(f"{origin}: no text column; name one of {', '.join(present)} with --text-column")


def roles(tables: Mapping[str, Table], columns: Columns, origin: str) -> Roles:
    """What each column is. `tables` are `cleaned`. Raises UsageError where that cannot be told."""
    present = list(dict.fromkeys(name for table in tables.values() for name in table.columns))
    named = [one_of(present, name, "", origin) for name in columns.labellers or ()]
    free = [name for name in present if name not in named]
    text = _text_column(present, free, columns.text, origin)
    free = [name for name in free if name != text]
    ignored: dict[str, str] = {}
    usual = first_of(free, GOLD_COLUMNS, origin) if columns.gold in (None, "none") else None
    gold = usual if columns.gold is None and usual and not _corrected(tables, usual) else None
    if columns.gold == "none" and usual:
        ignored[usual] = "--gold-column none"
    if columns.gold not in (None, "none"):
        gold = one_of(present, columns.gold, " for the gold", origin)
    if text == gold or text in named:
        raise UsageError(f"{origin}: '{text}' holds the texts and cannot hold labels too: check the column options")
    free = [name for name in free if name not in (gold, *ignored)]
    row_id = first_of(free, ("id",), origin)
    split = _split_column(tables, [name for name in free if name != row_id], origin)
    others = [name for name in free if name not in (row_id, split)]
    ignored |= {name: ROW_NUMBERS for name in others if INDEX_HEADERS.fullmatch(folded(name))}
    others = named if columns.labellers is not None else [name for name in others if name not in ignored]
    if columns.labellers is not None:
        ignored |= {name: "not in --label-columns" for name in free if name not in (row_id, split, *ignored)}
    return Roles(text, gold, row_id, split, others, ignored)


def _corrected(tables: Mapping[str, Table], column: str) -> bool:
    """Whether a column is the one that `bench clean` corrected: `given_label` says the same, one to one."""
    pairs = set()
    for table in tables.values():
        if not {GIVEN, CLEANED} <= table.columns.keys():
            return False
        given = zip(table.columns.get(column, ()), table.columns[GIVEN], strict=False)
        pairs |= {(key(old), key(new)) for old, new in given if new}
    return 0 < len(pairs) == len({old for old, _ in pairs}) == len({new for _, new in pairs})


def _split_column(tables: Mapping[str, Table], free: list[str], origin: str) -> str | None:
    """The column that says which split a row is in, by its header or by its values."""
    if found := first_of(free, ("split",), origin):
        return found
    fits = []
    for name in free:
        values = {value.strip().lower() for table in tables.values() for value in table.columns.get(name, ())}
        if values <= SPLIT_NAMES.keys() and {"train", "test"} <= {SPLIT_NAMES[value] for value in values}:
            fits.append(name)
        elif folded(name) in ("set", "fold") and {"train", "test"} <= values:
            wrong = sorted(values - SPLIT_NAMES.keys())
            raise UsageError(
                f"{origin}: column '{name}' contains train and test, but also {quoted(wrong)}: "
                "write train, valid or test in every row, or rename the column"
            )
    if len(fits) > 1:
        raise UsageError(f"{origin}: the columns {quoted(fits)} all contain train and test: rename one to 'split'")
    return fits[0] if fits else None
