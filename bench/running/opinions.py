"""What a record keeps of a method's beliefs about single texts of train and valid; gold has no part in it."""

from __future__ import annotations

import numpy as np

from bench.noise.facts import NoisyLabels
from bench.store.opinions import kept
from methods.base import Predictions


def opinion_arrays(steps: list[Predictions], labels: NoisyLabels) -> dict[str, np.ndarray]:
    """The arrays of valid and train that `bench.store.records.read_arrays` describes, as far as the method has them."""
    last = steps[-1]
    found = {"valid_labels": labels.valid.astype(np.int16)} | kept("valid_last", last.valid, labels.valid)
    running = [step.train for step in steps if step.train is not None]
    if running:
        total, visits = np.zeros(running[0].shape, np.float64), np.zeros(len(running[0]))
        margins = np.zeros(len(running[0]))
        for each in running:
            seen = ~np.isnan(each).any(axis=1)
            total[seen] += each[seen]
            visits += seen
            margins[seen] += logit_margin(each[seen], labels.train[seen])
        with np.errstate(invalid="ignore"):  # a text that no step visited has no opinion: NaN
            mean, area = total / visits[:, None], margins / visits
        found |= kept("train_last", running[-1], labels.train) | kept("train_mean", mean, labels.train)
        found["train_aum"] = area.astype(np.float16)
    if last.posterior is not None:
        found |= kept("train_posterior", last.posterior, labels.train)
    return found


def logit_margin(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """log p(ỹ) − max over the other classes of log p, float64[N]; NaN where the label is -1.

    Its mean over the epochs is the area under the margin (Pleiss et al., NeurIPS 2020): a softmax keeps differences of
    logits.
    """
    logs = np.log(probabilities.astype(np.float64).clip(1e-12))
    rows = np.arange(len(logs))
    own = logs[rows, labels]
    logs[rows, labels] = -np.inf
    return np.where(labels >= 0, own - logs.max(axis=1, initial=np.log(1e-12)), np.nan)
