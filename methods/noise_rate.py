"""What methods ask about wrong labels without gold: the noise rate, and which losses are high.

Labels ỹ are int64[n] in 0..C-1. Other estimators of the rate, to compare with: `benchmarks/noise_rate_estimators.py`.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from methods import confident


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


def high_loss_probability(losses: np.ndarray, seed: int) -> np.ndarray:
    """p(the high-loss component | loss), float64[n], of a two-component mixture over the losses.

    Losses float[n] are scaled to [0, 1] and split by two Gaussians, as in Li et al. 2020 (DivideMix): scikit-learn's
    EM seeded by `seed`. Zeros where the losses cannot be split (fewer than two rows, or all equal).
    """
    low, high = float(losses.min(initial=np.inf)), float(losses.max(initial=-np.inf))
    if len(losses) < 2 or not high - low > 1e-12:
        return np.zeros(len(losses))
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    scaled = (losses.astype(np.float64) - low) / (high - low)
    mixture = GaussianMixture(2, reg_covar=5e-4, tol=1e-4, max_iter=100, random_state=seed % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # two components may be one too many
        mixture.fit(scaled[:, None])
    return mixture.predict_proba(scaled[:, None])[:, mixture.means_.argmax()]
