"""CSV files that people open in a spreadsheet: a cell of text never becomes a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def safe_cell(value: Any) -> Any:
    """A value as a CSV cell: text that a spreadsheet would run gets an apostrophe in front; numbers stay."""
    if not isinstance(value, str) or not value.lstrip(" ").startswith(STARTS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def csv_bytes(columns: Mapping[str, Sequence[Any]], as_they_are: Sequence[str] = ()) -> bytes:
    """Columns of equal length as CSV in UTF-8; those of `as_they_are` are not made safe. Raises ValueError."""
    text = io.StringIO(newline="")
    plain = csv.writer(text, lineterminator="\n")
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)  # csv leaves a bare \r unquoted
    heads = [name if name in as_they_are else safe_cell(name) for name in columns]
    cells = [values if name in as_they_are else map(safe_cell, values) for name, values in columns.items()]
    for row in (heads, *zip(*cells, strict=True)):
        (quoted if any(isinstance(cell, str) and "\r" in cell for cell in row) else plain).writerow(row)
    return text.getvalue().encode("utf-8", "surrogatepass")


def frame_csv(frame: pd.DataFrame) -> bytes:
    """A table of results as CSV in UTF-8, its names and cells of text made safe; NaN is empty."""
    texts = frame.select_dtypes(exclude=["number", "bool", "datetime"])
    safe = frame.assign(**{name: values.astype(object).map(safe_cell) for name, values in texts.items()})
    return safe.rename(columns=safe_cell).to_csv(index=False).encode("utf-8", "surrogatepass")


def write_csv(path: Path, columns: Mapping[str, Sequence[Any]], as_they_are: Sequence[str] = ()) -> None:
    """Write `csv_bytes`: a whole file, the one that a link leads to; or into a pipe. Raises OSError, ValueError."""
    content = csv_bytes(columns, as_they_are)
    if path.exists() and not path.is_file():
        path.write_bytes(content)
    else:
        write_atomically(path.resolve(), content)
