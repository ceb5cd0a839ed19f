"""What an earlier labelling left in the folder of a label set: a later one adds to it and never replaces it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.errors import UsageError, shown
from llm_labels.labelsets import SplitLabels, is_unfinished, read_card, read_label_set

if TYPE_CHECKING:
    from bench.data.task import TaskData
    from llm_labels.labellers import Labeller


def rows_there(folder: Path, task: TaskData, labeller: Labeller, prompt_hash: str) -> dict[str, SplitLabels]:
    """The labels by split that the set in `folder` has; empty where there is none, or an unfinished one.

    Raises UsageError where it was made otherwise: by another model, prompt or setting, or for other texts.
    """
    way = "give another --name or --out, or remove the folder"
    if not (folder / "card.json").is_file():
        if not is_unfinished(folder):
            raise UsageError(f"'{folder}' has label files that `bench label` did not write: {way}")
        return {}
    card = read_card(folder)
    facts: dict[str, tuple[Any, Any]] = {
        "task": (card.task, task.info.name),
        "labeller": (card.labeller, labeller.name),
        "model": (card.revision, labeller.revision),
        "prompt": (card.prompt_hash, prompt_hash),
        "classes": (card.label_names, list(task.label_names)),
        **{name: (card.decoding.get(name), value) for name, value in labeller.settings().items()},
        **{f"{name} texts": (own.fingerprint, task.full_fingerprint[name]) for name, own in card.splits.items()},
    }
    for name, (then, now) in facts.items():
        if then != now:
            raise UsageError(
                f"label set '{folder}' already exists, made with another {name} "
                f"({shown(then)}, now {shown(now)}): {way}"
            )
    return dict(read_label_set(folder, task.label_names, task.full_fingerprint))


def reread(
    folder: Path,
    there: Mapping[str, SplitLabels],
    labels: Mapping[str, SplitLabels],
    now: Mapping[str, np.ndarray],
) -> int:
    """How many rows that the set in `folder` has are other in `labels`.

    Raises UsageError where one of them was not asked for `now`.
    """
    changed = other = 0
    for split, part in there.items():
        again = labels[split].labels[np.searchsorted(labels[split].rows, part.rows)]
        differs = again != part.labels
        changed += int(differs.sum())
        other += int(differs[~np.isin(part.rows, now.get(split, ()))].sum())
    if other:
        raise UsageError(
            f"label set '{folder}' would change in {other} rows that are not asked for now: its answers were read "
            "with another --decoder, --min-margin or --calibration, or by the rules of another version of bench; label "
            "all its rows again (no answer is asked twice), or give another --name or --out"
        )
    return changed
