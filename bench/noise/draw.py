"""Where noisy labels come from: an LLM's label set, weak votes, a user's column, synthetic noise, ensembles.

`bench.noise.select` names the sources of a task, `covered` narrows the task to the texts that a label set covers, and
`draw` gives the labels. Everything random is seeded by named axes (task, source, seed, split): all methods of a cell
see the same labels, and one split's draw never shifts another's. Besides scoring, only this module may look at gold
labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import numpy as np

from bench.core.errors import Skip, UsageError, unknown
from bench.core.facts import unfit
from bench.core.seeds import named_generator
from bench.data.task import SPLITS, TaskData, limit_task, restrict
from bench.noise.facts import NoisyLabels
from bench.noise.label_sets import LabelSetRef, labelling_cost, read_labels
from bench.noise.source import NoiseSource, why_not
from bench.noise.synthetic.base import NOISES, Drawn, Rng
from bench.noise.votes import CROWDLAB_VERSION, crowdlab, dawid_skene, majority_vote

UNCOVERED = ("uniform", "drop")
Embeddings = Callable[[], Mapping[str, np.ndarray]]


def covered(source: NoiseSource, task: TaskData) -> TaskData:
    """The task narrowed to the texts that the source's label sets were asked about; the task itself if that is all.

    A label set may cover only some texts of a split. All of train, valid and test are then narrowed, so that the
    labeller and the methods trained on its labels are scored on the same texts; a split that the set leaves out
    altogether stays whole if it is test, and is a `Skip` if it is train or valid. `limit` then counts covered texts.
    """
    whole = task.whole or task
    rows: dict[str, np.ndarray] = {}
    for ref in source.label_sets:
        for split, part in read_labels(ref, whole).items():
            rows[split] = np.intersect1d(rows[split], part.rows) if split in rows else part.rows
    partial = {split: listed for split, listed in rows.items() if not np.isin(whole.rows[split], listed).all()}
    if not partial:
        return task
    empty = [split for split, listed in partial.items() if not np.isin(whole.rows[split], listed).any()]
    if empty:
        ways = "none in common" if len(source.label_sets) > 1 else "make them with `bench label`"
        raise Skip(f"{source.id} has no {empty[0]} labels for the texts of task {task.name}: {ways}")
    narrowed = restrict(whole, partial)
    return narrowed if task.limit is None else limit_task(narrowed, task.limit)


def draw(
    source: NoiseSource,
    task: TaskData,
    seed: int,
    embeddings: Embeddings | None = None,
    uncovered: str = "uniform",
) -> NoisyLabels:
    """The noisy labels of a task for one seed.

    `embeddings()` gives float[n, F] by split, in the order of the task's texts; called only for noise that needs it.
    `uncovered` says what a text without any weak vote gets: a `uniform` class, or -1 (`drop`). Raises Skip where the
    source does not apply to the task, UsageError for labels that do not fit it.
    """
    if uncovered not in UNCOVERED:
        raise unknown("value of uncovered", uncovered, UNCOVERED)
    if reason := why_not(source, task):
        raise Skip(reason)

    def rng(split: str) -> np.random.Generator:
        return named_generator("noise", task.info.name, source.id, seed, split)

    num_classes = len(task.label_names)
    if source.kind == "synthetic":
        labels, facts = _synthetic(source, task, rng, embeddings)
        return NoisyLabels(**labels, test=None, source=source, facts=facts)
    if source.kind == "weak":
        assert task.votes is not None  # see `why_not`
        labels = {s: majority_vote(task.votes[s], num_classes, rng(s), uncovered) for s in ("train", "valid")}
        share = no_answer_share(source, task)
        return NoisyLabels(**labels, test=None, source=source, facts={"without_votes_train": share} if share else {})
    answers = member_answers(source, task)
    if source.rule == "dawid-skene":
        labels = dawid_skene(answers)
    elif source.rule == "crowdlab":
        labels = crowdlab(answers, _embeddings(source, embeddings), num_classes, rng)
    elif source.rule == "vote":
        labels = {s: majority_vote(votes, num_classes, rng(s), "drop") for s, votes in answers.items()}
    else:
        labels = {split: votes[:, 0] for split, votes in answers.items()}
    cost = labelling_cost(source.label_sets)
    facts = {"labelling": cost} if cost else {}
    return NoisyLabels(labels["train"], labels["valid"], labels.get("test"), source, facts)


def no_answer_share(source: NoiseSource, task: TaskData, split: str = "train") -> float:
    """The share of a split's texts for which no member of a source has an answer: methods get a uniform class there."""
    if source.kind == "synthetic":
        return 0.0
    voted = task.votes if source.kind == "weak" else member_answers(source, task)
    assert voted is not None  # see `why_not`
    votes = voted[split]
    return float((votes < 0).all(axis=1).mean())


def _synthetic(source: NoiseSource, task: TaskData, rng: Rng, embeddings: Embeddings | None) -> Drawn:
    if source.noise is None or source.rate is None:
        raise UsageError(f"{source.id} is not synthetic noise")
    vectors = _embeddings(source, embeddings) if source.needs_embeddings else None
    gold = {split: known for split in ("train", "valid") if (known := task.gold.of(split)) is not None}
    own = {split: truth.copy() for split, truth in gold.items()}  # a user's noise may write into what it is handed
    labels, facts = source.noise().draw(own, len(task.label_names), source.rate, rng, vectors)
    for split, truth in gold.items():
        drawn = np.asarray(labels.get(split))
        fits = drawn.shape == truth.shape and np.issubdtype(drawn.dtype, np.integer)
        if not fits or not ((drawn >= 0) & (drawn < len(task.label_names))).all():
            raise UsageError(
                f"noise '{source.noise.name}' must draw one class from 0 to {len(task.label_names) - 1} for each of "
                f"the {len(truth)} {split} texts"
            )
    if wrong := unfit(facts):
        raise UsageError(f"noise '{source.noise.name}', facts of the draw: {wrong}")
    return labels, facts


def _embeddings(source: NoiseSource, embeddings: Embeddings | None) -> Mapping[str, np.ndarray]:
    if embeddings is None:
        raise UsageError(f"{source.id} depends on the texts: it needs sentence embeddings, and none were given")
    return embeddings()


def identity(source: NoiseSource, task: TaskData, seed: int, uncovered: str = "uniform") -> str:
    """What tells a task with the labels of one source and seed from any other, before anything is embedded.

    The labels themselves where they can be drawn at once; else what they are a function of, beside the model for
    sentence embeddings.
    """
    if source.noise is not None:
        return f"{task.fingerprint}-{source.id}-v{NOISES.version(source.noise)}"
    if not source.needs_embeddings:
        return f"{task.fingerprint}-{draw(source, task, seed, uncovered=uncovered).fingerprint}"
    digest = hashlib.sha256()
    for split, votes in member_answers(source, task).items():
        digest.update(f"{split}{votes.shape}".encode())
        digest.update(np.ascontiguousarray(votes, dtype="<i8").tobytes())
    return f"{task.fingerprint}-{source.id}-v{CROWDLAB_VERSION}-{digest.hexdigest()}"


def member_answers(source: NoiseSource, task: TaskData) -> dict[str, np.ndarray]:
    """What each member answered, split -> int64[n, members]; test only where every member has test labels."""
    answers: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    for ref in source.members:
        found = task.columns[ref] if isinstance(ref, str) else _aligned(ref, task)
        for split in SPLITS:
            if split in found:
                answers[split].append(found[split])
            elif split != "test":
                raise Skip(f"{source.id} has no {split} labels for task {task.name}: make them with `bench label`")
    whole = {split: columns for split, columns in answers.items() if len(columns) == len(source.members)}
    return {split: np.stack(columns, axis=1) for split, columns in whole.items()}


def _aligned(ref: LabelSetRef, task: TaskData) -> dict[str, np.ndarray]:
    """A label set's labels in the order of the task's texts."""
    found = {}
    for split, part in read_labels(ref, task).items():
        at = np.searchsorted(part.rows, task.rows[split]).clip(max=max(len(part.rows) - 1, 0))
        if not len(part.rows) or (part.rows[at] != task.rows[split]).any():
            raise UsageError(f"{ref.id} does not cover all {split} texts of task {task.name}: use `covered` first")
        found[split] = part.labels[at]
    return found
