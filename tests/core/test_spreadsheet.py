"""CSV for spreadsheets: text stays text."""

from __future__ import annotations

import csv
import io
import os
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from bench.core.spreadsheet import csv_bytes, frame_csv, safe_cell, write_csv


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1"])
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text):
    assert safe_cell(text) == "'" + text


@pytest.mark.parametrize("value", ["plain", "a = b", "-1", "-0.5", "+3e2", "", -1, 0.5, None])
def test_numbers_and_other_text_stay(value):
    assert safe_cell(value) == value


def test_columns_and_headers_are_escaped_but_for_those_that_stay_as_they_are():
    data = csv_bytes({"=a": ["@x", "two\nlines"], "own": ["=b", 'quo"ted']}, as_they_are=["own"])
    assert list(csv.reader(io.StringIO(data.decode(), newline=""))) == [
        ["'=a", "own"],
        ["'@x", "=b"],
        ["two\nlines", 'quo"ted'],
    ]


def test_a_table_of_results_is_made_safe_and_keeps_its_numbers():
    frame = pd.DataFrame({"task": ["=a", "b"], "kind": pd.Categorical(["x", "-y"]), "=gain": [-0.5, float("nan")]})
    read = pd.read_csv(io.BytesIO(frame_csv(frame))).fillna(9)
    assert read.to_dict("list") == {"task": ["'=a", "b"], "kind": ["x", "'-y"], "'=gain": [-0.5, 9]}
    assert frame["task"].tolist() == ["=a", "b"]


def test_a_bare_carriage_return_ends_no_row(tmp_path):
    columns = {"id": ["1", "2"], "text": ["old\rmac", "plain"]}
    write_csv(tmp_path / "a.csv", columns)
    assert pd.read_csv(tmp_path / "a.csv", dtype=str).to_dict("list") == columns


def test_a_link_stays_one_and_a_pipe_is_written_into(tmp_path):
    target, link, pipe = (tmp_path / name for name in ("target.csv", "link.csv", "pipe"))
    target.write_text("old")
    link.symlink_to(target)
    write_csv(link, {"a": [1]})
    assert link.is_symlink()
    assert target.read_text() == "a\n1\n"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        write_csv(pipe, {"a": [2]})
        assert read.result(timeout=10) == b"a\n2\n"
    assert pipe.is_fifo()


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        csv_bytes({"a": [1, 2], "b": [1]})
