"""Who gets which cell next, and how many fit on a GPU."""

from __future__ import annotations

import stat
from types import SimpleNamespace

import pytest

from bench.grid.cells import group_of
from bench.running.executors.queue import CONTEXT_MB, HEADROOM, Gpu, Memory, Queue, find_gpus
from tests.factories import cell_key, done_record


def cells(seeds=(1, 2, 3), methods=("plain", "co-teaching")):
    """Cells in the order of a plan: seed by seed."""
    return [SimpleNamespace(key=cell_key(method=method, seed=seed)) for seed in seeds for method in methods]


def name(cell):
    return (cell.key.method, cell.key.seed)


def test_a_worker_stays_with_its_group_then_opens_a_new_one_then_helps():
    queue = Queue(cells())
    first = queue.next(None, set())
    assert name(first) == ("plain", 1)
    second = queue.next(None, {group_of(first)})
    assert name(second) == ("plain", 2), "no two workers want the same stage at once while there is another group"
    busy = {group_of(first), group_of(second)}
    assert name(queue.next(group_of(first), busy)) == ("co-teaching", 1)
    assert name(queue.next(group_of(first), busy)) == ("plain", 3)
    busy = {group_of(cell) for cell in cells()}
    assert {name(queue.next(group_of(first), busy)) for _ in range(2)} == {("co-teaching", 2), ("co-teaching", 3)}
    assert len(queue) == 0
    assert queue.next(None, set()) is None


def test_help_goes_where_most_is_left_and_a_cell_that_comes_back_waits_its_turn():
    queue = Queue([*cells((1,), ("plain",)), *cells((2,), ("plain", "co-teaching"))])
    busy = {group_of(cell) for cell in cells()}
    helped = queue.next(None, busy)
    assert name(helped) == ("plain", 2)
    queue.add(helped)
    assert len(queue) == 3


def test_what_does_not_fit_is_passed_over():
    queue = Queue(cells((1,)))
    assert name(queue.next(None, set(), lambda cell: cell.key.method != "plain")) == ("co-teaching", 1)
    assert queue.next(None, set(), lambda cell: False) is None
    assert len(queue) == 1


def test_cells_are_packed_on_a_gpu_by_what_their_kind_took_before():
    memory, gpu = Memory(), Gpu("GPU-1", free=70_000)
    plain, other = cells((1,))
    gpu.dealt["unknown"] = memory.need(plain, gpu)
    assert gpu.fits(memory.need(other, gpu)), "two that were never measured share a GPU"
    gpu.dealt["another"] = memory.need(other, gpu)
    assert not gpu.fits(1)
    gpu.dealt.clear()
    record, _ = done_record(cell_key())
    memory.learn(record.model_copy(update={"peak_memory_mb": 9_000.0, "device": {"type": "cuda"}}))
    memory.learn(record.model_copy(update={"peak_memory_mb": 60_000.0, "device": {"type": "cpu"}}))
    need = memory.need(plain, gpu)
    assert need == pytest.approx(9_000 * HEADROOM + CONTEXT_MB), "a CPU's peak says nothing"
    running = 0
    while gpu.fits(need):
        gpu.dealt[str(running)] = need
        running += 1
    assert running == int(0.95 * 70_000 // need) == 6
    assert not gpu.fits(memory.need(other, gpu))
    gpu.dealt.clear()
    assert gpu.fits(10**6), "alone, a cell may try; out of memory is handled in training"


@pytest.mark.parametrize(
    ("visible", "expected"), [(None, ["GPU-a1", "GPU-b2"]), ("1", ["GPU-b2"]), ("GPU-a1", ["GPU-a1"]), ("", [])]
)
def test_gpus_and_their_free_memory_come_from_the_driver(tmp_path, monkeypatch, visible, expected):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, GPU-a1, 80000'\necho '1, GPU-b2, 40000'\n", encoding="utf-8")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.uuid for gpu in find_gpus()] == expected
    assert {gpu.free for gpu in find_gpus()} <= {80_000, 40_000}
    tool.write_text("#!/bin/sh\necho '0, GPU-a1, [N/A]'\necho '1, GPU-b2, [N/A]'\n", encoding="utf-8")
    assert find_gpus() == [], "a GPU that shares the CPU's memory: cells are not packed by it"
    tool.write_text("#!/bin/sh\nexit 9\n", encoding="utf-8")
    assert find_gpus() == []
