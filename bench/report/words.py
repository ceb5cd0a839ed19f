"""Sentences made from the numbers: what was read, which method is best and how certain that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bench.report.tables import stats
from bench.report.tables.blocks import Block, averages, common_columns
from bench.report.tables.model import number

if TYPE_CHECKING:
    from bench.report.frame import Results


class Answer(NamedTuple):
    """One of the lines that a report begins with: the best method on one kind of noise."""

    title: str
    best: str
    gains: list[tuple[str, str]]  # what it gains over the baseline: the rule and the number
    sure: str


def counts(results: Results) -> dict[str, int]:
    """How many cells there are of each status, and how many files are damaged."""
    status = results.cells["status"].value_counts()
    return {name: int(status.get(name, 0)) for name in ("done", "failed", "skipped")} | {
        "damaged": len(results.damaged)
    }


def count_sentence(results: Results) -> str:
    """E.g. `122 cells read: 117 done, 1 failed, 4 skipped. 2 files are not readable records and were left out.`"""
    found = counts(results)
    listed = ", ".join(f"{found[name]:,} {name}" for name in ("done", "failed", "skipped") if found[name])
    listed = "all done" if found["done"] == len(results.cells) else listed
    text = f"{_plural(len(results.cells), 'cell')} read: {listed}."
    if found["damaged"]:
        verb = "is not a readable record and was" if found["damaged"] == 1 else "are not readable records and were"
        text += f" {_plural(found['damaged'], 'file')} {verb} left out."
    return text


def headline(block: Block, rule: str, baseline: str | None) -> str:
    """Which method is best in a set-up on average, by how much over the baseline, and whether that is supported."""
    shared, left_out = common_columns(block, block.columns, f"accuracy_{rule}")
    competing = [m for m in block.methods if m not in block.references and m not in left_out]
    scores = {m: by_seed for m in competing if (by_seed := averages(block, m, shared, f"accuracy_{rule}", 100))}
    verdict = stats.best_supported(scores)
    if verdict.name is None:
        why = "" if block.current() else ", as newer data supersede all that it has"
        return f"{block.setup}: no method can be compared yet{why}."
    mean = stats.mean_interval(list(scores[verdict.name].values()))
    over = f"on average over {_plural(len(shared), 'column')} (task and noise source)"
    text = f"{block.setup}: {verdict.name} has the highest accuracy {over}, {number(mean.mean, 1)} %"
    if baseline in scores and baseline != verdict.name:
        gain = stats.paired_difference(scores[verdict.name], scores[baseline])
        if gain.n:
            text += f", {_points(gain)} against {baseline}{_how_sure(scores, verdict.name, baseline)}"
    if verdict.runner_up is None:
        return f"{text}; it is the only method with these columns."
    if verdict.supported:
        single = "as a single comparison, not corrected"
        return f"{text}. It is ahead of the runner-up {verdict.runner_up} ({single}): {verdict.why}."
    return f"{text}. The data do not show that it is ahead of the runner-up {verdict.runner_up}: {verdict.why}."


def _how_sure(scores: dict[str, dict[int, float]], best: str, baseline: str) -> str:
    others = [method for method in scores if method != baseline]
    p = stats.corrected_p(scores, others, baseline)[best]
    if p != p:
        return ""
    shown = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    corrected = f", corrected for {len(others)} comparisons" if len(others) > 1 else ""
    return f" ({shown}{corrected}: {'significant' if p < 0.05 else 'not significant'} at 5 %)"


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
    return f"Without scores, because the test texts have no gold labels: {tasks}. {saved}"


def _points(interval: stats.Interval) -> str:
    half = "" if interval.half != interval.half else f" ± {number(interval.half, 1)}"
    return f"{number(interval.mean, 1, signed=True)}{half} points"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
