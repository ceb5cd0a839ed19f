"""The Makefile: what `make demo` and `make test` install, and when again. pip and the rest are stand-ins."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STAND_IN = f"""#!{sys.executable}
import os, pathlib, shutil, sys
with open(os.environ["LOG"], "a") as log:
    print(os.path.basename(sys.argv[0]), *sys.argv[1:], sep="|", file=log)
if sys.argv[1:3] == ["-m", "venv"]:
    for name in ("pip", "bench", "python"):
        path = pathlib.Path(sys.argv[3], "bin", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sys.argv[0], path)
"""
TORCH = "pip|install|--quiet|--disable-pip-version-check|--no-deps|--force-reinstall"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def make(tmp_path):
    """Run make with stand-ins for python and what it installs; gives what they were called with, and the output."""
    (tmp_path / "python").write_text(STAND_IN)
    (tmp_path / "python").chmod(0o755)

    def call(*words: str, **variables: str) -> tuple[list[str], str]:
        log = tmp_path / "log"
        log.write_text("")
        done = subprocess.run(
            ["make", "--no-print-directory", f"PYTHON={tmp_path / 'python'}", f"VENV={tmp_path / 'venv'}", *words],
            cwd=ROOT, env={"PATH": "/usr/bin:/bin", "LOG": str(log)} | variables,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return log.read_text().splitlines(), done.stdout

    return call


def installs(log: list[str]) -> list[str]:
    return [line for line in log if line.startswith("pip|install")]


def test_the_demo_needs_no_tools_of_developers_and_the_tests_add_them(make):
    log, said = make("demo")
    assert f"{TORCH}|torch==2.13.0" in log
    assert any(line.endswith("-c|constraints.txt|-e|.[offline]") for line in log)
    assert "dev]" not in "".join(log)
    assert said.splitlines()[-1].endswith("venv/bin/activate")
    log, _ = make("test")
    [added] = installs(log)
    assert added.endswith("-e|.[offline,dev]")
    assert not installs(make("demo")[0] + make("test")[0]), "all is there"


def test_another_torch_replaces_the_one_that_is_there_and_stays(make):
    make("install")
    cpu = "torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"
    log, _ = make("install", f"TORCH={cpu}")
    assert f"{TORCH}|{cpu.replace(' ', '|')}" in log
    assert len(installs(log)) == 4, "what depends on torch is looked at again"
    assert not installs(make("install", f"TORCH={cpu}")[0])
    assert not installs(make("demo", TORCH=cpu)[0]), "of the environment as well"
    assert not installs(make("install")[0] + make("test")[0])[1:], "in another shell the one that was asked for stays"
    assert f"{TORCH}|torch==2.13.0" in make("install", "TORCH=torch==2.13.0")[0]
    assert f"{TORCH}|torch>=2.13" in make("install", "TORCH=torch>=2.13")[0]


def test_other_versions_are_installed_into_an_environment_that_exists(make):
    make("install")
    log, _ = make("install", "VERSIONS=")
    assert len(installs(log)) == 4
    assert "constraints" not in "".join(log)
