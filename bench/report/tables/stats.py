"""Intervals and tests over seeds and cells. Seeds are paired: one seed gives every method the same data.

Too few seeds or cells for a statement is a plain answer of these functions, never a number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

MIN_SEEDS = 3
"""Fewer shared seeds support no claim that one method is better than another."""


NO_SPREAD = 1e-9
"""A half-width below this is rounding: all values were equal, as happens where few texts differ."""


class Interval(NamedTuple):
    """A mean with the half-width of its confidence interval; NaN where too few values give none."""

    mean: float
    half: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """True when the whole interval lies on one side of zero; an interval without any width says nothing."""
        return bool(np.isfinite(self.half) and abs(self.mean) > self.half > NO_SPREAD)


def mean_interval(values: Sequence[float] | np.ndarray) -> Interval:
    """Mean of `values` float[n] with its two-sided 95 % t-interval, mean +- t_(n-1) s / sqrt(n).

    One value has no interval (half-width NaN), no value has no mean either.
    """
    values = np.asarray(values, dtype=np.float64)
    n = values.size
    if n == 0:
        return Interval(float("nan"), float("nan"), 0)
    if n == 1:
        return Interval(float(values[0]), float("nan"), 1)
    quantile = special.stdtrit(n - 1, 0.975)
    return Interval(float(values.mean()), float(quantile * values.std(ddof=1) / np.sqrt(n)), n)


def paired_difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Interval:
    """Mean of `ours[seed] - theirs[seed]` over the seeds that both have, with its t-interval."""
    shared = sorted(ours.keys() & theirs.keys())
    return mean_interval([ours[seed] - theirs[seed] for seed in shared])


def common_seeds(scores: Iterable[Collection[int]]) -> list[int]:
    """The seeds that are in all of `scores`, ascending; none where there are no scores."""
    return sorted(set.intersection(*found)) if (found := [set(each) for each in scores]) else []


def too_few_seeds(scores: Mapping[str, Sequence[Collection[int]]], base: str | None = None) -> list[str]:
    """The names whose few seeds would decide for all: with fewer than half of the median number of seeds.

    None where all share `MIN_SEEDS` seeds in every column, or where fewer than two would be left. `scores` has the
    seeds of each column by name; where `base` is one of them, only seeds that it has count.
    """
    columns = list(zip(*scores.values(), strict=True))
    if all(len(common_seeds(column)) >= MIN_SEEDS for column in columns):
        return []
    count = {
        name: sum(len({*own} & {*other}) for own, other in zip(found, scores.get(base or name, found), strict=True))
        for name, found in scores.items()
    }
    few = [name for name, seeds in count.items() if 2 * seeds < np.median(list(count.values()))]
    return few if len(scores) - len(few) > 1 else []


def best_two(scores: Mapping[str, Mapping[int, float]]) -> list[str]:
    """The names of the best of `scores[method][seed]` and of its runner-up by their means; fewer where there are."""
    return best_first({name: float(np.mean(list(own.values()))) for name, own in scores.items() if own})[:2]


def best_first(means: Mapping[str, float]) -> list[str]:
    """Names by their `means`, the highest first; of equal ones, whatever the rounding, plain first, then by name."""
    return sorted(means, key=lambda name: (-round(means[name], 9), name != "plain", name))


def mcnemar_p(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Two-sided p-value of McNemar's exact test on what two were right about, bool[n] each, the same rows."""
    from scipy import stats

    only_ours, only_theirs = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    return float(stats.binomtest(only_ours, only_ours + only_theirs).pvalue) if only_ours + only_theirs else 1.0


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's step-down adjusted p-values (Holm 1979), in the order given; NaN stays NaN and is not counted."""
    from statsmodels.stats.multitest import multipletests

    p = np.asarray(p_values, dtype=np.float64)
    adjusted, known = np.full(p.shape, np.nan), np.isfinite(p)
    if known.any():
        adjusted[known] = multipletests(p[known], method="holm")[1]
    return adjusted


def paired_t_p(ours: Mapping[int, float], theirs: Mapping[int, float]) -> float:
    """Two-sided p-value of the paired t-test over shared seeds; NaN below `MIN_SEEDS` of them.

    Differences that are all equal say nothing about their spread: p is then 1 where they are 0, else NaN.
    """
    shared = sorted(ours.keys() & theirs.keys())
    if len(shared) < MIN_SEEDS:
        return float("nan")
    difference = np.array([ours[seed] - theirs[seed] for seed in shared])
    if np.ptp(difference) <= NO_SPREAD:
        return 1.0 if abs(difference[0]) <= NO_SPREAD else float("nan")
    t = difference.mean() / (difference.std(ddof=1) / np.sqrt(len(shared)))
    return float(2 * special.stdtr(len(shared) - 1, -abs(t)))


def corrected_p(average: dict[str, dict[int, float]], others: list[str], baseline: str) -> dict[str, float]:
    """By method: the p-value of its paired t-test over seeds against the baseline, Holm-corrected; NaN for too few."""
    p_values = holm([paired_t_p(average[method], average[baseline]) for method in others])
    return dict(zip(others, p_values.tolist(), strict=True))


def comparisons(p_values: Iterable[float]) -> int:
    """For how many comparisons `holm` corrects: those that have a p-value, which too few seeds do not give."""
    return int(np.isfinite(list(p_values)).sum())


MIN_BLOCKS = 5
"""Fewer blocks give ranks only, no p-value (spec section 11)."""


def signed_rank_p(differences: Sequence[float] | np.ndarray) -> float:
    """Two-sided Wilcoxon signed-rank p-value of paired differences over blocks; NaN below `MIN_BLOCKS` blocks."""
    from scipy import stats

    values = np.round(np.asarray(differences, dtype=np.float64), 12)  # ties stay ties
    if values.size < MIN_BLOCKS:
        return float("nan")
    if not values.any():
        return 1.0
    return float(stats.wilcoxon(values, zero_method="zsplit").pvalue)


class Ranks(NamedTuple):
    """Average ranks over blocks (1 = best), with what tests say of them; None where there are too few blocks."""

    mean: np.ndarray  # float64[methods]
    blocks: int
    p_value: float | None  # Friedman test in Iman and Davenport's F form
    critical_difference: float | None  # Nemenyi, alpha = 0.05
    pairwise: np.ndarray | None  # float64[methods, methods]: Nemenyi's p-values


def average_ranks(scores: np.ndarray) -> np.ndarray:
    """Average ranks float64[methods], 1 the best, of `scores` float[blocks, methods]; higher is better, ties share."""
    from scipy import stats

    return stats.rankdata(-scores, axis=1).mean(axis=0)


def friedman_ranks(scores: np.ndarray) -> Ranks:
    """Average ranks of methods over blocks, Friedman test, Nemenyi's pairwise test (Demsar 2006).

    `scores` float[blocks, methods], higher is better, no NaN. A block is a task with a noise source, its
    seeds averaged first: seeds are not blocks. The tests need `MIN_BLOCKS` blocks and 3 methods.
    """
    from scipy import stats

    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] < 2 or not np.isfinite(scores).all():
        raise ValueError(f"ranks need finite scores of at least 2 methods, float[blocks, methods], not {scores.shape}")
    blocks, k = scores.shape
    mean = average_ranks(scores)
    if blocks < MIN_BLOCKS or k < 3:
        return Ranks(mean, blocks, None, None, None)
    if (np.ptp(scores, axis=1) == 0).all():  # no method differs anywhere: the statistic is 0 / 0
        return Ranks(mean, blocks, 1.0, None, None)
    from scikit_posthocs import posthoc_nemenyi_friedman

    chi2 = stats.friedmanchisquare(*scores.T).statistic
    rest = blocks * (k - 1) - chi2
    p_value = 0.0 if rest <= 0 else float(stats.f.sf((blocks - 1) * chi2 / rest, k - 1, (k - 1) * (blocks - 1)))
    quantile = stats.studentized_range.ppf(0.95, k, np.inf) / np.sqrt(2)
    critical = float(quantile * np.sqrt(k * (k + 1) / (6 * blocks)))
    return Ranks(mean, blocks, p_value, critical, posthoc_nemenyi_friedman(scores).to_numpy(np.float64))


DRAWS = 2000
"""Draws of a bootstrap: its 95 % limits then stand on 50 draws each."""


CHUNK = 1 << 22
"""Numbers that a part of the draws may hold at a time."""


def bootstrap_texts(right: np.ndarray, rng: np.random.Generator, draws: int = DRAWS) -> np.ndarray:
    """Accuracies float32[draws, runs] when the test texts are resampled, the same texts for every run.

    `right` bool[runs, texts]: which texts each run got right.
    """
    runs, texts = right.shape
    hits = np.ascontiguousarray(right.T, dtype=np.float32)
    found = np.empty((draws, runs), dtype=np.float32)
    step = max(1, CHUNK // texts)
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        chosen = rng.integers(texts, size=(rows, texts)) + texts * np.arange(rows)[:, None]
        counts = np.bincount(chosen.ravel(), minlength=rows * texts).reshape(rows, texts)
        found[start : start + rows] = counts.astype(np.float32) @ hits
    return found / texts


def bootstrap_seeds(seeds: int, rng: np.random.Generator, draws: int = DRAWS) -> np.ndarray:
    """Weights float64[draws, seeds], rows sum to 1, of resampled seeds."""
    return rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds


def percentile_interval(drawn: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of a bootstrap's draws float[draws]."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)
