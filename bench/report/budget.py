"""What human corrections buy, by how their rows were chosen: a tidy table, and a figure."""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from bench.report.figures.by_task import BLUE, GREEN, GREY, ORANGE, panels
from bench.report.figures.collect import render_and_count
from bench.report.figures.plan import make_plan, short
from bench.report.tables import stats
from bench.store.records import Record

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

STYLES = {"random": (GREY, "o"), "suspicion": (BLUE, "s"), "disagreement": (ORANGE, "^"), "entropy": (GREEN, "D")}
"""Colour and marker by how rows were chosen."""


def budget_table(records: Collection[Record]) -> pd.DataFrame:
    """Accuracy after k corrections, for cells of `corrected` and those of the method on uncorrected labels (k = 0).

    Returns
    -------
    DataFrame
        A row per task, noise source, way of choosing and number of corrected rows: columns task, noise, chosen, rows,
        human_labels, accuracy (per cent, mean over seeds), half (of the 95 % t-interval), gain and gain_half (paired
        by seed, over the same number of random rows; NaN for these), seeds, labels_changed (mean
        number, 0 for the uncorrected ones).
    """
    import pandas as pd

    cells = []
    for each in records:
        score = each.scores.last if each.scores else None
        if each.status != "done" or score is None:
            continue
        corrected = each.key.method == "corrected"
        config = each.key.config if corrected else {"rows": 0, "chosen": ""}
        changed = float(each.diagnostics.get("labels_changed", 0)) if corrected else 0.0  # other methods': a share
        place = (each.key.task, each.key.noise, config["chosen"], each.human_labels or 0)
        cells.append((*place, each.key.seed, 100 * score.accuracy, changed))
    names = ["task", "noise", "chosen", "rows", "seed", "accuracy", "labels_changed"]
    frame = pd.DataFrame(cells, columns=names)
    by_place = {place: part.set_index("seed") for place, part in frame.groupby(names[:4], sort=False)}
    made = []
    for (task, noise, chosen, rows), part in by_place.items():
        mean, half, n = stats.mean_interval(part["accuracy"].tolist())
        random = by_place.get((task, noise, "random", rows))
        gain = stats.Interval(np.nan, np.nan, 0)
        if chosen not in ("", "random") and random is not None:
            gain = stats.paired_difference(dict(part["accuracy"]), dict(random["accuracy"]))
        made.append((task, noise, chosen, rows, mean, half, gain.mean, gain.half, n, part["labels_changed"].mean()))
    columns = [*names[:4], "accuracy", "half", "gain", "gain_half", "seeds", "labels_changed"]
    return pd.DataFrame(made, columns=columns).sort_values(names[:4], kind="stable").reset_index(drop=True)


def budget_figure(table: pd.DataFrame, method: str) -> Figure:
    """A panel per noise source: accuracy by the number of corrected rows, a line per way of choosing."""
    columns = list(dict.fromkeys(zip(table["task"], table["noise"], strict=True)))
    made, axes = panels(len(columns), 4.6, 3.4)
    for axis, (task, noise) in zip(axes, columns, strict=True):
        part = table[(table["task"] == task) & (table["noise"] == noise)]
        nothing = part[part["rows"] == 0]
        for chosen, (colour, marker) in STYLES.items():
            line = part[part["chosen"] == chosen]
            if len(line):
                axis.errorbar(
                    [*nothing["rows"], *line["rows"]], [*nothing["accuracy"], *line["accuracy"]],
                    yerr=np.nan_to_num([*nothing["half"], *line["half"]]), color=colour, marker=marker, markersize=4,
                    capsize=2.5, elinewidth=1, label=chosen,
                )  # fmt: skip
        axis.set_title(f"{short(task)}, {short(noise, 30)}", loc="left")
        axis.set_xlabel("labels that a person corrected")
        axis.set_ylabel("accuracy (%)")
        axis.legend(title="rows chosen by", frameon=False)
    made.suptitle(f"{short(method, 40)} on corrected labels; bars: 95 % t-interval over seeds", x=0.01, ha="left")
    return made


def budget_png(table: pd.DataFrame, method: str) -> bytes:
    """The figure as a PNG file."""
    made, _ = render_and_count(make_plan("budget", "", "", functools.partial(budget_figure, table, method)), ["png"])
    return made["png"]
