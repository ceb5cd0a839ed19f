"""Accuracy, F1 and calibration of class probabilities; one file per kind, found by name.

Every metric first clamps the probabilities to [0, 1] and renormalises the rows (spec section 11), so that
float16 rounding of stored arrays cannot push a row off the simplex. Pass the array that is stored, and the
scores in a record can be recomputed from the file beside it.
"""

from __future__ import annotations

from bench.store.metrics.base import METRIC_CLASSES, Metric

__all__ = ["METRICS", "Metric"]

METRICS: dict[str, Metric] = {
    cls.name: cls() for cls in sorted(METRIC_CLASSES.available().values(), key=lambda cls: (cls.order, cls.name))
}
"""Every metric by name, in the order in which tables show them."""
