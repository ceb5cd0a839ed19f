"""Second opinion: weigh each label against opinions of its text that have not seen it, and learn the posterior."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import model_validator
from scipy.special import log_softmax, softmax

from methods import confident, losses, shared, training
from methods.base import Field, Method, NoisyTask, Predictions, Tools, config, refuse_unused
from methods.neighbours import checked_k, vote
from methods.registry import register
from methods.stages import Stage

FLOOR = 1e-6
"""An opinion gives every class so much at least: a regression has 0 for a class that a fold lacked."""


@register
class SecondOpinion(Method):
    """Co-regularised training on p(y | ỹ, x) ∝ Q(ỹ, y)·p(x | y), our own (after Northcutt et al., Zhou & Chen, 2021).

    Q is the joint of noisy and true labels by confident learning. p(x | y) is taken from opinions of the text that have
    not seen its label: a cross-fitted logistic regression on frozen sentence embeddings, and the text's neighbours. By
    Bayes' rule each is the opinion's p(y | x) over the share of y among the labels. The networks are those of cr, which
    learn this posterior in place of the labels; the regression is all that it costs above cr.
    """

    name = "second-opinion"
    version = 2
    stages = (shared.OUT_OF_FOLD,)

    @config
    class Config:
        """Hyper-parameters of second opinions, chosen on noisy validation labels of three label sets."""

        opinions: Literal["both", "logistic", "neighbours"] = Field(
            "both", description="whose opinions: the logistic regression's, the neighbours', or both"
        )
        weight: float = Field(
            1.0,
            ge=0,
            le=100,
            description="weight of the opinions together, in independent witnesses: 1 is the geometric mean of two "
            "opinions, 2 their product",
        )
        branches: int = Field(3, ge=1, le=64, description="M, co-regularised networks (cr); 1: plain training")
        neighbours: int | None = Field(
            None, ge=1, description="k, texts that vote; None: 10, or every other text where there are fewer"
        )
        folds: int = Field(5, ge=2, le=100, description="cross-fitting folds of the regression (5 in cleanlab)")

        @model_validator(mode="after")
        def _used(self):
            if self.opinions != "both":
                unused = "neighbours" if self.opinions == "logistic" else "folds"
                refuse_unused(self, f"opinions={self.opinions}", unused)
            return self

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the mean of the networks that learn the posterior, after each epoch."""
        labels = shared.labels(task, tools).train
        believed = posterior(self._opinions(task, tools, labels), labels, self.config.weight)
        rows = np.arange(len(labels))
        facts = {
            "noise_rate_estimate": float(1 - believed[rows, labels].mean()),
            "labels_changed": float((believed.argmax(axis=1) != labels).mean()),
        }
        habits = shared.BRANCHES.defaults
        for step in training.train(
            task,
            tools,
            losses.co_regularised_loss(habits["alpha"], habits["warmup"]),
            targets={"label": believed},
            networks=self.config.branches,
            name="branches" if self.config.branches > 1 else "plain",  # the draws of cr, or of plain
            diagnostics=lambda: facts,
        ):
            yield dataclasses.replace(step, posterior=believed)

    def shared_stages(self, epochs: int) -> dict[Stage, dict[str, Any]]:
        """The out-of-fold regression, unless the neighbours alone give opinions."""
        return {} if self.config.opinions == "neighbours" else super().shared_stages(epochs)

    def _opinions(self, task: NoisyTask, tools: Tools, labels: np.ndarray) -> list[np.ndarray]:
        """p(ỹ | x) float64[n, C] of the training texts by each opinion; none has seen a text's own label."""
        found, asked = [], self.config.opinions
        if asked != "logistic":
            k = checked_k(self.config.neighbours, len(labels) - 1, self.name)
            vectors = shared.embeddings(task, tools)["train"]
            votes = vote(vectors, vectors, labels, task.num_classes, k, exclude_self=True)
            found.append((k * votes + shares(labels, task.num_classes)) / (k + 1))  # and one vote like all labels
        if asked != "neighbours":
            found.append(shared.out_of_fold(task, tools, folds=self.config.folds))
        return found


def shares(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """float64[C]: the share of each class among `labels` int64[n]."""
    return np.bincount(labels, minlength=num_classes) / len(labels)


def posterior(opinions: Sequence[np.ndarray], labels: np.ndarray, weight: float) -> np.ndarray:
    """p(y | ỹ, x), float32[n, C], rows sum to 1, from cross-fitted p(ỹ | x) float[n, C] and ỹ int64[n] in 0..C-1.

    `weight` of the opinions together is the exponent of their geometric mean, each over the share of the class.
    """
    pooled = np.mean([np.log(each.clip(FLOOR)) for each in opinions], axis=0)
    joint = confident.calibrated_joint(confident.confident_joint(softmax(pooled, axis=1), labels), labels)
    given = shares(labels, joint.shape[0]).clip(1 / len(labels))  # a class without labels has no row in the joint
    with np.errstate(divide="ignore"):  # a pair that never occurs
        score = np.log(joint[labels]) + weight * (pooled - np.log(given))
    return np.exp(log_softmax(score, axis=1)).astype(np.float32)
