"""Co-teaching: each network learns from what the other finds easy."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bench.core.errors import Skip
from methods import co_teaching, registry, shared
from methods.co_teaching import exchanged_selection
from tests.methods.toy import run, toy_task, toy_tools

ALONE = SimpleNamespace(gather=lambda rows: (rows.detach(), slice(0, len(rows))))


def easiest(values, rate):
    """Positions of the ⌊(1 - R)·B⌋ smallest losses, by sorting."""
    keep = max(1, math.floor((1 - rate) * len(values) + 1e-9))
    return {position for _, position in sorted((value, position) for position, value in enumerate(values))[:keep]}


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.45, 0.9])
def test_each_networks_update_set_is_the_others_small_loss_set(rate):
    generator = torch.Generator().manual_seed(3)
    losses = [torch.rand(23, generator=generator) for _ in range(2)]
    weights = exchanged_selection(losses, ALONE, rate)
    for network in (0, 1):
        chosen = set(weights[network].nonzero().flatten().tolist())
        assert chosen == easiest(losses[1 - network].tolist(), rate)
    assert weights.shape == (2, 23)
    assert set(weights.flatten().tolist()) <= {0.0, 1.0}


def test_with_nothing_to_forget_both_train_on_the_whole_batch():
    assert exchanged_selection([torch.rand(9), torch.rand(9)], ALONE, 0.0).eq(1).all()


def test_small_losses_are_those_of_all_processes_together():
    """This process holds rows 4..7 of 8; the easiest half of all lies with the other one."""
    mine = torch.tensor([5.0, 6.0, 7.0, 0.5])
    batch = SimpleNamespace(gather=lambda rows: (torch.cat([torch.tensor([1.0, 2.0, 3.0, 8.0]), rows]), slice(4, 8)))
    assert exchanged_selection([mine, mine], batch, 0.5).tolist() == [[0, 0, 0, 1]] * 2


def losses_of_run(monkeypatch, tau, epochs=4):
    """[(epoch, labels, logits of both networks, weights)] of every step of a real run."""
    seen = []
    original = co_teaching.exchanged_selection

    def spy(per_network, batch, forget):
        weights = original(per_network, batch, forget)
        seen.append((batch.epoch, forget, [values.detach() for values in per_network], weights))
        return weights

    monkeypatch.setattr(co_teaching, "exchanged_selection", spy)
    steps = run("co-teaching", toy_task(sizes=(120, 20, 30))[0], toy_tools(epochs=epochs, batch_size=40), tau=tau)
    return seen, steps


def test_the_forget_rate_rises_from_zero_to_the_noise_rate(monkeypatch):
    seen, steps = losses_of_run(monkeypatch, tau="0.4", epochs=10)
    by_epoch = {epoch: forget for epoch, forget, _, _ in seen}
    # T_k = 3 of 10 epochs: R = 0, τ/2, τ, and τ from then on (Han et al. 2018, algorithm 1).
    assert [by_epoch[epoch] for epoch in range(10)] == pytest.approx([0, 0.2, *[0.4] * 8])
    for _, forget, per_network, weights in seen:
        for network in (0, 1):
            assert set(weights[network].nonzero().flatten().tolist()) == easiest(per_network[1 - network], forget)
    assert {step.diagnostics["noise_rate_estimate"] for step in steps} == {0.4}


def test_without_noise_it_is_two_plain_networks():
    """τ = 0: the mean of two networks that train by cross entropy on every row, each as if alone."""
    task, tools = toy_task(sizes=(120, 20, 30))[0], toy_tools(epochs=4, batch_size=40, dropout=0.0)
    steps = run("co-teaching", task, tools, tau="0")
    trainer = toy_tools(epochs=4, batch_size=40, dropout=0.0).trainer
    alone = []
    for branch in (0, 1):
        network = trainer.classifiers(2, 3, "co-teaching")[branch]
        epochs = trainer.fit(
            [network],
            shared.inputs(task, tools),
            lambda outputs, batch: F.cross_entropy(outputs[0].logits, batch.targets["label"], reduction="none"),
            targets={"label": task.train_labels},
            name="co-teaching",
        )
        alone.append([epoch.ensemble("test") for epoch in epochs])
    for step, first, second in zip(steps, *alone, strict=True):
        np.testing.assert_allclose(step.test, (first + second) / 2, atol=1e-5)


def test_the_true_rate_is_taken_only_when_asked_for():
    task, tools = toy_task(sizes=(60, 20, 30))[0], toy_tools(epochs=2)
    with pytest.raises(Skip, match="use tau=estimated"):
        run("co-teaching", task, tools, tau="oracle")
    tools.oracle_noise_rate = 0.31
    assert run("co-teaching", task, tools, tau="oracle")[-1].diagnostics["noise_rate_estimate"] == 0.31
    assert run("co-teaching", task, tools)[-1].diagnostics["noise_rate_estimate"] != 0.31


def test_its_defaults_are_those_of_the_paper():
    config = registry.find("co-teaching").Config()
    assert (config.tau, config.exponent, config.ramp) == ("estimated", 1.0, 0.3)
