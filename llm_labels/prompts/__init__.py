"""Prompts: one YAML file per task, and how it becomes the text that a labeller reads.

Two renderings of one file. A *completion* (for scoring label words under a local model) is a prefix shared by
all texts and a short body that ends where the label word belongs; a *message* (for chat servers) asks for the
label on the first line and a reason on the second.

Examples are named by their row in the task's train split, with a hash of their text, and are never copied
here. A row that is itself an example is asked without that example.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError, model_validator

from bench.core.errors import UsageError, first_problem, listed
from bench.core.plain_yaml import NOT_YAML, load_words

FOLDER = Path(__file__).parent
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Signs that change the direction of what follows."""
TEMPLATE_VERSION = 1
"""Bump when a rendering below changes: answers to the old one are then requested again."""


class Label(BaseModel, extra="forbid", frozen=True):
    """How one class is named to a labeller."""

    name: str = Field(min_length=1, description="the class name of the task")
    word: str = Field(min_length=1, description="what a completion continues with")
    code: str = Field(default="", description="what a chat answer's first line should be; empty = the class name")
    meaning: str = Field(default="", description="one line that explains the class")
    aliases: tuple[str, ...] = Field(default=(), description="further spellings that count as this class")

    @property
    def answer(self) -> str:
        """The label as a chat answer should give it."""
        return self.code or self.name


class Example(BaseModel, extra="forbid", frozen=True):
    """A labelled text of the train split, by row."""

    row: int = Field(ge=0)
    label: str
    text_hash: str = Field(pattern="^[0-9a-f]{12}$", description="first digits of the text's SHA-256")


class Prompt(BaseModel, extra="forbid", frozen=True):
    """All that is said to a labeller about a task."""

    task: str
    instruction: str = Field(min_length=1)
    text_name: str = Field(default="Text", description="what a text is called, e.g. Tweet")
    answer_name: str = Field(default="Label", description="what the label is called, e.g. Sentiment")
    labels: tuple[Label, ...] = Field(min_length=2)
    examples: tuple[Example, ...] = ()
    max_characters: int = Field(default=2000, ge=20, description="a longer text is cut before it is shown")
    max_example_characters: int = Field(default=400, ge=20, description="the same for an example")

    @model_validator(mode="after")
    def _consistent(self) -> Prompt:
        for field in ("name", "word", "answer"):
            values = [getattr(label, field).lower() for label in self.labels]
            if len(set(values)) != len(values):
                raise ValueError(f"two labels share one {field}")
        strange = {example.label for example in self.examples} - {label.name for label in self.labels}
        if strange:
            raise ValueError(f"an example has the label {sorted(strange)[0]!r}, which is not a label here")
        return self

    def hash(self, examples: Sequence[Shown]) -> str:
        """SHA-256 over everything that shapes the text a labeller reads, example texts included (hex)."""
        content = self.model_dump(exclude={"examples"})
        shown_pairs = [(example.text, example.label.name) for example in examples]
        raw = json.dumps([TEMPLATE_VERSION, content, shown_pairs], sort_keys=True)
        return hashlib.sha256(raw.encode()).hexdigest()


@dataclass(frozen=True)
class Shown:
    """An example as a labeller sees it."""

    row: int
    text: str
    label: Label


def find_prompt(task: str, label_names: Sequence[str], path: Path | None = None) -> Prompt:
    """The prompt of a task: the file at `path`, else the shipped one, else a plain one made of the class names.

    Its labels come in the order of `label_names`. Raises UsageError where the file and the task disagree.
    """
    source = Path(path) if path else FOLDER / f"{task}.yaml"
    if path is None and not (re.fullmatch(r"[\w.-]+", task) and source.is_file()):
        if len({name.lower() for name in label_names}) < max(2, len(label_names)):
            raise UsageError(
                f"the classes {listed(label_names)} of task '{task}' cannot be told apart by a labeller: at least two "
                "that differ in more than capitals are needed, or a prompt file (--prompt-file) with words for them"
            )
        return Prompt(
            task=task,
            instruction="Choose the one label that fits the text best.",
            labels=tuple(Label(name=name, word=name) for name in label_names),
        )
    try:
        content = load_words(source.read_text(encoding="utf-8"))
    except (OSError, *NOT_YAML) as error:
        raise UsageError(f"prompt file {source} cannot be read: {str(error)[:300]}") from None
    try:
        prompt = Prompt.model_validate(content)
    except ValidationError as error:
        problem = first_problem(error)
        raise UsageError(f"prompt file {source}: {problem.where or 'file'}: {problem.why}") from None
    by_name = {label.name: label for label in prompt.labels}
    if set(by_name) != set(label_names):
        theirs, ours = listed(sorted(by_name)), listed(sorted(label_names))
        raise UsageError(f"prompt file {source} has the labels {theirs}; the task has {ours}")
    return prompt.model_copy(update={"labels": tuple(by_name[name] for name in label_names)})


def shown(prompt: Prompt, train_texts: Sequence[str]) -> tuple[Shown, ...]:
    """The prompt's examples with their texts. Raises UsageError where there are none, or the texts are others."""
    if not prompt.examples:
        raise UsageError(
            f"the prompt of task '{prompt.task}' has no examples: use --prompting zero, "
            "or give a prompt with examples (--prompt-file FILE; a row, label and text_hash for each)"
        )
    by_name = {label.name: label for label in prompt.labels}
    examples = []
    for example in prompt.examples:
        text = train_texts[example.row] if example.row < len(train_texts) else None
        if text is None or text_hash(text) != example.text_hash:
            raise UsageError(
                f"row {example.row} of the train split of '{prompt.task}' is not the example that the prompt means: "
                "this copy of the data differs from the one the prompt was written for; "
                "use --prompting zero, or give your own prompt file"
            )
        examples.append(Shown(example.row, tidy(text, prompt.max_example_characters), by_name[example.label]))
    return tuple(examples)


def text_hash(text: str) -> str:
    """Twelve hex digits that tie an example to its text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def tidy(text: str, limit: int) -> str:
    """`text` on one line, without control characters, of at most `limit` characters.

    A text can then not imitate the lines of the prompt, and a text of 1 MB does not cost 1 MB of tokens.
    """
    text = text[: 20 * limit].encode("utf-8", "replace").decode()
    text = " ".join("".join(" " if _breaks(char) else char for char in text).split())
    if len(text) <= limit:
        return text
    space = text.rfind(" ", 0, limit)
    return text[: space if space > 0.8 * limit else limit] + " ..."  # a text in Chinese has few spaces


def _breaks(char: str) -> bool:
    """Whether a character may be taken for a line's end, steers a terminal or turns the reading direction.

    Joiners (of Persian words, of emoji) stay.
    """
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in BIDI


def completion_prefix(prompt: Prompt, examples: Sequence[Shown]) -> str:
    """What all texts share: instruction, label words with their meaning, examples."""
    lines = [prompt.instruction, "", f"Possible answers for {prompt.answer_name}:"]
    lines += [f"- {label.word}: {label.meaning}" if label.meaning else f"- {label.word}" for label in prompt.labels]
    lines.append("")
    for example in examples:
        lines += [f"{prompt.text_name}: {example.text}", f"{prompt.answer_name}: {example.label.word}", ""]
    return "\n".join(lines) + "\n"


def completion_body(prompt: Prompt, text: str) -> str:
    """The text to label, up to where " " + label word continues."""
    return f"{prompt.text_name}: {tidy(text, prompt.max_characters)}\n{prompt.answer_name}:"


def message(prompt: Prompt, examples: Sequence[Shown], text: str) -> str:
    """The single user message for a chat server."""
    lines = [prompt.instruction, "", "Labels:"]
    lines += [_label_line(label) for label in prompt.labels]
    lines += [
        "",
        "Write the label alone on the first line, exactly as it is listed. On the second line give your reason in at "
        "most twenty words. If none seems to fit, still pick the closest label.",
    ]
    for example in examples:
        lines += ["", f"{prompt.text_name}: {example.text}", f"{prompt.answer_name}: {example.label.answer}"]
    lines += ["", f"{prompt.text_name}: {tidy(text, prompt.max_characters)}", f"{prompt.answer_name}:"]
    return "\n".join(lines)


def _label_line(label: Label) -> str:
    name = label.name if label.code and label.code != label.name else ""
    meaning = "; ".join(part for part in (name, label.meaning) if part)
    return f"- {label.answer}: {meaning}" if meaning else f"- {label.answer}"
