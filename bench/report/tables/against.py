"""Published numbers beside ours: what is compared, and how the two differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from bench.core.texts import plural
from bench.report.tables import stats
from bench.report.tables.blocks import Block, Column, averages
from bench.report.tables.entries import interval_entry
from bench.report.tables.headlines import points
from bench.report.tables.model import Entry, Head, Row, Table, number
from bench.report.tables.published_numbers import Gain, Published, Score
from bench.store.metrics import METRICS

if TYPE_CHECKING:
    from bench.report.frame import Results

PROMPTING = {"zero": "zero-shot", "few": "few-shot", None: "LLM"}


class Measured(NamedTuple):
    """What this folder says about a published gain."""

    method: str
    baseline: str
    points: stats.Interval  # method minus baseline, in the metric's per cent, paired by seed
    relative: stats.Interval  # per cent of the baseline, paired by seed
    columns: list[Column]  # none: it says nothing


def against_tables(read: Results, blocks: Sequence[Block], published: Published, rule: str) -> list[Table]:
    """The tables of `bench report --against`, one or two for each set-up; entries without a counterpart stay empty."""
    made = []
    for block in blocks:
        if not block.columns:
            continue
        differs = differences(read, block, published)
        if published.gains:
            made.append(gains_table(block, measured(read, block, published, rule), published, differs))
        if (table := scores_table(block, published, rule, differs)) is not None:
            made.append(table)
    return made


def against_sentences(read: Results, blocks: Sequence[Block], published: Published, rule: str) -> list[str]:
    """Each published gain that this folder has cells for, in words, the set-up named."""
    return [
        f"Published ({gain.source}): {gain.method} over {gain.baseline} on {_labels(gain)} "
        f"{number(gain.value, 2, signed=True)} %. Here ({block.setup}, {plural(len(found.columns), 'column')}): "
        f"{found.method} over {found.baseline} {points(found.points)} points, {points(found.relative)} % of "
        f"{found.baseline}."
        for block in blocks
        for gain, found in measured(read, block, published, rule)
        if found.columns
    ]


def measured(read: Results, block: Block, published: Published, rule: str) -> Iterator[tuple[Gain, Measured]]:
    """Every published gain with each counterpart of ours: over the LLM-labelled columns that both methods have."""
    sources = _sources(read, block)
    for gain in published.gains:
        columns = [
            column
            for column in block.current()
            if column in sources
            and gain.llm in (None, sources[column][0])
            and gain.prompting in (None, sources[column][1])
        ]
        for method, baseline in _pairs(block, gain):
            yield gain, _measure(block, columns, method, baseline, f"{gain.metric}_{rule}")


def _measure(block: Block, columns: list[Column], method: str, baseline: str, name: str) -> Measured:
    columns = [c for c in columns if block.values(method, c, name) and block.values(baseline, c, name)]
    ours, theirs = (averages(block, each, columns, name, 100) for each in (method, baseline))
    found = stats.paired_difference(ours, theirs)
    shared = sorted(ours.keys() & theirs.keys())
    relative = stats.mean_interval([100 * (ours[seed] / theirs[seed] - 1) for seed in shared if theirs[seed]])
    return Measured(method, baseline, found, relative, columns if found.n else [])


def gains_table(
    block: Block, gains: Iterable[tuple[Gain, Measured]], published: Published, differs: list[str]
) -> Table:
    """Published gains of one method over another, beside ours in points and in per cent of the baseline."""
    rows, used = [], []
    for gain, found in gains:
        theirs = Entry("value", gain.value, decimals=2, signed=True, note=f"{gain.source}. {gain.note}")
        ours = (Entry("not run"), Entry("not run"), Entry("empty"))
        if found.columns:
            used += found.columns
            ids = block.ids(found.method, found.columns) + block.ids(found.baseline, found.columns)
            one, two = (interval_entry(each, ids, signed=True) for each in (found.points, found.relative))
            ours = (one, two, Entry("text", text=str(len(found.columns))))
        rows.append(Row(f"{found.method} over {found.baseline}, {_labels(gain)}", "method", (theirs, *ours)))
    heads = (
        Head("published", published.name, "%, as printed"),
        Head("points", "here", "difference"),
        Head("relative", "here", "% of the baseline"),
        Head("columns", "here", "tasks and LLMs"),
    )
    listed = ", ".join(f"{task} {noise}" for task, noise in dict.fromkeys(used)) or "none"
    caption = (
        *_sources_of(published.gains),
        f"Columns used here: {listed}.",
        *differs,
        "Here: mean ± 95 % t-interval over seeds, paired by seed.",
    )
    title = f"Gains beside {published.name}: {block.setup}"
    return block.table("against", title, heads, rows, caption, name="against-gains", first="gain")


def scores_table(block: Block, published: Published, rule: str, differs: list[str]) -> Table | None:
    """Published scores of single cells beside ours; None where the file has none for this folder's columns."""
    known: dict[tuple[str, Column, str], Score] = {}
    for score in published.scores:
        known[score.method, (score.task, score.column), score.metric] = score
    columns = [c for c in block.columns if any(column == c for _, column, _ in known)]
    metrics = [metric for metric in ("accuracy", "macro_f1", "ece") if any(name == metric for *_, name in known)]
    places = [(c, m) for c in columns for m in metrics if any((c, m) == place[1:] for place in known)]
    if not places:
        return None
    rows, cited = [], []
    for method in block.methods:
        entries: list[Entry] = []
        for column, metric in places:
            values = block.values(method, column, f"{metric}_{rule}", METRICS[metric].scale)
            ours = stats.mean_interval(list(values.values()))
            theirs = known.get((method.split("[")[0], column, metric))
            entries.append(Entry("value", *ours, cells=block.ids(method, [column])) if ours.n else Entry("not run"))
            if theirs is None:
                entries.append(Entry("empty"))
                continue
            cited.append(
                f"{method}, {column[0]} {column[1]}: {theirs.source}{f' ({theirs.note})' if theirs.note else ''}."
            )
            spread = "" if theirs.spread is None else f" (± {number(theirs.spread, 2)} as printed)"
            entries.append(Entry("value", theirs.value, decimals=2, note=theirs.source + spread))
        if any(entry.state != "not run" for entry in entries[::2]):
            rows.append(Row(method, "reference" if method in block.references else "method", tuple(entries)))
    heads = [
        Head(who, f"{column[0]} {column[1]}", METRICS[metric].short)
        for column, metric in places
        for who in ("here", "published")
    ]
    caption = (*dict.fromkeys(cited), *differs, "Here: mean ± 95 % t-interval over seeds.")
    title = f"Scores beside {published.name}: {block.setup}"
    return block.table("against", title, heads, rows, caption, name="against-scores", seeds=0)


def differences(read: Results, block: Block, published: Published) -> list[str]:
    """In what our set-up differs from the published one, as sentences."""
    theirs, found = published.setup, []
    encoder, _, mode = block.setup.split(",")[0].rpartition(":")
    if (encoder, mode) != (theirs.encoder, theirs.encoder_mode):
        found.append(f"encoder {encoder} {mode} here, {theirs.encoder} {theirs.encoder_mode} there")
    cells = [row["cell"] for rows in block.rows.values() for row in rows]
    recipes = [read.by_cell[cell].key.recipe for cell in cells]
    epochs = sorted({recipe["epochs"] for recipe in recipes if recipe.get("epochs") is not None})
    if theirs.epochs is not None and epochs and epochs != [theirs.epochs]:
        found.append(f"{' or '.join(map(str, epochs))} epochs here, {theirs.epochs} there")
    tasks = block.tasks()
    if lacking := [task for task in theirs.tasks if task not in tasks]:
        found.append(f"not run here: {', '.join(lacking)}")
    if more := [task for task in tasks if theirs.tasks and task not in theirs.tasks]:
        found.append(f"only here: {', '.join(more)}")
    sources = _sources(read, block)
    if sources and theirs.llms:
        llms = list(dict.fromkeys(llm for llm, _ in sources.values()))
        if not_here := [llm for llm in theirs.llms if llm not in llms]:
            found.append(f"labels of {', '.join(not_here)} only there")
        if not_there := [llm for llm in llms if llm not in theirs.llms]:
            found.append(f"labels of {', '.join(map(str, not_there))} only here")
    if not found:
        return [f"Set-up there: {theirs.source}."]
    return [f"What differs: {'; '.join(found)}. Set-up there: {theirs.source}."]


def _sources(read: Results, block: Block) -> dict[Column, tuple]:
    """(labeller, prompting) of the block's LLM-labelled columns."""
    cells = read.cells[(read.cells["setup"] == block.setup) & (read.cells["noise_kind"] == "llm")]
    rows = zip(*(cells[name].tolist() for name in ("task", "noise", "labeller", "prompting")), strict=True)
    return {(task, noise): (labeller, prompting) for task, noise, labeller, prompting in rows}


def _pairs(block: Block, gain: Gain) -> list[tuple[str, str]]:
    """The method labels of this block that a published gain speaks of, variants included; its own where none is."""

    def fits(name: str) -> list[str]:
        return [label for label in block.methods if label == name or label.startswith(f"{name}[")]

    found = [(method, baseline) for method in fits(gain.method) for baseline in fits(gain.baseline)[:1]]
    return found or [(gain.method, gain.baseline)]


def _sources_of(gains: Sequence[Gain]) -> list[str]:
    """A sentence per source: which numbers stand there, and what its notes say."""
    by_source: dict[str, list[Gain]] = {}
    for gain in gains:
        by_source.setdefault(gain.source, []).append(gain)
    sentences = []
    for source, found in by_source.items():
        values = ", ".join(f"{_labels(each)} {number(each.value, 2, signed=True)} %" for each in found)
        notes = "; ".join(dict.fromkeys(each.note for each in found if each.note))
        sentences.append(f"{source}: {values}{f' ({notes})' if notes else ''}.")
    return sentences


def _labels(gain: Gain) -> str:
    return f"{gain.llm + ' ' if gain.llm else ''}{PROMPTING[gain.prompting]} labels"
