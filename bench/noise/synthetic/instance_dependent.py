"""Instance-dependent label noise after Xia et al. 2020, Part-dependent label noise: towards instance-dependent label
noise, NeurIPS.

As in their generator, a text's own rate is drawn without looking at the text: its embedding decides which wrong class
it gets, not whether its label is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench.noise.synthetic.base import Drawn, Rng, SyntheticNoise, register

IDN_RATE_SD = 0.1  # sd of a text's own rate of being wrong (norm_std of the reference generator)
IDN_SCALE = 5.0  # length of the scaled embedding: larger makes the wrong class depend more on the text


@register
class InstanceDependent(SyntheticNoise):
    """instance-dependent: the text decides which wrong class a label gets, but not whether it is wrong"""

    name = "idn"
    needs_embeddings = True

    def why_not(self, num_classes: int, rate: float) -> str | None:
        """Two classes leave nothing for the text to decide."""
        return f"with two classes this is symmetric noise: use sn@{rate:g} instead" if num_classes == 2 else None

    def draw(
        self,
        gold: Mapping[str, np.ndarray],
        num_classes: int,
        rate: float,
        rng: Rng,
        embeddings: Mapping[str, np.ndarray] | None = None,
    ) -> Drawn:
        """See `SyntheticNoise.draw`; the facts hold the mean flip rate by split."""
        assert embeddings is not None
        weights = idn_weights(num_classes, embeddings["train"].shape[1], rng("weights"))
        labels, facts = {}, {}
        for split, classes in gold.items():
            generator = rng(split)
            rates = idn_rates(len(classes), rate, generator)
            probabilities = idn_probabilities(classes, embeddings[split], weights, rates)
            labels[split] = instance_dependent(probabilities, generator)
            facts[f"mean_rate_{split}"] = float(rates.mean())
        return labels, facts


def idn_weights(num_classes: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """W ~ N(0, 1), float64[C, F, C]: one projection per gold class, the same for all splits."""
    return rng.standard_normal((num_classes, width, num_classes))


def idn_rates(count: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Flip rates q ~ TruncNorm(mean rate, sd 0.1, [0, 1]), float64[n]; all 0 for rate 0.

    The truncation shifts the mean a little (0.2 becomes 0.2055), so report the mean of q beside the rate.
    """
    from scipy.stats import truncnorm

    if rate == 0:
        return np.zeros(count)
    low, high = (0 - rate) / IDN_RATE_SD, (1 - rate) / IDN_RATE_SD
    return truncnorm.rvs(low, high, loc=rate, scale=IDN_RATE_SD, size=count, random_state=rng)


def idn_probabilities(gold: np.ndarray, embeddings: np.ndarray, weights: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """P(noisy | text, gold), float64[n, C]: 1−q at gold, q·softmax(xᵀ W[gold]) over the other classes.

    x = 5·e/‖e‖ for embeddings e float[n, F].
    """
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    scaled = IDN_SCALE * embeddings.astype(np.float64) / np.maximum(norms, 1e-12)
    scores = np.empty((len(gold), weights.shape[0]))
    for label in range(weights.shape[0]):  # over classes: W[gold] for all rows at once would be n·F·C numbers
        rows = gold == label
        scores[rows] = scaled[rows] @ weights[label]
    own = np.arange(len(gold)), gold
    scores[own] = -np.inf
    scores -= scores.max(axis=1, keepdims=True)
    shares = np.exp(scores)
    probabilities = rates[:, None] * shares / shares.sum(axis=1, keepdims=True)
    probabilities[own] = 1 - rates
    return probabilities


def instance_dependent(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One class per row drawn from float64[n, C] -> int64[n], by inverting the cumulative distribution."""
    cumulative = probabilities.cumsum(axis=1)
    drawn = rng.random((len(probabilities), 1)) * cumulative[:, -1:]
    return (drawn >= cumulative).sum(axis=1).clip(max=probabilities.shape[1] - 1).astype(np.int64)
