"""Proper scores: Brier and the negative log-likelihood."""

from __future__ import annotations

import numpy as np

from bench.store.metrics.base import Metric, register

SMALLEST = 2.0**-24
"""The smallest float16 above 0: what was stored as 0 counts as much, 16.6 nats in the negative log-likelihood."""


@register
class Brier(Metric):
    """Squared distance between the probabilities and the one-hot gold class, in [0, 2] (Brier 1950)."""

    name, title, short, order = "brier", "Brier score", "Brier", 7
    scale, unit, decimals = 1, "", 3

    def compute(self, probabilities: np.ndarray, gold: np.ndarray) -> float:
        """See `Metric.compute`."""
        of_gold = probabilities[np.arange(len(gold)), gold]
        squares = (probabilities**2).sum(axis=1) - 2 * of_gold + 1
        return float(np.clip(squares, 0.0, 2.0).mean())


@register
class NegativeLogLikelihood(Metric):
    """Mean of −log of the gold class's probability, in nats."""

    name, title, short, order = "nll", "Negative log-likelihood", "NLL", 8
    scale, unit, decimals = 1, "nats", 3

    def compute(self, probabilities: np.ndarray, gold: np.ndarray) -> float:
        """See `Metric.compute`."""
        of_gold = probabilities[np.arange(len(gold)), gold]
        return float(-np.log(np.maximum(of_gold, SMALLEST)).mean())
