"""Confident learning: count label errors from out-of-fold probabilities and pick the rows to drop.

Northcutt, Jiang & Chuang, "Confident Learning", JAIR 2021. Probabilities are float[n, C], out-of-fold (the
model that gives row i has not seen row i); labels ỹ are int64[n] in 0..C-1. The joint is indexed [ỹ, y].
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from methods.logistic import Logistic, axes_of, one_thread_each

PENALTIES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
"""Inverse penalties to choose from: hundreds of sentence-embedding coordinates need strong ones under noise."""


def confident_joint(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts J[ỹ, y], int64[C, C], of the rows that are confidently of class y; the diagonal is at least 1.

    A row is confident in the classes with p at or above the mean p of their own rows: none, it is not counted; one, it
    counts there; several, it counts at its argmax over all classes.
    """
    from cleanlab.count import compute_confident_joint  # takes a second to load

    return compute_confident_joint(labels, probabilities, calibrate=False)


def calibrated_joint(joint: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Q̂[ỹ, y], float64[C, C], sums to 1: J with its rows scaled to the observed label frequencies."""
    counts = np.bincount(labels, minlength=len(joint))
    scaled = joint / joint.sum(axis=1, keepdims=True) * counts[:, None]
    return scaled / scaled.sum()


def noise_rate_of(joint: np.ndarray) -> float:
    """τ̂ = 1 − trace of a joint Q̂ that sums to 1."""
    return float(1.0 - np.trace(joint))


def prune_by_noise_rate(probabilities: np.ndarray, labels: np.ndarray, joint: np.ndarray) -> np.ndarray:
    """bool[n], True for the rows to drop: for every ỹ ≠ y the n·Q̂[ỹ, y] rows of largest p(y) − p(ỹ).

    Never a row whose label is its most probable class, and at least one row of every class stays
    (the paper's "prune by noise rate").
    """
    counts = np.rint(joint * len(labels)).astype(np.int64)
    rows_of = [np.flatnonzero(labels == given) for given in range(len(joint))]
    drop = np.zeros(len(labels), dtype=bool)
    for given, rows in enumerate(rows_of):
        if len(rows) <= 1:
            continue
        margins = probabilities[rows] - probabilities[rows, given][:, None]
        ranks = np.argsort(np.argsort(-margins, axis=0, kind="stable"), axis=0, kind="stable")
        chosen = ranks < np.where(np.arange(len(joint)) == given, 0, counts[given])
        drop[rows] = chosen.any(axis=1)
        if drop[rows].all():
            drop[rows[probabilities[rows, given].argmax()]] = False
    own = probabilities[np.arange(len(labels)), labels]
    return drop & (own < probabilities.max(axis=1))


def fold_of_rows(
    labels: np.ndarray, folds: int, generator: np.random.Generator, *, together: np.ndarray | None = None
) -> np.ndarray:
    """The fold of every row, int64[n] in 0..folds-1: shuffled, and each class spread as evenly as can be.

    `together` int64[n]: rows of one number share the fold of the first of them.
    """
    if together is not None:
        _, first, group = np.unique(together, return_index=True, return_inverse=True)
        return fold_of_rows(labels[first], folds, generator)[group]
    shuffled = generator.permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    fold = np.empty(len(labels), dtype=np.int64)
    fold[order] = np.arange(len(labels)) % folds
    return fold


def out_of_fold_logistic(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    generator: np.random.Generator,
    *,
    folds: int = 5,
    inverse_penalties: Sequence[float] = PENALTIES,
    keep: np.ndarray | None = None,
    together: np.ndarray | None = None,
) -> np.ndarray:
    """Out-of-fold probabilities of a logistic regression on standardised features, float64[n, C], rows sum to 1.

    `features` float[n, D]. `inverse_penalties` are values of scikit-learn's C: from the strongest penalty on, they are
    tried as long as the out-of-fold probabilities give the (noisy) labels a smaller log loss. `keep` bool[n] restricts
    the rows that models learn from; all rows are predicted. A class that a fold's training rows lack gets probability
    0 there; a fold without training rows gets the uniform. `together` is that of `fold_of_rows`.
    """
    if len(labels) < 2:
        return np.full((len(labels), num_classes), 1 / num_classes)
    keep = np.ones(len(labels), dtype=bool) if keep is None else keep
    fold = fold_of_rows(labels, min(folds, len(labels)), generator, together=together)
    models: dict[int, Logistic] = {}

    def fitted(number: int, inverse_penalty: float) -> np.ndarray:
        """Probabilities of a fold's rows by the model that learned from the other folds, in all classes."""
        inside, outside = np.flatnonzero(keep & (fold != number)), features[fold == number]
        if not len(inside):
            return np.full((len(outside), num_classes), 1 / num_classes)
        assert axes is not None  # there are rows to learn from
        seen, y = np.unique(labels[inside], return_inverse=True)
        if number not in models:
            models[number] = Logistic(features[inside], y, axes)
        models[number].fit(inverse_penalty)
        found = np.zeros((len(outside), num_classes))
        found[:, seen] = models[number].probabilities(outside)
        return found

    best, lowest = np.full((len(labels), num_classes), 1 / num_classes), np.inf
    with one_thread_each() as pool:
        axes = pool.submit(axes_of, features[keep]).result() if keep.any() else None
        for inverse_penalty in sorted(inverse_penalties):
            found = np.zeros_like(best)
            for number, part in enumerate(pool.map(fitted, range(fold.max() + 1), itertools.repeat(inverse_penalty))):
                found[fold == number] = part
            log_loss = -np.log(found[keep, labels[keep]].clip(1e-12)).mean() if keep.any() else 0.0
            if log_loss >= lowest:
                break
            best, lowest = found, log_loss
    return best
