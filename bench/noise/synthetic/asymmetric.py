"""Asymmetric label noise."""

from __future__ import annotations

import numpy as np

from bench.noise.synthetic.base import SyntheticNoise, register


@register
class Asymmetric(SyntheticNoise):
    """asymmetric: a wrong label is always the next class"""

    name = "asn"

    def flip(self, gold: np.ndarray, num_classes: int, rate: float, generator: np.random.Generator) -> np.ndarray:
        """With probability `rate` the label becomes (gold + 1) mod C."""
        flipped = generator.random(len(gold)) < rate
        return np.where(flipped, (gold + 1) % num_classes, gold)
