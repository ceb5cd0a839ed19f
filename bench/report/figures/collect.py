"""Which figures a report has, what data goes into each, and how they are saved."""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.report.figures.cut import cut_sentence, one_seed_sentence
from bench.report.figures.plan import Plan, make_plan, not_shown
from bench.report.frame import Results
from bench.report.many_classes import MOST_CLASSES, left_out
from bench.report.tables import stats
from bench.report.tables.blocks import Block, Column
from bench.store.metrics import METRICS
from bench.store.noise_words import NOISE_KINDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.report.figures.by_task import Grid

STYLE = Path(__file__).with_name("report.mplstyle")

MAX_METHODS, MAX_NOISES = 7, 5
"""A small-multiples figure beyond this is no longer readable; what is left out is said in its caption."""

PNG_DPI = 200


@contextmanager
def style() -> Iterator[None]:
    """The report's matplotlib style; characters without a glyph are drawn as boxes without a warning."""
    import matplotlib as mpl

    with mpl.rc_context(fname=STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def render_and_count(plan: Plan, formats: Collection[str]) -> tuple[dict[str, bytes], int]:
    """The figure by format (PNG of 200 dpi, SVG, PDF), and its number of panels: roughly what drawing it cost.

    Equal data give equal bytes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    made: dict[str, io.BytesIO] = {}
    with style():
        figure = plan.draw()
        # Straight to the canvases: `savefig` draws everything once more before it draws.
        if "png" in formats:
            figure.set_dpi(PNG_DPI)
            FigureCanvasAgg(figure).print_png(made.setdefault("png", io.BytesIO()), metadata={"Software": None})
            figure.set_layout_engine("none")  # settled by the first drawing
        if "svg" in formats:
            canvas = FigureCanvasSVG(figure)
            canvas.print_svg(made.setdefault("svg", io.BytesIO()), metadata={"Date": None, "Creator": None})
            figure.set_layout_engine("none")
        if "pdf" in formats:
            undated = {"CreationDate": None, "Creator": None, "Producer": None}
            FigureCanvasPdf(figure).print_pdf(made.setdefault("pdf", io.BytesIO()), metadata=undated)
    return {suffix: buffer.getvalue() for suffix, buffer in made.items()}, len(figure.axes)


def plans(
    results: Results,
    blocks: list[Block],
    rule: str,
    *,
    overview: bool = False,
    full: bool = False,
) -> list[Plan]:
    """Every figure that the records have data for; with `overview` only those over all columns of a set-up.

    With `full` the test texts are drawn anew however many cells there are.
    """
    from bench.report.figures.detection import detection_plans
    from bench.report.figures.kinds import kinds_plans
    from bench.report.figures.learning_curve import worth_plans
    from bench.report.figures.overview import overview_plans
    from bench.report.tables.headlines import headlines

    made = []
    for block in blocks:
        made += kinds_plans(headlines(results, block, rule, full), block.setup, rule) if block.columns else []
        made += overview_plans(block, rule)
        made += [] if overview else detection_plans(results, block)
        for task in () if overview else block.tasks():
            name, columns = f"accuracy_{rule}", block.of_task(task)
            if scored := [c for c in columns if any(block.values(m, c, name) for m in block.methods)]:
                made += worth_plans(block, task, rule)
                made += _task_plans(results, block, task, scored, rule)
    return made if overview else made + _confusion_plans(results)


def _task_plans(results: Results, block: Block, task: str, columns: list[Column], rule: str) -> list[Plan]:
    from bench.report.figures import by_task as plots
    from bench.report.figures.inside_sidyp import sidyp_plans
    from bench.report.figures.text_map import text_map_plans

    made = []

    def add(kind: str, what: str, caption: str, draw: Callable[[], Figure]) -> None:
        made.append(make_plan(kind, what, caption, draw, task, block.setup))

    for metric in ("accuracy", "ece"):
        found, frame = plots.shown_scores(block, columns, metric, rule)
        every = [stats.mean_interval(values) for of_column in found.values() for values in of_column.values()]
        caption = (
            "Points: means over seeds with 95 % t-intervals; small points: single seeds. Square and dashed line: the "
            "baseline. Hollow: references and methods with human labels, which do not compete."
            f"{one_seed_sentence(every, metric == 'accuracy')}{cut_sentence(every, frame)}"
        )
        add(metric, METRICS[metric].title, caption, functools.partial(plots.scores, block, columns, metric, rule))
    noises, methods, left_out = _fitting(block, columns)
    caption = (
        "Bars: accuracy of the test texts in each of 15 confidence bins, last step, seeds pooled; hatched: the gap to "
        "the confidence; grey strip: how many texts. ECE: mean over seeds."
    )
    binned = functools.partial(reliability_data, results, block, task, noises, methods)
    add("reliability", "Reliability", caption + left_out, lambda: plots.reliability(binned()))
    if curves := memorisation_data(results, block, task, noises, methods):
        caption = (
            "Share of the correctly and of the wrongly labelled train texts that are predicted as labelled, and test "
            "accuracy, after each step. Thick: mean over seeds; thin: single seeds."
        )
        if any(curve is not None and np.isnan(curve["fit_correct"]).all() for curve in curves.values()):
            caption += " Methods that keep no predictions of train texts have test accuracy only."
        add("memorisation", "Memorisation of noise", caption + left_out, lambda: plots.memorisation(curves))
    return made + sidyp_plans(results, block, task) + text_map_plans(results, block, task)


def _fitting(block: Block, columns: list[Column]) -> tuple[list[str], list[str], str]:
    """The noise sources and the most accurate methods that fit into small multiples, and what does not, in words."""
    noises = [noise for _, noise in sorted(columns, key=lambda column: column in block.superseded)]
    scored = [m for m in block.methods if any(block.values(m, c, "accuracy_last") for c in columns)]

    def mean(method: str) -> float:
        return float(np.mean([v for c in columns for v in block.values(method, c, "accuracy_last").values()]))

    ranked = sorted(scored, key=lambda m: (m != block.baseline, m in block.references, -mean(m)))
    chosen = set(ranked[:MAX_METHODS])
    methods = [method for method in scored if method in chosen]
    cut = [*noises[MAX_NOISES:], *(method for method in scored if method not in chosen)]
    return noises[:MAX_NOISES], methods, not_shown(cut)


def reliability_data(results: Results, block: Block, task: str, noises: list[str], methods: list[str]) -> Grid:
    """Reliability bins pooled over seeds, by (noise, method): `count`, `accuracy`, `confidence` float64[15], `ece`."""

    def pooled(method: str, column: Column) -> dict[str, np.ndarray] | None:
        rows = block.rows.get((method, column), [])
        found = [bins for row in rows if (bins := results.bins(row["cell"])) is not None]
        eces = list(block.values(method, column, "ece_last").values())
        if not found or not eces:
            return None
        counts = np.array([bins["count"] for bins in found], dtype=np.float64)
        made = {"count": counts.sum(axis=0), "ece": np.asarray(np.mean(eces))}
        for name in ("accuracy", "confidence"):
            sums = (counts * np.nan_to_num(np.array([bins[name] for bins in found], dtype=np.float64))).sum(axis=0)
            nothing = np.full(len(sums), np.nan)
            made[name] = np.divide(sums, made["count"], out=nothing, where=made["count"] > 0)
        return made

    return {(noise, method): pooled(method, (task, noise)) for noise in noises for method in methods}


def memorisation_data(results: Results, block: Block, task: str, noises: list[str], methods: list[str]) -> Grid:
    """Curves by (noise, method): `step` float[steps], the others float[seeds, steps]; empty without any fit curve.

    Seeds may have stopped at different steps: the curve ends where the first of them ends.
    """

    def stacked(method: str, column: Column) -> dict[str, np.ndarray] | None:
        rows = block.rows.get((method, column), [])
        curves = [curve for row in rows if (curve := results.by_cell[row["cell"]].curve)]
        if not curves:
            return None
        points = [curve[: min(map(len, curves))] for curve in curves]
        made = {
            name: np.array([[getattr(point, name) for point in curve] for curve in points], dtype=np.float64)
            for name in ("fit_correct", "fit_wrong", "test_accuracy")
        }
        return made | {"step": np.array([point.step for point in points[0]], dtype=np.float64)}

    grid = {(noise, method): stacked(method, (task, noise)) for noise in noises for method in methods}
    return grid if any(c is not None and not np.isnan(c["fit_wrong"]).all() for c in grid.values()) else {}


def confusion_data(results: Results, task: str) -> tuple[dict[str, np.ndarray], list[str]]:
    """Counts by noise source, int[C, C] summed over seeds, and the names of the classes."""
    cells = results.cells
    chosen = cells[(cells["task"] == task) & (cells["status"] == "done")]
    matrices: dict[str, np.ndarray] = {}
    names: list[str] = []
    seen = set()
    order = list(NOISE_KINDS).index
    by_kind = sorted(zip(chosen["cell"], chosen["noise"], chosen["noise_kind"], strict=True), key=lambda r: order(r[2]))
    for cell, noise, _ in by_kind:
        record = results.by_cell[cell]
        # Methods and set-ups share their noisy labels: each draw of them is counted once.
        draw = (noise, record.key.data, record.key.limit, record.key.seed)
        counts = record.noise.confusion() if record.noise and draw not in seen else None
        if counts is None or record.data is None:
            continue
        seen.add(draw)
        names = names or record.data.label_names
        if len(counts) == len(names) and record.data.label_names == names:
            matrices[noise] = matrices[noise] + counts if noise in matrices else counts
    return matrices, names


def _confusion_plans(results: Results) -> list[Plan]:
    from bench.report.figures import by_task as plots

    made = []
    for task in sorted(results.cells["task"].unique()):
        matrices, names = confusion_data(results, task)
        if matrices:
            cut = left_out(len(names))
            if len(names) > MOST_CLASSES:  # each panel is large then
                cut += not_shown(list(matrices)[MAX_NOISES:])
                matrices = dict(list(matrices.items())[:MAX_NOISES])
            caption = (
                "Of the train texts of each gold class (rows): the share that was given each label (columns), answered "
                f"texts only, seeds pooled. Numbers are per cent.{cut}"
            )
            draw = functools.partial(plots.confusion, matrices, names, task)
            made.append(make_plan("confusion", "Noisy labels", caption, draw, task))
    return made
