"""Bad input: one clear error that names the thing, the value and the way out; exit code 2; nothing written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.store.records import SCHEMA
from tests.command import bench, files_under
from tests.conftest import review_rows, write_csv


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """An empty working directory with a good `good.csv` beside it, so that relative results would land there."""
    write_csv(tmp_path / "good.csv", review_rows(24))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def refused(answer, *parts: str) -> None:
    """Check for exit code 2, nothing on stdout, and one error without a traceback that holds all parts."""
    assert answer.exit_code == 2, (answer.stdout, answer.stderr, answer.exception)
    assert answer.stdout == ""
    assert "Traceback" not in answer.stderr
    assert answer.stderr.lower().count("error") >= 1
    assert len(answer.stderr) < 1500, "an error is read by a person"
    for part in parts:
        assert part in answer.stderr, f"{part!r} is not in: {answer.stderr}"


def run_on(path: Path, *words: object):
    return bench("run", "--tasks", path, "--encoder", "minilm:frozen", "--seeds", "1", *words)


NUMBERS = [
    *[("--epochs", value) for value in ("0", "-3", "1.5", "many", "nan")],
    *[("--batch-size", value) for value in ("0", "-1", "x")],
    *[("--learning-rate", value) for value in ("0", "-1", "2", "nan", "inf", "fast")],
    *[("--warmup", value) for value in ("-0.1", "1", "nan")],
    *[("--clip", value) for value in ("0", "-1", "nan", "inf")],
    *[("--dropout", value) for value in ("-0.1", "1", "nan")],
    *[("--adam-epsilon", value) for value in ("0", "-1", "nan")],
    *[("--weight-decay", value) for value in ("-1", "nan", "inf")],
    *[("--max-length", value) for value in ("1", "-5", "100000", "x")],
    *[("--limit", value) for value in ("0", "1", "-1", "x")],
    *[("--jobs", value) for value in ("0", "-1", "two")],
    *[("--seeds", value) for value in ("a", "1.5", "b,1", "", ",", "1,,2")],
]


@pytest.mark.parametrize(("option", "value"), NUMBERS)
def test_a_bad_number_is_refused_with_option_and_value(place, tiny_bert, option, value):
    answer = bench("run", "--tasks", "../good.csv", "--encoder", f"{tiny_bert}:frozen", option, value)
    refused(answer, option, value.partition(",")[0])
    assert files_under(place / "here") == []


@pytest.mark.parametrize("command", ["run", "status"])
@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--tasks", "trecc"], ["unknown task 'trecc'", "trec", "bench list"]),
        (["--tasks", "tweets,tweetz"], ["unknown task 'tweetz'", "tweets"]),
        (["--tasks", "../gone.csv"], ["'../gone.csv' does not exist", "bench list tasks"]),
        (["--methods", "plian"], ["unknown method 'plian'", "plain"]),
        (["--methods", "plain,c"], ["method 'c' matches", "co-teaching", "cr", "in full"]),
        (["--methods", "co-teaching[tua=0.3]"], ["parameter of method co-teaching", "'tua'", "tau"]),
        (["--methods", "co-teaching[tau=1.5]"], ["co-teaching", "tau", "1.5"]),
        (["--methods", "gce[q=7]"], ["gce", "q = 7", "less than or equal to 1"]),
        (["--methods", "plain[x=1]"], ["parameter of method plain", "'x'"]),
        (["--methods", "gce[q]"], ["'gce[q]'", "'q' is not parameter=value"]),
        (["--methods", "gce[q=0.5"], ["'gce[q=0.5'", "bracket", "not closed"]),
        (["--methods", "gce]q["], ["'gce]q['", "closing bracket"]),
        (["--methods", "gce[q=0.5,q=0.6]"], ["'q' is given twice"]),
        (["--methods", "gce[q=[0.5]]"], ["gce", "q = [0.5]"]),
        (["--methods", "plain+cool"], ["cool", "ts"]),
        (["--methods", "./gone.py"], ["'gone.py' does not exist", "@register"]),
        (["--methods", ","], ["--methods", "empty entry"]),
        (["--noise", "sn"], ["sn", "@"]),
        (["--noise", "sn@2"], ["sn@2", "rate"]),
        (["--noise", "sn@x"], ["sn@x"]),
        (["--noise", "xx@0.3"], ["xx", "sn"]),
        (["--llms", "mixtra-7"], ["mixtra-7"]),
        (["--llms", "vote(ann"], ["'vote(ann'", "bracket"]),
        (["--prompting", "some"], ["prompting 'some'", "zero"]),
        (["--preset", "quickstrat"], ["preset 'quickstrat'", "quickstart"]),
        (["--config", "gone.yaml"], ["'gone.yaml' does not exist"]),
        (["--pooling", "max"], ["--pooling", "'max'", "mean"]),
        (["--precision", "fp8"], ["--precision", "'fp8'", "bf16"]),
        (["--uncovered", "perhaps"], ["--uncovered", "'perhaps'", "uniform"]),
        (["--encoder", "minilm:froze"], ["minilm:froze", "frozen"]),
        (["--encoder", "no-such-folder/model"], ["no-such-folder/model"]),
        (["--text-column", "txt"], ["'txt'", "text"]),
        (["--gold-column", "truth"], ["'truth'", "gold"]),
        (["--label-columns", "ann,carl"], ["'carl'", "bob"]),
        (["--data-dir", "gone"], ["'gone' does not exist", "--data-dir"]),
        (["--results", "../good.csv"], ["'../good.csv' is a file", "folder"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_value_names_the_thing_and_the_way_out(place, tiny_bert, command, words, parts):
    given = dict(zip(words[::2], words[1::2], strict=True))
    good = {"--tasks": "../good.csv", "--encoder": f"{tiny_bert}:frozen", "--seeds": "1"}
    refused(bench(command, *[word for pair in (good | given).items() for word in pair]), *parts)
    assert files_under(place / "here") == []


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"methods: [plain\n", ["grid.yaml", "line"]),
        (b"methods: plain\n\tseeds: 1\n", ["grid.yaml", "line 2"]),
        (b"method: plain\n", ["unknown option 'method'", "methods"]),
        (b"- plain\n", ["`option: value`", "list"]),
        (b"just words\n", ["`option: value`", "str"]),
        (b"epochs: many\n", ["--epochs", "'many'"]),
        (b"seeds: [1, x]\n", ["--seeds", "x"]),
        (b"methods: {plain: 1}\n", ["--methods", "comma list"]),
        (b"methods: [plain: 1]\n", ["--methods", "comma list"]),
        (b"seeds: [[1, 2], null]\n", ["--seeds", "comma list"]),
        (b"methods: []\n", ["--methods", "names nothing"]),
        (b"results: [3]\n", ["results must be a path"]),
        (b"seeds: 1\nseeds: 2\n", ["grid.yaml", "line 2", "twice"]),
        (b"methods: \xff\n", ["grid.yaml", "cannot be read"]),
        (b"jobs: !!python/object:os.system {}\n", ["grid.yaml", "line 1"]),
        (b"limit: 1\n", ["--limit", "2"]),
    ],
)
def test_a_malformed_yaml_file_is_refused(place, content, parts):
    (place / "grid.yaml").write_bytes(content)
    refused(bench("run", "--tasks", "../good.csv", "--encoder", "minilm:frozen", "--config", "../grid.yaml"), *parts)
    assert files_under(place / "here") == []


def test_a_folder_given_as_configuration_is_refused(place):
    refused(bench("run", "--config", place), "configuration file", "cannot be read")


def good_rows(**changes: dict) -> list[dict]:
    rows = review_rows(24)
    for number, values in changes.items():
        rows[int(number.removeprefix("row"))] |= values
    return rows


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("empty.csv", b"", ["empty.csv is empty"]),
        ("header.csv", b"text,gold,ann\n", ["header.csv is empty", "at least one row"]),
        ("notext.csv", b"words,gold,ann\na,x,y\n", ["no text column", "--text-column", "words"]),
        ("latin.csv", "text,gold,ann\ncaf\xe9,a,b\n".encode("latin1"), ["line 2", "0xe9", "-f windows-1252"]),
        ("short.csv", b"text,gold,ann\nhello,a\n", ["row 1", "2 fields where the header has 3"]),
        ("twice.csv", b"text,gold,gold\na,x,y\n", ["two columns named 'gold'"]),
        (
            "one.csv",
            b"text,gold,ann\n" + b"".join(b"t%d,same,same\n" % i for i in range(9)),
            ["only the class 'same'", "needs at least two", "label.json"],
        ),
        ("nolabels.csv", b"text\n" + b"".join(b"t%d\n" % i for i in range(9)), ["--label-columns"]),
        ("bad.jsonl", b'{"text": "a", "gold": "x"}\n{"text": \n', ["line 2", "malformed JSON"]),
        ("list.jsonl", b'["a", "b"]\n', ["line 1", "expected an object"]),
        ("table.xls", b"\xd0\xcf", ["unknown kind of file '.xls'", ".xlsx", ".csv"]),
        ("table.xlsx", b"PK", ["not a readable Excel workbook"]),
        ("table.parquet", b"PAR1", ["not a readable Parquet file"]),
        ("table.csv.gz", b"text,gold,ann\n", ["not a complete gzip file"]),
    ],
)
def test_a_broken_file_is_refused_with_its_name_and_place(place, name, content, parts):
    (place / name).write_bytes(content)
    refused(run_on(place / name), name, *parts)
    assert files_under(place / "here") == []


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        (good_rows(row5={"text": ""}), ["row 6", "text is empty"]),
        (good_rows(row5={"text": "NaN"}), ["row 6", "missing value"]),
        (good_rows(row5={"id": "r1"}), ["row 6", "duplicate id 'r1'"]),
        (good_rows(row5={"split": "trian"}), ["row 6", "'trian'", "train, valid or test"]),
        (good_rows(row5={"ann": "neutral"}), ["column 'ann'", "'neutral' is outside the label set", "positive"]),
    ],
)
def test_a_bad_row_is_refused_with_its_number(place, rows, parts):
    refused(run_on(write_csv(place / "mine.csv", rows)), "mine.csv", *parts)
    assert files_under(place / "here") == []


def test_a_label_outside_a_declared_set_is_refused(place):
    (place / "label.json").write_text(json.dumps({"0": "negative", "1": "neutral"}))
    refused(run_on(place / "good.csv"), "good.csv", "'positive' is outside the label set (negative, neutral)")


def test_a_text_of_one_megabyte_works(place, tiny_bert):
    path = write_csv(place / "long.csv", good_rows(row5={"text": "good film " * 100_000}))
    words = ["--encoder", f"{tiny_bert}:frozen", "--seeds", 1, "--epochs", 1, "--llms", "ann", "--results", place / "r"]
    answer = bench("run", "--tasks", path, *words)
    assert answer.exit_code == 0, answer.output
    assert "1 done" in answer.stdout


@pytest.mark.parametrize("command", [["run", "--tasks", "../good.csv", "--encoder", "minilm:frozen"], ["report"]])
def test_a_results_folder_of_a_newer_schema_is_refused_and_left_alone(place, command):
    results = place / "here" / "results"
    (results / "cells").mkdir(parents=True)
    (results / "format.json").write_text(json.dumps({"schema": SCHEMA + 1}))
    (results / "cells" / "seed-1-0123456789ab.json").write_text(json.dumps({"schema": SCHEMA + 1}))
    before = files_under(results)
    refused(bench(*command), f"schema {SCHEMA + 1}", "upgrade bench", "--results")
    assert files_under(results) == before


@pytest.mark.parametrize("command", [["report"], ["status"], ["show", "abc"]])
def test_reading_where_nothing_lies_says_what_to_do(place, command):
    refused(bench(*command), "'results'")
    assert files_under(place / "here") == []


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["report", "--rule", "best"], ["best", "last"]),
        (["report", "--format", "pdf"], ["pdf", "html"]),
        (["report", "--results", "../good.csv"], ["good.csv"]),
        (["status", "--results", "../good.csv"], ["good.csv"]),
        (["list", "method5"], ["unknown kind 'method5'", "methods"]),
        (["check", "plian"], ["unknown method 'plian'", "plain"]),
        (["rn"], ["rn"]),
        (["run", "--taks", "trec"], ["--taks", "--tasks"]),
    ],
)
def test_other_commands_refuse_wrong_usage_too(place, words, parts):
    refused(bench(*words), *parts)
    assert files_under(place / "here") == []


def test_control_characters_of_data_do_not_reach_the_terminal(place):
    answer = run_on(write_csv(place / "mine.csv", good_rows(row5={"split": "\x1b[31mred"})))
    refused(answer, "row 6", "x1b[31mred")
    assert "\x1b[31m" not in answer.stderr


@pytest.mark.parametrize("words", [["--tasks", "trecc"], ["--epochs", "0"], ["--config", "gone.yaml"]])
def test_the_installed_command_refuses_the_same_way(place, words):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    command = [Path(sys.executable).with_name("bench"), "run", "--tasks", "../good.csv", "--encoder", "minilm:frozen"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert files_under(place / "here") == []


@pytest.mark.parametrize(("option", "value"), [("limit", "x"), ("jobs", "0"), ("dropout", "nan"), ("max-length", "0")])
def test_a_bad_environment_variable_is_refused_as_the_option_is(place, tiny_bert, monkeypatch, option, value):
    words = ["run", "--tasks", "../good.csv", "--encoder", f"{tiny_bert}:frozen"]
    by_option = bench(*words, f"--{option}", value)
    refused(by_option, f"--{option} = ", value)
    monkeypatch.setenv("BENCH_" + option.replace("-", "_").upper(), value)
    assert bench(*words).stderr == by_option.stderr


@pytest.mark.parametrize("command", ["run", "status"])
def test_a_results_folder_below_a_file_is_refused(place, tiny_bert, command):
    words = ["--tasks", "../good.csv", "--encoder", f"{tiny_bert}:frozen", "--results", "../good.csv/below"]
    refused(bench(command, *words), "--results '../good.csv/below'", "is a file", "name a folder")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no folder that nobody can write to")
@pytest.mark.parametrize("command", [["run", "--tasks"], ["advise"], ["budget"]])
def test_a_results_folder_that_cannot_be_made_is_refused_before_anything_is_said(place, tiny_bert, command):
    words = ["../good.csv", "--encoder", f"{tiny_bert}:frozen", "--llms", "ann", "--results", "/proc/x"]
    refused(bench(*command, *words), "results folder '/proc/x' cannot be written to", "name another with --results")


def test_a_column_of_labels_has_no_prompting(place, tiny_bert):
    words = ["--tasks", "../good.csv", "--encoder", f"{tiny_bert}:frozen"]
    refused(bench("run", *words, "--llms", "ann/few"), "'ann/few'", "no prompting", "write ann")


def test_an_encoder_folder_without_a_tokenizer_is_refused(place, tiny_bert):
    (place / "bare").mkdir()
    for name in ("config.json", "model.safetensors"):
        (place / "bare" / name).write_bytes((tiny_bert / name).read_bytes())
    refused(
        bench("run", "--tasks", "../good.csv", "--encoder", "../bare"), "'../bare' has no tokenizer", "tokenizer.json"
    )


def test_odd_texts_are_data_and_no_markup(place, tiny_bert):
    odd = ["[bold]x[/]", "<script>alert(1)</script>", "\\textbf{x} & $y$", "\u202eabc", "tab\there", "=1+1"]
    rows = [row | {"text": f"{odd[number % 6]} {number}"} for number, row in enumerate(review_rows(24))]
    path = write_csv(place / "odd.csv", rows)
    words = ["--encoder", f"{tiny_bert}:frozen", "--seeds", 1, "--epochs", 1, "--llms", "ann", "--results", place / "r"]
    answer = bench("run", "--tasks", path, *words)
    assert answer.exit_code == 0, answer.output
    assert "done odd · ann" in answer.stdout
