"""A grid on Ray: two nodes, one of which dies in the middle; the errors that say what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.core.errors import Unavailable
from bench.grid.cells import plan
from bench.grid.options import load_options
from bench.running.executors.base import executor_of
from tests.conftest import records


@pytest.fixture
def make(reviews, instant, tiny_bert, tmp_path, monkeypatch):
    """Plan a grid of the instant method: 2 labellers x the seeds."""
    from methods import registry

    monkeypatch.chdir(tmp_path)

    def plan_of(**options):
        given = {"methods": "./instant.py[log=log.txt]", "tasks": "reviews.csv", "seeds": "1,2"}
        return plan(load_options(given | {"encoder": f"{tiny_bert}:frozen"} | options))

    yield plan_of
    registry.METHODS.forget()


@pytest.fixture
def two_nodes(monkeypatch):
    """A Ray cluster of two nodes of one core each on this machine: (cluster, second node)."""
    pytest.importorskip("ray", reason="the package ray is not installed: pip install 'noisy-label-bench[ray]'")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_health_check_period_ms", "500")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        yield cluster, cluster.add_node(num_cpus=1)
    finally:
        cluster.shutdown()


def test_the_grid_finishes_when_a_node_dies_in_the_middle(make, two_nodes):
    cluster, second = two_nodes
    Path("trap").touch()
    seeds = "1,2,3,4,5"
    methods = "./instant.py[log=log.txt,seconds=0.4],./instant.py[trap=trap]"
    before = executor_of(f"ray[address='{cluster.address}']").run(make(seeds="1"), lambda facts: None)
    assert before.counts == {"done": 2}
    shown, at_death = [], []

    def show(facts):
        shown.append(facts)
        if facts.status == "done" and not at_death:
            at_death.extend(record.hash for record in records() if record.status == "done")
            cluster.remove_node(second, allow_graceful=False)

    grid = make(seeds=seeds, methods=f"{methods},./instant.py[log=log.txt]")
    stamps = lambda: {path: path.stat().st_mtime_ns for path in Path("results/cells").rglob("seed*.json")}  # noqa: E731
    old = stamps()
    summary = executor_of(f"ray[address='{cluster.address}',gpus=0]").run(grid, show)
    assert summary.counts == {"cached": 2, "done": 18, "failed": 10}
    assert sorted(facts.hash for facts in shown) == sorted(cell.key.hash for cell in grid.cells)
    assert sorted(record.status for record in records()) == ["done"] * 20 + ["failed"] * 10
    assert at_death
    assert {path: stamps()[path] for path in old} == old  # what was finished was not written again


def test_a_worker_that_dies_each_time_is_a_failed_row_and_the_others_go_on(make, tmp_path):
    pytest.importorskip("ray", reason="the package ray is not installed: pip install 'noisy-label-bench[ray]'")
    deadly = Path("instant.py").read_text(encoding="utf-8").replace(
        'raise RuntimeError("the trap snapped")', "__import__('os')._exit(9)"
    )  # fmt: skip
    Path("instant.py").write_text(deadly, encoding="utf-8")
    Path("trap").touch()
    grid = make(methods="./instant.py[trap=trap,log=log.txt],./instant.py", seeds="1")
    summary = executor_of("ray[retries=1]").run(grid, lambda facts: None)
    assert summary.counts == {"done": 2, "failed": 2}
    assert len(Path("log.txt").read_text(encoding="utf-8").splitlines()) == 4  # two cells, each tried twice
    reasons = {record.reason for record in records() if record.status == "failed"}
    assert all(reason.startswith("its worker was lost each time that it ran: ") for reason in reasons)


def test_without_the_package_the_error_names_it(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Unavailable, match=r"--executor ray needs the package ray: pip install .*\[ray\]"):
        executor_of("ray").run(make(), lambda facts: None)


def test_a_cluster_that_is_not_there_is_said(make):
    pytest.importorskip("ray", reason="the package ray is not installed: pip install 'noisy-label-bench[ray]'")
    with pytest.raises(Unavailable, match=r"no Ray cluster at '127.0.0.1:9' .*`ray start --head`, or leave address"):
        executor_of("ray[address='127.0.0.1:9']").run(make(), lambda facts: None)
