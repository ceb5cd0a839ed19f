"""Every metric of one step's probabilities, as a record holds them."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.store.metrics import METRICS
from bench.store.metrics.base import checked
from bench.store.metrics.correctness import macro_f1
from bench.store.parts import Scores


def score(probabilities: np.ndarray, gold: np.ndarray, step: int = 0) -> Scores:
    """Every metric of one step's test probabilities.

    `probabilities` float[N, C], `gold` int64[N] in 0..C-1. Raises ValueError for wrong shapes, values that
    are not finite, rows without probability, or gold classes outside the columns.
    """
    values, classes = checked(probabilities, gold)
    _, absent = macro_f1(values.argmax(axis=1), classes, values.shape[1])
    found: dict[str, Any] = {name: float(metric.compute(values, classes)) for name, metric in METRICS.items()}
    return Scores(step=step, **found, absent_classes=absent)
