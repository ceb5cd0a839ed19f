"""The device, its precision and the processes of a run: chosen once, with the reason for each choice."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import time
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator

from bench.core.errors import UsageError
from bench.training.distributed import on_cpu, process_state, processes
from bench.training.private_api import forget_accelerator


def processor_seconds() -> float:
    """Processor time of this process so far: all of its threads, and the child processes that have ended."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


class Precision(NamedTuple):
    """A mixed-precision mode in Accelerate's words and why it was chosen."""

    mode: str  # "no" | "bf16" | "fp16"
    reason: str
    hint: str = ""  # what would be faster: for commands that have --precision, where an encoder is trained

    @property
    def sentence(self) -> str:
        """The mode in words, and the reason."""
        return f"{'float32' if self.mode == 'no' else self.mode}: {self.reason}"


def choose_precision(asked: str = "auto") -> Precision:
    """The precision of training: what was asked for where the device can do it, else the best it has."""
    kind = device_type()
    cuda = kind == "cuda"
    if asked == "auto":
        if cuda and has_native_bf16(kind):
            return Precision("bf16", f"{torch.cuda.get_device_name()} supports bf16")
        if cuda:
            return Precision("fp16", f"{torch.cuda.get_device_name()} has no bf16")
        faster = "--precision bf16 would train an encoder 2 to 3 times faster on this CPU"
        why = "equal runs give bit-identical results on a CPU"
        return Precision("no", why, faster if has_native_bf16(kind) else "")
    if asked not in ("no", "bf16", "fp16"):
        raise UsageError(f"precision '{asked}': choose auto, no, bf16 or fp16")
    if asked == "fp16" and not cuda:
        raise UsageError("precision 'fp16' needs a CUDA device: use auto, no or bf16")
    return Precision(asked, "asked for")


def has_native_bf16(kind: str) -> bool:
    """Whether a "cuda" or "cpu" device multiplies bfloat16 by itself.

    GPUs before Ampere emulate it; CPUs need AVX512_BF16 or AMX, measured in docs/scale.md.
    """
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_tile"))


def reason_for(mode: str) -> Precision:
    """A precision in use with its reason: the device's own choice, or asked for."""
    own = choose_precision()
    return own if own.mode == mode else Precision(mode, "asked for")


@functools.lru_cache(maxsize=1)
def accelerator(precision: str = "no") -> Accelerator:
    """This process's one Accelerator. `BENCH_CPU=1` keeps it off an accelerator device.

    Asked for another precision, it is replaced: a notebook may run several grids in one process.
    """
    forget_accelerator()
    if processes() > 1:
        process_state()
    return Accelerator(mixed_precision=precision, cpu=on_cpu())


def give_memory_back() -> None:
    """Return what the allocator keeps of a GPU for later, which other processes may use."""
    if device_type() == "cuda":
        torch.cuda.empty_cache()


def measure_memory_anew() -> None:
    """From now on `peak_memory_mb` is of what follows; on a CPU it stays the process's."""
    if device_type() == "cuda":
        torch.cuda.reset_peak_memory_stats()


def seed_global(seed: int) -> None:
    """Seed torch's global streams, which dropout draws from (torch.manual_seed without its cost of 3 ms per call)."""
    torch.default_generator.manual_seed(seed)
    if device_type() == "cuda":
        torch.cuda.manual_seed_all(seed)


def device_type() -> str:
    """Where networks live: "cuda" where there is one and BENCH_CPU is not 1, else "cpu"."""
    return "cpu" if on_cpu() else "cuda"


def describe(precision: Precision) -> dict[str, Any]:
    """Facts of the device for a record."""
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
    """Peak memory in MiB: allocated on the GPU since `measure_memory_anew`, or resident on the CPU since the start."""
    if device_type() == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if platform.system() == "Darwin" else 2**10)
