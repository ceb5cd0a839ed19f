"""Co-regularisation: several branches that learn the labels and are held to their common opinion."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from pydantic import model_validator

from methods import losses, shared
from methods.base import Field, Method, NoisyTask, Predictions, Tools, config, refuse_unused
from methods.registry import register


@register
class CoRegularisation(Method):
    """M networks, cross-entropy + α·KL(mean || each) (Zhou & Chen, EMNLP 2021); stage 1 of DyGen and SiDyP.

    Predicts the mean of the branches (the paper: the last one).
    """

    name = "cr"
    stages = (shared.BRANCHES,)

    @config
    class Config:
        branches: int = Field(3, ge=2, le=64, description="M, networks (2 in the paper; 3 shares SiDyP's stage 1)")
        alpha: float = Field(5.0, ge=0, le=1e4, description="weight of the agreement term (the authors' script)")
        warmup: float = Field(
            0.1, ge=0, le=1, description="share of all steps, at the start, without the agreement term (the paper)"
        )

        @model_validator(mode="after")
        def _used(self):
            if self.alpha == 0:
                refuse_unused(self, "alpha=0", "warmup")
            if self.warmup == 1:
                refuse_unused(self, "warmup=1", "alpha")
            return self

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the mean of the branches after each epoch."""
        config, told = self.config, {}
        steps = tools.recipe.epochs * -(-len(task.train) // tools.recipe.batch_size)
        if config.alpha and not losses.ramped_strength(config.alpha, (steps - 1) / steps, config.warmup):
            told["warning"] = (
                f"warmup={config.warmup:g} covers every step, so the branches are never held to their common opinion: "
                "lower it or raise --epochs"
            )
        for step in shared.branch_run(task, tools, **dataclasses.asdict(config)).predictions():
            yield dataclasses.replace(step, diagnostics={**step.diagnostics, **told})
