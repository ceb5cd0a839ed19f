"""Two processes under `accelerate launch` give the results of one, once.

On a machine without GPUs, `--multi_gpu` is what makes `accelerate launch` start several processes (gloo); `--cpu`
starts but one unless there is MPI."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import review_rows, write_csv

pytest.importorskip("torch.distributed").is_available() or pytest.skip(
    "this torch cannot run several processes", allow_module_level=True
)

TOLERANCE = 1e-3
"""Sums over processes add in another order; after a few steps of Adam probabilities agree to this."""


def grid(folder, tiny_bert, results):
    return [
        *("-m", "bench", "run", "--methods", "plain,co-teaching", "--tasks", str(folder / "reviews.csv")),
        *("--llms", "ann", "--seeds", "1", "--encoder", f"{tiny_bert}:frozen", "--epochs", "5", "--batch-size", "16"),
        *("--dropout", "0", "--learning-rate", "1e-2", "--results", str(folder / results), "--log-json"),
    ]


def start(arguments):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True, text=True, timeout=300, env=environment, cwd=Path(__file__).parents[1], check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_bert):
    """(folder, events of one process, events of two, events of two once more)."""
    folder = tmp_path_factory.mktemp("distributed")
    write_csv(folder / "reviews.csv", review_rows(101))  # batches that two processes cannot share evenly
    launch = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no"]
    two = ["-m", *launch, *grid(folder, tiny_bert, "two")]
    return folder, start(grid(folder, tiny_bert, "one")), start(two), start(two)


def arrays_of(folder, method):
    """(record, arrays) of the one cell of a method."""
    records = [(path, json.loads(path.read_text())) for path in folder.rglob("*.json") if path.name != "format.json"]
    (found,) = [(path, record) for path, record in records if record.get("key", {}).get("method") == method]
    with np.load(found[0].with_suffix(".npz")) as arrays:
        return found[1], dict(arrays)


@pytest.mark.parametrize("method", ["plain", "co-teaching"])
def test_two_processes_give_the_probabilities_of_one(method, runs):
    (one_record, one), (two_record, two) = (arrays_of(runs[0] / side, method) for side in ("one", "two"))
    assert one_record["hash"] == two_record["hash"]  # the same cell
    assert (one_record["device"]["processes"], two_record["device"]["processes"]) == (1, 2)
    assert one["test_last"].std(axis=0).max() > 0.01  # it did learn to tell texts apart
    for name in ("test_last", "test_noisy_valid", "test_oracle_best"):
        np.testing.assert_allclose(two[name], one[name], atol=TOLERANCE)
    for a, b in zip(one_record["curve"], two_record["curve"], strict=True):
        assert a["fit_wrong"] == pytest.approx(b["fit_wrong"], abs=0.1)  # every training text was visited by someone


def test_each_cell_is_run_and_told_once(runs):
    folder, one, two, again = runs
    ended = lambda events: [(e["cell"], e["status"]) for e in events if e["event"] == "finished"]  # noqa: E731
    assert len(ended(one)) == 2
    assert {status for _, status in ended(one)} == {"done"}
    assert ended(two) == ended(one)
    assert ended(again) == [(cell, "cached") for cell, _ in ended(one)]
    assert not list((folder / "two").rglob("*.traceback.txt"))
    assert not list((folder / "two").rglob("*.tmp"))
