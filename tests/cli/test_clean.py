"""Tables that `bench clean` made are read as they are meant, and what it cannot do is refused before the work."""

from __future__ import annotations

from pathlib import Path

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
    assert f"mine.csv has a column '{header}' already: rename it" in told.stderr
