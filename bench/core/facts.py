"""Small facts for a record, which is JSON: from texts to numbers, texts, lists or dicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from bench.core.errors import shown


def wrong_shape(facts: Any) -> str:
    """Why these are not facts by name; "" if they are, whatever the values."""
    if not isinstance(facts, Mapping):
        return f"{kind(facts)}, expected a mapping such as a dict"
    return next((f"the key {shown(key)} is not a text (str)" for key in facts if not isinstance(key, str)), "")


def unfit(facts: Any) -> str:
    """Why a record cannot hold these facts; "" if it can."""
    if wrong := wrong_shape(facts):
        return wrong
    for name, value in facts.items():
        try:
            to_json(value)
        except ValueError:
            return (
                f"'{name}' = {shown(value)} ({kind(value)}) cannot be kept in a record, which is JSON: "
                "give numbers, texts, lists or dicts (of numpy and torch, value.item() or value.tolist())"
            )
    return ""


def kind(value: Any) -> str:
    """The type of a value, with its module where that is not Python's own: `numpy.float32`."""
    of = type(value)
    return of.__qualname__ if of.__module__ == "builtins" else f"{of.__module__}.{of.__qualname__}"
