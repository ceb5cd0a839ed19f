"""The committed results are those of today's code: every cell of results/reference counts as done, none runs again."""

from __future__ import annotations

import functools
import json
import shlex
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.core.errors import Unavailable
from bench.core.selectors import parse
from bench.grid.cells import choose_method, plan
from bench.grid.options import RECIPE_OPTIONS, load_options
from bench.running.outcomes import status_of
from bench.store.records import Record, read_records
from bench.training.recipe import make_recipe
from methods import registry

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"
FOLDERS = sorted(path.parent.name for path in REFERENCE.glob("*/packed.zip"))
DATA = ROOT.parent / "shared" / "data"


@pytest.fixture
def at_root(monkeypatch):
    """Commands of records are given from the root of the repository."""
    monkeypatch.chdir(ROOT)


def records_of(folder: str) -> list[Record]:
    found = list(read_records(REFERENCE / folder))
    assert all(isinstance(record, Record) for record in found)
    return found


def options_of(command: str) -> dict[str, str]:
    """The options that a record's command gives, by name."""
    words = shlex.split(command)[2:]
    names = (name.removeprefix("--").replace("-", "_") for name in words[::2])
    return dict(zip(names, words[1::2], strict=True))


def test_the_committed_folders_are_all_here_and_small():
    assert FOLDERS == [
        "base-size", "deep-semeval", "deep-trec", "deep-tweets", "frozen", "human", "llm-axis", "official",
        "sidyp-variants", "sidyp-variants-deep", "width",
    ]  # fmt: skip
    made_here = {"stages", "report", "claims"}  # git ignores them
    files = [path for path in REFERENCE.rglob("*") if path.is_file() and not made_here & set(path.parts)]
    assert sum(path.stat().st_size for path in files) < 26e6
    assert len(records_of("frozen")) == 1360


def selector_of(record: Record) -> str:
    """The method of a record as today's selector: what differs from today's defaults is named."""
    selector = parse(options_of(record.command)["methods"])
    defaults = asdict(registry.find(selector.name).Config())
    values = {name: value for name, value in record.key.config.items() if value != defaults.get(name)}
    given = ",".join(f"{name}={json.dumps(value).strip(chr(34))}" for name, value in values.items())
    return selector.name + (f"[{given}]" if given else "") + "".join(f"+{name}" for name in selector.wrappers)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_hash_of_every_record_is_the_one_that_its_key_makes_today(folder, at_root):
    """Method, version, hyper-parameters and recipe are resolved again; what only the data tell is the record's own."""
    choose, stale = functools.cache(choose_method), []
    for record in records_of(folder):
        given, key = options_of(record.command), record.key
        method = choose(selector_of(record))
        asked = {name: given.get(name) for name in RECIPE_OPTIONS}
        told_by_data = {name: key.recipe[name] for name in ("max_length", "pooling", "precision")}
        recipe = asdict(make_recipe(key.encoder_mode, key.encoder, **asked, **told_by_data))
        today = key.model_copy(
            update={
                "method": method.name,
                "method_version": method.version,
                "config": asdict(method.method.config),
                "recipe": recipe,
                "seed": int(given["seeds"]),
            }
        )
        if today.hash != record.hash:
            stale.append((record.command, today))
    assert stale == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_where_the_data_are_at_hand_every_cell_counts_as_done(folder, at_root):
    """One plan for all cells that differ in method and seed alone."""
    if not DATA.is_dir():
        pytest.skip("TREC, SemEval and NumClaim are not shipped; looked for ../shared/data")
    grids: dict[tuple, dict[str, list]] = {}
    for record in records_of(folder):
        given = options_of(record.command)
        several = {"methods": selector_of(record), "seeds": given.pop("seeds")}
        del given["methods"]
        lists = grids.setdefault(tuple(given.items()), {"methods": [], "seeds": [], "hashes": []})
        for name, value in several.items():
            lists[name] += [value] if value not in lists[name] else []
        lists["hashes"].append(record.hash)
    for given, lists in grids.items():
        named = {name: ",".join(lists[name]) for name in ("methods", "seeds")}
        try:
            cells = plan(load_options(dict(given) | named)).cells
        except Unavailable as error:
            pytest.skip(str(error))
        wanted = {cell.key.hash: cell for cell in cells if cell.key.hash in lists["hashes"]}
        assert wanted.keys() == set(lists["hashes"]), given
        assert {status_of(cell, REFERENCE / folder) for cell in wanted.values()} == {("done", "")}


def test_a_run_of_a_set_up_whose_data_are_shipped_reads_every_cell(bench, tmp_path):
    copy = tmp_path / "frozen"
    shutil.copytree(REFERENCE / "frozen", copy)
    packed = (copy / "packed.zip").read_bytes()
    records = [r for r in records_of("frozen") if (r.key.task, r.key.noise) == ("tweets", "smollm2/zero")]
    methods, seeds = dict.fromkeys(r.key.method for r in records), dict.fromkeys(r.key.seed for r in records)
    words = ["--methods", ",".join(methods), "--seeds", ",".join(map(str, seeds)), "--encoder", "minilm:frozen"]
    grid = ["--tasks", "tweets", "--llms", "smollm2", "--prompting", "zero", *words, "--results", copy]
    answer = bench("run", *grid)
    assert answer.exit_code == 0, answer.stderr
    assert f"{len(records)} cached. Next:" in answer.stdout
    assert len(records) == len(methods) * len(seeds) == 80
    assert (copy / "packed.zip").read_bytes() == packed
    assert not (copy / "cells").exists()
