"""How well the methods' beliefs about their training labels find the wrong ones, scored against gold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from bench.report.frame import Results
from bench.report.tables import stats
from bench.report.tables.base import Context, ReportTable, register
from bench.report.tables.blocks import Block, Column
from bench.report.tables.bootstrap import too_many
from bench.report.tables.entries import interval_entry
from bench.report.tables.model import Head, Table
from bench.store.opinions import OPINIONS
from bench.store.trust import Detection, detection, opinion, suspicion

ARRAYS = ("train_labels", "train_gold")
MEASURES = {
    "average_precision": Head("average precision", "", "%"),
    "chance": Head("chance", "", "error rate, %"),
    "times": Head("times chance"),
    "first_50": Head("first 50", "precision (%)"),
    "first_100": Head("first 100", "precision (%)"),
    "first_errors": Head("first E", "precision (%)", "E = errors"),
    "found_in_tenth": Head("found", "", "in the first 10 %, % of E"),
    "corrected": Head("corrected", "", "suggestion right, % of E"),
}
CLEANLAB = (
    "cleanlab is the ranking by self-confidence of the library of that name (out-of-fold probabilities): the baseline "
    "to beat."
)


@register
class DetectionTables(ReportTable):
    """What the methods' beliefs find of the wrong training labels."""

    name, order = "detection", 65
    kinds: ClassVar = {"detection": "wrong labels found"}

    def make(self, context: Context) -> Iterable[Table]:
        """One table, averaged over the columns that all methods with a belief have; none without gold to score it."""
        if too_many(context.read, context.full):
            return
        block = context.block.by("noisy_valid")  # without the baseline stopped early as a row of its own
        found = scores(context.read, block)
        columns = [column for column in block.current() if any((method, column) in found for method in block.methods)]
        methods = [method for method in block.methods if any((method, column) in found for column in columns)]
        shared = [column for column in columns if all((method, column) in found for method in methods)]
        few = stats.too_few_seeds({method: [found[method, column] for column in shared] for method in methods})
        methods = [method for method in methods if method not in few]
        by_cell = [found[method, column] for method in methods for column in shared]
        if not (seeds := stats.common_seeds(by_cell)):
            if by_cell:
                context.read.notes.append(
                    f"Wrong labels found is left out for {block.setup}: the methods share no seed."
                )
            return
        rows = []
        for method in methods:
            entries = []
            for name in MEASURES:
                sums = [sum(_value(found[method, column][seed], name) for column in shared) for seed in seeds]
                interval = stats.mean_interval([each / len(shared) for each in sums])
                entries.append(interval_entry(interval, block.ids(method, shared)))
            rows.append(block.row(method, entries))
        over = ", ".join(f"{task} {noise}" for task, noise in shared)
        which = "seeds" if all(len(each) == len(seeds) for each in by_cell) else "the seeds that all of them have"
        caption = (
            f"Averages over {over}; mean ± 95 % t-interval over {which}. The answered training labels are ranked by "
            "1 − the belief in them: the method's posterior, or its running predictions averaged over the steps. Gold "
            "scores the ranking and has no other part in it.",
            CLEANLAB if "cleanlab" in methods else "",
            "A random ranking has 1 times chance, and none can have more than 1 / the error rate.",
            f"Without {', '.join(few)}: too few seeds." if few else "",
        )
        yield block.table("detection", f"Wrong labels found: {block.setup}", MEASURES.values(), rows, caption)


def _value(score: Detection, name: str) -> float:
    if name == "times":
        return score.average_precision / score.chance
    return 100 * getattr(score, name)


def scores(read: Results, block: Block) -> Mapping[tuple[str, Column], Mapping[int, Detection]]:
    """The detection of every cell of competing methods that keeps a belief and has gold, by method, column and seed.

    Read once per set-up, for the table and the figure.
    """
    key = ("detection", block.setup, block.early)
    if key not in read.cache:
        read.cache[key] = _scores(read, block)
    return read.cache[key]


def _scores(read: Results, block: Block) -> Mapping[tuple[str, Column], Mapping[int, Detection]]:
    found: dict[tuple[str, Column], dict[int, Detection]] = {}
    for (method, column), rows in block.rows.items():
        if method in block.references or method not in block.methods:
            continue
        for row in rows:
            score = _score(read, row["cell"]) if row["status"] == "done" else None
            if score is not None:
                found.setdefault((method, column), {})[row["seed"]] = score
    return found


def _score(read: Results, cell: str) -> Detection | None:
    data, arrays = read.by_cell[cell].data, read.arrays(cell, *ARRAYS)
    believed = read.some_arrays(cell, *OPINIONS, *(f"{name}_classes" for name in OPINIONS))
    belief = None if data is None else opinion(believed, len(data.label_names))
    if arrays is None or belief is None or len(belief) != len(arrays["train_labels"]):
        return None
    labels, gold = (arrays[name].astype(int) for name in ARRAYS)
    return detection(suspicion(belief, labels), belief.argmax(axis=1), labels, gold)
