"""`bench list`, `bench check`, `bench doctor`: what there is and whether it works."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table
from typer import Argument

from bench.cli import options as opt
from bench.cli.app import SOME_FAILED, friendly, out
from bench.core.errors import resolve

KINDS = ("tasks", "methods", "llms", "encoders")


def attach(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command("list")(list_things)
    app.command()(check)
    app.command()(doctor)


@friendly
def list_things(
    kind: Annotated[str | None, Argument(help="tasks, methods, llms or encoders (default: all four)")] = None,
    data_dir: opt.DataDir = None,
) -> None:
    """What can be named: tasks, methods, llms, encoders."""
    from bench.cli import list as catalogue

    for number, name in enumerate(KINDS if kind is None else [resolve("kind", kind, KINDS)]):
        heads, rows = getattr(catalogue, name)(**({"data_dir": data_dir} if name in ("tasks", "llms") else {}))
        table = Table(*heads, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        if number:
            out.print()
        out.print(table)


@friendly
def check(method: Annotated[str, Argument(help="a method: name[parameter=value], or the path of a .py file")]) -> None:
    """The conformance suite: whether a method keeps the contract (shapes, seeds, odd data, no gold)."""
    from bench.running.conformance import run_checks

    failed = 0
    for name, why, problem in run_checks(method):
        failed += problem is not None
        mark = "[green]passed[/]" if problem is None else "[bold red]failed[/]"
        out.print(f"{mark} {escape(name)} [dim]{escape(why)}[/]", highlight=False, soft_wrap=True)
        if problem is not None:
            out.print(f"       {escape(problem)}", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(SOME_FAILED)


@friendly
def doctor(results: opt.Results = None, data_dir: opt.DataDir = None) -> None:
    """What this machine has: device, precision, packages, encoders, data, and what is missing with the way out."""
    from bench.cli.doctor import examine

    missing = 0
    for fact in examine(results, data_dir):
        missing += fact.state == "missing"
        style = {"ok": "green", "absent": "yellow", "missing": "bold red"}[fact.state]
        out.print(
            f"[{style}]{fact.state:>7}[/] {escape(fact.name)}: {escape(fact.text)}", highlight=False, soft_wrap=True
        )
    if missing:
        raise typer.Exit(SOME_FAILED)
