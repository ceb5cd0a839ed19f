"""The command line from the outside: what is printed where, exit codes, resume, a user's own data and method."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.store import read_arrays
from tests.conftest import records, review_rows, tree, write_csv


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


def test_help_names_every_command_and_every_option_has_a_variable(bench):
    text = bench("--help").stdout
    for command in ("run", "report", "status", "label", "labels", "list", "show", "check", "doctor"):
        assert command in text
    text = bench("run", "--help").stdout
    for option in ("methods", "llms", "tasks", "prompting", "noise", "seeds", "encoder", "preset", "config", "limit"):
        assert f"--{option}" in text
        assert f"BENCH_{option.upper()}" in text
    assert "…" not in text  # nothing is cut off


def test_a_run_says_what_it_does_a_line_a_cell_and_what_comes_next(go):
    result = go(seeds="1,2", llms="ann")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("precision ")
    assert lines[1] == "2 cells → results"
    assert lines[2].startswith("1/2    done reviews · ann · instant · tiny-bert:frozen · seed 1 ")
    assert lines[-1] == "2 done. Next: bench report --results results"
    assert "2 cached" in go(seeds="1,2", llms="ann").stdout


def test_exit_codes_all_done_some_failed_wrong_usage(go):
    Path("trap").touch()
    assert go().exit_code == 0
    failed = go(methods="./instant.py[trap=trap],./instant.py[strength=2]", llms="ann")
    assert failed.exit_code == 1
    assert "failed reviews · ann · instant" in failed.stdout
    assert "the trap snapped" in failed.stdout
    assert "1 done · 1 failed" in failed.stdout
    wrong = go(methods="nonsense")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("error: unknown method 'nonsense'")


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


@pytest.mark.parametrize("before", [False, True], ids=["fresh folder", "folder with results"])
def test_a_dry_run_shows_statuses_and_writes_nothing_at_all(go, tmp_path, before):
    if before:
        go(llms="ann")
    held = tree(tmp_path)
    result = go("run", "--dry-run", noise="weak,sn@0.2", llms="ann,bob", seeds="1,2")
    assert result.exit_code == 0
    assert "not run" in result.stdout
    assert "skipped" in result.stdout
    assert ("cached (1)" in result.stdout) is before
    left = 5 if before else 6
    assert f"{left} of 8 cells would run; nothing was run" in result.stdout
    assert tree(tmp_path) == held


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


def test_a_grid_can_come_from_a_file_alone(bench, reviews, tiny_bert, instant):
    lines = ["methods: ./instant.py[strength=2], ./instant.py", "tasks: [reviews.csv]", "seeds: [1, 2]"]
    lines += [f"encoder: {tiny_bert}:frozen", "batch-size: 16", "learning_rate: 0.01"]
    Path("grid.yaml").write_text("\n".join(lines), encoding="utf-8")
    assert bench("run", "--config", "grid.yaml").exit_code == 0
    found = records()
    assert len(found) == 2 * 2 * 2
    assert {record.key.recipe["batch_size"] for record in found} == {16}


def test_status_of_a_grid_and_of_a_folder(go, bench):
    Path("trap").touch()
    go(methods="./instant.py,./instant.py[trap=trap]", llms="ann")
    grid = go("status", methods="./instant.py,./instant.py[trap=trap]", llms="ann,bob", seeds="1,2", noise="weak")
    assert grid.exit_code == 0
    for words in ("done (1) · not run (2)", "failed (1) · not run (2)", "skipped (1, 2)", "instant[trap=trap]"):
        assert words in grid.stdout
    assert "RuntimeError: the trap snapped" in grid.stdout
    folder = bench("status", "--results", "results")
    assert folder.exit_code == 0
    assert "1 done · 1 failed" in folder.stdout or "1 failed · 1 done" in folder.stdout
    nothing = bench("status", "--results", "elsewhere")
    assert nothing.exit_code == 2
    assert "run `bench run` first" in nothing.stderr


def test_show_takes_the_hash_that_run_printed(go, bench):
    result = go(llms="ann")
    beginning = result.stdout.splitlines()[2].split()[-1]
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


def test_doctor_names_each_lack_and_its_exit_code_counts_what_is_missing(bench):
    found = bench("doctor")
    assert found.exit_code == 0
    assert "ok torch" in found.stdout
    missing = bench("doctor", "--data-dir", "nowhere")
    assert missing.exit_code == 1
    assert "missing data folder: 'nowhere' does not exist: name another with --data-dir" in missing.stdout


def test_check_passes_a_good_method_and_fails_a_bad_one(bench, instant):
    good = bench("check", "./instant.py")
    assert good.exit_code == 0, good.stdout
    assert "failed" not in good.stdout
    text = instant.read_text(encoding="utf-8").replace("/ (shares ** self.config.strength).sum()", "")
    Path("bad.py").write_text(text.replace('"instant"', '"bad"'), encoding="utf-8")
    bad = bench("check", "./bad.py")
    assert bad.exit_code == 1
    assert "rows are not probabilities" in bad.stdout
    assert bench("check", "absent.py").exit_code == 2


def test_force_runs_again_and_limit_takes_fewer_texts(go):
    go(llms="ann", limit="20")
    [first] = records()
    assert first.data.n_train == 20
    assert (first.data.n_valid, first.data.n_test) == (16, 16)
    path = first.key.path(Path("results"))
    before = path.stat().st_ino
    assert "1 cached" in go(llms="ann", limit="20").stdout
    assert path.stat().st_ino == before
    assert "1 done" in go("run", "--force", llms="ann", limit="20").stdout
    assert path.stat().st_ino != before
    again = records()[0]
    assert (again.scores, again.hash) == (first.scores, first.hash)


def test_own_csv_with_gold_and_two_labellers(go):
    assert go().exit_code == 0
    by_noise = {record.key.noise: record for record in records()}
    rows = pd.DataFrame(review_rows())
    train, test = rows[rows["split"] == "train"], rows[rows["split"] == "test"]
    for name in ("ann", "bob"):
        noise = by_noise[name].noise
        assert noise.rate_train == pytest.approx((train[name] != train["gold"]).mean())
        assert noise.labeller_test_accuracy == pytest.approx((test[name] == test["gold"]).mean())
        assert np.sum(noise.confusion_train) == len(train)


def test_own_jsonl_without_gold_gives_predictions_and_says_so(go, bench):
    rows = review_rows()
    lines = [json.dumps({name: row[name] for name in ("split", "text", "ann")}) for row in rows]
    Path("mine.jsonl").write_text("\n".join(lines), encoding="utf-8")
    result = go(tasks="mine.jsonl")
    assert result.exit_code == 0
    assert "no gold: predictions written, no scores" in result.stdout
    [record] = records()
    assert record.scores is None
    assert record.noise.rate_train is None
    arrays = read_arrays(record.key.path(Path("results")))
    assert set(arrays) == {"test_last", "test_noisy_valid"}
    assert arrays["test_last"].shape == (16, 2)
    report = bench("report", "--format", "md,csv")
    assert report.exit_code == 0
    text = (report.stdout + Path("results/report/report.md").read_text(encoding="utf-8")).lower()
    assert "no gold" in text


def test_a_wrench_folder_as_it_is(go):
    labels = {"0": "negative", "1": "positive"}
    Path("votes").mkdir()
    Path("votes/label.json").write_text(json.dumps(labels), encoding="utf-8")
    rows = review_rows()
    for split in ("train", "valid", "test"):
        part = {}
        for row in (row for row in rows if row["split"] == split):
            votes = [int(row["ann"] == "positive"), int(row["bob"] == "positive"), -1]
            part[len(part)] = {
                "label": int(row["gold"] == "positive"),
                "weak_labels": votes,
                "data": {"text": row["text"]},
            }
        Path(f"votes/{split}.json").write_text(json.dumps(part), encoding="utf-8")
    result = go(tasks="./votes", noise="weak")
    assert result.exit_code == 0
    [record] = records()
    assert (record.key.noise, record.noise.kind, record.key.task) == ("weak", "weak", "votes")
    assert record.data.label_names == ["negative", "positive"]
    assert record.key.options == {"uncovered": "uniform"}


def test_an_edited_method_file_is_a_new_cell(go, instant):
    methods = "./instant.py[strength=2]"
    go(methods=methods, llms="ann")
    assert "1 cached" in go(methods=methods, llms="ann").stdout
    text = instant.read_text(encoding="utf-8")
    instant.write_text(text.replace("+ 1.0", "+ 9.0"), encoding="utf-8")
    assert "1 done" in go(methods=methods, llms="ann").stdout
    one, two = records()
    assert one.key.config == two.key.config
    assert one.key.method_version != two.key.method_version


def test_any_metric_can_be_computed_again_from_the_arrays_alone(go):
    go(noise="sn@0.3", seeds="1,2")
    for record in records():
        with np.load(record.key.path(Path("results")).with_suffix(".npz"), allow_pickle=False) as arrays:
            gold, p = arrays["gold"], arrays["test_last"].astype(np.float64)
        p /= p.sum(1, keepdims=True)
        assert record.scores.last.accuracy == (p.argmax(1) == gold).mean()
        assert record.scores.last.nll == pytest.approx(-np.log(p[np.arange(len(gold)), gold]).mean(), rel=1e-6)
        assert record.scores.last.brier == pytest.approx(((p - np.eye(2)[gold]) ** 2).sum(1).mean(), rel=1e-6)


def test_records_hold_no_path_but_what_was_typed_and_no_environment(go, tmp_path):
    go("run", env={"HF_TOKEN": "hf_secret", "BENCH_RESULTS": str(tmp_path / "out")}, llms="ann")
    [path] = (tmp_path / "out").glob("cells/**/*.json")
    text = path.read_text(encoding="utf-8")
    assert "hf_secret" not in text
    assert str(tmp_path) not in text.replace(json.loads(text)["command"], "")
    assert str(Path(sys.prefix)) not in text


def start(folder, *words, **options):
    code = "from bench.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-u", "-c", code, *map(str, words)], cwd=folder, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True, **options,
    )  # fmt: skip


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_stops_cleanly_keeps_what_is_done_and_the_next_call_goes_on(
    tmp_path, reviews, instant, tiny_bert, bench, jobs
):
    words = ["run", "--tasks", "reviews.csv", "--encoder", f"{tiny_bert}:frozen", "--llms", "ann", "--log-json"]
    words += ["--methods", "./instant.py,./instant.py[seconds=300]", "--seeds", "1", "--jobs", str(jobs)]
    process = start(tmp_path, *words)
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "finished":
            break
    assert event["status"] == "done"
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does: the whole process group gets it
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "stopped: what is done is kept; the same command goes on from there"
    status = bench(*["status" if word == "run" else word for word in words if word != "--log-json"][:-2])
    assert "done (1)" in status.stdout
    assert "1 done · 1 not run" in status.stdout


def test_output_into_a_pipe_that_closes_is_no_error(tmp_path):
    process = start(tmp_path, "list", "tasks")
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


def test_two_tasks_with_different_columns_skip_what_each_lacks(go):
    rows = [{**row, "carl": row["ann"]} for row in review_rows()]
    for row in rows:
        del row["bob"]
    write_csv(Path("other.csv"), rows)
    result = go(tasks="reviews.csv,other.csv", llms="bob,carl")
    assert result.exit_code == 0
    assert "2 done · 2 skipped" in result.stdout
    assert "task reviews has no column 'carl'" in result.stdout
