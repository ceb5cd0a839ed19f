"""Precision with its reason, one accelerator, and what a single process says of itself."""

import numpy as np
import pytest
import torch

from bench.core.errors import UsageError
from bench.training import device, distributed


@pytest.fixture
def cuda(monkeypatch):
    """Pretend that there is a CUDA device, with bf16 of its own or one that it emulates."""

    def pretend(bf16):
        monkeypatch.delenv("BENCH_CPU")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

        def supported(including_emulation=True):
            return bf16 or including_emulation

        monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")

    return pretend


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_a_cpu_trains_in_float32_and_says_why(no_cuda):
    chosen = device.choose_precision()
    assert chosen.mode == "no"
    assert chosen.sentence.startswith("float32: equal runs give bit-identical results on a CPU")


@pytest.mark.parametrize(
    ("able", "offered"), [({"avx512_bf16": True}, True), ({"amx_tile": True}, True), ({"avx2": True}, False)]
)
def test_a_cpu_that_multiplies_bf16_is_offered_it(no_cuda, monkeypatch, able, offered):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    chosen = device.choose_precision()
    assert ("--precision bf16" in chosen.hint) == offered
    assert chosen.reason == "equal runs give bit-identical results on a CPU"
    assert device.describe(device.reason_for("no"))["precision_reason"] == chosen.reason  # records hold no hints


@pytest.mark.parametrize(
    ("bf16", "mode", "reason"),
    [(True, "bf16", "Some GPU supports bf16"), (False, "fp16", "Some GPU has no bf16")],
)
def test_a_gpu_trains_in_the_best_it_has_and_says_why(cuda, bf16, mode, reason):
    cuda(bf16)
    assert device.choose_precision("auto") == device.Precision(mode, reason)


def test_a_run_that_is_kept_off_the_gpu_is_one_of_the_cpu(cuda, monkeypatch):
    """BENCH_CPU=1: no mixed precision is chosen for a device that is not used."""
    cuda(True)
    monkeypatch.setenv("BENCH_CPU", "1")
    assert device.choose_precision().mode == "no"
    with pytest.raises(UsageError, match="needs a CUDA device"):
        device.choose_precision("fp16")
    assert device.device_type() == "cpu"
    assert device.describe(device.Precision("no", ""))["type"] == "cpu"


@pytest.mark.parametrize("asked", ["no", "bf16"])
def test_what_is_asked_for_is_taken(no_cuda, asked):
    assert device.choose_precision(asked) == device.Precision(asked, "asked for")


@pytest.mark.parametrize("asked", ["fp8", "", "float32", "BF16"])
def test_an_unknown_precision_is_refused_with_the_known(asked):
    with pytest.raises(UsageError, match=f"precision '{asked}': choose auto, no, bf16 or fp16"):
        device.choose_precision(asked)


def test_fp16_without_cuda_is_refused_with_the_way_out(no_cuda):
    with pytest.raises(UsageError, match="precision 'fp16' needs a CUDA device: use auto, no or bf16"):
        device.choose_precision("fp16")


def test_apples_gpu_is_not_used(no_cuda, monkeypatch):
    """It has no float64; and records would say that their cells ran on the CPU."""
    from accelerate import state

    monkeypatch.delenv("BENCH_CPU")
    monkeypatch.setattr(state, "is_mps_available", lambda *_, **__: True)
    device.accelerator.cache_clear()
    try:
        assert device.accelerator("no").device.type == device.device_type() == "cpu"
    finally:
        device.accelerator.cache_clear()


def test_the_peak_of_memory_is_of_what_ran_since_it_was_measured_anew(cuda, monkeypatch):
    """Each cell on a GPU has its own: `bench.running.cell`."""
    cuda(True)
    peak = [7 * 2**20]
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: peak[0])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: peak.__setitem__(0, 2**20))
    assert device.peak_memory_mb() == 7
    device.measure_memory_anew()
    assert device.peak_memory_mb() == 1


def test_one_accelerator_a_precision_and_a_new_one_for_another():
    """A notebook may run two grids of different precision in one process."""
    plain = device.accelerator("no")
    assert device.accelerator("no") is plain
    assert device.accelerator("bf16").mixed_precision == "bf16"
    assert device.accelerator("no").mixed_precision == "no"


def test_a_single_process_is_the_first_decides_alone_and_sums_to_itself():
    assert (distributed.processes(), distributed.rank(), distributed.is_first_process()) == (1, 0, True)
    value, array = object(), np.arange(3, dtype=np.float32)
    assert distributed.decided_by_first_process(value) is value
    assert distributed.sum_over_processes(array) is array
    distributed.wait_for_all()


def test_the_launcher_says_how_many_there_are(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "2")
    assert (distributed.processes(), distributed.rank(), distributed.is_first_process()) == (3, 2, False)


def test_seeding_the_global_stream_is_torchs_own():
    device.seed_global(7)
    drawn = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.rand(3))


def test_a_record_can_tell_the_device():
    facts = device.describe(device.Precision("no", "a reason"))
    assert facts["name"]
    assert facts["precision_reason"] == "a reason"
    assert facts["threads"] == torch.get_num_threads()
    assert facts["processes"] == 1
    assert facts["type"] in ("cpu", "cuda")


def test_peak_memory_is_of_this_process_in_mebibytes(no_cuda):
    before = device.peak_memory_mb()
    held = np.ones(64 * 2**20 // 8)  # 64 MiB, touched
    after = device.peak_memory_mb()
    assert 50 < before <= after < 10**6
    assert held.sum() > 0
