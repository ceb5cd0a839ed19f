"""Training runs that several methods share: their key, how they are computed, what is kept of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bench.core.hashes import hash_arrays
from bench.core.texts import SPLITS
from bench.training import distributed
from bench.training.batch import softmax
from bench.training.inputs import Inputs
from bench.training.networks import Output
from bench.training.stages import Arrays
from methods import losses
from methods.base import Batch, Loss, NoisyTask, Predictions, Tools
from methods.stages import Stage


@dataclass(frozen=True)
class Run:
    """A finished training run of M networks over E epochs."""

    probabilities: dict[str, np.ndarray]  # valid, test -> float32[E, M, N, C] after each epoch
    running: np.ndarray  # float32[E, N_train, C]: as each training text was visited, mean over networks
    final_logits: dict[str, np.ndarray]  # train, valid, test -> float32[M, N, C]
    features: dict[str, np.ndarray]  # split -> float16[M, E, N, D] dynamics, or [M, 1, N, D] of the last epoch

    def final(self, split: str) -> np.ndarray:
        """p(noisy label | x) of the final networks, float32[M, N, C]."""
        return softmax(self.final_logits[split])

    def predictions(self) -> Iterator[Predictions]:
        """The mean over networks after each epoch."""
        for epoch in range(len(self.running)):
            yield Predictions(
                step=epoch + 1,
                valid=self.probabilities["valid"][epoch].mean(0),
                test=self.probabilities["test"][epoch].mean(0),
                train=self.running[epoch],
            )


def run_key(task: NoisyTask, tools: Tools, targets: np.ndarray, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that a training run on the labels `targets` int64[N_train] depends on but its stage's version.

    `settings` is what the run does otherwise than another one of the stage. For `Stage.get`: of what JSON can hold.
    """
    processes = distributed.processes()
    return {
        "splits": {split: getattr(task, split).fingerprint for split in SPLITS},
        "axes": list(tools.axes),
        "labels": hash_arrays(labels=targets),
        "classes": task.num_classes,
        "encoder": [tools.encoder.revision, tools.encoder.mode, tools.encoder.pooling, tools.encoder.max_length],
        "recipe": dataclasses.asdict(tools.recipe),
        "device": tools.trainer.accelerator.device.type,
        "seed": tools.seed,
        "settings": dict(settings),
        **({"processes": processes} if processes > 1 else {}),  # each draws its own dropout
    }


def run_of(
    stage: Stage,
    task: NoisyTask,
    tools: Tools,
    targets: np.ndarray,
    loss: Loss,
    inputs: Callable[[], dict[str, Inputs]],
    *,
    settings: Mapping[str, Any],
    networks: int = 1,
    dynamics: bool = False,
    **habits: Any,
) -> Run:
    """A training run of M `networks`, from the store where another method of the cell made it.

    The first word of the stage's name names heads, batch order and dropout. `targets` and `settings`: see `run_key`;
    `loss` and `habits` (`shuffle`, `restarts`): see `Trainer.fit`. `inputs` is called for the inputs of all splits when
    the run is computed. `dynamics`: the features after every epoch are kept, not only those after the last.
    """
    name = stage.name.removesuffix(" run")

    def compute() -> Arrays:
        trainer, data = tools.trainer, inputs()
        nets = trainer.classifiers(networks, task.num_classes, name)
        evaluate = SPLITS if dynamics else ("valid", "test")
        epochs = trainer.fit(
            nets, data, loss, targets={"label": targets}, name=name, evaluate=evaluate, features=dynamics, **habits
        )
        kept: list[Arrays] = []
        features: Arrays = {}
        for number, epoch in enumerate(epochs):
            kept.append(
                {f"logits_{split}": logits for split, logits in epoch.logits.items()} | {"running": epoch.running}
            )
            if dynamics:
                _add(features, epoch.features, number, tools.recipe.epochs)
        arrays = {part: np.stack([epoch[part] for epoch in kept]) for part in kept[0]}
        if dynamics:
            final = {f"final_{s}": arrays[f"logits_{s}"][-1] for s in SPLITS}
            del arrays["logits_train"]
        else:
            predicted = {split: trainer.predict(nets, data[split], features=True) for split in SPLITS}
            features = {
                f"features_{s}": z.astype(np.float16)[:, None] for s, (_, z) in predicted.items() if z is not None
            }
            final = {f"final_{s}": logits for s, (logits, _) in predicted.items()}
        return {**arrays, **features, **final, "parameters": np.array([trainer.parameters])}

    arrays = stage.get(tools.stages, run_key(task, tools, targets, settings), compute)
    tools.trainer.parameters = int(arrays["parameters"][0])
    return Run(
        probabilities={split: softmax(arrays[f"logits_{split}"]) for split in ("valid", "test")},
        running=arrays["running"],
        final_logits={split: arrays[f"final_{split}"] for split in SPLITS},
        features={split: arrays[f"features_{split}"] for split in SPLITS},
    )


def cross_entropy(outputs: Sequence[Output], batch: Batch) -> torch.Tensor:
    """float32[B]: the cross entropy of the first network against `batch.targets["label"]`."""
    return losses.cross_entropy(outputs[0].logits, batch.targets["label"])


def _add(features: Arrays, found: Arrays, number: int, epochs: int) -> None:
    """Put an epoch's features into `features_SPLIT` float16[M, E, n, D]: the largest arrays, which exist once."""
    for split, z in found.items():
        if not number:
            features[f"features_{split}"] = np.empty((len(z), epochs, *z.shape[1:]), np.float16)
        features[f"features_{split}"][:, number] = z
