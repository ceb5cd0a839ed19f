"""What is said of how wrong labels are, on facts made for the purpose."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bench.running.wrong_labels import disagreement_bound, wrong_labels
from bench.store.intervals import wilson


def test_what_contradictions_prove():
    answers = np.array([[0, 1, -1, 2], [0, 0, 1, 2], [1, 2, -1, 2]])
    assert disagreement_bound(answers) == pytest.approx(1 - (2 + 1 + 1 + 3) / 10)
    assert disagreement_bound(np.full((2, 3), -1)) is None


@pytest.mark.parametrize(("guess", "mean"), [({"a": [0.1, 0.2], "b": [0.3]}, "21.4"), ({"a": [0.4], "b": [0.5]}, None)])
def test_estimates_that_contradictions_prove_too_low_are_said_to_be(guess, mean):
    answers = {"a": np.array([0] * 4 + [1] * 4), "b": np.array([1] * 6 + [-1] * 2)}  # 4 of 14 are wrong
    columns = {name: {"train": each, "valid": each[:0], "test": each[:0]} for name, each in answers.items()}
    source = lambda *names: SimpleNamespace(  # noqa: E731
        name="+".join(names), rate=None, cells=[SimpleNamespace(source=SimpleNamespace(members=names))]
    )
    told = SimpleNamespace(
        sources=[source("a"), source("b"), source("a", "b")],
        main=None,
        task=SimpleNamespace(columns=columns, whole=None),
        estimates=lambda each: guess.get(each.name, [0.0]),
    )
    said = wrong_labels(told)[-1]
    assert "at least 28.6 % of their answers are wrong" in said
    assert ("proves the estimates too low" in said) == (mean is not None)
    assert mean is None or f"they are {mean} %." in said


def test_labels_are_shown_to_be_worse_on_the_rows_that_both_answered():
    def said(*theirs):
        def source(name, wrong, answered=200, split="train"):
            hits = {(split, row): row not in wrong for row in range(answered)}
            return SimpleNamespace(name=name, rate=wilson(len(wrong), answered), rows=answered, silent=0.0, hits=hits)

        main = source("gpt", np.arange(40))
        sources = [main, source("llama", *theirs)]
        told = SimpleNamespace(
            sources=sources, main=main, estimates=lambda _: [], task=SimpleNamespace(columns={}, whole=None)
        )
        return wrong_labels(told)[1]

    assert "not shown" not in said(np.arange(56))  # 16 rows that llama alone has wrong, none the other way round
    apart = "are not shown to be worse than gpt, which this advice is about (McNemar's exact test on the 200 rows with"
    assert apart in said(np.arange(30, 80))  # 40 against 30
    assert "on the 100 rows with gold that both answered)" in said(np.arange(40), 100)
    disjoint = said(np.arange(56), 200, "test")
    assert disjoint.endswith(" No row with gold was answered by both llama and gpt, so they cannot be compared.")
    assert "McNemar" not in disjoint
