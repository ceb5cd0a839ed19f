"""How a running grid is shown: a live line for people, a line a cell, or JSON lines for programs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from bench.grid import Cell
    from bench.runner import Event
    from bench.store import CellKey

STYLES = {"done": "green", "cached": "cyan", "running": "blue", "failed": "bold red", "skipped": "yellow"}
REDRAW_SECONDS = 0.2


def event_json(event: Event) -> str | None:
    """One JSON line for an event; None for progress within a cell."""
    if event.kind == "progress":
        return None
    facts = {"event": event.kind, "status": event.status, "hash": event.cell.key.hash, "cell": event.cell.label}
    if event.reason:
        facts["reason"] = event.reason
    if event.record is not None and event.kind == "finished":
        facts["seconds"] = round(event.record.seconds.get("total", 0.0), 3)
        if event.record.scores is not None:
            last = event.record.scores.last
            facts |= {"accuracy": round(last.accuracy, 6), "ece": round(last.ece, 6)}
    return json.dumps(facts, ensure_ascii=False)


def planned_json(cell: Cell, status: str, reason: str = "") -> str:
    """One JSON line for a cell of a plan and its status on disk."""
    facts = {"event": "planned", "status": status, "hash": cell.key.hash, "cell": cell.label}
    return json.dumps(facts | ({"reason": reason} if reason else {}), ensure_ascii=False)


def finished_line(facts: dict, number: int, total: int) -> str:
    """One line of rich markup for a finished cell, from the facts of `event_json`."""
    status = facts["status"]
    text = f"[{STYLES.get(status, 'white')}]{status:>7}[/] {escape(facts['cell'])}"
    if status == "done":
        text += f"  [dim]{facts['seconds']:.1f} s[/]"
    if status in ("done", "cached"):
        if "accuracy" in facts:
            text += f"  accuracy [bold]{100 * facts['accuracy']:.1f}[/] · ECE {100 * facts['ece']:.1f}"
        else:
            text += "  no gold: predictions written, no scores"
    if status != "skipped":
        text += f"  [dim]{facts['hash'][:8]}[/]"
    if facts.get("reason"):
        text += f"  {escape(facts['reason'])}"
    return f"[dim]{number:>{len(str(total))}}/{total}[/] {text}"


class GridDisplay:
    """Shows events; use as a context manager and give `listen` to the runner."""

    def __init__(self, console: Console, total: int, *, as_json: bool = False, quiet: bool = False) -> None:
        self.console, self.total, self.as_json, self.quiet = console, total, as_json, quiet
        self.number = 0
        self.trained = 0
        self.started = time.monotonic()
        self.drawn = 0.0
        self.phase = ("", "")  # cell and phase that the inner bar shows
        self.live = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=as_json or quiet or not console.is_terminal,
        )
        self.bar = self.live.add_task("cells", total=total, left="")
        self.inner = self.live.add_task("", total=None, left="", visible=False)

    def __enter__(self) -> GridDisplay:
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def listen(self, event: Event) -> None:
        """Take one event of this process's runner."""
        if event.kind == "progress":
            now = time.monotonic()
            if self.phase != (event.cell.key.hash, event.phase):
                self.phase = (event.cell.key.hash, event.phase)
                self.live.reset(self.inner)  # its time is that of the phase
            if not self.as_json and (now - self.drawn > REDRAW_SECONDS or event.done == event.total):
                self.drawn = now
                self.live.update(
                    self.inner, description=event.phase, completed=event.done, total=event.total, visible=True
                )
            return
        line = event_json(event)
        self.facts(json.loads(line))

    def facts(self, facts: dict) -> None:
        """Take one event in the form of `event_json`, as workers send it."""
        if facts["event"] == "finished":
            self.number += 1
            self.trained += facts["status"] in ("done", "failed")
        if self.quiet:
            return
        if self.as_json:
            self.console.file.write(json.dumps(facts, ensure_ascii=False) + "\n")
            self.console.file.flush()
            return
        if facts["event"] != "finished":
            return
        self.console.print(finished_line(facts, self.number, self.total), highlight=False, soft_wrap=True)
        self.live.update(self.bar, completed=self.number, left=self._left())
        self.live.update(self.inner, visible=False)

    def _left(self) -> str:
        """Rate and time left, from the cells that were trained so far."""
        if not self.trained:
            return ""
        pace = (time.monotonic() - self.started) / self.trained
        left = pace * (self.total - self.number)
        return f"{60 / pace:.1f} cells/min · about {_duration(left)} left"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def status_table(statuses: Iterable[tuple[Cell, str, str]]) -> tuple[Table, list[str]]:
    """The grid as a table of statuses and the reasons below it; see `statuses_by_row`."""
    return statuses_by_row((cell.key, _parameters(cell), status, reason) for cell, status, reason in statuses)


def statuses_by_row(statuses: Iterable[tuple[CellKey, str, str, str]]) -> tuple[Table, list[str]]:
    """(key, shown parameters, status, reason) as one row per task, noise, encoder and method, with seeds by status.

    Also the reasons, each once, with the number of cells that it holds for.
    """
    rows: dict[tuple[str, ...], dict[str, list[int]]] = {}
    reasons: dict[str, int] = {}
    for key, parameters, status, reason in statuses:
        mode = ":frozen" if key.encoder_mode == "frozen" else ""
        name, plus, wrappers = key.method.partition("+")
        method = f"{name}{parameters}{plus}{wrappers}"  # as it is named on the command line
        row = rows.setdefault((key.task, key.noise, key.encoder + mode, method), {})
        row.setdefault(status, []).append(key.seed)
        if reason:
            line = f"{status}: {key.task} · {key.noise} · {key.method}: {reason}"
            reasons[line] = reasons.get(line, 0) + 1
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("task", "noise", "encoder", "method", "status (seeds)"):
        table.add_column(head, overflow="fold")
    for row, by_status in rows.items():
        parts = [
            f"[{STYLES.get(status, 'dim')}]{status}[/] ({', '.join(map(str, sorted(seeds)))})"
            for status, seeds in by_status.items()
        ]
        table.add_row(*map(escape, row), " · ".join(parts))
    return table, [line if count == 1 else f"{line} ({count} cells)" for line, count in reasons.items()]


def _parameters(cell: Cell) -> str:
    """The parameters of the cell's method that differ from its defaults, in the selector language."""
    import dataclasses

    defaults = dataclasses.asdict(type(cell.method.config)())
    values = dataclasses.asdict(cell.method.config)
    changed = {name: value for name, value in values.items() if value != defaults[name]}
    return "[" + ",".join(f"{name}={value}" for name, value in changed.items()) + "]" if changed else ""
