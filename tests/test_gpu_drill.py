"""The GPU drill runs whole on a CPU, where what needs a GPU is said to be skipped; and what is broken fails."""

import dataclasses

import numpy as np
import pytest
import torch

from bench.data.load import load_task
from benchmarks import gpu_drill


@pytest.fixture
def setting(tmp_path):
    words = sorted(
        {word for text in load_task("tweets").train.texts for word in text.lower().split() if word.isalpha()}
    )
    encoder = gpu_drill.make_encoder(tmp_path / "bert", words, small=True)
    return gpu_drill.Setting(tmp_path, encoder, texts=96, length=32, batch=16, cuda=False, precision="bf16")


def without_learning(at, labels):
    at.recipe = dataclasses.replace(at.recipe, learning_rate=1e-12)
    return labels


def with_flipped_labels(at, labels):
    return 1 - labels


def with_one_answer_for_all_texts(at, labels):
    predict = at.predict

    def same(*given, **named):
        logits, features = predict(*given, **named)
        return np.broadcast_to(logits.mean(1, keepdims=True), logits.shape), features

    at.predict = same
    return labels


@pytest.mark.parametrize("broken", [without_learning, with_flipped_labels, with_one_answer_for_all_texts])
def test_a_bf16_that_is_broken_fails_and_one_that_is_not_passes(setting, monkeypatch, broken):
    make = gpu_drill.trainer

    def trainer(setting, precision, **recipe):
        at, inputs, labels = make(setting, precision, **recipe)
        return at, inputs, broken(at, labels) if precision == "bf16" else labels

    assert [check.passed for check in gpu_drill.precision(setting)] == [True] * 4
    monkeypatch.setattr(gpu_drill, "trainer", trainer)
    assert False in [check.passed for check in gpu_drill.precision(setting)]


def test_float32_that_learns_nothing_fails(setting, monkeypatch):
    make = gpu_drill.trainer
    monkeypatch.setattr(
        gpu_drill, "trainer", lambda *given, **recipe: make(*given, **recipe | {"learning_rate": 1e-12})
    )
    assert next(gpu_drill.precision(setting)).passed is False


@pytest.mark.parametrize(
    ("after", "passed"),
    [
        (lambda losses: losses, True),
        (lambda losses: losses * 2, False),
        (lambda losses: -losses + 2 * losses.detach(), False),  # the same loss, other gradients
    ],
)
def test_a_recovery_from_want_of_memory_must_end_where_a_run_that_fits_does(setting, monkeypatch, after, passed):
    """`after`: what becomes of the losses of a step that is repeated."""
    whole, repeated = gpu_drill.cross_entropy, set()

    def with_little_memory(outputs, batch):
        repeated.intersection_update({batch.step})
        if len(batch.indices) > 4:
            repeated.add(batch.step)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return after(whole(outputs, batch)) if repeated else whole(outputs, batch)

    monkeypatch.setattr(gpu_drill, "cross_entropy", with_little_memory)
    check = gpu_drill.recovery(setting)
    assert "micro-batches of 4" in check.seen
    assert check.passed is passed


def test_the_drill_runs_on_a_cpu_and_writes_its_file(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CPU", "1")
    out = tmp_path / "drill.md"
    assert gpu_drill.main(["--out", str(out)]) == 0
    rows = [line.strip("| ").split(" | ") for line in out.read_text().splitlines() if line.startswith("| ")][2:]
    seen = {row[0].split(",")[0]: row for row in rows}
    passed = [name for name, row in seen.items() if row[-1] == "passed"]
    bf16 = {"bf16 predictions of one network", "bf16 training", "bf16 training loss"}
    assert {"float32 training loss", *bf16, "frozen grid"} <= set(passed)
    assert any(name.startswith("two processes on the CPU") for name in passed)
    skipped = {name for name, row in seen.items() if row[1].startswith("skipped: needs a GPU")}
    assert skipped == {"peak memory", "out of memory", "frozen grid on GPU and CPU"}
    assert "failed" not in out.read_text()


def test_a_check_that_breaks_is_a_failed_row_and_the_others_run(tmp_path, monkeypatch):
    def broken(setting):
        raise RuntimeError("no | kernel\nhere")

    for part in ("precision", "speed", "two_processes", "frozen_grid"):
        monkeypatch.setattr(gpu_drill, part, broken)
    monkeypatch.setenv("BENCH_CPU", "1")
    assert gpu_drill.main(["--out", str(tmp_path / "drill.md")]) == 1
    text = (tmp_path / "drill.md").read_text()
    assert text.count("RuntimeError: no / kernel here | **failed** |") == 4
    assert "| peak memory | skipped: needs a GPU |" in text
