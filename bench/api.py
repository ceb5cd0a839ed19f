"""Grids from Python, for notebooks and scripts: run one, or open its cells and look inside.

Options are those of `bench run`, with underscores: `run_grid(methods="plain,npc", tasks="tweets", noise="sn@0.3")`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from bench.core.errors import Skip, UsageError, listed
from bench.core.texts import SPLITS
from bench.data.task import TaskData
from bench.grid.cells import Cell, Plan, plan
from bench.grid.given import Given
from bench.grid.options import load_options
from bench.noise.facts import NoisyLabels
from bench.running.cell import labels_for, tools_for
from bench.running.contract import opened
from bench.running.events import Event, Finished, Message, Progress, Started
from bench.running.executors.base import Executor
from bench.running.executors.dispatch import check
from bench.running.runner import run
from bench.running.settle import added, check_settling, next_round
from bench.store.folder import ResultsFolder
from bench.store.records import Record, read_record
from bench.training.stages import StageStore
from bench.training.tools import Tools
from methods import registry, shared
from methods.base import NoisyTask, Predictions

if TYPE_CHECKING:
    from bench.report.api import Loaded


@dataclass(frozen=True, repr=False)
class OpenCell:
    """One cell of a grid, not run: what its method would see, and, to study it, also gold.

    Printed, it is three lines: its name, its texts and classes, and what is wrong with its labels.

    Attributes
    ----------
    name : str
        Task, noise source, method, set-up and seed.
    task : NoisyTask
        Texts and noisy labels: all that a method may know (gold training labels for oracle).
    method : Method
        The method, with its `config`.
    tools : Tools
        What it would be lent.
    data : TaskData
        The same texts with gold.
    labels : NoisyLabels
        The noisy labels, also those of test where a labeller gave them.
    """

    name: str
    task: NoisyTask
    method: Any
    tools: Tools
    data: TaskData
    labels: NoisyLabels

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(self.data.texts(split)):,} {split}" for split in SPLITS)
        gold, silent = self.data.gold.train, float((self.labels.train < 0).mean())
        wrong = "no gold to count the wrong ones"
        if gold is not None:
            wrong = f"{100 * self.wrong[gold >= 0].mean():.1f} % wrong"
        return (
            f"OpenCell {self.name}\n"
            f"  texts: {sizes}; {len(self.task.label_names)} classes: {listed(self.task.label_names, 6)}\n"
            f"  train labels: {wrong}, {100 * silent:.1f} % without an answer"
        )

    @property
    def wrong(self) -> np.ndarray:
        """bool[N_train]: which training labels differ from gold; no answer counts as wrong. Raises UsageError.

        False for texts without gold.
        """
        if self.data.gold.train is None:
            raise UsageError(f"task {self.task.name} has no gold labels, so it is unknown which labels are wrong")
        return (self.labels.train != self.data.gold.train) & (self.data.gold.train >= 0)

    def embeddings(self) -> dict[str, np.ndarray]:
        """Sentence embeddings of the texts.

        Returns
        -------
        {split: float32[N, D]}
            Of train, valid and test, each of unit length.

        Raises
        ------
        Unavailable
            Where the sentence encoder is not here.
        """
        return shared.embeddings(self.task, self.tools)

    def predictions(self) -> Iterator[Predictions]:
        """Train the method: what it predicts after each step, unscored and not stored.

        Yields
        ------
        Predictions
            Class probabilities of valid and test, float32[N, C].

        Raises
        ------
        Skip
            Where the method cannot run on this task.
        """
        yield from self.method.run(self.task, self.tools)


def open_cells(**options: Unpack[Given]) -> list[OpenCell]:
    """The cells of a grid, ready to be looked at; nothing is trained, and stages are kept below `results`.

    Parameters
    ----------
    **options
        Those of `bench run`, with underscores: `methods="plain,npc"` or `methods=["plain", "npc"]`.

    Returns
    -------
    list of OpenCell
        In the order in which `bench run` would run them.

    Raises
    ------
    UsageError
        For an unknown option or name, or a value that is not allowed; the message says what is.
    Unavailable
        Where data or a model are not here; the message says how to get them.
    Skip
        For a cell that cannot run, with the reason.
    """
    made = plan(load_options(options))
    store = StageStore(ResultsFolder(made.options.results).stages if made.options.stages else None)
    return [_opened(cell, store) for cell in made.cells]


def _opened(cell: Cell, store: StageStore) -> OpenCell:
    if cell.skip:
        raise Skip(f"{cell.label}: {cell.skip}")
    tools, labels, method = tools_for(cell, store), labels_for(cell, store), registry.fresh(cell.method)
    view, _ = opened(method, cell.task, labels, tools)
    return OpenCell(cell.label, view, method, tools, cell.task, labels)


def run_grid(
    *, listen: Callable[[Event], None] | None = None, baseline: str = "plain", **options: Unpack[Given]
) -> Loaded:
    """Run a grid and load its results; finished cells are read, not run again.

    Cells run in this process, unless `executor`, `jobs` or `processes_per_cell` say that others run them.

    Parameters
    ----------
    listen
        Called with every event (`bench.running.events.Event`): a cell started, made progress, ended. Losses of single
        steps (`metrics`) are told in this process alone.
    baseline
        The method that differences in tables are taken to.
    **options
        Those of `bench run`, with underscores: `methods="plain,npc"` or `methods=["plain", "npc"]`.

    Returns
    -------
    Loaded
        All of the results folder, as `load_results` gives it. A failed cell is a row with its reason.

    Raises
    ------
    UsageError
        For an unknown option or name, or a value that is not allowed; the message says what is.
    Unavailable
        Where data, a model or the executor's package are not here; the message says how to get them.
    BenchError
        Where cells could not be run at all.
    """
    from bench.report.api import load_results

    chosen = load_options(options)
    executor = check(chosen)
    made, hear = plan(chosen), listen or (lambda event: None)
    check_settling(made)
    _run_round(made, hear, executor)
    while (more := next_round(made)) is not None:
        made = more
        _run_round(added(made), hear, executor)
    return load_results(made.options.results, baseline)


def _run_round(made: Plan, hear: Callable[[Event], None], executor: Executor) -> None:
    """Run the cells of a plan, in this process where nothing says otherwise."""
    options = made.options
    if executor.name == "local" and options.jobs == options.processes_per_cell == 1:
        run(made, hear)
        return
    cells = {cell.key.hash: cell for cell in made.cells}

    def tell(message: Message) -> None:
        if event := _event(message, cells, options.results):
            hear(event)

    executor.run(made, tell)


def _event(message: Message, cells: Mapping[str, Cell], results: Path) -> Event | None:
    """What another process said, as an event of this one; None for what is not about a cell."""
    match message:
        case Started():
            return Event("started", cells[message.hash], "running")
        case Progress() as at:
            return Event("progress", cells[at.hash], "running", phase=at.phase, done=at.done, total=at.total)
        case Finished():
            cell = cells[message.hash]
            record = read_record(cell.key.path(results))
            kept = record if isinstance(record, Record) else None
            return Event("finished", cell, message.status, message.reason or "", kept)
    return None
