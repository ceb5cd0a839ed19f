"""Temperature scaling: one number that makes probabilities honest without moving any argmax.

Guo et al. 2017, section 4.2, applied to log-probabilities instead of logits, so that it wraps any method.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from bench.store.opinions import rounded

SMALLEST, LARGEST = 0.05, 20.0


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(log p / T), float32[N, C], rows sum to 1. T > 1 flattens, T < 1 sharpens; the argmax stays."""
    return rounded(np.exp(log_softmax(_log(probabilities) / temperature, axis=1)), np.float32)


def negative_log_likelihood(probabilities: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> float:
    """Mean of −log p_T(ỹ) in nats over rows; probabilities float[N, C], labels int64[N] in 0..C-1."""
    log_p = log_softmax(_log(probabilities) / temperature, axis=1)
    return float(-log_p[np.arange(len(labels)), labels].mean())


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The T in [0.05, 20] of smallest NLL on (noisy) labels, by a bounded search over log T; 1.0 without rows.

    Labels -1 ("no answer") are left out. The NLL is convex in 1/T, so the search finds the minimum. With noisy
    labels T also pays for the noise: the result is calibrated to p(ỹ | x), not to p(y | x).
    """
    answered = labels >= 0
    if not answered.any():
        return 1.0
    p, y = probabilities[answered], labels[answered]
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(p, y, np.exp(log_t)),
        bounds=(np.log(SMALLEST), np.log(LARGEST)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))


def _log(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.clip(probabilities.astype(np.float64), 1e-12, 1.0))
