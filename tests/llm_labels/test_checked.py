"""Labels studied by the few texts that a person checked."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bench.data.task import Gold
from bench.running.conformance import make_case
from bench.store.intervals import prediction_powered, wilson
from llm_labels.alternative import alt_test
from llm_labels.labelsets import SplitLabels
from llm_labels.study import study_labels

SIZES = (400, 60, 100)


@pytest.fixture(scope="module")
def case():
    """A task with gold in a fifth of its texts, and gold of all of them."""
    made = make_case(SIZES)
    full = made.task.gold
    keep = {split: np.arange(size) % 5 == 0 for split, size in zip(("train", "valid", "test"), SIZES, strict=True)}
    gold = Gold(*(np.where(keep[split], full.of(split), -1) for split in keep))
    return replace(made.task, gold=gold), made.labels, full, keep


@pytest.fixture(scope="module")
def found(case):
    task, labels, _, _ = case
    parts = {
        split: SplitLabels(np.arange(size), getattr(labels, split))
        for split, size in zip(("train", "valid", "test"), SIZES, strict=True)
    }
    return study_labels(task, {"gpt": parts})


def test_rates_are_of_the_checked_texts_with_their_interval(case, found):
    _, labels, full, keep = case
    rows = found.sizes.set_index("split")
    assert list(rows.index) == ["train", "valid", "test", "all"]
    wrong = {split: (getattr(labels, split) != full.of(split))[keep[split]] for split in keep}
    wrong["all"] = np.concatenate(list(wrong.values()))
    for split, each in wrong.items():
        expected = wilson(int(each.sum()), len(each))
        assert rows.loc[split, ["noise_rate", "noise_low", "noise_high"]].tolist() == pytest.approx(list(expected))
        assert rows.loc[split, "checked"] == len(each)
        assert rows.loc[split, "accuracy"] == pytest.approx(1 - each.mean())
    counts = found.confusion.groupby("split")["count"].sum()
    assert counts.to_dict() == {split: int(each.sum()) for split, each in keep.items()}


def test_precision_by_class_stands_beside_the_estimate_without_gold(case, found):
    _, labels, full, keep = case
    given = np.concatenate([getattr(labels, split) for split in keep])
    gold = np.concatenate([full.of(split) for split in keep])
    known = np.concatenate(list(keep.values()))
    rows = found.classes.set_index("class")
    for at in range(3):
        checked = known & (given == at)
        expected = wilson(int((gold == at)[checked].sum()), int(checked.sum()))
        assert rows.loc[f"class {at}", ["precision", "low", "high"]].tolist() == pytest.approx(list(expected))
        assert rows.loc[f"class {at}", ["given", "checked"]].tolist() == [(given == at).sum(), checked.sum()]
        assert rows.loc[f"class {at}", "recall"] == pytest.approx((given == at)[known & (gold == at)].mean())
        assert 0.5 < rows.loc[f"class {at}", "precision_estimate"] < 0.9


def test_the_noise_rate_of_gold_and_estimate_together_is_near_the_truth(case, found):
    _, labels, full, _ = case
    (kind,) = found.kind.to_dict("records")
    truth = (labels.train != full.train).mean()
    assert kind["ppi_low"] <= truth <= kind["ppi_high"]
    own = wilson(round(kind["noise_rate"] * kind["checked"]), kind["checked"])
    assert kind["checked"] == 80
    assert kind["ppi_high"] - kind["ppi_low"] < own.high - own.low
    assert prediction_powered(np.zeros(30, bool), np.zeros(30, bool), np.zeros(9, bool)) is None


def test_without_any_checked_text_only_the_estimate_is_there(case):
    task, labels, _, _ = case
    blind = replace(task, gold=Gold(None, None, None))
    made = study_labels(blind, {"gpt": {"train": SplitLabels(np.arange(400), labels.train)}})
    assert list(made.sizes["split"]) == ["train"]
    assert made.classes["precision"].isna().all()
    assert made.classes["precision_estimate"].notna().all()
    assert "ppi" not in made.kind


def test_persons_columns_are_what_a_labeller_is_tested_against(case):
    task, labels, full, _ = case
    rng = np.random.default_rng(0)
    everyone = np.arange(400)
    people = {f"ann{k}": np.where(rng.random(400) < 0.2, (full.train + 1) % 3, full.train) for k in (1, 2, 3)}
    sets = {name: {"train": SplitLabels(everyone, each)} for name, each in people.items()}
    sets["gpt"] = {"train": SplitLabels(everyone, labels.train)}
    (row,) = study_labels(task, sets, persons=list(people)).replacement.to_dict("records")
    expected = alt_test(labels.train, people)
    assert (row["labels"], row["annotators"], row["texts"]) == ("gpt", 3, 400)
    assert row["advantage"] == pytest.approx(expected.advantage)
    assert row["winning_expert"] == expected.winning["expert"]
    assert study_labels(task, sets, persons=["ann1"]).replacement.equals(pd.DataFrame())
