"""The contract's plain data: what a method may know, and what it may not."""

import dataclasses
import hashlib

import numpy as np
import pytest
from pydantic import ValidationError

from bench.core.texts import Texts
from methods.base import RATE, Field, NoisyTask, Predictions, config


def texts(*values):
    return Texts(tuple(map(str, range(len(values)))), values)


def noisy_task(**changes):
    fields = {
        "name": "t",
        "label_names": ("a", "b"),
        "train": texts("x", "y"),
        "valid": texts("z"),
        "test": texts("w"),
        "train_labels": np.array([0, -1]),
        "valid_labels": np.array([1]),
    }
    return NoisyTask(**(fields | changes))


def test_a_noisy_task_has_no_room_for_gold():
    """Not a promise but the type: there is no field for gold, none can be passed, none can be attached.

    `human` and `answers` are empty but for methods that declare what they ask for (tests/running/test_human_labels.py).
    """
    assert {field.name for field in dataclasses.fields(NoisyTask)} == {
        "name",
        "label_names",
        "train",
        "valid",
        "test",
        "train_labels",
        "valid_labels",
        "human",
        "answers",
    }
    assert (noisy_task().human, noisy_task().answers) == (None, None)
    for word in ("gold", "test_labels", "train_gold"):
        with pytest.raises(TypeError, match=word):
            noisy_task(**{word: np.array([0, 1])})
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(noisy_task(), word, np.array([0, 1]))
    assert {field.name for field in dataclasses.fields(Texts)} == {"ids", "texts"}


def test_the_number_of_classes_is_that_of_the_names():
    assert noisy_task(label_names=("a", "b", "c")).num_classes == 3


def test_texts_and_ids_must_pair_up():
    with pytest.raises(ValueError, match="2 ids for 1 texts"):
        Texts(("1", "2"), ("only one",))


def test_the_fingerprint_is_that_of_length_prefixed_texts():
    expected = hashlib.sha256(
        b"".join(len(t.encode()).to_bytes(8, "big") + t.encode() for t in ("ab", "é"))
    ).hexdigest()
    assert texts("ab", "é").fingerprint == expected


@pytest.mark.parametrize("other", [("abc", ""), ("a", "bc"), ("ab", "c", ""), ("c", "ab"), ("ab",)])
def test_the_fingerprint_tells_texts_cut_or_ordered_differently_apart(other):
    assert texts(*other).fingerprint != texts("ab", "c").fingerprint


def test_the_fingerprint_takes_half_a_surrogate_pair():
    assert len(texts("\ud83d").fingerprint) == 64


def test_ids_do_not_matter_to_the_fingerprint():
    assert Texts(("1",), ("a",)).fingerprint == Texts(("2",), ("a",)).fingerprint


@config
class Example:
    """A Config as a method declares it."""

    strength: float = Field(0.5, gt=0, le=1, description="a share")
    tau: str = RATE


@pytest.mark.parametrize("bad", [{"strength": 0}, {"strength": 2}, {"strength": "x"}, {"other": 1}])
def test_a_config_refuses_what_is_unknown_or_out_of_range(bad):
    with pytest.raises((ValidationError, TypeError)):
        Example(**bad)


def test_a_config_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Example().strength = 0.1


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (0.3, "0.3"), (0, "0"), (1e-05, "1e-05"), ("0.25", "0.25"), ("oracle", "oracle"), ("estimated", "estimated"),
        (0.0, "0"), ("0.0", "0"), ("0.50", "0.5"), ("5e-1", "0.5"), ("0.00001", "1e-05"), ("1.0e-005", "1e-05"),
    ],
)  # fmt: skip
def test_a_noise_rate_is_a_word_or_a_number_without_quotes(given, kept):
    assert Example(tau=given).tau == kept


@pytest.mark.parametrize("bad", [1, 1.5, -0.1, "9e-0", "1e5", "0.٣", "guess", "", None, [0.3]])
def test_a_noise_rate_outside_its_range_is_refused(bad):
    with pytest.raises(ValidationError):
        Example(tau=bad)


def test_predictions_need_no_training_part():
    step = Predictions(1, np.zeros((1, 2), np.float32), np.zeros((1, 2), np.float32))
    assert step.train is None
    assert step.diagnostics == {}
