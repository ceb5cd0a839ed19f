"""The study of a task's label sets and columns, read from where they lie, and how often each is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.core.errors import BenchError, Unavailable
from bench.core.network import on_this_machine
from bench.core.selectors import quoted
from bench.data.load import load_task
from bench.data.readers.columns import is_persons_header
from bench.data.task import TaskData
from bench.noise.label_sets import LabelSetRef, read_labels
from llm_labels.labelsets import SplitLabels, Unusable
from llm_labels.study import Study, study_labels


def study(
    task: TaskData,
    sets: Sequence[LabelSetRef],
    features: np.ndarray | None = None,
    persons: Sequence[str] | None = None,
    features_of: str = "embeddings",
) -> Study:
    """The report on the label sets `sets` of a task (see `find_label_sets`) and on its columns.

    `features` float[N_train, F]: sentence embeddings of all train texts, if at hand, and what the report calls them;
    else TF-IDF is used. `persons`: the columns that are human annotators'; None: those that are called so.
    Raises UsageError for damaged files and sets of other texts, Unavailable where a download fails.
    """
    task = task.whole or task
    labels = {ref.id: read_labels(ref, task) for ref in sets}
    for name, values in task.columns.items():
        whole = {split: SplitLabels(np.arange(len(part)), part) for split, part in values.items()}
        labels[quoted(name) if name in labels else name] = whole
    costs = {ref.id: card.cost for ref in sets if (card := ref.card)}
    if persons is None:
        persons = [name for name in task.columns if name in labels and is_persons_header(name)]
    return study_labels(task, labels, features, costs, persons, features_of)


def readable(task: TaskData, sets: Sequence[LabelSetRef]) -> tuple[list[LabelSetRef], list[str]]:
    """The label sets of a task that can be read here, and why not of each of the others.

    Raises UsageError for damaged files.
    """
    there, reasons = [], []
    for ref in sets:
        try:
            read_labels(ref, task.whole or task)
            there.append(ref)
        except (Unusable, Unavailable) as error:
            reasons.append(f"{ref.id} is left out: {error}")
    return there, reasons


def shares_right(sets: Sequence[LabelSetRef], data_dir: Path | None = None) -> list[float | None]:
    """The share of the texts asked, in all splits, for which each label set has the gold class; no answer is wrong.

    None where texts, gold or labels are not here: nothing is fetched.
    """
    with on_this_machine():
        tasks = {name: _here(name, data_dir) for name in {ref.task for ref in sets}}
        return [_share_right(ref, tasks[ref.task]) for ref in sets]


def _here(name: str, data_dir: Path | None) -> TaskData | None:
    try:
        return load_task(name, data_dir=data_dir)
    except BenchError:
        return None


def _share_right(ref: LabelSetRef, task: TaskData | None) -> float | None:
    if task is None:
        return None
    try:
        labels = read_labels(ref, task)
    except BenchError:
        return None
    pairs = [(gold[part.rows], part.labels) for s, part in labels.items() if (gold := task.gold.of(s)) is not None]
    right = np.concatenate([(gold == given)[gold >= 0] for gold, given in pairs]) if pairs else np.zeros(0)
    return float(right.mean()) if len(right) else None
