"""Warnings of the report: methods that opened data files, and scores above the oracle's interval."""

import pytest

from bench.report.compare.match import compare
from bench.report.frame import load
from bench.report.tables.blocks import blocks
from bench.report.tables.doubts import warnings
from bench.report.tables.result import result_table
from bench.store.records import write_record
from tests.factories import cell_key, done_record

ORACLE = {1: 0.90, 2: 0.92, 3: 0.91}  # 91.0 ± 2.5 %: t = 4.303 on 2 degrees of freedom, s = 1


def write(folder, method, accuracies, noise="weak", **changes):
    """Finished cells of a method whose accuracies by seed are given."""
    for seed, accuracy in accuracies.items():
        record, arrays = done_record(cell_key("trec", noise, method, seed), **changes)
        last = record.scores.last.model_copy(update={"accuracy": accuracy})
        record.scores = record.scores.model_copy(update={"last": last})
        write_record(record, folder, arrays)


def doubts(folder):
    cells = load(folder).cells
    return warnings(cells, blocks(cells, "plain"), "last")


@pytest.mark.parametrize(("accuracy", "named"), [(0.92, False), (0.9347, False), (0.9350, True), (1.0, True)])
def test_a_mean_above_the_oracles_interval_is_named_with_its_column(accuracy, named, tmp_path):
    write(tmp_path, "oracle", ORACLE)
    write(tmp_path, "mine", dict.fromkeys(ORACLE, accuracy))
    found = doubts(tmp_path)
    assert len(found) == named
    if named:
        assert "mine scores above the oracle's 95 % interval in trec, weak: " in found[0]
        assert "% against 91.0 ± 2.5 %" in found[0]


def test_where_plain_training_beats_gold_only_what_beats_it_too_is_doubted(tmp_path):
    write(tmp_path, "oracle", ORACLE)
    write(tmp_path, "plain", {1: 0.95, 2: 0.96, 3: 0.97})
    write(tmp_path, "like-plain", dict.fromkeys(ORACLE, 0.97))
    write(tmp_path, "mine", dict.fromkeys(ORACLE, 1.0))
    less, warning = doubts(tmp_path)
    assert less.startswith("Noisy labels above gold, ")
    assert (
        "in trec, weak plain training on the noisy labels scores above the oracle's 95 % interval: 96.0 ± 2.5" in less
    )
    assert (
        "mine scores above the oracle's 95 % interval in trec, weak: 100.0 % against 96.0 ± 2.5 % of plain training"
        in warning
    )


def test_one_seed_of_plain_has_no_interval_and_hides_no_doubt(tmp_path):
    write(tmp_path, "oracle", ORACLE)
    write(tmp_path, "plain", {1: 0.95})
    write(tmp_path, "mine", dict.fromkeys(ORACLE, 1.0))
    found = doubts(tmp_path)
    assert any(each.split(": ", 1)[1].startswith("mine scores above") for each in found)
    assert not any(each.startswith("Noisy labels above gold") for each in found)


def test_one_seed_of_the_oracle_has_no_interval_and_gives_no_warning(tmp_path):
    write(tmp_path, "oracle", {1: 0.9})
    write(tmp_path, "mine", {1: 1.0, 2: 1.0})
    assert doubts(tmp_path) == []


def test_only_the_columns_where_it_is_so_are_named_and_no_more_than_five(tmp_path):
    for number in range(8):
        write(tmp_path, "oracle", ORACLE, f"sn@0.{number + 1}")
        write(tmp_path, "mine", dict.fromkeys(ORACLE, 0.5 if number == 0 else 1.0), f"sn@0.{number + 1}")
    (sentence,) = doubts(tmp_path)
    assert "sn@0.1:" not in sentence
    assert sentence.count("against") == 5
    assert "; and 2 more." in sentence


def test_what_is_told_gold_may_be_above_it_and_a_reference_is_no_ceiling(tmp_path):
    write(tmp_path, "oracle", ORACLE, sees_gold=True)
    write(tmp_path, "told", dict.fromkeys(ORACLE, 1.0), sees_gold=True)
    write(tmp_path, "low", dict.fromkeys(ORACLE, 0.2), sees_gold=True)
    write(tmp_path, "plain", dict.fromkeys(ORACLE, 0.8), sees_gold=False)
    assert doubts(tmp_path) == []


def test_one_cell_that_opened_data_keeps_its_method_out_of_the_comparison(tmp_path):
    write(tmp_path, "plain", dict.fromkeys(ORACLE, 0.8))
    write(tmp_path, "mine", {1: 0.9, 2: 0.9})
    write(tmp_path, "mine", {3: 0.9}, opened_files=["trec/test.json", "trec/train.json"])
    (sentence,) = doubts(tmp_path)
    assert (
        "mine opened data files of the task by itself, in 1 of its 3 cells (trec/test.json, trec/train.json)"
        in sentence
    )
    assert "its scores are shown, but it does not compete" in sentence.lower()
    cells = load(tmp_path).cells
    assert cells["opened_files"].dropna().tolist() == ["trec/test.json; trec/train.json"]
    assert not cells["sees_gold"].any()
    (block,) = blocks(cells, "plain")
    table = result_table(block, "trec", "accuracy", "last")
    row = next(row for row in table.rows if row.label == "mine")
    assert row.kind == "reference"
    assert not any(entry.best for entry in row.entries)
    assert "mine: opened data files of the task by itself, so it does not compete." in table.caption
    assert {line.method for line in compare(tmp_path, tmp_path).lines if line.reference} == {"mine"}
