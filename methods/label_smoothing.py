"""Label smoothing: every label gives a little of its mass to all classes."""

from __future__ import annotations

from collections.abc import Iterator

from methods import losses, training
from methods.base import Batch, Field, Method, NoisyTask, Predictions, Tools, config
from methods.registry import register


@register
class LabelSmoothing(Method):
    """Cross-entropy against (1 - ε)·onehot(ỹ) + ε/C (Szegedy et al., CVPR 2016, section 7)."""

    name = "label-smoothing"

    @config
    class Config:
        smoothing: float = Field(
            0.1, ge=0, lt=1, description="ε, probability mass spread evenly over all classes (0.1 in the paper)"
        )

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the predictions after each epoch."""

        def loss(outputs, batch: Batch):
            return losses.label_smoothing(outputs[0].logits, batch.targets["label"], self.config.smoothing)

        yield from training.train(task, tools, loss)
