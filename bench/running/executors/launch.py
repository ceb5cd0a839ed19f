"""How a worker process is started: `bench` itself, or `accelerate launch` where several processes share one cell."""

from __future__ import annotations

import os
import sys

import torch

from bench.core.errors import UsageError
from bench.training.distributed import on_cpu


def launcher(processes: int) -> list[str]:
    """The beginning of a command that runs `bench` in this many processes, which train each cell together.

    `--multi_gpu` is what makes `accelerate launch` start several processes, also on a CPU, where gloo connects them.
    Port 0 lets each launch find a free port, so that several of them go on side by side.
    """
    if processes == 1:
        return [sys.executable, "-m", "bench"]
    return [
        *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes)),
        *("--num_machines", "1", "--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no"),
        *("-m", "bench"),
    ]


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_each(processes: int) -> dict[str, str]:
    """Environment that divides this machine's cores among this many processes; an OMP_NUM_THREADS below that stays."""
    share, asked = max(1, cores() // processes), os.environ.get("OMP_NUM_THREADS", "")
    threads = str(min(share, int(asked)) if asked.isdecimal() and int(asked) else share)
    return {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false"}


def gpu_groups(jobs: int, processes: int, gpus: list[str]) -> list[dict[str, str]]:
    """For each of `jobs` workers the environment that shows it `processes` GPUs of its own; empty without GPUs.

    `gpus` are the names that CUDA_VISIBLE_DEVICES takes. Raises UsageError when there are too few.
    """
    if not gpus or processes == 1:
        return [{} for _ in range(jobs)]
    if jobs * processes > len(gpus):
        raise UsageError(
            f"--jobs {jobs} with --processes-per-cell {processes} needs {jobs * processes} GPUs, and this machine "
            f"shows {len(gpus)}: ask for fewer, or set BENCH_CPU=1 to train on the CPU"
        )
    parts = [gpus[start * processes : (start + 1) * processes] for start in range(jobs)]
    return [{"CUDA_VISIBLE_DEVICES": ",".join(part)} for part in parts]


def visible_gpus() -> list[str]:
    """The names of the GPUs that this process may use; none under BENCH_CPU=1."""
    if on_cpu():
        return []
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[: torch.cuda.device_count()] or [str(number) for number in range(torch.cuda.device_count())]
