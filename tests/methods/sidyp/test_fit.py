import dataclasses

import numpy as np
import pytest
import torch

from bench.core.errors import UsageError
from methods import registry
from methods.sidyp import Sidyp
from methods.sidyp.config import Config
from methods.sidyp.fit import fit, prepare
from methods.sidyp.trace import trace
from tests.methods.sidyp import toy
from tests.methods.toy import run, toy_task, toy_tools


def steps(data, config, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return list(fit(data, prepare(data, config, generator, seed=seed), generator, seed))


def test_probabilities_are_probabilities_and_equal_seeds_agree():
    data, config = toy.stage1(), toy.config()
    first, second = steps(data, config), steps(data, config)
    assert [step.epoch for step in first] == [1, 2, 3, 4]
    for one, other in zip(first, second, strict=True):
        for split, size in (("valid", 12), ("test", 9)):
            found = one.probabilities[split]
            assert found.shape == (size, 4)
            assert found.dtype == np.float32
            assert (found >= 0).all()
            np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
            np.testing.assert_array_equal(found, other.probabilities[split])
    different = steps(data, config, seed=4)[-1].probabilities["test"]
    assert not np.array_equal(different, first[-1].probabilities["test"])


def test_predictions_after_every_second_epoch_and_the_last():
    found = steps(toy.stage1(), toy.config(epochs=5, evaluate_every=2))
    assert [step.epoch for step in found] == [2, 4, 5]
    last = steps(toy.stage1(), toy.config(epochs=5, evaluate_every=5))[-1]
    np.testing.assert_array_equal(found[-1].probabilities["test"], last.probabilities["test"])


def test_facts_describe_the_candidates():
    facts = steps(toy.stage1(noise_rate=0.4), toy.config())[-1].facts
    assert facts["marked"] == 16
    assert facts["noise_rate_estimate"] == 0.4
    assert facts["certain_share"] + facts["uncertain_share"] == pytest.approx(1)
    assert 0 < facts["uncertain_share"] <= 0.4 + 1e-9
    assert facts["candidates_of_uncertain"] >= 2
    assert facts["weights_moved"] > 0


def test_the_best_epoch_on_neighbour_voted_valid_labels_predicts():
    data, config = toy.stage1(valid=30), toy.config(mode="official", epochs=6)
    generator = torch.Generator().manual_seed(3)
    problem = prepare(data, config, generator, seed=3)
    found = list(fit(data, problem, generator, 3))
    scores = [step.facts["prior_valid_accuracy"] for step in found]
    for number, step in enumerate(found):
        best = int(np.argmax(scores[: number + 1])) + 1
        assert step.facts["selected_epoch"] == best
        accuracy = (step.probabilities["valid"].argmax(1) == problem.prior_valid).mean()
        assert accuracy == pytest.approx(scores[best - 1])


def test_labels_of_valid_do_not_reach_paper_mode():
    data = toy.stage1()
    swapped = dataclasses.replace(data, valid_labels=(data.valid_labels + 1) % 4)
    one, other = (steps(each, toy.config())[-1].probabilities["test"] for each in (data, swapped))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "changes",
    [
        {"exclude_self": True}, {"projection": "sample"}, {"posterior": "simplex"}, {"double_weight": False},
        {"share_time": True}, {"ema_decay": 0.9}, {"width": "full"}, {"num_samples": 5}, {"kl_weight": 0.0},
        {"mode": "official"}, {"certain_threshold": 0.5}, {"dominant_threshold": 0.3}, {"warm_up": 0.5},
        {"precision": "bf16"}, {"train_samples": 1}, {"simplex_value": 1.0}, {"neighbours": 2},
        {"mode": "official", "projection": "sample"},
    ],
    ids=str,
)  # fmt: skip
def test_every_option_changes_the_predictions(changes):
    data = toy.stage1(noise_rate=0.5)
    before = steps(data, toy.config(posterior="logits"))[-1].probabilities["test"]
    after = steps(data, toy.config(**{"posterior": "logits", **changes}))[-1].probabilities["test"]
    assert not np.array_equal(before, after)


@pytest.mark.parametrize(
    "shape",
    [
        {"branches": 1},
        {"train": 33, "noise_rate": 0.9},
        {"train": 2, "valid": 2, "test": 1},
        {"train": 1, "valid": 1, "test": 1},
        {"classes": 6, "present": [2, 5]},
        {"present": [1]},
        {"valid": 0},
        {"epochs": 1},
        {"noise_rate": 0.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("mode", ["paper", "official"])
def test_odd_data_runs(shape, mode):
    data = toy.stage1(**shape)
    config = toy.config(mode=mode, branches=shape.get("branches", 2), neighbours=None)
    found = steps(data, config)[-1].probabilities
    assert np.isfinite(found["test"]).all()
    assert found["valid"].shape == (len(data.texts["valid"]), data.num_classes)


def test_too_many_neighbours_are_refused_before_training():
    with pytest.raises(UsageError, match=r"neighbours = 25 .* choose neighbours in \[1, 24\]"):
        prepare(toy.stage1(noise_rate=0.4), toy.config(neighbours=25), torch.Generator())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"train_timesteps": 0}, "train_timesteps = 0: Input should be greater than or equal to 1"),
        ({"branches": 0}, "branches = 0: Input should be greater than or equal to 1"),
        ({"certain_threshold": 0}, "certain_threshold = 0: Input should be greater than 0"),
        ({"dominant_threshold": 1.5}, "dominant_threshold = 1.5: Input should be less than or equal to 1"),
        ({"inference_steps": 801}, r"inference_steps = 801 must be in \[1, train_timesteps = 800\]"),
        ({"width": 0}, r"width = 0 must be 'full' or in \[1, 16384\]"),
        ({"tau": "1.0"}, "tau = '1.0': it must be: share of wrong labels"),
        ({"mode": "fast"}, "mode = 'fast': Input should be 'paper' or 'official'"),
        ({"neighbors": 3}, "did you mean neighbours"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_values_are_refused_with_the_allowed_range(parameters, message):
    with pytest.raises(UsageError, match=message):
        registry.build(Sidyp, parameters)


@pytest.mark.parametrize("epochs", [9, 10])
def test_a_weight_that_official_mode_does_not_use_is_refused_before_anything_trains(epochs):
    """Two cells of one outcome would stand as two methods."""
    task, tools = toy_task(sizes=(30, 10, 10))[0], toy_tools(epochs=epochs)
    named = {"mode": "official", "epochs": 1}
    if epochs == 9:
        assert run("sidyp", task, tools, alpha=1, **named)
        return
    for alpha in (0, 1):
        with pytest.raises(UsageError, match=rf"alpha = {alpha}\.0 has no effect with mode=official and --epochs 10"):
            run("sidyp", task, tools, alpha=alpha, **named)
    assert run("sidyp", task, tools, alpha=5, **named)


def test_every_field_is_documented_and_the_defaults_are_valid():
    assert Config() == Config(mode="paper")
    assert all(field.default.description for field in dataclasses.fields(Config))


def test_trace_tells_the_same_story_as_the_run():
    data, config = toy.stage1(noise_rate=0.5), toy.config(posterior="simplex")
    last = steps(data, config)[-1]
    rows = np.arange(0, 40, 3)
    story = trace(data, config, torch.Generator().manual_seed(3), rows=rows, test_rows=[4, 1], seed=3)
    np.testing.assert_array_equal(story.prediction, last.probabilities["test"][[4, 1]])
    assert story.weights.shape == (5, 2, 14, 4)
    np.testing.assert_allclose(story.weights.sum(-1), 1, atol=1e-6)
    moved = (story.weights[-1] != story.weights[0]).any(-1)
    assert moved.any()
    assert not moved[~story.uncertain].any()
    assert story.paths.shape == (6, 2, 4, 2, 2, 4)
    share = torch.from_numpy(story.paths[-1]).softmax(-1).mean(2)  # [M, C_j, P, C]
    expected = torch.einsum("mjpy,mpj->py", share, torch.from_numpy(story.classifier)) / 2
    np.testing.assert_allclose(story.prediction, expected, atol=1e-5)
