"""`bench labels`: the study of label sets in a few narrow tables, rates in percent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.table import Table
from typer import Option

from bench.cli.options import Results, grid_options
from bench.cli.shell import app, err, folder_for, friendly, out, plain, say, table
from bench.core.errors import Unavailable, UsageError, resolve
from bench.core.files import write_atomically
from bench.core.selectors import split_list, unquoted
from bench.core.texts import plural

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from bench.data.task import TaskData

ABSENT = "–"
Write = Callable[[dict], str]
CLASSES, PAIRS = 10, 3
"""How many classes of a set are shown, and pairs that agree most and least; the CSV files have all."""
COLUMNS = ("tasks", "data_dir", "text_column", "gold_column", "label_columns", "no_answer")


@app.command("labels")
@friendly
@grid_options(only=COLUMNS)
def labels(
    given: dict[str, Any],
    humans: Annotated[
        str | None, Option(help="columns of human annotators (default: those named as such): may an LLM replace them?")
    ] = None,
    encoder: Annotated[
        str | None, Option(help="encoder for the texts: minilm, mpnet or a folder (default: TF-IDF)")
    ] = None,
    results: Results = None,
    out_dir: Annotated[
        Path | None, Option("--out", help="also write all tables (CSV), figures and a page to this folder")
    ] = None,
) -> None:
    """Study label sets and label columns: noise, refusals, confusion, agreement, shared and predictable mistakes.

    Any number of gold labels will do. Without gold, it shows sizes, refusals, agreement and estimated noise rates.
    An encoder's embeddings are kept in the results folder, where `bench run` finds them.
    """
    from dataclasses import fields

    from bench.grid.options import load_options
    from bench.grid.tasks import load_named
    from bench.noise.label_sets import find_label_sets
    from bench.noise.study import readable, study
    from llm_labels.study import Study

    options = load_options(given)
    if out_dir is not None:
        folder_for(out_dir)
    studies = []
    for name in options.tasks or sorted({ref.task for ref in find_label_sets(options.data_dir)}):
        try:
            data = load_named(name, options)
            sets = find_label_sets(options.data_dir, data.info.name)
            if not sets and not data.columns:
                raise UsageError(
                    f"task {name} has neither a label set nor a column of labels: make a label set with "
                    f"`bench label --task {name}`, or name columns with --label-columns"
                )
            for note in data.notes:
                say(note, to=err)
            sets, left_out = readable(data, sets)
            for reason in left_out:
                say(reason, mark="skipped", style="yellow", to=err)
            if not sets and not data.columns:
                raise Unavailable(f"none of the label sets of task {name} can be read here: {left_out[0]}")
            with err.status(f"studying {plural(len(sets) + len(data.columns), 'set')} of labels of {plain(name)}"):
                embedded = _embeddings(data.whole or data, encoder, results) if encoder else None
                persons = _persons(humans, data.columns)
                studies.append(study(data, sets, embedded, persons, Path(encoder or "").name))
        except (Unavailable, UsageError) as error:  # of a user's own file only the name is known
            if options.tasks:
                raise
            say(f"{name}: {error}", mark="skipped", style="yellow", to=err)
    if not studies:
        raise UsageError("no label sets were found: make one with `bench label`, or name their folder with --data-dir")
    joined = Study.join(studies)
    for made in tables(joined):
        out.print(made)
        out.print()
    if out_dir is not None:
        from bench.core.spreadsheet import frame_csv
        from bench.report.output.labels_page import NAME, label_files

        frames = {part.name: getattr(joined, part.name) for part in fields(joined)}
        files = {f"{name}.csv": frame_csv(frame) for name, frame in frames.items()}
        for name, content in (files | label_files(frames)).items():
            write_atomically(out_dir / name, content)
        say(f"tables written to {out_dir}; the page is {out_dir / NAME}")


def _embeddings(task: TaskData, encoder: str, results: Path | None) -> np.ndarray:
    """float32[N_train, D]: the embeddings that a run with the encoder shares between its cells."""
    from bench.store.folder import ResultsFolder
    from bench.training.encoders import load_encoder
    from bench.training.stages import StageStore
    from methods.shared import embed_texts

    store = StageStore(ResultsFolder(results or Path("results")).stages)
    return embed_texts(task.train, load_encoder(encoder, task.info.max_length), store)


def _persons(humans: str | None, columns: Collection[str]) -> list[str] | None:
    """The columns that --humans names. Raises UsageError where one is not a labeller's."""
    if humans is None:
        return None
    names = [resolve("column", unquoted(part)[0], columns) for part in split_list(humans)]
    if len(names) < 2:
        raise UsageError(f"--humans '{humans}': name two or more columns of human annotators")
    return names


def tables(study) -> list[Table]:
    """Tables of a `llm_labels.study.Study`, each at most 80 columns wide for names of usual length."""
    by_class, cut = worst(mistakes(study.confusion))
    pairs, ended = ends(study.agreement)
    seen = plain(", ".join(sorted(set(study.predictable["features"])))) if len(study.predictable) else ""
    who = {"task": "task", "labels": "labels"}
    costs = _costs(study.sizes)
    classes, fewer = most_given(study.classes)
    found = [
        _table(
            "Size and noise (rates in %; noise among answered texts, 95 % Wilson interval)",
            study.sizes,
            who
            | {
                "split": "split",
                "asked": _asked,
                "no answer": percent("no_answer_rate"),
                "noise": interval("noise_rate", "noise_low", "noise_high"),
            },
        ),
        _table(
            "Kind of noise (train; est.: without gold, from labels alone; p-values: symmetric? independent of the text?"
            + ("; both: gold and est. together, prediction-powered)" if "ppi" in study.kind else ")"),
            study.kind,
            who
            | {"noise": percent("noise_rate"), "est.": percent("noise_rate_estimate")}
            | ({"both": interval("ppi")} if "ppi" in study.kind else {})
            | {"p symm.": written("symmetric_p", form="{:.3f}"), "p indep.": written("instance_p", form="{:.3f}")}
            | {"kind": "noise"},
        ),
        _table(
            f'Mistakes that the text predicts (train; AUC of "is it wrong?" with 95 % interval, from {seen})',
            study.predictable,
            who | {"texts": "texts", "wrong": "wrong", "AUC": interval("auc", scale=1, form=".2f")},
        ),
        _table(
            "Mistakes that labellers share (train; κ of errors: mean of pairs with 95 % interval, least to most; "
            "when both are wrong: same class, %; all agree, %; of those wrong, % with 95 % interval)",
            study.shared,
            {"task": "task", "sets": "sets", "κ of errors": interval("kappa", scale=1, form=".2f")}
            | {"pairs": written("kappa_least", "kappa_most", form="{:.2f} to {:.2f}")}
            | {"same": percent("same_wrong"), "agree": percent("unanimous_share")}
            | {"wrong then": interval("unanimous_wrong")},
        ),
        _table(
            f"What the labeller makes of each class (train; right and most frequent mistake, % of the class{cut})",
            by_class,
            who
            | {"class": "gold", "texts": "texts", "right": percent("right")}
            | {"mostly taken for": lambda row: row["label"] if row["wrong"] else ABSENT}
            | {"": lambda row: percent("wrong")(row) if row["wrong"] else ""},
        ),
        _table(
            f"How often each label is right (all splits; 95 % Wilson interval if gold; est.: without gold{fewer})",
            classes,
            who
            | {"label": "class", "given": "given", "checked": "checked", "right": interval("precision", "low", "high")}
            | {"est.": percent("precision_estimate")},
        ),
        _table(
            f"Agreement of labellers (train, %; both wrong and same mistake where gold is known{ended})",
            pairs,
            {"task": "task", "labellers": "labellers", "texts": "texts", "agree": percent("agreement")}
            | {"κ": lambda row: f"{written('kappa', form='{:.2f}')(row)} {row['statistic']}"}
            | {"both wrong": percent("both_wrong"), "same": percent("same_error")},
        ),
        _table(
            "May it replace a human annotator? (share of annotators that it may stand in for; yes from 50 %; alt-test)",
            study.replacement,
            who
            | {"humans": "annotators", "texts": "texts", "as near": percent("advantage")}
            | {kind: percent(f"winning_{kind}") for kind in ("crowd", "skilled", "expert")},
        ),
        _table(
            "Cost of each set",
            costs,
            who | {name.replace("_", " "): written(name, form="{:,.10g}") for name in costs.columns[2:]},
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
    """Of each set the `CLASSES` classes with the most wrong labels, and what to say of the others."""
    if not len(rows):
        return rows, ""
    wrong = ((1 - rows["right"]) * rows["texts"]).round()  # counts, so that equal ones tie
    place = wrong.groupby([rows["task"], rows["labels"]]).rank(method="first", ascending=False)
    kept = rows[place <= CLASSES]
    return kept, "" if len(kept) == len(rows) else f"; the {CLASSES} classes with the most wrong labels"


def ends(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Of each task the `PAIRS` pairs that agree most and least, the row of all together, and what to say of it."""
    if not len(rows):
        return rows, ""
    place = rows.where(rows["statistic"] == "Cohen")["kappa"].groupby(rows["task"]).rank(method="first")
    last = place.groupby(rows["task"]).transform("max")
    kept = rows[~((place > PAIRS) & (place <= last - PAIRS))]
    return kept, "" if len(kept) == len(rows) else f"; of many pairs the {PAIRS} that agree least and most"


def most_given(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Of each set the `CLASSES` labels that were given most often, and what to say of the others."""
    if not len(rows):
        return rows, ""
    kept = rows[rows.groupby(["task", "labels"])["given"].rank(method="first", ascending=False) <= CLASSES]
    return kept, "" if len(kept) == len(rows) else f"; the {CLASSES} most frequent labels"


def _costs(sizes: pd.DataFrame) -> pd.DataFrame:
    """Task, labels, and every cost of the sets whose cards name any."""
    if not len(sizes):
        return sizes
    names = [name for name in sizes.columns[sizes.columns.get_loc("accuracy") + 1 :] if name != "checked"]
    once = sizes.drop_duplicates(["task", "labels"])[["task", "labels", *names]]
    return once.dropna(subset=names, how="all")


def _table(title: str, frame: pd.DataFrame, columns: Mapping[str, Any]) -> Table | None:
    """A table of a frame: each column by its name in the frame, or by how a row is written."""
    writes = [written(how) if isinstance(how, str) else how for how in columns.values()]
    rows = [[write(row) for write in writes] for row in frame.to_dict("records")]
    return table(columns, rows, title=title, left=2) if rows else None


def written(*names: str, form: str = "{}", scale: float = 1) -> Write:
    """How to write the values of these columns, numbers times `scale`; ABSENT where one of them is missing."""

    def write(row: dict) -> str:
        found: list[Any] = [row.get(name) for name in names]
        if any(value is None or value != value for value in found):  # NaN
            return ABSENT
        text = form.format(*(value if isinstance(value, str) else scale * value for value in found))
        return text if any(isinstance(value, str) for value in found) else text.replace("-", "−")

    return write


def percent(name: str) -> Write:
    """How to write a share."""
    return written(name, form="{:.1f}", scale=100)


def interval(name: str, low: str = "", high: str = "", scale: float = 100, form: str = ".1f") -> Write:
    """How to write an estimate with its interval, of the columns NAME_low and NAME_high unless others are named."""
    names = name, low or f"{name}_low", high or f"{name}_high"
    return written(*names, form=f"{{:z{form}}} ({{:z{form}}}–{{:z{form}}})", scale=scale)


def _asked(row: dict) -> str:
    return str(row["asked"]) if row["asked"] == row["texts"] else f"{row['asked']} of {row['texts']}"
