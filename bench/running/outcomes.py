"""How a cell ended, as it lies on disk: its status, its record, and what is written when it fails."""

from __future__ import annotations

import contextlib
import json
import tempfile
import traceback
from pathlib import Path

from bench.core.deadline import CellTimeout
from bench.core.errors import BenchError, UsageError
from bench.core.files import nearest_existing, write_atomically
from bench.grid.cells import Cell
from bench.grid.options import GridOptions
from bench.running.cell import record_of
from bench.running.contract import human_count, sees_gold
from bench.running.events import CellStatus, Ended
from bench.store.claims import Claims
from bench.store.folder import SCHEMA, ResultsFolder
from bench.store.parts import ErrorFacts
from bench.store.prune import refuse_links, remove_leftovers
from bench.store.records import (
    Damaged,
    Record,
    Status,
    has_arrays,
    has_record,
    read_record,
    write_record,
)
from bench.training import distributed

TRACEBACK = ".traceback.txt"


def check_results_folder(results: Path) -> None:
    """Refuse a results folder that a newer version of bench wrote. Raises UsageError; writes nothing."""
    there = nearest_existing(results)
    if not there.is_dir():
        raise UsageError(
            f"--results '{results}': '{there}' is a file: name a folder (a pack goes into one, as packed.zip)"
        )
    ResultsFolder(results).refuse_newer()


def refuse_unwritable(results: Path) -> None:
    """Refuse a results folder that cannot be written to, or not be made. Raises UsageError; leaves nothing behind."""
    try:
        with tempfile.TemporaryFile(dir=nearest_existing(results)):
            pass
    except OSError as error:
        raise _unwritable(results, error) from None


def _unwritable(results: Path, error: OSError) -> UsageError:
    return UsageError(
        f"results folder '{results}' cannot be written to ({error.strerror}): name another with --results"
    )


def prepare_results(results: Path) -> None:
    """Make a results folder ready for a run, and tidy up after processes that were killed in one.

    Raises UsageError for a folder of a newer version, one that cannot be written to, or one with links out of it.
    """
    check_results_folder(results)
    refuse_links(results)
    refuse_unwritable(results)
    marker = json.dumps({"schema": SCHEMA}).encode()
    folder = ResultsFolder(results)
    path = folder.marker
    for pack in folder.packs():  # what is damaged is told before anything runs
        pack.verify()
    try:
        if not path.exists() or path.read_bytes() != marker:
            write_atomically(path, marker)
        remove_leftovers(results)
    except OSError as error:
        raise _unwritable(results, error) from None


def existing(cell: Cell, results: Path) -> Record | Damaged | None:
    """The record of a cell where there is one; a done record without whole arrays counts as damaged."""
    path = cell.key.path(results)
    if not has_record(path):
        return None
    record = read_record(path)
    if isinstance(record, Record) and record.status == "done" and not has_arrays(path):
        return Damaged(path, "its arrays (.npz) are missing or torn")
    return record


def status_of(cell: Cell, results: Path) -> tuple[CellStatus, str]:
    """The status of a cell as it is on disk, with the reason where there is one; a running one says by whom."""
    record = existing(cell, results)
    if isinstance(record, Record) and record.status == "done":
        return "done", ""
    holder = Claims(results).holder(cell.key.hash)
    if holder:
        return "running", holder
    if isinstance(record, Record) and record.status == "failed":
        return "failed", record.reason or ""
    if cell.skip:
        return "skipped", cell.skip
    if isinstance(record, Record):
        return record.status, record.reason or ""
    return "not run", f"damaged record: {record.why}" if isinstance(record, Damaged) else ""


def to_run(cell: Cell, status: str, reason: str | None, options: GridOptions, *, force: bool = False) -> bool:
    """Whether a run takes up a cell that has this status on disk; one that another process holds is not counted."""
    match status:
        case "done":
            return force
        case "failed":
            return options.retry == "failed"
        case "skipped":  # by its method, where the plan has nothing against it
            return reason != cell.skip if cell.skip else force
    return status != "running"


def settled(
    cell: Cell, record: Record | Damaged | None, options: GridOptions, *, force: bool = False, ours: bool = False
) -> Ended | None:
    """How a cell that needs no run ended, by its record; None: it is to be run. `ours`: it is of this run."""
    if not isinstance(record, Record) or (
        not ours and to_run(cell, record.status, record.reason, options, force=force)
    ):
        return None
    return Ended("cached" if record.status == "done" else record.status, record, record.reason or "")


def reason_of(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split()) or "no message"
    return text if isinstance(error, BenchError | CellTimeout) else f"{type(error).__name__}: {text}"[:500]


def without_result(cell: Cell, status: Status, reason: str) -> Record:
    """The record of a cell without scores: skipped, or failed."""
    facts = {"sees_gold": sees_gold(cell.method), "human_labels": human_count(cell.method, cell.task)}
    return record_of(cell, status, reason=reason, **facts)


def not_kept(results: Path, error: OSError) -> str:
    """Why a result is not on disk, for people."""
    return f"the result could not be written to '{results}': {error.strerror}; what is there is kept"


def keep(record: Record, results: Path, arrays: dict | None = None) -> Ended:
    """Write a record. One that cannot be written is a failed cell; the grid goes on."""
    if not distributed.is_first_process():
        return Ended(record.status, record, record.reason or "")
    trace = record.key.path(results).with_suffix(TRACEBACK)
    try:
        write_record(record, results, arrays)
        if record.error is None:
            trace.unlink(missing_ok=True)
    except OSError as error:
        return Ended("failed", reason=not_kept(results, error))
    return Ended(record.status, record, record.reason or "")


def keep_failure(cell: Cell, results: Path, error: BaseException, trace: str | None = None) -> Ended:
    """Write the record of a cell that failed, with the traceback (or `trace`) in a file beside it; see `keep`."""
    record = without_result(cell, "failed", reason_of(error))
    path = cell.key.path(results).with_suffix(TRACEBACK)
    if distributed.is_first_process():
        text = trace if trace is not None else "".join(traceback.format_exception(error))
        with contextlib.suppress(OSError):  # the record says more, and says so if it cannot be written either
            write_atomically(path, text.encode("utf-8", "replace"))
    record.error = ErrorFacts(type=type(error).__name__, message=str(error)[:2000], traceback_file=path.name)
    return keep(record, results)
