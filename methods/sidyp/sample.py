"""The reverse process of all branches, given labels and samples at once, and the prediction made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from bench.core.seeds import named_generator, named_seed
from methods.sidyp.denoiser import Denoiser
from methods.sidyp.schedule import Schedule, simplex

CACHE_BYTES = 4 * 2**20
"""Working memory of a chunk on a CPU, at most: what leaves the cache costs half as much again."""
Folded = list[tuple[Tensor, Tensor]]


class Noise(NamedTuple):
    """The draws of S reverse processes for N texts, float32[S, N, R, C] each."""

    normal: Tensor
    gumbel: Tensor | None = None  # draws the classes of each step (projection=sample); None: the best are taken


def example_noise(seed: int, texts: Sequence[str], samples: int, steps: int, num_classes: int) -> Tensor:
    """Standard normal noise float32[S, N, R, C] that depends on the seed and each text alone.

    A text's noise is the same in any batch, order or split; its samples differ. Axis R counts reverse steps: entry
    r is added on the way into step r (entry R-1 is the start).
    """
    noise = np.empty((len(texts), samples, steps, num_classes), dtype=np.float32)
    for row, text in enumerate(texts):
        key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        named_generator(seed, "reverse", key).standard_normal(out=noise[row], dtype=np.float32)
    return torch.from_numpy(noise).transpose(0, 1).contiguous()


def batch_noise(seed: int, rows: int, batch_size: int, steps: int, num_classes: int) -> Tensor:
    """Noise float32[1, rows, R, C] of the released code: restarted for every batch, so it depends on the position."""
    generator = torch.Generator().manual_seed(named_seed(seed, "reverse"))
    block = torch.randn(1, min(batch_size, max(1, rows)), steps, num_classes, generator=generator)
    return block[:, torch.arange(rows) % block.shape[1]]


@torch.no_grad()
def reverse(
    denoiser: Denoiser,
    schedule: Schedule,
    gate: Tensor,
    given: Tensor,
    noise: Tensor,
    *,
    gumbel: Tensor | None = None,
    path: list[Tensor] | None = None,
    folded: Sequence[Folded] | None = None,
) -> tuple[Tensor, Tensor]:
    """Run K chains per text through the R reverse steps. Returns classes int64[M, K, B] and the last logits.

    `gate` float[M, B, h]; `given` int64[M or 1, K, B], the label each chain is conditioned on; `noise`
    float[M or 1, K, B, R, C]; `gumbel` of the same shape draws the classes of each step instead of taking the best;
    `path` collects the simplex point [M, K, B, C] before every step and at the end. The denoiser is used in
    evaluation form whatever its mode; `folded` is that form at the time of each step, where many calls share it.
    """
    branches, texts, width = gate.shape
    chains, classes = given.shape[1], noise.shape[-1]
    value = schedule.simplex_value
    given_points = simplex(given, classes, value, gate.dtype).expand(branches, -1, -1, -1)
    noise = noise.to(gate.dtype)
    points = (value * noise[..., -1, :]).expand(branches, chains, texts, classes)
    for step in range(schedule.steps - 1, -1, -1):
        if path is not None:
            path.append(points.clone())
        x = torch.cat([points, given_points], dim=-1).flatten(1, 2)
        for index, (scale, shift) in enumerate(folded[step] if folded else denoiser.at_time(schedule.times[step])):
            x = softplus(torch.addcmul(shift, denoiser.layers[index].product(x), scale))
            if index == 0:
                x = x.view(branches, chains, texts, width).mul_(gate.unsqueeze(1)).flatten(1, 2)
        logits = denoiser.head(x).view(branches, chains, texts, classes)
        scores = logits if gumbel is None else logits + gumbel[..., step, :]
        projected = simplex(scores.argmax(-1), classes, value, gate.dtype)
        if schedule.clip is not None:
            projected = projected.clamp(-schedule.clip, schedule.clip)
        if step > 0:
            signal = schedule.reverse[step - 1]
            points = signal.sqrt() * projected + (1 - signal).sqrt() * value * noise[..., step - 1, :]
    if path is not None:
        path.append(projected)
    return scores.argmax(-1), logits


def posterior(classes: Tensor, logits: Tensor, schedule: Schedule, kind: str) -> Tensor:
    """p(y | chain): softmax of the final simplex point, or of the last logits; [..., C] like the logits."""
    if kind == "logits":
        return logits.softmax(-1)
    value = schedule.simplex_value
    if schedule.clip is not None:
        value = min(value, schedule.clip)
    return simplex(classes, logits.shape[-1], value, logits.dtype).softmax(-1)


@torch.no_grad()
def transitions(
    denoiser: Denoiser,
    schedule: Schedule,
    trajectories: Tensor,
    noise: Tensor,
    gumbel: Tensor | None = None,
    *,
    kind: str = "simplex",
    memory_bytes: int = 32 * 2**20,
) -> Iterator[tuple[slice, Tensor]]:
    """q_m(y | given label j, text), chunk by chunk: slices of texts with float[M, rows, C_j, C_y].

    `trajectories` [M, N, d]; `noise` and `gumbel` float[S, N, R, C], shared by all branches and given labels.
    """
    samples, texts, _, classes = noise.shape
    was_training = denoiser.training
    denoiser.eval()
    rows = chain_rows(denoiser, classes * samples, memory_bytes)
    folded = [denoiser.at_time(time) for time in schedule.times]
    for start in range(0, texts, rows):
        part = slice(start, min(texts, start + rows))
        drawn = Noise(noise[:, part], None if gumbel is None else gumbel[:, part])
        q = posterior(*reverse_all(denoiser, schedule, trajectories[:, part], drawn, folded=folded), schedule, kind)
        yield part, q.unflatten(1, (classes, samples)).mean(2).transpose(1, 2)
    denoiser.train(was_training)


def chain_rows(denoiser: Denoiser, chains: int, memory_bytes: int) -> int:
    """How many texts with so many chains each fit into memory at once."""
    width = denoiser.width * denoiser.branches * chains
    if denoiser.head.weight.device.type == "cpu":
        memory_bytes = min(memory_bytes, CACHE_BYTES)
    return max(1, memory_bytes // (3 * denoiser.head.weight.dtype.itemsize * width))


@torch.no_grad()
def refined_labels(
    denoiser: Denoiser,
    schedule: Schedule,
    trajectories: Tensor,
    labels: Tensor,
    noise: Tensor,
    gumbel: Tensor | None = None,
    *,
    kind: str = "simplex",
) -> np.ndarray:
    """mean_m q_m(y | own label, text), float32[N, C]; shapes as in `transitions`, `labels` int64[N]."""
    dtype, device = denoiser.head.weight.dtype, denoiser.head.weight.device
    was_training = denoiser.training
    denoiser.eval()
    gate = denoiser.condition(trajectories.to(device))
    given = labels.to(device).expand(1, len(noise), -1)
    drawn = noise.to(device, dtype).unsqueeze(0)
    extra = None if gumbel is None else gumbel.to(device, dtype).unsqueeze(0)
    found, logits = reverse(denoiser, schedule, gate, given, drawn, gumbel=extra)
    q = posterior(found, logits, schedule, kind).double().mean((0, 1))
    denoiser.train(was_training)
    return (q / q.sum(-1, keepdim=True)).float().cpu().numpy()


def reverse_all(
    denoiser: Denoiser, schedule: Schedule, trajectories: Tensor, noise: Noise, **options: Any
) -> tuple[Tensor, Tensor]:
    """`reverse` of texts [M, B, d] with S chains for every given label: K = C·S, by label. `denoiser` evaluates."""
    device, (samples, size, _, classes) = denoiser.head.weight.device, noise.normal.shape
    gate = denoiser.condition(trajectories.to(device))
    given = torch.arange(classes, device=device).repeat_interleave(samples).view(1, -1, 1).expand(1, -1, size)
    normal, gumbel = (
        None if each is None else each.to(device, gate.dtype).repeat(classes, 1, 1, 1).unsqueeze(0) for each in noise
    )
    assert normal is not None  # of the two only the other may be missing
    return reverse(denoiser, schedule, gate, given, normal, gumbel=gumbel, **options)


def predict(probabilities: Tensor, chunks: Iterator[tuple[slice, Tensor]]) -> np.ndarray:
    """P(y|x) = mean_m sum_j q_m(y | j, x) p_m(j | x); `probabilities` [M, N, C] -> float32[N, C], rows sum to 1."""
    result = torch.zeros(probabilities.shape[1:], dtype=torch.float64)
    for part, q in chunks:
        prior = probabilities[:, part].to(q.device, q.dtype)
        result[part] = torch.einsum("mnjy,mnj->ny", q, prior).double().cpu()
    total = result.sum(-1, keepdim=True)
    return (result / total).float().clamp(0, 1).numpy()


def gumbel_like(samples: int, steps: int, num_classes: int, seed: int, texts: Sequence[str]) -> Tensor:
    """Gumbel noise float32[S, N, R, C], by text like `example_noise`."""
    normal = example_noise(named_seed(seed, "gumbel"), texts, samples, steps, num_classes).double()
    uniform = torch.special.ndtr(normal).clamp(1e-12, 1 - 1e-12)
    return -torch.log(-torch.log(uniform)).float()
