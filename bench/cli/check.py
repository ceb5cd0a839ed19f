"""`bench check`: the conformance suite of a method."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from typer import Argument

from bench.cli.shell import SOME_FAILED, app, friendly, out


@app.command()
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
