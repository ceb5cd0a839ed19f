"""In what two runs of a method differ."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from methods.base import Predictions


def differing(a: list[Predictions], b: list[Predictions]) -> str:
    """The fields of `Predictions` in which two runs differ, by any bit of any step (NaN equals NaN); empty: none."""
    if len(a) != len(b):
        return "number of steps"
    names = [field.name for field in dataclasses.fields(Predictions)]
    pairs = list(zip(a, b, strict=True))
    return ", ".join(n for n in names if not all(_equal(getattr(x, n), getattr(y, n)) for x, y in pairs))


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other, equal_nan=True)
    return _as_text(one) == _as_text(other)


def _as_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def unequal(a: list[Predictions], b: list[Predictions]) -> list[str]:
    """The names of the diagnostics in which two runs differ."""
    first, second = (
        {(i, k, _as_text(v)) for i, step in enumerate(run) for k, v in step.diagnostics.items()} for run in (a, b)
    )
    return sorted({name for _, name, _ in first ^ second})


def changed_between(a: list[Predictions], b: list[Predictions], again: Callable[[], list[Predictions]]) -> str:
    """What differs between two runs, but for diagnostics that a run equal to `a` changes as well."""
    if (found := differing(a, b)).endswith("diagnostics"):
        unsteady = unequal(a, again())
        a, b = ([_without(step, unsteady) for step in run] for run in (a, b))
        found = differing(a, b)
    if found == "diagnostics":
        return f"diagnostics ({', '.join(unequal(a, b))})"
    return found and f"predictions ({found})"


def _without(step: Predictions, names: list[str]) -> Predictions:
    kept = {name: value for name, value in step.diagnostics.items() if name not in names}
    return dataclasses.replace(step, diagnostics=kept)
