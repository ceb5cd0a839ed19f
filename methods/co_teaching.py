"""Co-teaching: two networks, each learns from the examples that the other finds easy."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from methods import losses, shared
from methods.base import RATE, Batch, Field, Method, NoisyTask, PerExample, Predictions, Tools, config
from methods.registry import register
from methods.training import selection_facts, train


@register
class CoTeaching(Method):
    """Two networks exchange their small-loss examples (Han et al., NeurIPS 2018, algorithm 1).

    Heads, batch order and dropout are its own draws, not those of the plain run: its two networks must differ.
    """

    name = "co-teaching"
    version = 2
    stages = (shared.NOISE_RATE,)

    @config
    class Config:
        tau: str = RATE
        ramp: float = Field(
            0.3, gt=0, le=1, description="share of the epochs over which the forget rate rises (10 of 200 in the paper)"
        )
        exponent: float = Field(1.0, gt=0, description="c of the paper: the rise ends at tau**c")

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the mean of both networks after each epoch."""
        rate = shared.noise_rate(task, tools, self.config.tau)
        forget = losses.forget_rates(tools.recipe.epochs, rate, self.config.ramp, self.config.exponent)

        def loss(outputs, batch: Batch) -> PerExample:
            per_network = [losses.cross_entropy(output.logits, batch.targets["label"]) for output in outputs]
            return PerExample(torch.stack(per_network), exchanged_selection(per_network, batch, forget[batch.epoch]))

        facts = selection_facts(rate, forget)
        yield from train(task, tools, loss, networks=2, name=self.name, diagnostics=lambda: facts)


def exchanged_selection(per_network: list[torch.Tensor], batch: Batch, forget: float) -> torch.Tensor:
    """float32[2, B]: 1 where the *other* network counts the example among its small losses over the whole batch."""
    masks = []
    for values in per_network:
        everywhere, mine = batch.gather(values)
        masks.append(losses.small_loss_mask(everywhere, forget)[mine])
    return torch.stack([masks[1], masks[0]]).float()
