"""Intervals and tests over seeds and cells. Seeds are paired: one seed gives every method the same data.

Too few seeds or cells for a statement is a plain answer of these functions, never a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

MIN_SEEDS = 3
"""Fewer shared seeds support no claim that one method is better than another."""


class Interval(NamedTuple):
    """A mean with the half-width of its confidence interval; NaN where too few values give none."""

    mean: float
    half: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """True when the whole interval lies on one side of zero."""
        return bool(np.isfinite(self.half) and abs(self.mean) > self.half)


def mean_interval(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> Interval:
    """Mean of `values` float[n] with its two-sided t-interval, mean +- t_(n-1) s / sqrt(n).

    One value has no interval (half-width NaN), no value has no mean either.
    """
    values = np.asarray(values, dtype=np.float64)
    n = values.size
    if n == 0:
        return Interval(float("nan"), float("nan"), 0)
    if n == 1:
        return Interval(float(values[0]), float("nan"), 1)
    quantile = special.stdtrit(n - 1, 0.5 + confidence / 2)
    return Interval(float(values.mean()), float(quantile * values.std(ddof=1) / np.sqrt(n)), n)


def paired_difference(ours: Mapping[int, float], theirs: Mapping[int, float], confidence: float = 0.95) -> Interval:
    """Mean of `ours[seed] - theirs[seed]` over the seeds that both have, with its t-interval."""
    shared = sorted(ours.keys() & theirs.keys())
    return mean_interval([ours[seed] - theirs[seed] for seed in shared], confidence)


class Best(NamedTuple):
    """Which method is best by its mean, and whether the data support saying so."""

    name: str | None
    runner_up: str | None
    difference: Interval | None  # best minus runner-up, over their shared seeds
    supported: bool
    why: str


def best_supported(scores: Mapping[str, Mapping[int, float]], higher_is_better: bool = True) -> Best:
    """The best of `scores[method][seed]`, supported when its paired interval against the runner-up excludes 0.

    Fewer than `MIN_SEEDS` shared seeds, or no second method, support nothing.
    """
    sign = 1 if higher_is_better else -1
    means = {name: float(np.mean(list(by_seed.values()))) for name, by_seed in scores.items() if by_seed}
    ranked = sorted(means, key=lambda name: (-sign * means[name], name))
    if len(ranked) < 2:
        return Best(ranked[0] if ranked else None, None, None, False, "nothing to compare with")
    best, runner_up = ranked[:2]
    difference = paired_difference(scores[best], scores[runner_up])
    if difference.n < MIN_SEEDS:
        why = f"{difference.n} shared seeds are too few (at least {MIN_SEEDS})"
        return Best(best, runner_up, difference, False, why)
    supported = difference.excludes_zero and sign * difference.mean > 0
    why = "the paired 95 % interval excludes 0" if supported else "the paired 95 % interval includes 0"
    return Best(best, runner_up, difference, supported, why)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's step-down adjusted p-values (Holm 1979), in the order given; NaN stays NaN and is not counted."""
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


def mcnemar(right_a: np.ndarray, right_b: np.ndarray) -> float:
    """p-value of McNemar's test that two classifiers err equally often on the same texts.

    `right_a`, `right_b` bool[N]. Exact binomial below 25 discordant texts, else chi-squared with continuity
    correction (spec section 11).
    """
    a, b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    if a.shape != b.shape:
        raise ValueError(f"McNemar's test needs the same texts: {list(a.shape)} and {list(b.shape)} answers")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    total = only_a + only_b
    if total < 25:
        return float(min(1.0, 2 * special.bdtr(min(only_a, only_b), total, 0.5)))
    return float(special.chdtrc(1, max(0, abs(only_a - only_b) - 1) ** 2 / total))


class Ranks(NamedTuple):
    """Average ranks over blocks (1 = best), with the Friedman test; None where there are too few blocks."""

    mean: np.ndarray  # float64[methods]
    blocks: int
    p_value: float | None  # Iman and Davenport's F form of the Friedman test
    critical_difference: float | None  # Nemenyi, alpha = 0.05


MIN_BLOCKS = 5
"""Fewer blocks give ranks only, no p-value (spec section 11)."""


def friedman_ranks(scores: np.ndarray) -> Ranks:
    """Average ranks of methods over blocks, Friedman test and Nemenyi's critical difference (Demsar 2006).

    `scores` float[blocks, methods], higher is better, no NaN. A block is a task with a noise source, its
    seeds averaged first: seeds are not blocks.
    """
    from scipy import stats

    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] < 2 or not np.isfinite(scores).all():
        raise ValueError(f"ranks need finite scores of at least 2 methods, float[blocks, methods], not {scores.shape}")
    blocks, k = scores.shape
    mean = stats.rankdata(-scores, axis=1).mean(axis=0)
    if blocks < MIN_BLOCKS:
        return Ranks(mean, blocks, None, None)
    chi2 = 12 * blocks / (k * (k + 1)) * ((mean**2).sum() - k * (k + 1) ** 2 / 4)
    rest = blocks * (k - 1) - chi2
    p_value = 0.0 if rest <= 0 else float(special.fdtrc(k - 1, (k - 1) * (blocks - 1), (blocks - 1) * chi2 / rest))
    quantile = stats.studentized_range.ppf(0.95, k, np.inf) / np.sqrt(2)
    return Ranks(mean, blocks, p_value, float(quantile * np.sqrt(k * (k + 1) / (6 * blocks))))


def signed_rank_p(differences: Sequence[float] | np.ndarray) -> float | None:
    """Two-sided Wilcoxon signed-rank p-value of paired differences over blocks; None below `MIN_BLOCKS` blocks."""
    from scipy import stats

    values = np.asarray(differences, dtype=np.float64)
    if values.size < MIN_BLOCKS:
        return None
    if not values.any():
        return 1.0
    return float(stats.wilcoxon(values, zero_method="zsplit").pvalue)


class Bootstrap(NamedTuple):
    """A difference of two methods with its percentile interval."""

    difference: float
    low: float
    high: float


def bootstrap_accuracy(
    ours: np.ndarray, theirs: np.ndarray, rng: np.random.Generator, draws: int = 10_000, confidence: float = 0.95
) -> Bootstrap:
    """Two-level paired bootstrap of the accuracy difference: seeds and test texts are both drawn anew.

    `ours`, `theirs` bool[seeds, texts]: right or wrong, same seeds, same texts. Percentile interval.
    """
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"bootstrap needs two arrays [seeds, texts] of one shape: {list(a.shape)}, {list(b.shape)}")
    seeds, texts = a.shape
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds  # [draws, seeds]
    gap = a - b
    # One draw at a time keeps memory at one row of texts; all draws at once would need draws x texts floats.
    drawn = np.array([(row @ gap)[rng.integers(texts, size=texts)].mean() for row in by_seed])
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Bootstrap(float((a - b).mean()), float(low), float(high))
