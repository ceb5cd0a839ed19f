"""Synthetic label noise and vote aggregation as pure functions of arrays and a generator.

Symmetric (SN) and asymmetric (ASN) noise; instance-dependent noise (IDN) after Xia et al. 2020, Part-dependent label
noise: towards instance-dependent label noise, NeurIPS. Equations: the methods specification, section 1.
"""

from __future__ import annotations

import numpy as np

__all__ = ["asymmetric", "idn_probabilities", "idn_weights", "instance_dependent", "majority_vote", "symmetric"]

IDN_RATE_SD = 0.1  # sd of the per-text flip rate (norm_std of the reference generator)
IDN_SCALE = 5.0  # length of the scaled embedding: larger makes flips depend more on the text


def symmetric(gold: np.ndarray, num_classes: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """SN: with probability rate·C/(C−1) redraw uniformly from all C classes, so P(noisy ≠ gold) = rate exactly.

    `gold` int64[n] -> int64[n]. Needs rate ≤ (C−1)/C, where labels carry no information any more.
    """
    redrawn = rng.random(len(gold)) < rate * num_classes / (num_classes - 1)
    return np.where(redrawn, rng.integers(num_classes, size=len(gold)), gold)


def asymmetric(gold: np.ndarray, num_classes: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """ASN: with probability `rate` the label becomes (gold + 1) mod C. int64[n] -> int64[n]."""
    flipped = rng.random(len(gold)) < rate
    return np.where(flipped, (gold + 1) % num_classes, gold)


def idn_weights(num_classes: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """W ~ N(0, 1), float64[C, F, C]: one projection a gold class, the same for all splits."""
    return rng.standard_normal((num_classes, width, num_classes))


def idn_rates(count: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Flip rates q ~ TruncNorm(mean rate, sd 0.1, [0, 1]), float64[n]; all 0 for rate 0.

    The truncation shifts the mean a little (0.2 becomes 0.2055), so report the mean of q beside the rate.
    """
    from scipy.stats import truncnorm

    if rate == 0:
        return np.zeros(count)
    low, high = (0 - rate) / IDN_RATE_SD, (1 - rate) / IDN_RATE_SD
    return truncnorm.rvs(low, high, loc=rate, scale=IDN_RATE_SD, size=count, random_state=rng)


def idn_probabilities(gold: np.ndarray, embeddings: np.ndarray, weights: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """P(noisy | text, gold), float64[n, C]: 1−q at gold, q·softmax(xᵀ W[gold]) over the other classes.

    x = 5·e/‖e‖ for embeddings e float[n, F].
    """
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    scaled = IDN_SCALE * embeddings.astype(np.float64) / np.maximum(norms, 1e-12)
    scores = np.empty((len(gold), weights.shape[0]))
    for label in range(weights.shape[0]):  # over classes: W[gold] for all rows at once would be n·F·C numbers
        rows = gold == label
        scores[rows] = scaled[rows] @ weights[label]
    own = np.arange(len(gold)), gold
    scores[own] = -np.inf
    scores -= scores.max(axis=1, keepdims=True)
    shares = np.exp(scores)
    probabilities = rates[:, None] * shares / shares.sum(axis=1, keepdims=True)
    probabilities[own] = 1 - rates
    return probabilities


def instance_dependent(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One class a row drawn from float64[n, C] -> int64[n], by inverting the cumulative distribution."""
    cumulative = probabilities.cumsum(axis=1)
    drawn = rng.random((len(probabilities), 1)) * cumulative[:, -1:]
    return (drawn >= cumulative).sum(axis=1).clip(max=probabilities.shape[1] - 1).astype(np.int64)


def majority_vote(votes: np.ndarray, num_classes: int, rng: np.random.Generator, uncovered: str) -> np.ndarray:
    """The class with most votes, int64[n, F] -> int64[n]; -1 is no vote; ties fall to a uniform choice among the best.

    A row without any vote gets a uniform class (`uncovered="uniform"`) or -1 (`"drop"`).
    """
    rows, voters = np.nonzero(votes >= 0)
    flat = rows * num_classes + votes[rows, voters]
    counts = np.bincount(flat, minlength=len(votes) * num_classes).reshape(len(votes), num_classes)
    # counts are whole numbers: a uniform addend below 1 orders equal counts at random and nothing else
    winners = (counts + rng.random(counts.shape)).argmax(axis=1)
    return np.where(counts.any(axis=1) | (uncovered == "uniform"), winners, -1)
