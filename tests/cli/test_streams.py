"""What goes where: lines for people, JSON for programs, errors on stderr, and a pipe that closes early."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import records, review_rows, write_csv


@pytest.fixture
def go(bench, reviews, instant, tiny_bert):
    """`bench run` of the instant method on the small CSV; options as keyword arguments replace these."""

    def call(command="run", *words, env=None, **options):
        given = {"methods": "./instant.py", "tasks": "reviews.csv", "seeds": "1", "encoder": f"{tiny_bert}:frozen"}
        pairs = [
            (f"--{name.replace('_', '-')}", value) for name, value in (given | options).items() if value is not None
        ]
        return bench(command, *(part for pair in pairs for part in pair), *words, env=env)

    return call


def events(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_run_says_what_it_does_a_line_a_cell_and_what_comes_next(go):
    result = go(seeds="1,2", llms="ann")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("precision float32: equal runs give bit-identical results on a CPU")
    assert lines[1].startswith("reviews: gold = gold, 2 classes: negative, positive; ")
    assert lines[2] == "2 cells → results"
    assert lines[3].startswith("1/2    done reviews · ann · instant · tiny-bert:frozen · seed 1 ")
    assert lines[-1] == "2 done. Next: bench report --results results"
    assert "2 cached" in go(seeds="1,2", llms="ann").stdout


def test_log_json_is_json_on_stdout_and_nothing_else(go):
    Path("trap").touch()
    result = go("run", "--log-json", methods="./instant.py[trap=trap],./instant.py", noise="weak", llms="ann")
    found = events(result)
    assert {event["event"] for event in found} == {"started", "finished"}
    last = [(event["status"]) for event in found if event["event"] == "finished"]
    assert sorted(last) == ["done", "failed", "skipped", "skipped"]
    done = next(event for event in found if event["status"] == "done" and event["event"] == "finished")
    assert 0 <= done["accuracy"] <= 1
    assert done["seconds"] >= 0
    assert all(event["hash"] and event["cell"] for event in found)
    assert next(event["reason"] for event in found if event["status"] == "failed") == "RuntimeError: the trap snapped"
    planned = events(go("run", "--log-json", "--dry-run", methods="./instant.py", llms="ann"))
    assert [(event["event"], event["status"]) for event in planned] == [("planned", "cached")]
    assert go("run", env={"BENCH_LOG_JSON": "1"}, llms="ann").stdout.startswith("{")


def test_environment_variables_file_and_options_in_their_order(go):
    Path("grid.yaml").write_text("seeds: 3\nllms: [bob]\nresults: from-file\n", encoding="utf-8")
    plain = {"tasks": None, "seeds": None}
    env = {"BENCH_TASKS": "reviews.csv", "BENCH_SEEDS": "4", "BENCH_CONFIG": "grid.yaml"}
    cells = events(go("run", "--dry-run", "--log-json", env=env, **plain))
    assert [event["cell"] for event in cells] == ["reviews · bob · instant · tiny-bert:frozen · seed 4"]
    cells = events(go("run", "--dry-run", "--log-json", env=env, **(plain | {"seeds": "5"})))
    assert [event["cell"].split()[-1] for event in cells] == ["5"]
    del env["BENCH_SEEDS"]
    assert go(env=env, **plain).exit_code == 0
    assert [record.key.seed for record in records(Path("from-file"))] == [3]
    assert not Path("results").exists()


def test_show_takes_the_hash_that_run_printed(go, bench):
    result = go(llms="ann")
    beginning = result.stdout.splitlines()[3].split()[-1]
    shown = bench("show", beginning)
    assert shown.exit_code == 0
    [record] = records()
    assert record.hash.startswith(beginning)
    assert f"{100 * record.scores.last.accuracy:.1f} %" in shown.stdout
    assert "bench run --methods ./instant.py" in shown.stdout
    assert bench("show", "ffffffff").exit_code == 2


def test_list_names_all_kinds_or_one(bench):
    everything = bench("list").stdout
    for words in ("tweets", "co-teaching", "minilm", "METHOD+ts"):
        assert words in everything
    assert "co-teaching" not in bench("list", "tasks").stdout
    assert "co-teaching" in bench("list", "meth").stdout
    wrong = bench("list", "modules")
    assert wrong.exit_code == 2
    assert "unknown kind 'modules': did you mean methods" in wrong.stderr


def test_two_tasks_with_different_columns_skip_what_each_lacks(go):
    rows = [{**row, "carl": row["ann"]} for row in review_rows()]
    for row in rows:
        del row["bob"]
    write_csv(Path("other.csv"), rows)
    result = go(tasks="reviews.csv,other.csv", llms="bob,carl")
    assert result.exit_code == 0
    assert "2 done · 2 skipped" in result.stdout
    assert "task reviews has no column 'carl'" in result.stdout


def test_output_into_a_pipe_that_closes_is_no_error(tmp_path):
    command = [sys.executable, "-u", "-m", "bench", "list", "tasks"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    errors = process.stderr.read()
    process.wait(timeout=60)
    assert "Traceback" not in errors
    assert "error" not in errors.lower()


def test_the_installed_command_and_the_module_are_the_same(tmp_path):
    script = shutil.which("bench", path=str(Path(sys.executable).parent))
    if script is None:
        pytest.skip("the console script is not installed here: pip install -e .")
    by_script = subprocess.run([script, "list", "tasks"], cwd=tmp_path, capture_output=True, text=True, check=True)
    module = [sys.executable, "-m", "bench", "list", "tasks"]
    assert subprocess.run(module, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == by_script.stdout
