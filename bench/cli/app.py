"""The command line: reads options, prints; the logic is elsewhere, and heavy imports wait until they are needed."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from typer import Argument, Option

from bench.cli import options as opt
from bench.core.errors import BenchError, Unavailable, UsageError

app = typer.Typer(
    name="bench",
    help="Benchmark of methods that learn text classifiers from noisy (LLM-written) labels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
out = Console()
err = Console(stderr=True)

LOUD_LIBRARIES = (
    "accelerate", "transformers", "sentence_transformers", "datasets", "huggingface_hub", "httpx", "filelock",
    "mlflow", "alembic",
)  # fmt: skip
LONGEST_ERROR = 3000
OK, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def friendly(command: Callable) -> Callable:
    """Errors as one message and an exit code: 2 for wrong usage, 1 when something failed, 130 after Ctrl-C."""

    @functools.wraps(command)
    def wrapped(*args, **kwargs):
        _quiet_libraries()
        try:
            return command(*args, **kwargs)
        except BenchError as error:
            text = str(error) if len(str(error)) <= LONGEST_ERROR else f"{str(error)[:LONGEST_ERROR]} ..."
            err.print(f"[bold red]error:[/] {escape(_printable(text))}", highlight=False, soft_wrap=True)
            raise typer.Exit(USAGE if isinstance(error, (UsageError, Unavailable)) else SOME_FAILED) from None
        except KeyboardInterrupt:
            err.print("\nstopped: what is done is kept; the same command goes on from there", highlight=False)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # whoever read the output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(SOME_FAILED) from None
        except OSError as error:
            where = f" '{error.filename}'" if error.filename else ""
            err.print(f"[bold red]error:[/] {escape(str(error.strerror or error) + where)}", highlight=False)
            raise typer.Exit(USAGE) from None

    return wrapped


def _printable(text: str) -> str:
    """Text without control characters: it may come from data, and a terminal obeys them."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def _quiet_libraries() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for name in LOUD_LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)
    if os.environ.get("RANK", "0") != "0":  # processes that train one cell together would all say the same
        logging.getLogger().setLevel(logging.ERROR)


def _plan(given: dict):
    """The plan of a grid from the parameters of `run` or `status`."""
    from bench.grid.options import load_options

    grid = {name: value for name, value in given.items() if name not in opt.NOT_IN_GRID}
    options = load_options(grid, given.get("config"), given.get("preset"))
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


@app.command()
@friendly
def run(
    methods: opt.Methods = None,
    llms: opt.Llms = None,
    tasks: opt.Tasks = None,
    prompting: opt.Prompting = None,
    noise: opt.Noise = None,
    seeds: opt.Seeds = None,
    encoder: opt.Encoders = None,
    sentence_encoder: opt.SentenceEncoder = None,
    preset: opt.Preset = None,
    config: opt.Config = None,
    limit: opt.Limit = None,
    epochs: opt.Epochs = None,
    batch_size: opt.BatchSize = None,
    learning_rate: opt.LearningRate = None,
    warmup: opt.Warmup = None,
    clip: opt.Clip = None,
    dropout: opt.Dropout = None,
    adam_epsilon: opt.AdamEpsilon = None,
    weight_decay: opt.WeightDecay = None,
    max_length: opt.MaxLength = None,
    pooling: opt.Pooling = None,
    precision: opt.Precision = None,
    data_dir: opt.DataDir = None,
    text_column: opt.TextColumn = None,
    gold_column: opt.GoldColumn = None,
    label_columns: opt.LabelColumns = None,
    no_answer: opt.NoAnswer = None,
    uncovered: opt.Uncovered = None,
    results: opt.Results = None,
    executor: opt.Executor = None,
    jobs: opt.Jobs = None,
    processes_per_cell: opt.ProcessesPerCell = None,
    timeout: opt.Timeout = None,
    retry: opt.Retry = None,
    stages: opt.Stages = None,
    track: opt.Track = None,
    dry_run: opt.DryRun = False,
    force: opt.Force = False,
    log_json: opt.LogJson = False,
    worker: Annotated[bool, Option(hidden=True)] = False,
) -> None:
    """Run a grid: every combination of task, noise source, method, encoder and seed. Re-issuing it resumes."""
    plan = _plan(dict(locals()))
    if worker:
        from bench.running.executors.worker import own_streams, serve

        serve(plan, *own_streams())
    elif dry_run:
        _show_dry_run(plan, as_json=log_json)
    else:
        _run_plan(plan, force=force, log_json=log_json)


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
    out.print(f"[dim]{escape(_printable(note))}[/]", highlight=False, soft_wrap=True)


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


@app.command()
@friendly
def status(
    methods: opt.Methods = None,
    llms: opt.Llms = None,
    tasks: opt.Tasks = None,
    prompting: opt.Prompting = None,
    noise: opt.Noise = None,
    seeds: opt.Seeds = None,
    encoder: opt.Encoders = None,
    sentence_encoder: opt.SentenceEncoder = None,
    preset: opt.Preset = None,
    config: opt.Config = None,
    limit: opt.Limit = None,
    epochs: opt.Epochs = None,
    batch_size: opt.BatchSize = None,
    learning_rate: opt.LearningRate = None,
    warmup: opt.Warmup = None,
    clip: opt.Clip = None,
    dropout: opt.Dropout = None,
    adam_epsilon: opt.AdamEpsilon = None,
    weight_decay: opt.WeightDecay = None,
    max_length: opt.MaxLength = None,
    pooling: opt.Pooling = None,
    precision: opt.Precision = None,
    data_dir: opt.DataDir = None,
    text_column: opt.TextColumn = None,
    gold_column: opt.GoldColumn = None,
    label_columns: opt.LabelColumns = None,
    no_answer: opt.NoAnswer = None,
    uncovered: opt.Uncovered = None,
    results: opt.Results = None,
) -> None:
    """The grid as a table of statuses. With --results alone: the cells that lie there."""
    given = dict(locals())
    from bench.cli.display import status_table
    from bench.cli.show import record_statuses

    if all(value is None for name, value in given.items() if name not in ("results", "data_dir")):
        folder = results or Path("results")
        table, reasons, statuses = record_statuses(folder)
        _print_statuses(table, reasons, statuses)
        _print_jobs(folder)
        return
    plan = _plan(given)
    from bench.running.outcomes import status_of

    statuses = [(cell, *status_of(cell, plan.options.results)) for cell in plan.cells]
    _print_statuses(*status_table(statuses), statuses)
    _print_jobs(plan.options.results)


def _print_jobs(results: Path) -> None:
    from bench.running.executors.slurm_jobs import job_lines

    for line in job_lines(results):
        out.print(escape(_printable(line)), highlight=False, soft_wrap=True)


@app.command()
@friendly
def report(
    context: typer.Context,
    results: opt.Results = None,
    out_dir: Annotated[Path | None, Option("--out", help="where to write (default RESULTS/report)")] = None,
    format: Annotated[str | None, Option(help="md,latex,csv,html,figures (default all)")] = None,
    baseline: Annotated[str, Option(help="method that the others are compared with")] = "plain",
    rule: Annotated[str, Option(help="the step that counts: last, noisy_valid")] = "last",
    against: Annotated[str | None, Option(help="published numbers beside ours: paper, or a YAML file")] = None,
    compare: Annotated[
        tuple[Path, Path] | None, Option(metavar="BEFORE AFTER", help="two results folders: what changed, is it sure")
    ] = None,
    show: Annotated[bool, Option(help="print the main table")] = True,
    full: Annotated[bool, Option("--full", help="leave nothing out, however many cells there are")] = False,
) -> None:
    """Regenerate every table and figure and the page from the records alone, or compare two results folders."""
    from bench.core.selectors import split_list

    formats = None if format is None else split_list(format)
    if compare is not None:
        from bench.cli.report import compare_folders, refuse_with_compare

        refuse_with_compare(context, ("results", "baseline", "against"))
        compare_folders(*compare, out_dir, formats, rule, show, out, _printable)
        return
    from bench.report import build_report, main_table
    from bench.report.build import FORMATS
    from bench.store.prune import refuse_links

    folder = results or Path("results")
    if out_dir is None:
        refuse_links(folder)
    out_dir, chosen = out_dir or folder / "report", formats or FORMATS
    done = build_report(folder, out_dir, formats=chosen, baseline=baseline, rule=rule, against=against, full=full)
    if show:
        out.print(main_table(done.results, baseline=baseline, rule=rule, width=out.width))
    for sentence in done.sentences + done.notes:
        out.print(escape(_printable(sentence)), highlight=False, soft_wrap=True)
    for damaged in done.damaged:
        err.print(f"[yellow]skipped[/] {escape(str(damaged.path))}: {escape(_printable(damaged.why))}", highlight=False)
    main_files = [path for path in done.files if path.parent == done.out]
    out.print(f"{len(done.files)} files in {escape(str(done.out))}, among them:", highlight=False)
    for path in sorted(main_files)[:12]:
        out.print(f"  {escape(str(path))}", highlight=False, soft_wrap=True)


@app.command()
@friendly
def show(
    cell: Annotated[str, Argument(help="the beginning of a cell's hash, or the path of its record")],
    results: opt.Results = None,
) -> None:
    """One cell: its key, scores, costs, and the command line that makes it again."""
    from bench.cli.show import find_record, record_view

    path, record = find_record(cell, results or Path("results"))
    out.print(record_view(path, record))
    out.print(f"again {record.command}", markup=False, emoji=False, highlight=False, soft_wrap=True)


def main() -> None:
    """The console script."""
    from bench.cli import check as cli_data
    from bench.cli import label as cli_labels
    from bench.cli import prune as cli_upkeep

    cli_data.attach(app)
    cli_upkeep.attach(app)
    cli_labels.attach(app)
    app(prog_name="bench")


if __name__ == "__main__":
    sys.exit(main())
