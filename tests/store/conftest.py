"""What the tests of packing share: a results folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.store.records import (
    ErrorFacts,
    Record,
    write_record,
)
from tests.factories import cell_key, write_done


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two tasks, two seeds; one failed cell with its traceback, one skipped, and cells without gold."""
    results = tmp_path / "results"
    for seed in (1, 2):
        write_done(results, cell_key(seed=seed))
        write_done(results, cell_key("tweets", seed=seed))
    write_done(results, cell_key("reviews", "crowd"), has_gold=False)
    failed = cell_key(method="co-teaching")
    trace = failed.path(results).with_suffix(".traceback.txt")
    trace.parent.mkdir(parents=True)
    trace.write_bytes(b"Traceback: \xff\n")
    error = ErrorFacts(type="RuntimeError", message="no", traceback_file=trace.name)
    write_record(Record(hash=failed.hash, key=failed, status="failed", reason="no", error=error), results)
    skipped = cell_key("tweets", "asn@0.3")
    write_record(Record(hash=skipped.hash, key=skipped, status="skipped", reason="two classes"), results)
    return results
