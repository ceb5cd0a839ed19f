"""Robust losses as pure functions: per-example losses float32[B], sample selection, schedules.

Every loss returns one value per row and leaves the averaging to the trainer. Logits are
float32[B, C]; labels are int64[B] in 0..C-1; "soft targets" are float32[B, C] with rows summing to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy per row, float32[B], against int64[B] labels or float[B, C] soft targets."""
    return F.cross_entropy(logits, targets, reduction="none")


def label_smoothing(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy against (1 − ε)·onehot(ỹ) + ε/C, float32[B]. Szegedy et al. 2016, section 7; ε = `smoothing`."""
    return F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)


def generalised_cross_entropy(logits: Tensor, labels: Tensor, q: float) -> Tensor:
    """L_q = (1 − p_ỹ^q) / q, float32[B]. Zhang & Sabuncu 2018, eq. 6: q → 0 is cross-entropy, q = 1 is 1 − p_ỹ."""
    log_p = F.log_softmax(logits, dim=-1).gather(-1, labels[:, None]).squeeze(-1)
    log_p = log_p.clamp_min(math.log(1e-7))  # a row with p_ỹ = 0 keeps a finite loss
    return -torch.expm1(q * log_p) / q  # expm1 keeps the digits that 1 − p^q loses for small q


def elr_update(running: Tensor, probabilities: Tensor, momentum: float) -> Tensor:
    """ELR's new running targets t ← β·t + (1 − β)·p/Σp for the rows of a batch, float32[B, C], without gradient.

    Liu et al. 2020 (temporal ensembling). `running` holds the rows' targets so far (zeros before the
    first visit), so after k visits a row sums to 1 − β^k. `probabilities` float32[B, C] are clamped as in
    `elr_loss`.
    """
    p = probabilities.detach().clamp(1e-4, 1 - 1e-4)
    return momentum * running + (1 - momentum) * p / p.sum(dim=-1, keepdim=True)


def elr_loss(logits: Tensor, labels: Tensor, targets: Tensor, strength: float) -> Tensor:
    """Cross-entropy + λ·log(1 − ⟨t, p⟩) per row, float32[B]. Liu et al. 2020, section 4.2; λ = `strength`."""
    p = F.softmax(logits, dim=-1).clamp(1e-4, 1 - 1e-4)
    agreement = (targets * p).sum(dim=-1)  # at most 1 − 1e-4, as Σt ≤ 1: the logarithm stays finite
    return cross_entropy(logits, labels) + strength * torch.log1p(-agreement)


def mixup_draw(batch_size: int, alpha: float, generator: torch.Generator) -> tuple[float, Tensor]:
    """One mixing weight λ ~ Beta(α, α) and a permutation int64[B] of the rows. Zhang et al. 2018."""
    seed = int(torch.randint(2**62, (1,), generator=generator))  # torch's Beta sampler takes no generator
    weight = float(np.random.default_rng(seed).beta(alpha, alpha))
    return weight, torch.randperm(batch_size, generator=generator)


def mix(rows: Tensor, permutation: Tensor, weight: float) -> Tensor:
    """λ·x + (1 − λ)·x[π] for rows x float32[B, ...] (features, or soft targets); λ = `weight`."""
    return weight * rows + (1 - weight) * rows[permutation]


def mixup_loss(mixed_logits: Tensor, labels: Tensor, permutation: Tensor, weight: float) -> Tensor:
    """λ·CE(mixed, ỹ) + (1 − λ)·CE(mixed, ỹ[π]) per row, float32[B]. Zhang et al. 2018.

    `mixed_logits` are what the classifier says of `mix(features, permutation, weight)`.
    """
    return weight * cross_entropy(mixed_logits, labels) + (1 - weight) * cross_entropy(
        mixed_logits, labels[permutation]
    )


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """p^(1/T) renormalised over the last axis, same shape. Berthelot et al. 2019 (MixMatch)."""
    return F.softmax(probabilities.clamp_min(1e-12).log() / temperature, dim=-1)


def co_regularisation(logits: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Mean over branches of KL(p̄ ‖ p_m) per row, float32[B], for stacked logits float32[M, B, C].

    p̄ is the mean of the branches' softmaxes and carries gradient; ε smooths both logarithms.
    Zhou & Chen 2021 (NLL-IE).
    """
    p = F.softmax(logits, dim=-1)
    mean = p.mean(dim=0)
    return (mean * ((mean + epsilon).log() - (p + epsilon).log())).sum(dim=-1).mean(dim=0)


def co_regularised_cross_entropy(logits: Tensor, labels: Tensor, strength: float) -> Tensor:
    """(1/M)·Σ_m CE(p_m, ỹ) + α·(1/M)·Σ_m KL(p̄ ‖ p_m) per row, float32[B]; logits float32[M, B, C], α = `strength`.

    `labels` are int64[B], or soft targets float[B, C].
    """
    branches, rows, classes = logits.shape
    targets = labels.expand(branches, *labels.shape).flatten(0, 1)
    flat = cross_entropy(logits.reshape(branches * rows, classes), targets)
    loss = flat.view(branches, rows).mean(dim=0)
    return loss + strength * co_regularisation(logits) if strength else loss


def co_regularised_loss(alpha: float, warmup: float) -> Callable[[Any, Any], Tensor]:
    """The loss of CR for `Trainer.fit`: `co_regularised_cross_entropy`, without α in the first `warmup` of training."""

    def loss(outputs: Any, batch: Any) -> Tensor:
        strength = ramped_strength(alpha, batch.progress, warmup)
        logits = torch.stack([output.logits for output in outputs])
        return co_regularised_cross_entropy(logits, batch.targets["label"], strength)

    return loss


def ramped_strength(strength: float, progress: float, warmup: float) -> float:
    """0 in the first `warmup` fraction of training, `strength` after it; `progress` in [0, 1)."""
    return 0.0 if progress < warmup else strength


def symmetric_kl(logits_a: Tensor, logits_b: Tensor) -> Tensor:
    """KL(p_A ‖ p_B) + KL(p_B ‖ p_A) per row, float32[B]; the gradient flows through both."""
    log_a, log_b = F.log_softmax(logits_a, dim=-1), F.log_softmax(logits_b, dim=-1)
    return ((log_a.exp() - log_b.exp()) * (log_a - log_b)).sum(dim=-1)


def jocor_loss(logits_a: Tensor, logits_b: Tensor, labels: Tensor, weight: float) -> Tensor:
    """(1 − λ)·(CE_A + CE_B) + λ·symmetric KL per row, float32[B]; λ = `weight`. Wei et al. 2020."""
    supervised = cross_entropy(logits_a, labels) + cross_entropy(logits_b, labels)
    return (1 - weight) * supervised + weight * symmetric_kl(logits_a, logits_b)


def epochs_of(share: float, epochs: int) -> int:
    """⌈share·E⌉, the epochs that begin in the first `share` of all."""
    return math.ceil(share * epochs - 1e-9)  # 1e-9: 0.28 of 25 must give 7


def forget_ramp_epochs(epochs: int, fraction: float = 0.3) -> int:
    """T_k, the number of epochs over which the forget rate rises: ⌈fraction·E⌉, at least 1."""
    return max(1, epochs_of(fraction, epochs))


def forget_rate(epoch: int, noise_rate: float, ramp_epochs: int, exponent: float = 1.0) -> float:
    """R(e): linspace(0, τ^c, T_k)[e] for e < T_k, then τ. Han et al. 2018 (co-teaching).

    R(0) = 0, so the first epoch trains on everything.
    """
    if epoch >= ramp_epochs:
        return noise_rate
    return noise_rate**exponent * (epoch / max(1, ramp_epochs - 1))


def forget_rates(epochs: int, noise_rate: float, fraction: float, exponent: float) -> list[float]:
    """R(e) of every epoch, the rise taking `fraction` of them."""
    ramp_epochs = forget_ramp_epochs(epochs, fraction)
    return [forget_rate(epoch, noise_rate, ramp_epochs, exponent) for epoch in range(epochs)]


def small_loss_mask(losses: Tensor, rate: float) -> Tensor:
    """bool[B], True for the max(1, ⌊(1 − R)·B⌋) rows of smallest loss; ties go to the earlier row."""
    keep = max(1, math.floor((1 - rate) * len(losses) + 1e-9))  # 1e-9: (1 − 0.3)·10 must give 7
    mask = torch.zeros(len(losses), dtype=torch.bool, device=losses.device)
    mask[losses.detach().argsort(stable=True)[:keep]] = True
    return mask
