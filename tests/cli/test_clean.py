"""Tables that `bench clean` made are read as they are meant, and what it cannot do is refused before the work."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bench.data.load import load_task
from tests.conftest import records, review_rows, write_csv


@pytest.mark.parametrize("written", [str.title, {"negative": "0", "positive": "1"}.get])
def test_a_column_that_was_corrected_is_not_taken_for_gold_afterwards(bench, tiny_bert, written):
    Path("label.json").write_text('["negative", "positive"]', "utf-8")
    write_csv(Path("mine.csv"), [{"text": row["text"], "label": written(row["ann"])} for row in review_rows(90)])
    words = ("--label-columns", "label", "--encoder", tiny_bert, "--seeds", 1, "--out", "cleaned.csv")
    assert bench("clean", "mine.csv", *words).exit_code == 0
    words = ("--llms", "cleaned_label", "--methods", "plain", "--encoder", f"{tiny_bert}:frozen", "--epochs", 1)
    told = bench("run", "--tasks", "cleaned.csv", "--seeds", 1, *words)
    assert told.exit_code == 0, told.stderr
    (record,) = records()
    assert not record.data.has_gold
    assert list(load_task("cleaned.csv").columns) == ["label", "given_label", "cleaned_label"]


def test_gold_stays_gold_in_a_table_with_cleaned_labels(bench, tiny_bert):
    rows = [{"text": row["text"], "label": row["gold"], "gpt": row["ann"]} for row in review_rows(90)]
    write_csv(Path("mine.csv"), rows)
    words = ("--llms", "gpt", "--encoder", tiny_bert, "--seeds", 1, "--out", "cleaned.csv")
    assert bench("clean", "mine.csv", *words).exit_code == 0
    task = load_task("cleaned.csv")
    assert task.gold.train is not None
    assert list(task.columns) == ["gpt", "given_label", "cleaned_label"]


@pytest.mark.parametrize("header", ["why", "Why", "Given label"])
def test_a_column_of_the_name_of_one_that_is_added_is_refused(bench, header):
    write_csv(Path("mine.csv"), [{"text": row["text"], header: "x", "gpt": row["ann"]} for row in review_rows(30)])
    told = bench("clean", "mine.csv", "--llms", "gpt", "--out", "cleaned.csv")
    assert (told.exit_code, Path("cleaned.csv").exists()) == (2, False)
    assert f"mine.csv already has a column '{header}', which this command writes: rename it" in told.stderr


@pytest.fixture
def simple() -> Path:
    """60 reviews with one labeller, whose name is markup to a terminal."""
    return write_csv(
        Path("mine.csv"), [{"text": row["text"], "llama label [/5]": row["ann"]} for row in review_rows(60)]
    )


WORDS = ("--label-columns", '"llama label [/5]"', "--seeds", 1)


@pytest.mark.parametrize("command", ["trust", "clean"])
def test_names_are_no_markup_and_a_mode_of_the_encoder_may_stand_there(bench, simple, tiny_bert, command):
    told = bench(command, simple, *WORDS, "--encoder", f"{tiny_bert}:frozen", "--out", "out.csv")
    assert told.exit_code == 0, told.stderr
    assert "llama label [/5]" in told.stdout
    assert bench(command, simple, *WORDS, "--encoder", tiny_bert, "--out", "other.csv").exit_code == 0
    assert Path("other.csv").read_bytes() == Path("out.csv").read_bytes()
    told = bench(command, simple, *WORDS, "--encoder", f"{tiny_bert}:top1", "--out", "out.csv")
    assert (told.exit_code, "leave out ':top1'" in told.stderr) == (2, True)


@pytest.mark.parametrize("command", ["trust", "clean", "predict"])
def test_where_nothing_can_be_written_is_said_before_the_work(bench, simple, tiny_bert, command):
    Path("folder").mkdir()
    what = ("nowhere", simple) if command == "predict" else (simple, *WORDS, "--encoder", "nowhere")
    for out, said in (("folder", "'folder' is a folder: name a file"), ("mine.csv/x.csv", "mine.csv' is a file")):
        told = bench(command, *what, "--out", out)
        assert (told.exit_code, said in told.stderr) == (2, True), told.stderr


def test_clean_has_no_limit(bench, simple):
    assert "No such option: --limit" in bench("clean", simple, "--limit", 5, "--out", "out.csv").stderr


def test_a_label_that_is_the_only_one_of_its_class_is_not_the_most_suspicious_and_stays(bench, tiny_bert):
    rows = [{"text": row["text"], "gpt": row["ann"]} for row in review_rows(90)]
    rows += [{"text": f"what is this {word}", "gpt": word} for word in ("spam", "question")]
    write_csv(Path("mine.csv"), rows)
    for command in ("trust", "clean"):
        told = bench(command, "mine.csv", "--encoder", tiny_bert, "--seeds", 1, "--out", f"{command}.csv")
        assert told.exit_code == 0, told.stderr
        assert (
            "Labels that are the only one of their class, which no classifier could therefore learn: 2" in told.stdout
        )
    found = pd.read_csv("trust.csv")
    assert (found["suspicion"][found["given"].isin(["spam", "question"])] == 0.5).all()
    assert found["suspicion"][0] > 0.5
    assert pd.read_csv("clean.csv")["cleaned_label"].tolist()[-2:] == ["spam", "question"]


def test_one_other_labeller_corrects_nothing_and_the_vote_of_both_does(bench, tiny_bert):
    rows = [{"text": row["text"], "gpt, few": row["ann"], "llama": row["bob"]} for row in review_rows(150)]
    write_csv(Path("two.csv"), rows)
    words = ("--label-columns", '"gpt, few",llama', "--encoder", tiny_bert, "--seeds", 1, "--out", "cleaned.csv")
    told = bench("clean", "two.csv", "--llms", '"gpt, few"', *words)
    assert told.exit_code == 0, told.stderr
    assert "0 of 150 labels corrected" in told.stdout
    vote = """'vote("gpt, few",llama)'"""
    said = " ".join(told.stdout.split())
    assert "llama is the only other labeller and cannot outvote gpt, few" in said
    assert f"or clean the vote of both: --llms {vote}" in said
    told = bench("clean", "two.csv", "--llms", vote.strip("'"), *words)
    assert (told.exit_code, "only other labeller" in told.stdout) == (0, False), told.stderr
    assert (pd.read_csv("cleaned.csv")["given_label"] != pd.read_csv("cleaned.csv")["cleaned_label"]).any()
