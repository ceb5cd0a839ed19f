"""The training loop when something goes wrong: what was drawn and what is held must not depend on it."""

import dataclasses
import gc
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bench.training import device
from bench.training.recipe import Recipe
from bench.training.toy import ToyEncoder
from bench.training.trainer import Trainer

N, CLASSES = 24, 3


@pytest.fixture
def inputs():
    encoder = ToyEncoder()
    texts = [f"w{i % 7} w{i % 5} w{i}" for i in range(N)]
    return {split: encoder.inputs({"embeddings": encoder.embed(texts)}) for split in ("train", "valid", "test")}


def trainer(**recipe):
    return Trainer(ToyEncoder(), Recipe(**{"epochs": 1, "batch_size": 8, "learning_rate": 1e-2} | recipe), ("t", 1))


def fit(run, networks, inputs, loss):
    targets = {"label": np.arange(N) % CLASSES}
    return run.fit(networks, inputs, loss, targets=targets, name="test")


def cross_entropy(outputs, batch):
    return torch.stack([F.cross_entropy(o.logits, batch.targets["label"], reduction="none") for o in outputs])


def test_a_step_repeated_for_want_of_memory_draws_what_a_step_would_have_drawn_at_once(inputs):
    """Dropout masks and the loss's own draws begin again: the failed attempt leaves no trace in the numbers."""

    def train(known_before):
        run, drawn = trainer(dropout=0.5), []
        run.micro_batch = 4 if known_before else None
        networks = run.classifiers(1, CLASSES, "test")

        def loss(outputs, batch):
            if len(batch.indices) > 4:
                torch.rand(3, generator=batch.generator)
                raise torch.OutOfMemoryError("CUDA out of memory.")
            drawn.append(torch.rand(2, generator=batch.generator))
            return cross_entropy(outputs, batch)

        (epoch,) = fit(run, networks, inputs, loss)
        return epoch.logits["test"], torch.stack(drawn)

    (logits, drawn), (logits_retried, drawn_retried) = train(True), train(False)
    np.testing.assert_array_equal(logits, logits_retried)
    assert torch.equal(drawn, drawn_retried)
    assert len(drawn.unique(dim=0)) == len(drawn)  # micro-batches of one step draw different numbers


def test_what_the_failed_attempt_held_is_let_go_before_the_next(inputs):
    """On a full device, the first attempt's activations would not leave room for the second."""

    class Activation(torch.Tensor):
        alive = 0

        def __del__(self):
            Activation.alive -= 1

    run, alive = trainer(), []

    def loss(outputs, batch):
        alive.append(Activation.alive)
        Activation.alive += 1
        held = torch.zeros(1).as_subclass(Activation)
        if len(batch.indices) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return cross_entropy(outputs, batch) + 0 * held.sum().as_subclass(torch.Tensor)

    Activation.alive = 0
    list(fit(run, run.classifiers(1, CLASSES, "test"), inputs, loss))
    assert alive[:2] == [0, 0]


@pytest.mark.parametrize("ending", ["finished", "stopped early", "failed"])
def test_networks_are_not_held_after_the_fit(inputs, ending):
    run = trainer(epochs=2)

    def loss(outputs, batch):
        if ending == "failed" and batch.step == 1:
            raise ValueError("a method's own fault")
        return cross_entropy(outputs, batch)

    networks = run.classifiers(1, CLASSES, "test")
    network = weakref.ref(networks[0])
    epochs = fit(run, networks, inputs, loss)
    del networks
    if ending == "failed":
        with pytest.raises(ValueError, match="own fault"):
            next(epochs)
    elif ending == "stopped early":
        next(epochs)
        assert network() is not None
        epochs.close()
    else:
        assert len(list(epochs)) == 2
    del epochs
    gc.collect()
    assert network() is None, "the process's accelerator, which stays, holds it"


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_a_network_dies_with_its_last_user_without_waiting_for_the_garbage_collector(inputs, precision):
    """A grid of large encoders would otherwise pile them up."""
    run = trainer(precision=precision)
    networks = run.classifiers(1, CLASSES, "test")
    alive = [weakref.ref(networks[0]), weakref.ref(networks[0].head.weight)]
    gc.disable()
    try:
        for _ in fit(run, networks, inputs, cross_entropy):
            pass
        del _, networks
        assert [reference() for reference in alive] == [None, None]
    finally:
        gc.enable()


def test_gradients_are_unscaled_once_a_step_however_many_networks(inputs, monkeypatch):
    """fp16's gradient scaler raises when it is asked twice, and clips wrongly when it is not asked."""
    run, calls, clipped = trainer(), [], []
    monkeypatch.setattr(torch.amp.GradScaler, "unscale_", lambda scaler, optimiser: calls.append(len(clipped)))
    original = torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *given: clipped.append(1) or original(*given))
    list(fit(run, run.classifiers(2, CLASSES, "test"), inputs, cross_entropy))
    assert calls == [0, 2, 4]  # three steps, each time before the two networks are clipped


def test_no_fit_in_fp16_begins_with_the_scale_that_another_one_ended_with(inputs, monkeypatch):
    """From far too large a scale, which costs the first steps: a second fit has to find its own again."""
    run = trainer(epochs=5)
    run.recipe = dataclasses.replace(run.recipe, precision="fp16")
    plain = device.accelerator("no")  # Accelerate refuses fp16 on a CPU, torch's scaler does not
    monkeypatch.setattr(Trainer, "accelerator", property(lambda trainer: plain))
    scaler, made = torch.amp.GradScaler, []

    def too_large(kind, **options):
        made.append(scaler(kind, init_scale=2.0**127, **options))
        return made[-1]

    monkeypatch.setattr(torch.amp, "GradScaler", too_large)

    def last():
        networks = run.classifiers(1, CLASSES, "test")
        return list(fit(run, networks, inputs, lambda outputs, batch: 64 * cross_entropy(outputs, batch)))[-1]

    first, second = last(), last()
    assert [each.get_scale() for each in made] == [made[0].get_scale()] * 2
    assert 1 < made[0].get_scale() < 2.0**127  # it did overflow
    np.testing.assert_array_equal(first.logits["test"], second.logits["test"])


def test_two_fits_may_be_interleaved(inputs):
    """A method may train one network while it waits for another: each gets what it would have got alone."""

    def networks(run):
        return run.classifiers(1, CLASSES, "test")

    run = trainer(epochs=2, dropout=0.3)
    alone = [epoch.logits["test"] for epoch in fit(run, networks(run), inputs, cross_entropy)]
    first, second = (fit(run, networks(run), inputs, cross_entropy) for _ in range(2))
    for expected, a, b in zip(alone, first, second, strict=True):
        np.testing.assert_array_equal(a.logits["test"], expected)
        np.testing.assert_array_equal(b.logits["test"], expected)


def test_the_processs_accelerator_is_one():
    assert device.accelerator("no") is device.accelerator("no")
