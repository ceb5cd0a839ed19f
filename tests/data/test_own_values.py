"""A user's own values: which are the same class, which mean no answer, and which are refused."""

from __future__ import annotations

import pytest

from tests.data.own import (
    COIN,
    GOLD,
    GUESS,
    NAMES,
    N,
    answers,
    gold,
    named,
    note,
    refused,
    with_some,
)


@pytest.mark.parametrize(
    "spelt", [str.upper, str.title, lambda name: f' "{name}" ', lambda name: name.replace("a", "\uff41")]
)
@pytest.mark.parametrize("who", ["gpt", "gold"])
def test_other_spellings_are_the_same_class_and_it_is_said(task, spelt, who):
    columns = {"gold": named(GOLD), "gpt": named(GUESS)}
    columns[who] = [spelt(name) if row % 4 == 0 else name for row, name in enumerate(columns[who])]
    read = task(columns)
    assert gold(read) == named(GOLD)
    assert answers(read, "gpt") == named(GUESS)
    others = sum(
        value != name for value, name in zip(columns[who], named(GOLD if who == "gold" else GUESS), strict=True)
    )
    assert f"{who} ({others} spelt differently, such as " in note(read)


@pytest.mark.parametrize("chosen", [None, ["gpt"]])
def test_pandas_floats_are_the_integers_that_they_were(task, chosen):
    read = task({"gold": GOLD, "gpt": with_some([float(each) for each in GUESS], "")}, label_columns=chosen)
    assert read.label_names == ("0", "1", "2")
    assert answers(read, "gpt") == with_some([str(each) for each in GUESS], None)
    assert "gpt (15 % no answer; 51 spelt differently, such as '2.0' = 2)" in note(read)


def test_gold_in_floats_is_sorted_as_numbers_and_equals_the_integers(task):
    classes = [row % 12 for row in range(N)]
    read = task({"gold": [f"{each}.0" for each in classes], "gpt4": classes})
    assert read.label_names == tuple(map(str, range(12)))
    assert answers(read, "gpt4") == gold(read) == list(map(str, classes))


@pytest.mark.parametrize("chosen", [None, ["gpt"]])
@pytest.mark.parametrize("word", ["abstain", "Unknown", "none", "-", "I cannot answer that."])
def test_an_answer_that_gold_never_has_is_refused_and_never_a_class(task, word, chosen):
    columns = {"gold": named(GOLD), "gpt": with_some(named(GUESS), word)}
    refused(lambda: task(columns, label_columns=chosen), "column gpt, row 1", f"'{word}'", "--no-answer", "9 of 60")
    read = task(columns, label_columns=chosen, no_answer=[word.upper()])
    assert answers(read, "gpt") == with_some(named(GUESS), None)
    assert f"15 % no answer: '{word}'" in note(read)


def test_a_word_for_no_answer_is_a_class_where_gold_has_it(task):
    names = ["unknown" if name == "neutral" else name for name in named(GOLD)]
    read = task({"gold": names, "gpt": names})
    assert answers(read, "gpt") == names
    assert "'unknown' is a class" in note(read)


@pytest.mark.parametrize("word", ["NaN", "nan", "NA", "N/A", "null", "None", "<NA>"])
def test_missing_values_are_missing_in_gold_and_no_answer_in_a_labellers_column(task, word):
    full = {"gold": named(GOLD), "gpt": named(GUESS)}
    read = task(full | {"gpt": with_some(named(GUESS), word)})
    assert answers(read, "gpt") == with_some(named(GUESS), None)
    broken = full | {"gold": with_some(named(GOLD), word)}
    gaps = task(broken)
    assert gold(gaps) == with_some(named(GOLD), None)
    assert f"15 % missing: '{word}'" in note(gaps)
    assert f"those in train are human labels ({word} means unknown)" in note(gaps)
    declared = task(broken, labels=[word, *NAMES])
    assert gold(declared) == with_some(named(GOLD), word)


def test_minus_one_in_gold(task):
    signs = [each - 1 for each in GOLD]
    guess = [each - 1 for each in GUESS]
    read = task({"gold": signs, "gpt": guess})
    assert gold(read) == list(map(str, signs))
    assert answers(read, "gpt") == list(map(str, guess))
    assert "'-1' is a class" in note(read)
    binary = task({"gold": [2 * each - 1 for each in COIN], "gpt": [f"{2 * each - 1:+d}" for each in COIN]})
    assert answers(binary, "gpt") == gold(binary) == [str(2 * each - 1) for each in COIN]
    refused(lambda: task({"gold": signs}), "gold is -1 in 20 of 60 rows", "label.json", "--no-answer -1")
    assert gold(task({"gold": signs}, no_answer=["-1"])) == [str(each) if each >= 0 else None for each in signs]
    assert gold(task({"gold": signs}, labels=["-1", "0", "1"])) == list(map(str, signs))


def test_gold_of_minus_one_in_whole_splits_is_not_known_there(task):
    split = ["test" if row < 20 else "train" for row in range(N)]
    read = task({"gold": [GOLD[row] if row < 20 else -1 for row in range(N)], "gpt": GUESS, "split": split})
    assert read.gold.train is read.gold.valid is None
    assert [read.label_names[each] for each in read.gold.test] == list(map(str, GOLD[:20]))
    assert "gold is unknown in train, valid" in note(read)


@pytest.mark.parametrize("columns", [("gpt",), ("gpt", "mix")])
def test_minus_one_without_gold_is_refused_until_it_is_said_what_it_is(task, columns):
    signs = {name: [each - 1 for each in GUESS] for name in columns}
    refused(lambda: task(signs), "'-1'", "may mean no answer or be a class", "--no-answer -1", "label.json")
    silent = task(signs, no_answer=["-1"])
    assert answers(silent, "gpt") == [None if each < 0 else str(each) for each in signs["gpt"]]
    assert "33 % no answer: '-1'" in note(silent) or "no answer: '-1'" in note(silent)
    assert answers(task(signs, labels=["-1", "0", "1"]), "gpt") == list(map(str, signs["gpt"]))


@pytest.mark.parametrize(
    ("gold_values", "labels", "parts"),
    [
        ([each + 1 for each in GOLD], GUESS, ["'0'", "(1, 2, 3)", "counts the classes from 0"]),
        ([each + 1 for each in GOLD], with_some([each + 1 for each in GUESS], 0), ["'0'", "--no-answer 0"]),
        (GOLD, [each - 1 for each in GUESS], ["-1 in ", "--no-answer -1", "label.json"]),
        (named(GOLD), [each - 1 for each in GUESS], ["-1 in ", "--no-answer -1", "label.json"]),
        (named(GOLD), [(each + 1) % 3 for each in GUESS], ["0 = positive, 1 = negative, 2 = neutral", "label.json"]),
        (named(GOLD), [n if r % 2 else NAMES[n] for r, n in enumerate(GUESS)], ["mixed"]),
    ],
)
@pytest.mark.parametrize("chosen", [None, ["gpt"]])
def test_labels_that_may_be_shifted_are_refused(task, gold_values, labels, parts, chosen):
    refused(lambda: task({"gold": gold_values, "gpt": labels}, label_columns=chosen), "column gpt", *parts)


def test_ids_are_shown_with_their_names(task):
    read = task({"gold": named(GOLD), "gpt": GUESS})
    assert answers(read, "gpt") == named(GUESS)
    assert "gpt (0 = negative, 1 = neutral, 2 = positive)" in note(read)
    other = ["positive", "negative", "neutral"]
    declared = task({"gold": named(GOLD), "gpt": [other.index(name) for name in named(GUESS)]}, labels=other)
    assert answers(declared, "gpt") == named(GUESS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([row / 100 for row in range(N)], "decimal numbers"),
        ([f"because of {row}" for row in range(N)], "60 different values in 60 rows"),
        ([NAMES[each] if row < 50 else each for row, each in enumerate(GOLD)], "both names"),
    ],
)
def test_gold_that_makes_no_classes_is_refused(task, values, message):
    refused(lambda: task({"gold": values, "gpt": COIN}), "column gold", message)


def test_numbers_with_a_leading_zero_are_text(task):
    codes = [f"0{each + 1}" for each in GOLD]
    read = task({"gold": codes, "gpt": codes, "mix": [each + 1 for each in GOLD]})
    assert read.label_names == ("01", "02", "03")
    assert list(read.columns) == ["gpt"]
    assert "mix (60 of 60 values, such as '1', '2', are not classes)" in note(read)
