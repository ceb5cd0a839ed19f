"""NPC: learn, after training, what the true class is behind each class that the classifier predicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import model_validator

from methods import dirichlet_vae, shared
from methods.base import Field, Method, NoisyTask, Predictions, Tools, config
from methods.neighbours import checked_k, unit_length, vote
from methods.registry import register
from methods.sidyp.dynamics import Trajectories


@register
class NPC(Method):
    """Noisy prediction calibration of the plain classifier by a Dirichlet VAE (Bae et al., ICML 2022).

    p(y | x) = Σ_j p(y | ŷ = j, x)·p(ŷ = j | x). The features are the classifier's own, frozen (the paper fine-tunes a
    copy of its extractor), and standardised but for the neighbours of the prior, as in the authors' code.
    """

    name = "npc"
    version = 3
    stages = (shared.PLAIN,)
    exportable = "frozen"

    @config
    class Config:
        """Hyper-parameters of NPC; "authors" is their released code."""

        neighbours: int | None = dirichlet_vae.NEIGHBOURS
        metric: Literal["cosine", "euclidean"] = Field(
            "cosine",
            description="distance of the prior's neighbours, between features (our choice: with few references, a "
            "Euclidean vote follows the features' length more than their class)",
        )
        prior: Literal["onehot", "proba"] = Field(
            "onehot", description="the neighbours' winner, or their shares, as the prior's class (authors: onehot)"
        )
        prior_strength: float = dirichlet_vae.PRIOR_STRENGTH
        kl_weight: float = dirichlet_vae.KL_WEIGHT
        epochs: int = Field(10, ge=1, le=10_000, description="passes over the training rows (authors)")
        batch_size: int = Field(
            16,
            ge=1,
            description="rows per step, and a block of the reference search (authors: 128, on 50,000 rows; of 16, 32 "
            "and 128 the one of the best accuracy on noisy validation labels)",
        )
        learning_rate: float = Field(1e-3, gt=0, le=1, description="of Adam (authors)")

        @model_validator(mode="after")
        def _used(self):
            dirichlet_vae.refuse_unused_prior(self, "prior", "neighbours", "metric")
            return self

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the calibrated predictions after each epoch of the VAE."""
        settings = self.config
        most = min(len(task.train), -(-len(task.train) // settings.batch_size) * task.num_classes)
        checked_k(settings.neighbours, most, self.name)  # before anything trains: there are not more references
        classifier = shared.plain_run(task, tools)
        probabilities = {split: classifier.final(split) for split in shared.SPLITS}
        predicted = probabilities["train"][0].argmax(axis=1)
        prior_class = self._prior_class(classifier.features["train"][0, -1], probabilities["train"][0], tools)
        facts = {"prior_differs_from_prediction": float((prior_class.argmax(axis=1) != predicted).mean())}
        features = Trajectories(classifier.features, standardise=True)
        yield from dirichlet_vae.corrected(
            tools, self.name, settings, features, predicted, prior_class[None], probabilities, facts
        )

    def _prior_class(self, features: np.ndarray, probabilities: np.ndarray, tools: Tools) -> np.ndarray:
        """κ float64[n, C]: the vote of the references nearest in feature space, one-hot or as shares."""
        order = tools.generator(self.name, "references").permutation(len(features))
        rows = references(probabilities, order, self.config.batch_size)
        k = checked_k(self.config.neighbours, len(rows), self.name)
        classes = probabilities[rows].argmax(axis=1)
        features = unit_length(features) if self.config.metric == "cosine" else features.astype(np.float32)
        votes = vote(features, features[rows], classes, probabilities.shape[1], k)
        return votes if self.config.prior == "proba" else np.eye(votes.shape[1])[votes.argmax(axis=1)]


def references(probabilities: np.ndarray, order: np.ndarray, batch_size: int) -> np.ndarray:
    """Rows int64[r] that vote for the prior: in each batch of `order`, the most confident row of each predicted class.

    `probabilities` float[n, C]; `order` int64[n], a permutation of the rows.
    """
    predicted = probabilities.argmax(axis=1)[order]
    confidence = probabilities.max(axis=1)[order]
    group = np.arange(len(order)) // batch_size * probabilities.shape[1] + predicted
    best_first = np.lexsort((-confidence, group))
    _, first = np.unique(group[best_first], return_index=True)
    return order[best_first[first]]
