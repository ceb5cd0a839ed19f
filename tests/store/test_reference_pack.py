"""Committed predictions are rounded (`benchmarks.reference_pack`): what must survive that."""

import numpy as np
import pytest

from bench.store.metrics import METRICS
from benchmarks.reference_pack import STEPS, coarse


@pytest.mark.parametrize("classes", [2, 3, 10, 77])
@pytest.mark.parametrize("sharpness", [0.01, 1, 8])
def test_rows_sum_to_one_and_the_best_class_of_each_stays_best(classes, sharpness):
    draw = np.random.default_rng(classes)
    logits = sharpness * draw.normal(size=(2000, classes))
    exact = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    rounded = coarse(exact)
    assert rounded.dtype == np.float16
    assert (rounded.astype(float).sum(1) == 1).all()
    assert (rounded >= 0).all()
    np.testing.assert_array_equal(rounded.argmax(1), exact.argmax(1))
    assert np.abs(rounded - exact).max() < 2 / STEPS
    np.testing.assert_array_equal(coarse(rounded), rounded)
    gold = np.array([draw.choice(classes, p=row) for row in exact[:500]])
    assert METRICS["ece"].compute(rounded[:500], gold) == pytest.approx(
        METRICS["ece"].compute(exact[:500], gold), abs=0.012
    )


def test_where_another_class_comes_to_equal_the_best_one_that_takes_a_step_from_it():
    np.testing.assert_array_equal(
        128 * coarse(np.array([[0.3333, 0.3333, 0.3334], [0.3334, 0.3333, 0.3333], [0.5, 0.5, 0.0]])),
        [[42, 42, 44], [43, 43, 42], [64, 64, 0]],
    )
