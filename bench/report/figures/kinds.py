"""The figure that stands beside a report's answers: what every method gains over the baseline, by kind of noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.texts import plural
from bench.report.figures.by_task import BLUE, INK, ORANGE, PAPER, method_axis, new_figure, row_height
from bench.report.figures.cut import Frame, arrowheads, cut_sentence, frame_around, one_seed_sentence
from bench.report.figures.plan import Plan, make_plan, not_shown, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.report.tables.headlines import Headline
    from bench.report.tables.stats import Interval

MOST_METHODS = 24
RULES: dict[str, tuple[str, dict[str, Any]]] = {
    "last": ("last step", {"fmt": "o", "color": BLUE, "markerfacecolor": BLUE}),
    "noisy_valid": ("early stopping on noisy validation labels", {"fmt": "s", "color": ORANGE, "mfc": PAPER}),
}


def kinds_plans(found: Sequence[Headline], setup: str, rule: str) -> list[Plan]:
    """The figure of one set-up; none where nothing is compared with a baseline."""
    shown = [each for each in found if each.rows]
    if not shown:
        return []
    methods = ordered(shown, rule)
    drawn = methods[:MOST_METHODS]
    gains = gains_of(shown, drawn)
    one_seed = one_seed_sentence(gains, any(row.gap.texts for each in shown for row in each.rows))
    caption = (
        "Points of accuracy over the baseline by the same rule, paired by seed, with 95 % t-intervals over seeds; one "
        "panel per kind of noise, methods by their mean over the panels."
        f"{one_seed}{cut_sentence(gains, frame_of(shown, drawn))}{not_shown(methods[MOST_METHODS:])}"
    )
    title = f"Gain over {shown[0].baseline} by kind of noise"
    return [make_plan("kinds", title, caption, lambda: draw(shown, drawn), setup=setup)]


def ordered(found: Sequence[Headline], rule: str) -> list[str]:
    """The methods, the largest mean gain over the kinds of noise first."""
    gains: dict[str, list[float]] = {}
    for each in found:
        for row in each.rows:
            gains.setdefault(row.method, [])
            if row.rule == rule:
                gains[row.method].append(row.gap.seeds.mean)
    return sorted(gains, key=lambda method: -np.mean(gains[method]) if gains[method] else np.inf)


def gains_of(found: Sequence[Headline], methods: Sequence[str]) -> list[Interval]:
    """What the figure shows."""
    return [row.gap.seeds for each in found for row in each.rows if row.method in methods]


def frame_of(found: Sequence[Headline], methods: Sequence[str]) -> Frame:
    """Where the shared horizontal axis of the panels begins and ends."""
    gains = gains_of(found, methods)
    return frame_around(np.array([0.0, *(gain.mean for gain in gains)]), gains, 0.15, 0.5)


def draw(found: Sequence[Headline], methods: Sequence[str]) -> Figure:
    """One panel per kind of noise, one line per method, a mark with its interval per rule."""
    figure = new_figure(1.6 + 1.9 * len(found), 1.5 + row_height(methods) * len(methods))
    axes = figure.subplots(1, len(found), sharex=True, sharey=True, squeeze=False)[0]
    frame = frame_of(found, methods)
    for axis, each in zip(axes, found, strict=True):
        axis.axvline(0, color=INK, linewidth=0.8, linestyle="--")
        for shift, (rule, (_, style)) in zip((-0.17, 0.17), RULES.items(), strict=True):
            rows = [row for row in each.rows if row.rule == rule and row.method in methods]
            gains, places = [row.gap.seeds for row in rows], [methods.index(row.method) + shift for row in rows]
            halves = np.nan_to_num([gain.half for gain in gains])
            axis.errorbar(
                [gain.mean for gain in gains], places, xerr=halves if len(rows) and halves.any() else None,
                capsize=2, elinewidth=1, markersize=4, **style,
            )  # fmt: skip
            arrowheads(axis, gains, np.array(places), frame, style["color"])
        axis.set_title(f"{each.title}\n{plural(each.columns, 'column')}", loc="left")
        axis.set_xlabel("points")
        method_axis(axis, methods)
    axes[0].set_xlim(frame)
    drawn = {row.rule for each in found for row in each.rows if row.method in methods}
    handles = [axes[0].errorbar([], [], label=label, **look) for rule, (label, look) in RULES.items() if rule in drawn]
    figure.legend(handles=handles, loc="outside lower left", ncols=2)
    figure.suptitle(f"Gain in accuracy over {short(found[0].baseline)}", x=0.01, ha="left")
    return figure
