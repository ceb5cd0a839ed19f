"""Columns of text from rows of objects: JSON, JSON Lines, Parquet and Excel all come down to these."""

from __future__ import annotations

import datetime
import decimal
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.errors import UsageError


def refuse_twice(path: Path, names: Sequence[str]) -> None:
    """Raise UsageError for a name that two columns have."""
    if twice := [name for at, name in enumerate(names) if name in names[:at]]:
        raise UsageError(f"{path} has two columns named '{twice[0]}': rename one")


def as_columns(path: Path, rows: Iterable[tuple[str, Any]]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The columns of (place, object) pairs as text, and the fields that hold no text: name -> where and what.

    A field that holds lists or objects alone is left out of the columns; where only some rows of a field do, these
    values are their JSON text. Raises UsageError for a row that is not an object.
    """
    rows = list(rows)
    names: dict[str, None] = {}
    for where, row in rows:
        if not isinstance(row, Mapping):
            raise UsageError(f"{path}, {where}: expected an object like {{'text': ..., 'label': ...}}")
        names.update(dict.fromkeys(row))
    columns, nested = {}, {}
    for name in names:
        values = [row.get(name) for _, row in rows]
        at = next((at for at, value in enumerate(values) if _is_nested(value)), None)
        if at is not None:
            nested[name] = f"{rows[at][0]}: field '{name}' holds a {type(values[at]).__name__}"
            if all(value is None or _is_nested(value) for value in values):
                continue
            values = [json.dumps(v, ensure_ascii=False, default=str) if _is_nested(v) else v for v in values]
        columns[name] = [as_string(value, path, where) for value, (where, _) in zip(values, rows, strict=True)]
    return columns, nested


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
    if isinstance(value, int | float | decimal.Decimal | datetime.date | datetime.time | datetime.timedelta):
        return str(value)
    raise UsageError(f"{path}, {where}: a field holds a {type(value).__name__}; only text and numbers are read")


def _is_nested(value: Any) -> bool:
    return isinstance(value, list | tuple | Mapping | bytes | set)
