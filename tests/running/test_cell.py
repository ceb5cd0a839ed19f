"""One cell: the contract of predictions, and scores that anyone can compute again from the stored arrays."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss

from bench.core.arrays import read_only
from bench.core.texts import Texts
from bench.data.task import Gold
from bench.noise.facts import NoisyLabels
from bench.noise.source import NoiseSource
from bench.running import cell
from bench.running.conformance import make_case, run_checks
from bench.running.contract import ContractError, check_predictions, opened, run_method
from bench.running.scoring import curve_point, label_arrays, last_best, score_steps
from methods import registry
from methods.base import NoisyTask, Predictions
from tests.conftest import records

CLASSES = 3


def texts(size):
    return Texts(tuple(map(str, range(size))), tuple(f"text {i}" for i in range(size)))


def noisy_task(sizes=(6, 4, 5)):
    labels = [np.arange(size) % CLASSES for size in sizes[:2]]
    return NoisyTask("t", ("a", "b", "c"), *map(texts, sizes), *labels)


def rows(size, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(CLASSES), size).astype(np.float32)


def predictions(step=1, **changes):
    return Predictions(**({"step": step, "valid": rows(4, step), "test": rows(5, step + 9)} | changes))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"test": rows(4)}, r"test: shape \(4, 3\), expected \(5, 3\)"),
        ({"valid": rows(4)[:, :2]}, r"valid: shape \(4, 2\), expected \(4, 3\)"),
        ({"test": rows(5).astype(np.float64)}, "test: dtype float64, expected float32"),
        ({"test": rows(5).tolist()}, "test: shape None"),
        ({"test": np.where(np.arange(15).reshape(5, 3) == 4, np.nan, rows(5))}, "test: 1 values are not finite"),
        ({"test": rows(5) * np.float32(1.01)}, "test: rows are not probabilities"),
        ({"test": np.tile(np.float32([1.5, -0.5, 0]), (5, 1))}, "test: rows are not probabilities"),
        ({"train": rows(5)}, r"train: shape \(5, 3\), expected \(6, 3\)"),
    ],
)
def test_what_is_no_prediction_is_refused_with_the_place(bad, said):
    with pytest.raises(ContractError, match=f"mine, step 3, {said}"):
        check_predictions(predictions(3, **bad), noisy_task(), "mine")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"a": 1, "f": np.float32(1.5)}, r"'f' = np.float32\(1.5\) \(numpy.float32\) cannot"),
        ({"a": {"b": np.arange(3)}}, r"'a' = .* \(dict\) cannot be kept in a record"),
        ({"a": {1}, 2: 3}, r"the key 2 is not a text"),
        ([1], "list, expected a mapping"),
    ],
)
def test_what_a_record_cannot_hold_is_refused_of_the_last_step(bad, said):
    first = predictions(1, diagnostics={"weights": torch.zeros(2, requires_grad=True) * 2})  # never in a record
    assert len(run_method(Yields([first, predictions(2)]), noisy_task(), None)) == 2
    with pytest.raises(ContractError, match=f", step 3, diagnostics: {said}"):
        run_method(Yields([first, predictions(3, diagnostics=bad)]), noisy_task(), None)


@pytest.mark.parametrize(("bad", "said"), [({2: 3}, "the key 2 is not a"), (None, "NoneType, expected a mapping")])
def test_diagnostics_of_an_earlier_step_must_have_names_as_well(bad, said):
    with pytest.raises(ContractError, match=f", step 3, diagnostics: {said}"):
        run_method(Yields([predictions(3, diagnostics=bad), predictions(4)]), noisy_task(), None)


def test_a_step_is_an_int_of_any_kind():
    (made,) = run_method(Yields([predictions(np.int64(2))]), noisy_task(), None)
    assert type(made.step) is int
    with pytest.raises(ContractError, match=r"mine: step is 0\.5 \(float\), it must be an int"):
        check_predictions(Predictions(0.5, rows(4), rows(5)), noisy_task(), "mine")


def test_a_method_may_use_its_arrays_again_for_the_next_step():
    valid, test, train = rows(4), rows(5), rows(6)

    def steps():
        for step in (1, 2, 3):
            valid[:], test[:], train[:] = rows(4, step), rows(5, step), rows(6, step)
            yield Predictions(step, valid, test, train, train)

    made = run_method(Yields(steps()), noisy_task(), None)
    for number, step in enumerate(made, 1):
        np.testing.assert_array_equal(step.valid, rows(4, number))
        np.testing.assert_array_equal(step.test, rows(5, number))
        np.testing.assert_array_equal(step.train, rows(6, number))
    np.testing.assert_array_equal(made[-1].posterior, rows(6, 3))
    assert [step.posterior is None for step in made] == [True, True, False]  # only the last one's is used


def test_arrays_of_a_stage_are_not_copied():
    shared = read_only(rows(6))
    (made,) = run_method(Yields([predictions(train=shared)]), noisy_task(), None)
    assert made.train is shared


def test_unvisited_training_rows_may_be_nan():
    train = rows(6)
    train[2] = np.nan
    check_predictions(predictions(train=train), noisy_task(), "mine")


@dataclasses.dataclass
class Yields:
    """A method that yields what it was given."""

    steps: list
    name = "mine"

    def run(self, task, tools):
        yield from self.steps


def test_steps_must_rise_and_there_must_be_one():
    with pytest.raises(ContractError, match="yielded no predictions"):
        run_method(Yields([]), noisy_task(), None)
    with pytest.raises(ContractError, match="steps must rise: 1 came after 2"):
        run_method(Yields([predictions(2), predictions(1)]), noisy_task(), None)
    with pytest.raises(ContractError, match="mine yielded a dict, not Predictions"):
        run_method(Yields([{"test": 1}]), noisy_task(), None)


def given(gold):
    """A task with this gold for train, and its noisy labels."""
    case = make_case((6, 4, 5))
    labels = NoisyLabels(np.zeros(6, int), np.zeros(4, int), None, NoiseSource("ann", "column"))
    return dataclasses.replace(case.task, gold=Gold(gold, None, None)), labels


@dataclasses.dataclass
class Writes:
    """A method that writes into its labels before it predicts."""

    edit: Callable
    sees_gold: bool = False
    config = None
    name = "mine"

    def human_rows(self):
        return None

    def run(self, task, tools):
        self.edit(task.train_labels)
        yield predictions()


@pytest.mark.parametrize("sees_gold", [False, True])
@pytest.mark.parametrize(
    "edit",
    [
        lambda labels: labels.__setitem__(slice(None), 0),
        lambda labels: labels.__iadd__(1),
        lambda labels: labels.sort(),
        lambda labels: np.random.default_rng(1).shuffle(labels),
        lambda labels: torch.from_numpy(labels).fill_(2),  # nothing stops it: what it writes to is its own
    ],
    ids=["set", "add", "sort", "shuffle", "torch"],
)
def test_a_method_that_writes_into_its_labels_harms_no_other(edit, sees_gold, request):
    task, labels = given(np.arange(6) % 3)
    method = Writes(edit, sees_gold)
    view, _ = opened(method, task, labels, None)
    if request.node.callspec.id.startswith("torch"):
        run_method(method, view, None)
    else:
        with pytest.raises(
            ContractError, match=r"mine writes into an array that is read-only.* labels = task\.train_labels\.copy\(\)"
        ):
            run_method(method, view, None)
    assert not labels.train.any()
    assert task.gold.train.tolist() == [0, 1, 2, 0, 1, 2]


def test_a_tensor_of_the_labels_is_made_without_a_warning_and_other_warnings_are_shown():
    def edit(labels):
        torch.from_numpy(labels)
        warnings.warn("of the method", stacklevel=1)

    task, labels = given(np.arange(6) % 3)
    view, _ = opened(Writes(edit), task, labels, None)
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # otherwise once per process
    try:
        with pytest.warns(UserWarning, match="of the method") as told:
            run_method(Writes(edit), view, None)
    finally:
        torch.set_warn_always(always)
    assert [str(each.message) for each in told] == ["of the method"]


def test_labels_and_gold_are_read_only_and_what_they_were_made_of_is_not():
    mine = np.zeros(6, int)
    task, labels = given(mine)
    for shared in (labels.train, labels.valid, task.gold.train):
        with pytest.raises(ValueError, match="read-only"):
            shared[0] = 1
    mine[0] = 1


def test_of_equal_values_the_last_wins():
    assert last_best([1, 3, 3, 2]) == 2
    assert last_best([5.0]) == 0


def scored(gold_test=True, gold_train=True):
    draw = np.random.default_rng(5)
    gold = Gold(
        train=draw.integers(0, CLASSES, 60) if gold_train else None,
        valid=None,
        test=draw.integers(0, CLASSES, 200) if gold_test else None,
    )
    steps = [
        Predictions(step, draw.dirichlet(np.ones(CLASSES), 40).astype(np.float32),
                    draw.dirichlet(np.ones(CLASSES), 200).astype(np.float32),
                    train=draw.dirichlet(np.ones(CLASSES), 60).astype(np.float32))
        for step in (2, 4, 6, 8)
    ]  # fmt: skip
    noisy_valid, noisy_train = draw.integers(-1, CLASSES, 40), draw.integers(-1, CLASSES, 60)
    return steps, noisy_valid, noisy_train, gold, score_steps(steps, noisy_valid, noisy_train, gold)


def test_scores_are_those_of_the_stored_arrays_by_other_libraries():
    _, _, _, gold, (scores, _, arrays) = scored()
    kept = {"last": "test_last", "noisy_valid": "test_noisy_valid", "oracle_best": "test_oracle_best"}
    for rule, name in kept.items():
        assert arrays[name].dtype == np.float16
        p = arrays[name].astype(np.float64)
        p /= p.sum(1, keepdims=True)
        found = getattr(scores, rule)
        assert found.accuracy == pytest.approx(accuracy_score(gold.test, p.argmax(1)))
        assert found.macro_f1 == pytest.approx(f1_score(gold.test, p.argmax(1), average="macro"))
        assert found.nll == pytest.approx(log_loss(gold.test, p, labels=range(CLASSES)), rel=1e-6)
    np.testing.assert_array_equal(arrays["gold"], gold.test)
    assert scores.last.step == 8


def test_without_any_answer_in_valid_no_step_is_chosen_there():
    steps, noisy_valid, noisy_train, gold, (expected, _, _) = scored()
    scores, curve, arrays = score_steps(steps, np.full_like(noisy_valid, -1), noisy_train, gold)
    assert scores.noisy_valid is None
    assert (scores.last, scores.oracle_best) == (expected.last, expected.oracle_best)
    assert {point.noisy_valid_accuracy for point in curve} == {None}
    assert "test_noisy_valid" not in arrays


def test_the_steps_are_chosen_by_noisy_valid_and_by_test():
    steps, noisy_valid, _, gold, (scores, curve, _) = scored()
    answered = noisy_valid >= 0
    agreement = [float((s.valid.argmax(1) == noisy_valid)[answered].mean()) for s in steps]
    accuracy = [float((s.test.astype(np.float16).argmax(1) == gold.test).mean()) for s in steps]
    assert [point.noisy_valid_accuracy for point in curve] == pytest.approx(agreement)
    assert [point.test_accuracy for point in curve] == pytest.approx(accuracy)
    by_step = {s.step: i for i, s in enumerate(steps)}
    assert agreement[by_step[scores.noisy_valid.step]] == max(agreement)
    assert accuracy[by_step[scores.oracle_best.step]] == max(accuracy)


def test_the_memorisation_curve_counts_only_answered_and_visited_texts():
    steps, noisy_valid, noisy_train, gold, _ = scored()
    train = steps[0].train.copy()
    train[:10] = np.nan
    point = curve_point(dataclasses.replace(steps[0], train=train), steps[0].test, noisy_valid, noisy_train, gold)
    fit = {"right": [], "wrong": [], "recovered": []}
    for i in range(10, 60):
        if noisy_train[i] < 0:
            continue
        guess = int(train[i].argmax())
        if noisy_train[i] == gold.train[i]:
            fit["right"].append(guess == noisy_train[i])
        else:
            fit["wrong"].append(guess == noisy_train[i])
            fit["recovered"].append(guess == gold.train[i])
    assert point.fit_correct == pytest.approx(np.mean(fit["right"]))
    assert point.fit_wrong == pytest.approx(np.mean(fit["wrong"]))
    assert point.recovered_wrong == pytest.approx(np.mean(fit["recovered"]))


def test_without_gold_there_are_predictions_and_no_scores():
    *_, (scores, curve, arrays) = scored(gold_test=False)
    assert scores is None
    assert set(arrays) == {"test_last", "test_noisy_valid"}
    assert all(point.test_accuracy is None for point in curve)
    *_, (scores, curve, _) = scored(gold_train=False)
    assert scores is not None
    assert all(point.fit_wrong is None for point in curve)


def test_versions_and_code_version_name_the_code():
    assert {"python", "torch", "numpy"} <= set(cell.versions())
    assert cell.code_version()


def test_a_record_says_why_its_precision_was_chosen():
    from bench.training import device

    assert device.reason_for("no") == device.choose_precision("auto")
    assert device.reason_for("bf16") == device.Precision("bf16", "asked for")


def test_labels_are_kept_where_they_are_known():
    noisy, given = np.array([0, -1, 2]), np.array([1, -1])
    source = NoiseSource("gpt/zero", "llm")
    known = label_arrays(NoisyLabels(noisy, noisy, given, source), Gold(np.array([0, 1, 1]), None, None))
    assert {name: values.tolist() for name, values in known.items()} == {
        "train_labels": [0, -1, 2],
        "test_labels": [1, -1],
        "train_gold": [0, 1, 1],
    }
    assert {array.dtype for array in known.values()} == {np.dtype(np.int16)}
    assert set(label_arrays(NoisyLabels(noisy, noisy, None, source), Gold(None, None, None))) == {"train_labels"}


KEEPS = '''
import numpy as np

from methods.base import Method, Predictions, config
from methods.registry import register


@register
class Keeps(Method):
    """Its predictions depend on how often its object has run."""

    name = "keeps"
    kept = 0

    @config
    class Config:
        """No parameters."""

    def run(self, task, tools):
        self.kept += 1
        row = np.full(task.num_classes, 0.2 / (task.num_classes - 1), np.float32)
        row[self.kept % task.num_classes] = 0.8
        valid, test = (np.tile(row, (len(texts), 1)) for texts in (task.valid, task.test))
        yield Predictions(1, valid, test, diagnostics={"kept": self.kept})
'''


@pytest.mark.parametrize("selector", ["{}", "{}+ts", "corrected[rows=10,chosen=random,method={}]"])
def test_what_a_methods_object_keeps_no_other_cell_sees(bench, reviews, tiny_bert, selector):
    (reviews.parent / "keeps.py").write_text(KEEPS, encoding="utf-8")
    words = ["--tasks", reviews.name, "--llms", "ann", "--encoder", f"{tiny_bert}:frozen"]
    run = ["run", "--methods", selector.format("./keeps.py"), *words]
    assert bench(*run, "--seeds", "1,2,3").exit_code == 0
    assert [record.diagnostics["kept"] for record in records()] == [1, 1, 1]


def test_a_method_that_keeps_something_in_its_object_passes_every_check(tmp_path):
    path = tmp_path / "keeps.py"
    path.write_text(KEEPS, encoding="utf-8")
    assert {outcome.problem for outcome in run_checks(str(path))} == {None}
    registry.METHODS.forget()
