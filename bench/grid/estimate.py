"""What a grid would cost before it runs: the stages that its cells share, and the time that earlier records suggest."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from bench.grid.cells import Cell, group_of
from bench.store.records import Record
from methods import shared


@dataclass(frozen=True)
class Stage:
    """A shared stage of a grid, computed once for all cells that ask for it."""

    name: str
    identity: tuple  # what data, labels, encoder, recipe and settings it is for
    settings: dict[str, Any]


@dataclass
class SharedStage:
    """How often one kind of stage is computed, and for how many cells of which methods."""

    name: str
    computed: int = 0
    cells: int = 0
    methods: set[str] = field(default_factory=set)


def stages_of(cell: Cell) -> list[Stage]:
    """The training stages that a cell goes through; none for a method that does not declare them."""
    declared = cell.method.shared_stages(cell.recipe.epochs)
    labels = "gold" if cell.method.sees_gold else "noisy"
    found = []
    for name, settings in declared.items():
        settings = shared.DEFAULTS[name] | settings
        identity = (name, labels, json.dumps(settings, sort_keys=True), group_of(cell), cell.key.sentence_encoder)
        found.append(Stage(name, identity, settings))
    return found


def shared_stages(cells: Iterable[Cell], there: Collection[tuple] = ()) -> list[SharedStage]:
    """The kinds of stages that serve more cells than they are computed times, most useful first.

    `there` are the identities of stages that finished cells have left behind.
    """
    rows: dict[str, SharedStage] = {}
    seen = set(there)
    for cell in cells:
        for stage in stages_of(cell):
            row = rows.setdefault(stage.name, SharedStage(stage.name))
            row.cells += 1
            row.computed += stage.identity not in seen
            row.methods.add(cell.key.method)
            seen.add(stage.identity)
    return sorted((row for row in rows.values() if row.cells > row.computed), key=lambda row: row.computed - row.cells)


def shared_inputs(cells: Iterable[Cell], done: Iterable[Cell] = ()) -> list[SharedStage]:
    """How often the texts of the splits are tokenised (or embedded, for a frozen encoder) for the cells."""
    rows: dict[str, SharedStage] = {}
    seen = {_data_of(cell) for cell in done}
    for cell in cells:
        name = "embeddings" if cell.key.encoder_mode == "frozen" else "tokens"
        row = rows.setdefault(name, SharedStage(name))
        row.cells += 1
        row.computed += _data_of(cell) not in seen
        row.methods.add(cell.key.method)
        seen.add(_data_of(cell))
    return [row for row in rows.values() if row.cells > row.computed]


def _data_of(cell: Cell) -> tuple:
    return cell.key.task, cell.key.limit, cell.key.encoder, cell.key.encoder_mode


@dataclass(frozen=True)
class Estimate:
    """Seconds of a grid on one worker, and what they are based on."""

    seconds: float
    cells: int  # cells with something to go by
    unknown: int  # cells without
    records: int


def estimate(cells: Iterable[Cell], records: Iterable[Record], there: Collection[tuple] = ()) -> Estimate:
    """What cells would take, by the medians of finished records: of the same method on the same task and encoder,
    else of the method on another task, else of any method with the encoder, scaled by training texts and epochs.

    A cell's own time is what its record took without the shared stages; each of those counts once for the grid.
    Tokens and embeddings count once for a task and encoder that no record has yet.
    """
    known = _Known.of(records)
    total, with_basis, unknown = 0.0, 0, 0
    seen = set(there) | known.data
    for cell in cells:
        seconds = known.seconds(known.own, cell, cell.key.method)
        if seconds is None:
            unknown += 1
            continue
        with_basis += 1
        total += seconds
        data = (cell.key.task, cell.key.encoder, cell.key.encoder_mode)
        if data not in seen:
            seen.add(data)
            a_split = sum(known.seconds(known.stages, cell, name) or 0.0 for name in ("tokens", "embeddings"))
            total += len(shared.SPLITS) * a_split
        for stage in stages_of(cell):
            if stage.identity not in seen:
                seen.add(stage.identity)
                total += known.seconds(known.stages, cell, stage.name) or 0.0
    return Estimate(total, with_basis, unknown, known.count)


def _levels(task: str, encoder: str, mode: str, what: str) -> list[tuple]:
    return [(task, encoder, mode, what), (encoder, mode, what), (encoder, mode)]


def _work(texts: int, epochs: int) -> int:
    return max(texts * epochs, 1)


def _medians(times: dict[tuple, list[float]]) -> dict[tuple, float]:
    return {level: statistics.median(values) for level, values in times.items()}


@dataclass
class _Known:
    """Median seconds per training text and epoch, of finished cells: by method, and of their stages by name."""

    own: dict[tuple, float]
    stages: dict[tuple, float]
    data: set[tuple]  # (task, encoder, mode) whose tokens or embeddings are there
    count: int  # records

    @classmethod
    def of(cls, records: Iterable[Record]) -> _Known:
        """What finished records tell; the others tell nothing."""
        own: dict[tuple, list[float]] = {}
        stages: dict[tuple, list[float]] = {}
        data, count = set(), 0
        for record in records:
            if record.status != "done" or not record.data:
                continue
            key, count = record.key, count + 1
            data.add((key.task, key.encoder, key.encoder_mode))
            work = _work(record.data.n_train, key.recipe.get("epochs", 1))
            computed = sum(use.seconds for use in record.stages if not use.reused)
            for level in _levels(key.task, key.encoder, key.encoder_mode, key.method):
                own.setdefault(level, []).append(max(record.seconds.get("total", 0.0) - computed, 0.0) / work)
            for use in record.stages:
                for level in _levels(key.task, key.encoder, key.encoder_mode, use.name)[:2]:
                    stages.setdefault(level, []).append(use.seconds / work)
        return cls(_medians(own), _medians(stages), data, count)

    def seconds(self, times: dict[tuple, float], cell: Cell, what: str) -> float | None:
        """Those of a method or stage for the texts and epochs of a cell; None when nothing is known."""
        for level in _levels(cell.key.task, cell.key.encoder, cell.key.encoder_mode, what):
            if level in times:
                return times[level] * _work(len(cell.task.train), cell.recipe.epochs)
        return None


def sentences(
    cells: list[Cell], done: Iterable[Cell], records: Iterable[Record], jobs: int, duration: Callable[[float], str]
) -> list[str]:
    """What the cells that would run share (among them and with the `done` ones), and an estimate of their time."""
    done = list(done)
    there = {stage.identity for cell in done for stage in stages_of(cell)}
    lines = [
        f"shared: {row.name} {'is' if row.name not in INPUTS else 'are'} computed {_times_of(row.computed)} for "
        f"{row.cells} cells ({', '.join(sorted(row.methods))})"
        for row in [*shared_inputs(cells, done), *shared_stages(cells, there)]
    ]
    if not cells:
        return lines
    found = estimate(cells, records, there)
    if not found.cells:
        return [*lines, "no estimate of time: this results folder has no finished cell with one of these encoders"]
    workers = min(jobs, len(cells))
    spread = f", about {duration(found.seconds / workers)} in {workers} workers" if workers > 1 else ""
    basis = f"from the times of {found.records} finished cells in this results folder, wherever they were made"
    missing = f"; {found.unknown} cells have nothing to go by and are left out" if found.unknown else ""
    return [*lines, f"estimate: about {duration(found.seconds)} of work{spread} ({basis}{missing})"]


INPUTS = ("tokens", "embeddings")


def _times_of(count: int) -> str:
    return "not again" if not count else "once" if count == 1 else f"{count} times"
