"""Read a table of strings from CSV, TSV, JSONL, JSON, Parquet or Excel, with one clear error for each wrong thing."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core.errors import UsageError
from bench.core.files import ZIP_START
from bench.data.readers.binary import excel_rows, parquet_rows
from bench.data.readers.delimited import parse_delimited
from bench.data.readers.objects import as_columns

TEXT_FORMATS = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json")
FORMATS = (*TEXT_FORMATS, *(f"{kind}.gz" for kind in TEXT_FORMATS), ".parquet", ".xlsx")
BOMS = {
    b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table as text: every value a string, "" where nothing is given (or null, or not a number)."""

    path: Path
    columns: dict[str, list[str]]
    nested: Mapping[str, str] = field(default_factory=dict)  # fields with lists or objects: where, and of what kind
    notes: tuple[str, ...] = ()  # what was left out or read in a way that is not plain, for people

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def column(self, name: str) -> list[str]:
        """The values of a column. Raises UsageError naming the columns that there are."""
        self.refuse_nested([name])
        if name not in self.columns:
            raise UsageError(f"{self.path} has no column '{name}'; it has: {', '.join(self.columns) or 'none'}")
        return self.columns[name]

    def refuse_nested(self, names: Iterable[str]) -> None:
        """Raise UsageError if one of these fields, which are needed, holds a list or an object."""
        for name in names:
            if name in self.nested:
                raise UsageError(f"{self.path}, {self.nested[name]}; only text and numbers are read")


def ending(path: Path) -> str:
    """The ending of a file name that says its format, in lower case: ".csv", ".jsonl.gz"."""
    last = path.suffix.lower()
    return path.with_suffix("").suffix.lower() + last if last == ".gz" else last


def read_table(path: Path, *, header_rows: int = 1, allow_empty: bool = False) -> Table:
    """The table in a file; the format follows from its ending.

    `header_rows` > 1 skips rows of types and flags below the names (Orange's .tab). Raises UsageError.
    """
    path = Path(path)
    kind = ending(path)
    if kind not in FORMATS:
        raise UsageError(
            f"{path}: unknown kind of file '{kind}'; give one of {', '.join(TEXT_FORMATS)} (or these with .gz), "
            ".parquet, .xlsx, or a folder"
        )
    nested: dict[str, str] = {}
    notes: list[str] = []
    kind = kind.removesuffix(".gz")
    if kind in (".csv", ".tsv", ".tab"):
        columns, notes = parse_delimited(path, _lines(path), "," if kind == ".csv" else "\t")
    elif kind in (".parquet", ".xlsx"):
        columns, nested = as_columns(path, (parquet_rows if kind == ".parquet" else excel_rows)(path, _content(path)))
    else:
        columns, nested = as_columns(path, (_json_rows if kind == ".json" else _json_lines)(path))
    if nested:
        dropped = [f"'{name}'" for name in nested if name not in columns]
        mixed = [f"'{name}'" for name in nested if name in columns]
        notes += [f"{path}: {', '.join(dropped)} left out: lists and objects are not read"] if dropped else []
        notes += [f"{path}: lists and objects in {', '.join(mixed)} are read as their JSON text"] if mixed else []
    if header_rows > 1:
        columns = {name: values[header_rows - 1 :] for name, values in columns.items()}
    table = Table(path, columns, nested, tuple(notes))
    if not len(table) and not nested and not allow_empty:
        raise UsageError(f"{path} is empty: it needs at least one row of data")
    return table


def _content(path: Path) -> bytes:
    try:
        raw = Path(path).read_bytes()
        return gzip.decompress(raw) if Path(path).suffix.lower() == ".gz" else raw
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UsageError(f"{path} is not a complete gzip file: {error}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def decode(path: Path) -> str:
    """The file as text. UTF-8 only, a byte order mark is dropped; UsageError names the line of a wrong byte."""
    raw = _content(path)
    _refuse_workbook(path, raw)
    name = next((name for mark, name in BOMS.items() if raw.startswith(mark)), None)
    if name is None and raw[:1000].count(0) > len(raw[:1000]) // 4:
        name = "UTF-16"
    if name is not None:
        raise UsageError(f"{path} is {name}; save the file as UTF-8 (for example: iconv -f {name.lower()} -t utf-8)")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{path}, line {line}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8 "
            f"(for example: iconv -f windows-1252 -t utf-8)"
        ) from None


def _refuse_workbook(path: Path, raw: bytes) -> None:
    """Raise UsageError for what only is named like text: an Excel workbook, or another archive."""
    named = path.name[: -len(ending(path))]
    if raw.startswith(ZIP_START):
        if b"xl/workbook" in raw:
            raise UsageError(f"{path} is an Excel workbook: rename it to {named}.xlsx")
        raise UsageError(f"{path} is a zip archive, not text: unpack it and name the table in it")
    if raw.startswith(b"\xd0\xcf\x11\xe0"):
        raise UsageError(f"{path} is an old Excel workbook (.xls): save it in Excel as .xlsx, or as CSV in UTF-8")


def _lines(path: Path) -> str:
    """The text of a file that is read line by line."""
    text = decode(path)
    if "\n" not in text and "\r" in text.rstrip("\r"):
        raise UsageError(
            f"{path} ends its lines with CR alone, as old Macs did; save it with LF (for example: tr '\\r' '\\n')"
        )
    return text


def load_json(path: Path) -> Any:
    """Parse a JSON file; objects with one key twice are refused. Raises UsageError naming line and column."""
    text = decode(path)
    if not text.strip():
        raise UsageError(f"{path} is empty: it needs at least one row of data")
    return _load(path, text)


def _load(path: Path, text: str, line: int | None = None) -> Any:
    """A JSON document, which is line `line` of the file, or None if it is all of it."""
    where = f"{path}, line {line}" if line else str(path)
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _no_duplicates(where, pairs))
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{path}, line {line or error.lineno}, column {error.colno}: malformed JSON: {error.msg}"
        ) from None
    except ValueError as error:  # a number of thousands of digits
        raise UsageError(f"{where}: malformed JSON: {error}") from None
    except RecursionError:
        raise UsageError(f"{where}: malformed JSON: nested too deeply") from None


def _no_duplicates(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise UsageError(f"{where}: duplicate id or field '{twice}': each must be unique")
    return content


def _json_lines(path: Path) -> list[tuple[str, Any]]:
    # only \n ends a line: other Unicode line breaks may stand inside a string
    filled = ((number, line) for number, line in enumerate(_lines(path).split("\n"), 1) if line.strip())
    return [(f"line {number}", _load(path, line, number)) for number, line in filled]


def _json_rows(path: Path) -> list[tuple[str, Any]]:
    content = load_json(path)
    if not isinstance(content, list):
        raise UsageError(f"{path}: expected a list of objects; a WRENCH file is read through its folder")
    return [(f"row {number}", row) for number, row in enumerate(content, 1)]
