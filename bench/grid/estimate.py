"""What a grid would cost before it runs: what its cells share, and the time that earlier records suggest."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

from bench.core.texts import SPLITS
from bench.grid.cells import Cell, group_of
from bench.store.records import CellKey, Record

INPUTS = ("tokens", "embeddings", "lower layers")


class Shared(NamedTuple):
    """How often one kind of stage is computed, and for how many cells of which methods."""

    name: str
    computed: int
    cells: int
    methods: set[str]


def inputs_of(key: CellKey) -> tuple:
    """What identifies the tokens, embeddings (frozen) or lower layers (topK) of a cell's texts; its kind is first."""
    name = {"fine-tuned": "tokens", "frozen": "embeddings"}.get(key.encoder_mode, "lower layers")
    return name, key.task, key.limit, key.encoder, key.encoder_mode


def stages_of(cell: Cell) -> list[tuple]:
    """What identifies each training stage that a cell goes through, its name first; none that it does not declare."""
    told = ("gold" if cell.method.sees_gold else "noisy", group_of(cell), cell.key.sentence_encoder)
    return [
        (stage.name, json.dumps({**stage.defaults, **settings}, sort_keys=True), *told)
        for stage, settings in cell.method.shared_stages(cell.recipe.epochs).items()
    ]


def shared_by(cells: Iterable[Cell], there: Collection[tuple] = ()) -> list[Shared]:
    """The kinds of stages that serve more cells than they are computed times: texts first, then the most useful.

    `there` are the identities of what finished cells have left behind.
    """
    wanted: dict[str, list[tuple]] = defaultdict(list)
    methods: dict[str, set[str]] = defaultdict(set)
    for cell in cells:
        for identity in (inputs_of(cell.key), *stages_of(cell)):
            wanted[identity[0]].append(identity)
            methods[identity[0]].add(cell.key.method)
    rows = [Shared(name, len({*all_} - {*there}), len(all_), methods[name]) for name, all_ in wanted.items()]
    useful = [row for row in rows if row.cells > row.computed]
    return sorted(useful, key=lambda row: (row.name not in INPUTS, row.computed - row.cells))


class Estimate(NamedTuple):
    """Seconds of a grid on one worker, and what they are based on."""

    seconds: float
    cells: int  # cells with something to go by
    unknown: int  # cells without
    records: int


def estimate(cells: Iterable[Cell], records: Iterable[Record], there: Collection[tuple] = ()) -> Estimate:
    """What cells would take, by the medians of finished records: of the same method on the same task and encoder,
    else of the method on another task, else of any method with the encoder, scaled by training texts and epochs.

    A cell's own time is what its record took without the shared stages; each of those counts once for the grid.
    Tokens and embeddings count once for texts and encoder that no record has yet.
    """
    times: dict[tuple, list[float]] = defaultdict(list)
    seen, count = set(there), 0
    for record in records:
        if record.status == "done" and record.data:
            count += 1
            seen.add(inputs_of(record.key))
            work = _work(record.data.n_train, record.key.recipe)
            computed = sum(use.seconds for use in record.stages if not use.reused)
            for level in _levels(record.key):
                times[level].append(max(record.seconds.get("total", 0.0) - computed, 0.0) / work)
            for use in record.stages:
                for level in _levels(record.key, use.name):
                    times[level].append(use.seconds / work)
    medians = {level: statistics.median(values) for level, values in times.items()}

    def seconds(cell: Cell, stage: str = "") -> float | None:
        known = (medians[level] for level in _levels(cell.key, stage) if level in medians)
        rate = next(known, None)
        return None if rate is None else rate * _work(len(cell.task.train), cell.key.recipe)

    total, with_basis, unknown = 0.0, 0, 0
    for cell in cells:
        own = seconds(cell)
        if own is None:
            unknown += 1
            continue
        with_basis, total = with_basis + 1, total + own
        for identity in (inputs_of(cell.key), *stages_of(cell)):
            if identity not in seen:
                names = INPUTS * len(SPLITS) if identity[0] in INPUTS else identity[:1]
                total += sum(seconds(cell, name) or 0.0 for name in names)
                seen.add(identity)
    return Estimate(total, with_basis, unknown, count)


def _levels(key: CellKey, stage: str = "") -> list[tuple]:
    """What seconds of a method (or of a stage) are looked up by, the nearest first."""
    encoder, what = (key.encoder, key.encoder_mode), ("stage", stage) if stage else ("method", key.method)
    return [(*encoder, what, key.task), (*encoder, what), *([] if stage else [encoder])]


def _work(texts: int, recipe: dict[str, Any]) -> int:
    return max(texts * recipe.get("epochs", 1), 1)


def sentences(
    cells: list[Cell], done: Iterable[Cell], records: Iterable[Record], jobs: int, duration: Callable[[float], str]
) -> list[str]:
    """What the cells that would run share (among them and with the `done` ones), and an estimate of their time."""
    there = {identity for cell in done for identity in (inputs_of(cell.key), *stages_of(cell))}
    lines = [
        f"shared: {row.name} {'are' if row.name in INPUTS else 'is'} {_times(row.computed)} for "
        f"{row.cells} cells ({', '.join(sorted(row.methods))})"
        for row in shared_by(cells, there)
    ]
    if not cells:
        return lines
    found = estimate(cells, records, there)
    if not found.cells:
        return [*lines, "no estimate of time: this results folder has no finished cell with one of these encoders"]
    workers = min(jobs, len(cells))
    spread = f", about {duration(found.seconds / workers)} in {workers} workers" if workers > 1 else ""
    basis = f"from the times of {found.records} finished cells in this results folder, wherever they ran"
    missing = f"; {found.unknown} cells cannot be estimated and are left out" if found.unknown else ""
    return [*lines, f"estimate: about {duration(found.seconds)} of work{spread} ({basis}{missing})"]


def _times(count: int) -> str:
    return "not computed again" if not count else "computed once" if count == 1 else f"computed {count} times"
