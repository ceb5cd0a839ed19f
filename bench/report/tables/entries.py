"""The entries and heads of tables, and the sentences below them."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

from bench.core.texts import plural
from bench.report.names import natural
from bench.report.tables import stats
from bench.report.tables.averages import Average, no_seed_sentence
from bench.report.tables.blocks import Block, Column
from bench.report.tables.bootstrap import Draws
from bench.report.tables.headlines import Leader
from bench.report.tables.model import Entry, Head, State, number
from bench.store import intervals
from bench.store.metrics import Metric
from bench.store.noise_words import noise_words

BySeeds = Mapping[str, dict[int, float]]


def entry(block: Block, method: str, column: Column, name: str, metric: Metric) -> Entry:
    """The entry of one method in one column: mean and interval over seeds, or why it has none."""
    rows = block.rows.get((method, column), [])
    values = block.values(method, column, name, metric.scale)
    ids = tuple(row["cell"] for row in rows)
    lost = [f"{count} {status}" for status in ("failed", "skipped") if (count := _count(rows, status))]
    if values:
        return mean_entry(block, method, [column], name, values, ", ".join(lost))
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
        ("learns from human labels, so it does not compete.", "learn from human labels, so they do not compete."):
            block.humans,
        ("sees gold, a reference that does not compete.", "see gold, references that do not compete."):
            block.references - block.readers - block.humans,
        ("opened data files of the task by itself, so it does not compete.",
         "opened data files of the task by themselves, so they do not compete."): block.readers,
    }  # fmt: skip
    found = {texts: sorted(named & set(methods), key=natural) for texts, named in why.items()}
    return [f"{', '.join(names)}: {texts[len(names) > 1]}" for texts, names in found.items() if names]


def mark_best(entries: dict[str, Entry], leader: Leader) -> dict[str, Entry]:
    """The entries of a column by method, the best marked where seeds and test texts show that it is ahead."""
    if leader.name is None or leader.gap is None or not leader.gap.sure():
        return entries
    return entries | {leader.name: dataclasses.replace(entries[leader.name], best=True)}


def mean_entry(
    block: Block, method: str, columns: list[Column], name: str, by_seed: dict[int, float], lost: str = ""
) -> Entry:
    """Mean over seeds of scores `name`, averaged over `columns`, with its 95 % interval; empty without a score."""
    interval = stats.mean_interval(list(by_seed.values()))
    ids, limits = block.ids(method, columns), functools.partial(texts_limits, block, method, columns, name, by_seed)
    return seeds_or_texts(interval, ids, limits, lost)


def seeds_or_texts(
    interval: stats.Interval,
    ids: tuple[str, ...],
    over_texts: Callable[[], tuple[float, float] | None] | None = None,
    note: str = "",
    signed: bool = False,
) -> Entry:
    """A mean with its interval over seeds; where one seed or equal scores give none, with that over test texts.

    `over_texts` gives the limits of the latter, None where there is none. Empty without a mean.
    """
    if not interval.n or interval.half > stats.NO_SPREAD:
        return dataclasses.replace(interval_entry(interval, ids, signed), note=note)
    limits, why = over_texts() if over_texts else None, "one seed" if interval.n == 1 else "the same with every seed"
    half = (limits[1] - limits[0]) / 2 if limits else math.nan
    shown = f": interval over test texts {' to '.join(number(each, 1, signed) for each in limits)}" if limits else ""
    said = "; ".join(filter(None, [note, why + shown]))
    return Entry("value", interval.mean, half, interval.n, cells=ids, note=said, signed=signed, limits=limits)


def interval_entry(interval: stats.Interval, ids: tuple[str, ...] = (), signed: bool = False) -> Entry:
    """A mean with its interval over seeds; empty without one."""
    return Entry("value", *interval, cells=ids, signed=signed) if interval.n else Entry("empty")


def texts_limits(
    block: Block, method: str, columns: list[Column], name: str, seeds: Collection[int]
) -> tuple[float, float] | None:
    """The 95 % interval of an average accuracy over the choice of test texts, in per cent; None for other metrics.

    Of one column it is Wilson's (1927). Of several, what lies between the accuracies and Wilson's limits is added for
    columns of one task, which share their test texts, and added in squares over tasks (Newcombe 1998).
    """
    if not name.startswith("accuracy") or not columns:
        return None
    total, down, up = 0.0, defaultdict[str, float](float), defaultdict[str, float](float)
    for column in columns:
        rows = [row for row in block.rows.get((method, column), ()) if row["seed"] in seeds and row[name] is not None]
        if not rows or not all(row["n_scored"] for row in rows):
            return None
        share = sum(row[name] for row in rows) / len(rows)
        low, high = wilson(share, min(row["n_scored"] for row in rows))
        total += 100 * share
        down[column[0]] += max(100 * share - low, 0)
        up[column[0]] += max(high - 100 * share, 0)
    below, above = (math.sqrt(sum(each**2 for each in side.values())) for side in (down, up))
    return (total - below) / len(columns), (total + above) / len(columns)


def wilson(share: float, texts: int) -> tuple[float, float]:
    """The 95 % interval of an accuracy `share` on so many test texts (Wilson 1927), in per cent."""
    found = intervals.wilson(round(share * texts), texts)
    return (100 * found.low, 100 * found.high) if found else (math.nan, math.nan)


SMALL_TEST = 300
"""Fewer test texts make a small test set, which is named with its interval: Wilson's is then up to 11 points wide."""


def small_tests(block: Block, columns: Iterable[Column]) -> dict[str, int]:
    """The tasks among `columns` with fewer than `SMALL_TEST` test texts, and how many they have."""
    found = {
        task: min(sizes)
        for task, noise in columns
        if (sizes := [row["n_scored"] for row in block.cells((task, noise)) if row["n_scored"] is not None])
    }  # fmt: skip
    return {task: size for task, size in sorted(found.items()) if size < SMALL_TEST}


def small_test_sentences(block: Block, columns: list[Column], rule: str) -> list[str]:
    """How far the best accuracy of a small test set may lie from that on many more texts."""
    made = []
    for task, texts in small_tests(block, columns).items():
        name, own = f"accuracy_{rule}", [column for column in columns if column[0] == task]
        means = {
            (sum(values) / len(values), method, column[1])
            for column in own
            for method in block.methods
            if method not in block.references and (values := list(block.values(method, column, name).values()))
        }
        if means:
            share, method, noise = max(means)
            low, high = wilson(share, texts)
            made.append(
                f"{task} has only {texts} test texts: the highest accuracy there, {number(100 * share, 1)} % "
                f"({method} with {noise}), has a 95 % interval of {number(low, 0)} to {number(high, 0)} % (Wilson)."
            )
    return made


def difference(
    block: Block, draws: Draws | None, method: str, columns: list[Column], rule: str, scores: BySeeds
) -> Entry:
    """Difference of a method from the baseline, paired by seed, with its 95 % interval.

    `scores` has both by seed; the bootstrap of the accuracy gives the interval where seeds give none.
    """
    if (baseline := block.baseline) is None or method == baseline:
        return Entry("empty")

    def over_texts() -> tuple[float, float] | None:
        seeds = sorted(scores[method].keys() & scores[baseline].keys())
        limits = draws.interval(block, method, baseline, columns, seeds, rule) if draws else None
        return limits if limits and limits[1] > limits[0] else None

    interval = stats.paired_difference(scores[method], scores[baseline])
    return seeds_or_texts(interval, block.ids(method, columns), over_texts, signed=True)


def column_head(block: Block, column: Column, by_task: bool = True) -> Head:
    """The head of a column: its task, its noise source, how many of the labels trained on are wrong or drawn."""
    rows = block.cells(column)
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
    "Bold: the best, where its paired 95 % interval over seeds against the runner-up and the bootstrap over test texts "
    f"both exclude 0 (accuracy only; at least {stats.MIN_SEEDS} shared seeds)."
)


def few_sentence(few: Collection[str]) -> str:
    """Which methods the best is not compared with; empty where there are none."""
    return f"Bold without regard to {', '.join(sorted(few, key=natural))}: too few seeds to compare." if few else ""


def _seed_sentence(block: Block, columns: list[Column], name: str, metric: Metric) -> str:
    counts = {len(block.values(method, column, name)) for method in block.methods for column in columns} - {0}
    better = f"{'higher' if metric.higher_is_better else 'lower'} is better."
    if not counts:
        return "No scores."
    if counts == {1}:
        return f"One seed; {better}" if name.startswith("accuracy") else f"One seed, no interval; {better}"
    fewer = ", fewer where marked (n=…)" if len(counts) > 1 else ""
    return f"Mean ± 95 % t-interval over {max(counts)} seeds{fewer}; {better}"


def average_sentences(block: Block, columns: list[Column], made: list[Average]) -> list[str]:
    """Which columns the averages are over, how much each kind of noise counts, and which methods have none."""
    apart = [f"{noise} of {task}" for task, noise in columns if (task, noise) in block.superseded]
    said = [f"Superseded by newer data, and in no average, difference or test: {', '.join(apart)}."] if apart else []
    one_task = len({task for task, _ in columns}) == 1
    for each in made:
        what = "Average" if each is made[-1] else f"Average of {each.span.title}"
        if not each.columns:
            said.append(f"No {what[0].lower()}{what[1:]}: no column has a score of every compared method.")
            continue
        if len(each.columns) == len(each.span.columns):
            text = f"over all {len(each.columns)} columns" if each is made[-1] else ""
        else:
            listed = ", ".join(noise if one_task else f"{task} {noise}" for task, noise in each.columns)
            text = f"over the {plural(len(each.columns), 'column')} that every compared method has: {listed}"
        if each.span.kind == "all" and text:
            text += f" ({each.head.below})"
        said += [f"{what} {text}."] if text else []
        lacking = "an average" if each is made[-1] else f"an average of {each.span.title}"
        if each.left_out:
            said.append(
                f"Without {lacking}, because they have fewer than half of the columns: {', '.join(each.left_out)}."
            )
        said += filter(None, [no_seed_sentence(each.no_seed, lacking)])
    if any(len(each.tasks) > 1 for each in made):
        said.append("One task less: the range of an average when any one of its tasks is left out.")
    return said
