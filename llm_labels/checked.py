"""What rows that a person checked say of labels: rates with intervals, precision per class, the alt-test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.core.texts import SPLITS
from bench.store.intervals import wilson
from llm_labels.alternative import alt_test
from llm_labels.labelsets import SplitLabels

if TYPE_CHECKING:
    from bench.data.task import TaskData


def gold_of(task: TaskData, split: str, part: SplitLabels) -> np.ndarray:
    """Gold of the rows of a set, int64[n], -1 = unknown."""
    gold = task.gold.of(split)
    return np.full(len(part.rows), -1) if gold is None else gold[part.rows]


def rates(labels: np.ndarray, gold: np.ndarray) -> dict:
    """Noise among answers with its interval, and accuracy (no answer is wrong), of the rows with gold."""
    known, right = gold >= 0, gold == labels
    checked = int((known & (labels >= 0)).sum())
    found = wilson(int((known & ~right & (labels >= 0)).sum()), checked) or (float("nan"),) * 3
    rates = dict(zip(("noise_rate", "noise_low", "noise_high"), found, strict=True))
    return rates | {"accuracy": float(right[known].mean()) if known.any() else float("nan"), "checked": checked}


def has_gaps(task: TaskData) -> bool:
    """Whether some texts of a split have gold and others have not."""
    return any(gold is not None and (gold < 0).any() for gold in map(task.gold.of, SPLITS))


def joined(task: TaskData, parts: Mapping[str, SplitLabels]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and gold of all splits of a set, int64[n] each."""
    there = [split for split in SPLITS if split in parts]
    if not there:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    golds = np.concatenate([gold_of(task, split, parts[split]) for split in there])
    return np.concatenate([parts[split].labels for split in there]), golds


def whole_size(task: TaskData, parts: Mapping[str, SplitLabels]) -> dict:
    """The row over all splits, where the few texts with gold are best taken together."""
    labels, gold = joined(task, parts)
    texts = sum(len(task.texts(split)) for split in SPLITS)
    silent = float((labels < 0).mean()) if len(labels) else float("nan")
    return {"split": "all", "texts": texts, "asked": len(labels), "no_answer_rate": silent} | rates(labels, gold)


def class_rows(task: TaskData, parts: Mapping[str, SplitLabels], kept: np.ndarray | None) -> list[dict]:
    """Precision and recall of each class that occurs, by the texts with gold, no answer being a miss.

    `kept` float64[C]: the estimate of the precision without gold.
    """
    labels, gold = joined(task, parts)
    rows = []
    classes = np.unique([labels, gold])
    for at in classes[classes >= 0]:
        given = labels == at
        checked = given & (gold >= 0)
        found = wilson(int((checked & (gold == at)).sum()), int(checked.sum()))
        row = {"class": task.label_names[at], "given": int(given.sum()), "checked": int(checked.sum())}
        row |= dict(zip(("precision", "low", "high"), found or (float("nan"),) * 3, strict=True))
        row["recall"] = float((labels == at)[gold == at].mean()) if (gold == at).any() else float("nan")
        rows.append(row | {"precision_estimate": float("nan") if kept is None else float(kept[at])})
    return rows


def replacement_rows(
    task: TaskData, sets: Mapping[str, Mapping[str, SplitLabels]], persons: Sequence[str]
) -> list[dict]:
    """The alternative-annotator test of every labeller against the persons."""
    if len(persons) < 2:
        return []
    nothing = SplitLabels(np.zeros(0, np.int64), np.zeros(0, np.int64))

    def whole(name: str) -> np.ndarray:
        return np.concatenate([sets[name].get(split, nothing).spread(len(task.texts(split))) for split in SPLITS])

    people = {name: whole(name) for name in persons}
    rows = []
    for name in (each for each in sets if each not in people):
        if (found := alt_test(whole(name), people)) is not None:
            row = {"task": task.info.name, "labels": name, "annotators": found.annotators, "texts": found.texts}
            rows.append(row | {"advantage": found.advantage} | {f"winning_{k}": w for k, w in found.winning.items()})
    return rows
