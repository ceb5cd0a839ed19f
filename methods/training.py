"""Training from scratch with a method's own loss: what the loss-only methods have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from bench.training.networks import Output
from methods import losses, shared
from methods.base import Batch, Loss, NoisyTask, Predictions, Tools

__all__ = ["cross_entropy", "train"]


def train(
    task: NoisyTask,
    tools: Tools,
    loss: Loss | None = None,
    *,
    targets: Mapping[str, np.ndarray] | None = None,
    networks: int = 1,
    name: str = "plain",
    rows: np.ndarray | None = None,
    diagnostics: Callable[[], Mapping[str, Any]] = dict,
) -> Iterator[Predictions]:
    """Train `networks` classifiers with `loss` (default: cross entropy); yields their mean after each epoch.

    `targets` are what the loss finds in `batch.targets` (default: {"label": the filled noisy labels}); `rows`
    int64 restricts training to some rows. Heads, batch order and dropout carry `name`: by default that of the plain
    run, so a method is compared with plain fine-tuning on the same draws and differs from it by its loss alone.
    """
    trainer = tools.trainer
    epochs = trainer.fit(
        trainer.classifiers(networks, task.num_classes, name),
        shared.inputs(task, tools),
        loss or cross_entropy,
        targets={"label": shared.labels(task, tools).train} if targets is None else targets,
        name=name,
        rows=rows,
    )
    for epoch in epochs:
        yield Predictions(
            step=epoch.number,
            valid=epoch.ensemble("valid"),
            test=epoch.ensemble("test"),
            train=epoch.running,
            diagnostics=dict(diagnostics()),
        )


def cross_entropy(outputs: Sequence[Output], batch: Batch) -> torch.Tensor:
    """float32[B]: the cross entropy of the first network against `batch.targets["label"]`."""
    return losses.cross_entropy(outputs[0].logits, batch.targets["label"])
