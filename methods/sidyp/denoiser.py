"""The denoisers of all branches as one network: f_m(y_t, t, a, w) -> logits of the clean label (SiDyP).

    g = BN(w)                                               # condition; projected: BN(Linear(w))
    x = softplus(BN(Linear(2C -> h)([y_t; a]) * G1[t])) * g
    x = softplus(BN(Linear(h -> h)(x) * G2[t]))
    x = softplus(BN(Linear(h -> h)(x) * G3[t]))
    logits = Linear(h -> C)(x)

y_t is the noisy label, a the given label, both points of the simplex; t enters as rows of the embeddings G; the text
enters through its training dynamics w. Every tensor has the branch as its first axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, softplus

from methods.logistic import product

NARROW = 16
"""Fewer outputs are computed as so many on a CPU, which is three times faster."""


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.rand(shape, generator=generator) * (high - low) + low)


class BranchLinear(nn.Module):
    """M linear layers side by side; the initialisation of `nn.Linear`."""

    def __init__(self, branches: int, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = _uniform((branches, inputs, outputs), -bound, bound, generator)
        self.bias = _uniform((branches, 1, outputs), -bound, bound, generator)
        self.compute_dtype: torch.dtype | None = None

    def forward(self, x: Tensor) -> Tensor:
        """float[M, B, inputs] -> float[M, B, outputs]."""
        return self.product(x) + self.bias

    def product(self, x: Tensor) -> Tensor:
        """x W without the bias, in the layer's compute precision."""
        if self.compute_dtype is not None:
            return torch.bmm(x.to(self.compute_dtype), self.weight.to(self.compute_dtype)).to(x.dtype)
        if self.weight.shape[2] < NARROW and x.device.type == "cpu" and not torch.is_grad_enabled():
            return product(x, self.weight)
        return torch.bmm(x, self.weight)


class BranchNorm(nn.Module):
    """`nn.BatchNorm1d` of M branches, with a mask for branches that see fewer rows of a batch."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, branches: int, width: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(branches, 1, width))
        self.bias = nn.Parameter(torch.zeros(branches, 1, width))
        self.register_buffer("running_mean", torch.zeros(branches, 1, width))
        self.register_buffer("running_var", torch.ones(branches, 1, width))
        self.momentum, self.eps = momentum, eps

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """float[M, B, width]; in training the statistics are of the rows in `mask` bool[M, B] (None: all).

        A branch with fewer than two rows in the mask keeps its running statistics.
        """
        if not self.training:
            scale, shift = self.affine()
            return torch.addcmul(shift, x, scale)
        if mask is None:
            count = torch.full((x.shape[0], 1, 1), x.shape[1], device=x.device, dtype=x.dtype)
            variance, mean = torch.var_mean(x, dim=1, keepdim=True, correction=0)
        else:
            rows = mask.unsqueeze(-1).to(x.dtype)
            count = rows.sum(1, keepdim=True)
            mean = (x * rows).sum(1, keepdim=True) / count.clamp_min(1)
            variance = ((x - mean).square() * rows).sum(1, keepdim=True) / count.clamp_min(1)
        self._remember(mean.detach(), variance.detach(), count)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return torch.addcmul(self.bias - mean * scale, x, scale)

    def affine(self) -> tuple[Tensor, Tensor]:
        """Scale and shift [M, 1, width] that this layer is in evaluation mode."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale, self.bias - self.running_mean * scale

    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        enough = count > 1
        unbiased = variance * count / (count - 1).clamp_min(1)
        step = self.momentum * enough.to(mean.dtype)
        self.running_mean.lerp_(mean, step.expand_as(mean))
        self.running_var.lerp_(unbiased, step.expand_as(mean))


class Denoiser(nn.Module):
    """The denoisers of M branches; every draw of the initialisation comes from `generator`."""

    def __init__(
        self,
        *,
        branches: int,
        num_classes: int,
        condition_width: int,
        width: int | None,
        train_timesteps: int,
        generator: torch.Generator,
    ) -> None:
        """`condition_width` d of the dynamics; `width` h of the hidden layers, None: d, without a projection."""
        super().__init__()
        hidden = condition_width if width is None else width
        self.branches, self.num_classes, self.width = branches, num_classes, hidden
        self.project = None if width is None else BranchLinear(branches, condition_width, hidden, generator)
        self.condition_norm = BranchNorm(branches, hidden)
        inputs = (2 * num_classes, hidden, hidden)
        layers = nn.ModuleList(BranchLinear(branches, size, hidden, generator) for size in inputs)
        self.layers = cast("Sequence[BranchLinear]", layers)  # torch does not know of what a list is
        self.norms = cast("Sequence[BranchNorm]", nn.ModuleList(BranchNorm(branches, hidden) for _ in inputs))
        self.times = nn.ParameterList(
            _uniform((branches, train_timesteps + 1, hidden), 0.0, 1.0, generator) for _ in inputs
        )
        self.head = BranchLinear(branches, hidden, num_classes, generator)

    def compute_in(self, dtype: torch.dtype | None) -> Denoiser:
        """Do matrix products in this dtype (None: that of the parameters)."""
        for module in self.modules():
            if isinstance(module, BranchLinear):
                module.compute_dtype = dtype
        return self

    def condition(self, trajectories: Tensor, mask: Tensor | None = None) -> Tensor:
        """g float[M, B, h] from the dynamics [M, B, d] (any float dtype)."""
        x = trajectories.to(self.head.weight.dtype)
        return self.condition_norm(x if self.project is None else self.project(x), mask)

    def forward(self, noisy: Tensor, times: Tensor, given: Tensor, gate: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits [M, B, C] for noisy labels and given labels [M, B, C], times int64[M, B], condition g [M, B, h]."""
        offset = torch.arange(self.branches, device=times.device).unsqueeze(1) * self.times[0].shape[1]
        x = torch.cat([noisy, given], dim=-1)
        for index, (layer, norm, table) in enumerate(zip(self.layers, self.norms, self.times, strict=True)):
            x = softplus(norm(layer(x) * embedding(times + offset, table.flatten(0, 1)), mask))
            if index == 0:
                x = x * gate
        return self.head(x)

    def at_time(self, time: int) -> list[tuple[Tensor, Tensor]]:
        """Evaluation mode at one time: hidden layer l is softplus(x W_l * scale_l + shift_l), [M, 1, h] each."""
        folded = []
        for layer, norm, table in zip(self.layers, self.norms, self.times, strict=True):
            row = table[:, time : time + 1]
            scale, shift = norm.affine()
            folded.append((row * scale, layer.bias * row * scale + shift))
        return folded
