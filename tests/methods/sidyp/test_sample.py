import math

import numpy as np
import pytest
import torch
from torch import nn

from methods.sidyp.denoiser import Denoiser
from methods.sidyp.sample import batch_noise, example_noise, predict, reverse, transitions
from tests.methods.sidyp import reference, toy


class Constant(Denoiser):
    """A denoiser whose logits depend on the given label alone: `head` sees the one-hot of a."""

    def __init__(self, table):
        classes = len(table)
        generator = torch.Generator().manual_seed(0)
        super().__init__(
            branches=2, num_classes=classes, condition_width=3, width=classes, train_timesteps=20, generator=generator
        )
        self.double()
        for index, (layer, norm, times) in enumerate(zip(self.layers, self.norms, self.times, strict=True)):
            layer.weight.data.zero_()
            layer.weight.data[:, -classes:] = torch.eye(classes, dtype=torch.float64) * (1 if index else 10)
            layer.bias.data.zero_()
            norm.eps = 0.0
            times.data.fill_(1.0)
        self.condition_norm.weight.data.zero_()
        self.condition_norm.bias.data.fill_(1.0)
        self.head.weight.data.copy_(torch.as_tensor(table, dtype=torch.float64) * 10)
        self.head.bias.data.zero_()
        self.eval()


def run(net, probabilities, config, noise=None, **options):
    texts = probabilities.shape[1]
    features = torch.randn(2, texts, net.project.weight.shape[1], generator=torch.Generator().manual_seed(1))
    if noise is None:
        noise = example_noise(0, [f"t{i}" for i in range(texts)], 2, config.inference_steps, net.num_classes)
    return predict(probabilities, transitions(net, toy.float64_schedule(config), features, noise, **options))


def random_probabilities(texts, classes=3, seed=2):
    shape = (2, texts, classes)
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).softmax(-1)


def test_a_denoiser_that_returns_the_given_label_leaves_the_classifier_as_it_is():
    probabilities, config = random_probabilities(7), toy.config()
    leak = 3 * math.exp(-2 * config.simplex_value)
    np.testing.assert_allclose(run(Constant(np.eye(3)), probabilities, config), probabilities.mean(0), atol=leak)


def test_a_denoiser_that_returns_one_class_predicts_it():
    assert (run(Constant([[1, 0, 0]] * 3), random_probabilities(7), toy.config())[:, 0] >= 0.999).all()


def test_chosen_posterior_and_official_clipping_decide_how_sure_a_vote_is():
    config, official = toy.config(), toy.config(mode="official")
    sure = torch.eye(3, dtype=torch.float64)[[0]].expand(2, 1, 3)
    net = Constant(np.eye(3))
    assert run(net, sure, config)[0, 0] == pytest.approx(1 / (1 + 2 * math.exp(-10)))
    assert run(net, sure, official)[0, 0] == pytest.approx(math.e**2 / (math.e**2 + 2))
    with torch.no_grad():
        logits = net.head(nn.functional.softplus(nn.functional.softplus(nn.functional.softplus(
            torch.tensor([[50.0, -50, -50]] * 2, dtype=torch.float64).unsqueeze(1)))))  # fmt: skip
    assert run(net, sure, config, kind="logits")[0, 0] == pytest.approx(logits.softmax(-1)[0, 0, 0].item())


@pytest.mark.parametrize(("mode", "allowed"), [("paper", 5.0), ("official", 1.0)])
def test_the_network_is_told_the_scaled_time_and_the_last_point_is_a_vertex(mode, allowed, monkeypatch):
    config = toy.config(mode=mode)
    net, told = toy.denoiser(config).eval(), []
    monkeypatch.setattr(net, "at_time", lambda time: told.append(time) or Denoiser.at_time(net, time))
    path = []
    gate = net.condition(torch.randn(2, 3, 15, generator=torch.Generator().manual_seed(0)))
    noise = torch.randn(1, 2, 3, config.inference_steps, 4, generator=torch.Generator().manual_seed(1))
    given = torch.zeros(1, 2, 3, dtype=torch.int64)
    reverse(net, toy.float64_schedule(config), gate, given, noise, path=path)
    assert told == ([16, 12, 8, 4, 0] if mode == "paper" else [4, 3, 2, 1, 0])
    assert len(path) == config.inference_steps + 1
    assert set(path[-1].flatten().tolist()) == {-allowed, allowed}
    torch.testing.assert_close(path[0][0, 1], 5.0 * noise[0, 1, :, -1].double())


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_prediction_equals_the_loop_over_texts_branches_labels_and_samples(mode):
    config = toy.config(mode=mode)
    net = toy.denoiser(config).eval()
    features = torch.randn(2, 6, 15, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    probabilities = random_probabilities(6, 4)
    noise = torch.randn(3, 6, config.inference_steps, 4, generator=torch.Generator().manual_seed(4))
    fast = predict(probabilities, transitions(net, toy.float64_schedule(config), features, noise))
    nets = [reference.Net(net, m) for m in range(2)]
    slow = reference.predict(nets, features, probabilities, noise, config)
    np.testing.assert_allclose(fast, slow, atol=1e-5)
    assert fast.std(0).max() > 0.01  # texts differ


def test_prediction_depends_neither_on_the_batch_nor_on_the_order_of_texts():
    config = toy.config()
    net = toy.denoiser(config).float()
    texts, order = [f"text {i}" for i in range(11)], torch.randperm(11, generator=torch.Generator().manual_seed(0))
    features = torch.randn(2, 11, 15, generator=torch.Generator().manual_seed(3))
    probabilities = random_probabilities(11, 4).float()

    def predicted(rows, memory):
        noise = example_noise(7, [texts[row] for row in rows], 2, config.inference_steps, 4)
        tables = toy.float64_schedule(config).to("cpu")
        chunks = transitions(net, tables, features[:, rows], noise, memory_bytes=memory)
        return predict(probabilities[:, rows], chunks)

    whole = predicted(torch.arange(11), 2**30)
    np.testing.assert_allclose(predicted(torch.arange(11), 1), whole, atol=1e-6)
    np.testing.assert_allclose(predicted(order, 5000), whole[order], atol=1e-6)
    np.testing.assert_allclose(whole.sum(1), 1, atol=1e-6)
    assert whole.dtype == np.float32


def test_noise_is_of_the_text_alone_and_samples_differ():
    noise = example_noise(1, ["a", "b", "a"], 3, 10, 4)
    assert noise.shape == (3, 3, 10, 4)
    assert torch.equal(noise[:, 0], noise[:, 2])
    assert not torch.equal(noise[:, 0], noise[:, 1])
    assert not torch.equal(noise[0], noise[1])
    assert torch.equal(example_noise(1, ["b"], 3, 10, 4)[:, 0], noise[:, 1])
    assert not torch.equal(example_noise(2, ["a"], 3, 10, 4)[:, 0], noise[:, 0])
    many = example_noise(1, [str(i) for i in range(500)], 4, 10, 5)
    assert abs(many.mean().item()) < 0.02
    assert abs(many.std().item() - 1) < 0.02


def test_official_noise_restarts_with_every_batch():
    noise = batch_noise(1, 10, 4, 5, 3)
    assert noise.shape == (1, 10, 5, 3)
    assert torch.equal(noise[:, 0:4], noise[:, 4:8])
    assert torch.equal(noise[:, 0:2], noise[:, 8:10])


def test_drawn_classes_follow_the_softmax():
    """projection=sample with Gumbel noise: shares of the last step equal the softmax of its logits."""
    config = toy.config(inference_steps=1)
    net = toy.denoiser(config).eval()
    draws = 20_000
    gate = net.condition(torch.zeros(2, 1, 15))
    generator = torch.Generator().manual_seed(0)
    gumbel = -torch.empty(1, draws, 1, 1, 4).exponential_(generator=generator).log()
    given, noise = torch.zeros(1, draws, 1, dtype=torch.int64), torch.zeros(1, draws, 1, 1, 4)
    classes, logits = reverse(net, toy.float64_schedule(config), gate, given, noise, gumbel=gumbel)
    shares = classes[0].flatten().bincount(minlength=4) / draws
    torch.testing.assert_close(shares.double(), logits[0, 0, 0].softmax(-1), atol=0.02, rtol=0)
