"""Copy chosen cells of a results folder, without the arrays that no committed table needs, and pack them.

    python -m benchmarks.reference_pack RESULTS OUT --encoder mpnet:frozen,minilm:frozen --chosen llm_axis
    python -m benchmarks.reference_pack RESULTS OUT --encoder minilm:frozen --chosen human_worth --train
    python -m benchmarks.reference_pack RESULTS OUT

Cells of the label sets and seeds that the named script runs, or all. What methods say of train and valid texts is kept
only on request (--train), predictions of the step that was chosen on test data never, and of a task with more than 20
classes only the test predictions of the last step. Predictions on valid and test are rounded to 1/128, so that rows
sum to 1 and the best class of every text stays: scores are those of the record. Commands name the data
folder as seen from the repository.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shutil
from pathlib import Path

import numpy as np

from bench.store.packing import pack
from bench.store.records import Record, read_arrays, read_records

SEEDS = 3
"""Of the wide run; further ones, and methods with human labels, belong to that on human labels."""
MANY_CLASSES = 20
STEPS = 128
"""Of a probability: the bits of a float16 that are kept are few and compress well."""
HEAVY = ("test_oracle_best", "train_last", "train_aum")
NOT_OF_TEST = ("train_mean", "train_posterior", "train_labels", "train_gold", "valid_last", "valid_labels")


def is_wanted(record: Record, chosen: str | None, encoders: str | None) -> bool:
    """Whether a cell belongs to what the named script runs, and is of one of the encoders."""
    key = record.key
    if encoders and f"{key.encoder}:{key.encoder_mode}" not in encoders.split(","):
        return False
    if not chosen:
        return True
    if key.noise not in importlib.import_module(f"benchmarks.{chosen}").CHOSEN.get(key.task, ()):
        return False
    if chosen == "human_worth":
        return key.method != "corrected"
    return record.human_labels is None and key.seed <= SEEDS


def copy(record: Record, results: Path, out: Path, train: bool) -> None:
    """Copy a cell with the arrays that are kept; `train`: also what the method says of train and valid texts."""
    key = record.key
    drop = set(HEAVY) | (set() if train else set(NOT_OF_TEST))
    if key.method == "plain":  # benchmarks.noise_properties reads a set's labels there
        drop -= {"train_labels", "train_gold"}
    if len(record.data.label_names) > MANY_CLASSES:
        drop.add("test_noisy_valid")
    kept = {name: array for name, array in read_arrays(key.path(results)).items() if name not in drop}
    predicted = [name for name, array in kept.items() if name.startswith(("test_", "valid_")) and array.ndim == 2]
    path = key.path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = key.path(results).read_text(encoding="utf-8")
    path.write_text(re.sub(r"--data-dir \S+?(?=[ \"])", "--data-dir ../shared/data", text), encoding="utf-8")
    np.savez_compressed(path.with_suffix(".npz"), **kept | {name: coarse(kept[name]) for name in predicted})


def coarse(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities float[N, C] in steps of 1/128, as float16: rows sum to 1 (largest remainder), the best class stays.

    Where another class before the best one comes to equal it, the best one takes a step from it.
    """
    steps = STEPS * probabilities.astype(np.float64) / probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
    found = np.floor(steps)
    rank = (found - steps).argsort(axis=1, kind="stable").argsort(axis=1)
    found += rank < np.rint(STEPS - found.sum(axis=1, keepdims=True))
    classes = np.arange(steps.shape[1])
    best, first = (each.argmax(axis=1)[:, None] == classes for each in (probabilities, found))
    return ((found + best - first) / STEPS).astype(np.float16)


def main() -> None:
    """Copy and pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--encoder", help="default: all")
    parser.add_argument("--chosen", choices=("llm_axis", "human_worth"), help="default: all cells")
    parser.add_argument("--train", action="store_true", help="keep what methods say of train texts")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    shutil.copy(asked.results / "format.json", asked.out)
    for record in read_records(asked.results):
        if isinstance(record, Record) and record.status == "done" and is_wanted(record, asked.chosen, asked.encoder):
            copy(record, asked.results, asked.out, asked.train and record.human_labels is None)
    done = pack(asked.out)
    print(f"{done.cells} cells, {done.size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
