"""Equal texts stay in one split of a file without splits, and are counted where splits were given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import UsageError
from bench.core.seeds import named_generator
from bench.data.load import load_task
from bench.data.readers.splits import repeats, split_together
from tests.conftest import write_csv


def rows_of(texts):
    return [{"text": text, "gold": ("no", "yes")[i % 2]} for i, text in enumerate(texts)]


@given(count=st.integers(3, 80))
def test_without_equal_texts_the_cuts_are_those_of_the_plain_random_split(count):
    order = named_generator("split", count).permutation(count)
    n_test, n_valid = max(1, round(0.2 * count)), max(1, round(0.1 * count))
    parts = split_together([f"text {i}" for i in range(count)], order, n_valid, n_test, "x.csv")
    expected = np.split(order, [count - n_test - n_valid, count - n_test])
    assert [part.tolist() for part in parts] == [part.tolist() for part in expected]


@given(copies=st.lists(st.integers(1, 30), min_size=3, max_size=25), seed=st.integers(0, 5))
def test_equal_texts_stay_together_and_every_split_has_some(copies, seed):
    texts = [f"text{' ' * (copy % 2 + 1)}{i}" for i, count in enumerate(copies) for copy in range(count)]
    count = len(texts)
    order = np.random.default_rng(seed).permutation(count)
    parts = split_together(texts, order, max(1, round(0.1 * count)), max(1, round(0.2 * count)), "x.csv")
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))
    found = [{" ".join(texts[row].split()) for row in part} for part in parts]
    assert all(found)
    assert sum(map(len, found)) == len(copies), "no text lies in two splits"


def test_ten_texts_six_times_each_are_seven_one_and_two_of_them(tmp_path):
    task = load_task(str(write_csv(tmp_path / "x.csv", rows_of([f"text {i % 10}" for i in range(60)]))))
    assert [len(part) for part in (task.train, task.valid, task.test)] == [42, 6, 12]
    assert not any(task.repeats.values())


def test_a_text_that_would_fill_valid_is_for_train(tmp_path):
    task = load_task(str(write_csv(tmp_path / "x.csv", rows_of(["often"] * 50 + [f"text {i}" for i in range(50)]))))
    assert task.train.texts.count("often") == 50
    assert [len(part) for part in (task.train, task.valid, task.test)] == [70, 10, 20]


def test_fewer_than_three_different_texts_are_refused(tmp_path):
    path = write_csv(tmp_path / "x.csv", rows_of(["one", "two"] * 20))
    with pytest.raises(UsageError, match=r"x.csv: 40 rows with 2 different texts; at least 3"):
        load_task(str(path))


def test_texts_of_two_splits_are_counted_whatever_their_white_space():
    splits = {"train": ["a b", "c", "c"], "valid": ["d", "c"], "test": ["a  b", "d ", "e", "A b"]}
    assert repeats(splits) == {"test in train": 1, "valid in train": 1, "test in valid": 1}
