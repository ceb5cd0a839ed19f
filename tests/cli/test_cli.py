"""The command line as a user sees it: what is printed where, exit codes, sources of options."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tests.command import events, files_under, statuses
from tests.conftest import records


def test_a_run_prints_a_line_a_cell_and_what_to_do_next(run):
    answer = run()
    assert answer.exit_code == 0, answer.stderr
    assert statuses(answer) == ["done", "done"]
    assert "reviews · ann · instant" in answer.stdout
    assert answer.stdout.splitlines()[-1] == "2 done. Next: bench report --results results"
    assert answer.stderr == ""
    last = records()[0].scores.last
    assert f"accuracy {100 * last.accuracy:.1f} · ECE {100 * last.ece:.1f}" in answer.stdout


def test_a_command_given_again_reads_what_is_done(run):
    run(seeds="1")
    assert statuses(run()) == ["cached", "done"]
    assert statuses(run()) == ["cached", "cached"]
    assert statuses(run("--force")) == ["done", "done"]


def test_a_failed_cell_gives_exit_code_1_a_reason_and_another_try(run, tmp_path):
    run(seeds="1", methods="./instant.py[trap=trap]")
    (tmp_path / "trap").touch()
    answer = run(methods="./instant.py[trap=trap]")
    assert answer.exit_code == 1
    assert statuses(answer) == ["cached", "failed"]
    assert "RuntimeError: the trap snapped" in answer.stdout
    assert "Traceback" not in answer.output
    failed = next(record for record in records() if record.status == "failed")
    assert "the trap snapped" in next(Path("results").rglob("*.traceback.txt")).read_text()
    assert failed.error.type == "RuntimeError"
    (tmp_path / "trap").unlink()
    again = run(methods="./instant.py[trap=trap]")
    assert again.exit_code == 0
    assert statuses(again) == ["cached", "done"]
    assert not list(Path("results").rglob("*.traceback.txt"))


def test_a_dry_run_shows_statuses_and_writes_nothing(run):
    before = files_under(Path())
    answer = run("--dry-run")
    assert answer.exit_code == 0
    assert "not run (1, 2)" in answer.stdout
    assert answer.stdout.splitlines()[-1] == "2 of 2 cells would run; nothing was run"
    assert files_under(Path()) == before
    run(seeds="1")
    before = files_under(Path())
    assert "1 of 2 cells would run" in run("--dry-run").stdout
    assert "2 of 2 cells would run" in run("--dry-run", "--force").stdout
    assert {event["status"] for event in events(run("--dry-run", "--force", "--log-json"))} == {"not run"}
    assert "--until-settled compares methods with plain" in run("--dry-run", "--until-settled", "5").stderr
    assert "--force is for --executor local" in run("--dry-run", "--force", "--executor", "slurm").stderr
    assert files_under(Path()) == before


def test_a_dry_run_refuses_what_the_run_would_refuse(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    assert "--track wandb needs the package wandb" in run("--dry-run", "--track", "wandb").stderr
    ray = run("--dry-run", "--executor", "ray", "--processes-per-cell", "2")
    assert ray.exit_code == 2
    assert "a Ray task is one process" in ray.stderr


@pytest.mark.parametrize(
    ("words", "wanted"),
    [([], ["failed"]), (["--retry", "none"], []), (["--force"], ["done", "failed", "skipped"]),
     (["--force", "--retry", "none"], ["done", "skipped"])],
)  # fmt: skip
def test_a_dry_run_says_what_the_run_does(run, tmp_path, words, wanted):
    """With a cell that is done, two that failed, and one whose method found while it ran that it cannot."""
    source = (tmp_path / "instant.py").read_text(encoding="utf-8")
    source = source.replace(
        'raise RuntimeError("the trap snapped")', "raise __import__('bench').core.errors.Skip('no')"
    )
    (tmp_path / "skipper.py").write_text(source.replace('"instant"', '"skipper"'), encoding="utf-8")
    (tmp_path / "trap").touch()
    methods = "./instant.py[log=done],./instant.py[log=failed,trap=trap],./skipper.py[log=skipped,trap=trap]"
    methods += ",./instant.py[log=failed,trap=trap,strength=2]"
    assert statuses(run(methods=methods, seeds="1")) == ["done", "failed", "skipped", "failed"]
    dry = run("--dry-run", *words, methods=methods, seeds="1").stdout
    assert f"{len(wanted) + ('failed' in wanted)} of 4 cells would run" in dry
    for name in ("done", "failed", "skipped"):
        Path(name).unlink()
    run(*words, methods=methods, seeds="1")
    assert [name for name in ("done", "failed", "skipped") if Path(name).exists()] == wanted


def test_json_lines_are_all_that_stdout_holds(run):
    answer = run("--log-json", seeds="1")
    started, finished = events(answer)
    assert (started["event"], started["status"]) == ("started", "running")
    assert (finished["event"], finished["status"]) == ("finished", "done")
    (record,) = records()
    assert started["hash"] == finished["hash"] == record.hash
    assert finished["accuracy"] == pytest.approx(record.scores.last.accuracy, abs=5e-5)
    assert finished["ece"] == pytest.approx(record.scores.last.ece, abs=5e-5)
    assert [event["status"] for event in events(run("--log-json", seeds="1"))] == ["cached"]
    assert all(isinstance(line, dict) for line in events(run("--log-json", "--dry-run")))


def test_status_tells_done_failed_skipped_and_not_run(run, bench, tmp_path):
    (tmp_path / "trap").touch()
    run(seeds="1")
    run(seeds="1", methods="./instant.py[trap=trap]")
    answer = run(command="status", methods="./instant.py,./instant.py[trap=trap],plain[]", noise="weak")
    assert answer.exit_code == 0
    assert "done (1) · not run (2)" in answer.stdout
    assert "failed (1) · not run (2)" in answer.stdout
    assert "RuntimeError: the trap snapped" in answer.stdout
    assert "skipped (1, 2)" in answer.stdout
    assert "weak" in answer.stdout
    answer = run("--dry-run", "--retry", "none", methods="./instant.py,./instant.py[trap=trap]")
    assert "2 of 4 cells would run" in answer.stdout  # not the failed one
    (tmp_path / "grid.yaml").write_text("tasks: reviews.csv\nllms: bob\n")
    of_runs = {"BENCH_SEEDS": "1", "BENCH_ENCODER": "minilm", "BENCH_PRESET": "quickstart", "BENCH_CONFIG": "grid.yaml"}
    folder = bench("status", "--results", "results", env=of_runs)
    assert "instant[trap=trap] " in folder.stdout
    assert "done (1)" in folder.stdout
    assert "failed (1)" in folder.stdout
    assert "not run" not in folder.stdout


def test_status_shows_a_method_as_it_is_named_on_the_command_line(run):
    answer = run(command="status", methods="gce[q=0.5]+ts,plain")
    assert " gce[q=0.5]+ts " in answer.stdout
    assert " plain " in answer.stdout


def test_cells_that_differ_in_a_parameter_are_told_apart(run, bench):
    answer = run(seeds="1", methods="./instant.py[log=a],./instant.py[log=b]")
    assert "· instant[log=a] ·" in answer.stdout
    assert "· instant[log=b] ·" in answer.stdout
    folder = bench("status").stdout
    assert ("instant[log=a] " in folder, "instant[log=b] " in folder) == (True, True)


def test_encoder_folders_of_one_name_are_told_apart_on_screen_and_not_in_keys(run, bench, tiny_bert):
    for folder in ("one", "two"):
        shutil.copytree(tiny_bert, Path(folder, "tiny"))
    config = Path("two", "tiny", "config.json")
    config.write_text(config.read_text() + "\n")  # another revision
    named = {"seeds": "1,2", "encoder": "one/tiny:frozen,two/tiny/:frozen"}
    lines = run(**named).stdout.splitlines()
    assert sum("· one/tiny:frozen · seed" in line for line in lines) == 2
    assert sum("· two/tiny:frozen · seed" in line for line in lines) == 2
    for shown in (run(command="status", **named), bench("status")):
        assert re.findall(r"(\S+):frozen .*done \(1, 2\)", shown.stdout) == ["one/tiny", "two/tiny"]
    assert {record.key.encoder for record in records()} == {"tiny"}
    assert "· tiny:frozen · seed" in run(seeds="3", encoder="one/tiny:frozen").stdout


def test_a_method_file_with_a_comma_in_its_name_is_named_in_quotes(run, tmp_path):
    shutil.copy(tmp_path / "instant.py", tmp_path / "mine, v2.py")
    answer = run(seeds="1", methods='"./mine, v2.py"[log=a],plain')
    assert "instant[log=a]" in answer.stdout, answer.stderr


def test_the_row_of_reports_that_is_no_method_is_said_to_be_one(run):
    assert "every report has a row plain+es" in run(methods="plain+es").stderr


def test_a_damaged_record_is_run_again_with_a_warning(run, caplog):
    run()
    path = sorted(Path("results").rglob("seed-1-*.json"))[0]
    path.write_text(path.read_text()[:100])
    assert statuses(run()) == ["done", "cached"]
    assert f"record {path.name} is damaged" in caplog.text


@pytest.mark.parametrize("where", ["hash", "path"])
def test_show_prints_one_cell_with_the_command_that_makes_it_again(run, bench, where):
    run()
    record = records()[0]
    path = record.key.path(Path("results"))
    answer = bench("show", record.hash[:8] if where == "hash" else path)
    assert answer.exit_code == 0
    assert f"{100 * record.scores.last.accuracy:.1f} %" in answer.stdout
    assert "diagnostic" in answer.stdout, "the oracle-best column must say what it is"
    command = re.search(r"^again +(bench .*)$", answer.stdout, re.M).group(1)
    again = bench(*shlex.split(command)[1:])
    assert statuses(again) == ["cached"]
    assert f"seed {record.key.seed}" in again.stdout


def test_show_refuses_a_beginning_that_several_hashes_share(run, bench):
    run(seeds=",".join(map(str, range(1, 18))))  # more than 16 hashes: two begin alike
    first = [record.hash[0] for record in records()]
    shared = next(digit for digit in first if first.count(digit) > 1)
    answer = bench("show", shared)
    assert answer.exit_code == 2
    assert f"'{shared}' matches {first.count(shared)} records" in answer.stderr


def test_options_come_from_command_line_over_environment_over_file_over_preset(bench, reviews, tiny_bert):
    Path("grid.yaml").write_text(
        f"tasks: reviews.csv\nllms: [ann]\nseeds: [5, 6]\nencoder: {tiny_bert}:frozen\nnoise:\n"
    )

    def seeds_of(*words, **environment):
        answer = bench("status", *words, env=environment or None)
        assert answer.exit_code == 0, answer.stderr
        return set(re.findall(r"not run \(([\d, ]+)\)", answer.stdout))

    preset = ("--preset", "quickstart")
    assert seeds_of(*preset, "--config", "grid.yaml") == {"5, 6"}
    assert seeds_of(*preset, "--config", "grid.yaml", BENCH_SEEDS="7") == {"7"}
    assert seeds_of(*preset, "--config", "grid.yaml", "--seeds", "8", BENCH_SEEDS="7") == {"8"}
    assert seeds_of("--methods", "plain", BENCH_CONFIG="grid.yaml") == {"5, 6"}
    methods = bench("status", *preset, "--config", "grid.yaml").stdout
    assert "co-teaching" in methods, "what the file leaves open comes from the preset"


@pytest.mark.parametrize(
    "text", ["batch-size: 16\nlabel-columns: ann, bob", "batch_size: 16\nlabel_columns: [ann, bob]"]
)
def test_yaml_keys_are_option_names_with_dashes_or_underscores(run, text):
    Path("grid.yaml").write_text(text)
    run("--config", "grid.yaml", seeds="1", llms=None)
    assert {record.key.recipe["batch_size"] for record in records()} == {16}
    assert {record.key.noise for record in records()} == {"ann", "bob"}


def test_a_limit_is_the_same_choice_for_all_and_part_of_the_key(run):
    run(seeds="1,2")
    run(seeds="1,2", limit=8)
    small = [record for record in records() if record.key.limit == 8]
    assert len(small) == 2
    assert {(r.data.n_train, r.data.n_valid, r.data.n_test) for r in small} == {(8, 8, 8)}
    assert len({record.data.fingerprint for record in small}) == 1


def test_two_workers_run_every_cell_once(run):
    answer = run("--jobs", "2", methods="./instant.py[log=log.txt]", llms="ann,bob", seeds="1,2,3")
    assert answer.exit_code == 0, answer.stderr
    assert statuses(answer) == ["done"] * 6
    ran = Path("log.txt").read_text().splitlines()
    assert sorted(ran) == [f"{noise} {seed}" for noise in ("ann", "bob") for seed in (1, 2, 3)]
    assert statuses(run("--jobs", "2", methods="./instant.py[log=log.txt]", llms="ann,bob")) == ["cached"] * 4


def test_results_can_be_moved_and_read_elsewhere(run, bench):
    run()
    shutil.move("results", "elsewhere")
    assert "done (1, 2)" in bench("status", "--results", "elsewhere").stdout
    assert statuses(run(results="elsewhere")) == ["cached", "cached"]
