"""Symmetric label noise."""

from __future__ import annotations

import numpy as np

from bench.noise.synthetic.base import SyntheticNoise, register


@register
class Symmetric(SyntheticNoise):
    """symmetric: wrong labels uniform over the other classes"""

    name = "sn"

    def most(self, num_classes: int) -> float:
        """(C−1)/C: there labels carry no information any more."""
        return 1 - 1 / num_classes

    def flip(self, gold: np.ndarray, num_classes: int, rate: float, generator: np.random.Generator) -> np.ndarray:
        """Redraw with probability rate·C/(C−1) uniformly from all C classes, so P(noisy ≠ gold) = rate exactly."""
        redrawn = generator.random(len(gold)) < rate * num_classes / (num_classes - 1)
        return np.where(redrawn, generator.integers(num_classes, size=len(gold)), gold)
