"""Asymmetric label noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench.noise.synthetic.base import Drawn, Rng, SyntheticNoise, register


@register
class Asymmetric(SyntheticNoise):
    """asymmetric: wrong labels are the next class"""

    name = "asn"

    def draw(
        self,
        gold: Mapping[str, np.ndarray],
        num_classes: int,
        rate: float,
        rng: Rng,
        embeddings: Mapping[str, np.ndarray] | None = None,
    ) -> Drawn:
        """See `SyntheticNoise.draw`."""
        return {split: asymmetric(labels, num_classes, rate, rng(split)) for split, labels in gold.items()}, {}


def asymmetric(gold: np.ndarray, num_classes: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """ASN: with probability `rate` the label becomes (gold + 1) mod C. int64[n] -> int64[n]."""
    flipped = rng.random(len(gold)) < rate
    return np.where(flipped, (gold + 1) % num_classes, gold)
