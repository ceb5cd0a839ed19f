"""Label smoothing: every label gives a little of its mass to all classes."""

from __future__ import annotations

from collections.abc import Iterator

from bench.training.trainer import Batch
from methods import losses, training
from methods.base import Field, NoisyTask, Predictions, Tools, config
from methods.registry import register


@register
class LabelSmoothing:
    """Cross-entropy against (1 - ε)·onehot(ỹ) + ε/C (Szegedy et al., CVPR 2016, section 7)."""

    name = "label-smoothing"
    version = 1

    @config
    class Config:
        """Hyper-parameters of label smoothing."""

        smoothing: float = Field(
            0.1, ge=0, lt=1, description="ε, probability mass given to all classes alike (0.1 in the paper)"
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the predictions after each epoch."""

        def loss(outputs, batch: Batch):
            return losses.label_smoothing(outputs[0].logits, batch.targets["label"], self.config.smoothing)

        yield from training.train(task, tools, loss)
