"""Gold labels reach the scorer and nothing else: permuting them changes no prediction of any method."""

import dataclasses
import textwrap

import numpy as np
import pytest

from bench.core.seeds import named_generator
from bench.data.load import load_task
from bench.grid.cells import choose_method, plan
from bench.grid.options import load_options
from bench.noise.draw import draw
from bench.noise.select import sources_for
from bench.running.contract import opened
from bench.running.runner import run
from methods import registry
from methods.base import Method
from tests.conftest import review_rows, write_csv

BLIND = [
    name
    for name, cls in registry.available().items()
    if not cls.sees_gold and cls.human_rows is Method.human_rows  # of the others see tests/running/test_human_labels.py
]
SELECTORS = [*BLIND, "plain+ts", "co-teaching+ts"]


def permute_gold(rows, seed=3):
    """The same rows with the gold labels permuted within each split."""
    draw = named_generator("permuted gold", seed)
    gold = np.array([row["gold"] for row in rows])
    splits = np.array([row["split"] for row in rows])
    for split in np.unique(splits):
        gold[splits == split] = draw.permutation(gold[splits == split])
    return [row | {"gold": str(label)} for row, label in zip(rows, gold, strict=True)]


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Two CSV files that differ in their gold column alone."""
    folder = tmp_path_factory.mktemp("twins")
    files = []
    for side, rows in (("a", review_rows()), ("b", permute_gold(review_rows()))):
        (folder / side).mkdir()
        files.append(write_csv(folder / side / "reviews.csv", rows))
    return files


def predictions(csv, tiny_bert, methods, monkeypatch=None):
    """Of each method: its last and its noisy-valid test predictions, and the gold that scored them; by plan and run."""
    options = load_options(
        {
            "methods": methods,
            "tasks": [str(csv)],
            "llms": ["ann"],
            "seeds": [1],
            "encoder": [f"{tiny_bert}:frozen"],
            "epochs": 2,
            "batch_size": 16,
            "results": csv.parent / "results",
        }
    )
    if monkeypatch:
        monkeypatch.setenv("LEAKED_FILE", str(csv))
    grid = plan(options)
    ended = []
    run(grid, lambda event: ended.append(event) if event.kind == "finished" else None)
    assert [(e.cell.key.method, e.status, e.reason) for e in ended if e.status != "done"] == []
    found = []
    for cell in grid.cells:
        with np.load(cell.key.path(options.results).with_suffix(".npz")) as arrays:
            found.append(tuple(arrays[name] for name in ("test_last", "test_noisy_valid", "gold")))
    return found


def leaks(twins, tiny_bert, method, monkeypatch=None):
    """Whether permuting gold changes what the method predicts."""
    (last_a, valid_a, gold_a), (last_b, valid_b, gold_b) = (
        predictions(csv, tiny_bert, [method], monkeypatch)[0] for csv in twins
    )
    assert not np.array_equal(gold_a, gold_b)  # the scorer did see other gold labels
    return not (np.array_equal(last_a, last_b) and np.array_equal(valid_a, valid_b))


@pytest.fixture(scope="module")
def both_runs(twins, tiny_bert):
    """Every method on both files: {selector: (predictions on A, predictions on B)}."""
    a, b = (predictions(csv, tiny_bert, SELECTORS) for csv in twins)
    return dict(zip(SELECTORS, zip(a, b, strict=True), strict=True))


@pytest.mark.parametrize("selector", SELECTORS)
def test_permuting_the_gold_column_changes_no_bit_of_a_prediction(selector, both_runs):
    (last_a, valid_a, gold_a), (last_b, valid_b, gold_b) = both_runs[selector]
    assert not np.array_equal(gold_a, gold_b)
    np.testing.assert_array_equal(last_a, last_b)
    np.testing.assert_array_equal(valid_a, valid_b)


def test_methods_predict_different_things_on_this_task(both_runs):
    """So that equality above is not that of constants."""
    rows = {name: a[0].tobytes() for name, (a, _) in both_runs.items()}
    assert len(set(rows.values())) > len(rows) // 2
    assert both_runs["plain"][0][0].std(axis=0).max() > 1e-3


def test_the_oracle_does_change(twins, tiny_bert):
    assert leaks(twins, tiny_bert, "oracle")


LEAKS = {
    "reads the file": """
        import csv, os
        with open(os.environ["LEAKED_FILE"], encoding="utf-8") as file:
            gold = [row["gold"] for row in csv.DictReader(file) if row["split"] == "test"]
        return np.array([task.label_names.index(name) for name in gold])
    """,
    "loads the task": """
        import os
        from bench.data.load import load_task
        return load_task(os.environ["LEAKED_FILE"]).gold.test
    """,
    "walks the garbage collector": """
        import gc
        gc.unfreeze()
        found = [each for each in gc.get_objects() if type(each).__name__ == "TaskData" and each.test is task.test]
        return found[0].gold.test
    """,
    "looks up the stack": """
        import sys
        frame = sys._getframe()
        while "cell" not in frame.f_locals:
            frame = frame.f_back
        return frame.f_locals["cell"].task.gold.test
    """,
}

METHOD = '''
from dataclasses import dataclass

import numpy as np

from methods.base import Predictions, config
from methods.registry import register


def leaked(task):
{body}


@register
class Leaky:
    """Predicts the gold labels of the test texts."""

    name = "{name}"

    @config
    class Config:
        """No parameters."""

    def __init__(self, config):
        self.config = config

    def run(self, task, tools):
        classes = task.num_classes
        valid = np.full((len(task.valid), classes), 1 / classes, np.float32)
        yield Predictions(1, valid, np.eye(classes, dtype=np.float32)[leaked(task)])
'''


@pytest.mark.parametrize("how", LEAKS)
def test_a_method_that_goes_behind_the_harness_is_caught(how, twins, tiny_bert, tmp_path, monkeypatch):
    body = textwrap.indent(textwrap.dedent(LEAKS[how]).strip("\n"), "    ")
    monkeypatch.setattr(registry.METHODS, "classes", dict(registry.METHODS.classes))
    file = tmp_path / "leaky.py"
    file.write_text(METHOD.format(body=body, name=how.replace(" ", "-")), encoding="utf-8")
    assert leaks(twins, tiny_bert, str(file), monkeypatch)


def test_a_method_is_handed_no_gold(twins):
    """Nothing that a task hands to a method holds gold (that the type has no field for it: methods/test_base.py)."""
    task = load_task(str(twins[0]))
    labels = draw(sources_for(task, llms=["ann"])[0].source, task, 1)
    view, with_gold = opened(choose_method("plain").method, task, labels, None)
    assert not with_gold
    for field in dataclasses.fields(view):
        value = getattr(view, field.name)
        assert not hasattr(value, "gold")
        assert value is not task.gold.train
        assert value is not task.gold.valid


def test_only_the_oracle_asks_for_gold():
    """And a wrapper neither adds nor removes the wish."""
    assert [name for name, cls in registry.available().items() if cls.sees_gold] == ["oracle"]
    assert choose_method("oracle+ts").method.sees_gold
    assert not choose_method("plain+ts").method.sees_gold
