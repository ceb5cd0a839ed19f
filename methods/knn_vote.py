"""Neighbour vote: replace each label by what it and its neighbours say, then train plainly."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from pydantic import model_validator

from methods import shared, training
from methods.base import Field, Method, NoisyTask, Predictions, Tools, config, refuse_unused
from methods.neighbours import checked_k, vote
from methods.registry import register

SMOOTHING = 1e-3
"""Added to every class's vote in `neighbours_only`, so that no class has probability 0."""


@register
class NeighbourVote(Method):
    """Relabels by a distance-weighted vote of the nearest texts; our own baseline (after Bahri et al., ICML 2020)."""

    name = "knn-vote"

    @config
    class Config:
        neighbours: int | None = Field(
            None, ge=1, description="k, texts that vote; None: 10, or every other text where there are fewer"
        )
        own_weight: float = Field(
            0.5,
            ge=0,
            le=1e4,
            description="weight of a text's own label against 1 for all its neighbours together (our choice)",
        )
        neighbours_only: bool = Field(
            False, description="do not train: predict the vote of the training texts nearest to a test text"
        )

        @model_validator(mode="after")
        def _used(self):
            if self.neighbours_only:
                refuse_unused(self, "neighbours_only=true", "own_weight")
            return self

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the predictions after each epoch, or once with `neighbours_only`."""
        labels = shared.labels(task, tools).train
        alone = self.config.neighbours_only
        k = checked_k(self.config.neighbours, len(labels) - (not alone), self.name)
        vectors = shared.embeddings(task, tools)
        if alone:
            valid, test = (
                _smoothed(vote(vectors[split], vectors["train"], labels, task.num_classes, k))
                for split in ("valid", "test")
            )
            yield Predictions(step=1, valid=valid, test=test)
            return
        votes = vote(vectors["train"], vectors["train"], labels, task.num_classes, k, exclude_self=True)
        relabelled = (votes + self.config.own_weight * np.eye(task.num_classes)[labels]).argmax(axis=1)
        facts = {"labels_changed": float((relabelled != labels).mean())}

        believed = _smoothed(votes)
        for step in training.train(task, tools, targets={"label": relabelled}, diagnostics=lambda: facts):
            yield dataclasses.replace(step, posterior=believed)


def _smoothed(votes: np.ndarray) -> np.ndarray:
    return ((votes + SMOOTHING) / (1 + SMOOTHING * votes.shape[1])).astype(np.float32)
