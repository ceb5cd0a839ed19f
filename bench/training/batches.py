"""Which rows make a batch: fresh shuffling every epoch, texts of like length together."""

from __future__ import annotations

import numpy as np

POOL = 16
"""Batches that are sorted by length together: enough to save padding, few enough to keep the order random."""
EVALUATION_TOKENS = 8192
EVALUATION_ROWS = 1024


def epoch_batches(
    lengths: np.ndarray | None, n: int, batch_size: int, generator: np.random.Generator
) -> list[np.ndarray]:
    """⌈n / batch_size⌉ batches of positions 0..n-1, each position once, in a new order.

    With `lengths` int64[n], positions are shuffled, cut into pools of `POOL` batches, sorted by length within a
    pool, cut into batches, and the batches shuffled: padding is small, and the composition differs every epoch.
    There are at least two pools: sorting all texts as one would make the same batches every epoch.
    """
    order = generator.permutation(n)
    if lengths is not None:
        pool = min(POOL, max(1, -(-n // batch_size) // 2)) * batch_size
        order = np.concatenate(
            [part[np.argsort(lengths[part], kind="stable")] for part in np.split(order, range(pool, n, pool))]
        )
    batches = np.split(order, range(batch_size, n, batch_size))
    if lengths is not None:
        batches = [batches[position] for position in generator.permutation(len(batches))]
    return batches


def sequential_batches(n: int, batch_size: int) -> list[np.ndarray]:
    """⌈n / batch_size⌉ batches of positions 0..n-1 in their order."""
    return np.split(np.arange(n), range(batch_size, n, batch_size))


def evaluation_batches(lengths: np.ndarray | None, n: int) -> list[np.ndarray]:
    """Batches of positions 0..n-1 for prediction: longest first, at most `EVALUATION_TOKENS` padded tokens each."""
    if lengths is None:
        return sequential_batches(n, EVALUATION_ROWS) if n else []
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < n:
        size = max(1, min(EVALUATION_ROWS, EVALUATION_TOKENS // max(int(lengths[order[start]]), 1)))
        batches.append(order[start : start + size])
        start += size
    return batches
