"""What an advice says of how wrong the labels are: by rows with gold, by estimates, by contradictions of labellers."""

from __future__ import annotations

import numpy as np

from bench.core.texts import SPLITS, plural
from bench.data.task import TaskData
from bench.report.tables import stats
from bench.running.adviser import Adviser, Source


def wrong_labels(told: Adviser) -> list[str]:
    """How wrong the labels of each source are, measured on gold or estimated, and what contradictions prove.

    Parameters
    ----------
    told
        The advised grid.

    Returns
    -------
    list of str
        Sentences, at least one.
    """
    said, guesses = [], []
    for source in told.sources:
        if source.rate is not None:
            value, low, high = (100 * each for each in source.rate)
            said.append(
                f"{source.name}: {value:.0f} % of the answers are wrong (95 % interval {low:.0f} to {high:.0f} %), "
                f"measured on {source.rows} rows with gold."
            )
            if source.silent >= 0.005:
                said[-1] += f" {100 * source.silent:.0f} % of all rows have no answer."
            if source is not told.main and told.main.rate:
                said[-1] += _not_worse(source, told.main)
        elif rates := told.estimates(source):
            guesses.append(f"{source.name} about {100 * float(np.mean(rates)):.0f} %")
    if guesses:
        said.append(
            f"Wrong labels, estimated without gold: {', '.join(guesses)}. The estimate finds only mistakes that the "
            "texts do not explain. On 27 sets of labels with known truth it was off by 12 points on average; for the "
            "ten sets of LLM labels among them it was always too low, by 6 to 32 points."
        )
    bound = disagreement_bound(np.stack(answers)) if (answers := _answers(told.task)) else None
    if bound is not None and bound >= 0.0005:  # 0.1 %
        said.append(
            f"The labellers contradict each other: averaged over them, at least {100 * bound:.1f} % of their answers "
            "are wrong, whatever the truth is (assuming that each text has exactly one right label)."
        )
        if guesses and (mean := _mean_estimate(told)) is not None and mean < bound - 0.0005:
            said[-1] += f" This proves the estimates too low: averaged in the same way, they are {100 * mean:.1f} %."
    return said or ["Unknown: no gold, one labeller, and no method here that estimates it (co-teaching would)."]


def _not_worse(source: Source, main: Source) -> str:
    """What to say of labels that rows with gold do not show to be worse than the main ones; empty where they do."""
    both = source.hits.keys() & main.hits.keys()
    if not both:
        return f" No row with gold was answered by both {source.name} and {main.name}, so they cannot be compared."
    theirs, ours = (np.array([each.hits[row] for row in both], dtype=bool) for each in (source, main))
    if ours.sum() > theirs.sum() and stats.mcnemar_p(ours, theirs) < 0.05:
        return ""
    return (
        f" They are not shown to be worse than {main.name}, which this advice is about (McNemar's exact test on the "
        f"{plural(len(both), 'row')} with gold that both answered)."
    )


def _mean_estimate(told: Adviser) -> float | None:
    """The estimates of all columns averaged over their answers, in [0, 1]; None where one has none."""
    alone = {}
    for source in told.sources:
        first, *more = source.cells[0].source.members
        if isinstance(first, str) and not more and (rates := told.estimates(source)):
            alone[first] = float(np.mean(rates))
    if alone.keys() != told.task.columns.keys():
        return None
    counts = [int((answers >= 0).sum()) for answers in _answers(told.task)]
    return float(np.average([alone[name] for name in told.task.columns], weights=counts))


def _answers(task: TaskData) -> list[np.ndarray]:
    """The answers of several columns over all splits, int64[N] each; none where there is one column."""
    task = task.whole or task
    found = [np.concatenate([each[split] for split in SPLITS]) for each in task.columns.values()]
    return found if len(found) > 1 else []


def disagreement_bound(answers: np.ndarray) -> float | None:
    """The least share of wrong answers that contradictions prove.

    Of a text's answers at most the most frequent one is right.

    Parameters
    ----------
    answers
        int64[L, N], of L labellers to N texts; -1 = none.

    Returns
    -------
    float or None
        In [0, 1]; None without any answer.
    """
    given = answers >= 0
    if not given.any():
        return None
    classes = int(answers.max()) + 1
    columns = np.broadcast_to(np.arange(answers.shape[1]), answers.shape)
    counts = np.bincount((columns * classes + answers)[given], minlength=answers.shape[1] * classes)
    return float(1 - counts.reshape(-1, classes).max(axis=1).sum() / given.sum())
