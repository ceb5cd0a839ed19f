"""Sentences made from the numbers: what was read, which method is best and how certain that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from bench.core.texts import plural
from bench.report.tables.blocks import Block
from bench.report.tables.headlines import Headline
from bench.report.tables.model import number

if TYPE_CHECKING:
    from bench.report.frame import Results


class Answer(NamedTuple):
    """One of the lines that a report begins with: the best method on one kind of noise."""

    title: str
    best: str
    gains: list[tuple[str, str, str]]  # what it gains over the baseline: the rule, the points, how sure
    sure: str


def count_sentence(results: Results) -> str:
    """E.g. `122 cells read: 117 done, 1 failed, 4 skipped. 2 files are not readable records and were left out.`"""
    found = results.cells["status"].value_counts()
    listed = ", ".join(f"{found[name]:,} {name}" for name in ("done", "failed", "skipped") if found.get(name))
    listed = "all done" if found.get("done") == len(results.cells) else listed
    text = f"{plural(len(results.cells), 'cell')} read: {listed}."
    if damaged := len(results.damaged):
        verb = "is not a readable record and was" if damaged == 1 else "are not readable records and were"
        text += f" {plural(damaged, 'file')} {verb} left out."
    return text


def answer(found: Headline) -> Answer:
    """A headline for the page."""
    title = f"{found.title[:1].upper()}{found.title[1:]}, {plural(found.columns, 'column')}"
    if not found.best:
        return Answer(title, found.unknown, [], "")
    names = {"last": "at the last step", "noisy_valid": "with early stopping"}
    told = [
        (f"over {found.baseline} {names[rule]}", gain.points, "" if gain.sure else found.unsure(rule))
        for rule, gain in found.gains.items()
    ]
    sentences = [found.sure]
    if found.es_alone is not None:
        sentences.append(f"early stopping alone gives {found.baseline} {found.es_alone.points}")
    if found.best_es not in ("", found.best):
        sentences.append(f"with early stopping, {found.best_es} is highest: {found.sure_es}")
    text = " ".join(f"{each[:1].upper()}{each[1:]}." for each in sentences if each)
    return Answer(title, f"{found.best} {number(found.accuracy, 1)} %", told, text)


def answer_sentences(block: Block, found: Sequence[Headline], several: bool) -> list[str]:
    """The headlines of a set-up as sentences, the set-up named where there are several."""
    where = f"{block.setup}, " if several else ""
    if not block.current():
        return [f"{block.setup}: no method can be compared yet, because newer data supersede all of its cells."]
    return [f"{where}{each.sentence}" for each in found]


def unscored_sentence(results: Results) -> str | None:
    """What cannot be scored for want of gold labels; None where everything can."""
    cells = results.cells[results.cells["status"] == "done"]
    without = cells[cells["has_gold"].eq(False).fillna(False)]
    if without.empty:
        return None
    tasks = ", ".join(sorted(without["task"].unique()))
    saved = "The predictions lie beside the records (test_last in each .npz)."
    if len(without) == len(cells):
        return f"Nothing can be scored, because the test texts have no gold labels: {tasks}. {saved}"
    return f"Not scored, because the test texts have no gold labels: {tasks}. {saved}"
