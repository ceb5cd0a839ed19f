"""Nothing is written outside the folders that were named: not by hostile names, not through links."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings

from bench.core.errors import UsageError
from bench.core.files import slug
from bench.store.folder import ResultsFolder
from bench.store.prune import prune, refuse_links
from tests.conftest import review_rows, tree, write_csv
from tests.factories import cell_key
from tests.fuzz.strategies import hostile

pytestmark = pytest.mark.timeout(300)
PROFILE = settings.get_profile("fuzz")


@PROFILE
@given(hostile)
@example("..")
@example("../../x")
@example("/etc/passwd")
@example("a/../../b")
@example("\\..\\..")
@example("." * 300)
@example("../" * 100)
@example("CON\x00")
def test_a_record_lies_within_the_results_whatever_the_names_are(text):
    segment = slug(text)
    assert segment not in ("", ".", "..")
    assert not set(segment) & set("/\\\x00")
    assert len(segment) <= 80
    for part in ("task", "noise", "method"):
        if text.isprintable():
            path = cell_key(**{part: text}).path(Path("results"))
            assert len(path.parts) == 7
            assert path.resolve().is_relative_to(Path("results").resolve())


ESCAPING = '''"""A method with a hostile name."""

import numpy as np

from methods.base import Predictions, config
from methods.registry import register


@register
class Escape:
    """Class shares."""

    name = "{name}"

    @config
    class Config:
        pass

    def __init__(self, config):
        self.config = config

    def run(self, task, tools):
        """One step; a stage with a hostile name."""
        share = tools.stages.get("{name}", {{"x": 1}}, lambda: {{"a": np.ones(2, np.float32)}})["a"] / 2
        yield Predictions(1, np.tile(share, (len(task.valid), 1)), np.tile(share, (len(task.test), 1)))
'''


@pytest.mark.parametrize("name", ["../../../../evil", "/tmp-evil/x", "..", "a\\\\..\\\\..", "x" * 300])
def test_a_whole_run_with_hostile_names_stays_in_its_folder(bench, tmp_path, tiny_bert, name):
    """The file, a column of labels, the method and its stage are all named to lead out of the results."""
    here = tmp_path / "a" / "b"
    here.mkdir(parents=True)
    rows = [{("../../../" + k if k == "ann" else k): v for k, v in row.items()} for row in review_rows(24)]
    write_csv(here / "..mine.csv", rows)
    (here / "escape.py").write_text(ESCAPING.format(name=name), encoding="utf-8")
    before = tree(tmp_path)
    words = ["--tasks", here / "..mine.csv", "--methods", here / "escape.py", "--seeds", 1, "--results", here / "r"]
    answer = bench("run", *words, "--llms", "../../../ann,bob", "--encoder", f"{tiny_bert}:frozen")
    assert answer.exit_code in (0, 2), answer.output
    after = tree(tmp_path)
    new = [name for name in after if name not in before and "__pycache__" not in name]
    assert all(name.startswith("a/b/r/") for name in new), new
    assert {name: after[name] for name in before} == before
    assert bool(new) == (answer.exit_code == 0)


@pytest.mark.parametrize("what", ["label", "column", "text", "file"])
def test_what_cannot_be_written_as_utf8_is_refused_and_nothing_is_written(bench, tmp_path, tiny_bert, what):
    """JSON may hold half a surrogate pair, and a file name any bytes: neither can stand in a record."""
    half, rows = "\ud800", review_rows(24)
    if what == "label":
        rows = [row | {name: row[name] + half for name in ("gold", "ann", "bob")} for row in rows]
    elif what == "column":
        rows = [{name + half * (name == "ann"): value for name, value in row.items()} for row in rows]
    elif what == "text":
        rows[3]["text"] += half
    path = tmp_path / (os.fsdecode(b"bad\xff.jsonl") if what == "file" else "bad.jsonl")
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    before = tree(tmp_path)
    answer = bench("run", "--tasks", path, "--seeds", 1, "--encoder", f"{tiny_bert}:frozen")
    assert answer.exit_code == 2, answer.output
    assert "not valid Unicode" in answer.stderr
    assert tree(tmp_path) == before


@pytest.fixture
def linked(tmp_path):
    """Make `part` of a results folder a link to a folder outside, which holds a stage and a temporary file."""

    def link(part: str) -> tuple[Path, Path]:
        outside, results = tmp_path / "outside", tmp_path / "results"
        (outside / "tokens").mkdir(parents=True)
        (outside / "tokens" / "0123.safetensors").write_bytes(b"mine")
        (outside / ".x.json.tmp").write_bytes(b"mine")
        (results / part).parent.mkdir(parents=True)
        (results / part).symlink_to(outside, target_is_directory=True)
        return results, outside

    return link


@pytest.mark.parametrize("part", [*ResultsFolder.PARTS, "cells/reviews", "cells/reviews/ann", "stages/tokens"])
def test_a_link_out_of_the_results_is_refused_and_not_followed(bench, reviews, instant, tiny_bert, linked, part):
    results, outside = linked(part)
    before = tree(outside)
    words = ["--tasks", "reviews.csv", "--methods", "./instant.py", "--seeds", 1, "--results", results]
    for command in (["run", *words, "--encoder", f"{tiny_bert}:frozen"], ["report", "--results", results]):
        answer = bench(*command)
        assert answer.exit_code == 2
        assert f"results/{part}' is a link that leads out of the results folder" in answer.stderr
    with pytest.raises(UsageError, match=r"is a link that leads out of the results folder, to '.*outside'"):
        prune(results, limit=0)
    assert tree(outside) == before


def test_links_within_the_results_and_to_them_are_fine(tmp_path):
    (tmp_path / "disk" / "cells" / "new").mkdir(parents=True)
    (tmp_path / "disk" / "cells" / "old").symlink_to("new", target_is_directory=True)
    (tmp_path / "results").symlink_to("disk", target_is_directory=True)
    refuse_links(tmp_path / "results")
