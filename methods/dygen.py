"""DyGen: find the wrong labels by their training dynamics, then learn what is true behind each label."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from pydantic import model_validator

from methods import dirichlet_vae, shared
from methods.base import RATE, Field, Method, NoisyTask, Predictions, Tools, config, refuse_unused
from methods.neighbours import checked_k, unit_length, vote
from methods.registry import register
from methods.sidyp.dynamics import Trajectories, centroids, marked_count, noise_markers, noise_scores


@register
class DyGen(Method):
    """Dynamics-enhanced generative denoising on co-regularised branches (Zhuang et al., KDD 2023).

    p(y | x) = mean_m Σ_j p_m(y | ỹ = j, dynamics)·p_m(ỹ = j | x). The authors' code places the centroids of the
    valid and test texts with gold labels; here they come from noisy training labels alone.
    """

    name = "dygen"
    version = 2
    stages = (shared.BRANCHES, shared.NOISE_RATE)
    exportable = "frozen"

    @config
    class Config:
        """Hyper-parameters of DyGen; "authors" is their released code."""

        tau: str = RATE
        branches: int = Field(3, ge=1, le=64, description="M, networks (2 by the authors; 3 shares SiDyP's stage 1)")
        alpha: float = Field(5.0, ge=0, le=1e4, description="weight of the networks' agreement (authors)")
        neighbours: int | None = dirichlet_vae.NEIGHBOURS
        metric: Literal["cosine", "euclidean"] = Field(
            "euclidean", description="distance of the prior's neighbours, between first-epoch features (authors)"
        )
        exclude_self: bool = Field(
            False, description="a text does not vote for itself; the authors' neighbours include it (ablation)"
        )
        prior_strength: float = dirichlet_vae.PRIOR_STRENGTH
        kl_weight: float = dirichlet_vae.KL_WEIGHT
        agreement: float = Field(
            1.0,
            ge=0,
            le=1e4,
            description="λ, weight of the VAEs' agreement (1 in the authors' script, 5 in their parser)",
        )
        agreement_warmup: float = Field(0.1, ge=0, le=1, description="share of the epochs with λ = 0 (authors)")
        epochs: int = Field(10, ge=1, le=10_000, description="passes of the VAEs over the training rows (authors)")
        batch_size: int = Field(32, ge=1, description="rows per step (authors)")
        learning_rate: float = Field(1e-4, gt=0, le=1, description="of Adam (authors' script)")

        @model_validator(mode="after")
        def _used(self):
            if self.branches == 1:
                refuse_unused(self, "branches=1", "alpha", "agreement", "agreement_warmup")
            if self.agreement == 0:
                refuse_unused(self, "agreement=0", "agreement_warmup")
            if self.agreement_warmup == 1:
                refuse_unused(self, "agreement_warmup=1", "agreement")
            dirichlet_vae.refuse_unused_prior(self, "tau", "neighbours", "metric", "exclude_self")
            return self

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the corrected predictions after each epoch of the VAEs."""
        settings = self.config
        size = len(task.train) + len(task.valid)
        rate = shared.noise_rate(task, tools, settings.tau)
        k = checked_k(settings.neighbours, size - marked_count(size, rate) - settings.exclude_self, self.name)
        labels = shared.labels(task, tools)
        stage1 = shared.branch_run(task, tools, **shared.BRANCHES.settings(settings))
        prior_class = self._prior_class(stage1.features, labels, task.num_classes, rate, k)
        given = np.eye(task.num_classes, dtype=np.float32)[labels.train]
        probabilities = {split: stage1.final(split) for split in ("valid", "test")}
        probabilities["train"] = np.tile(given, (settings.branches, 1, 1))
        changed = (prior_class.argmax(axis=2) != labels.train).mean()
        facts = {"noise_rate_estimate": rate, "prior_differs_from_label": float(changed)}
        features = Trajectories(stage1.features, standardise=True)
        yield from dirichlet_vae.corrected(
            tools, self.name, settings, features, labels.train, prior_class, probabilities, facts
        )

    def _prior_class(
        self, dynamics: dict[str, np.ndarray], labels: shared.Labels, num_classes: int, rate: float, k: int
    ) -> np.ndarray:
        """κ float64[M, N_train, C], one-hot: the vote of the unmarked train and valid texts nearest after epoch 1."""
        means = centroids(dynamics["train"], labels.train, num_classes)
        given = np.concatenate([labels.train, labels.valid])
        scores = torch.cat([noise_scores(dynamics[s], getattr(labels, s), means) for s in ("train", "valid")], dim=1)
        unmarked, alone = ~noise_markers(scores, rate).numpy(), self.config.exclude_self
        votes = []
        for first, mask in zip(zip(dynamics["train"], dynamics["valid"], strict=True), unmarked, strict=True):
            everyone = np.concatenate([block[0] for block in first]).astype(np.float32)
            everyone = unit_length(everyone) if self.config.metric == "cosine" else everyone
            queries = everyone if alone else everyone[: len(labels.train)]
            found = vote(queries, everyone, given, num_classes, k, allowed=mask, exclude_self=alone)
            votes.append(found[: len(labels.train)])
        return np.eye(num_classes)[np.stack(votes).argmax(axis=2)]
