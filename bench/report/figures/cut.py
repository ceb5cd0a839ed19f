"""A figure's frame around points and intervals: arrowheads where one is wider, and sentences for the caption."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.report.tables.stats import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Frame = tuple[float, float]
"""Where the horizontal axis begins and ends."""


def frame_around(points: np.ndarray, intervals: Iterable[Interval], share: float, least: float) -> Frame:
    """A frame for `points` float[n] with a margin of that share of their range, and at least `least`.

    It holds every point, and intervals as far as twice the points' range or half the median interval's width beyond
    them: those of few seeds may be so wide that they are cut, see `arrowheads`.
    """
    known = [each for each in intervals if np.isfinite(each.half)]
    reach = max(2 * np.ptp(points), np.median([each.half for each in known] or [0.0]))
    low, high = points.min(), points.max()
    pad = max(share * np.ptp(points), least)
    low = max(low - reach, min([low, *(each.mean - each.half for each in known)]))
    high = min(high + reach, max([high, *(each.mean + each.half for each in known)]))
    return float(low - pad), float(high + pad)


def cut_sentence(intervals: Iterable[Interval], frame: Frame) -> str:
    """What a caption says of intervals that reach beyond the frame; empty where none does."""
    low, high = frame
    cut = any(each.mean - each.half < low or each.mean + each.half > high for each in intervals)
    return " An arrowhead at the frame: the interval reaches beyond it." if cut else ""


def one_seed_sentence(intervals: Iterable[Interval], over_texts: bool) -> str:
    """What a caption says where one seed gives no interval; `over_texts`: the tables have another one there."""
    elsewhere = "; the tables have one over test texts" if over_texts else ""
    return f" With one seed no interval is drawn{elsewhere}." if any(each.n == 1 for each in intervals) else ""


def arrowheads(axis: Axes, intervals: Iterable[Interval], places: np.ndarray, frame: Frame, colour: str) -> None:
    """An arrowhead at the edge of the frame for every interval that reaches beyond it, at its height in `places`."""
    intervals = list(intervals)
    means, halves = (np.array([getattr(each, name) for each in intervals]) for name in ("mean", "half"))
    style: dict[str, Any] = {"markersize": 5, "clip_on": False, "transform": axis.get_yaxis_transform()}
    for edge, marker, beyond in ((0, "<", means - halves < frame[0]), (1, ">", means + halves > frame[1])):
        if beyond.any():  # a line without points would count as one at the figure's corner
            axis.plot(np.full(beyond.sum(), edge), np.asarray(places)[beyond], marker, color=colour, **style)
