"""SiDyP with the harness's own stage 1, on data whose noise is known."""

import numpy as np
import pytest

from tests.methods.toy import accuracy, run, toy_task, toy_tools

SMALL = {"width": 64, "learning_rate": 1e-3, "num_samples": 1, "evaluate_every": 10}
"""400 texts are few steps: a narrow network, larger steps."""


def test_accuracy_rises_over_plain_under_a_planted_transition():
    """40 % of the labels moved on to the next class, separable features: at least 4 points on average."""
    gains = []
    for seed in range(2):
        task, gold, _ = toy_task(rate=0.4, seed=seed)
        tools = toy_tools(seed=seed)
        plain, sidyp = (accuracy(run(name, task, tools, **extra), gold) for name, extra in _both())
        gains.append(sidyp - plain)
    assert np.mean(gains) >= 0.04, gains
    assert min(gains) >= 0, gains


def test_clean_labels_cost_at_most_a_point():
    losses = []
    for seed in range(2):
        task, gold, _ = toy_task(rate=0.0, seed=seed)
        tools = toy_tools(seed=seed)
        plain, sidyp = (accuracy(run(name, task, tools, **extra), gold) for name, extra in _both())
        losses.append(plain - sidyp)
    assert np.mean(losses) <= 0.01, losses


@pytest.mark.parametrize("extra", [{"num_samples": 1, "evaluate_every": 1}, {"mode": "official"}], ids=str)
def test_a_run_says_what_it_did(extra):
    task, _, _ = toy_task(sizes=(60, 20, 10))
    tools = toy_tools(epochs=3)
    steps = run("sidyp", task, tools, width=16, epochs=4, **extra)
    assert [step.step for step in steps] == [1, 2, 3, 4]
    facts = steps[-1].diagnostics
    assert {"noise_rate_estimate", "certain_share", "uncertain_share", "candidates_of_uncertain"} <= facts.keys()
    assert {"weights_moved", "best_candidate_changed", "neighbours", "marked"} <= facts.keys()
    assert tools.trainer.parameters > facts["trainable_parameters"]


def _both():
    return ("plain", {}), ("sidyp", SMALL)
