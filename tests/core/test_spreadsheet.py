"""CSV for spreadsheets: text stays text."""

from __future__ import annotations

import csv
import io

import pytest

from bench.core.spreadsheet import csv_bytes, safe_cell


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


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        csv_bytes({"a": [1, 2], "b": [1]})
