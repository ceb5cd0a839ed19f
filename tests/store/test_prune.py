"""`bench prune` removes what no record needs, then what was used longest ago; never a record, never what is in use."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from bench.cli.prune import sentences
from bench.core.errors import UsageError
from bench.store.claims import LEASE_SECONDS, Claims
from bench.store.prune import prune
from bench.store.records import StageUse, write_record
from bench.training.stages import StageStore, lock_path, stage_hash
from tests.conftest import tree
from tests.factories import cell_key, done_record

NAMES = ("needed", "older", "orphan")


@pytest.fixture
def results(tmp_path):
    """Three stages of about 4 kB, used one, two and three hours ago; a record needs the first two."""
    record, arrays = done_record(cell_key())
    record.stages = [
        StageUse(name=name, hash=stage_hash(name, {}), reused=True, seconds=1.0) for name in ("needed", "older")
    ]
    write_record(record, tmp_path, arrays)
    store = StageStore(tmp_path / "stages")
    for hours, name in enumerate(NAMES, 1):
        store.get(name, {}, lambda: {"x": np.zeros(1000, np.float32)})
        used = time.time() - 3600 * hours
        os.utime(path_of(tmp_path, name), (used, used))
    return tmp_path


def path_of(results, name):
    return StageStore(results / "stages").path(name, stage_hash(name, {}))


def there(results):
    return [name for name in NAMES if path_of(results, name).exists()]


def test_what_no_record_needs_goes_and_records_stay(results):
    before = tree(results / "cells")
    size = path_of(results, "orphan").stat().st_size
    done = prune(results, dry_run=True)
    assert there(results) == list(NAMES)
    assert prune(results) == done, "a dry run says what would be"
    assert there(results) == ["needed", "older"]
    assert (done.freed, done.stages, done.running) == (size, 2, 0)
    assert tree(results / "cells") == before
    assert prune(results).freed == 0


def test_a_size_limit_gives_up_what_was_used_longest_ago_and_it_is_computed_again(results):
    size = path_of(results, "needed").stat().st_size
    assert prune(results, limit=2 * size).oldest == []
    done = prune(results, limit=size)
    assert [path.parent.name for path in done.oldest] == ["older"]
    assert there(results) == ["needed"]
    assert done.kept == size
    again = StageStore(results / "stages").get("older", {}, lambda: {"x": np.ones(3)})["x"]
    np.testing.assert_array_equal(again, 1)


def test_using_a_stage_makes_it_the_last_to_go(results):
    for _ in range(2):  # from the disk, then from memory
        StageStore(results / "stages").get("older", {}, lambda: pytest.fail("it is there"))
    prune(results, limit=path_of(results, "needed").stat().st_size)
    assert there(results) == ["older"]


def test_while_cells_run_what_was_used_within_a_day_stays(results):
    used = time.time() - 3600 * 30
    os.utime(path_of(results, "older"), (used, used))
    mine = Claims(results).take("a" * 64)
    done = prune(results, limit=0)
    assert done.running == 1
    assert there(results) == ["needed", "orphan"]
    assert "in use: prune again later" in sentences(done, "removed")[-1]
    mine.release()
    prune(results, limit=0)
    assert there(results) == []


def test_a_stage_that_is_being_computed_stays(results):
    from bench.store.claims import lease

    with lease(lock_path(path_of(results, "orphan"))):
        prune(results, limit=0)
        assert there(results) == ["orphan"]


def test_leases_of_dead_processes_and_torn_files_go(results):
    dead = results / "claims" / "x.lease"
    dead.parent.mkdir()
    dead.write_text("", encoding="utf-8")
    torn = results / "cells" / ".seed-1.json.x.tmp"
    torn.touch()
    assert prune(results).leftovers == [torn], "a lease without a name may be one that is just being taken"
    os.utime(dead, (0, time.time() - 2 * LEASE_SECONDS))
    assert prune(results).leftovers == [dead]
    assert not dead.exists()


def test_the_command_says_what_it_did_and_refuses_what_it_cannot_read(results, bench):
    said = bench("prune", "--results", results, "--dry-run", "--max-size", "1GB").stdout
    assert "would remove 1 stage that no record needs, 0 least recently used" in said
    assert "removed 1 stage" in bench("prune", "--results", results).stdout
    wrong = bench("prune", "--results", results, "--max-size", "big")
    assert wrong.exit_code == 2
    assert "--max-size 'big': write a number with its unit" in wrong.stderr
    missing = bench("prune", "--results", results / "nowhere")
    assert missing.exit_code == 2
    with pytest.raises(UsageError, match=r"results folder .* does not exist"):
        prune(Path("nowhere"))
