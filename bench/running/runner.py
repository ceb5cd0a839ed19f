"""Run the cells of a plan: resume, claims, statuses, failures as rows. Nothing that is done runs twice."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.core.deadline import CellTimeout, deadline
from bench.core.errors import Skip
from bench.grid.cells import Cell, Plan
from bench.grid.options import GridOptions
from bench.noise.facts import NoisyLabels
from bench.running import outcomes
from bench.running.cell import Result, labels_for, run_cell, tools_for
from bench.running.contract import outlived
from bench.running.data_files import data_places
from bench.running.events import CellStatus, Ended, Event, Listener, Summary
from bench.running.outcomes import existing, keep, keep_failure, not_kept, prepare_results, without_result
from bench.running.tracking import Tracked
from bench.store.claims import Claims
from bench.store.folder import ResultsFolder
from bench.store.records import Damaged, read_record, record_version, same_version
from bench.training import distributed
from bench.training.stages import StageStore

log = logging.getLogger("bench.runner")

WAIT_SECONDS = 0.5


Before = Mapping[str, tuple[int, int, int]]
"""The records that there were when a run began: cell hash -> version of the record."""


def records_before(plan: Plan) -> Before:
    """The records of a plan's cells as they are now. What another process writes later is a result, not a leftover.

    Raises UsageError for one of a newer version of bench.
    """
    found = {}
    for cell in plan.cells:
        path = cell.key.path(plan.options.results)
        if version := record_version(path):
            found[cell.key.hash] = version
            read_record(path)  # raises before anything is trained
    return found


@dataclass
class Session:
    """What one process keeps from cell to cell of a plan."""

    options: GridOptions
    listen: Listener
    before: Before
    force: bool = False
    results: Path = field(init=False)
    claims: Claims = field(init=False)
    stages: StageStore = field(init=False)
    _labels: tuple[tuple, NoisyLabels] | None = None

    def __post_init__(self) -> None:
        self.results = self.options.results
        if self.options.track:
            self.listen = Tracked(self.listen, self.options.track, self.results)
        self.claims = Claims(self.results)
        self.stages = StageStore(ResultsFolder(self.results).stages if self.options.stages else None)

    def labels(self, cell: Cell) -> NoisyLabels:
        """The noisy labels of a cell; those drawn last are kept, as neighbouring cells share them."""
        key = cell.key  # drawn noise depends on the name of the task too
        drawn = (key.task, key.data, key.noise, key.seed, key.sentence_encoder)
        if self._labels is None or self._labels[0] != drawn:
            self._labels = drawn, labels_for(cell, self.stages)
        return self._labels[1]


def run(
    plan: Plan,
    listen: Listener,
    *,
    force: bool = False,
    stop: Callable[[], bool] = lambda: False,
    prepare: bool = True,
) -> Summary:
    """Run what is not done. A failed cell is a row, and the others go on.

    Cells that another process is running are waited for, and taken over if it dies. When `stop()` is true, no
    further cell starts. KeyboardInterrupt passes through; what is done is kept. Without `prepare`, the results folder
    must have been prepared (outcomes.prepare_results).
    """
    if prepare and distributed.is_first_process():
        prepare_results(plan.options.results)
    session = Session(plan.options, listen, records_before(plan), force)
    summary = Summary()
    waiting, told = list(plan.cells), False
    while waiting:
        deferred = []
        for cell in waiting:
            if distributed.decided_by_first_process(stop()):
                summary.stopped = True
                return summary
            status = run_one(cell, session)
            if status is None:
                deferred.append(cell)
            else:
                summary.add(status)
        if deferred:
            if deferred == waiting and not told:
                told = True
                holder = session.claims.holder(deferred[0].key.hash) or ""
                log.warning("waiting for cells that another run holds: %d cells, the first %s", len(deferred), holder)
            time.sleep(WAIT_SECONDS)
        waiting = deferred
    distributed.wait_for_all()
    return summary


def settled(cell: Cell, session: Session) -> Ended | None:
    """How a cell that needs no run ended, by its record; None when it is to be run."""
    record = existing(cell, session.results)
    if isinstance(record, Damaged):
        log.warning("record %s is damaged (%s): running the cell again", record.path.name, record.why)
    # A record that came after this run began is another process's result of now: nothing to run again.
    ours = not same_version(record_version(cell.key.path(session.results)), session.before.get(cell.key.hash))
    return outcomes.settled(cell, record, session.options, force=session.force, ours=ours)


def run_one(cell: Cell, session: Session) -> CellStatus | None:
    """The status that a cell ended with; None when another process holds it."""

    def finished(how: Ended) -> CellStatus:
        session.listen(Event.ended(cell, how))
        return how.status

    def ended() -> CellStatus | None:
        known = settled(cell, session) if distributed.is_first_process() else None
        verdict = distributed.decided_by_first_process(known and (known.status, known.reason))
        return finished(Ended(verdict[0], known and known.record, verdict[1])) if verdict else None

    path = cell.key.path(session.results)
    seen = record_version(path)
    if status := ended():  # what is done needs no claim
        return status
    with contextlib.ExitStack() as stack:
        lease = None
        if distributed.is_first_process():
            try:
                lease = stack.enter_context(session.claims.held(cell.key.hash))
            except OSError as error:  # not even the claim could be written
                return finished(Ended("failed", reason=not_kept(session.results, error)))
        if not distributed.decided_by_first_process(bool(lease)):
            return None
        changed = distributed.decided_by_first_process(not same_version(record_version(path), seen))
        if changed and (status := ended()):
            return status
        if cell.skip:
            return finished(keep(without_result(cell, "skipped", cell.skip), session.results))
        session.listen(Event("started", cell, "running"))
        try:
            result = _result(cell, session)
        except Skip as skip:
            return finished(keep(without_result(cell, "skipped", str(skip)), session.results))
        except (Exception, CellTimeout) as error:
            return finished(keep_failure(cell, session.results, error))
        if lease is not None and lease.compromise and (known := settled(cell, session)):
            return finished(known)  # this process was away: another has done it meanwhile
        record = result.record.model_copy(update={"until_settled": session.options.until_settled})
        try:
            how = keep(record, session.results, result.arrays)
        except ValueError as error:  # JSON cannot hold it: what a user's noise says of its draw, for one
            how = keep_failure(cell, session.results, error)
        return finished(how)


def _result(cell: Cell, session: Session) -> Result:
    """The result of a cell, in time; processes that train it together leave it together."""

    def progress(phase: str, done: int, total: int) -> None:
        session.listen(Event("progress", cell, "running", phase=phase, done=done, total=total))

    def track(values: dict[str, float], step: int) -> None:
        session.listen(Event("metrics", cell, "running", done=step, values=values))

    def compute() -> Result:
        tools = tools_for(cell, session.stages, progress=progress, track=track if session.options.track else None)
        places = data_places(cell.task, session.options.data_dir, session.results)
        with outlived():
            return run_cell(cell, session.labels(cell), tools, places)

    if distributed.processes() > 1:
        return distributed.together(compute, session.options.timeout)
    with deadline(session.options.timeout):
        return compute()
