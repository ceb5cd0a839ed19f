"""Which classes a figure or table shows where there are too many for a person to read."""

from __future__ import annotations

import numpy as np

MOST_CLASSES = 60
"""Classes that a heat map or a table of classes shows."""
MOST_NAMES = 30
"""Classes whose names stand in a map of texts."""


def most_confused(counts: np.ndarray, most: int = MOST_CLASSES) -> np.ndarray:
    """int64[at most `most`], ascending: the classes of the largest confusions, then the most frequent ones.

    `counts` int[C, C], rows gold, columns noisy label.
    """
    classes = len(counts)
    if classes <= most:
        return np.arange(classes)
    gold, noisy = np.nonzero(counts)
    wrong = gold != noisy
    gold, noisy = gold[wrong], noisy[wrong]
    order = np.argsort(-counts[gold, noisy], kind="stable")
    frequent = np.argsort(-(counts.sum(0) + counts.sum(1)), kind="stable")
    ranked = np.concatenate([np.stack([gold[order], noisy[order]], axis=1).ravel(), frequent])
    first = np.sort(np.unique(ranked, return_index=True)[1])
    return np.sort(ranked[first[:most]])


def left_out(classes: int, shown: int = MOST_CLASSES) -> str:
    """What a caption says of the classes that are not shown; empty where all are."""
    return f" Of {classes:,} classes the {shown} most often confused are shown." if classes > shown else ""
