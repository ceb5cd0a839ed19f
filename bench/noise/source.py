"""One origin of noisy labels: what it is, how its name is read, and whether it can serve a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bench.core.errors import UsageError
from bench.core.registry import describe
from bench.core.selectors import listed
from bench.data.task import TaskData
from bench.noise.label_sets import LabelSetRef
from bench.noise.synthetic.base import SyntheticNoise, parse_synthetic

Rule = Literal["single", "vote", "dawid-skene", "crowdlab"]
RULES: tuple[Rule, ...] = ("vote", "dawid-skene", "crowdlab")


@dataclass(frozen=True)
class NoiseSource:
    """One origin of noisy labels, applicable to a task or not (see `why_not`)."""

    id: str  # as in tables and records: "mixtral-8x22b/few", "weak", "sn@0.3", "vote(a,b)/few", a column's name
    kind: Literal["llm", "weak", "synthetic", "column"]
    labeller: str | None = None
    prompting: str | None = None  # "zero" | "few"
    rate: float | None = None  # synthetic only: P(noisy ≠ gold) asked for
    noise: type[SyntheticNoise] | None = None  # synthetic only
    typed: str = ""  # how the command line names it, where the id does not: a user's file
    members: tuple[LabelSetRef | str, ...] = ()  # label sets, or names of a user's columns; several in an ensemble
    rule: Rule = "single"  # how the members become one label

    @property
    def label_sets(self) -> list[LabelSetRef]:
        """The members that are label sets."""
        return [member for member in self.members if not isinstance(member, str)]

    @property
    def needs_embeddings(self) -> bool:
        """Whether the labels depend on sentence embeddings of the texts."""
        return self.rule == "crowdlab" or (self.noise is not None and self.noise.needs_embeddings)


class Selection(NamedTuple):
    """A source, and why it cannot be used, for a visible `skipped (reason)`."""

    source: NoiseSource
    why: str = ""


def parse_noise(text: str) -> NoiseSource:
    """The source for `weak`, `NAME@RATE` or `FILE.py@RATE`. Raises UsageError with the allowed range."""
    if text.strip().lower() == "weak":
        return NoiseSource("weak", "weak")
    kind, rate = parse_synthetic(text)
    file = text.rpartition("@")[0].strip()
    typed = f"{file}@{rate:g}" if file.endswith(".py") else ""
    return NoiseSource(f"{kind.name}@{rate:g}", "synthetic", rate=rate, noise=kind, typed=typed)


def why_not(source: NoiseSource, task: TaskData) -> str | None:
    """Why the source cannot give labels for this task, and what to do; None where it can."""
    if source.kind == "weak" and task.votes is None:
        return f"task {task.name} has no weak votes: use a data set in the WRENCH layout, or another noise source"
    if source.kind == "column":
        names = [member for member in source.members if isinstance(member, str)]
        missing = [name for name in names if name not in task.columns]
        if missing:
            return f"task {task.name} has no column '{missing[0]}'"
        if all((task.columns[name]["train"] < 0).all() for name in names):
            return f"{source.id} has no answer for any train text of task {task.name}: fill it in or leave it out"
        return None
    if source.noise is None or source.rate is None:
        return None
    for split in ("train", "valid"):
        gold = task.gold.of(split)
        if gold is None:
            return f"{source.id} is generated from gold labels, and task {task.name} has none for {split}"
        if (gold < 0).any():
            some = f"for {int((gold >= 0).sum())} of {len(gold)} {split} texts"
            return (
                f"{source.id} is generated from the gold labels of all texts, and task {task.name} has gold {some} only"
            )
    noise, num_classes = source.noise(), len(task.label_names)
    if source.rate > (most := noise.most(num_classes)) + 1e-9:
        title = describe(source.noise).partition(":")[0]
        return f"{source.id}: with {num_classes} classes the {title} rate is at most {most:.3g}"
    reason = noise.why_not(num_classes, source.rate)
    return f"{source.id}: {reason}" if reason else None


def is_noise(text: str) -> bool:
    """Whether a text is the name of weak votes or of synthetic noise, with a rate that can be read."""
    try:
        parse_noise(text)
    except UsageError:
        return False
    return True


def names_twice(task: TaskData, noise: Sequence[str]) -> list[str]:
    """A sentence on every noise that was asked for whose name is that of a column too: the column is not meant."""
    return [
        f"--noise {text} is not the column of that name in task {task.name}: for the column, use --llms {listed(text)}"
        for text in noise
        if text in task.columns and is_noise(text)
    ]
