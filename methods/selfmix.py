"""SelfMix: split texts by their losses, keep the labels of the easy ones and guess those of the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from bench.training.batch import softmax
from methods import losses, noise_rate, shared, training
from methods.base import Batch, Field, Method, NoisyTask, PerExample, Predictions, Tools, config
from methods.registry import register


@register
class SelfMix(Method):
    """Mixture over losses, mixup of pooled features, pseudo-labels and consistency (Qiao et al., COLING 2022).

    After the warm-up, each epoch keeps the labels of the texts in the low-loss component and replaces the others by
    the sharpened prediction made at the epoch's start (the authors predict again at each step), and it trains on
    batches of both kinds at once. Every text is read twice with its own dropout. Elsewhere the released code differs
    from what is written here and done: it mixes [CLS] before the pooler, takes the cross-entropy of softmax outputs
    for the split and divides it by each class's variance.
    """

    name = "selfmix"
    version = 2

    @config
    class Config:
        """Hyper-parameters of SelfMix; "authors" is their configuration for instance-dependent noise on TREC."""

        warmup: float = Field(
            0.33,
            ge=0,
            le=1,
            description="share of the epochs, and at least one, on cross-entropy with all labels (authors: 2 of 6)",
        )
        threshold: float = Field(
            0.5, ge=0, lt=1, description="probability of the low-loss component above which a label is kept (authors)"
        )
        class_balanced: bool = Field(
            True,
            description="standardise the losses within each noisy class before the split (authors, by the variance)",
        )
        temperature: float = Field(
            0.5, ge=1e-2, le=100, description="T of the sharpened pseudo-labels, p**(1/T) (authors)"
        )
        alpha: float = Field(0.75, gt=0, le=1e4, description="α of mixup's Beta(α, α) (authors)")
        pseudo_weight: float = Field(
            0.0,
            ge=0,
            le=1e4,
            description="λ_p, weight of the loss against hard pseudo-labels (authors; 0.2 for label-wise noise)",
        )
        consistency_weight: float = Field(
            4.8,
            ge=0,
            le=1e4,
            description="λ_r, weight of the mean divergence between the two readings of a text (authors: 0.3 of the "
            "sum over 16 texts)",
        )

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the predictions after each epoch."""
        labels = shared.labels(task, tools).train
        targets = {
            "label": labels,
            "soft": np.eye(task.num_classes, dtype=np.float32)[labels],
            "guessed": np.zeros(len(labels), dtype=np.float32),
        }
        warmup = max(1, round(self.config.warmup * tools.recipe.epochs))
        told = {}
        if warmup >= tools.recipe.epochs:
            told["warning"] = "the warm-up covers every epoch, so this trains on cross-entropy alone: raise --epochs"

        def loss(outputs, batch: Batch) -> Tensor | PerExample:
            if batch.epoch < warmup:
                return losses.cross_entropy(outputs[0].logits, batch.targets["label"])
            return self._loss(outputs, batch)

        trainer = tools.trainer
        network = trainer.classifiers(1, task.num_classes, "plain")[0]
        epochs = trainer.fit(
            [network, network],  # one network, two readings
            shared.inputs(task, tools),
            loss,
            targets=targets,
            name="plain",  # the plain run's head, batches and draws: see methods.training
            evaluate=shared.SPLITS,
        )
        for epoch in epochs:
            yield training.predictions_of(epoch, {"share_guessed": float(targets["guessed"].mean()), **told})
            if epoch.number >= warmup:
                seed = int(tools.generator(self.name, "mixture", epoch.number).integers(2**32))
                self._divide(softmax(epoch.logits["train"][0]), labels, targets, seed)

    def _loss(self, outputs, batch: Batch) -> PerExample:
        """Mixup over all rows; pseudo-label and consistency terms over the guessed rows."""
        one, two = outputs
        guessed = batch.targets["guessed"]
        weight, permutation = losses.mixup_draw(len(guessed), self.config.alpha, batch.generator)
        weight, permutation = max(weight, 1 - weight), permutation.to(guessed.device)
        mixed = batch.networks[0].classify(losses.mix(one.pooled, permutation, weight))
        mixture = losses.cross_entropy(mixed, losses.mix(batch.targets["soft"], permutation, weight))
        pseudo = sum(losses.cross_entropy(view.logits, view.logits.argmax(dim=1)) for view in outputs) / 2
        consistency = losses.symmetric_kl(one.logits, two.logits) / 2
        terms = [mixture, self.config.pseudo_weight * pseudo, self.config.consistency_weight * consistency]
        return PerExample(torch.stack(terms), torch.stack([torch.ones_like(guessed), guessed, guessed]))

    def _divide(self, probabilities: np.ndarray, labels: np.ndarray, targets: dict, seed: int) -> None:
        """Set the targets of the next epoch in place from predictions float32[n, C] of the training texts."""
        rows = np.arange(len(labels))
        values = -np.log(probabilities[rows, labels].astype(np.float64).clip(1e-12))
        if self.config.class_balanced:
            values = standardised_within(values, labels)
        guessed = 1 - noise_rate.high_loss_probability(values, seed) <= self.config.threshold
        sharp = losses.sharpen(torch.from_numpy(probabilities), self.config.temperature).numpy()
        targets["guessed"][:] = guessed
        targets["soft"][:] = np.where(guessed[:, None], sharp, np.eye(probabilities.shape[1])[labels])


def standardised_within(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Values minus the mean and divided by the standard deviation of their class, float64[n]; 0 in a constant class."""
    counts = np.bincount(classes).clip(1)
    centred = values - (np.bincount(classes, weights=values) / counts)[classes]
    spread = np.sqrt(np.bincount(classes, weights=centred**2) / counts)[classes]
    return np.where(spread > 1e-12, centred / np.where(spread > 1e-12, spread, 1), 0.0)
