"""Training from scratch with a method's own loss: what the loss-only methods have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bench.training.batch import Epoch
from methods import shared
from methods.base import Loss, NoisyTask, Predictions, Tools
from methods.runs import cross_entropy


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
    """Train classifiers with one loss; yields their mean after each epoch.

    Parameters
    ----------
    task, tools
        What `run` was given.
    loss
        Gets the outputs of every network and the batch, returns float32[B], or `PerExample`; None: cross entropy.
    targets
        What the loss finds in `batch.targets`, each [N_train, ...]; None: {"label": the filled noisy labels}.
    networks
        How many classifiers.
    name
        Heads, batch order and dropout carry it: by default that of the plain run, so a method is compared with plain
        fine-tuning on the same draws and differs from it by its loss alone.
    rows
        int64: train on these rows alone; None: on all.
    diagnostics
        Called after each epoch: small facts for the record.

    Yields
    ------
    Predictions
        The mean over the networks, after each epoch.
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
        yield predictions_of(epoch, diagnostics())


def selection_facts(rate: float, forget: Sequence[float]) -> dict[str, Any]:
    """The diagnostics of a method that leaves out `forget` of the texts in each epoch, of an assumed noise `rate`."""
    facts: dict[str, Any] = {"noise_rate_estimate": rate}
    if rate and not any(forget):
        facts["warning"] = "the forget rate is 0 in every epoch, so no text is ever left out: raise --epochs"
    return facts


def predictions_of(epoch: Epoch, facts: Mapping[str, Any]) -> Predictions:
    """The mean of the networks after an epoch, with small facts for the record."""
    return Predictions(
        epoch.number, epoch.ensemble("valid"), epoch.ensemble("test"), epoch.running, diagnostics=dict(facts)
    )
