"""The two-level bootstrap: seeds and test texts are both resampled, the same ones for every method and rule.

What a report says of a difference rests on two intervals: the paired t-interval over seeds, and this bootstrap, which
covers the choice of test texts. Only a difference that both show is called one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.core.seeds import named_generator
from bench.report.frame import Results
from bench.report.tables import stats
from bench.report.tables.blocks import Block, Column, averages

MOST_CELLS = 2000
"""From this many cells on the bootstrap is left out unless asked for: it reads the arrays of every cell."""
RULES = ("last", "noisy_valid")


class Gap(NamedTuple):
    """What one method scores above another, in per cent."""

    seeds: stats.Interval  # paired by seed, with the t-interval
    texts: tuple[float, float] | None  # 95 % percentile interval over seeds and test texts; None: not drawn

    def sure(self, sign: int = 1) -> bool:
        """Whether both intervals exclude 0 on the side of `sign`, with `stats.MIN_SEEDS` shared seeds or more."""
        over_seeds = self.seeds.n >= stats.MIN_SEEDS and self.seeds.excludes_zero and sign * self.seeds.mean > 0
        return over_seeds and self.texts is not None and min(sign * self.texts[0], sign * self.texts[1]) > 0


@dataclass(frozen=True)
class Draws:
    """Accuracies of the cells of a set-up under drawn test texts."""

    by_cell: dict[tuple[str, str], np.ndarray]  # (cell id, rule) -> float32[DRAWS], percent

    def average(self, block: Block, method: str, columns: list[Column], seeds: list[int], rule: str):
        """The method's average over `columns` in each draw, float64[DRAWS], percent; None without the arrays."""
        if not columns or not seeds:
            return None
        total = np.zeros((stats.DRAWS, len(seeds)))
        for column in columns:
            rows = {row["seed"]: row for row in block.finished(method, [column])}
            for place, seed in enumerate(seeds):
                drawn = self.by_cell.get(_key(rows[seed], rule)) if seed in rows else None
                if drawn is None:
                    return None
                total[:, place] += drawn
        weights = stats.bootstrap_seeds(len(seeds), named_generator("bootstrap", "seeds"))
        return (total / len(columns) * weights).sum(axis=1)

    def interval(
        self, block: Block, ours: str, theirs: str, columns: list[Column], seeds: list[int], rule: str
    ) -> tuple[float, float] | None:
        """The 95 % percentile interval of one method's average less another's; None without the arrays."""
        drawn = [self.average(block, method, columns, seeds, rule) for method in (ours, theirs)]
        if drawn[0] is None or drawn[1] is None:
            return None
        return stats.percentile_interval(drawn[0] - drawn[1])


def _key(row: dict, rule: str) -> tuple[str, str]:
    return row["cell"], row.get("rule", rule)


def gap(
    block: Block,
    draws: Draws | None,
    ours: str,
    theirs: str,
    columns: list[Column],
    rule: str,
    seeds: Collection[int] | None = None,
) -> Gap:
    """The difference in accuracy of two methods on average over `columns`, over seeds and over texts.

    Over the seeds that both have, of `seeds` where these are given.
    """
    one, two = (averages(block, method, columns, f"accuracy_{rule}", 100) for method in (ours, theirs))
    shared = stats.common_seeds([one, two] if seeds is None else [one, two, seeds])
    texts = draws.interval(block, ours, theirs, columns, shared, rule) if draws else None
    return Gap(stats.mean_interval([one[seed] - two[seed] for seed in shared]), texts)


def too_many(results: Results, full: bool = False) -> bool:
    """Whether there are too many cells for what reads the arrays of each of them, which was not asked for."""
    return len(results.cells) >= MOST_CELLS and not full


def draws_of(results: Results, block: Block, full: bool = False) -> tuple[Draws | None, str]:
    """The bootstrap of a set-up's accuracies by both rules, computed once; or None and why there is none."""
    if too_many(results, full):
        return None, f"it is left out from {MOST_CELLS:,} cells on; `bench report --full` makes it"
    key = ("draws", block.setup)
    if key not in results.cache:
        results.cache[key] = draw(results, block)
    return results.cache[key], ""


def draw(results: Results, block: Block, methods: Collection[str] | None = None) -> Draws:
    """Draw the test texts of each task and score cells on them, by both rules: those of `methods`, or all that compete.

    Cells with the same test texts share their draws, so that differences between methods are paired; a cell whose
    arrays are missing or damaged has none.
    """
    right: dict[tuple[str, int], dict[tuple[str, str], np.ndarray]] = defaultdict(dict)
    for (method, column), rows in block.rows.items():
        left_out = method in block.references or method == block.early if methods is None else method not in methods
        if left_out or column in block.superseded:
            continue
        for row in rows:
            for key, hits in _hits(results, row).items():
                right[column[0], len(hits)][key] = hits
    found: dict[tuple[str, str], np.ndarray] = {}
    for (task, texts), by_key in right.items():
        generator = named_generator("bootstrap", "texts", task, texts)
        drawn = 100 * stats.bootstrap_texts(np.array(list(by_key.values())), generator)
        found |= dict(zip(by_key, np.ascontiguousarray(drawn.T), strict=True))
    return Draws(found)


def _hits(results: Results, row: dict) -> dict[tuple[str, str], np.ndarray]:
    """Which test texts a cell got right, by its id and the rule."""
    if row["status"] != "done":
        return {}
    found = {
        (row["cell"], rule): results.right(row["cell"], rule) for rule in RULES if row[f"accuracy_{rule}"] is not None
    }
    return {key: hits for key, hits in found.items() if hits is not None}
