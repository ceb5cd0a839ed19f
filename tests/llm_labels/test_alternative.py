"""The alternative-annotator test, compared with the procedure of its authors written out."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from llm_labels.alternative import EPSILONS, alt_test


def annotated(rng, n=200, humans=3, human_error=0.2, labeller_error=0.2, missing=0.0):
    """Gold of four classes, annotators and a labeller with random errors."""
    gold = rng.integers(4, size=n)

    def says(error):
        return np.where(rng.random(n) < error, rng.integers(4, size=n), gold)

    people = {f"ann{k}": np.where(rng.random(n) < missing, -1, says(human_error)) for k in range(humans)}
    return says(labeller_error), people


def by_hand(labels, people, epsilon, q=0.05):
    """Algorithm 1 of the paper, text by text."""
    p_values, advantages = [], []
    for name, own in people.items():
        ours, theirs = [], []
        for i in range(len(labels)):
            others = [each[i] for other, each in people.items() if other != name and each[i] >= 0]
            if own[i] < 0 or not others:
                continue
            score_llm = np.mean([labels[i] == other for other in others])
            score_human = np.mean([own[i] == other for other in others])
            ours.append(float(score_llm >= score_human))
            theirs.append(float(score_human >= score_llm))
        p_values.append(ttest_1samp(np.array(theirs) - np.array(ours), epsilon, alternative="less").pvalue)
        advantages.append(np.mean(ours))
    m = len(p_values)
    order = np.argsort(p_values)
    limit = q / (m * sum(1 / k for k in range(1, m + 1)))
    below = [rank for rank, at in enumerate(order, 1) if p_values[at] <= rank * limit]
    return (max(below) if below else 0) / m, np.mean(advantages)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_it_is_the_procedure_of_the_paper(seed, missing):
    rng = np.random.default_rng(seed)
    labels, people = annotated(rng, labeller_error=0.1 + 0.08 * seed, missing=missing)
    found = alt_test(labels, people)
    for kind, epsilon in EPSILONS.items():
        winning, advantage = by_hand(labels, people, epsilon)
        assert found.winning[kind] == pytest.approx(winning)
        assert found.advantage == pytest.approx(advantage)


def test_a_good_labeller_passes_and_a_bad_one_does_not():
    rng = np.random.default_rng(0)
    labels, people = annotated(rng, n=400, labeller_error=0.1)
    good, bad = alt_test(labels, people), alt_test(rng.integers(4, size=400), people)
    assert good.passes("skilled")
    assert good.winning["expert"] == 1.0
    assert not bad.passes("expert")
    assert bad.advantage < 0.5 < good.advantage
    silent = alt_test(np.full(400, -1), people)
    assert silent.winning == {"crowd": 0.0, "skilled": 0.0, "expert": 0.0}


def test_annotators_with_few_shared_texts_are_not_tested():
    rng = np.random.default_rng(0)
    labels, people = annotated(rng, n=29)
    assert alt_test(labels, people) is None
    labels, people = annotated(rng, n=60, humans=2)
    people["rare"] = np.where(np.arange(60) < 10, people["ann0"], -1)
    assert alt_test(labels, people).annotators == 2


def test_a_labeller_that_always_agrees_with_everybody_passes():
    same = np.arange(40) % 3
    found = alt_test(same, {"a": same, "b": same})
    assert found.advantage == 1.0
    assert found.winning["crowd"] == 1.0
