"""Calibration errors, and the bins of a reliability diagram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.store.metrics.base import Metric, checked, register

BINS = 15
"""Number of bins of every calibration error."""


@dataclass(frozen=True)
class ReliabilityBins:
    """Confidence bins of equal width: how many examples, how often right, how confident."""

    count: np.ndarray  # float32[BINS]
    accuracy: np.ndarray  # float32[BINS], NaN where a bin is empty
    confidence: np.ndarray  # float32[BINS], NaN where a bin is empty


def _bin_index(confidence: np.ndarray) -> np.ndarray:
    """Bin of each value: [k/BINS, (k+1)/BINS), the last one closed."""
    edges = np.linspace(0.0, 1.0, BINS + 1)
    return np.minimum(np.digitize(confidence, edges) - 1, BINS - 1)


def _bin_sums(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per bin: number of values, sum of `right`, sum of `confidence`; float64[BINS] each."""
    index = _bin_index(confidence)
    count = np.bincount(index, minlength=BINS).astype(np.float64)
    return count, np.bincount(index, right, BINS), np.bincount(index, confidence, BINS)


def confidence_of(values: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Confidence max_c P and whether the argmax is right; float64[N] each."""
    predicted = values.argmax(axis=1)
    return values[np.arange(len(values)), predicted], (predicted == classes).astype(np.float64)


def reliability_bins(probabilities: np.ndarray, gold: np.ndarray) -> ReliabilityBins:
    """Counts, accuracy and mean confidence per confidence bin: the data of a reliability diagram.

    `probabilities` float[N, C], `gold` int64[N]. Raises ValueError as `score` does.
    """
    count, right, confidence = _bin_sums(*confidence_of(*checked(probabilities, gold)))
    with np.errstate(invalid="ignore"):
        means = (right / count, confidence / count)
    return ReliabilityBins(count.astype(np.float32), *(mean.astype(np.float32) for mean in means))


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """ECE = sum_k (n_k / n) |accuracy_k - confidence_k| over bins of equal width (Guo et al. 2017, eq. 3).

    `confidence` float[N] in [0, 1], `right` float[N] in {0, 1}.
    """
    _, hits, total = _bin_sums(confidence, right)
    return float(np.abs(hits - total).sum() / len(confidence))


@register
class ExpectedCalibrationError(Metric):
    """ECE over bins of equal width (Guo et al. 2017, eq. 3)."""

    name, title, short, order = "ece", "Expected calibration error", "ECE", 3

    def compute(self, probabilities: np.ndarray, gold: np.ndarray) -> float:
        """See `Metric.compute`."""
        return expected_calibration_error(*confidence_of(probabilities, gold))


@register
class AdaptiveCalibrationError(Metric):
    """ECE over bins of equal mass: sorted by confidence, cut by `array_split` (Nguyen and O'Connor 2015).

    Equal confidences may fall on both sides of a cut; rights are averaged among them first, so that the
    result does not depend on the order of the rows.
    """

    name, title, short, order = "adaptive_ece", "Adaptive calibration error", "adaptive ECE", 4

    def compute(self, probabilities: np.ndarray, gold: np.ndarray) -> float:
        """See `Metric.compute`."""
        confidence, right = confidence_of(probabilities, gold)
        levels, inverse, counts = np.unique(confidence, return_inverse=True, return_counts=True)
        gaps = np.repeat(np.bincount(inverse, right) / counts - levels, counts)
        return float(sum(abs(part.sum()) for part in np.array_split(gaps, BINS)) / len(confidence))


@register
class ClasswiseCalibrationError(Metric):
    """Mean over classes of the ECE of p_c against 1[y = c], equal-width bins (Kull et al. 2019)."""

    name, title, short, order = "classwise_ece", "Classwise calibration error", "classwise ECE", 5

    def compute(self, probabilities: np.ndarray, gold: np.ndarray) -> float:
        """See `Metric.compute`."""
        rows, num_classes = probabilities.shape
        index = (_bin_index(probabilities) + BINS * np.arange(num_classes)).ravel()
        present = (gold[:, None] == np.arange(num_classes)).ravel()
        gaps = np.bincount(index, present - probabilities.ravel(), BINS * num_classes)
        return float(np.abs(gaps).sum() / (rows * num_classes))


@register
class MaximumCalibrationError(Metric):
    """MCE = max_k |accuracy_k - confidence_k| over the bins that hold anything (Guo et al. 2017, eq. 5)."""

    name, title, short, order = "mce", "Maximum calibration error", "maximum CE", 6

    def compute(self, probabilities: np.ndarray, gold: np.ndarray) -> float:
        """See `Metric.compute`."""
        count, hits, total = _bin_sums(*confidence_of(probabilities, gold))
        filled = count > 0
        return float((np.abs(hits - total)[filled] / count[filled]).max())
