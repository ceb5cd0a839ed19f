"""JoCoR: two networks trained as one, on the examples where they agree with the label and with each other."""

from __future__ import annotations

from collections.abc import Iterator

from methods import losses, shared, training
from methods.base import RATE, Batch, Field, Method, NoisyTask, PerExample, Predictions, Tools, config
from methods.registry import register


@register
class JoCoR(Method):
    """Joint training with co-regularisation on jointly selected small losses (Wei et al., CVPR 2020)."""

    name = "jocor"
    version = 2
    stages = (shared.NOISE_RATE,)

    @config
    class Config:
        tau: str = RATE
        agreement: float = Field(
            0.9, ge=0, le=1, description="λ, share of the agreement term; the rest is cross-entropy (0.9 on CIFAR)"
        )
        ramp: float = Field(
            0.3, gt=0, le=1, description="share of the epochs over which the forget rate rises (10 of 200 in the paper)"
        )
        exponent: float = Field(1.0, gt=0, description="c: the rise ends at tau**c (1 in the paper)")

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the mean of both networks after each epoch."""
        rate = shared.noise_rate(task, tools, self.config.tau)
        forget = losses.forget_rates(tools.recipe.epochs, rate, self.config.ramp, self.config.exponent)

        def loss(outputs, batch: Batch) -> PerExample:
            one, two = outputs
            joint = losses.jocor_loss(one.logits, two.logits, batch.targets["label"], self.config.agreement)
            everywhere, mine = batch.gather(joint)
            chosen = losses.small_loss_mask(everywhere, forget[batch.epoch])[mine]
            return PerExample(joint[None], chosen[None].float())

        facts = training.selection_facts(rate, forget)
        yield from training.train(task, tools, loss, networks=2, diagnostics=lambda: facts)
