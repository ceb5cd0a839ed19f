"""The worker's side of local workers: cells by order on standard input, events as JSON lines on standard output."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import sys
import threading
import time
from queue import SimpleQueue
from typing import TextIO

from bench.core.errors import ToldToEnd
from bench.grid.cells import Plan
from bench.running.events import Event, Message, Reply
from bench.running.runner import Session, run_one
from bench.training import distributed

PROGRESS_SECONDS = 0.5


def serve(plan: Plan, orders: TextIO, events: TextIO) -> None:
    """Run the cells that are ordered, one JSON line each, until {"stop": true}.

    When the other side vanishes without that word, the cell in hand is given up at once: the process that
    started this grid was killed, and nothing waits for the result.
    """
    faulthandler.enable()  # a crash in native code leaves a trace in the log of errors
    signal.signal(signal.SIGTERM, leave)
    queue: SimpleQueue = SimpleQueue()
    if distributed.is_first_process():  # of those that train a cell together; it tells the others
        threading.Thread(target=_read, args=(orders, queue), daemon=True).start()
    out = _Events(events)
    session = Session(plan.options, out.listen, {})
    cells = {cell.key.hash: cell for cell in plan.cells}
    out.send(Reply(event="ready"))
    while (order := distributed.decided_by_first_process(distributed.is_first_process() and queue.get())) is not None:
        cell = cells.get(order["hash"])
        if cell is None:
            out.send(Reply(event="unknown", hash=order["hash"]))
            continue
        session.force = order["force"]
        session.before = {order["hash"]: tuple(order["before"])} if order["before"] else {}
        if run_one(cell, session) is None:
            out.send(Reply(event="held", hash=order["hash"]))
    distributed.wait_for_all()


def own_streams() -> tuple[TextIO, TextIO]:
    """Standard input, and standard output for events alone: what other code prints goes to standard error instead."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return sys.stdin, events


def leave(*_: object) -> None:
    """The handler of SIGTERM in a worker: what the cell in hand has so far is not a result of its method."""
    raise ToldToEnd(143)


def _read(orders: TextIO, queue: SimpleQueue) -> None:
    with contextlib.suppress(OSError, ValueError):
        for line in orders:
            order = json.loads(line)
            if order.get("stop"):
                queue.put(None)
                return
            queue.put(order)
    os.kill(os.getpid(), signal.SIGTERM)


class _Events:
    """The events of this worker as JSON lines; progress at most twice a second."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.last = 0.0

    def send(self, message: Message) -> None:
        """One line. Where nothing reads it any more, this process leaves."""
        if not distributed.is_first_process():
            return
        try:
            self.file.write(message.line + "\n")
            self.file.flush()
        except BrokenPipeError:
            raise ToldToEnd(143) from None

    def listen(self, event: Event) -> None:
        """Take one event of the runner."""
        if event.kind == "progress":
            now = time.monotonic()
            if now - self.last < PROGRESS_SECONDS:
                return
            self.last = now
        self.send(event.message)
