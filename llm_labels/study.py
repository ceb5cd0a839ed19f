"""A report on label sets as data frames: size, no answers, noise rate, confusion, kind of noise, agreement.

Gold labels are looked at where they are known, to describe the labels; nothing here reaches a method.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.core.seeds import named_generator, named_seed
from bench.core.texts import SPLITS
from bench.store.intervals import prediction_powered
from llm_labels.anatomy import anatomy, on_train
from llm_labels.checked import class_rows, gold_of, has_gaps, rates, replacement_rows, whole_size
from llm_labels.labelsets import SplitLabels
from llm_labels.statistics import cohen_kappa, confusion, fleiss_kappa, instance_dependence, symmetric_departure

if TYPE_CHECKING:
    from bench.data.task import TaskData

AT_MOST = 5_000
"""Texts that the tests look at; more would take minutes and change no conclusion."""
MANY = 100
"""Classes from which on most pairs of them never occur."""
ESTIMATED = 2_000
"""Texts that the gold-free estimate looks at: it cross-fits dozens of regressions."""


@dataclass(frozen=True)
class Study:
    """The report on the label sets of one task; every frame has the column `task`, and those of single sets `labels`.

    sizes      a row per set and split: texts, asked, no_answer_rate, noise_rate with its 95 % Wilson interval,
               accuracy (no answer counts as wrong), cost of the whole set
    kind       a row per set (train): noise_rate, noise_rate_estimate (sees no gold), the tests of
               `llm_labels.statistics`, and `noise` in words; ppi with its interval where some texts have gold only
    classes    a row per set and label given, all splits together: given, checked (with gold), precision with its 95 %
               Wilson interval, and precision_estimate (train, sees no gold)
    confusion  a row per set, split, gold class and label: count, share of the gold class; of more than `MANY` classes
               only the labels that were given
    agreement  a row per pair of labellers (train): texts, agreement, Cohen's κ; and one
               row for all together with Fleiss' κ (columns both_wrong, same_error: where gold is known)
    replacement  a row per labeller where a task has labels of two persons or more: see `llm_labels.alternative`
    predictable, mistakes, shared  what `llm_labels.anatomy.anatomy` finds in train, where gold is known
    """

    sizes: pd.DataFrame
    kind: pd.DataFrame
    confusion: pd.DataFrame
    agreement: pd.DataFrame
    classes: pd.DataFrame = field(default_factory=pd.DataFrame)
    replacement: pd.DataFrame = field(default_factory=pd.DataFrame)
    predictable: pd.DataFrame = field(default_factory=pd.DataFrame)
    mistakes: pd.DataFrame = field(default_factory=pd.DataFrame)
    shared: pd.DataFrame = field(default_factory=pd.DataFrame)

    @staticmethod
    def join(studies: Iterable[Study]) -> Study:
        """One report of several tasks."""
        studies = list(studies)
        frames = ([getattr(each, part.name) for each in studies] for part in fields(Study))
        return Study(*(pd.concat(parts, ignore_index=True) if parts else pd.DataFrame() for parts in frames))


def study_labels(
    task: TaskData,
    sets: Mapping[str, Mapping[str, SplitLabels]],
    features: np.ndarray | None = None,
    costs: Mapping[str, Mapping[str, float]] | None = None,
    persons: Sequence[str] = (),
    features_of: str = "embeddings",
) -> Study:
    """The report on labels in memory: set name -> split -> labels; `bench.noise.study.study` reads those of a task.

    `persons` are the sets that are human annotators'. `features` are called `features_of` in the report; without them
    they are TF-IDF.
    """
    task = task.whole or task
    train = task.train.texts
    if features is None and any("train" in parts for parts in sets.values()):
        features, features_of = text_features(train, named_seed("study", task.info.name)), "TF-IDF"
    sizes, kinds, confusions, classes = [], [], [], []
    for name, parts in sets.items():
        for split in SPLITS:
            if split in parts:
                cost = (costs or {}).get(name, {})
                sizes.append({"task": task.info.name, "labels": name, **_size(task, split, parts[split]), **cost})
                confusions.append(_confusion_frame(task, name, split, parts[split]))
        if has_gaps(task):
            sizes.append({"task": task.info.name, "labels": name, **whole_size(task, parts)})
        kept = None
        if "train" in parts and features is not None:
            kind, kept = _kind(task, name, parts["train"], features)
            kinds.append({"task": task.info.name, "labels": name, **kind})
        classes += [{"task": task.info.name, "labels": name, **row} for row in class_rows(task, parts, kept)]
    confusions = [frame for frame in confusions if frame is not None]
    return Study(
        pd.DataFrame(sizes),
        pd.DataFrame(kinds),
        pd.concat(confusions, ignore_index=True) if confusions else pd.DataFrame(),
        pd.DataFrame(_agreement(task, sets)),
        pd.DataFrame(classes),
        pd.DataFrame(replacement_rows(task, sets, persons)),
        **anatomy(task, sets, features, features_of),
    )


def text_features(texts: Sequence[str], seed: int, dimensions: int = 100) -> np.ndarray:
    """float64[N, at most `dimensions`]: TF-IDF of words and word pairs, reduced by a truncated SVD (LSA)."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        counts = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit_transform(texts)
    except ValueError:  # too few texts to have a word twice
        counts = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3)).fit_transform(texts)
    most = min(dimensions, counts.shape[1] - 1)
    if most < 1:
        return np.asarray(counts.todense())
    return TruncatedSVD(most, random_state=seed % 2**32).fit_transform(counts)


def estimate_noise_rate(
    labels: np.ndarray, features: np.ndarray, num_classes: int, seed: int
) -> tuple[float, np.ndarray]:
    """τ̂ by confident learning that is repeated on what it keeps (`methods.noise_rate.refined`); sees no gold.

    Also bool[n]: which labels it takes for wrong. `labels` int64[n] without -1. Rough: noise that is predictable from
    the text looks like signal to it.
    """
    from methods import noise_rate

    if len(np.unique(labels)) < 2:
        return float("nan"), np.zeros(len(labels), dtype=bool)
    found = noise_rate.refined(features, labels, num_classes, named_generator("noise-rate-estimate", seed))
    return found.rate, found.dropped


def _size(task: TaskData, split: str, part: SplitLabels) -> dict:
    asked, answered = len(part.rows), part.labels >= 0
    row = {"split": split, "texts": len(task.texts(split)), "asked": asked}
    row["no_answer_rate"] = float((~answered).mean()) if asked else float("nan")
    return row | rates(part.labels, gold_of(task, split, part))


def _confusion_frame(task: TaskData, name: str, split: str, part: SplitLabels) -> pd.DataFrame | None:
    gold = task.gold.of(split)
    if gold is None or not len(part.rows):
        return None
    known = gold[part.rows] >= 0
    table = confusion(gold[part.rows][known], part.labels[known], len(task.label_names))
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    gold_ids, label_ids = np.nonzero(table if len(table) > MANY else np.ones_like(table))
    names = np.array([*task.label_names, "(no answer)"], dtype=object)
    return pd.DataFrame(
        {
            "task": task.info.name,
            "labels": name,
            "split": split,
            "gold": names[gold_ids],
            "label": names[label_ids],
            "count": table[gold_ids, label_ids],
            "share": shares[gold_ids, label_ids],
        }
    )


def _kind(
    task: TaskData, name: str, part: SplitLabels, features: np.ndarray
) -> tuple[dict[str, Any], np.ndarray | None]:
    """The noise rate without and with gold, and the tests, on answered train texts, each text once.

    Also the share of each label that the estimate without gold takes for right, float64[C].
    """
    num_classes, seed = len(task.label_names), named_seed("study", task.info.name, name)
    use = np.flatnonzero(part.labels >= 0)
    texts = [task.train.texts[row] for row in part.rows[use]]
    use = use[np.sort(np.unique(texts, return_index=True)[1])] if texts else use
    if len(use) > AT_MOST:
        use = np.sort(named_generator("study-sample", task.info.name).permutation(use)[:AT_MOST])
    rows, labels = part.rows[use], part.labels[use]
    found: dict[str, Any] = {"texts": len(use), "noise_rate_estimate": float("nan")}
    if len(use) < 20:
        return found, None
    some = np.sort(named_generator("study-estimate", task.info.name).permutation(len(use))[:ESTIMATED])
    estimate, suspect = estimate_noise_rate(labels[some], features[rows[some]], num_classes, seed)
    found["noise_rate_estimate"] = estimate
    counts = np.bincount(labels[some], minlength=num_classes)
    with np.errstate(invalid="ignore"):
        kept = 1 - np.bincount(labels[some][suspect], minlength=num_classes) / counts
    if task.gold.train is None:
        return found, kept
    gold = task.gold.train[rows]
    known = gold[some] >= 0
    if powered := prediction_powered((gold != labels)[some][known], suspect[known], suspect[~known]):
        found |= dict(zip(("ppi", "ppi_low", "ppi_high"), powered, strict=True))
    rows, labels, gold = rows[gold >= 0], labels[gold >= 0], gold[gold >= 0]
    found |= {"checked": len(gold)} | ({"noise_rate": float((gold != labels).mean())} if len(gold) else {})
    if len(gold) < 20:
        return found, kept
    rng = named_generator("study-tests", task.info.name, name)
    draws = 1999 if num_classes <= MANY else 199  # a draw costs time in the square of the classes
    flat = symmetric_departure(gold, labels, num_classes, rng, draws)
    local = instance_dependence(gold, labels, features[rows], num_classes, rng)
    return found | {
        "symmetric_g": flat.statistic,
        "symmetric_distance": flat.size,
        "symmetric_p": flat.p_value,
        "instance_moran_i": local.statistic,
        "instance_p": local.p_value,
        "noise": _in_words(flat.p_value, local.p_value),
    }, kept


def _in_words(symmetric_p: float, instance_p: float, level: float = 0.05) -> str:
    if instance_p < level:
        return "instance-dependent"
    return "class-conditional" if symmetric_p < level else "not told from symmetric"


def _agreement(task: TaskData, sets: Mapping[str, Mapping[str, SplitLabels]]) -> list[dict]:
    """Pairwise and joint agreement on train; labellers are compared where both were asked."""
    gold, rows, whole = task.gold.train, [], on_train(task, sets)
    for a, b in itertools.combinations(whole, 2):
        both = (whole[a] >= 0) & (whole[b] >= 0)
        row = {"task": task.info.name, "labellers": f"{a} · {b}", "texts": int(both.sum())}
        row["agreement"] = float((whole[a] == whole[b])[both].mean()) if both.any() else float("nan")
        row["kappa"], row["statistic"] = cohen_kappa(whole[a], whole[b]), "Cohen"
        if gold is not None:
            known = both & (gold >= 0)
            wrong = known & (whole[a] != gold) & (whole[b] != gold)
            row["both_wrong"] = float(wrong.sum() / known.sum()) if known.any() else float("nan")
            row["same_error"] = float((whole[a] == whole[b])[wrong].mean()) if wrong.any() else float("nan")
        rows.append(row)
    if len(whole) > 2:
        votes = np.stack(list(whole.values()), axis=1)
        everyone = (votes >= 0).all(axis=1)
        same = (votes[everyone] == votes[everyone][:, :1]).all(axis=1)
        row = {"task": task.info.name, "labellers": f"all {len(whole)}", "texts": int(everyone.sum())}
        row["agreement"] = float(same.mean()) if everyone.any() else float("nan")
        row["kappa"], row["statistic"] = fleiss_kappa(votes, len(task.label_names)), "Fleiss"
        rows.append(row)
    return rows
