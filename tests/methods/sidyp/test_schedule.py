import math

import numpy as np
import pytest
import torch

from methods.sidyp.schedule import alpha_bar, q_sample, schedule, simplex


def test_signal_share_starts_at_one_and_falls_strictly():
    table = schedule(800, 10, 5.0).train.double()
    assert table[0] == 1
    assert (table.diff() < 0).all()
    assert table.min() > 0


def test_signal_share_at_ten_steps():
    expected = [1, 0.9755, 0.9044, 0.7938, 0.6544, 0.4999, 0.3454, 0.2061, 0.0955, 0.0245]
    np.testing.assert_allclose(schedule(800, 10, 5.0).reverse, expected, atol=1e-4)


def test_signal_share_is_the_closed_form():
    u = np.linspace(0, 0.999, 57)
    angle = 0.5 * np.pi * 1e-4 / (1 + 1e-4)
    expected = np.cos(0.5 * np.pi * (u + 1e-4) / (1 + 1e-4)) ** 2 / math.cos(angle) ** 2
    np.testing.assert_allclose(alpha_bar(torch.from_numpy(u)), expected, rtol=1e-12)


def test_reverse_step_has_the_signal_of_the_training_time_it_names():
    tables = schedule(800, 10, 5.0)
    assert tables.times == tuple(range(0, 800, 80))
    np.testing.assert_allclose(tables.reverse, tables.train[list(tables.times)], atol=1e-6)


def test_times_are_rounded_down_and_official_ones_are_the_step_numbers():
    assert schedule(7, 3, 5.0).times == (0, 2, 4)
    assert schedule(800, 10, 5.0, scaled_time=False).times == tuple(range(10))


def test_simplex_point():
    assert simplex(torch.tensor([1]), 3, 5.0).tolist() == [[-5.0, 5.0, -5.0]]


@pytest.mark.parametrize("time", [0, 200, 700])
def test_forward_marginal(time):
    """Mean sqrt(alpha_bar) X(c), variance (1 - alpha_bar) v^2, coordinates independent."""
    tables, draws, value = schedule(800, 10, 5.0), 100_000, 5.0
    points = simplex(torch.full((draws,), 2), 4, value)
    noise = torch.randn(points.shape, generator=torch.Generator().manual_seed(0))
    noisy = q_sample(points, torch.full((draws,), time), noise, tables).double()
    signal = float(alpha_bar(torch.tensor(time / 800)))
    torch.testing.assert_close(noisy.mean(0), math.sqrt(signal) * points[0].double(), atol=0.02 * value, rtol=0)
    covariance = torch.cov(noisy.T)
    expected = torch.eye(4, dtype=torch.float64) * (1 - signal) * value**2
    torch.testing.assert_close(covariance, expected, atol=0.02 * value**2, rtol=0.02)
