"""Packing a results folder into one file, and laying it out again. Killed at any time, nothing is lost.

Packing: what lies loose and what is packed already go into a new pack under a temporary name; it is read again and
compared; it is renamed; then the loose files that it holds are removed, each cell under its lease and only if it is
still what was packed. Undoing: all cells are written loose and read again before the pack goes.
"""

from __future__ import annotations

import contextlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.core.errors import BenchError, UsageError
from bench.core.files import signature, write_atomically
from bench.store.claims import Claims, Taker, holder
from bench.store.folder import ResultsFolder, packed
from bench.store.pack import TEXTS, Entry, Pack
from bench.store.pack_writing import order, packable, write_pack
from bench.store.prune import refuse_links
from bench.store.records import Damaged, Record, array_bytes, parse_record, read_arrays

ARRAYS = ".npz"


@dataclass
class Packed:
    """What packing, or undoing it, did."""

    path: Path
    cells: int = 0  # in the pack; of an undone one those that are loose now
    moved: int = 0  # cells that changed their form
    size: int = 0  # bytes of the pack
    freed: int = 0  # bytes of loose files that are gone
    running: int = 0  # cells left loose because they run
    twice: int = 0  # cells that further packs held in another form; the first pack counts
    left: list[Damaged] = field(default_factory=list)  # files that are not packed, and why


class _Loose(NamedTuple):
    """A cell that is files of its own, and which versions of them were read."""

    record: Path
    digest: str  # the cell's hash
    versions: dict[str, tuple | None]


def pack(results: Path, out: Path | None = None) -> Packed:
    """Pack a results folder, or write the pack to `out` and leave the folder as it is.

    Loose records count before packed ones. What is damaged, linked or being run stays as it is. Raises UsageError for
    a folder without records, a damaged pack, or while another process packs.
    """
    folder = _checked(results)
    target = out or folder.packed
    if out is not None and out.exists() and not (zipfile.is_zipfile(out) and Pack(out)):
        raise UsageError(f"--out '{out}' exists and is not a pack: name another file")
    with _held(folder, needed=out is None):
        done = Packed(target)
        packs = folder.packs()
        loose = _loose(folder, done)
        held = {stem: found for found in reversed(packs) for stem in found.stems}
        if not loose and not held:
            raise UsageError(f"nothing to pack in '{results}': there are no complete records; name a folder of results")
        others = [each for each in packs if not (target.exists() and each.path.samefile(target))]
        if loose or others:
            twice = [(held[stem], each, stem) for each in packs for stem in each.stems if held[stem] is not each]
            done.twice = sum(first.entry(stem).digest() != each.entry(stem).digest() for first, each, stem in twice)
            _write(target, sorted({*loose, *held}, key=order), loose, held)
        else:
            for stem in held:
                held[stem].entry(stem)  # damage is told even where there is nothing to do
        if out is None:
            for each in others:  # `target` holds what they hold
                each.path.unlink()
            _remove(folder, loose, done)
        done.cells, done.size = len({*loose, *held}), target.stat().st_size
        return done


def unpack(results: Path) -> Packed:
    """Lay the packed cells of a folder out as files again, and remove the pack.

    Texts are the same bytes as before, arrays the same values. A loose record stays. Raises UsageError where nothing is
    packed, for a damaged pack, and while cells run.
    """
    folder = _checked(results)
    packs = folder.packs()
    if not packs:
        raise UsageError(f"nothing is packed in '{results}': there is no {folder.packed.name}")
    claims = Claims(results)
    with _held(folder):
        if len(claims.live()) > 1:
            raise UsageError(f"cells of '{results}' are running: undo the pack when they are done")
        done = Packed(packs[0].path)
        for each in packs:
            for stem in each.stems:
                done.cells += 1
                done.moved += _lay_out(folder, each.entry(stem), claims)
        for each in packs:
            done.size += each.path.stat().st_size
            each.path.unlink()
        return done


def _checked(results: Path) -> ResultsFolder:
    if not results.is_dir():
        raise UsageError(f"results folder '{results}' does not exist: name another")
    refuse_links(results)
    folder = ResultsFolder(results)
    folder.refuse_newer()
    return folder


@contextlib.contextmanager
def _held(folder: ResultsFolder, needed: bool = True) -> Iterator[None]:
    """The lease of packing, held meanwhile. Raises UsageError while another process has it."""
    if not needed:  # nothing of the folder changes
        yield
        return
    folder.claims.mkdir(exist_ok=True)
    lease = Taker(folder.pack_lease).take()
    if lease is None:
        raise UsageError(f"'{folder.path}' is being packed {holder(folder.pack_lease) or 'by another process'}: wait")
    try:
        for stale in folder.path.glob(f".{folder.packed.name}.*.tmp"):
            stale.unlink(missing_ok=True)
        yield
    finally:
        with contextlib.suppress(OSError):
            lease.release()


def _loose(folder: ResultsFolder, done: Packed) -> dict[str, _Loose]:
    """The loose cells that can be packed; the others are told in `done`."""
    claims, found = Claims(folder.path), {}
    for path in folder.loose_records():
        versions = _versions(path)
        record = parse_record(path, path.read_bytes()) if path.is_file() else Damaged(path, "not a file")
        if isinstance(record, Damaged):
            done.left.append(record)
        elif record.key.path(folder.path) != path:
            done.left.append(Damaged(path, "its name is not that of its cell"))
        elif claims.holder(record.hash):
            done.running += 1
        elif why := _unfit(folder, path, record):
            done.left.append(Damaged(path, why))
        else:
            found[folder.stem(path)] = _Loose(path, record.hash, versions)
    return found


def _unfit(folder: ResultsFolder, path: Path, record: Record) -> str:
    """Why a cell cannot be packed as a whole; "" when it can."""
    if any(path.with_suffix(end).is_symlink() for end in (*TEXTS, ARRAYS)):
        return "it is a link"
    try:
        arrays = _arrays(path)
    except _UNREADABLE as error:
        return f"its arrays (.npz) are torn: {error}"
    if record.status == "done" and arrays is None:
        return "its arrays (.npz) are missing"
    return packable(folder.stem(path), arrays)


_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def _arrays(path: Path) -> dict[str, np.ndarray] | None:
    return read_arrays(path) if path.with_suffix(ARRAYS).exists() else None


def _versions(path: Path) -> dict[str, tuple | None]:
    return {end: signature(path.with_suffix(end)) for end in (*TEXTS, ARRAYS)}


def _entry(stem: str, loose: _Loose) -> Entry:
    """A loose cell in full. Raises BenchError when a run has changed it meanwhile."""
    try:
        texts = {end: loose.record.with_suffix(end).read_bytes() for end in TEXTS if loose.versions[end]}
        entry = Entry(stem, texts, _arrays(loose.record))
    except _UNREADABLE:
        entry = None
    if entry is None or _versions(loose.record) != loose.versions:
        raise BenchError(f"{loose.record} changed while it was packed, nothing is lost: pack again")
    return entry


def _write(target: Path, stems: list[str], loose: dict[str, _Loose], held: dict[str, Pack]) -> None:
    """Write the pack of `stems`, compare it with what went in, and put it in its place."""
    digests: dict[str, str] = {}

    def entries() -> Iterator[Entry]:
        for stem in stems:
            entry = _entry(stem, loose[stem]) if stem in loose else held[stem].entry(stem)
            digests[stem] = entry.digest()
            yield entry

    def write(path: Path) -> None:
        with path.open("wb") as file:
            write_pack(file, entries())
        made = Pack(path)
        if made.stems != stems or any(made.entry(stem).digest() != digests[stem] for stem in stems):
            raise BenchError(f"what was written to {path} is not what was packed: nothing was changed, pack again")
        made.close()

    write_atomically(target, write)
    _sync(target.parent)


def _sync(folder: Path) -> None:
    """Flush a folder's list of names to disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove(folder: ResultsFolder, loose: dict[str, _Loose], done: Packed) -> None:
    """Remove the loose files of packed cells, the record first: without it, what lies beside it means nothing."""
    claims = Claims(folder.path)
    for cell in loose.values():
        with claims.held(cell.digest) as lease:
            if lease is None or _versions(cell.record) != cell.versions:
                done.running += 1  # a newer result is coming or there: it stays, and counts
                continue
            for end in (*TEXTS, ARRAYS):
                done.freed += _unlink(cell.record.with_suffix(end))
            done.moved += 1
    beside = [path for end in (TEXTS[1], ARRAYS) for path in folder.cells.glob(f"**/*{end}")]
    for path in beside:  # of a cell whose record was removed before this was cut off
        record = path.with_name(path.name.removesuffix(TEXTS[1]).removesuffix(ARRAYS) + ".json")
        found = packed(record)
        packed_cell = found and parse_record(record, found[0].text(found[1]))
        if isinstance(packed_cell, Record):
            with claims.held(packed_cell.hash) as lease:
                if lease is not None and not record.exists():
                    done.freed += _unlink(path)
    for at, _, _ in os.walk(folder.cells, topdown=False):
        with contextlib.suppress(OSError):  # there is something in it
            os.rmdir(at)


def _unlink(path: Path) -> int:
    """Remove a file; how long it was."""
    with contextlib.suppress(FileNotFoundError):
        size = path.lstat().st_size
        path.unlink()
        return size
    return 0


def _lay_out(folder: ResultsFolder, entry: Entry, claims: Claims) -> bool:
    """Write a packed cell as files, the record last; whether there was none. Raises UsageError while it runs."""
    path = folder.path / f"{entry.stem}.json"
    if path.exists():
        return False
    record = parse_record(path, entry.texts[".json"])
    with contextlib.ExitStack() as stack:
        if isinstance(record, Record):
            if stack.enter_context(claims.held(record.hash)) is None:
                raise UsageError(f"cell {record.hash[:12]} is running: undo the pack when it is done")
            if path.exists():
                return False
        if entry.arrays is not None:
            write_atomically(path.with_suffix(ARRAYS), array_bytes(entry.arrays))
        for end in reversed(TEXTS):
            if end in entry.texts:
                write_atomically(path.with_suffix(end), entry.texts[end])
        texts = {end: path.with_suffix(end).read_bytes() for end in entry.texts}
        if Entry(entry.stem, texts, _arrays(path)).digest() != entry.digest():
            raise BenchError(f"what was written to {path} is not what was packed: the pack is kept")
    return True
