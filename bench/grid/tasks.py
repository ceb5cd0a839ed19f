"""The tasks of a grid, each with the noise sources that were asked for, and what a user must know of their data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import Skip, Unavailable, UsageError
from bench.core.selectors import listed, shell_word, unquoted
from bench.core.texts import PROMPTINGS, SPLITS
from bench.data.load import load_task
from bench.data.task import TaskData
from bench.data.tasks import known
from bench.grid.options import GridOptions
from bench.noise.draw import covered, no_answer_share
from bench.noise.label_sets import find_label_sets, label_command
from bench.noise.llm_names import tasks_labelled
from bench.noise.select import left_out, sources_for
from bench.noise.source import NoiseSource, Selection, names_twice
from bench.store.noise_words import repeats_sentence, told_apart


class NothingNamed(UsageError):
    """A grid names neither tasks nor LLMs."""


@dataclass(frozen=True)
class GridTask:
    """A task of the grid with the noise sources that were asked for."""

    text: str  # as it was named
    data: TaskData
    shown: str
    origin: str | None
    sources: list[tuple[NoiseSource, TaskData, str | None]]  # with the texts that each covers, and why it cannot run


def tasks_of(names: list[str], options: GridOptions, notes: list[str]) -> list[GridTask]:
    """The tasks of a grid; what a user must know of their data goes into `notes`."""
    loaded = _load_all(names, options, notes)
    notes += dict.fromkeys(f"{data.name}: {note}" for _, data in loaded for note in data.notes)
    columns = sorted({column for _, data in loaded for column in data.columns})
    origins = {text: _origin(data, options.results) for text, data in loaded}
    apart = told_apart((data.name, origin) for text, data in loaded if (origin := origins[text]))
    tasks = []
    for text, data in loaded:
        shown = apart.get((data.name, origins[text] or ""), data.name)
        repeated = repeats_sentence(shown, data.repeats, {split: len(data.texts(split)) for split in SPLITS})
        notes += [repeated] if repeated else []
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
        notes += [
            f"{shown}, {source.id}: no valid text has an answer; methods get random classes there, and no step can be "
            "chosen on them"
            for source, part, skip in sources
            if not skip and no_answer_share(source, part, "valid") == 1
        ]
        tasks.append(GridTask(text, data, shown, origins[text], sources))
    return tasks


def choose_tasks(options: GridOptions) -> tuple[list[str], list[str]]:
    """The task selectors of a grid: those named, else those that the named LLMs have labels for. Raises UsageError."""
    if options.tasks is not None:
        return options.tasks, []
    if options.llms is None:
        raise NothingNamed(
            "name tasks (--tasks, also a file of your own: --tasks my.csv) or LLMs (--llms, for every task that has "
            "labels of theirs)"
        )
    found = tasks_labelled(options.llms, find_label_sets(options.data_dir), options.prompting or PROMPTINGS)
    if not found:
        raise UsageError(
            f"no --tasks, and no label sets of {', '.join(options.llms)} were found: "
            "name tasks (`bench list tasks`), or a --data-dir that holds llm_labels/"
        )
    return found, [f"tasks {', '.join(found)}: those for which these LLMs have labels"]


def _load_all(names: list[str], options: GridOptions, notes: list[str]) -> list[tuple[str, TaskData]]:
    """The tasks by selector. One that was named must be there; one that was chosen by its labels is left out, noted."""
    tasks, missing = [], {}
    for name in names:
        try:
            tasks.append((name, load_named(name, options)))
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


def load_named(name: str, options: GridOptions) -> TaskData:
    """A task by its name, read as the options say. Raises UsageError and Unavailable."""
    return load_task(
        name,
        data_dir=options.data_dir,
        limit=options.limit,
        text_column=options.text_column,
        gold_column=options.gold_column,
        label_columns=options.label_columns and [unquoted(name)[0] for name in options.label_columns],
        no_answer=options.no_answer or (),
    )


def labellers_of(task: TaskData) -> list[str]:
    """What --llms takes for every column of a table and, last, for the vote of all where there are several."""
    columns = [listed(name) for name in task.columns]
    return columns + ([f"vote({','.join(columns)})"] if len(columns) > 1 else [])


def without_labels(task: TaskData) -> str:
    """Why a user's table has no labels to look at, and the ways out, for a message."""
    ways = []
    if task.gold_column:
        word = shell_word(listed(task.gold_column))
        ways.append(f"'{task.gold_column}' was read as gold (give --label-columns {word} if an LLM wrote it)")
    if unused := left_out(task):
        ways.append(f"not read as labels: {unused}; --label-columns names the columns of labels")
    ways.append(f"{label_command(task)} makes labels")
    return f"{task.selector} has no column of labels: {'; '.join(ways)}"


def _narrowed(selection: Selection, task: TaskData) -> tuple[NoiseSource, TaskData, str | None]:
    """A source with the task narrowed to the texts that it covers, or with why it cannot be used."""
    source, why = selection
    if why:
        return source, task, why
    try:
        return source, covered(source, task), None
    except Skip as skip:
        return source, task, str(skip)


def _no_answer_notes(usable: list[tuple[NoiseSource, TaskData, str | None]]) -> list[str]:
    """How many train labels of the sources of one task mean no answer, in one sentence; nothing where all answered."""
    shares = [(source, task, no_answer_share(source, task)) for source, task, skip in usable if not skip]
    told = ", ".join(f"{source.id} {100 * share:.1f} %" for source, _, share in shares if share)
    name = usable[0][1].name if usable else ""
    return (
        [f"{name}: train texts without an answer, which get a class drawn uniformly at random: {told}"] if told else []
    )


def _origin(task: TaskData, results: Path) -> str | None:
    """Where a user's own data lie, relative to the results folder; None for a known task."""
    if task.info.name in known():
        return None
    try:
        return Path(os.path.relpath(task.origin, results)).as_posix()
    except ValueError:  # on another drive
        return Path(task.origin).absolute().as_posix()
