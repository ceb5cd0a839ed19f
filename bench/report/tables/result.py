"""Result tables: methods x noise sources, mean and interval over seeds, honest about what is missing.

`bench.report.output.render` writes them as Markdown, LaTeX and CSV, `bench.report.output.page` as HTML.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.core.errors import UsageError
from bench.report.names import natural
from bench.report.tables import stats
from bench.report.tables.model import METRICS, Entry, Head, Kind, Metric, Row, Table, pick
from bench.store.noise_words import noise_words

if TYPE_CHECKING:
    import pandas as pd

Column = tuple[str, str]  # (task, noise)

KINDS = ("column", "llm", "weak", "synthetic", None)
"""Kinds of noise sources in the order of the columns."""


@dataclass(frozen=True)
class Block:
    """The cells of one set-up, indexed for tables: what every table of that set-up is made from."""

    setup: str
    methods: list[str]  # baseline first, references last
    references: frozenset[str]  # do not compete: told gold, or among `readers`
    readers: frozenset[str]  # opened data files of the task by themselves
    columns: list[Column]
    kinds: dict[Column, str | None]  # llm, weak, synthetic, column
    rows: dict[tuple[str, Column], list[dict]] = field(repr=False)  # (method, column) -> cells
    superseded: frozenset[Column] = frozenset()  # of older data: in no average, test or headline

    def values(self, method: str, column: Column, name: str, scale: float = 1.0) -> dict[int, float]:
        """The scores by seed of one method in one column."""
        found = self.rows.get((method, column), ())
        return {row["seed"]: scale * row[name] for row in found if row[name] is not None and row[name] == row[name]}

    def ids(self, method: str, columns: list[Column]) -> tuple[str, ...]:
        """Ids of a method's cells in some columns."""
        return tuple(row["cell"] for column in columns for row in self.rows.get((method, column), ()))

    def current(self, columns: list[Column] | None = None) -> list[Column]:
        """The columns, or those among `columns`, whose data are the newest of their source."""
        return [c for c in (self.columns if columns is None else columns) if c not in self.superseded]

    def noises(self) -> list[str]:
        """Noise sources in the order of the columns."""
        order = sorted(self.columns, key=lambda column: (KINDS.index(self.kinds[column]), _by_age(column[1])))
        return list(dict.fromkeys(noise for _, noise in order))

    def tasks(self) -> list[str]:
        """Tasks in order of their names."""
        return list(dict.fromkeys(task for task, _ in self.columns))


def check_baseline(cells: pd.DataFrame, baseline: str) -> str | None:
    """The method label that differences are taken to; None when the default `plain` was not run.

    Raises UsageError for another name that is not among the results.
    """
    labels = sorted(cells["method_label"].unique())
    if baseline in labels:
        return baseline
    variants = [label for label in labels if label.startswith(f"{baseline}[")]
    if len(variants) == 1:
        return variants[0]
    if variants:
        raise UsageError(f"baseline '{baseline}' fits {' and '.join(variants)}: write one of them in full")
    if baseline == "plain":
        return None
    return pick("baseline", baseline, labels)


def blocks(cells: pd.DataFrame, baseline: str | None) -> list[Block]:
    """One block a set-up, the largest first. Columns in which nothing could be scored for want of gold are left out."""
    names = ["cell", "status", "reason", "task", "noise", "method_label", "sees_gold", "setup", "seed", "has_gold"]
    names += ["opened_files", "age", "labeller_test_accuracy", "labeller_test_no_answer", "no_answer_train"]
    names += ["noise_rate_trained", "noise_rate_expected", "noise_kind", "seconds_marginal", "seconds_stand_alone"]
    names += ["peak_memory_mb", "parameters", "device", *(name for name in cells.columns if "labelling_" in name)]
    names += [name for name in cells.columns if name.rsplit("_", 1)[0] in METRICS or "_noisy_valid" in name]
    names += [name for name in cells.columns if name.endswith("_oracle_best")]
    wanted = cells[list(dict.fromkeys(names))].sort_values("seed", kind="stable")
    by_setup: dict[str, list[dict]] = defaultdict(list)
    for row in wanted.astype(object).where(wanted.notna(), None).to_dict("records"):
        by_setup[row["setup"]].append(row)
    made = [_block(setup, rows, baseline) for setup, rows in by_setup.items()]
    return sorted(made, key=lambda block: (-sum(map(len, block.rows.values())), block.setup))


def _block(setup: str, rows: list[dict], baseline: str | None) -> Block:
    index: dict[tuple[str, Column], list[dict]] = defaultdict(list)
    scored: dict[Column, bool] = defaultdict(bool)
    kinds: dict[Column, int] = {}
    for row in rows:
        column = (row["task"], row["noise"])
        index[row["method_label"], column].append(row)
        scored[column] |= row["has_gold"] is not False
        kinds[column] = min(kinds.get(column, len(KINDS)), KINDS.index(row["noise_kind"]))
    readers = frozenset(row["method_label"] for row in rows if row["opened_files"])
    references = readers | {row["method_label"] for row in rows if row["sees_gold"]}
    columns = sorted((c for c in scored if scored[c]), key=lambda c: (c[0], kinds[c], _by_age(c[1])))
    methods = sorted(
        {method for method, column in index if scored[column]},
        key=lambda name: (name in references, name != baseline, natural(name)),
    )
    named = {column: KINDS[kinds[column]] for column in columns}
    superseded = frozenset((row["task"], row["noise"]) for row in rows if row["age"])
    return Block(setup, methods, references, readers, columns, named, dict(index), superseded)


def _by_age(noise: str) -> list:
    """A sorting key that puts `gpt`, `gpt (older data)` and `gpt (older data 2)` in this order."""
    return natural(noise.rstrip(")"))


def entry(block: Block, method: str, column: Column, name: str, metric: Metric) -> Entry:
    """The entry of one method in one column: mean and interval over seeds, or why there is none."""
    rows = block.rows.get((method, column), [])
    values = block.values(method, column, name, metric.scale)
    ids = tuple(row["cell"] for row in rows)
    lost = [f"{count} {status}" for status in ("failed", "skipped") if (count := _count(rows, status))]
    if values:
        interval = stats.mean_interval(list(values.values()))
        return Entry("value", interval.mean, interval.half, interval.n, cells=ids, note=", ".join(lost))
    if not rows:
        return Entry("not run")
    if any(row["status"] == "done" and row["has_gold"] is not False for row in rows):
        return Entry("empty", cells=ids, note="no valid text has an answer, so no step can be chosen")
    state = "failed" if _count(rows, "failed") else "skipped" if _count(rows, "skipped") else "no gold"
    reasons = "; ".join(dict.fromkeys(str(row["reason"]) for row in rows if row["reason"]))
    return Entry(state, cells=ids, note=reasons)


def _count(rows: list[dict], status: str) -> int:
    return sum(row["status"] == status for row in rows)


def common_columns(block: Block, columns: list[Column], name: str) -> tuple[list[Column], list[str]]:
    """The columns in which every compared method has a score, and the methods left out of that comparison.

    Columns of superseded data do not count. A method with scores in fewer than half as many columns as the fullest
    one is left out: it would shrink everybody's average to its own few columns. References do not count.
    """
    columns = block.current(columns)
    competing = [method for method in block.methods if method not in block.references]
    have = {method: {column for column in columns if block.values(method, column, name)} for method in competing}
    most = max((len(found) for found in have.values()), default=0)
    compared = {method: found for method, found in have.items() if found and 2 * len(found) >= most}
    shared = [column for column in columns if compared and all(column in found for found in compared.values())]
    return shared, [method for method, found in have.items() if found and method not in compared]


def averages(block: Block, method: str, columns: list[Column], name: str, scale: float = 1.0) -> dict[int, float]:
    """By seed: the mean over `columns`, for the seeds that have all of them."""
    values = [block.values(method, column, name, scale) for column in columns]
    if not values or not all(values):
        return {}
    shared = set.intersection(*(set(by_seed) for by_seed in values))
    return {seed: sum(by_seed[seed] for by_seed in values) / len(values) for seed in sorted(shared)}


def result_table(
    block: Block, task: str, metric_name: str, rule: str, baseline: str | None, *, noise: str = "", kind: str = ""
) -> Table:
    """Methods x columns (task and noise source), with their average and the difference to the baseline.

    Of one task or of one noise source (`""`: of all); `kind="llm"` keeps the labels of LLMs only: the layout of the
    paper.
    """
    metric, name = METRICS[metric_name], f"{metric_name}_{rule}"
    columns = [
        column
        for column in block.columns
        if task in ("", column[0]) and noise in ("", column[1]) and kind in ("", block.kinds[column])
    ]
    methods = [method for method in block.methods if any((method, column) in block.rows for column in columns)]
    competing = [method for method in methods if method not in block.references]
    shared, left_out = common_columns(block, columns, name)
    average = {
        method: {} if method in left_out else averages(block, method, shared, name, metric.scale) for method in methods
    }
    grid = {method: [entry(block, method, column, name, metric) for column in columns] for method in methods}
    for position, column in enumerate(columns):
        mark_best(grid, position, {each: block.values(each, column, name) for each in competing}, metric)
    heads = [column_head(block, column, by_task=not noise) for column in columns]
    if len(block.current(columns)) > 1:
        for method in methods:
            grid[method].append(summary(average[method], block.ids(method, shared)))
        mark_best(grid, len(columns), {method: average[method] for method in competing}, metric)
        heads.append(Head("average"))
    if baseline in methods:
        for method in methods:
            grid[method].append(difference(average, method, baseline, block.ids(method, shared)))
        heads.append(Head(f"vs {baseline}"))
    rows = [Row(method, row_kind(block, method, baseline), tuple(grid[method])) for method in methods]
    sentences = [
        _seed_sentence(block, columns, name, metric),
        RULE_TEXT[rule],
        BOLD_TEXT,
        *average_sentences(block, columns, shared, left_out),
    ]
    if baseline in methods:
        sentences.append(f"vs {baseline}: difference of the averages, paired by seed, with 95 % interval.")
    sentences += reference_sentences(block, methods)
    if labeller := _labeller_row(block, columns, shared, average.get(baseline), len(heads)):
        if metric_name in HARD:
            sentences += _silent_labellers(block, columns)
        else:
            labeller = dataclasses.replace(labeller, entries=(Entry("empty"),) * len(heads))
            sentences.append("The labeller itself gives labels without probabilities: it has no such score.")
        rows.append(labeller)
    where = task or {"llm": "LLM labels, "}.get(kind, "") + (f"{noise}, " if noise else "") + "all tasks"
    return Table(
        name=f"{metric_name}-{where}-{block.setup}",
        title=f"{metric.title}{f' ({metric.unit})' if metric.unit else ''}: {where}, {block.setup}",
        kind=metric_name,
        setup=block.setup,
        task=task,
        heads=tuple(heads),
        rows=tuple(rows),
        decimals=metric.decimals,
        caption=tuple(sentences),
        seeds=max((each.n for row in rows for each in row.entries), default=0),
        higher_is_better=metric.higher_is_better,
        noise=noise,
    )


HARD = ("accuracy",)
"""Metrics that labels without probabilities have, and records hold for the labeller."""


def row_kind(block: Block, method: str, baseline: str | None) -> Kind:
    """Whether a row is the baseline, a reference that is no contender, or a method."""
    return "reference" if method in block.references else "baseline" if method == baseline else "method"


def reference_sentences(block: Block, methods: Iterable[str]) -> list[str]:
    """Which of the methods do not compete, and why."""
    why = {
        "sees gold, a reference that does not compete.": block.references - block.readers,
        "opened data files of the task by itself, so it does not compete.": block.readers,
    }
    return [f"{', '.join(sorted(named & set(methods)))}: {text}" for text, named in why.items() if named & set(methods)]


def mark_best(grid: dict[str, list[Entry]], position: int, scores: dict, metric: Metric) -> None:
    """Mark the best entry of a column, only where its interval against the runner-up supports it."""
    verdict = stats.best_supported(scores, metric.higher_is_better)
    if verdict.supported:
        entries = grid[verdict.name]
        entries[position] = dataclasses.replace(entries[position], best=True)


def summary(by_seed: dict[int, float], ids: tuple[str, ...]) -> Entry:
    """Mean and 95 % interval over seeds; empty where there is none."""
    interval = stats.mean_interval(list(by_seed.values()))
    return Entry("value", *interval, cells=ids) if interval.n else Entry("empty")


def difference(average: dict[str, dict[int, float]], method: str, baseline: str, ids: tuple[str, ...]) -> Entry:
    """Difference of a method to the baseline, paired by seed, with its 95 % interval."""
    if method == baseline:
        return Entry("empty")
    interval = stats.paired_difference(average[method], average[baseline])
    return Entry("value", *interval, cells=ids, signed=True) if interval.n else Entry("empty")


def column_head(block: Block, column: Column, by_task: bool = True) -> Head:
    """The head of a column: its task, its noise source, how many of the labels trained on are wrong or drawn."""
    rows = [row for method in block.methods for row in block.rows.get((method, column), ())]
    known = [row for row in rows if row["noise_rate_trained"] is not None]
    described = [row["no_answer_train"] for row in rows if row["no_answer_train"] is not None]
    below = noise_words(
        sum(row["noise_rate_trained"] for row in known) / len(known) if known else None,
        sum(described) / len(described) if described else 0.0,
        any(row["noise_rate_expected"] for row in known),
    )
    task, noise = column
    name, group = (noise, task) if by_task else (task, noise)
    return Head(name=name, group=group, below=below, task=task, noise=noise)


def _labeller_row(
    block: Block, columns: list[Column], shared: list[Column], baseline: dict[int, float] | None, width: int
) -> Row | None:
    """The labeller itself as a classifier of the test texts; None where no column has one."""
    known = {column: values for column in columns if (values := _labeller_accuracies(block, column))}
    if not known:
        return None
    by_column = {column: _labelled_cells(block, column) for column in columns}
    entries = [summary(dict(enumerate(known.get(column, ()))), by_column[column]) for column in columns]
    ids = tuple(cell for column in shared for cell in by_column[column])
    if len(block.current(columns)) > 1:
        means = [sum(known[column]) / len(known[column]) for column in shared if column in known]
        whole = shared and len(means) == len(shared)
        entries.append(Entry("value", sum(means) / len(means), cells=ids) if whole else Entry("empty"))
    if width > len(entries):
        whole = baseline and shared and all(column in known for column in shared)
        mean = sum(sum(known[column]) / len(known[column]) for column in shared) / len(shared) if whole else 0.0
        ours = sum(baseline.values()) / len(baseline) if whole else 0.0
        entries.append(Entry("value", mean - ours, cells=ids, signed=True) if whole else Entry("empty"))
    return Row("labeller itself (test)", "reference", tuple(dataclasses.replace(each, n=0) for each in entries))


def _labeller_accuracies(block: Block, column: Column) -> list[float]:
    rows = [row for method in block.methods for row in block.rows.get((method, column), ())]
    by_seed = {r["seed"]: 100 * r["labeller_test_accuracy"] for r in rows if r["labeller_test_accuracy"] is not None}
    # One set of answers whatever the seed has one accuracy, not a spread of zero over seeds.
    return list(by_seed.values()) if len(set(by_seed.values())) > 1 else list(by_seed.values())[:1]


def _silent_labellers(block: Block, columns: list[Column]) -> list[str]:
    """Where the labeller left test texts without an answer, and how many: they count as wrong."""
    found = []
    for column in columns:
        rows = [row for method in block.methods for row in block.rows.get((method, column), ())]
        shares = [r["labeller_test_no_answer"] for r in rows if r["labeller_test_accuracy"] is not None]
        if any(shares):
            found.append(f"{column[1]} {100 * sum(shares) / len(shares):.1f} %")
    return [f"No answer counts as wrong in the labeller's row; of the test texts: {', '.join(found)}."] if found else []


def _labelled_cells(block: Block, column: Column) -> tuple[str, ...]:
    """The cells of the first method whose records hold the labeller's own accuracy."""
    for method in block.methods:
        rows = block.rows.get((method, column), ())
        if found := tuple(row["cell"] for row in rows if row["labeller_test_accuracy"] is not None):
            return found
    return ()


RULE_TEXT = {
    "last": "Scores are those of the last step.",
    "noisy_valid": "Scores are those of the step with the highest accuracy on the noisy validation labels.",
    "oracle_best": "Scores are those of the best step on the test set: a diagnostic, never a result.",
}

BOLD_TEXT = (
    "Bold: the best, where its paired 95 % interval against the runner-up excludes 0 "
    f"(at least {stats.MIN_SEEDS} shared seeds)."
)


def _seed_sentence(block: Block, columns: list[Column], name: str, metric: Metric) -> str:
    counts = {len(block.values(method, column, name)) for method in block.methods for column in columns} - {0}
    better = f"{'higher' if metric.higher_is_better else 'lower'} is better."
    if not counts:
        return "No scores."
    if counts == {1}:
        return f"One seed, so there is no interval; {better}"
    fewer = ", fewer where marked (n=…)" if len(counts) > 1 else ""
    return f"Mean ± 95 % t-interval over {max(counts)} seeds{fewer}; {better}"


def average_sentences(block: Block, columns: list[Column], shared: list[Column], left_out: list[str]) -> list[str]:
    """Which columns an average is over, and which methods have none."""
    current = block.current(columns)
    apart = [f"{noise} of {task}" for task, noise in columns if (task, noise) in block.superseded]
    said = [f"Superseded by newer data, and in no average, difference or test: {', '.join(apart)}."]
    return (said if apart else []) + _average_sentences(current, shared, left_out)


def _average_sentences(columns: list[Column], shared: list[Column], left_out: list[str]) -> list[str]:
    if len(columns) < 2:
        return []
    one_task = len({task for task, _ in columns}) == 1
    listed = ", ".join(noise if one_task else f"{task} {noise}" for task, noise in shared)
    if not shared:
        return ["No average: no column has a score of every compared method."]
    if len(shared) == len(columns):
        sentences = [f"Average over all {len(columns)} columns."]
    else:
        plural = "columns" if len(shared) > 1 else "column"
        sentences = [f"Average over the {len(shared)} {plural} that every compared method has: {listed}."]
    if left_out:
        sentences.append(f"Without an average, having fewer than half of the columns: {', '.join(left_out)}.")
    return sentences
