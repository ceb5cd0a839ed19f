"""What passes between the trainer and a method: batches and losses in, the state after each epoch out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy import special

from bench.training.networks import Classifier, Output

Loss = Callable[[Sequence[Output], "Batch"], "torch.Tensor | PerExample"]


class PerExample(NamedTuple):
    """Losses of K terms with weights: the loss of a batch is the sum over k of Σ_i w_ki l_ki / Σ_i w_ki."""

    losses: torch.Tensor  # [K, B]
    weights: torch.Tensor  # [K, B], >= 0


@dataclass
class Batch:
    """What a loss sees of a batch besides the networks' outputs."""

    indices: torch.Tensor  # int64[B], rows of the training split
    targets: dict[str, torch.Tensor]  # the method's own arrays at these rows, each [B, ...]
    networks: Sequence[Classifier]  # for losses that classify mixed features
    epoch: int  # from 0
    step: int  # from 0, over the whole run
    total_steps: int
    generator: torch.Generator  # CPU, named by the run and the step
    gather: Callable[[torch.Tensor], tuple[torch.Tensor, slice]]
    """All processes' rows of a tensor [B, ...] (no gradient) and the slice of them that is this process's own."""

    @property
    def progress(self) -> float:
        """Share of the run that lies behind, in [0, 1)."""
        return self.step / self.total_steps


@dataclass
class Epoch:
    """The state after an epoch, M networks."""

    number: int  # from 1
    logits: dict[str, np.ndarray]  # split -> float32[M, N, C]
    features: dict[str, np.ndarray]  # split -> float32[M, N, D]; empty unless asked for
    running: np.ndarray  # float32[N_train, C]: mean over networks, as each text was visited; NaN where none was
    loss: float  # mean training loss of the epoch
    networks: Sequence[Classifier]
    seconds: float = 0.0

    def probabilities(self, split: str) -> np.ndarray:
        """float32[M, N, C] softmax of the logits of a split."""
        return softmax(self.logits[split])

    def ensemble(self, split: str) -> np.ndarray:
        """float32[N, C], mean of the networks' probabilities."""
        return self.probabilities(split).mean(0)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row-wise softmax over the last axis, computed in float64, returned as float32."""
    return special.softmax(logits.astype(np.float64), axis=-1).astype(np.float32)
