"""Statistics against scipy, closed forms and tables."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bench.report.tables import ranks, stats
from bench.report.tables.blocks import column_means


@pytest.mark.parametrize("n", [2, 3, 10])
def test_mean_interval_is_scipys_t_interval(n):
    values = np.random.default_rng(n).normal(5, 2, n)
    ours = stats.mean_interval(values)
    low, high = scipy_stats.t.interval(0.95, n - 1, values.mean(), scipy_stats.sem(values))
    assert (ours.mean - ours.half, ours.mean + ours.half) == pytest.approx((low, high))
    assert ours.n == n


def test_one_value_has_a_mean_but_no_interval():
    one = stats.mean_interval([0.7])
    assert one.mean == 0.7
    assert np.isnan(one.half)
    assert not one.excludes_zero
    assert np.isnan(stats.mean_interval([]).mean)


def test_paired_difference_uses_shared_seeds_only():
    difference = stats.paired_difference({1: 0.9, 2: 0.8, 3: 0.7}, {2: 0.6, 3: 0.6, 4: 0.0})
    assert difference.n == 2
    assert difference.mean == pytest.approx(0.15)


def test_pairing_finds_what_unpaired_intervals_hide():
    hard = np.array([0.5, 0.6, 0.7, 0.8])
    better = {seed: value + 0.02 + 0.001 * seed for seed, value in enumerate(hard)}
    plain = dict(enumerate(hard))
    assert stats.mean_interval(list(plain.values())).half > 0.1
    assert stats.paired_difference(better, plain).excludes_zero


def test_the_best_two_by_their_means():
    scores = {"a": {1: 0.9, 2: 0.5}, "b": {1: 0.5, 2: 0.8, 3: 0.71}, "c": {1: 0.1}, "none": {}}
    assert stats.best_two(scores) == ["a", "b"]
    assert stats.best_two({"a": {1: 0.9}}) == ["a"]
    tied = {"elr": {1: 0.81, 2: 0.79, 3: 0.80}, "plain": {1: 0.80, 2: 0.81, 3: 0.79}, "b": {1: 0.80, 2: 0.80, 3: 0.80}}
    assert stats.best_two(tied) == ["plain", "b"]
    assert stats.best_first({"elr": 80.00000000000001, "plain": 80.0, "b": 81.0}) == ["b", "plain", "elr"]
    assert stats.best_two({}) == []


def test_a_column_counts_the_seeds_that_all_have():
    values = {"a": {1: 0.9, 2: 0.5}, "b": {2: 0.7, 3: 0.1}, "c": {4: 0.3}}
    block = SimpleNamespace(values=lambda method, column, name: values[method])
    assert column_means(block, "ab", ["one"], "accuracy_last").tolist() == [[0.5], [0.7]]
    assert np.isnan(column_means(block, "ac", ["one"], "accuracy_last")).all()
    assert stats.common_seeds([]) == []


def test_mcnemar_s_exact_test_looks_at_the_rows_that_differ():
    ours, theirs = np.r_[np.ones(84), np.zeros(16)] > 0, np.r_[np.ones(68), np.zeros(32)] > 0
    assert stats.mcnemar_p(ours, theirs) == pytest.approx(2 * 0.5**16)
    assert stats.mcnemar_p(ours[:3], theirs[:3]) == 1


def test_a_tie_and_an_interval_without_width_exclude_nothing():
    same = {1: 0.5, 2: 0.5, 3: 0.5}
    assert not stats.paired_difference(same, dict(same)).excludes_zero
    assert not stats.paired_difference({1: 0.6, 2: 0.6, 3: 0.6}, same).excludes_zero


def test_holm_by_hand_and_never_below_the_raw_p():
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    with_gap = stats.holm([0.01, np.nan, 0.04])
    assert with_gap[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(with_gap[1])


def test_the_paired_t_test_agrees_with_scipy_on_the_shared_seeds():
    ours, theirs = {1: 0.80, 2: 0.83, 3: 0.81, 9: 0.1}, {1: 0.75, 2: 0.80, 3: 0.79, 8: 0.9}
    expected = scipy_stats.ttest_rel([0.80, 0.83, 0.81], [0.75, 0.80, 0.79]).pvalue
    assert stats.paired_t_p(ours, theirs) == pytest.approx(expected)
    interval = stats.paired_difference(ours, theirs)
    assert (stats.paired_t_p(ours, theirs) < 0.05) == interval.excludes_zero


def test_too_few_seeds_and_differences_without_spread_give_no_p_value():
    assert np.isnan(stats.paired_t_p({1: 0.9, 2: 0.9}, {1: 0.1, 2: 0.2}))
    same = {1: 0.5, 2: 0.25, 3: 0.75}
    assert stats.paired_t_p(same, same) == 1
    assert np.isnan(stats.paired_t_p(same, {seed: value - 0.125 for seed, value in same.items()}))


def test_friedman_agrees_with_scipy_through_the_f_form():
    scores = np.random.default_rng(1).normal(size=(10, 5))
    ranks = stats.friedman_ranks(scores)
    chi2 = scipy_stats.friedmanchisquare(*scores.T).statistic
    f = 9 * chi2 / (10 * 4 - chi2)
    assert ranks.p_value == pytest.approx(scipy_stats.f.sf(f, 4, 36))
    assert ranks.mean.sum() == pytest.approx(15)


@pytest.mark.parametrize(("k", "q"), [(3, 2.344), (4, 2.569), (5, 2.728), (6, 2.850)])
def test_nemenyi_critical_difference_matches_the_published_table(k, q):
    ranks = stats.friedman_ranks(np.random.default_rng(k).normal(size=(10, k)))
    assert ranks.critical_difference == pytest.approx(q * np.sqrt(k * (k + 1) / 60), abs=1e-3)


def test_nemenyi_pairs_differ_where_their_ranks_lie_further_apart_than_the_critical_difference():
    scores = np.random.default_rng(7).normal(size=(12, 6)) + np.linspace(0, 3, 6)
    ranks = stats.friedman_ranks(scores)
    apart = np.abs(ranks.mean[:, None] - ranks.mean) > ranks.critical_difference
    assert 0 < apart.sum() < apart.size - 6
    np.testing.assert_array_equal(ranks.pairwise < 0.05, apart)


def test_few_blocks_give_ranks_but_no_p_value():
    ranks = stats.friedman_ranks(np.array([[0.9, 0.5, 0.5], [0.8, 0.7, 0.6]]))
    assert ranks.mean.tolist() == [1, 2.25, 2.75]
    assert ranks[2:] == (None, None, None)
    assert np.isnan(stats.signed_rank_p([0.1, 0.2]))


def test_methods_that_never_differ_are_no_evidence():
    ranks = stats.friedman_ranks(np.full((8, 4), 0.5))
    assert ranks.mean.tolist() == [2.5] * 4
    assert (ranks.p_value, ranks.pairwise) == (1, None)


def test_signed_rank_agrees_with_scipy_and_no_difference_is_no_evidence():
    differences = np.random.default_rng(2).normal(0.5, 1, 12)
    assert stats.signed_rank_p(differences) == pytest.approx(scipy_stats.wilcoxon(differences).pvalue)
    assert stats.signed_rank_p(np.zeros(8)) == 1


def test_the_bootstrap_of_texts_is_that_of_scipy():
    right = np.random.default_rng(3).random(300) < 0.7
    ours = stats.percentile_interval(stats.bootstrap_texts(right[None], np.random.default_rng(0), 4000)[:, 0])
    theirs = scipy_stats.bootstrap(
        (right,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_runs_share_the_texts_that_a_draw_gives():
    right = np.random.default_rng(4).random((1, 200)) < 0.6
    drawn = stats.bootstrap_texts(np.concatenate([right, right]), np.random.default_rng(0), 50)
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])
    assert drawn[:, 0].std() > 0


def test_drawn_seeds_weigh_as_often_as_they_were_drawn():
    weights = stats.bootstrap_seeds(4, np.random.default_rng(0), 5000)
    assert weights.sum(1) == pytest.approx(1)
    assert set(np.unique(weights)) == {0, 0.25, 0.5, 0.75, 1}
    # P(all four draws are one given seed) = 4^-4
    assert (weights == 1).any(1).mean() == pytest.approx(4 / 256, abs=0.006)


def test_means_that_differ_by_rounding_alone_are_ties():
    """The same numbers summed in another order: 0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1."""
    values = {"a": {1: 0.1, 2: 0.2, 3: 0.3}, "b": {1: 0.3, 2: 0.2, 3: 0.1}}
    block = SimpleNamespace(values=lambda method, column, name: values[method])
    means = column_means(block, "ab", ["one", "two"], "accuracy_last")
    assert sum(values["a"].values()) != sum(values["b"].values())
    assert stats.average_ranks(means.T).tolist() == [1.5, 1.5]
    assert ranks.win_rate(means).tolist() == [50, 50]
    assert stats.signed_rank_p([1e-17, -1e-17, 0, 1e-17, 0, 0]) == 1.0
