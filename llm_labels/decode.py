"""A chat model's answer to a class id, or -1 for "no answer". Nothing is guessed.

`strict` (default): the first line that holds a word, freed of markdown, must be a label or name exactly one, by its
code, name or alias, as whole words. A line that denies a label ("not CE") or names two gives no answer.
`official`: what the authors of SiDyP do (src/llm): the first word if it is a label, else the third.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

from bench.core.errors import UsageError
from llm_labels.prompts import Label

__all__ = ["DECODERS", "Decoder", "decode", "decode_official", "decode_strict"]

Decoder = Literal["strict", "official"]
DECODERS = ("strict", "official")
LOOKED_AT = 2_000
"""Characters of an answer that are looked at: the label stands at the beginning."""

_WORDS = re.compile(r"\w+(?:[-.&']\w+)*|[^\w\s]")
_DENIAL = re.compile(r"\b(?:not|neither|nor|isn't|cannot|can't|unable|none|no)\b")
_LEAD = re.compile(r"^(?:final\s+)?(?:answer|label|category|class|relation|sentiment)\b\s*(?:is|:|=|-)?\s*")


def decode(answer: str, labels: Sequence[Label], decoder: Decoder = "strict") -> int:
    """The class id that `answer` gives, or -1. Raises UsageError for an unknown decoder."""
    if decoder not in DECODERS:
        raise UsageError(f"decoder '{decoder}' is unknown: choose {' or '.join(DECODERS)}")
    return decode_strict(answer, labels) if decoder == "strict" else decode_official(answer, labels)


def decode_official(answer: str, labels: Sequence[Label]) -> int:
    """Word 0, lower-cased, if it is a label's code, else word 2 ("Label : CE", "Cause-Effect ( CE )"), else -1."""
    codes = {label.answer.lower(): c for c, label in enumerate(labels)}
    words = [word.lower() for word in _WORDS.findall(answer[:LOOKED_AT])]
    for position in (0, 2):
        if position < len(words) and words[position] in codes:
            return codes[words[position]]
    return -1


def decode_strict(answer: str, labels: Sequence[Label]) -> int:
    """The one label named on the first line with a word, else -1."""
    line = _first_line(answer)
    exact = _exact(line, labels)  # first: a class may itself be called "no" or "none"
    if exact is not None:
        return exact
    if not line or _DENIAL.search(line):
        return -1
    found = {c for _, _, c in _mentions(line, labels)}
    return found.pop() if len(found) == 1 else -1


def _first_line(answer: str) -> str:
    """The first line with a letter or digit: lower-cased, without markdown, control characters, JSON wrapping."""
    text = _unwrapped(unicodedata.normalize("NFKC", answer[:LOOKED_AT]))
    for line in text.splitlines():
        line = "".join(char if char.isprintable() else " " for char in line)
        line = re.sub(r"^\s*(?:[#>*+-]+|\d+[.)])\s+", "", line)  # heading, quotation, list item
        line = re.sub(r"[*`~\"“”]+|(?<!\w)[_'‘’]+|[_'‘’]+(?!\w)", " ", line)  # emphasis and quotes, not in_claim, isn't
        line = " ".join(line.split()).lower().replace("’", "'")
        if re.search(r"\w", line) and line not in ("json", "text", "markdown"):
            return line
    return ""


def _unwrapped(text: str) -> str:
    """The label field of an answer that is a JSON object, else the text itself."""
    body = re.sub(r"^\s*```(?:json)?\s*|\s*```\s*$", "", text)
    if body.lstrip().startswith("{"):
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            return text
        for key in ("label", "Label", "answer", "Answer"):
            if isinstance(content, dict) and isinstance(content.get(key), str):
                return content[key]
    return text


def _spellings(label: Label, *further: str) -> tuple[str, ...]:
    spelled = (label.answer, label.name, *label.aliases, *further)
    return tuple(dict.fromkeys(unicodedata.normalize("NFKC", name).lower() for name in spelled))


def _exact(line: str, labels: Sequence[Label]) -> int | None:
    """The label that the whole line is, a lead such as "Label:" and punctuation aside."""
    for text in (line, _LEAD.sub("", line)):
        bare = text.strip(" .,:;!?()[]<>{}")
        for c, label in enumerate(labels):
            if bare in _spellings(label, label.word):  # an everyday word ("number") only counts alone
                return c
    return None


def _mentions(line: str, labels: Sequence[Label]) -> list[tuple[int, int, int]]:
    """(start, end, class) of every label named in the line; a name inside a longer one does not count."""
    found = []
    for c, label in enumerate(labels):
        for name in _spellings(label):
            pattern = r"[\s_-]+".join(map(re.escape, re.split(r"[\s_-]+", name)))
            found += [(m.start(), m.end(), c) for m in re.finditer(rf"(?<![\w.]){pattern}(?![\w]|[.-]\w)", line)]
    return [
        (start, end, c)
        for start, end, c in found
        if not any(s <= start and end <= e and (e - s) > (end - start) and k != c for s, e, k in found)
    ]
