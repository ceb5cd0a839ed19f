"""What a method is shown of a task, and what it must yield."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.core.errors import BenchError, Skip
from bench.core.guard import Watch
from bench.data.task import TaskData
from bench.noise.facts import NoisyLabels, wrong_share
from bench.training.tools import CellTools
from methods.base import NoisyTask, Predictions

TOLERANCE = 1e-4
"""How far a row of probabilities may be from summing to 1."""
OF_TRAIN = ("train", "posterior")
"""Fields of Predictions about the training texts; a method need not have them."""


class ContractError(BenchError):
    """A method yielded something that is not a prediction; the message says what and where."""


def sees_gold(method: Any) -> bool:
    """Whether a method asks for something of gold: `oracle` and other references, and `tau=oracle`."""
    return _trains_on_gold(method) or _wants_true_rate(method)


def _trains_on_gold(method: Any) -> bool:
    return bool(getattr(method, "sees_gold", False))


def _wants_true_rate(method: Any) -> bool:
    return getattr(method.config, "tau", None) == "oracle"


def opened(method: Any, task: TaskData, labels: NoisyLabels, tools: CellTools) -> tuple[NoisyTask, bool]:
    """All that a method may know of a task, and whether any of it is gold.

    That is texts and noisy labels. A reference gets gold training labels in their place, and `tau=oracle` is lent the
    rate of wrong labels among those that it learns from (`tools.oracle_noise_rate`). Raises Skip for a reference where
    the task has no gold.
    """
    train, on_gold, with_rate = labels.train, _trains_on_gold(method), _wants_true_rate(method)
    if with_rate:
        tools.oracle_noise_rate = wrong_share(filled_labels(task, labels, tools), task.gold.train)
    if on_gold:
        if task.gold.train is None:
            raise Skip(
                f"{method.name} trains on gold labels, and the train split of {task.name} has none: "
                f"leave {method.name} out"
            )
        train = task.gold.train
    view = NoisyTask(task.name, task.label_names, task.train, task.valid, task.test, train, labels.valid)
    return view, on_gold or with_rate


def filled_labels(task: TaskData, labels: NoisyLabels, tools: CellTools) -> np.ndarray:
    """The train labels that methods learn from, int64[N_train]: a text without an answer has a random class."""
    return tools.fill(labels.train, "train", len(task.label_names))


def files_of(method: Any) -> set[str]:
    """The files that a method has opened by itself in this process: when imported, when built, in any cell."""
    return getattr(method, "opened_files", set())


def run_method(method: Any, task: NoisyTask, tools: CellTools) -> list[Predictions]:
    """All steps of a method, each checked against the contract; what it opens is noted. Raises ContractError."""
    steps: list[Predictions] = []
    for step in Watch(files_of(method)).steps(lambda: method.run(task, tools)):
        check_predictions(step, task, method.name)
        if steps and step.step <= steps[-1].step:
            raise ContractError(f"steps must rise: {step.step} came after {steps[-1].step}")
        steps.append(step)
    if not steps:
        raise ContractError("the method yielded no predictions")
    return steps


def check_predictions(step: Predictions, task: NoisyTask, name: str) -> None:
    """Shapes, dtype, finiteness, range and row sums of one step. Raises ContractError naming the array."""
    if not isinstance(step, Predictions):
        raise ContractError(f"{name} yielded a {type(step).__name__}, not Predictions")
    arrays = {"valid": step.valid, "test": step.test}
    arrays |= {part: values for part in OF_TRAIN if (values := getattr(step, part)) is not None}
    for part, values in arrays.items():
        where = f"{name}, step {step.step}, {part}"
        shape = (len(task.train if part in OF_TRAIN else getattr(task, part)), task.num_classes)
        if not isinstance(values, np.ndarray) or values.shape != shape:
            raise ContractError(f"{where}: shape {getattr(values, 'shape', None)}, expected {shape}")
        if values.dtype != np.float32:
            raise ContractError(f"{where}: dtype {values.dtype}, expected float32")
        if part in OF_TRAIN:  # rows that were not visited are NaN
            values = values[~np.isnan(values).all(axis=1)]
        if not np.isfinite(values).all():
            raise ContractError(f"{where}: {int((~np.isfinite(values)).sum())} values are not finite")
        if values.size and (values.min() < -TOLERANCE or np.abs(values.sum(1) - 1).max() > TOLERANCE):
            raise ContractError(f"{where}: rows are not probabilities (they must be >= 0 and sum to 1)")
