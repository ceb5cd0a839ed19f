"""What a label is: one class in several spellings, ids, missing values, and answers that are none."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from bench.core.errors import UsageError
from bench.data.readers.label_values import LabelSet, complaint, inferred, is_decimal, is_number, key, read
from bench.data.readers.raw import encode

NONE = frozenset()


@pytest.mark.parametrize(
    "spellings",
    [
        (
            "positive",
            "Positive",
            " POSITIVE ",
            '"positive"',
            "'Positive'",
            "“positive”",
            "posi\u00adtive",
            "positive\u200b",
        ),
        ("café", "cafe\u0301", "CAFÉ", " Café\u00a0"),
        ("1", "1.0", "+1", "1.00", "1.", " 1 ", '"1"', "１"),
        ("-1", "-1.0", "\u22121", "–1"),
        ("0", "0.0", "-0", "-0.0"),
        ("not sure", "Not  Sure", "not\tsure"),
    ],
)
def test_spellings_of_one_class_have_one_key(spellings):
    assert {key(each) for each in spellings} == {spellings[0]}


def test_what_is_not_one_class_keeps_its_own_key():
    different = ["1", "01", "-1", "10", "1.5", "1e0", "positive", "positive.", "pos", "ne gative", "negative"]
    assert len({key(each) for each in different}) == len(different)


def test_numbers_and_decimals():
    assert all(map(is_number, ["1", "01", "-3", "1.0", "0.5", "1e5", ".5", "+2"]))
    assert not any(map(is_number, ["", "one", "1a", "1_0", "nan", "inf", "1.2.3", "-"]))
    assert [each for each in ["1", "1.0", "0.5", "-0.25", "1e5", "01", "x"] if is_decimal(each)] == ["0.5", "-0.25"]


def ids(values, names, declared=False, no_answer=()):
    labels = LabelSet(tuple(names), declared, frozenset(no_answer))
    reading = read(Counter(values), labels)
    assert not complaint(reading, labels)
    return [reading.ids[value.strip()] for value in values]


def refusal(values, names, declared=False, no_answer=()):
    labels = LabelSet(tuple(names), declared, frozenset(no_answer))
    return complaint(read(Counter(values), labels), labels)


def test_names_ids_and_missing_values():
    names = ["negative", "neutral", "positive"]
    assert ids(["Positive", "negative", "", "NaN", " neutral ", "None"], names) == [2, 0, -1, -1, 1, -1]
    assert ids(["2", "0", "1.0", "nan"], names) == [2, 0, 1, -1]
    assert ids(["1", "2.0", "3"], ["1", "2", "3"]) == [0, 1, 2], "a number that is a class name is never an id"
    assert ids(["Abstain", "positive"], names, no_answer=["abstain"]) == [-1, 2]
    assert ids(["unknown", "yes"], ["no", "unknown", "yes"]) == [1, 2], "a class that gold has is a class"
    assert ids(["NaN", "x"], ["NaN", "x"], declared=True) == [0, 1], "a declared class is a class"


@pytest.mark.parametrize(
    ("values", "names", "parts"),
    [
        ("0 1 2", "1 2 3", ["'0' is outside", "counts the classes from 0", "--no-answer 0"]),
        ("0 1 3", "a b c", ["class ids", "0..2"]),
        ("1 2 3", "a b c", ["'1', '2', '3' are outside", "0..2"]),
        ("a 1 b", "a b", ["'1' is outside", "mixed"]),
        ("a b abstain", "a b", ["'abstain' is outside the label set (a, b) in 1 of 3 rows", "--no-answer abstain"]),
        ("a b none", "a b", ["--no-answer none", "label.json"]),
        ("1 2", "01 02", ["'1', '2' are outside"]),
        ("-1 0 1", "0 1 2", ["-1 in 1 of 3 rows", "--no-answer -1", "label.json"]),
        ("-1 0 1", "a b c", ["-1 in 1 of 3 rows", "--no-answer -1", "label.json"]),
        ("-1 1", "0 1", ["-1 in 1 of 2 rows"]),
        ("None a", "NONE a", ["missing value", "'NONE'", "label.json", "--no-answer None"]),
    ],
)
def test_two_readings_and_strange_values_are_complained_of(values, names, parts):
    message = refusal(values.split(), names.split())
    assert all(part in message for part in parts), message


def test_minus_one_is_no_answer_where_it_can_be_nothing_else():
    assert ids(["-1", "good", "bad"], ["bad", "good"]) == [-1, 1, 0]
    assert ids(["-1", "0", "1", "2"], ["0", "1", "2"]) == [-1, 0, 1, 2]
    assert ids(["-1", "0", "1"], ["bad", "good", "unsure"], declared=True) == [-1, 0, 1]
    assert ids(["-1", "0", "1"], ["-1", "0", "1"]) == [0, 1, 2]
    assert ids(["-1", "0", "1"], ["0", "1", "2"], no_answer=["-1"]) == [-1, 0, 1]


def classes(values):
    return inferred(Counter(values), NONE, "mine.csv").names


def test_the_classes_of_gold():
    assert classes(["b", "a", "B", "b", "NaN", ""]) == ("a", "b"), "the most frequent spelling is the name"
    assert classes([f"{each}.0" for each in range(12)] * 3) == tuple(map(str, range(12))), "sorted as numbers"
    assert classes(["01", "02", "01", "02"]) == ("01", "02")
    assert classes(["1", "-1"] * 3) == ("-1", "1")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["0.1", "0.2"] * 9, "decimal numbers, such as '0.1', '0.2'"),
        (["negative", "positive", "0", "1"] * 9, r"both names \('negative', 'positive'\) and numbers \('0', '1'\)"),
        ([f"a text {each}" for each in range(20)], "20 different values in 20 rows"),
    ],
)
def test_what_makes_no_classes_is_refused(values, message):
    with pytest.raises(UsageError, match=message):
        classes(values)


def test_encoding_names_the_row():
    assert np.array_equal(encode(["b", "", "a"], ["a", "b"], "x"), [1, -1, 0])
    with pytest.raises(UsageError, match=r"x, row 2: label 'c' is outside the label set \(a, b\)"):
        encode(["b", "c", "a"], ["a", "b"], "x")
