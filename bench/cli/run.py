"""`bench run` and `bench status`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from typer import Option

from bench.cli.options import RUNNING, Config, Preset, grid_options
from bench.cli.shell import SOME_FAILED, app, err, friendly, out, printable
from bench.core.errors import Unavailable

if TYPE_CHECKING:
    from bench.grid.cells import Plan


@app.command()
@friendly
@grid_options()
def run(
    given: dict[str, Any],
    preset: Preset = None,
    config: Config = None,
    dry_run: Annotated[bool, Option("--dry-run", help="show the cells and their statuses, run nothing")] = False,
    force: Annotated[bool, Option("--force", help="run finished cells again")] = False,
    log_json: Annotated[bool, Option("--log-json", envvar="BENCH_LOG_JSON", help="one JSON line per event")] = False,
    worker: Annotated[bool, Option(hidden=True)] = False,
) -> None:
    """Run a grid: every combination of task, noise source, method, encoder and seed. Re-issuing it resumes."""
    plan = _plan(given, preset, config)
    if worker:
        from bench.running.executors.worker import own_streams, serve

        serve(plan, *own_streams())
    elif dry_run:
        _show_dry_run(plan, as_json=log_json)
    else:
        _run_plan(plan, force=force, log_json=log_json)


@app.command()
@friendly
@grid_options(exclude=RUNNING - {"results"})
def status(given: dict[str, Any], preset: Preset = None, config: Config = None) -> None:
    """The grid as a table of statuses. With --results alone: the cells that lie there."""
    from bench.cli.display import status_table

    named = {name for name, value in given.items() if value is not None} - {"results", "data_dir"}
    if not named and preset is None and config is None:
        from bench.cli.show import record_statuses

        folder = given["results"] or Path("results")
        _print_statuses(*record_statuses(folder))
        _print_jobs(folder)
        return
    plan = _plan(given, preset, config)
    from bench.running.outcomes import status_of

    statuses = [(cell, *status_of(cell, plan.options.results)) for cell in plan.cells]
    _print_statuses(*status_table(statuses), statuses)
    _print_jobs(plan.options.results)


def _plan(given: dict[str, Any], preset: str | None, config: Path | None) -> Plan:
    """The plan of a grid from the options of `run` or `status`."""
    from bench.grid.options import load_options

    options = load_options(given, config, preset)
    from bench.grid.cells import plan
    from bench.running.executors.base import executor_of
    from bench.running.outcomes import check_results_folder

    executor_of(options.executor)

    check_results_folder(options.results)
    try:
        return plan(options)
    except Unavailable as error:
        from bench.grid.offline import with_a_way_on

        raise with_a_way_on(error, options) from None


def _run_plan(plan, *, force: bool, log_json: bool) -> None:
    from bench.cli.display import GridDisplay
    from bench.running.executors.dispatch import execute
    from bench.training import distributed

    options, first = plan.options, distributed.is_first_process()
    if first and not log_json:
        for note in plan.notes:
            _print_note(note)
        cells = "1 cell" if len(plan.cells) == 1 else f"{len(plan.cells)} cells"
        out.print(f"{cells} → {escape(str(options.results))}", highlight=False, soft_wrap=True)

    def draining() -> None:
        if first:
            err.print("\nfinishing what is running; Ctrl-C once more stops it now", highlight=False)

    with GridDisplay(out, len(plan.cells), as_json=log_json, quiet=not first, messages=err) as display:
        summary = execute(plan, display, force=force, draining=draining)
    if summary.stopped:
        raise KeyboardInterrupt
    if first and not log_json:
        counts = " · ".join(f"{count} {status}" for status, count in sorted(summary.counts.items()))
        out.print(f"{counts}. Next: bench report --results {escape(str(options.results))}", highlight=False)
    if summary.failed:
        raise typer.Exit(SOME_FAILED)


def _print_note(note: str) -> None:
    out.print(f"[dim]{escape(printable(note))}[/]", highlight=False, soft_wrap=True)


def _show_dry_run(plan, *, as_json: bool) -> None:
    from bench.cli.display import status_table
    from bench.running.events import Planned
    from bench.running.outcomes import status_of

    statuses = [(cell, *status_of(cell, plan.options.results)) for cell in plan.cells]
    shown = [(cell, "cached" if status == "done" else status, reason) for cell, status, reason in statuses]
    if as_json:
        for cell, status, reason in shown:
            line = Planned(status=status, hash=cell.key.hash, cell=cell.label, reason=reason or None).line
            typer.echo(line)
        return
    for note in plan.notes:
        _print_note(note)
    _print_statuses(*status_table(shown), shown)
    from bench.cli.display import duration
    from bench.grid.estimate import sentences
    from bench.store.records import Record, read_records

    left = [cell for cell, status, _ in shown if status in ("not run", "failed")]
    records = (record for record in read_records(plan.options.results) if isinstance(record, Record))
    done = [cell for cell, status, _ in shown if status == "cached"]
    for line in sentences(left, done, records, plan.options.jobs, duration):
        out.print(escape(line), highlight=False, soft_wrap=True)
    out.print(f"{len(left)} of {len(shown)} cells would run; nothing was run", highlight=False)


def _print_statuses(table, reasons: list[str], statuses: list) -> None:
    out.print(table)
    for reason in reasons:
        out.print(f"[dim]{escape(reason)}[/]", highlight=False, soft_wrap=True)
    counts: dict[str, int] = {}
    for _, status, _ in statuses:
        counts[status] = counts.get(status, 0) + 1
    out.print(" · ".join(f"{count} {status}" for status, count in counts.items()), highlight=False)


def _print_jobs(results: Path) -> None:
    from bench.running.executors.slurm_jobs import job_lines

    for line in job_lines(results):
        out.print(escape(printable(line)), highlight=False, soft_wrap=True)
