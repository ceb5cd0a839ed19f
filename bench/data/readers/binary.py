"""Rows of files that are not text: Parquet, and Excel workbooks."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.core.errors import UsageError
from bench.data.readers.objects import refuse_twice


def parquet_rows(path: Path, raw: bytes) -> list[tuple[str, dict[str, Any]]]:
    """(place, values) of every row; the index that pandas stores is left out. Raises UsageError."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(raw))
        names = table.column_names
        refuse_twice(path, names)
        rows = table.select([name for name in names if not re.fullmatch(r"__index_level_\d+__", name)]).to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise UsageError(f"{path} is not a readable Parquet file: {' '.join(str(error).split())[:200]}") from None
    return [(f"row {number}", row) for number, row in enumerate(rows, 1)]


def excel_rows(path: Path, raw: bytes) -> list[tuple[str, dict[str, Any]]]:
    """(place, values) of every row of the workbook's one sheet with data; the first row holds the names.

    Raises UsageError for several sheets with data, for merged cells, for a formula without its value, for an error
    value (#N/A), and for a column without a name.
    """
    import openpyxl

    try:
        values = openpyxl.load_workbook(io.BytesIO(raw), data_only=True)
        formulas = openpyxl.load_workbook(io.BytesIO(raw))
    except Exception as error:  # openpyxl raises whatever its parsers raise
        raise UsageError(
            f"{path} is not a readable Excel workbook: {type(error).__name__}: {str(error)[:200]}"
        ) from None
    full = [sheet for sheet in values.worksheets if any(any(v is not None for v in row) for row in sheet.values)]
    if len(full) > 1:
        raise UsageError(
            f"{path} has {len(full)} sheets with data ({', '.join(s.title for s in full)}): keep one of them"
        )
    if not full:
        return []
    sheet = full[0]
    if sheet.merged_cells.ranges:
        raise UsageError(
            f"{path}, sheet {sheet.title}: cells {min(map(str, sheet.merged_cells.ranges))} are merged: split them"
        )
    for row in formulas[sheet.title].iter_rows():
        for cell in row:
            shown = sheet[cell.coordinate]
            if cell.data_type == "f" and shown.value is None:
                raise UsageError(
                    f"{path}, cell {cell.coordinate}: a formula without a stored value: save the file in Excel again"
                )
            if shown.data_type == "e":
                raise UsageError(f"{path}, cell {cell.coordinate} holds the error {shown.value}: correct it")
    return list(_rows_of(path, sheet))


def _rows_of(path: Path, sheet) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = [(n, row) for n, row in enumerate(sheet.iter_rows(values_only=True), 1) if any(v is not None for v in row)]
    (first, head), *rest = rows
    names = ["" if name is None else str(name) for name in head]
    used = [at for at, name in enumerate(names) if name or any(row[at] is not None for _, row in rest)]
    for at in used:
        if not names[at].strip():
            raise UsageError(f"{path}, row {first}: column {at + 1} has values but no name: name it in its first cell")
    refuse_twice(path, [names[at] for at in used])
    for number, row in rest:
        yield f"row {number - first}", {names[at]: row[at] for at in used}
