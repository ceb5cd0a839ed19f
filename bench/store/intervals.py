"""What a few rows with gold say of all: intervals of a share, without and with the labels of the other rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FEWEST = 20
"""Fewer rows with gold are too few for the normal approximation of `prediction_powered`."""


class Estimate(NamedTuple):
    """An estimate, a share or another number, with its 95 % interval."""

    value: float
    low: float
    high: float


def wilson(hits: int, rows: int) -> Estimate | None:
    """The share of `hits` among `rows` with Wilson's interval; None without rows."""
    if not rows:
        return None
    from scipy.stats import binomtest

    limits = binomtest(hits, rows).proportion_ci(method="wilson")
    return Estimate(hits / rows, float(limits.low), float(limits.high))


def prediction_powered(hits: np.ndarray, proxy: np.ndarray, proxy_elsewhere: np.ndarray) -> Estimate | None:
    """A share over all rows from a few with gold and a proxy on all of them (PPI).

    Angelopoulos et al., "Prediction-Powered Inference", Science 2023, with the weight of the proxy that makes the
    variance smallest (PPI++, Angelopoulos, Duchi, Zrnic 2023, arXiv 2311.01453): a useless proxy gets no weight, so it
    does no harm.

    Parameters
    ----------
    hits
        bool[n], by gold.
    proxy
        bool[n], by other labels, for the same rows.
    proxy_elsewhere
        bool[N], the proxy of the rows without gold.

    Returns
    -------
    Estimate or None
        With a normal interval, cut to [0, 1]; None below `FEWEST` rows with gold, without others, and where all
        hits are equal, because the normal interval has no width then.
    """
    y, f, g = (np.asarray(each, dtype=np.float64) for each in (hits, proxy, proxy_elsewhere))
    if len(y) < FEWEST or not len(g) or np.ptp(y) == 0:
        return None
    spread = np.concatenate([f, g]).var()
    weight = np.cov(y, f)[0, 1] / ((1 + len(y) / len(g)) * spread) if spread else 0.0
    weight = float(np.clip(weight, 0, 1))
    rest = y - weight * f
    value = weight * g.mean() + rest.mean()
    # one more miss than was seen: where proxy and gold agree in all few rows, they need not elsewhere
    variance = (((rest - rest.mean()) ** 2).sum() + 1) / len(y)
    half = 1.959964 * np.sqrt(weight**2 * g.var() / len(g) + variance / len(y))
    return Estimate(*(float(np.clip(each, 0, 1)) for each in (value, value - half, value + half)))
