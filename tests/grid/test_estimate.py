"""What a dry run says of stages and time, held against what the records of the real run say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.cli.display import duration
from bench.grid.cells import plan
from bench.grid.estimate import INPUTS, estimate, sentences, shared_by, stages_of
from bench.grid.options import load_options
from bench.running.runner import run
from bench.store.records import Record
from methods import registry
from tests.conftest import records, review_rows, write_csv


@pytest.fixture(scope="module")
def ran(tmp_path_factory, tiny_bert):
    """Every method on one small task, one seed: (plan, its records by hash)."""
    folder = tmp_path_factory.mktemp("planning")
    path = write_csv(folder / "reviews.csv", review_rows(48))
    human = {"gold", "noisy-then-gold", "mixed", "corrected"}  # their stages are their own and not foretold
    methods = [*sorted(set(registry.available()) - human), "sidyp[mode=official]", "cr[branches=2]", "plain+ts"]
    given = {"methods": methods, "tasks": str(path), "llms": "ann", "seeds": "1", "epochs": "2"}
    grid = plan(load_options(given | {"encoder": f"{tiny_bert}:frozen", "results": str(folder / "results")}))
    run(grid, lambda event: None)
    found = {record.hash: record for record in records(folder / "results")}
    assert {record.status for record in found.values()} == {"done"}, [record.reason for record in found.values()]
    return grid, found


def test_declared_stages_are_those_that_cells_used_and_are_shared_exactly_as_declared(ran):
    """One identity, one hash: what planning takes for the same stage is the same entry of the store, and no other."""
    grid, found = ran
    by_identity, by_hash = {}, {}
    for cell in grid.cells:
        used = {use.name: use.hash for use in found[cell.key.hash].stages if use.name not in INPUTS}
        declared = {identity[0]: identity for identity in stages_of(cell)}
        assert declared.keys() == used.keys(), cell.key.method
        for name, identity in declared.items():
            assert by_identity.setdefault(identity, used[name]) == used[name], (cell.key.method, name)
            assert by_hash.setdefault(used[name], identity) == identity, (cell.key.method, name)
    embedded, *serving = shared_by(grid.cells)
    assert embedded[:3] == ("embeddings", 1, len(grid.cells))
    serving_several = {row.name for row in serving}
    assert serving_several == {"plain run", "branches run", "noise rate", "out of fold"}
    counted = sum(row.computed for row in serving)
    assert counted == len({used for identity, used in by_identity.items() if identity[0] in serving_several})


def test_the_estimate_of_the_grid_that_ran_is_the_time_that_it_took(ran):
    grid, found = ran
    whole = estimate(grid.cells, found.values())
    uses = {use.hash: use for record in found.values() for use in record.stages}
    once = sum(use.seconds for use in uses.values() if use.name in ("tokens", "embeddings"))  # they lie there now
    took = sum(record.seconds["total"] for record in found.values()) - once
    assert whole.cells == len(grid.cells)
    assert whole.seconds == pytest.approx(took, rel=0.3)
    one = [cell for cell in grid.cells if cell.key.method == "plain"]
    own = estimate(one, found.values()).seconds
    assert 0 < own < whole.seconds


def test_other_sizes_are_scaled_and_what_is_unknown_is_said(ran, tmp_path, tiny_bert):
    grid, found = ran
    plain = next(cell for cell in grid.cells if cell.key.method == "gce")
    given = {"methods": "gce", "llms": "ann", "seeds": "1", "epochs": "6", "encoder": f"{tiny_bert}:frozen"}
    bigger = plan(load_options(given | {"tasks": str(write_csv(tmp_path / "reviews.csv", review_rows(96)))})).cells
    small, big = (estimate(cells, found.values()).seconds for cells in ([plain], bigger))
    assert big == pytest.approx(small * 6, rel=1e-6), "twice the texts, three times the epochs"
    assert estimate(bigger, []).unknown == 1
    assert "no estimate of time" in sentences(bigger, [], [], 1, duration)[-1]


def test_a_dry_run_shows_what_is_shared_and_how_long_it_may_take(bench, reviews, tiny_bert):
    words = ["run", "--methods", "plain,npc,cr,sidyp", "--tasks", reviews.name, "--llms", "ann", "--epochs", 2]
    words += ["--encoder", f"{tiny_bert}:frozen"]
    said = bench(*words, "--seeds", "1,2", "--dry-run").stdout
    assert "shared: embeddings are computed once for 8 cells (cr, npc, plain, sidyp)" in said
    assert "shared: plain run is computed 2 times for 4 cells (npc, plain)" in said
    assert "shared: branches run is computed 2 times for 4 cells (cr, sidyp)" in said
    assert "no estimate of time: this results folder has no finished cell" in said
    assert not Path("results").exists()
    bench(*words, "--seeds", "1")
    said = bench(*words, "--seeds", "1,2,3,4,5", "--jobs", 2, "--dry-run").stdout
    assert "shared: plain run is computed 4 times for 8 cells (npc, plain)" in said, "of the cells that are left"
    assert "shared: embeddings are not computed again for 16 cells" in said
    assert "in 2 workers (from the times of 4 finished cells in this results folder" in said
    assert "16 of 20 cells would run; nothing was run" in said
    more = words.copy()
    more[2] = "plain,npc,plain+ts"
    said = bench(*more, "--seeds", "1,2", "--dry-run").stdout
    assert "shared: plain run is computed once for 4 cells (npc, plain, plain+ts)" in said, "seed 1 has it already"
    lines = [
        json.loads(line) for line in bench(*words, "--seeds", "1,2", "--dry-run", "--log-json").stdout.splitlines()
    ]
    assert [line["event"] for line in lines] == ["planned"] * 8
    assert all(isinstance(record, Record) for record in records())
