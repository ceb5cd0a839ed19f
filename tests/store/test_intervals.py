"""Intervals of a share from a few rows with gold."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from bench.store.intervals import prediction_powered, wilson


@pytest.mark.parametrize(("hits", "rows"), [(0, 5), (3, 5), (60, 60), (41, 200)])
def test_wilson_is_that_of_statsmodels(hits, rows):
    found = wilson(hits, rows)
    assert found.value == hits / rows
    assert (found.low, found.high) == pytest.approx(proportion_confint(hits, rows, method="wilson"))
    assert wilson(0, 0) is None


def drawn(rng, rows=60, others=2000, rate=0.7, agreement=0.9):
    right = rng.random(rows + others) < rate
    proxy = np.where(rng.random(rows + others) < agreement, right, ~right)
    return right[:rows], proxy[:rows], proxy[rows:]


def test_it_covers_the_truth_and_is_narrower_with_a_good_proxy():
    rng = np.random.default_rng(0)
    for agreement, gain in ((0.95, 0.75), (0.5, 1.1)):
        covered, widths, plain = [], [], []
        for _ in range(400):
            hits, proxy, others = drawn(rng, agreement=agreement)
            found, own = prediction_powered(hits, proxy, others), wilson(int(hits.sum()), len(hits))
            covered.append(found.low <= 0.7 <= found.high)
            widths.append(found.high - found.low)
            plain.append(own.high - own.low)
        assert 0.91 < np.mean(covered) < 0.98
        assert np.mean(widths) < gain * np.mean(plain)


def test_the_estimate_is_corrected_for_a_proxy_that_is_always_too_kind():
    rng = np.random.default_rng(1)
    right = rng.random(4000) < 0.6
    proxy = right | (rng.random(4000) < 0.5)
    found = prediction_powered(right[:400], proxy[:400], proxy[400:])
    assert proxy.mean() > 0.75
    assert found.value == pytest.approx(0.6, abs=0.05)


def test_a_proxy_that_agrees_in_all_checked_rows_is_not_taken_for_perfect():
    """A proxy that errs in 3 % of all rows agrees with 40 rows in 30 % of cases: the interval covers the truth then."""
    rng, covered = np.random.default_rng(2), []
    while len(covered) < 200:
        hits, proxy, others = drawn(rng, rows=40, agreement=0.97)
        if (hits == proxy).all() and 0 < hits.sum() < 40:
            found = prediction_powered(hits, proxy, others)
            covered.append(found.low <= 0.7 <= found.high)
    assert np.mean(covered) > 0.95


def test_too_little_gives_none():
    some = np.arange(30) % 2 == 0
    assert prediction_powered(some[:19], some[:19], some) is None
    assert prediction_powered(some, some, some[:0]) is None
    assert prediction_powered(np.ones(30, bool), some, some) is None
    assert prediction_powered(some, np.ones(30, bool), np.ones(9, bool)).value == 0.5
