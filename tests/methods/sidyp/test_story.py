"""What a record keeps of a SiDyP run, against the trace of the same run."""

import json

import numpy as np
import pytest
import torch

from methods.sidyp.fit import fit, prepare
from methods.sidyp.story import Story, example_rows
from methods.sidyp.trace import trace
from tests.methods.sidyp import toy


@pytest.fixture(scope="module")
def run():
    data, config = toy.stage1(noise_rate=0.4), toy.config()
    generator = torch.Generator().manual_seed(3)
    problem = prepare(data, config, generator, seed=3)
    story = Story(data, problem)
    steps = list(fit(data, problem, generator, 3, on_epoch=story.remember))
    return data, config, story.told(steps[-1]), steps


def test_the_story_is_small_json(run):
    text = json.dumps(run[2], allow_nan=False)
    assert len(text) < 60_000


def test_candidates_are_shares_of_texts(run):
    _, _, told, steps = run
    assert len(told["candidates"]) == 4
    assert sum(told["candidates"]) == pytest.approx(1, abs=1e-3)
    assert told["candidates"][0] == pytest.approx(steps[-1].facts["certain_share"], abs=1e-3)


def test_the_prior_by_epoch_is_that_of_the_trace(run):
    data, config, told, _ = run
    seen = trace(data, config, torch.Generator().manual_seed(3), rows=range(len(data.train_labels)), seed=3)
    assert [row["epoch"] for row in told["prior"]] == [0, 1, 2, 3, 4]
    for weights, row in zip(seen.weights, told["prior"], strict=True):
        noisy = np.take_along_axis(weights, data.train_labels[None, :, None], -1)[..., 0]
        assert row["noisy_label"] == pytest.approx(noisy[seen.uncertain].mean(), abs=1e-3)
        assert row["best"] == pytest.approx(weights.max(-1)[seen.uncertain].mean(), abs=1e-3)
    assert told["prior"][0]["entropy"] > told["prior"][-1]["entropy"]


def test_paths_are_those_of_the_trace_within_their_three_classes(run):
    data, config, told, steps = run
    rows = example_rows(steps[-1].probabilities["test"])
    seen = trace(data, config, torch.Generator().manual_seed(3), rows=[0], test_rows=rows, seed=3)
    assert [path["row"] for path in told["paths"]] == rows
    for place, path in enumerate(told["paths"]):
        chains = np.array(path["chains"])
        samples = seen.paths.shape[3]
        assert chains.shape == (3 * samples, seen.paths.shape[0], 3)
        np.testing.assert_allclose(chains.sum(-1), 1, atol=3e-3)
        label, sample = 1, samples - 1
        point = seen.paths[:, 0, path["classes"][label], sample, place][:, path["classes"]].astype(float)
        expected = np.exp(point) / np.exp(point).sum(-1, keepdims=True)
        np.testing.assert_allclose(chains[label * samples + sample], expected, atol=1e-3)


def test_the_story_changes_no_prediction(run):
    data, config, _, steps = run
    generator = torch.Generator().manual_seed(3)
    plain = list(fit(data, prepare(data, config, generator, seed=3), generator, 3))
    np.testing.assert_array_equal(plain[-1].probabilities["test"], steps[-1].probabilities["test"])


def test_the_examples_are_the_surest_the_median_and_the_least_sure():
    sure = np.array([0.5, 0.9, 0.6, 0.7, 0.8], np.float32)
    assert example_rows(np.stack([sure, 1 - sure], 1)) == [1, 3, 0]
    assert example_rows(np.array([[1.0, 0.0]])) == [0]
