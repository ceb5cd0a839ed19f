"""The entries and heads of tables, and the sentences below them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from bench.report.names import natural
from bench.report.tables import stats
from bench.report.tables.blocks import Block, Column
from bench.report.tables.model import Entry, Head, State
from bench.store.metrics import Metric
from bench.store.noise_words import noise_words


def entry(block: Block, method: str, column: Column, name: str, metric: Metric) -> Entry:
    """The entry of one method in one column: mean and interval over seeds, or why it has none."""
    rows = block.rows.get((method, column), [])
    values = block.values(method, column, name, metric.scale)
    ids = tuple(row["cell"] for row in rows)
    lost = [f"{count} {status}" for status in ("failed", "skipped") if (count := _count(rows, status))]
    if values:
        interval = stats.mean_interval(list(values.values()))
        return Entry("value", interval.mean, interval.half, interval.n, cells=ids, note=", ".join(lost))
    if not rows:
        return Entry("not run")
    if any(row["status"] == "done" and row["has_gold"] is not False for row in rows):
        return Entry("empty", cells=ids, note="no valid text has an answer, so no step can be chosen")
    state: State = "failed" if _count(rows, "failed") else "skipped" if _count(rows, "skipped") else "no gold"
    reasons = "; ".join(dict.fromkeys(str(row["reason"]) for row in rows if row["reason"]))
    return Entry(state, cells=ids, note=reasons)


def _count(rows: list[dict], status: str) -> int:
    return sum(row["status"] == status for row in rows)


HARD = ("accuracy",)
"""Metrics that labels without probabilities have, and records hold for the labeller."""


def reference_sentences(block: Block, methods: Iterable[str]) -> list[str]:
    """Which of the methods do not compete, and why."""
    why = {
        "learns from so many human labels, so it does not compete.": block.humans,
        "sees gold, a reference that does not compete.": block.references - block.readers - block.humans,
        "opened data files of the task by itself, so it does not compete.": block.readers,
    }
    found = {text: sorted(named & set(methods), key=natural) for text, named in why.items()}
    return [f"{', '.join(names)}: {text}" for text, names in found.items() if names]


def mark_best(grid: dict[str, list[Entry]], position: int, scores: dict, metric: Metric) -> None:
    """Mark the best entry of a column, only where its interval against the runner-up supports it."""
    verdict = stats.best_supported(scores, metric.higher_is_better)
    if verdict.supported and verdict.name is not None:
        entries = grid[verdict.name]
        entries[position] = dataclasses.replace(entries[position], best=True)


def summary(by_seed: dict[int, float], ids: tuple[str, ...]) -> Entry:
    """Mean and 95 % interval over seeds; empty without a score."""
    interval = stats.mean_interval(list(by_seed.values()))
    return Entry("value", *interval, cells=ids) if interval.n else Entry("empty")


def difference(average: dict[str, dict[int, float]], method: str, baseline: str, ids: tuple[str, ...]) -> Entry:
    """Difference of a method from the baseline, paired by seed, with its 95 % interval."""
    if method == baseline:
        return Entry("empty")
    interval = stats.paired_difference(average[method], average[baseline])
    return Entry("value", *interval, cells=ids, signed=True) if interval.n else Entry("empty")


def column_head(block: Block, column: Column, by_task: bool = True) -> Head:
    """The head of a column: its task, its noise source, how many of the labels trained on are wrong or drawn."""
    rows = [row for method in block.methods for row in block.rows.get((method, column), ())]
    known = [row for row in rows if row["noise_rate_trained"] is not None]
    described = [row["no_answer_train"] for row in rows if row["no_answer_train"] is not None]
    below = noise_words(
        sum(row["noise_rate_trained"] for row in known) / len(known) if known else None,
        sum(described) / len(described) if described else 0.0,
        any(row["noise_rate_expected"] for row in known),
    )
    task, noise = column
    name, group = (noise, task) if by_task else (task, noise)
    return Head(name=name, group=group, below=below, task=task, noise=noise)


RULE_TEXT = {
    "last": "Scores are those of the last step.",
    "noisy_valid": "Scores are those of the step with the highest accuracy on the noisy validation labels.",
    "oracle_best": "Scores are those of the best step on the test set: a diagnostic, never a result.",
}


BOLD_TEXT = (
    "Bold: the best, where its paired 95 % interval against the runner-up excludes 0 "
    f"(at least {stats.MIN_SEEDS} shared seeds)."
)


def _seed_sentence(block: Block, columns: list[Column], name: str, metric: Metric) -> str:
    counts = {len(block.values(method, column, name)) for method in block.methods for column in columns} - {0}
    better = f"{'higher' if metric.higher_is_better else 'lower'} is better."
    if not counts:
        return "No scores."
    if counts == {1}:
        return f"One seed, so there is no interval; {better}"
    fewer = ", fewer where marked (n=…)" if len(counts) > 1 else ""
    return f"Mean ± 95 % t-interval over {max(counts)} seeds{fewer}; {better}"


def average_sentences(block: Block, columns: list[Column], shared: list[Column], left_out: list[str]) -> list[str]:
    """Which columns an average is over, and which methods have none."""
    current = block.current(columns)
    apart = [f"{noise} of {task}" for task, noise in columns if (task, noise) in block.superseded]
    said = [f"Superseded by newer data, and in no average, difference or test: {', '.join(apart)}."]
    return (said if apart else []) + _average_sentences(current, shared, left_out)


def _average_sentences(columns: list[Column], shared: list[Column], left_out: list[str]) -> list[str]:
    if len(columns) < 2:
        return []
    one_task = len({task for task, _ in columns}) == 1
    listed = ", ".join(noise if one_task else f"{task} {noise}" for task, noise in shared)
    if not shared:
        return ["No average: no column has a score of every compared method."]
    if len(shared) == len(columns):
        sentences = [f"Average over all {len(columns)} columns."]
    else:
        plural = "columns" if len(shared) > 1 else "column"
        sentences = [f"Average over the {len(shared)} {plural} that every compared method has: {listed}."]
    if left_out:
        sentences.append(f"Without an average, having fewer than half of the columns: {', '.join(left_out)}.")
    return sentences
