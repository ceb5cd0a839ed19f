import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.sidyp.prior import draw_labels, update_weights
from tests.methods.sidyp import reference


def test_four_hits_of_four_samples():
    weights = torch.tensor([[0.4, 0.6]], dtype=torch.float64)
    np.testing.assert_allclose(update_weights(weights, torch.zeros(4, 1, dtype=torch.int64)), [[0.625, 0.375]])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 6))
def test_update_equals_the_loop_over_texts(seed, samples):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(2, 7, 5, generator=generator, dtype=torch.float64)
    weights = weights * (torch.rand(2, 7, 5, generator=generator) < 0.6)
    weights[..., 0] += 0.1
    weights = weights / weights.sum(-1, keepdim=True)
    drawn = torch.randint(5, (samples, 2, 7), generator=generator)
    moved = update_weights(weights, drawn)
    for m in range(2):
        for i in range(7):
            expected = reference.update(weights[m, i], drawn[:, m, i], samples)
            torch.testing.assert_close(moved[m, i], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(moved.sum(-1), torch.ones(2, 7, dtype=torch.float64), rtol=0, atol=1e-12)
    assert torch.equal(moved > 0, weights > 0)


def test_a_class_that_is_no_candidate_changes_nothing():
    weights = torch.tensor([[0.3, 0.7, 0.0]], dtype=torch.float64)
    assert torch.equal(update_weights(weights, torch.tensor([[2], [2]])), weights)


def test_labels_are_drawn_with_the_weights_as_probabilities():
    weights = torch.tensor([0.0, 0.2, 0.0, 0.8, 0.0], dtype=torch.float64).expand(50_000, -1)
    uniform = torch.rand(50_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shares = draw_labels(weights, uniform).bincount(minlength=5) / 50_000
    assert shares[[0, 2, 4]].sum() == 0
    assert abs(float(shares[1]) - 0.2) < 0.01


def test_the_ends_of_the_unit_interval_give_candidates():
    weights = torch.tensor([[0.0, 1 / 3, 2 / 3, 0.0]], dtype=torch.float64).expand(2, -1)
    assert draw_labels(weights, torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)).tolist() == [1, 2]
    assert draw_labels(weights, torch.ones(2, dtype=torch.float64)).tolist() == [2, 2]
