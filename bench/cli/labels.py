"""`bench labels`: the study of label sets in a few narrow tables, rates in percent."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.markup import escape
from rich.table import Table
from typer import Option

from bench.cli.options import grid_options
from bench.cli.shell import app, err, friendly, out
from bench.core.errors import Unavailable, UsageError
from bench.core.files import write_atomically
from bench.core.selectors import unquoted
from bench.report.many_classes import MOST_CLASSES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["tables"]

ABSENT = "–"


@app.command()
@friendly
@grid_options(only=("tasks", "data_dir", "text_column", "gold_column", "label_columns", "no_answer"))
def labels(
    given: dict[str, Any],
    out_dir: Annotated[Path | None, Option("--out", help="also write the tables as CSV into this folder")] = None,
) -> None:
    """Study label sets and a file's columns: sizes, refusals, noise, confusion, agreement, estimates without gold."""
    from bench.data.load import load_task
    from bench.grid.options import load_options
    from bench.noise.label_sets import find_label_sets
    from bench.noise.study import study
    from llm_labels.study import Study

    options = load_options(given)
    names = options.tasks or sorted({ref.task for ref in find_label_sets(options.data_dir)})
    studies = []
    for name in names:
        try:
            data = load_task(
                name,
                data_dir=options.data_dir,
                text_column=options.text_column,
                gold_column=options.gold_column,
                label_columns=options.label_columns and [unquoted(column)[0] for column in options.label_columns],
                no_answer=options.no_answer or (),
            )
            sets = find_label_sets(options.data_dir, data.info.name)
            if not sets and not data.columns:
                raise UsageError(
                    f"there is no label set for task {name}, and no column of labels: make a set with "
                    f"`bench label --task {name}`, or name columns with --label-columns"
                )
            for note in data.notes:
                err.print(escape(note), highlight=False, soft_wrap=True)
            with err.status(f"studying {len(sets) + len(data.columns)} sets of labels of {escape(name)}"):
                studies.append(study(data, sets))
        except Unavailable as error:
            if options.tasks:
                raise
            err.print(f"[yellow]skipped[/] {escape(name)}: {escape(str(error))}", highlight=False, soft_wrap=True)
    if not studies:
        raise UsageError("no label sets were found: make one with `bench label`, or name --data-dir")
    joined = Study.join(studies)
    for table in tables(joined):
        out.print(table)
        out.print()
    if out_dir is not None:
        for part in ("sizes", "kind", "agreement", "confusion"):
            write_atomically(out_dir / f"{part}.csv", getattr(joined, part).to_csv(index=False).encode())
        out.print(f"tables written to {escape(str(out_dir))}", highlight=False)


def tables(study) -> list[Table]:
    """Tables of a `llm_labels.study.Study`, each at most 80 columns wide for names of usual length."""
    by_class, cut = worst(mistakes(study.confusion))
    found = [
        _table(
            "Size and noise (rates in %; noise among answered texts, 95 % Wilson interval)",
            study.sizes,
            {
                "task": _text("task"),
                "labels": _text("labels"),
                "split": _text("split"),
                "asked": _asked,
                "no answer": _percent("no_answer_rate"),
                "noise": _noise,
            },
        ),
        _table(
            "Kind of noise (train; estimate sees no gold; p-values: symmetric? independent of the text?)",
            study.kind,
            {
                "task": _text("task"),
                "labels": _text("labels"),
                "noise": _percent("noise_rate"),
                "estimate": _percent("noise_rate_estimate"),
                "p symm.": _number("symmetric_p"),
                "p indep.": _number("instance_p"),
                "kind": _text("noise"),
            },
        ),
        _table(
            f"What the labeller makes of each class (train; right and most frequent mistake, % of the class{cut})",
            by_class,
            {
                "task": _text("task"),
                "labels": _text("labels"),
                "class": _text("gold"),
                "texts": _text("texts"),
                "right": _percent("right"),
                "mostly taken for": lambda row: ABSENT if not row["wrong"] else escape(f"{row['label']}"),
                "": lambda row: "" if not row["wrong"] else f"{100 * row['wrong']:.1f}",
            },
        ),
        _table(
            "Agreement of labellers (train, %; both wrong and same mistake where gold is known)",
            study.agreement,
            {
                "task": _text("task"),
                "labellers": _text("labellers"),
                "texts": _text("texts"),
                "agree": _percent("agreement"),
                "κ": lambda row: f"{row['kappa']:.2f} {row['statistic']}",
                "both wrong": _percent("both_wrong"),
                "same": _percent("same_error"),
            },
        ),
        _table("Cost of each set", _costs(study.sizes), _cost_columns(study.sizes)),
    ]
    return [table for table in found if table is not None]


def mistakes(confusion: pd.DataFrame) -> pd.DataFrame:
    """A row per set and gold class of train: texts, share right, and the most frequent other label with its share."""
    if not len(confusion):
        return confusion
    train = confusion[confusion["split"] == "train"]
    rows = []
    for (task, labels, gold), part in train.groupby(["task", "labels", "gold"], sort=False):
        if not (count := int(part["count"].sum())):
            continue
        others = part[part["label"] != gold].sort_values("share", ascending=False, kind="stable")
        row = {"task": task, "labels": labels, "gold": gold, "texts": count}
        row["right"] = float(part.loc[part["label"] == gold, "share"].sum())
        mistake = (others.iloc[0]["label"], float(others.iloc[0]["share"])) if len(others) else ("", 0.0)
        rows.append(row | dict(zip(("label", "wrong"), mistake, strict=True)))
    import pandas as pd

    return pd.DataFrame(rows)


def worst(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Of each set the `MOST_CLASSES` classes with the most wrong labels, and what to say of the others."""
    if not len(rows):
        return rows, ""
    wrong = ((1 - rows["right"]) * rows["texts"]).round()  # counts, so that equal ones tie
    place = wrong.groupby([rows["task"], rows["labels"]]).rank(method="first", ascending=False)
    kept = rows[place <= MOST_CLASSES]
    return kept, "" if len(kept) == len(rows) else f"; the {MOST_CLASSES} classes with the most wrong labels"


def _costs(sizes: pd.DataFrame) -> pd.DataFrame:
    columns = _cost_names(sizes)
    return sizes.drop_duplicates(["task", "labels"]).dropna(subset=columns, how="all") if columns else sizes[:0]


def _cost_names(sizes: pd.DataFrame) -> list[str]:
    return list(sizes.columns[sizes.columns.get_loc("accuracy") + 1 :]) if "accuracy" in sizes else []


def _cost_columns(sizes: pd.DataFrame) -> dict[str, Callable]:
    def amount(name: str) -> Callable:
        return lambda row: ABSENT if math.isnan(row[name]) else f"{row[name]:,.10g}"

    costs = {name.replace("_", " "): amount(name) for name in _cost_names(sizes)}
    return {"task": _text("task"), "labels": _text("labels")} | costs


def _table(title: str, frame: pd.DataFrame, columns: dict[str, Callable]) -> Table | None:
    if not len(frame):
        return None
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        table.add_column(name, overflow="fold", justify="left" if number < 2 else "right")
    for row in frame.to_dict("records"):
        table.add_row(*(cell(row) for cell in columns.values()))
    return table


def _text(name: str) -> Callable:
    return lambda row: escape(str(row[name])) if name in row and not _absent(row[name]) else ABSENT


def _percent(name: str) -> Callable:
    return lambda row: ABSENT if _absent(row.get(name)) else f"{100 * row[name]:.1f}"


def _number(name: str) -> Callable:
    return lambda row: ABSENT if _absent(row.get(name)) else f"{row[name]:.3f}"


def _noise(row: dict) -> str:
    if _absent(row.get("noise_rate")):
        return ABSENT
    low, high = 100 * row["noise_low"], 100 * row["noise_high"]
    return f"{100 * row['noise_rate']:.1f} ({low:.1f}–{high:.1f})"


def _asked(row: dict) -> str:
    return str(row["asked"]) if row["asked"] == row["texts"] else f"{row['asked']} of {row['texts']}"


def _absent(value) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
