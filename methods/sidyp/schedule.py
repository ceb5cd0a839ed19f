"""The forward process on the label simplex and the times of the reverse process (SiDyP; TESS, Mahabadi et al. 2024).

Not taken from a library: diffusers' cosine schedule is a product of capped betas with offset 0.008, which is
neither this closed form nor 1 at time 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

OFFSET = 1e-4  # keeps the slope finite at 0, improved cosine schedule of TESS


def alpha_bar(u: Tensor) -> Tensor:
    """Signal share of the cosine schedule at u in [0, 1], float64: cos^2 of a shifted angle, 1 at u = 0."""
    angle = 0.5 * math.pi * (u.double() + OFFSET) / (1 + OFFSET)
    return (torch.cos(angle) / math.cos(0.5 * math.pi * OFFSET / (1 + OFFSET))).square().clamp(0, 1)


@dataclass(frozen=True)
class Schedule:
    """Tables of one configuration."""

    train: Tensor  # float32[T]: alpha_bar at training time t = 0..T-1
    reverse: Tensor  # float32[R]: alpha_bar of reverse step r = 0..R-1
    times: tuple[int, ...]  # the training time that the network is told at reverse step r
    simplex_value: float
    clip: float | None = None  # projected points are clamped to +-clip

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Schedule:
        """The same schedule on another device."""
        train, reverse = self.train.to(device, dtype), self.reverse.to(device, dtype)
        return Schedule(train, reverse, self.times, self.simplex_value, self.clip)

    @property
    def steps(self) -> int:
        """R, the number of reverse steps."""
        return len(self.times)


def schedule(
    train_timesteps: int,
    inference_steps: int,
    simplex_value: float,
    *,
    scaled_time: bool = True,
    clip: float | None = None,
    dtype: torch.dtype = torch.float32,
) -> Schedule:
    """Schedule with T training and R reverse steps; `scaled_time` tells the network floor(r*T/R), else r."""
    steps = range(inference_steps)
    return Schedule(
        train=alpha_bar(torch.arange(train_timesteps) / train_timesteps).to(dtype),
        reverse=alpha_bar(torch.arange(inference_steps) / inference_steps).to(dtype),
        times=tuple(r * train_timesteps // inference_steps if scaled_time else r for r in steps),
        simplex_value=simplex_value,
        clip=clip,
    )


def simplex(labels: Tensor, num_classes: int, value: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """X(c) = v(2 onehot(c) - 1): labels int64[...] as points dtype[..., C]."""
    points = torch.full((*labels.shape, num_classes), -value, dtype=dtype, device=labels.device)
    return points.scatter_(-1, labels.unsqueeze(-1), value)


def q_sample(points: Tensor, times: Tensor, noise: Tensor, schedule: Schedule) -> Tensor:
    """y_t = sqrt(alpha_bar_t) X + sqrt(1 - alpha_bar_t) v eps; points, noise [..., C], times int64[...]."""
    signal = schedule.train[times].unsqueeze(-1)
    return signal.sqrt() * points + (1 - signal).sqrt() * schedule.simplex_value * noise
