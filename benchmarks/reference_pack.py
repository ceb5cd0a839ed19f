"""Copy chosen cells of a results folder, without the arrays that no committed table needs, and pack them.

    python -m benchmarks.reference_pack RESULTS OUT --encoder mpnet:frozen,minilm:frozen --chosen llm_axis
    python -m benchmarks.reference_pack RESULTS OUT --encoder minilm:frozen --chosen human_worth --train

Cells of the label sets and seeds that the named script runs. What methods say of train and valid texts is kept only on
request (--train), predictions of the step that was chosen on test data never, and of a task with more than 20 classes
only the test predictions of the last step. Their commands name the data folder as seen from the repository.
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
HEAVY = ("test_oracle_best", "train_last", "train_aum")
NOT_OF_TEST = ("train_mean", "train_posterior", "train_labels", "train_gold", "valid_last", "valid_labels")


def main() -> None:
    """Copy and pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--chosen", required=True, choices=("llm_axis", "human_worth"))
    parser.add_argument("--train", action="store_true", help="keep what methods say of train and valid texts")
    asked = parser.parse_args()
    chosen = importlib.import_module(f"benchmarks.{asked.chosen}").CHOSEN
    human = asked.chosen == "human_worth"
    asked.out.mkdir(parents=True, exist_ok=True)
    shutil.copy(asked.results / "format.json", asked.out)
    for record in read_records(asked.results):
        if not isinstance(record, Record) or record.status != "done":
            continue
        key = record.key
        if key.noise not in chosen.get(key.task, ()):
            continue
        other = key.method == "corrected" if human else record.human_labels is not None or key.seed > SEEDS
        if other or f"{key.encoder}:{key.encoder_mode}" not in asked.encoder.split(","):
            continue
        kept = read_arrays(key.path(asked.results))
        drop = set(HEAVY) | (set() if asked.train and record.human_labels is None else set(NOT_OF_TEST))
        if key.method == "plain":  # benchmarks.noise_properties reads a set's labels there
            drop -= {"train_labels", "train_gold"}
        if len(record.data.label_names) > MANY_CLASSES:
            drop.add("test_noisy_valid")
        path = key.path(asked.out)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = key.path(asked.results).read_text(encoding="utf-8")
        path.write_text(re.sub(r"--data-dir \S+?(?=[ \"])", "--data-dir ../shared/data", text), encoding="utf-8")
        np.savez_compressed(path.with_suffix(".npz"), **{n: array for n, array in kept.items() if n not in drop})
    done = pack(asked.out)
    print(f"{done.cells} cells, {done.size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
