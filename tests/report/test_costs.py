"""Stand-alone costs: own time and one price per stage, and where they cannot be compared."""

from pathlib import Path

import pytest

from bench.report import frame
from bench.report.figures.overview import overview_plans
from bench.report.tables.blocks import blocks
from bench.report.tables.cost import cost_doubt
from bench.store.parts import StageUse
from bench.store.records import write_record
from tests.factories import cell_key, done_record

REFERENCE = Path(__file__).parents[2] / "results" / "reference" / "frozen"


def write(folder, method, seed, total, stages, processor=None, device="cpu"):
    """A cell that took `total` seconds; `stages` are (name, hash, reused, seconds)."""
    key = cell_key(method=method, seed=seed, encoder=("minilm", "frozen"))
    record, arrays = done_record(key)
    half = None if processor is None else lambda seconds: seconds / 2
    uses = [
        StageUse(name=name, hash=digest, reused=reused, seconds=seconds, processor=half and half(seconds))
        for name, digest, reused, seconds in stages
    ]
    seconds = {"total": total} | ({} if processor is None else {"processor": processor})
    facts = {"stages": uses, "seconds": seconds, "device": {"name": "x", "type": device}}
    write_record(record.model_copy(update=facts), folder, arrays)


def costs(folder):
    """By method: stand-alone seconds of its cells."""
    cells = frame.load(folder).cells
    return {method: part["seconds_stand_alone"].tolist() for method, part in cells.groupby("method")}


@pytest.fixture
def shared(tmp_path):
    """plain ran on a busy machine; plain+ts found its stages computed again, on an idle one."""
    for seed in (1, 2, 3):
        busy = [("embeddings", "e", seed > 1, 90.0), ("plain run", f"p{seed}", False, 10.0)]
        idle = [("embeddings", "e", True, 30.0), ("plain run", f"p{seed}", True, 2.0)]
        write(tmp_path, "plain", seed, 10.5 + 90 * (seed == 1), busy)
        write(tmp_path, "plain+ts", seed, 0.3, idle)
    return tmp_path


def test_a_stage_has_one_price_and_own_time_is_a_median(shared):
    found = costs(shared)
    price = (90 + 30) / 2 + (10 + 2) / 2  # medians over what computing them took
    assert found["plain"] == pytest.approx([price + 0.5] * 3)
    assert found["plain+ts"] == pytest.approx([price + 0.5] * 3)  # contains plain: never less


def test_what_varies_by_more_than_twice_is_not_compared(shared):
    read = frame.load(shared)
    block = blocks(read.cells, "plain")[0]
    low, high = read.cells["seconds_stand_alone_low"], read.cells["seconds_stand_alone_high"]
    assert (low.min(), high.max()) == pytest.approx((30 + 2 + 0.5, 90 + 10 + 0.5))
    assert "not consistent" in cost_doubt(block)
    assert "costs 32.5 or 100.5 seconds" in cost_doubt(block)
    assert "pareto" not in {plan.kind for plan in overview_plans(block, "last")}


@pytest.mark.parametrize(("device", "unit", "price"), [("cpu", "processor", 10), ("cuda", "wall", 20)])
def test_processor_seconds_count_where_every_cell_has_them_and_no_accelerator(tmp_path, device, unit, price):
    for seed in (1, 2, 3):
        for method, own in (("plain", 4), ("elr", 6)):
            stages = [("embeddings", "e", True, 20.0)]
            write(tmp_path, method, seed, 3 * own, stages, processor=own, device=device)
    read = frame.load(tmp_path)
    assert set(read.cells["seconds_unit"]) == {unit}
    own = {"plain": 4, "elr": 6} if unit == "processor" else {"plain": 12, "elr": 18}
    assert costs(tmp_path) == {method: pytest.approx([price + own[method]] * 3) for method in own}
    block = blocks(read.cells, "plain")[0]
    assert cost_doubt(block) == ""
    assert "pareto" in {plan.kind for plan in overview_plans(block, "last")}


def test_one_record_without_processor_seconds_makes_all_of_its_set_up_wall_seconds(tmp_path):
    write(tmp_path, "plain", 1, 8.0, [], processor=4)
    write(tmp_path, "plain", 2, 8.0, [])
    assert set(frame.load(tmp_path).cells["seconds_unit"]) == {"wall"}
    assert costs(tmp_path)["plain"] == [8, 8]


@pytest.fixture(scope="module")
def reference():
    return frame.load(REFERENCE)


@pytest.mark.parametrize(("outer", "inner"), [("plain+ts", "plain"), ("sidyp", "cr"), ("npc", "plain")])
def test_in_the_reference_a_method_that_contains_another_never_costs_less(reference, outer, inner):
    cells = reference.cells.set_index(["task", "noise", "seed"])
    found = {name: cells[cells["method"] == name]["seconds_stand_alone"].sort_index() for name in (outer, inner)}
    assert len(found[outer]) == 85
    assert (found[outer] >= found[inner] - 1e-9).all()


def test_the_reference_says_that_its_costs_are_not_consistent(reference):
    block = blocks(reference.cells, "plain")[0]
    assert "Do not rank methods by them" in cost_doubt(block)
    assert "pareto" not in {plan.kind for plan in overview_plans(block, "last")}
