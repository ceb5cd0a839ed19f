"""Generalised cross-entropy: between cross-entropy and mean absolute error."""

from __future__ import annotations

from collections.abc import Iterator

from methods import losses, training
from methods.base import Batch, Field, Method, NoisyTask, Predictions, Tools, config
from methods.registry import register


@register
class GeneralisedCrossEntropy(Method):
    """L_q = (1 - p_ỹ^q) / q, which bounds what one wrong label can cost (Zhang & Sabuncu, NeurIPS 2018, eq. 6).

    The truncated variant of the paper is not part of this.
    """

    name = "gce"

    @config
    class Config:
        q: float = Field(
            0.7, ge=1e-3, le=1, description="0 is cross-entropy, 1 is mean absolute error (0.7 in the paper)"
        )
        ce_epochs: int = Field(
            1,
            ge=0,
            description="first epochs with plain cross-entropy: a fresh head has p_ỹ near 1/C, where L_q has hardly "
            "any gradient (our choice)",
        )

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the predictions after each epoch."""
        told, first = {}, self.config.ce_epochs
        if first >= tools.recipe.epochs:
            told["warning"] = f"ce_epochs={first} covers every epoch, so this is plain: raise --epochs or lower it"

        def loss(outputs, batch: Batch):
            logits, labels = outputs[0].logits, batch.targets["label"]
            if batch.epoch < self.config.ce_epochs:
                return losses.cross_entropy(logits, labels)
            return losses.generalised_cross_entropy(logits, labels, self.config.q)

        yield from training.train(task, tools, loss, diagnostics=lambda: told)
