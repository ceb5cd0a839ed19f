import itertools
import math

import pytest
import torch

from methods.sidyp.config import behaviour
from methods.sidyp.retrieval import Candidates
from methods.sidyp.sample import predict, transitions
from methods.sidyp.train import clip_branches, draw, learning_rate_factor, running_mean, train
from tests.methods.sidyp import reference, toy


def problem(config, *, size=37, classes=4, width=15, seed=0):
    """A denoiser, trajectories, labels and candidates: about half of the texts are uncertain."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(config.branches, size, width, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (size,), generator=generator)
    weights = torch.rand(config.branches, size, classes, generator=generator, dtype=torch.float64)
    weights = weights * (torch.rand(weights.shape, generator=generator) < 0.7) + 0.05
    uncertain = torch.rand(config.branches, size, generator=generator) < 0.5
    weights = torch.where(uncertain.unsqueeze(-1), weights, torch.nn.functional.one_hot(labels, classes).double())
    weights = weights / weights.sum(-1, keepdim=True)
    return toy.denoiser(config, classes=classes, width=width), features, labels, Candidates(weights, uncertain)


def run(config, net, features, labels, candidates, seed=5):
    how, generator = behaviour(config), torch.Generator().manual_seed(seed)
    return list(train(net, config, how, toy.float64_schedule(config), features, labels, candidates, generator, seed))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"width": "full"},
        {"branches": 1},
        {"mode": "official"},
        {"mode": "official", "width": "full", "branches": 3},
        {"inference_steps": 3, "simplex_value": 2.0},
    ],
    ids=str,
)
def test_training_and_prediction_equal_the_slow_reference(changes):
    """Losses, candidate weights, parameters and predictions on the same random numbers, float64."""
    config = toy.config(**changes)
    net, features, labels, candidates = problem(config)
    singles = [reference.Net(net, m).double() for m in range(config.branches)]
    weights, seed = candidates.weights.clone(), 5
    start = weights.clone()
    generator, how = torch.Generator().manual_seed(seed), behaviour(config)
    losses = reference.train(
        singles, features, labels, weights, candidates.uncertain, config,
        draws_of_step=lambda shape, warm: draw(config, how, shape, warm, generator, seed),
        order_of_epoch=lambda size: torch.randperm(size, generator=generator) if how.shuffle else torch.arange(size),
    )  # fmt: skip
    epochs = run(config, net, features, labels, candidates, seed)
    steps = len(losses) // config.epochs
    for number, epoch in enumerate(epochs):
        expected = sum(losses[number * steps : (number + 1) * steps]) / steps
        assert epoch.facts["loss"] == pytest.approx(expected, rel=1e-6)
    assert not torch.equal(weights, start)
    torch.testing.assert_close(candidates.weights, weights, rtol=0, atol=1e-9)
    for m, single in enumerate(singles):
        torch.testing.assert_close(net.layers[2].weight[m].T, single.lin[2].weight, rtol=0, atol=1e-6)
        torch.testing.assert_close(net.head.weight[m].T, single.out.weight, rtol=0, atol=1e-6)
        torch.testing.assert_close(net.times[0][m], single.emb[0].weight, rtol=0, atol=1e-6)
        torch.testing.assert_close(net.norms[1].running_var[m, 0], single.bn[1].running_var, rtol=0, atol=1e-5)

    texts = torch.Generator().manual_seed(9)
    new = torch.randn(config.branches, 3, 15, generator=texts, dtype=torch.float64)
    probabilities = torch.rand(config.branches, 3, 4, generator=texts, dtype=torch.float64)
    noise = torch.randn(2, 3, config.inference_steps, 4, generator=texts)
    fast = predict(probabilities, transitions(net, toy.float64_schedule(config), new, noise))
    slow = reference.predict(singles, new, probabilities, noise, config)
    torch.testing.assert_close(torch.from_numpy(fast).double(), slow, rtol=0, atol=1e-5)


def test_the_warm_up_leaves_the_candidate_weights_alone():
    config = toy.config(warm_up=1.0)
    net, features, labels, candidates = problem(config)
    before = candidates.weights.clone()
    run(config, net, features, labels, candidates)
    assert torch.equal(candidates.weights, before)


def test_the_warm_up_takes_the_exact_share_of_the_epochs():
    """0.28 of 25 epochs are 7, though a little more as a float."""
    epochs = run(config := toy.config(epochs=25, warm_up=0.28), *problem(config))
    assert [epoch.facts["weights_moved"] > 0 for epoch in epochs] == [False] * 7 + [True] * 18


def test_refinement_moves_uncertain_weights_and_nothing_else():
    config = toy.config()
    net, features, labels, candidates = problem(config)
    before = candidates.weights.clone()
    epochs = run(config, net, features, labels, candidates)
    moved = (candidates.weights != before).any(-1)
    assert moved[candidates.uncertain].any()
    assert not moved[~candidates.uncertain].any()
    assert torch.equal(candidates.weights > 0, before > 0)
    assert epochs[0].facts["weights_moved"] == 0 < epochs[-1].facts["weights_moved"]


def test_official_reverse_samples_are_equal_and_paper_samples_differ():
    shape, generator = (2, 8, 4), torch.Generator().manual_seed(0)
    official = toy.config(mode="official")
    first, second = (draw(official, behaviour(official), shape, False, generator, 3).refine for _ in range(2))
    assert first.shape[1] == 1  # one sample, counted S times
    assert torch.equal(first, second)
    assert torch.equal(first[0], first[1])
    paper = toy.config()
    first, second = (draw(paper, behaviour(paper), shape, False, generator, 3).refine for _ in range(2))
    assert first.shape[1] == paper.train_samples
    assert not torch.equal(first[:, 0], first[:, 1])
    assert not torch.equal(first, second)


@pytest.mark.parametrize("size", [2, 3, 17, 33])
@pytest.mark.parametrize("branches", [1, 3])
def test_odd_sizes_and_one_branch(size, branches):
    """A last batch of one text, batches without a certain text, one branch."""
    config = toy.config(branches=branches)
    net, features, labels, candidates = problem(config, size=size)
    candidates.uncertain[:] = True
    epochs = run(config, net, features, labels, candidates)
    assert all(math.isfinite(epoch.facts["loss"]) for epoch in epochs)
    assert all(parameter.isfinite().all() for parameter in net.parameters())


def test_one_text_alone_trains_nothing_and_does_not_fail():
    config = toy.config()
    net, features, labels, candidates = problem(config, size=1)
    assert run(config, net, features, labels, candidates)[-1].facts["loss"] == 0


def test_learning_rate_rises_once_then_falls_to_zero():
    rates = [learning_rate_factor(u / 100, 0.2) for u in range(101)]
    assert rates[0] == 0
    assert rates[10] == pytest.approx(0.5)
    assert rates[20] == 1
    assert rates[60] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert all(a > b for a, b in itertools.pairwise(rates[20:]))
    assert learning_rate_factor(0.0, 0.0) == 1
    assert learning_rate_factor(0.5, 1.0) == 0.5


@pytest.mark.parametrize("only_last", [False, True])
def test_each_branch_is_clipped_by_its_own_norm(only_last):
    a, b = (torch.nn.Parameter(torch.zeros(2, 3, size)) for size in (4, 1))
    generator = torch.Generator().manual_seed(0)
    for parameter in (a, b):
        parameter.grad = torch.randn(parameter.shape, generator=generator) * torch.tensor([10.0, 0.01]).view(2, 1, 1)
    expected = [parameter.grad.clone() for parameter in (a, b)]
    if not only_last:
        norm = torch.cat([grad[0].flatten() for grad in expected]).norm()
        for grad in expected:
            grad[0] /= norm
    clip_branches([a, b], 1.0, only_last)
    torch.testing.assert_close(a.grad, expected[0])
    torch.testing.assert_close(b.grad, expected[1])


def test_running_mean_is_used_and_its_decay_rises_from_a_tenth():
    config = toy.config(ema_decay=0.999)
    net, features, labels, candidates = problem(config)
    epochs = run(config, net, features, labels, candidates)
    assert epochs[-1].denoiser is not net
    assert not torch.equal(epochs[-1].denoiser.head.weight, net.head.weight)
    single = torch.nn.Linear(1, 1, bias=False)
    average, expected = running_mean(single, 0.5), None
    for seen, value in enumerate([1.0, 2.0, 5.0, 3.0, 8.0, 1.0, 4.0, 2.0, 6.0, 7.0]):
        single.weight.data.fill_(value)
        average.update_parameters(single)
        rate = min(0.5, (1 + seen) / (10 + seen))
        expected = value if seen == 0 else rate * expected + (1 - rate) * value
    assert average.module.weight.item() == pytest.approx(expected)


def test_equal_seeds_train_equal_denoisers():
    config = toy.config()
    nets = []
    for _ in range(2):
        net, features, labels, candidates = problem(config)
        run(config, net, features, labels, candidates)
        nets.append(net)
    for one, other in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(one, other)
