"""A small task of three classes with weak votes, and label sets for it that are wrong in a known way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from bench.data.load import load_task
from bench.data.task import TaskData
from llm_labels.labelsets import Card, SplitCounts, SplitLabels, write_label_set

SPLITS = ("train", "valid", "test")
SIZES = {"train": 60, "valid": 20, "test": 30}


def toy_task(data_dir: Path) -> TaskData:
    """A WRENCH folder `toy` of three classes (gold = row mod 3) and four random labelling functions."""
    folder = data_dir / "toy"
    folder.mkdir(parents=True)
    (folder / "label.json").write_text('{"0": "a", "1": "b", "2": "c"}')
    rng = np.random.default_rng(0)
    for split, n in SIZES.items():
        rows = {
            str(i): {
                "label": i % 3,
                "weak_labels": rng.integers(-1, 3, 4).tolist(),
                "data": {"text": f"{split} text {i}"},
            }
            for i in range(n)
        }
        (folder / f"{split}.json").write_text(json.dumps(rows))
    return load_task(str(folder))


def answer(task: TaskData, data_dir: Path, labeller: str, flip: int, prompting: str = "zero", rows=None) -> Path:
    """Write a label set that is wrong on every `flip`-th text and silent on every seventh."""
    folder = data_dir / "llm_labels" / labeller / prompting / task.info.name
    parts, counts = {}, {}
    for split in SPLITS if rows is None else rows:
        total = len(task.texts(split))
        asked = np.arange(total) if rows is None else np.asarray(rows[split], dtype=np.int64)
        labels = np.where(asked % flip == 0, (task.gold.of(split)[asked] + 1) % 3, task.gold.of(split)[asked])
        labels = np.where(asked % 7 == 6, -1, labels)
        parts[split] = SplitLabels(asked, labels)
        answered = int((labels >= 0).sum())
        print_ = task.full_fingerprint[split]
        counts[split] = SplitCounts(total=total, asked=len(asked), answered=answered, fingerprint=print_)
    card = Card(
        labeller=labeller,
        revision="1",
        prompting=prompting,
        task=task.info.name,
        label_names=list(task.label_names),
        prompt_hash="0",
        decoding={},
        date="2025-01-01",
        splits=counts,
    )
    write_label_set(folder, card, parts)
    return folder
