"""A results folder: the one place that knows what lies where in it, loose or packed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from bench.core.errors import UsageError
from bench.core.files import ZIP_START
from bench.store.pack import Pack, open_pack

SCHEMA = 1
"""Version of the record format; a folder with a higher one is refused, not guessed at."""
CELL_DIGITS, LEASE_DIGITS, STAGE_DIGITS = 12, 24, 32
"""How many hex digits of a hash name a record, a lease and a stage."""


class ResultsFolder:
    """The layout of a results folder. A record that lies there loose hides one of the same cell in a pack.

    `path` may also be a pack alone, to be read.
    """

    PARTS = ("cells", "stages", "claims", "slurm", "tracking", "report", "packed.zip")
    """What bench writes to within a results folder, beside `format.json`."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.cells = self.path / "cells"  # the records, and what lies beside them
        self.stages = self.path / "stages"  # what cells share
        self.claims = self.path / "claims"  # the leases of cells that run
        self.pack_lease = self.claims / "pack.lease"  # held while the folder is packed
        self.slurm = self.path / "slurm"  # jobs and their logs, a folder per submission
        self.tracking = self.path / "tracking"  # what trackers of curves write
        self.marker = self.path / "format.json"  # tells the version of the records' format
        self.packed = self.path / "packed.zip"  # what `bench pack` writes

    @property
    def report(self) -> Path:
        """Where reports go by default: beside a pack that stands alone."""
        return (self.path.parent if self.path.is_file() else self.path) / "report"

    @classmethod
    def of(cls, record: Path) -> ResultsFolder | None:
        """The folder that a record's path leads through; None for a path of another form."""
        above = record.parents
        return cls(above[5]) if len(above) > 5 and above[4].name == "cells" else None

    def record_path(self, *parts: str, seed: int, digest: str) -> Path:
        """Where the record of a cell lies: below a folder each for task, noise, method and encoder."""
        return self.cells.joinpath(*parts, f"seed-{seed}-{digest[:CELL_DIGITS]}.json")

    def lease_path(self, digest: str) -> Path:
        """Where the lease of a cell lies, by the cell's hash."""
        return self.claims / f"{digest[:LEASE_DIGITS]}.lease"

    def stage_path(self, name: str, digest: str) -> Path:
        """Where a stage lies, by its hash."""
        return stage_path(self.stages, name, digest)

    def pack_paths(self) -> list[Path]:
        """Where packs may lie: the folder's, `packed.zip` first, or the path itself. Raises OSError."""
        if not self.path.is_dir():  # a pack alone, or nothing
            return [self.path]
        names = [name for name in os.listdir(self.path) if name.startswith("packed") and name.endswith(".zip")]
        return [self.path / name for name in sorted(names, key=lambda name: (name != self.packed.name, name))]

    def packs(self) -> list[Pack]:
        """The packs in it, `packed.zip` first; in case of doubt the first counts. Raises UsageError."""
        if self.path.is_file():
            with self.path.open("rb") as file:
                start = file.read(len(ZIP_START))
            if start != ZIP_START:
                raise UsageError(
                    f"'{self.path}' is neither a results folder nor a packed one: name the folder that `bench run` "
                    "wrote (results, unless --results named another), or the packed.zip that `bench pack` made of it"
                )
        return [found for path in self.pack_paths() if (found := open_pack(path))]

    def refuse_newer(self) -> None:
        """Raise UsageError where a newer version of bench wrote this folder. A damaged marker tells nothing."""
        try:
            schema = json.loads(self.marker.read_bytes())["schema"]
        except (OSError, ValueError, KeyError, TypeError):
            return
        if isinstance(schema, int) and schema > SCHEMA:
            raise UsageError(
                f"results folder '{self.path}' has schema {schema}, this version of bench knows {SCHEMA}: upgrade "
                "bench, or name another folder with --results"
            )

    def stem(self, record: Path) -> str:
        """The name of a record in a pack."""
        return "/".join(record.parts[len(self.path.parts) :]).removesuffix(".json")

    def loose_records(self) -> list[Path]:
        """Paths of the records that are files of their own, in order. Raises UsageError for an unreadable folder."""

        def refuse(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError | NotADirectoryError):  # packing makes folders go
                raise UsageError(f"'{error.filename}' cannot be read ({error.strerror}): its records would be left out")

        walk = os.walk(self.cells, onerror=refuse)
        return sorted(Path(at, name) for at, _, names in walk for name in names if name.endswith(".json"))

    def record_paths(self) -> list[Path]:
        """Paths of all records, loose or packed, in order. Raises UsageError."""
        return [path for path, _ in self._records()]

    def record_files(self) -> Iterator[tuple[Path, bytes | OSError]]:
        """Path and exact bytes of every record in order, or why they cannot be read. Raises UsageError."""
        for path, pack in self._records():
            try:
                yield path, record_bytes(path) if pack is None else pack.text(self.stem(path))
            except OSError as error:
                yield path, error

    def _records(self) -> list[tuple[Path, Pack | None]]:
        """Paths of all records in order, each with the pack that it is in; None for a loose one."""
        self.refuse_newer()
        before = self.packs()  # and once more after: a cell may be packed, or unpacked, just now
        loose = self.loose_records()
        packs = dict.fromkeys([*self.packs(), *before])
        found = {self.path / f"{stem}.json": pack for pack in reversed(packs) for stem in pack.stems}
        return sorted((found | dict.fromkeys(loose)).items(), key=lambda item: item[0])


def stage_path(stages: Path, name: str, digest: str) -> Path:
    """Where a stage lies below the folder of all stages."""
    return stages / name / f"{digest[:STAGE_DIGITS]}.safetensors"


def packed(record: Path) -> tuple[Pack, str] | None:
    """The pack that holds a record which does not lie loose, and its name there. Raises UsageError for a damaged pack.

    A loose record wins. When a pack is being undone, records become loose before it goes.
    """
    folder = ResultsFolder.of(record)
    if folder is None or record.exists():
        return None
    name = folder.stem(record)
    return next(((pack, name) for pack in folder.packs() if name in pack), None)


def record_bytes(record: Path) -> bytes:
    """The exact bytes of a record, loose or packed. Raises OSError where it is missing, UsageError for a bad pack."""
    try:
        return record.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        found = packed(record)
        return found[0].text(found[1]) if found else record.read_bytes()
