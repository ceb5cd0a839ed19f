"""`bench doctor`: what this machine has and lacks, each with how to fix it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import typer

from bench.cli.options import DataDir, Results
from bench.cli.shell import SOME_FAILED, app, friendly, say
from bench.core.errors import BenchError
from bench.core.files import nearest_existing
from bench.core.texts import plural

MIN_FREE_GB = 2


class Fact(NamedTuple):
    """One finding: `ok`, `absent` (optional, with the way to get it) or `missing` (nothing works without it)."""

    state: Literal["ok", "absent", "missing"]
    name: str
    text: str


@app.command("doctor")
@friendly
def doctor(results: Results = None, data_dir: DataDir = None) -> None:
    """Show what this machine has, what is missing, and how to fix it."""
    missing = 0
    for fact in examine(results, data_dir):
        missing += fact.state == "missing"
        style = {"ok": "green", "absent": "yellow", "missing": "bold red"}[fact.state]
        say(f"{fact.name}: {fact.text}", mark=f"{fact.state:>7}", style=style)
    if missing:
        raise typer.Exit(SOME_FAILED)


def examine(results: Path | None, data_dir: Path | None) -> Iterator[Fact]:
    """Everything worth knowing before a long run."""
    cores = plural(os.cpu_count() or 1, "core")
    yield Fact("ok", "python", f"{platform.python_version()} on {platform.platform()}, {cores}")
    for package in ("torch", "transformers", "accelerate", "sentence-transformers", "datasets", "pandas", "matplotlib"):
        try:
            yield Fact("ok", package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            yield Fact("missing", package, f"pip install {package}")
    yield from _device()
    yield from _encoders()
    yield from _data(data_dir)
    yield _writable(results or Path("results"))
    for tool, why in (("pdflatex", "to compile the LaTeX tables"), ("chromium", "to test the report page")):
        found = shutil.which(tool)
        yield Fact("ok", tool, found) if found else Fact("absent", tool, f"optional, {why}")


def _device() -> Iterator[Fact]:
    from bench.training.device import choose_precision, describe

    facts = describe(precision := choose_precision())
    yield Fact("ok", "device", f"{facts['name']} ({facts['type']}), {plural(facts['threads'], 'thread')}")
    yield Fact("ok", "precision", "; ".join(filter(None, [precision.sentence, precision.hint])))


def _encoders() -> Iterator[Fact]:
    from bench.training.find_encoder import DEFAULT_ENCODER, PYPI_ENCODERS, locate

    for name in (DEFAULT_ENCODER, *PYPI_ENCODERS):
        try:
            folder, revision = locate(name)
            yield Fact("ok", f"encoder {name}", f"revision {revision} ({folder})")
        except BenchError as error:
            yield Fact("absent", f"encoder {name}", str(error))


def _data(data_dir: Path | None) -> Iterator[Fact]:
    from bench.data.load import load_task
    from bench.data.tasks import known
    from bench.noise.label_sets import labellers

    if data_dir is not None and not data_dir.is_dir():
        yield Fact("missing", "data folder", f"'{data_dir}' does not exist: name another with --data-dir")
        return
    read = []
    for name in known():
        try:
            task = load_task(name, data_dir=data_dir)
        except BenchError as error:
            yield Fact("absent", f"task {name}", str(error))
            continue
        read.append(name)
        sizes = f"{len(task.train)}/{len(task.valid)}/{len(task.test)} texts"
        yield Fact("ok", f"task {name}", f"{sizes}, {len(task.label_names)} classes, from {task.origin}")
    for name, pairs in labellers(data_dir, read).items():
        yield Fact("ok", f"labels of {name}", ", ".join(f"{task} ({prompting})" for prompting, task in pairs))


def _writable(results: Path) -> Fact:
    from bench.running.outcomes import refuse_unwritable

    try:
        refuse_unwritable(results)
    except BenchError as error:
        return Fact("missing", "results", str(error))
    free = shutil.disk_usage(nearest_existing(results)).free / 2**30
    if free < MIN_FREE_GB:
        return Fact("absent", "results", f"'{results}': only {free:.1f} GiB free; name another folder with --results")
    return Fact("ok", "results", f"'{results}' is writable, {free:.0f} GiB free")
