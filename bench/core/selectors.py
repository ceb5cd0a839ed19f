"""The selector language: comma lists of `name[parameter=value,...]+wrapper`, the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from bench.core.errors import UsageError

_OPEN, _CLOSE = "[(", "])"
NOT_YAML = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError)
"""What `yaml.safe_load` raises for text that is no YAML, or holds an impossible date or number."""
_NAME = re.compile(r"^[^\[\]()=]+$")


@dataclass(frozen=True)
class Selector:
    """One selected thing with its parameters and the wrappers around it (`plain+ts` -> `("ts",)`)."""

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    wrappers: tuple[str, ...] = ()


def split_list(text: str | Iterable[Any]) -> list[str]:
    """The parts of a comma list, not split within brackets; a list is taken as it is. Empty parts are refused."""
    if not isinstance(text, str):
        return [part for item in text for part in split_list(str(item))]
    parts, depth, current = [], 0, ""
    for character in text:
        depth += (character in _OPEN) - (character in _CLOSE)
        if depth < 0:
            raise UsageError(f"'{text}': a closing bracket without an opening one")
        if character == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += character
    if depth:
        raise UsageError(f"'{text}': a bracket is not closed")
    parts.append(current.strip())
    if "" in parts:
        raise UsageError(f"'{text}': an empty entry in a comma list")
    return parts


def parse(text: str) -> Selector:
    """A selector from its text. Raises UsageError naming what is malformed."""
    body, bracket, rest = text.partition("[")
    if bracket:
        inside, closing, tail = rest.rpartition("]")
        if not closing:
            raise UsageError(f"'{text}': the bracket after '{body}' is not closed")
        if tail and not tail.startswith("+"):
            raise UsageError(f"'{text}': unexpected '{tail}' after the bracket")
        name, wrappers = body.strip(), tail
        parameters = _parameters(text, inside)
    else:
        is_file = ".py" in body
        cut = body.find("+", body.rfind(".py")) if is_file else body.find("+")
        name, wrappers = (body, "") if cut < 0 else (body[:cut], body[cut:])
        parameters = {}
    if not name.strip() or not _NAME.match(name):
        raise UsageError(f"'{text}': no name before the brackets; write name or name[parameter=value]")
    around = tuple(part.strip() for part in wrappers.split("+")[1:])
    if "" in around:
        raise UsageError(f"'{text}': no wrapper after '+'")
    return Selector(name.strip(), parameters, around)


def _parameters(text: str, inside: str) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for part in split_list(inside) if inside.strip() else []:
        key, equals, value = part.partition("=")
        key = key.strip()
        if not equals or not key.isidentifier():
            raise UsageError(f"'{text}': '{part}' is not parameter=value")
        if key in parameters:
            raise UsageError(f"'{text}': parameter '{key}' is given twice")
        try:
            parameters[key] = yaml.safe_load(value)
        except NOT_YAML:
            raise UsageError(f"'{text}': the value of '{key}' cannot be read: {value.strip()!r}") from None
    return parameters
