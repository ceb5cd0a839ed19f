"""The study of label sets: counts are exact, tests tell planted kinds of noise apart, kappas match the books."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from bench.core.texts import Texts
from bench.data.task import Gold
from llm_labels.labelsets import SplitLabels
from llm_labels.statistics import cohen_kappa, confusion, fleiss_kappa, instance_dependence, symmetric_departure
from llm_labels.study import Study, estimate_noise_rate, study_labels, text_features
from tests.llm_labels.tiny import tiny_task

N, C = 1200, 4


def rng(*key):
    return np.random.default_rng([7, *key])


@pytest.fixture(scope="module")
def world():
    """Gold classes and features float[N, 6]: a cluster a class, and two directions that say nothing about gold."""
    gold = rng(0).integers(0, C, N)
    features = rng(1).normal(size=(N, 6)) * 0.6
    features[:, :C] += 2.0 * np.eye(C)[gold]
    return gold, features


def symmetric(gold, rate, key):
    flip = rng(key).random(len(gold)) < rate
    return np.where(flip, (gold + rng(key, 1).integers(1, C, len(gold))) % C, gold)


def test_confusion_counts_no_answer_in_a_column_of_its_own():
    table = confusion(np.array([0, 0, 1, 2, 2]), np.array([0, 1, -1, 2, -1]), 3)
    np.testing.assert_array_equal(table, [[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1]])


def test_symmetric_noise_is_not_rejected_and_class_conditional_is(world):
    gold, _ = world
    flat = [symmetric_departure(gold, symmetric(gold, 0.3, key), C, rng(9, key), draws=199) for key in range(40)]
    assert np.mean([d.p_value < 0.05 for d in flat]) <= 0.15  # 5 % expected
    assert np.mean([d.p_value for d in flat]) == pytest.approx(0.5, abs=0.2)
    pairs = np.where(rng(3).random(N) < 0.3, (gold + 1) % C, gold)
    departure = symmetric_departure(gold, pairs, C, rng(4))
    assert departure.p_value == pytest.approx(1 / 2000)
    # two thirds of the 30 % that are wrong would have to go to another class
    assert departure.size == pytest.approx(0.2, abs=0.03)


def test_the_monte_carlo_p_value_agrees_with_the_chi_square_for_many_texts(world):
    gold, _ = world
    for key in range(5):
        departure = symmetric_departure(gold, symmetric(gold, 0.3, 50 + key), C, rng(10, key))
        assert departure.p_value == pytest.approx(chi2.sf(departure.statistic, C * (C - 1) - 1), abs=0.06)


def test_noise_that_follows_the_text_is_told_from_noise_that_follows_the_class(world):
    gold, features = world
    none = [instance_dependence(gold, _class_noise(gold, k), features, C, rng(k))
            for k in range(20)]  # fmt: skip
    assert np.mean([d.p_value < 0.05 for d in none]) <= 0.2
    assert abs(np.mean([d.size for d in none])) < 0.02
    wrong_side = np.where(features[:, 5] > 0.3, (gold + 1) % C, gold)  # the text, not the class, decides
    found = instance_dependence(gold, wrong_side, features, C, rng(6))
    assert found.p_value == pytest.approx(1 / 200)
    assert found.size > 0.15


def _class_noise(gold, key):
    return np.where(rng(77, key).random(len(gold)) < 0.1 + 0.1 * gold, (gold + 1) % C, gold)


def test_morans_i_equals_a_slow_loop():
    gold = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1])
    labels = np.array([0, 1, 1, 0, 0, 1, 1, 0, 1])
    features = rng(8).normal(size=(9, 3))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    residual = np.zeros((9, 2))
    for i in range(9):
        peers = [j for j in range(9) if gold[j] == gold[i]]
        residual[i] = np.eye(2)[labels[i]] - np.mean([np.eye(2)[labels[j]] for j in peers], axis=0)
    top = 0.0
    for i in range(9):
        peers = sorted((j for j in range(9) if gold[j] == gold[i] and j != i), key=lambda j: -unit[i] @ unit[j])[:2]
        top += residual[i] @ np.mean(residual[peers], axis=0)
    found = instance_dependence(gold, labels, features, 2, rng(9), neighbours=2, draws=9)
    assert found.statistic == pytest.approx(top / (residual**2).sum())


def test_perfect_labels_leave_nothing_to_test(world):
    gold, features = world
    assert np.isnan(instance_dependence(gold, gold, features, C, rng(1)).statistic)
    assert symmetric_departure(gold, gold, C, rng(1)).statistic == 0


def test_cohens_kappa_over_texts_that_both_answered():
    a = np.array([0] * 25 + [1] * 25 + [-1])
    b = np.array([0] * 20 + [1] * 5 + [0] * 10 + [1] * 15 + [0])
    assert cohen_kappa(a, b) == pytest.approx(0.4)  # 0.7 agreement, 0.5 by chance
    assert np.isnan(cohen_kappa(np.array([-1]), np.array([0])))
    assert np.isnan(cohen_kappa(np.zeros(3, int), np.zeros(3, int)))


def test_fleiss_kappa_of_the_published_example():
    # ten subjects, fourteen raters, five categories; κ = 0.210 (the textbook table of Fleiss 1971's statistic)
    table = [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
             [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]  # fmt: skip
    votes = np.array([np.repeat(np.arange(5), row) for row in table])
    assert fleiss_kappa(votes, 5) == pytest.approx(0.210, abs=5e-4)
    two = rng(11).integers(0, 3, (500, 2))
    two[:200, 1] = two[:200, 0]
    # two raters: Scott's pi
    joint = np.mean(two[:, 0] == two[:, 1])
    chance = sum(np.mean(two == c) ** 2 for c in range(3))
    assert fleiss_kappa(two, 3) == pytest.approx((joint - chance) / (1 - chance))


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.4])
def test_the_noise_rate_is_estimated_without_gold(world, rate):
    gold, features = world
    assert estimate_noise_rate(symmetric(gold, rate, 12), features, C, 1)[0] == pytest.approx(rate, abs=0.05)


def themed_task(n=300):
    """A task whose texts are about their gold class."""
    base = tiny_task(sizes=(n, 40, 40))
    gold = {split: np.arange(len(base.texts(split))) % 2 for split in ("train", "valid", "test")}
    words = (("dull", "grey", "sad", "cold"), ("bright", "warm", "glad", "gold"))

    def text(i, c):
        return " ".join(rng(i).choice(words[c], 4)) + f" {i}"

    texts = {s: Texts(tuple(map(str, range(len(y)))), tuple(map(text, range(len(y)), y))) for s, y in gold.items()}
    return replace(
        base, **texts, gold=Gold(*gold.values()), full_fingerprint={s: t.fingerprint for s, t in texts.items()}
    )


def all_rows(labels):
    return SplitLabels(np.arange(len(labels)), np.asarray(labels, dtype=np.int64))


def test_the_report_counts_what_was_planted():
    task = themed_task()
    gold = task.gold.train
    labels = np.where(rng(20).random(300) < 0.2, 1 - gold, gold)
    labels[:30] = -1
    sets = {"a/few": {"train": all_rows(labels), "test": SplitLabels(np.array([1, 4]), np.array([1, 1]))}}
    found = study_labels(task, sets, costs={"a/few": {"seconds": 3.0}})
    train, test = found.sizes.to_dict("records")
    wrong = int((labels != gold)[30:].sum())
    assert (train["texts"], train["asked"], train["no_answer_rate"]) == (300, 300, 0.1)
    assert train["noise_rate"] == pytest.approx(wrong / 270)
    assert train["noise_low"] < wrong / 270 < train["noise_high"]
    assert train["accuracy"] == pytest.approx(1 - (wrong + 30) / 300)
    assert (test["texts"], test["asked"], test["noise_rate"]) == (40, 2, 0.5)
    assert train["seconds"] == 3.0
    counts = found.confusion.query("split == 'train'").set_index(["gold", "label"])["count"]
    assert counts["negative", "positive"] == int(((gold == 0) & (labels == 1)).sum())
    assert counts.xs("(no answer)", level="label").sum() == 30
    [kind] = found.kind.to_dict("records")
    assert kind["noise_rate_estimate"] == pytest.approx(kind["noise_rate"], abs=0.08)


def test_without_gold_there_is_an_estimate_and_nothing_else():
    task = themed_task()
    labels = np.where(rng(21).random(300) < 0.2, 1 - task.gold.train, task.gold.train)
    found = study_labels(replace(task, gold=Gold(None, None, None)), {"a/few": {"train": all_rows(labels)}})
    assert found.sizes["noise_rate"].isna().all()
    assert found.confusion.empty
    assert "symmetric_p" not in found.kind
    assert found.kind["noise_rate_estimate"][0] == pytest.approx(0.2, abs=0.08)


def test_agreement_of_several_labellers():
    task = themed_task()
    gold = task.gold.train
    a = np.where(rng(22).random(300) < 0.2, 1 - gold, gold)
    b = np.where(rng(23).random(300) < 0.2, 1 - gold, gold)
    half = SplitLabels(np.arange(0, 300, 2), a[::2])
    found = study_labels(task, {"a": {"train": all_rows(a)}, "b": {"train": all_rows(b)}, "half": {"train": half}})
    table = found.agreement.set_index("labellers")
    assert table.loc["a · b", "agreement"] == pytest.approx((a == b).mean())
    assert table.loc["a · half", ["texts", "agreement", "kappa"]].tolist() == [150, 1.0, 1.0]
    assert table.loc["a · b", "both_wrong"] == pytest.approx(((a != gold) & (b != gold)).mean())
    assert table.loc["all 3", "statistic"] == "Fleiss"
    assert table.loc["all 3", "texts"] == 150


def test_the_report_is_the_same_twice_and_joins():
    task = themed_task(120)
    labels = np.where(rng(24).random(120) < 0.3, 1 - task.gold.train, task.gold.train)
    first, second = (study_labels(task, {"a": {"train": all_rows(labels)}}) for _ in range(2))
    for name in ("sizes", "kind", "confusion"):
        assert getattr(first, name).equals(getattr(second, name))
    assert len(Study.join([first, second]).sizes) == 2
    assert Study.join([]).sizes.empty


@pytest.mark.parametrize("labels", [[-1, -1, -1], [0, 0, 0], [0, 1, -1]])
def test_tiny_sets_are_reported_too(labels):
    task = tiny_task(sizes=(3, 2, 2))
    found = study_labels(task, {"a": {"train": all_rows(labels)}})
    assert found.sizes["asked"].tolist() == [3]
    assert found.kind["texts"].tolist() == [sum(label >= 0 for label in labels)]


def test_features_of_few_or_odd_texts():
    assert text_features(["a", "b", "a b"], 1).shape[0] == 3
    assert text_features(["!", "?", "!"], 1).shape[0] == 3
    assert np.isfinite(text_features(["word one", "word two"] * 30, 1)).all()
