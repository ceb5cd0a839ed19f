"""Accuracy and macro-F1."""

from __future__ import annotations

import numpy as np

from bench.store.metrics.base import Metric, register


@register
class Accuracy(Metric):
    """The share of texts whose most probable class is gold."""

    name, title, short, order, higher_is_better = "accuracy", "Accuracy", "accuracy", 1, True

    def compute(self, probabilities: np.ndarray, gold: np.ndarray) -> float:
        """See `Metric.compute`."""
        return float((probabilities.argmax(axis=1) == gold).astype(np.float64).mean())


@register
class MacroF1(Metric):
    """Mean F1 over the classes that are in gold or predicted."""

    name, title, short, order, higher_is_better = "macro_f1", "Macro-F1", "macro-F1", 2, True

    def compute(self, probabilities: np.ndarray, gold: np.ndarray) -> float:
        """See `Metric.compute`."""
        return macro_f1(probabilities.argmax(axis=1), gold, probabilities.shape[1])[0]


def macro_f1(predicted: np.ndarray, classes: np.ndarray, num_classes: int) -> tuple[float, int]:
    """Macro-F1 and the number of classes left out of it: those neither in `classes` nor in `predicted`."""
    hits = np.bincount(classes[predicted == classes], minlength=num_classes)
    support = np.bincount(classes, minlength=num_classes) + np.bincount(predicted, minlength=num_classes)
    seen = support > 0
    return float((2 * hits[seen] / support[seen]).mean()), int((~seen).sum())
