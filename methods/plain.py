"""Plain fine-tuning on the noisy labels: the baseline that every other method has to beat."""

from __future__ import annotations

from collections.abc import Iterator

from methods import shared
from methods.base import Method, NoisyTask, Predictions, Tools, config
from methods.registry import register


@register
class Plain(Method):
    """Cross-entropy on the noisy labels as if they were correct (Devlin et al., NAACL 2019)."""

    name = "plain"
    stages = (shared.PLAIN,)

    @config
    class Config:
        """No parameters of its own: the shared recipe is all there is."""

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the predictions after each epoch."""
        yield from shared.plain_run(task, tools).predictions()
