"""How a running grid is shown: a live line for people, a line per cell, or JSON lines for programs."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text as Styled

from bench.cli.shell import plain, say, table
from bench.running.events import Finished, Message, Progress, Started, Text
from bench.store.noise_words import noise_words

if TYPE_CHECKING:
    from bench.grid.cells import Cell
    from bench.store.records import CellKey

STYLES = {"done": "green", "cached": "cyan", "running": "blue", "failed": "bold red", "skipped": "yellow"}


def finished_line(message: Finished, number: int, total: int) -> str:
    """One line of rich markup for a finished cell."""
    status = message.status
    text = f"[{STYLES.get(status, 'white')}]{status:>7}[/] {plain(message.cell)}"
    if status == "done":
        text += f"  [dim]{message.seconds:.1f} s[/]"
    if status in ("done", "cached"):
        if message.accuracy is not None and message.ece is not None:
            text += f"  accuracy [bold]{100 * message.accuracy:.1f}[/] · ECE {100 * message.ece:.1f}"
        else:
            text += "  no gold: predictions written, no scores"
        if (noise := message.noise) and (noise.rate is not None or noise.no_answer):
            text += f" · {noise_words(*noise)}"
    if status != "skipped":
        text += f"  [dim]{message.hash[:8]}[/]"
    if message.reason:
        text += f"  {plain(message.reason)}"
    if message.warning:
        text += f"  [bold yellow]warning:[/] {plain(message.warning)}"
    return f"[dim]{number:>{len(str(total))}}/{total}[/] {text}"


@dataclass
class _Running:
    """A cell that a worker has in hand."""

    label: str
    worker: int
    started: float
    phase: str = ""
    done: int = 0
    total: int = 0


class GridDisplay:
    """Shows messages; use as a context manager and give it to what runs the cells.

    On a terminal a live table stands below the finished cells: a line per running cell with its phase, then how many
    are done, running and left, the rate and the time left.
    """

    def __init__(
        self,
        console: Console,
        total: int,
        *,
        as_json: bool = False,
        quiet: bool = False,
        messages: Console | None = None,
    ) -> None:
        self.console, self.total, self.as_json, self.quiet = console, total, as_json, quiet
        self.messages = messages or Console(stderr=True)
        self.counts: dict[str, int] = {}
        self.running: dict[str, _Running] = {}
        self.started = time.monotonic()
        self.first: float | None = None  # when the first cell began: starting up is not part of the rate
        self.live: Live | None = None
        if console.is_terminal and not (as_json or quiet):
            self.live = Live(console=console, get_renderable=self._table, transient=True, refresh_per_second=4)

    def __enter__(self) -> GridDisplay:
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    @property
    def number(self) -> int:
        """Cells that have ended."""
        return sum(self.counts.values())

    def __call__(self, message: Message) -> None:
        """Take one message of what runs the cells."""
        now = time.monotonic()
        if isinstance(message, Text):
            say(message.text, to=self.console if self.live else self.messages)
        elif isinstance(message, Progress):
            if cell := self.running.get(message.hash):
                cell.phase, cell.done, cell.total = message.phase, message.done, message.total
        elif isinstance(message, Started):
            self.first = self.first or now
            self.running[message.hash] = _Running(message.cell, message.worker or 0, now)
            self._print(message)
        elif isinstance(message, Finished):
            self.running.pop(message.hash, None)
            self.counts[message.status] = self.counts.get(message.status, 0) + 1
            self._print(message)

    def _print(self, message: Started | Finished) -> None:
        if self.quiet:
            return
        if self.as_json:
            self.console.file.write(message.line + "\n")
            self.console.file.flush()
        elif isinstance(message, Finished):
            line = finished_line(message, self.number, self.total)
            self.console.print(line, highlight=False, soft_wrap=True)

    def _table(self) -> Group:
        """What runs now, and the grid in one line."""
        rows = Table.grid(padding=(0, 2))
        now = time.monotonic()
        for cell in sorted(list(self.running.values()), key=lambda cell: cell.worker):
            bar = ProgressBar(total=cell.total, completed=cell.done, width=16) if cell.total else ""
            phase = f"{cell.phase} {cell.done}/{cell.total}" if cell.total else cell.phase
            rows.add_row(f"[blue]running[/] {plain(cell.label)}", bar, plain(phase), duration(now - cell.started))
        return Group(rows, self.line())

    def line(self) -> str:
        """The grid in one line: ended cells by status, running, left, rate and time left."""
        ended = [f"[{STYLES.get(status, 'white')}]{count} {status}[/]" for status, count in list(self.counts.items())]
        left = self.total - self.number - len(self.running)
        running = "starting" if self.first is None and left else f"{len(self.running)} running"
        parts = [*ended, running, f"{left} left", duration(time.monotonic() - self.started)]
        return " · ".join(parts + self._pace())

    def _pace(self) -> list[str]:
        """Rate and time left, from the cells that were run so far."""
        trained = self.counts.get("done", 0) + self.counts.get("failed", 0)
        if not trained or self.first is None:
            return []
        pace = max(time.monotonic() - self.first, 1e-3) / trained
        return [f"{60 / pace:.1f} cells/min", f"about {duration(pace * (self.total - self.number))} left"]


def duration(seconds: float) -> str:
    """A time in one number: 42 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def status_table(statuses: Iterable[tuple[Cell, str, str]]) -> tuple[Table, list[str]]:
    """The grid as a table of statuses and the reasons below it; see `statuses_by_row`."""
    return statuses_by_row((cell.shown_key, cell.variant, status, reason) for cell, status, reason in statuses)


def statuses_by_row(statuses: Iterable[tuple[CellKey, str, str, str]]) -> tuple[Table, list[str]]:
    """(key, shown method, status, reason) as one row per task, noise, encoder and method, with seeds by status.

    Also the reasons, each once per noise source, with the method or how many there are, and the number of cells.
    """
    rows: dict[tuple[str, ...], dict[str, list[int]]] = {}
    reasons: dict[tuple[str, str, str, str], list[str]] = {}  # of status, task, noise and reason
    for key, method, status, reason in statuses:
        row = rows.setdefault((key.task, key.noise, key.encoder_selector, method), {})
        row.setdefault(status, []).append(key.seed)
        if reason:
            reasons.setdefault((status, key.task, key.noise, reason), []).append(method)
    by_seed = {
        names: " · ".join(
            f"[{STYLES.get(status, 'dim')}]{status}[/] ({', '.join(map(str, sorted(seeds)))})"
            for status, seeds in by_status.items()
        )
        for names, by_status in rows.items()
    }
    heads = ("task", "noise", "encoder", "method", "status (seeds)")
    shown = table(heads, [(*names, Styled.from_markup(text)) for names, text in by_seed.items()])
    return shown, [_reason(*why, methods) for why, methods in reasons.items()]


def _reason(status: str, task: str, noise: str, reason: str, methods: list[str]) -> str:
    different = len(set(methods))
    named = methods[0] if different == 1 else f"{different} methods"
    cells = f" ({len(methods)} cells)" if len(methods) > 1 else ""
    return f"{status}: {task} · {noise} · {named}: {reason}{cells}"
