"""A chat model's answer to a class id, or -1 for "no answer", by written rules. Nothing is guessed.

What is read of an answer (`strict`, the default):

1. A thought is not an answer: what follows the last thought is read (`llm_labels.thoughts`). A thought without an end
   (the tokens ran out) is not an answer, and neither is a refusal of the server.
2. A JSON object (in a code fence or not) speaks by its field "label", "answer", "class" or the like, and
   <answer>…</answer> or \\boxed{…} by what is inside; nothing else is then read.
3. Else lines are read, without markdown, quotes, list marks, letter case. A line that only announces ("Answer:") is one
   with the next. Reading stops where the model goes on with a text of its own ("Tweet: …").

How a class is named, by its code, name or alias; spaces, hyphens and underscores are one:

4. alone: the first line is a class ("Positive.", "1. **positive**").
5. stated: a line says "label: X" or "the answer is X", or the first line "I would say X" or "this is X", where X is a
   class alone, or (with a noun such as "label") as in 6.
6. leading: the first line begins with a class, then a separator ("CE, because …", "No, it is not").
7. named: otherwise the first line names exactly one class as whole words. Numbers, single letters and everyday words
   ("no", "other", a label's `word`) are not looked for, nor questions, nor an answer that the token limit cut.

When it gives no answer, although a class is named:

8. Several: the lines of 4 to 6, or that of 7, give two classes ("CE or MT", "4, maybe 5"); so does a later line that
   is another class alone, or begins with one where the line of 6 or 7 did: a list of the classes, with their
   definitions or shares, is not an answer.
9. Denied: the line of 7 denies ("not positive", "hardly"), or so does what follows in 6: right after the separator,
   or anywhere after a comma. Not where the class itself is a denial ("No, it is not"). "not toxic" names "non-toxic",
   where both are classes.
10. A hyphen, dot or slash joins words: "non-toxic" is not "toxic", and "4-5", "4.5" and "CE/PP" name nothing.
11. Numbers: "4", "4.0", "4 stars" and "four" are one. "4/5" and "4 out of 5" are 4 where 5 is the top of three or more
    numbered classes; out of any other number they give no answer, and neither does a bound (">3").

`official`: rule 1, then what the authors of SiDyP do (src/llm): the first word if it is a label, else the third.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from bench.core.errors import UsageError
from llm_labels.fields import inside_tags, json_statements
from llm_labels.prompts import Label
from llm_labels.spellings import DENIAL, Names, names_of, tidied
from llm_labels.thoughts import without_thoughts

Decoder = Literal["strict", "official"]
DECODERS = ("strict", "official")
REFUSED = ("[the server refused", "[the model refused")
"""How what is kept of a refusal begins."""
UNFINISHED = "thought without an end"
LOOKED_AT = 8_000
"""Characters after the thought that are looked at."""
LONGEST_LINE = 2_000
"""Characters of one line that are looked at."""

_WORDS = re.compile(r"\w+(?:[-.&']\w+)*|[^\w\s]")
_NOUNS = (
    "answer|label|category|class|classification|relation|sentiment|topic|type|prediction|rating|score|verdict|output|"
    "result|decision|conclusion|option|choice"
)
_STATES = re.compile(r"\s*(?:[:=]>?|->|→)\s*|\s(?:is|be|was|as|[-–])\s+(?:[:=]\s*)?")
_SAYS = re.compile(
    r".*\b(?:say|answer|choose|pick|select|go with|vote(?: for)?|classif(?:y|ied)|label(?:l?ed)?|rated?|tag|mark|give"
    r"|assign|categori[sz]ed?)(?:\s+(?:it|(?:this|that|the)(?: [a-z]+)?))?(?:\s+(?:as|an?|with|to be))*\s+(.+)"
    r"|(?:it|this|that|(?:the|this) \w+)(?:'s| is| would be| seems| appears| looks)(?: to be)?\s+(.+)"
)
_NEXT = re.compile(r"(?:or|to|and|maybe|perhaps|possibly|but|rather|even|also|[\W_])*")


class Reading(NamedTuple):
    """What an answer says: a class id with the rule that read it, or -1 with the reason."""

    label: int
    rule: str


def decode(answer: str, labels: Sequence[Label], decoder: Decoder = "strict") -> int:
    """The class id that `answer` gives, or -1. Raises UsageError for an unknown decoder."""
    return read(answer, labels, decoder).label


def read(
    answer: str,
    labels: Sequence[Label],
    decoder: Decoder = "strict",
    *,
    answer_name: str = "Label",
    text_name: str = "Text",
    cut: bool = False,
) -> Reading:
    """The class that `answer` gives, by which rule, or why none.

    `answer_name` and `text_name` are what the prompt calls the label and the text; `cut`: the token limit ended the
    answer. Raises UsageError for an unknown decoder.
    """
    if decoder not in DECODERS:
        raise UsageError(f"decoder '{decoder}' is unknown: choose {' or '.join(DECODERS)}")
    if answer.startswith(REFUSED):
        return Reading(-1, "refused")
    spoken = without_thoughts(answer)
    if spoken is None:
        return Reading(-1, UNFINISHED)
    if not spoken.strip():
        return Reading(-1, "thought only" if answer.strip() else "empty")
    if decoder == "official":
        label = _official(spoken, labels)
        return Reading(label, "official" if label >= 0 else "no class named")
    return _Reader(names_of(tuple(labels)), answer_name, text_name).read(spoken[:LOOKED_AT], cut)


def _official(answer: str, labels: Sequence[Label]) -> int:
    """Word 0, lower-cased, if it is a label's code, else word 2 ("Label : CE", "Cause-Effect ( CE )"), else -1."""
    codes = {label.answer.lower(): c for c, label in enumerate(labels)}
    words = [word.lower() for word in _WORDS.findall(answer[:LOOKED_AT])]
    return next((codes[word] for word in (*words[:1], *words[2:3]) if word in codes), -1)


class _Denied(Exception):
    """The answer denies the class that it names."""


class _Reader:
    """Rules 2 to 11 for the classes of one task."""

    def __init__(self, names: Names, answer_name: str, text_name: str) -> None:
        self.names = names
        self.nouns = f"{_NOUNS}|{re.escape(tidied(answer_name))}"
        self.noun = re.compile(rf"\b(?:{self.nouns})s?\b")
        noun = rf"(?:{self.nouns})"
        self.announces = re.compile(
            rf"(?:[\w ,]+[!.] )?[^:.!?]{{0,60}}\b{noun}\b[^:.!?]{{0,40}}:|(?:[\w ]{{0,20}} )?{noun}"
        )
        self.goes_on = re.compile(rf"(?:{re.escape(tidied(text_name))}|text|input)\s*:")

    def read(self, text: str, cut: bool) -> Reading:
        """The reading of an answer without its thought."""
        if text.strip() in self.names.raw:
            return Reading(self.names.raw[text.strip()], "alone")
        try:
            found = list(self._explicit(text))
            if not found and not cut and (lines := list(self._lines(text))):
                found = [("named", self._named(lines[0]))]
                if self.names.begins(lines[0]):  # a list of the classes?
                    found += [("named", self.names.begins(line)) for line in lines[1:]]
        except _Denied:
            return Reading(-1, "denied")
        classes = frozenset().union(*(each for _, each in found))
        if len(classes) == 1:
            return Reading(min(classes), found[0][0])
        return Reading(-1, "several classes" if classes else "no class named")

    def _explicit(self, text: str) -> Iterator[tuple[str, frozenset[int]]]:
        """(rule, classes) of every place that states a class."""
        statements = json_statements(text, self.noun)
        if statements is not None:
            said = [self._stands(tidied(each)) for each in statements]
            yield "stated", frozenset().union(*said)
            return
        inside = inside_tags(text)
        for number, line in enumerate(self._lines(text if inside is None else inside)):
            alone = self.names.alone(line)
            if number == 0:
                rule, classes = "alone", alone
                if not classes:
                    rule, classes = "stated", self._stated(line, first=True)
                if not classes:
                    rule, classes = "leading", self._leading(line)
                if classes:
                    yield rule, classes
                first, listed = classes, rule == "leading"
            elif stated := self._stated(line, first=False):
                yield "stated", stated
            elif first and (other := alone or (listed and self.names.listed(line))):
                yield "alone", other
        if inside is not None:
            yield "stated", frozenset()

    def _stands(self, text: str) -> frozenset[int]:
        return self.names.alone(text) or self._leading(text)

    def _stated(self, line: str, *, first: bool) -> frozenset[int]:
        """The classes of "label: X" and its like; none where the words before deny."""
        for at, states in enumerate(_STATES.finditer(line)):
            before, rest = line[: states.start()], line[states.end() :]
            if at == 8 or len(before) > 100 or DENIAL.search(before):
                break
            if self.noun.search(before) and (classes := self._stands(rest)):
                return classes
        if not first or len(line) > 300:
            return frozenset()
        placed = re.fullmatch(rf"(?:.* )?(?:{self.nouns}) (\S+)", line)  # "option B"
        for found in (placed, _SAYS.fullmatch(line)):
            rest = next(filter(None, found.groups()), "") if found else ""
            if rest and not DENIAL.search(line[: -len(rest)]) and (classes := self.names.alone(rest)):
                return classes
        return frozenset()

    def _leading(self, text: str) -> frozenset[int]:
        """The class that a text begins with, and any that it names besides. Raises _Denied."""
        found = self.names.leading(text)
        if found is None:
            return frozenset()
        mention, rest, sentence_ends = found
        classes = set(mention.classes).union(*(other.classes for other in self.names.mentions(rest)))
        between = _NEXT.match(rest)
        following = rest[between.end() :] if between else rest
        for part in (rest, following):
            classes |= self.names.alone(part) | self.names.begins_with_everyday(part)
            if (other := self.names.leading(part)) is not None:
                classes |= other[0].classes
        if len(classes) == 1 and not DENIAL.search(text[: mention.end]):
            denial = DENIAL.search(rest)
            if denial and (not sentence_ends or denial.start() == 0):
                raise _Denied
        return frozenset(classes)

    def _named(self, line: str) -> frozenset[int]:
        """The classes that a sentence names. Raises _Denied."""
        mentions = self.names.mentions(line)
        if mentions:
            outside = "".join(
                " " if any(m.start <= at < m.end for m in mentions) else char for at, char in enumerate(line)
            )
            if DENIAL.search(outside):
                raise _Denied
        return frozenset().union(*(mention.classes for mention in mentions))

    def _lines(self, text: str) -> Iterator[str]:
        """The tidied lines that hold a word or a class, an announcement joined to what it announces."""
        announced = ""
        for number, raw in enumerate(text.splitlines()):
            line = tidied(self._unmarked(raw[:LONGEST_LINE]))
            if not (re.search(r"\w", line) or self.names.alone(line)):
                continue
            if raw.lstrip().startswith("```") and re.fullmatch(r"\s*```\w*\s*", raw):
                continue
            if number and self.goes_on.match(line):
                break
            if self.announces.fullmatch(line) and not self.names.alone(line):
                announced = line.rstrip(":") + ": "
                continue
            yield announced + line
            announced = ""

    def _unmarked(self, line: str) -> str:
        """A line without the marks of headings, quotations and list items; a number that is a class is not a mark."""
        for _ in range(3):
            mark = re.match(r"\s*(?:#+|>+(?!\s*\d)|[*+•-]+|\(?(\d{1,3}|[A-Za-z])[.)])\s+(?=\S)", line)
            if mark is None or (mark[1] and self.names.alone(mark[1].lower())):
                break
            line = line[mark.end() :]
        return line
