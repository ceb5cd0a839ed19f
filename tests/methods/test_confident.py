"""Confident learning against cleanlab and closed forms."""

import numpy as np
import pytest
import torch
from cleanlab.count import estimate_joint
from cleanlab.filter import find_label_issues
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from methods import confident
from methods.logistic import Logistic, axes_of


def noisy_problem(seed, n=600, num_classes=4, rate=0.3, spread=1.5):
    """Probabilities of a fair classifier and labels flipped to the next class at `rate`."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, num_classes, n)
    logits = rng.normal(size=(n, num_classes)) + spread * np.eye(num_classes)[truth] * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.where(rng.random(n) < rate, (truth + 1) % num_classes, truth)
    return probabilities, labels, truth


@pytest.mark.parametrize("seed", range(5))
def test_confident_counts_are_those_of_the_papers_definition(seed):
    probabilities, labels, _ = noisy_problem(seed)
    threshold = [probabilities[labels == c, c].mean() for c in range(4)]
    expected = np.zeros((4, 4), int)
    for row, given in zip(probabilities, labels, strict=True):
        confident_in = np.flatnonzero(row >= threshold)
        if len(confident_in):
            expected[given, confident_in[row[confident_in].argmax()]] += 1
    np.testing.assert_array_equal(confident.confident_joint(probabilities, labels), expected)


@pytest.mark.parametrize("seed", range(5))
def test_the_calibrated_joint_equals_cleanlab_up_to_its_integer_rounding(seed):
    probabilities, labels, _ = noisy_problem(seed)
    joint = confident.calibrated_joint(confident.confident_joint(probabilities, labels), labels)
    np.testing.assert_allclose(joint, estimate_joint(labels, probabilities), atol=1.0 / len(labels))
    np.testing.assert_allclose(joint.sum(1), np.bincount(labels) / len(labels))
    assert confident.noise_rate_of(joint) == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_pruning_drops_the_rows_that_cleanlab_drops(seed):
    probabilities, labels, truth = noisy_problem(seed)
    joint = confident.calibrated_joint(confident.confident_joint(probabilities, labels), labels)
    expected = find_label_issues(
        labels,
        probabilities,
        filter_by="prune_by_noise_rate",
        confident_joint=np.rint(joint * len(labels)).astype(int),
        n_jobs=1,
    )
    dropped = confident.prune_by_noise_rate(probabilities, labels, joint)
    np.testing.assert_array_equal(dropped, expected)
    assert (labels != truth)[dropped].mean() > 0.7


def test_a_class_without_labels_is_never_a_true_class():
    probabilities, labels, _ = noisy_problem(0, num_classes=3)
    wide = np.concatenate([probabilities, np.zeros((len(labels), 1))], axis=1)
    joint = confident.calibrated_joint(confident.confident_joint(wide, labels), labels)
    narrow = confident.calibrated_joint(confident.confident_joint(probabilities, labels), labels)
    np.testing.assert_allclose(joint[:3, :3], narrow, atol=1e-12)
    assert joint[3].sum() == joint[:, 3].sum() == 0


def test_clean_separable_labels_give_a_rate_near_zero_and_nothing_to_drop():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    features = 6 * np.eye(3)[labels] + rng.normal(size=(300, 3))
    probabilities = confident.out_of_fold_logistic(features, labels, 3, rng)
    joint = confident.calibrated_joint(confident.confident_joint(probabilities, labels), labels)
    assert confident.noise_rate_of(joint) < 0.01
    assert not confident.prune_by_noise_rate(probabilities, labels, joint).any()


def test_at_least_one_row_of_every_class_stays():
    labels = np.array([0] * 5 + [1] * 20)
    probabilities = np.tile([[0.1, 0.9]], (25, 1))
    joint = np.array([[0.0, 0.2], [0.0, 0.8]])  # "every row of class 0 is of class 1"
    dropped = confident.prune_by_noise_rate(probabilities, labels, joint)
    assert dropped[:5].sum() == 4
    assert not dropped[5:].any()


def test_folds_are_even_and_stratified():
    labels = np.repeat([0, 1, 2], [50, 23, 2])
    fold = confident.fold_of_rows(labels, 5, np.random.default_rng(0))
    assert np.bincount(fold).tolist() == [15] * 5
    assert np.bincount(fold[labels == 0]).tolist() == [10] * 5
    assert np.bincount(fold[labels == 1]).max() == 5
    assert not np.array_equal(fold, confident.fold_of_rows(labels, 5, np.random.default_rng(1)))


def test_rows_that_belong_together_share_a_fold_and_without_any_nothing_changes():
    labels = np.repeat([0, 1, 2], [50, 23, 2])
    own = np.arange(75)
    fold = confident.fold_of_rows(labels, 5, np.random.default_rng(0))
    np.testing.assert_array_equal(confident.fold_of_rows(labels, 5, np.random.default_rng(0), together=own), fold)
    for seed in range(20):
        fold = confident.fold_of_rows(labels, 5, np.random.default_rng(seed), together=np.where(own % 9 == 4, 4, own))
        assert len(set(fold[4::9])) == 1
        assert np.bincount(np.delete(fold, range(13, 75, 9))).tolist() == [14, 14, 14, 13, 13]  # one row of them counts


@pytest.mark.parametrize(("classes", "penalty"), [(2, 1.0), (2, 1e-2), (5, 3e-4), (5, 3e-2), (5, 1.0), (40, 3e-2)])
def test_out_of_fold_probabilities_are_those_of_scikit_learn_fitted_without_the_row(classes, penalty):
    """Unequal class shares, correlated features of unlike scale, a constant one, and a class that never occurs."""
    rng = np.random.default_rng(0)
    labels = rng.choice(classes, 600, p=rng.dirichlet(np.full(classes, 2.0)))
    labels += labels > 0  # class 1 never occurs
    features = rng.normal(size=(classes + 1, 12))[labels] + rng.normal(size=(600, 12)) @ rng.normal(size=(12, 12))
    features = features * 10.0 ** rng.integers(-3, 3, 12) + 5
    features[:, 3] = 0.1
    got = confident.out_of_fold_logistic(
        features, labels, classes + 1, np.random.default_rng(7), folds=3, inverse_penalties=[penalty]
    )
    fold = confident.fold_of_rows(labels, 3, np.random.default_rng(7))
    for number in range(3):
        train = fold != number
        scaler = StandardScaler().fit(features[train])
        model = LogisticRegression(C=penalty, max_iter=5000, tol=1e-8).fit(
            scaler.transform(features[train]), labels[train]
        )
        expected = np.zeros((np.count_nonzero(~train), classes + 1))
        expected[:, model.classes_] = model.predict_proba(scaler.transform(features[~train]))
        np.testing.assert_allclose(got[~train], expected, atol=1e-3)
        absent = np.setdiff1d(np.arange(classes + 1), labels[train])
        np.testing.assert_array_equal(got[~train][:, absent], 0)


def test_a_path_of_penalties_ends_where_each_penalty_alone_ends():
    """Every fit starts from the one before, which must not show in what it finds."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 500)
    features = 0.7 * np.eye(30)[labels] + rng.normal(size=(500, 30))
    axes = axes_of(features)
    walked = Logistic(features, labels, axes)
    for penalty in (1e-4, 1e-3, 1e-2, 0.1, 1.0):
        walked.fit(penalty)
        alone = Logistic(features, labels, axes)
        alone.fit(penalty)
        np.testing.assert_allclose(walked.probabilities(features), alone.probabilities(features), atol=1e-3)


def test_the_penalty_with_the_best_out_of_fold_log_loss_is_taken():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(150, 60))
    labels = (features[:, 0] + rng.normal(size=150) > 0).astype(int)

    def probabilities(*penalties):
        return confident.out_of_fold_logistic(
            features, labels, 2, np.random.default_rng(1), inverse_penalties=penalties
        )

    alone = {c: log_loss(labels, probabilities(c)) for c in (10.0, 0.01, 1.0)}
    best = min(alone, key=alone.get)
    assert best == 0.01
    assert log_loss(labels, probabilities(*alone)) == pytest.approx(alone[best], rel=1e-3)


def test_rows_that_are_not_kept_teach_nothing_but_are_predicted():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    features = 3 * np.eye(2)[labels] + rng.normal(size=(200, 2))
    wrong = np.where(np.arange(200) < 80, 1 - labels, labels)
    got = confident.out_of_fold_logistic(features, wrong, 2, np.random.default_rng(0), keep=np.arange(200) >= 80)
    assert (got.argmax(1) == labels)[:80].mean() > 0.9
    nobody = confident.out_of_fold_logistic(features, wrong, 2, np.random.default_rng(0), keep=np.zeros(200, bool))
    np.testing.assert_array_equal(nobody, np.full((200, 2), 0.5))


@pytest.mark.parametrize("labels", [[1], [0, 1], [1, 1, 1], [0, 0, 0, 1]])
def test_tiny_sets_give_probabilities(labels):
    labels = np.array(labels)
    features = np.random.default_rng(0).normal(size=(len(labels), 2))
    got = confident.out_of_fold_logistic(features, labels, 2, np.random.default_rng(0))
    np.testing.assert_allclose(got.sum(1), 1)
    joint = confident.calibrated_joint(confident.confident_joint(got, labels), labels)
    assert 0 <= confident.noise_rate_of(joint) <= 1


def test_numbers_do_not_depend_on_the_threads_and_leave_their_number_as_it_was():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 400)
    features = np.eye(50)[labels] + rng.normal(size=(400, 50))
    before, found = torch.get_num_threads(), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        try:
            found.append(confident.out_of_fold_logistic(features, labels, 5, np.random.default_rng(0)))
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)
