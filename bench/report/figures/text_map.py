"""A map of the train texts, the wrongly labelled ones marked: t-SNE of sentence embeddings in the stage store."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.core.seeds import named_generator
from bench.report.figures.by_task import GREY, INK, ORANGE, PAPER, panels
from bench.report.figures.plan import Plan, make_plan, short
from bench.report.frame import Results
from bench.report.many_classes import MOST_NAMES
from bench.report.tables.blocks import Block
from bench.store.folder import ResultsFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_TEXTS = 800
MOST_NOISES = 6
LINE_HEIGHT, LETTER_WIDTH = 0.045, 0.0165
"""Of a name in a panel, as shares of the panel's height and width."""

HOW_TO = (
    "No map of the texts is drawn, because no record here has both things that it needs: gold labels of the train "
    "texts, and the sentence embeddings that a run keeps in the folder `stages` of its results (run without "
    "--no-stages, and keep that folder beside `cells`). Records made before the map, or packed without the labels of "
    "train texts, have none."
)


class Labelled(NamedTuple):
    """One noise source on the texts of a map."""

    noisy: np.ndarray  # int16[N_train], -1 = no answer
    gold: np.ndarray  # int16[N_train]


def text_map_plans(results: Results, block: Block, task: str) -> list[Plan]:
    """The map of a task's train texts, where embeddings and labels are at hand."""
    found: dict[Path, dict[str, Labelled]] = {}
    names: list[str] = []
    for column in block.of_task(task):
        for cell in (row["cell"] for method in block.methods for row in block.finished(method, [column])[:1]):
            arrays = results.arrays(cell, "train_labels", "train_gold")
            path = _embeddings(results, cell, len(arrays["train_gold"])) if arrays else None
            if arrays and path and (data := results.by_cell[cell].data):
                names = data.label_names
                found.setdefault(path, {})[column[1]] = Labelled(arrays["train_labels"], arrays["train_gold"])
                break
    if not found:
        return []
    path, labelled = max(found.items(), key=lambda item: len(item[1]))
    caption = (
        f"t-SNE of the sentence embeddings (cosine; at most {MOST_TEXTS} texts, drawn at random). Grey points: "
        "correctly labelled; orange crosses: wrongly labelled; rings: no answer. Names stand at or near the middle of "
        "their gold class, where there is room. Distances between groups that are far apart mean nothing in t-SNE."
    )
    if len(names) > MOST_NAMES:
        caption += f" Of {len(names):,} classes the {MOST_NAMES} most frequent are named."
    drawn = functools.partial(draw, path, labelled, names, task)
    return [make_plan("embedding", "Map of the train texts", caption, drawn, task, block.setup)]


def _embeddings(results: Results, cell: str, rows: int) -> Path | None:
    """The stored embeddings of a cell's train texts; None where they are missing."""
    for use in results.by_cell[cell].stages:
        path = ResultsFolder(results.folder).stage_path("embeddings", use.hash)
        if use.name == "embeddings" and path.is_file() and _length(path) == rows:
            return path
    return None


def _length(path: Path) -> int | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    return next((shape[0] for shape in shapes if len(shape) == 2), None)


def coordinates(vectors: np.ndarray) -> np.ndarray:
    """t-SNE of `vectors` float[N, D]: float[N, 2]; the same for the same vectors."""
    from sklearn.manifold import TSNE

    if len(vectors) < 4:
        return np.asarray(vectors, dtype=np.float64)[:, :2]
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    return TSNE(perplexity=perplexity, metric="cosine", init="random", random_state=0).fit_transform(vectors)


def apart(names: Sequence[str], places: np.ndarray, size: np.ndarray) -> list[tuple[str, float, float]]:
    """Where names stand without covering each other, at their place or above or below it.

    Names without room are left out; the first has the first choice. `places` float[names, 2] and `size` float[2], what
    a panel shows, are in the units of the axes.
    """
    chosen: list[tuple[float, float, float]] = []
    found = []
    line = size[1] * LINE_HEIGHT
    for name, (x, middle) in zip(names, places.tolist(), strict=True):
        width = size[0] * LETTER_WIDTH * (len(name) + 2)
        for step in (0, 1, -1, 2, -2):
            y = middle + step * line
            if all(abs(y - above) >= line or abs(x - beside) >= (width + wide) / 2 for beside, above, wide in chosen):
                chosen.append((x, y, width))
                found.append((name, x, y))
                break
    return found


def draw(path: Path, labelled: dict[str, Labelled], names: list[str], task: str) -> Figure:
    """One panel per noise source; the texts lie at the same places in all of them."""
    from safetensors.numpy import load_file

    vectors = next(array for array in load_file(path).values() if array.ndim == 2)
    size = min(MOST_TEXTS, len(vectors))
    rows = np.sort(named_generator("text map", task).choice(len(vectors), size=size, replace=False))
    places = coordinates(np.asarray(vectors[rows], dtype=np.float32))
    shown = dict(list(labelled.items())[:MOST_NOISES])
    figure, axes = panels(len(shown), 3.7, 3.5, across=3)
    for axis, (noise, labels) in zip(axes, shown.items(), strict=True):
        noisy, gold = labels.noisy[rows], labels.gold[rows]
        wrong, silent = (noisy != gold) & (noisy >= 0) & (gold >= 0), noisy < 0
        right = ~wrong & ~silent
        axis.plot(*places[right].T, "o", color=GREY, alpha=0.85, markersize=3, markeredgewidth=0)
        axis.plot(*places[wrong].T, "x", color=ORANGE, markersize=3.6, markeredgewidth=0.9)
        axis.plot(*places[silent].T, "o", color=INK, markerfacecolor=PAPER, markersize=4, markeredgewidth=0.9)
        present, counts = np.unique(gold[gold >= 0], return_counts=True)
        frequent = present[np.argsort(-counts, kind="stable")[:MOST_NAMES]]
        middles = np.array([np.median(places[gold == index], axis=0) for index in frequent])
        shown_names = [short(names[index], 18) for index in frequent]
        for name, x, y in apart(shown_names, middles, np.ptp(places, axis=0) * 1.1):
            box = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 1.2}
            axis.text(x, y, name, fontsize=7, ha="center", va="center", color=INK, bbox=box)
        unanswered = f", {100 * silent.mean():.0f} % no answer" if silent.any() else ""
        axis.set_title(f"{short(noise, 28)}: {100 * wrong.mean():.0f} % wrong{unanswered}", loc="left")
        axis.set(xticks=[], yticks=[])
        axis.grid(visible=False)
        for spine in axis.spines.values():
            spine.set_visible(False)
    return figure
