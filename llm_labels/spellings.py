"""The names of a task's classes, found in what an LLM wrote: alone, at the beginning, or within a sentence."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from llm_labels.prompts import Label

DENIAL = re.compile(
    r"\b(?:not|never|neither|nor|none|no|cannot|unable|without|hardly|barely|scarcely|unlikely|incorrect|wrong|false"
    r"|rather than|instead of|far from|anything but|opposite|except)\b|n't\b"
)
_EVERYDAY = frozenset({
    "yes", "no", "maybe", "none", "not", "other", "others", "true", "false", "unknown", "neither", "both",
    "all", "any", "some", "one", "it", "is", "as", "at", "be", "by", "do", "go", "he", "if", "in", "me",
    "my", "of", "on", "or", "so", "to", "us", "we", "who", "what", "this", "that", "there", "which", "and",
    "but", "can", "you", "i", "a", "an", "the", "up", "out", "right", "wrong",
})  # fmt: skip
"""Function words: within a sentence they say nothing about the class of that name."""
_NUMBERS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10,
}  # fmt: skip
_DASHES = str.maketrans({"‐": "-", "‑": "-", "‒": "–", "−": "-", "’": "'", "‘": "'"})
_EDGES = " .,:;!?()[]<>{}"
_NEGATED = re.compile(r"(?:non|not|no)[\s_-]+(.+)|non(\w{3,})")
_BETWEEN = r"[\s_–-]+"
_SEPARATOR = re.compile(r"\s*(?:,|[.:;!)\]]+(?=\s|$)|\(|—|\s[–-]\s|\s(?=(?:because|since|due to)\b))")
_SAID = re.compile(r"\s(?=(?:it|this|that|there|the|i)\b)")


class Mention(NamedTuple):
    """Where a text names a class."""

    start: int
    end: int
    classes: frozenset[int]  # more than one where classes share a spelling


def tidied(line: str) -> str:
    """`line` on one line in lower case, without emphasis, quotes and control characters."""
    line = "".join(char if char.isprintable() else " " for char in unicodedata.normalize("NFKC", line))
    line = line.translate(_DASHES)
    line = re.sub(r"[*`~\"“”„«»「」『』]+|(?<!\w)[_'‘’]+|[_'‘’]+(?!\w)", " ", line)  # not in_claim, isn't
    return " ".join(line.split()).lower()


class Names:
    """The spellings of the classes: code, name and aliases; `word`, an everyday one, counts less."""

    def __init__(self, labels: tuple[Label, ...]) -> None:
        self.strong: dict[str, set[int]] = defaultdict(set)
        self.weak: dict[str, set[int]] = defaultdict(set)
        for c, label in enumerate(labels):
            for name in filter(None, map(tidied, (label.answer, label.name, *label.aliases))):
                (self.weak if _is_everyday(name) else self.strong)[name].add(c)
        for c, label in enumerate(labels):
            name = tidied(label.word)
            if name and name not in self.strong and name not in self.weak:
                self.weak[name].add(c)
        self.raw = {label.answer.strip(): c for c, label in enumerate(labels)}
        self._numbers: dict[float, set[int]] = defaultdict(set)
        for name, classes in (*self.strong.items(), *self.weak.items()):
            if (number := _number(name)) is not None:
                self._numbers[number] |= classes
        own = [label for label in labels if _number(tidied(label.answer)) is not None]
        self.top = max(map(float, self._numbers), default=0.0) if len(own) >= 3 else None
        self._levels = [(key, self._keyed(key)) for key in (str, _bare, _spaced, _squashed)]
        self._strong, self._strong_classes = self._pattern(self.strong)
        self._any, self._any_classes = self._pattern({**self.strong, **self.weak})

    def alone(self, text: str) -> frozenset[int]:
        """The classes that the whole tidied text spells; punctuation, an article, separators and case aside."""
        if re.match(r"[<>≤≥]=?\s*[\d.]+\b(?!\s*>)", text):  # a bound, not a number in brackets
            return frozenset()
        for own in dict.fromkeys((text, re.sub(r"^(?:an?|the)\s+(?=\S)", "", _bare(text)))):
            for key, known in self._levels:
                if found := known.get(key(own)):
                    return frozenset(found)
        rated = self.rated(_bare(text))
        number: float | None = _NUMBERS.get(re.sub(r" (?:stars?|points?)$", "", rated)) if self._numbers else None
        number = _number(rated) if number is None else number
        return frozenset(self._numbers.get(number, ())) if number is not None else frozenset()

    def rated(self, text: str) -> str:
        """`text` with "4/5" or "4 out of 5" read as "4" where 5 is the top of three or more numbered classes.

        Marks out of another number are taken away: they are on another scale.
        """

        def mark(match: re.Match) -> str:
            return match[1] if self.top is not None and float(match[2]) == self.top else "…"

        return re.sub(r"(?<![\w./-])(\d+(?:\.\d+)?)(?: stars?)?\s*(?:/|out of|of)\s*(\d+)(?![\w/]|[.-]\d)", mark, text)

    def leading(self, text: str) -> tuple[Mention, str, bool] | None:
        """(the class that the text begins with, what follows, whether after more than a comma), or None.

        A separator must stand between the two; all names of classes count.
        """
        text = self.rated(text)
        found = self._any.match(text)
        if found is None:
            return None
        group = _group(found)
        mention = Mention(found.start(), found.end(group), self._any_classes[group])
        separator = _SEPARATOR.match(text, mention.end)
        if separator is None and text[: mention.end] in ("yes", "no"):
            separator = _SAID.match(text, mention.end)
        if separator is None:
            return None
        return mention, text[separator.end() :].strip(), separator[0].strip() != ","

    def listed(self, text: str) -> frozenset[int]:
        """The class that a line of a list begins with: a separator follows it, be it a dash or a table's bar."""
        found = self.leading(re.sub(r"\s*[|=]\s*", " : ", text.strip("| ")))
        return found[0].classes if found else frozenset()

    def begins(self, text: str) -> frozenset[int]:
        """The class that a line or table row begins with, whatever follows; everyday words and numbers say nothing."""
        found = self._strong.match(text.lstrip("| "))
        return self._strong_classes[_group(found)] if found else frozenset()

    def begins_with_everyday(self, text: str) -> frozenset[int]:
        """The class whose name is an everyday word of more than a letter that `text` begins with."""
        found = self._any.match(text)
        if found is None or found[_group(found)] not in _EVERYDAY or len(found[_group(found)]) == 1:
            return frozenset()
        return self._any_classes[_group(found)]

    def mentions(self, text: str) -> list[Mention]:
        """The names in a text that say something there; one inside a longer one does not count.

        Neither does one in a question, nor numbers, letters and everyday words.
        """
        found = [
            Mention(m.start(), m.end(_group(m)), self._strong_classes[_group(m)]) for m in self._strong.finditer(text)
        ]
        asked = [m.span() for m in re.finditer(r"[^.!?]*\?", text)]
        found = [m for m in found if not any(start <= m.start < end for start, end in asked)]
        longest, reached = [], -1
        for mention in found:  # in order of their start, the longest at each
            if mention.end > reached:
                longest.append(mention)
                reached = mention.end
        return longest

    def _keyed(self, key: Callable[[str], str]) -> dict[str, set[int]]:
        known: dict[str, set[int]] = {}
        for names in (self.strong, self.weak):
            own: dict[str, set[int]] = defaultdict(set)
            for name, classes in names.items():
                if key(name):
                    own[key(name)] |= classes
            known = own | known
        return known

    def _pattern(self, names: dict[str, set[int]]) -> tuple[re.Pattern, dict[int, frozenset[int]]]:
        """A pattern of all names as whole words, the longest first, and the classes of each of its groups.

        A hyphen, dot or slash joins words: "toxic" is not in "non-toxic", nor "4" in "4-5". Spaces, hyphens and
        underscores are one. Where "toxic" is a class too, "not toxic" and "isn't toxic" spell "non-toxic".
        """
        groups, classes = [], {}
        for name in sorted(names, key=lambda name: (-len(name), name)):
            inner = _loose(_bare(name))
            negated = _NEGATED.fullmatch(_bare(name))
            rest = (negated[1] or negated[2]) if negated else ""
            if rest and _spaced(rest) in dict(self._levels)[_spaced]:
                inner = rf"{inner}|(?:non|not|no|\w{{2,6}}n't){_BETWEEN}(?:an?\s+)?{_loose(rest)}|non{_loose(rest)}"
            groups.append(rf"({inner})(?!\w|[-.'/–]\w|,\d|\s*=|[+#%])")
            classes[len(groups)] = frozenset(names[name])
        if not groups:
            return re.compile(r"(?!)"), {}
        return re.compile(rf"(?<![\w.$])(?<!\w[-'/–])(?<!-(?=\d))(?=(?:{'|'.join(groups)}))"), classes


@functools.lru_cache(maxsize=16)
def names_of(labels: tuple[Label, ...]) -> Names:
    """The names of these classes, made once."""
    return Names(labels)


def _is_everyday(name: str) -> bool:
    return name in _EVERYDAY or bool(re.fullmatch(r"[a-z]|[-+]?[\d.,]+", name))


def _bare(text: str) -> str:
    return text.strip(_EDGES) if re.search(r"\w", text) else text


def _spaced(text: str) -> str:
    return re.sub(_BETWEEN, " ", _bare(text)).strip() if re.search(r"[^\W\d]", text) else _bare(text)


def _squashed(text: str) -> str:
    return re.sub(_BETWEEN, "", _bare(text)) if re.search(r"[^\W\d]", text) else _bare(text)


def _loose(name: str) -> str:
    """A pattern of a name in which spaces, hyphens and underscores are one, unless it has no letter."""
    if not re.search(r"[^\W\d]", name):
        return re.escape(name)
    return _BETWEEN.join(map(re.escape, re.split(_BETWEEN, name)))


def _group(found: re.Match[str]) -> int:
    """The group that matched; in these patterns one always does."""
    assert found.lastindex is not None
    return found.lastindex


def _number(text: str) -> float | None:
    """The number that a name or an answer is: "4", "4.0", "4 stars"; None otherwise."""
    found = re.fullmatch(r"([-+]?(?:0|[1-9]\d{0,8})(?:\.\d{1,9})?)(?: (?:stars?|points?))?", text)
    return float(found[1]) if found else None
