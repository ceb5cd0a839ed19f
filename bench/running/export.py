"""Take the model of a cell away: train the cell again, compare it with its record, write it, load it and compare again.

Records hold no weights. Training is deterministic, so the networks of a cell are had by training it once more; whether
they are the same networks is not assumed but measured on the stored test predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import BenchError, UsageError
from bench.core.files import new_folder
from bench.grid.again import cell_of
from bench.grid.cells import Cell
from bench.running.cell import labels_for, tools_for
from bench.running.contract import opened, run_method
from bench.running.exported import SCALING, Facts, load_exported, predicted, save_exported
from bench.store.folder import ResultsFolder
from bench.store.opinions import rounded
from bench.store.records import Record, read_arrays
from bench.training.networks import Classifier
from bench.training.stages import Arrays, StageStore
from methods import registry, shared
from methods.base import Predictions
from methods.dirichlet_vae import Correction

Progress = Callable[[str, int, int], None]
ROUNDING = 2e-6
"""How far the mean of the networks may be from what the method predicts."""
TOLERANCE = 2e-5
"""How far the model that was written may be from it, another order of sums included."""


@dataclass(frozen=True)
class Export:
    """What was written, and how it compares with the record."""

    folder: Path
    facts: Facts
    texts: int  # test texts that were compared
    differing: int  # of these texts, those with another stored probability (float16)
    largest: float  # the largest difference
    changed: int  # texts whose predicted class differs


class _WithoutRuns(StageStore):
    """A store from which training runs are not taken: it does not hold their weights."""

    def get(self, name: str, key: Mapping[str, Any], compute: Callable[[], Arrays]) -> Arrays:
        return self._compute(compute).arrays if name.endswith(" run") else super().get(name, key, compute)


def refuse_export(record: Record, out: Path) -> None:
    """Raises UsageError for a cell that has no model to take away, and for a folder that is in use."""
    if record.status != "done":
        raise UsageError(f"cell {record.hash[:12]} is {record.status}: only a cell that is done has a model")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out '{out}' already exists: name a new folder")


def export(record: Record, results: Path, out: Path, progress: Progress = lambda phase, done, total: None) -> Export:
    """Write the model of a cell's last step into the folder `out`.

    Raises UsageError for a method that does not predict by its networks alone, for data or code that have changed, and
    what `refuse_export` raises; BenchError where the model, loaded again, predicts something else.
    """
    refuse_export(record, out)
    stored = read_arrays(record.key.path(results), "test_last")["test_last"]
    cell = cell_of(record, results)
    if not cell.exportable:
        raise not_exportable(cell)
    last, networks, correction, mean = _trained(cell, results, progress)
    if not networks or np.abs(mean - last.test).max(initial=0.0) > ROUNDING:
        raise not_exportable(cell)
    facts = _write(cell, last, networks, correction, out)
    again = rounded(last.test)
    gaps = np.abs(again.astype(np.float32) - stored.astype(np.float32))
    return Export(
        out,
        facts,
        texts=len(stored),
        differing=int((again != stored).any(1).sum()),
        largest=float(gaps.max(initial=0.0)),
        changed=int((again.argmax(1) != stored.argmax(1)).sum()),
    )


def not_exportable(cell: Cell) -> UsageError:
    """Why a method's model cannot be taken away, and what can be."""
    name, mode = cell.key.method, cell.encoder.mode
    if cell.encoder.top is not None:
        return UsageError(
            f"cell {cell.key.hash[:12]} trained the upper layers of {cell.key.encoder} alone ({mode}); such a model "
            f"cannot be exported: export a cell of {cell.key.encoder} or {cell.key.encoder}:frozen"
        )
    others = {each: cls for each, cls in registry.available().items() if each != name.partition("+")[0]}
    able = [each for each, cls in others.items() if cls.exportable in (True, mode) and not cls.sees_gold]
    return UsageError(
        f"{name} needs more than its trained networks to predict, so its model cannot be exported from a {mode} "
        f"encoder: export a cell of {', '.join(able)}, or train plain on labels that `bench clean` corrected"
    )


def _trained(
    cell: Cell, results: Path, progress: Progress
) -> tuple[Predictions, list[Classifier], Correction | None, np.ndarray]:
    """The last step of a cell that is trained again, its networks, what corrects them, and their test predictions."""
    if cell.skip:
        raise UsageError(f"{cell.label}: {cell.skip}")
    stages = _WithoutRuns(ResultsFolder(results).stages)
    tools = tools_for(cell, stages, progress=progress)
    tools.trainer.keep = True
    labels = labels_for(cell, stages)
    method = registry.fresh(cell.method)
    view, _ = opened(method, cell.task, labels, tools)
    last = run_method(method, view, tools)[-1]
    trainer, temperature = tools.trainer, last.diagnostics.get("temperature")
    networks, correction = list(dict.fromkeys(trainer.kept)), trainer.correction
    if not networks:
        return last, [], None, last.test
    if correction:
        networks = trainer.snapshots[-len(networks) * correction.shift.shape[1] :]
    test = predicted(trainer, networks, shared.inputs(view, tools)["test"], correction, temperature)
    return last, networks, correction, test


def _write(
    cell: Cell, last: Predictions, networks: list[Classifier], correction: Correction | None, out: Path
) -> Facts:
    """The export, under another name until it has been loaded and has predicted what it should."""
    encoder, frozen = cell.encoder, cell.encoder.mode == "frozen"
    name = str(Path(encoder.name).resolve()) if Path(encoder.name).is_dir() else encoder.name
    facts = Facts(
        kind="heads" if frozen else "networks",
        label_names=list(cell.task.label_names),
        encoder=name,
        encoder_revision=encoder.revision,
        pooling=encoder.pooling,
        max_length=encoder.max_length if frozen else encoder.longest,
        scaling=SCALING if frozen else None,
        networks=len(networks),
        branches=len(correction.shift) if correction else None,
        temperature=last.diagnostics.get("temperature"),
        precision=cell.recipe.precision,
        cell=cell.key.hash,
        method=cell.key.method,
    )
    if out.is_dir():
        out.rmdir()
    with new_folder(out) as draft:
        save_exported(facts, encoder, networks, draft, correction)
        model = load_exported(draft)
        gap = float(np.abs(model.predict(cell.task.test.texts) - last.test).max(initial=0.0))
        if gap > TOLERANCE:
            raise BenchError(f"the model, loaded again, predicts probabilities that differ by up to {gap:.2g}")
    return model.facts
