"""The terminal's view of label sets: narrow, in percent, with nothing cut."""

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bench.cli import labels as labels_view
from bench.cli.shell import table
from llm_labels.labelsets import SplitLabels
from llm_labels.study import Study, study_labels
from tests.llm_labels.tiny import tiny_task


def study(gold=True):
    sizes = {"task": "tweets", "labels": "gemma3-270m/few", "split": "train", "texts": 9999, "asked": 2892}
    sizes |= {"no_answer_rate": 0.01, "noise_rate": 0.283 if gold else np.nan, "noise_low": 0.267, "noise_high": 0.3}
    sizes |= {"accuracy": 0.71 if gold else np.nan, "requests": 4096, "tokens_in": 1_011_000, "usd": 0.0}
    kind = {"task": "tweets", "labels": "gemma3-270m/few", "texts": 2892, "noise_rate_estimate": 0.1}
    if gold:
        kind |= {"noise_rate": 0.283, "symmetric_p": 0.001, "instance_p": 0.005, "noise": "instance-dependent"}
    agreement = {"task": "tweets", "labellers": "gemma3-270m/few · [red]", "texts": 9, "agreement": 0.7, "kappa": 0.5}
    agreement |= {"statistic": "Cohen"}
    confusion = pd.DataFrame(
        {
            "task": "tweets",
            "labels": "gemma3-270m/few",
            "split": "train",
            "gold": ["a", "a", "a", "b", "b", "b"],
            "label": ["a", "b", "(no answer)"] * 2,
            "count": [6, 3, 1, 0, 5, 0],
            "share": [0.6, 0.3, 0.1, 0, 1, 0],
        }
    )
    frames = [pd.DataFrame([row]) for row in (sizes, kind)]
    return Study(*frames, confusion if gold else pd.DataFrame(), pd.DataFrame([agreement]))


def printed(found):
    console = Console(width=80)
    with console.capture() as text:
        for table in labels_view.tables(found):
            console.print(table)
    return text.get()


def test_everything_fits_into_eighty_columns_and_nothing_is_cut():
    text = printed(study())
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    for expected in ("28.3 (26.7–30.0)", "2892 of 9999", "instance-dependent", "[red]", "1,011,000", "0.50 Cohen"):
        assert expected in " ".join(text.split()), text


def test_words_are_broken_only_where_there_is_no_room_for_them():
    wide = ("qwen2.5-coder-1.5b/few", "a label set with a very long name of many words, wider than the terminal")
    made = table(("labels", "noise", "kind"), [(*wide, "instance-dependent"), (*wide, "class-dependent")])
    console = Console(width=60)
    with console.capture() as text:
        console.print(made)
    assert max(map(len, text.get().splitlines())) <= 60
    for word in (*wide[1].split(), wide[0], "instance-dependent", "class-dependent"):
        assert word in text.get(), text.get()


def test_a_number_below_zero_has_a_minus():
    row = {"kappa": -0.1, "kappa_low": -0.2, "kappa_high": 0.1}
    assert labels_view.interval("kappa", scale=1, form=".2f")(row) == "−0.10 (−0.20–0.10)"
    assert labels_view.interval("ppi")({"ppi": -0.0001, "ppi_low": 0.0, "ppi_high": 0.5}) == "0.0 (0.0–50.0)"
    assert labels_view.written("name")({"name": "gpt-4"}) == "gpt-4"


def test_a_class_shows_what_it_is_mostly_taken_for():
    found = labels_view.mistakes(study().confusion)
    assert found[["gold", "texts", "right", "label", "wrong"]].values.tolist() == [
        ["a", 10, pytest.approx(0.6), "b", pytest.approx(0.3)],
        ["b", 5, pytest.approx(1.0), "a", 0.0],
    ]


def test_without_gold_its_columns_are_empty():
    text = printed(study(gold=False))
    assert "28.3" not in text
    assert "–" in text


def many(sets=25, gold=True):
    """A study of 25 sets of 80 texts with two classes."""
    task = tiny_task(sizes=(80, 4, 6))
    draws, truth = np.random.default_rng(0), task.gold.train
    parts = {
        f"an-llm-{number}/zero": {
            "train": SplitLabels(np.arange(80), np.where(draws.random(80) < 0.3, 1 - truth, truth))
        }
        for number in range(sets)
    }
    return study_labels(task, parts, draws.normal(size=(80, 3)), features_of="[minilm]")


def test_of_many_pairs_those_at_both_ends_are_shown_and_the_whole_is_one_row():
    found = many()
    text = printed(found)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert len(found.agreement) == len(found.mistakes) + 1 == 301
    rows, said = labels_view.ends(found.agreement)
    kappa = found.agreement["kappa"][:300].sort_values()
    assert sorted(rows["kappa"][:-1]) == pytest.approx([*kappa[:3], *kappa[-3:]])
    assert rows["labellers"].iloc[-1] == "all 25"
    assert "of many pairs the 3 that agree least and most" in " ".join(text.split())
    assert said in " ".join(text.split())
    (shared,) = found.shared.to_dict("records")
    expected = f"{shared['kappa']:z.2f} ({shared['kappa_low']:z.2f}–{shared['kappa_high']:z.2f})"
    assert expected.replace("-", "−") in " ".join(text.split())
    assert "from [minilm]" in " ".join(text.split())


def test_few_pairs_are_all_shown_and_one_set_shares_nothing():
    found = many(3)
    rows, said = labels_view.ends(found.agreement)
    assert len(rows) == 4
    assert said == ""
    single = many(1)
    assert "Mistakes that labellers share" not in printed(single)
    assert "Mistakes that the text predicts" in printed(single)
