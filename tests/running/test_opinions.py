"""What a record keeps of a method's beliefs about single texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from bench.noise.facts import NoisyLabels
from bench.noise.source import NoiseSource
from bench.running.opinions import opinion_arrays
from bench.store import opinions
from methods.base import Predictions


def labelled(train, valid=(0, 1)) -> NoisyLabels:
    return NoisyLabels(np.array(train), np.array(valid), None, NoiseSource("ann", "column"))


def step(number, train=None, posterior=None) -> Predictions:
    flat = np.full((2, 3), 1 / 3, np.float32)
    return Predictions(number, flat, flat, train, posterior)


def test_the_running_predictions_are_averaged_and_their_margin_is_that_of_the_logits():
    logits = np.random.default_rng(0).normal(size=(2, 4, 3))
    first, second = softmax(logits, axis=2).astype(np.float32)
    second[3] = np.nan  # not visited in the second epoch
    given = np.array([0, 2, 1, -1])
    found = opinion_arrays([step(1, first), step(2, second)], labelled(given))
    np.testing.assert_allclose(found["train_last"], second, atol=1e-3)
    np.testing.assert_allclose(found["train_mean"][:3], (first[:3] + second[:3]) / 2, atol=1e-3)
    np.testing.assert_allclose(found["train_mean"][3], first[3], atol=1e-3)
    margins = [
        np.mean([each[row, given[row]] - np.delete(each[row], given[row]).max() for each in logits]) for row in range(3)
    ]
    np.testing.assert_allclose(found["train_aum"][:3], margins, atol=1e-2)
    assert np.isnan(found["train_aum"][3])  # there is no label
    assert found["valid_last"].dtype == np.float16
    assert found["valid_labels"].tolist() == [0, 1]
    assert "train_posterior" not in found


def test_a_text_that_was_never_visited_has_no_opinion():
    running = np.full((2, 3), 1 / 3, np.float32)
    running[1] = np.nan
    found = opinion_arrays([step(1, running, running)], labelled([0, 1]))
    assert np.isnan(found["train_mean"][1]).all()
    assert np.isnan(found["train_posterior"][1]).all()
    assert np.isfinite(found["train_mean"][0]).all()


def test_of_very_many_values_the_most_probable_classes_and_the_given_one_are_kept(monkeypatch):
    monkeypatch.setattr(opinions, "MOST_VALUES", 1000)
    rng = np.random.default_rng(1)
    values = rng.dirichlet(np.ones(50), 30)
    labels = values.argmin(axis=1)
    labels[0] = -1
    arrays = opinions.kept("train_mean", values, labels)
    assert arrays["train_mean"].shape == (30, opinions.MOST_CLASSES)
    found = opinions.whole("train_mean", arrays, 50)
    rows = np.arange(1, 30)
    np.testing.assert_allclose(found[rows, labels[1:]], values[rows, labels[1:]], atol=1e-3)
    best = np.sort(values, axis=1)[:, -(opinions.MOST_CLASSES - 1) :]
    np.testing.assert_allclose(np.sort(found, axis=1)[:, -(opinions.MOST_CLASSES - 1) :], best, atol=1e-3)
    assert np.count_nonzero(found, axis=1).max() <= opinions.MOST_CLASSES
    whole = opinions.kept("train_mean", values[:20], labels[:20])
    np.testing.assert_allclose(opinions.whole("train_mean", whole, 50), values[:20], atol=1e-3)


@pytest.mark.parametrize(
    "method", ["npc[epochs=2]", "dygen[epochs=2]", "sidyp[epochs=2]", "cleanlab", "knn-vote", "second-opinion"]
)
def test_methods_with_a_posterior_of_the_training_labels_keep_it(bench, reviews, tiny_bert, method):

    from bench.store.records import read_arrays
    from tests.conftest import records

    words = ("--tasks", "reviews.csv", "--llms", "ann", "--seeds", 1, "--encoder", f"{tiny_bert}:frozen", "--epochs", 2)
    assert bench("run", "--methods", method, *words).exit_code == 0
    (record,) = records()
    arrays = read_arrays(record.key.path(Path("results")))
    believed = arrays["train_posterior"].astype(np.float64)
    assert believed.shape == (record.data.n_train, 2)
    np.testing.assert_allclose(believed.sum(1), 1, atol=2e-3)
    assert np.ptp(believed[:, 0]) > 0
    assert arrays["valid_last"].shape == (record.data.n_valid, 2)


@pytest.mark.parametrize("classes", [2, 6, 58])
@pytest.mark.parametrize(("wide", "narrow"), [(np.float32, np.float16), (np.float64, np.float32)])
def test_rounding_keeps_the_best_class_strictly_best(classes, wide, narrow):
    spread = 1e-3 if narrow is np.float16 else 1e-7
    p = softmax(np.random.default_rng(2).normal(size=(3000, classes)) * spread, axis=1).astype(wide)
    assert (p.astype(narrow).argmax(1) != p.argmax(1)).mean() > 0.05  # what ties goes to the lower class
    found = opinions.rounded(p, narrow)
    assert found.dtype == narrow
    np.testing.assert_array_equal(found.argmax(1), p.argmax(1))
    best, second = np.sort(found, axis=1)[:, [-1, -2]].T
    assert (best > second)[np.sort(p, axis=1)[:, -1] > np.sort(p, axis=1)[:, -2]].all()
    np.testing.assert_allclose(found.astype(np.float64).sum(1), 1, atol=2e-3)  # of what is stored
    np.testing.assert_allclose(found, p, rtol=2e-3)


def test_rounding_changes_nothing_where_nothing_new_ties():
    p = np.array([[0.5, 0.5, 0], [0.25, 0.5, 0.25], [np.nan] * 3, [1, 0, 0], [0.3, 0.3, 0.4]], np.float32)
    np.testing.assert_array_equal(opinions.rounded(p), p.astype(np.float16))
    assert opinions.rounded(np.empty((0, 3), np.float32)).shape == (0, 3)
    near = np.array([[0.5 - 2**-20, 0.5, 2**-20]], np.float32)  # the first two are both 0.5 in float16
    assert opinions.rounded(near)[0, :2].tolist() == [0.5 - 2**-12, 0.5]
