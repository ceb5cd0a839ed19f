"""Methods with human labels: what they make of them, compared with training by hand."""

import dataclasses

import numpy as np
import pytest

from bench.training.stages import StageStore
from methods.base import HumanLabels
from tests.methods.toy import accuracy, run, toy_task, toy_tools


def asked(rows, sizes=(120, 20, 200), rate=0.45):
    """A task with gold for the given train rows, and gold of test and train."""
    task, test, train = toy_task(sizes=sizes, rate=rate)
    rows = np.array(rows)
    return dataclasses.replace(task, human=HumanLabels(rows, train[rows])), test, train


def same(one, two):
    return all(
        np.array_equal(a.test, b.test) and np.array_equal(a.valid, b.valid) for a, b in zip(one, two, strict=True)
    )


def test_gold_knows_its_rows_and_nothing_of_the_noisy_labels():
    task, _, _ = asked(range(30))
    steps = run("gold", task, toy_tools(epochs=4), rows=30)
    other = dataclasses.replace(task, train_labels=(task.train_labels + 1) % 3, valid_labels=task.valid_labels * 0)
    assert same(steps, run("gold", other, toy_tools(epochs=4), rows=30))
    assert [step.step for step in steps] == [1, 2, 3, 4]
    relabelled = dataclasses.replace(task, human=HumanLabels(task.human.rows, (task.human.labels + 1) % 3))
    assert not same(steps, run("gold", relabelled, toy_tools(epochs=4), rows=30))


def test_few_rows_get_as_many_steps_as_all():
    """Ten rows are trained on as often as 120 are, so they are learned."""
    counted = []
    for rows in (10, 120):
        tools = toy_tools(epochs=3, batch_size=16, learning_rate=3e-2)
        tools.trainer.track = lambda values, step: counted.append(step)
        task, test, _ = asked(range(rows))
        steps = run("gold", task, tools, rows=rows)
        assert accuracy(steps, test) > 0.7
    assert counted == 2 * list(range(1, 3 * 8 + 1))  # ceil(120 / 16) batches in each of 3 epochs


def test_one_gold_run_serves_all_noise_sources(tmp_path):
    task, _, _ = asked(range(20))
    store = StageStore(tmp_path)
    found = []
    for noise, reused in (("mixtral/few", False), ("sn@0.3", True)):
        uses = store.begin()
        tools = dataclasses.replace(toy_tools(epochs=2), stages=store, axes=("toy", noise))
        found.append(run("gold", task, tools, rows=20))
        assert tools.trainer.parameters > 0
        assert [use.reused for use in uses if use.name == "gold run"] == [reused]
    assert same(*found)


def test_noisy_then_gold_begins_as_plain_does_and_ends_better():
    task, test, _ = asked(range(60))
    plain = run("plain", task, toy_tools(epochs=4, learning_rate=1e-2))
    steps = run("noisy-then-gold", task, toy_tools(epochs=4, learning_rate=1e-2), rows=60)
    assert [step.step for step in steps] == list(range(1, 9))
    assert same(plain, steps[:4])
    assert accuracy(steps, test) > accuracy(plain, test) + 0.1


def test_mixed_is_plain_on_the_labels_with_the_human_ones_put_in():
    task, _, gold = asked(range(40))
    labels = task.train_labels.copy()
    labels[:40] = gold[:40]
    assert (labels != task.train_labels).any()
    by_hand = run("plain", dataclasses.replace(task, train_labels=labels), toy_tools(epochs=2))
    assert same(by_hand, run("mixed", task, toy_tools(epochs=2), rows=40))


@pytest.mark.parametrize("name", ["gold", "noisy-then-gold", "mixed"])
def test_classes_without_a_human_label_are_named_and_the_others_trained(name):
    task, _, gold = asked(range(120))
    rows = np.flatnonzero(gold != 2)[:30]
    task = dataclasses.replace(task, human=HumanLabels(rows, gold[rows]))
    steps = run(name, task, toy_tools(epochs=2), rows=30)
    assert steps[-1].diagnostics["classes_without_human_label"] == ["class 2"]
    assert run(name, asked(range(120))[0], toy_tools(epochs=1), rows=120)[-1].diagnostics == {}
