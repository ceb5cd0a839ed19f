"""`bench advise`: a table of noisy labels, and one page that says what to make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from bench.cli.options import grid_options
from bench.cli.run import run_cells
from bench.cli.shell import SOME_FAILED, app, err, friendly, out, say
from bench.cli.shell import table as terminal_table
from bench.core.files import write_atomically
from bench.core.texts import plural

if TYPE_CHECKING:
    from bench.grid.cells import Plan
    from bench.report.output.advice import Advice

OPTIONS = (
    "methods", "llms", "seeds", "encoder", "limit", "epochs", "text_column", "gold_column", "label_columns",
    "no_answer", "results", "jobs",
)  # fmt: skip
"""How the table is read, and what bounds the grid."""
SHOWN = 5
"""Rows to look at that the terminal shows; the page has them all."""


@app.command()
@friendly
@grid_options(only=OPTIONS)
def advise(
    given: dict[str, Any],
    table: Annotated[
        str, Argument(metavar="TABLE", help="CSV, TSV, JSONL, JSON, Parquet or Excel file with texts and labels")
    ],
    dry_run: Annotated[bool, Option("--dry-run", help="estimate how long it will take without running it")] = False,
) -> None:
    """Advise on your own labels: how wrong they are, which method to use, which rows to check, what to run next.

    Runs a small grid in the folder NAME-advice (by default: frozen MiniLM encoder, every labeller and their vote, 3
    seeds), and resumes there when run again. Gold is not needed; a gold column may have gaps, and 50 random rows help.
    """
    from bench.grid.advised import advised_plan
    from bench.report.output.advice import NAME, advice_page
    from bench.running.advice import advise as advice_of
    from bench.running.outcomes import check_results_folder, refuse_unwritable

    plan = advised_plan(table, given)
    check_results_folder(plan.options.results)
    if not dry_run:
        refuse_unwritable(plan.options.results)
    for note in plan.notes:
        say(note, dim=True)
    _forecast(plan)
    if dry_run:
        return
    summary = run_cells(plan)
    with err.status("reading the results and looking for wrong labels"):
        advice = advice_of(plan)
    page = plan.options.results / NAME
    write_atomically(page, advice_page(advice).encode())
    _show(advice)
    say(f"\nThe full advice: {page}")
    if summary.failed:
        raise typer.Exit(SOME_FAILED)


def _forecast(plan: Plan) -> None:
    """How many cells are left, and for how long."""
    from bench.cli.display import duration
    from bench.grid.advised import seconds_left
    from bench.running.outcomes import status_of, to_run
    from bench.store.records import Record, read_records

    folder = plan.options.results
    left = [cell for cell in plan.cells if to_run(cell, *status_of(cell, folder), plan.options)]
    seconds = seconds_left(plan, left, [each for each in read_records(folder) if isinstance(each, Record)])
    how_long = "time not known until the first ones are done" if seconds is None else f"about {duration(seconds)}"
    if not left:
        how_long = "nothing to run"
    cells = f"{plural(len(plan.cells), 'cell')} in {folder}, {len(left):,} still to run"
    say(f"{cells}: {how_long}. If you stop with Ctrl-C, finished cells are kept.")


def _show(advice: Advice) -> None:
    """The page in short."""
    parts = (
        ("How wrong are the labels?", advice.wrong),
        ("Which method?", advice.method),
        ("Worth in human labels", advice.worth),
        ("What cannot be known", advice.unknown),
    )
    for title, sentences in parts:
        out.print(f"\n[bold]{title}[/]")
        for sentence in sentences:
            say(sentence)
    if advice.suspects:
        rows = [
            (each.id, each.text[:60], each.given, each.suggested, each.suspicion) for each in advice.suspects[:SHOWN]
        ]
        out.print()
        heads = ("row (from 0) or id", "text", "label", "suggested", "suspicion")
        out.print(terminal_table(heads, rows, title="Look at these first", left=4))
    out.print("\n[bold]Next[/]")
    for what, command in advice.commands:
        say(what, dim=True)
        say(f"    {command}")
