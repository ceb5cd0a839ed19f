"""The one training loop of every method, on Accelerate.

It trains one or several networks side by side on the same batches with a loss that the method supplies, and
yields predictions after each epoch. Everything random comes from named axes: batch order, dropout, head weights.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from bench.core.seeds import named_seed
from bench.training import device, distributed
from bench.training.batch import Epoch, Loss
from bench.training.batches import evaluation_batches
from bench.training.encoders import Encoder
from bench.training.inputs import Inputs
from bench.training.loop import Fit, to_device
from bench.training.networks import Classifier
from bench.training.recipe import Recipe


@dataclass
class Trainer:
    """Trains classifiers of one encoder under one recipe; `axes` name the random draws (data, seed)."""

    encoder: Encoder
    recipe: Recipe
    axes: tuple[str | int, ...]
    progress: Callable[[str, int, int], None] = lambda phase, done, total: None
    track: Callable[[dict[str, float], int], None] | None = None  # gets the loss and the rate of every step
    micro_batch: int | None = None  # found by running out of memory; None = the whole batch at once
    parameters: int = 0  # trainable parameters of the networks of the last fit
    notes: list[str] = field(default_factory=list)
    keep: bool = False  # whether to hold on to the networks of the last fit, in `kept`
    kept: Sequence[Classifier] = ()
    snapshots: list[Classifier] = field(default_factory=list)  # with `keep`, frozen: all networks after every epoch
    correction: Any = None  # what a method predicts by beside its networks: see `methods.dirichlet_vae.Correction`

    @property
    def accelerator(self) -> Accelerator:
        """The process's Accelerator in this recipe's precision."""
        return device.accelerator(self.recipe.precision)

    def classifiers(self, count: int, num_classes: int, name: str) -> list[Classifier]:
        """`count` new classifiers: equal pretrained bodies, each its own head."""
        seeds = [named_seed(*self.axes, name, "head", branch) for branch in range(count)]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return [self.encoder.classifier(num_classes, self.recipe.dropout, generator) for generator in generators]

    def fit(
        self,
        networks: Sequence[Classifier],
        inputs: Mapping[str, Inputs],
        loss: Loss,
        *,
        targets: Mapping[str, np.ndarray],
        name: str,
        epochs: int | None = None,
        rows: np.ndarray | None = None,
        evaluate: Sequence[str] = ("valid", "test"),
        features: bool = False,
        shuffle: bool = True,
        restarts: bool = False,
    ) -> Iterator[Epoch]:
        """Train `networks` in place on `inputs["train"]`; yield an `Epoch` after each pass.

        Parameters
        ----------
        networks
            M classifiers, side by side on the same batches.
        inputs
            Inputs by split; `inputs["train"]` is trained on.
        loss
            `(outputs of the M networks, Batch) -> losses`: a tensor [B] or [K, B], or a `PerExample`.
        targets
            Arrays [N_train, ...] that the loss gets at each batch's rows. They are read at every batch, so a method
            may change them in place between epochs.
        name
            Names the random draws and the phase in progress displays.
        epochs
            Passes over the rows; default: the recipe's.
        rows
            int64, restricts training to some rows.
        evaluate, features
            The splits to predict after each epoch, with features where asked.
        shuffle, restarts
            Two habits of released code that some methods reproduce: `shuffle=False` keeps the rows' order,
            `restarts=True` starts the learning rate's schedule again at each epoch.

        Raises
        ------
        FloatingPointError
            When the loss is not finite.
        ValueError
            Without rows.
        """
        epochs = epochs or self.recipe.epochs
        rows = np.arange(len(inputs["train"])) if rows is None else np.asarray(rows)
        if not len(rows):
            raise ValueError("no training rows are left")
        run = Fit(
            self, networks, inputs["train"], loss, targets, rows,
            name=name, epochs=epochs, shuffle=shuffle, restarts=restarts,
        )  # fmt: skip
        self.kept, self.snapshots, self.correction = networks if self.keep else (), [], None
        try:
            for number in range(epochs):
                started = time.perf_counter()
                mean, running = run.epoch(number)
                predicted = {split: self.predict(networks, inputs[split], features=features) for split in evaluate}
                if self.keep and self.encoder.mode == "frozen":
                    self.snapshots += copy.deepcopy(list(networks))
                running = distributed.sum_over_processes(running)
                running[running.sum(1) == 0] = np.nan
                yield Epoch(
                    number=number + 1,
                    logits={split: logits for split, (logits, _) in predicted.items()},
                    features={split: z for split, (_, z) in predicted.items() if z is not None},
                    running=running,
                    loss=mean,
                    networks=networks,
                    seconds=time.perf_counter() - started,
                )
        finally:  # also when a method stops early or fails
            run.close()

    def predict(
        self, networks: Sequence[Classifier], inputs: Inputs, *, features: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """What networks say of texts, without training.

        Parameters
        ----------
        networks
            M classifiers.
        inputs
            Of N texts; see `Encoder.inputs`.
        features
            Whether the encoder's output is wanted too.

        Returns
        -------
        logits : float32[M, N, C]
        features : float32[M, N, D], or None where not asked for
        """
        accelerator = self.accelerator
        count, n = len(networks), len(inputs)
        logits = np.zeros((count, n, networks[0].head.out_features), np.float32)
        z = np.zeros((count, n, networks[0].head.in_features), np.float32) if features else None
        for network in networks:
            network.eval().to(accelerator.device)
        batches = evaluation_batches(inputs.lengths, n)[distributed.rank() :: distributed.processes()]
        with torch.no_grad(), accelerator.autocast():
            for rows in batches:
                tensors = to_device(inputs.batch(rows), accelerator.device)
                for branch, network in enumerate(networks):
                    output = network(**tensors)
                    logits[branch, rows] = output.logits.float().cpu().numpy()
                    if z is not None:
                        z[branch, rows] = output.features.float().cpu().numpy()
        return distributed.sum_over_processes(logits), None if z is None else distributed.sum_over_processes(z)
