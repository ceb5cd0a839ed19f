"""The training loop against plain torch loops that say the same thing slowly."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bench.core.errors import BenchError
from bench.core.seeds import named_generator
from bench.training.batch import PerExample
from bench.training.batches import epoch_batches
from bench.training.encoders import load_encoder
from bench.training.recipe import Recipe
from bench.training.toy import ToyEncoder
from bench.training.trainer import Trainer
from tests.training.fitting import AXES, CLASSES, SIZES, cross_entropy, fit, texts, trainer, weights


@pytest.mark.parametrize(
    ("loss", "what"),
    [
        (lambda losses: losses.mean(), r"a tensor of shape \(\)"),
        (lambda losses: losses.T, r"a tensor of shape \(8, 1\)"),
        (lambda losses: losses.sum().item(), "float"),
    ],
)
def test_a_loss_that_is_not_one_value_per_row_is_refused(inputs, labels, loss, what):
    lent = trainer()
    says = rf"a loss returned {what} for a batch of 8 rows: it must return one value per row, .* reduction='none'"
    with pytest.raises(BenchError, match=says):
        fit(lent, lent.classifiers(1, CLASSES, "test"), inputs, labels, lambda *given: loss(cross_entropy(*given)))


@pytest.mark.parametrize("weights", [torch.ones(1), torch.ones(8), None])
def test_weights_that_are_not_of_the_losses_shape_are_refused(inputs, labels, weights):
    lent = trainer()
    with pytest.raises(BenchError, match=r"PerExample of shapes \(1, 8\) and .* both be of shape \(terms, 8\)"):
        fit(
            lent, lent.classifiers(1, CLASSES, "test"), inputs, labels,
            lambda *given: PerExample(cross_entropy(*given), weights),
        )  # fmt: skip


def test_a_loss_may_leave_rows_out_by_returning_fewer(inputs, labels):
    def smaller_half(outputs, batch):
        losses = cross_entropy(outputs, batch)[0]
        return losses[losses <= losses.median()]

    def weighted(outputs, batch):
        losses = cross_entropy(outputs, batch)
        return PerExample(losses, (losses <= losses.median()).float())

    found = []
    for loss in (smaller_half, weighted):
        lent = trainer()
        found.append([epoch.loss for epoch in fit(lent, lent.classifiers(1, CLASSES, "test"), inputs, labels, loss)])
    assert found[0] == pytest.approx(found[1])


def plain_loop(network, inputs, labels, recipe, name, rows=None, lengths=None, shuffle=True, restarts=False):
    """Adam, linear warm-up and decay, clipping, written out; returns the mean loss of each epoch."""
    rows = np.arange(len(inputs)) if rows is None else rows
    adam = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, eps=recipe.adam_epsilon, foreach=False)
    steps = math.ceil(len(rows) / recipe.batch_size)
    total = steps * recipe.epochs
    warm = round(recipe.warmup * total)
    network.train()
    means, step = [], 0
    for epoch in range(recipe.epochs):
        losses = []
        order = epoch_batches(lengths, len(rows), recipe.batch_size, named_generator(*AXES, name, "order", epoch))
        if not shuffle:
            order = [
                np.arange(i, min(i + recipe.batch_size, len(rows))) for i in range(0, len(rows), recipe.batch_size)
            ]
        step = 0 if restarts else step
        for chosen in order:
            rate = step / max(1, warm) if step < warm else (total - step) / max(1, total - warm)
            for group in adam.param_groups:
                group["lr"] = recipe.learning_rate * rate
            batch = rows[chosen]
            loss = F.cross_entropy(network(**inputs.batch(batch)).logits, torch.from_numpy(labels[batch]))
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            adam.step()
            losses.append(loss.item())
            step += 1
        means.append(float(np.mean(losses)))
    return means


@pytest.mark.parametrize("clip", [1.0, 0.05])
@pytest.mark.parametrize("count", [1, 2])
def test_training_is_that_of_a_plain_loop(inputs, labels, clip, count):
    """Several networks side by side are each trained as if alone: gradients are clipped network by network."""
    run = trainer(clip=clip, warmup=0.3)
    networks = run.classifiers(count, CLASSES, "test")
    twins = copy.deepcopy(networks)
    epochs = fit(run, networks, inputs, labels)
    losses = [plain_loop(twin, inputs["train"], labels, run.recipe, "test") for twin in twins]
    for network, twin in zip(networks, twins, strict=True):
        torch.testing.assert_close(weights(network), weights(twin), rtol=0, atol=1e-6)
    np.testing.assert_allclose([epoch.loss for epoch in epochs], np.sum(losses, axis=0), rtol=1e-5)


@pytest.mark.parametrize("habits", [{"shuffle": False}, {"restarts": True}, {"shuffle": False, "restarts": True}])
def test_habits_of_released_code_are_those_of_a_plain_loop(inputs, labels, habits):
    run = trainer(warmup=0.3)
    networks = run.classifiers(1, CLASSES, "test")
    twins = copy.deepcopy(networks)
    usual = copy.deepcopy(networks)
    fit(run, networks, inputs, labels, **habits)
    fit(run, usual, inputs, labels)
    plain_loop(twins[0], inputs["train"], labels, run.recipe, "test", **habits)
    torch.testing.assert_close(weights(networks[0]), weights(twins[0]), rtol=0, atol=1e-6)
    assert not torch.equal(weights(networks[0]), weights(usual[0]))


def test_training_a_transformer_is_that_of_a_plain_loop(tiny_bert, labels):
    encoder = load_encoder(str(tiny_bert))
    data = {split: encoder.inputs(encoder.tokenise(texts(split))) for split in SIZES}
    run = Trainer(encoder, Recipe(epochs=2, batch_size=8, learning_rate=1e-3, dropout=0.0), AXES)
    networks = run.classifiers(2, CLASSES, "test")
    twins = copy.deepcopy(networks)
    fit(run, networks, data, labels)
    for network, twin in zip(networks, twins, strict=True):
        plain_loop(twin, data["train"], labels, run.recipe, "test", lengths=data["train"].lengths)
        torch.testing.assert_close(weights(network), weights(twin), rtol=0, atol=1e-5)


def test_weight_decay_is_decoupled(inputs, labels):
    run = trainer(weight_decay=0.1, epochs=1, batch_size=45, warmup=0)
    (network,) = run.classifiers(1, CLASSES, "test")
    twin = copy.deepcopy(network)
    fit(run, [network], inputs, labels)
    adam = torch.optim.AdamW(twin.parameters(), lr=1e-2, eps=run.recipe.adam_epsilon, weight_decay=0.1)
    F.cross_entropy(twin(**inputs["train"].batch(np.arange(45))).logits, torch.from_numpy(labels)).backward()
    torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
    adam.step()
    torch.testing.assert_close(weights(network), weights(twin), rtol=0, atol=1e-6)


def gradient_step(run, network, inputs, labels, loss):
    """The change of weights by one step on all rows."""
    before = weights(network)
    fit(run, [network], inputs, labels, loss)
    return weights(network) - before


def test_weights_of_examples_are_a_weighted_mean(inputs, labels):
    """PerExample: the sum over terms of Σ w l / Σ w."""
    run = trainer(epochs=1, batch_size=45, warmup=0, clip=1e9, adam_epsilon=1e-3)  # no blowing up of rounding
    say = torch.from_numpy(named_generator("say").random((2, 45)).astype(np.float32))

    def loss(outputs, batch):
        values = cross_entropy(outputs, batch)[0]
        return PerExample(torch.stack([values, values**2]), say[:, batch.indices])

    networks = run.classifiers(1, CLASSES, "test")
    twin = copy.deepcopy(networks[0])
    (epoch,) = fit(run, networks, inputs, labels, loss)
    values = F.cross_entropy(
        twin(**inputs["train"].batch(np.arange(45))).logits, torch.from_numpy(labels), reduction="none"
    )
    closed = (say[0] * values).sum() / say[0].sum() + (say[1] * values**2).sum() / say[1].sum()
    assert epoch.loss == pytest.approx(closed.item(), rel=1e-5)
    closed.backward()
    adam = torch.optim.Adam(twin.parameters(), lr=1e-2, eps=run.recipe.adam_epsilon)
    adam.step()
    torch.testing.assert_close(weights(networks[0]), weights(twin), rtol=0, atol=2e-6)


def test_examples_of_weight_zero_do_not_train(inputs, labels):
    run = trainer(epochs=1, batch_size=45, warmup=0)
    keep = torch.from_numpy(np.arange(45) % 3 == 0).float()

    def chosen(outputs, batch):
        return PerExample(cross_entropy(outputs, batch), keep[batch.indices][None])

    other = np.where(keep.numpy() > 0, labels, (labels + 1) % CLASSES)
    steps = [gradient_step(run, run.classifiers(1, CLASSES, "test")[0], inputs, y, chosen) for y in (labels, other)]
    torch.testing.assert_close(steps[0], steps[1], rtol=0, atol=0)


def test_weights_that_are_all_zero_change_nothing(inputs, labels):
    run = trainer(epochs=1, batch_size=45, warmup=0)
    nothing = lambda outputs, batch: PerExample(cross_entropy(outputs, batch), torch.zeros(1, 45))  # noqa: E731
    assert gradient_step(run, run.classifiers(1, CLASSES, "test")[0], inputs, labels, nothing).abs().max() == 0


def test_targets_that_a_method_changes_between_epochs_are_seen(inputs, labels):
    run, mutable, seen = trainer(), labels.copy(), []

    def loss(outputs, batch):
        seen.append((batch.epoch, batch.indices.numpy(), batch.targets["label"].numpy().copy()))
        return cross_entropy(outputs, batch)

    expected = {}
    for epoch in run.fit(run.classifiers(1, CLASSES, "test"), inputs, loss, targets={"label": mutable}, name="test"):
        expected[epoch.number - 1] = mutable.copy()
        mutable[:] = (mutable + 1) % CLASSES
    for epoch, rows, given in seen:
        np.testing.assert_array_equal(given, expected[epoch][rows])
    assert not np.array_equal(expected[0], expected[1])


def test_a_loss_knows_where_in_the_run_it_is(inputs, labels):
    run, steps = trainer(epochs=2, batch_size=10), []

    def loss(outputs, batch):
        steps.append((batch.epoch, batch.step, batch.total_steps, batch.progress))
        return cross_entropy(outputs, batch)

    fit(run, run.classifiers(1, CLASSES, "test"), inputs, labels, loss)
    assert steps == [(step // 5, step, 10, step / 10) for step in range(10)]


def test_rows_restrict_training_to_some_texts(inputs, labels):
    rows = np.array([3, 4, 8, 15, 16, 23, 42])
    run = trainer(batch_size=3)
    (network,) = run.classifiers(1, CLASSES, "test")
    twin = copy.deepcopy(network)
    epochs = fit(run, [network], inputs, labels, rows=rows)
    plain_loop(twin, inputs["train"], labels, run.recipe, "test", rows=rows)
    torch.testing.assert_close(weights(network), weights(twin), rtol=0, atol=1e-6)
    visited = ~np.isnan(epochs[0].running).any(1)
    np.testing.assert_array_equal(np.flatnonzero(visited), rows)


def test_no_rows_are_refused(inputs, labels):
    run = trainer()
    with pytest.raises(ValueError, match="no training rows are left"):
        fit(run, run.classifiers(1, CLASSES, "test"), inputs, labels, rows=np.array([], int))


def test_running_predictions_are_those_before_the_update(inputs, labels):
    """One batch an epoch: what is kept of epoch k is what the network after epoch k - 1 says, mean over networks."""
    run = trainer(batch_size=45, warmup=0)
    networks = run.classifiers(2, CLASSES, "test")
    everything = inputs["train"].batch(np.arange(45))

    def say():
        with torch.no_grad():
            return torch.stack([network(**everything).logits.softmax(-1) for network in networks]).mean(0)

    before = say()
    for epoch in run.fit(networks, inputs, cross_entropy, targets={"label": labels}, name="test"):
        np.testing.assert_allclose(epoch.running, before, atol=1e-6)
        before = say()


def test_predictions_and_features_are_those_of_the_networks(inputs, labels):
    run = trainer(epochs=1, dropout=0.5)
    networks = run.classifiers(2, CLASSES, "test")
    (epoch,) = fit(run, networks, inputs, labels, evaluate=("train", "test"), features=True)
    assert set(epoch.logits) == set(epoch.features) == {"train", "test"}
    for split in ("train", "test"):
        for branch, network in enumerate(networks):
            with torch.no_grad():
                said = network.eval()(**inputs[split].batch(np.arange(SIZES[split])))
            np.testing.assert_allclose(epoch.logits[split][branch], said.logits, atol=1e-6)
            np.testing.assert_allclose(epoch.features[split][branch], said.features, atol=1e-6)
    np.testing.assert_allclose(epoch.ensemble("test"), epoch.probabilities("test").mean(0))
    np.testing.assert_allclose(
        epoch.probabilities("test"), torch.from_numpy(epoch.logits["test"]).softmax(-1), atol=1e-6
    )
    assert not fit(run, networks, inputs, labels)[0].features


def test_a_loss_that_is_not_finite_says_what_to_do(inputs, labels):
    run = trainer(learning_rate=0.5)
    with pytest.raises(FloatingPointError, match=r"became nan in epoch 1: lower --learning-rate \(now 0.5\)"):
        fit(run, run.classifiers(1, CLASSES, "test"), inputs, labels, lambda o, b: cross_entropy(o, b) * float("nan"))


def test_the_same_axes_give_the_same_bits_and_dropout_has_its_own_stream(inputs, labels):
    def train(axes, noise):
        run = Trainer(ToyEncoder(), Recipe(epochs=2, batch_size=8, learning_rate=1e-2, dropout=0.3), axes)
        networks = run.classifiers(1, CLASSES, "test")

        def loss(outputs, batch):
            torch.rand(noise)  # what anyone else draws from the global stream must not matter
            return cross_entropy(outputs, batch)

        return fit(run, networks, inputs, labels, loss)[-1].logits["test"]

    first = train(AXES, 1)
    np.testing.assert_array_equal(first, train(AXES, 17))
    assert not np.array_equal(first, train(("task", "noise", 2), 1))


def test_heads_differ_by_branch_and_bodies_do_not(tiny_bert):
    run = Trainer(load_encoder(str(tiny_bert)), Recipe(), AXES)
    a, b = run.classifiers(2, CLASSES, "test")
    assert torch.equal(weights(a.body), weights(b.body))
    assert not torch.equal(a.head.weight, b.head.weight)
    assert a.body.model is not b.body.model
