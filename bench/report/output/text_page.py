"""The page of the most telling texts: their labels, and what every method says of them. Every text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.core.errors import BenchError
from bench.report.frame import Results
from bench.report.output.cards import anchor
from bench.report.output.page import TITLE, environment
from bench.report.places import portable
from bench.report.tables.blocks import Block, Column
from bench.report.tables.bootstrap import too_many
from bench.report.texts import Sources, confused, frame_of_texts, telling

if TYPE_CHECKING:
    import pandas as pd

NAME = "texts.html"


class Says(NamedTuple):
    """One answer to a text, and the methods that give it with their probabilities in per cent, the surest first."""

    label: str
    right: bool | None  # None: unknown
    methods: list[tuple[str, int]]


class Shown(NamedTuple):
    """One text."""

    row: int
    text: str
    gold: str | None
    given: str | None
    says: list[Says]


class Section(NamedTuple):
    """The texts of one column of the tables."""

    setup: str
    task: str
    noise: str
    anchor: str
    missing: list[str]  # why there are fewer texts than there could be
    groups: list[tuple[str, str, list[Shown]]]  # split, what the texts show, the texts


def text_page(
    results: Results, blocks: Sequence[Block], rule: str, data_dir: Path | None = None
) -> tuple[str, dict[tuple[str, str, str], str]]:
    """The page, and by set-up, task and noise source the link to its texts; no page where none can be read."""
    sources, sections = Sources(results, data_dir), []
    if not too_many(results):
        sections = [_section(sources, block, column, rule) for block in blocks for column in block.current()]
    if not any(section.groups for section in sections):
        why = list(dict.fromkeys(reason for section in sections for reason in section.missing))
        results.notes.append(f"No page of texts: {'; '.join(why[:3]) or 'there are too many cells'}.")
        return "", {}
    links = {(each.setup, each.task, each.noise): f"{NAME}#{each.anchor}" for each in sections if each.groups}
    several = len({section.setup for section in sections}) > 1
    made = environment().get_template("texts.html.j2").render(title=TITLE, sections=sections, several=several)
    return made, links


def _section(sources: Sources, block: Block, column: Column, rule: str) -> Section:
    task, noise = column
    methods = [method for method in block.methods if method not in block.references]
    groups, missing = [], []
    for split in ("test", "train"):
        try:
            frame = frame_of_texts(sources, block, task, noise, split, rule)
        except BenchError as error:
            missing.append(portable(str(error)))
            continue
        found = telling(frame, methods, block.baseline) if split == "test" else confused(frame)
        groups += [(split, title, [_shown(frame, row) for row in rows]) for title, rows in found if rows]
        if split == "train" and frame["given"].isna().all():
            missing.append("no train texts: the records are packed without their labels, or made before they were kept")
        elif split == "train" and frame["gold"].isna().all():
            missing.append("no train texts: they have no gold labels, so it is unknown which labels are wrong")
    return Section(
        block.setup, task, noise, anchor("x", f"{task} {noise} {block.setup}"), list(dict.fromkeys(missing)), groups
    )


def _shown(frame: pd.DataFrame, row: int) -> Shown:
    values = frame.loc[row]
    gold = values["gold"]
    answers: dict[str, list[tuple[str, int]]] = {}
    for name in frame.columns:
        if f"{name} sure" in frame.columns and values[name] is not None:
            answers.setdefault(values[name], []).append((name, round(100 * values[f"{name} sure"])))
    says = [
        Says(label, None if gold is None else label == gold, sorted(found, key=lambda each: -each[1]))
        for label, found in answers.items()
    ]
    says.sort(key=lambda each: (not each.right, -len(each.methods)))
    return Shown(row, values["text"], gold, values["given"], says)
