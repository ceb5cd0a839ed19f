"""`bench run` and `bench status`."""

from __future__ import annotations

import logging
import shlex
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from typer import Option

from bench.cli.options import Config, Preset, grid_options, typed
from bench.cli.shell import SOME_FAILED, app, err, friendly, out, say
from bench.core.errors import NAMES, Unavailable
from bench.core.texts import plural
from bench.grid.options import RUNNING_OPTIONS

if TYPE_CHECKING:
    from bench.grid.cells import Plan
    from bench.running.events import Summary


@app.command("run")
@friendly
@grid_options()
def run(
    given: dict[str, Any],
    preset: Preset = None,
    config: Config = None,
    dry_run: Annotated[
        bool, Option("--dry-run", help="show the cells and their statuses without running them")
    ] = False,
    force: Annotated[bool, Option("--force", help="run finished cells again")] = False,
    log_json: Annotated[bool, Option("--log-json", envvar="BENCH_LOG_JSON", help="one JSON line per event")] = False,
    worker: Annotated[bool, Option(hidden=True)] = False,
    one_round: Annotated[bool, Option(hidden=True)] = False,
) -> None:
    """Train and score a grid: every combination of task, noise, method, encoder and seed.

    Name tasks, LLMs or a preset; lists are separated by commas. Run the same command again to continue a stopped grid.

    All options except those in the first panel can also be set as environment variables (--batch-size:
    BENCH_BATCH_SIZE) or, except --preset and --config, in the file given by --config (batch_size: 64). Options override
    environment variables, which override the file, which overrides the preset.
    """
    if worker:  # what names stand for is told by the process that started it
        logging.getLogger(NAMES).setLevel(logging.ERROR)
    plan = _plan("run", given, preset, config)
    if worker:
        from bench.running.executors.worker import own_streams, serve

        serve(plan, *own_streams())
        return
    from bench.running.executors.dispatch import check
    from bench.running.settle import check_settling

    if not one_round:  # else it is a part of a grid, which was checked as a whole
        check_settling(plan)
    check(plan.options, force=force)
    if dry_run:
        _show_dry_run(plan, force=force, as_json=log_json)
        return
    failed = _run_plan(plan, force=force, log_json=log_json).failed
    if plan.options.until_settled is not None and not one_round:
        failed += _settle(plan, force=force, log_json=log_json)
    if failed:
        raise typer.Exit(SOME_FAILED)


def _settle(plan: Plan, *, force: bool, log_json: bool) -> int:
    """Add seeds to a grid that has run, one after the other, until it is settled; how many of their cells failed."""
    from bench.running.settle import added, next_round, sentences

    failed = 0
    while (more := next_round(plan)) is not None:
        plan = more
        if not log_json:
            say(f"adding seed {plan.options.seeds[-1]}: not every method is shown to differ from plain yet")
        failed += _run_plan(added(plan), force=force, log_json=log_json).failed
    for sentence in [] if log_json else sentences(plan):
        say(sentence)
    return failed


@app.command("status")
@friendly
@grid_options(exclude=RUNNING_OPTIONS - {"results"})
def status(given: dict[str, Any], context: typer.Context, preset: Preset = None, config: Config = None) -> None:
    """Show which cells of a grid are done, failed, skipped (and why) or not run.

    With only --results, show all cells in that folder.
    """
    from bench.cli.display import status_table

    if not typed(context, (*given, "preset", "config")) - {"results", "data_dir"}:
        from bench.cli.show import record_statuses

        folder = given["results"] or Path("results")
        _print_statuses(*record_statuses(folder))
    else:
        plan = _plan("status", given, preset, config)
        folder, statuses = plan.options.results, _statuses(plan)
        _print_statuses(*status_table(statuses), [status for _, status, _ in statuses])
    from bench.running.executors.slurm_jobs import job_lines

    for line in job_lines(folder):
        say(line)


def _plan(command: str, given: dict[str, Any], preset: str | None, config: Path | None) -> Plan:
    """The plan of a grid from the options of a command."""
    from bench.grid.options import load_options

    options = load_options(given, config, preset)
    from bench.grid.cells import plan
    from bench.grid.command import with_a_way_on, with_commands
    from bench.grid.tasks import NothingNamed
    from bench.running.executors.base import executor_of
    from bench.running.outcomes import check_results_folder

    executor_of(options.executor)
    check_results_folder(options.results)
    try:
        return plan(options)
    except NothingNamed as error:
        raise with_commands(error, options, command) from None
    except Unavailable as error:
        raise with_a_way_on(error, options) from None


def _statuses(plan: Plan) -> list[tuple]:
    """The cells of a plan, each with its status on disk and the reason for it."""
    from bench.running.outcomes import status_of

    return [(cell, *status_of(cell, plan.options.results)) for cell in plan.cells]


def _run_plan(plan: Plan, *, force: bool, log_json: bool) -> Summary:
    from bench.running.outcomes import refuse_unwritable
    from bench.training import distributed

    first = distributed.is_first_process()
    if first:
        refuse_unwritable(plan.options.results)
    if first and not log_json:
        for note in [*plan.notes, *plan.hints]:
            say(note, dim=True)
        say(f"{plural(len(plan.cells), 'cell')} → {plan.options.results}")
    summary = run_cells(plan, force=force, log_json=log_json)
    if first and not log_json:
        counts = " · ".join(f"{number} {status}" for status, number in sorted(summary.counts.items()))
        say(f"{counts}. Next: bench report --results {shlex.quote(str(plan.options.results))}")
    return summary


def run_cells(plan: Plan, *, force: bool = False, log_json: bool = False) -> Summary:
    """Run what is not done, with a line per cell. Raises KeyboardInterrupt where a person stopped it."""
    from bench.cli.display import GridDisplay
    from bench.running.executors.dispatch import execute
    from bench.training import distributed

    first = distributed.is_first_process()

    def draining() -> None:
        if first:
            say("\nfinishing the running cells; press Ctrl-C again to stop them now", to=err)

    with GridDisplay(out, len(plan.cells), as_json=log_json, quiet=not first, messages=err) as display:
        summary = execute(plan, display, force=force, draining=draining)
    if summary.stopped:
        raise KeyboardInterrupt
    return summary


def _show_dry_run(plan: Plan, *, force: bool, as_json: bool) -> None:
    from bench.cli.display import duration, status_table
    from bench.grid.estimate import sentences
    from bench.running.events import Planned
    from bench.running.outcomes import to_run
    from bench.store.records import Record, read_records

    found = _statuses(plan)
    left = [cell for cell, status, reason in found if to_run(cell, status, reason, plan.options, force=force)]
    forced = {cell.key.hash for cell in left}
    shown = [
        (cell, "not run", f"{status}, but --force runs it again")
        if status in ("done", "skipped") and cell.key.hash in forced
        else (cell, "cached" if status == "done" else status, reason)
        for cell, status, reason in found
    ]
    if as_json:
        for cell, status, reason in shown:
            typer.echo(Planned(status=status, hash=cell.key.hash, cell=cell.label, reason=reason or None).line)
        return
    for note in [*plan.notes, *plan.hints]:
        say(note, dim=True)
    _print_statuses(*status_table(shown), [status for _, status, _ in shown])
    records = (record for record in read_records(plan.options.results) if isinstance(record, Record))
    for line in sentences(left, plan, records, duration):
        say(line)
    say(f"{len(left):,} of {plural(len(shown), 'cell')} would run; nothing was run")


def _print_statuses(table: Table, reasons: Iterable[str], statuses: Iterable[str]) -> None:
    out.print(table)
    for reason in reasons:
        say(reason, dim=True)
    say(" · ".join(f"{number} {status}" for status, number in Counter(statuses).items()))
