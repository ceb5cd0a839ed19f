"""What the console says of itself: short names that it completed, checks in columns, and what is missing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench.noise.label_sets import find_label_sets
from bench.running.conformance import CHECKS
from tests.command import bench
from tests.conftest import review_rows


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    from methods import registry

    monkeypatch.chdir(tmp_path)
    yield
    registry.METHODS.forget()  # a user's file is known to the test that named it, and to no other


def test_a_short_name_that_was_completed_is_shown_once_and_not_among_the_json():
    words = ("run", "--tasks", "twee", "--llms", "smol", "--methods", "plai,co-t", "--encoder", "minilm:frozen")
    answer = bench(*words, "--dry-run", "--log-json")
    assert answer.exit_code == 0, answer.stderr
    assert answer.stderr.splitlines() == [
        "plai → plain", "co-t → co-teaching", "twee → tweets", "smol → smollm2",
    ]  # fmt: skip
    assert {json.loads(line)["cell"].split(" · ")[0] for line in answer.stdout.splitlines()} == {"tweets"}
    assert bench("list", "meth").stderr == "meth → methods\n"
    whole = ("run", "--tasks", "Tweets", "--llms", "smollm2", "--encoder", "minilm:frozen", "--dry-run")
    assert bench(*whole).stderr == ""


def test_workers_do_not_say_it_again(reviews, tiny_bert, instant):
    words = ("--tasks", reviews, "--llms", "an", "--methods", instant, "--encoder", f"{tiny_bert}:frozen")
    answer = bench("run", *words, "--jobs", 2)
    assert answer.exit_code == 0, answer.output
    assert answer.output.count("an → ann") == 1


def test_with_llms_alone_the_tasks_are_those_that_they_have_labels_for(data_dir):
    answer = bench("run", "--llms", "mixtral", "--data-dir", data_dir, "--encoder", "minilm:frozen", "--dry-run")
    assert answer.exit_code == 0, answer.stderr
    expected = sorted({ref.task for ref in find_label_sets(data_dir) if ref.labeller == "mixtral-8x22b"})
    assert f"tasks {', '.join(expected)}: those for which these LLMs have labels" in answer.stdout
    assert "mixtral → mixtral-8x22b" in answer.stderr


def test_checks_stand_in_columns_within_eighty_signs(instant):
    from typer.testing import CliRunner

    from tests.conftest import application

    Path("bad.py").write_text(instant.read_text().replace("np.float32", "np.float64").replace('"instant"', '"bad"'))
    answer = CliRunner(env={"COLUMNS": "80"}).invoke(application(), ["check", "./bad.py"])
    assert answer.exit_code == 1
    lines = answer.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    rows = [re.fullmatch(r"(\S.*?) {2,}(passed|failed)  (\S.*?) *", line) for line in lines]
    assert [row[1] for row in rows if row] == list(CHECKS)
    assert len({row.start(2) for row in rows if row} | {row.start(3) for row in rows if row}) == 2
    told = " ".join(line[next(row.start(3) for row in rows if row) :].strip() for line in lines)
    assert "float64" in told
    failed = sum(row[2] == "failed" for row in rows if row)
    assert lines[-1] == f"{len(CHECKS) - failed} of {len(CHECKS)} checks passed"


def without_gold_in_train(folder: Path) -> Path:
    """A folder in the WRENCH layout whose train texts have noisy labels, and no gold ones."""
    folder.mkdir()
    names = ["negative", "positive"]
    (folder / "label.json").write_text(json.dumps(dict(enumerate(names))))
    for split in ("train", "valid", "test"):
        entries = {}
        for number, row in enumerate(row for row in review_rows() if row["split"] == split):
            entry = {"weak_labels": [names.index(row["ann"])], "data": {"text": row["text"]}}
            entries[str(number)] = entry | ({} if split == "train" else {"label": names.index(row["gold"])})
        (folder / f"{split}.json").write_text(json.dumps(entries))
    return folder


def test_where_train_has_no_gold_oracle_and_the_map_say_that_and_nothing_else(tmp_path, tiny_bert):
    folder = without_gold_in_train(tmp_path / "half")
    words = ("--tasks", folder, "--noise", "weak", "--encoder", f"{tiny_bert}:frozen", "--seeds", 1, "--epochs", 1)
    answer = bench("run", *words, "--methods", "plain,oracle")
    assert answer.exit_code == 0, answer.output
    assert "1 done · 1 skipped" in answer.stdout
    assert "oracle trains on gold labels, and the train split of half has none: leave oracle out" in answer.stdout
    report = bench("report", "--format", "md,figures")
    assert report.exit_code == 0, report.output
    (told,) = [line for line in report.stdout.splitlines() if line.startswith("No map of the texts")]
    assert "gold labels of the train texts" in told.partition(";")[0]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "tweets"], "as in `bench run --tasks TASKS`"),
        (["run", "--stages", "yes"], "every value follows its option"),
        (["labels", "tweets"], "as in `bench labels --tasks TASKS`"),
        (["label", "--llm", "smollm2", "--task", "tweets", "few"], "as in `bench label --task TASK`"),
        (["report", "results"], "as in `bench report --results RESULTS`"),
        (["prune", "results"], "as in `bench prune --results RESULTS`"),
        (["pack", "--results", "x"], "write `bench pack RESULTS`"),
        (["status", "--jobs", "2"], "it is an option of bench advise, run, budget"),
        (["report", "--methods", "plain"], "it is an option of bench advise, run, status"),
        (["list", "tasks", "--data-dir", "gone"], "data folder 'gone' does not exist: name a folder with --data-dir"),
        (["labels", "--tasks", "tweets", "--out", "a.txt"], "--out 'a.txt': 'a.txt' is a file: name a folder"),
        (["labels", "--tasks", "tweets", "--out", "a.txt/b"], "is a file: name a folder"),
        (["label", "--llm", "smollm2", "--task", "tweets", "--out", "a.txt"], "'a.txt' is a file: name a folder"),
        (
            ["label", "--llm", "gpt-9", "--task", "tweets"],
            "needs an address (--base-url or $OPENAI_BASE_URL) or a key",
        ),
        (["run", "--config", "."], "configuration file '.' cannot be read: Is a directory\n"),
        (["run", "--preset", "big"], "unknown preset 'big': known: paper, quickstart\n"),
        (["run", "--tasks", "tweets", "--methods", "none.py"], "method file 'none.py' does not exist"),
        (["run", "--tasks", "tweets", "--methods", "empty.py"], "exactly one: write @register above its class"),
        (["run", "--tasks", "tweets", "--methods", "plian"], "(`bench list methods` shows all)"),
        (["check", "plian"], "(`bench list methods` shows all)"),
        (["run", "--tasks", "tweets", "--llms", "smolm"], "did you mean smollm2? (`bench list llms` shows all)"),
    ],
)
def test_a_wrong_word_is_refused_with_where_it_belongs(words, told, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("a.txt", "empty.py"):
        Path(name).write_text("")
    answer = bench(*words)
    assert answer.exit_code == 2
    assert answer.stdout == ""
    assert told in answer.stderr, answer.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["a.txt", "empty.py"]
