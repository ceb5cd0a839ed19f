"""`bench budget` as typed, and the rows that the method `corrected` asks a human for."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import Skip, UsageError
from bench.grid.cells import choose_method
from bench.noise.source import NoiseSource
from bench.report.budget import budget_table
from bench.running.conformance import _opened, make_case, predict, redrawn_gold, run_checks
from bench.running.differences import differing
from bench.store.records import Record
from bench.training.recipe import Recipe
from methods.corrected import entropy
from methods.stages import OUT_OF_FOLD
from tests.conftest import records, review_rows, write_csv
from tests.factories import cell_key, done_record


def asked(selector, case=None):
    return _opened(choose_method(selector).method, case or make_case(), 1, Recipe(epochs=1))[0].human


def test_rows_by_score_are_nested_and_their_gold_and_no_other_matters():
    for chosen in ("random", "suspicion", "entropy"):
        few, many = (asked(f"corrected[rows={k},chosen={chosen}]") for k in (8, 20))
        assert few.rows.tolist() == many.rows[:8].tolist()
        case = make_case()
        assert few.labels.tolist() == case.task.gold.train[few.rows].tolist()
        others = redrawn_gold(case, keep=few.rows)
        method = choose_method(f"corrected[rows=8,chosen={chosen}]").method
        assert asked(f"corrected[rows=8,chosen={chosen}]", others).rows.tolist() == few.rows.tolist()
        assert not differing(predict(method, case), predict(method, others))
    assert asked("corrected[rows=8]").rows.tolist() == asked("gold[rows=8]").rows.tolist()
    assert asked("corrected[rows=8,chosen=suspicion]").rows.tolist() != asked("gold[rows=8]").rows.tolist()


def test_suspicion_finds_more_wrong_labels_than_chance():
    case = make_case((200, 20, 20), noise=0.2)
    human = asked("corrected[rows=30,chosen=suspicion]", case)
    assert (case.labels.train[human.rows] != human.labels).mean() > 2 * (
        case.labels.train != case.task.gold.train
    ).mean()


def test_disagreement_is_that_of_the_members_of_an_ensemble():
    with pytest.raises(Skip, match=r"cannot disagree: name several as one source, like vote\(a,b,c\)"):
        asked("corrected[rows=8,chosen=disagreement]")
    case, rng = make_case(), np.random.default_rng(0)
    columns = {}
    for name in "abc":
        columns[name] = {split: np.array(getattr(case.labels, split)) for split in ("train", "valid", "test")}
    split_rows = rng.permutation(60)[:9]
    columns["a"]["train"][split_rows] = (columns["b"]["train"][split_rows] + 1) % 3
    source = NoiseSource("vote(a,b,c)", "column", labeller="vote(a,b,c)", members=("a", "b", "c"), rule="vote")
    case = dataclasses.replace(
        case,
        task=dataclasses.replace(case.task, columns=columns),
        labels=dataclasses.replace(case.labels, source=source),
    )
    assert set(asked("corrected[rows=9,chosen=disagreement]", case).rows) == set(split_rows)


def test_the_entropy_of_shares():
    found = entropy(np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(found, [np.log(2), 0, 0])


def test_the_method_within_is_that_method_on_the_corrected_labels():
    case = make_case()
    human = asked("corrected[rows=20]")
    labels = case.labels.train.copy()
    labels[human.rows] = human.labels
    fixed = dataclasses.replace(case, labels=dataclasses.replace(case.labels, train=labels))
    for name in ("plain", "gce"):
        ours = predict(choose_method(f"corrected[rows=20,method={name}]").method, case)
        assert differing(ours, predict(choose_method(name).method, fixed)) == "diagnostics"  # how many it changed
    assert choose_method("corrected[method=gce]").within == {"method_version": 1}
    for other in ("oracle", "gold"):
        with pytest.raises(UsageError, match="learns from gold by itself"):
            choose_method(f"corrected[method={other}]")
    with pytest.raises(UsageError, match="chosen"):
        choose_method("corrected[chosen=luck]")
    with pytest.raises(UsageError, match=r"corrected\[\.\.\.\]\+ts"):
        choose_method("corrected[method=plain+ts]")
    with pytest.raises(UsageError, match="tau=oracle needs more gold than was bought"):
        choose_method("corrected[method=jocor[tau=oracle]]")


@pytest.mark.parametrize(("chosen", "told"), [("random", {}), ("disagreement", {}), ("suspicion", {"folds": 5})])
def test_the_forecast_knows_what_rows_are_chosen_by(chosen, told):
    stages = choose_method(f"corrected[chosen={chosen},method=npc]").method.shared_stages(5)
    assert stages == ({OUT_OF_FOLD: told} if told else {})


def test_the_conformance_suite_checks_rows_chosen_by_a_score():
    failed = [outcome for outcome in run_checks("corrected[chosen=suspicion]") if outcome.problem]
    assert failed == []


def test_the_command_writes_a_curve_and_resumes(bench, tiny_bert):
    rows = review_rows(120)
    write_csv(Path("mine.csv"), [{name: row[name] for name in ("split", "text", "gold", "ann", "bob")} for row in rows])
    words = (
        "budget",
        "mine.csv",
        "--rows",
        "5,20",
        "--seeds",
        "1-2",
        "--epochs",
        1,
        "--encoder",
        f"{tiny_bert}:frozen",
    )
    words += ("--llms", "vote(ann,bob)")
    done = bench(*words)
    assert done.exit_code == 0, done.stderr
    assert "Gold plays the human" in done.stdout
    tested = sum(row["split"] == "test" for row in rows)
    assert f"Accuracy is measured on {tested} test texts with gold. " in " ".join(done.stdout.split())
    found = [each for each in records() if isinstance(each, Record)]
    assert len(found) == 2 * (1 + 2 * 4)
    assert {each.human_labels for each in found} == {None, 5, 20}
    assert not any(each.competes for each in found if each.human_labels)
    with Path("budget/mine.csv").open(encoding="utf-8", newline="") as file:
        lines = {(line["chosen"], line["rows"]): line for line in csv.DictReader(file)}
    assert set(lines) == {("", "0")} | {
        (way, k) for way in ("random", "suspicion", "disagreement", "entropy") for k in ("5", "20")
    }
    cells = [each for each in found if each.key.config.get("chosen") == "entropy" and each.human_labels == 20]
    mean = 100 * np.mean([each.scores.last.accuracy for each in cells])
    assert float(lines["entropy", "20"]["accuracy"]) == pytest.approx(mean)
    assert lines["random", "20"]["gain"] == ""
    assert Path("budget/mine.png").read_bytes().startswith(b"\x89PNG")
    again = bench(*words)
    assert again.stdout.count(" cached ") == len(found)


def test_changed_labels_are_those_that_a_person_corrected():
    """Methods such as knn-vote say under the same name which share of the labels they changed themselves."""
    made = []
    for method, rows, changed in (("knn-vote", 0, 0.31), ("corrected", 50, 21)):
        config = {"rows": 50, "chosen": "random", "method": "knn-vote"} if rows else {}
        for seed in (1, 2):
            record, _ = done_record(cell_key(method=method, seed=seed, config=config), human_labels=rows or None)
            made.append(record.model_copy(update={"diagnostics": {"labels_changed": changed}}))
    table = budget_table(made)
    assert dict(zip(table["rows"], table["labels_changed"], strict=True)) == {0: 0, 50: 21}


def test_a_task_without_gold_is_told_what_it_needs(bench, tiny_bert):
    write_csv(Path("mine.csv"), [{"text": row["text"], "ann": row["ann"]} for row in review_rows(60)])
    done = bench("budget", "mine.csv", "--rows", 5, "--seeds", 1, "--epochs", 1, "--encoder", f"{tiny_bert}:frozen")
    assert done.exit_code == 2
    assert "needs gold in test rows, and in train rows for the corrections" in done.stderr
    assert not records()  # it was said before anything ran


def test_a_file_as_out_is_refused_before_anything_runs(bench, tiny_bert):
    table = write_csv(Path("mine.csv"), review_rows(60))
    done = bench("budget", table, "--llms", "ann", "--encoder", f"{tiny_bert}:frozen", "--out", table)
    assert (done.exit_code, records()) == (2, [])
    assert "--out 'mine.csv': 'mine.csv' is a file: name a folder" in done.stderr


def test_tables_of_two_tasks_stand_beside_each_other_and_one_of_skipped_cells_replaces_none(bench, tiny_bert):
    words = ("--llms", "ann", "--rows", 5, "--seeds", 1, "--epochs", 1, "--encoder", f"{tiny_bert}:frozen")
    for name in ("one", "two"):
        write_csv(Path(f"{name}.csv"), review_rows(60))
        assert bench("budget", f"{name}.csv", *words, "--chosen", "random").exit_code == 0
    before = {path.name: path.read_bytes() for path in Path("budget").iterdir()}
    assert sorted(before) == ["one.csv", "one.png", "two.csv", "two.png"]
    done = bench("budget", "one.csv", *words, "--chosen", "disagreement")
    assert done.exit_code == 2
    assert "no cell with corrections has a score" in done.stderr
    assert {path.name: path.read_bytes() for path in Path("budget").iterdir()} == before
