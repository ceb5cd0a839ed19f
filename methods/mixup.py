"""Mixup: train on convex combinations of texts (of their pooled features) and of their labels."""

from __future__ import annotations

from collections.abc import Iterator

from methods import losses, training
from methods.base import Batch, Field, Method, NoisyTask, Predictions, Tools, config
from methods.registry import register


@register
class Mixup(Method):
    """Convex combinations of pooled features and labels within a batch (Zhang et al., ICLR 2018).

    Words cannot be mixed; the features behind the pooler can (Sun et al., COLING 2020; Verma et al., ICML 2019).
    """

    name = "mixup"

    @config
    class Config:
        alpha: float = Field(
            0.2,
            gt=0,
            le=1e4,
            description="α of Beta(α, α), from which each batch draws its λ (0.1 to 0.4 in the paper)",
        )

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the predictions after each epoch."""

        def loss(outputs, batch: Batch):
            pooled, labels = outputs[0].pooled, batch.targets["label"]
            weight, permutation = losses.mixup_draw(len(pooled), self.config.alpha, batch.generator)
            permutation = permutation.to(pooled.device)
            logits = batch.networks[0].classify(losses.mix(pooled, permutation, weight))
            return losses.mixup_loss(logits, labels, permutation, weight)

        yield from training.train(task, tools, loss)
