"""Training of the denoisers: warm-up on certain texts, then refinement with the dynamic prior (SiDyP, stage 2)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel

from methods.losses import epochs_of
from methods.sidyp.config import Behaviour, Config
from methods.sidyp.denoiser import Denoiser
from methods.sidyp.prior import draw_labels, update_weights
from methods.sidyp.retrieval import Candidates
from methods.sidyp.sample import batch_noise, reverse
from methods.sidyp.schedule import Schedule, q_sample, simplex

KL_SMOOTHING = 1e-5  # inside the logarithms, as in CR
FEW_STEPS = 60
"""With fewer optimiser steps a run warns: at 50 (600 texts of TREC, symmetric noise) it was still below its stage 1,
while at 70 (783 texts of fomc, GPT-4's labels) smaller batches hardly mattered."""


@dataclass(frozen=True)
class Draws:
    """Every random number of one training step on B texts."""

    uniform: Tensor  # float64[M, B]: which candidate
    times: Tensor  # int64[M, B], 0..T-1
    noise: Tensor  # [M, B, C], of the forward process
    refine: Tensor | None  # [M, S, B, R, C], of the reverse process (official: S = 1); None in the warm-up
    gumbel: Tensor | None = None  # same shape: draws the classes of the reverse process (projection=sample)


@dataclass(frozen=True)
class Epoch:
    """The state after one epoch."""

    number: int  # from 1
    denoiser: Denoiser  # the one to predict with: the running mean of the parameters where asked for
    candidates: Candidates
    facts: dict[str, float]


def learning_rate_factor(progress: float, warm_up: float) -> float:
    """Linear rise over the first `warm_up` share of training, then half a cosine to 0; `progress` in [0, 1]."""
    if progress < warm_up:
        return progress / warm_up
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up))) if warm_up < 1 else 1.0


def draw(
    config: Config, how: Behaviour, shape: tuple[int, int, int], warm: bool, generator: torch.Generator, seed: int
) -> Draws:
    """The draws of a step for (M, B, C), all from `generator`; `seed` fixes the official reverse noise."""
    branches, size, classes = shape
    rows = 1 if config.share_time else branches
    times = torch.randint(config.train_timesteps, (rows, size), generator=generator).expand(branches, size)
    uniform = torch.rand(branches, size, generator=generator, dtype=torch.float64)
    noise = torch.randn(branches, size, classes, generator=generator)
    refine = gumbel = None
    if not warm:
        reverse_shape = (branches, config.train_samples, size, config.inference_steps, classes)
        if how.fresh_noise:
            refine = torch.randn(reverse_shape, generator=generator)
        else:
            fixed = batch_noise(seed, size, config.batch_size, config.inference_steps, classes)
            refine = fixed.unsqueeze(0).expand(branches, -1, -1, -1, -1)
        if config.projection == "sample":
            gumbel = -torch.empty(refine.shape).exponential_(generator=generator).log()
    return Draws(uniform, times, noise, refine, gumbel)


def refine(
    denoiser: Denoiser,
    schedule: Schedule,
    trajectories: Tensor,
    given: Tensor,
    weights: Tensor,
    uncertain: Tensor,
    draws: Draws,
    samples: int,
    by_position: bool,
) -> Tensor:
    """Candidate weights [M, B, C] of the uncertain texts moved by the denoiser's own reverse samples.

    `trajectories` [M, B, d], `given` int64[B], `uncertain` bool[M, B]. `by_position`: the q-th uncertain text of the
    batch takes the q-th noise row (released code), else every text its own.
    """
    widest = int(uncertain.sum(1).max())
    if widest == 0:
        return weights
    # Branches have different uncertain texts: pad to the widest; padding is computed and thrown away.
    index = (~uncertain).to(torch.uint8).argsort(dim=1, stable=True)[:, :widest]
    valid = uncertain.gather(1, index)
    branch = torch.arange(len(uncertain), device=index.device).unsqueeze(1)
    was_training = denoiser.training
    denoiser.eval()
    with torch.no_grad():
        gate = denoiser.condition(trajectories[branch, index])
    denoiser.train(was_training)
    assert draws.refine is not None  # as in the warm-up alone
    noise = _take(draws.refine, torch.arange(widest, device=index.device).expand_as(index) if by_position else index)
    gumbel = None if draws.gumbel is None else _take(draws.gumbel, index)
    chains = noise.shape[1]
    drawn, _ = reverse(denoiser, schedule, gate, given[index].unsqueeze(1).expand(-1, chains, -1), noise, gumbel=gumbel)
    hits = drawn.transpose(0, 1).expand(samples if chains == 1 else chains, -1, -1)
    old = weights[branch, index]
    moved = torch.where(valid.unsqueeze(-1), update_weights(old, hits), old)
    return weights.index_put((branch, index), moved)


def _take(noise: Tensor, index: Tensor) -> Tensor:
    """noise [M, S, B, R, C] at index int64[M, Q] -> [M, S, Q, R, C]."""
    branch = torch.arange(noise.shape[0], device=index.device).unsqueeze(1)
    return noise.transpose(1, 2)[branch, index].transpose(1, 2)


def step_loss(
    denoiser: Denoiser,
    schedule: Schedule,
    trajectories: Tensor,
    given: Tensor,
    weights: Tensor,
    draws: Draws,
    *,
    mask: Tensor | None,
    kl_weight: float,
    double_weight: bool,
    mean: bool,
) -> Tensor:
    """Loss of one step: weighted cross entropy to drawn candidates plus the co-regularisation of branches.

    `trajectories` [M, B, d], `given` int64[B], `weights` float64[M, B, C]; `mask` bool[M, B]: the texts that a branch
    sees (warm-up), a branch with fewer than two gets gradient 0. `mean`: batch means, else batch sums.
    """
    classes, value = weights.shape[-1], schedule.simplex_value
    dtype = denoiser.head.weight.dtype
    target = draw_labels(weights, draws.uniform)
    noisy = q_sample(simplex(target, classes, value, dtype), draws.times, draws.noise.to(dtype), schedule)
    points = simplex(given, classes, value, dtype).expand(len(weights), -1, -1)
    logits = denoiser(noisy, draws.times, points, denoiser.condition(trajectories, mask), mask)
    per_text = cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none").view_as(target)
    if double_weight:
        per_text = per_text * weights.gather(-1, target.unsqueeze(-1)).squeeze(-1).to(dtype)
    if mask is not None:
        counts = mask.sum(1)
        per_branch = (per_text * mask).sum(1) / counts.clamp_min(1) * (counts > 1)
    else:
        per_branch = per_text.mean(1) if mean else per_text.sum(1)
    loss = per_branch.mean()
    if kl_weight > 0:
        own = logits.softmax(-1)
        centre = own.mean(0)
        divergence = (centre * ((centre + KL_SMOOTHING).log() - (own + KL_SMOOTHING).log())).sum(-1)
        loss = loss + kl_weight * (divergence.mean(1) if mean else divergence.sum(1)).mean()
    return loss


@torch.no_grad()
def clip_branches(parameters: list[nn.Parameter], limit: float, only_last: bool) -> None:
    """Scale each branch's gradient (first axis) to a norm of at most `limit`; `only_last`: of the last branch alone."""
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    squares = sum(torch.linalg.vector_norm(grad.flatten(1), dim=1).square() for grad in grads)
    factor = (limit / (squares.sqrt() + 1e-6)).clamp(max=1.0)
    if only_last:
        factor[:-1] = 1.0
    for grad in grads:
        grad.mul_(factor.view(-1, *[1] * (grad.dim() - 1)))


def running_mean(denoiser: Denoiser, decay: float) -> AveragedModel:
    """Moving average of parameters and statistics; its decay rises from 0.1, so that it forgets the start."""

    def update(average: Tensor, value: Tensor, seen: Tensor | int) -> Tensor:
        rate = min(decay, (1 + int(seen)) / (10 + int(seen)))
        return torch.lerp(value.to(average.dtype), average, rate) if average.is_floating_point() else value

    return AveragedModel(denoiser, avg_fn=update, use_buffers=True)


def optimiser_steps(config: Config, size: int) -> int:
    """How many steps `train` takes on `size` texts: a batch of one text is left out."""
    full, rest = divmod(size, config.batch_size)
    return config.epochs * (full + (rest > 1))


def warning(config: Config, size: int) -> dict[str, str]:
    """The diagnostic "warning" where training on `size` texts is too short for the method's idea, else nothing."""
    said, steps = [], optimiser_steps(config, size)
    if steps < FEW_STEPS:
        said.append(f"steps of the denoisers: {steps}, which may be too few: try a smaller batch_size of sidyp")
    if epochs_of(config.warm_up, config.epochs) == config.epochs:
        said.append("the warm-up covers every epoch, so no candidate is refined: lower warm_up or raise sidyp's epochs")
    return {"warning": "; ".join(said)} if said else {}


def train(
    denoiser: Denoiser,
    config: Config,
    how: Behaviour,
    schedule: Schedule,
    trajectories: Tensor,
    labels: Tensor,
    candidates: Candidates,
    generator: torch.Generator,
    seed: int,
) -> Iterator[Epoch]:
    """Train in place and yield after every epoch; `candidates.weights` is the dynamic prior and moves along.

    `trajectories` [M, n, d] and `labels` int64[n] (the noisy labels) on the denoiser's device.
    """
    size, device = len(labels), denoiser.head.weight.device
    parameters = list(denoiser.parameters())
    optimiser = torch.optim.Adam(parameters, lr=config.learning_rate, fused=True)
    average = running_mean(denoiser, config.ema_decay) if config.ema_decay is not None else None
    start = candidates.weights.clone()
    first_refined = epochs_of(config.warm_up, config.epochs)
    for epoch in range(config.epochs):
        warm = epoch < first_refined
        kl_on = not warm and (how.kl_at_first or epoch > config.warm_up * config.epochs + 1e-9)
        before = candidates.weights.clone()
        order = torch.randperm(size, generator=generator) if how.shuffle else torch.arange(size)
        batches = [rows for rows in order.split(config.batch_size) if len(rows) > 1]
        total = torch.zeros((), device=device)
        denoiser.train()
        for number, rows in enumerate(batches):
            rate = learning_rate_factor((epoch + number / len(batches)) / config.epochs, config.warm_up)
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * rate
            shape = (denoiser.branches, len(rows), denoiser.num_classes)
            draws = _to_device(draw(config, how, shape, warm, generator, seed), device)
            rows = rows.to(device)
            features = trajectories.index_select(1, rows).to(denoiser.head.weight.dtype)
            given, weights, uncertain = labels[rows], candidates.weights[:, rows], candidates.uncertain[:, rows]
            if not warm:
                weights = refine(
                    denoiser, schedule, features, given, weights, uncertain, draws,
                    samples=config.train_samples, by_position=not how.fresh_noise,
                )  # fmt: skip
                candidates.weights[:, rows] = weights
            loss = step_loss(
                denoiser, schedule, features, given, weights, draws,
                mask=~uncertain if warm else None, kl_weight=config.kl_weight if kl_on else 0.0,
                double_weight=config.double_weight, mean=warm or how.mean_loss,
            )  # fmt: skip
            optimiser.zero_grad()
            loss.backward()
            clip_branches(parameters, 1.0, only_last=not how.clip_all_branches)
            optimiser.step()
            if average is not None:
                average.update_parameters(denoiser)
            total += loss.detach()
        facts = {"loss": float(total) / max(1, len(batches)), **_movement(candidates, start, before)}
        trained = denoiser if average is None else average.module
        assert isinstance(trained, Denoiser)  # the average is of one
        yield Epoch(epoch + 1, trained, candidates, facts)


def _movement(candidates: Candidates, start: Tensor, before: Tensor) -> dict[str, float]:
    """How far the weights of uncertain texts moved: half L1 distance in this epoch, and changes of the best class."""
    uncertain, weights = candidates.uncertain, candidates.weights
    count = max(1, int(uncertain.sum()))
    moved = ((weights - before).abs().sum(-1) / 2 * uncertain).sum() / count
    changed = ((weights.argmax(-1) != start.argmax(-1)) & uncertain).sum() / count
    return {"weights_moved": float(moved), "best_candidate_changed": float(changed)}


def _to_device(draws: Draws, device: torch.device) -> Draws:
    return replace(draws, **{name: value.to(device) for name, value in vars(draws).items() if value is not None})
