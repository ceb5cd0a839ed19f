"""Who was told gold is said by the record, wherever that decides: only what is declared a reference may ask for it."""

from pathlib import Path

import numpy as np
import pytest

import bench as library
from bench.core.errors import UsageError
from bench.grid.cells import choose_method
from bench.report.compare.match import compare
from bench.report.frame import load
from bench.report.tables.blocks import blocks, compared
from bench.report.tables.result import result_table
from bench.running.conformance import make_case, run_checks
from bench.running.contract import opened, sees_gold
from bench.store.records import Record, read_records, write_record
from methods import registry
from methods.oracle import Oracle
from tests.conftest import records, review_rows, write_csv
from tests.factories import cell_key, done_record, write_done

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path for path in (ROOT / "results" / "reference").iterdir() if path.is_dir())

CEILING = '''
"""The class that its training label names most often, for every text."""

from methods.base import Predictions, config
from methods.registry import register
from methods.oracle import Oracle

import numpy as np


@register{call}
class Ceiling{base}:
    """Class shares of the labels that it is given."""

    name = "ceiling"
    {body}

    @config
    class Config:
        """No parameters."""

    def __init__(self, config):
        self.config = config

    def run(self, task, tools):
        shares = np.bincount(task.train_labels[task.train_labels >= 0], minlength=task.num_classes).astype(np.float32)
        row = shares / shares.sum()
        yield Predictions(1, np.tile(row, (len(task.valid), 1)), np.tile(row, (len(task.test), 1)))
'''


pytestmark = pytest.mark.usefixtures("own_registry")


def method_file(folder, call="", base="", body=""):
    path = folder / "ceiling.py"
    path.write_text(CEILING.format(call=call, base=base, body=body), encoding="utf-8")
    return path


@pytest.fixture
def reference(tmp_path):
    """The file of a method that says that it trains on gold."""
    return method_file(tmp_path, call="(reference=True)")


@pytest.fixture
def options(tmp_path, reviews, tiny_bert):
    return {
        "tasks": str(reviews), "encoder": f"{tiny_bert}:frozen", "label_columns": "ann", "seeds": "1",
        "epochs": 1, "results": str(tmp_path / "out"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [{"body": "sees_gold = True"}, {"base": "(Oracle)"}, {"base": "(Oracle)", "body": "version = 2"}],
    ids=["says sees_gold", "is a subclass of oracle", "is a subclass with a version"],
)
def test_asking_for_gold_in_passing_is_refused_with_the_way_out(changes, tmp_path, bench):
    path = method_file(tmp_path, **changes)
    with pytest.raises(UsageError, match=r"sees_gold = True.*@register\(reference=True\), or set sees_gold = False"):
        registry.find(str(path))
    for command in (["check", path], ["run", "--methods", path, "--tasks", "tweets"]):
        done = bench(*command)
        assert done.exit_code == 2
        assert "never competes" in done.stderr
    assert "ceiling" not in registry.available()


def test_a_subclass_that_wants_no_gold_is_a_method_like_any_other(tmp_path):
    path = method_file(tmp_path, base="(Oracle)", body="sees_gold = False")
    assert not sees_gold(choose_method(str(path)).method)


@pytest.mark.parametrize("where", ["instance", "class"])
def test_what_turns_to_gold_after_it_was_registered_is_refused(where, tmp_path):
    path = method_file(tmp_path)
    line = "self.config = config; self.sees_gold = True" if where == "instance" else "type(self).sees_gold = True"
    path.write_text(path.read_text().replace("self.config = config", line))
    with pytest.raises(UsageError, match=r"method ceiling asks for gold .*reference=True"):
        choose_method(str(path))


def test_the_oracle_is_the_only_reference_of_this_package():
    assert [cls for cls in registry.available().values() if cls.sees_gold] == [Oracle]


@pytest.mark.parametrize(
    ("selector", "told"),
    [
        ("plain", False), ("plain+ts", False), ("oracle", True), ("oracle+ts", True),
        ("co-teaching", False), ("co-teaching[tau=0.3]", False), ("co-teaching[tau=oracle]", True),
        ("co-teaching[tau=oracle]+ts", True),
    ],
)  # fmt: skip
def test_the_record_says_who_was_told_gold(selector, told, options):
    library.run_grid(methods=selector, **options)
    (record,) = records(Path(options["results"]))
    assert record.status == "done"
    assert record.sees_gold is told
    assert record.is_reference is told


def test_so_does_the_record_of_a_cell_that_failed_or_was_skipped(options, tmp_path):
    blind = [{name: value for name, value in row.items() if name != "gold"} for row in review_rows()]
    options["tasks"] = str(write_csv(tmp_path / "blind.csv", blind))
    for noise in ({}, {"noise": "sn@0.3"}):
        library.run_grid(methods="plain,oracle,co-teaching[tau=oracle]", **options, **noise)
    found = {(record.key.method, record.key.noise, record.status): record for record in records(tmp_path / "out")}
    assert {key: record.sees_gold for key, record in found.items()} == {
        ("plain", "ann", "done"): False,
        ("plain", "sn@0.3", "skipped"): False,
        ("oracle", "ann", "skipped"): True,
        ("oracle", "sn@0.3", "skipped"): True,
        ("co-teaching", "ann", "skipped"): True,
        ("co-teaching", "sn@0.3", "skipped"): True,
    }


def test_a_failed_reference_says_so_too(options, reference, tmp_path):
    reference.write_text(reference.read_text().replace("shares = ", "raise RuntimeError('no')\n        shares = "))
    library.run_grid(methods=str(reference), **options)
    (record,) = records(tmp_path / "out")
    assert (record.status, record.sees_gold) == ("failed", True)


def test_a_reference_of_ones_own_is_given_gold_and_checked_for_the_rest(options, reference):
    (cell,) = library.open_cells(methods=str(reference), **options)
    gold = [("negative", "positive").index(row["gold"]) for row in review_rows() if row["split"] == "train"]
    assert cell.task.train_labels.tolist() == gold
    outcomes = {outcome.check: outcome for outcome in run_checks(str(reference))}
    assert {name: each.problem for name, each in outcomes.items() if each.problem} == {}
    assert "not for this method: a reference" in outcomes["independence of gold"].why


@pytest.fixture
def with_reference(tmp_path):
    """A method that is best everywhere, told gold, and not called oracle; another of that name is not told gold."""
    for seed in (1, 2, 3):
        for task, noise in (("trec", "weak"), ("trec", "sn@0.3"), ("tweets", "weak")):
            for method, told in (("plain", False), ("co-teaching", False), ("mine", True), ("oracle-like", False)):
                key = cell_key(task, noise, method, seed)
                record, arrays = done_record(key, sees_gold=told)
                if method == "mine":
                    best = record.scores.last.model_copy(update={"accuracy": 0.99})
                    record.scores = record.scores.model_copy(update={"last": best})
                write_record(record, tmp_path, arrays)
    return tmp_path


def test_a_reference_competes_in_no_table(with_reference):
    results = load(with_reference)
    assert set(results.cells.loc[results.cells["sees_gold"], "method"]) == {"mine"}
    (block,) = blocks(results.cells, "plain")
    assert block.references == {"mine"}
    assert "mine" not in compared(block, "accuracy_last")[0]
    table = result_table(block, "trec", "accuracy", "last")
    rows = {row.label: row for row in table.rows}
    assert rows["mine"].kind == "reference"
    assert not any(entry.best for entry in rows["mine"].entries)
    assert rows["oracle-like"].kind == "method"
    assert "mine: sees gold, a reference that does not compete." in table.caption


def test_nor_in_a_comparison_of_two_folders(with_reference):
    lines = compare(with_reference, with_reference).lines
    assert {line.method for line in lines if line.reference} == {"mine"}


def test_old_records_are_told_apart_by_their_names(tmp_path):
    """Records that say nothing: the name of the method or a parameter's value did."""
    for name, config in (("oracle", {}), ("oracle+ts", {}), ("plain", {}), ("dygen", {"tau": "oracle"})):
        write_done(tmp_path, cell_key(method=name, config=config))
    found = {record.key.method: record for record in read_records(tmp_path)}
    assert {record.sees_gold for record in found.values()} == {None}
    assert {name for name, record in found.items() if record.is_reference} == {"oracle", "oracle+ts", "dygen"}


def test_the_published_records_are_read_and_their_references_known():
    read = [each for folder in FOLDERS for each in read_records(folder)]
    assert all(isinstance(each, Record) for each in read)
    assert {each.sees_gold for each in read} == {None, False, True}  # None: older than the field
    assert {each.key.method for each in read if each.sees_gold} == {"oracle"}
    told = {(each.key.method, each.key.config.get("tau") == "oracle") for each in read if each.is_reference}
    assert {method for method, by_rate in told if not by_rate} <= {"oracle", "oracle+ts"}
    assert any(by_rate for _, by_rate in told)


def test_an_open_cell_of_the_oracle_sees_gold_and_knows_the_wrong_labels(options):
    plain, oracle = library.open_cells(methods="plain,oracle", **options)
    rows = [row for row in review_rows() if row["split"] == "train"]
    assert oracle.task.train_labels.tolist() == oracle.data.gold.train.tolist()
    assert plain.task.train_labels.tolist() != plain.data.gold.train.tolist()
    for cell in (plain, oracle):
        assert cell.wrong.tolist() == [row["ann"] != row["gold"] for row in rows]
        assert cell.task.valid_labels.tolist() == cell.labels.valid.tolist()


def test_an_open_cell_lends_the_true_rate_and_predicts_as_a_run(options, tmp_path):
    options |= {"methods": "co-teaching[tau=oracle]"}
    (cell,) = library.open_cells(**options)
    assert cell.tools.oracle_noise_rate == pytest.approx(cell.wrong.mean())
    last = list(cell.predictions())[-1]
    library.run_grid(**options)
    with np.load(next((tmp_path / "out").rglob("*.npz"))) as arrays:
        np.testing.assert_array_equal(arrays["test_last"], last.test.astype(np.float16))


def test_the_view_and_what_is_said_of_it_come_from_one_look():
    """A method whose answer changes between two looks gets gold only where the record says so."""

    class Fickle(Oracle):
        name = "fickle"
        looks = 0

        @property
        def sees_gold(self):
            self.looks += 1
            return self.looks % 2 == 1

    case, method = make_case(), Fickle(Fickle.Config())
    for _ in range(4):
        view, told = opened(method, case.task, case.labels, None)
        assert np.array_equal(view.train_labels, case.task.gold.train) is told
