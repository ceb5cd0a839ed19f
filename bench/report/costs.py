"""What a cell would cost alone: its own time and the price of every stage that it used, one price per stage.

A stage that several cells share was computed in one of them, when the machine was as busy as it was then; another run
may have computed it again. So that methods are compared and not moments, a stage has one price in a set-up, the median
over what computing it took, and the time of a method beside its stages is the median over its cells of a task.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from bench.store.parts import StageUse
from bench.store.records import Record

Unit = Literal["processor", "wall"]
"""Processor seconds, or wall seconds where a record of the set-up is older or used an accelerator."""
NAME = "seconds_stand_alone"
Place = tuple[str, ...]


class _Part(NamedTuple):
    """Seconds that a stage or a method by itself took: the median, and the tenth and ninetieth percentile."""

    middle: float
    low: float
    high: float


def stand_alone(
    records: Sequence[Record], tasks: Sequence[str], methods: Sequence[str], setups: Sequence[str]
) -> list[dict[str, float | Unit]]:
    """The columns of `cells` on the stand-alone cost of each record; none where it holds no time.

    `tasks`, `methods` and `setups` name the task, method and set-up of each record. A stage that cells of several noise
    sources or seeds share (the embeddings of a split) is priced by itself; others (a training run on the labels of one
    seed) by their name within task and set-up. A wrapper (`plain+ts`) has at least the own time of what it wraps: it
    contains it, and the rest of the difference is the clock's.
    """
    cells = list(zip(records, tasks, methods, setups, strict=True))
    timed = [cell for cell in cells if _is_timed(cell[0])]
    units: dict[str, Unit] = dict.fromkeys(setups, "processor")
    places: dict[tuple[str, str], set[tuple[str, int]]] = defaultdict(set)
    for record, setup in zip(records, setups, strict=True):
        for use in record.stages:
            places[setup, use.hash].add((record.key.noise, record.key.seed))
        if _is_timed(record) and not _is_counted(record):
            units[setup] = "wall"

    def group(use: StageUse, task: str, setup: str) -> Place:
        return (setup, use.hash) if len(places[setup, use.hash]) > 1 else (setup, task, use.name)

    taken: dict[Place, set[tuple[str, float]]] = defaultdict(set)
    own: dict[Place, list[float]] = defaultdict(list)
    for record, task, method, setup in timed:
        unit = units[setup]
        for use in record.stages:
            taken[group(use, task, setup)].add((use.hash, _of(use, unit)))
        computed = sum(_of(use, unit) for use in record.stages if not use.reused)
        total = record.seconds["total" if unit == "wall" else "processor"]
        own[setup, task, method].append(max(total - computed, 0.0))
    prices = {place: _part([seconds for _, seconds in found]) for place, found in taken.items()}
    parts = {place: _part(found) for place, found in own.items()}

    def cost(record: Record, task: str, method: str, setup: str) -> dict[str, float | Unit]:
        inner = parts.get((setup, task, method.rpartition("+")[0]), _Part(0, 0, 0))
        alone = _Part(*np.maximum(parts[setup, task, method], inner).tolist())
        whole = [alone, *(prices[group(use, task, setup)] for use in record.stages)]
        middle, low, high = (sum(column) for column in zip(*whole, strict=True))
        return {NAME: middle, f"{NAME}_low": low, f"{NAME}_high": high, "seconds_unit": units[setup]}

    return [cost(*cell) if _is_timed(cell[0]) else {} for cell in cells]


def _is_timed(record: Record) -> bool:
    return record.status == "done" and "total" in record.seconds


def _is_counted(record: Record) -> bool:
    """Whether its processor seconds are known, and all that it took."""
    known = "processor" in record.seconds and all(use.processor is not None for use in record.stages)
    return known and record.device.get("type") == "cpu"


def _of(use: StageUse, unit: Unit) -> float:
    return use.seconds if unit == "wall" or use.processor is None else use.processor


def _part(seconds: list[float]) -> _Part:
    ordered = sorted(seconds)
    tenth = (len(ordered) - 1) // 10  # nearest rank, outwards
    return _Part(statistics.median(ordered), ordered[tenth], ordered[-1 - tenth])
