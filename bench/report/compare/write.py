"""A comparison of two results folders as tables, sentences and files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import get_args

from bench.core.errors import UsageError
from bench.core.files import write_atomically
from bench.core.texts import plural
from bench.report.compare.match import ALPHA, COMPARED, Comparison, Line, Outcome, Verdict
from bench.report.names import encoder_label
from bench.report.output import render
from bench.report.tables.model import Entry, Head, Row, Table, number
from bench.store.metrics import METRICS
from bench.store.records import Record

FORMATS = ("md", "latex", "csv")
TITLE = "Two runs compared"


def write_comparison(found: Comparison, out: Path, formats: Collection[str] = FORMATS) -> list[Path]:
    """Write `comparison.md`, `.tex` and `.csv` (one row per line and metric) below `out`; returns their paths.

    Raises UsageError for a format that comparisons do not have.
    """
    if wrong := [name for name in formats if name not in FORMATS]:
        raise UsageError(f"a comparison has no format '{wrong[0]}': there are {', '.join(FORMATS)}")
    tables, lead, sections = comparison_tables(found), sentences(found), _sections(found)
    files = {}
    if "md" in formats:
        files["comparison.md"] = render.markdown_document(TITLE, lead, tables, sections, [])
    if "latex" in formats:
        files["comparison.tex"] = render.latex_document(TITLE, lead, tables, sections)
    if "csv" in formats:
        files["comparison.csv"] = _csv(found)
    for name, text in files.items():
        write_atomically(out / name, text.encode())
    return [out / name for name in files]


def comparison_tables(found: Comparison, changed_only: bool = False) -> list[Table]:
    """For each set-up: the methods over all of their columns, then every method in every column.

    `changed_only` leaves out of the second table what is the same on both sides in every seed.
    """
    made = []
    for setup in dict.fromkeys(line.setup for line in found.lines):
        wide = [line for line in found.averages if line.setup == setup]
        narrow = [line for line in found.lines if line.setup == setup]
        made.append(_table(wide, f"Methods, before and after: {setup}", "compare", setup))
        several = len({(line.task, line.noise) for line in narrow}) > 1
        if changed_only:
            narrow = [line for line in narrow if any(each.verdict != "unchanged" for each in line.outcomes.values())]
        if several and narrow:
            title = f"Every column, before and after: {setup}"
            made.append(_table(narrow, title, "compare-columns", setup))
    return made


def sentences(found: Comparison) -> list[str]:
    """The comparison in words: what is better or worse, then what was compared."""
    same = sum(pair.before.hash == pair.after.hash for pair in found.pairs)
    verdicts = [f"{METRICS[metric].short}: {_verdicts(found, metric)}" for metric in COMPARED]
    return [
        *verdicts,
        f"Before: {found.before.folder} ({len(found.before.records)} cells). "
        f"After: {found.after.folder} ({len(found.after.records)} cells).",
        f"{len(found.pairs)} cells compared ({same} of them with exactly the same key), {len(found.new)} new, "
        f"{len(found.gone)} gone, {len(found.statuses)} with another status.",
    ]


def _verdicts(found: Comparison, metric: str) -> str:
    if not found.averages:
        return "nothing can be compared."
    by_verdict: dict[str, list[str]] = {}
    several = len({line.setup for line in found.averages}) > 1
    for line in found.averages:
        name = f"{line.method} ({line.setup})" if several else line.method
        outcome = line.outcomes[metric]
        if outcome.verdict in ("better", "worse"):
            name += f" {number(outcome.difference.mean, 1, signed=True)}"
        by_verdict.setdefault(outcome.verdict, []).append(name)
    shown = [each for each in get_args(Verdict) if each in by_verdict]
    return "; ".join(f"{verdict}: {', '.join(by_verdict[verdict])}" for verdict in shown) + "."


def _table(lines: list[Line], title: str, kind: str, setup: str) -> Table:
    heads = [
        Head(METRICS[metric].short, below=below)
        for metric in COMPARED
        for below in ("before, %", "after, %", "change", "p, Holm", "verdict")
    ]
    rows = []
    for line in lines:
        label = f"{line.method}: {line.task} {line.noise}" if line.task else line.method
        entries = tuple(entry for metric in COMPARED for entry in _outcome_entries(line.outcomes[metric], metric))
        rows.append(Row(label, "reference" if line.reference else "method", entries))
    caption = (
        "Each row is a method over all of the columns that it has on both sides." if kind == "compare" else "",
        "Differences are paired by seed (the same seed gives both sides the same data), with 95 % t-intervals.",
        "p: paired t-test over seeds, Holm-corrected over all tested rows of this kind (accuracy and ECE apart, every "
        f"set-up together); better or worse means p < {ALPHA}: it is what the seeds show, on the same test texts.",
        "Not tested: every seed shows exactly the same difference, so seeds are not independent evidence.",
    )
    return Table(f"{kind}-{setup}", title, kind, setup, "", tuple(heads), tuple(rows), 1, tuple(filter(None, caption)))


def _outcome_entries(outcome: Outcome, metric: str) -> list[Entry]:
    if math.isnan(outcome.before):
        return [Entry("empty")] * 4 + [Entry("text", text=outcome.verdict)]
    decimals = METRICS[metric].decimals
    return [
        Entry("value", outcome.before, decimals=decimals),
        Entry("value", outcome.after, decimals=decimals),
        Entry("value", *outcome.difference, decimals=decimals + 1, signed=True),
        Entry("empty") if math.isnan(outcome.p_holm) else Entry("value", outcome.p_holm, decimals=3),
        Entry("text", text=outcome.verdict),
    ]


def _sections(found: Comparison) -> list[tuple[str, list[str]]]:
    return [
        ("What else differs between the compared cells", found.differing or ["nothing that the records show"]),
        ("Same name, other key or version: not compared", found.apart),
        ("New", _listed(found.new)),
        ("Gone", _listed(found.gone)),
        ("Another status", [f"{_name(after)}: {before.status} → {after.status}{_why(after)}"
                            for before, after in found.statuses]),
        ("Files left out", [f"{each.path}: {each.why}" for side in (found.before, found.after)
                            for each in side.damaged]),
    ]  # fmt: skip


def comparison_details(found: Comparison) -> list[tuple[str, list[str]]]:
    """Headed lists of what is not in the tables; only those that have anything in them."""
    return [(head, listed) for head, listed in _sections(found) if listed]


def _listed(records: list[Record]) -> list[str]:
    counts = Counter((each.key.task, each.key.noise, each.key.method, encoder_label(each.key)) for each in records)
    return [
        f"{method} on {task}, {noise}, {encoder}: {plural(count, 'cell')}"
        for (task, noise, method, encoder), count in sorted(counts.items())
    ]


def _name(record: Record) -> str:
    key = record.key
    return f"{key.method} on {key.task}, {key.noise}, {encoder_label(key)}, seed {key.seed}"


def _why(record: Record) -> str:
    reason = record.reason or (record.error.message if record.error else "")
    return f" ({reason})" if reason else ""


CSV_COLUMNS = ("setup", "method", "task", "noise", "columns", "seeds", "metric", "before", "after", "difference",
               "half_width_95", "p", "p_holm", "verdict")  # fmt: skip


def _csv(found: Comparison) -> str:
    return render.csv_text(CSV_COLUMNS, (
        (line.setup, line.method, line.task, line.noise, line.columns, len(line.seeds), metric, each.before, each.after,
         each.difference.mean, each.difference.half, each.p, each.p_holm, each.verdict)
        for line in found.averages + found.lines
        for metric, each in line.outcomes.items()
    ))  # fmt: skip
