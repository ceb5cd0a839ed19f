"""What a dry run says of stages and time, held against what the records of the real run say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench.cli.display import duration
from bench.grid.cells import plan
from bench.grid.estimate import INPUTS, estimate, inputs_of, left_behind, sentences, shared_by, stages_of
from bench.grid.options import load_options
from bench.running.runner import run
from bench.store.records import Record
from methods import registry
from methods.stages import PLAIN
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
        assert set(inputs_of(cell)[1:]) <= {use.hash for use in found[cell.key.hash].stages}
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
    whole = estimate(grid.cells, found.values(), left_behind(grid, []))
    uses = {use.hash: use for record in found.values() for use in record.stages}
    once = sum(use.seconds for use in uses.values() if use.name in ("tokens", "embeddings"))  # they lie there now
    took = sum(record.seconds["total"] for record in found.values()) - once
    assert whole.cells == len(grid.cells)
    assert whole.seconds == pytest.approx(took, rel=0.3)
    one = [cell for cell in grid.cells if cell.key.method == "plain"]
    own = estimate(one, found.values(), left_behind(grid, [])).seconds
    assert 0 < own < whole.seconds


def test_other_sizes_are_scaled_and_what_is_unknown_is_said(ran, tmp_path, tiny_bert):
    grid, found = ran
    plain = next(cell for cell in grid.cells if cell.key.method == "gce")
    given = {"methods": "gce", "llms": "ann", "seeds": "1", "epochs": "6", "encoder": f"{tiny_bert}:frozen"}
    bigger = plan(load_options(given | {"tasks": str(write_csv(tmp_path / "reviews.csv", review_rows(96)))}))
    there = [inputs_of(cell) for cell in (plain, *bigger.cells)]
    small, big = (estimate(cells, found.values(), there).seconds for cells in ([plain], bigger.cells))
    assert big == pytest.approx(small * 6, rel=1e-6), "twice the texts, three times the epochs"
    assert estimate(bigger.cells, found.values()).seconds > big, "other texts of the same name are embedded, too"
    assert estimate(bigger.cells, []).unknown == 1
    assert "no estimate of time" in sentences(bigger.cells, bigger, [], duration)[-1]


def test_a_dry_run_shows_what_is_shared_and_how_long_it_may_take(bench, reviews, tiny_bert):
    words = ["run", "--methods", "plain,npc,cr,sidyp", "--tasks", reviews.name, "--llms", "ann", "--epochs", 2]
    words += ["--encoder", f"{tiny_bert}:frozen"]
    said = bench(*words, "--seeds", "1,2", "--dry-run").stdout
    assert "shared: embeddings, computed once for 8 cells (cr, npc, plain, sidyp)" in said
    assert "shared: plain run, computed 2 times for 4 cells (npc, plain)" in said
    assert "shared: branches run, computed 2 times for 4 cells (cr, sidyp)" in said
    assert "no estimate of time: this results folder has no finished cell" in said
    assert not Path("results").exists()
    bench(*words, "--seeds", "1")
    said = bench(*words, "--seeds", "1,2,3,4,5", "--jobs", 2, "--dry-run").stdout
    assert "shared: plain run, computed 4 times for 8 cells (npc, plain)" in said, "of the cells that are left"
    assert "shared: embeddings, not computed again for 16 cells" in said
    assert "in 2 workers (from the times of 4 finished cells in this results folder" in said
    assert "16 of 20 cells would run; nothing was run" in said
    more = words.copy()
    more[2] = "plain,npc,plain+ts"
    said = bench(*more, "--seeds", "1,2", "--dry-run").stdout
    assert "shared: plain run, computed once for 4 cells (npc, plain, plain+ts)" in said, "seed 1 has it already"
    lines = [
        json.loads(line) for line in bench(*words, "--seeds", "1,2", "--dry-run", "--log-json").stdout.splitlines()
    ]
    assert [line["event"] for line in lines] == ["planned"] * 8
    assert all(isinstance(record, Record) for record in records())


def shared_lines(result):
    return [line for line in result.stdout.splitlines() if line.startswith("shared: ")]


def computed(name):
    """How often a kind of stage was computed in the last run of every cell, by what the records say."""
    return sum(use.name == name and not use.reused for record in records() for use in record.stages)


def test_stages_that_are_gone_are_computed_again_and_those_of_forced_cells_are_not(bench, reviews, tiny_bert):
    words = ["run", "--methods", "plain,npc", "--tasks", reviews.name, "--llms", "ann", "--epochs", 1, "--seeds", "1,2"]
    words += ["--encoder", f"{tiny_bert}:frozen"]
    assert bench(*words).exit_code == 0
    forced = bench(*words, "--force", "--dry-run")
    assert "shared: embeddings, not computed again for 4 cells (npc, plain)" in forced.stdout
    assert "shared: plain run, not computed again for 4 cells (npc, plain)" in forced.stdout
    assert (computed("embeddings"), computed("plain run")) == (3, 2)
    assert bench(*words, "--force").exit_code == 0
    assert (computed("embeddings"), computed("plain run")) == (0, 0)
    assert "left: 0 stages" in bench("prune", "--max-size", "1KB").stdout
    more = [*words[:-3], "1,2,3,4", *words[-2:]]
    pruned = bench(*more, "--dry-run")
    assert "shared: embeddings, computed once for 4 cells (npc, plain)" in pruned.stdout
    assert "shared: plain run, computed 2 times for 4 cells (npc, plain)" in pruned.stdout
    assert bench(*words, "--force", "--dry-run").stdout.count("computed 2 times") == 1


def test_a_stage_of_an_older_version_is_computed_again(bench, reviews, tiny_bert, monkeypatch):
    words = ["run", "--methods", "plain,npc", "--tasks", reviews.name, "--llms", "ann", "--epochs", 1, "--seeds", "1"]
    words += ["--encoder", f"{tiny_bert}:frozen"]
    assert bench(*words).exit_code == 0
    with monkeypatch.context() as patch:
        patch.setitem(vars(PLAIN), "version", PLAIN.version + 1)  # as an edit would
        forced = bench(*words, "--force", "--dry-run")
    assert "shared: plain run, computed once for 2 cells (npc, plain)" in forced.stdout


def test_without_the_stage_store_nothing_is_shared(bench, reviews, tiny_bert):
    words = ["run", "--methods", "plain,npc", "--tasks", reviews.name, "--llms", "ann", "--epochs", 1, "--seeds", "1,2"]
    words += ["--encoder", f"{tiny_bert}:frozen", "--no-stages"]
    assert shared_lines(bench(*words, "--dry-run")) == [
        "shared: nothing (--no-stages): every cell computes its own embeddings and training runs"
    ]
    assert bench(*words).exit_code == 0
    assert (computed("embeddings"), computed("plain run")) == (3 * 4, 4)
    grid = plan(load_options({**given_of(words), "seeds": "3,4"}))
    alone, kept = (estimate(grid.cells, records(), shared=shared).seconds for shared in (False, True))
    assert alone > kept > 0


def given_of(words):
    """The options among the words of a command, for `load_options`."""
    options = [str(word) for word in words[1:] if word != "--no-stages"]
    return {name.removeprefix("--"): value for name, value in zip(options[::2], options[1::2], strict=True)}


def test_tasks_and_encoders_of_one_name_share_nothing(bench, tmp_path, tiny_bert):
    for at, size in (("ta", 48), ("tb", 60)):
        (tmp_path / at).mkdir()
        write_csv(tmp_path / at / "x.csv", review_rows(size))
    for at, dropout in (("one", 0.1), ("two", 0.2)):
        shutil.copytree(tiny_bert, tmp_path / at / "tiny")
        config = tmp_path / at / "tiny" / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"hidden_dropout_prob": dropout}))
    words = ["run", "--methods", "plain,npc", "--tasks", "ta/x.csv,tb/x.csv", "--llms", "ann", "--epochs", 1]
    words += ["--seeds", 1, "--encoder", "one/tiny:frozen,two/tiny:frozen"]
    assert shared_lines(bench(*words, "--dry-run")) == [
        "shared: embeddings, computed 4 times for 8 cells (npc, plain)",
        "shared: plain run, computed 4 times for 8 cells (npc, plain)",
    ]
    assert bench(*words).exit_code == 0
    assert (computed("embeddings"), computed("plain run")) == (3 * 4, 4)
