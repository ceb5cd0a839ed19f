"""What kind of noise is it, and do labellers agree? Pure functions on arrays; gold y, noisy label ỹ, int64[n].

Three nested models of noise, each tested against the next:
1. symmetric: every class is wrong at the same rate, and every wrong class is as likely (one parameter);
2. class-conditional: the confusion depends on the gold class only (C(C-1) parameters);
3. instance-dependent: among texts of one gold class the text still says something about the label.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy


@dataclass(frozen=True)
class Departure:
    """How far labels are from a model of noise."""

    statistic: float
    size: float  # how far, on a scale that does not grow with n; see the function
    p_value: float  # Monte Carlo, (1 + draws at least as extreme) / (1 + draws)


def confusion(gold: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts int64[C, C + 1]: rows gold, columns noisy label, the last one "no answer" (-1)."""
    width = num_classes + 1
    flat = gold * width + np.where(labels < 0, num_classes, labels)
    return np.bincount(flat, minlength=num_classes * width).reshape(num_classes, width)


def symmetric_departure(
    gold: np.ndarray, labels: np.ndarray, num_classes: int, rng: np.random.Generator, draws: int = 1999
) -> Departure:
    """Likelihood-ratio test of symmetric against class-conditional noise.

    statistic G = 2 Σ O ln(O/E), with E_yc = n_y (1-τ̂) on the diagonal and n_y τ̂/(C-1) off it; `size` is the share
    of labels that would have to change class to be symmetric (total variation, Σ|O-E| / 2n). The p-value compares G
    with draws from the fitted symmetric noise, refitted each time, so small counts do no harm. (Sokal & Rohlf 1981.)
    """
    observed = confusion(gold, labels, num_classes)[:, :num_classes]
    totals = observed.sum(axis=1)
    n = max(int(totals.sum()), 1)
    rate = 1 - int(np.trace(observed)) / n
    cells = np.where(np.eye(num_classes, dtype=bool), 1 - rate, rate / (num_classes - 1))
    size = float(np.abs(observed - cells * totals[:, None]).sum() / (2 * n))
    statistic = _symmetric_g((row[None] for row in observed), totals)
    drawn = (rng.multinomial(n, row / row.sum(), size=draws) for n, row in zip(totals.tolist(), cells, strict=True))
    return Departure(float(statistic[0]), size, _p_value(_symmetric_g(drawn, totals), statistic[0]))


def instance_dependence(
    gold: np.ndarray,
    labels: np.ndarray,
    features: np.ndarray,
    num_classes: int,
    rng: np.random.Generator,
    neighbours: int = 10,
    draws: int = 199,
) -> Departure:
    """Test of class-conditional against instance-dependent noise: Moran's I within gold classes.

    r_i = onehot(ỹ_i) - mean onehot of its gold class; statistic = size = Σ_i r_i · (mean r over the nearest texts of
    the same gold class) / Σ_i |r_i|²: 0 where the text says nothing, 1 where neighbours always err alike. The null
    draws permute ỹ within gold classes. `features` float[n, F] are compared by cosine. NaN where a class-conditional
    model leaves nothing to explain. (Moran 1950, for vectors.)
    """
    from sklearn.neighbors import NearestNeighbors

    classes = [rows for c in range(num_classes) if len(rows := np.flatnonzero(gold == c)) >= 3]
    near = []
    for rows in classes:
        most = min(neighbours, len(rows) - 1)
        index = NearestNeighbors(n_neighbors=most, metric="cosine", algorithm="brute").fit(features[rows])
        near.append(index.kneighbors(return_distance=False))  # without the query itself

    def moran(given: list[np.ndarray]) -> tuple[float, float]:
        top = bottom = 0.0
        for own, nearest in zip(given, near, strict=True):
            residual = np.eye(num_classes)[own]
            residual -= residual.mean(axis=0)
            top += float((residual * residual[nearest].mean(axis=1)).sum())
            bottom += float((residual**2).sum())
        return top, bottom

    given = [labels[rows] for rows in classes]
    top, bottom = moran(given)
    if bottom <= 0:
        return Departure(float("nan"), float("nan"), float("nan"))
    simulated = np.array([moran([rng.permutation(own) for own in given])[0] for _ in range(draws)])
    return Departure(top / bottom, top / bottom, _p_value(simulated, top))


def cohen_kappa(a: np.ndarray, b: np.ndarray) -> float:
    """Cohen's κ over the texts that both answered (-1 = no answer); NaN where there are none or chance is certain."""
    from sklearn.metrics import cohen_kappa_score

    both = (a >= 0) & (b >= 0)
    if not both.any() or len(np.unique([a[both], b[both]])) < 2:
        return float("nan")
    return float(cohen_kappa_score(a[both], b[both]))


def fleiss_kappa(votes: np.ndarray, num_classes: int) -> float:
    """Fleiss' κ of votes int64[n, m] (m >= 2) over the texts that all answered; NaN as above. Fleiss 1971, eq. 3-7."""
    from statsmodels.stats import inter_rater

    votes = votes[(votes >= 0).all(axis=1)]
    if votes.shape[0] == 0 or votes.shape[1] < 2 or (votes == votes[0, 0]).all():
        return float("nan")
    counts = (votes[:, :, None] == np.arange(num_classes)).sum(axis=1)
    return float(inter_rater.fleiss_kappa(counts))


def _symmetric_g(rows: Iterable[np.ndarray], totals: np.ndarray) -> np.ndarray:
    """G float64[draws] of tables of counts that come row by row, int64[draws, C] each; `totals` int64[C] of the rows.

    G/2 = Σ O ln O - Σ n_y ln n_y - D ln(1-τ) - (n-D) ln(τ/(C-1)) with D the sum of the diagonal and τ = 1 - D/n: no
    more than a row of the tables is in memory.
    """
    num_classes, n = len(totals), max(int(totals.sum()), 1)
    total: np.ndarray | float = 0.0
    diagonal: np.ndarray | int = 0
    for y, (counts, own) in enumerate(zip(rows, totals.tolist(), strict=True)):
        weights = xlogy(np.arange(own + 1.0), np.arange(own + 1.0))
        total = total + weights[counts].sum(axis=1) - weights[own]
        diagonal = diagonal + counts[:, y]
    off = n - diagonal
    return 2 * (total - xlogy(diagonal, diagonal / n) - xlogy(off, off / n / (num_classes - 1)))


def _p_value(simulated: np.ndarray, observed: float) -> float:
    return float((1 + (simulated >= observed - 1e-9 * abs(observed)).sum()) / (1 + len(simulated)))
