"""Training dynamics: trajectories that condition the denoisers, and marks on texts that seem wrongly labelled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

CHUNK_BYTES = 8 * 2**20  # of one float32 working block


def centroids(dynamics: np.ndarray, labels: np.ndarray, num_classes: int) -> Tensor:
    """Mean feature of every class by branch and epoch, from train texts and their noisy labels alone.

    `dynamics` float16/32[M, E, n, D], `labels` int64[n]; float32[M, E, C, D], zero for an absent class.
    """
    branches, epochs, _, width = dynamics.shape
    total = torch.zeros(branches, epochs, num_classes, width, dtype=torch.float64)
    for rows, block in _blocks(dynamics):
        onehot = torch.nn.functional.one_hot(_tensor(labels[rows]), num_classes).float()
        total += torch.einsum("nc,mend->mecd", onehot, block)
    counts = np.bincount(labels, minlength=num_classes).clip(1)
    return (total / torch.from_numpy(counts)[:, None]).float()


def noise_scores(dynamics: np.ndarray, labels: np.ndarray, means: Tensor) -> Tensor:
    """Mean plus standard deviation (ddof 1) over epochs of the distance to the own label's centroid.

    `dynamics` [M, E, n, D], `labels` int64[n], `means` float32[M, E, C, D]; float32[M, n]. One epoch: the distance.
    """
    scores = torch.empty(dynamics.shape[0], dynamics.shape[2])
    for rows, block in _blocks(dynamics):
        distance = (block - means[:, :, _tensor(labels[rows])]).square_().sum(-1).sqrt_()
        spread = distance.std(1) if distance.shape[1] > 1 else 0.0
        scores[:, rows] = distance.mean(1) + spread
    return scores


def noise_markers(scores: Tensor, noise_rate: float) -> Tensor:
    """bool[M, n]: in each branch the floor(noise_rate * n) highest scores; equal scores by position."""
    count = marked_count(scores.shape[1], noise_rate)
    order = scores.argsort(dim=1, descending=True, stable=True)[:, :count]
    return torch.zeros(scores.shape, dtype=torch.bool).scatter_(1, order, True)


def marked_count(size: int, noise_rate: float) -> int:
    """Number of texts marked as wrongly labelled among `size`."""
    return int(np.floor(noise_rate * size + 1e-9))


class Trajectories:
    """The features of all epochs side by side: [M, n, E*D] for each split, standardised by train where asked.

    Standardising is for the learned projection (its scale is then the same for every encoder and epoch); the
    full-width denoiser normalises by batch itself and takes the features as they are.
    """

    def __init__(self, dynamics: dict[str, np.ndarray], standardise: bool, dtype: torch.dtype = torch.float16) -> None:
        shift, scale = _moments(dynamics["train"]) if standardise else (None, None)
        self.shift, self.scale = shift, scale
        self.splits = {name: side_by_side(block, shift, scale, dtype) for name, block in dynamics.items()}

    def __getitem__(self, split: str) -> Tensor:
        return self.splits[split]

    @property
    def width(self) -> int:
        """d = E*D."""
        return self.splits["train"].shape[-1]


def _moments(dynamics: np.ndarray) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over texts, float32[M, E, D] each; a constant feature gets deviation 1."""
    count = max(1, dynamics.shape[2])
    mean = sum(block.double().sum(2) for _, block in _blocks(dynamics)) / count
    variance = sum((block.double() - mean.unsqueeze(2)).square().sum(2) for _, block in _blocks(dynamics)) / count
    scale = variance.sqrt()
    tiny = scale < 1e-6 * mean.abs().clamp_min(1.0)
    return mean.float(), scale.masked_fill(tiny, 1.0).float()


def side_by_side(dynamics: np.ndarray, shift: Tensor | None, scale: Tensor | None, dtype: torch.dtype) -> Tensor:
    """[M, n, E*D] of features float16/32[M, E, n, D], standardised by `shift` and `scale` float32[M, E, D] if given."""
    branches, epochs, size, width = dynamics.shape
    out = torch.empty(branches, size, epochs * width, dtype=dtype)
    for rows, block in _blocks(dynamics):
        if shift is not None and scale is not None:
            largest = torch.finfo(dtype).max  # a feature that hardly varies in train may be far off elsewhere
            block = ((block - shift.unsqueeze(2)) / scale.unsqueeze(2)).clamp(-largest, largest)
        out[:, rows] = block.permute(0, 2, 1, 3).flatten(2).to(dtype)
    return out


def _blocks(dynamics: np.ndarray) -> Iterator[tuple[slice, Tensor]]:
    """Slices of texts with their features float32[M, E, rows, D], within the byte budget."""
    branches, epochs, size, width = dynamics.shape
    rows = max(1, CHUNK_BYTES // (4 * branches * epochs * width))
    for start in range(0, size, rows):
        part = slice(start, min(size, start + rows))
        yield part, torch.from_numpy(np.array(dynamics[:, :, part])).float()  # torch converts halves faster


def _tensor(labels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64))
