"""The device, its precision and the processes of a run: chosen once, with the reason for each choice."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import platform
from typing import Any, NamedTuple

import numpy as np

from bench.errors import UsageError


class Precision(NamedTuple):
    """A mixed-precision mode in Accelerate's words and why it was chosen."""

    mode: str  # "no" | "bf16" | "fp16"
    reason: str


def choose_precision(asked: str = "auto") -> Precision:
    """The precision of training: what was asked for where the device can do it, else the best it has."""
    import torch

    cuda = torch.cuda.is_available() and os.environ.get("BENCH_CPU") != "1"
    if asked == "auto":
        if cuda and torch.cuda.is_bf16_supported():
            return Precision("bf16", f"{torch.cuda.get_device_name()} supports bf16")
        if cuda:
            return Precision("fp16", f"{torch.cuda.get_device_name()} has no bf16")
        return Precision("no", "CPU: float32, so that equal runs give equal bits")
    if asked not in ("no", "bf16", "fp16"):
        raise UsageError(f"precision '{asked}': allowed are auto, no, bf16, fp16")
    if asked == "fp16" and not cuda:
        raise UsageError("precision 'fp16' needs a CUDA device: use auto, no or bf16")
    return Precision(asked, "asked for")


def reason_for(mode: str) -> Precision:
    """A precision in use with its reason: the device's own choice, or asked for."""
    own = choose_precision()
    return own if own.mode == mode else Precision(mode, "asked for")


@functools.lru_cache(maxsize=1)
def accelerator(precision: str = "no"):
    """This process's one Accelerator. `BENCH_CPU=1` keeps it off an accelerator device.

    Asked for another precision, it is replaced: a notebook may run several grids in one process.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()
    if processes() > 1:
        _state()
    return Accelerator(mixed_precision=precision, cpu=_on_cpu())


def release(accelerator) -> None:
    """Let go of the networks that an Accelerator was given; on a GPU, also give its memory back.

    On one CPU process reference counts do the rest: `free_memory` would collect garbage, 0.2 s and more a fit.
    """
    if accelerator.device.type == "cpu" and processes() == 1:
        accelerator._models.clear()
        accelerator._optimizers.clear()
    else:
        accelerator.free_memory()


def _on_cpu() -> bool:
    """Whether training stays off an accelerator: asked for, or several processes without a CUDA device to share."""
    import torch

    return os.environ.get("BENCH_CPU") == "1" or (processes() > 1 and not torch.cuda.is_available())


def _state():
    """Accelerate's shared state, which the first to ask for it shapes: without `cpu`, processes on a CPU stay alone."""
    from accelerate.state import PartialState

    if not PartialState._shared_state:
        atexit.register(_leave)
    return PartialState(cpu=_on_cpu())


def _leave() -> None:
    """Close the group of processes in order: one that just ends makes the threads of the others abort."""
    import torch.distributed as group

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
    from accelerate.utils import broadcast_object_list

    _state()
    box = [value]
    broadcast_object_list(box)
    return box[0]


def wait_for_all() -> None:
    """A barrier over the processes; nothing when there is but one."""
    if processes() > 1:
        _state().wait_for_everyone()


def sum_over_processes(array: np.ndarray) -> np.ndarray:
    """Elementwise sum of float32 arrays over all processes."""
    if processes() == 1:
        return array
    import torch
    from accelerate.utils import reduce

    return reduce(torch.from_numpy(array).to(_state().device), reduction="sum").cpu().numpy()


def seed_global(seed: int) -> None:
    """Seed torch's global streams, which dropout draws from (torch.manual_seed without its cost of 3 ms a call)."""
    import torch

    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)


def device_type() -> str:
    """Where networks live: "cuda" where there is one and BENCH_CPU is not 1, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() and os.environ.get("BENCH_CPU") != "1" else "cpu"


def describe(precision: Precision) -> dict[str, Any]:
    """Facts of the device for a record."""
    import torch

    kind = device_type()
    return {
        "name": torch.cuda.get_device_name() if kind == "cuda" else processor(),
        "type": kind,
        "precision": precision.mode,
        "precision_reason": precision.reason,
        "threads": torch.get_num_threads(),
        "processes": processes(),
    }


@functools.cache
def processor() -> str:
    """The processor's name as far as the system tells."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    return platform.processor() or platform.machine()


def peak_memory_mb() -> float:
    """Peak memory in MiB: allocated on the GPU since the last reset, or resident on the CPU since the start."""
    import torch

    if device_type() == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if platform.system() == "Darwin" else 2**10)
