"""What a grid would cost before it runs: what its cells share, and the time that earlier records suggest."""

from __future__ import annotations

import functools
import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

from bench.core.files import slug
from bench.core.texts import SPLITS
from bench.grid.cells import Cell, Plan, group_of
from bench.store.folder import ResultsFolder
from bench.store.records import CellKey, Record
from bench.training.stages import stage_hash, version_of
from methods.shared import input_stage
from methods.stages import Stage

INPUTS = ("tokens", "embeddings", "lower layers")


class Shared(NamedTuple):
    """How often one kind of stage is computed, and for how many cells of which methods."""

    name: str
    computed: int
    cells: int
    methods: set[str]


def inputs_of(cell: Cell) -> tuple[str, ...]:
    """The tokens, embeddings (frozen) or lower layers (topK) of a cell's texts: their kind, and the hash per split."""
    stages = [input_stage(cell.task.texts(split), cell.encoder) for split in SPLITS]
    return stages[0][0].name, *(stage_hash(stage.name, stage.full_key(key)) for stage, key in stages)


def stages_of(cell: Cell) -> list[tuple]:
    """What identifies each training stage that a cell goes through, its name first; none that it does not declare."""
    told = ("gold" if cell.method.sees_gold else "noisy", group_of(cell), cell.key.sentence_encoder)
    return [
        (stage.name, json.dumps({**stage.defaults, **settings}, sort_keys=True), *told)
        for stage, settings in cell.method.shared_stages(cell.recipe.epochs).items()
    ]


def left_behind(plan: Plan, records: Iterable[Record]) -> set[tuple]:
    """The identities of the stages of a plan's cells that lie in its results folder.

    Those of texts are looked for by their hash, those of training by the hashes in the records of the plan's cells: of
    these only those count that today's version of the stage computed.
    """
    if not plan.options.stages:
        return set()
    folder, cells = ResultsFolder(plan.options.results), {cell.key.hash: cell for cell in plan.cells}

    def lie_there(name: str, hashes: Collection[str]) -> bool:
        return bool(hashes) and all(folder.stage_path(slug(name), digest).exists() for digest in hashes)

    version = functools.cache(version_of)

    def of_today(stage: Stage, hashes: Collection[str]) -> bool:
        today = stage.full_key({})["version"]
        paths = (folder.stage_path(slug(stage.name), digest) for digest in hashes)
        return lie_there(stage.name, hashes) and all(version(path) == today for path in paths)

    there: set[tuple] = {found for found in set(map(inputs_of, plan.cells)) if lie_there(found[0], found[1:])}
    for record in records:
        if cell := cells.get(record.hash):
            used = defaultdict(list)
            for use in record.stages:
                used[use.name].append(use.hash)
            declared = zip(cell.method.shared_stages(cell.recipe.epochs), stages_of(cell), strict=True)
            there |= {identity for stage, identity in declared if of_today(stage, used[stage.name])}
    return there


def shared_by(cells: Iterable[Cell], there: Collection[tuple] = ()) -> list[Shared]:
    """The kinds of stages that serve more cells than they are computed times: texts first, then the most useful.

    `there` are the identities of those that need not be computed again; see `left_behind`.
    """
    wanted: dict[str, list[tuple]] = defaultdict(list)
    methods: dict[str, set[str]] = defaultdict(set)
    for cell in cells:
        for identity in (inputs_of(cell), *stages_of(cell)):
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


def estimate(
    cells: Iterable[Cell], records: Iterable[Record], there: Collection[tuple] = (), *, shared: bool = True
) -> Estimate:
    """What cells would take, by the medians of finished records: of the same method on the same task and encoder,
    else of the method on another task, else of any method with the encoder, scaled by training texts and epochs.

    A cell's own time is what its record took without the shared stages; each of those that are not `there` counts once
    for the grid, or where they are not `shared` (`--no-stages`) once per cell.
    """
    times: dict[tuple, list[float]] = defaultdict(list)
    seen, count = set(there), 0
    for record in records:
        if record.status == "done" and record.data:
            count += 1
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
        for identity in (inputs_of(cell), *stages_of(cell)):
            if identity not in seen:
                names = INPUTS * len(SPLITS) if identity[0] in INPUTS else identity[:1]
                total += sum(seconds(cell, name) or 0.0 for name in names)
                if shared:
                    seen.add(identity)
    return Estimate(total, with_basis, unknown, count)


def _levels(key: CellKey, stage: str = "") -> list[tuple]:
    """What seconds of a method (or of a stage) are looked up by, the nearest first."""
    encoder, what = (key.encoder, key.encoder_mode), ("stage", stage) if stage else ("method", key.method)
    return [(*encoder, what, key.task), (*encoder, what), *([] if stage else [encoder])]


def _work(texts: int, recipe: dict[str, Any]) -> int:
    return max(texts * recipe.get("epochs", 1), 1)


def sentences(cells: list[Cell], plan: Plan, records: Iterable[Record], duration: Callable[[float], str]) -> list[str]:
    """What the `cells` of a plan that would run share (also with what lies there), and an estimate of their time."""
    if not cells:
        return []
    records, shared = list(records), plan.options.stages
    there = left_behind(plan, records)
    lines = [
        f"shared: {row.name}, {_times(row.computed)} for {row.cells} cells ({', '.join(sorted(row.methods))})"
        for row in (shared_by(cells, there) if shared else ())
    ]
    if not shared:
        lines = ["shared: nothing (--no-stages): every cell computes its own embeddings and training runs"]
    found = estimate(cells, records, there, shared=shared)
    if not found.cells:
        return [*lines, "no estimate of time: this results folder has no finished cell with one of these encoders"]
    workers = min(plan.options.jobs, len(cells))
    spread = f", about {duration(found.seconds / workers)} in {workers} workers" if workers > 1 else ""
    basis = f"from the times of {found.records} finished cells in this results folder, wherever they ran"
    missing = f"; {found.unknown} cells cannot be estimated and are left out" if found.unknown else ""
    return [*lines, f"estimate: about {duration(found.seconds)} of work{spread} ({basis}{missing})"]


def _times(count: int) -> str:
    return "not computed again" if not count else "computed once" if count == 1 else f"computed {count} times"
