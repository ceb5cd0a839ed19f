"""Estimates of the share of wrong labels that see no gold label: pure functions on arrays.

| estimator       | reads                                  | counts as wrong                                       |
|-----------------|----------------------------------------|-------------------------------------------------------|
| confident_joint | out-of-fold probabilities              | mass off the diagonal of the calibrated joint         |
| disagreement    | out-of-fold or early probabilities     | rows whose label is not the most probable class       |
| expected_error  | the same                               | 1 − mean p(ỹ)                                         |
| loss_mixture    | per-row losses (early or out of fold)  | mass of the high-loss component of two                |
| negative_margin | running probabilities over epochs      | rows whose mean margin p(ỹ) − max p(other) is below 0 |
| refined         | features                               | mean of the joint and the prunable share, after refits |
| clusterability  | labels of texts and of two neighbours  | 1 − Σ_y p(y)·T(y, y) of the T that explains them      |

Labels ỹ are int64[n] in 0..C-1; probabilities are float[n, C]; every estimate is a float in [0, 1].
"""

from __future__ import annotations

import warnings
from typing import Literal, NamedTuple

import numpy as np

from methods import confident

__all__ = [
    "clusterability",
    "clusterability_transition",
    "confident_joint",
    "disagreement",
    "expected_error",
    "high_loss_probability",
    "loss_mixture",
    "margins",
    "negative_margin",
    "refined",
]

MixtureKind = Literal["gaussian", "beta"]


def confident_joint(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """1 − trace of the calibrated confident joint. Northcutt et al. 2021."""
    joint = confident.confident_joint(probabilities, labels)
    return confident.noise_rate_of(confident.calibrated_joint(joint, labels))


class Refined(NamedTuple):
    """What `refined` found."""

    rate: float
    """The mean of the next two: the first errs upwards where features are weak, the second downwards."""
    joint_rate: float
    dropped_share: float
    probabilities: np.ndarray  # float64[n, C], out-of-fold, of models that learned from the kept rows
    dropped: np.ndarray  # bool[n]


def refined(
    features: np.ndarray, labels: np.ndarray, num_classes: int, generator: np.random.Generator, *, refits: int = 2
) -> Refined:
    """The noise rate by confident learning that is repeated on what it kept.

    Noise weakens the very classifier that is to find it, so the confident joint counts too much. Here rows are
    pruned by noise rate, a logistic regression is cross-fitted again on the rest, and rate and pruning are taken
    from its out-of-fold probabilities, `refits` times. `features` float[n, D] (sentence embeddings).
    """
    keep, rate = np.ones(len(labels), dtype=bool), 0.0
    for _ in range(refits + 1):
        probabilities = confident.out_of_fold_logistic(features, labels, num_classes, generator, keep=keep)
        joint = confident.calibrated_joint(confident.confident_joint(probabilities, labels), labels)
        rate = confident.noise_rate_of(joint)
        keep = ~confident.prune_by_noise_rate(probabilities, labels, joint)
    share = float(1 - keep.mean())
    return Refined((rate + share) / 2, rate, share, probabilities, ~keep)


def disagreement(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose label is not the most probable class."""
    return float((probabilities.argmax(axis=1) != labels).mean())


def expected_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """1 − mean probability of the given label."""
    return float(1 - probabilities[np.arange(len(labels)), labels].mean())


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


def high_loss_probability(losses: np.ndarray, seed: int, kind: MixtureKind = "gaussian") -> np.ndarray:
    """p(the high-loss component | loss), float64[n], of a two-component mixture over the losses.

    Losses float[n] are scaled to [0, 1]. "gaussian": Li et al. 2020 (DivideMix), scikit-learn's EM seeded by
    `seed`; "beta": Arazo et al. 2019. Zeros where the losses cannot be split (fewer than two rows, or all equal).
    """
    low, high = float(losses.min(initial=np.inf)), float(losses.max(initial=-np.inf))
    if len(losses) < 2 or not high - low > 1e-12:
        return np.zeros(len(losses))
    scaled = (losses.astype(np.float64) - low) / (high - low)
    gaussian = _gaussian_mixture(scaled, seed)
    return _beta_mixture(scaled, gaussian) if kind == "beta" else gaussian


def loss_mixture(losses: np.ndarray, seed: int, kind: MixtureKind = "gaussian") -> float:
    """Mass of the high-loss component of `high_loss_probability`."""
    return float(high_loss_probability(losses, seed, kind).mean())


def _gaussian_mixture(scaled: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(2, reg_covar=5e-4, tol=1e-4, max_iter=100, random_state=seed % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # two components may be one too many
        mixture.fit(scaled[:, None])
    return mixture.predict_proba(scaled[:, None])[:, mixture.means_.argmax()]


def _beta_mixture(scaled: np.ndarray, start: np.ndarray, rounds: int = 30) -> np.ndarray:
    """EM of two beta distributions from the responsibilities `start` of the high component; weighted moments stand
    in for the likelihood's maximum, as in Arazo et al. 2019."""
    from scipy.special import expit
    from scipy.stats import beta

    x = scaled.clip(1e-4, 1 - 1e-4)
    noisy = start.clip(1e-6, 1 - 1e-6)
    for _ in range(rounds):
        log_density = []
        for weight in (1 - noisy, noisy):
            mean = np.average(x, weights=weight)
            variance = min(max(np.average((x - mean) ** 2, weights=weight), 1e-6), 0.99 * mean * (1 - mean))
            size = mean * (1 - mean) / variance - 1
            log_density.append(np.log(weight.mean()) + beta.logpdf(x, mean * size, (1 - mean) * size))
        noisy = expit(log_density[1] - log_density[0]).clip(1e-6, 1 - 1e-6)
    return noisy


def clusterability_transition(triples: np.ndarray, num_classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(p(y) float64[C], T[y, ỹ] float64[C, C]) that explain the labels of texts and of their two neighbours.

    `triples` int64[n, 3]: the labels of each text and of its two nearest neighbours, which are taken to share one
    true class and to err independently. The frequencies of labels, pairs and triples are then
    Σ_y p(y)·T(y, ·), Σ_y p(y)·T(y, ·)T(y, ·) and the same with three factors; p and T minimise the squared
    differences. Zhu, Song & Liu, "Clusterability as an Alternative to Anchor Points When Learning with Noisy Labels",
    ICML 2021.
    """
    import torch

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
