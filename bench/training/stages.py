"""What methods share is computed once: a content-addressed store of arrays.

The key of an entry holds *every* input (data, encoder revision, recipe, seed, code version of the stage). An
entry is a safetensors file, written to a unique temporary name and renamed; a damaged one is a warning and a
recomputation. Reuse never changes a number: what `get` returns after computing is what it returns after reading.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from bench.core.arrays import read_only
from bench.core.files import signature, slug, write_atomically
from bench.core.hashes import hash_json
from bench.store.claims import Taker
from bench.store.folder import stage_path
from bench.store.parts import StageUse
from bench.training import distributed
from bench.training.device import processor_seconds

log = logging.getLogger("bench.stages")

Arrays = dict[str, np.ndarray]
MEMORY_BYTES = 1 << 29
"""How much of what was read or computed last is also kept in memory."""
MAPPED_BYTES = 1 << 26
"""A file of this size or more is mapped into memory instead of read: its pages are shared and can be dropped."""


def stage_hash(name: str, key: Mapping[str, Any]) -> str:
    """64 hex digits over the stage's name and the canonical JSON of its key."""
    return hash_json([name, key])


def _checksum(arrays: Arrays) -> int:
    """CRC-32 over the bytes of all arrays, in the order of their names."""
    total = 0
    for _, array in sorted(arrays.items()):
        total = zlib.crc32(np.ascontiguousarray(array).data, total)
    return total


def lock_path(entry: Path) -> Path:
    """Where the lease lies that is held while an entry is computed."""
    return entry.with_suffix(".lease")


def version_of(entry: Path) -> Any:
    """The version of the stage's code that computed an entry, as its key names it; None where it cannot be read."""
    try:
        with safe_open(entry, framework="numpy") as file:
            return json.loads(file.metadata()["bench"])["key"].get("version")
    except (OSError, SafetensorError, TypeError, KeyError, ValueError):
        return None


def _read_only(arrays: Arrays) -> Arrays:
    """The arrays, locked: they are shared by all callers, so they must not be changed in place."""
    return {part: read_only(array) for part, array in arrays.items()}


class _Cost(NamedTuple):
    """Seconds of wall time and of processor time; NaN: an entry of an older version, which did not count them."""

    wall: float
    processor: float = math.nan

    @classmethod
    def now(cls) -> _Cost:
        """The clocks."""
        return cls(time.perf_counter(), processor_seconds())

    def less(self, *others: _Cost) -> _Cost:
        """What is left of it without the others, never below zero."""
        return _Cost(*(max(mine - sum(parts), 0.0) for mine, *parts in zip(self, *others, strict=True)))

    def use(self, name: str, digest: str, reused: bool) -> StageUse:
        """A record's line on a stage of this cost."""
        known = None if math.isnan(self.processor) else self.processor
        return StageUse(name=name, hash=digest, reused=reused, seconds=self.wall, processor=known)


class _Entry(NamedTuple):
    """What is kept of one stage."""

    arrays: Arrays
    cost: _Cost  # what computing it took, without the stages inside it
    parts: dict[str, tuple[str, _Cost]]  # the stages inside it: hash -> (name, what it took on its own)


@dataclass
class _Frame:
    """A stage that is being computed."""

    parts: dict[str, tuple[str, _Cost]] = field(default_factory=dict)
    inside: list[_Cost] = field(default_factory=list)  # of each stage within it, reading included


@dataclass
class StageStore:
    """The store of one results folder, with the list of stages that the present cell used.

    Each use carries the stage's own cost, without that of the stages inside it, and reusing a stage counts as using
    those inside it: so the sum over distinct uses is what a cell would cost alone, with nothing counted twice.
    """

    folder: Path | None  # None: nothing is kept, everything is computed
    uses: list[StageUse] = field(default_factory=list)
    _memory: OrderedDict[str, _Entry] = field(default_factory=OrderedDict)
    _frames: list[_Frame] = field(default_factory=list)

    def begin(self) -> list[StageUse]:
        """Start a new cell: returns the fresh list that fills with the stages it uses."""
        self.uses = []
        return self.uses

    def get(self, name: str, key: Mapping[str, Any], compute: Callable[[], Arrays]) -> Arrays:
        """The arrays of a stage, read from the store, or computed and kept; read-only, as others are handed them too.

        `key` holds every input that they depend on and the version of the stage's code, as values that JSON can hold.
        Under several processes all of them call this together: the first one decides whether to read, because
        `compute` may be collective.
        """
        started = _Cost.now()
        digest = stage_hash(name, key)
        if self.folder is None:
            entry, reused = self._compute(compute), False
        else:
            entry, reused = self._shared(name, digest, key, compute)
        for part, (inner, cost) in entry.parts.items():
            self._use(cost.use(inner, part, reused=True), cost)
        self._use(entry.cost.use(name, digest, reused), entry.cost)
        if self._frames:
            self._frames[-1].inside.append(_Cost.now().less(started))
        return entry.arrays

    def _shared(
        self, name: str, digest: str, key: Mapping[str, Any], compute: Callable[[], Arrays]
    ) -> tuple[_Entry, bool]:
        """The entry and whether it was found; computed by one process (group) at a time."""
        path = self.path(name, digest)
        seen = signature(path)
        entry = self._find(path, digest)
        found = distributed.decided_by_first_process(entry is not None)
        if not found:
            with self._lock(path):
                if signature(path) != seen:  # another process has computed it meanwhile
                    entry = self._find(path, digest)
                found = distributed.decided_by_first_process(entry is not None)
                if not found:
                    entry = self._compute(compute)
                    if distributed.is_first_process():
                        self._write(path, name, key, entry)
                    distributed.wait_for_all()
        entry = entry or self._wait_for(path)
        self._remember(digest, entry)
        return entry, found

    def path(self, name: str, digest: str) -> Path:
        """Where an entry lies."""
        assert self.folder is not None  # without one nothing is stored
        return stage_path(self.folder, slug(name), digest)

    def _compute(self, compute: Callable[[], Arrays]) -> _Entry:
        frame = _Frame()
        self._frames.append(frame)
        started = _Cost.now()
        try:
            arrays = {part: np.ascontiguousarray(array) for part, array in compute().items()}
        finally:
            self._frames.pop()
        return _Entry(_read_only(arrays), _Cost.now().less(started, *frame.inside), frame.parts)

    def _use(self, use: StageUse, cost: _Cost) -> None:
        if self._frames:
            self._frames[-1].parts[use.hash] = (use.name, cost)
        if all(known.hash != use.hash for known in self.uses):
            self.uses.append(use)

    @contextlib.contextmanager
    def _lock(self, path: Path) -> Iterator[None]:
        """Held while an entry is computed, so that others wait for it instead of computing it too."""
        with contextlib.ExitStack() as held:
            if distributed.is_first_process():
                with contextlib.suppress(OSError):  # a folder that cannot be written to: reading still helps
                    path.parent.mkdir(parents=True, exist_ok=True)
                    held.callback(Taker(lock_path(path)).wait().release)
            yield

    def _find(self, path: Path, digest: str) -> _Entry | None:
        """The entry in memory or on disk. Its file's time of change says when it was used last."""
        entry = self._memory.get(digest) or self._read(path)
        if entry is not None:
            with contextlib.suppress(OSError):
                os.utime(path)
        return entry

    def _read(self, path: Path) -> _Entry | None:
        if not path.exists():
            return None
        try:
            mapped = path.stat().st_size >= MAPPED_BYTES  # only torch's reader maps a file into memory
            with safe_open(path, framework="pt" if mapped else "numpy") as file:
                facts = json.loads(file.metadata()["bench"])
                arrays = {part: np.asarray(file.get_tensor(part)) for part in file.keys()}  # noqa: SIM118
            parts = {part: (inner, _Cost(*map(float, found))) for part, (inner, *found) in facts["parts"].items()}
            if facts.get("crc32") not in (None, _checksum(arrays)):  # None: written before there was one
                raise ValueError("its bytes do not match its checksum")
            entry = _Entry(
                _read_only(arrays), _Cost(float(facts["seconds"]), float(facts.get("processor", math.nan))), parts
            )
        except Exception as error:
            log.warning("stage %s is damaged (%s): computing it again", path.name, error)
            return None
        return entry

    def _wait_for(self, path: Path) -> _Entry:
        for _ in range(600):
            found = self._read(path)
            if found is not None:
                return found
            time.sleep(0.1)
        raise TimeoutError(f"stage {path} was found by the first process but cannot be read by this one")

    def _write(self, path: Path, name: str, key: Mapping[str, Any], entry: _Entry) -> None:
        parts = {part: (inner, *cost) for part, (inner, cost) in entry.parts.items()}
        facts = {
            "name": name,
            "key": key,
            "seconds": entry.cost.wall,
            "processor": entry.cost.processor,
            "parts": parts,
        }
        facts["crc32"] = _checksum(entry.arrays)
        metadata = {"bench": json.dumps(facts, sort_keys=True)}
        try:
            write_atomically(path, lambda temporary: save_file(entry.arrays, temporary, metadata=metadata))
        except (OSError, SafetensorError) as error:
            log.warning("stage %s could not be kept (%s): the grid goes on without it", name, error)

    def _remember(self, digest: str, entry: _Entry) -> None:
        self._memory[digest] = entry
        self._memory.move_to_end(digest)
        held = sum(array.nbytes for kept in self._memory.values() for array in kept.arrays.values())
        while len(self._memory) > 1 and held > MEMORY_BYTES:
            _, oldest = self._memory.popitem(last=False)
            held -= sum(array.nbytes for array in oldest.arrays.values())
