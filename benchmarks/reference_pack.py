"""Copy chosen cells of a results folder, without the arrays that no committed table needs, and pack them.

    python -m benchmarks.reference_pack RESULTS OUT --encoder mpnet:frozen --chosen llm_axis
    python -m benchmarks.reference_pack RESULTS OUT --encoder minilm:frozen --chosen human_worth

Cells of the label sets and seeds that the named script runs. What methods say of training texts is kept only on request
(--train), predictions of the step that was chosen on test data never, and of a task with more than 20 classes only the
test predictions of the last step.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
from pathlib import Path

import numpy as np

from bench.store.packing import pack
from bench.store.records import Record, read_arrays, read_records

MANY_CLASSES = 20
HEAVY = ("test_oracle_best", "train_mean", "train_aum", "valid_last")
OF_TRAIN = ("train_last", "train_posterior", "train_labels", "train_gold", "valid_labels")


def main() -> None:
    """Copy and pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--chosen", required=True, choices=("llm_axis", "human_worth"))
    parser.add_argument("--train", action="store_true", help="keep what methods say of the training texts")
    asked = parser.parse_args()
    chosen = importlib.import_module(f"benchmarks.{asked.chosen}").CHOSEN
    human = asked.chosen == "human_worth"
    asked.out.mkdir(parents=True, exist_ok=True)
    shutil.copy(asked.results / "format.json", asked.out)
    for record in read_records(asked.results):
        if not isinstance(record, Record) or f"{record.key.encoder}:{record.key.encoder_mode}" != asked.encoder:
            continue
        key = record.key
        if key.noise not in chosen.get(key.task, ()) or (not human and (record.human_labels or key.seed > 3)):
            continue
        kept = read_arrays(key.path(asked.results)) if record.status == "done" else {}
        drop = set(HEAVY) | (set() if asked.train and record.human_labels is None else set(OF_TRAIN))
        if len(record.data.label_names) > MANY_CLASSES:
            drop.add("test_noisy_valid")
        path = key.path(asked.out)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(key.path(asked.results), path)
        if kept:
            np.savez_compressed(path.with_suffix(".npz"), **{n: array for n, array in kept.items() if n not in drop})
    done = pack(asked.out)
    print(f"{done.cells} cells, {done.size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
