"""Which training labels to look at: beliefs of cells, or of cross-fitted classifiers on a user's own table.

Gold is never used for what is said of a text; where it is known, it scores the ranking afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from bench.core.errors import Unavailable, UsageError
from bench.core.hashes import hash_arrays
from bench.core.seeds import named_generator
from bench.core.selectors import listed
from bench.core.texts import SPLITS, Texts
from bench.data.readers.splits import first_of_equals
from bench.data.task import TaskData
from bench.data.tasks import Repository
from bench.grid.again import cell_of, options_of
from bench.grid.cells import Cell
from bench.grid.options import GridOptions
from bench.grid.tasks import labellers_of, load_named, without_labels
from bench.noise.draw import covered, draw, identity
from bench.noise.label_sets import find_label_sets, read_labels
from bench.noise.select import NoColumns, sources_for
from bench.noise.source import NoiseSource
from bench.store.folder import ResultsFolder
from bench.store.opinions import OPINIONS
from bench.store.records import Damaged, Record, read_arrays, read_record
from bench.store.trust import Detection, Trust, combined, detection, opinion
from bench.training.encoders import load_encoder
from bench.training.find_encoder import FINE_TUNED, split_mode
from bench.training.stages import StageStore
from methods import confident, shared, words
from methods.stages import OUT_OF_FOLD

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Trusted:
    """Beliefs about the labels of texts."""

    task: str
    labeller: str
    label_names: tuple[str, ...]
    texts: Texts
    trust: Trust
    methods: tuple[str, ...]  # whose opinions these are
    others: tuple[str, ...]  # the other labellers
    gold: np.ndarray | None  # int64[N], for `scored` alone
    ensemble: bool = False  # the labels are made from those of the others
    splits: tuple[str, ...] = ()  # of each text, where its id alone does not say which row it is
    notes: tuple[str, ...] = ()  # how a table was read, for people

    @property
    def cleaned(self) -> np.ndarray:
        """The corrected labels, int64[N]; -1 = no answer still. See `Trust`."""
        return self.trust.cleaned_vote if self.ensemble else self.trust.cleaned

    @property
    def vote_of_two(self) -> str:
        """What --llms takes for the vote with the only other labeller; "" where there is none, or more than one.

        One alone cannot outvote a label: where it answered, no given label is corrected.
        """
        if self.ensemble or len(self.others) != 1:
            return ""
        own = self.labeller if self.labeller.startswith('"') else listed(self.labeller)
        return f"vote({own},{listed(self.others[0])})"

    def scored(self) -> Detection | None:
        """How well the ranking finds wrong labels; None without gold, or where all labels are right or all wrong."""
        if self.gold is None:
            return None
        return detection(self.trust.suspicion, self.trust.suggested, self.trust.labels, self.gold)

    def order(self) -> np.ndarray:
        """int64[N]: rows from the most to the least suspicious label."""
        return np.argsort(-self.trust.suspicion, kind="stable")

    def columns(self, rows: np.ndarray | None = None) -> dict[str, list]:
        """The trust file's columns; `rows` in this order, by default from the most suspicious label on."""
        rows = self.order() if rows is None else rows
        trust = self.trust

        def names(classes: np.ndarray) -> list[str]:
            return [self.label_names[each] if each >= 0 else "" for each in classes[rows]]

        def numbers(values: np.ndarray) -> list[str]:
            return ["" if np.isnan(value) else f"{value:.4f}" for value in values[rows]]

        return {
            "id": [self.texts.ids[row] for row in rows],
            **({"split": [self.splits[row] for row in rows]} if self.splits else {}),
            "text": [self.texts.texts[row] for row in rows],
            "given": names(trust.labels),
            "suspicion": numbers(trust.suspicion),
            "suggested": names(trust.suggested),
            "probability": numbers(trust.belief.max(axis=1)),
            "labellers_agree": numbers(trust.labellers_agree),
            "methods_agree": numbers(trust.methods_agree),
            "seeds_agree": numbers(trust.seeds_agree),
        }


def trust_cells(records: Sequence[Record], results: Path) -> Trusted:
    """Beliefs of cells that saw the same texts and labels.

    Raises UsageError where they did not, for a cell that was given gold, or one that holds no belief; and what
    `bench.grid.again.cell_of` raises.
    """
    first = records[0]
    found: dict[str, list[np.ndarray]] = {}  # by method and settings, over seeds
    methods: dict[str, str] = {}
    labels = None
    for record in records:
        given, believed = _belief_of(record, results)
        labels = given if labels is None else labels
        if (record.key.task, record.key.noise) != (first.key.task, first.key.noise):
            raise UsageError(
                f"cell {record.hash[:12]} is of {record.key.task}, {record.key.noise} and cell {first.hash[:12]} of "
                f"{first.key.task}, {first.key.noise}: name cells of one task and one source of labels"
            )
        if not np.array_equal(labels, given):
            raise UsageError(
                f"cells {first.hash[:12]} and {record.hash[:12]} saw different labels or texts: name cells of one seed "
                "and one --limit where labels are drawn by seed"
            )
        key = record.key
        variant = f"{key.method} {sorted(key.config.items())} {key.encoder_selector}"
        methods.setdefault(variant, key.method)
        found.setdefault(variant, []).append(believed)
    assert labels is not None  # there is a first record
    cell, data_dir = cell_of(first, results), options_of(first, results).data_dir
    others = {name: answers["train"] for name, answers in _others(cell.task, cell.source, data_dir).items()}
    trust = combined(labels, found, list(others.values()), len(cell.task.label_names))
    names, gold = cell.task.label_names, cell.task.gold.train
    return Trusted(
        cell.task.name, cell.source.id, names, cell.task.train, trust, tuple(methods.values()), tuple(others), gold
    )


def with_opinions(paths: Iterable[Path], results: Path) -> tuple[list[Record], list[str]]:
    """The done records that `trust_cells` can ask, and why others are left out: damaged, stale, or given gold."""
    kept: list[Record] = []
    left_out: list[str] = []
    cell = None
    for path in paths:
        record = read_record(path)
        if isinstance(record, Damaged):
            left_out.append(f"{record.path} is damaged: {record.why}")
        elif record.status == "done":
            try:
                _belief_of(record, results)
                cell = cell_of(record, results) if cell is None else cell
                _refuse_stale(record, cell, results)
            except (UsageError, Unavailable) as error:
                left_out.append(str(error).removesuffix(": leave it out"))
            else:
                kept.append(record)
    return kept, left_out


def _refuse_stale(record: Record, cell: Cell, results: Path) -> None:
    """Raise UsageError where a record is of other data than `cell`, which is up to date, has now."""
    key = record.key
    if (key.task, key.noise, key.limit) != (cell.key.task, cell.key.noise, cell.key.limit):
        return  # of another question, which `trust_cells` refuses
    uncovered = options_of(record, results).uncovered
    if key.data != identity(cell.source, cell.task, key.seed, uncovered):
        raise UsageError(f"cell {record.hash[:12]} is stale: its data changed since it ran; run it again")


def _belief_of(record: Record, results: Path) -> tuple[np.ndarray, np.ndarray]:
    """The given labels of a cell and its belief. Raises UsageError where there is none."""
    short = record.hash[:12]
    if record.status != "done" or record.data is None:
        raise UsageError(f"cell {short} is {record.status}: it has no opinion; `{record.command}` runs it")
    if record.is_reference or record.human_labels is not None:
        raise UsageError(f"cell {short} ({record.key.method}) was given gold: leave it out")
    wanted = ("train_labels", "valid_last", *OPINIONS, *(f"{name}_classes" for name in OPINIONS))
    arrays = read_arrays(record.key.path(results), *wanted)
    believed = opinion(arrays, len(record.data.label_names))
    if believed is None and "valid_last" in arrays:
        raise UsageError(f"cell {short}: {record.key.method} has no opinion about its training labels: leave it out")
    if believed is None or "train_labels" not in arrays:
        raise UsageError(
            f"cell {short} keeps no probabilities of train texts (it was packed without them, or made before they were "
            f"kept): run it again with `{record.command} --force`"
        )
    return arrays["train_labels"].astype(np.int64), believed


def trust_task(options: GridOptions, encoder: str, say: Progress = lambda text: None) -> Trusted:
    """Beliefs about all labels of a task, a user's own table above all, without a grid having been run.

    The opinions are those of `opinions`, once per seed of the folds. Raises UsageError and Unavailable.
    """
    encoder, mode = split_mode(encoder)
    if mode not in (FINE_TUNED, "frozen"):
        raise UsageError(f"--encoder {encoder}:{mode}: sentence embeddings are computed once: leave out ':{mode}'")
    (name,) = options.tasks or ("",)
    source, task = _source(load_named(name, options), options)
    given = draw(source, task, 1)
    others = _others(task, source, options.data_dir)
    splits = [split for split in SPLITS if getattr(given, split) is not None]
    labels = task.joined(lambda split: getattr(given, split), splits)
    sentences = load_encoder(f"{encoder}:frozen", options.max_length or task.info.max_length)
    store = StageStore(ResultsFolder(options.results).stages if options.stages else None)
    say(f"embedding {len(labels)} texts with {encoder}")
    x = np.concatenate([shared.embed_texts(task.texts(split), sentences, store) for split in splits])
    classes = len(task.label_names)
    parts = [task.texts(split) for split in splits]
    ids = tuple(chain.from_iterable(part.ids for part in parts))
    of_split = tuple(chain.from_iterable([split] * len(task.texts(split)) for split in splits))
    texts = Texts(ids, tuple(chain.from_iterable(part.texts for part in parts)))
    found: dict[str, list[np.ndarray]] = {}
    for seed in options.seeds:
        say(f"cross-fitting on {source.id}, seed {seed}")
        for what, believed in opinions(texts.texts, x, labels, classes, task.name, seed, store).items():
            found.setdefault(what, []).append(believed)
    answers = [task.joined(each.get, splits) for each in others.values()]
    trust = combined(labels, found, answers, classes, first_of_equals(texts.texts))
    gold = task.joined(task.gold.of, splits)
    return Trusted(
        task.name, source.id, task.label_names, texts, trust, tuple(found), tuple(others),
        gold if (gold >= 0).any() else None, ensemble=source.rule != "single",
        splits=of_split if Path(task.origin).is_dir() or len(set(ids)) < len(ids) else (), notes=tuple(task.notes),
    )  # fmt: skip


def _source(task: TaskData, options: GridOptions) -> tuple[NoiseSource, TaskData]:
    """The labels in question: those that --llms names, else the one column, or the vote of all columns."""
    llms = options.llms or labellers_of(task)[-1:] or ["all"]
    try:
        selections = sources_for(task, llms=llms, prompting=options.prompting, data_dir=options.data_dir)
    except NoColumns as error:
        raise UsageError(without_labels(task)) from error
    if len(selections) != 1:
        raise UsageError(f"{len(selections)} sources of labels fit task {task.name}: name one with --llms")
    ((source, why),) = selections
    if why:
        more = f"; {without_labels(task)}" if task.notes and not task.columns else ""
        raise UsageError(without_labels(task) if source.id == "all" else f"{source.id}: {why}{more}")
    return source, covered(source, task)


def _others(task: TaskData, source: NoiseSource, data_dir: Path | None) -> Mapping[str, Mapping[str, np.ndarray]]:
    """The labels of the other labellers by name and split, -1 = no answer; of an ensemble, its members' as well."""
    own = set() if source.rule != "single" else {each if isinstance(each, str) else each.id for each in source.members}
    found = {name: splits for name, splits in task.columns.items() if name not in own}
    whole = task.whole or task
    for ref in find_label_sets(data_dir, task.info.name):
        if ref.id in own or isinstance(ref.place, Repository):  # not here, and not worth fetching
            continue
        try:
            sets = read_labels(ref, whole)
        except (UsageError, Unavailable):  # of other texts, or damaged: a run that asks for it says so
            continue
        answers = {}
        for split, part in sets.items():
            every = np.full(1 + max(part.rows.max(initial=0), task.rows[split].max()), -1)
            every[part.rows] = part.labels
            answers[split] = every[task.rows[split]]
        found[ref.id] = answers
    return found


def opinions(
    texts: Sequence[str], x: np.ndarray, y: np.ndarray, classes: int, task: str, seed: int, store: StageStore
) -> dict[str, np.ndarray]:
    """p(label | text) by classifiers of which none saw the text's own label, float64[N, C] by name.

    They learn from the texts with an answer: logistic regression on sentence embeddings `x` float[N, D], and those of
    `methods.words`. `y` int64[N], -1 = no answer. Equal texts share a fold: a labeller gives them the same wrong label,
    which would confirm itself.
    """
    key = {"x": hash_arrays(x=x), "y": hash_arrays(y=y), "classes": classes, "seed": seed, "axes": ["trust", task]}
    together = first_of_equals(texts)
    if (together != np.arange(len(texts))).any():
        key["together"] = hash_arrays(together=together)

    def compute() -> dict[str, np.ndarray]:
        generator = named_generator("trust", task, seed)
        found = confident.out_of_fold_logistic(x, y, classes, generator, keep=y >= 0, together=together)
        return {"probabilities": found}

    return {
        "sentence embeddings": OUT_OF_FOLD.get(store, key, compute)["probabilities"],
        **words.out_of_fold(texts, y, classes, named_generator("trust", "words", task, seed), together=together),
    }
