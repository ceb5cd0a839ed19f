"""Exact nearest neighbours and their distance-weighted vote, for several masks of the references at once.

The vote follows scikit-learn's `KNeighborsClassifier(weights="distance")`: weight 1/distance, and where a
query has neighbours at distance zero they alone share the vote. Votes come back in all C columns,
whichever classes are absent from the references.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from bench.core.errors import UsageError

DEFAULT_K = 10  # of SiDyP, DyGen and NPC
_BLOCK_BYTES = 128 * 2**20  # memory of one distance block
_SPARE = 8  # candidates beyond those needed, so that ties at the k-th place are settled by row and not by rounding


class Neighbours(NamedTuple):
    """The nearest references of every query, nearest first."""

    distances: np.ndarray
    """float64[..., Nq, k], Euclidean; +inf where there are fewer than k references."""
    indices: np.ndarray
    """int64[..., Nq, k], rows of the reference set; meaningless where the distance is +inf."""


def checked_k(k: int | None, available: int, method: str) -> int:
    """The k to use with `available` references: `None` is 10, or all of them where there are fewer.

    Raises UsageError, naming the method and the allowed range, when an explicit k is larger than that.
    """
    if k is None:
        return max(1, min(DEFAULT_K, available))
    if k > max(1, available):
        raise UsageError(
            f"method {method}: neighbours = {k} is larger than the {available} texts that can vote: "
            f"choose neighbours in [1, {max(1, available)}]"
        )
    return k


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, float32[n, D] (a zero row stays): Euclidean neighbours are then cosine neighbours."""
    vectors = vectors.astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)


def nearest(
    queries: np.ndarray,
    references: np.ndarray,
    k: int,
    *,
    exclude_self: bool = False,
    allowed: np.ndarray | None = None,
) -> Neighbours:
    """The k nearest references of every query, exactly, by Euclidean distance in float64.

    `queries` float[Nq, D], `references` float[Nr, D]. `exclude_self`: query i never meets reference i.
    `allowed` bool[Nr] or bool[M, Nr] restricts the references; with M masks (branches) the distance block is
    computed once and the result has a leading axis M. k is cut to Nr. Equal vectors are at distance exactly
    0, and references at equal distance are taken in the order of their rows.
    """
    if k < 1:
        raise ValueError(f"k = {k}: at least one neighbour is needed")
    if queries.ndim != 2 or references.ndim != 2 or queries.shape[1] != references.shape[1]:
        raise ValueError(f"queries {queries.shape} and references {references.shape} must be [N, D] of one width")
    if exclude_self and len(queries) != len(references):
        raise ValueError(f"exclude_self needs queries = references, got {len(queries)} and {len(references)} rows")
    masks = np.ones((1, len(references)), dtype=bool) if allowed is None else np.atleast_2d(allowed)
    if masks.shape[1] != len(references):
        raise ValueError(f"a mask of {masks.shape[1]} entries for {len(references)} references")
    k = min(k, len(references))
    masks, ties = _first_of_equals(masks, references, k + exclude_self)
    wanted = min(k + (k if ties else 0) + _SPARE, len(references))
    centre = references.mean(axis=0, dtype=np.float64) if len(references) else 0.0  # less cancellation in the product
    q = torch.from_numpy(np.asarray(queries, dtype=np.float64) - centre)
    r = torch.from_numpy(np.asarray(references, dtype=np.float64) - centre)
    forbidden = torch.from_numpy(~masks)
    squared_r = (r * r).sum(dim=1)
    distances = torch.empty(len(masks), len(q), k, dtype=torch.float64)
    indices = torch.empty(len(masks), len(q), k, dtype=torch.int64)
    rows = max(1, _BLOCK_BYTES // (8 * max(1, len(r))))
    for start in range(0, len(q), rows):
        part = q[start : start + rows]
        squared_q = (part * part).sum(dim=1, keepdim=True)
        block = torch.addmm(squared_q + squared_r, part, r.T, alpha=-2).clamp_min_(0)
        if exclude_self:
            own = torch.arange(len(part))
            block[own, start + own] = torch.inf
        for mask, found_distance, found_index in zip(forbidden, distances, indices, strict=True):
            score, candidate = block.masked_fill(mask, torch.inf).topk(wanted, dim=1, largest=False)
            exact = _exact_near_zero(score, candidate, part, r, squared_q + squared_r[candidate]).sqrt()
            candidate, order = candidate.sort(dim=1)
            exact = exact.gather(1, order)
            order = _quantised(exact).argsort(dim=1, stable=True)[:, :k]
            found_distance[start : start + rows] = exact.gather(1, order)
            found_index[start : start + rows] = candidate.gather(1, order)
    single = allowed is None or allowed.ndim == 1
    return Neighbours(
        (distances[0] if single else distances).numpy(),
        (indices[0] if single else indices).numpy(),
    )


def _first_of_equals(masks: np.ndarray, references: np.ndarray, most: int) -> tuple[np.ndarray, bool]:
    """Masks bool[M, Nr] in which of equal references only the first `most` allowed ones stay; and whether that matters.

    No query needs more of them, and without the others no choice among them is left to chance.
    """
    kinds: dict[bytes, int] = {}
    kind = np.array(
        [kinds.setdefault(row.tobytes(), len(kinds)) for row in np.ascontiguousarray(references)], dtype=int
    )
    order = np.argsort(kind, kind="stable")
    starts = np.searchsorted(kind[order], np.arange(len(kinds)))
    if np.diff([*starts, len(kind)]).max(initial=0) <= most:
        return masks, False
    allowed = masks[:, order]
    before = np.cumsum(allowed, axis=1) - allowed  # allowed ones among those in front, of all kinds
    among = before - before[:, starts][:, kind[order]]
    kept = np.empty_like(masks)
    kept[:, order] = allowed & (among < most)
    return kept, True


def _exact_near_zero(
    squared: torch.Tensor, candidate: torch.Tensor, queries: torch.Tensor, references: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Squared distances with those that cancellation spoils (far below `scale`, ‖q‖² + ‖r‖²) taken from differences."""
    row, column = (squared < 1e-4 * scale).nonzero(as_tuple=True)
    difference = queries[row] - references[candidate[row, column]]
    return squared.index_put((row, column), (difference * difference).sum(dim=1))


def _quantised(distances: torch.Tensor) -> torch.Tensor:
    """Distances to 36 significant bits, so that rounding in the matrix product does not order equal ones."""
    mantissa, exponent = torch.frexp(distances)
    return torch.where(distances.isfinite(), torch.ldexp((mantissa * 2**36).round(), exponent), distances)


def distance_weights(distances: np.ndarray) -> np.ndarray:
    """1/distance, same shape; in a row with zero distances those weigh 1 and all others 0; +inf weighs 0."""
    zero = distances == 0
    with np.errstate(divide="ignore"):
        weights = 1.0 / distances
    return np.where(zero.any(axis=-1, keepdims=True), zero.astype(weights.dtype), weights)


def vote_among(neighbours: Neighbours, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Distance-weighted vote, float64[..., Nq, C], rows sum to 1; a query without any reference gets 1/C.

    `labels` int64[Nr] are the references' classes.
    """
    weights = distance_weights(neighbours.distances)
    shape = weights.shape[:-1]
    rows = int(np.prod(shape))
    cells = np.arange(rows)[:, None] * num_classes + labels[neighbours.indices].reshape(rows, -1)
    votes = np.bincount(cells.ravel(), weights=weights.ravel(), minlength=rows * num_classes)
    votes = votes.reshape(*shape, num_classes)
    total = votes.sum(axis=-1, keepdims=True)
    return np.where(total > 0, votes / np.where(total > 0, total, 1), 1.0 / num_classes)


def vote(
    queries: np.ndarray,
    references: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    k: int,
    *,
    exclude_self: bool = False,
    allowed: np.ndarray | None = None,
) -> np.ndarray:
    """`nearest` followed by `vote_among`: float64[Nq, C], or float64[M, Nq, C] for M masks."""
    neighbours = nearest(queries, references, k, exclude_self=exclude_self, allowed=allowed)
    return vote_among(neighbours, labels, num_classes)
