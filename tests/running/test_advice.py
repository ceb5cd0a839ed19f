"""The sentences and the order of methods of an advice, on facts made for the purpose."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bench.report.tables import stats
from bench.running import advice
from bench.running.adviser import FEWEST_TEST, Adviser, shared_means


def test_two_labellers_are_told_apart_by_chance_and_a_single_one_by_its_place():
    def said(rule, *members):
        source = SimpleNamespace(rule=rule, members=members)
        return advice._by_rule(SimpleNamespace(name="x", cells=[SimpleNamespace(source=source)]))

    assert "Where its labellers differ, it takes one of their labels at random." in said("vote", "a", "b")
    assert "at random" not in said("crowdlab", "a", "b")
    assert said("single", "a").startswith("x is used, by rule, since it comes first")


def test_methods_that_agree_equally_are_said_to(monkeypatch):
    monkeypatch.setattr(advice, "_compared", lambda _, ours, theirs, p: f"{ours} with {theirs}")
    agreements = {"plain": {1: 55.0, 2: 57.0}, "npc": {1: 57.0, 2: 55.0}, "elr": {1: 50.0, 2: 50.0}}
    told = SimpleNamespace(ranked=["plain", "npc", "elr"], agreements=agreements, tested=0, by_gold=False)
    said = advice._method(told)
    assert said[0].startswith("Use plain. It agrees with the noisy validation labels best, equally with npc: 56.0 %.")
    assert said[1:] == ["plain with elr"]
    told = SimpleNamespace(ranked=["plain", "npc"], agreements=agreements, tested=0, by_gold=False)
    said = advice._method(told)
    assert said[0].startswith("Use plain. It agrees with the noisy validation labels best, equally with npc: 56.0 %.")
    assert said[1:] == ["plain with npc"]
    told = SimpleNamespace(ranked=["plain", "elr"], agreements=agreements, tested=0, by_gold=False)
    assert advice._method(told)[0].startswith("Use plain. It agrees with the noisy validation labels best: 56.0 %.")


def test_a_method_without_a_rival_is_not_praised():
    told = SimpleNamespace(ranked=["npc"], agreements={"npc": {1: 70.0}}, tested=0, by_gold=False)
    assert advice._method(told) == [
        "Use npc. It is the only method that ran, so it is compared with none; it agrees with 70.0 % of the noisy "
        "validation labels."
    ]
    told = SimpleNamespace(ranked=["npc", "elr"], agreements={"npc": {1: 70.0}}, tested=12, by_gold=False)
    said = advice._method(told)
    assert said[0].startswith("Use npc. It is the only method that could be scored on noisy validation labels, so")
    assert said[1].startswith("12 test rows have gold: too few")


def test_a_tie_by_gold_is_broken_as_in_the_sentence_and_the_choice_is_said_to_flatter(monkeypatch):
    tied = {"elr": {1: 81.0, 2: 79.0, 3: 80.0}, "plain": {1: 80.0, 2: 81.0, 3: 79.0}}
    told = SimpleNamespace(
        accuracies=tied, by_gold=True, competing=tied, tested=140, column="", main=None, results=None
    )
    told.ranked, told.block = Adviser.ranked.func(told), SimpleNamespace(kinds={"": "llm"})
    assert told.ranked == stats.best_two(tied) == ["plain", "elr"]
    monkeypatch.setattr(advice, "Span", lambda *_: None)
    monkeypatch.setattr(advice, "draws_of", lambda *_: (None, ""))
    monkeypatch.setattr(advice, "headline", lambda *_: SimpleNamespace(sentence="…", best="plain"))
    told.main = SimpleNamespace(name="gpt")
    flatters = "test rows with gold (which chose the method: a choice that flatters it)"
    assert advice._method(told) == [f"Use plain. On the 140 {flatters}, last step: …"]
    assert f"the 140 {flatters}. In brackets" in worth_said("57 (41 to 80)", 5, 140, ("npc", "plain"))
    for tested, methods in ((140, ("npc",)), (40, ("npc", "plain"))):  # no choice, or not by these rows
        assert "flatters" not in worth_said("57 (41 to 80)", 5, tested, methods)


def test_methods_are_ranked_by_the_seeds_that_all_have():
    """Npc failed with the hardest seed and is worse with every other."""
    agreements = {"plain": {1: 60.0, 2: 70.0, 3: 30.0}, "npc": {1: 59.0, 2: 69.0}}
    told = SimpleNamespace(agreements=agreements, tested=0, by_gold=False, competing={"elr": {}, **agreements})
    assert Adviser.ranked.func(told) == ["plain", "npc", "elr"]
    assert shared_means(agreements) == {"plain": 65, "npc": 64}
    assert shared_means({"plain": {1: 60.0}, "npc": {2: 59.0, 3: 61.0}}) == {"plain": 60, "npc": 60}
    many = {"plain": {1: 80.0, 2: 60.0, 3: 60.0}, "npc": dict.fromkeys((1, 2, 3), 75.0), "elr": {1: 70.0}}
    assert shared_means(many) == {"plain": pytest.approx(200 / 3), "npc": 75}


def test_a_lead_over_several_methods_is_corrected_for_their_number():
    best = {1: 60.0, 2: 61.0, 3: 62.0}
    behind = {1: 59.0, 2: 59.7, 3: 60.4}  # p = 0.017
    hits = np.r_[np.ones(60), np.zeros(40)]

    def first(names, one_seed=()):
        agreements = {"npc": best} | dict.fromkeys(names, behind) | {name: {1: 50.0} for name in one_seed}
        competing = {name: dict.fromkeys(scores, name) for name, scores in agreements.items()}
        told = SimpleNamespace(
            ranked=[*agreements], agreements=agreements, tested=0, by_gold=False, competing=competing
        )
        told.valid_hits = lambda name: hits * (name == "npc")
        return advice._method(told)[1]

    assert first(["plain"]).startswith("It is ahead of plain: +1.3 ± 0.7 points over 3 seeds, ")
    assert first(["plain"], "ab").startswith("It is ahead of plain: +1.3 ± 0.7")  # these two have no p
    assert first(["plain", *"abcd"], "ef").startswith(
        "It is not shown to differ from plain (test over seeds corrected for 5 comparisons): +1.3 ± 0.7 points"
    )


def worth_said(text, seeds, tested=40, methods=("npc",)):
    curve = SimpleNamespace(entry=lambda *_: SimpleNamespace(text=text), fewest_seeds=lambda *_: seeds)
    scores = {"npc": dict.fromkeys(range(seeds), 70.0)}
    told = SimpleNamespace(ranked=methods, column="", accuracies=scores, yardstick=curve, tested=tested)
    told.by_gold = tested >= FEWEST_TEST
    return advice._worth(told)[0]


@pytest.mark.parametrize(("seeds", "over"), [(1, "over these rows;"), (2, "over seeds and these rows;")])
def test_the_interval_of_a_worth_is_over_seeds_where_there_are_several(seeds, over):
    assert f"In brackets: the 95 % interval {over}" in worth_said("57 (41 to 80)", seeds)


def test_the_interval_of_a_worth_is_said_to_be_too_narrow_with_fewer_than_five_seeds():
    few = " A method or a size of the curve has only 3 seeds: with fewer than five the 95 % interval is too narrow."
    assert worth_said("57 (41 to 80)", 3).endswith(f"outside the learning curve.{few}")
    for text, seeds in (("57 (41 to 80)", 5), ("< 10", 3)):  # seeds enough, no interval
        assert worth_said(text, seeds).endswith("outside the learning curve.")
