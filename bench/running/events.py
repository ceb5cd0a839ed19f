"""What a running grid tells: events within this process, messages to the terminal and between processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from bench.store.parts import TrainedNoise

if TYPE_CHECKING:
    from bench.grid.cells import Cell
    from bench.store.records import Record

CellStatus = Literal["done", "cached", "running", "failed", "skipped", "not run"]


class Ended(NamedTuple):
    """How a cell ended: what it is counted as, its record where one could be kept, and why."""

    status: CellStatus
    record: Record | None = None
    reason: str = ""


@dataclass(frozen=True)
class Event:
    """Something that happened to a cell that this process runs."""

    kind: Literal["started", "progress", "metrics", "finished"]
    cell: Cell
    status: CellStatus
    reason: str = ""
    record: Record | None = None
    phase: str = ""
    done: int = 0  # steps of the phase
    total: int = 0
    values: Mapping[str, float] = field(default_factory=dict)  # what trackers are told of a step

    @classmethod
    def ended(cls, cell: Cell, how: Ended) -> Event:
        """The last event of a cell."""
        return cls("finished", cell, how.status, how.reason, how.record)

    @property
    def message(self) -> Message:
        """The event without its objects, as other processes and the terminal get it."""
        key = self.cell.key.hash
        if self.kind == "progress":
            return Progress(hash=key, phase=self.phase, done=self.done, total=self.total)
        if self.kind == "started":
            return Started(hash=key, cell=self.cell.label)
        told: dict[str, Any] = {}
        if self.record is not None:
            told["seconds"] = round(self.record.seconds.get("total", 0.0), 3)
            if self.record.scores is not None:
                told |= {name: round(getattr(self.record.scores.last, name), 6) for name in ("accuracy", "ece")}
            if noise := self.record.trained_noise:
                told["noise"] = noise._replace(rate=noise.rate and round(noise.rate, 6))
            said = [str(own)] if (own := self.record.diagnostics.get("warning")) else []
            if self.record.opened_files:
                files = ", ".join(self.record.opened_files)
                said.append(f"the method opened data files of the task by itself, so it does not compete: {files}")
            if said:
                told["warning"] = "; ".join(said)
        return Finished(status=self.status, hash=key, cell=self.cell.label, reason=self.reason or None, **told)


Listener = Callable[[Event], None]


class _Message(BaseModel, extra="ignore"):
    """One line between processes; what is None is left out."""

    @property
    def line(self) -> str:
        """JSON without a line break."""
        return self.model_dump_json(exclude_none=True)


class Planned(_Message):
    """A cell of a plan and its status on disk."""

    event: Literal["planned"] = "planned"
    status: str
    hash: str
    cell: str
    reason: str | None = None


class Started(_Message):
    """A cell began."""

    event: Literal["started"] = "started"
    status: Literal["running"] = "running"
    hash: str
    cell: str
    worker: int | None = None


class Finished(_Message):
    """A cell ended: done, cached, failed or skipped."""

    event: Literal["finished"] = "finished"
    status: CellStatus
    hash: str
    cell: str
    reason: str | None = None
    seconds: float | None = None
    accuracy: float | None = None
    ece: float | None = None
    noise: TrainedNoise | None = None
    warning: str | None = None
    worker: int | None = None


class Progress(_Message):
    """How far a running cell is."""

    event: Literal["progress"] = "progress"
    hash: str
    phase: str
    done: int
    total: int
    worker: int | None = None


class Text(_Message):
    """A line for people."""

    event: Literal["message"] = "message"
    text: str


class Reply(_Message):
    """A worker waits for orders; or the cell that it was given is held by another run, or unknown to its plan."""

    event: Literal["ready", "held", "unknown"]
    hash: str = ""


Message = Started | Finished | Progress | Text | Reply
Tell = Callable[[Message], None]
"""Takes what is said of a running grid."""

_MESSAGE = TypeAdapter(Annotated[Message, Field(discriminator="event")])


def parse_message(line: str | bytes) -> Message | None:
    """The message of one JSON line; None for a line that is not one (a library printed it, or it is torn)."""
    try:
        return _MESSAGE.validate_json(line)
    except ValidationError:
        return None


@dataclass
class Summary:
    """How many cells ended how."""

    counts: dict[str, int] = field(default_factory=dict)
    stopped: bool = False  # on request, before every cell had its turn

    def add(self, status: str) -> None:
        """Count one more cell."""
        self.counts[status] = self.counts.get(status, 0) + 1

    @property
    def failed(self) -> int:
        """Cells that failed."""
        return self.counts.get("failed", 0)
