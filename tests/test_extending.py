"""docs/extending.md: every example on the page is written to a file where it would live, and run."""

import csv
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from bench.store.records import read_arrays
from tests.conftest import INSTANT, records, review_rows, write_csv, write_tiny_bert

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r'```python title="([^"]+)"\n(.*?)```', PAGE, re.DOTALL))


@pytest.fixture
def example(tmp_path):
    """Write an example of the page into the folder where the command runs."""

    def write(name: str, change=("", "")) -> str:
        (tmp_path / name).write_text(EXAMPLES[name].replace(*change), "utf-8")
        return f"./{name}"

    yield write
    from bench.noise.synthetic.base import NOISES
    from bench.running.executors.base import EXECUTORS

    NOISES.forget()
    EXECUTORS.forget()


@pytest.fixture
def grid(reviews, tiny_bert):
    return ["--tasks", reviews.name, "--encoder", f"{tiny_bert}:frozen", "--epochs", 1, "--seeds", 1]


def ok(result):
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_page_has_one_complete_example_of_each_kind():
    assert list(EXAMPLES) == [
        "centroids.py", "majority.py", "limited.py", "extras_metric.py", "extras_table.py", "extras_task.py",
    ]  # fmt: skip
    assert all(8 <= len([line for line in code.splitlines() if line]) <= 25 for code in EXAMPLES.values())


def test_a_method_of_a_file(bench, example, grid):
    ok(bench("run", *grid, "--methods", f"{example('centroids.py')}[sharpness=20]", "--llms", "ann"))
    [record] = records()
    assert (record.status, record.key.method, record.key.config["sharpness"]) == ("done", "centroids", 20)
    assert record.scores.last.accuracy > 0


def test_a_noise_of_a_file_is_drawn_made_again_by_its_command_and_another_one_when_edited(
    bench, example, grid, instant
):
    noise = ["--noise", f"{example('majority.py')}@0.3", "--methods", "./instant.py"]
    ok(bench("run", *grid, *noise))
    [record] = records()
    assert (record.key.noise, record.noise.kind) == ("majority@0.3", "synthetic")
    assert record.noise.rate_train == pytest.approx(0.3, abs=0.12)
    assert "cached" in ok(bench(*shlex.split(record.command)[1:]))
    example("majority.py", ("bincount(gold", "bincount(1 - gold"))  # now to the rarest of two classes
    ok(bench("run", *grid, *noise))
    assert record.hash in (hashes := {each.hash for each in records()})
    assert len(hashes) == 2


def test_a_noise_that_draws_what_is_no_class_fails_its_cell(bench, example, grid, instant):
    example("majority.py", ("usual, labels)", "num_classes, labels)"))
    result = bench("run", *grid, "--noise", "./majority.py@0.3", "--methods", "./instant.py")
    assert "noise 'majority' must draw one class from 0 to 1 for each of the 64 train texts" in " ".join(
        (result.stdout + result.stderr).split()
    )
    assert not [record for record in records() if record.status == "done"]


def test_an_executor_of_a_file(bench, example, grid, instant, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    words = [*grid, "--methods", "./instant.py[log=log.txt]", "--llms", "ann"]
    example("limited.py")
    ok(bench("run", *words, "--executor", "./limited.py[cpus=2]", "--timeout", "2h", "--no-stages"))
    [record] = records()
    assert (record.status, [use.name for use in record.stages if use.reused]) == ("done", [])
    assert not Path("results/stages").exists()
    assert "cached" in ok(bench("run", *words, "--executor", "./limited.py[cpus=2]"))
    assert len(Path("log.txt").read_text().splitlines()) == 1
    refused = bench("run", *words, "--executor", "./limited.py[cpus=0]")
    assert refused.exit_code == 2
    assert "executor 'limited': cpus = 0" in refused.stderr


@pytest.fixture(scope="module")
def packaged(tmp_path_factory):
    """A results folder made without and then with the page's package installed, and the command line with it."""
    folder = tmp_path_factory.mktemp("packaged")
    package = folder / "site"
    (package / "moods").mkdir(parents=True)
    for name in ("extras_metric.py", "extras_table.py", "extras_task.py"):
        (package / name).write_text(EXAMPLES[name], "utf-8")
    rows = [{"text": row["text"], "label": row["gold"], "split": row["split"]} for row in review_rows()]
    for split in ("train", "test"):
        write_csv(package / "moods" / f"{split}.csv", [row for row in rows if row["split"] == split])
    project = tomllib.loads(re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1])["project"]
    about = package / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir()
    about.joinpath("METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    points = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    about.joinpath("entry_points.txt").write_text("\n".join(points))
    (folder / "instant.py").write_text(INSTANT)
    write_csv(folder / "reviews.csv", review_rows())
    encoder = write_tiny_bert(folder / "tiny-bert")

    def call(*words: object, installed: bool = True) -> str:
        path = os.pathsep.join([str(package), str(ROOT)] if installed else [str(ROOT)])
        done = subprocess.run(
            [sys.executable, "-m", "bench", *map(str, words)],
            cwd=folder, env=os.environ | {"PYTHONPATH": path, "COLUMNS": "200"}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "cannot be loaded" not in done.stderr
        return done.stdout

    run = ["run", "--methods", "./instant.py", "--encoder", f"{encoder}:frozen", "--seeds"]
    call(*run, 1, "--tasks", "reviews.csv", "--llms", "ann", installed=False)
    call(*run, "1,2", "--tasks", "reviews.csv", "--llms", "ann")
    call(*run, 1, "--tasks", "moods", "--noise", "sn@0.3")
    return folder, call


def test_a_task_of_a_package(packaged):
    folder, call = packaged
    [record] = [record for record in records(folder / "results") if record.key.task == "moods"]
    assert (record.status, record.data.label_names) == ("done", ["negative", "positive"])
    assert (record.data.n_train + record.data.n_valid, record.data.n_test) == (64, 16)
    assert "Moods of short texts" in call("list", "tasks")


def test_a_metric_of_a_package_is_in_new_records_and_a_dash_in_old_ones(packaged):
    folder, call = packaged
    old, new = (
        next(each for each in records(folder / "results") if (each.key.task, each.key.seed) == ("reviews", seed))
        for seed in (1, 2)
    )
    assert old.scores.last.get("confident_half") is None
    arrays = read_arrays(new.key.path(folder / "results"))
    right = arrays["test_last"].argmax(1) == arrays["gold"]  # all equally confident: the first half of them counts
    assert new.scores.last.get("confident_half") == pytest.approx(right[: len(right) // 2].mean())
    shown = {each.hash: call("show", each.key.path(folder / "results")) for each in (old, new)}
    assert re.search(r"confident half +–", shown[old.hash])
    assert re.search(r"confident half +\d+\.\d %", shown[new.hash])


@pytest.mark.parametrize("installed", [True, False])
def test_metrics_and_tables_of_a_package_are_in_the_report_while_it_is_installed(packaged, installed):
    folder, call = packaged
    call("report", "--format", "md,csv,html", "--out", "report", "--no-show", installed=installed)
    cells = pd.read_parquet(folder / "report" / "cells.parquet")
    page = (folder / "report" / "index.html").read_text("utf-8")
    text = (folder / "report" / "report.md").read_text("utf-8")
    assert ("confident_half_last" in cells) is installed
    assert ("confident half" in page) is installed
    assert ("confident half" in text) is installed
    assert ("accuracy of the worst seed" in page) is installed
    tables = list((folder / "report" / "tables").glob("worst-seed-*.csv"))
    assert bool(tables) is installed
    if installed:
        assert cells["confident_half_last"].notna().tolist().count(True) == 2  # of three cells
        [rows] = [list(csv.reader(table.open(encoding="utf-8"))) for table in tables]
        worst = cells.loc[cells["task"] == "reviews", "accuracy_last"].min()
        assert f"{100 * worst:.1f}" in str(rows)


@pytest.mark.parametrize("module", ["extras_metric", "extras_table", "extras_task"])
def test_a_package_may_be_imported_before_bench(packaged, module):
    folder, _ = packaged
    code = f"import {module}; from bench.store.metrics import METRICS; from bench.data.tasks import known; "
    code += "print('confident_half' in METRICS, 'moods' in known())"
    path = os.pathsep.join([str(folder / "site"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert (done.stdout.split(), done.stderr) == (["True", "True"], "")


class Point:
    """An entry point of another package."""

    value = "other_package:THING"

    def __init__(self, thing):
        self.load = lambda: thing


def test_what_is_no_task_or_has_a_known_name_is_left_out_with_a_warning(monkeypatch, caplog):
    import importlib.metadata

    from bench.data.tasks import TaskInfo, known

    second = TaskInfo("trec", "another trec", ("a", "b"), 8, "", "")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Point(second), Point("moods")])
    known.cache_clear()
    try:
        assert known()["trec"].title != "another trec"
    finally:
        known.cache_clear()
    assert "task of other_package:THING is left out: another task is named 'trec'" in caplog.text
    assert "it must be a TaskInfo, not str" in caplog.text


@pytest.mark.parametrize("name", ["step", "absent_classes", "Top 2"])
def test_a_metric_is_not_named_like_something_else_in_a_record(name):
    from bench.store.metrics.base import METRIC_CLASSES, register

    with pytest.raises(TypeError, match=f"is named '{name}': choose a lower-case name"):
        register(type("Mine", (), {"name": name}))
    assert name not in METRIC_CLASSES.classes


def test_a_table_which_no_command_names_may_be_called_anything(monkeypatch):
    from bench.report.tables.base import REPORT_TABLES, register

    monkeypatch.setattr(REPORT_TABLES, "classes", dict(REPORT_TABLES.classes))
    cls = register(type("Mine", (), {"name": "worst seed, in %"}))
    assert REPORT_TABLES.classes["worst seed, in %"] is cls


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("min(scores)", "min(scores) / 0"), "ZeroDivisionError: float division by zero"),
        (
            ("heads, rows)", "heads, rows, name='accuracy-all tasks')"),
            "ValueError: there is another table named 'accuracy-all tasks-",
        ),
        (("method, entries)", "method, ())"), "must have 6 entries, one per head"),
        (("yield block.table(", "yield dict("), "TypeError: "),
    ],
)
def test_a_table_that_fails_is_left_out_with_a_note_and_the_report_goes_on(tmp_path, change, why):
    from bench.report.build import build_report
    from bench.report.tables.base import REPORT_TABLES
    from tests.factories import write_grid

    write_grid(tmp_path / "results", setups=(("minilm", "frozen"),), seeds=(1, 2))
    path = tmp_path / "extras_table.py"
    code = EXAMPLES["extras_table.py"].replace(*change)
    assert code != EXAMPLES["extras_table.py"]
    path.write_text(code, "utf-8")
    try:
        REPORT_TABLES.from_file(path)
        done = build_report(tmp_path / "results", tmp_path / "report", formats=["csv"])
    finally:
        REPORT_TABLES.forget()
    [note] = [note for note in done.results.notes if "worst-seed" in note]
    assert why in note
    assert len([file for file in done.files if file.name.startswith("accuracy")]) > 1
