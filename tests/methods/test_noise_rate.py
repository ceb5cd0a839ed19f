"""The noise rate and the split of losses on data whose noise is known."""

import numpy as np
import pytest

from methods import noise_rate


def test_the_mixture_separates_planted_components():
    rng = np.random.default_rng(1)
    low, high = rng.beta(2, 20, 700), 2 + rng.beta(8, 4, 300)
    noisy = noise_rate.high_loss_probability(np.concatenate([low, high]), 0)
    assert (noisy[:700] < 0.1).all()
    assert (noisy[700:] > 0.9).all()


@pytest.mark.parametrize("losses", [[], [0.3], [0.5] * 8])
def test_losses_that_cannot_be_split_count_as_clean(losses):
    np.testing.assert_array_equal(noise_rate.high_loss_probability(np.array(losses), 0), np.zeros(len(losses)))


def test_refitting_on_the_kept_rows_brings_the_estimate_nearer_to_the_truth():
    """Weak features: the first confident joint counts too much, the refined estimate less so."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 900)
    features = 1.5 * np.eye(20)[truth] + rng.normal(size=(900, 20)) * 0.7
    labels = np.where(rng.random(900) < 0.3, (truth + 1) % 3, truth)
    true = (labels != truth).mean()
    first = noise_rate.refined(features, labels, 3, np.random.default_rng(1), refits=0)
    last = noise_rate.refined(features, labels, 3, np.random.default_rng(1))
    assert abs(last.rate - true) < abs(first.joint_rate - true)
    assert last.rate == pytest.approx(true, abs=0.06)
    assert last.dropped_share == last.dropped.mean()
    assert (labels != truth)[last.dropped].mean() > 0.7


@pytest.mark.parametrize("labels", [[0], [0, 1], [1, 1, 1], [0, 0, 0, 1]])
def test_tiny_sets_have_a_rate(labels):
    features = np.random.default_rng(0).normal(size=(len(labels), 4))
    found = noise_rate.refined(features, np.array(labels), 2, np.random.default_rng(0))
    assert 0 <= found.rate <= 1
    assert not found.dropped.all()
