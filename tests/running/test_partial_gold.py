"""Gold with gaps: texts without gold count neither as right nor as wrong, and nothing is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import bench as library
from bench.core.errors import Skip, UsageError
from bench.data.load import load_task
from bench.data.task import Gold
from bench.noise.facts import NoisyLabels, noise_facts, wrong_share
from bench.report.build import build_report
from bench.running.conformance import SOURCE, make_case
from bench.running.contract import opened
from bench.running.scoring import partial_scores, score_steps
from bench.store.intervals import prediction_powered, wilson
from bench.store.records import read_arrays
from bench.store.scoring import score
from methods.base import Predictions
from methods.oracle import Oracle
from tests.conftest import records, review_rows, write_csv


def with_gaps(size=240, every=7, **names):
    """Review rows with gold in one row of `every`, and three labellers."""
    rows = review_rows(size)
    for at, row in enumerate(rows):
        row["gold"] = row["gold"] if at % every == 0 else ""
    return [{names.get(name, name): value for name, value in row.items()} for row in rows]


@pytest.fixture
def gaps(tmp_path):
    return write_csv(tmp_path / "gaps.csv", with_gaps())


def test_a_gold_column_with_gaps_is_read_and_said(gaps):
    task = load_task(str(gaps))
    rows = with_gaps()
    for split in ("train", "valid", "test"):
        given = [row["gold"] for row in rows if row["split"] == split]
        expected = [("negative", "positive").index(value) if value else -1 for value in given]
        assert task.gold.of(split).tolist() == expected
    (note,) = task.notes
    known = {split: sum(row["gold"] != "" and row["split"] == split for row in rows) for split in ("train", "test")}
    assert f"gold is known for {known['train']} of 160 train" in note
    assert f"{known['test']} of 40 test texts: only these are scored, and those in train are human labels" in note


def test_a_column_without_any_gold_is_refused_when_it_is_named(tmp_path):
    rows = [row | {"truth": ""} for row in with_gaps()]
    path = write_csv(tmp_path / "none.csv", rows)
    with pytest.raises(UsageError, match="the gold column 'truth' has no value in any row"):
        load_task(str(path), gold_column="truth", label_columns=["ann"])


def test_a_class_without_gold_is_one_where_two_labellers_name_it(tmp_path):
    rows = with_gaps()
    for at, row in enumerate(rows):
        row["ann"], row["bob"] = ("mixed", "mixed") if at % 10 == 1 else (row["ann"], row["bob"])
    task = load_task(str(write_csv(tmp_path / "more.csv", rows)))
    assert task.label_names == ("mixed", "negative", "positive")
    assert "no text has the gold label mixed" in task.notes[0]
    for row in rows:
        row["bob"] = "positive" if row["bob"] == "mixed" else row["bob"]
    with pytest.raises(UsageError, match="'mixed' is outside the label set"):
        load_task(str(write_csv(tmp_path / "one.csv", rows)))


@pytest.mark.parametrize("header", ["human", "Checked", "annotator"])
def test_a_sparse_column_called_like_a_persons_is_offered_as_gold(header, tmp_path):
    path = write_csv(tmp_path / "mine.csv", with_gaps(gold=header))
    task = load_task(str(path))
    assert sorted(task.columns) == ["ann", "bob"]
    assert dict(task.ignored)[header].startswith("labels 35 of 240 texts and is named like a person's: name it with")
    assert load_task(str(path), gold_column=header).gold.train.max() == 1
    named = load_task(str(path), label_columns=["ann", header])
    assert (
        f"warning: more than half of the texts have no answer, and so get a random class, by {header} (85 %)"
        in named.notes[0]
    )


def test_a_column_label_beside_checked_rows_is_gold_only_where_that_is_said(tmp_path):
    rows = [{"text": row["text"], "label": row["ann"], "Checked": row["gold"]} for row in with_gaps()]
    path = str(write_csv(tmp_path / "mine.csv", rows))
    told = "gold may be 'label' or 'Checked', which labels 35 of 240 texts .* --gold-column Checked if .* label$"
    with pytest.raises(UsageError, match=told):
        load_task(path)
    task = load_task(path, gold_column="Checked")
    assert (list(task.columns), task.gold.train.min()) == (["label"], -1)
    assert list(load_task(path, gold_column="label").columns) == ["Checked"]
    assert list(load_task(path, label_columns=["Checked"]).columns) == ["Checked"]
    crowd = [row | {"annotator_1": row["Checked"], "annotator_2": row["Checked"]} for row in rows]
    crowd = [{name: value for name, value in row.items() if name != "Checked"} for row in crowd]
    assert list(load_task(str(write_csv(tmp_path / "crowd.csv", crowd))).columns) == ["annotator_1", "annotator_2"]
    few = [{"text": row["text"], "label": row["ann"], "gpt": row["gold"]} for row in with_gaps()]
    assert list(load_task(str(write_csv(tmp_path / "few.csv", few))).columns) == ["gpt"]


def steps(rng, sizes, classes=3):
    made = {split: rng.dirichlet(np.ones(classes), size).astype(np.float32) for split, size in sizes.items()}
    return [Predictions(1, made["valid"], made["test"], made["train"])]


def test_texts_without_gold_count_neither_as_right_nor_as_wrong():
    case, rng = make_case((60, 24, 90)), np.random.default_rng(0)
    known = {split: rng.random(size) < 0.5 for split, size in (("train", 60), ("valid", 24), ("test", 90))}
    full = case.task.gold
    gold = Gold(*(np.where(known[split], full.of(split), -1) for split in ("train", "valid", "test")))
    made = steps(rng, {"train": 60, "valid": 24, "test": 90})
    scores, (point,), arrays = score_steps(made, case.labels.valid, case.labels.train, gold)
    test = made[0].test.astype(np.float16)
    assert scores.last == score(test[known["test"]], full.test[known["test"]], 1)
    assert point.test_accuracy == pytest.approx(scores.last.accuracy)
    right = known["train"] & (case.labels.train == full.train)
    says = made[0].train.argmax(1)
    assert point.fit_correct == pytest.approx((says == case.labels.train)[right].mean())
    wrong = known["train"] & (case.labels.train != full.train)
    assert point.recovered_wrong == pytest.approx((says == full.train)[wrong].mean())
    assert arrays["gold"].tolist() == gold.test.tolist()
    facts = noise_facts(NoisyLabels(case.labels.train, case.labels.valid, case.labels.test, SOURCE), gold, 3)
    assert facts.rate_train == pytest.approx(wrong.sum() / known["train"].sum())
    assert facts.confusion().sum() == known["train"].sum()
    assert facts.labeller_test_accuracy == pytest.approx((case.labels.test == full.test)[known["test"]].mean())
    assert wrong_share(np.array([0, 1]), np.array([-1, -1])) is None


def test_the_intervals_are_those_of_the_texts_with_gold_and_of_all():
    case, rng = make_case((60, 24, 900)), np.random.default_rng(0)
    known = np.arange(900) % 10 == 0
    gold = np.where(known, case.task.gold.test, -1)
    test = np.eye(3, dtype=np.float16)[np.where(rng.random(900) < 0.7, case.task.gold.test, 0)]
    found = partial_scores({"test_last": test}, case.labels.test, gold)["last"]
    hits = test.argmax(1) == case.task.gold.test
    agrees = test.argmax(1) == case.labels.test
    assert found.wilson == tuple(wilson(int(hits[known].sum()), 90))
    assert found.ppi == pytest.approx(tuple(prediction_powered(hits[known], agrees[known], agrees[~known])))
    assert partial_scores({"test_last": test}, None, gold)["last"].ppi is None
    assert partial_scores({"test_last": test}, case.labels.test, case.task.gold.test) == {}


def test_what_needs_gold_of_all_texts_is_skipped_with_the_way_out():
    case = make_case()
    some = np.where(np.arange(60) < 20, case.task.gold.train, -1)
    task = dataclasses.replace(case.task, gold=Gold(some, case.task.gold.valid, case.task.gold.test))
    with pytest.raises(Skip, match=r"20 of 60 have one: gold\[rows=all\] trains on these"):
        opened(Oracle(Oracle.Config()), task, case.labels, None)


def test_a_run_scores_the_rows_with_gold_and_the_report_says_how_sure_that_is(gaps, tmp_path, tiny_bert):
    options = {"encoder": f"{tiny_bert}:frozen", "seeds": "1", "epochs": 1, "results": str(tmp_path / "out")}
    library.run_grid(tasks=str(gaps), methods="plain,oracle,gold[rows=all]", llms="ann", noise="sn@0.3", **options)
    found = {(each.key.method, each.key.noise): each for each in records(tmp_path / "out")}
    bought = sum(row["gold"] != "" for row in with_gaps() if row["split"] == "train")
    assert f"has gold for {bought} of 160 train texts only" in found["plain", "sn@0.3"].reason
    assert found["oracle", "ann"].status == "skipped"
    plain, gold = found["plain", "ann"], found["gold", "ann"]
    assert gold.human_labels == bought
    scored = sum(row["gold"] != "" for row in with_gaps() if row["split"] == "test")
    assert (plain.data.n_scored, plain.data.n_test) == (scored, 40)
    arrays = read_arrays(plain.key.path(tmp_path / "out"))
    known = arrays["gold"] >= 0
    assert known.sum() == scored
    hits = arrays["test_last"][known].argmax(1) == arrays["gold"][known]
    assert plain.scores.last.accuracy == pytest.approx(hits.mean())
    assert plain.partial["last"].wilson == tuple(wilson(int(hits.sum()), scored))
    summary = build_report(tmp_path / "out", tmp_path / "report", formats=("md", "html"))
    text = Path(summary.out, "report.md").read_text()
    low, high = (100 * limit for limit in plain.partial["last"].wilson[1:])
    assert "Few texts with gold" in text
    assert f"Only test texts with gold are scored: {scored} of 40; a separate table shows how uncertain" in text
    assert f"({low:.1f} to {high:.1f})" in text
