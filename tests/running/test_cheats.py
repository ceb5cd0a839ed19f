"""Three methods that cheat, as a reader might try them: gold by inheritance, from memory, from the task's files."""

import json
from pathlib import Path

import pytest

from bench.report.frame import load
from bench.report.tables.blocks import blocks, compared
from bench.running.conformance import run_checks
from tests.conftest import records, review_rows, write_csv

HEAD = '''
import gc
import os
import threading

import numpy as np
import pandas
import pyarrow
import pyarrow.csv

from methods.base import Predictions, config
from methods.oracle import Oracle
from methods.registry import register

{outside}


class Sure:
    """Predicts what it knows of the test texts, with certainty."""

    name = "cheat"

    @config
    class Config:
        """No parameters."""

    def __init__(self, config):
        self.config = config
        {built}

    def run(self, task, tools):
        rows = np.eye(task.num_classes, dtype=np.float32)
        valid = np.full((len(task.valid), task.num_classes), 1 / task.num_classes, np.float32)
        yield Predictions(1, valid, rows[[task.label_names.index(name) for name in self.gold(task, tools)]])


def test_rows(table):
    return table[table["split"] == "test"]["gold"] if "split" in table else table["gold"]
'''

FROM_FILES = {
    "in run": {
        "body": "return test_rows(pandas.read_csv(PATH))",
    },
    "when it is imported": {
        "outside": "TABLE = pandas.read_csv(PATH)",
        "body": "return test_rows(TABLE)",
    },
    "when it is built": {
        "built": "self.table = pandas.read_csv(PATH)",
        "body": "return test_rows(self.table)",
    },
    "in a thread": {
        "body": """
        found = []
        thread = threading.Thread(target=lambda: found.append(pandas.read_csv(PATH)))
        thread.start()
        thread.join()
        return test_rows(found[0])""",
    },
    "in a stage": {
        "body": """
        def compute():
            names = test_rows(pandas.read_csv(PATH))
            return {"gold": np.array([task.label_names.index(name) for name in names])}
        found = tools.stages.get("mine", {"task": task.name}, compute)["gold"]
        return [task.label_names[label] for label in found]""",
    },
    "once, for all seeds": {
        "outside": "KEPT = []",
        "body": """
        if not KEPT:
            KEPT.append(pandas.read_csv(PATH))
        return test_rows(KEPT[0])""",
    },
    "from the records": {
        "body": """
        import glob
        with np.load(sorted(glob.glob("results/cells/**/*.npz", recursive=True))[0]) as arrays:
            return [task.label_names[label] for label in arrays["gold"]]""",
    },
}
UNSEEN = "return test_rows(pyarrow.csv.read_csv(pyarrow.memory_map(PATH)).to_pandas())"
PATH_OF_THE_CSV = 'PATH = os.environ["LEAKED_FILE"]'


pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture
def cheat(tmp_path, reviews, monkeypatch):
    """Writes the file of a cheating method; returns its path."""
    monkeypatch.setenv("LEAKED_FILE", str(reviews))

    def write(body, outside="", built=""):
        head = HEAD.replace("{outside}", f"{PATH_OF_THE_CSV}\n{outside}").replace("{built}", built)
        method = '\n\n@register\nclass Cheat(Sure):\n    """It knows."""\n\n    def gold(self, task, tools):\n        '
        path = tmp_path / "cheat.py"
        path.write_text(head + method + body + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def compete(bench, reviews, tiny_bert):
    """Runs methods on the reviews with three seeds; returns what the command printed."""

    def run(*methods, words=()):
        return bench(
            "run", "--tasks", reviews, "--label-columns", "ann", "--methods", ",".join(map(str, methods)),
            "--encoder", f"{tiny_bert}:frozen", "--epochs", "1", "--seeds", "1,2,3", *words,
        )  # fmt: skip

    return run


def test_gold_by_inheritance_is_refused(tmp_path, compete):
    path = tmp_path / "heir.py"
    path.write_text(
        "from methods.oracle import Oracle\nfrom methods.registry import register\n\n\n"
        '@register\nclass Heir(Oracle):\n    """Looks harmless."""\n\n    name = "heir"\n'
    )
    done = compete("plain", path)
    assert done.exit_code == 2
    assert "Heir has sees_gold = True, set or inherited" in done.stderr
    assert not Path("results").exists()


@pytest.mark.parametrize("when", FROM_FILES)
def test_a_method_that_reads_the_tasks_file_is_shown_with_a_warning_and_does_not_compete(when, cheat, compete, bench):
    compete("plain")
    path = cheat(**FROM_FILES[when])
    done = compete("plain", path)
    assert done.exit_code == 0, done.stdout
    cheats = [record for record in records() if record.key.method == "cheat"]
    others = [record for record in records() if record.key.method == "plain"]
    name = "results/cells/reviews/ann/" if when == "from the records" else "reviews.csv"
    assert [record.scores.last.accuracy for record in cheats] == [1.0, 1.0, 1.0]
    noted = [record for record in cheats if record.opened_files and record.opened_files[0].startswith(name)]
    assert len(noted) == 3  # also of the seeds that find in memory or in the store what another has read
    assert {tuple(record.opened_files) for record in others} == {()}
    assert not any(record.competes for record in noted)
    lines = [line for line in done.stdout.splitlines() if "warning:" in line]
    assert len(lines) == len(noted)
    assert all("opened data files of the task by itself, so it does not compete" in line for line in lines)

    cells = load(Path("results")).cells
    (block,) = blocks(cells, "plain")
    assert block.references == block.readers == {"cheat"}
    assert compared(block, "accuracy_last")[0] == ["plain"]
    report = bench("report", "--format", "md,html")
    text = Path("results/report/report.md").read_text()
    warning = "cheat opened data files of the task by itself, in 3 of its 3 cells"
    assert warning in report.stdout
    assert warning in text
    assert warning in Path("results/report/index.html").read_text()
    assert "*cheat*" in text
    assert "**100.0" not in text


def test_json_lines_and_show_say_it_too(cheat, compete, bench):
    done = compete(cheat(**FROM_FILES["in run"]), words=["--log-json"])
    finished = [json.loads(line) for line in done.stdout.splitlines() if '"finished"' in line]
    assert [facts["warning"].endswith(": reviews.csv") for facts in finished] == [True] * 3
    shown = " ".join(bench("show", finished[0]["hash"][:8]).stdout.split())
    assert "it opened data files by itself, so it does not compete: reviews.csv" in shown
    again = compete(cheat(**FROM_FILES["in run"]))
    assert again.stdout.count("warning:") == 3  # cached cells keep it


@pytest.mark.parametrize("wrapper", ["", "+ts"])
def test_a_wrapper_hides_nothing(wrapper, cheat, compete):
    compete(f"{cheat(**FROM_FILES['when it is built'])}{wrapper}")
    assert {tuple(record.opened_files) for record in records()} == {("reviews.csv",)}


def test_what_the_guard_cannot_hear_stands_out_above_the_oracle(cheat, compete, bench):
    compete("plain", "oracle", cheat(UNSEEN))
    assert {record.key.method for record in records() if record.opened_files} == set()
    oracles = [record.scores.last.accuracy for record in records() if record.key.method == "oracle"]
    assert max(oracles) < 1
    report = bench("report", "--format", "md")
    warning = "cheat scores above the oracle's 95 % interval in reviews, ann: 100.0 % against"
    assert warning in report.stdout
    assert warning in Path("results/report/report.md").read_text()


def test_honest_methods_get_no_warning(compete, bench, instant):
    """Neither those that train, with their stages and encoders, nor one that writes and reads files of its own."""
    done = compete("plain,co-teaching,dygen,sidyp,oracle", f"{instant}[log=log.csv]")
    assert done.exit_code == 0
    assert "data files" not in done.stdout  # of training for too short, some do warn
    assert {tuple(record.opened_files) for record in records()} == {()}
    assert "Warning" not in bench("report", "--format", "md").stdout


@pytest.mark.parametrize(
    ("body", "check"),
    [
        (UNSEEN, "independence of gold"),
        ("return test_rows(pandas.read_csv(PATH))", "independence of gold"),
        ("return test_rows(pandas.read_csv(PATH))", "data files"),
        (
            """
        gc.unfreeze()
        found = next(each for each in gc.get_objects() if type(each).__name__ == "TaskData" and each.test is task.test)
        return [task.label_names[label] for label in found.gold.test]""",
            "independence of gold",
        ),
    ],
    ids=["from files, unheard", "from files", "from files, heard", "from memory"],
)
def test_bench_check_finds_what_looks_for_the_tasks_data(body, check, cheat):
    path = cheat(body.replace("PATH", 'os.path.join(os.environ["BENCH_DATA_DIR"], task.name, "test.csv")'))
    problems = {outcome.check: outcome.problem for outcome in run_checks(str(path))}
    assert problems[check] is not None


def test_a_method_of_other_data_than_the_tasks_is_honest(cheat, compete, tmp_path):
    """A lexicon of its own beside the task's file is not the task's data."""
    write_csv(tmp_path / "lexicon.csv", review_rows(120, seed=5))
    body = 'pandas.read_csv(PATH.replace("reviews", "lexicon")); return [task.label_names[0]] * len(task.test)'
    compete(cheat(body))
    assert [(record.status, record.opened_files) for record in records()] == [("done", [])] * 3
