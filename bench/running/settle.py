"""Seeds added one at a time until every method is shown to differ from plain, or a limit is reached.

Looking at the data after every seed makes the last interval no fixed-sample one: it excludes 0 too often by chance. So
records keep that they were made like this, and a report says so.
"""

from __future__ import annotations

from collections import defaultdict

from bench.core.errors import UsageError
from bench.core.texts import plural
from bench.grid.cells import Plan, plan
from bench.grid.options import LAST_SEED
from bench.report.tables import stats
from bench.report.tables.headlines import points
from bench.running.executors.base import executor_of
from bench.store.records import Record, read_record

BASELINE = "plain"
Scores = dict[tuple[str, str | None, str], dict[int, float]]
"""By task, where its data lie and noise source: the accuracy of the last step by seed, per cent."""


def check_settling(made: Plan) -> None:
    """Raises UsageError where seeds are to be added and there is nothing to compare, or not yet."""
    most, seeds = made.options.until_settled, made.options.seeds
    if most is None:
        return
    if len(seeds) >= most:
        raise UsageError(
            f"--until-settled {most} is the number of seeds to end at, and --seeds names {len(seeds)} already, so none "
            "would be added: name a larger number, or leave --until-settled out"
        )
    if (last := max(seeds) + most - len(seeds)) > LAST_SEED:
        raise UsageError(
            f"--until-settled {most} would add seeds up to {last}, and the largest is {LAST_SEED}: name smaller --seeds"
        )
    methods = {cell.key.method for cell in made.cells}
    if BASELINE not in methods or len(methods) < 2:
        raise UsageError(f"--until-settled compares methods with {BASELINE}: name {BASELINE} and another in --methods")
    if not getattr(executor_of(made.options.executor).options, "wait", True):
        raise UsageError("--until-settled compares what has run: leave out wait=false")


def next_round(made: Plan) -> Plan | None:
    """The plan with one more seed, for all of its methods alike; None where nothing is left to settle."""
    options, most = made.options, made.options.until_settled
    if most is None or len(options.seeds) >= most or not unsettled(made):
        return None
    seeds = [*options.seeds, max(options.seeds) + 1]
    return plan(options.model_copy(update={"seeds": seeds}))


def added(made: Plan) -> Plan:
    """The cells of the last seed alone: what failed with another has had its try."""
    return plan(made.options.model_copy(update={"seeds": made.options.seeds[-1:]}))


def unsettled(made: Plan) -> dict[str, stats.Interval]:
    """Those of `differences` that still include 0, or are over fewer than `stats.MIN_SEEDS` seeds.

    A difference that is the same with every seed will not change with more of them and counts as settled.
    """
    return {name: gap for name, gap in differences(made).items() if _is_open(gap)}


def _is_open(gap: stats.Interval) -> bool:
    return gap.n < stats.MIN_SEEDS or not (gap.excludes_zero or gap.half <= stats.NO_SPREAD)


def differences(made: Plan) -> dict[str, stats.Interval]:
    """By method and encoder: the paired difference from plain, on average over tasks and noise sources.

    Without references, methods that were given human labels, and those without a scored cell beside one of plain's.
    """
    scores: dict[tuple[str, str], Scores] = defaultdict(lambda: defaultdict(dict))
    for cell in made.cells:
        key = cell.key
        record = read_record(key.path(made.options.results))
        if isinstance(record, Record) and record.scores and record.competes:
            encoder = f"{cell.shown_key.encoder}:{key.encoder_mode}"
            by_seed = scores[cell.variant, encoder][key.task, cell.origin, key.noise]
            by_seed[key.seed] = 100 * record.scores.last.accuracy
    found = {}
    for (method, encoder), ours in scores.items():
        if method == BASELINE:
            continue
        gap = _difference(ours, scores[BASELINE, encoder])
        if gap.n:
            found[f"{method} ({encoder})"] = gap
    return found


def _difference(ours: Scores, theirs: Scores) -> stats.Interval:
    """The paired difference on average over the columns that both have, for the seeds that have all of them."""
    columns = ours.keys() & theirs.keys()
    if not columns:
        return stats.mean_interval([])
    seeds = set.intersection(*(set(scores[column]) for column in columns for scores in (ours, theirs)))
    gaps = [sum(ours[c][seed] - theirs[c][seed] for c in columns) / len(columns) for seed in sorted(seeds)]
    return stats.mean_interval(gaps)


def _few(gap: stats.Interval) -> str:
    return f" (too few: {plural(gap.n, 'seed')})" if gap.n < stats.MIN_SEEDS else ""


def sentences(made: Plan) -> list[str]:
    """What was settled, once no seed is added any more."""
    compared = differences(made)
    left = {name: gap for name, gap in compared.items() if _is_open(gap)}
    seeds = f"{len(made.options.seeds)} seeds"
    if not compared:
        return [f"nothing could be compared with {BASELINE}: no method has a score beside one of its cells"]
    if not left:
        why = f"the interval against {BASELINE} excludes 0, or is without any spread, for {', '.join(compared)}"
        return [f"settled with {seeds}: {why}"]
    listed = ", ".join(f"{name} {points(gap)}{_few(gap)}" for name, gap in left.items())
    return [f"not settled with {seeds}, the most that --until-settled allows: {listed} points against {BASELINE}"]
