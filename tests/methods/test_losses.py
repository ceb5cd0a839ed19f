"""The robust losses against closed forms, scipy and slow obvious loops."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr, softmax

from methods import losses


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(3, 40, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(5, (40,), generator=generator)
    return logits, labels


def picked(logits, labels):
    """p_ỹ by the definition, in numpy."""
    return softmax(logits.numpy(), axis=-1)[np.arange(len(labels)), labels.numpy()]


def test_cross_entropy_takes_labels_and_soft_targets(batch):
    logits, labels = batch[0][0], batch[1]
    expected = -np.log(picked(logits, labels))
    np.testing.assert_allclose(losses.cross_entropy(logits, labels), expected)
    one_hot = F.one_hot(labels, 5).double()
    np.testing.assert_allclose(losses.cross_entropy(logits, one_hot), expected)


def test_label_smoothing_is_cross_entropy_against_the_mixed_target(batch):
    logits, labels = batch[0][0], batch[1]
    target = 0.9 * np.eye(5)[labels] + 0.1 / 5
    expected = -(target * np.log(softmax(logits.numpy(), axis=-1))).sum(-1)
    np.testing.assert_allclose(losses.label_smoothing(logits, labels, 0.1), expected)
    np.testing.assert_allclose(losses.label_smoothing(logits, labels, 0.0), losses.cross_entropy(logits, labels))


def test_gce_is_one_minus_p_at_q_1_and_cross_entropy_as_q_vanishes(batch):
    logits, labels = batch[0][0], batch[1]
    np.testing.assert_allclose(losses.generalised_cross_entropy(logits, labels, 1.0), 1 - picked(logits, labels))
    np.testing.assert_allclose(
        losses.generalised_cross_entropy(logits, labels, 1e-4), losses.cross_entropy(logits, labels), rtol=1e-3
    )
    expected = (1 - picked(logits, labels) ** 0.7) / 0.7
    np.testing.assert_allclose(losses.generalised_cross_entropy(logits, labels, 0.7), expected)


def test_gce_stays_finite_with_a_gradient_of_zero_for_an_impossible_label():
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    loss = losses.generalised_cross_entropy(logits, torch.tensor([1]), 0.7)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(logits.grad).all()


def test_elr_targets_lie_on_the_simplex_up_to_the_start_factor(batch):
    running = torch.zeros(40, 5, dtype=torch.float64)
    for visit in range(1, 5):
        running = losses.elr_update(running, F.softmax(batch[0][visit % 3], -1), momentum=0.7)
        np.testing.assert_allclose(running.sum(-1), 1 - 0.7**visit)
        assert (running >= 0).all()


def test_elr_with_strength_zero_is_cross_entropy_and_otherwise_rewards_the_target(batch):
    logits, labels = batch[0][0].clone().requires_grad_(), batch[1]
    targets = F.one_hot((labels + 1) % 5, 5).double() * 0.9
    np.testing.assert_allclose(
        losses.elr_loss(logits, labels, targets, 0.0).detach(), losses.cross_entropy(logits, labels).detach()
    )
    p = softmax(logits.detach().numpy(), axis=-1).clip(1e-4, 1 - 1e-4)
    expected = -np.log(picked(logits.detach(), labels)) + 3 * np.log(1 - (targets.numpy() * p).sum(-1))
    np.testing.assert_allclose(losses.elr_loss(logits, labels, targets, 3.0).detach(), expected)


def test_elr_update_carries_no_gradient(batch):
    logits = batch[0][0].clone().requires_grad_()
    assert not losses.elr_update(torch.zeros(40, 5), F.softmax(logits, -1), 0.7).requires_grad


def test_mixup_is_cross_entropy_against_the_mixed_one_hot_targets(batch):
    logits, labels = batch[0][0], batch[1]
    weight, permutation = losses.mixup_draw(40, 0.2, torch.Generator().manual_seed(1))
    assert sorted(permutation.tolist()) == list(range(40))
    targets = losses.mix(F.one_hot(labels, 5).double(), permutation, weight)
    torch.testing.assert_close(
        losses.mixup_loss(logits, labels, permutation, weight), losses.cross_entropy(logits, targets)
    )
    torch.testing.assert_close(losses.mix(logits, permutation, 1.0), logits)
    torch.testing.assert_close(losses.mix(logits, permutation, 0.0), logits[permutation])


def test_mixup_draws_come_from_the_generator_and_follow_beta():
    def draw():
        generator = torch.Generator().manual_seed(3)
        return [losses.mixup_draw(4, 0.5, generator)[0] for _ in range(2000)]

    weights = draw()
    assert weights == draw()
    assert np.mean(weights) == pytest.approx(0.5, abs=0.03)
    assert np.var(weights) == pytest.approx(1 / (4 * (2 * 0.5 + 1)), abs=0.01)  # Var Beta(a, a) = 1/(4(2a+1))


def test_sharpen_follows_the_definition():
    p = torch.tensor([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]], dtype=torch.float64)
    expected = p**2 / (p**2).sum(-1, keepdim=True)
    torch.testing.assert_close(losses.sharpen(p, 0.5), expected)


def test_co_regularisation_is_zero_for_identical_branches_and_the_jensen_shannon_form_otherwise(batch):
    logits, _ = batch
    same = logits[:1].expand(3, -1, -1)
    np.testing.assert_allclose(losses.co_regularisation(same), 0, atol=1e-12)
    p = softmax(logits.numpy(), axis=-1)
    expected = rel_entr(p.mean(0)[None], p).sum(-1).mean(0)
    np.testing.assert_allclose(losses.co_regularisation(logits, epsilon=0.0), expected)
    assert (losses.co_regularisation(logits) > -1e-4).all()


def test_co_regularised_cross_entropy_sums_both_terms(batch):
    logits, labels = batch
    mean_ce = np.mean([-np.log(picked(branch, labels)) for branch in logits], axis=0)
    np.testing.assert_allclose(losses.co_regularised_cross_entropy(logits, labels, 0.0), mean_ce)
    soft = torch.nn.functional.one_hot(labels, logits.shape[-1]).to(logits.dtype)
    np.testing.assert_allclose(losses.co_regularised_cross_entropy(logits, soft, 0.0), mean_ce)
    np.testing.assert_allclose(
        losses.co_regularised_cross_entropy(logits, labels, 5.0), mean_ce + 5 * losses.co_regularisation(logits).numpy()
    )


def test_the_strength_is_exactly_zero_before_the_warm_up_ends():
    steps = [losses.ramped_strength(5.0, step / 100, 0.1) for step in range(100)]
    assert steps == [0.0] * 10 + [5.0] * 90


def test_jocor_is_symmetric_and_its_kl_vanishes_for_equal_networks(batch):
    (a, b, _), labels = batch
    torch.testing.assert_close(losses.jocor_loss(a, b, labels, 0.9), losses.jocor_loss(b, a, labels, 0.9))
    np.testing.assert_allclose(losses.jocor_loss(a, a, labels, 1.0), 0, atol=1e-12)
    torch.testing.assert_close(
        losses.jocor_loss(a, b, labels, 0.0), losses.cross_entropy(a, labels) + losses.cross_entropy(b, labels)
    )
    p, q = softmax(a.numpy(), -1), softmax(b.numpy(), -1)
    np.testing.assert_allclose(losses.symmetric_kl(a, b), (rel_entr(p, q) + rel_entr(q, p)).sum(-1))


@given(noise_rate=st.floats(0, 0.95), epochs=st.integers(1, 40), exponent=st.sampled_from([0.5, 1.0, 2.0]))
def test_the_forget_rate_starts_at_zero_and_ends_at_the_noise_rate(noise_rate, epochs, exponent):
    ramp = losses.forget_ramp_epochs(epochs)
    rates = [losses.forget_rate(epoch, noise_rate, ramp, exponent) for epoch in range(epochs + ramp)]
    np.testing.assert_allclose(rates[:ramp], np.linspace(0, noise_rate**exponent, ramp), atol=1e-12)
    assert rates[0] == 0 or noise_rate == 0
    assert rates[ramp:] == [noise_rate] * epochs
    if exponent >= 1:
        assert all(np.diff(rates) >= 0)


@pytest.mark.parametrize(
    ("share", "epochs", "covered"), [(0.28, 25, 7), (0.3, 10, 3), (0.3, 11, 4), (0, 9, 0), (1, 9, 9)]
)
def test_a_share_of_the_epochs_is_the_exact_one(share, epochs, covered):
    """0.28 * 25 is 7.000000000000001 as a float."""
    assert losses.epochs_of(share, epochs) == covered
    assert losses.forget_ramp_epochs(epochs, share) == max(1, covered)


def test_small_loss_selection_keeps_the_smallest_and_never_nothing():
    values = torch.tensor([3.0, 1.0, 2.0, 0.5, 9.0])
    assert losses.small_loss_mask(values, 0.4).tolist() == [False, True, True, True, False]
    assert losses.small_loss_mask(values, 0.0).all()
    assert losses.small_loss_mask(values, 1.0).tolist() == [False, False, False, True, False]
    assert losses.small_loss_mask(torch.ones(4), 0.5).tolist() == [True, True, False, False]


@given(size=st.integers(1, 300), percent=st.integers(0, 99))
def test_small_loss_selection_keeps_the_exact_count(size, percent):
    kept = int(losses.small_loss_mask(torch.arange(float(size)), percent / 100).sum())
    assert kept == max(1, math.floor((100 - percent) * size / 100))
