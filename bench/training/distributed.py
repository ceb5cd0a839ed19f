"""What processes that train one cell together tell one another."""

from __future__ import annotations

import atexit
import contextlib
import functools
import math
import os
import time
import traceback
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as group
from accelerate.state import PartialState
from accelerate.utils import broadcast_object_list, gather, pad_across_processes

from bench.core.deadline import CellTimeout, shown
from bench.core.errors import BenchError

T = TypeVar("T")
PATIENCE = timedelta(days=30)


# Several processes that train one cell meet in collective operations. A process that fails never comes to the next
# one, and the others would wait for it for ever. So each collective begins with a vote, a single number: a process that
# failed takes part in one last vote to say so, wherever the others are, and all of them leave the cell together.
# A time limit is kept the same way, by the clock of the first process.
_FINE, _OUT_OF_MEMORY, _LATE, _FAILED = range(4)
_until: ContextVar[tuple[float, float]] = ContextVar("_until", default=(math.inf, math.inf))  # monotonic; the limit
BUCKET_BYTES = 1 << 25


def on_cpu() -> bool:
    """Whether networks live on the CPU: asked for, or without CUDA (Apple's GPU has no float64, which methods use)."""
    return os.environ.get("BENCH_CPU") == "1" or not torch.cuda.is_available()


@functools.cache
def process_state() -> PartialState:
    """Accelerate's shared state, which the first to ask for it shapes: without `cpu`, processes on a CPU stay alone.

    Its processes wait for each other without end: the first may be waiting for a stage that another run computes, and
    a process that died is noticed by its closed connection and by the launcher, not by a clock.
    """
    atexit.register(_leave)
    return PartialState(cpu=on_cpu(), **({"timeout": PATIENCE} if processes() > 1 else {}))


def _leave() -> None:
    """Close the group of processes in order: one that just ends makes the threads of the others abort."""
    if group.is_initialized():
        group.destroy_process_group()


def processes() -> int:
    """How many processes `accelerate launch` started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """This process's number among them, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_first_process() -> bool:
    """Whether this is the process that writes records and prints."""
    return rank() == 0


def decided_by_first_process(value: Any) -> Any:
    """`value` of the first process, in every process; itself when there is but one."""
    if processes() == 1:
        return value
    _vote(_FINE)
    box = [value]
    broadcast_object_list(box)
    return box[0]


def wait_for_all() -> None:
    """A barrier over the processes; nothing when there is but one."""
    if processes() > 1:
        _vote(_FINE)


def sum_over_processes(array: np.ndarray) -> np.ndarray:
    """Elementwise sum of float32 arrays over all processes."""
    if processes() == 1:
        return array
    return sum_tensor(torch.from_numpy(array.copy()).to(process_state().device)).cpu().numpy()


def sum_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """The sum of a tensor on this process's device over all processes, in place; itself when there is but one."""
    if processes() > 1:
        _vote(_FINE)
        group.all_reduce(tensor)
    return tensor


def gather_rows(rows: torch.Tensor) -> list[torch.Tensor]:
    """Every process's tensor [B, ...], in the order of their ranks; B may differ from process to process."""
    _vote(_FINE)
    counts = gather(torch.tensor([len(rows)], device=rows.device)).tolist()
    parts = gather(pad_across_processes(rows, dim=0)).split(max(counts))
    return [part[:count] for part, count in zip(parts, counts, strict=True)]


def share_gradients(parameters: Iterable[torch.Tensor]) -> None:
    """Sum the gradients of all processes, some tens of MiB at a time; nothing when there is but one.

    This is what DistributedDataParallel does during the backward pass. It is done after it here, when every process
    has said that its pass went well: a process that ran out of memory in the middle would leave the others waiting.
    """
    if processes() == 1:
        return
    bucket: list = []
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    for number, gradient in enumerate(gradients, 1):
        bucket.append(gradient)
        if number == len(gradients) or sum(part.nbytes for part in bucket) > BUCKET_BYTES:
            total = sum_tensor(torch.cat([part.flatten() for part in bucket]))
            for part, summed in zip(bucket, total.split([part.numel() for part in bucket]), strict=True):
                part.copy_(summed.view_as(part))
            bucket = []


class PeerFailed(BenchError):
    """Another process of this cell failed: the message says which one and why."""

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.add_note(trace)


class PeerOutOfMemory(RuntimeError):
    """Another process ran out of memory, so this one repeats the step in smaller pieces too."""

    def __init__(self) -> None:
        super().__init__("another process ran out of memory.")  # Accelerate knows the kind by these last words


@functools.cache
def _box() -> torch.Tensor:
    """The number that a vote is about; made once, as nothing may be left to make it of where memory ran out."""
    return torch.zeros(1, dtype=torch.int64, device=process_state().device)


def _vote(mine: int, failure: str = "", trace: str = "") -> None:
    """Tell the other processes how this one is; raises what the worst of their states makes necessary."""
    until, limit = _until.get()
    if mine == _FINE and is_first_process() and time.monotonic() > until:
        mine = _LATE
    box = _box().fill_(mine)
    group.all_reduce(box, op=group.ReduceOp.MAX)
    worst = int(box)
    if worst == _OUT_OF_MEMORY and mine == _FINE:
        raise PeerOutOfMemory
    if worst == _LATE:
        raise CellTimeout(f"timed out after {shown(limit)} (--timeout)")
    if worst == _FAILED:
        told: list = [None] * processes()
        group.all_gather_object(told, (failure, trace))
        failures = [(number, why, at) for number, (why, at) in enumerate(told) if why]
        message = "; ".join(f"process {number} of {processes()}: {why}" for number, why, _ in failures)
        raise PeerFailed(message, "\n".join(at for _, _, at in failures))


def out_of_memory_here() -> None:
    """Let the other processes know that this one ran out of memory and will repeat the step in smaller pieces."""
    if processes() > 1:
        _vote(_OUT_OF_MEMORY)


def together(work: Callable[[], T], seconds: float | None = None) -> T:
    """`work()` in every process: all of them finish it, or all of them raise.

    A process raises its own error where it has one, else PeerFailed with what the others ran into. After `seconds`
    all raise CellTimeout when they meet next; the process that started them has to end those that never do.
    """
    if processes() == 1:
        return work()
    token = _until.set((time.monotonic() + seconds, seconds) if seconds else (math.inf, math.inf))
    try:
        result = work()
    except PeerFailed:
        raise
    except Exception as error:
        failure = f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
        with contextlib.suppress(PeerFailed):  # that is this process itself
            _vote(_FAILED, failure, "".join(traceback.format_exception(error)))
        raise
    else:
        _vote(_FINE)
        return result
    finally:
        _until.reset(token)
