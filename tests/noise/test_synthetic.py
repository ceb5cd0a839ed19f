"""Synthetic noise has the rates and the structure that its definition promises (statistical, seeded)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import chisquare, truncnorm

from bench.noise.synthetic.asymmetric import Asymmetric
from bench.noise.synthetic.instance_dependent import (
    InstanceDependent,
    idn_probabilities,
    idn_rates,
    idn_weights,
    instance_dependent,
)
from bench.noise.synthetic.symmetric import Symmetric
from bench.noise.votes import majority_vote

N = 20_000
symmetric, asymmetric = Symmetric().flip, Asymmetric().flip


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def gold(num_classes: int, n: int = N) -> np.ndarray:
    return rng(99).integers(num_classes, size=n)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("num_classes", [2, 3, 9])
def test_symmetric_noise_has_its_rate_and_flips_uniformly(rate, num_classes):
    true = gold(num_classes)
    noisy = symmetric(true, num_classes, rate, rng())
    flipped = noisy != true
    assert abs(flipped.mean() - rate) < 3.3 * np.sqrt(rate * (1 - rate) / N)
    steps = (noisy - true)[flipped] % num_classes  # 1..C-1, uniform if flips are
    if num_classes > 2:
        assert chisquare(np.bincount(steps, minlength=num_classes)[1:]).pvalue > 0.001


def test_symmetric_noise_at_its_highest_rate_is_uniform():
    noisy = symmetric(np.zeros(N, np.int64), 4, 0.75, rng())
    assert chisquare(np.bincount(noisy)).pvalue > 0.001


@pytest.mark.parametrize("rate", [0.2, 0.6, 1.0])
def test_asymmetric_noise_flips_to_the_next_class(rate):
    true = gold(5)
    noisy = asymmetric(true, 5, rate, rng())
    flipped = noisy != true
    assert abs(flipped.mean() - rate) <= 3.3 * np.sqrt(rate * (1 - rate) / N)
    assert ((noisy - true)[flipped] % 5 == 1).all()


def test_no_noise_changes_nothing():
    true, embeddings = gold(3), rng().standard_normal((N, 4))
    assert (symmetric(true, 3, 0, rng()) == true).all()
    assert (asymmetric(true, 3, 0, rng()) == true).all()
    probabilities = idn_probabilities(true, embeddings, idn_weights(3, 4, rng()), idn_rates(N, 0, rng()))
    assert (instance_dependent(probabilities, rng()) == true).all()


def test_idn_rates_follow_the_truncated_normal():
    rates = idn_rates(N, 0.2, rng())
    assert ((rates >= 0) & (rates <= 1)).all()
    assert rates.mean() == pytest.approx(truncnorm.mean(-2, 8, loc=0.2, scale=0.1), abs=0.003)
    assert rates.mean() == pytest.approx(0.2055, abs=0.003)


def test_idn_probabilities_equal_the_formula_text_by_text():
    true, embeddings, weights = gold(4, 50), rng(1).standard_normal((50, 6)), idn_weights(4, 6, rng(2))
    rates = idn_rates(50, 0.3, rng(3))
    found = idn_probabilities(true, embeddings, weights, rates)
    for i in range(50):
        x = 5 * embeddings[i] / np.linalg.norm(embeddings[i])
        scores = x @ weights[true[i]]
        scores[true[i]] = -np.inf
        expected = rates[i] * softmax(scores)
        expected[true[i]] = 1 - rates[i]
        np.testing.assert_allclose(found[i], expected, rtol=1e-12)


def test_with_two_classes_idn_does_not_depend_on_the_text():
    def drawn(classes):
        true = {"train": gold(classes, 500)}
        texts = (rng(seed).standard_normal((500, 6)) for seed in (1, 2))
        one, two = (InstanceDependent().draw(true, classes, 0.3, rng_named, {"train": each})[0] for each in texts)
        return (one["train"] == two["train"]).all()

    def rng_named(name):
        return rng(len(name))

    assert drawn(2)
    assert not drawn(3)
    assert InstanceDependent().why_not(2, 0.3) == "with two classes this is symmetric noise: use sn@0.3 instead"
    assert InstanceDependent().why_not(3, 0.3) is None


def test_idn_has_the_mean_rate_and_its_wrong_classes_depend_on_the_text():
    true, embeddings, weights = gold(4), rng(1).standard_normal((N, 6)), idn_weights(4, 6, rng(2))
    rates = idn_rates(N, 0.3, rng(3))
    noisy = instance_dependent(idn_probabilities(true, embeddings, weights, rates), rng(4))
    assert (noisy != true).mean() == pytest.approx(rates.mean(), abs=0.01)
    # among flipped texts of one class, one side of a direction of the embedding is flipped to other classes
    flipped = (noisy != true) & (true == 0)
    side = embeddings[flipped] @ (weights[0][:, 1] - weights[0][:, 2]) > 0
    table = np.array([np.bincount(noisy[flipped][side == half], minlength=4)[1:] for half in (True, False)])
    from scipy.stats import chi2_contingency

    assert chi2_contingency(table).pvalue < 1e-10
    # the same test finds nothing in symmetric noise
    plain = symmetric(true, 4, 0.3, rng(5))
    flipped = (plain != true) & (true == 0)
    side = embeddings[flipped] @ (weights[0][:, 1] - weights[0][:, 2]) > 0
    table = np.array([np.bincount(plain[flipped][side == half], minlength=4)[1:] for half in (True, False)])
    assert chi2_contingency(table).pvalue > 0.001


def test_equal_text_gold_and_rate_give_equal_probabilities():
    embeddings = np.repeat(rng(1).standard_normal((1, 6)), 2, axis=0)
    found = idn_probabilities(np.array([2, 2]), embeddings, idn_weights(4, 6, rng(2)), np.array([0.3, 0.3]))
    assert np.array_equal(found[0], found[1])


def test_a_zero_embedding_still_gives_a_distribution():
    found = idn_probabilities(np.array([1]), np.zeros((1, 6)), idn_weights(3, 6, rng()), np.array([0.4]))
    np.testing.assert_allclose(found, [[0.2, 0.6, 0.2]])


def test_drawing_follows_the_probabilities():
    probabilities = np.tile([0.1, 0.0, 0.6, 0.3], (N, 1))
    counts = np.bincount(instance_dependent(probabilities, rng()), minlength=4)
    assert counts[1] == 0
    assert chisquare(counts[[0, 2, 3]], N * np.array([0.1, 0.6, 0.3])).pvalue > 0.001


# votes


def slow_vote(row: np.ndarray, num_classes: int) -> set[int]:
    counts = [int((row == label).sum()) for label in range(num_classes)]
    return {label for label in range(num_classes) if counts[label] == max(counts)}


def test_the_majority_wins_and_equals_a_slow_loop():
    votes = rng().integers(-1, 3, size=(500, 5))
    noisy = majority_vote(votes, 3, rng(1), "uniform")
    assert all(label in slow_vote(row, 3) for row, label in zip(votes, noisy, strict=True))


def test_a_single_voter_is_copied():
    votes = np.full((9, 4), -1)
    votes[np.arange(9), np.arange(9) % 4] = np.arange(9) % 3
    assert majority_vote(votes, 3, rng(), "uniform").tolist() == [0, 1, 2] * 3


def test_ties_are_broken_uniformly_among_the_best_only():
    noisy = majority_vote(np.tile([0, 0, 2, 2, 1, -1], (N, 1)), 4, rng(), "uniform")
    counts = np.bincount(noisy, minlength=4)
    assert counts[1] == counts[3] == 0
    assert chisquare(counts[[0, 2]]).pvalue > 0.001


def test_a_text_without_votes_gets_a_uniform_class_or_is_dropped():
    votes = np.full((N, 3), -1)
    assert chisquare(np.bincount(majority_vote(votes, 4, rng(), "uniform"), minlength=4)).pvalue > 0.001
    assert (majority_vote(votes, 4, rng(), "drop") == -1).all()


def test_dropping_changes_no_covered_text():
    votes = rng().integers(-1, 3, size=(500, 2))
    kept, dropped = (majority_vote(votes, 3, rng(1), how) for how in ("uniform", "drop"))
    covered = (votes >= 0).any(axis=1)
    assert np.array_equal(kept[covered], dropped[covered])
    assert (dropped[~covered] == -1).all()
