"""`bench check`: the conformance suite of a method."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table
from typer import Argument

from bench.cli.shell import SOME_FAILED, app, friendly, out, plain, say


@app.command("check")
@friendly
def check(
    method: Annotated[
        str, Argument(help=escape("a method: name[parameter=value], or the path of a .py file"), metavar="METHOD")
    ],
) -> None:
    """Test whether a method keeps the contract: shapes, seeds, unusual data, no access to gold."""
    from bench.running.conformance import CHECKS, run_checks

    failed = 0
    for name, why, problem in run_checks(method):
        failed += problem is not None
        line = Table.grid(padding=(0, 2))
        for width in (max(map(len, CHECKS)), len("passed"), None):  # a line per check, shown as soon as it ends
            line.add_column(width=width, overflow="fold")
        if problem is None:
            line.add_row(name, "[green]passed[/]", f"[dim]{plain(why)}[/]")
        else:
            line.add_row(name, "[bold red]failed[/]", f"[dim]{plain(why)}[/]\n{plain(problem)}")
        out.print(line, highlight=False)
    say(f"{len(CHECKS) - failed} of {len(CHECKS)} checks passed")
    if failed:
        raise typer.Exit(SOME_FAILED)
