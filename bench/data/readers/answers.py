"""From what an LLM wrote to a class: the rules that published answers are read by."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from bench.data.readers.label_values import key

GREETINGS = re.compile(r"\s*(i apologi|hello|i'm happy to help! however)")


def value(answer: str, classes: Mapping[str, str]) -> str | None:
    """The class that the whole answer is, in any case and quotes; None where it is none."""
    return classes.get(key(answer))


def first_word(answer: str, classes: Mapping[str, str]) -> str:
    """The class that is named first; "" where none is."""
    found = re.search("|".join(map(re.escape, classes)), answer.lower())
    return classes[found[0]] if found else ""


def chat(answer: str, classes: Mapping[str, str]) -> str:
    """The class named first, for chat models that explain and apologise; "" where it is not clear which is meant.

    An answer that begins with an apology or a greeting and names several classes is not clear, nor is one that names
    three or more unless it says that the text "is" one of them, or labels it "as" one.
    """
    words, pick = _patterns(tuple(classes))
    text = answer.lower()
    found = words.findall(text)
    named = len(set(found))
    if not found or (named > 1 and GREETINGS.match(text)):
        return ""
    if named > 2:
        clear = pick.search(text)
        return classes[clear[1]] if clear else ""
    return classes[found[0]]


@functools.cache
def _patterns(names: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    names_ = "(" + "|".join(map(re.escape, names)) + r")\b"
    label = r"labell?(?:ed)? (?:it |this statement |that statement )?as"
    return re.compile(rf"\b{names_}"), re.compile(rf"\b(?:is|{label})(?: having)?(?: an?)?:?\W*{names_}")


RULES = {"value": value, "first word": first_word, "chat": chat}
