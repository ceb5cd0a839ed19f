"""Packing that is killed, and packs that are damaged, out of reach or of a newer version."""

from __future__ import annotations

import errno
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from bench.cli.show import find_record
from bench.core.errors import BenchError, UsageError
from bench.report import frame
from bench.store.claims import Claims
from bench.store.folder import ResultsFolder
from bench.store.packing import pack, unpack
from bench.store.prune import prune
from bench.store.records import (
    Damaged,
    Record,
    has_record,
    read_arrays,
    read_record,
    read_records,
    record_version,
)
from tests.conftest import tree
from tests.factories import cell_key, write_done
from tests.store.packed import everything, loose

DANGEROUS = (
    (os, "fsync"), (os, "replace"), (os, "rmdir"), (Path, "unlink"), (zipfile.ZipFile, "writestr"),
    (zipfile.ZipFile, "close"), (Claims, "held"),
)  # fmt: skip


def killed_at(step: int, act) -> bool:
    """Do `act` in a process that dies just before its dangerous step number `step`; whether it came that far."""
    child = os.fork()
    if child == 0:
        seen = iter(range(step + 1))

        def counted(plain):
            def call(*given, **named):
                if next(seen, step) == step:
                    os._exit(77)
                return plain(*given, **named)

            return call

        for owner, name in DANGEROUS:
            setattr(owner, name, counted(getattr(owner, name)))
        try:
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("act", [pack, unpack], ids=["pack", "undo"])
def test_killed_at_any_step_nothing_is_lost_and_the_next_call_ends_it(folder, tmp_path, act):
    for task in ("reviews", "tweets"):
        shutil.rmtree(folder / "cells" / task)
    pack(folder)
    write_done(folder, cell_key(seed=8), created="loose beside the pack")
    write_done(folder, cell_key(seed=1), created="newer than the packed one")
    if act is unpack:
        pack(folder)
    expected = everything(folder)
    files = None
    for step in range(1000):
        results = tmp_path / "tried" / "results"
        shutil.rmtree(results.parent, ignore_errors=True)
        shutil.copytree(folder, results)
        died = killed_at(step, lambda results=results: act(results))
        found = {path.relative_to(results): value for path, value in everything(results).items()}
        assert found == {path.relative_to(folder): value for path, value in expected.items()}, step
        if died and (act is pack or (results / "packed.zip").exists()):
            act(results)
        if act is pack:  # what undoing leaves below cells, the next run removes
            assert not [name for name in tree(results) if name.endswith(".tmp")], step
        left = loose(results)
        assert files is None or left == files, step
        files = left
        if not died:
            break
    assert step > (20 if act is pack else 30)
    assert (files == []) == (act is pack)


def test_a_damaged_pack_stops_every_reader_and_packing(folder):
    pack(folder)
    path = folder / "packed.zip"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    for act in (frame.load, pack, unpack, prune, lambda results: list(read_records(results))):
        with pytest.raises(UsageError, match=r"packed\.zip' are damaged .*: restore the file from a copy"):
            act(folder)
    for act in (read_record, has_record, read_arrays, record_version):
        with pytest.raises(UsageError, match=r"packed\.zip' are damaged"):
            act(cell_key(seed=1).path(folder))
    assert path.read_bytes() == whole[: len(whole) // 2]


def test_a_pack_out_of_reach_is_not_a_missing_one(folder, monkeypatch):
    pack(folder)
    write_done(folder, cell_key(seed=5))
    stat = Path.stat

    def stale(self, **options):
        if self.name == "packed.zip":
            raise OSError(errno.ESTALE, "Stale file handle")
        return stat(self, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", stale)
        for act in (pack, unpack, frame.load, lambda results: list(read_records(results))):
            with pytest.raises(OSError, match="Stale"):
                act(folder)
    assert len(everything(folder)) == 8


def test_a_pack_that_is_not_what_went_in_is_never_put_in_place(folder, monkeypatch):
    before = tree(folder / "cells")
    monkeypatch.setattr(
        "bench.store.pack_writing.encode", lambda arrays: (bytes(sum(array.nbytes for array, _ in arrays)), b"")
    )
    with pytest.raises(BenchError):
        pack(folder)
    assert tree(folder / "cells") == before
    assert not list(folder.glob("*.zip"))


def test_what_cannot_be_packed_whole_stays_and_is_named(folder, tmp_path):
    torn, gone, link = (cell_key(seed=seed).path(folder) for seed in (1, 2, 3))
    torn.with_suffix(".npz").write_bytes(b"PK\x03\x04 torn")
    gone.with_suffix(".npz").unlink()
    aside = tmp_path / "elsewhere.json"
    aside.write_bytes(write_done(tmp_path / "other", cell_key(seed=3)).read_bytes())
    link.symlink_to(aside)
    copy = link.with_name("seed-9-copy.json")
    shutil.copy(gone, copy)
    done = pack(folder)
    why = {file.path: file.why for file in done.left}
    assert "torn" in why.pop(torn)
    assert "missing" in why.pop(gone)
    assert "link" in why.pop(link)
    assert why == {copy: "its name is not that of its cell"}
    assert done.cells == 5
    assert link.is_symlink()
    assert aside.exists()
    assert isinstance(read_record(torn), Record)


@pytest.mark.parametrize(
    "act", [pack, prune, unpack, lambda results: list(read_records(results)), lambda results: find_record("0", results)]
)
def test_a_folder_of_a_newer_version_is_neither_read_nor_changed(folder, act):
    if act is unpack:
        pack(folder)
    ResultsFolder(folder).marker.write_text('{"schema": 2}')
    before = tree(folder)
    with pytest.raises(UsageError, match=r"results folder '.*results' has schema 2, .* knows 1: upgrade bench"):
        act(folder)
    assert tree(folder) == before
    ResultsFolder(folder).marker.write_text('{"schema": 2')  # damaged: it tells nothing
    assert len(list(read_records(folder))) == 7


def test_leftovers_of_a_killed_packing_are_removed_by_prune(folder):
    pack(folder)
    left = folder / ".packed.zip.0123.tmp"
    left.write_bytes(b"half")
    assert prune(folder).leftovers == [left]
    assert not left.exists()
    assert (folder / "packed.zip").exists()
    assert not any(isinstance(record, Damaged) for record in read_records(folder))
