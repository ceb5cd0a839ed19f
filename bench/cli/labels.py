"""`bench labels`: the study of label sets in a few narrow tables, rates in percent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.table import Table
from typer import Option

from bench.cli.options import grid_options
from bench.cli.shell import app, count, err, folder_for, friendly, out, plain, say, table
from bench.core.errors import Unavailable, UsageError
from bench.core.files import write_atomically
from bench.core.selectors import unquoted
from bench.report.many_classes import MOST_CLASSES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["tables"]

ABSENT = "–"
COLUMNS = ("tasks", "data_dir", "text_column", "gold_column", "label_columns", "no_answer")


@app.command("labels")
@friendly
@grid_options(only=COLUMNS)
def labels(
    given: dict[str, Any],
    out_dir: Annotated[Path | None, Option("--out", help="also write the tables as CSV into this folder")] = None,
) -> None:
    """Study label sets and columns of labels: noise, refusals, confusion, agreement.

    Without gold labels: sizes, refusals, agreement and estimates of the noise rate.
    """
    from bench.data.load import load_task
    from bench.grid.options import load_options
    from bench.noise.label_sets import find_label_sets
    from bench.noise.study import study
    from llm_labels.study import Study

    options = load_options(given)
    if out_dir is not None:
        folder_for(out_dir, "--out")
    how = {name: getattr(options, name) for name in COLUMNS[1:4]} | {"no_answer": options.no_answer or ()}
    columns = options.label_columns and [unquoted(column)[0] for column in options.label_columns]
    studies = []
    for name in options.tasks or sorted({ref.task for ref in find_label_sets(options.data_dir)}):
        try:
            data = load_task(name, label_columns=columns, **how)
            sets = find_label_sets(options.data_dir, data.info.name)
            if not sets and not data.columns:
                raise UsageError(
                    f"there is no label set for task {name}, and no column of labels: make a set with "
                    f"`bench label --task {name}`, or name columns with --label-columns"
                )
            for note in data.notes:
                say(note, to=err)
            with err.status(f"studying {count(len(sets) + len(data.columns), 'set')} of labels of {plain(name)}"):
                studies.append(study(data, sets))
        except Unavailable as error:
            if options.tasks:
                raise
            say(f"{name}: {error}", mark="skipped", style="yellow", to=err)
    if not studies:
        raise UsageError("no label sets were found: make one with `bench label`, or name --data-dir")
    joined = Study.join(studies)
    for made in tables(joined):
        out.print(made)
        out.print()
    if out_dir is not None:
        for part in ("sizes", "kind", "agreement", "confusion"):
            write_atomically(out_dir / f"{part}.csv", getattr(joined, part).to_csv(index=False).encode())
        say(f"tables written to {out_dir}")


def tables(study) -> list[Table]:
    """Tables of a `llm_labels.study.Study`, each at most 80 columns wide for names of usual length."""
    by_class, cut = worst(mistakes(study.confusion))
    who = {"task": "task", "labels": "labels"}
    costs = _costs(study.sizes)
    found = [
        _table(
            "Size and noise (rates in %; noise among answered texts, 95 % Wilson interval)",
            study.sizes,
            who | {"split": "split", "asked": _asked, "no answer": ("no_answer_rate", _percent), "noise": _noise},
        ),
        _table(
            "Kind of noise (train; estimate sees no gold; p-values: symmetric? independent of the text?)",
            study.kind,
            who
            | {"noise": ("noise_rate", _percent), "estimate": ("noise_rate_estimate", _percent)}
            | {"p symm.": ("symmetric_p", "{:.3f}".format), "p indep.": ("instance_p", "{:.3f}".format)}
            | {"kind": "noise"},
        ),
        _table(
            f"What the labeller makes of each class (train; right and most frequent mistake, % of the class{cut})",
            by_class,
            who
            | {"class": "gold", "texts": "texts", "right": ("right", _percent)}
            | {"mostly taken for": lambda row: row["label"] if row["wrong"] else ABSENT}
            | {"": lambda row: _percent(row["wrong"]) if row["wrong"] else ""},
        ),
        _table(
            "Agreement of labellers (train, %; both wrong and same mistake where gold is known)",
            study.agreement,
            {"task": "task", "labellers": "labellers", "texts": "texts", "agree": ("agreement", _percent)}
            | {"κ": lambda row: f"{row['kappa']:.2f} {row['statistic']}"}
            | {"both wrong": ("both_wrong", _percent), "same": ("same_error", _percent)},
        ),
        _table(
            "Cost of each set",
            costs,
            who | {name.replace("_", " "): (name, "{:,.10g}".format) for name in costs.columns[2:]},
        ),
    ]
    return [made for made in found if made is not None]


def mistakes(confusion: pd.DataFrame) -> pd.DataFrame:
    """A row per set and gold class of train: texts, share right, and the most frequent other label with its share."""
    if not len(confusion):
        return confusion
    by = ["task", "labels", "gold"]
    train = confusion[confusion["split"] == "train"].sort_values("share", ascending=False, kind="stable")
    hit = train["label"] == train["gold"]
    found = train.groupby(by, sort=False)[["count"]].sum().rename(columns={"count": "texts"})
    found = found.reindex(confusion[confusion["split"] == "train"].groupby(by, sort=False).size().index)
    found["right"] = train[hit].groupby(by)["share"].sum()
    first = train[~hit].drop_duplicates(by).set_index(by).rename(columns={"share": "wrong"})
    found = found.join(first[["label", "wrong"]]).fillna({"right": 0.0, "label": "", "wrong": 0.0})
    return found[found["texts"] > 0].reset_index()


def worst(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Of each set the `MOST_CLASSES` classes with the most wrong labels, and what to say of the others."""
    if not len(rows):
        return rows, ""
    wrong = ((1 - rows["right"]) * rows["texts"]).round()  # counts, so that equal ones tie
    place = wrong.groupby([rows["task"], rows["labels"]]).rank(method="first", ascending=False)
    kept = rows[place <= MOST_CLASSES]
    return kept, "" if len(kept) == len(rows) else f"; the {MOST_CLASSES} classes with the most wrong labels"


def _costs(sizes: pd.DataFrame) -> pd.DataFrame:
    """Task, labels, and every cost of the sets whose cards name any."""
    names = list(sizes.columns[sizes.columns.get_loc("accuracy") + 1 :]) if "accuracy" in sizes else []
    once = sizes.drop_duplicates(["task", "labels"])[["task", "labels", *names]] if names else sizes[:0]
    return once.dropna(subset=names, how="all")


def _table(title: str, frame: pd.DataFrame, columns: dict[str, str | tuple[str, Callable] | Callable]) -> Table | None:
    """A table of a frame: each column by its name in the frame, by that and a format, or from the whole row."""

    def cell(row: dict, how) -> str:
        if callable(how):
            return str(how(row))
        name, form = (how, str) if isinstance(how, str) else how
        return ABSENT if _absent(row.get(name)) else form(row[name])

    rows = [[cell(row, how) for how in columns.values()] for row in frame.to_dict("records")]
    return table(columns, rows, title=title, left=2) if rows else None


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _noise(row: dict) -> str:
    if _absent(row.get("noise_rate")):
        return ABSENT
    return f"{_percent(row['noise_rate'])} ({_percent(row['noise_low'])}–{_percent(row['noise_high'])})"


def _asked(row: dict) -> str:
    return str(row["asked"]) if row["asked"] == row["texts"] else f"{row['asked']} of {row['texts']}"


def _absent(value: Any) -> bool:
    return value is None or value != value  # NaN
