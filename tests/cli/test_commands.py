"""The commands beside run, status and show, and what the help says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import application


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("tasks", ["trec", "semeval", "numclaim", "20news", "tweets", "reuters-r8"]),
        ("methods", ["plain", "co-teaching", "sidyp", "npc", "dygen", "METHOD+ts"]),
        ("encoders", ["bert-base-uncased", "minilm", ":frozen"]),
        ("llms", ["smollm2"]),
    ],
)
def test_list_names_what_there_is(bench, kind, named):
    answer = bench("list", kind)
    assert answer.exit_code == 0
    for name in named:
        assert name in answer.stdout


def test_mixtral_is_short_for_the_published_labels(bench, data_dir, tiny_bert):
    words = ["--llms", "mixtral", "--methods", "plain", "--data-dir", data_dir, "--encoder", f"{tiny_bert}:frozen"]
    answer = bench("run", *words, "--seeds", "1", "--dry-run")
    assert answer.exit_code == 0, answer.stderr
    assert "mixtral-8x22b" in answer.stdout
    assert "semeval" in answer.stdout


def test_doctor_says_what_there_is_and_what_is_missing_with_the_way_out(bench):
    answer = bench("doctor")
    assert answer.exit_code == 0, answer.stdout
    assert re.search(r"^ +ok torch: \d", answer.stdout, re.M)
    assert re.search(r"^ +ok task tweets: 2892/400/800 texts", answer.stdout, re.M)
    assert re.search(r"^ absent encoder bert-base-uncased: .*--encoder minilm", answer.stdout, re.M)
    assert "is writable" in answer.stdout
    missing = bench("doctor", "--data-dir", "gone")
    assert missing.exit_code == 1
    assert "missing data folder: 'gone' does not exist" in missing.stdout


def test_check_passes_a_good_method_and_names_what_a_bad_one_breaks(bench, instant):
    good = bench("check", "./instant.py")
    assert good.exit_code == 0, good.stdout
    assert "passed" in good.stdout
    bad = Path("bad.py")
    bad.write_text(
        instant.read_text().replace("astype(np.float32)", "astype(np.float64)").replace('"instant"', '"bad"')
    )
    answer = bench("check", "./bad.py")
    assert answer.exit_code == 1
    assert "failed" in answer.stdout
    assert "float64" in answer.stdout


def test_help_names_every_command_in_the_order_of_use_and_how_options_become_variables(bench):
    found = re.findall(r"^│ (\w+) ", bench("--help").stdout, re.M)
    grids, labels = ["run", "status", "report", "show"], ["label", "labels", "trust", "clean", "budget"]
    rest = ["export", "predict", "list", "doctor", "check", "pack", "prune"]
    assert found == ["advise", *grids, *labels, *rest]
    text = " ".join(bench("run", "--help").stdout.split())
    assert "can also be set as environment variables (--batch-size: BENCH_BATCH_SIZE)" in text
    assert "or, except --preset and --config, in the file given by --config" in text


def test_the_help_of_trust_says_what_an_id_is_without_a_column_of_ids(bench):
    assert "without an id column, id counts rows from 0" in bench("trust", "--help").stdout


def test_what_takes_no_value_shows_no_type_in_any_help(bench):
    import typer.main

    for words in ([], *([name] for name in typer.main.get_command(application()).commands)):
        told = bench(*words, "--help")
        assert re.search(r"--help +-h +Show this message", told.stdout), words
        assert "bool" not in told.stdout, words


def test_every_option_of_a_run_has_the_variable_that_the_help_tells_of():
    import typer.main

    command = typer.main.get_command(application()).commands["run"]
    own = {"dry_run", "force", "worker", "one_round", "help"}
    for each in command.params:
        assert each.name in own or each.envvar == f"BENCH_{each.name.upper()}", each.name
