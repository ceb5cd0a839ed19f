"""The study of a task's label sets and columns, read from where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.core.selectors import quoted
from bench.data.task import TaskData
from bench.noise.label_sets import LabelSetRef, read_labels
from llm_labels.labelsets import SplitLabels, read_card
from llm_labels.study import Study, study_labels


def study(task: TaskData, sets: Sequence[LabelSetRef], features: np.ndarray | None = None) -> Study:
    """The report on the label sets `sets` of a task (see `find_label_sets`) and on its columns.

    `features` float[N_train, F]: sentence embeddings of all train texts, if at hand; else TF-IDF is used.
    Raises UsageError for damaged files and sets of other texts, Unavailable where a download fails.
    """
    task = task.whole or task
    labels = {ref.id: read_labels(ref, task) for ref in sets}
    for name, values in task.columns.items():
        whole = {split: SplitLabels(np.arange(len(part)), part) for split, part in values.items()}
        labels[quoted(name) if name in labels else name] = whole
    costs = {
        ref.id: read_card(ref.place).cost
        for ref in sets
        if isinstance(ref.place, Path) and (ref.place / "card.json").is_file()
    }
    return study_labels(task, labels, features, costs)
