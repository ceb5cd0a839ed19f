"""What the mistakes in label sets are like: figures for a talk from the frames of `bench labels`, in large type."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import Normalize

from bench.report.figures.by_task import GREY, INK, PAPER, new_figure
from bench.report.figures.plan import Plan, make_plan, short

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGE: dict[Any, Any] = {
    "font.size": 14,
    "axes.labelsize": 14,
    "legend.fontsize": 12,
    "figure.titlesize": 17,
    "lines.markersize": 8,
}
TICKS, SMALL = 13, 10
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK, "#5e3c99")
LOOKS = list(zip(COLOURS, "osD^vPX*", strict=True))
"""Colour and marker of the first families or tasks."""
OTHER = (GREY, "o")
MOST_CLASSES = 10
"""Classes that a map of precisions shows."""
NOISE_CAPTION = "Lines: 95 % Wilson intervals. Hollow: few-shot."
CROWDED = 9
"""Labellers from which on a heat map has no numbers."""


def family(name: str) -> str:
    """The family of an LLM by how its name begins: `gpt` for gpt-4o/zero and GPT-3.5."""
    found = re.match(r"[^\W\d_]+", name)
    return found[0].lower() if found else name


def families(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker by family, for those with the most label sets; the others are grey."""
    common = [name for name, _ in Counter(map(family, names)).most_common(len(LOOKS))]
    return dict(zip(common, LOOKS, strict=False))


def noise(sets: pd.DataFrame) -> Figure:
    """Noise rate of every set with its interval, a column per task; hollow: few-shot."""
    tasks = list(sets.groupby("task")["noise_rate"].median().sort_values().index)
    looks = families(sets["labels"])
    figure = new_figure(1.5 + 1.35 * len(tasks), 5.6)
    axis = figure.subplots()
    for place, task in enumerate(tasks):
        rows = sets[sets["task"] == task].sort_values("noise_rate")
        at = place + (np.linspace(-0.36, 0.36, len(rows)) if len(rows) > 1 else np.zeros(1))
        for x, row in zip(at, rows.to_dict("records"), strict=True):
            rate, low, high, style = _look(row, looks)
            axis.errorbar(x, rate, [[max(rate - low, 0)], [max(high - rate, 0)]], markersize=7, elinewidth=1.4, **style)
    axis.set_xticks(range(len(tasks)), [short(task, 14) for task in tasks])
    axis.set(xlim=(-0.6, len(tasks) - 0.4), ylim=(0, min(100, axis.get_ylim()[1])), ylabel="wrong labels (%)")
    axis.tick_params(labelsize=TICKS)
    axis.grid(visible=False, axis="x")
    shown = looks | ({"other": OTHER} if len(set(map(family, sets["labels"]))) > len(looks) else {})
    handles = [axis.plot([], [], marker, color=colour)[0] for colour, marker in shown.values()]
    names = [short(name, 16) for name in shown]
    if sets["labels"].str.endswith("/few").any():
        handles += axis.plot([], [], "o", color=INK, mfc=PAPER)
        names.append("hollow: few-shot")
    figure.legend(handles, names, loc="outside right center")
    return figure


def _look(row: Mapping[str, Any], looks: Mapping[str, tuple[str, str]]) -> tuple[float, float, float, dict[str, Any]]:
    """The noise rate of a set with its interval, in per cent, and its marker: hollow for few-shot."""
    rate, low, high = (100 * row[name] for name in ("noise_rate", "noise_low", "noise_high"))
    colour, marker = looks.get(family(row["labels"]), OTHER)
    return rate, low, high, {"fmt": marker, "color": colour, "mfc": PAPER if row["labels"].endswith("/few") else colour}


def by_name(rows: pd.DataFrame, looks: Mapping[str, tuple[str, str]]) -> Figure:
    """Noise rate of every set of a task by name, the least wrong first."""
    rows = rows.sort_values("noise_rate", ascending=False)
    figure, axis = _named_rows(8.5, 1.3 + 0.33 * len(rows), [short(name, 30) for name in rows["labels"]])
    for y, row in enumerate(rows.to_dict("records")):
        rate, low, high, style = _look(row, looks)
        axis.hlines(y, low, high, color=style["color"], linewidth=1.8)
        axis.errorbar(rate, y, markersize=8, **style)
    axis.set(xlim=(0, None), ylim=(-0.7, len(rows) - 0.3), xlabel="wrong labels (%)")
    return figure


def _named_rows(width: float, height: float, names: list[str]) -> tuple[Figure, Axes]:
    figure = new_figure(width, height)
    axis = figure.subplots()
    axis.set_yticks(range(len(names)), names)
    axis.tick_params(labelsize=TICKS)
    axis.grid(visible=False, axis="y")
    return figure, axis


def predictable(sets: pd.DataFrame) -> Figure:
    """AUC of "is this label wrong?" from the text against the noise rate, a colour per task."""
    figure = new_figure(9.5, 5.6)
    axis = figure.subplots()
    axis.axhline(0.5, color=GREY, linestyle="--", linewidth=1.2)
    for place, (task, rows) in enumerate(sets.groupby("task")):
        colour, marker = LOOKS[place % len(LOOKS)]
        spread = np.abs(rows[["auc_low", "auc_high"]].to_numpy().T - rows["auc"].to_numpy())
        style: dict[str, Any] = {"fmt": marker, "color": colour, "elinewidth": 1, "label": short(str(task), 16)}
        axis.errorbar(100 * rows["noise_rate"], rows["auc"], spread, markersize=8, ecolor=colour + "66", **style)
    axis.text(0.99, 0.505, "by chance", transform=axis.get_yaxis_transform(), ha="right", color=GREY)
    axis.set(xlabel="wrong labels (%)", ylabel="AUC: is it wrong?")
    axis.tick_params(labelsize=TICKS)
    figure.legend(loc="outside right center")
    return figure


def shared(pairs: pd.DataFrame, order: list[str]) -> Figure:
    """Heat map of the κ of errors between the sets of a task, the least wrong first."""
    place = {name: at for at, name in enumerate(order)}
    kappa = np.full((len(order), len(order)), np.nan)
    a, b = pairs["a"].map(place), pairs["b"].map(place)
    kappa[a, b] = kappa[b, a] = pairs["kappa"]
    few, names = len(order) <= CROWDED, [short(name, 30) for name in order]
    look = ("RdBu", Normalize(-1, 1), "κ of errors", "{:.2f}" if few else "")
    return _heat_map(kappa, names, names, (0.62 if few else 0.36) * len(order), look)


def precision(rows: pd.DataFrame, order: list[str]) -> Figure:
    """Heat map of the precision of each assigned class, a row per set."""
    classes = list(dict.fromkeys(rows["class"]))
    table = rows.pivot(index="labels", columns="class", values="precision").reindex(index=order, columns=classes)
    names, columns = [short(name, 30) for name in order], [short(name, 18) for name in classes]
    look = ("Blues", Normalize(0, 100), "right (%)", "{:.0f}")
    return _heat_map(100 * table.to_numpy(), names, columns, 0.8 * len(classes), look)


def _heat_map(
    values: np.ndarray, rows: list[str], columns: list[str], width: float, look: tuple[str, Normalize, str, str]
) -> Figure:
    """A heat map with names; `look` is colour map, scale, its name, and how numbers are written."""
    colours, norm, name, form = look
    figure = new_figure(4.6 + width, 1.9 + 0.36 * len(rows))
    axis = figure.subplots()
    mesh = axis.pcolormesh(values, cmap=colours, norm=norm, edgecolors=PAPER, linewidth=0.6)
    axis.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axis.set_ylim(len(rows), 0)
    axis.tick_params(length=0, labelsize=TICKS if len(columns) <= CROWDED else SMALL + 1)
    axis.grid(visible=False)
    if form:
        shade = np.abs(np.nan_to_num(values)) / norm.vmax
        for y, x in np.ndindex(values.shape):
            known = np.isfinite(values[y, x])
            colour = ("#fefefe" if shade[y, x] > 0.55 else "#0a0a0a") if known else GREY
            text = form.format(values[y, x]).replace("-", "−") if known else "–"
            axis.text(x + 0.5, y + 0.5, text, ha="center", va="center", color=colour, fontsize=12)
    figure.colorbar(mesh, ax=axis, label=name, shrink=0.8 if len(rows) > CROWDED else 1).ax.tick_params(labelsize=SMALL)
    return figure


def unanimous(rows: pd.DataFrame) -> Figure:
    """Of the texts of a task on which all labellers agree: how many are wrong, with the interval."""
    rows = rows.sort_values("unanimous_wrong", ascending=False)
    names = [f"{short(task, 16)}, {sets} sets" for task, sets in zip(rows["task"], rows["sets"], strict=True)]
    figure, axis = _named_rows(9.5, 1.6 + 0.5 * len(rows), names)
    for y, row in enumerate(rows.to_dict("records")):
        rate, low, high = (100 * row[f"unanimous_wrong{end}"] for end in ("", "_low", "_high"))
        axis.barh(y, rate, color=LOOKS[0][0], height=0.6)
        axis.hlines(y, low, high, color=INK, linewidth=2)
        axis.text(high + 0.8, y, f"of {row['unanimous']:,} texts ({100 * row['unanimous_share']:.0f} %)", va="center")
    axis.set(xlim=(0, 1.45 * 100 * rows["unanimous_wrong_high"].max()), xlabel="wrong though all LLMs agree (%)")
    return figure


def label_set_plans(frames: Mapping[str, pd.DataFrame]) -> list[Plan]:
    """The figures that the frames of a study have data for: `sizes`, `predictable`, `classes`, `mistakes`, `shared`."""
    sizes, told, together = (frames[name] for name in ("sizes", "predictable", "shared"))
    sets = sizes[(sizes["split"] == "train") & sizes["noise_rate"].notna()] if len(sizes) else sizes
    if not len(sets):
        return []
    caption = f"Train texts with an answer and gold. {NOISE_CAPTION}"
    made = [_plan("noise", "How often LLMs are wrong", caption, "", noise, sets)]
    if len(told := told.dropna(subset="auc") if len(told) else told):
        told = told.merge(sets[["task", "labels", "noise_rate"]], on=["task", "labels"])
        source = ", ".join(sorted(set(told["features"])))
        caption = (
            f"Cross-fitted from {source}. Faint lines: 95 % intervals. 0.5: the text says nothing; 1: it says all."
        )
        made.append(_plan("predictable", "Can mistakes be predicted from the text?", caption, "", predictable, told))
    if len(together := together[together["unanimous"] > 0] if len(together) else together):
        caption = "Lines: 95 % Wilson intervals. In brackets: on which share of the texts that all answered they agree."
        made.append(_plan("unanimous", "All agree, and all are wrong", caption, "", unanimous, together))
    looks = families(sets["labels"])
    for task, rows in sets.groupby("task", sort=False):
        order = list(rows.sort_values("noise_rate")["labels"])
        made.append(_plan("names", "How often LLMs are wrong", NOISE_CAPTION, task, by_name, rows, looks))
        pairs, classes = (_of(frames[name], task) for name in ("mistakes", "classes"))
        if len(order) > 2 and len(pairs):
            caption = "Cohen's κ of being wrong. 0: independent mistakes; 1: on the same texts. The least wrong first."
            made.append(_plan("kappa", "Do LLMs make the same mistakes?", caption, task, shared, pairs, order))
        if 0 < len(set(classes["class"])) <= MOST_CLASSES:
            caption = (
                "Of the texts given a label, all splits: how many are right. –: never given. The least wrong first."
            )
            made.append(_plan("precision", "How far to trust each label", caption, task, precision, classes, order))
    return made


def _of(frame: pd.DataFrame, task: Any) -> pd.DataFrame:
    return frame[frame["task"] == task] if len(frame) else frame


def _plan(kind: str, what: str, caption: str, task: Any, draw: Callable[..., Figure], *args: Any) -> Plan:
    """The plan of a figure that is drawn in large type."""
    plan = make_plan(kind, what, caption, functools.partial(draw, *args), task)

    def large() -> Figure:
        import matplotlib as mpl

        with mpl.rc_context(LARGE):
            return plan.draw()

    return dataclasses.replace(plan, draw=large)
