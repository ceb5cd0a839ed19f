"""Running into a packed folder: what is packed counts as done, what is new lies beside it; and `bench pack` itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.store.records import read_record
from tests.conftest import records, tree

RESULTS = Path("results")


@pytest.fixture
def go(bench, reviews, instant, tiny_bert):
    """`bench run` of a method that trains nothing on two labellers and two seeds, with more words."""
    words = ["--tasks", "reviews.csv", "--llms", "ann,bob", "--encoder", f"{tiny_bert}:frozen"]

    def run(*more, parameters="log=log.txt", seeds="1,2"):
        return bench("run", "--methods", f"./instant.py[{parameters}]", "--seeds", seeds, *words, *more)

    return run


def runs() -> int:
    path = Path("log.txt")
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_packed_cells_are_cached_and_new_ones_lie_loose_beside(go, bench):
    go()
    before = tree(RESULTS / "cells")
    answer = bench("pack", "results")
    assert answer.exit_code == 0, answer.stderr
    assert answer.stdout.startswith("4 cells in results/packed.zip, ")
    assert "; 4 of them were loose, " in answer.stdout
    packed = Path("results/packed.zip").read_bytes()
    assert "4 cached. Next:" in go().stdout
    assert "0 of 4 cells would run" in go("--dry-run").stdout
    assert runs() == 4
    assert not (RESULTS / "cells").exists()
    assert "4 cached · 2 done. Next:" in go(seeds="1,2,3").stdout
    assert Path("results/packed.zip").read_bytes() == packed
    assert len([*RESULTS.glob("cells/**/*.json")]) == 2
    refused = bench("pack", env={"BENCH_RESULTS": "nowhere"})
    assert "'nowhere'" in refused.stderr, "the variable names it where no argument does"
    assert "6 cells in results/packed.zip, " in bench("pack").stdout, "the folder's name may be left out"
    answer = bench("pack", "--undo")
    assert "6 cells of results/packed.zip in results, 6 of them unpacked now; the pack is removed" in answer.stdout
    after = tree(RESULTS / "cells")
    assert {name: after[name] for name in before if name.endswith(".json")} == {
        name: text for name, text in before.items() if name.endswith(".json")
    }
    assert "6 cached. Next:" in go(seeds="1,2,3").stdout


def test_workers_read_the_pack_too(go, bench):
    go()
    bench("pack")
    assert "4 cached · 2 done. Next:" in go("--jobs", 2, seeds="1,2,3").stdout
    assert runs() == 6


def test_force_runs_packed_cells_again_and_the_new_records_count(go, bench):
    go()
    old = {record.hash: record.created for record in records()}
    bench("pack")
    assert "4 done. Next:" in go("--force").stdout
    assert runs() == 8
    assert len([*RESULTS.glob("cells/**/*.json")]) == 4
    new = {record.hash: record.created for record in records()}
    assert new.keys() == old.keys()
    bench("pack")
    assert {record.hash: record.created for record in records()} == new


def test_packed_failures_run_again_or_stay_as_asked(go, bench):
    Path("trap").touch()
    failing = "log=log.txt,trap=trap"
    answer = go(parameters=failing)
    assert answer.exit_code == 1, answer.stdout
    traces = tree(RESULTS / "cells")
    bench("pack")
    assert "failed" in bench("status", "--results", "results").stdout
    assert "4 failed" in go("--retry", "none", parameters=failing).stdout
    shown = bench("show", records()[0].hash[:8]).stdout
    assert "traceback" in shown
    assert "in results/packed.zip; `bench pack --undo` lays it out" in shown
    bench("pack", "--undo")
    assert tree(RESULTS / "cells") == traces, "records and tracebacks, byte for byte"
    bench("pack")
    Path("trap").unlink()
    assert "4 done. Next:" in go(parameters=failing).stdout
    assert {record.status for record in records()} == {"done"}


def test_a_damaged_pack_is_told_before_anything_runs(go, bench):
    go()
    cell = records()[0].hash[:8]
    bench("pack")
    path = Path("results/packed.zip")
    whole = path.read_bytes()
    for damaged in (whole[:-10], b"", whole.replace(b"PK\x03\x04", b"PK\x03\x05", 1)):
        path.write_bytes(damaged)
        for words in (["status"], ["report"], ["show", cell], ["pack"], ["pack", "--undo"], ["prune"]):
            answer = bench(*words)
            assert answer.exit_code == 2, words
            assert "'results/packed.zip' are damaged" in answer.stderr.replace("\n", " ")
            assert "restore the file from a copy, or move it away" in answer.stderr.replace("\n", " ")
        answer = go(seeds="1,2,3")
        assert answer.exit_code == 2, answer.stdout
        assert "are damaged" in answer.stderr
    assert runs() == 4
    path.rename("aside.zip")
    assert "4 done" in go().stdout, "without the pack its cells are to be run"


def test_every_command_that_reads_takes_a_pack_alone(go, bench):
    go()
    assert bench("pack", "results", "--out", "mine.zip").stdout.startswith("4 cells in mine.zip, ")
    assert len(records()) == 4
    assert [*RESULTS.glob("cells/**/*.json")]
    assert "4 done" in bench("status", "--results", "mine.zip").stdout
    record = records(Path("mine.zip"))[0]
    assert "again bench run" in bench("show", record.hash[:8], "--results", "mine.zip").stdout
    answer = bench("report", "--results", "mine.zip", "--out", "report", "--format", "csv")
    assert answer.exit_code == 0, answer.stderr
    answer = go("--results", "mine.zip")
    assert answer.exit_code == 2
    assert "'mine.zip' is a file: name a folder (a pack goes into one, as packed.zip)" in answer.stderr
    Path("shared").mkdir()
    Path("mine.zip").rename("shared/packed.zip")
    assert "4 cached. Next:" in go("--results", "shared").stdout


def test_a_packed_record_is_found_by_its_path(go, bench):
    go()
    path = records()[0].key.path(RESULTS)
    loose = read_record(path)
    bench("pack")
    assert read_record(path) == loose
    assert loose.hash[:12] in "".join(bench("show", path).stdout.split())


def test_wrong_usage_of_pack_is_one_message(bench, go):
    assert "results folder 'results' does not exist: name another" in bench("pack").stderr
    assert "does not exist: name another" in bench("pack", "--undo").stderr
    go()
    answer = bench("pack", "--undo")
    assert answer.exit_code == 2
    assert "nothing is packed in 'results'" in answer.stderr
    answer = bench("pack", "--undo", "--out", "x.zip")
    assert "--undo writes into the results folder: leave out --out" in answer.stderr
    Path("notes.txt").write_text("mine")
    answer = bench("pack", "--out", "notes.txt")
    assert "'notes.txt' exists and is not a pack" in answer.stderr
    assert Path("notes.txt").read_text() == "mine"
    assert bench("pack", "--out", "notes.txt/x.zip").exit_code == 2
    torn = records()[0].key.path(RESULTS).with_name("seed-7-torn.json")
    torn.write_text("{")
    answer = bench("pack")
    assert answer.exit_code == 0
    assert "left as it is" in answer.stderr
    assert "seed-7-torn.json" in answer.stderr.replace("\n", "")
    assert torn.read_text() == "{"
