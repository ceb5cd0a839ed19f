"""Grids from Python: `bench.run_grid` and `bench.open_cells`, with the options of the command line."""

import os
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.core.errors import Skip, UsageError
from tests.conftest import CLASSES, review_rows, write_csv
from tests.conftest import records as stored


@pytest.fixture(autouse=True)
def _own_methods():
    """A user's file is known to the test that named it, and to no other."""
    from bench.running.executors.base import EXECUTORS
    from methods import registry

    yield
    registry.METHODS.forget()
    EXECUTORS.forget()


@pytest.fixture
def options(tmp_path, reviews, tiny_bert):
    """A small task of one's own, a tiny frozen encoder, a results folder of its own."""
    return {"tasks": str(reviews), "encoder": f"{tiny_bert}:frozen", "seeds": "1,2", "results": str(tmp_path / "out")}


def test_a_grid_runs_and_comes_back_loaded(options, instant, tmp_path):
    heard = []
    results = bench.run_grid(methods=str(instant), label_columns="ann,bob", listen=heard.append, **options)
    assert sorted(zip(results.cells["noise"], results.cells["seed"], strict=True)) == [
        ("ann", 1), ("ann", 2), ("bob", 1), ("bob", 2),
    ]  # fmt: skip
    assert set(results.cells["status"]) == {"done"}
    assert len([event for event in heard if event.kind == "finished"]) == 4
    assert len(stored(tmp_path / "out")) == 4


def test_other_processes_run_a_grid_where_the_options_say_so(options, instant, tmp_path):
    heard, log = [], tmp_path / "pids.txt"
    path = tmp_path / "where.py"
    source = Path(instant).read_text(encoding="utf-8")
    path.write_text(f"import os\nopen({str(log)!r}, 'a').write(f'{{os.getpid()}}\\n')\n{source}", encoding="utf-8")
    results = bench.run_grid(methods=str(path), label_columns="ann", jobs=2, listen=heard.append, **options)
    assert set(results.cells["status"]) == {"done"}
    assert {int(pid) for pid in log.read_text().split()} - {os.getpid()}, "workers imported the method"
    ended = [event for event in heard if event.kind == "finished"]
    assert sorted(event.cell.key.seed for event in ended) == [1, 2]
    assert all(event.record.status == event.status == "done" for event in ended)


def test_seeds_that_are_added_run_alone(options, instant, tmp_path, monkeypatch):
    """What failed with another seed has had its try, and what finished has been told."""
    from bench.report.tables.stats import mean_interval
    from bench.running import settle

    monkeypatch.setattr(settle, "unsettled", lambda made: {"instant": mean_interval([0.0, 1.0])})
    (tmp_path / "trap").touch()
    heard, methods = [], f"plain,{instant}[trap={tmp_path / 'trap'},log={tmp_path / 'log.txt'}]"
    bench.run_grid(methods=methods, label_columns="ann", until_settled=4, epochs=1, listen=heard.append, **options)
    assert (tmp_path / "log.txt").read_text().splitlines() == [f"ann {seed}" for seed in (1, 2, 3, 4)]
    ended = [event for event in heard if event.kind == "finished"]
    assert [event.status for event in ended] == ["done", "failed"] * 4


def test_an_executor_of_ones_own_runs_a_grid_and_an_unknown_one_is_refused(options, instant, tmp_path):
    path = tmp_path / "nowhere.py"
    path.write_text(
        "from bench.running.events import Finished, Summary\n"
        "from bench.running.executors.base import Executor, register\n"
        "@register\nclass Nowhere(Executor):\n    name = 'nowhere'\n"
        "    def run(self, plan, tell, *, force=False, stop=lambda: False):\n"
        "        for cell in plan.cells:\n"
        "            tell(Finished(status='failed', hash=cell.key.hash, cell=cell.label, reason='no machines'))\n"
        "        return Summary()\n",
        encoding="utf-8",
    )
    heard = []
    options |= {"methods": str(instant), "label_columns": "ann"}
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="no"):  # nothing was written, so there is nothing to load
        bench.run_grid(executor=str(path), listen=heard.append, **options)
    assert [(event.status, event.reason, event.record) for event in heard] == [("failed", "no machines", None)] * 2
    with pytest.raises(UsageError, match="unknown executor 'lokal'"):
        bench.run_grid(executor="lokal", **options)


def test_finished_cells_are_read_and_not_run_again(options, instant, tmp_path):
    log = tmp_path / "runs.txt"
    for _ in range(2):
        bench.run_grid(methods=f"{instant}[log={log}]", label_columns="ann", **options)
    assert len(log.read_text().splitlines()) == 2


def test_an_open_cell_shows_what_the_method_sees_and_which_labels_are_wrong(options):
    cells = bench.open_cells(label_columns="ann", **options)
    assert [cell.tools.seed for cell in cells] == [1, 2]
    cell, rows = cells[0], [row for row in review_rows() if row["split"] == "train"]
    assert list(cell.task.train.texts) == [row["text"] for row in rows]
    assert cell.task.train_labels.tolist() == [CLASSES.index(row["ann"]) for row in rows]
    assert cell.wrong.tolist() == [row["ann"] != row["gold"] for row in rows]
    assert not hasattr(cell.task, "gold")


def test_an_open_cell_prints_in_three_lines(options, tmp_path):
    cell, _ = bench.open_cells(label_columns="ann", **options)
    rows = [row for row in review_rows() if row["split"] == "train"]
    wrong = 100 * sum(row["ann"] != row["gold"] for row in rows) / len(rows)
    assert (
        repr(cell)
        == str(cell)
        == (
            "OpenCell reviews · ann · plain · tiny-bert:frozen · seed 1\n"
            "  texts: 64 train, 16 valid, 16 test; 2 classes: negative, positive\n"
            f"  train labels: {wrong:.1f} % wrong, 0.0 % without an answer"
        )
    )
    bare = [{name: value for name, value in row.items() if name != "gold"} for row in review_rows()]
    for row in bare[:32]:
        row["ann"] = ""
    path = write_csv(tmp_path / "blind.csv", bare)
    blind, _ = bench.open_cells(label_columns="ann", **(options | {"tasks": str(path)}))
    silent = 100 * sum(not row["ann"] for row in bare if row["split"] == "train") / len(rows)
    assert str(blind).splitlines()[2] == (
        f"  train labels: no gold to count the wrong ones, {silent:.1f} % without an answer"
    )


def test_its_predictions_are_those_of_a_run(options, tmp_path):
    from bench.store.records import read_arrays

    options |= {"methods": "plain", "label_columns": "ann", "epochs": 2, "seeds": "1"}
    bench.run_grid(**options)
    (record,) = stored(tmp_path / "out")
    (cell,) = bench.open_cells(**options)
    last = list(cell.predictions())[-1]
    arrays = read_arrays(record.key.path(tmp_path / "out"))
    np.testing.assert_array_equal(arrays["test_last"], last.test.astype(np.float16))
    assert {split: len(vectors) for split, vectors in cell.embeddings().items()} == {
        "train": record.data.n_train, "valid": record.data.n_valid, "test": record.data.n_test,
    }  # fmt: skip


def test_without_gold_it_is_unknown_what_is_wrong(options, tmp_path):
    rows = [{name: value for name, value in row.items() if name != "gold"} for row in review_rows()]
    path = write_csv(tmp_path / "blind.csv", rows)
    cell, _ = bench.open_cells(label_columns="ann", **(options | {"tasks": str(path)}))
    with pytest.raises(UsageError, match="no gold labels"):
        _ = cell.wrong


def test_a_cell_that_cannot_run_and_a_wrong_option_say_so(options):
    with pytest.raises(Skip, match="weak"):
        bench.open_cells(noise="weak", **options)
    with pytest.raises(UsageError, match="--method"):
        bench.run_grid(method="plain", **options)


def test_importing_bench_loads_neither_torch_nor_pandas():
    import subprocess
    import sys

    code = "import sys, bench; print(sorted({'torch', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
