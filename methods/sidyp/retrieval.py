"""Label candidates: a distance-weighted neighbour vote among texts that are not marked as wrongly labelled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from methods.neighbours import vote

ROUNDING = 1e-9  # a vote of 9 to 1 reaches a threshold of 0.9


@dataclass
class Candidates:
    """What may be the true label of each train text, by branch."""

    weights: Tensor  # float64[M, n, C], rows sum to 1; training moves the weights, never the set {weight > 0}
    uncertain: Tensor  # bool[M, n]: more than one candidate

    @property
    def counts(self) -> Tensor:
        """int64[M, n], candidates per text."""
        return (self.weights > 0).sum(-1)


def retrieve(
    embeddings: np.ndarray,
    labels: np.ndarray,
    marked: Tensor,
    num_classes: int,
    neighbours: int,
    *,
    certain_threshold: float,
    dominant_threshold: float,
    exclude_self: bool = False,
) -> Candidates:
    """Candidates of every text from its nearest unmarked texts (L2, weight 1/distance), itself included.

    `embeddings` float[n, D_e], `labels` int64[n], `marked` bool[M, n]. A zero distance takes the whole vote, so an
    unmarked text is certain of its own label unless a text with the same embedding disagrees or `exclude_self`.
    """
    allowed = (~marked).cpu().numpy()
    votes = vote(embeddings, embeddings, labels, num_classes, neighbours, exclude_self=exclude_self, allowed=allowed)
    return candidates(torch.from_numpy(votes), certain_threshold, dominant_threshold)


def candidates(votes: Tensor, certain_threshold: float, dominant_threshold: float) -> Candidates:
    """One candidate where a class dominates, two where a pair does, else every class with a vote (float[M, n, C])."""
    votes = votes.double()
    best = one_hot(votes.argmax(-1), votes.shape[-1]).double()
    certain = votes.amax(-1) >= certain_threshold - ROUNDING
    pair_mass, pair = votes.topk(min(2, votes.shape[-1]), dim=-1)
    pair_weights = torch.zeros_like(votes).scatter_(-1, pair, pair_mass / pair_mass.sum(-1, keepdim=True))
    dominant = pair_mass.sum(-1) >= dominant_threshold - ROUNDING
    weights = torch.where(dominant.unsqueeze(-1), pair_weights, votes)
    weights = torch.where(certain.unsqueeze(-1), best, weights)
    return Candidates(weights, (weights > 0).sum(-1) > 1)


def majority(weights: Tensor, generator: torch.Generator) -> Tensor:
    """int64[n]: each branch votes for its best candidate (float[M, n, C]); ties are drawn."""
    ballots = one_hot(weights.argmax(-1), weights.shape[-1]).sum(0).double()
    return (ballots + torch.rand(ballots.shape, generator=generator, dtype=torch.float64) * 0.5).argmax(-1)
