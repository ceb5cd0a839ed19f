"""One cell: run the method on noisy labels, check what it yields, score it against gold it never saw."""

from __future__ import annotations

import datetime
import functools
import importlib.metadata
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import BenchError, Skip
from bench.core.guard import Watch
from bench.data.load import SPLITS, Gold, TaskData
from bench.grid.cells import Cell
from bench.noise.draw import NoisyLabels, draw, noise_facts, wrong_share
from bench.running.data_files import Place, names_of
from bench.store import metrics
from bench.store.records import CurvePoint, DataFacts, Record, ScoreSet
from bench.training import device
from bench.training.stages import StageStore
from bench.training.tools import CellTools
from methods import shared
from methods.base import NoisyTask, Predictions

TOLERANCE = 1e-4
"""How far a row of probabilities may be from summing to 1."""
PACKAGES = (
    "noisy-label-bench",
    "torch",
    "transformers",
    "accelerate",
    "sentence-transformers",
    "numpy",
    "scikit-learn",
)


class ContractError(BenchError):
    """A method yielded something that is no prediction; the message says what and where."""


@dataclass(frozen=True)
class Result:
    """A finished cell: its record and the arrays beside it."""

    record: Record
    arrays: dict[str, np.ndarray]


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
            raise Skip(f"{method.name} trains on gold labels, and this task has none: leave {method.name} out")
        train = task.gold.train
    view = NoisyTask(task.name, task.label_names, task.train, task.valid, task.test, train, labels.valid)
    return view, on_gold or with_rate


def filled_labels(task: TaskData, labels: NoisyLabels, tools: CellTools) -> np.ndarray:
    """The train labels that methods learn from, int64[N_train]: a text without an answer has a random class."""
    return tools.fill(labels.train, "train", len(task.label_names))


def tools_for(cell: Cell, stages: StageStore, **callbacks: Any) -> CellTools:
    """What the harness lends the method of a cell; `callbacks` are `progress` and `track` of CellTools."""
    return CellTools(
        encoder=cell.encoder,
        sentence_encoder=cell.sentence_encoder,
        recipe=cell.recipe,
        stages=stages,
        seed=cell.key.seed,
        axes=(cell.task.name, cell.source.id),
        **callbacks,
    )


def labels_for(cell: Cell, stages: StageStore) -> NoisyLabels:
    """The noisy labels of a cell; noise that depends on the texts takes their embeddings from `stages`."""

    def embeddings() -> dict[str, np.ndarray]:
        return {split: shared.embed_texts(cell.task.texts(split), cell.sentence_encoder, stages) for split in SPLITS}

    uncovered = cell.key.options.get("uncovered", "uniform")
    return draw(cell.source, cell.task, cell.key.seed, embeddings, uncovered)


def run_cell(cell: Cell, labels: NoisyLabels, tools: CellTools, places: Sequence[Place] = ()) -> Result:
    """Run and score one cell; its record names what the method opened in `places`, where the task's data lie.

    Raises Skip, BenchError, or whatever the method raises.
    """
    started = time.perf_counter()
    uses = tools.stages.begin()
    task = cell.task
    view, with_gold = opened(cell.method, task, labels, tools)
    steps = run_method(cell.method, view, tools)
    trained = time.perf_counter()
    valid = labels.valid
    scores, curve, arrays = score_steps(steps, valid, labels.train, task.gold)
    arrays |= train_arrays(labels.train, task.gold)
    now = time.perf_counter()
    record = Record(
        hash=cell.key.hash,
        key=cell.key,
        status="done",
        sees_gold=with_gold,
        opened_files=names_of(files_of(cell.method), places),
        data=data_facts(task, cell.origin),
        noise=noise_facts(labels, task.gold, len(task.label_names), filled_labels(task, labels, tools)),
        scores=scores,
        curve=curve,
        seconds={"total": now - started, "method": trained - started, "scoring": now - trained},
        stages=uses,
        peak_memory_mb=device.peak_memory_mb(),
        parameters=tools.trainer.parameters or None,
        device=device.describe(device.reason_for(tools.recipe.precision)) | {"notes": list(tools.trainer.notes)},
        versions=versions(),
        code_version=code_version(),
        command=cell.command,
        created=utc_now(),
        diagnostics={**dict(steps[-1].diagnostics), **labels.facts},
    )
    return Result(record, arrays)


def files_of(method: Any) -> set[str]:
    """The files that a method has opened by itself in this process: when imported, when built, in any cell."""
    return getattr(method, "opened_files", set())


def run_method(method: Any, task: NoisyTask, tools: CellTools) -> list[Predictions]:
    """All steps of a method, each checked against the contract; what it opens is noted. Raises ContractError."""
    steps = []
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
    arrays = {"valid": step.valid, "test": step.test} | ({} if step.train is None else {"train": step.train})
    for split, values in arrays.items():
        where = f"{name}, step {step.step}, {split}"
        shape = (len(getattr(task, split)), task.num_classes)
        if not isinstance(values, np.ndarray) or values.shape != shape:
            raise ContractError(f"{where}: shape {getattr(values, 'shape', None)}, expected {shape}")
        if values.dtype != np.float32:
            raise ContractError(f"{where}: dtype {values.dtype}, expected float32")
        if split == "train":  # rows that were not visited are NaN
            values = values[~np.isnan(values).all(axis=1)]
        if not np.isfinite(values).all():
            raise ContractError(f"{where}: {int((~np.isfinite(values)).sum())} values are not finite")
        if values.size and (values.min() < -TOLERANCE or np.abs(values.sum(1) - 1).max() > TOLERANCE):
            raise ContractError(f"{where}: rows are not probabilities (they must be >= 0 and sum to 1)")


def score_steps(
    steps: list[Predictions], noisy_valid: np.ndarray, noisy_train: np.ndarray, gold: Gold
) -> tuple[ScoreSet | None, list[CurvePoint], dict[str, np.ndarray]]:
    """Scores of last / noisy-valid / oracle-best, the curve over steps, and the arrays to store.

    Scores are those of the float16 probabilities that are stored, so anyone can compute them again. Without gold
    in the test split there are no scores, and no oracle-best; where no valid text has an answer, no noisy-valid.
    """
    rounded = [step.test.astype(np.float16) for step in steps]
    curve = [curve_point(step, kept, noisy_valid, noisy_train, gold) for step, kept in zip(steps, rounded, strict=True)]
    last = len(steps) - 1
    answered = bool((noisy_valid >= 0).any())
    selected = last_best([point.noisy_valid_accuracy for point in curve]) if answered else None
    arrays = {"test_last": rounded[last]} | ({} if selected is None else {"test_noisy_valid": rounded[selected]})
    if gold.test is None:
        return None, curve, arrays
    best = last_best([point.test_accuracy for point in curve])
    scored = {at: metrics.score(rounded[at], gold.test, steps[at].step) for at in {last, selected, best} - {None}}
    bins = metrics.reliability_bins(rounded[last], gold.test)
    arrays |= {
        "test_oracle_best": rounded[best],
        "gold": gold.test.astype(np.int64),
        "bins_count": bins.count,
        "bins_accuracy": bins.accuracy,
        "bins_confidence": bins.confidence,
    }
    return ScoreSet(last=scored[last], noisy_valid=scored.get(selected), oracle_best=scored[best]), curve, arrays


def train_arrays(noisy: np.ndarray, gold: Gold) -> dict[str, np.ndarray]:
    """The noisy labels of train (-1 = no answer) and, where known, the gold ones: int16[N_train] each."""
    known = {} if gold.train is None else {"train_gold": gold.train.astype(np.int16)}
    return {"train_labels": noisy.astype(np.int16)} | known


def last_best(values: list[float]) -> int:
    """Position of the largest value; of equal ones the last, so that a tie is no early stop."""
    return len(values) - 1 - int(np.argmax(values[::-1]))


def curve_point(
    step: Predictions, test: np.ndarray, noisy_valid: np.ndarray, noisy_train: np.ndarray, gold: Gold
) -> CurvePoint:
    """One step as the scorer sees it: fit to rightly and to wrongly labelled training texts, test accuracy."""
    answered = noisy_valid >= 0
    agreed = step.valid.argmax(1)[answered] == noisy_valid[answered]
    facts: dict[str, float | None] = {"noisy_valid_accuracy": share(agreed)}
    if gold.test is not None:
        values = metrics.simplex(test)
        right = (values.argmax(1) == gold.test).astype(float)
        facts["test_accuracy"] = float(right.mean())
        facts["test_ece"] = metrics.expected_calibration_error(values.max(1), right)
    if step.train is not None and gold.train is not None:
        seen = (noisy_train >= 0) & ~np.isnan(step.train).any(1)
        predicted = np.nan_to_num(step.train).argmax(1)
        wrong = seen & (noisy_train != gold.train)
        correct = seen & (noisy_train == gold.train)
        facts["fit_correct"] = share(predicted[correct] == noisy_train[correct])
        facts["fit_wrong"] = share(predicted[wrong] == noisy_train[wrong])
        facts["recovered_wrong"] = share(predicted[wrong] == gold.train[wrong])
    return CurvePoint(step=step.step, **facts)


def share(hits: np.ndarray) -> float | None:
    """The mean of booleans; None of nothing."""
    return float(hits.mean()) if len(hits) else None


def data_facts(task: TaskData, origin: str | None = None) -> DataFacts:
    """The data of a cell for its record; `origin` says where a user's own data lie."""
    return DataFacts(
        fingerprint=task.fingerprint,
        label_names=list(task.label_names),
        n_train=len(task.train),
        n_valid=len(task.valid),
        n_test=len(task.test),
        has_gold=task.gold.test is not None,
        notes=list(task.notes),
        origin=origin,
        repeats=task.repeats,
    )


def utc_now() -> str:
    """The time now, UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def code_version() -> str:
    """The git commit of this code ("+" when changed since), or its release."""
    root = Path(__file__).resolve().parents[2]
    if (root / ".git").exists():
        git = functools.partial(subprocess.run, cwd=root, capture_output=True, text=True, timeout=10, check=False)
        try:
            commit = git(["git", "rev-parse", "--short=12", "HEAD"]).stdout.strip()
            changed = git(["git", "status", "--porcelain", "--", "bench", "methods", "llm_labels"]).stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            return versions().get("noisy-label-bench", "")
        return commit + ("+" if changed else "")
    return versions().get("noisy-label-bench", "")
