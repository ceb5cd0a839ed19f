"""Writing a pack (bench.store.pack). The same content always makes the same bytes."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np

from bench.core.errors import shown
from bench.store.coding import Stored, alike, encode
from bench.store.pack import FORMAT, LOW, MANIFEST, VERSION, Arrays, Entry, is_safe

CHUNK = 64
"""At most this many cells share members: that much is read for the sake of one."""
SMALL = 1 << 15
"""Members up to this many bytes are deflated: LZMA has to prepare for much more, which takes its time."""
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # of every member: a pack's bytes do not tell when it was made
ARRAY_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")


def packable(stem: str, arrays: Arrays | None) -> str:
    """Why a cell cannot be packed; "" when it can."""
    if not is_safe(stem):
        return "its path is not one that bench writes"
    for name, array in (arrays or {}).items():
        if not ARRAY_NAME.fullmatch(name) or array.dtype.kind not in "biuf":
            return f"array {shown(name)} of {array.dtype} is not one that bench writes"
    return ""


def write_pack(file: BinaryIO, entries: Iterable[Entry]) -> None:
    """Write a pack of `entries`, which come in the order of `order`, each `packable`. Raises OSError."""
    manifest: dict[str, Any] = {"format": FORMAT, "version": VERSION, "members": {}, "chunks": []}
    with zipfile.ZipFile(file, "w") as archive:
        for number, cells in enumerate(_chunks(entries)):
            members, chunk = _encoded(cells)
            for name, data in members.items():
                full = f"{number:04d}/{name}"
                manifest["members"][full] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                archive.writestr(_member(full, len(data)), data)
            manifest["chunks"].append(chunk)
        text = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
        archive.writestr(_member(MANIFEST, len(text)), text)


def order(stem: str) -> tuple[str, ...]:
    """The order of cells in a pack: that of their folders."""
    return tuple(stem.split("/"))


def _chunks(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    for _, group in itertools.groupby(entries, key=lambda entry: entry.stem.split("/")[:3]):
        while chunk := list(itertools.islice(group, CHUNK)):
            yield chunk


def _member(name: str, size: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, LONG_AGO)
    info.compress_type = zipfile.ZIP_LZMA if size > SMALL and not name.endswith(LOW) else zipfile.ZIP_DEFLATED
    info.create_system, info.external_attr = 3, 0o644 << 16
    return info


def _encoded(cells: list[Entry]) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The members of a chunk, and what the manifest says of it."""
    stored: dict[str, list[Stored]] = {}
    where: dict[bytes, tuple[str, int]] = {}  # by content: probabilities of several steps are often equal
    listed = []
    for cell in cells:
        places: dict[str, list[str | int]] = {}
        for name, array in sorted((cell.arrays or {}).items()):
            array = np.ascontiguousarray(array).reshape(array.shape)
            content = f"{array.dtype.str}{array.shape}".encode() + array.tobytes()
            if content not in where:
                member = stored.setdefault(name, [])
                where[content] = name, len(member)
                member.append(Stored(array, alike(array, name, stored)))
            places[name] = list(where[content])
        sizes = {end: len(text) for end, text in sorted(cell.texts.items())}
        listed.append({"stem": cell.stem, "texts": sizes, "arrays": None if cell.arrays is None else places})
    members = {"records": b"".join(text for cell in cells for _, text in sorted(cell.texts.items()))}
    specs = {}
    for name, arrays in stored.items():
        data, low = encode([(each.array, each.like and stored[each.like[0]][each.like[1]].array) for each in arrays])
        members |= {f"{name}.array": data} | ({f"{name}{LOW}": low} if low else {})
        specs[name] = [[each.array.dtype.str, list(each.array.shape), each.like] for each in arrays]
    return members, {"cells": listed, "arrays": specs}
