"""Batches: every position once, a fresh order, and padding that is really saved."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.seeds import named_generator
from bench.training.batches import (
    EVALUATION_ROWS,
    EVALUATION_TOKENS,
    epoch_batches,
    evaluation_batches,
    sequential_batches,
)


def tokens_of_texts(n, seed=0):
    """Lengths like those of short texts: log-normal, median 24 tokens, cut at 128."""
    return np.clip(np.random.default_rng(seed).lognormal(3.2, 0.6, n).astype(np.int64), 3, 128)


def padded(batches, lengths):
    return sum(len(batch) * int(lengths[batch].max()) for batch in batches)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 40), st.booleans(), st.integers(0, 3))
def test_each_position_comes_once_in_as_many_batches_as_needed(n, size, with_lengths, seed):
    lengths = tokens_of_texts(n, seed) if with_lengths else None
    batches = epoch_batches(lengths, n, size, named_generator("order", seed))
    assert sorted(np.concatenate(batches).tolist()) == list(range(n))
    assert len(batches) == -(-n // size)
    sizes = sorted(len(batch) for batch in batches)
    assert sizes == sorted([size] * (n // size) + ([n % size] if n % size else []))


def most_shared(batches, others):
    """Mean share of a batch that stays together in one of `others`."""
    return np.mean([max(len(set(a) & set(b)) / len(a) for b in others) for a in batches])


@pytest.mark.parametrize("lengths", [None, tokens_of_texts(500)])
def test_the_order_is_fresh_every_epoch_and_named_by_its_generator(lengths):
    first, again, second = (epoch_batches(lengths, 500, 32, named_generator("order", epoch)) for epoch in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert most_shared(first, second) < 0.6  # batches are composed again, not just reordered


def test_bucketing_saves_most_of_the_padding_of_a_plain_shuffle():
    lengths = tokens_of_texts(5000)
    bucketed = epoch_batches(lengths, 5000, 32, named_generator("order"))
    shuffled = epoch_batches(None, 5000, 32, named_generator("order"))
    real = int(lengths.sum())
    waste = lambda batches: padded(batches, lengths) / real - 1  # noqa: E731
    assert waste(shuffled) > 1.0  # a plain shuffle computes more than twice the tokens
    assert waste(bucketed) < 0.2


def test_long_and_short_batches_are_mixed_over_the_epoch():
    """No curriculum: a batch's place in the epoch says nothing of its length."""
    lengths = tokens_of_texts(5000)
    places, means = [], []
    for epoch in range(20):
        batches = epoch_batches(lengths, 5000, 32, named_generator("order", epoch))
        places += range(len(batches))
        means += [lengths[batch].mean() for batch in batches]
    assert abs(np.corrcoef(places, means)[0, 1]) < 0.06


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3000), st.booleans(), st.sampled_from([1, 100, 9000]))
def test_evaluation_batches_cover_all_and_stay_within_their_budget(n, with_lengths, factor):
    lengths = tokens_of_texts(n) * factor if with_lengths else None
    batches = evaluation_batches(lengths, n)
    assert sorted(i for batch in batches for i in batch.tolist()) == list(range(n))
    for batch in batches:
        assert 1 <= len(batch) <= EVALUATION_ROWS
        if with_lengths and len(batch) > 1:
            assert len(batch) * lengths[batch].max() <= EVALUATION_TOKENS


def test_evaluation_pads_next_to_nothing_and_takes_the_longest_first():
    lengths = tokens_of_texts(3000)
    batches = evaluation_batches(lengths, 3000)
    assert padded(batches, lengths) / lengths.sum() < 1.15
    assert lengths[batches[0]].max() == lengths.max()  # if memory does not suffice, it shows at once


def test_sequential_batches_keep_the_order():
    batches = sequential_batches(7, 3)
    assert [list(batch) for batch in batches] == [[0, 1, 2], [3, 4, 5], [6]]
