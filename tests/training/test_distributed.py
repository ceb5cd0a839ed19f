"""Two processes that train one cell together give the results of one process, once, and fail together.

On a machine without GPUs, gloo connects them: that is what these tests run."""

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

HURT = '''"""Plain training that goes wrong in one process only."""

import time

import torch
import torch.nn.functional as F

from bench.training import distributed
from methods import shared
from methods.base import Field, Predictions, config
from methods.registry import register


@register
class Hurt:
    """Cross-entropy with a fault."""

    name = "hurt"

    @config
    class Config:
        how: str = Field("never", description="error in the loss, at the end; memory; slow; never")

    def __init__(self, config):
        self.config = config

    def run(self, task, tools):
        """One fit, as `plain` does it."""
        how, second = self.config.how, distributed.rank() == 1

        def loss(outputs, batch):
            if second and how == "slow":
                time.sleep(0.5)
            if second and batch.step == 3:
                if how == "loss":
                    raise ValueError("the second process stumbled")
                if how == "memory" and len(batch.indices) > 3:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return F.cross_entropy(outputs[0].logits, batch.targets["label"], reduction="none")

        trainer = tools.trainer
        inputs, labels = shared.inputs(task, tools), {"label": shared.labels(task, tools).train}
        for epoch in trainer.fit(trainer.classifiers(1, task.num_classes, "plain"), inputs, loss,
                                 targets=labels, name="plain"):
            yield Predictions(epoch.number, epoch.ensemble("valid"), epoch.ensemble("test"), epoch.running)
        if how == "end" and second:
            raise ValueError("the second process fell at the last step")
'''


def run(folder, tiny_bert, results, methods, *words, code=0):
    """The events of `bench run` in a process of its own, and what it said on stderr."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONUNBUFFERED": "1"}
    command = [
        *(sys.executable, "-m", "bench", "run", "--methods", methods, "--tasks", str(folder / "reviews.csv")),
        *("--llms", "ann", "--seeds", "1", "--encoder", f"{tiny_bert}:frozen", "--epochs", "5", "--batch-size", "9"),
        *("--dropout", "0", "--learning-rate", "1e-2", "--results", str(folder / results), "--log-json", *words),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=environment, cwd=Path(__file__).parents[2],
        check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")], done.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_bert):
    """(folder, events of one process, events of two, events of two once more)."""
    folder = tmp_path_factory.mktemp("distributed")
    write_csv(folder / "reviews.csv", review_rows(109))  # eight batches of 9 texts, and one of a single text
    (folder / "hurt.py").write_text(HURT, encoding="utf-8")
    hurt = [f"{folder}/hurt.py[how={how}]" for how in ("loss", "end", "memory", "never")]
    two = ("--processes-per-cell", "2")
    sound = "plain,co-teaching"
    one = run(folder, tiny_bert, "one", f"{sound},{hurt[3]}")
    both = run(folder, tiny_bert, "two", ",".join([*hurt, sound]), *two, code=1)
    return folder, one, both, run(folder, tiny_bert, "two", sound, *two)


def arrays_of(folder, method, **config):
    """(path, record, arrays) of the one cell of a method."""
    paths = [path for path in folder.rglob("*.json") if path.name != "format.json"]
    records = [(path, json.loads(path.read_text(encoding="utf-8"))) for path in paths]
    (found,) = [
        (path, record)
        for path, record in records
        if record["key"]["method"] == method and config.items() <= record["key"]["config"].items()
    ]
    if not found[0].with_suffix(".npz").exists():
        return *found, {}
    with np.load(found[0].with_suffix(".npz")) as arrays:
        return *found, dict(arrays)


@pytest.mark.parametrize("method", ["plain", "co-teaching"])
def test_two_processes_give_the_probabilities_of_one(method, runs):
    (_, one_record, one), (_, two_record, two) = (arrays_of(runs[0] / side, method) for side in ("one", "two"))
    assert one_record["hash"] != two_record["hash"]  # with dropout they would differ
    assert two_record["key"]["recipe"] == one_record["key"]["recipe"] | {"processes": 2}
    assert "--processes-per-cell 2" in two_record["command"]
    shared = {use["name"] for side in (one_record, two_record) for use in side["stages"]}
    for name in shared:
        hashes = [{use["hash"] for use in side["stages"] if use["name"] == name} for side in (one_record, two_record)]
        assert hashes[0].isdisjoint(hashes[1]) == name.endswith(" run")
    assert (one_record["device"]["processes"], two_record["device"]["processes"]) == (1, 2)
    assert one["test_last"].std(axis=0).max() > 0.01  # it did learn to tell texts apart
    for name in ("test_last", "test_noisy_valid", "test_oracle_best"):
        np.testing.assert_allclose(two[name], one[name], atol=TOLERANCE)
    for a, b in zip(one_record["curve"], two_record["curve"], strict=True):
        assert a["fit_wrong"] == pytest.approx(b["fit_wrong"], abs=0.1)  # every training text was visited by someone


def ended(events):
    return [(event["cell"], event["status"]) for event in events if event["event"] == "finished"]


def test_each_cell_is_run_and_told_once(runs):
    folder, (one, _), (two, _), (again, _) = runs
    assert [status for _, status in ended(one)] == ["done"] * 3
    assert sorted(status for _, status in ended(two)) == ["done"] * 4 + ["failed"] * 2
    assert len({event["hash"] for event in two if event["event"] == "finished"}) == 6
    assert ended(again) == [(cell, "cached") for cell, _ in ended(one) if "hurt" not in cell]
    assert not list((folder / "two").rglob("*.tmp"))


@pytest.mark.parametrize(("how", "said"), [("loss", "stumbled"), ("end", "fell at the last step")])
def test_an_error_in_one_process_fails_the_cell_in_all_and_the_grid_goes_on(how, said, runs):
    """The others do not wait for a process that never comes: the next cells of the same processes are done."""
    path, record, _ = arrays_of(runs[0] / "two", "hurt", how=how)
    assert record["status"] == "failed"
    assert record["reason"].startswith("process 1 of 2: ValueError: the second process")
    assert said in record["reason"]
    trace = path.with_name(record["error"]["traceback_file"]).read_text(encoding="utf-8")
    assert "hurt.py" in trace  # where it happened in the other process


def test_when_one_process_lacks_memory_all_repeat_the_step_in_smaller_pieces(runs):
    _, whole, expected = arrays_of(runs[0] / "one", "hurt", how="never")
    _, record, arrays = arrays_of(runs[0] / "two", "hurt", how="memory")
    assert (whole["status"], record["status"]) == ("done", "done")
    (note,) = record["device"]["notes"]
    assert note.startswith("out of memory: going on with micro-batches of ")
    np.testing.assert_allclose(arrays["test_last"], expected["test_last"], atol=TOLERANCE)


def test_a_time_limit_ends_the_cell_in_all_processes(runs, tiny_bert):
    """They leave it themselves: the process that started them would have to kill them, and would say so."""
    words = ("--processes-per-cell", "2", "--timeout", "2s")
    run(runs[0], tiny_bert, "late", f"{runs[0]}/hurt.py[how=slow]", *words, code=1)
    _, record, _ = arrays_of(runs[0] / "late", "hurt", how="slow")
    assert (record["status"], record["reason"]) == ("failed", "timed out after 2s (--timeout)")


def test_a_failed_cell_leaves_no_traceback_of_the_launcher_on_the_terminal(runs):
    assert "Traceback" not in runs[2][1]
