"""What the conformance suite runs methods on, and how it compares two runs."""

import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from bench.running.conformance import (
    make_case,
    on_disk,
    redrawn_gold,
    relabelled,
)
from bench.running.differences import differing
from methods.base import Predictions


def uniform(size, classes):
    return np.full((size, classes), 1 / classes, np.float32)


def test_the_case_has_the_noise_it_says_and_redrawn_gold_other_shares_of_the_classes():
    case = make_case((600, 240, 300))
    redrawn = redrawn_gold(case, keep=np.arange(9))
    wrong = (case.labels.train != case.task.gold.train).mean()
    assert abs(wrong - 0.3) < 0.06
    for split in ("train", "valid", "test"):
        before, after = (np.bincount(each.task.gold.of(split)) for each in (case, redrawn))
        assert len(set(before)) == 1
        np.testing.assert_allclose(after / after.sum(), [1 / 6, 1 / 3, 1 / 2], atol=0.08)
    np.testing.assert_array_equal(case.task.gold.train[:9], redrawn.task.gold.train[:9])
    assert (case.task.gold.train != redrawn.task.gold.train).mean() > 0.5
    np.testing.assert_array_equal(case.labels.train, redrawn.labels.train)


def test_two_runs_are_the_same_only_bit_by_bit():
    half = uniform(4, 3)
    half[1] = np.nan  # not visited
    step = Predictions(1, uniform(2, 3), uniform(4, 3), half, half, {"rate": 0.1, "curve": [1, float("nan")]})
    assert differing([step], [Predictions(**asdict(step))]) == ""
    assert differing([step], [step, step]) == "number of steps"
    assert differing([step], [replace(step, step=2)]) == "step"
    for name in ("valid", "test", "train", "posterior"):
        moved = np.nextafter(getattr(step, name), np.float32(1))
        assert differing([step, step], [step, replace(step, **{name: moved})]) == name
    assert differing([step], [replace(step, train=None, posterior=None)]) == "train, posterior"
    assert differing([step], [replace(step, diagnostics={"rate": 0.1, "curve": [2, 3]})]) == "diagnostics"


def test_a_case_on_disk_is_the_same_case():
    case = make_case()
    labels = relabelled(case, np.where(np.arange(60) % 7 == 0, -1, case.labels.train))
    with on_disk() as stored:
        read = stored(labels)
        assert Path(os.environ["BENCH_DATA_DIR"], read.task.name, "test.csv").is_file()
        redrawn = stored(redrawn_gold(labels))
    assert "BENCH_DATA_DIR" not in os.environ
    assert read.task.label_names == case.task.label_names
    for split in ("train", "valid", "test"):
        assert read.task.texts(split) == case.task.texts(split)
        np.testing.assert_array_equal(read.task.gold.of(split), case.task.gold.of(split))
        np.testing.assert_array_equal(redrawn.task.gold.of(split), redrawn_gold(case).task.gold.of(split))
        for again in (read, redrawn):
            np.testing.assert_array_equal(getattr(again.labels, split), getattr(labels.labels, split))
