"""One tidy row a cell, whatever lies in the folder."""

import json
import shutil

import pandas as pd
import pytest

from bench.core.errors import UsageError
from bench.report import frame
from bench.store.records import Record, read_record, read_records, write_record
from tests.factories import cell_key, write_done, write_results


def test_every_column_is_documented_and_in_order(results):
    assert list(results.cells.columns) == list(frame.COLUMNS)
    assert all(frame.COLUMNS.values())


def test_one_row_a_record_and_damaged_files_are_named(folder, results):
    read = list(read_records(folder))
    records = [each for each in read if isinstance(each, Record)]
    assert len(results.cells) == len(records) == len(read) - 2
    assert {damaged.path.name for damaged in results.damaged} == {"torn.json", "foreign.json"}


def test_a_row_repeats_its_record(folder, results):
    for row in results.cells.sample(10, random_state=0).to_dict("records"):
        record = read_record(folder / row["record"])
        assert row["cell"] == record.hash[:12]
        assert (row["status"], row["seed"], row["command"]) == (record.status, record.key.seed, record.command)
        if record.scores is not None:
            assert row["accuracy_last"] == record.scores.last.accuracy
            assert row["ece_noisy_valid"] == record.scores.noisy_valid.ece
            assert row["step_oracle_best"] == record.scores.oracle_best.step
            assert row["seconds_stand_alone"] == 11 + 1.5  # medians: own time of seeds 1 to 3, price of the tokens


def test_cells_without_gold_or_without_success_have_no_scores(results):
    cells = results.cells
    assert cells.loc[cells["task"] == "reviews", "accuracy_last"].isna().all()
    assert cells.loc[cells["status"] != "done", "accuracy_last"].isna().all()
    assert cells.loc[cells["status"] != "done", "reason"].notna().all()
    assert not cells.loc[cells["task"] == "reviews", "has_gold"].any()


def test_what_sees_gold_is_marked(tmp_path):
    for config in ({"tau": "oracle"}, {"tau": "estimated"}):
        write_done(tmp_path, cell_key(method="dygen", config=config))
    write_done(tmp_path, cell_key(method="oracle"))
    cells = frame.load(tmp_path).cells
    assert sorted(cells.loc[cells["sees_gold"], "method_label"]) == ["dygen[tau=oracle]", "oracle"]


def test_the_frame_survives_parquet_and_csv(results, tmp_path):
    results.cells.to_parquet(tmp_path / "cells.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "cells.parquet"), results.cells)
    results.cells.to_csv(tmp_path / "cells.csv", index=False)
    assert len(pd.read_csv(tmp_path / "cells.csv")) == len(results.cells)


def test_copies_of_a_record_count_once(tmp_path):
    path = write_done(tmp_path, cell_key())
    shutil.copy(path, path.with_name("copy.json"))
    results = frame.load(tmp_path)
    assert len(results.cells) == 1
    assert "1 record is a copy" in results.notes[0]


def test_cells_that_saw_other_data_stand_in_a_column_of_their_own(tmp_path):
    write_done(tmp_path, cell_key(data="old"), created="2025-01-01T00:00:00Z")
    write_done(tmp_path, cell_key(data="new"), created="2026-01-01T00:00:00Z")
    write_done(tmp_path, cell_key(method="oracle", data="new"), created="2026-01-01T00:00:00Z")
    results = frame.load(tmp_path)
    by_data = results.cells.groupby("data")["noise"].unique().map(list).to_dict()
    assert by_data == {"old": ["weak (older data)"], "new": ["weak"]}
    assert any("1 cell of trec, weak saw older data" in note for note in results.notes)


@pytest.mark.parametrize(
    "make", [lambda path: None, lambda path: path.mkdir(), lambda path: (path / "cells").mkdir(parents=True)]
)
def test_a_folder_without_results_is_refused_with_the_way_out(tmp_path, make):
    make(tmp_path / "none")
    with pytest.raises(UsageError, match=r"none.*run `bench run` first.*--results"):
        frame.load(tmp_path / "none")


def test_a_folder_of_damaged_files_only_says_so(tmp_path):
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "x.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="1 file there is not a readable record"):
        frame.load(tmp_path)


def test_records_of_a_newer_schema_are_refused(tmp_path):
    path = write_done(tmp_path, cell_key())
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99}))
    with pytest.raises(UsageError, match="schema 99"):
        frame.load(tmp_path)


def test_missing_or_torn_arrays_only_cost_the_reliability_diagram(tmp_path):
    path = write_done(tmp_path, cell_key())
    cell = read_record(path).hash[:12]
    assert frame.load(tmp_path).bins(cell)["count"].sum() == 200
    path.with_suffix(".npz").write_bytes(b"PK\x03\x04 torn")
    assert frame.load(tmp_path).bins(cell) is None
    path.with_suffix(".npz").unlink()
    assert frame.load(tmp_path).bins(cell) is None


def test_curves_hold_every_step(results):
    done = results.cells.query("status == 'done'")
    assert len(results.curves) == 4 * len(done)
    assert set(results.curves["cell"]) == set(done["cell"])


def test_a_skipped_cell_without_data_is_a_row(tmp_path):
    key = cell_key()
    write_record(Record(hash=key.hash, key=key, status="skipped", reason="no labels"), tmp_path)
    row = frame.load(tmp_path).cells.iloc[0]
    assert (row["status"], row["reason"]) == ("skipped", "no labels")


def test_writing_the_same_folder_twice_gives_the_same_frame(tmp_path):
    first = frame.load(write_results(tmp_path / "a")).cells
    second = frame.load(write_results(tmp_path / "b")).cells
    pd.testing.assert_frame_equal(first, second)
