"""The parts of an answer that a model marks as the answer: fields of JSON, <answer> tags, \\boxed{}."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_BESIDE = re.compile(r"reason|explanation|rationale|confidence|probability|text|thought|analysis|justification|note|id")
_SCALES = re.compile(r"score|rating")
_PAIR = re.compile(r"""["']([^"'\n]{1,40})["']\s*:\s*(?:"([^"\n]*)"|'([^'\n]*)'|(-?\w[\w.-]*))""")
_TAGS = re.compile(
    r"<(answer|label|final|final[_ ]answer|response|result|solution|category)>(.*?)(?:</\1>|\Z)"
    r"|\\boxed\{\s*(?:\\\w+\{)?([^{}]*)\}",
    re.DOTALL | re.IGNORECASE,
)


_NEXT = re.compile(r"(?:\s|```\w*)*(\{)")
"""An object right after another."""


class _Object(list):
    """The (key, value) pairs of a JSON object; a key that comes twice is twice there."""


def inside_tags(text: str) -> str | None:
    """What stands between answer tags, one line each; None where there are none."""
    found = [match[2] or match[3] or "" for match in _TAGS.finditer(text)]
    return "\n".join(found) if found else None


def json_statements(text: str, noun: re.Pattern) -> list[str] | None:
    """What a JSON value in `text` gives as the label; None without JSON.

    Of an object: the fields whose name has a noun such as "label" in it (a score or rating only where there is no
    other), else its one field that is not a reason or the like. Damaged or unfinished objects are read field by field.
    """
    inside = inside_tags(text)
    text = text if inside is None else inside
    start = re.search(r"^[ \t]*(?:```\w*[ \t]*)?([\[{])|(?<=:) ?(\{)", text, re.MULTILINE)
    if start is None:
        return None
    at = start.start(1) if start[1] else start.start(2)
    try:
        content, end = json.JSONDecoder(object_pairs_hook=_Object).raw_decode(text, at)
    except (ValueError, RecursionError):
        pairs = [(m[1], next((part for part in m.groups()[1:] if part is not None), "")) for m in _PAIR.finditer(text)]
        content, end = _Object(pairs), len(text)
    if text[at] == "[" and text[end:].strip(" \n`"):
        return None  # "[1] is what I would say"
    statements = list(_statements(content, noun))
    while (more := _NEXT.match(text, end)) is not None:  # a model that corrects itself writes it again
        try:
            further, end = json.JSONDecoder(object_pairs_hook=_Object).raw_decode(text, more.start(1))
        except (ValueError, RecursionError):
            break
        if {key for key, _ in further} & {each[0] for each in content if isinstance(each, tuple)}:
            statements += _statements(further, noun)
    opens = not text[:at].strip(" \n`json")
    return statements if statements or (opens and content) else None


def _statements(content: Any, noun: re.Pattern) -> Iterator[str]:
    if isinstance(content, _Object):
        named = [(key.lower().replace("_", " "), value) for key, value in content]
        labels = [(key, value) for key, value in named if noun.search(key) and not _BESIDE.search(key)]
        chosen = [pair for pair in labels if not _SCALES.search(pair[0])] or labels
        if not chosen:
            beside = [pair for pair in named if not _BESIDE.search(pair[0])]
            chosen = beside if len({key for key, _ in beside}) == 1 else []
        for _, value in chosen:
            yield from _statements(value, noun)
    elif isinstance(content, list):
        for item in content:
            yield from _statements(item, noun)
    elif content is not None:
        yield str(content).lower() if isinstance(content, bool) else str(content)
