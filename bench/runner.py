"""Run the cells of a plan: resume, claims, statuses, failures as rows. Nothing that is done runs twice."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from bench import device, noise
from bench.cell import code_version, data_facts, run_cell, utc_now, versions
from bench.errors import BenchError, Skip, UsageError
from bench.grid import Cell, Plan
from bench.noise import NoisyLabels
from bench.stages import StageStore
from bench.store import SCHEMA, Damaged, ErrorFacts, Record, read_record, write_atomically, write_record
from bench.tools import CellTools
from methods import shared

log = logging.getLogger("bench.runner")

CellStatus = Literal["done", "cached", "running", "failed", "skipped", "not run"]
WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class Event:
    """Something that happened to a cell."""

    kind: Literal["started", "progress", "finished"]
    cell: Cell
    status: CellStatus
    reason: str = ""
    record: Record | None = None
    phase: str = ""
    done: int = 0  # steps of the phase
    total: int = 0


@dataclass
class Summary:
    """How many cells ended how."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, status: CellStatus) -> None:
        """Count one more cell."""
        self.counts[status] = self.counts.get(status, 0) + 1

    @property
    def failed(self) -> int:
        """Cells that failed."""
        return self.counts.get("failed", 0)


Listener = Callable[[Event], None]


def check_results_folder(results: Path) -> None:
    """Refuse a results folder that a newer version of bench wrote. Raises UsageError; writes nothing."""
    path = results / "format.json"
    there = next(folder for folder in (results, *results.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise UsageError(f"--results '{results}': '{there}' is a file: name a folder")
    if not path.exists():
        return
    try:
        schema = json.loads(path.read_bytes())["schema"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # a damaged marker is written anew by the next run
    if isinstance(schema, int) and schema > SCHEMA:
        raise UsageError(
            f"results folder '{results}' has schema {schema}, this version of bench knows {SCHEMA}: upgrade bench, "
            "or name another folder with --results"
        )


def existing(cell: Cell, results: Path) -> Record | Damaged | None:
    """The record of a cell where there is one; a done record without whole arrays counts as damaged."""
    path = cell.key.path(results)
    if not path.exists():
        return None
    record = read_record(path)
    if isinstance(record, Record) and record.status == "done" and not zipfile.is_zipfile(path.with_suffix(".npz")):
        return Damaged(path, "its arrays (.npz) are missing or torn")
    return record


def claim(cell: Cell, results: Path) -> FileLock:
    """The lock that the process which runs a cell holds; the system frees it when that process dies."""
    folder = results / "claims"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{cell.key.hash[:24]}.lock")


def status_of(cell: Cell, results: Path) -> tuple[CellStatus, str]:
    """The status of a cell as it is on disk, with the reason where there is one."""
    record = existing(cell, results)
    if isinstance(record, Record) and record.status == "done":
        return "done", ""
    lock = results / "claims" / f"{cell.key.hash[:24]}.lock"
    if lock.exists():
        try:
            with FileLock(lock, timeout=0):
                pass
        except Timeout:
            return "running", ""
    if isinstance(record, Record) and record.status == "failed":
        return "failed", record.reason or ""
    if cell.skip:
        return "skipped", cell.skip
    if isinstance(record, Record):
        return record.status, record.reason or ""
    return "not run", f"damaged record: {record.why}" if isinstance(record, Damaged) else ""


def run(plan: Plan, listen: Listener, *, force: bool = False) -> Summary:
    """Run what is not done. A failed cell is a row, and the others go on.

    Cells that another process is running are waited for, and taken over if it dies. KeyboardInterrupt passes
    through; what is done is kept.
    """
    results = plan.options.results
    check_results_folder(results)
    store = StageStore(results / "stages" if plan.options.stages else None)
    summary = Summary()
    if device.is_first_process():
        write_atomically(results / "format.json", json.dumps({"schema": SCHEMA}).encode())
    gc.freeze()  # on a GPU Accelerate collects garbage after every fit: spare it the objects that stay
    labels = _LabelCache(store)
    waiting = list(plan.cells)
    while waiting:
        deferred = []
        for cell in waiting:
            status = _run_one(cell, results, store, labels, listen, force=force)
            if status is None:
                deferred.append(cell)
            else:
                summary.add(status)
        if deferred:
            time.sleep(WAIT_SECONDS)
        waiting, force = deferred, False
    device.wait_for_all()
    return summary


def _run_one(cell, results: Path, store, labels: _LabelCache, listen: Listener, *, force: bool) -> CellStatus | None:
    """The status that a cell ended with; None when another process holds it."""

    def finished(status: CellStatus, record: Record | None, reason: str = "") -> CellStatus:
        listen(Event("finished", cell, status, reason, record))
        return status

    with _held(cell, results) as mine:
        if not mine:
            return None
        found = existing(cell, results) if device.is_first_process() else None
        if isinstance(found, Damaged):
            log.warning("record %s is damaged (%s): running the cell again", found.path.name, found.why)
        done = isinstance(found, Record) and found.status == "done" and not force
        if device.decided_by_first_process(done):
            return finished("cached", found)
        if cell.skip:
            return finished("skipped", _keep(_without_result(cell, "skipped", cell.skip), results), cell.skip)
        listen(Event("started", cell, "running"))
        try:
            result = device.together(lambda: run_cell(cell, labels.get(cell), _tools(cell, store, listen)))
        except Skip as skip:
            return finished("skipped", _keep(_without_result(cell, "skipped", str(skip)), results), str(skip))
        except Exception as error:
            return finished("failed", keep_failure(cell, results, error), reason_of(error))
        if device.is_first_process():
            write_record(result.record, results, result.arrays)
            _trace_path(cell, results).unlink(missing_ok=True)
        return finished("done", result.record)


def reason_of(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split()) or "no message"
    return text if isinstance(error, BenchError) else f"{type(error).__name__}: {text}"[:500]


@contextlib.contextmanager
def _held(cell: Cell, results: Path) -> Iterator[bool]:
    """Whether this process (with those launched beside it) may run the cell now; holds the claim meanwhile."""
    lock = None
    if device.is_first_process():
        lock = claim(cell, results)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            lock = None
    try:
        yield device.decided_by_first_process(lock is not None)
    finally:
        if lock is not None:
            lock.release()


def _tools(cell: Cell, store: StageStore, listen: Listener) -> CellTools:
    def progress(phase: str, done: int, total: int) -> None:
        listen(Event("progress", cell, "running", phase=phase, done=done, total=total))

    return CellTools(
        encoder=cell.encoder,
        sentence_encoder=cell.sentence_encoder,
        recipe=cell.recipe,
        stages=store,
        seed=cell.key.seed,
        axes=(cell.task.name, cell.source.id),
        progress=progress,
    )


@dataclass
class _LabelCache:
    """The noisy labels drawn last: neighbouring cells share them."""

    store: StageStore
    key: tuple = ()
    value: NoisyLabels | None = None

    def get(self, cell: Cell) -> NoisyLabels:
        """The labels of a cell, drawn when they are not those of the cell before."""
        key = (cell.key.data, cell.key.noise, cell.key.seed, cell.key.sentence_encoder)
        if key != self.key:
            self.value = noise.draw(
                cell.source,
                cell.task,
                cell.key.seed,
                embeddings=lambda: self._embeddings(cell),
                uncovered=cell.key.options.get("uncovered", "uniform"),
            )
            self.key = key
        return self.value

    def _embeddings(self, cell: Cell) -> dict:
        splits = {split: cell.task.texts(split) for split in shared.SPLITS}
        return {split: shared.embed_texts(texts, cell.sentence_encoder, self.store) for split, texts in splits.items()}


def _without_result(cell: Cell, status: str, reason: str) -> Record:
    return Record(
        hash=cell.key.hash,
        key=cell.key,
        status=status,
        reason=reason,
        data=data_facts(cell.task),
        versions=versions(),
        code_version=code_version(),
        command=cell.command,
        created=utc_now(),
    )


def _keep(record: Record, results: Path) -> Record:
    if device.is_first_process():
        write_record(record, results)
    return record


def _trace_path(cell: Cell, results: Path) -> Path:
    return cell.key.path(results).with_suffix(".traceback.txt")


def keep_failure(cell: Cell, results: Path, error: Exception) -> Record:
    """The record of a cell that failed, written with the traceback in a file beside it."""
    record = _without_result(cell, "failed", reason_of(error))
    path = _trace_path(cell, results)
    if device.is_first_process():
        write_atomically(path, "".join(traceback.format_exception(error)).encode("utf-8", "replace"))
    record.error = ErrorFacts(
        type=type(error).__name__,
        message=str(error)[:2000],
        traceback_file=path.name,
    )
    return _keep(record, results)
