"""Plain fine-tuning on the noisy labels: the baseline that every other method has to beat."""

from __future__ import annotations

from collections.abc import Iterator

from methods import shared
from methods.base import NoisyTask, Predictions, Tools, config
from methods.registry import register


@register
class Plain:
    """Cross entropy on the noisy labels as if they were right (Devlin et al., NAACL 2019)."""

    name = "plain"
    version = 1

    @config
    class Config:
        """No parameters of its own: the shared recipe is all there is."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def shared_stages(self, epochs: int) -> dict[str, dict]:
        """See `methods.base.Method`."""
        return {"plain run": {}}

    def run(self, task: NoisyTask, tools: Tools) -> Iterator[Predictions]:
        """Yield the predictions after each epoch."""
        yield from shared.plain_run(task, tools).predictions()
