"""`bench show`, and a folder of records as a table of statuses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from rich.console import Group
from rich.table import Table
from typer import Argument

from bench.cli.display import STYLES, statuses_by_row
from bench.cli.options import Results
from bench.cli.shell import app, friendly, out, plain, say, table
from bench.core.errors import UsageError
from bench.report.names import method_labels
from bench.report.places import encoder_names, task_names
from bench.store.folder import CELL_DIGITS, ResultsFolder, packed
from bench.store.metrics import METRICS
from bench.store.noise_words import noise_words
from bench.store.parts import NoiseFacts, ScoreSet, TrainedNoise
from bench.store.records import Damaged, Record, has_record, read_record, read_records


@app.command("show")
@friendly
def show(
    cell: Annotated[str, Argument(help="the beginning of a cell's hash, or the path of its record", metavar="CELL")],
    results: Results = None,
) -> None:
    """Show one cell: its key, scores, costs, and the command that reproduces it."""
    path, record = find_record(cell, results or Path("results"))
    out.print(record_view(record))
    pack = packed(path)
    inside = f" (in {pack[0].path}; `bench pack --undo` lays it out)" if pack else ""
    if record.error and record.error.traceback_file:
        say(f"traceback {path.with_name(record.error.traceback_file)}{inside}")
    say(f"record {path}{inside}")
    out.print(f"again {record.command}", markup=False, emoji=False, highlight=False, soft_wrap=True)


def find_record(cell: str, results: Path) -> tuple[Path, Record]:
    """The record that a path or the beginning of a hash names. Raises UsageError when none or several fit."""
    path = Path(cell)
    if path.suffix == ".json" and has_record(path):
        paths = [path]
    else:
        every = ResultsFolder(results).record_paths()  # a file's name ends with the first 12 digits of its hash
        paths = [path for path in every if path.stem.rpartition("-")[2].startswith(cell[:CELL_DIGITS])]
    if not paths:
        raise UsageError(
            f"no record '{cell}' in '{results}': name the beginning of a hash (`bench run` shows them, records' names "
            "end with them), the path of a record, or another folder with --results"
        )
    if len(paths) > 1:
        names = ", ".join(path.stem for path in sorted(paths)[:5])
        raise UsageError(f"'{cell}' matches {len(paths)} records ({names}): write more of the hash")
    record = read_record(paths[0])
    if isinstance(record, Damaged):
        raise UsageError(f"{record.path} is damaged: {record.why}")
    return paths[0], record


def record_view(record: Record) -> Group:
    """A record in full: scores, noise, costs and hyper-parameters; path and command stand apart, to be copied whole."""
    key = record.key
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")

    def add(name: str, value: object) -> None:
        facts.add_row(name, plain(str(value)))

    add("cell", f"{key.task} · {key.noise} · {key.method} · {key.encoder} ({key.encoder_mode}) · seed {key.seed}")
    facts.add_row("status", f"[{STYLES.get(record.status, 'white')}]{record.status}[/] {plain(record.reason or '')}")
    add("method", _pairs(key.config) or "no parameters of its own")
    if record.is_reference:
        add("reference", "it saw gold labels or the true noise rate, so it never competes")
    if record.human_labels is not None:
        add("human labels", f"{record.human_labels:,}, so it does not compete with methods that learn from noisy ones")
    if record.opened_files:
        add("warning", f"it opened data files by itself, so it does not compete: {', '.join(record.opened_files)}")
    add("recipe", _pairs(key.recipe))
    if record.data:
        scored = "" if not record.partial else f", of which {record.data.n_scored} have gold and are scored"
        add("texts", f"{record.data.n_train} train, {record.data.n_valid} valid, {record.data.n_test} test{scored}")
        for rule, found in record.partial.items():
            limits = "; ".join(
                f"{name} {100 * each[0]:.1f} % ({100 * each[1]:.1f} to {100 * each[2]:.1f})"
                for name, each in (("with gold alone", found.wilson), ("with the others", found.ppi))
                if each is not None
            )
            add(f"accuracy, {rule.replace('_', ' ')}", limits)
        for note in record.data.notes:
            add("as read", note)
    if record.noise and record.trained_noise:
        add("noise", _noise(record.noise, record.trained_noise))
    if record.status == "done":
        add("seconds", ", ".join(f"{name} {value:.2f}" for name, value in record.seconds.items()))
        reused = _reused(record)
        add(
            "reused stages",
            f"{', '.join(reused) or 'none'}; stand-alone cost {record.stand_alone_seconds:.1f} s of wall time",
        )
        add("device", ", ".join(f"{name} {value}" for name, value in record.device.items() if value not in ("", [])))
        if record.diagnostics:
            add("diagnostics", _pairs({name: _short(value) for name, value in record.diagnostics.items()}))
    if record.error:
        add("error", f"{record.error.type}: {record.error.message}")
    add("made", f"{record.created} by code {record.code_version}")
    return Group(facts, *([_scores(record.scores)] if record.scores else []))


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _reused(record: Record) -> list[str]:
    """The reused stages by name, with how many of each and what they cost."""
    seconds: dict[str, list[float]] = {}
    for use in record.stages:
        if use.reused:
            seconds.setdefault(use.name, []).append(use.seconds)
    return [f"{name}{f' x{len(s)}' if len(s) > 1 else ''} ({sum(s):.1f} s)" for name, s in seconds.items()]


def _short(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _noise(noise: NoiseFacts, trained: TrainedNoise) -> str:
    of = "the train texts' answers" if noise.no_answer_train else "train labels"
    rate = "no gold" if noise.rate_train is None else f"{100 * noise.rate_train:.1f} % of {of} wrong"
    parts = [noise.kind, rate, f"{100 * noise.no_answer_train:.1f} % without an answer"]
    if noise.no_answer_train:
        parts.append(f"as trained on: {noise_words(*trained)}")
    if noise.labeller_test_accuracy is not None:
        parts.append(f"labeller's own test accuracy {100 * noise.labeller_test_accuracy:.1f} %")
    return ", ".join(parts)


def _scores(scores: ScoreSet) -> Table:
    rules = {"last": "last", "noisy_valid": "noisy valid", "oracle_best": "oracle best (diagnostic)"}
    rules = {rule: name for rule, name in rules.items() if getattr(scores, rule) is not None}
    heads = [f"{name}\nstep {getattr(scores, rule).step}" for rule, name in rules.items()]

    def shown(metric, value: float | None) -> str:
        unit = " %" if metric.unit == "%" else ""
        return "–" if value is None else f"{metric.scale * value:.{metric.decimals}f}{unit}"

    rows = [
        (metric.short, *(shown(metric, getattr(scores, rule).get(name)) for rule in rules))
        for name, metric in METRICS.items()
    ]
    return table(("test", *heads), rows)


def record_statuses(results: Path) -> tuple[Table, list[str], list[str]]:
    """What lies in a results folder: a table of statuses, reasons, and the status of every cell.

    Raises UsageError when there is nothing.
    """
    found = list(read_records(results))
    if not found:
        raise UsageError(f"no records in '{results}': run `bench run` first, or name a folder with --results")
    good = [record for record in found if isinstance(record, Record)]
    damaged = [record for record in found if isinstance(record, Damaged)]
    variants, _ = method_labels(
        [record.key for record in good],
        [record.created for record in good],
        [record.human_labels is not None for record in good],
    )
    shown, reasons = statuses_by_row(
        (record.key.model_copy(update={"task": task, "encoder": encoder}), variant, record.status, record.reason or "")
        for record, task, encoder, variant in zip(good, task_names(good), encoder_names(good), variants, strict=True)
    )
    reasons += [f"damaged: {file.path}: {file.why}" for file in damaged]
    return shown, reasons, [record.status for record in good] + ["damaged"] * len(damaged)
