"""Trackers: what TensorBoard shows is what was trained and what the record says, and a tracker never costs a cell."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import Unavailable
from bench.running import tracking
from bench.store.records import read_arrays
from tests.conftest import records

EPOCHS = 3


def grid(tiny_bert, results, *words):
    return [
        *("run", "--methods", "plain", "--tasks", "reviews.csv", "--llms", "ann", "--seeds", 1, "--epochs", EPOCHS),
        *("--encoder", f"{tiny_bert}:frozen", "--batch-size", 16, "--no-stages", "--results", results, *words),
    ]


def test_tensorboard_shows_the_curve_of_training_and_the_scores_of_the_record(bench, reviews, tiny_bert):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert bench(*grid(tiny_bert, "tracked", "--track", "tensorboard")).exit_code == 0
    (record,) = records(Path("tracked"))
    where = record.key.path(Path()).relative_to("cells").with_suffix("")
    events = EventAccumulator(str("tracked/tracking/tensorboard" / where))
    events.Reload()
    tags = events.Tags()["scalars"]
    (loss,) = [tag for tag in tags if tag.endswith("/loss")]
    steps = [event.step for event in events.Scalars(loss)]
    assert steps == list(range(1, EPOCHS * -(-record.data.n_train // 16) + 1))
    assert np.isfinite([event.value for event in events.Scalars(loss)]).all()
    rates = [event.value for event in events.Scalars(loss.replace("/loss", "/learning_rate"))]
    assert max(rates) <= record.key.recipe["learning_rate"] * (1 + 1e-6)
    assert [event.value for event in events.Scalars("last/accuracy")] == pytest.approx([record.scores.last.accuracy])
    shown = [event.value for event in events.Scalars("curve/test_accuracy")]
    assert shown == pytest.approx([point.test_accuracy for point in record.curve])


def test_tracking_changes_no_number(bench, reviews, tiny_bert):
    pytest.importorskip("tensorboard")
    assert bench(*grid(tiny_bert, "plain")).exit_code == 0
    assert bench(*grid(tiny_bert, "tracked", "--track", "tensorboard")).exit_code == 0
    (one,), (two,) = records(Path("plain")), records(Path("tracked"))
    assert one.hash == two.hash  # the same cell
    a, b = (read_arrays(record.key.path(Path(folder))) for record, folder in ((one, "plain"), (two, "tracked")))
    for name, array in a.items():
        np.testing.assert_array_equal(array, b[name])
    assert not Path("plain/tracking").exists()


def test_a_tracker_that_fails_is_said_and_the_cell_goes_on(bench, reviews, tiny_bert, monkeypatch, caplog):
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    class Broken:
        def __init__(self, *_, **__):
            raise ConnectionError("no server")

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "tensorboard", Broken)
    monkeypatch.setattr(tracking, "check_trackers", lambda names: None)
    with caplog.at_level(logging.WARNING):
        answer = bench(*grid(tiny_bert, "results", "--track", "tensorboard"))
    assert answer.exit_code == 0
    assert [record.status for record in records()] == ["done"]
    assert "--track tensorboard is left out for this cell: ConnectionError: no server" in caplog.text


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="--track mlflow needs the package mlflow: pip install mlflow, or leave it"):
        tracking.check_trackers(["mlflow"])


def test_an_unknown_tracker_is_refused(bench, reviews, tiny_bert):
    answer = bench(*grid(tiny_bert, "results", "--track", "tensorbord"))
    assert answer.exit_code == 2
    assert "unknown tracker 'tensorbord': did you mean tensorboard?" in answer.stderr
    assert not Path("results").exists()
