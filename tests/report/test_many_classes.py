"""A thousand classes: figures and tables show the most confused of them and say so; records and memory stay small."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.cli import labels as labels_view
from bench.data.task import Gold
from bench.noise.facts import NoisyLabels, noise_facts
from bench.noise.source import NoiseSource
from bench.report import frame
from bench.report.figures import by_task as plots
from bench.report.figures import collect as figures
from bench.report.many_classes import MOST_CLASSES, most_confused
from bench.report.tables.blocks import blocks
from bench.store.records import Record, read_record, write_record
from tests.factories import cell_key, done_record, write_done

CLASSES = 1_000
NAMES = [f"class {number}" for number in range(CLASSES)]
GIGABYTE = 2**30


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Records as they were written before tables of counts were kept sparsely, and one whose table is sparse."""
    path = tmp_path_factory.mktemp("thousand")
    write_done(path, cell_key("many", "gpt4/zero", "plain", 1), label_names=NAMES)
    record, arrays = done_record(cell_key("many", "sn@0.3", "plain", 1), label_names=NAMES)
    write_record(record.model_copy(update={"noise": _facts()}), path, arrays)
    return path


def _labels():
    gold = np.arange(5_000) % CLASSES
    noisy = np.where(np.arange(5_000) % 5 == 0, (gold + 1) % CLASSES, gold)
    noisy[7] = -1
    return gold, noisy


def _facts():
    gold, noisy = _labels()
    labels = NoisyLabels(noisy, noisy, None, NoiseSource("sn@0.3", "synthetic"), {})
    return noise_facts(labels, Gold(gold, gold, None), CLASSES)


def test_a_record_keeps_the_counts_sparsely_and_gives_them_back(folder):
    gold, noisy = _labels()
    expected = np.zeros((CLASSES, CLASSES), dtype=int)
    for truth, label in zip(gold, noisy, strict=True):
        if label >= 0:
            expected[truth, label] += 1
    [path] = folder.glob("cells/many/sn*/**/*.json")
    assert path.stat().st_size < 200_000
    np.testing.assert_array_equal(read_record(path).noise.confusion(), expected)
    [old] = folder.glob("cells/many/gpt4*/**/*.json")
    dense = json.loads(old.read_text())["noise"]["confusion_train"]
    np.testing.assert_array_equal(read_record(old).noise.confusion(), dense)


def test_up_to_a_hundred_classes_a_record_is_as_it_was():
    gold = np.arange(100)
    labels = NoisyLabels(gold, gold, None, NoiseSource("sn@0.3", "synthetic"), {})
    assert noise_facts(labels, Gold(gold, gold, None), 100).confusion_train == np.eye(100, dtype=int).tolist()


@pytest.mark.skipif(sys.platform != "linux", reason="no limit of address space")
def test_a_report_needs_little_memory_and_says_what_it_leaves_out(folder, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "bench", "report", "--results", str(folder), "--out", str(tmp_path / "report")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (5 * GIGABYTE, 5 * GIGABYTE)),
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = "Of 1,000 classes the 60 most often confused are shown."
    assert said in (tmp_path / "report" / "report.md").read_text()
    assert said in (tmp_path / "report" / "index.html").read_text()
    assert (tmp_path / "report" / "figures" / "confusion-many.png").stat().st_size < 2e6


def test_the_heat_map_shows_sixty_classes_and_rates_over_all(folder):
    read = frame.load(folder)
    [plan] = [p for p in figures.plans(read, blocks(read.cells, "plain"), "last") if p.kind == "confusion"]
    with figures.style():
        figure = plan.draw()
    panels = [axis for axis in figure.axes if axis.get_title(loc="left")]
    assert [len(axis.get_yticks()) for axis in panels] == [MOST_CLASSES] * 2
    assert max(figure.get_size_inches()) < 30
    rate = {record.key.noise: record.noise.rate_train for record in read.records if isinstance(record, Record)}
    for axis in panels:
        noise, said = axis.get_title(loc="left").split("\n")
        assert said.endswith(" % wrong")
        assert float(said.partition(" %")[0]) == pytest.approx(100 * rate[noise], abs=0.06)


def test_the_most_confused_come_first_then_the_most_frequent():
    counts = np.diag([5, 1, 9, 1, 1])
    counts[3, 1] = 4
    assert most_confused(counts, 3).tolist() == [1, 2, 3]
    assert most_confused(counts, 2).tolist() == [1, 3]
    assert most_confused(counts, 5).tolist() == [0, 1, 2, 3, 4]


def test_few_classes_are_all_shown_in_their_order():
    counts = np.eye(7, dtype=int)
    with figures.style():
        figure = plots.confusion({"a": counts}, list("gfedcba"), "x")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list("gfedcba")


def test_the_view_of_label_sets_shows_the_worst_classes_of_each():
    wrong = [0, *(3 + at // 990 for at in range(1, CLASSES))]
    rows = [("t", "a", "train", name, name, 4, 4 / (4 + w)) for name, w in zip(NAMES, wrong, strict=True)]
    rows += [("t", "a", "train", NAMES[at], "class 0", w, w / (4 + w)) for at, w in enumerate(wrong) if at]
    confusion = pd.DataFrame(rows, columns=["task", "labels", "split", "gold", "label", "count", "share"])
    worst, cut = labels_view.worst(labels_view.mistakes(confusion))
    assert len(worst) == labels_view.CLASSES
    assert set(worst["gold"]) == set(NAMES[-labels_view.CLASSES :])
    assert cut == "; the 10 classes with the most wrong labels"
    assert labels_view.worst(labels_view.mistakes(confusion[:10]))[1] == ""
