"""Packing a results folder: everything reads as before, whenever it is cut off nothing is lost, it can be undone."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.core.errors import BenchError, UsageError
from bench.report import frame
from bench.report.build import build_report
from bench.store import packing
from bench.store.claims import Claims
from bench.store.folder import ResultsFolder
from bench.store.packing import pack, unpack
from bench.store.records import (
    Record,
    has_arrays,
    has_record,
    read_arrays,
    read_record,
    read_records,
    record_version,
    same_version,
    write_record,
)
from tests.conftest import tree
from tests.factories import cell_key, done_record, write_done, write_results
from tests.store.packed import contents, everything, loose


def test_a_packed_folder_reads_as_the_loose_one_did_and_can_be_undone(folder):
    before, files = everything(folder), contents(folder)
    done = pack(folder)
    assert (done.cells, done.moved, done.left, done.running) == (7, 7, [], 0)
    assert loose(folder) == []
    assert not (folder / "cells").exists()
    assert done.size == (folder / "packed.zip").stat().st_size
    assert everything(folder) == before
    assert list(everything(folder)) == list(before), "in the same order"
    for path, (record, _) in before.items():
        assert has_record(path)
        assert has_arrays(path) == (record.status == "done")
    undone = unpack(folder)
    assert (undone.cells, undone.moved) == (7, 7)
    assert contents(folder) == files
    assert not (folder / "packed.zip").exists()
    with pytest.raises(UsageError, match=r"nothing is packed in .*: there is no packed\.zip"):
        unpack(folder)


def test_a_report_of_a_packed_folder_is_that_of_the_loose_one(tmp_path):
    results = write_results(tmp_path / "results")
    loosely = frame.load(results)
    build_report(results, tmp_path / "loose", formats=["latex", "csv"])
    done = pack(results)
    assert sorted(file.path.name for file in done.left) == ["foreign.json", "torn.json"]
    assert loose(results) == ["foreign.json", "torn.json"], "what is damaged stays, to be looked at"
    packed = frame.load(results)
    pd.testing.assert_frame_equal(packed.cells, loosely.cells)
    assert packed.damaged == loosely.damaged
    build_report(results, tmp_path / "packed", formats=["latex", "csv"])
    assert tree(tmp_path / "packed") == tree(tmp_path / "loose")


def test_a_pack_is_read_where_it_stands_alone(folder, tmp_path):
    before, alone = frame.load(folder).cells, tmp_path / "mine.zip"
    files = tree(folder)
    done = pack(folder, alone)
    assert (done.path, done.cells, done.moved) == (alone, 7, 0)
    assert {name: data for name, data in tree(folder).items() if not name.startswith("claims")} == files
    pd.testing.assert_frame_equal(frame.load(alone).cells, before)
    assert frame.load(alone).bins(cell_key(seed=1).hash[:12]) is not None
    alone.write_bytes(b"notes")
    with pytest.raises(UsageError, match=r"--out '.*mine\.zip' exists and is not a pack"):
        pack(folder, alone)
    assert alone.read_bytes() == b"notes"


def test_equal_content_makes_equal_bytes_however_it_came_together(folder, tmp_path):
    steps = tmp_path / "steps"
    paths = sorted(path for path in folder.rglob("*.json"))
    for part in (paths[4:], paths[:2], paths[2:4]):
        for path in part:
            (steps / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            for beside in path.parent.glob(f"{path.stem}.*"):
                shutil.copy2(beside, steps / beside.relative_to(folder))
        pack(steps)
    pack(folder)
    once = (folder / "packed.zip").read_bytes()
    assert (steps / "packed.zip").read_bytes() == once
    version = (folder / "packed.zip").stat().st_mtime_ns
    assert pack(folder).moved == 0
    assert (folder / "packed.zip").stat().st_mtime_ns == version, "nothing to add, nothing written"
    unpack(folder)
    pack(folder)
    assert (folder / "packed.zip").read_bytes() == once


def test_a_loose_record_hides_the_packed_one_and_takes_its_place(folder):
    pack(folder)
    key = cell_key(seed=1)
    record, arrays = done_record(key, created="later")
    write_record(record, folder, arrays)
    for _ in ("loose", "packed"):
        assert read_record(key.path(folder)).created == "later"
        np.testing.assert_array_equal(read_arrays(key.path(folder))["test_last"], arrays["test_last"])
        assert len(list(read_records(folder))) == 7
        assert pack(folder).cells == 7
    assert loose(folder) == []
    failed = Record(hash=key.hash, key=key, status="failed", reason="worse")
    write_record(failed, folder)
    assert not has_arrays(key.path(folder)), "the packed arrays are another record's"
    unpack(folder)
    assert read_record(key.path(folder)).status == "failed", "undoing keeps what is newer"
    assert not key.path(folder).with_suffix(".npz").exists()


def test_a_version_tells_a_new_record_from_one_that_was_only_packed(folder):
    path = cell_key(seed=1).path(folder)
    first = record_version(path)
    pack(folder)
    packed = record_version(path)
    assert first
    assert packed
    assert same_version(first, packed)
    assert same_version(packed, record_version(path))
    write_done(folder, cell_key(seed=1), created="another day, and longer")
    assert not same_version(packed, record_version(path))
    assert not same_version(first, record_version(path))
    pack(folder)
    assert not same_version(first, record_version(path))
    assert not same_version(packed, record_version(path))
    assert record_version(cell_key(seed=9).path(folder)) is None
    assert not same_version(None, first)
    assert same_version(None, None)


def test_cells_that_run_stay_loose(folder):
    key = cell_key(seed=1)
    lease = Claims(folder).take(key.hash)
    done = pack(folder)
    assert (done.cells, done.moved, done.running) == (6, 6, 1)
    assert loose(folder) == [f"{key.path(folder).stem}.json", f"{key.path(folder).stem}.npz"]
    with pytest.raises(UsageError, match="are running: undo the pack when they are done"):
        unpack(folder)
    assert len(everything(folder)) == 7
    lease.release()
    assert pack(folder).cells == 7


def test_a_result_that_comes_while_the_rest_is_packed_stays(folder, monkeypatch):
    key, write = cell_key(seed=1), packing._write

    def slow(*given):
        write(*given)
        write_done(folder, key, created="meanwhile")

    monkeypatch.setattr(packing, "_write", slow)
    done = pack(folder)
    assert (done.moved, done.running) == (6, 1)
    assert read_record(key.path(folder)).created == "meanwhile"
    monkeypatch.undo()
    pack(folder)
    assert read_record(key.path(folder)).created == "meanwhile"
    assert loose(folder) == []


def test_a_record_that_changes_while_it_is_read_is_no_half_of_two(folder, monkeypatch):
    key, read = cell_key(seed=1), packing._entry

    def changed(stem, cell):
        if cell.record == key.path(folder):
            write_done(folder, key, created="meanwhile")
        return read(stem, cell)

    before = tree(folder / "cells")
    monkeypatch.setattr(packing, "_entry", changed)
    with pytest.raises(BenchError, match="changed while it was packed, nothing is lost: pack again"):
        pack(folder)
    assert tree(folder / "cells").keys() == before.keys()
    assert not (folder / "packed.zip").exists()
    assert not list(folder.glob(".packed.zip.*"))


def test_runs_may_write_while_others_pack_and_read(folder):
    """A writer that takes its cells' leases, as runs do; two processes' worth of packing; nothing is ever missing."""
    known, stop, wrong = set(cell.hash for cell in read_records(folder)), threading.Event(), []

    def write():
        claims = Claims(folder)
        for seed in range(10, 30):
            key = cell_key(seed=seed % 9 + 1, method="npc", config={"round": seed // 9})
            while not (lease := claims.take(key.hash)):
                pass
            write_record(done_record(key, created=f"round {seed}")[0], folder, done_record(key)[1])
            known.add(key.hash)
            lease.release()
        stop.set()

    def look():
        while not stop.is_set():
            expected = set(known)
            missing = expected - {record.hash for record in read_records(folder) if isinstance(record, Record)}
            wrong.extend(missing)

    threads = [threading.Thread(target=each) for each in (write, look)]
    for thread in threads:
        thread.start()
    while not stop.is_set():
        try:
            pack(folder)
        except BenchError as error:
            wrong += [] if "changed while it was packed" in str(error) else [error]
    for thread in threads:
        thread.join()
    assert wrong == []
    pack(folder)
    assert {record.hash for record in read_records(folder)} == known
    assert loose(folder) == []


def test_only_one_process_packs_a_folder(folder):
    with packing._held(ResultsFolder(folder)):
        for act in (pack, unpack):
            if act is unpack:
                shutil.copy(pack(folder, folder.parent / "x.zip").path, folder / "packed.zip")
            with pytest.raises(UsageError, match=f"is being packed by process {os.getpid()}: wait"):
                act(folder)


def test_further_packs_are_read_and_become_one(folder, tmp_path):
    theirs = tmp_path / "theirs"
    for seed in (2, 3):
        write_done(theirs, cell_key(seed=seed), created="theirs")
    pack(folder)
    pack(theirs, folder / "packed-theirs.zip")
    seen = {record.hash: record.created for record in read_records(folder)}
    assert len(seen) == 8
    assert seen[cell_key(seed=3).hash] == "theirs"
    assert seen[cell_key(seed=2).hash] != "theirs", "packed.zip counts first"
    done = pack(folder)
    assert (done.cells, done.twice) == (8, 1)
    assert [path.name for path in folder.glob("*.zip")] == ["packed.zip"]
    assert {record.hash: record.created for record in read_records(folder)} == seen


@pytest.mark.parametrize("named", ["results", "./results", "../{parent}/results", "link"])
def test_a_folder_may_be_named_in_any_way(folder, monkeypatch, named):
    monkeypatch.chdir(folder.parent)
    (folder.parent / "link").symlink_to("results")
    results, before = Path(named.format(parent=folder.parent.name)), everything(folder)
    for seed in (1, 8):
        pack(results)
        write_done(results, cell_key(seed=seed), created="later")
    assert pack(results).cells == 8
    assert pack(results).cells == 8
    assert len(everything(folder)) == 8
    assert everything(folder).keys() > before.keys()


def test_nothing_to_pack_is_said(tmp_path):
    with pytest.raises(UsageError, match=r"results folder '.*nowhere' does not exist: name another"):
        pack(tmp_path / "nowhere")
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "x.json").write_text("{}")
    with pytest.raises(UsageError, match=r"nothing to pack in '.*': there are no complete records"):
        pack(tmp_path)
    assert (tmp_path / "cells" / "x.json").exists()
    assert not (tmp_path / "packed.zip").exists()


def test_links_within_are_fine_and_a_linked_pack_is_refused(folder, tmp_path):
    inside = tmp_path / "link"
    inside.symlink_to(folder, target_is_directory=True)
    pack(inside)
    assert len(everything(inside)) == 7
    moved = tmp_path / "moved.zip"
    (folder / "packed.zip").rename(moved)
    (folder / "packed.zip").symlink_to(moved)
    content = moved.read_bytes()
    write_done(folder, cell_key(seed=5))
    for act in (pack, unpack):
        with pytest.raises(UsageError, match=r"packed\.zip' is a link that leads out of the results folder"):
            act(folder)
    assert moved.read_bytes() == content
