"""The estimators of the noise rate that benchmarks compare, on data whose noise is known."""

import numpy as np
import pytest
from cleanlab.count import estimate_joint

from benchmarks import noise_rate_estimators
from methods import neighbours


def labelled(rate, n=3000, num_classes=4, seed=0, sharp=3.0):
    """(probabilities of a good clean classifier, noisy labels, truth): labels move on by one class at `rate`."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, num_classes, n)
    logits = rng.normal(size=(n, num_classes)) + 2 * sharp * np.eye(num_classes)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return probabilities, np.where(rng.random(n) < rate, (truth + 1) % num_classes, truth), truth


def losses_of(probabilities, labels):
    return -np.log(probabilities[np.arange(len(labels)), labels])


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 0.45])
def test_every_estimator_finds_the_rate_with_a_good_clean_classifier(rate):
    probabilities, labels, truth = labelled(rate)
    true = (labels != truth).mean()
    assert noise_rate_estimators.confident_joint(probabilities, labels) == pytest.approx(true, abs=0.02)
    assert noise_rate_estimators.disagreement(probabilities, labels) == pytest.approx(true, abs=0.02)
    assert noise_rate_estimators.negative_margin(probabilities[None], labels) == pytest.approx(true, abs=0.02)
    if rate:  # a mixture of two always finds two
        assert noise_rate_estimators.loss_mixture(losses_of(probabilities, labels), 0) == pytest.approx(true, abs=0.05)


def test_the_confident_joint_estimate_is_cleanlabs():
    probabilities, labels, _ = labelled(0.3, n=500, sharp=1.0)
    expected = 1 - np.trace(estimate_joint(labels, probabilities))
    assert noise_rate_estimators.confident_joint(probabilities, labels) == pytest.approx(expected, abs=4 / 500)


def test_margins_leave_out_epochs_in_which_a_row_was_not_visited():
    running = np.array([[[0.7, 0.2, 0.1], [0.5, 0.5, 0.0]], [[0.1, 0.6, 0.3], [np.nan] * 3]])
    found = noise_rate_estimators.margins(running, np.array([0, 1]))
    np.testing.assert_allclose(found, [np.mean([0.5, -0.5]), 0.0], atol=1e-12)


def test_clusterability_recovers_a_planted_transition():
    rng = np.random.default_rng(0)
    transition = np.array([[0.7, 0.2, 0.1], [0.05, 0.9, 0.05], [0.3, 0.1, 0.6]])
    prior = np.array([0.5, 0.3, 0.2])
    truth = rng.choice(3, 20_000, p=prior)
    triples = (rng.random((20_000, 3, 1)) > transition.cumsum(1)[truth][:, None]).sum(2).clip(max=2)
    p, t = noise_rate_estimators.clusterability_transition(triples, 3, 0)
    np.testing.assert_allclose(p, prior, atol=0.03)
    np.testing.assert_allclose(t, transition, atol=0.04)
    expected = 1 - prior @ transition.diagonal()
    assert noise_rate_estimators.clusterability(triples, 3, 0) == pytest.approx(expected, abs=0.02)


def test_clusterability_works_on_neighbours_in_an_embedding():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 2000)
    points = 8 * np.eye(3)[truth] + rng.normal(size=(2000, 3))
    labels = np.where(rng.random(2000) < 0.3, (truth + 1) % 3, truth)
    near = neighbours.nearest(points, points, 2, exclude_self=True).indices
    triples = np.column_stack([labels, labels[near]])
    assert noise_rate_estimators.clusterability(triples, 3, 0) == pytest.approx(0.3, abs=0.03)
