"""`bench trust` and `bench clean` as typed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from bench.store.records import read_arrays, write_record
from tests.conftest import CLASSES, records, review_rows, write_csv


def rows_of(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def table(tmp_path) -> Path:
    """180 reviews with three labellers besides `bob`, 12 % wrong each, and a first column that is not for bench."""
    draw, rows = np.random.default_rng(5), review_rows(180)
    made = []
    for row in rows:
        gold = CLASSES.index(row["gold"])
        others = {name: CLASSES[gold ^ int(draw.random() < 0.12)] for name in ("gpt", "llama", "claude")}
        made.append({"link": "=HYPERLINK(1)", **{k: v for k, v in row.items() if k not in ("ann", "split")}, **others})
    made[0]["text"], made[1]["text"] = "=1+1 good", "@user bad"
    return write_csv(tmp_path / "mine.csv", made)


def test_a_table_is_ranked_by_suspicion_and_gold_only_scores_it(bench, table, tiny_bert):
    words = ("--llms", "bob", "--encoder", tiny_bert)
    told = bench("trust", table, *words, "--out", "trust.csv")
    assert told.exit_code == 0, told.stderr
    found = rows_of("trust.csv")
    source = {row["id"]: row for row in rows_of("mine.csv")}
    assert sorted(row["id"] for row in found) == sorted(source)
    assert all(row["given"] == source[row["id"]]["bob"] for row in found)
    doubts = [float(row["suspicion"]) for row in found]
    assert doubts == sorted(doubts, reverse=True)
    assert 0 <= min(doubts) < max(doubts) <= 1
    texts = {row["id"]: row["text"] for row in found}
    assert (texts["r0"], texts["r1"]) == ("'=1+1 good", "'@user bad")
    for row in found:
        others = [source[row["id"]][name] for name in ("gpt", "llama", "claude")]
        assert float(row["labellers_agree"]) == pytest.approx(others.count(row["given"]) / 3, abs=1e-4)
    wrong = [source[row["id"]]["gold"] != row["given"] for row in found]
    assert np.mean(wrong[:50]) > 0.8 > 0.5 > np.mean(wrong[50:])
    assert f"Compared with gold: {sum(wrong)} of 180 labels are wrong" in told.stdout

    permuted = rows_of("mine.csv")
    for row, gold in zip(permuted, np.random.default_rng(0).permutation([r["gold"] for r in permuted]), strict=True):
        row["gold"] = gold
    write_csv(Path("mine.csv"), permuted)
    assert bench("trust", table, *words, "--out", "other.csv").exit_code == 0
    assert Path("other.csv").read_bytes() == Path("trust.csv").read_bytes()


def test_without_llms_the_vote_of_all_columns_is_meant_and_gold_is_not_needed(bench, table, tiny_bert):
    told = bench("trust", table, "--gold-column", "none", "--encoder", tiny_bert, "--seeds", 1, "--out", "trust.csv")
    assert told.exit_code == 0, told.stderr
    assert "vote(" in told.stdout
    assert "Compared with gold" not in told.stdout
    assert len(rows_of("trust.csv")) == 180


def test_the_other_labellers_of_a_task_that_comes_with_them_are_asked(bench, tiny_bert):
    rows = [
        {
            "id": str(at),
            "text": f"rates {word} {at % 7}",
            "gold": gold,
            "split": ("train", "valid", "test")[at // 3 % 3],
        }
        | {"gpt-4__zero": gold if at % 5 else "neutral", "gpt-3.5-turbo__zero": gold}
        for at, (word, gold) in enumerate([("rise", "hawkish"), ("fall", "dovish"), ("stay", "neutral")] * 20)
    ]
    Path("llm").mkdir()
    write_csv(Path("llm/fomc.csv"), rows)
    told = bench("trust", "babe", "--llms", "nobody", "--data-dir", ".", "--out", "trust.csv")
    assert "no record 'babe'" not in told.stderr  # a task, though its letters could begin a hash
    words = ("--llms", "gpt-4", "--data-dir", ".", "--encoder", tiny_bert, "--seeds", 1, "--out", "trust.csv")
    told = bench("trust", "fomc", *words)
    assert told.exit_code == 0, told.stderr
    assert "asked: sentence embeddings, naive Bayes on words, neighbours in words" in told.stdout
    assert "other labellers: gpt-3.5-turbo/zero" in told.stdout
    assert {row["id"]: row["labellers_agree"] for row in rows_of("trust.csv")} == {
        row["id"]: f"{float(row['gpt-4__zero'] == row['gold']):.4f}" for row in rows
    }


def test_clean_keeps_every_column_and_says_why(bench, table, tiny_bert):
    before = table.read_bytes()
    told = bench("clean", table, "--llms", "bob", "--encoder", tiny_bert, "--out", "cleaned.csv")
    assert told.exit_code == 0, told.stderr
    assert table.read_bytes() == before
    source, found = rows_of("mine.csv"), rows_of("cleaned.csv")
    assert [{name: row[name] for name in source[0]} for row in found] == source
    assert [row["given_label"] for row in found] == [row["bob"] for row in source]
    changed = [row["cleaned_label"] != row["given_label"] for row in found]
    assert [bool(row["why"]) for row in found] == changed
    assert sum(changed) >= 15
    for row in (row for row in found if row["why"]):
        others = [row[name] for name in ("gpt", "llama", "claude")]
        assert others.count(row["cleaned_label"]) > others.count(row["given_label"]) + 1
    right = [np.mean([row[name] == row["gold"] for row in found]) for name in ("given_label", "cleaned_label")]
    assert right[1] > right[0] + 0.05
    assert f"{100 * right[0]:.1f} % correct before, {100 * right[1]:.1f} % after" in told.stdout
    assert "No other labeller" not in told.stdout
    words = ("--tasks", "cleaned.csv", "--llms", "cleaned_label", "--encoder", f"{tiny_bert}:frozen", "--epochs", 1)
    assert bench("run", "--methods", "plain", "--seeds", 1, *words).exit_code == 0
    assert "already" in bench("clean", "cleaned.csv", "--llms", "bob", "--out", "again.csv").stderr


def test_clean_says_that_a_single_labeller_is_confirmed_by_nobody(bench, table, tiny_bert):
    words = ("--label-columns", "bob", "--encoder", tiny_bert, "--seeds", 1)
    told = bench("clean", table, *words, "--out", "cleaned.csv")
    assert told.exit_code == 0, told.stderr
    assert "No other labeller confirms these changes" in " ".join(told.stdout.split())


def test_a_vote_can_be_cleaned_and_gold_of_few_rows_is_not_taken_for_more(bench, table, tiny_bert):
    rows = rows_of(table)
    for at, row in enumerate(rows):
        row["gold"] = row["gold"] if at % 3 == 0 else ""
    write_csv(table, rows)
    words = ("--llms", "vote(bob,gpt,llama)", "--encoder", tiny_bert, "--seeds", 1)
    told = bench("clean", table, *words, "--out", "cleaned.csv")
    assert told.exit_code == 0, told.stderr
    assert "A vote changes where even one labeller, whether it voted or not, gave the new label" in " ".join(
        told.stdout.split()
    )
    changed = [row for row in rows_of("cleaned.csv") if row["why"]]
    assert changed
    for row in changed:
        assert row["cleaned_label"] in {row[name] for name in ("bob", "gpt", "llama", "claude")}
        assert "% of labellers gave the given label" in row["why"]
    told = " ".join(bench("trust", table, *words, "--out", "trust.csv").stdout.split())
    assert "of the 60 labels with gold and an answer are wrong" in told
    assert "the first 50:" not in told


def test_a_text_that_comes_often_does_not_vouch_for_its_own_label(bench, tiny_bert):
    """Neither by words nor by embeddings; white space makes no other text of it."""
    rows = [{"id": f"r{at}", "text": row["text"], "gpt": row["gold"]} for at, row in enumerate(review_rows(90))]
    said = next(row for row in rows if row["gpt"] == CLASSES[0])
    copies = [
        said | {"id": f"copy{at}", "text": said["text"].replace(" ", " " * at), "gpt": CLASSES[1]} for at in range(1, 6)
    ]
    rows = [row for row in rows if row["text"] != said["text"]]
    write_csv(Path("mine.csv"), [*rows, *copies])
    words = ("--label-columns", "gpt", "--encoder", tiny_bert, "--seeds", 1)
    told = bench("trust", "mine.csv", *words, "--out", "trust.csv")
    assert told.exit_code == 0, told.stderr
    found = rows_of("trust.csv")
    assert {row["id"] for row in found[:5]} == {row["id"] for row in copies}
    assert {row["suggested"] for row in found[:5]} == {CLASSES[0]}


def test_texts_that_say_nothing_of_their_labels_are_told_of(bench, tiny_bert):
    words = ("--label-columns", "gpt", "--encoder", tiny_bert, "--seeds", 1)
    rows = [{"text": "!" * (1 + at % 7), "gpt": "abc"[at % 3], "gold": ""} for at in range(60)]
    write_csv(Path("bang.csv"), rows)
    for command in ("trust", "clean"):
        told = bench(command, "bang.csv", *words, "--out", "out.csv")
        assert told.exit_code == 0, told.stderr
        assert "They learned little from the texts" in told.stdout
    rows = [{"text": f"{word} {at}", "gpt": word, "gold": ""} for at, word in enumerate(["good", "bad", "odd"] * 20)]
    rows[:3] = [row | {"gpt": "", "gold": row["gpt"]} for row in rows[:3]]
    write_csv(Path("words.csv"), rows)
    told = bench("clean", "words.csv", *words, "--out", "out.csv")  # gold, but not of any label that was given
    assert (told.exit_code, "Compared with gold" in told.stdout, "learned little" in told.stdout) == (0, False, False)
    rows[3:6] = [row | {"gold": gold} for row, gold in zip(rows[3:6], ("good", "bad", "good"), strict=True)]
    write_csv(Path("words.csv"), rows)
    told = bench("trust", "words.csv", *words, "--out", "out.csv")
    assert "Gold is known for only 3 labels with an answer: scoring the ranking takes 20" in told.stdout


def test_a_single_column_that_was_read_as_gold_is_told_of_with_the_way_out(bench, tiny_bert):
    write_csv(Path("mine.csv"), [{"text": row["text"], "label": row["gold"]} for row in review_rows(60)])
    told = bench("trust", "mine.csv", "--out", "out.csv")
    assert told.exit_code == 2
    said = "'label' was read as gold (give --label-columns label if an LLM wrote it)"
    assert f"mine.csv has no column of labels: {said}; `bench label --llm NAME --task mine.csv`" in told.stderr
    assert "--noise" not in told.stderr
    assert f"mine.csv has no column of labels: {said}" in bench("advise", "mine.csv").stderr
    words = ("--label-columns", "label", "--encoder", tiny_bert, "--seeds", 1, "--out", "out.csv")
    assert bench("trust", "mine.csv", *words).exit_code == 0


@pytest.mark.parametrize("llms", [(), ("--llms", "all")])
def test_columns_that_are_not_read_as_labels_are_told_of_without_what_trust_lacks(bench, llms):
    rows = review_rows(60)
    noted = [{"text": row["text"], "gold": row["gold"], "note": f"n {at}"} for at, row in enumerate(rows)]
    write_csv(Path("mine.csv"), noted)
    told = bench("trust", "mine.csv", *llms, "--out", "out.csv")
    assert told.exit_code == 2
    assert "mine.csv has no column of labels: " in told.stderr
    assert "not read as labels: note (" in told.stderr
    assert "--noise" not in told.stderr


def test_label_sets_are_looked_for_once(bench, monkeypatch):
    looked = []

    def looking(*args):
        looked.append(args)
        return []

    for module in ("bench.noise.select", "bench.running.trust"):
        monkeypatch.setattr(f"{module}.find_label_sets", looking)
    write_csv(Path("mine.csv"), [{"text": row["text"], "label": row["gold"]} for row in review_rows(60)])
    assert "mine.csv has no column of labels" in bench("trust", "mine.csv", "--out", "out.csv").stderr
    assert len(looked) == 1


def test_classes_with_a_sign_stay_classes_when_cleaned(bench, table, tiny_bert):
    rows = rows_of("mine.csv")
    columns = [name for name in rows[0] if {row[name] for row in rows} <= {*CLASSES, ""}]
    for row in rows:
        row.update({name: ("-", "+")[CLASSES.index(row[name])] for name in columns if row[name]})
    write_csv(table, rows)
    words = ("--llms", "bob", "--encoder", tiny_bert)
    assert bench("clean", table, *words, "--out", "cleaned.csv").exit_code == 0
    found = rows_of("cleaned.csv")
    assert {row["cleaned_label"] for row in found} == {row["given_label"] for row in found} == {"-", "+"}


def test_what_cannot_be_cleaned_is_refused(bench, table):
    before = table.read_bytes()
    told = bench("trust", table, "--llms", "bob", "--out", table)
    assert (told.exit_code, "is the table itself" in told.stderr, table.read_bytes()) == (2, True, before)
    told = bench("clean", table, "--llms", "bob", "--out", table)
    assert (told.exit_code, "name another file" in told.stderr) == (2, True)
    assert "not a file" in bench("clean", "nowhere.csv", "--out", "x.csv").stderr
    assert bench("trust", table, "--llms", "nobody", "--out", "x.csv").exit_code == 2
    assert not Path("x.csv").exists()


@pytest.mark.parametrize("command", ["trust", "clean"])
def test_how_a_table_was_read_is_said_beside_the_answer(bench, table, tiny_bert, command):
    told = bench(command, table, "--llms", "bob", "--encoder", tiny_bert, "--seeds", 1, "--out", "out.csv")
    assert told.exit_code == 0, told.stderr
    assert "gold = gold, 2 classes" in told.stderr
    assert "ignored: link" in told.stderr
    assert "ignored" not in told.stdout


@pytest.mark.parametrize("name", ["mine.csv", "mine.json"])
def test_a_table_in_a_folder_called_cells_is_a_table(bench, tiny_bert, name):
    Path("cells").mkdir()
    rows = [{key: row[key] for key in ("text", "bob")} for row in review_rows(60)]
    write_csv(Path("cells/mine.csv"), rows)
    Path("cells/mine.json").write_text(json.dumps(rows), "utf-8")
    for command in ("trust", "clean"):
        words = ("--label-columns", "bob", "--encoder", tiny_bert, "--seeds", 1, "--out", f"{command}.csv")
        told = bench(command, f"cells/{name}", *words)
        assert told.exit_code == 0, told.stderr
        assert len(rows_of(f"{command}.csv")) == 60
    assert "no records in 'cells/nothing'" in bench("trust", "cells/nothing", "--out", "x.csv").stderr


def test_rows_of_several_files_are_told_apart_by_their_split(bench, table, tiny_bert):
    Path("three").mkdir()
    parts = {split: [row for row in review_rows(60) if row["split"] == split] for split in ("train", "valid", "test")}
    for split, rows in parts.items():
        write_csv(Path(f"three/{split}.csv"), [{name: row[name] for name in ("text", "gold", "bob")} for row in rows])
    words = ("--llms", "bob", "--encoder", tiny_bert, "--seeds", 1, "--out", "trust.csv")
    told = bench("trust", "three", *words)
    assert told.exit_code == 0, told.stderr
    found = rows_of("trust.csv")
    assert list(found[0])[:3] == ["id", "split", "text"]
    assert len(found) == 60
    for row in found:
        assert parts[row["split"]][int(row["id"])]["text"] == row["text"]
    assert bench("trust", table, *words).exit_code == 0
    assert "split" not in rows_of("trust.csv")[0]


@pytest.fixture
def cells(bench, reviews, tiny_bert):
    """Cells of two methods and two seeds on one column, of one method on another, and of a reference."""
    words = ("--tasks", "reviews.csv", "--encoder", f"{tiny_bert}:frozen", "--epochs", 2)
    for llm, methods, seeds in (("ann", "plain,knn-vote", "1,2"), ("bob", "plain", "1"), ("ann", "oracle", "1")):
        assert bench("run", "--llms", llm, "--methods", methods, "--seeds", seeds, *words).exit_code == 0
    return {(r.key.noise, r.key.method, r.key.seed): r for r in records()}


def test_cells_give_what_their_methods_believe(bench, cells):
    chosen = [cells["ann", method, seed] for method in ("plain", "knn-vote") for seed in (1, 2)]
    told = bench("trust", *(record.hash[:10] for record in chosen), "--out", "trust.csv")
    assert told.exit_code == 0, told.stderr
    assert "asked: plain, knn-vote; other labellers: bob" in told.stdout
    found = {row["id"]: row for row in rows_of("trust.csv")}
    train = [row for row in review_rows() if row["split"] == "train"]
    assert sorted(found) == sorted(row["id"] for row in train)
    arrays = [read_arrays(record.key.path(Path("results"))) for record in chosen]
    believed = [a.get("train_posterior", a["train_mean"]).astype(float) for a in arrays]
    votes = np.eye(2)[[CLASSES.index(row["bob"]) for row in train]]
    given = np.array([CLASSES.index(row["ann"]) for row in train])
    mean, rows = np.mean(believed, axis=0), np.arange(len(train))
    expected = 1 / (1 + mean[rows, given] / mean.mean(axis=0)[given] * (1 + votes[rows, given]))
    np.testing.assert_allclose([float(found[row["id"]]["suspicion"]) for row in train], expected, atol=2e-3)


def test_cells_that_do_not_belong_together_or_hold_nothing_are_refused(bench, cells):
    def error(*chosen) -> str:
        told = bench("trust", *(record.hash[:12] for record in chosen), "--out", "trust.csv")
        assert (told.exit_code, Path("trust.csv").exists()) == (2, False)
        return told.stderr

    plain = cells["ann", "plain", 1]
    assert "one task and one source of labels" in error(plain, cells["bob", "plain", 1])
    assert "was given gold" in error(plain, cells["ann", "oracle", 1])
    path = plain.key.path(Path("results"))
    old = {k: v for k, v in read_arrays(path).items() if not k.startswith(("train_last", "train_mean", "valid_last"))}
    write_record(plain, Path("results"), old)
    told = error(plain)
    assert "keeps no probabilities of train texts (it was packed without them, or made before they were kept)" in told
    assert f"run it again with `{plain.command} --force`" in told


def test_options_of_tables_are_refused_beside_cells(bench, cells, monkeypatch):
    cell, out = cells["ann", "plain", 1].hash[:12], ("--out", "trust.csv")
    wrong = {"--llms": "ann", "--limit": 5, "--label-columns": "zzz", "--encoder": "minilm", "--seeds": 1}
    for option, value in wrong.items():
        told = bench("trust", cell, option, value, *out)
        assert (told.exit_code, Path("trust.csv").exists()) == (2, False)
        assert f"{option} applies to tables, not to cells" in told.stderr
    monkeypatch.setenv("BENCH_SEEDS", "1,2")  # a variable is for every command
    assert bench("trust", cell, "--results", "results", *out).exit_code == 0


def test_of_a_folder_cells_without_an_opinion_on_these_texts_are_left_out_and_told(bench, cells, tiny_bert):
    told = bench("trust", "results/cells/reviews/ann", "--out", "folder.csv")
    assert told.exit_code == 0, told.stderr
    assert f"left out: cell {cells['ann', 'oracle', 1].hash[:12]} (oracle) was given gold" in told.stderr
    chosen = [cells["ann", method, seed] for method in ("knn-vote", "plain") for seed in (1, 2)]
    assert bench("trust", *(record.hash[:12] for record in chosen), "--out", "named.csv").exit_code == 0
    assert Path("folder.csv").read_bytes() == Path("named.csv").read_bytes()

    rows = review_rows()
    rows[0]["text"] += " more"
    write_csv(Path("reviews.csv"), rows)
    told = bench("trust", "results/cells/reviews/ann", "--out", "none.csv")
    assert (told.exit_code, Path("none.csv").exists()) == (2, False)
    assert "no cell in 'results/cells/reviews/ann' is done and holds beliefs about its labels" in told.stderr
    words = ("--tasks", "reviews.csv", "--encoder", f"{tiny_bert}:frozen", "--epochs", 2)
    assert bench("run", "--llms", "ann", "--methods", "knn-vote", "--seeds", "1", *words).exit_code == 0
    told = bench("trust", "results/cells/reviews/ann", "--out", "fresh.csv")
    assert told.exit_code == 0, told.stderr
    assert "asked: knn-vote;" in told.stdout
    for record in chosen:
        assert f"left out: cell {record.hash[:12]}" in told.stderr
