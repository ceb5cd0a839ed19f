"""CSV files that people open in a spreadsheet: a cell of text never becomes a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

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
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([name if name in as_they_are else safe_cell(name) for name in columns])
    cells = [values if name in as_they_are else map(safe_cell, values) for name, values in columns.items()]
    writer.writerows(zip(*cells, strict=True))
    return text.getvalue().encode("utf-8", "surrogatepass")
