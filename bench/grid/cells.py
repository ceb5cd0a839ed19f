"""From options to cells: every combination of task, noise source, method, encoder and seed, or why it cannot run."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core.errors import UsageError
from bench.core.selectors import parse
from bench.data.task import TaskData
from bench.grid.command import reproduce
from bench.grid.options import RECIPE_OPTIONS, GridOptions
from bench.grid.tasks import choose_tasks, tasks_of
from bench.noise.draw import identity
from bench.noise.source import NoiseSource
from bench.store.noise_words import told_apart
from bench.store.records import CellKey
from bench.training import distributed, encoders
from bench.training.device import choose_precision
from bench.training.find_encoder import split_mode
from bench.training.recipe import Recipe, make_recipe
from methods import registry, wrappers
from methods.corrected import Corrected
from methods.human import CURVE


@dataclass(frozen=True)
class Cell:
    """One cell of the grid: its key, what runs it, and why it will not run if so."""

    key: CellKey
    task: TaskData
    source: NoiseSource
    method: Any
    encoder: encoders.Encoder
    sentence_encoder: encoders.Encoder
    recipe: Recipe
    command: str
    skip: str | None = None
    origin: str | None = None  # a user's own data: where they lie, relative to the results folder
    shown_task: str | None = None  # where several tasks of the grid have one name: what tells them apart
    shown_encoder: str | None = None  # the same of encoder folders

    @property
    def shown_key(self) -> CellKey:
        """The key with the names of task and encoder that people are shown."""
        names = {"task": self.shown_task or self.key.task, "encoder": self.shown_encoder or self.key.encoder}
        return self.key.model_copy(update=names)

    @property
    def label(self) -> str:
        """The cell in one line, for people."""
        key = self.shown_key
        return f"{key.task} · {key.noise} · {self.variant} · {key.encoder_selector} · seed {key.seed}"

    @property
    def variant(self) -> str:
        """The method as it is named on the command line, with parameters other than the defaults, and `rows`."""
        fields, values = type(self.method.config).__pydantic_fields__, dataclasses.asdict(self.method.config)
        told = ",".join(f"{n}={value}" for n, value in values.items() if value != fields[n].default or n == "rows")
        name, plus, wrappers = self.key.method.partition("+")
        return f"{name}{f'[{told}]' if told else ''}{plus}{wrappers}"

    @property
    def exportable(self) -> bool:
        """Whether its model can be taken away; see `Method.exportable`."""
        able = getattr(self.method, "exportable", True) in (True, self.encoder.mode)
        return able and self.encoder.top is None


@dataclass(frozen=True)
class Plan:
    """All cells of a grid in running order: cells that share stages follow each other."""

    options: GridOptions
    cells: list[Cell]
    notes: list[str] = field(default_factory=list)  # choices made for the user, with their reasons
    hints: list[str] = field(default_factory=list)  # what other options of `bench run` would do better


@dataclass(frozen=True)
class _Chosen:
    """A method selector, resolved."""

    text: str
    name: str
    version: int
    method: Any
    within: dict[str, int]  # the version of the method in a method that runs another one: `corrected[method=npc]`


def plan(options: GridOptions) -> Plan:
    """Resolve every name and check every value before anything trains.

    Raises UsageError or Unavailable; a combination that cannot run becomes a cell with a `skip` reason.
    """
    if distributed.processes() > 1:  # this is one of them
        options = options.model_copy(update={"processes_per_cell": distributed.processes()})
    chosen = [choose_method(text) for named in options.methods for text in GROUPS.get(named, [named])]
    names, notes = choose_tasks(options)
    of_data: list[str] = []
    tasks = tasks_of(names, options, of_data)  # names and files are checked before anything of encoders
    precision = choose_precision(options.precision)
    modes = [(text, *split_mode(text)) for text in options.encoder]
    hints = [precision.hint] if precision.hint and any(mode != "frozen" for *_, mode in modes) else []
    notes += [f"precision {precision.sentence}", *of_data]
    folders = {name: (Path(name).name, Path(name).as_posix()) for _, name, _ in modes if os.path.isdir(name)}
    apart = told_apart(folders.values())
    cells: list[Cell] = []
    for task in tasks:
        for text, name, mode in modes:
            lent = _lent(text, name, mode, precision.mode, task.data, options, notes)
            for source, data, skip in task.sources:
                for seed in options.seeds:
                    fingerprint = data.fingerprint if skip else identity(source, data, seed, options.uncovered)
                    for method in chosen:
                        key = _key(method, data, source, seed, fingerprint, lent, options)
                        command = reproduce(options, task.text, source, method.text, text, seed)
                        known = (command, skip, task.origin, task.shown, apart.get(folders.get(name, ("", ""))))
                        cells.append(Cell(key, data, source, method.method, *lent, *known))
    if not cells:
        raise UsageError("the grid is empty: name at least one task, one noise source, one method and one seed")
    return Plan(options, list({cell.key.hash: cell for cell in cells}.values()), notes, hints)


Lent = tuple[encoders.Encoder, encoders.Encoder, Recipe]
"""The encoder of a cell, its sentence encoder and its recipe."""


def _lent(
    text: str, name: str, mode: str, precision: str, task: TaskData, options: GridOptions, notes: list[str]
) -> Lent:
    asked = {option: getattr(options, option) for option in RECIPE_OPTIONS}
    pooling, length = options.pooling, options.max_length or task.info.max_length
    recipe = make_recipe(mode, name, **asked, max_length=length, pooling=pooling, precision=precision)
    if mode == "frozen" and pooling != "auto":
        notes.append(f"pooling {pooling} is for fine-tuned encoders: {text} embeds sentences with its own")
        pooling = "auto"
    encoder = encoders.load_encoder(text, recipe.max_length, pooling)
    sentences, _ = split_mode(options.sentence_encoder or name)
    sentence_encoder = encoders.load_encoder(f"{sentences}:frozen", recipe.max_length)
    return encoder, sentence_encoder, dataclasses.replace(recipe, pooling=encoder.pooling)


def _key(
    method: _Chosen, task: TaskData, source: NoiseSource, seed: int, data: str, lent: Lent, options: GridOptions
) -> CellKey:
    encoder, sentence_encoder, recipe = lent
    several = {"processes": options.processes_per_cell} if options.processes_per_cell > 1 else {}
    return CellKey(
        task=task.name,
        noise=source.id,
        method=method.name,
        method_version=method.version,
        config=dataclasses.asdict(method.method.config) | method.within,
        encoder=Path(encoder.name).name if Path(encoder.name).is_dir() else encoder.name,
        encoder_mode=encoder.mode,
        encoder_revision=encoder.revision,
        sentence_encoder=sentence_encoder.revision,
        recipe=dataclasses.asdict(recipe) | several,
        options={"uncovered": options.uncovered} if source.kind == "weak" else {},
        limit=options.limit,
        seed=seed,
        data=data,
    )


GROUPS = {"human": CURVE}
"""What `--methods` takes for several methods at once."""


def choose_method(text: str) -> _Chosen:
    """The method that a selector names, built with its parameters and wrappers."""
    selector = parse(text)
    cls = registry.find(selector.name)
    method = registry.build(cls, selector.parameters, selector.name)
    name, version = cls.name, registry.METHODS.version(cls)
    runs_another = isinstance(method, Corrected)
    within = {"method_version": registry.METHODS.version(type(method.inner))} if runs_another else {}
    for wrapper in selector.wrappers:
        method = wrappers.wrap(wrapper, method)
        name, version = f"{name}+{method.suffix}", version * 1000 + method.version
    return _Chosen(text, name, version, method, within)


def group_of(cell: Cell) -> tuple:
    """Cells of one group share labels and training runs: same data, noise, seed, encoder and recipe."""
    key = cell.key
    return (key.task, key.data, key.noise, key.seed, key.encoder_revision, key.encoder_mode, tuple(key.recipe.items()))
