"""Accuracy, F1 and calibration of class probabilities; one file per kind, found by name.

Every metric first clamps the probabilities to [0, 1] and renormalises the rows (spec section 11), so that
float16 rounding of stored arrays cannot push a row off the simplex. Pass the array that is stored, and the
scores in a record can be recomputed from the file beside it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

from bench.store.metrics.base import METRIC_CLASSES, Metric

__all__ = ["METRICS", "Metric"]


class _Metrics(Mapping[str, Metric]):
    """Found at the first use, so that a package that registers a metric may itself be imported first."""

    @functools.cached_property
    def found(self) -> dict[str, Metric]:
        classes = sorted(METRIC_CLASSES.available().values(), key=lambda cls: (cls.order, cls.name))
        return {cls.name: cls() for cls in classes}

    def __getitem__(self, name: str) -> Metric:
        return self.found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)


METRICS: Mapping[str, Metric] = _Metrics()
"""Every metric by name, in the order in which tables show them."""
