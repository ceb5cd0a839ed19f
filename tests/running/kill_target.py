"""What the kill tests kill: `bench run` in a process forked from one that has everything imported already."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import bench.running.executors.dispatch
import bench.running.runner  # noqa: F401
from tests.conftest import application
from tests.network_lease import use_network_leases


def preload() -> None:
    """Import all that a run needs, once, in the process that the others are forked from."""
    import sklearn.linear_model  # noqa: F401
    import torch  # noqa: F401
    import transformers.models.bert.modeling_bert  # noqa: F401

    from methods import registry

    registry.available()


if os.environ.get("BENCH_TEST_PRELOAD") == "1":
    preload()


def run(words: list[str], folder: str, network: bool) -> None:
    """`bench WORDS --log-json` in a folder; what it prints is appended to log.jsonl and errors.txt there.

    `network`: as on a network file system, where two names cannot be exchanged in one step.
    """
    if network:
        use_network_leases(pytest.MonkeyPatch())
    os.chdir(folder)
    for number, name in ((1, "log.jsonl"), (2, "errors.txt")):
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(handle, number)
    sys.stdout.reconfigure(line_buffering=False)
    try:
        application()(words, prog_name="bench", standalone_mode=True)
    finally:
        sys.stdout.flush()


def lines(folder: Path) -> list[str]:
    """The whole lines of the common log."""
    path = folder / "log.jsonl"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
