"""The selector language: comma lists of `name[parameter=value,...]+wrapper`, the same everywhere.

A name that could be misread (of a column, or of a file) is put in double quotes, a quote inside them written twice:
`"a,b"`. In quotes a name is itself alone: never the beginning of one, a list, an ensemble or a noise.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.core.errors import UsageError
from bench.core.plain_yaml import NOT_YAML, load_values

_OPEN, _CLOSE = "[(", "])"
_NAME = re.compile(r"^[^\[\]()=]+$")
_QUOTE = re.compile(r'"[^"]*(?:""[^"]*)*"')
_QUOTED = re.compile(rf"\A{_QUOTE.pattern}\Z")
_SAFE = re.compile(r"\A(?!\s)(?!all\Z)[^,\[\]()\"]+(?<!\s)\Z")


@dataclass(frozen=True)
class Selector:
    """One selected thing with its parameters and the wrappers around it (`plain+ts` -> `("ts",)`)."""

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    wrappers: tuple[str, ...] = ()


def quoted(name: str) -> str:
    """A name in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def listed(name: str) -> str:
    """A name as it stands in a comma list: in quotes where it would be misread without."""
    return name if _SAFE.match(name) else quoted(name)


def unquoted(part: str) -> tuple[str, bool]:
    """The name that a part of a comma list stands for, and whether it was in quotes."""
    if not _QUOTED.match(part):
        return part, False
    return part[1:-1].replace('""', '"'), True


def split_list(text: str | Iterable[Any]) -> list[str]:
    """The parts of a comma list, not split within brackets or quotes; each item of a list is split as well.

    Quotes stay where they are (see `unquoted`). Empty parts are refused.
    """
    if not isinstance(text, str):
        return [part for item in text for part in split_list(str(item))]
    parts, depth, current, at = [], 0, "", 0
    first = True  # whether a name begins here: only there is a quotation mark one
    while at < len(text):
        character = text[at]
        if character == '"' and first:
            first = False
            if not (name := _QUOTE.match(text, at)):
                raise UsageError(f"'{text}': a quote is not closed")
            current += name[0]
            at = name.end()
            continue
        at += 1
        first = character in ",(" or (first and character.isspace())
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


def there(path: str | Path) -> bool:
    """Whether a file or folder of this name exists."""
    try:
        return bool(str(path)) and Path(path).exists()
    except (OSError, ValueError):  # a name that is too long for any file, a folder that may not be looked into
        return False


def parse(text: str) -> Selector:
    """A selector from its text. Raises UsageError naming what is malformed."""
    if file := _QUOTE.match(text):
        named, rest = unquoted(file[0])[0], text[file.end() :]
        if not named or rest[:1] not in ("", "[", "+"):
            raise UsageError(f"{text}: after a name in quotes comes [parameter=value], +wrapper or nothing")
        return replace(parse(f"{re.sub(r'[^A-Za-z0-9]', '_', named)}{rest}"), name=named)
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
            parameters[key] = load_values(value)
        except NOT_YAML:
            raise UsageError(f"'{text}': the value of '{key}' cannot be read: {value.strip()!r}") from None
    return parameters


def shell_word(word: str) -> str:
    """A word as a shell reads it back; control characters, which a terminal would change, as bash escapes them."""
    if word.isprintable():
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + "'"


def shell_words(command: str) -> list[str]:
    """The words of a command line whose words `shell_word` wrote. Raises ValueError where a quote is left open."""

    def plain(part: re.Match) -> str:
        if part[1] is None:  # in quotes already
            return part[0]
        return shlex.quote(re.sub(r"\\(?:U([0-9a-f]{8})|(.))", lambda it: it[2] or chr(int(it[1], 16)), part[1]))

    return shlex.split(re.sub(r"""'[^']*'|"[^"]*"|\$'((?:[^'\\]|\\.)*)'""", plain, command))
