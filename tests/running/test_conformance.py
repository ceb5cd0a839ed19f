"""The conformance suite passes every method of this package and fails methods that break one rule each."""

import functools
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.running.conformance import (
    CHECKS,
    make_case,
    predict,
    relabelled,
    run_checks,
)
from methods import registry
from methods.base import Predictions, config

SELECTORS = [*registry.available(), "plain+ts", "co-teaching+ts"]


@functools.cache
def outcomes(selector):
    return {outcome.check: outcome for outcome in run_checks(selector)}


@pytest.mark.parametrize("selector", SELECTORS)
def test_every_method_passes_every_check(selector):
    found = outcomes(selector)
    assert list(found) == list(CHECKS)
    assert {check: outcome.problem for check, outcome in found.items() if outcome.problem} == {}
    assert all(outcome.why for outcome in found.values())


def test_a_split_may_be_empty():
    steps = predict(registry.build(registry.find("plain"), {}), make_case((20, 0, 5)), epochs=1)
    assert steps[-1].valid.shape == (0, len(make_case().task.label_names))


@pytest.mark.parametrize("selector", ["oracle", "co-teaching[tau=oracle]"])
def test_what_is_told_gold_is_not_checked_for_it(selector):
    assert "not for this method: a reference, which is given gold" in outcomes(selector)["independence of gold"].why
    assert all(outcome.problem is None for outcome in outcomes(selector).values())


def test_the_true_rate_is_that_of_the_labels_that_methods_learn_from():
    """A label that was not given is filled in, and what is filled in is mostly wrong."""
    case = make_case()
    labels = case.labels.train.copy()
    labels[::2] = -1
    method = registry.build(registry.find("co-teaching"), {"tau": "oracle"})
    tau = predict(method, relabelled(case, labels), epochs=1)[-1].diagnostics["noise_rate_estimate"]
    answered = labels >= 0
    of_answers = (labels != case.task.gold.train)[answered].mean()
    chance = 1 - 1 / len(case.task.label_names)
    expected = of_answers * answered.mean() + chance * (~answered).mean()
    assert abs(tau - expected) < 0.1
    assert tau > of_answers + 0.05


def uniform(size, classes):
    return np.full((size, classes), 1 / classes, np.float32)


def honest(task, tools):
    """Class shares of the noisy training labels, the same for every text."""
    shares = np.bincount(task.train_labels[task.train_labels >= 0], minlength=task.num_classes) + 1.0
    row = (shares / shares.sum()).astype(np.float32)
    return np.tile(row, (len(task.valid), 1)), np.tile(row, (len(task.test), 1))


def wrong_dtype(task, tools):
    return tuple(p.astype(np.float64) for p in honest(task, tools))


def wrong_shape(task, tools):
    valid, test = honest(task, tools)
    return valid, test[:-1]


def rows_not_one(task, tools):
    valid, test = honest(task, tools)
    return valid, test * np.float32(0.9)


def negative(task, tools):
    valid, test = honest(task, tools)
    test[0] = 0
    test[0, :2] = (1.5, -0.5)
    return valid, test


def not_finite(task, tools):
    valid, test = honest(task, tools)
    valid[0, 0] = np.nan
    return valid, test


def a_list(task, tools):
    valid, test = honest(task, tools)
    return valid.tolist(), test


def global_numpy(task, tools):
    return uniform(len(task.valid), task.num_classes), np.random.dirichlet(
        np.ones(task.num_classes), len(task.test)
    ).astype(np.float32)


def global_torch(task, tools):
    logits = torch.randn(len(task.test), task.num_classes)
    return uniform(len(task.valid), task.num_classes), logits.softmax(1).numpy()


def random_running(task, tools):
    draw = np.random.dirichlet(np.ones(task.num_classes), len(task.train)).astype(np.float32)
    return *honest(task, tools), draw


def random_posterior(task, tools):
    return *honest(task, tools), None, random_running(task, tools)[2]


def random_diagnostics(task, tools):
    return *honest(task, tools), None, None, {"draw": float(np.random.rand()), "other": 1}


def gold_of(split):
    """Found in the frames above, as no honest method would."""
    import sys

    frame = sys._getframe()
    while "case" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals["case"].task.gold.of(split)


def reads_gold(task, tools):
    return uniform(len(task.valid), task.num_classes), np.eye(task.num_classes, dtype=np.float32)[gold_of("test")]


def believes_gold(task, tools):
    return *honest(task, tools), None, np.eye(task.num_classes, dtype=np.float32)[gold_of("train")]


def counts_gold(task, tools):
    """Which texts have which class does not matter to it, only how many."""
    shares = np.bincount(gold_of("test"), minlength=task.num_classes) / len(task.test)
    return uniform(len(task.valid), task.num_classes), np.tile(shares.astype(np.float32), (len(task.test), 1))


def notes_gold(task, tools):
    shares = np.bincount(gold_of("train"), minlength=task.num_classes).tolist()
    return *honest(task, tools), None, None, {"shares": shares, "seconds": time.perf_counter()}


def reads_the_files(task, tools):
    """By a way that tells no audit hook: compiled code opens the file."""
    import pyarrow
    import pyarrow.csv

    path = os.path.join(os.environ["BENCH_DATA_DIR"], task.name, "test.csv")
    with pyarrow.memory_map(path) as file:
        gold = pyarrow.csv.read_csv(file).column("gold").to_pylist()
    classes = [task.label_names.index(name) for name in gold]
    return uniform(len(task.valid), task.num_classes), np.eye(task.num_classes, dtype=np.float32)[classes]


def opens_the_files(task, tools):
    """Whatever it is for, nothing follows from it."""
    Path(os.environ["BENCH_DATA_DIR"], task.name, "train.csv").read_bytes()
    return honest(task, tools)


def opens_the_shipped_data(task, tools):
    import bench

    (Path(bench.__file__).parent / "data" / "files" / "tweets" / "test.csv").open().close()
    return honest(task, tools)


def poor_stage_key(task, tools):
    """The stage depends on a draw that its key does not name, so a second run without a store differs from it."""
    stored = tools.stages.get("test stage", {"version": 1}, lambda: {"draw": np.random.rand(1)})
    valid, test = honest(task, tools)
    test[:] = (1 - stored["draw"][0]) / (task.num_classes - 1)
    test[:, 0] = stored["draw"][0]
    return valid, test.astype(np.float32)


def poor_stage_key_of_beliefs(task, tools):
    return *honest(task, tools), None, poor_stage_key(task, tools)[1].repeat(2, axis=0)


def poor_stage_key_of_facts(task, tools):
    """The stage's draw is of a seed, but not that of the run, which its key does not name."""
    made = tools.stages.get("test stage", {"version": 1}, lambda: {"draw": np.ones(1)})
    stored = tools.stages.get("test stage", {"version": 1}, lambda: {"draw": np.zeros(1)})
    return *honest(task, tools), None, None, {"draw": float(stored["draw"][0]), "made": float(made["draw"][0])}


def needs_every_class(task, tools):
    assert set(task.train_labels.tolist()) >= set(range(task.num_classes)), "a class is missing"
    return honest(task, tools)


def needs_all_answers(task, tools):
    np.bincount(task.train_labels)  # refuses -1
    return honest(task, tools)


def needs_an_answer(task, tools):
    assert (task.train_labels >= 0).any(), "no label at all"
    return honest(task, tools)


def needs_many_texts(task, tools):
    assert len(task.train) >= 10, "too few texts"
    return honest(task, tools)


def needs_two_classes(task, tools):
    assert len(np.unique(task.train_labels[task.train_labels >= 0])) != 1, "one class only"
    return honest(task, tools)


def needs_full_batches(task, tools):
    assert len(task.train) % tools.recipe.batch_size != 1, "batch statistics of one row"
    return honest(task, tools)


def needs_two_epochs(task, tools):
    1 / (tools.recipe.epochs - 1)
    return honest(task, tools)


def ends_the_process(task, tools):
    raise SystemExit(3)


def notes_a_scalar(task, tools):
    return *honest(task, tools), None, None, {"rate": np.float32(0.5)}


def writes_into_its_labels(task, tools):
    task.train_labels[task.train_labels < 0] = 0
    return honest(task, tools)


BAD = [
    (ends_the_process, "shapes", "SystemExit: 3: a method must not end the process, it should raise an error"),
    (notes_a_scalar, "shapes", "diagnostics: 'rate' = np.float32(0.5) (numpy.float32) cannot be kept in a record"),
    (writes_into_its_labels, "shapes", "writes into an array that is read-only, as labels and stages are"),
    (wrong_dtype, "shapes", "dtype float64, expected float32"),
    (wrong_shape, "shapes", "shape (29, 3), expected (30, 3)"),
    (rows_not_one, "shapes", "must be >= 0 and sum to 1"),
    (negative, "shapes", "must be >= 0 and sum to 1"),
    (not_finite, "shapes", "1 values are not finite"),
    (a_list, "shapes", "expected (24, 3)"),
    (global_numpy, "determinism by seed", "different predictions"),
    (global_torch, "determinism by seed", "different predictions"),
    (random_running, "determinism by seed", "different predictions (train)"),
    (random_posterior, "determinism by seed", "different predictions (posterior)"),
    (random_diagnostics, "determinism by seed", "different diagnostics (draw): take every draw from tools.generator"),
    (reads_gold, "independence of gold", "in the task's files, changed its predictions (test): it sees gold"),
    (believes_gold, "independence of gold", "in the task's files, changed its predictions (posterior): it sees gold"),
    (counts_gold, "independence of gold", "in the task's files, changed its predictions (test): it sees gold"),
    (reads_the_files, "independence of gold", "in the task's files, changed its predictions (test): it sees gold"),
    (notes_gold, "independence of gold", "in the task's files, changed its diagnostics (shares): it sees gold"),
    (opens_the_files, "data files", "by itself (conformance/train.csv)"),
    (opens_the_shipped_data, "data files", "by itself (bench/data/tweets/test.csv)"),
    (poor_stage_key, "stage store", "predictions (test) differ with and without the stage store"),
    (poor_stage_key_of_beliefs, "stage store", "predictions (posterior) differ with and without the stage store"),
    (poor_stage_key_of_facts, "stage store", "diagnostics (draw) differ with and without the stage store"),
    (needs_every_class, "class absent from the noisy labels", "a class is missing"),
    (needs_an_answer, "every label no answer", "no label at all"),
    (needs_all_answers, "some labels no answer", "negative"),
    (needs_many_texts, "two texts", "too few texts"),
    (needs_two_classes, "one class", "one class only"),
    (needs_full_batches, "a last batch of one", "batch statistics of one row"),
    (needs_two_epochs, "one epoch", "ZeroDivisionError"),
]


@pytest.fixture
def check_method(monkeypatch):
    """The outcomes of the suite for a method whose predictions a function gives; forgotten afterwards."""
    monkeypatch.setattr(registry.METHODS, "classes", dict(registry.METHODS.classes))

    def check(predict, steps=(1,)):
        @registry.register
        class Given:
            """Predicts what the test's function says."""

            name = predict.__name__.replace("_", "-")

            @config
            class Config:
                """No parameters."""

            def __init__(self, config):
                self.config = config

            def run(self, task, tools):
                for step in steps:
                    yield Predictions(step, *predict(task, tools))

        return {outcome.check: outcome.problem for outcome in run_checks(Given.name)}

    return check


def test_an_honest_constant_passes(check_method):
    assert set(check_method(honest).values()) == {None}


def test_diagnostics_that_no_two_runs_share_fail_determinism_alone(check_method):
    def notes_the_time(task, tools):
        facts = {"seconds": time.perf_counter(), "object": os.urandom(8).hex(), "steady": 1}
        return *honest(task, tools), None, None, facts

    problems = check_method(notes_the_time)
    assert {check for check, problem in problems.items() if problem} == {"determinism by seed"}
    assert "different diagnostics (object, seconds)" in problems["determinism by seed"]
    assert "times and memory addresses do not belong there" in problems["determinism by seed"]


def test_what_differs_between_equal_runs_is_not_said_to_be_gold(check_method):
    drawn = iter(range(1, 10_000))  # outside of the method's object, as a global of its module would be

    def counts_runs(task, tools):
        valid, test = honest(task, tools)
        test[:] = np.roll(test, next(drawn), axis=1)
        return valid, test

    problems = check_method(counts_runs)
    assert "two runs with one seed gave different predictions" in problems["determinism by seed"]
    assert problems["independence of gold"] == (
        "two runs on the same labels gave different predictions, so this cannot tell: see determinism by seed"
    )


@pytest.mark.parametrize(("predict", "check", "says"), BAD, ids=[f"{check}: {p.__name__}" for p, check, _ in BAD])
def test_a_method_that_breaks_a_rule_fails_its_check(predict, check, says, check_method):
    problems = check_method(predict)
    assert problems[check] is not None
    assert says in problems[check]


def test_every_check_is_broken_by_some_method():
    assert {check for _, check, _ in BAD} == set(CHECKS)


@pytest.mark.parametrize(
    ("steps", "says"), [((), "yielded no predictions"), ((2, 1), "steps must rise: 1 came after 2")]
)
def test_steps_must_exist_and_rise(steps, says, check_method):
    assert says in check_method(honest, steps)["shapes"]
