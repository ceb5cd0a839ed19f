"""One cell: run the method on noisy labels, check what it yields, score it against gold it never saw."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.core.texts import SPLITS
from bench.data.task import TaskData
from bench.grid.cells import Cell
from bench.noise.draw import draw
from bench.noise.facts import NoisyLabels, noise_facts
from bench.running.contract import files_of, filled_labels, opened, run_method
from bench.running.data_files import Place, names_of
from bench.running.opinions import opinion_arrays
from bench.running.scoring import label_arrays, partial_scores, score_steps
from bench.store.parts import DataFacts
from bench.store.provenance import code_version, utc_now, versions
from bench.store.records import Record, Status
from bench.training import device
from bench.training.stages import StageStore
from bench.training.tools import Tools
from methods import registry, shared


@dataclass(frozen=True)
class Result:
    """A finished cell: its record and the arrays beside it."""

    record: Record
    arrays: dict[str, np.ndarray]


def tools_for(cell: Cell, stages: StageStore, **callbacks: Any) -> Tools:
    """What the harness lends the method of a cell; `callbacks` are `progress` and `track` of Tools."""
    return Tools(
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


def run_cell(cell: Cell, labels: NoisyLabels, tools: Tools, places: Sequence[Place] = ()) -> Result:
    """Run and score one cell; its record names what the method opened in `places`, where the task's data lie.

    Raises Skip, BenchError, or whatever the method raises.
    """
    started, processor = time.perf_counter(), device.processor_seconds()
    device.measure_memory_anew()
    uses = tools.stages.begin()
    task, method = cell.task, registry.fresh(cell.method)  # cells of other seeds have the same one
    view, with_gold = opened(method, task, labels, tools)
    steps = run_method(method, view, tools)
    trained = time.perf_counter()
    valid = labels.valid
    scores, curve, arrays = score_steps(steps, valid, labels.train, task.gold)
    arrays |= label_arrays(labels, task.gold) | opinion_arrays(steps, labels)
    now = time.perf_counter()
    record = record_of(
        cell,
        "done",
        sees_gold=with_gold,
        human_labels=None if view.human is None else len(view.human.rows),
        opened_files=names_of(files_of(method), places),
        noise=noise_facts(labels, task.gold, len(task.label_names), filled_labels(task, labels, tools)),
        scores=scores,
        partial=partial_scores(arrays, labels.test, task.gold.test),
        curve=curve,
        seconds={
            "total": now - started,
            "method": trained - started,
            "scoring": now - trained,
            "processor": device.processor_seconds() - processor,
        },
        stages=uses,
        peak_memory_mb=device.peak_memory_mb(),
        parameters=tools.trainer.parameters or None,
        device=device.describe(device.reason_for(tools.recipe.precision)) | {"notes": list(tools.trainer.notes)},
        diagnostics={**dict(steps[-1].diagnostics), **labels.facts},
    )
    return Result(record, arrays)


def record_of(cell: Cell, status: Status, **facts: Any) -> Record:
    """A record with what is known of a cell before it runs, and `facts`."""
    return Record(
        hash=cell.key.hash,
        key=cell.key,
        status=status,
        data=data_facts(cell.task, cell.origin),
        versions=versions(),
        code_version=code_version(),
        command=cell.command,
        created=utc_now(),
        **facts,
    )


def data_facts(task: TaskData, origin: str | None = None) -> DataFacts:
    """The data of a cell for its record; `origin` says where a user's own data lie."""
    return DataFacts(
        fingerprint=task.fingerprint,
        label_names=list(task.label_names),
        n_train=len(task.train),
        n_valid=len(task.valid),
        n_test=len(task.test),
        has_gold=task.gold.test is not None,
        n_scored=0 if task.gold.test is None else int((task.gold.test >= 0).sum()),
        notes=list(task.notes),
        origin=origin,
        repeats=task.repeats,
    )
