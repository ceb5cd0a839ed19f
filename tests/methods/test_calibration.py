"""Temperature scaling against a grid search and a planted temperature."""

import numpy as np
import pytest
from scipy.special import softmax

from methods.calibration import apply_temperature, fit_temperature, negative_log_likelihood


@pytest.fixture
def planted():
    """Labels drawn from softmax(z): predictions softmax(2.5 z) are overconfident by exactly T = 2.5."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 4)) * 1.5
    honest = softmax(logits, axis=1)
    labels = (rng.random((len(honest), 1)) > honest.cumsum(1)).sum(1).clip(max=3)
    return honest, softmax(2.5 * logits, axis=1), labels


def test_a_planted_temperature_is_recovered(planted):
    honest, overconfident, labels = planted
    temperature = fit_temperature(overconfident, labels)
    assert temperature == pytest.approx(2.5, rel=0.03)
    np.testing.assert_allclose(apply_temperature(overconfident, 2.5), honest, atol=1e-5)
    assert fit_temperature(honest, labels) == pytest.approx(1.0, rel=0.03)


def test_the_minimum_is_that_of_a_grid(planted):
    _, overconfident, labels = planted
    p, y = overconfident[:300], labels[:300]
    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 2000))
    best = grid[np.argmin([negative_log_likelihood(p, y, t) for t in grid])]
    assert fit_temperature(p, y) == pytest.approx(best, rel=0.01)


def test_nll_is_the_mean_log_loss(planted):
    honest, _, labels = planted
    from sklearn.metrics import log_loss

    assert negative_log_likelihood(honest, labels) == pytest.approx(log_loss(labels, honest))


@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0, 20.0])
def test_rows_sum_to_one_and_no_argmax_moves(planted, temperature):
    p = planted[0][:500]
    scaled = apply_temperature(p, temperature)
    np.testing.assert_allclose(scaled.sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(scaled.argmax(1), p.argmax(1))
    assert scaled.dtype == np.float32


def test_no_argmax_moves_where_two_classes_differ_by_the_last_bit():
    half = np.float32(0.5)
    p = np.array([[np.nextafter(half, np.float32(0)), half], [0.25, 0.75]], np.float32)
    scaled = apply_temperature(p, 20.0)
    assert scaled.argmax(1).tolist() == [1, 1]
    np.testing.assert_allclose(scaled.sum(1), 1, atol=1e-6)


def test_rows_without_an_answer_are_left_out(planted):
    _, p, labels = planted
    p, labels = p[:500], labels[:500].copy()
    labels[::2] = -1
    assert fit_temperature(p, labels) == fit_temperature(p[1::2], labels[1::2])
    assert fit_temperature(p, np.full(500, -1)) == 1.0
    assert np.isfinite(fit_temperature(np.eye(4)[labels], (labels + 1) % 4))
