"""The grid of `bench advise`, and the time that is forecast for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.grid import advised
from tests.conftest import review_rows, write_csv


def plan_of(table, encoder, **given):
    return advised.advised_plan(str(table), {"encoder": f"{encoder}:frozen", "methods": "plain", "seeds": "1"} | given)


def test_the_vote_of_the_labellers_that_are_named_is_asked_too(bench, reviews, tiny_bert):
    def sources(llms):
        return [cell.key.noise for cell in plan_of(reviews, tiny_bert, llms=llms, gold_column="none").cells]

    assert sources("ann,bob") == ["ann", "bob", "vote(ann,bob)"]
    assert sources("ann") == ["ann"]
    assert sources("vote(ann,bob),ann") == ["vote(ann,bob)", "ann"]


def test_the_learning_curve_of_human_labels_is_trained_once(bench, reviews, tiny_bert):
    cells = plan_of(reviews, tiny_bert).cells
    curve = [cell for cell in cells if cell.key.method == "gold"]
    assert {cell.key.noise for cell in cells} == {"ann", "bob", "vote(ann,bob)"}
    assert {cell.key.noise for cell in curve} == {"ann"}
    assert len(curve) == len({cell.variant for cell in curve}) > 2


def test_without_records_a_small_table_takes_no_less_than_what_every_cell_costs(bench, tiny_bert):
    """Such a grid took about 45 seconds of the processor: the times per text of large tables, scaled, say 15."""
    path = write_csv(Path("mine.csv"), review_rows(300))
    given = {"encoder": f"{tiny_bert}:frozen", "gold_column": "none", "llms": "ann,bob"}
    plan = advised.advised_plan(str(path), given)
    assert (len(plan.cells), len(plan.cells[0].task.train)) == (45, 200)
    assert 35 < advised.seconds_left(plan, plan.cells, []) < 70


def test_without_records_the_time_is_that_of_documented_constants(bench, reviews, tiny_bert):
    given = {"encoder": f"{tiny_bert}:frozen", "methods": "plain,sidyp", "seeds": "1-2", "llms": "ann"}
    plan = advised.advised_plan(str(reviews), given | {"gold_column": "none"})
    task = plan.cells[0].task
    texts = sum(len(task.texts(split)) for split in ("train", "valid", "test"))
    expected = 2 * (0.15 + 2.0) + 8.0 + (2 * (0.3 + 4.0) * len(task.train) + 10.0 * texts) / 1000
    assert advised.seconds_left(plan, plan.cells, []) == pytest.approx(expected)
    assert advised.seconds_left(plan, [], []) == 0
    tuned = advised.advised_plan(str(reviews), given | {"encoder": str(tiny_bert)})
    assert advised.seconds_left(tuned, tuned.cells, []) is None
