"""The page and figures on what the mistakes in label sets are like, from the frames of `bench labels`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.report.figures.collect import render_and_count
from bench.report.figures.label_sets import label_set_plans
from bench.report.output.page import environment, inline_svg, natural_width

if TYPE_CHECKING:
    import pandas as pd

NAME = "labels.html"
FIGURES = "figures"


def label_files(frames: Mapping[str, pd.DataFrame]) -> dict[str, bytes]:
    """The page and its figures as files.

    Parameters
    ----------
    frames
        By name (`sizes`, `kind`, `predictable`, `classes`, `mistakes`, `shared`): the frames of a study of label sets,
        each possibly empty.

    Returns
    -------
    dict of str to bytes
        By path: `labels.html`, which needs no other file and no network, and `figures/*.png` and `*.svg`.
    """
    from markupsafe import Markup

    files: dict[str, bytes] = {}
    drawn = []
    for number, plan in enumerate(label_set_plans(frames)):
        made, _ = render_and_count(plan, ("png", "svg"))
        files |= {f"{FIGURES}/{plan.name}.{suffix}": content for suffix, content in made.items()}
        drawn.append((plan, Markup(inline_svg(made["svg"].decode(), f"f{number}-", plan.title))))
    sets = _rows(frames["sizes"])
    train = [row for row in sets if row["split"] == "train"]
    facts = {name: {(r["task"], r["labels"]): r for r in _rows(frames[name])} for name in ("kind", "predictable")}
    page = environment().get_template("labels.html.j2")
    text = page.render(
        tasks=list(dict.fromkeys(row["task"] for row in sets)),
        sets=[row | {name: facts[name].get((row["task"], row["labels"]), {}) for name in facts} for row in train],
        shared=_rows(frames["shared"]),
        figures=drawn,
        natural=natural_width,
        percent=_percent,
        between=_between,
    )
    return {NAME: text.encode()} | files


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame, without what is unknown (NaN)."""
    return [{name: value for name, value in row.items() if value == value} for row in frame.to_dict("records")]


def _percent(row: Mapping[str, Any], name: str) -> str:
    """A share with its interval, where it has one, in per cent."""
    return _between(row, name, 100, ".1f")


def _between(row: Mapping[str, Any], name: str, scale: float = 1, form: str = ".2f") -> str:
    value, low, high = (row.get(each) for each in (name, f"{name}_low", f"{name}_high"))
    if value is None:
        return "–"
    around = f" ({scale * low:{form}}–{scale * high:{form}})" if low is not None and high is not None else ""
    return f"{scale * value:{form}}{around}"
