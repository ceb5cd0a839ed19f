"""Early-learning regularisation: hold on to what the network believed before it memorised."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import model_validator

from methods import losses, training
from methods.base import Batch, Field, Method, NoisyTask, Predictions, Tools, config, refuse_unused
from methods.registry import register


@register
class EarlyLearningRegularisation(Method):
    """Cross-entropy + λ·log(1 - <t, p>) with t a running mean of p (Liu et al., NeurIPS 2020, section 4.2)."""

    name = "elr"

    @config
    class Config:
        strength: float = Field(
            3.0, ge=0, le=1e4, description="λ, weight of the regulariser (the paper's CIFAR-10 value)"
        )
        momentum: float = Field(
            0.7, ge=0, lt=1, description="β, share of the old target kept at each visit (the paper's CIFAR-10 value)"
        )

        @model_validator(mode="after")
        def _used(self):
            if self.strength == 0:
                refuse_unused(self, "strength=0", "momentum")
            return self

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the predictions after each epoch."""
        device = tools.trainer.accelerator.device
        targets = torch.zeros(len(task.train), task.num_classes, device=device)
        before, visited = targets.clone(), torch.full((len(task.train),), -1, device=device)

        def loss(outputs, batch: Batch):
            logits, rows = outputs[0].logits, batch.indices.to(device)
            probabilities = logits.detach().softmax(dim=-1)
            everywhere, mine = batch.gather(rows)  # another process may meet these rows in the next epoch
            repeated = (visited[everywhere] == batch.step).unsqueeze(1)  # out of memory: the step starts again
            old = torch.where(repeated, before[everywhere], targets[everywhere])
            updated = losses.elr_update(old, batch.gather(probabilities)[0], self.config.momentum)
            before[everywhere], targets[everywhere], visited[everywhere] = old, updated, batch.step
            return losses.elr_loss(logits, batch.targets["label"], updated[mine], self.config.strength)

        yield from training.train(task, tools, loss)
