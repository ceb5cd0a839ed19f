"""Hyper-parameters of SiDyP, and what its two modes do differently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import model_validator

from methods.base import RATE, Field, config, refuse_unused

MAX_WIDTH = 16_384


@config
class Config:
    """SiDyP's hyper-parameters; "script" is the values of the authors' training script."""

    mode: Literal["paper", "official"] = Field(
        "paper",
        description="paper: the method as its paper means it; official: the released code's behaviour for comparison, "
        "without its use of gold test labels",
    )
    width: int | Literal["full"] = Field(
        128,
        description="hidden units of each denoiser; full: epochs x encoder width, the authors' layers (15,360 units at "
        "20 epochs of a base encoder); a number: a learned projection of the dynamics to that width",
    )
    branches: int = Field(3, ge=1, le=64, description="co-regularised classifiers M, and denoisers; script: 3")
    alpha: float = Field(
        5.0,
        ge=0,
        le=1e4,
        description="co-regularisation weight of the classifiers (stage 1); script: 5. official mode has none from "
        "--epochs 10 on, as the released code, and refuses another value there",
    )
    neighbours: int | None = Field(
        None,
        ge=1,
        description="k of the neighbour vote, in texts; script: 10. None: 10, or every reference text where fewer",
    )
    certain_threshold: float = Field(
        0.9, gt=0, le=1, description="vote share from which a text has one candidate (certain); script: 0.9"
    )
    dominant_threshold: float = Field(
        0.8,
        gt=0,
        le=1,
        description="share of the best two from which a text has just those candidates; script: 0.8",
    )
    exclude_self: bool = Field(
        False, description="a text does not vote for itself; the authors' neighbours include it (ablation)"
    )
    epochs: int = Field(10, ge=1, le=10_000, description="training epochs of the denoisers; script: 10")
    warm_up: float = Field(
        0.2, ge=0, le=1, description="share of the epochs on certain texts only, in which the learning rate rises"
    )
    learning_rate: float = Field(6e-4, gt=0, le=1, description="peak learning rate of Adam; script: 6e-4")
    batch_size: int = Field(128, ge=2, description="texts per step; script: 128")
    kl_weight: float = Field(2.0, ge=0, le=1e4, description="weight of the denoisers' co-regularisation; script: 2")
    train_timesteps: int = Field(800, ge=1, le=100_000, description="diffusion steps T in training; script: 800")
    inference_steps: int = Field(10, ge=1, le=100_000, description="reverse steps R; script: 10")
    train_samples: int = Field(
        4,
        ge=1,
        le=1024,
        description="reverse samples S per text that update its candidate weights; script: 4 (official mode: equal)",
    )
    num_samples: int = Field(
        4,
        ge=1,
        le=1024,
        description="reverse samples per text and label in prediction; script: 1, as always in official mode",
    )
    simplex_value: float = Field(
        5.0, gt=0, le=100, description="v: a class is +v in its coordinate, -v elsewhere; script: 5"
    )
    projection: Literal["argmax", "sample"] = Field(
        "argmax",
        description="how a reverse step returns to a class: the best, or a draw from the softmax (ablation)",
    )
    posterior: Literal["simplex", "logits"] | None = Field(
        None,
        description="p(y | noisy label, text): softmax of the last logits, or of the final simplex point (a near "
        "one-hot vote, over-confident). None: logits in paper mode, simplex in official mode",
    )
    double_weight: bool = Field(
        True, description="candidate weights multiply the loss of the candidate drawn from them, as in the script"
    )
    share_time: bool = Field(False, description="branches share one diffusion time per text (ablation)")
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="decay of the running mean of the parameters used to predict, rising from 0.1; None: off",
    )
    select: Literal["last", "prior_valid"] | None = Field(
        None,
        description="which epoch predicts: the last, or the best so far on neighbour-voted labels of valid; "
        "None: last in paper mode, prior_valid in official mode. k is cut to the texts of valid that vote. What is "
        "believed of training labels is always the last epoch's",
    )
    evaluate_every: int = Field(
        5,
        ge=1,
        description="predict after every N epochs and after the last; fewer predictions are faster (with "
        "select=prior_valid after every epoch)",
    )
    tau: str = RATE
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="of the denoisers' matrix products; normalisation and softmax are always fp32"
    )
    memory_mb: int = Field(
        32,
        ge=1,
        description="working memory of one chunk of the reverse process, in MiB; on a CPU at most 4 are used, as what "
        "leaves its cache costs half as much again",
    )

    @model_validator(mode="after")
    def _ranges(self):
        if self.width != "full" and not 1 <= self.width <= MAX_WIDTH:
            raise ValueError(f"width = {self.width!r} must be 'full' or in [1, {MAX_WIDTH}]")
        if self.inference_steps > self.train_timesteps:
            raise ValueError(
                f"inference_steps = {self.inference_steps} must be in [1, train_timesteps = {self.train_timesteps}]"
            )
        if self.mode == "official":
            refuse_unused(self, "mode=official", "num_samples")
        if behaviour(self).select == "prior_valid":
            refuse_unused(self, "select=prior_valid" if self.select else "mode=official", "evaluate_every")
        if self.branches == 1:
            refuse_unused(self, "branches=1", "alpha", "kl_weight", "share_time")
        if self.warm_up == 1:
            refuse_unused(self, "warm_up=1", "kl_weight", "train_samples")
        return self


@dataclass(frozen=True)
class Behaviour:
    """What `mode` decides: each field is one difference between the paper and the released code."""

    shuffle: bool  # train texts in a fresh order each epoch
    fresh_noise: bool  # S different reverse samples; else one, counted S times, its noise tied to the batch position
    scaled_time: bool  # reverse step r tells the network time r*T/R; else r ("almost no noise")
    clip_all_branches: bool  # gradient clipping of every branch; else of the last only
    clip_simplex: float | None  # projected points are clamped to +-this while the noise keeps its scale
    mean_loss: bool  # refinement losses are batch means; else batch sums
    kl_at_first: bool  # co-regularisation starts with the refinement; else one epoch later
    posterior: str  # "logits" | "simplex"
    select: str  # "last" | "prior_valid"


def behaviour(config: Config) -> Behaviour:
    """The behaviour that a configuration asks for."""
    paper = config.mode == "paper"
    return Behaviour(
        shuffle=paper,
        fresh_noise=paper,
        scaled_time=paper,
        clip_all_branches=paper,
        clip_simplex=None if paper else 1.0,
        mean_loss=paper,
        kl_at_first=paper,
        posterior=config.posterior or ("logits" if paper else "simplex"),
        select=config.select or ("last" if paper else "prior_valid"),
    )
