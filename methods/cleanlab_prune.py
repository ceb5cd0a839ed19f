"""Confident learning: drop the rows whose labels look wrong out of fold, then train plainly on the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from methods import confident, shared, training
from methods.base import Field, Method, NoisyTask, Predictions, Tools, config
from methods.registry import register


@register
class Cleanlab(Method):
    """Prune by noise rate and retrain (Northcutt et al., JAIR 2021; the method of the cleanlab library).

    The out-of-fold probabilities are those of a logistic regression on frozen sentence embeddings.
    """

    name = "cleanlab"
    stages = (shared.OUT_OF_FOLD,)

    @config
    class Config:
        folds: int = Field(5, ge=2, le=100, description="cross-fitting folds (5 in the library)")

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the predictions of the network trained on the kept rows after each epoch."""
        labels = shared.labels(task, tools).train
        probabilities = shared.out_of_fold(task, tools, folds=self.config.folds)
        joint = confident.calibrated_joint(confident.confident_joint(probabilities, labels), labels)
        dropped = confident.prune_by_noise_rate(probabilities, labels, joint)
        facts = {"noise_rate_estimate": confident.noise_rate_of(joint), "rows_dropped": int(dropped.sum())}

        believed = probabilities.astype(np.float32)
        for step in training.train(task, tools, rows=np.flatnonzero(~dropped), diagnostics=lambda: facts):
            yield dataclasses.replace(step, posterior=believed)
