"""Confident learning: drop the rows whose labels look wrong out of fold, then train plainly on the rest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.training.trainer import Batch
from methods import confident, losses, shared, training
from methods.base import Field, NoisyTask, Predictions, Tools, config
from methods.registry import register


@register
class Cleanlab:
    """Prune by noise rate and retrain (Northcutt et al., JAIR 2021; the method of the cleanlab library).

    The out-of-fold probabilities are those of a logistic regression on frozen sentence embeddings.
    """

    name = "cleanlab"
    version = 1

    @config
    class Config:
        """Hyper-parameters of confident learning."""

        folds: int = Field(5, ge=2, le=100, description="cross-fitting folds (5 in the library)")

    def __init__(self, config: Config) -> None:
        self.config = config

    def shared_stages(self, epochs: int) -> dict[str, dict]:
        """See `methods.base.Method`."""
        return {"out of fold": {"folds": self.config.folds}}

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the predictions of the network trained on the kept rows after each epoch."""
        labels = shared.labels(task, tools).train
        probabilities = shared.out_of_fold(task, tools, folds=self.config.folds)
        joint = confident.calibrated_joint(confident.confident_joint(probabilities, labels), labels)
        dropped = confident.prune_by_noise_rate(probabilities, labels, joint)
        facts = {"noise_rate_estimate": confident.noise_rate_of(joint), "rows_dropped": int(dropped.sum())}

        def loss(outputs, batch: Batch):
            return losses.cross_entropy(outputs[0].logits, batch.targets["label"])

        yield from training.train(task, tools, loss, rows=np.flatnonzero(~dropped), diagnostics=lambda: facts)
