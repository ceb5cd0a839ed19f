"""What methods share is computed once: a content-addressed store of arrays.

The key of an entry holds *every* input (data, encoder revision, recipe, seed, code version of the stage). An
entry is a safetensors file, written to a unique temporary name and renamed; a damaged one is a warning and a
recomputation. Reuse never changes a number: what `get` returns after computing is what it returns after reading.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from safetensors import safe_open
from safetensors.numpy import save_file

from bench import device
from bench.store import StageUse, slug

log = logging.getLogger("bench.stages")

Arrays = dict[str, np.ndarray]
MEMORY_BYTES = 1 << 29
"""How much of what was read or computed last is also kept in memory."""


def stage_hash(name: str, key: Mapping[str, Any]) -> str:
    """64 hex digits over the stage's name and the canonical JSON of its key."""
    text = json.dumps([name, key], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def hash_arrays(**arrays: np.ndarray) -> str:
    """A fingerprint of arrays (names, dtypes, shapes, bytes) for use in a key."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


@dataclass
class StageStore:
    """The store of one results folder, with the list of stages that the present cell used."""

    folder: Path | None  # None: nothing is kept, everything is computed
    uses: list[StageUse] = field(default_factory=list)
    _memory: OrderedDict[str, tuple[Arrays, float]] = field(default_factory=OrderedDict)
    _nested: list[float] = field(default_factory=list)

    def begin(self) -> list[StageUse]:
        """Start a new cell: returns the fresh list that fills with the stages it uses."""
        self.uses = []
        return self.uses

    def get(self, name: str, key: Mapping[str, Any], compute: Callable[[], Arrays]) -> Arrays:
        """The arrays of stage `name` for `key`: read from the store, or computed and kept.

        Under several processes all of them call this together: the first one decides whether to read, because
        `compute` may be collective.
        """
        digest = stage_hash(name, key)
        if self.folder is None:
            return self._compute(name, digest, compute)[0]
        path = self.path(name, digest)
        with self._lock(path):
            found = self._memory.get(digest) or self._read(path)
            if device.decided_by_first_process(found is not None):
                if found is None:
                    found = self._wait_for(path)
                arrays, seconds = found
                self._use(StageUse(name=name, hash=digest, reused=True, seconds=seconds))
            else:
                arrays, seconds = self._compute(name, digest, compute)
                if device.is_first_process():
                    self._write(path, name, key, arrays, seconds)
                device.wait_for_all()
        self._remember(digest, arrays, seconds)
        return arrays

    def path(self, name: str, digest: str) -> Path:
        """Where an entry lies."""
        return self.folder / slug(name) / f"{digest[:32]}.safetensors"

    def _compute(self, name: str, digest: str, compute: Callable[[], Arrays]) -> tuple[Arrays, float]:
        self._nested.append(0.0)
        started = time.perf_counter()
        try:
            arrays = {part: np.ascontiguousarray(array) for part, array in compute().items()}
        finally:
            reused_inside = self._nested.pop()
        own = time.perf_counter() - started
        self._use(StageUse(name=name, hash=digest, reused=False, seconds=own + reused_inside))
        return arrays, own + reused_inside

    def _use(self, use: StageUse) -> None:
        if any(known.hash == use.hash for known in self.uses):
            return
        self.uses.append(use)
        if use.reused and self._nested:
            self._nested[-1] += use.seconds

    @contextlib.contextmanager
    def _lock(self, path: Path) -> Iterator[None]:
        if not device.is_first_process():
            yield
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            yield

    def _read(self, path: Path) -> tuple[Arrays, float] | None:
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                facts = json.loads(file.metadata()["bench"])
                arrays = {part: file.get_tensor(part) for part in file.keys()}  # noqa: SIM118
        except Exception as error:
            log.warning("stage %s is damaged (%s): computing it again", path.name, error)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return arrays, float(facts["seconds"])

    def _wait_for(self, path: Path) -> tuple[Arrays, float]:
        for _ in range(600):
            found = self._read(path)
            if found is not None:
                return found
            time.sleep(0.1)
        raise TimeoutError(f"stage {path} was found by the first process but cannot be read by this one")

    def _write(self, path: Path, name: str, key: Mapping[str, Any], arrays: Arrays, seconds: float) -> None:
        facts = {"name": name, "key": key, "seconds": seconds}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
            os.close(handle)
            try:
                save_file(arrays, temporary, metadata={"bench": json.dumps(facts, sort_keys=True)})
                os.chmod(temporary, 0o644)
                os.replace(temporary, path)
            finally:
                Path(temporary).unlink(missing_ok=True)
        except OSError as error:
            log.warning("stage %s could not be kept (%s): the grid goes on without it", name, error)

    def _remember(self, digest: str, arrays: Arrays, seconds: float) -> None:
        self._memory[digest] = (arrays, seconds)
        self._memory.move_to_end(digest)
        while len(self._memory) > 1 and self._bytes() > MEMORY_BYTES:
            self._memory.popitem(last=False)

    def _bytes(self) -> int:
        return sum(array.nbytes for arrays, _ in self._memory.values() for array in arrays.values())
