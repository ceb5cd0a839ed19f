"""What records can simulate without training: averages of methods, and the method chosen on noisy validation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import ClassVar, NamedTuple

import numpy as np

from bench.report.frame import Results
from bench.report.tables import stats
from bench.report.tables.base import Context, ReportTable, register
from bench.report.tables.blocks import Block, Column
from bench.report.tables.bootstrap import too_many
from bench.report.tables.entries import interval_entry
from bench.report.tables.model import Head, Row, Table
from bench.store.metrics.base import simplex
from bench.store.metrics.calibration import expected_calibration_error

ARRAYS = ("test_last", "gold", "valid_last", "valid_labels")
MIN_METHODS = 3
"""With fewer there is one pair, and nothing to choose from."""
MEASURES = {
    "accuracy": Head("accuracy", "", "%"),
    "ece": Head("ECE", "", "%, lower is better"),
    "regret": Head("regret", "", "points"),
}
ORACLE = "best single method on test (oracle)"


class Kept(NamedTuple):
    """Probabilities of the last step of one cell, float64[N, C]."""

    valid: np.ndarray
    test: np.ndarray


class Score(NamedTuple):
    """Shares in [0, 1]."""

    valid: float  # accuracy on the noisy labels of valid, which choose
    accuracy: float
    ece: float


@register
class TogetherTable(ReportTable):
    """Averages of methods, and the method chosen on noisy validation."""

    name, order = "together", 66
    kinds: ClassVar = {"together": "methods together"}

    def make(self, context: Context) -> Iterable[Table]:
        """One table of the ways to use all methods; none where fewer than three keep their probabilities of valid."""
        if too_many(context.read, context.full):
            return
        block = context.block.by("noisy_valid")  # without the baseline stopped early as a row of its own
        by_seed: dict[int, dict[Column, dict[str, Score]]] = {}
        for column in block.current():
            for seed, kept, labels, gold in _draws(context.read, block, column):
                by_seed.setdefault(seed, {})[column] = ways(kept, labels, gold)
        columns = [column for column in block.current() if any(column in found for found in by_seed.values())]
        seeds = [found for found in by_seed.values() if all(column in found for column in columns)]
        if not columns or not seeds:
            return
        rows = []
        for way in seeds[0][columns[0]]:
            values = [[_mean(found, columns, way, name) for found in seeds] for name in MEASURES]
            entries = tuple(interval_entry(stats.mean_interval(each)) for each in values)
            rows.append(Row(way, "reference" if way == ORACLE else "method", entries))
        over = ", ".join(f"{task} {noise}" for task, noise in columns)
        caption = (
            f"Simulated from the stored probabilities of the last step, without training, over {over}; mean ± 95 % "
            "t-interval over seeds. Methods that do not compete have no part in it.",
            "Chosen: for each column and seed the method, or of all pairs the average, that is most accurate on the "
            "noisy labels of valid. Nothing is chosen on test except the line marked oracle: it shows the most that "
            "choosing could gain, and regret is the distance to it.",
        )
        title = f"Averages of methods, and choosing one without gold: {block.setup}"
        yield block.table("together", title, MEASURES.values(), rows, caption)


def _mean(found: Mapping[Column, Mapping[str, Score]], columns: list[Column], way: str, name: str) -> float:
    def value(column: Column) -> float:
        scores = found[column]
        if name == "regret":
            return scores[ORACLE].accuracy - scores[way].accuracy
        return getattr(scores[way], name)

    return 100 * sum(map(value, columns)) / len(columns)


def _draws(read: Results, block: Block, column: Column):
    """(seed, kept by method, noisy labels of valid, gold of test) of the seeds with enough methods."""
    kept: dict[int, dict[str, Kept]] = {}
    facts: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for method in block.methods:
        for row in block.rows.get((method, column), ()):
            arrays = read.arrays(row["cell"], *ARRAYS) if method not in block.references else None
            if arrays is None or not (arrays["valid_labels"] >= 0).any() or not (arrays["gold"] >= 0).any():
                continue
            labels, gold = facts.setdefault(row["seed"], (arrays["valid_labels"], arrays["gold"]))
            same = np.array_equal(labels, arrays["valid_labels"]) and np.array_equal(gold, arrays["gold"])
            if same and arrays["valid_last"].shape[1] == arrays["test_last"].shape[1]:
                found = Kept(simplex(arrays["valid_last"]), simplex(arrays["test_last"]))
                kept.setdefault(row["seed"], {})[method] = found
    most = max(map(len, kept.values()), default=0)
    for seed, methods in sorted(kept.items()):
        if len(methods) == most >= MIN_METHODS:
            yield seed, methods, *facts[seed]


def ways(kept: Mapping[str, Kept], labels: np.ndarray, gold: np.ndarray) -> dict[str, Score]:
    """Every way to use the methods of one column and seed, scored.

    `labels` int[N_valid] are the noisy labels of valid, `gold` int[N_test] those of test; -1: unknown, not counted.
    """
    single = {name: score(each, labels, gold) for name, each in sorted(kept.items())}
    pairs = [score(average([kept[a], kept[b]]), labels, gold) for a, b in combinations(sorted(kept), 2)]

    def typical(scores: Iterable[Score]) -> Score:
        return Score(*np.mean(list(scores), axis=0).tolist())

    return {
        "any single method": typical(single.values()),
        "the single method chosen on noisy valid": max(single.values(), key=lambda each: each.valid),
        "any pair averaged": typical(pairs),
        "the pair chosen on noisy valid": max(pairs, key=lambda each: each.valid),
        "all methods averaged": score(average(list(kept.values())), labels, gold),
        ORACLE: max(single.values(), key=lambda each: each.accuracy),
    }


def average(members: list[Kept]) -> Kept:
    """The mean of probabilities."""
    return Kept(*(np.mean([getattr(each, split) for each in members], axis=0) for split in Kept._fields))


def score(kept: Kept, labels: np.ndarray, gold: np.ndarray) -> Score:
    """Accuracy on the noisy labels of valid, and accuracy and ECE on test."""
    answered, known = labels >= 0, gold >= 0
    right = (kept.test.argmax(1) == gold)[known].astype(float)
    valid = float((kept.valid.argmax(1) == labels)[answered].mean())
    return Score(valid, float(right.mean()), expected_calibration_error(kept.test.max(1)[known], right))
