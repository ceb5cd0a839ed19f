"""The page of `bench advise`: what a person with a table of labels should know and do. Every text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.report.output.page import environment

NAME = "advice.html"


class Suspect(NamedTuple):
    """A label to look at."""

    id: str
    text: str
    given: str
    suggested: str
    suspicion: str  # in [0, 1], with two digits


class Score(NamedTuple):
    """A method in the table of methods; empty text where a number is unknown."""

    method: str
    agreement: str  # with the noisy validation labels, per cent
    accuracy: str  # on test rows with gold, per cent
    worth: str  # in human labels
    chosen: bool


@dataclass(frozen=True)
class Advice:
    """What was found.

    Attributes
    ----------
    table, labeller : str
        The table, and the labels that are advised on.
    wrong, method, worth, unknown : Sequence[str]
        Sentences: how wrong the labels are, which method, what it is worth, what cannot be known.
    scores : Sequence[Score]
        The methods, the best first.
    suspects : Sequence[Suspect]
        The rows to look at, the most suspicious first.
    commands : Sequence[tuple[str, str]]
        What a command does, and the command.
    """

    table: str
    labeller: str
    wrong: Sequence[str]
    method: Sequence[str]
    scores: Sequence[Score]
    worth: Sequence[str]
    unknown: Sequence[str]
    suspects: Sequence[Suspect]
    commands: Sequence[tuple[str, str]]


def advice_page(advice: Advice) -> str:
    """The page as text."""
    return environment().get_template("advice.html.j2").render(advice=advice)
