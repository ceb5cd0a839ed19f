"""The stage store: computed once per key, never a different number, and honest about what it saved."""

import json
import logging
import multiprocessing
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from bench.core.hashes import hash_arrays
from bench.store.records import StageUse
from bench.training import stages
from bench.training.stages import StageStore, stage_hash

KEY = {"texts": "abc", "encoder": "r1", "seed": 1}


class Counted:
    """A computation that counts how often it ran."""

    def __init__(self, value=1.0):
        self.runs, self.value = 0, value

    def __call__(self):
        self.runs += 1
        return {
            "half": np.full((2, 3), self.value, np.float16),
            "single": np.linspace(0, self.value, 7, dtype=np.float32)[::2],  # not contiguous
            "double": np.array([[np.nan, np.inf]]),
            "ids": np.arange(4, dtype=np.int64),
            "none": np.zeros((0, 5), np.float32),
        }


def assert_same(a, b):
    assert a.keys() == b.keys()
    for part in a:
        assert a[part].dtype == b[part].dtype
        assert a[part].shape == b[part].shape
        assert a[part].tobytes() == b[part].tobytes()


def test_a_miss_computes_and_every_kind_of_hit_gives_the_same_bits(tmp_path):
    compute = Counted()
    store = StageStore(tmp_path)
    first = store.get("tokens", KEY, compute)
    from_memory = store.get("tokens", KEY, compute)
    from_disk = StageStore(tmp_path).get("tokens", KEY, compute)
    without_store = StageStore(None).get("tokens", KEY, Counted())
    assert compute.runs == 1
    for other in (from_memory, from_disk, without_store, Counted()()):
        assert_same(first, other)


def test_without_a_folder_everything_is_computed_and_nothing_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    compute = Counted()
    store = StageStore(None)
    store.get("tokens", KEY, compute)
    store.get("tokens", KEY, compute)
    assert compute.runs == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "other",
    [
        KEY | {"texts": "abd"},
        KEY | {"seed": 2},
        KEY | {"seed": "1"},
        KEY | {"more": None},
        {name: KEY[name] for name in ("texts", "seed")},
    ],
)
def test_every_input_is_in_the_key(tmp_path, other):
    store = StageStore(tmp_path)
    store.get("tokens", KEY, Counted(1))
    assert store.get("tokens", other, Counted(2))["half"][0, 0] == 2
    assert store.get("embeddings", KEY, Counted(3))["half"][0, 0] == 3


def test_the_order_of_a_keys_entries_does_not_matter():
    assert stage_hash("tokens", KEY) == stage_hash("tokens", dict(reversed(KEY.items())))


def test_a_fingerprint_of_arrays_sees_names_types_shapes_and_values():
    x = np.arange(6)
    others = [
        hash_arrays(x=x),
        hash_arrays(y=x),
        hash_arrays(x=x.astype(np.int32)),
        hash_arrays(x=x.reshape(2, 3)),
        hash_arrays(x=x + 1),
        hash_arrays(x=x, y=x),
    ]
    assert len(set(others)) == len(others)
    assert hash_arrays(x=np.arange(12)[::2]) == hash_arrays(x=np.arange(0, 12, 2))
    assert hash_arrays(a=x, b=x + 1) == hash_arrays(b=x + 1, a=x)


@pytest.mark.parametrize("damage", [b"", b"not safetensors at all", "cut", "old"])
def test_a_damaged_entry_is_a_warning_and_computed_again(tmp_path, caplog, damage):
    StageStore(tmp_path).get("tokens", KEY, Counted())
    path = StageStore(tmp_path).path("tokens", stage_hash("tokens", KEY))
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[:-9], "old": whole.replace(b'bench":', b'bunch":')}.get(damage, damage))
    compute = Counted()
    with caplog.at_level(logging.WARNING):
        assert_same(StageStore(tmp_path).get("tokens", KEY, compute), Counted()())
    assert compute.runs == 1
    assert "is damaged" in caplog.text
    assert "computing it again" in caplog.text
    again = Counted()
    StageStore(tmp_path).get("tokens", KEY, again)  # the damaged entry was replaced
    assert again.runs == 0


def test_a_folder_that_cannot_be_written_is_a_warning_and_the_grid_goes_on(tmp_path, caplog):
    (tmp_path / "stages").write_text("a file where the folder should be")
    store = StageStore(tmp_path / "stages")
    with caplog.at_level(logging.WARNING):
        assert_same(store.get("tokens", KEY, Counted()), Counted()())
    assert "could not be kept" in caplog.text
    compute = Counted()
    store.get("tokens", KEY, compute)
    assert compute.runs == 0  # this process still remembers


def test_no_temporary_file_stays_and_the_key_can_be_read_off(tmp_path):
    StageStore(tmp_path).get("plain run", KEY, Counted())
    files = {path.suffix: path for path in tmp_path.rglob("*") if path.is_file()}
    assert set(files) == {".safetensors"}
    with safe_open(files[".safetensors"], framework="numpy") as file:
        assert '"texts": "abc"' in file.metadata()["bench"]


def test_what_is_shared_cannot_be_changed_in_place(tmp_path):
    """One method's change would be the next one's input."""
    own = np.zeros(3)
    for store in (StageStore(tmp_path), StageStore(tmp_path), StageStore(None)):
        shared = store.get("x", KEY, lambda: {"own": own})["own"]
        with pytest.raises(ValueError, match="read-only"):
            shared += 1
    own += 1  # the array of the computing caller is left alone


def test_a_failing_computation_leaves_nothing_and_passes_its_error_on(tmp_path):
    store = StageStore(tmp_path)

    def broken():
        raise FloatingPointError("nan")

    with pytest.raises(FloatingPointError):
        store.get("tokens", KEY, lambda: store.get("inner", KEY, broken))
    assert not store.begin()
    compute = Counted()
    store.get("tokens", KEY, compute)
    assert compute.runs == 1
    assert [use.name for use in store.uses] == ["tokens"]


class Clock:
    """A clock that only stands still or is moved on."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(stages, "time", SimpleNamespace(perf_counter=lambda: self.now, sleep=time.sleep))
        monkeypatch.setattr(stages, "processor_seconds", lambda: self.now / 2)

    def slow(self, seconds):
        """A computation that takes so long."""

        def compute():
            self.now += seconds
            return {"x": np.zeros(1)}

        return compute

    def tokens(self, store):
        """A stage of 20 s."""
        return store.get("tokens", KEY, self.slow(20))

    def plain_run(self, store):
        """A stage of 10 s of its own, around the tokens."""

        def compute():
            self.now += 3
            self.tokens(store)
            return self.slow(7)()

        return store.get("plain run", KEY, compute)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def reused_seconds(uses):
    return sum(use.seconds for use in uses if use.reused)


def names(uses, reused):
    return sorted(use.name for use in uses if use.reused == reused)


def test_a_use_tells_what_computing_had_cost_and_whether_it_was_reused(tmp_path, clock):
    store = StageStore(tmp_path)
    first = store.begin()
    clock.tokens(store)
    second = store.begin()
    clock.tokens(store)
    clock.tokens(store)
    digest = stage_hash("tokens", KEY)
    assert first == [StageUse(name="tokens", hash=digest, reused=False, seconds=20, processor=10)]
    assert second == [StageUse(name="tokens", hash=digest, reused=True, seconds=20, processor=10)]


@pytest.mark.parametrize("before", [[], ["tokens"], ["plain_run"], ["tokens", "plain_run"], ["plain_run", "tokens"]])
@pytest.mark.parametrize("order", [["tokens", "plain_run"], ["plain_run", "tokens"], ["plain_run"]])
@pytest.mark.parametrize("fresh_process", [True, False])
def test_stand_alone_cost_counts_every_stage_once_however_it_was_reached(tmp_path, clock, before, order, fresh_process):
    """Stages inside a reused stage belong to its cost; a stage used directly as well is not counted twice."""
    store = StageStore(tmp_path)
    for name in before:
        store.begin()
        getattr(clock, name)(store)
    if fresh_process:
        store = StageStore(tmp_path)
    uses = store.begin()
    started = clock.now
    for name in order:
        getattr(clock, name)(store)
    total = clock.now - started
    assert total == (0 if "plain_run" in before else 10 if "tokens" in before else 30)
    assert total + reused_seconds(uses) == 30
    expected = {"tokens", "plain run"} if "plain_run" in before else set(before)
    assert names(uses, reused=True) == sorted(expected)
    assert names(uses, reused=False) == sorted({"tokens", "plain run"} - expected)


def test_a_reused_inner_stage_counts_in_the_cost_of_the_outer_one_for_the_next_cell(tmp_path, clock):
    store = StageStore(tmp_path)
    clock.tokens(store)
    store.begin()
    clock.plain_run(store)
    uses = store.begin()
    clock.plain_run(store)
    assert reused_seconds(uses) == 30
    assert names(uses, reused=True) == ["plain run", "tokens"]


def test_an_entry_from_before_processor_seconds_is_read_without_them(tmp_path, clock):
    store = StageStore(tmp_path)
    clock.plain_run(store)
    for path in tmp_path.rglob("*.safetensors"):
        with safe_open(path, framework="numpy") as file:
            facts = json.loads(file.metadata()["bench"])
            arrays = {part: file.get_tensor(part) for part in file.keys()}  # noqa: SIM118
        facts.pop("processor")
        facts["parts"] = {part: found[:2] for part, found in facts["parts"].items()}
        save_file(arrays, path, metadata={"bench": json.dumps(facts)})
    store = StageStore(tmp_path)
    clock.plain_run(store)
    assert [(use.name, use.seconds, use.processor) for use in store.uses] == [
        ("tokens", 20, None),
        ("plain run", 10, None),
    ]


def test_without_a_store_nothing_is_reused_and_nothing_lasts(clock):
    store = StageStore(None)
    clock.plain_run(store)
    clock.plain_run(store)
    assert clock.now == 60
    assert reused_seconds(store.uses) == 0


def _worker(folder, started):
    def compute():
        with Path(folder, "runs.txt").open("a") as file:
            file.write("run\n")
        time.sleep(0.5)
        return {"x": np.arange(3.0)}

    started.wait()
    found = StageStore(Path(folder)).get("plain run", KEY, compute)
    assert found["x"].tolist() == [0, 1, 2]


def test_two_processes_that_want_one_stage_compute_it_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    started = context.Barrier(2)
    workers = [context.Process(target=_worker, args=(str(tmp_path), started)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(100)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert Path(tmp_path, "runs.txt").read_text() == "run\n"
