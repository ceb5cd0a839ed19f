"""Plain fine-tuning, and the oracle that is the same on gold."""

import dataclasses

import numpy as np

from bench.training.stages import StageStore
from methods import registry, shared
from tests.methods.toy import accuracy, run, toy_task, toy_tools


def test_plain_yields_the_plain_run_epoch_by_epoch():
    task = toy_task(sizes=(60, 20, 30))[0]
    steps = run("plain", task, toy_tools(epochs=3))
    expected = shared.plain_run(task, toy_tools(epochs=3))
    assert [step.step for step in steps] == [1, 2, 3]
    for number, step in enumerate(steps):
        np.testing.assert_array_equal(step.test, expected.probabilities["test"][number, 0])
        np.testing.assert_array_equal(step.valid, expected.probabilities["valid"][number, 0])
        np.testing.assert_array_equal(step.train, expected.running[number])


def test_plain_learns_clean_labels_and_memorises_wrong_ones():
    """What the benchmark measures: with noise, more epochs fit the noise and lose accuracy."""
    clean, gold, _ = toy_task(rate=0.0)
    assert accuracy(run("plain", clean, toy_tools(epochs=10)), gold) > 0.93
    noisy, gold, train_gold = toy_task(sizes=(160, 20, 300), rate=0.35)
    steps = run("plain", noisy, toy_tools(epochs=25, batch_size=40, learning_rate=3e-2, dropout=0.0))
    wrong = noisy.train_labels != train_gold
    fitted = [(step.train.argmax(1)[wrong] == noisy.train_labels[wrong]).mean() for step in steps]
    assert fitted[0] < 0.5 < 0.9 < fitted[-1]
    best = max(accuracy([step], gold) for step in steps)
    assert accuracy(steps, gold) < best - 0.05


def test_the_oracle_is_plain_on_whatever_labels_the_harness_hands_it():
    task, _, gold = toy_task(sizes=(60, 20, 30))
    on_gold = dataclasses.replace(task, train_labels=gold)
    for one, two in zip(
        run("oracle", on_gold, toy_tools(epochs=2)), run("plain", on_gold, toy_tools(epochs=2)), strict=True
    ):
        np.testing.assert_array_equal(one.test, two.test)
    assert registry.find("oracle").sees_gold
    assert not registry.find("plain").sees_gold


def test_methods_that_start_from_the_plain_run_reuse_it(tmp_path):
    task = toy_task(sizes=(60, 20, 30))[0]
    store = StageStore(tmp_path)
    for name, reused in (("plain", False), ("npc", True)):
        uses = store.begin()
        run(name, task, dataclasses.replace(toy_tools(epochs=2), stages=store))
        assert [use.reused for use in uses if use.name == "plain run"] == [reused]
