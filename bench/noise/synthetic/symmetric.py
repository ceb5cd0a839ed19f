"""Symmetric label noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench.noise.synthetic.base import Drawn, Rng, SyntheticNoise, register


@register
class Symmetric(SyntheticNoise):
    """symmetric: wrong labels uniform over the other classes"""

    name = "sn"

    def most(self, num_classes: int) -> float:
        """(C−1)/C: there labels carry no information any more."""
        return 1 - 1 / num_classes

    def draw(
        self,
        gold: Mapping[str, np.ndarray],
        num_classes: int,
        rate: float,
        rng: Rng,
        embeddings: Mapping[str, np.ndarray] | None = None,
    ) -> Drawn:
        """See `SyntheticNoise.draw`."""
        return {split: symmetric(labels, num_classes, rate, rng(split)) for split, labels in gold.items()}, {}


def symmetric(gold: np.ndarray, num_classes: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """SN: with probability rate·C/(C−1) redraw uniformly from all C classes, so P(noisy ≠ gold) = rate exactly.

    `gold` int64[n] -> int64[n]. Needs rate ≤ (C−1)/C, where labels carry no information any more.
    """
    redrawn = rng.random(len(gold)) < rate * num_classes / (num_classes - 1)
    return np.where(redrawn, rng.integers(num_classes, size=len(gold)), gold)
