"""Numbers that others have published, each with its source: read from a YAML file that comes with bench or a user's."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.core.errors import UsageError, first_problem
from bench.core.plain_yaml import NOT_YAML, load_words
from bench.core.texts import Prompting
from bench.report.tables.model import pick

FOLDER = Path(__file__).parent / "published"

Metric = Literal["accuracy", "macro_f1", "ece"]


class Strict(BaseModel):
    """A part of the file that refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)


class Setup(Strict):
    """How the published numbers came about; what differs here is named beside them."""

    encoder: str
    encoder_mode: Literal["fine-tuned", "frozen"] = "fine-tuned"
    epochs: int | None = None
    tasks: list[str] = []
    llms: list[str] = []
    source: str


class Number(Strict):
    """A published number of a method."""

    method: str
    metric: Metric = "accuracy"
    llm: str | None = None  # None: an average over several, or the labels are not an LLM's
    prompting: Prompting | None = None  # None: both
    value: float  # per cent, as printed
    source: str = Field(min_length=3)
    note: str = ""


class Gain(Number):
    """A difference between two methods, averaged over cells."""

    baseline: str = "plain"


class Score(Number):
    """The score of one method in one cell."""

    task: str
    noise: str | None = None  # where the labels are not an LLM's: "weak", "sn@0.3"
    spread: float | None = None  # as printed: a standard deviation, or what `note` says

    @property
    def column(self) -> str:
        """The noise source in bench's words: `mixtral-8x22b/few`, `weak`."""
        return self.noise or f"{self.llm}/{self.prompting}"


class Published(Strict):
    """One file of published numbers."""

    name: str
    setup: Setup
    gains: list[Gain] = []
    scores: list[Score] = []


def read_published(name: str) -> Published:
    """The numbers that `name` stands for: `paper`, or the path of a YAML file of the same form.

    Raises UsageError for an unknown name, a file that cannot be read, or a field that is wrong or has no source.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
    else:
        shipped = sorted(each.stem for each in FOLDER.glob("*.yaml"))
        path = FOLDER / f"{pick('set of published numbers (or a .yaml file)', name, shipped)}.yaml"
    try:
        raw = load_words(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"published numbers '{path}' cannot be read: {error.strerror or error}") from None
    except NOT_YAML as error:
        raise UsageError(f"published numbers '{path}' are not valid YAML: {' '.join(str(error).split())}") from None
    try:
        return Published.model_validate(raw)
    except ValidationError as error:
        problem = first_problem(error)
        raise UsageError(
            f"published numbers '{path}': {problem.where or 'the file'}: {problem.why} "
            f"(the form is that of {FOLDER / 'paper.yaml'})"
        ) from None
