"""`method+ts`: each step's temperature is fitted on noisy validation labels, and nothing else changes."""

import copy

import numpy as np
import pytest

from bench.core.errors import UsageError
from bench.data.task import Gold
from bench.grid.cells import choose_method
from bench.running.conformance import make_case, predict
from bench.running.scoring import score_steps
from methods import calibration, registry, wrappers
from methods.base import Method, Predictions
from tests.methods.toy import toy_task, toy_tools


class Sharp(Method):
    """Yields overconfident predictions of known shape."""

    name = "sharp"

    def __init__(self):
        super().__init__(None)

    def run(self, task, tools):
        draw = np.random.default_rng(0)
        for step in (1, 2):
            logits = {s: 4 * draw.normal(size=(len(getattr(task, s)), task.num_classes)) for s in ("valid", "test")}
            p = {s: (np.exp(z) / np.exp(z).sum(1, keepdims=True)).astype(np.float32) for s, z in logits.items()}
            yield Predictions(step, p["valid"], p["test"], diagnostics={"kept": step})


def test_each_step_is_scaled_by_the_temperature_of_the_noisy_validation_labels():
    task, _, _ = toy_task(sizes=(20, 50, 40))
    tools = toy_tools()
    plain = list(Sharp().run(task, tools))
    scaled = list(wrappers.wrap("ts", Sharp()).run(task, tools))
    assert [step.step for step in scaled] == [1, 2]
    for raw, out in zip(plain, scaled, strict=True):
        temperature = out.diagnostics["temperature"]
        assert temperature == calibration.fit_temperature(raw.valid, task.valid_labels)
        assert out.diagnostics["kept"] == raw.step
        powered = raw.test.astype(float) ** (1 / temperature)  # softmax(log p / T) = p^(1/T) / sum
        np.testing.assert_allclose(out.test, powered / powered.sum(1, keepdims=True), atol=1e-6)
        np.testing.assert_array_equal(out.test.argmax(1), raw.test.argmax(1))
        np.testing.assert_array_equal(out.valid.argmax(1), raw.valid.argmax(1))
        assert temperature > 1  # random guesses that are sure of themselves get less sure


def test_a_label_that_was_not_given_has_no_part_in_the_temperature():
    task, _, _ = toy_task(sizes=(20, 50, 40))
    task.valid_labels[::3] = -1
    tools = toy_tools()
    given = task.valid_labels >= 0
    raw = next(Sharp().run(task, tools))
    out = next(wrappers.wrap("ts", Sharp()).run(task, tools))
    assert out.diagnostics["temperature"] == calibration.fit_temperature(raw.valid[given], task.valid_labels[given])


def test_a_wrapped_method_carries_both_names_and_both_versions():
    chosen = choose_method("co-teaching[tau=0.3]+ts")
    assert chosen.name == chosen.method.name == "co-teaching+ts"
    assert chosen.method.config.tau == "0.3"
    assert chosen.version != choose_method("co-teaching[tau=0.3]").version


def test_a_wrapped_method_can_be_copied():
    assert copy.deepcopy(choose_method("plain+ts").method).name == "plain+ts"


class Louder(wrappers.TemperatureScaling):
    """Another wrapper, which nothing names."""


@pytest.mark.parametrize("selector", ["plain+ts", "plain+ts+ts", "corrected[rows=10,method=elr]", "plain"])
def test_whatever_runs_another_method_is_built_again_with_another_object_of_it(selector):
    given = Louder(choose_method(selector).method)
    once, again = objects(given), objects(registry.fresh(given))
    assert [type(each) for each in once] == [type(each) for each in again]
    assert len({id(each) for each in (*once, *again)}) == 2 * len(once)
    assert [each.config for each in once] == [each.config for each in again]


def objects(method):
    """A method, the one that it runs, and so on."""
    inner = vars(method).get("inner")
    return [method, *(objects(inner) if inner else [])]


def test_the_wrapped_ceiling_still_trains_on_gold():
    """oracle+ts is the oracle's predictions, rescaled: not those of a model of the noisy labels."""
    case = make_case()
    oracle, noisy = predict(choose_method("oracle").method, case)[-1], predict(choose_method("plain").method, case)[-1]
    wrapped = predict(choose_method("oracle+ts").method, case)[-1]
    np.testing.assert_array_equal(wrapped.test.argmax(1), oracle.test.argmax(1))
    powered = oracle.test.astype(float) ** (1 / wrapped.diagnostics["temperature"])
    np.testing.assert_allclose(wrapped.test, powered / powered.sum(1, keepdims=True), atol=1e-5)
    assert not np.allclose(oracle.test, noisy.test, atol=1e-3)


def test_an_unknown_wrapper_is_refused():
    with pytest.raises(UsageError, match="unknown wrapper 'tss': did you mean ts"):
        choose_method("plain+tss")


def test_no_argmax_of_what_is_scored_moves_however_flat_it_becomes():
    """Rounded to float16, many of these rows tied, and a tie went to the lower class."""
    logits = np.random.default_rng(1).normal(size=(20_000, 6))
    p = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
    flat = calibration.apply_temperature(p, 20.0)
    assert (flat.astype(np.float16).argmax(1) != p.argmax(1)).sum() > 10
    step = Predictions(1, flat, flat)
    gold = Gold(train=None, valid=None, test=p.argmax(1))
    scores, (point,), arrays = score_steps([step], gold.test, gold.test, gold)
    assert scores.last.accuracy == point.test_accuracy == 1
    np.testing.assert_array_equal(arrays["test_last"].argmax(1), p.argmax(1))
