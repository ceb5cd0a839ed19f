"""What a method is shown of a task, and what it must yield."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np

from bench.core.arrays import read_only
from bench.core.errors import BenchError, Skip, ToldToEnd, shown
from bench.core.facts import kind, unfit, wrong_shape
from bench.core.guard import Watch
from bench.core.seeds import named_generator
from bench.data.task import TaskData
from bench.noise.draw import member_answers
from bench.noise.facts import NoisyLabels, wrong_share
from bench.training.tools import Tools
from methods.base import HumanLabels, NoisyTask, Predictions

TOLERANCE = 1e-4
"""How far a row of probabilities may be from summing to 1."""
OF_TRAIN = ("train", "posterior")
"""Fields of Predictions about the training texts; a method need not have them."""


class ContractError(BenchError):
    """A method yielded something that is not a prediction; the message says what and where."""


@contextlib.contextmanager
def outlived() -> Iterator[None]:
    """Around a method: one that ends the process (`sys.exit`) raises BenchError instead."""
    try:
        yield
    except ToldToEnd:
        raise
    except SystemExit as error:
        parts = "SystemExit", str(error), "a method must not end the process, it should raise an error"
        raise BenchError(": ".join(filter(None, parts))) from error


def sees_gold(method: Any) -> bool:
    """Whether a method asks for something of gold: `oracle` and other references, and `tau=oracle`."""
    return method.sees_gold or _wants_true_rate(method)


def _wants_true_rate(method: Any) -> bool:
    return getattr(method.config, "tau", None) == "oracle"


def opened(
    method: Any, task: TaskData, labels: NoisyLabels, tools: Tools, most_human: int | None = None
) -> tuple[NoisyTask, bool]:
    """All that a method may know of a task, and whether it sees gold that no human was asked for.

    That is texts and noisy labels. A reference gets gold training labels in their place, and `tau=oracle` is lent the
    rate of wrong labels among those that it learns from (`tools.oracle_noise_rate`). A method with `human_rows` gets
    the gold of these rows besides (`most_human`: of so many at most). Raises Skip for a reference where the task has no
    gold, and where more human labels are asked for than there are.
    """
    train, on_gold, with_rate = labels.train, method.sees_gold, _wants_true_rate(method)
    if with_rate:
        tools.oracle_noise_rate = wrong_share(filled_labels(task, labels, tools), task.gold.train)
    if on_gold:
        if task.gold.train is None:
            raise Skip(
                f"{method.name} trains on gold labels, and the train split of {task.name} has none: "
                f"leave {method.name} out"
            )
        if (task.gold.train < 0).any():
            raise Skip(
                f"{method.name} trains on gold labels of all train texts, and {len(_with_gold(task))} of "
                f"{len(task.train)} have one: gold[rows=all] trains on these"
            )
        train = task.gold.train
    # copies: torch writes even into what is read-only
    train, valid = read_only(train.copy()), read_only(labels.valid.copy())
    view = NoisyTask(task.name, task.label_names, task.train, task.valid, task.test, train, valid)
    if method.human_rows() is not None:
        scores = _scores(method, task, labels, view, tools)
        view = dataclasses.replace(view, human=human_labels(method, task, tools.seed, most_human, scores))
    return view, on_gold or with_rate


def _scores(method: Any, task: TaskData, labels: NoisyLabels, view: NoisyTask, tools: Tools) -> np.ndarray | None:
    """Which train texts the method wants human labels for first, float64[N_train]; None: random ones.

    Raises Skip where it goes by the members' disagreement and the labels are not an ensemble's.
    """
    source = labels.source
    if source.rule != "single":
        view = dataclasses.replace(view, answers=member_answers(source, task)["train"].T)
    elif getattr(method.config, "chosen", None) == "disagreement":
        raise Skip(f"{source.id} is one labeller, which cannot disagree: name several as one source, like vote(a,b,c)")
    return method.human_scores(view, tools)


def human_labels(
    method: Any, task: TaskData, seed: int, most: int | None = None, scores: np.ndarray | None = None
) -> HumanLabels | None:
    """The human labels that a method asks for: gold of train texts with the highest `scores`, or of random ones.

    Random ones go by the task and the seed alone. The texts of a smaller number are the first ones of a larger one,
    random ones whatever the method, the noise source and the encoder.

    Raises Skip where there are fewer, ContractError for a number that makes no sense.
    """
    wanted = method.human_rows()
    if wanted is None:
        return None
    if wanted != "all" and (type(wanted) is not int or wanted < 1):
        raise ContractError(f"{method.name}: human_rows gave {wanted!r}, it must be a number from 1 on, 'all' or None")
    known = _with_gold(task)
    if not len(known) or (wanted != "all" and most is None and wanted > len(known)):
        have = f"{len(known)} of its {len(task.train)}" if len(known) else "none of its"
        way_out = f"ask for at most {len(known)}, or for rows=all" if len(known) else f"leave {method.name} out"
        raise Skip(f"{method.name} asks for {wanted} human labels, and {have} train texts have one: {way_out}")
    rows = task.rows["train"][known]
    draws = named_generator("human labels", task.info.name, seed).random(int(rows.max()) + 1)[rows]
    order = np.argsort(draws, kind="stable") if scores is None else np.lexsort((draws, -scores[known]))
    chosen = known[order][: None if wanted == "all" else wanted][:most]
    assert task.gold.train is not None  # some are known
    return HumanLabels(chosen, task.gold.train[chosen])


def human_count(method: Any, task: TaskData) -> int | None:
    """How many human labels a method asks for, whether there are so many or not; None: it asks for none."""
    wanted = method.human_rows()
    return len(_with_gold(task)) if wanted == "all" else wanted if type(wanted) is int else None


def _with_gold(task: TaskData) -> np.ndarray:
    """The train texts with a gold label, int64[k] positions."""
    return np.arange(0) if task.gold.train is None else np.flatnonzero(task.gold.train >= 0)


def filled_labels(task: TaskData, labels: NoisyLabels, tools: Tools) -> np.ndarray:
    """The train labels that methods learn from, int64[N_train]: a text without an answer has a random class."""
    return tools.fill(labels.train, "train", len(task.label_names))


def files_of(method: Any) -> set[str]:
    """The files that a method has opened by itself in this process: when imported, when built, in any cell."""
    return getattr(method, "opened_files", set())


@contextlib.contextmanager
def _labels_in_tensors() -> Iterator[None]:
    """Without torch's warning of what it makes a tensor of: labels are read-only, and the method's own copy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        yield


@_labels_in_tensors()
def run_method(method: Any, task: NoisyTask, tools: Tools) -> list[Predictions]:
    """All steps of a method, each checked against the contract; what it opens is noted. Raises ContractError."""
    steps: list[Predictions] = []
    try:
        for step in Watch(files_of(method)).steps(lambda: method.run(task, tools)):
            check_predictions(step, task, method.name)
            if steps and step.step <= steps[-1].step:
                raise ContractError(f"steps must rise: {step.step} came after {steps[-1].step}")
            if steps:
                steps[-1] = dataclasses.replace(steps[-1], posterior=None)  # the last step's is kept
            steps.append(_copied(step))
    except ValueError as error:
        if "read-only" not in str(error):  # as numpy says it
            raise
        raise ContractError(
            f"{method.name} writes into an array that is read-only, as labels and stages are, which all methods share: "
            "change a copy, as in labels = task.train_labels.copy()"
        ) from error
    if not steps:
        raise ContractError("the method yielded no predictions")
    if wrong := unfit(steps[-1].diagnostics):  # the record holds those of the last step
        raise ContractError(f"{method.name}, step {steps[-1].step}, diagnostics: {wrong}")
    return steps


def _copied(step: Predictions) -> Predictions:
    """A step with arrays of its own: a method may use its own again for the next one."""
    arrays = {part: values for part in ("valid", "test", *OF_TRAIN) if (values := getattr(step, part)) is not None}
    own = {part: values for part, values in arrays.items() if values.flags.writeable}  # others are stages
    copies = {part: values.copy(order="K") for part, values in own.items()}  # in the same layout: sums depend on it
    return dataclasses.replace(step, **copies, step=int(step.step))


def check_predictions(step: Predictions, task: NoisyTask, name: str) -> None:
    """The shape, dtype, finiteness, range and row sums of one step's arrays, and that its diagnostics have names.

    Raises ContractError naming what is wrong.
    """
    if not isinstance(step, Predictions):
        raise ContractError(f"{name} yielded a {type(step).__name__}, not Predictions")
    if not isinstance(step.step, Integral):
        raise ContractError(f"{name}: step is {shown(step.step)} ({kind(step.step)}), it must be an int")
    if wrong := wrong_shape(step.diagnostics):
        raise ContractError(f"{name}, step {step.step}, diagnostics: {wrong}")
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
