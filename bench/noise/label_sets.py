"""Find label sets: in the user's data folder, in this project, and those that the paper's authors published."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from bench.core.errors import Unavailable
from bench.core.files import signature, slug
from bench.core.selectors import shell_word
from bench.data.readers.fetch import downloads
from bench.data.readers.published import PublishedTask
from bench.data.task import TaskData
from bench.data.tasks import Published, Repository, known
from llm_labels import labelsets
from llm_labels.labelsets import Card, OtherTexts, SplitLabels, Unusable, read_authors_files, read_card, read_label_set

PROMPTING_FOLDERS = {"zero": "zero", "zeroshot": "zero", "few": "few", "fewshot": "few"}

PUBLISHED = {
    ("mixtral-8x22b", "few", "semeval"): Repository(
        repo="liqinye/SiDyP",
        commit="7ab4318f08e680a7a31734a9daa5a2a12cc710be",
        folder="datasets/llm/fewshot/mixtral822/",
        files={
            "train": ("semeval_train.csv", "d6c32d42bbab3c3ee85389b5a60310cff3a74c77a6ea4f1cc8a9b582fcdfc2b2"),
            "valid": ("semeval_valid.csv", "5e849c1f28b822794b9fd41e0e80a2c19bc368fca468eb56cae7e2afbc2b4dbb"),
            "test": ("semeval_test.csv", "bdbb487580d937b4fa91639f963fb62a4918821bd92aaa466313b24f92d3333d"),
        },
    )
}
"""Label sets in the authors' own repository, fetched when no local folder has them: (labeller, prompting, task)."""


@dataclass(frozen=True)
class LabelSetRef:
    """Where the labels of one labeller for one task are."""

    labeller: str
    prompting: str  # "zero" | "few"
    task: str
    place: Path | Repository | PublishedTask  # a folder, files to be fetched, or a task that comes with labellers

    @property
    def id(self) -> str:
        """As in tables: "mixtral-8x22b/few"."""
        return f"{self.labeller}/{self.prompting}"

    @property
    def card(self) -> Card | None:
        """The card of a set in our own format; None for others. Raises UsageError."""
        place = self.place
        return read_card(place) if isinstance(place, Path) and (place / "card.json").is_file() else None


def find_label_sets(data_dir: Path | None = None, task: str | None = None) -> list[LabelSetRef]:
    """Every label set (of one task), by labeller, prompting and task. Only names are looked at, no file is read.

    Looked for in `data_dir/llm_labels`, then among the project's own sets, then among the published ones; the first
    of a name wins. Folders are `<labeller>/<zero|zeroshot|few|fewshot>/<task>`, with the task's name as `slug` has it.
    """
    roots = [labelsets.SETS] if data_dir is None else [Path(data_dir) / "llm_labels", labelsets.SETS]
    found: dict[tuple[str, str, str], LabelSetRef] = {}
    for root in roots:
        for folder in sorted(root.glob("*/*/*")):
            prompting = PROMPTING_FOLDERS.get(folder.parent.name)
            if prompting and any((folder / name).is_file() for name in ("card.json", "train.csv", "test.csv")):
                key = (folder.parent.parent.name, prompting, folder.name)
                found.setdefault(key, LabelSetRef(*key, place=folder))
    for key, repository in PUBLISHED.items():
        found.setdefault(key, LabelSetRef(*key, place=repository))
    for info in known().values():
        for source in (each for each in info.sources if isinstance(each, Published)):
            for name in source.labellers:
                labeller, _, prompting = name.rpartition("/")
                key = (labeller, prompting, info.name)
                found.setdefault(key, LabelSetRef(*key, place=PublishedTask(info, source, data_dir)))
    return [found[key] for key in sorted(found) if task is None or key[2] in (task, slug(task))]


def label_command(task: TaskData) -> str:
    """The command that makes a label set for the task, for a message."""
    return f"`bench label --llm NAME --task {shell_word(task.selector)}`"


def no_labels(labeller: str, prompting: str, task: TaskData) -> str:
    """That a labeller has no labels for a task, and how to get some, for a message."""
    name = task.info.name
    return (
        f"there are no labels of {labeller} ({prompting}-shot) for task {name}: put them into "
        f"llm_labels/{labeller}/{prompting}/{name} under the folder that --data-dir names, or make them with "
        f"`bench label --llm {labeller} --task {name} --prompting {prompting}`"
    )


def unusable(ref: LabelSetRef, task: TaskData) -> str:
    """Why nothing can be trained on a label set, which is read for that; "" where it can."""
    try:
        splits = read_labels(ref, task)
    except Unavailable as error:
        return f"{error}; {no_labels(ref.labeller, ref.prompting, task)}"
    except Unusable as error:
        return str(error)
    absent = [split for split in ("train", "valid") if split not in splits or not len(splits[split].rows)]
    return f"{ref.id} has no {absent[0]} labels for task {task.name}: make them first" if absent else ""


def labellers(data_dir: Path | None = None, tasks: Collection[str] = ()) -> dict[str, tuple[tuple[str, str], ...]]:
    """Every labeller with the (prompting, task) pairs that it has labels for, names ascending.

    `tasks` are those that can be read: answers that were published with a task are there only where it is.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for ref in find_label_sets(data_dir):
        if isinstance(ref.place, PublishedTask) and ref.task not in tasks:
            continue
        found.setdefault(ref.labeller, []).append((ref.prompting, ref.task))
    return {name: tuple(pairs) for name, pairs in found.items()}


def read_labels(ref: LabelSetRef, task: TaskData) -> Mapping[str, SplitLabels]:
    """The labels by split, for the whole original splits of the task. Files that have not changed are read once.

    Raises UsageError for files that are damaged or made for other texts, Unavailable where a download fails.
    """
    if isinstance(ref.place, PublishedTask):
        return _published(ref, ref.place, task)
    prints = tuple(sorted(task.full_fingerprint.items()))
    if isinstance(ref.place, Repository):
        files = downloads(ref.place)
        return _read_once(tuple(sorted(files.items())), _versions(files.values()), task.label_names, prints)
    return _read_once(ref.place, _versions(sorted(ref.place.glob("*"))), task.label_names, prints)


def _published(ref: LabelSetRef, place: PublishedTask, task: TaskData) -> Mapping[str, SplitLabels]:
    """The labels of one of the labellers that a task comes with."""
    answers = place.answers(ref.id)
    for split, part in answers.items():
        if part.fingerprint != task.full_fingerprint[split]:
            raise OtherTexts(
                f"the answers of {ref.id} are for the {split} texts of {place.source.repository.repo}, and task "
                f"{task.name} has others, from {task.origin}: use the task as published, or make labels for your texts "
                "with `bench label`"
            )
    return {split: SplitLabels(np.arange(len(part.labels)), part.labels) for split, part in answers.items()}


def _versions(paths: Iterable[Path]) -> tuple:
    return tuple((path.name, signature(path)) for path in paths)


@functools.lru_cache(maxsize=256)
def _read_once(
    place: Path | tuple[tuple[str, Path], ...], versions: tuple, label_names: tuple[str, ...], prints: tuple
) -> Mapping[str, SplitLabels]:
    """The labels in a folder, or in the authors' files by split, in these versions of them; never to be changed.

    A split of which no text was asked, as where a budget ended before, is one that the set does not have.
    """
    if isinstance(place, Path):
        parts = read_label_set(place, label_names, dict(prints))
    else:
        parts = read_authors_files(dict(place), label_names, dict(prints))
    for part in parts.values():
        part.rows.flags.writeable = part.labels.flags.writeable = False
    return MappingProxyType({split: part for split, part in parts.items() if len(part.rows)})


def labelling_cost(refs: Sequence[LabelSetRef]) -> dict[str, float]:
    """What making the label sets cost, by their cards: `texts` asked, requests, tokens, seconds, usd, summed.

    Only what the cards of all sets say (those of the paper's authors say nothing): an unknown price is not 0.
    """
    cards = [ref.card for ref in refs]
    costs = [
        {"texts": sum(counts.asked for counts in card.splits.values()), **card.cost} if card and card.cost else {}
        for card in cards
    ]
    known = [name for name in costs[0] if all(name in cost for cost in costs)] if costs else []
    return {name: sum(cost[name] for cost in costs) for name in known}
