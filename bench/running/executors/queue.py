"""Which cell a free worker gets next, and how many cells fit on a GPU."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bench.grid.cells import Cell, group_of
from bench.store.records import CellKey, Record

CONTEXT_MB = 600.0  # what a process takes of a GPU before its first tensor
HEADROOM = 1.15  # the allocator's cache and fragmentation beyond the measured peak
USABLE = 0.95  # share of a GPU's free memory that is dealt out
UNKNOWN_SHARE = 0.5  # of a GPU, for a kind of cell that no record has measured yet


class Queue:
    """Cells that wait for a worker, by group.

    A worker stays with its group, whose shared stages it has in memory; then it opens a group that no worker has,
    so that no two workers want the same stage at the same moment; at the end it helps where most is left.
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        self.groups: dict[tuple, list[Cell]] = {}
        for cell in cells:
            self.add(cell)

    def __len__(self) -> int:
        return sum(len(cells) for cells in self.groups.values())

    def add(self, cell: Cell) -> None:
        """Put a cell at the end of its group."""
        self.groups.setdefault(group_of(cell), []).append(cell)

    def next(
        self, own: tuple | None, busy: set[tuple], fits: Callable[[Cell], bool] = lambda cell: True
    ) -> Cell | None:
        """The next cell for a worker whose last group was `own`, or None when nothing fits; it leaves the queue."""
        free = [group for group in self.groups if group != own and group not in busy]
        rest = [group for group in self.groups if group != own and group in busy]
        rest.sort(key=lambda group: -len(self.groups[group]))
        for group in [*([own] if own in self.groups else []), *free, *rest]:
            for position, cell in enumerate(self.groups[group]):
                if fits(cell):
                    del self.groups[group][position]
                    if not self.groups[group]:
                        del self.groups[group]
                    return cell
        return None


def kind_of(key: CellKey) -> tuple:
    """Cells of one kind need about the same memory."""
    size = key.recipe.get("batch_size"), key.recipe.get("max_length")
    return (key.task, key.method, tuple(sorted(map(str, key.config.items()))), key.encoder, key.encoder_mode, *size)


@dataclass
class Gpu:
    """One GPU: its name for CUDA_VISIBLE_DEVICES, its memory in MiB, what the running cells were dealt."""

    uuid: str
    free: float  # when none of our cells was running
    dealt: dict[str, float] = field(default_factory=dict)  # cell hash -> MiB

    def fits(self, need: float) -> bool:
        """Whether a cell fits beside those running; alone, any cell may try."""
        return not self.dealt or sum(self.dealt.values()) + need <= self.usable

    @property
    def usable(self) -> float:
        """MiB that are dealt out."""
        return USABLE * self.free


@dataclass
class Memory:
    """What cells need of a GPU, in MiB, as records of earlier cells have measured it."""

    peaks: dict[tuple, float] = field(default_factory=dict)

    def learn(self, record: Record | None) -> None:
        """Take in the peak of a finished cell; records from a CPU say nothing about a GPU."""
        if record and record.peak_memory_mb and record.device.get("type") == "cuda":
            kind = kind_of(record.key)
            self.peaks[kind] = max(self.peaks.get(kind, 0.0), record.peak_memory_mb)

    def need(self, cell: Cell, gpu: Gpu) -> float:
        """MiB for a cell on a GPU; half of what it has for a kind that was never measured."""
        peak = self.peaks.get(kind_of(cell.key))
        return UNKNOWN_SHARE * gpu.usable if peak is None else peak * HEADROOM + CONTEXT_MB


def find_gpus() -> list[Gpu]:
    """The GPUs that this process may use with their free memory, from `nvidia-smi`; empty where it has no figures."""
    query = ["nvidia-smi", "--query-gpu=index,uuid,memory.free", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    named = None if wanted is None else [name.strip() for name in wanted.split(",") if name.strip()]
    found = []
    for line in answer.splitlines():
        index, uuid, free = (part.strip() for part in line.split(","))
        if named is None or any(name == index or uuid.startswith(name) for name in named):
            if not free.isdecimal():  # memory that it shares with the CPU has no figures
                return []
            found.append(Gpu(uuid, float(free)))
    return found
