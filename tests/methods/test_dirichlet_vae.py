"""The VAE of NPC and DyGen against torch.distributions, slow loops and a planted transition."""

import numpy as np
import pytest
import torch
from torch.distributions import Gamma, kl_divergence

from methods import dirichlet_vae as dv


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def vae():
    net = dv.DirichletVAE(3, 6, 4, generator())
    features = torch.randn(3, 20, 6, generator=generator(1))
    labels = torch.randint(4, (3, 20), generator=generator(2))
    return net, features, labels


def by_hand(net, m, features, j):
    """α of one branch, one row and one label, from the concatenated input [φ; onehot j]."""
    weights = torch.cat([net.features[m, :4].T, net.encode_label[m]])
    row = torch.cat([features, torch.eye(4)[j]])
    return torch.nn.functional.softplus(row @ weights + net.bias[m, :4, 0]) + 1 + 1 / 4


def test_concentrations_equal_the_loop_over_branches_rows_and_labels(vae):
    net, features, labels = vae
    everything = net.concentrations(net.read(features)[0])
    observed = net.concentration(net.read(features)[0], labels)
    for m in range(3):
        for i in range(20):
            for j in range(4):
                torch.testing.assert_close(everything[m, i, j], by_hand(net, m, features[m, i], j), atol=1e-6, rtol=0)
            torch.testing.assert_close(observed[m, i], everything[m, i, labels[m, i]], atol=1e-6, rtol=0)
    assert (everything > 1 + 1 / 4).all()


def test_the_decoder_reads_features_and_class_side_by_side(vae):
    net, features, _ = vae
    classes = torch.rand(3, 20, 4, generator=generator(3))
    weights = torch.cat([net.features[:, 4:].mT, net.decode_class], dim=1)
    expected = torch.cat([features, classes], dim=2) @ weights + net.bias[:, 4:].mT
    torch.testing.assert_close(net.reconstruct(net.read(features)[1], classes), expected)


def test_the_kl_is_that_of_gamma_distributions_and_zero_only_for_equals():
    alpha = 1 + 5 * torch.rand(50, 4, generator=generator(), dtype=torch.float64)
    prior = 1 + 5 * torch.rand(50, 4, generator=generator(1), dtype=torch.float64)
    one = torch.ones_like(alpha)
    expected = kl_divergence(Gamma(alpha, one), Gamma(prior, one)).sum(-1)
    torch.testing.assert_close(dv.gamma_kl(alpha, prior), expected)
    torch.testing.assert_close(dv.gamma_kl(alpha, alpha), torch.zeros(50, dtype=torch.float64))
    assert (dv.gamma_kl(alpha, prior) > 0).all()


def test_the_draw_approximates_the_gamma_distribution_and_carries_gradient():
    alpha = torch.tensor([1.25, 2.0, 6.0]).repeat(40_000, 1).requires_grad_()
    draw = dv.gamma_draw(alpha, generator())
    u = torch.rand(alpha.shape, generator=generator())
    torch.testing.assert_close(draw, (u * alpha * torch.exp(torch.lgamma(alpha))) ** (1 / alpha), rtol=1e-4, atol=1e-6)
    small = draw.detach()[:, 0] < 0.2  # the inversion is exact as y -> 0
    exact = torch.special.gammainc(torch.tensor(1.25), torch.tensor(0.2))
    assert small.float().mean() == pytest.approx(float(exact), rel=0.15)
    draw.sum().backward()
    assert torch.isfinite(alpha.grad).all()


def test_identical_branches_agree_and_the_agreement_term_is_not_negative(vae):
    net, features, _ = vae
    alpha = net.concentrations(net.read(features)[0])[:, :, 0]
    torch.testing.assert_close(dv.agreement_kl(alpha[:1].expand(3, -1, -1)), torch.zeros(20), atol=1e-6, rtol=0)
    assert (dv.agreement_kl(alpha) > 0).all()


def test_the_transition_sums_to_one_over_true_classes(vae):
    net, features, _ = vae
    h = dv.transition(net, features)
    torch.testing.assert_close(h.sum(dim=2), torch.ones(3, 20, 4))
    alpha = net.concentrations(net.read(features)[0])
    torch.testing.assert_close(h[1, 5, :, 2], (alpha[1, 5, 2] - 1) / (alpha[1, 5, 2] - 1).sum())


def test_correct_equals_the_quadruple_loop_and_does_not_depend_on_the_chunk(vae, monkeypatch):
    net, features, _ = vae
    p = torch.softmax(torch.randn(3, 20, 4, generator=generator(5)), -1).numpy()
    h = dv.transition(net, features).numpy()
    expected = np.zeros((20, 4))
    for m in range(3):
        for i in range(20):
            for y in range(4):
                expected[i, y] += sum(h[m, i, y, j] * p[m, i, j] for j in range(4)) / 3
    whole = dv.correct(net, features, p)
    np.testing.assert_allclose(whole, expected, atol=1e-6)
    for limit, value in (("_ROWS", 7), ("_BLOCK_BYTES", 2 * 4 * 3 * 4**2)):
        monkeypatch.setattr(dv, limit, value)
        np.testing.assert_allclose(dv.correct(net, features, p), whole, atol=1e-6)
    assert whole.dtype == np.float32


@pytest.mark.parametrize("spread", [1.0, 30.0, 200.0])
def test_with_many_classes_the_correction_is_that_of_the_transitions(spread):
    """Beside double precision; labels' weights up to ±0.08, ±2.3 (interpolated) and ±15 (as with few classes)."""
    classes, many = dv._MANY, dv.DirichletVAE(2, 30, dv._MANY, generator())
    with torch.no_grad():
        many.encode_label.mul_(spread)
        many.features.mul_(20)
    assert (dv._Series(many.encode_label[0].detach(), classes).terms <= dv._MOST_TERMS) == (spread < 100)
    features = torch.randn(2, 300, 30, generator=generator(1))
    p = torch.softmax(3 * torch.randn(2, 300, classes, generator=generator(2)), -1).numpy()
    found = dv.correct(many, features, p)
    exact = many.double()
    h = exact.concentrations(exact.read(features.double())[0]).detach() - 1
    expected = torch.einsum("mnjy,mnj->ny", h / h.sum(-1, keepdim=True), torch.from_numpy(p).double()).numpy() / 2
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)


def test_an_identity_transition_keeps_the_classifier(vae):
    net, features, _ = vae
    p = torch.softmax(torch.randn(3, 20, 4, generator=generator(5)), -1).numpy()
    with torch.no_grad():
        for parameter in (net.features, net.bias):
            parameter.zero_()
        net.encode_label.copy_((200 * torch.eye(4) - 100).expand(3, -1, -1))
    # α − 1 is at least 1/C, so H is the identity up to (1/4)/100 off the diagonal
    np.testing.assert_allclose(dv.correct(net, features, p), p.mean(0), atol=0.01)


def test_the_same_generator_gives_the_same_network(vae):
    _, features, _ = vae
    labels = np.arange(20) % 4
    prior = np.ones((3, 20, 4), dtype=np.float32) * 1.25

    def trained():
        schedule = dv.Schedule(epochs=2, batch_size=8, learning_rate=1e-2, agreement=1.0)
        *_, (net, _) = dv.fit(features, labels, prior, schedule, generator(9))
        return list(net.parameters())

    for one, two in zip(trained(), trained(), strict=True):
        assert torch.equal(one, two)


def test_the_branches_agree_after_the_exact_share_of_the_epochs(vae, monkeypatch):
    """0.28 of 25 epochs are 7, though a little more as a float."""
    _, features, _ = vae
    weights, original = [], dv.loss
    monkeypatch.setattr(dv, "loss", lambda *given: weights.append(given[-2]) or original(*given))
    schedule = dv.Schedule(epochs=25, batch_size=20, learning_rate=1e-3, agreement=2.0, agreement_warmup=0.28)
    list(dv.fit(features, np.arange(20) % 4, np.ones((3, 20, 4), np.float32), schedule, generator()))
    assert weights == [0.0] * 7 + [2.0] * 18


def test_training_branches_side_by_side_equals_training_them_alone(vae):
    """Sums of losses decouple without co-regularisation: Adam then sees each branch's own gradient."""
    net, features, labels = vae
    prior = dv.prior_concentration(torch.eye(4)[labels], 5.0)
    together = dv.loss(net, features, labels, prior, 1.0, 0.0, generator(4))
    draws = torch.rand(3, 20, 4, generator=generator(4))
    alone = []
    for m in range(3):
        alpha = net.concentration(net.read(features)[0], labels)[m]
        y = (((draws[m] * alpha).log() + torch.lgamma(alpha)) / alpha).exp()
        logits = net.reconstruct(net.read(features)[1], y.expand(3, -1, -1))[m]
        target = torch.eye(4)[labels[m]]
        bce = -(target * torch.sigmoid(logits).log() + (1 - target) * (1 - torch.sigmoid(logits)).log()).sum(-1)
        alone.append(bce + dv.gamma_kl(alpha, prior[m]))
    torch.testing.assert_close(together, torch.stack(alone).mean(0), rtol=1e-4, atol=1e-4)


def test_a_planted_transition_is_undone():
    """Separable features, every third label moved on, priors from the true class: H must move labels back."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 900)
    features = torch.from_numpy((4 * np.eye(3)[truth] + rng.normal(size=(900, 3))).astype(np.float32))[None]
    noisy = np.where(rng.random(900) < 1 / 3, (truth + 1) % 3, truth)
    prior = dv.prior_concentration(torch.eye(3)[torch.from_numpy(truth)], 5.0)[None].numpy()
    schedule = dv.Schedule(epochs=30, batch_size=64, learning_rate=1e-2)
    *_, (vae, value) = dv.fit(features, noisy, prior, schedule, generator())
    assert np.isfinite(value)
    memorised = 0.9 * np.eye(3, dtype=np.float32)[noisy][None] + 0.1 / 3
    before = (memorised[0].argmax(1) == truth).mean()
    after = (dv.correct(vae, features, memorised).argmax(1) == truth).mean()
    assert before < 0.72
    assert after > 0.95
