"""Read a table of strings from CSV, TSV, JSONL or JSON, with one clear error for each thing that can be wrong."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.csv

from bench.core.errors import UsageError

__all__ = ["Table", "decode", "load_json", "read_table"]

FORMATS = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json")


@dataclass(frozen=True)
class Table:
    """A table as text: every value a string, "" where nothing is given (or null, or not a number)."""

    path: Path
    columns: dict[str, list[str]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def column(self, name: str) -> list[str]:
        """The values of a column. Raises UsageError naming the columns that there are."""
        if name not in self.columns:
            raise UsageError(f"{self.path} has no column '{name}'; it has: {', '.join(self.columns) or 'none'}")
        return self.columns[name]


def read_table(path: Path, *, header_rows: int = 1, allow_empty: bool = False) -> Table:
    """The table in a file; the format follows from its ending.

    `header_rows` > 1 skips rows of types and flags below the names (Orange's .tab). Raises UsageError.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise UsageError(f"{path}: unknown kind of file '{kind}'; give one of {', '.join(FORMATS)}, or a folder")
    text = decode(path)
    if kind in (".csv", ".tsv", ".tab"):
        table = Table(path, _parse_delimited(path, text, "," if kind == ".csv" else "\t"))
    else:
        table = Table(path, _parse_objects(path, text, lines=kind != ".json"))
    if header_rows > 1:
        table = Table(path, {name: values[header_rows - 1 :] for name, values in table.columns.items()})
    if not len(table) and not allow_empty:
        raise UsageError(f"{path} is empty: it needs at least one row of data")
    return table


def decode(path: Path) -> str:
    """The file as text. UTF-8 only, a byte order mark is dropped; UsageError names the line of a wrong byte."""
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{path}, line {line}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8 "
            f"(for example: iconv -f latin1 -t utf-8)"
        ) from None


def load_json(path: Path, text: str | None = None) -> Any:
    """Parse a JSON file; objects with one key twice are refused. Raises UsageError naming line and column."""
    text = decode(path) if text is None else text
    if not text.strip():
        raise UsageError(f"{path} is empty: it needs at least one row of data")
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _no_duplicates(path, pairs))
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}, line {error.lineno}, column {error.colno}: malformed JSON: {error.msg}") from None
    except RecursionError:
        raise UsageError(f"{path}: malformed JSON: nested too deeply") from None


def _no_duplicates(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise UsageError(f"{path}: duplicate id or field '{twice}': every one may be there once")
    return content


def _parse_delimited(path: Path, text: str, delimiter: str) -> dict[str, list[str]]:
    """Columns of a delimited file. A row with a wrong number of fields is refused, never filled up."""
    try:
        header = next(csv.reader(io.StringIO(text[:100_000]), delimiter=delimiter), [])
    except csv.Error as error:
        raise UsageError(f"{path} is malformed, in its header: {error}") from None
    if not any(name.strip() for name in header):
        raise UsageError(f"{path} is empty: it needs a line with the column names and at least one row of data")
    twice = [name for at, name in enumerate(header) if name in header[:at]]
    if twice:
        raise UsageError(f"{path} has two columns named '{twice[0]}': rename one")
    raw = text.encode("utf-8", "surrogatepass")
    wrong: list[tuple[int, int]] = []

    def note_wrong_row(row: pyarrow.csv.InvalidRow) -> str:
        wrong.append((row.number or 0, row.actual_columns))
        return "error"

    try:
        content = pyarrow.csv.read_csv(
            pyarrow.BufferReader(raw),
            # one block: a quoted field of any length is then whole, and rows keep their numbers
            read_options=pyarrow.csv.ReadOptions(block_size=max(len(raw) + 1, 1 << 16), use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note_wrong_row
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(header, pyarrow.string()), strings_can_be_null=False
            ),
        )
    except pyarrow.ArrowInvalid as error:
        if wrong:
            row, fields = wrong[0]
            raise UsageError(
                f"{path}, row {row - 1}: {fields} fields where the header has {len(header)}; "
                "quote fields that hold the delimiter, and close every quote"
            ) from None
        raise UsageError(f"{path} is malformed: {str(error)[:200]}") from None
    return {name: content.column(name).to_pylist() for name in header}


def _parse_objects(path: Path, text: str, *, lines: bool) -> dict[str, list[str]]:
    """Columns of JSON Lines, or of a JSON list of objects."""
    if lines:
        rows = []
        # only \n ends a line: other Unicode line breaks may stand inside a string
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                rows.append((f"line {number}", json.loads(line)))
            except json.JSONDecodeError as error:
                raise UsageError(f"{path}, line {number}, column {error.colno}: malformed JSON: {error.msg}") from None
            except RecursionError:
                raise UsageError(f"{path}, line {number}: malformed JSON: nested too deeply") from None
    else:
        content = load_json(path, text)
        if not isinstance(content, list):
            raise UsageError(f"{path}: expected a list of objects; a WRENCH file is read through its folder")
        rows = [(f"row {number}", row) for number, row in enumerate(content, 1)]
    names: dict[str, None] = {}
    for where, row in rows:
        if not isinstance(row, dict):
            raise UsageError(f"{path}, {where}: expected an object like {{'text': ..., 'label': ...}}")
        names.update(dict.fromkeys(row))
    return {name: [as_string(row.get(name), path, where) for where, row in rows] for name in names}


def as_string(value: Any, path: Path, where: str) -> str:
    """A JSON scalar as text; null and NaN become "". Raises UsageError for lists and objects."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    raise UsageError(f"{path}, {where}: a field holds a {type(value).__name__}; only text and numbers are read")
