"""Beliefs about labels, the ranking by suspicion, and how it is scored."""

from __future__ import annotations

import numpy as np
import pytest
from cleanlab.rank import get_label_quality_scores
from sklearn.metrics import average_precision_score

from bench.store.trust import combined, detection, suspicion


def test_suspicion_is_one_minus_the_self_confidence_of_cleanlab():
    rng = np.random.default_rng(0)
    belief, labels = rng.dirichlet(np.ones(4), 200), rng.integers(0, 4, 200)
    np.testing.assert_allclose(suspicion(belief, labels), 1 - get_label_quality_scores(labels, belief), atol=1e-9)
    assert suspicion(belief[:1], np.array([-1]))[0] == pytest.approx(1 - belief[0].max())


def test_methods_count_once_whatever_their_seeds_and_other_labellers_as_much_as_all_methods():
    one = [np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.7, 0.3], [0.6, 0.4]])]
    two = [np.array([[0.4, 0.6], [np.nan, np.nan]])]
    found = combined(np.array([0, 1]), {"one": one, "two": two}, [np.array([1, -1]), np.array([0, -1])], 2)
    np.testing.assert_allclose(found.belief, [[(0.6 + 0.5) / 2, (0.4 + 0.5) / 2], [0.4, 0.6]])
    np.testing.assert_allclose(found.believed, [[0.6, 0.4], [0.4, 0.6]])
    np.testing.assert_allclose(found.suspicion, [1 / (1 + 0.6 / 0.5 * 1.5), 1 / (1 + 0.6 / 0.5 * (1 + 0.5))])
    np.testing.assert_allclose(found.labellers_agree, [0.5, np.nan])
    assert found.methods_agree[0] == 0.5
    assert found.seeds_agree[0] == 1


def test_a_class_that_is_given_too_readily_does_not_vouch_for_itself():
    """Of 100 texts 80 are labelled 0, and belief in 0 is high everywhere: doubt goes where it is below its average."""
    labels = np.repeat([0, 1], [80, 20])
    belief = np.where(labels[:, None] == 0, [0.85, 0.15], [0.4, 0.6])
    belief[:10] = [0.7, 0.3]
    trust = combined(labels, {"m": [belief]}, [], 2)
    average = belief.mean(axis=0)
    np.testing.assert_allclose(trust.suspicion, 1 / (1 + np.where(labels == 0, *(belief / average).T)))
    assert trust.suspicion[:10].min() > trust.suspicion[10:].max()
    assert suspicion(belief, labels)[80:].min() > suspicion(belief, labels)[:10].max()  # 1 - belief says the contrary
    nothing = np.full((100, 2), 0.5)
    np.testing.assert_allclose(combined(labels, {"m": [nothing]}, [], 2).suspicion, 0.5)


def test_a_label_that_no_other_text_has_is_neither_doubted_nor_changed_by_classifiers_that_did_not_see_it():
    labels, together = np.array([0, 0, 1, 1, 2, 3, 3, -1]), np.array([0, 1, 2, 3, 4, 5, 5, 7])
    belief = np.tile([0.9, 0.1, 0.0, 0.0], (8, 1))
    found = combined(labels, {"m": [belief]}, [], 4, together)
    assert found.lone.tolist() == [False] * 4 + [True] * 3 + [False]  # the only two of class 3 are equal texts
    np.testing.assert_allclose(found.suspicion[4:7], 0.5)
    assert found.cleaned[4:7].tolist() == [2, 3, 3]
    assert combined(labels, {"m": [belief]}, [], 4).cleaned[4:7].tolist() == [0, 0, 0]
    agreed = np.zeros(8, int)
    assert combined(labels, {"m": [belief]}, [agreed, agreed], 4, together).cleaned[4:7].tolist() == [0, 0, 0]
    assert not combined(np.full(8, -1), {"m": [belief]}, [], 4, together).lone.any()


def test_what_is_foreseen_is_compared_with_the_most_frequent_label():
    belief = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    assert combined(np.array([0, 1, 1, 1]), {"m": [belief]}, [], 2).foreseen == (0.5, 0.75)
    assert combined(np.array([0, -1, 1, -1]), {"m": [belief]}, [], 2).foreseen == (1.0, 0.5)
    assert np.isnan(combined(np.full(4, -1), {"m": [belief]}, [], 2).foreseen).all()


def test_texts_without_another_labeller_count_as_one_with_the_usual_share():
    labels, belief = np.zeros(4, int), np.full((4, 2), 0.5)
    trust = combined(labels, {"m": [belief]}, [np.array([0, 0, 1, -1])], 2)
    np.testing.assert_allclose(trust.suspicion, [1 / 3, 1 / 3, 1 / 2, 1 / (2 + 2 / 3)])
    unlabelled = combined(np.full(3, -1), {"m": [np.tile([0.8, 0.2], (3, 1))]}, [], 2)
    np.testing.assert_allclose(unlabelled.suspicion, 0.2)


def test_a_label_is_corrected_where_methods_and_labellers_outvote_it_and_nowhere_else():
    sure = np.tile([0.95, 0.05], (6, 1))
    sure[3:] = sure[3:, ::-1]
    labels = np.array([0, 0, 1, 1, 1, 0])  # rows 2 and 5 are wrong
    agree = np.array([0, 0, 0, 1, 1, 0])  # the others confirm that row 2 is, and not that row 5 is
    assert combined(labels, {"m": [sure]}, [agree, agree], 2).cleaned.tolist() == [0, 0, 0, 1, 1, 0]
    assert combined(labels, {"m": [sure]}, [agree], 2).cleaned.tolist() == labels.tolist()  # one against one
    assert combined(labels, {"m": [sure]}, [], 2).cleaned.tolist() == [0, 0, 0, 1, 1, 1]
    as_given = np.eye(2)[labels] * 0.2 + 0.4
    of_three = {"a": [sure], "b": [sure], "c": [as_given]}
    assert combined(labels, of_three, [], 2).cleaned.tolist() == [0, 0, 0, 1, 1, 1]  # two of three methods
    one, loud = {"a": [sure], "c": [as_given]}, [agree, agree]
    assert combined(labels, one, [], 2).cleaned.tolist() == labels.tolist()  # one of two is not enough
    assert combined(labels, one, loud, 2).cleaned.tolist() == [0, 0, 0, 1, 1, 0]  # unless the labellers confirm it
    doubt = np.full((6, 2), 0.5)
    assert combined(labels, {"m": [doubt]}, [], 2).cleaned.tolist() == labels.tolist()
    missing = np.where(np.arange(6) == 4, -1, labels)
    assert combined(missing, {"m": [sure]}, [], 2).cleaned.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_vote_changes_to_what_most_methods_prefer_if_a_voter_said_so():
    sure = np.tile([0.9, 0.05, 0.05], (6, 1))
    sure[3:] = [0.05, 0.9, 0.05]
    voters = [np.array(each) for each in ([0, 0, 1, 1, 1, 0], [0, 0, 1, 1, 1, 0], [0, 0, 0, 1, 1, 0])]
    labels = voters[0].copy()  # rows 2 and 5 are wrong; of row 5 no voter says so
    told = combined(labels, {"m": [sure]}, voters, 3)
    assert told.cleaned.tolist() == labels.tolist()
    assert told.cleaned_vote.tolist() == [0, 0, 0, 1, 1, 0]
    split = combined(labels, {"a": [sure], "b": [np.eye(3)[labels] * 0.2 + 0.3]}, voters, 3)
    assert split.cleaned_vote.tolist() == labels.tolist()  # one method of two is not enough
    missing = np.where(np.arange(6) == 4, -1, labels)
    unanswered = [np.where(np.arange(6) == 4, -1, each) for each in voters]
    assert combined(missing, {"m": [sure]}, unanswered, 3).cleaned_vote.tolist() == [0, 0, 0, 1, 1, 0]


def test_detection_counts_what_a_person_finds_who_reads_from_the_top():
    rng = np.random.default_rng(1)
    gold = rng.integers(0, 3, 400)
    labels = np.where(rng.random(400) < 0.3, (gold + 1) % 3, gold)
    score = rng.random(400) + (labels != gold)
    labels[:10], gold[10:20] = -1, -1
    suggested = np.where(rng.random(400) < 0.5, gold, labels)
    found = detection(score, suggested, labels, gold)
    used = (labels >= 0) & (gold >= 0)
    wrong = (labels != gold)[used][np.argsort(-score[used])]
    assert (found.rows, found.errors) == (380, wrong.sum())
    assert found.chance == pytest.approx(wrong.mean())
    assert found.average_precision == pytest.approx(average_precision_score((labels != gold)[used], score[used]))
    assert found.first_50 == pytest.approx(wrong[:50].mean())
    assert found.first_errors == pytest.approx(wrong[: wrong.sum()].mean())
    assert found.found_in_tenth == pytest.approx(wrong[:38].sum() / wrong.sum())
    bad = used & (labels != gold)
    assert found.corrected == pytest.approx((suggested == gold)[bad].mean())


def test_ties_share_what_they_find_and_equal_scores_are_chance():
    labels, gold = np.zeros(200, int), np.r_[np.ones(50, int), np.zeros(150, int)]
    found = detection(np.full(200, 0.3), labels, labels, gold)
    assert found.first_50 == found.first_100 == found.average_precision == pytest.approx(0.25)
    assert found.found_in_tenth == pytest.approx(0.1)


def test_average_precision_takes_a_tie_for_one_threshold():
    labels, gold = np.zeros(4, int), np.array([1, 0, 1, 0])
    found = detection(np.array([0.9, 0.5, 0.5, 0.1]), labels, labels, gold)
    assert found.average_precision == pytest.approx((1 / 1 + 2 / 3) / 2)  # thresholds 0.9 and 0.5


def test_without_a_wrong_label_or_without_a_right_one_there_is_nothing_to_detect():
    labels = np.zeros(5, int)
    assert detection(np.zeros(5), labels, labels, labels) is None
    assert detection(np.zeros(5), labels, labels, labels + 1) is None
