"""Several answers per text become one label."""

from __future__ import annotations

import numpy as np


def majority_vote(votes: np.ndarray, num_classes: int, rng: np.random.Generator, uncovered: str) -> np.ndarray:
    """The class with most votes, int64[n, F] -> int64[n]; -1 = no vote; ties fall to a uniform choice among the best.

    A row without any vote gets a uniform class (`uncovered="uniform"`) or -1 (`"drop"`).
    """
    rows, voters = np.nonzero(votes >= 0)
    flat = rows * num_classes + votes[rows, voters]
    counts = np.bincount(flat, minlength=len(votes) * num_classes).reshape(len(votes), num_classes)
    # counts are whole numbers: a uniform addend below 1 orders equal counts at random and nothing else
    winners = (counts + rng.random(counts.shape)).argmax(axis=1)
    return np.where(counts.any(axis=1) | (uncovered == "uniform"), winners, -1)
