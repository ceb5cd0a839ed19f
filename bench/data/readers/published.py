"""A task and its labellers from files that others published, as the task's `Published` source declares them.

They are looked for in `data_dir/llm/<task>.csv` (a tidy table: `id,text,gold,split`, and a column `<llm>__<zero|few>`
per labeller, empty = no answer), then in `data_dir/published/<owner>+<repository>/` (the repository's files as they
are, each checked by its SHA-256), and are else fetched from the repository at the pinned commit.

None of the repositories has splits of these texts, so they are drawn: the words train, valid and test, a quarter of
the rows test, a tenth valid, are shuffled over the rows by NumPy's default generator with seed 20261126.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.core.errors import Unavailable, UsageError, listed
from bench.core.files import signature
from bench.core.hashes import hash_file
from bench.core.texts import SPLITS, Texts
from bench.data.readers.answers import RULES
from bench.data.readers.columns import SPLIT_NAMES
from bench.data.readers.fetch import download
from bench.data.readers.label_values import key
from bench.data.readers.raw import RawSplit, RawTask, encode
from bench.data.readers.tables import Table, read_table
from bench.data.tasks import Published, TaskInfo

SPLIT_SEED = 20261126
AGAIN = "put the published files back, or remove them so that they are fetched again"
"""The way out of files that do not fit together."""
LONGEST_FOLDER = 60
"""Characters of "<owner>+<repository>" that name its folder under `published/`."""


@dataclass(frozen=True)
class SplitAnswers:
    """A labeller's answers for the texts of one split."""

    labels: np.ndarray  # int64[n]: class ids, -1 = no answer; not to be changed
    fingerprint: str  # Texts.fingerprint of these texts


@dataclass(frozen=True)
class PublishedTask:
    """A task of published files with a place where they may lie; nothing is read before it is asked for."""

    info: TaskInfo
    source: Published
    data_dir: Path | None = None

    @property
    def tidy(self) -> Path | None:
        """The tidy table in the data folder, if there is one."""
        path = None if self.data_dir is None else Path(self.data_dir) / "llm" / f"{self.info.name}.csv"
        return path if path is not None and path.is_file() else None

    def texts(self) -> RawTask:
        """Texts and gold by split. Raises UsageError for files that are not as declared, Unavailable without them."""
        rows = _rows(self.source, self.info.name, self.info.label_names, self._places(self.source.texts))
        splits = {split: rows.whole.take(np.flatnonzero(rows.split == split)) for split in SPLITS}
        repository = self.source.repository
        origin = str(self.tidy) if self.tidy else f"{repository.repo}@{repository.commit[:7]}"
        return RawTask(self.info.label_names, splits, origin)

    def answers(self, labeller: str) -> Mapping[str, SplitAnswers]:
        """What `labeller` ("gpt-4/zero") answered, by split. Raises as `texts` does."""
        places = self._places(self.source.texts), self._places(self.source.labellers[labeller].files)
        return _answers(self.source, self.info.name, self.info.label_names, labeller, *places)

    def _places(self, names: Sequence[str]) -> tuple[_Place, ...]:
        if self.tidy:
            return (_Place(self.tidy, None, signature(self.tidy)),)
        return tuple(self._place(name) for name in names)

    def _place(self, name: str) -> _Place:
        """A file of the repository: in the data folder, else the local copy of what was fetched."""
        repository = self.source.repository
        sha256 = repository.files[name][1]
        local = Path("published") / repository.repo.replace("/", "+")[:LONGEST_FOLDER] / repository.path(name)
        path = Path(self.data_dir or ".") / local
        if self.data_dir is None or not path.is_file():
            try:
                path = download(repository.url(name), sha256)
            except Unavailable as error:
                raise Unavailable(f"{error}; or save it as {local} in the --data-dir folder") from None
        return _Place(path, sha256, signature(path), repository.url(name))


@dataclass(frozen=True)
class _Place:
    """A file in a state of it; tidy tables have no checksum."""

    path: Path
    sha256: str | None
    state: tuple[int, int, int] | None
    url: str = ""


@dataclass(frozen=True)
class _Rows:
    """The rows of a task in one piece."""

    whole: RawSplit
    split: np.ndarray  # str[n]
    kept: np.ndarray  # int64[n]: row numbers in the files
    columns: Mapping[str, list[str]]  # of the files, all rows


def split_names(count: int) -> np.ndarray:
    """The split of each of `count` rows, str[count]: a quarter test, a tenth valid, the rest train."""
    test, valid = count // 4, count // 10
    names = np.repeat(SPLITS, (count - valid - test, valid, test))
    return np.random.default_rng(SPLIT_SEED).permutation(names)


@functools.lru_cache(maxsize=8)
def _table(place: _Place) -> Table:
    """The table in a file, read once. Raises UsageError for a file that is not the one of the pinned commit."""
    if place.sha256 and (found := hash_file(place.path)) != place.sha256:
        raise UsageError(
            f"{place.path} is not the published file: SHA-256 {found[:12]}..., expected {place.sha256[:12]}...; "
            f"download it again from {place.url}, or remove it so that it is fetched again"
        )
    if place.path.suffix != ".txt":
        return read_table(place.path)
    # the layout of Financial PhraseBank: a sentence and its gold class a line, in Latin-1
    lines = [line.rpartition("@") for line in place.path.read_text("latin-1").splitlines() if line.strip()]
    return Table(place.path, {"text": [line[0].strip() for line in lines], "gold": [line[2] for line in lines]})


def _joined(places: Sequence[_Place], names: Sequence[str]) -> dict[str, list[str]]:
    """Columns of several tables, one after the other."""
    tables = [_table(place) for place in places]
    return {name: [value for table in tables for value in _column(table, name)] for name in names}


def _column(table: Table, name: str) -> list[str]:
    try:
        return table.column(name)
    except UsageError as error:
        raise UsageError(f"{error}; {AGAIN}") from None


@functools.lru_cache(maxsize=16)
def _rows(source: Published, name: str, label_names: tuple[str, ...], places: tuple[_Place, ...]) -> _Rows:
    if places[0].sha256 is None:
        return _tidy_rows(_table(places[0]), name, label_names)
    needed = [source.text, source.gold, *([source.key] if source.key else [])]
    same = {column for answers in source.labellers.values() for column in answers.same.values()}
    inside = [each for each in _table(places[0]).columns if f"{{{each}" in source.id]
    columns = _joined(places, list(dict.fromkeys([*needed, *sorted(same), *inside])))
    where = str(places[0].path)
    gold = _classes(columns[source.gold], source, label_names, where, source.gold, "value", (), source.left_out)
    texts = columns[source.text]
    kept = np.flatnonzero(gold >= 0)
    if source.drop_repeats:
        texts = [text.strip() for text in texts]
        first = {texts[row]: row for row in kept[::-1].tolist()}
        kept = np.sort(list(first.values()))
    ids = [
        source.id.format(row=row, number=number, **{each: columns[each][row] for each in inside})
        for number, row in enumerate(kept.tolist())
    ]
    whole = RawSplit(tuple(ids), tuple(texts[row] for row in kept), gold[kept])
    return _Rows(whole, split_names(len(kept)), kept, columns)


def _tidy_rows(table: Table, name: str, label_names: tuple[str, ...]) -> _Rows:
    split = [SPLIT_NAMES.get(value.strip().lower(), value) for value in _column(table, "split")]
    if wrong := next((row for row, value in enumerate(split) if value not in SPLITS), None):
        raise UsageError(f"{table.path}, row {wrong + 1}: split {split[wrong][:80]!r}; it must be train, valid or test")
    gold = encode(_column(table, "gold"), label_names, f"{table.path}, column gold")
    if (gold < 0).any():
        raise UsageError(
            f"{table.path}, row {int(np.flatnonzero(gold < 0)[0]) + 1}: no gold; task {name} has it for every text"
        )
    whole = RawSplit(tuple(_column(table, "id")), tuple(_column(table, "text")), gold)
    return _Rows(whole, np.array(split), np.arange(len(table)), table.columns)


@functools.lru_cache(maxsize=256)
def _answers(
    source: Published,
    name: str,
    label_names: tuple[str, ...],
    labeller: str,
    places: tuple[_Place, ...],
    own: tuple[_Place, ...],
) -> Mapping[str, SplitAnswers]:
    rows = _rows(source, name, label_names, places)
    declared = source.labellers[labeller]
    if own[0].sha256 is None:
        column = labeller.replace("/", "__")
        labels = encode(_column(_table(own[0]), column), label_names, f"{own[0].path}, column {column}")
    else:
        where = f"{own[0].path} ({labeller})"
        columns = _joined(own, [declared.column, *declared.same, *([source.key] if source.key else [])])
        at = _matches(source, rows, columns, where)
        _check_same(declared.same, rows, columns, at, where)
        values = _classes(
            columns[declared.column], source, label_names, where, declared.column, source.rule, source.silent
        )
        labels = np.where(at >= 0, values[at], -1)
    found = {}
    for split in SPLITS:
        chosen = np.flatnonzero(rows.split == split)
        texts = tuple(rows.whole.texts[row] for row in chosen)
        part = labels[chosen]
        part.flags.writeable = False
        found[split] = SplitAnswers(part, Texts(("",) * len(texts), texts).fingerprint)
    return found


def _matches(source: Published, rows: _Rows, columns: Mapping[str, list[str]], where: str) -> np.ndarray:
    """The row of a labeller's files for each text, int64[n]; -1 = none, where the source allows gaps."""
    count = len(next(iter(columns.values())))
    everything = len(rows.columns[source.text])
    if source.key is None:
        if count != everything:
            raise UsageError(
                f"{where} has {count} rows for {everything} texts, and they are matched row by row: {AGAIN}"
            )
        return rows.kept
    ours, theirs = _numbered(rows.columns[source.key]), _numbered(columns[source.key])
    at = {name: row for row, name in enumerate(theirs)}
    known = set(ours)
    if unknown := [row for row, name in enumerate(theirs) if name not in known]:
        raise UsageError(
            f"{where}, row {unknown[0] + 1}: {source.key} {columns[source.key][unknown[0]][:80]!r} is not among the "
            f"texts ({len(unknown)} of {count} rows do not match): {AGAIN}"
        )
    found = np.array([at.get(ours[row], -1) for row in rows.kept.tolist()])
    if not source.gaps and (found < 0).any():
        missing = int((found < 0).sum())
        first = rows.columns[source.key][rows.kept[np.flatnonzero(found < 0)[0]]]
        raise UsageError(f"{where} has no row for {missing} texts, the first with {source.key} {first[:80]!r}: {AGAIN}")
    return found


def _check_same(
    same: Mapping[str, str], rows: _Rows, columns: Mapping[str, list[str]], at: np.ndarray, where: str
) -> None:
    """Raise UsageError for a row that was joined to another text, or to one with other gold."""
    for theirs, ours in same.items():
        for row, other in zip(rows.kept.tolist(), at.tolist(), strict=True):
            if other >= 0 and columns[theirs][other] != rows.columns[ours][row]:
                raise UsageError(
                    f"{where}, row {other + 1}: {theirs} {columns[theirs][other][:60]!r} is matched with "
                    f"{rows.columns[ours][row][:60]!r}: {AGAIN}"
                )


def _numbered(keys: Sequence[str]) -> list[tuple[str, int]]:
    """Each key with how often it occurred before."""
    import pandas

    return list(zip(keys, pandas.Series(keys).groupby(list(keys)).cumcount().tolist(), strict=True))


def _classes(
    values: Sequence[str],
    source: Published,
    label_names: tuple[str, ...],
    where: str,
    column: str,
    rule: str,
    silent: Sequence[str],
    others: bool = False,
) -> np.ndarray:
    """Class ids int64[n] of values of gold or answers, -1 = none of them. Raises UsageError naming row and value.

    `silent` values are none of them, and with `others` so are all that are not classes.
    """
    spellings = {key(name): name for name in label_names} | {key(each): name for each, name in source.classes.items()}
    nothing = {"", *map(key, silent)}
    ids = {name: position for position, name in enumerate(label_names)}
    found = {}
    for value in set(values):
        name = "" if key(value) in nothing else RULES[rule](value, spellings)
        if name is None and not others:
            row = list(values).index(value) + 1
            raise UsageError(
                f"{where}, row {row}: column '{column}' holds {value[:80]!r}, which is neither a class "
                f"({listed(label_names)}) nor declared as no answer: {AGAIN}"
            )
        found[value] = ids.get(name or "", -1)
    return np.array([found[value] for value in values], dtype=np.int64)
