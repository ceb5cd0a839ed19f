"""The anatomy of labels' mistakes on made data whose answer is known."""

import numpy as np
import pytest

from llm_labels.anatomy import mean_kappa, predictability, shared_mistakes, unanimous

RNG = np.random.default_rng(0)
N = 2000
GOLD = RNG.integers(0, 3, N)
FEATURES = RNG.normal(size=(N, 20))


def flipped(where):
    return np.where(where, (GOLD + 1) % 3, GOLD)


def test_mistakes_at_random_cannot_be_foretold_and_mistakes_by_the_text_can():
    at_random = predictability(FEATURES, GOLD, flipped(RNG.random(N) < 0.3), "random")
    by_text = predictability(FEATURES, GOLD, flipped(FEATURES[:, 0] > 0.5), "text")
    assert at_random.low < 0.5 < at_random.high
    assert by_text.low > 0.95
    assert by_text.high <= 1


def test_the_interval_says_how_far_the_estimate_spreads_where_features_are_many():
    """Hanley and McNeil's alone is narrower by a third: it takes the classifier as given."""
    found = []
    for number in range(40):
        draws = np.random.default_rng(number)
        wrong = draws.random(400) < 0.4
        found.append(predictability(draws.normal(size=(400, 100)), np.zeros(400, int), wrong.astype(int), str(number)))
    values, lows, highs = np.array(found).T
    assert np.mean((lows <= 0.5) & (highs >= 0.5)) >= 0.9
    assert np.mean(highs - lows) / (2 * 1.96) == pytest.approx(values.std(), rel=0.2)


def test_too_few_mistakes_give_no_estimate_and_unanswered_texts_do_not_count():
    labels = GOLD.copy()
    labels[:9] = (GOLD[:9] + 1) % 3
    assert np.isnan(predictability(FEATURES, GOLD, labels, "few").value)
    silent = flipped(FEATURES[:, 0] > 0.5)
    silent[FEATURES[:, 0] > 0.5] = -1
    assert np.isnan(predictability(FEATURES, GOLD, silent, "silent").value)


def test_shared_mistakes_tell_independent_from_equal_labellers():
    first, second = flipped(RNG.random(N) < 0.3), flipped(RNG.random(N) < 0.3)
    found = shared_mistakes(GOLD, {"x": first, "y": first, "z": second}).set_index(["a", "b"])
    assert found.loc[("x", "y"), "kappa"] == 1
    assert abs(found.loc[("x", "z"), "kappa"]) < 0.08
    assert found.loc[("x", "z"), "same_wrong"] == 1  # both always flip to the next class


def test_unanimous_rows_and_how_many_of_them_are_wrong():
    first = flipped(np.arange(N) < 400)
    second = flipped((np.arange(N) < 100) | (np.arange(N) >= 1800))
    second[500] = -1
    share, texts, wrong = unanimous(GOLD, {"x": first, "y": second})
    assert texts == N - 300 - 200 - 1
    assert share == pytest.approx(texts / (N - 1))
    assert wrong.value == pytest.approx(100 / texts)
    assert wrong.low < wrong.value < wrong.high
    assert unanimous(GOLD, {"x": GOLD, "y": (GOLD + 1) % 3})[:2] == (0.0, 0)


def test_the_mean_kappa_is_that_of_the_pairs_with_an_interval_that_covers():
    sets = {str(number): flipped(RNG.random(N) < 0.2 + 0.1 * number) for number in range(4)}
    sets["0"][::7] = -1
    found = mean_kappa(GOLD, sets, "independent")
    assert found.value == pytest.approx(shared_mistakes(GOLD, sets)["kappa"].mean())
    assert found.low < found.value < found.high
    assert found.low < 0 < found.high
    some = np.where(np.arange(N) < 400, GOLD, -1)  # gold of a fifth
    fewer = mean_kappa(some, sets, "independent")
    assert fewer.value == pytest.approx(shared_mistakes(some, sets)["kappa"].mean())
    assert fewer.high - fewer.low > 1.5 * (found.high - found.low)


def test_labellers_without_a_common_text_share_nothing_that_can_be_counted():
    halves = {"x": np.where(np.arange(N) < 9, GOLD, -1), "y": np.where(np.arange(N) >= 9, GOLD, -1)}
    assert np.isnan(mean_kappa(GOLD, halves, "none").value)
    share, texts, _ = unanimous(GOLD, halves)
    assert np.isnan(share)
    assert texts == 0
