"""The dynamic prior: candidate weights that move towards what the denoiser itself draws, and labels drawn from them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def update_weights(weights: Tensor, drawn: Tensor) -> Tensor:
    """Candidate weights after S drawn classes, one after the other: w += (1 - w)/S for a hit, then renormalised.

    `weights` float64[..., C], rows sum to 1; `drawn` int64[S, ...]. A class that is not a candidate (weight 0) changes
    nothing, so the candidate set stays. With S = 4 and only hits, 0.4 becomes 0.625.
    """
    samples = len(drawn)
    for classes in drawn:  # each update sees the one before it
        hit = one_hot(classes, weights.shape[-1]).to(weights.dtype)
        increment = (1 - weights) / samples * hit * (weights > 0)
        weights = (weights + increment) / (1 + increment.sum(-1, keepdim=True))
    return weights


def draw_labels(weights: Tensor, uniform: Tensor) -> Tensor:
    """One class from each row of weights by inverse CDF: float[..., C] and uniform [...] in [0, 1) -> int64[...].

    A row with one candidate always gives that candidate; a class of weight 0 is never drawn.
    """
    cumulative = weights.cumsum(-1)
    point = uniform.to(weights.dtype) * cumulative[..., -1]
    index = (cumulative <= point.unsqueeze(-1)).sum(-1)
    positions = torch.arange(weights.shape[-1], device=weights.device)
    last = torch.where(weights > 0, positions, -1).amax(-1)
    return torch.minimum(index, last)
