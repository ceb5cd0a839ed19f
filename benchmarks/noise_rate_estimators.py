"""Estimators of the share of wrong labels to compare `methods.noise_rate.refined` with: pure functions on arrays.

| estimator       | reads                                  | counts as wrong                                       |
|-----------------|----------------------------------------|-------------------------------------------------------|
| confident_joint | out-of-fold or early probabilities     | mass off the diagonal of the calibrated joint         |
| disagreement    | the same                               | rows whose label is not the most probable class       |
| loss_mixture    | per-row losses (early or out of fold)  | mass of the high-loss component of two                |
| negative_margin | running probabilities over epochs      | rows whose mean margin p(ỹ) − max p(other) is below 0 |
| clusterability  | labels of texts and of two neighbours  | 1 − Σ_y p(y)·T(y, y) of the T that explains them      |

Labels ỹ are int64[n] in 0..C-1; probabilities are float[n, C]; every estimate is a float in [0, 1].
"""

from __future__ import annotations

import numpy as np
import torch

from methods import confident
from methods.noise_rate import high_loss_probability


def confident_joint(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """1 − trace of the calibrated confident joint. Northcutt et al. 2021."""
    joint = confident.confident_joint(probabilities, labels)
    return confident.noise_rate_of(confident.calibrated_joint(joint, labels))


def disagreement(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose label is not the most probable class."""
    return float((probabilities.argmax(axis=1) != labels).mean())


def margins(running: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean over epochs of p(ỹ) − max p(other), float64[n]; `running` float[E, n, C], epochs where a row was not
    visited are NaN there and left out. Pleiss et al. 2020 (area under the margin), on probabilities."""
    rows = np.arange(running.shape[1])
    own = running[:, rows, labels].astype(np.float64)
    others = running.astype(np.float64)
    others[:, rows, labels] = -np.inf
    return np.nanmean(own - others.max(axis=2), axis=0)


def negative_margin(running: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows with a negative mean margin over the epochs; see `margins`."""
    return float((margins(running, labels) < 0).mean())


def loss_mixture(losses: np.ndarray, seed: int) -> float:
    """Mass of the high-loss component of `high_loss_probability`."""
    return float(high_loss_probability(losses, seed).mean())


def clusterability_transition(triples: np.ndarray, num_classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(p(y) float64[C], T[y, ỹ] float64[C, C]) that explain the labels of texts and of their two neighbours.

    `triples` int64[n, 3]: the labels of each text and of its two nearest neighbours, which are taken to share one
    true class and to err independently. The frequencies of labels, pairs and triples are then
    Σ_y p(y)·T(y, ·), Σ_y p(y)·T(y, ·)T(y, ·) and the same with three factors; p and T minimise the squared
    differences. Zhu, Song & Liu, "Clusterability as an Alternative to Anchor Points When Learning with Noisy Labels",
    ICML 2021.
    """
    counts = torch.zeros((num_classes,) * 3, dtype=torch.float64)
    index = tuple(torch.from_numpy(np.ascontiguousarray(column)) for column in triples.T)
    counts.index_put_(index, torch.ones(len(triples), dtype=torch.float64), accumulate=True)
    third = counts / max(1, len(triples))
    second, first = third.sum(dim=2), third.sum(dim=(1, 2))
    generator = torch.Generator().manual_seed(seed)
    prior = torch.zeros(num_classes, dtype=torch.float64, requires_grad=True)
    start = 2.0 * torch.eye(num_classes, dtype=torch.float64)  # the truth is the most frequent label of a class
    start += 0.01 * torch.randn(start.shape, generator=generator, dtype=torch.float64)
    flips = start.requires_grad_()
    optimiser = torch.optim.Adam([prior, flips], lr=0.1)
    for _ in range(400):
        p, t = prior.softmax(0), flips.softmax(1)
        once, twice = p @ t, torch.einsum("y,yj,yk->jk", p, t, t)
        thrice = torch.einsum("y,yj,yk,yl->jkl", p, t, t, t)
        distance = ((once - first) ** 2).sum() + ((twice - second) ** 2).sum() + ((thrice - third) ** 2).sum()
        optimiser.zero_grad()
        distance.backward()
        optimiser.step()
    return prior.detach().softmax(0).numpy(), flips.detach().softmax(1).numpy()


def clusterability(triples: np.ndarray, num_classes: int, seed: int) -> float:
    """1 − Σ_y p(y)·T(y, y) of `clusterability_transition`."""
    prior, transition = clusterability_transition(triples, num_classes, seed)
    return float(1 - prior @ transition.diagonal())
