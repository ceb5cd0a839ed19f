"""The conditional VAE that NPC and DyGen share: from features and a (noisy) label to the true class.

For each of M branches a linear encoder gives a concentration α(φ, j) of a Dirichlet over the true class y, given
features φ and an observed label j; a linear decoder reconstructs j from φ and a draw of y. All branches are one
batched product, and the label input is a row of a matrix, so α for all C labels costs one product as well.

Bae et al., "From Noisy Prediction to True Label", ICML 2022 (NPC); Zhuang et al., "DyGen", KDD 2023.
Shapes: M branches, B rows, D features, C classes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import losses, shared
from methods.base import Field, Predictions, Tools, refuse_unused
from methods.sidyp.dynamics import Trajectories, side_by_side

NEIGHBOURS = Field(
    None, ge=1, description="k of the prior's vote; None: 10 (authors), or every reference where there are fewer"
)
PRIOR_STRENGTH = Field(5.0, ge=0, le=1e4, description="ρ, concentration added to the prior's class (authors)")
KL_WEIGHT = Field(1.0, ge=0, le=1e4, description="β, weight of KL(posterior || prior) (authors)")


def refuse_unused_prior(given: Any, *names: str) -> None:
    """`refuse_unused` for the fields `names` that the prior's class comes from, where it has no say in the loss."""
    if given.kl_weight == 0:
        refuse_unused(given, "kl_weight=0", "prior_strength", *names)
    if given.prior_strength == 0:
        refuse_unused(given, "prior_strength=0", *names)


_ROWS = 4096  # rows that `correct` takes at once, at most
_BLOCK_BYTES = 4 * 2**20  # of the transitions of those rows: a few blocks stay in the cache
_MANY = 128  # classes from which on `correct` interpolates
_MOST_TERMS = 32  # more points would cost more than they save
_SERIES_ROWS = 256


@dataclass(frozen=True)
class Schedule:
    """How a `DirichletVAE` is trained."""

    epochs: int
    batch_size: int  # rows
    learning_rate: float  # of Adam
    kl_weight: float = 1.0  # β, on KL(posterior ‖ prior)
    agreement: float = 0.0  # λ, on the branches' co-regularisation
    agreement_warmup: float = 0.1  # share of the epochs with λ = 0


class DirichletVAE(nn.Module):
    """M linear encoders and decoders side by side; `generator` draws the initial weights, U(±1/√(D + C))."""

    def __init__(self, branches: int, width: int, num_classes: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1 / math.sqrt(width + num_classes)

        def drawn(*shape: int) -> nn.Parameter:
            return nn.Parameter(bound * (2 * torch.rand(shape, generator=generator) - 1))

        encode_features = drawn(branches, width, num_classes)
        self.encode_label = drawn(branches, num_classes, num_classes)  # row j: observed label j
        encode_bias = drawn(branches, 1, num_classes)
        decode_features = drawn(branches, width, num_classes)
        self.decode_class = drawn(branches, num_classes, num_classes)
        # One product reads the features for encoder and decoder; this way round it is several times faster.
        both = torch.cat([encode_features, decode_features], dim=2)
        self.features = nn.Parameter(both.detach().transpose(1, 2).contiguous())  # [M, 2C, D]
        bias = torch.cat([encode_bias, drawn(branches, 1, num_classes)], dim=2)
        self.bias = nn.Parameter(bias.detach().transpose(1, 2).contiguous())  # [M, 2C, 1]

    @property
    def num_classes(self) -> int:
        """C, the number of classes."""
        return self.encode_label.shape[-1]

    def read(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What encoder and decoder take from features float32[M, B, D], float32[M, B, C] each."""
        encoded, decoded = torch.baddbmm(self.bias, self.features, features.transpose(1, 2)).transpose(1, 2).chunk(2, 2)
        return encoded, decoded

    def concentration(self, encoded: Tensor, labels: Tensor) -> Tensor:
        """α = softplus(W[φ; onehot j] + b) + 1 + 1/C, float32[M, B, C].

        `encoded` float32[M, B, C] by `read`, `labels` int64[M, B].
        """
        if labels.is_cuda:  # there `gather` adds up its gradient in any order: equal runs would differ
            chosen = F.one_hot(labels, self.num_classes).to(encoded)
            return self._positive(torch.baddbmm(encoded, chosen, self.encode_label))
        rows = self.encode_label.gather(1, labels[..., None].expand(-1, -1, self.num_classes))
        return self._positive(encoded + rows)

    def concentrations(self, encoded: Tensor) -> Tensor:
        """α for every label j at once, float32[M, B, C(j), C]; `encoded` float32[M, B, C] by `read`."""
        return self._positive(encoded[:, :, None, :] + self.encode_label[:, None, :, :])

    def reconstruct(self, decoded: Tensor, classes: Tensor) -> Tensor:
        """Logits of the observed label, float32[M, B, C], from `decoded` by `read` and a draw y float32[M, B, C]."""
        return torch.baddbmm(decoded, classes, self.decode_class)

    def _positive(self, value: Tensor) -> Tensor:
        return F.softplus(value).add_(1).add_(1 / self.num_classes)


def prior_concentration(classes: Tensor, strength: float) -> Tensor:
    """α⁰ = ρ·κ + 1 + 1/C, same shape, for class weights κ float32[..., C] (one-hot, or a neighbours' vote)."""
    return strength * classes + 1 + 1 / classes.shape[-1]


def gamma_draw(alpha: Tensor, generator: torch.Generator) -> Tensor:
    """A differentiable draw y_k = (u_k·α_k·Γ(α_k))^(1/α_k), u ~ U(0, 1), same shape: Gamma(α, 1) by approximate
    inversion of its distribution function (NPC; the draw is not normalised)."""
    uniform = torch.rand(alpha.shape, generator=generator).to(alpha).clamp_min(torch.finfo(torch.float32).tiny)
    return (((uniform * alpha).log() + alpha.lgamma()) / alpha).exp()


def gamma_kl(alpha: Tensor, prior: Tensor) -> Tensor:
    """Σ_k KL(Gamma(α_k, 1) ‖ Gamma(α⁰_k, 1)), the last axis summed away; 0 iff equal (NPC)."""
    return (prior.lgamma() - alpha.lgamma() + (alpha - prior) * alpha.digamma()).sum(dim=-1)


def mode(alpha: Tensor) -> Tensor:
    """Mode (α − 1)/Σ(α − 1) of the Dirichlet, same shape, sums to 1 over the last axis."""
    return (alpha - 1) / (alpha - 1).sum(dim=-1, keepdim=True)


def agreement_kl(alpha: Tensor) -> Tensor:
    """Mean over branches of KL(ā ‖ a_m) of the Dirichlets' modes, float32[B]; α float32[M, B, C] (DyGen)."""
    modes = mode(alpha)
    mean = modes.mean(dim=0)
    return (mean * (mean.log() - modes.log())).sum(dim=-1).mean(dim=0)


def loss(
    vae: DirichletVAE,
    features: Tensor,
    labels: Tensor,
    prior: Tensor,
    kl_weight: float,
    agreement: float,
    generator: torch.Generator,
) -> Tensor:
    """Negative evidence bound per row, mean over branches, float32[B]: Σ BCE(reconstruction, onehot j) + β·KL."""
    encoded, decoded = vae.read(features)
    alpha = vae.concentration(encoded, labels)
    logits = vae.reconstruct(decoded, gamma_draw(alpha, generator))
    observed = F.one_hot(labels, vae.num_classes).to(logits)
    reconstruction = F.binary_cross_entropy_with_logits(logits, observed, reduction="none").sum(dim=-1)
    value = (reconstruction + kl_weight * gamma_kl(alpha, prior)).mean(dim=0)
    return value + agreement * agreement_kl(alpha) if agreement else value


def fit(
    features: Tensor,
    labels: np.ndarray,
    prior: np.ndarray,
    schedule: Schedule,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[DirichletVAE, float]]:
    """Train M branches on the same shuffled batches; yields (the network, mean loss per row) after each epoch.

    `features` float16/32[M, n, D]; `labels` int64[n] or [M, n], the observed labels; `prior` float32[M, n, C], α⁰.
    The network is trained in place: use it before asking for the next epoch. Weights, batches and draws come
    from `generator` (CPU), so they do not depend on the device.
    """
    branches, rows, width = features.shape
    observed = torch.from_numpy(np.broadcast_to(labels, (branches, rows)).astype(np.int64)).to(device)
    target = torch.from_numpy(np.asarray(prior, dtype=np.float32)).to(device)
    features = features.to(device)
    vae = DirichletVAE(branches, width, target.shape[-1], generator).to(device)
    optimiser = torch.optim.Adam(vae.parameters(), lr=schedule.learning_rate, fused=True)
    first_agreed = losses.epochs_of(schedule.agreement_warmup, schedule.epochs)
    for epoch in range(schedule.epochs):
        agreement = schedule.agreement if epoch >= first_agreed else 0.0
        total = 0.0
        for chosen in torch.randperm(rows, generator=generator).split(schedule.batch_size):
            chosen = chosen.to(device)
            batch = (features.index_select(1, chosen).float(), observed[:, chosen], target[:, chosen])
            value = loss(vae, *batch, schedule.kl_weight, agreement, generator).sum()
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            optimiser.step()
            total += float(value.detach())
        yield vae, total / max(1, rows)


def corrected(
    tools: Tools,
    name: str,
    config: Any,
    features: Trajectories,
    observed: np.ndarray,
    prior_class: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    facts: Mapping[str, Any],
) -> Iterator[Predictions]:
    """The `run` of a method from its prior on: fit the VAE, correct the classifier's probabilities after each epoch.

    `config` has the fields of `Schedule` and `prior_strength`. By split: `features` float16/32[M, n, D], standardised;
    `probabilities` p(ỹ | x) float32[M, n, C]. The VAE reads the labels `observed` int64[n] of train; `prior_class`
    float64[M, n, C] is κ. `facts` go into the diagnostics of every step; the last one has the posterior of train.
    """
    known: dict[str, Any] = {field.name: getattr(config, field.name, field.default) for field in fields(Schedule)}
    prior = prior_concentration(torch.from_numpy(prior_class).float(), config.prior_strength).numpy()
    draws, device = tools.torch_generator(name, "vae"), tools.trainer.accelerator.device
    fitted = fit(features["train"], observed, prior, Schedule(**known), draws, device)
    for epoch, (vae, value) in enumerate(fitted, 1):
        if epoch == 1:
            tools.trainer.parameters += sum(parameter.numel() for parameter in vae.parameters())
        tools.progress(name, epoch, config.epochs)
        wanted = shared.SPLITS if epoch == config.epochs else ("valid", "test")
        clean = {split: correct(vae, features[split], probabilities[split]) for split in wanted}
        believed = clean.pop("train", None)
        if features.shift is not None and features.scale is not None:
            tools.trainer.correction = Correction(vae, features.shift, features.scale)
        yield Predictions(step=epoch, **clean, posterior=believed, diagnostics={**facts, "vae_loss": value})


@dataclass(frozen=True)
class Correction:
    """What predicts beside the networks of a cell."""

    vae: DirichletVAE
    shift: Tensor  # float32[M, E, D]: mean of its features in train
    scale: Tensor  # float32[M, E, D]: their standard deviation

    def predict(self, features: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """p(y | x) float32[n, C], from features float32[E·M, n, D], epoch by epoch, and p(ỹ | x) float32[M, n, C]."""
        branches, epochs = self.shift.shape[:2]
        dynamics = features.astype(np.float16).reshape(epochs, branches, *features.shape[1:]).swapaxes(0, 1)
        return correct(self.vae, side_by_side(dynamics, self.shift, self.scale, torch.float16), probabilities)


@torch.no_grad()
def transition(vae: DirichletVAE, features: Tensor) -> Tensor:
    """H[m, i, y, j] = p(y | x_i, label j), float32[M, B, C(y), C(j)]: the mode of α(φ_i, j), sums to 1 over y."""
    weight = vae.concentrations(vae.read(features.float())[0]).sub_(1)
    return weight.div_(weight.sum(dim=-1, keepdim=True)).transpose(-1, -2)


@torch.no_grad()
def correct(vae: DirichletVAE, features: Tensor, probabilities: np.ndarray) -> np.ndarray:
    """p(y | x) = mean over branches of Σ_j H[·, y, j]·p(ỹ = j | x), float32[n, C], rows sum to 1.

    `features` float16/32[M, n, D]; `probabilities` float32[M, n, C]. Nothing is drawn. With many classes H is not
    made: the sums go through `_Series`, which takes C² products per row in place of C² logarithms.
    """
    device = vae.bias.device
    noisy = torch.from_numpy(np.ascontiguousarray(probabilities)).float()
    series = (
        [_Series(labels, vae.num_classes) for labels in vae.encode_label.detach()] if vae.num_classes >= _MANY else []
    )
    by_series = bool(series) and max(one.terms for one in series) <= _MOST_TERMS
    rows = _SERIES_ROWS if by_series else min(_ROWS, max(1, _BLOCK_BYTES // (4 * len(features) * vae.num_classes**2)))
    parts = []
    for start in range(0, features.shape[1], rows):
        x, p = (tensor[:, start : start + rows].to(device) for tensor in (features, noisy))
        if by_series:
            branches = zip(series, vae.read(x.float())[0], p, strict=True)
            parts.append(torch.stack([one.mixed(*branch) for one, *branch in branches]).mean(dim=0))
        else:
            h = transition(vae, x)
            parts.append(torch.einsum("mnyj,mnj->ny", h, p) / len(h))
    clean = torch.cat(parts) if parts else torch.zeros(0, vae.num_classes)
    return (clean / clean.sum(dim=-1, keepdim=True)).cpu().numpy()


class _Series:
    """Σ_j p_j·g(f_y + l_jy)/Z_j with Z_j = Σ_y g(f_y + l_jy) and g = softplus + 1/C, for rows f and weights p.

    In l, g is interpolated at Chebyshev points of the interval that the labels' weights l lie in. As g has no
    singularity nearer to the real line than iπ, the error falls by a known factor per point, here to below 1e-8.
    """

    def __init__(self, labels: Tensor, num_classes: int) -> None:
        """`labels` float32[C(j), C(y)], a branch's `encode_label`."""
        low, high = (float(end) for end in labels.aminmax())
        half = max((high - low) / 2, 1e-3)
        ratio = math.pi / half + math.hypot(1, math.pi / half)
        self.labels, self.floor, self.half, self.middle = labels, 1 / num_classes, half, (low + high) / 2
        self.terms = 3 + math.ceil(math.log(1e8) / math.log(ratio))
        angles = (torch.arange(self.terms, dtype=torch.float64, device=labels.device) + 0.5) * math.pi / self.terms
        self.points = (self.middle + half * angles.cos()).float()
        orders = torch.arange(self.terms, dtype=torch.float64, device=labels.device)
        self.basis = torch.cos(orders[:, None] * angles) * (2 - (orders == 0).double())[:, None] / self.terms

    @functools.cached_property
    def interpolants(self) -> Tensor:
        """float32[K, C(j), C(y)]: what each point counts for at each label's weight; sums to 1 over points."""
        angle = ((self.labels - self.middle) / self.half).clamp(-1, 1).acos()
        waves = torch.stack([torch.cos(order * angle) for order in range(self.terms)])
        return torch.einsum("kq,kjy->qjy", self.basis.float(), waves)

    def mixed(self, logits: Tensor, probabilities: Tensor) -> Tensor:
        """float32[B, C(y)] for logits f float32[B, C(y)] and probabilities p float32[B, C(j)]."""
        values = F.softplus(logits + self.points[:, None, None]) + self.floor  # [K, B, C]
        total = torch.bmm(values, self.interpolants.transpose(1, 2)).sum(dim=0)
        weights = (probabilities / total).expand(self.terms, -1, -1)
        return (torch.bmm(weights, self.interpolants) * values).sum(dim=0)
