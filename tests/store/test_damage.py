"""Bytes that changed, writers that were cut off, and what they left behind."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from bench.store import records as store
from bench.store.claims import Claims
from bench.store.prune import remove_leftovers
from bench.training import stages
from bench.training.stages import StageStore
from tests.factories import cell_key


def test_a_stage_whose_bytes_changed_is_named_and_computed_again(tmp_path, caplog):
    computed = []

    def compute():
        computed.append(1)
        return {"x": np.arange(1000, dtype=np.float32)}

    StageStore(tmp_path).get("stage", {}, compute)
    [path] = tmp_path.rglob("*.safetensors")
    raw = bytearray(path.read_bytes())
    raw[-100] ^= 1  # one bit, in the arrays: the file is still well-formed
    path.write_bytes(raw)
    with caplog.at_level(logging.WARNING, "bench.stages"):
        again = StageStore(tmp_path).get("stage", {}, compute)["x"]
    assert len(computed) == 2
    np.testing.assert_array_equal(again, np.arange(1000))
    assert caplog.text.count("do not match its checksum") == 1
    StageStore(tmp_path).get("stage", {}, compute)
    assert len(computed) == 2, "what was computed again replaced it"


def test_a_record_is_whole_or_absent_wherever_its_writing_is_cut_off(tmp_path, monkeypatch):
    """Every system call that changes the folder may be the last one."""
    from tests.factories import done_record

    old, old_arrays = done_record(cell_key())
    new = old.model_copy(update={"created": "later"})
    new_arrays = {name: array + 1 for name, array in old_arrays.items()}
    path = old.key.path(tmp_path)

    class Cut(BaseException):
        pass

    calls = {"count": 0, "last": 0}

    def counted(function):
        def call(*arguments, **named):
            calls["count"] += 1
            if calls["count"] > calls["last"]:
                raise Cut
            return function(*arguments, **named)

        return call

    for last in range(8):
        store.write_record(old, tmp_path, old_arrays)
        calls.update(count=0, last=last)
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", counted(os.replace))
            patch.setattr(os, "fsync", counted(os.fsync))
            patch.setattr(Path, "unlink", counted(Path.unlink))
            try:
                store.write_record(new, tmp_path, new_arrays)
            except Cut:
                pass
            else:
                break
        if path.exists():
            record = store.read_record(path)
            expected = new_arrays if record.created == "later" else old_arrays
            arrays = store.read_arrays(path)
            assert all(np.array_equal(arrays[name], array, equal_nan=True) for name, array in expected.items())
    else:
        pytest.fail("it never came to its end")
    assert store.read_record(path).created == "later"


def test_what_killed_writers_left_is_removed_unless_someone_may_be_writing(tmp_path):
    left = [tmp_path / "cells" / "t" / ".seed-1.json.x.tmp", tmp_path / "stages" / "tokens" / ".a.safetensors.y.tmp"]
    for path in left:
        path.parent.mkdir(parents=True)
        path.touch()
    mine = Claims(tmp_path).take("b" * 64)
    remove_leftovers(tmp_path)
    assert all(path.exists() for path in left)
    mine.release()
    remove_leftovers(tmp_path)
    assert not any(path.exists() for path in left)
    assert stages.lock_path(Path("x.safetensors")).suffix == ".lease"
