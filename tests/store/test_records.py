"""Records: one file a cell, whole or not there, read tolerantly, never unpickled."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import UsageError
from bench.core.files import slug, write_atomically
from bench.store import records as store
from bench.store.folder import ResultsFolder
from bench.store.parts import Scores
from bench.store.records import Damaged, Record, read_arrays, read_record, read_records, write_record
from tests.factories import cell_key, done_record, write_done

OTHER = {
    "task": "tweets",
    "noise": "sn@0.3",
    "method": "oracle",
    "method_version": 2,
    "config": {"ramp": 1},
    "encoder": "bert",
    "encoder_mode": "frozen",
    "encoder_revision": "0",
    "sentence_encoder": "0",
    "recipe": {"epochs": 9},
    "options": {"uncovered": "drop"},
    "limit": 5,
    "seed": 2,
    "data": "other",
}


def test_the_hash_depends_on_every_field_of_the_key():
    key = cell_key()
    assert set(OTHER) == set(type(key).model_fields)
    hashes = {key.model_copy(update={name: value}).hash for name, value in OTHER.items()}
    assert len(hashes | {key.hash}) == len(OTHER) + 1


def test_the_hash_does_not_depend_on_the_order_of_parameters():
    one, two = cell_key(config={"a": 1, "b": 2}), cell_key(config={"b": 2, "a": 1})
    assert one.hash == two.hash
    assert cell_key(config={"a": 1}).hash != cell_key(config={"a": "1"}).hash


def test_a_record_reads_back_equal_with_its_arrays(tmp_path):
    record, arrays = done_record(cell_key())
    path = write_record(record, tmp_path, arrays)
    assert path == record.key.path(tmp_path)
    assert path.relative_to(tmp_path).parts[:2] == ("cells", "trec")
    assert path.name == f"seed-1-{record.hash[:12]}.json"
    assert read_record(path) == record
    read = read_arrays(path)
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype


class NewerScores(Scores):
    sharpness: float | None = None


class NewerScoreSet(store.ScoreSet):
    last: NewerScores
    noisy_valid: NewerScores
    oracle_best: NewerScores


class NewerRecord(Record):
    scores: NewerScoreSet | None = None


def test_a_record_from_before_a_metric_was_added_still_reads(tmp_path, monkeypatch):
    path = write_done(tmp_path, cell_key())
    monkeypatch.setattr(store, "Record", NewerRecord)
    read = read_record(path)
    assert not isinstance(read, Damaged)
    assert read.scores.last.sharpness is None
    assert read.scores.last.accuracy > 0


def test_every_metric_but_those_of_the_first_records_may_be_missing():
    needed = {name for name, field in Scores.model_fields.items() if field.is_required()}
    assert needed == {"step", "accuracy", "ece"}, "any other metric may be missing, or older records count as damaged"


@pytest.mark.parametrize("metric", ["macro_f1", "nll"])
def test_a_record_from_before_a_metric_still_reads(tmp_path, metric):
    path = write_done(tmp_path, cell_key())
    made = json.loads(path.read_bytes())
    for scores in made["scores"].values():
        del scores[metric]
    path.write_text(json.dumps(made))
    record = read_record(path)
    assert isinstance(record, Record)
    assert record.scores.last.get(metric) is None
    assert record.scores.last.accuracy == made["scores"]["last"]["accuracy"]


def test_arrays_that_need_pickle_are_refused(tmp_path):
    path = write_done(tmp_path, cell_key())
    np.savez(path.with_suffix(".npz"), gold=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        read_arrays(path)


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_atomically(path, b"old")

    def refuse(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["record.json"]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda raw: raw[: len(raw) // 2], "not readable as JSON"),
        (lambda raw: b"", "not readable as JSON"),
        (lambda raw: b"[1, 2]", "not a result record"),
        (lambda raw: b'{"hello": 1}', "not a result record"),
        (lambda raw: raw.replace(b'"done"', b'"dnoe"'), "field status"),
        (lambda raw: raw.replace(b'"noise": "weak"', b'"noise": "sn@0.1"'), "does not match its hash"),
        (lambda raw: b"\xff\xfe" + raw, "not readable as JSON"),
    ],
)
def test_a_damaged_file_is_reported_and_the_others_are_read(tmp_path, damage, why):
    path = write_done(tmp_path, cell_key())
    write_done(tmp_path, cell_key(seed=2))
    path.write_bytes(damage(path.read_bytes()))
    found = list(read_records(tmp_path))
    assert [type(each) for each in found] == [Damaged, Record]
    assert found[0].path == path
    assert why in found[0].why


def test_a_schema_that_is_not_a_number_is_damage(tmp_path):
    path = write_done(tmp_path, cell_key())
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"schema": "2"}))
    assert "its 'schema' is not a number: '2'" in store.read_record(path).why


def test_a_folder_that_cannot_be_read_is_told_of_and_its_records_not_left_out(tmp_path, monkeypatch):
    path = write_done(tmp_path, cell_key())
    assert ResultsFolder(tmp_path).loose_records() == [path]
    listed = os.scandir

    def scandir(folder):
        if Path(folder) == path.parent:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UsageError, match=r"cannot be read \(Permission denied\): its records would be left out"):
        ResultsFolder(tmp_path).loose_records()


def test_a_record_of_a_newer_schema_is_refused_not_guessed_at(tmp_path):
    path = write_done(tmp_path, cell_key())
    raw = json.loads(path.read_bytes()) | {"schema": store.SCHEMA + 1, "novelty": 1}
    path.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(UsageError, match=r"schema 2.*reads up to 1.*upgrade bench, or name another folder"):
        read_record(path)


def test_stand_alone_cost_adds_what_reused_stages_had_cost():
    record, _ = done_record(cell_key(seed=2))
    assert [use.reused for use in record.stages] == [True]
    assert record.stand_alone_seconds == record.seconds["total"] + record.stages[0].seconds
    fresh, _ = done_record(cell_key(seed=1))
    assert fresh.stand_alone_seconds == fresh.seconds["total"]


@given(st.text(max_size=300))
def test_a_slug_is_one_safe_path_segment(text):
    part = slug(text)
    assert 0 < len(part) <= 80
    assert "/" not in part
    assert "\\" not in part
    assert part not in {".", ".."}
    assert not part.startswith(".")
    assert part.isascii()
    assert part.isprintable()


def test_long_names_that_differ_stay_different():
    long = "vote(" + ",".join(f"labeller-{i}" for i in range(20))
    assert slug(long + ",a)") != slug(long + ",b)")


def test_what_a_killed_process_left_of_a_cell_goes_when_the_cell_is_written(tmp_path):
    record, arrays = done_record(cell_key())
    path = record.key.path(tmp_path)
    path.parent.mkdir(parents=True)
    left = [path.with_name(f".{path.name}.abc.tmp"), path.with_name(f".{path.stem}.npz.def.tmp")]
    other = path.with_name(".seed-9-000000000000.json.ghi.tmp")
    for file in (*left, other):
        file.write_bytes(b"half")
    write_record(record, tmp_path, arrays)
    assert [file.exists() for file in left] == [False, False]
    assert other.exists(), "another cell's: its owner may be writing it"
