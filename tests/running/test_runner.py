"""Running a grid: resume, retry, force, damage, claims, statuses. Methods here train nothing."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import BenchError, ToldToEnd, UsageError
from bench.grid.cells import plan
from bench.grid.options import load_options
from bench.noise.synthetic.symmetric import Symmetric
from bench.running import runner
from bench.running.executors.dispatch import execute
from bench.running.executors.worker import leave
from bench.running.outcomes import check_results_folder, existing, reason_of, status_of
from bench.running.runner import run
from bench.store.claims import Claims
from bench.store.records import SCHEMA, Damaged, read_record
from tests.conftest import records, review_rows, tree, write_csv


@pytest.fixture
def folder(tmp_path, monkeypatch, reviews):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make(folder, instant, tiny_bert):
    """Plan a grid of the instant method on the small CSV; parameters of the method in brackets."""
    from methods import registry

    def plan_of(parameters="log=log.txt", **options):
        given = {"methods": f"./instant.py[{parameters}]", "tasks": "reviews.csv", "llms": "ann,bob", "seeds": "1,2"}
        return plan(load_options(given | {"encoder": f"{tiny_bert}:frozen"} | options))

    yield plan_of
    registry.METHODS.forget()


def go(grid, **options):
    """The summary's counts and the finished events as (noise, seed, status, reason)."""
    events = []
    summary = run(grid, events.append, **options)
    finished = [event for event in events if event.kind == "finished"]
    return summary.counts, [(e.cell.key.noise, e.cell.key.seed, e.status, e.reason) for e in finished]


def runs(folder):
    """What ran, one line a run of the method."""
    path = folder / "log.txt"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def test_noise_that_is_drawn_is_that_of_the_task_whatever_is_beside_it(make, folder):
    """Two files of one content, one after the other: what is drawn depends on the task's name too."""
    (folder / "twin.csv").write_bytes((folder / "reviews.csv").read_bytes())
    both = make(llms=None, noise="sn@0.3", seeds="1", tasks="reviews.csv,twin.csv")
    session = runner.Session(both.options, print, {})
    first, second = (session.labels(cell).train for cell in both.cells)
    (alone,) = make(llms=None, noise="sn@0.3", seeds="1", tasks="twin.csv").cells
    assert (second == runner.Session(both.options, print, {}).labels(alone).train).all()
    assert (first != second).any()


def test_every_cell_runs_once_and_a_second_call_reads_them(make, folder):
    counts, events = go(make())
    assert counts == {"done": 4}
    assert sorted(runs(folder)) == ["ann 1", "ann 2", "bob 1", "bob 2"]
    before = tree(Path("results", "cells"))
    counts, events = go(make())
    assert counts == {"cached": 4}
    assert [event[2] for event in events] == ["cached"] * 4
    assert len(runs(folder)) == 4
    assert tree(Path("results", "cells")) == before


def test_a_grown_grid_runs_only_what_is_new(make, folder):
    go(make(seeds="1"))
    counts, _ = go(make(seeds="1,3"))
    assert counts == {"cached": 2, "done": 2}
    assert sorted(runs(folder)) == ["ann 1", "ann 3", "bob 1", "bob 3"]


def test_force_runs_done_cells_again(make, folder):
    go(make(seeds="1"))
    counts, _ = go(make(seeds="1"), force=True)
    assert counts == {"done": 2}
    assert len(runs(folder)) == 4


def test_a_failed_cell_is_a_row_the_others_finish_and_it_runs_again(make, folder):
    (folder / "trap").touch()
    grid = make("trap=trap")
    calm = make("strength=2")
    grid.cells.extend(calm.cells)
    counts, events = go(grid)
    assert counts == {"failed": 4, "done": 4}
    assert events[0] == ("ann", 1, "failed", "RuntimeError: the trap snapped")
    record = existing(grid.cells[0], Path("results"))
    assert (record.status, record.error.type, record.error.message) == ("failed", "RuntimeError", "the trap snapped")
    trace = grid.cells[0].key.path(Path("results")).with_name(record.error.traceback_file)
    assert "RuntimeError: the trap snapped" in trace.read_text(encoding="utf-8")
    assert status_of(grid.cells[0], Path("results")) == ("failed", "RuntimeError: the trap snapped")
    (folder / "trap").unlink()
    assert go(make("trap=trap"))[0] == {"done": 4}
    assert not trace.exists()
    assert {record.status for record in records()} == {"done"}


@pytest.mark.parametrize(("value", "said"), [("3", "SystemExit: 3"), ("", "SystemExit")])
def test_a_method_that_ends_the_process_is_a_failed_row_and_the_grid_goes_on(make, folder, value, said):
    source = (folder / "instant.py").read_text(encoding="utf-8")
    source = source.replace('raise RuntimeError("the trap snapped")', f"raise SystemExit({value})")
    (folder / "instant.py").write_text(source, encoding="utf-8")
    (folder / "trap").touch()
    grid = make("trap=trap", llms="ann", seeds="1")
    grid.cells.extend(make("strength=2", llms="ann", seeds="1").cells)
    counts, events = go(grid)
    assert counts == {"failed": 1, "done": 1}
    assert events[0][3] == f"{said}: a method must not end the process, it should raise an error"


def test_what_a_record_cannot_hold_is_a_failed_row_and_the_grid_goes_on(make, folder, monkeypatch):
    drawn = Symmetric.draw

    def draw(self, *given):
        labels, _ = drawn(self, *given)
        return labels, {"mean_rate": np.float32(0.3)} if given[2] > 0.2 else {}

    monkeypatch.setattr(Symmetric, "draw", draw)
    counts, events = go(make(llms=None, noise="sn@0.3,sn@0.1", seeds="1"))
    assert counts == {"failed": 1, "done": 1}
    assert events[0][2] == "failed"
    assert events[0][3].startswith(
        "noise 'sn', facts of the draw: 'mean_rate' = np.float32(0.3) (numpy.float32) cannot be kept"
    )
    assert sorted(record.status for record in records()) == ["done", "failed"]


def test_a_process_that_is_told_to_end_writes_no_failure(make, folder):
    source = (folder / "instant.py").read_text(encoding="utf-8")
    source = source.replace('raise RuntimeError("the trap snapped")', "__import__('signal').raise_signal(15)")
    (folder / "instant.py").write_text(source, encoding="utf-8")
    (folder / "trap").touch()
    before = signal.signal(signal.SIGTERM, leave)
    try:
        with pytest.raises(ToldToEnd):
            go(make("trap=trap", llms="ann", seeds="1"))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert records() == []


@pytest.mark.parametrize("damage", ["torn record", "no arrays", "torn arrays", "edited record"])
def test_a_damaged_cell_runs_again_with_a_warning(make, damage, caplog):
    grid = make(llms="ann", seeds="1")
    go(grid)
    path = grid.cells[0].key.path(Path("results"))
    good, arrays = path.read_bytes(), path.with_suffix(".npz").read_bytes()
    if damage == "torn record":
        path.write_bytes(good[: len(good) // 2])
    elif damage == "no arrays":
        path.with_suffix(".npz").unlink()
    elif damage == "torn arrays":
        path.with_suffix(".npz").write_bytes(arrays[: len(arrays) // 2])
    else:
        path.write_bytes(good.replace(b'"noise": "ann"', b'"noise": "bob"'))
    assert isinstance(existing(grid.cells[0], Path("results")), Damaged)
    assert status_of(grid.cells[0], Path("results"))[0] == "not run"
    with caplog.at_level(logging.WARNING, "bench.runner"):
        assert go(grid)[0] == {"done": 1}
    assert path.name in caplog.text
    assert "damaged" in caplog.text
    assert path.with_suffix(".npz").read_bytes() == arrays
    assert go(grid)[0] == {"cached": 1}


def test_changed_data_are_run_again_and_the_old_record_stays(make, folder):
    go(make(llms="ann", seeds="1"))
    rows = review_rows()
    rows[0]["text"] += " again"
    write_csv(folder / "reviews.csv", rows)
    assert go(make(llms="ann", seeds="1"))[0] == {"done": 1}
    assert len(records()) == 2


def test_what_cannot_run_is_skipped_with_its_reason_in_a_record(make):
    grid = make(llms=None, noise="weak,sn@0.2", seeds="1")
    counts, events = go(grid)
    assert counts == {"skipped": 1, "done": 1}
    assert "no weak votes" in events[0][3]
    skipped = next(record for record in records() if record.status == "skipped")
    assert "no weak votes" in skipped.reason
    assert status_of(grid.cells[0], Path("results")) == ("skipped", skipped.reason)
    assert go(grid)[0] == {"skipped": 1, "cached": 1}


def test_oracle_without_gold_is_skipped_not_failed(make, folder):
    rows = review_rows()
    for row in rows:
        del row["gold"]
    write_csv(folder / "reviews.csv", rows)
    counts, events = go(make(methods="oracle", llms="ann", seeds="1", label_columns="ann"))
    assert counts == {"skipped": 1}
    assert "leave oracle out" in events[0][3]


def test_a_cell_that_another_holds_is_running_and_is_taken_over_when_freed(make, folder, monkeypatch, caplog):
    monkeypatch.setattr(runner, "WAIT_SECONDS", 0.02)
    grid = make(llms="ann", seeds="1,2")
    lock = Claims(Path("results")).take(grid.cells[0].key.hash)
    assert status_of(grid.cells[0], Path("results")) == ("running", f"by process {os.getpid()}")
    assert status_of(grid.cells[1], Path("results")) == ("not run", "")

    threading.Timer(1.0, lock.release).start()
    summary = run(grid, lambda event: None)
    assert summary.counts == {"done": 2}
    assert (
        caplog.text.count(f"waiting for cells that another run holds: 1 cells, the first by process {os.getpid()}") == 1
    )
    assert runs(folder) == ["ann 2", "ann 1"]


def test_two_processes_on_one_folder_run_every_cell_once(make, folder, tiny_bert):
    code = "from bench.cli import main; main()"
    words = ["run", "--methods", "./instant.py[log=log.txt,seconds=0.05]", "--tasks", "reviews.csv", "--log-json"]
    words += ["--encoder", f"{tiny_bert}:frozen", "--seeds", "1,2,3,4,5,6"]
    both = [
        subprocess.Popen([sys.executable, "-c", code, *words], cwd=folder, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    finished = [e for out in outputs for e in map(json.loads, out.splitlines()) if e["event"] == "finished"]
    assert sorted(event["status"] for event in finished) == ["cached"] * 12 + ["done"] * 12
    assert len(runs(folder)) == 12
    assert len(set(runs(folder))) == 12


def test_an_interrupt_keeps_what_is_done_and_frees_the_claim(make, folder):
    grid = make(llms="ann")

    def stop_in_second_cell(event):
        if event.kind == "started" and event.cell is grid.cells[1]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(grid, stop_in_second_cell)
    assert [status_of(cell, Path("results"))[0] for cell in grid.cells] == ["done", "not run"]
    assert go(grid)[0] == {"cached": 1, "done": 1}


def test_a_stop_starts_no_further_cell(make):
    events = []
    summary = run(make(), events.append, stop=lambda: len(events) >= 4)  # two cells started and finished
    assert summary.stopped
    assert summary.counts == {"done": 2}
    summary = run(make(), events.append)
    assert not summary.stopped
    assert summary.counts == {"cached": 2, "done": 2}


def test_a_cell_that_takes_too_long_is_a_failed_row_with_where_it_was(make):
    grid = make("seconds=60", llms="ann", seeds="1", timeout="0.2s")
    counts, events = go(grid)
    assert counts == {"failed": 1}
    assert events[0][3] == "timed out after 0.2s (--timeout)"
    [record] = records()
    assert record.error.type == "CellTimeout"
    trace = record.key.path(Path("results")).with_name(record.error.traceback_file)
    assert "time.sleep(self.config.seconds)" in trace.read_text(encoding="utf-8")


@pytest.mark.parametrize("retry", ["failed", "none"])
def test_failed_cells_run_again_unless_they_are_to_stay(make, folder, retry):
    (folder / "trap").touch()
    go(make("trap=trap,log=log.txt", seeds="1"))
    (folder / "trap").unlink()
    counts, events = go(make("trap=trap,log=log.txt", seeds="1", retry=retry))
    assert counts == ({"done": 2} if retry == "failed" else {"failed": 2})
    assert len(runs(folder)) == (4 if retry == "failed" else 2)
    if retry == "none":
        assert events[0][3] == "RuntimeError: the trap snapped"


def test_a_forced_cell_runs_once_however_many_processes_force_it(make, folder):
    go(make(llms="ann", seeds="1"))
    grid = make(llms="ann", seeds="1")
    session = runner.Session(grid.options, lambda event: None, runner.records_before(grid), force=True)
    assert go(grid, force=True)[0] == {"done": 1}  # the other process
    assert runner.run_one(grid.cells[0], session) == "cached"
    assert len(runs(folder)) == 2


def test_methods_of_one_cell_see_the_same_noise(make, folder, tiny_bert):
    """Synthetic noise is drawn per task, source and seed: the method is no part of it."""
    go(make("strength=1", llms=None, noise="sn@0.3", seeds="1,2"))
    go(make("strength=2", llms=None, noise="sn@0.3", seeds="1,2"))
    seen = {}
    for record in records():
        seen.setdefault(record.key.seed, []).append((record.noise.rate_train, record.noise.confusion_train))
    assert all(pair[0] == pair[1] for pair in seen.values())
    assert seen[1][0] != seen[2][0]


def test_a_record_holds_the_noise_that_a_method_is_told_of_and_where_the_data_lie(folder, tiny_bert):
    """The true rate that `tau=oracle` is lent is that of the labels trained on, random ones included."""
    rows = [row | {"ann": row["ann"] if number % 5 == 0 else ""} for number, row in enumerate(review_rows())]
    write_csv(folder / "sparse.csv", rows)
    options = {"tasks": "sparse.csv", "llms": "ann", "seeds": "1", "methods": "co-teaching[tau=oracle]", "epochs": 1}
    go(plan(load_options(options | {"encoder": f"{tiny_bert}:frozen"})))
    [record] = records()
    assert record.noise.rate_trained == record.diagnostics["noise_rate_estimate"]
    assert record.noise.no_answer_train == pytest.approx(0.8, abs=0.03)
    assert record.noise.rate_trained > record.noise.rate_train
    assert (record.data.origin, record.data.repeats["test in train"]) == ("../sparse.csv", 0)


def test_without_stages_nothing_is_stored_between_cells(make):
    go(make(stages=False, seeds="1"))
    assert not Path("results", "stages").exists()


def test_a_folder_of_a_newer_schema_or_a_file_is_refused(tmp_path):
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "format.json").write_text(json.dumps({"schema": SCHEMA + 1}), encoding="utf-8")
    with pytest.raises(UsageError, match=f"schema {SCHEMA + 1}, this version of bench knows {SCHEMA}"):
        check_results_folder(newer)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match="is a file: name a folder"):
            check_results_folder(path)
    check_results_folder(tmp_path / "not" / "there")
    (newer / "format.json").write_text("{", encoding="utf-8")
    check_results_folder(newer)  # a damaged marker is no reason to refuse the records


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_record_of_a_newer_version_is_refused_before_anything_trains(make, folder, jobs):
    grid = make(jobs=jobs)
    path = grid.cells[-1].key.path(grid.options.results)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"schema": SCHEMA + 1}), encoding="utf-8")
    with pytest.raises(UsageError, match=rf"{path.name} has schema {SCHEMA + 1}"):
        execute(grid, lambda message: None)
    assert runs(folder) == []
    assert [found.name for found in Path("results", "cells").rglob("*.json")] == [path.name]


def test_reasons_are_one_line():
    assert reason_of(ValueError("a\n  b")) == "ValueError: a b"
    assert reason_of(ValueError()) == "ValueError: no message"
    assert reason_of(BenchError("say\nthis")) == "say this"
    assert len(reason_of(ValueError("x" * 10_000))) <= 500


def test_a_record_names_what_made_it_and_no_machine_path(make, folder):
    go(make(llms="ann", seeds="1"))
    [record] = records()
    assert record.device["type"] in ("cpu", "cuda")
    assert record.versions["torch"]
    assert record.seconds["total"] >= record.seconds["method"]
    assert record.data.n_train == 64
    text = record.model_dump_json()
    assert str(folder) not in text
    assert str(Path.home()) not in text
    assert read_record(record.key.path(Path("results"))) == record
