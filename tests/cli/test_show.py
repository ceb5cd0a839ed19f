"""Records for people: found by the beginning of a hash, shown in full, a folder as a table of statuses."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bench.cli.show import _noise, find_record, record_statuses, record_view
from bench.core.errors import UsageError
from bench.store.parts import TrainedNoise
from bench.store.records import ErrorFacts, Record, read_record, write_record
from tests.command import bench
from tests.factories import cell_key, done_record, write_done


def rendered(thing, width=200):
    screen = Console(file=io.StringIO(), width=width)
    screen.print(thing)
    return screen.file.getvalue()


def test_a_record_is_found_by_path_or_by_the_beginning_of_its_hash(tmp_path):
    path = write_done(tmp_path, cell_key())
    write_done(tmp_path, cell_key(seed=2))
    expected = (path, read_record(path))
    assert find_record(str(path), tmp_path) == expected
    for length in (6, 12):
        assert find_record(expected[1].hash[:length], tmp_path) == expected
    assert find_record(expected[1].hash, tmp_path) == expected  # in full, as --log-json prints it


def test_nothing_several_or_a_damaged_one_are_refused(tmp_path):
    path = write_done(tmp_path, cell_key())
    write_done(tmp_path, cell_key(seed=2))
    with pytest.raises(UsageError, match=r"no record 'zzz' in .*name the beginning of a hash"):
        find_record("zzz", tmp_path)
    with pytest.raises(UsageError, match=r"'' matches 2 records \(seed-1-.*\): write more of the hash"):
        find_record("", tmp_path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match="is damaged: not readable as JSON"):
        find_record(str(path), tmp_path)


def test_the_view_shows_scores_costs_and_parameters(tmp_path):
    path = write_done(tmp_path, cell_key(method="co-teaching", noise="mixtral-8x22b/few", seed=2))
    record = read_record(path)
    text = rendered(record_view(record))
    last = record.scores.last
    for words in (
        f"{100 * last.accuracy:.1f} %",
        f"{100 * last.ece:.1f} %",
        f"{last.nll:.3f}",
        "oracle best (diagnostic)",
        "forget_rate=estimated",
        f"{100 * record.noise.rate_train:.1f} % of the train texts' answers wrong",
        f"stand-alone cost {record.stand_alone_seconds:.1f} s of wall time",
        "maximum CE",
        "400 train, 50 valid, 200 test",
    ):
        assert words in text


def test_a_failed_record_shows_its_error_and_traceback(tmp_path):
    key = cell_key()
    error = ErrorFacts(type="ValueError", message="[bold]no[/]", traceback_file="x.traceback.txt")
    path = write_record(Record(hash=key.hash, key=key, status="failed", reason="ValueError: no", error=error), tmp_path)
    assert "ValueError: [bold]no[/]" in rendered(record_view(read_record(path)), 400)
    shown = bench("show", key.hash, "--results", str(tmp_path)).stdout.splitlines()
    assert f"traceback {path.with_name('x.traceback.txt')}" in shown, "whole, to be copied"
    assert f"record {path}" in shown


def test_noise_of_answers_and_that_of_the_labels_trained_on_stand_apart():
    trained = TrainedNoise(0.5553, 0.001, False)
    noise = done_record(cell_key())[0].noise.model_copy(update={"kind": "llm", "rate_train": 0.555})
    silent = noise.model_copy(update={"no_answer_train": 0.001, "labeller_test_accuracy": None})
    assert _noise(silent, trained) == (
        "llm, 55.5 % of the train texts' answers wrong, 0.1 % without an answer, as trained on: noise 55.5 % (0.1 % no "
        "answer)"
    )


def test_no_gold_is_said(tmp_path):
    path = write_done(tmp_path, cell_key(task="reviews"), has_gold=False)
    assert "no gold" in rendered(record_view(read_record(path)))


def test_a_folder_is_a_table_of_statuses_with_damage_named(tmp_path):
    write_done(tmp_path, cell_key())
    torn = write_done(tmp_path, cell_key(seed=2))
    torn.write_text("{", encoding="utf-8")
    skipped = cell_key(noise="asn@0.3")
    write_record(Record(hash=skipped.hash, key=skipped, status="skipped", reason="too few classes"), tmp_path)
    table, reasons, statuses = record_statuses(tmp_path)
    assert sorted(statuses) == ["damaged", "done", "skipped"]
    assert "done (1)" in rendered(table)
    assert any("too few classes" in reason for reason in reasons)
    assert any(str(torn) in reason for reason in reasons)
    with pytest.raises(UsageError, match=r"no records in .*run `bench run` first"):
        record_statuses(tmp_path / "nothing")
