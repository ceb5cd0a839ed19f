"""Bought human labels: one door hands out the rows that a method asks for, and no other gold."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import bench as library
from bench.core.errors import Skip, UsageError
from bench.data.task import Gold, restrict
from bench.grid.cells import choose_method
from bench.report.frame import load
from bench.report.tables.blocks import blocks
from bench.report.tables.result import result_table
from bench.running.conformance import make_case, predict, redrawn_gold, run_checks
from bench.running.contract import ContractError, human_labels
from bench.running.differences import differing
from tests.conftest import records

GOLD = "gold[rows=8],gold[rows=20],noisy-then-gold[rows=20],mixed[rows=20]"


def asking(rows):
    return choose_method(f"gold[rows={rows}]").method


def given(rows, task, seed=1):
    return human_labels(asking(rows), task, seed).rows.tolist()


def test_the_rows_are_nested_the_same_for_all_methods_and_drawn_by_the_seed():
    task = make_case().task
    assert given(10, task) == given(30, task)[:10] == given("all", task)[:10]
    assert sorted(given("all", task)) == list(range(60))
    assert given(30, task, seed=2) != given(30, task)
    mixed = human_labels(choose_method("mixed[rows=30]+ts").method, task, 1)
    assert mixed.rows.tolist() == given(30, task)
    assert mixed.labels.tolist() == task.gold.train[mixed.rows].tolist()


def test_a_part_of_the_task_keeps_its_texts_in_their_order():
    """As a label set that covers some texts does: what is left of the first rows comes first."""
    task = make_case().task
    half = restrict(task, {"train": np.arange(0, 60, 2)})
    original = [2 * row for row in given(30, half)]
    assert original == [row for row in given("all", task) if row % 2 == 0]


def test_rows_without_gold_are_no_human_labels():
    task = make_case().task
    gold = np.where(np.arange(60) < 25, task.gold.train, -1)
    partial = dataclasses.replace(task, gold=Gold(gold, task.gold.valid, task.gold.test))
    assert sorted(given("all", partial)) == list(range(25))
    with pytest.raises(Skip, match="gold asks for 26 human labels, and 25 of its 60 train texts have one: ask for at"):
        given(26, partial)
    for none in (np.full(60, -1), None):
        blind = dataclasses.replace(task, gold=Gold(none, None, None))
        with pytest.raises(Skip, match="asks for all human labels, and none of its train texts have one: leave gold"):
            given("all", blind)


@pytest.mark.parametrize("rows", ["0", "-1", "true", "1.5", "many", ""])
def test_a_number_that_makes_no_sense_is_refused(rows):
    with pytest.raises(UsageError, match="rows"):
        choose_method(f"gold[rows={rows}]")


@pytest.mark.parametrize("answer", [0, True, 2.5, "some"])
def test_so_is_one_of_a_method_of_ones_own(answer):
    method = asking(5)
    method.human_rows = lambda: answer
    with pytest.raises(ContractError, match="human_rows gave"):
        human_labels(method, make_case().task, 1)


@pytest.mark.parametrize("selector", ["gold[rows=7]", "noisy-then-gold[rows=7]", "mixed[rows=7]"])
def test_gold_of_other_rows_changes_nothing_and_that_of_its_own_does(selector):
    method, case = choose_method(selector).method, make_case()
    rows = human_labels(method, case.task, 1).rows
    others = redrawn_gold(case, keep=rows)
    assert (others.task.gold.train[rows] == case.task.gold.train[rows]).all()
    assert (others.task.gold.train != case.task.gold.train).sum() > 10
    assert not differing(predict(method, case), predict(method, others))
    own = case.task.gold.train.copy()
    own[rows] = (own[rows] + 1) % 3
    changed = dataclasses.replace(case.task, gold=Gold(own, case.task.gold.valid, case.task.gold.test))
    assert differing(predict(method, case), predict(method, dataclasses.replace(case, task=changed)))


def test_the_conformance_suite_finds_a_method_that_takes_more_than_it_asks_for(monkeypatch):
    method = asking(5)
    honest = type(method).run

    def peeking(self, task, tools):
        import sys

        frame = sys._getframe()
        while "case" not in frame.f_locals:
            frame = frame.f_back
        shift = int(frame.f_locals["case"].task.gold.train.sum()) % len(task.test)
        for step in honest(self, task, tools):
            yield dataclasses.replace(step, test=np.roll(step.test, shift, axis=0))

    from bench.running import conformance

    assert conformance._no_gold(method) is None
    with monkeypatch.context() as patch:
        patch.setattr(type(method), "run", peeking)
        problem = conformance._no_gold(method)
    assert "it sees gold" in problem
    checked = {outcome.check: outcome for outcome in run_checks("gold[rows=5]")}
    assert "not for this method" not in checked["independence of gold"].why


@pytest.fixture
def options(tmp_path, reviews, tiny_bert):
    return {
        "tasks": str(reviews), "encoder": f"{tiny_bert}:frozen", "label_columns": "ann", "seeds": "1,2,3",
        "epochs": 1, "results": str(tmp_path / "out"),
    }  # fmt: skip


def test_records_count_them_and_tables_keep_them_apart(options):
    library.run_grid(methods=f"plain,oracle,{GOLD},gold[rows=9999]", **options)
    found = records(Path(options["results"]))
    counts = {(each.key.method, each.key.config.get("rows"), each.status): each.human_labels for each in found}
    assert counts == {
        ("plain", None, "done"): None,
        ("oracle", None, "done"): None,
        ("gold", 8, "done"): 8,
        ("gold", 20, "done"): 20,
        ("noisy-then-gold", 20, "done"): 20,
        ("mixed", 20, "done"): 20,
        ("gold", 9999, "skipped"): 9999,
    }
    assert {each.competes for each in found if each.human_labels} == {False}
    assert {each.sees_gold for each in found if each.human_labels} == {False}
    results = load(Path(options["results"]))
    assert set(results.cells["human_labels"].dropna()) == {8, 20, 9999}
    (block,) = blocks(results.cells, "plain")
    table = result_table(block, "reviews", "accuracy", "last")
    assert [(row.label, row.kind) for row in table.rows] == [
        ("plain", "baseline"),
        ("gold[rows=8]", "human"),
        ("gold[rows=20]", "human"),
        ("gold[rows=9999]", "human"),
        ("mixed[rows=20]", "human"),
        ("noisy-then-gold[rows=20]", "human"),
        ("oracle", "reference"),
        ("labeller itself (test)", "reference"),
    ]
    assert not any(entry.best for row in table.rows for entry in row.entries)
    (said,) = [sentence for sentence in table.caption if "human labels" in sentence]
    assert said.startswith("gold[rows=8], gold[rows=20], gold[rows=9999], mixed[rows=20], noisy-then-gold[rows=20]:")


def test_the_group_human_is_the_whole_learning_curve(options):
    library.run_grid(methods="human", **(options | {"seeds": "1"}))
    found = {(each.key.method, each.key.config["rows"]): each for each in records(Path(options["results"]))}
    done = {rows: each.human_labels for (_, rows), each in found.items() if each.status == "done"}
    assert done == {10: 10, 20: 20, 50: 50, "all": 64}
    assert {each.reason for each in found.values() if each.status == "skipped"} == {
        f"gold asks for {rows} human labels, and 64 of its 64 train texts have one: ask for at most 64, or for rows=all"
        for rows in (100, 200, 500, 1000)
    }
