"""Every method of this package on a task whose noise is known: contract, identities, recovery, edge cases."""

import dataclasses
import re

import numpy as np
import pytest
import torch

from bench.core.errors import UsageError
from bench.core.texts import Texts
from methods import npc, registry, selfmix, shared
from tests.methods.toy import accuracy, run, toy_task, toy_tools

LOSSES = ["label-smoothing", "gce", "elr", "mixup", "jocor", "selfmix", "cleanlab", "knn-vote", "second-opinion"]
POSTERIOR = ["npc", "dygen"]
ALL = [*LOSSES, "cr", *POSTERIOR]


@pytest.fixture(scope="module")
def small():
    return toy_task(sizes=(96, 20, 30))


@pytest.mark.parametrize("name", ALL)
def test_predictions_are_distributions_that_the_seed_decides(name, small):
    task = small[0]
    first, again = (run(name, task, toy_tools(epochs=3)) for _ in range(2))
    other = run(name, task, toy_tools(seed=2, epochs=3))
    assert [p.step for p in first] == list(range(1, len(first) + 1))
    for one, two in zip(first, again, strict=True):
        for split, size in (("valid", 20), ("test", 30)):
            p = getattr(one, split)
            assert p.shape == (size, 3)
            assert p.dtype == np.float32
            np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)
            assert (p >= 0).all()
            np.testing.assert_array_equal(p, getattr(two, split))
    assert not np.array_equal(first[-1].test, other[-1].test)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("label-smoothing", {"smoothing": 0}),
        ("gce", {"ce_epochs": 3}),
        ("elr", {"strength": 0}),
        ("knn-vote", {"own_weight": 1.5}),
    ],
)
def test_a_method_without_its_idea_is_plain_fine_tuning(name, parameters, small):
    """Bit by bit: heads, batches and dropout are the plain run's."""
    plain = run("plain", small[0], toy_tools(epochs=3))
    bare = run(name, small[0], toy_tools(epochs=3), **parameters)
    for one, two in zip(plain, bare, strict=True):
        np.testing.assert_array_equal(one.test, two.test)


@pytest.mark.parametrize(
    ("name", "parameters", "epochs", "says"),
    [
        ("gce", {}, 1, "ce_epochs=1 covers every epoch, so this is plain: raise --epochs or lower it"),
        ("gce", {"ce_epochs": 9}, 3, "ce_epochs=9 covers every epoch"),
        ("gce", {}, 2, None),
        ("gce", {"ce_epochs": 0}, 1, None),
        ("selfmix", {}, 1, "the warm-up covers every epoch, so this trains on cross-entropy alone: raise --epochs"),
        ("selfmix", {}, 3, None),
        ("co-teaching", {}, 1, "the forget rate is 0 in every epoch, so no text is ever left out: raise --epochs"),
        ("co-teaching", {}, 2, None),
        ("co-teaching", {"tau": "0"}, 1, None),
        ("jocor", {}, 1, "the forget rate is 0 in every epoch"),
        ("jocor", {}, 2, None),
        ("cr", {"warmup": 1}, 3, "warmup=1 covers every step, so the branches are never held to their common opinion"),
        ("cr", {"warmup": 0.9}, 3, "warmup=0.9 covers every step"),  # the last of 6 begins at 5/6 of the run
        ("cr", {"warmup": 0.8}, 3, None),
        ("cr", {"alpha": 0}, 3, None),
        ("sidyp", {}, 2, "steps of the denoisers: 10, which may be too few: try a smaller batch_size of sidyp"),
        ("sidyp", {"batch_size": 95, "epochs": 59}, 2, "denoisers: 59, which"),  # of the 96th text alone none is made
        ("sidyp", {"batch_size": 95, "epochs": 60}, 2, None),
        ("sidyp", {"batch_size": 8, "warm_up": 1}, 2, "the warm-up covers every epoch, so no candidate is refined"),
        ("sidyp", {"epochs": 1}, 2, "denoisers: 1, .*; the warm-up covers every epoch"),
    ],
)
def test_a_run_that_ends_before_the_methods_own_loss_says_so(name, parameters, epochs, says, small):
    found = [step.diagnostics.get("warning") for step in run(name, small[0], toy_tools(epochs=epochs), **parameters)]
    assert len(set(found)) == 1
    assert re.search(says, found[-1]) if says else found[-1] is None


@pytest.mark.parametrize(("name", "classifier"), [("npc", "plain"), ("dygen", "cr")])
def test_the_networks_that_correct_count_among_the_trainable_parameters(name, classifier, small):
    alone, tools = toy_tools(epochs=2), toy_tools(epochs=2)
    run(classifier, small[0], alone)
    run(name, small[0], tools, epochs=2)
    correcting = sum(parameter.numel() for parameter in tools.trainer.correction.vae.parameters())
    assert tools.trainer.parameters == alone.trainer.parameters + correcting


def test_selfmix_warms_up_like_plain_and_departs_from_it_afterwards(small):
    plain = run("plain", small[0], toy_tools(epochs=4, dropout=0.0))
    out = run("selfmix", small[0], toy_tools(epochs=4, dropout=0.0), warmup=0.5)
    for epoch in (0, 1):
        np.testing.assert_allclose(out[epoch].test, plain[epoch].test, atol=1e-6)
    assert np.abs(out[2].test - plain[2].test).max() > 1e-3
    assert [p.diagnostics["share_guessed"] > 0 for p in out] == [False, False, True, True]


def test_mixup_with_a_tiny_alpha_is_almost_plain_and_with_a_large_one_is_not(small):
    plain = run("plain", small[0], toy_tools(epochs=5, dropout=0.0))[-1].test
    almost = run("mixup", small[0], toy_tools(epochs=5, dropout=0.0), alpha=1e-3)[-1].test
    mixed = run("mixup", small[0], toy_tools(epochs=5, dropout=0.0), alpha=5.0)[-1].test
    np.testing.assert_allclose(almost, plain, atol=0.02)
    assert np.abs(mixed - plain).max() > 0.1


def test_jocor_of_weight_zero_and_no_noise_trains_two_plain_networks(small):
    out = run("jocor", small[0], toy_tools(epochs=3, dropout=0.0), agreement=0.0, tau="0")
    plain = run("plain", small[0], toy_tools(epochs=3, dropout=0.0))
    np.testing.assert_allclose(out[-1].test, plain[-1].test, atol=0.1)
    assert out[-1].diagnostics["noise_rate_estimate"] == 0.0


RECOVERS = {"gce": 0.03, "elr": 0.1, "jocor": 0.1, "selfmix": 0.1, "npc": 0.1, "dygen": 0.07, "second-opinion": 0.1}
"""Margin over plain in accuracy that a method must reach on the toy with 40 % asymmetric noise (mean of 2 seeds)."""


def test_methods_raise_accuracy_over_plain_under_asymmetric_noise():
    """A planted transition on separable features: plain memorises part of the wrong labels, these do not."""
    scores = {name: [] for name in ["plain", *RECOVERS]}
    for seed in range(2):
        task, gold, _ = toy_task(seed=seed, rate=0.4, sizes=(400, 30, 300))
        for name, values in scores.items():
            values.append(accuracy(run(name, task, toy_tools(seed=seed, epochs=20)), gold))
    mean = {name: float(np.mean(values)) for name, values in scores.items()}
    short = {
        name: mean[name] - mean["plain"] for name, margin in RECOVERS.items() if mean[name] < mean["plain"] + margin
    }
    assert not short, mean


SMALL_TASK = {"sidyp": {"width": 64, "learning_rate": 1e-3, "num_samples": 1, "evaluate_every": 10}}
"""400 texts are few steps for the denoisers: a narrow network, larger steps."""


def test_with_clean_labels_no_method_loses_more_than_a_point_to_plain():
    """Mean of 3 seeds on 900 test rows: 0.01 is a point of accuracy."""
    built = {name: registry.build(registry.find(name), {}) for name in registry.available() if name != "oracle"}
    names = [name for name, method in built.items() if method.human_rows() is None]
    found = {name: [] for name in names}
    for seed in range(3):
        task, gold, _ = toy_task(seed=seed, rate=0.0, sizes=(400, 40, 900))
        tools = toy_tools(seed=seed, epochs=8)
        for name in names:
            found[name].append(accuracy(run(name, task, tools, **SMALL_TASK.get(name, {})), gold))
    mean = {name: float(np.mean(values)) for name, values in found.items()}
    assert not {name: value for name, value in mean.items() if value < mean["plain"] - 0.01}, mean


def edge_cases():
    task = toy_task(sizes=(33, 9, 7))[0]
    few = dataclasses.replace(
        task,
        train=Texts(task.train.ids[:2], task.train.texts[:2]),
        valid=Texts(task.valid.ids[:2], task.valid.texts[:2]),
        train_labels=np.array([0, 1]),
        valid_labels=np.array([1, 0]),
    )
    return {
        "two texts": few,
        "a class absent from the labels": dataclasses.replace(task, train_labels=task.train_labels % 2),
        "one class only": dataclasses.replace(
            task, train_labels=np.ones(33, dtype=np.int64), valid_labels=np.ones(9, dtype=np.int64)
        ),
        "no answer at all": dataclasses.replace(task, train_labels=np.full(33, -1), valid_labels=np.full(9, -1)),
        "a last batch of one": task,
    }


@pytest.mark.parametrize("case", edge_cases())
@pytest.mark.parametrize("name", ALL)
def test_edge_cases_run(name, case):
    batch = 32 if case == "a last batch of one" else 16
    for step in run(name, edge_cases()[case], toy_tools(epochs=2, batch_size=batch)):
        assert np.isfinite(step.test).all()
        np.testing.assert_allclose(step.test.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("name", ["npc", "dygen", "knn-vote", "second-opinion"])
def test_more_neighbours_than_texts_are_refused_with_the_range(name, small):
    with pytest.raises(UsageError, match=rf"method {name}: neighbours = 1000 .* choose neighbours in \[1, \d+\]"):
        run(name, small[0], toy_tools(epochs=1), neighbours=1000)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("label-smoothing", {"smoothing": 1.0}),
        ("gce", {"q": 0.0}),
        ("elr", {"momentum": 1.0}),
        ("mixup", {"alpha": 0.0}),
        ("jocor", {"agreement": 1.5}),
        ("jocor", {"tau": "1.2"}),
        ("cr", {"branches": 1}),
        ("npc", {"prior": "soft"}),
        ("dygen", {"branches": 0}),
        ("dygen", {"learning_rate": -1}),
        ("selfmix", {"threshold": 1.0}),
        ("cleanlab", {"folds": 1}),
        ("knn-vote", {"neighbours": 0}),
        ("second-opinion", {"weight": -1.0}),
    ],
)
def test_values_out_of_range_are_refused_before_anything_runs(name, parameters):
    with pytest.raises(UsageError, match=next(iter(parameters))):
        registry.build(registry.find(name), parameters)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("npc", {"metric": "euclidean"}),
        ("npc", {"prior": "proba"}),
        ("npc", {"prior_strength": 0.0}),
        ("npc", {"kl_weight": 0.0}),
        ("dygen", {"metric": "cosine", "exclude_self": True, "neighbours": 1}),
        ("dygen", {"exclude_self": True}),
        ("dygen", {"agreement": 0.0}),
        ("dygen", {"agreement_warmup": 1.0}),
        ("dygen", {"tau": "0.5"}),
        ("elr", {"momentum": 0.1}),
        ("jocor", {"ramp": 1.0, "tau": "0.5"}),
        ("gce", {"q": 0.1}),
        ("selfmix", {"class_balanced": False}),
        ("selfmix", {"pseudo_weight": 1.0}),
        ("selfmix", {"consistency_weight": 0.0}),
        ("selfmix", {"temperature": 2.0}),
        ("cleanlab", {"folds": 2}),
        ("knn-vote", {"neighbours": 2}),
        ("second-opinion", {"opinions": "logistic"}),
        ("second-opinion", {"opinions": "neighbours"}),
        ("second-opinion", {"weight": 0.5}),
        ("second-opinion", {"neighbours": 2}),
        ("second-opinion", {"folds": 2}),
        ("second-opinion", {"branches": 1}),
    ],
)
def test_every_parameter_does_something(name, parameters, small):
    """The first parameter of each case, with the others held."""
    held = dict(list(parameters.items())[1:])
    usual = run(name, small[0], toy_tools(epochs=4), **held)[-1].test
    changed = run(name, small[0], toy_tools(epochs=4), **parameters)[-1].test
    assert not np.array_equal(usual, changed)


def test_neighbours_only_predicts_the_vote(small):
    task, gold, _ = small
    out = run("knn-vote", task, toy_tools(), neighbours_only=True, neighbours=15)
    assert len(out) == 1
    assert (out[0].test > 0).all()
    assert accuracy(out, gold) > 0.7


def test_cleanlab_drops_mostly_wrong_rows_and_reports_the_rate():
    task, _, train_gold = toy_task(rate=0.25, spread=0.15)
    facts = run("cleanlab", task, toy_tools(epochs=1))[-1].diagnostics
    wrong = int((task.train_labels != train_gold).sum())
    assert facts["rows_dropped"] == pytest.approx(wrong, rel=0.2)
    assert facts["noise_rate_estimate"] == pytest.approx(wrong / len(train_gold), abs=0.05)


def test_npc_references_are_the_most_confident_row_of_each_class_in_each_batch():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), size=50)
    order = rng.permutation(50)
    expected = []
    for start in range(0, 50, 16):
        part = order[start : start + 16]
        for c in range(3):
            rows = part[probabilities[part].argmax(1) == c]
            if len(rows):
                expected.append(rows[probabilities[rows].max(1).argmax()])
    assert sorted(npc.references(probabilities, order, 16)) == sorted(expected)


def test_selfmix_standardises_losses_within_each_class():
    values = np.array([1.0, 3.0, 10.0, 30.0, 5.0])
    classes = np.array([0, 0, 2, 2, 1])
    np.testing.assert_allclose(selfmix.standardised_within(values, classes), [-1, 1, -1, 1, 0])


def test_selfmix_guesses_mostly_wrong_labels():
    task, _, train_gold = toy_task(rate=0.3)
    method = registry.build(registry.find("selfmix"), {})
    rng = np.random.default_rng(0)
    p = 0.85 * np.eye(3)[train_gold] + 0.05
    p = (p * rng.uniform(0.8, 1.2, p.shape)).astype(np.float32)
    p /= p.sum(1, keepdims=True)
    labels = task.train_labels
    targets = {"guessed": np.zeros(400, np.float32), "soft": np.eye(3, dtype=np.float32)[labels]}
    method._divide(p, labels, targets, 0)
    wrong = labels != train_gold
    assert (targets["guessed"].astype(bool) == wrong).mean() > 0.97
    np.testing.assert_array_equal(targets["soft"].argmax(1), train_gold)
    np.testing.assert_allclose(targets["soft"].sum(1), 1, rtol=1e-5)


def test_method_docstrings_name_their_source():
    for name in ALL:
        assert any(year in registry.describe(registry.find(name)) for year in map(str, range(2016, 2025))), name


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("npc", {"neighbours": 60}), ("npc", {"neighbours": 13, "batch_size": 40}), ("dygen", {"neighbours": 70})],
)
def test_too_many_neighbours_are_refused_before_anything_trains(name, parameters, monkeypatch):
    task = toy_task(sizes=(40, 20, 10))[0]
    monkeypatch.setattr(shared, "run_of", lambda *args, **kwargs: pytest.fail("trained"))
    with pytest.raises(UsageError, match="choose neighbours in"):
        run(name, task, toy_tools(epochs=1), **parameters)


def test_a_step_that_is_repeated_for_want_of_memory_moves_the_targets_of_elr_once(small):
    """The whole batch fits forward, and its backward pass does not: the step starts again in smaller pieces."""

    def train(micro_batch, fail):
        tools = toy_tools(epochs=2)
        tools.trainer.micro_batch = micro_batch
        fit = tools.trainer.fit

        def failing(networks, inputs, loss, **options):
            def forward_only(outputs, batch):
                value = loss(outputs, batch)
                if len(batch.indices) > 4 and fail:
                    raise torch.OutOfMemoryError("CUDA out of memory.")
                return value

            return fit(networks, inputs, forward_only, **options)

        tools.trainer.fit = failing
        return run("elr", small[0], tools)[-1].test

    np.testing.assert_array_equal(train(None, True), train(4, False))
