"""Accuracy, F1 and calibration of class probabilities, in float64, without torch.

Every metric first clamps the probabilities to [0, 1] and renormalises the rows (spec section 11), so that
float16 rounding of stored arrays cannot push a row off the simplex. Pass the array that is stored, and the
scores in a record can be recomputed from the file beside it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bench.store.records import Scores

BINS = 15
"""Number of bins of every calibration error."""

SMALLEST = 1e-12
"""Probability below which the negative log-likelihood no longer grows."""


class ReliabilityBins(NamedTuple):
    """Confidence bins of equal width: how many examples, how often right, how confident."""

    count: np.ndarray  # float32[bins]
    accuracy: np.ndarray  # float32[bins], NaN where a bin is empty
    confidence: np.ndarray  # float32[bins], NaN where a bin is empty


def simplex(probabilities: np.ndarray) -> np.ndarray:
    """`probabilities` float[N, C] as float64, clamped to [0, 1], rows summing to 1.

    Raises ValueError for a wrong shape, a value that is not finite, or a row without any probability.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"probabilities must have shape [N, C] with N, C >= 1, not {list(values.shape)}")
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise ValueError(f"probabilities of row {row} are not finite: {values[row].tolist()}")
    values = np.clip(values, 0.0, 1.0)
    totals = values.sum(axis=1, keepdims=True)
    if (totals <= 0).any():
        row = int(np.flatnonzero(totals[:, 0] <= 0)[0])
        raise ValueError(f"probabilities of row {row} are all zero: every row must hold some probability")
    return values / totals


def _checked(probabilities: np.ndarray, gold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values = simplex(probabilities)
    classes = np.asarray(gold)
    if classes.shape != (len(values),):
        raise ValueError(f"{len(values)} rows of probabilities need as many gold classes, not {list(classes.shape)}")
    if not np.issubdtype(classes.dtype, np.integer):
        raise ValueError(f"gold classes must be integers, not {classes.dtype}")
    if classes.min() < 0 or classes.max() >= values.shape[1]:
        raise ValueError(f"gold classes span {classes.min()}..{classes.max()}, allowed are 0..{values.shape[1] - 1}")
    return values, classes.astype(np.int64)


def _bin_index(confidence: np.ndarray, bins: int) -> np.ndarray:
    """Bin of each value: [k/bins, (k+1)/bins), the last one closed."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    return np.minimum(np.digitize(confidence, edges) - 1, bins - 1)


def _bin_sums(confidence: np.ndarray, right: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per bin: number of values, sum of `right`, sum of `confidence`; float64[bins] each."""
    index = _bin_index(confidence, bins)
    count = np.bincount(index, minlength=bins).astype(np.float64)
    return count, np.bincount(index, right, bins), np.bincount(index, confidence, bins)


def _confidence(values: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Confidence max_c P and whether the argmax is right; float64[N] each."""
    predicted = values.argmax(axis=1)
    return values[np.arange(len(values)), predicted], (predicted == classes).astype(np.float64)


def reliability_bins(probabilities: np.ndarray, gold: np.ndarray, bins: int = BINS) -> ReliabilityBins:
    """Counts, accuracy and mean confidence per confidence bin: the data of a reliability diagram.

    `probabilities` float[N, C], `gold` int64[N]. Raises ValueError as `score` does.
    """
    count, right, confidence = _bin_sums(*_confidence(*_checked(probabilities, gold)), bins)
    with np.errstate(invalid="ignore"):
        means = (right / count, confidence / count)
    return ReliabilityBins(count.astype(np.float32), *(mean.astype(np.float32) for mean in means))


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """ECE = sum_k (n_k / n) |accuracy_k - confidence_k| over bins of equal width (Guo et al. 2017, eq. 3).

    `confidence` float[N] in [0, 1], `right` float[N] in {0, 1}.
    """
    _, hits, total = _bin_sums(confidence, right, bins)
    return float(np.abs(hits - total).sum() / len(confidence))


def maximum_calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """MCE = max_k |accuracy_k - confidence_k| over the bins that hold anything (Guo et al. 2017, eq. 5)."""
    count, hits, total = _bin_sums(confidence, right, bins)
    filled = count > 0
    return float((np.abs(hits - total)[filled] / count[filled]).max())


def adaptive_calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """ECE over bins of equal mass: sorted by confidence, cut by `array_split` (Nguyen and O'Connor 2015).

    Equal confidences may fall on both sides of a cut; rights are averaged among them first, so that the
    result does not depend on the order of the rows.
    """
    levels, inverse, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    mean_right = np.bincount(inverse, right) / counts
    gaps = np.repeat(mean_right - levels, counts)
    return float(sum(abs(part.sum()) for part in np.array_split(gaps, bins)) / len(confidence))


def classwise_calibration_error(values: np.ndarray, classes: np.ndarray, bins: int = BINS) -> float:
    """Mean over classes of the ECE of p_c against 1[y = c], equal-width bins (Kull et al. 2019).

    `values` float64[N, C] on the simplex, `classes` int64[N].
    """
    rows, num_classes = values.shape
    index = (_bin_index(values, bins) + bins * np.arange(num_classes)).ravel()
    present = (classes[:, None] == np.arange(num_classes)).ravel()
    gaps = np.bincount(index, present - values.ravel(), bins * num_classes)
    return float(np.abs(gaps).sum() / (rows * num_classes))


def macro_f1(predicted: np.ndarray, classes: np.ndarray, num_classes: int) -> tuple[float, int]:
    """Macro-F1 and the number of classes left out of it: those neither in `classes` nor in `predicted`."""
    hits = np.bincount(classes[predicted == classes], minlength=num_classes)
    support = np.bincount(classes, minlength=num_classes) + np.bincount(predicted, minlength=num_classes)
    seen = support > 0
    return float((2 * hits[seen] / support[seen]).mean()), int((~seen).sum())


def score(probabilities: np.ndarray, gold: np.ndarray, step: int = 0) -> Scores:
    """Every metric of one step's test probabilities.

    `probabilities` float[N, C], `gold` int64[N] in 0..C-1. Raises ValueError for wrong shapes, values that
    are not finite, rows without probability, or gold classes outside the columns.
    """
    values, classes = _checked(probabilities, gold)
    rows = np.arange(len(values))
    confidence, right = _confidence(values, classes)
    f1, absent = macro_f1(values.argmax(axis=1), classes, values.shape[1])
    of_gold = values[rows, classes]
    squares = (values**2).sum(axis=1) - 2 * of_gold + 1
    return Scores(
        step=step,
        accuracy=float(right.mean()),
        macro_f1=f1,
        ece=expected_calibration_error(confidence, right),
        adaptive_ece=adaptive_calibration_error(confidence, right),
        classwise_ece=classwise_calibration_error(values, classes),
        mce=maximum_calibration_error(confidence, right),
        brier=float(np.clip(squares, 0.0, 2.0).mean()),
        nll=float(-np.log(np.maximum(of_gold, SMALLEST)).mean()),
        absent_classes=absent,
    )
