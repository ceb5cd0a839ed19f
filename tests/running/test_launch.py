"""How workers are started: commands, cores and GPUs are divided, and too few GPUs are an error before anything runs."""

import sys

import pytest

from bench.core.errors import UsageError
from bench.running.executors import launch
from bench.running.executors.launch import gpu_groups, launcher, threads_each


def test_one_process_needs_no_launcher():
    assert launcher(1) == [sys.executable, "-m", "bench"]


def test_several_processes_go_through_accelerate():
    command = launcher(3)
    assert command[1:3] == ["-m", "accelerate.commands.launch"]
    assert command[command.index("--num_processes") + 1] == "3"
    assert command[-2:] == ["-m", "bench"]


def test_the_cores_are_divided(monkeypatch):
    monkeypatch.setattr(launch, "cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [threads_each(n)["OMP_NUM_THREADS"] for n in (1, 2, 3, 16)] == ["8", "4", "2", "1"]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert [threads_each(n)["OMP_NUM_THREADS"] for n in (1, 2, 4)] == ["3", "3", "2"], "never more than the user allows"


def test_each_worker_has_gpus_of_its_own():
    groups = gpu_groups(2, 2, ["0", "3", "5", "GPU-7", "8"])
    assert groups == [{"CUDA_VISIBLE_DEVICES": "0,3"}, {"CUDA_VISIBLE_DEVICES": "5,GPU-7"}]


def test_without_gpus_or_with_one_process_nothing_is_hidden():
    assert gpu_groups(2, 2, []) == gpu_groups(2, 1, ["0"]) == [{}, {}]


def test_too_few_gpus_are_refused():
    with pytest.raises(UsageError, match=r"--jobs 2 with --processes-per-cell 2 needs 4 GPUs, .* shows 1: .*BENCH_CPU"):
        gpu_groups(2, 2, ["0"])
