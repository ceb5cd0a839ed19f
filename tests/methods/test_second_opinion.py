"""The posterior of second opinions against Bayes' rule by hand, and what it finds; choosing without gold."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench.grid.cells import choose_method
from benchmarks.noisy_choice import noisy_valid
from methods import confident, registry, second_opinion, shared
from tests.methods.toy import run, toy_task, toy_tools


def planted(n=4000, seed=0, flips=((0.9, 0.1), (0.4, 0.6))):
    """(true p(y | x) float64[n, 2], noisy labels, truth): a labeller that takes 40 % of class 1 for class 0."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    evidence = rng.normal(size=n) + 2.0 * (2 * truth - 1)
    clean = 1 / (1 + np.exp(-4.0 * evidence))
    labels = (rng.random(n) < np.array(flips)[truth, 1]).astype(np.int64)
    return np.column_stack([1 - clean, clean]), labels, truth


def test_the_posterior_is_bayes_rule():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 60)
    one, two = rng.dirichlet(np.ones(3), (2, 60))
    pooled = np.sqrt(one * two)
    joint = confident.confident_joint(pooled / pooled.sum(1, keepdims=True), labels)
    joint = confident.calibrated_joint(joint, labels)
    share = np.bincount(labels) / 60
    for weight in (0.0, 1.0, 2.0):
        expected = joint[labels] * (pooled / share) ** weight
        expected /= expected.sum(1, keepdims=True)
        found = second_opinion.posterior([one, two], labels, weight)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32


def test_two_opinions_at_weight_two_are_independent_witnesses():
    """Weight 2 multiplies both likelihoods; twice the same opinion at weight 1 counts once."""
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 90)
    one = rng.dirichlet(np.ones(3), 90)
    twice = second_opinion.posterior([one, one], labels, 1.0)
    np.testing.assert_allclose(twice, second_opinion.posterior([one], labels, 1.0), atol=1e-6)
    assert not np.allclose(second_opinion.posterior([one, one], labels, 2.0), twice, atol=1e-2)


def test_a_biased_labeller_is_trusted_class_by_class():
    """It changes of each label about the share that is wrong: a seventh of the labels 1, a third of the labels 0."""
    clean, labels, truth = planted()
    flips = np.array(((0.9, 0.1), (0.4, 0.6)))
    believed = second_opinion.posterior([clean @ flips], labels, 2.0)
    changed = believed.argmax(1) != labels
    assert (believed.argmax(1) == truth).mean() > (labels == truth).mean() + 0.15
    for label in (0, 1):
        given = labels == label
        assert changed[given].mean() == pytest.approx((truth != label)[given].mean(), abs=0.04)


def test_a_class_without_labels_is_never_believed():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 50)
    opinion = np.column_stack([rng.dirichlet(np.ones(2), 50), np.zeros(50)])
    believed = second_opinion.posterior([opinion], labels, 1.0)
    assert np.isfinite(believed).all()
    np.testing.assert_array_equal(believed[:, 2], 0)


def test_no_opinion_has_seen_the_label_of_its_text():
    """Another label for one text does not change what is said of that text."""
    task = toy_task(sizes=(60, 10, 10))[0]
    labels = shared.labels(task, toy_tools()).train
    method = registry.build(registry.find("second-opinion"), {"opinions": "neighbours"})
    other = labels.copy()
    other[7] = (other[7] + 1) % 3
    [before], [after] = (method._opinions(task, toy_tools(), each) for each in (labels, other))
    np.testing.assert_allclose(
        before[7] * 11 - second_opinion.shares(labels, 3), after[7] * 11 - second_opinion.shares(other, 3)
    )
    np.testing.assert_allclose(before.sum(1), 1)


def test_what_is_believed_of_train_is_righter_than_its_labels():
    task, _, gold = toy_task(rate=0.35)
    last = run("second-opinion", task, toy_tools(epochs=2))[-1]
    assert (last.posterior.argmax(1) == gold).mean() > (task.train_labels == gold).mean() + 0.1
    assert last.diagnostics["labels_changed"] == pytest.approx((last.posterior.argmax(1) != task.train_labels).mean())
    assert last.diagnostics["noise_rate_estimate"] == pytest.approx((task.train_labels != gold).mean(), abs=0.12)


@pytest.mark.parametrize(("branches", "other"), [(3, "cr"), (1, "plain")])
def test_where_nothing_is_doubted_it_is_cr_or_with_one_network_plain(branches, other, monkeypatch):
    """Networks, draws and loss are the same; only the targets differ."""
    task = toy_task(sizes=(96, 20, 30))[0]
    monkeypatch.setattr(second_opinion, "posterior", lambda _, labels, weight: np.eye(3, dtype=np.float32)[labels])
    found = run("second-opinion", task, toy_tools(epochs=3), branches=branches)
    for ours, theirs in zip(found, run(other, task, toy_tools(epochs=3)), strict=True):
        np.testing.assert_allclose(ours.test, theirs.test, atol=1e-5)


def test_a_choice_reads_noisy_validation_labels_and_nothing_else():
    steps = [SimpleNamespace(valid=np.eye(2)[[1, 1, 1, 1]]), SimpleNamespace(valid=np.eye(2)[[0, 1, 1, 0]])]
    cell = SimpleNamespace(predictions=lambda: iter(steps), task=SimpleNamespace(valid_labels=np.array([0, 1, 0, -1])))
    assert noisy_valid(cell) == pytest.approx(200 / 3)


def test_only_the_regression_is_a_shared_stage():
    wanted = {name: choose_method(f"second-opinion[opinions={name}]") for name in ("both", "logistic", "neighbours")}
    stages = {name: set(chosen.method.shared_stages(5)) for name, chosen in wanted.items()}
    assert stages == {"both": {shared.OUT_OF_FOLD}, "logistic": {shared.OUT_OF_FOLD}, "neighbours": set()}
