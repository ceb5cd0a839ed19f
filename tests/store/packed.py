"""What a results folder holds, packed or loose."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.store.records import (
    Record,
    read_arrays,
    read_records,
)


def loose(results: Path) -> list[str]:
    return sorted(path.name for path in (results / "cells").rglob("[!.]*") if path.is_file())


def everything(results: Path) -> dict:
    """All records with their arrays, as any reader of the folder gets them."""
    found = {}
    for record in read_records(results):
        assert isinstance(record, Record)
        path = record.key.path(results)
        arrays = read_arrays(path) if record.data else {}
        found[path] = record, {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in arrays.items()}
    return found


def contents(results: Path) -> dict:
    """What lies in the folder as files: exact bytes of texts, values of arrays."""
    files = {}
    for path in sorted(path for path in (results / "cells").rglob("*") if path.is_file()):
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                files[path] = {name: (arrays[name].dtype.str, arrays[name].tobytes()) for name in arrays.files}
        else:
            files[path] = path.read_bytes()
    return files
