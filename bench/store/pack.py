"""A pack: the records and arrays of many cells in one zip file, checksummed, read a piece at a time, never unpickled.

Cells of one task and noise source share members: their records one after the other, and one member for each name of
array, in which equal arrays are held once (bench.store.coding: nothing is rounded). `bench.store.pack_writing` makes
one.
"""

from __future__ import annotations

import functools
import hashlib
import json
import lzma
import os
import re
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from bench.core.errors import UsageError, shown
from bench.core.files import signature_of
from bench.core.hashes import hash_arrays, hash_json
from bench.store.coding import Spec, decode

FORMAT, VERSION = "noisy-label-bench pack", 1
MANIFEST = "manifest.json"
MEMORY_BYTES = 1 << 28
"""How much of what was read last stays in memory."""
LOW = ".low"  # ending of members that hardly compress: deflating them is as good, and much faster
SAFE_NAME = re.compile(r"(?!\.)[A-Za-z0-9@._+=-]{1,120}")  # as bench names files: no separator, no leading dot
TEXTS = (".json", ".traceback.txt")

Arrays = dict[str, np.ndarray]


class Entry(NamedTuple):
    """What a pack holds of one cell."""

    stem: str  # path of the record below the results folder, without .json: "cells/trec/weak/npc/minilm/seed-1-…"
    texts: dict[str, bytes]  # by ending, see TEXTS
    arrays: Arrays | None

    def digest(self) -> str:
        """SHA-256 over the exact bytes of everything."""
        texts = [(end, hashlib.sha256(text).hexdigest()) for end, text in sorted(self.texts.items())]
        return hash_json([texts, hash_arrays(**(self.arrays or {}))])


def is_safe(stem: str) -> bool:
    """Whether a path leads to where records lie, and nowhere else."""
    parts = stem.split("/")
    return len(parts) == 6 and parts[0] == "cells" and all(SAFE_NAME.fullmatch(part) for part in parts[1:])


def _specs(member: str, listed: list) -> list[Spec]:
    """Raises ValueError where an array is stored as the difference from one that does not come before it."""
    found = []
    for number, (kind, shape, like) in enumerate(listed):
        if like is not None:
            if not (like[0], 0) <= (like[0], int(like[1])) < (member, number):
                raise ValueError(f"array {number} of {member} is stored as the difference from {like[1]} of {like[0]}")
            like = None if like[0] == member else like[0], int(like[1])
        found.append(Spec(_dtype(kind), tuple(map(int, shape)), like))
    return found


@dataclass(frozen=True)
class _Place:
    """Where a cell's parts are."""

    chunk: int
    texts: dict[str, tuple[int, int]]  # ending -> where it begins and ends within the chunk's records
    arrays: dict[str, tuple[str, int]] | None  # name -> member, number within it


class Pack:
    """A pack, open for reading. Whatever is wrong with its bytes is a UsageError that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._cache: OrderedDict[str, Any] = OrderedDict()
        self._sizes: dict[str, int] = {}
        try:
            self._zip = zipfile.ZipFile(path)
            names = self._zip.namelist()
            manifest = json.loads(self._zip.read(MANIFEST))
            self._check(manifest, names)
            self._places = dict(self._listed(manifest["chunks"]))
        except _BAD as error:
            raise self.damaged(f"{type(error).__name__}: {error}") from None
        if sum(len(chunk["cells"]) for chunk in manifest["chunks"]) != len(self._places):
            raise self.damaged("it holds a cell twice")

    def damaged(self, why: str) -> UsageError:
        """The error that says so, and what to do."""
        return UsageError(
            f"the packed results '{self.path}' are damaged ({shown(why)[1:-1]}): restore the file from a copy, or move "
            "it away to continue without its cells"
        )

    def _check(self, manifest: dict, names: list[str]) -> None:
        if manifest["format"] != FORMAT:
            raise ValueError("it is not a pack of results")
        if manifest["version"] > VERSION:
            raise UsageError(f"'{self.path}' was packed by a newer version of bench: upgrade bench to read it")
        self._members: dict[str, dict] = manifest["members"]
        self._specs = [
            {name: _specs(name, listed) for name, listed in chunk["arrays"].items()} for chunk in manifest["chunks"]
        ]
        if sorted(names) != sorted([*self._members, MANIFEST]):
            raise ValueError("its members are not those of its manifest")
        for name in names:
            if PurePosixPath(name).is_absolute() or ".." in name or "\\" in name:
                raise ValueError(f"a member is named {name}")

    def _listed(self, chunks: list[dict]) -> Iterator[tuple[str, _Place]]:
        for number, chunk in enumerate(chunks):
            at = 0
            for cell in chunk["cells"]:
                texts = {}
                for end, length in sorted(cell["texts"].items()):
                    if end not in TEXTS or length < 0:
                        raise ValueError(f"it holds a file that ends with {end}")
                    texts[end] = at, at + length
                    at += length
                if not is_safe(cell["stem"]) or ".json" not in texts:
                    raise ValueError(f"a cell is named {cell['stem']}")
                places = cell["arrays"] and {name: (member, int(i)) for name, (member, i) in cell["arrays"].items()}
                yield cell["stem"], _Place(number, texts, places)

    @property
    def stems(self) -> list[str]:
        """Paths of the records in it, below the results folder and without .json."""
        return list(self._places)

    def __contains__(self, stem: str) -> bool:
        return stem in self._places

    def size(self, stem: str) -> int:
        """Bytes of a record. Raises KeyError."""
        start, end = self._places[stem].texts[".json"]
        return end - start

    def text(self, stem: str, end: str = ".json") -> bytes:
        """The bytes of the file of a cell that ends with `end`. Raises KeyError where it is missing, UsageError."""
        place = self._places[stem]
        start, stop = place.texts[end]
        found = self._read(f"{place.chunk:04d}/records", bytes)[start:stop]
        if len(found) != stop - start:
            raise self.damaged("its records are cut off")
        return found

    def names(self, stem: str) -> list[str] | None:
        """Names of a cell's arrays; None where it has no arrays. Raises KeyError."""
        places = self._places[stem].arrays
        return None if places is None else list(places)

    def arrays(self, stem: str, *names: str) -> Arrays | None:
        """Those of a cell's arrays that are among `names`, or all; None where it has none. Raises KeyError."""
        place = self._places[stem]
        if place.arrays is None:
            return None
        wanted = names or place.arrays
        return {name: self._array(place.chunk, *where) for name, where in place.arrays.items() if name in wanted}

    def entry(self, stem: str) -> Entry:
        """Everything of a cell. Raises KeyError, UsageError."""
        return Entry(stem, {end: self.text(stem, end) for end in self._places[stem].texts}, self.arrays(stem))

    def verify(self) -> None:
        """Read every record against its checksum. Raises UsageError."""
        for number in range(len(self._specs)):
            self._read(f"{number:04d}/records", bytes)

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def _array(self, chunk: int, member: str, number: int) -> np.ndarray:
        arrays = self._member(chunk, member)
        if not 0 <= number < len(arrays):
            raise self.damaged(f"there is no array {number} in {member}")
        return arrays[number]

    def _member(self, chunk: int, member: str) -> list[np.ndarray]:
        specs = self._specs[chunk].get(member, [])

        def arrays(data: bytes) -> list[np.ndarray]:
            low = f"{chunk:04d}/{member}{LOW}"
            low_bytes = self._checked(low) if low in self._members else b""
            return decode(data, low_bytes, specs, lambda name: self._member(chunk, name))

        return self._read(f"{chunk:04d}/{member}.array", arrays)

    def _checked(self, name: str) -> bytes:
        """The bytes of a member. Raises ValueError where they are not those of the manifest, and much else."""
        facts = self._members[name]
        if self._zip.getinfo(name).file_size != facts["bytes"]:
            raise ValueError(f"{name} is not as long as it should be")
        data = self._zip.read(name)
        if hashlib.sha256(data).hexdigest() != facts["sha256"]:
            raise ValueError(f"the checksum of {name} is wrong")
        return data

    def _read(self, name: str, decode: Callable[[bytes], Any]) -> Any:
        """A member, decoded; what was read last is kept."""
        if name in self._cache:
            self._cache.move_to_end(name)
            return self._cache[name]
        try:
            found = decode(data := self._checked(name))
        except _BAD as error:
            raise self.damaged(f"{type(error).__name__}: {error}") from None
        self._cache[name], self._sizes[name] = found, len(data)
        while sum(self._sizes[each] for each in self._cache) > MEMORY_BYTES and len(self._cache) > 1:
            self._cache.popitem(last=False)
        return found


_BAD = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, RecursionError, NotImplementedError,
    OverflowError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError,
)  # fmt: skip
"""Everything that a damaged or forged file makes its readers raise."""


def _dtype(kind: str) -> np.dtype:
    if not re.fullmatch(r"[<>|][biuf][1248]", kind):
        raise ValueError(f"it holds an array of {kind}")
    return np.dtype(kind)


def open_pack(path: Path) -> Pack | None:
    """The pack at `path`; None for a missing file. Raises UsageError for a damaged one, OSError for one out of reach.

    It stays open for the next call until the file is replaced.
    """
    try:
        version = signature_of(path.stat())
    except (FileNotFoundError, NotADirectoryError):  # any other error does not say that it is missing
        return None
    return _opened(path, path.absolute(), version, os.getpid())


@functools.lru_cache(maxsize=4)
def _opened(path: Path, absolute: Path, version: tuple, process: int) -> Pack:
    """A pack, which errors name as `path`. `process`: a forked one must not share the place in the open file."""
    return Pack(path)
