"""A probe, not a method to compare: every estimator of the noise rate, before and after adding known noise.

Used by `benchmarks.noise_rate`. An estimator is judged without gold by *consistency*: known symmetric noise of rate δ
is added to the noisy labels, which turns a rate τ into τ(1 − δ/(C−1)) + (1 − τ)δ whatever the truth is; the estimate
before must predict the one after. The "network" estimators read out-of-fold probabilities of the trained network
itself (fine-tuned, where the encoder is not frozen), the others its predictions while it trains, or a regression on
sentence embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from bench.training.batch import softmax
from benchmarks import noise_rate_estimators
from methods import confident, losses, noise_rate, shared
from methods.base import Field, NoisyTask, Predictions, Tools, config
from methods.neighbours import nearest
from methods.registry import register


@register
class NoiseRateProbe:
    """Every estimator of the noise rate of this project, before and after adding known noise. No source: a probe."""

    name = "noise-rate-probe"
    version = 2

    @config
    class Config:
        """What is added, and how often the network is trained."""

        added: float = Field(0.2, gt=0, lt=1, description="δ, rate of the symmetric noise that is added")
        folds: int = Field(2, ge=2, le=20, description="cross-fitting folds of the network; each is one training")

    def __init__(self, config: Config) -> None:
        self.config = config

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the plain predictions with all estimates as diagnostics."""
        given, classes, delta = shared.labels(task, tools).train, task.num_classes, self.config.added
        generator = tools.generator(self.name, "added")
        redraw = generator.random(len(given)) < delta * classes / (classes - 1)
        noisier = np.where(redraw, generator.integers(classes, size=len(given)), given)
        before, after = (self._estimates(task, tools, labels) for labels in (given, noisier))
        expected = {name: rate * (1 - delta / (classes - 1)) + (1 - rate) * delta for name, rate in before.items()}
        run = shared.plain_run(task, tools)
        last = list(run.predictions())[-1]
        yield Predictions(
            last.step,
            last.valid,
            last.test,
            diagnostics={
                "estimates": before,
                "consistency": {name: abs(after[name] - expected[name]) for name in before},
            },
        )

    def _estimates(self, task: NoisyTask, tools: Tools, labels: np.ndarray) -> dict[str, float]:
        vectors = shared.embeddings(task, tools)["train"]
        classes, rows = task.num_classes, np.arange(len(labels))
        out_of_fold = confident.out_of_fold_logistic(vectors, labels, classes, tools.generator("folds"))
        run = shared.plain_run(task, tools, train_labels=labels)
        valid = shared.labels(task, tools).valid
        accuracy = [(p[0].argmax(1) == valid).mean() for p in run.probabilities["valid"]]
        early = run.running[min(int(np.argmax(accuracy)) + 1, len(run.running) - 1)]
        dynamics = -np.log(run.running[:, rows, labels].clip(1e-6)).mean(0)
        held_out = self._network_out_of_fold(task, tools, labels)
        held_out_losses = -np.log(held_out[rows, labels].clip(1e-6))
        triples = np.column_stack([labels, labels[nearest(vectors, vectors, 2, exclude_self=True).indices]])
        estimators: dict[str, Callable[[], float]] = {
            "joint": lambda: noise_rate_estimators.confident_joint(out_of_fold, labels),
            "refined": lambda: noise_rate.refined(vectors, labels, classes, tools.generator("folds")).rate,
            "disagreement": lambda: noise_rate_estimators.disagreement(out_of_fold, labels),
            "early_disagreement": lambda: noise_rate_estimators.disagreement(early, labels),
            "early_joint": lambda: noise_rate_estimators.confident_joint(early, labels),
            "dynamics_mixture": lambda: noise_rate_estimators.loss_mixture(dynamics, tools.seed),
            "negative_margin": lambda: noise_rate_estimators.negative_margin(run.running, labels),
            "network_joint": lambda: noise_rate_estimators.confident_joint(held_out, labels),
            "network_disagreement": lambda: noise_rate_estimators.disagreement(held_out, labels),
            "network_mixture": lambda: noise_rate_estimators.loss_mixture(held_out_losses, tools.seed),
            "clusterability": lambda: noise_rate_estimators.clusterability(triples, classes, tools.seed),
        }
        return {name: float(estimate()) for name, estimate in estimators.items()}

    def _network_out_of_fold(self, task: NoisyTask, tools: Tools, labels: np.ndarray) -> np.ndarray:
        """p(ỹ | x) of networks that were trained plainly on the other folds, float32[n, C]."""
        fold = confident.fold_of_rows(labels, self.config.folds, tools.generator(self.name, "network folds"))
        data, found = shared.inputs(task, tools), np.zeros((len(labels), task.num_classes), np.float32)
        for number in range(self.config.folds):
            networks = tools.trainer.classifiers(1, task.num_classes, self.name)
            for _ in tools.trainer.fit(
                networks,
                data,
                lambda outputs, batch: losses.cross_entropy(outputs[0].logits, batch.targets["label"]),
                targets={"label": labels},
                name=self.name,
                rows=np.flatnonzero(fold != number),
                evaluate=(),
            ):
                pass
            held = fold == number
            found[held] = softmax(tools.trainer.predict(networks, data["train"])[0])[0, held]
        return found
