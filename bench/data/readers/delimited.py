"""Rows of comma- and tab-separated text, where a stray quotation mark never swallows rows in silence.

Comma-separated files follow RFC 4180: a field that begins with a quote ends with one, and a quote inside it is
written twice. Text after a closing quote, a quote that is never closed, and a quoted field whose lines read as rows
of the file by themselves are refused with their row.

Tab-separated files are often written without any quoting (those of GLUE are), so a quote is data there unless it
encloses a whole field. A field may span lines only where these are not rows by themselves.
"""

from __future__ import annotations

import csv
import functools
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.core.errors import UsageError
from bench.data.readers.objects import refuse_twice

LONGEST_FIELD = 2**31 - 1
ENCLOSED = re.compile(r'"([^"]*(?:""[^"]*)*)"(?=\t|\r|\n|\Z)')
UNCLOSED = re.compile(r'"[^"]*(?:""[^"]*)*\Z')
QUOTES = re.compile(r'(?:^|\t)"[^"]*(?:""[^"]*)*"(?=[\t\r\n]|\Z)')
ENOUGH_LINES = 3
"""Lines inside a quoted field that have just as many fields as the header, in a row: no text looks like that."""


@dataclass
class _Found:
    """Rows without the header, the physical lines (from, to) of each, and what must be told about the reading."""

    header: list[str]
    rows: list[list[str]] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    literal: int = 0  # fields of a .tsv file that begin with a quote which does not enclose them


def parse_delimited(path: Path, text: str, delimiter: str) -> tuple[dict[str, list[str]], list[str]]:
    """The columns of a delimited file, and sentences on what is not as simple as one line per row.

    A row with a wrong number of fields is refused, never filled up. Raises UsageError naming row and line.
    """
    lines = list(io.StringIO(text, newline=""))
    found = (_comma_rows if delimiter == "," else _tab_rows)(path, lines)
    refuse_twice(path, found.header)
    if delimiter == ",":
        _refuse_swallowed_rows(path, lines, found)
    return dict(zip(found.header, _columns(found), strict=True)), _notes(path, found)


def _columns(found: _Found) -> list[list[str]]:
    return [list(column) for column in zip(*found.rows, strict=True)] or [[] for _ in found.header]


def _notes(path: Path, found: _Found) -> list[str]:
    used = sum(end - start for start, end in found.spans)
    several = sum(end - start > 1 for start, end in found.spans)
    blank = found.spans[-1][1] - 1 - used if found.spans else 0
    said = {
        f"rows that span several lines, inside quotes: {several} of {len(found.rows)} ({used} lines in all)": several,
        f"blank lines between rows, ignored: {blank}": blank,
        f"quotation marks that open a field but do not enclose it, read as text: {found.literal}": found.literal,
    }
    return [f"{path}: {what}" for what, count in said.items() if count]


def _refuse_header(path: Path, header: Sequence[str]) -> None:
    if not any(name.strip() for name in header):
        raise UsageError(f"{path} is empty: it needs a line with the column names and at least one row of data")
    if [*header] == ["sep=", ""]:
        raise UsageError(f"{path}: its first line, which begins with sep=, is only meant for Excel: remove it")


def refuse_another_delimiter(origin: str | Path, header: Sequence[str]) -> None:
    """Raise UsageError where the header is one field that looks like several with another delimiter."""
    if len(header) != 1 or not any(mark in header[0] for mark in ";\t|"):
        return
    way_out = "separate with commas, or with tabs in a .tsv"
    csv_file = re.fullmatch(r"(.*)\.csv(\.gz)?", Path(origin).name, re.IGNORECASE | re.DOTALL)
    if "\t" in header[0] and csv_file:
        way_out = f"its fields are separated by tabs: rename it to {csv_file[1]}.tsv{csv_file[2] or ''}"
    elif ";" in header[0]:
        way_out += "; Excel, which writes semicolons in many countries, can save it as .xlsx, which is read as well"
    raise UsageError(f"{origin}: only one column, '{header[0][:80]}'; {way_out}")


def _refuse_width(path: Path, row: int, line: int, fields: int, header: Sequence[str]) -> None:
    if fields != len(header):
        refuse_another_delimiter(path, header)
        raise UsageError(
            f"{path}, row {row}: {fields} fields where the header has {len(header)} (line {line}); "
            "quote fields that contain the delimiter, and close every quote"
        )


def _comma_rows(path: Path, lines: list[str]) -> _Found:
    csv.field_size_limit(LONGEST_FIELD)  # Python's own limit is 128 KiB
    reader = csv.reader(lines, strict=True)
    found, start = _Found([]), 0
    try:
        for row in reader:
            span, start = (start, reader.line_num), reader.line_num
            if not row:
                continue
            if not found.header:
                _refuse_header(path, row)
                if span[1] - span[0] > 1:
                    raise UsageError(f"{path}, line {span[0] + 1}: a quote in the header is not closed on its line")
                found.header = row
                continue
            _refuse_width(path, len(found.rows) + 1, span[0] + 1, len(row), found.header)
            found.rows.append(row)
            found.spans.append(span)
    except csv.Error as error:
        where = f"row {len(found.rows) + 1}" if found.header else "its header"
        opened = f"the quote that opens in line {start + 1}"
        if "unexpected end" in str(error):
            raise UsageError(f"{path}, {where}: {opened} is never closed") from None
        if "expected after" in str(error):
            raise UsageError(
                f"{path}, {where}, line {reader.line_num}: text follows a closing quote"
                f"{f' ({opened})' if reader.line_num > start + 1 else ''}: "
                f"{lines[reader.line_num - 1].strip()[:80]!r}; "
                'write a quote inside quotes twice (""), and remove stray ones'
            ) from None
        raise UsageError(f"{path}, {where}, is malformed: {error}") from None
    _refuse_header(path, found.header)
    return found


class _Tabbed:
    """What a tab-separated file as a whole says of its quotes, found when it is first asked for."""

    def __init__(self, lines: Sequence[str], width: int) -> None:
        self.lines, self.width = lines, width

    @functools.cached_property
    def enclosed(self) -> list[int]:
        """The lines with a field that is enclosed in quotes."""
        return [at for at, line in enumerate(self.lines) if at and QUOTES.search(line)]

    @functools.cached_property
    def columns(self) -> list[_Column]:
        """What the columns hold in the rows without any quote."""
        rows = [line.rstrip("\r\n").split("\t") for line in self.lines[1:] if '"' not in line]
        columns = list(zip(*(row for row in rows if len(row) == self.width), strict=True)) or [()] * self.width
        return [_Column(column) for column in columns]


def _tab_rows(path: Path, lines: list[str]) -> _Found:
    filled = [at for at, line in enumerate(lines) if line.strip("\r\n")]
    if not filled:
        _refuse_header(path, [])
    found = _Found(_tab_fields(lines[filled[0]].rstrip("\r\n"))[0])
    _refuse_header(path, found.header)
    width, at = len(found.header), filled[0] + 1
    whole = _Tabbed(lines, width)
    while at < len(lines):
        line = lines[at].rstrip("\r\n")
        if not line:
            at += 1
            continue
        fields, end = line.split("\t"), at + 1
        if '"' in line:
            fields, end = _with_quotes(path, whole, at, len(found.rows) + 1)
            # an enclosing quote is gone by now, but for texts that begin and end with a quoted quote
            found.literal += sum(f.startswith('"') and f in line and not ENCLOSED.fullmatch(f) for f in fields)
        _refuse_width(path, len(found.rows) + 1, at + 1, len(fields), found.header)
        found.rows.append(fields)
        found.spans.append((at, end))
        at = end
    return found


def _with_quotes(path: Path, whole: _Tabbed, at: int, row: int) -> tuple[list[str], int]:
    """The fields of the row that begins in line `at`, and the line after its last one."""
    lines, width = whole.lines, whole.width
    alone = lines[at].rstrip("\r\n")
    plain = alone.split("\t")
    fields, column = _tab_fields(alone)
    if column is None or width == 1:
        return (fields if len(fields) == width else plain), at + 1
    end, logical, opens = at + 1, lines[at], True
    while opens and len(fields) <= width:  # the row goes on to where its quote closes
        more = next((n for n in range(end, len(lines)) if '"' in lines[n]), None)
        if more is None:
            return plain, at + 1
        logical += "".join(lines[end : more + 1])
        end = more + 1
        fields, still = _tab_fields(logical.rstrip("\r\n"))
        opens = still is not None
    if len(fields) != width:
        return plain, at + 1
    split = [line.rstrip("\r\n").split("\t") for line in lines[at:end]]
    filled = [line for line in split if line != [""]]
    if all(len(line) == width for line in filled):
        # a text with tabs and line breaks that fit by chance is only to be thought of where the file quotes its fields
        quotes = any(not at <= line < end for line in whole.enclosed)
        if not quotes or _reads_as_rows(filled, column, whole.columns):
            return plain, at + 1
    elif not any(len(line) == width for line in filled[1:-1]):
        return fields, end
    raise UsageError(
        f"{path}, row {row}: a quote that opens in line {at + 1} closes in line {end}: either these lines are one "
        "row, or they are rows with stray quotes; remove the quotes, or save texts of several lines as JSONL"
    )


def _tab_fields(text: str) -> tuple[list[str], int | None]:
    """Fields of one logical line, and the first that opens with a quote which is not closed in the text."""
    fields, at, opens = [], 0, None
    while True:
        if enclosed := ENCLOSED.match(text, at):
            fields.append(enclosed[1].replace('""', '"'))
            at = enclosed.end()
        else:
            end = text.find("\t", at)
            end = len(text) if end < 0 else end
            if opens is None and UNCLOSED.match(text, at):
                opens = len(fields)
            fields.append(text[at:end])
            at = end
        if at >= len(text):
            return fields, opens
        at += 1


def _refuse_swallowed_rows(path: Path, lines: Sequence[str], found: _Found) -> None:
    """Raise UsageError for a quoted field that spans lines which read as rows by themselves."""
    columns: list[_Column] = []
    quotes = False
    for number, (row, (start, end)) in enumerate(zip(found.rows, found.spans, strict=True), 1):
        if end - start == 1 or len(row) == 1:
            continue
        if not columns:
            columns = [_Column(column) for column in _columns(found)]
            # where other fields are quoted as they must be, prose that looks like a row is prose
            quotes = any(e - s == 1 and "," in "".join(r) for r, (s, e) in zip(found.rows, found.spans, strict=True))
        at = next(at for at, value in enumerate(row) if "\n" in value or "\r" in value)
        if _reads_as_rows([line.rstrip("\r\n").split(",") for line in lines[start:end]], at, columns, not quotes):
            raise UsageError(
                f"{path}, row {number}: a quote that opens in line {start + 1} closes in line {end}: that makes "
                f"these lines one row, but they look like {end - start} separate rows; remove the stray quotes, or "
                "save a text that really spans these lines as JSONL"
            )


def _reads_as_rows(lines: list[list[str]], at: int, columns: Sequence[_Column], by_looks: bool = True) -> bool:
    """Whether the lines of a quoted field in column `at` are rows: wide enough, with values that `columns` have, or
    `by_looks` with values like theirs.

    The values of the first line that stand before the field, and those of the last that stand after it, are the row's
    own in either reading: they tell nothing.
    """
    width, inner = len(columns), [line for line in lines[1:-1] if line != [""]]
    if any(len(line) < width for line in (inner or lines)):
        return False
    if width > 2 and len(inner) >= ENOUGH_LINES and all(len(line) == width for line in inner):
        return True
    before, after = list(range(at)), list(range(at + 1, width))
    told = [(lines[0], after), *((line, before + after) for line in inner), (lines[-1], before)]
    # from the left up to the field, from the right after it: a text may hold delimiters
    values = [(c, line[c if c < at else c - width]) for line, cs in told if len(line) >= width for c in cs]
    if any(value.strip() in columns[c].repeated for c, value in values):
        return True
    if not by_looks:
        return False
    filled = [(c, value) for c, value in values if value]
    exact = all(len(line) == width for line in (lines[0], *inner, lines[-1]))
    return exact and bool(filled) and all(columns[c].looks_like(value) for c, value in filled)


class _Column:
    """What the values of a column are like."""

    def __init__(self, values: Sequence[str]) -> None:
        found = {value.strip() for value in values}
        # none where every row has its own, as ids and texts have
        self.repeated = set() if len(found) == len(values) > ENOUGH_LINES else found - {""}
        self.longest = max(map(len, found), default=0)
        self.spaced = any(" " in value for value in found)
        self.lettered = {any(map(str.isalpha, value)) for value in found - {""}}

    def looks_like(self, value: str) -> bool:
        """Whether a value is about as long as others, of one word or several, and of letters or not, as they are."""
        return (
            value == value.strip()
            and len(value) <= 4 + 2 * self.longest
            and (" " not in value or self.spaced)
            and any(map(str.isalpha, value)) in self.lettered
        )
