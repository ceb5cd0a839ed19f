"""What a metric is. All are computed in float64, without torch.

A new metric is one file in this folder, or a class of another package under the entry point group `bench.metrics`, see
docs/extending.md. Records made from then on hold it, and every table that shows metrics shows it.
"""

from __future__ import annotations

import abc
import re
from typing import ClassVar

import numpy as np

from bench.core.registry import Registry

METRIC_CLASSES: Registry[Metric] = Registry("metric", "bench.store.metrics", "bench.metrics")
TAKEN = ("step", "absent_classes")
"""What records hold beside metrics, under these names."""


class Metric(abc.ABC):
    """A score of class probabilities against gold, and how it is shown.

    Attributes
    ----------
    name : str
        Its key in records and frames.
    title, short : str
        Its names in titles and in heads of columns.
    scale, unit, decimals
        The shown value is `scale` times the stored one, in `unit`, with that many decimals.
    higher_is_better : bool
    order : int
        Its place among the metrics; those of other packages come last.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    short: ClassVar[str]
    scale: ClassVar[float] = 100
    unit: ClassVar[str] = "%"
    decimals: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = False
    order: ClassVar[int] = 100

    @abc.abstractmethod
    def compute(self, probabilities: np.ndarray, gold: np.ndarray) -> float:
        """The score of probabilities against gold.

        Parameters
        ----------
        probabilities : float64[N, C]
            Rows on the simplex.
        gold : int64[N]
            Classes in 0..C-1.

        Returns
        -------
        float
            In the metric's stored scale, which `scale` turns into the shown one.
        """


def register(cls: type[Metric]) -> type[Metric]:
    """Class decorator: make a metric known under its `name`.

    Raises TypeError for a name that is not a lower-case Python name, or that records use for something else.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", cls.name) or cls.name in TAKEN:
        raise TypeError(f"metric {cls.__qualname__} is named '{cls.name}': choose a lower-case name like top2_accuracy")
    return METRIC_CLASSES.add(cls)


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


def checked(probabilities: np.ndarray, gold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities on the simplex and gold classes int64[N] that fit them. Raises ValueError."""
    values = simplex(probabilities)
    classes = np.asarray(gold)
    if classes.shape != (len(values),):
        raise ValueError(f"{len(values)} rows of probabilities need as many gold classes, not {list(classes.shape)}")
    if not np.issubdtype(classes.dtype, np.integer):
        raise ValueError(f"gold classes must be integers, not {classes.dtype}")
    if classes.min() < 0 or classes.max() >= values.shape[1]:
        raise ValueError(f"gold classes span {classes.min()}..{classes.max()}, allowed are 0..{values.shape[1] - 1}")
    return values, classes.astype(np.int64)
