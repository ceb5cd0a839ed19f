"""From options to cells: every combination of task, noise source, method, encoder and seed, or why it cannot run."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core.errors import Skip, Unavailable, UsageError
from bench.core.selectors import parse, unquoted
from bench.core.texts import PROMPTINGS
from bench.data.load import load_task
from bench.data.task import SPLITS, TaskData
from bench.data.tasks import known
from bench.grid.command import reproduce
from bench.grid.options import RECIPE_OPTIONS, GridOptions
from bench.noise.draw import covered, identity, no_answer_share
from bench.noise.label_sets import find_label_sets
from bench.noise.llm_names import tasks_labelled
from bench.noise.select import NoiseSource, names_twice, sources_for
from bench.store.noise_words import repeats_sentence, told_apart
from bench.store.records import CellKey
from bench.training import encoders
from bench.training.device import choose_precision
from bench.training.recipe import Recipe, make_recipe
from methods import registry, wrappers
from methods.human import CURVE


class NothingNamed(UsageError):
    """A grid names neither tasks nor LLMs."""


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

    @property
    def label(self) -> str:
        """The cell in one line, for people."""
        key, rows = self.key, self.method.human_rows()
        method = key.method if rows is None else f"{key.method}[rows={rows}]"
        return f"{self.shown_task or key.task} · {key.noise} · {method} · {key.encoder_selector} · seed {key.seed}"


@dataclass(frozen=True)
class Plan:
    """All cells of a grid in running order: cells that share stages follow each other."""

    options: GridOptions
    cells: list[Cell]
    notes: list[str] = field(default_factory=list)  # choices made for the user, with their reasons


@dataclass(frozen=True)
class _Chosen:
    """A method selector, resolved."""

    text: str
    name: str
    version: int
    method: Any


@dataclass(frozen=True)
class _Task:
    """A task of the grid with the noise sources that were asked for."""

    text: str  # as it was named
    data: TaskData
    shown: str
    origin: str | None
    sources: list[tuple[NoiseSource, TaskData, str | None]]  # with the texts that each covers, and why it cannot run


@dataclass(frozen=True)
class _SetUp:
    """An encoder, in one mode, with its recipe for one task."""

    text: str  # as it was named
    name: str
    mode: str
    encoder: encoders.Encoder
    sentence_encoder: encoders.Encoder
    recipe: Recipe


def plan(options: GridOptions) -> Plan:
    """Resolve every name and check every value before anything trains.

    Raises UsageError or Unavailable; a combination that cannot run becomes a cell with a `skip` reason.
    """
    chosen = [choose_method(text) for named in options.methods for text in GROUPS.get(named, [named])]
    names, notes = choose_tasks(options)
    of_data: list[str] = []
    tasks = _tasks(names, options, of_data)  # names and files are checked before anything of encoders
    precision = choose_precision(options.precision)
    notes += [f"precision {precision.mode}: {precision.reason}", *of_data]
    modes = [(text, *encoders.split_mode(text)) for text in options.encoder]
    cells: list[Cell] = []
    for task in tasks:
        for text, name, mode in modes:
            set_up = _set_up(text, name, mode, precision.mode, task.data, options, notes)
            for source, data, skip in task.sources:
                for seed in options.seeds:
                    fingerprint = data.fingerprint if skip else identity(source, data, seed, options.uncovered)
                    for method in chosen:
                        key = _key(method, data, source, seed, fingerprint, set_up, options)
                        command = reproduce(options, task.text, source, method.text, text, seed)
                        made = (set_up.encoder, set_up.sentence_encoder, set_up.recipe, command, skip)
                        cells.append(
                            Cell(key, data, source, method.method, *made, origin=task.origin, shown_task=task.shown)
                        )
    if not cells:
        raise UsageError("the grid is empty: name at least one task, one noise source, one method and one seed")
    return Plan(options, list({cell.key.hash: cell for cell in cells}.values()), notes)


def _tasks(names: list[str], options: GridOptions, notes: list[str]) -> list[_Task]:
    """The tasks of a grid; what a user must know of their data goes into `notes`."""
    loaded = _load_all(names, options, notes)
    notes += dict.fromkeys(f"{data.name}: {note}" for _, data in loaded for note in data.notes)
    columns = sorted({column for _, data in loaded for column in data.columns})
    origins = {text: _origin(data, options.results) for text, data in loaded}
    apart = told_apart((data.name, origin) for text, data in loaded if (origin := origins[text]))
    tasks = []
    for text, data in loaded:
        shown = apart.get((data.name, origins[text] or ""), data.name)
        notes += _repeats_note(shown, data)
        found = sources_for(
            data,
            llms=options.llms,
            prompting=options.prompting,
            noise=options.noise,
            data_dir=options.data_dir,
            also_known=columns,
        )
        notes += names_twice(data, options.noise or [])
        sources = [_narrowed(selection, data) for selection in found]
        notes += _no_answer_notes(sources)
        for source, covered_data, skip in sources:
            notes += [] if skip else _valid_notes(shown, source, covered_data)
        tasks.append(_Task(text, data, shown, origins[text], sources))
    return tasks


def _set_up(
    text: str, name: str, mode: str, precision: str, task: TaskData, options: GridOptions, notes: list[str]
) -> _SetUp:
    recipe = _recipe(options, name, mode, task, precision)
    pooling = options.pooling
    if mode == "frozen" and pooling != "auto":
        notes.append(f"pooling {pooling} is for fine-tuned encoders: {text} embeds sentences with its own")
        pooling = "auto"
    encoder = encoders.load_encoder(text, recipe.max_length, pooling)
    recipe = dataclasses.replace(recipe, pooling=encoder.pooling)
    sentence_encoder = encoders.load_encoder(options.sentence_encoder or name, recipe.max_length)
    return _SetUp(text, name, mode, encoder, sentence_encoder, recipe)


def _key(
    method: _Chosen, task: TaskData, source: NoiseSource, seed: int, data: str, set_up: _SetUp, options: GridOptions
) -> CellKey:
    return CellKey(
        task=task.name,
        noise=source.id,
        method=method.name,
        method_version=method.version,
        config=dataclasses.asdict(method.method.config),
        encoder=Path(set_up.name).name if Path(set_up.name).is_dir() else set_up.name,
        encoder_mode=set_up.mode,
        encoder_revision=set_up.encoder.revision,
        sentence_encoder=set_up.sentence_encoder.revision,
        recipe=dataclasses.asdict(set_up.recipe),
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
    method = registry.build(cls, selector.parameters)
    name, version = cls.name, registry.METHODS.version(cls)
    for wrapper in selector.wrappers:
        method = wrappers.wrap(wrapper, method)
        name, version = f"{name}+{method.suffix}", version * 1000 + method.version
    return _Chosen(text, name, version, method)


def choose_tasks(options: GridOptions) -> tuple[list[str], list[str]]:
    """The task selectors of a grid: those named, else those that the named LLMs have labels for. Raises UsageError."""
    if options.tasks is not None:
        return options.tasks, []
    if options.llms is None:
        raise NothingNamed(
            "name tasks (--tasks, also a file of your own: --tasks my.csv) or LLMs (--llms: then every task that has "
            "labels of theirs)"
        )
    found = tasks_labelled(options.llms, find_label_sets(options.data_dir), options.prompting or PROMPTINGS)
    if not found:
        raise UsageError(
            f"no --tasks, and no label sets of {', '.join(options.llms)} were found: "
            "name tasks (`bench list tasks`), or a --data-dir that holds llm_labels/"
        )
    return found, [f"tasks {', '.join(found)}: those that the LLMs have labels for"]


def _load_all(names: list[str], options: GridOptions, notes: list[str]) -> list[tuple[str, TaskData]]:
    """The tasks by selector. One that was named must be there; one that was chosen by its labels is left out, noted."""
    tasks, missing = [], {}
    for name in names:
        try:
            tasks.append((name, _load(name, options)))
        except Unavailable as error:
            if options.tasks is not None:
                raise
            missing[name] = error
    if missing:
        if not tasks:
            raise next(iter(missing.values()))
        how = f"`bench run --tasks {next(iter(missing))}` says how to get one"
        notes.append(f"left out, since their texts are not available here: {', '.join(missing)} ({how})")
    return tasks


def _load(name: str, options: GridOptions) -> TaskData:
    return load_task(
        name,
        data_dir=options.data_dir,
        limit=options.limit,
        text_column=options.text_column,
        gold_column=options.gold_column,
        label_columns=options.label_columns and [unquoted(name)[0] for name in options.label_columns],
        no_answer=options.no_answer or (),
    )


def _recipe(options: GridOptions, encoder: str, mode: str, task: TaskData, precision: str) -> Recipe:
    asked = {name: getattr(options, name) for name in RECIPE_OPTIONS}
    length = options.max_length or task.info.max_length
    return make_recipe(mode, encoder, **asked, max_length=length, pooling=options.pooling, precision=precision)


def _narrowed(selection, task: TaskData) -> tuple[NoiseSource, TaskData, str | None]:
    """A source with the task narrowed to the texts that it covers, or with why it cannot be used."""
    if isinstance(selection, tuple):
        return selection[0], task, selection[1]
    try:
        return selection, covered(selection, task), None
    except Skip as skip:
        return selection, task, str(skip)


def _no_answer_notes(usable: list[tuple[NoiseSource, TaskData, str | None]]) -> list[str]:
    """How many train labels of the sources of one task mean no answer, in one sentence; nothing where all answered."""
    shares = [(source, task, no_answer_share(source, task)) for source, task, skip in usable if not skip]
    listed = ", ".join(f"{source.id} {100 * share:.1f} %" for source, _, share in shares if share)
    name = usable[0][1].name if usable else ""
    return [f"{name}: no answer in train, so a class drawn uniformly at random: {listed}"] if listed else []


def _origin(task: TaskData, results: Path) -> str | None:
    """Where a user's own data lie, relative to the results folder; None for a known task."""
    if task.info.name in known():
        return None
    try:
        return Path(os.path.relpath(task.origin, results)).as_posix()
    except ValueError:  # on another drive
        return Path(task.origin).absolute().as_posix()


def _repeats_note(shown_task: str, task: TaskData) -> list[str]:
    sentence = repeats_sentence(shown_task, task.repeats, {split: len(task.texts(split)) for split in SPLITS})
    return [sentence] if sentence else []


def _valid_notes(shown_task: str, source: NoiseSource, task: TaskData) -> list[str]:
    """A sentence where no text of valid has an answer."""
    if no_answer_share(source, task, "valid") < 1:
        return []
    return [
        f"{shown_task}, {source.id}: no valid text has an answer; methods get random classes there, and no step can be "
        "chosen on them"
    ]


def group_of(cell: Cell) -> tuple:
    """Cells of one group share labels and training runs: same data, noise, seed, encoder and recipe."""
    key = cell.key
    return (key.data, key.noise, key.seed, key.encoder, key.encoder_mode, tuple(key.recipe.items()))
