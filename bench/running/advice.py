"""What the finished cells of an advised grid say to the owner of the table: see `bench.report.output.advice.Advice`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import BenchError
from bench.core.selectors import shell_word
from bench.core.texts import plural
from bench.grid.cells import Plan
from bench.grid.command import command_line
from bench.report.output.advice import Advice, Score, Suspect
from bench.report.tables import stats
from bench.report.tables.blocks import EARLY, Span
from bench.report.tables.bootstrap import draws_of
from bench.report.tables.entries import wilson
from bench.report.tables.headlines import headline, points
from bench.report.tables.worth import FLATTERS, too_narrow
from bench.running.adviser import FEWEST_TEST, Adviser, Source, shared_means
from bench.running.trust import Trusted, trust_task
from bench.running.wrong_labels import wrong_labels
from bench.store.folder import CELL_DIGITS
from bench.training.find_encoder import split_mode

SUSPECTS = 20
READING = ("text_column", "gold_column", "label_columns", "no_answer")
"""Options that say how a table is read: every command about it repeats them."""


def advise(plan: Plan) -> Advice:
    """What the finished cells of a plan say. Raises UsageError where none is done."""
    told = Adviser(plan)
    main, unknown = told.main, _unknown(told)
    suspects, vote = [], ""
    try:
        found = trust_task(*_question(told))
        suspects, vote = _suspects(found), found.vote_of_two
    except BenchError as error:
        unknown = [*unknown, f"Which rows to check: {error}."]
    return Advice(
        table=told.path,
        labeller=main.name,
        wrong=wrong_labels(told),
        method=_method(told),
        scores=_scores(told),
        worth=_worth(told),
        unknown=unknown,
        suspects=suspects,
        commands=_commands(told, vote),
    )


def _question(told: Adviser) -> tuple:
    """The options under which the main source's labels are looked at, and the sentence encoder."""
    encoder, _ = split_mode(told.plan.options.encoder[0])
    return told.plan.options.model_copy(update={"llms": [told.main.selector]}), encoder


def _suspects(found: Trusted) -> list[Suspect]:
    """The most suspicious rows that no gold label has settled."""
    order = found.order()
    rows = order if found.gold is None else order[found.gold[order] < 0]
    columns = found.columns(rows[:SUSPECTS])
    shown = zip(*(columns[name] for name in ("id", "text", "given", "suggested", "suspicion")), strict=True)
    return [Suspect._make([*words, f"{float(suspicion or 1):.2f}"]) for *words, suspicion in shown]


def _method(told: Adviser) -> list[str]:
    """Which method to use, and how sure that is."""
    ranked = told.ranked
    if told.by_gold:
        kind = told.block.kinds[told.column]
        span = Span(str(kind), told.main.name, [told.column])
        found = headline(told.block, span, "last", *draws_of(told.results, told.block))
        rows = f"{told.tested} test rows with gold{_flattered(told)}"
        said = [f"Use {ranked[0]}. On the {rows}, last step: {found.sentence}"]
        if found.best.endswith(EARLY):
            said.append(
                f"{found.best} is plain at its best step on the noisy validation labels; exported models are those of "
                "the last step."
            )
        return said
    scores = told.agreements
    if not scores:
        return [f"No validation row has an answer, so nothing tells the methods apart: use {ranked[0]}."]
    means = shared_means({method: scores[method] for method in ranked if method in scores})
    level = [method for method in means if method != ranked[0] and np.isclose(means[method], means[ranked[0]])]
    others = [method for method in ranked[1:] if method in scores]
    if not others:
        only = "ran" if len(ranked) == 1 else "could be scored on noisy validation labels"
        said = [
            f"Use {ranked[0]}. It is the only method that {only}, so it is compared with none; it agrees with "
            f"{means[ranked[0]]:.1f} % of the noisy validation labels."
        ]
        return said + _few_tested(told)
    best = f"best{', equally with ' * bool(level)}{' and '.join(level)}"
    said = [
        f"Use {ranked[0]}. It agrees with the noisy validation labels {best}: {means[ranked[0]]:.1f} %. It was chosen "
        "without gold, and the validation labels have the same kinds of mistakes as the training labels: a method that "
        "repeats mistakes which the texts explain looks good here."
    ]
    p = stats.corrected_p(scores, others, ranked[0])
    next_best = ([method for method in others if method not in level] or others)[0]
    said += [_compared(told, ranked[0], other, p) for other in others if other in (next_best, "plain")]
    return said + _few_tested(told)


def _few_tested(told: Adviser) -> list[str]:
    """Why the test rows with gold did not choose the method, where there are some."""
    if not told.tested:
        return []
    return [
        f"{told.tested} test rows have gold: too few to choose a method by (that takes at least {FEWEST_TEST}), so "
        "the accuracies below only show how wide the uncertainty is."
    ]


def _flattered(told: Adviser) -> str:
    """What to add to test rows with gold that chose the method, for what is said of it on them; else empty."""
    return f" (which chose the method: {FLATTERS})" if told.by_gold and len(told.ranked) > 1 else ""


def _compared(told: Adviser, ours: str, theirs: str, p: dict[str, float]) -> str:
    """Whether noisy validation tells two methods apart, over seeds and over texts; `p` is corrected, by method."""
    scores, records = told.agreements, told.competing
    seeds = stats.paired_difference(scores[ours], scores[theirs])
    shared = sorted(records[ours].keys() & records[theirs].keys())
    hits = [told.valid_hits(records[ours][seed]) - told.valid_hits(records[theirs][seed]) for seed in shared]
    texts = stats.mean_interval(100 * np.mean(hits, axis=0))
    words = "ahead of" if p[theirs] < 0.05 and texts.excludes_zero and seeds.mean > 0 else "not shown to differ from"
    several = stats.comparisons(p.values()) > 1 and seeds.n >= stats.MIN_SEEDS
    corrected = f" (test over seeds corrected for {stats.comparisons(p.values())} comparisons)" if several else ""
    over = plural(seeds.n, "seed")
    return (
        f"It is {words} {theirs}{corrected}: {points(seeds)} points over {over}, {points(texts)} over {texts.n} texts."
    )


def _scores(told: Adviser) -> list[Score]:
    """The table of methods."""
    agreements, accuracies, made = told.agreements, told.accuracies, []
    for method in (ranked := told.ranked):
        known = list(accuracies.get(method, {}).values())
        limits = wilson(float(np.mean(known)) / 100, told.tested) if known and told.tested else None
        accuracy = f"{np.mean(known):.1f} ({limits[0]:.0f} to {limits[1]:.0f})" if limits else ""
        agreement = f"{np.mean(list(agreements[method].values())):.1f}" if method in agreements else ""
        worth = told.yardstick.entry(method, [told.column]).text if known else ""
        made.append(Score(method, agreement, accuracy, worth, method == ranked[0]))
    return made


def _worth(told: Adviser) -> list[str]:
    """What the chosen method is worth in human labels, or what is needed to say so."""
    best, column = told.ranked[0], told.column
    found = told.yardstick.entry(best, [column]) if told.accuracies else None
    if found is None or not found.text:
        return [
            "Unknown: it takes gold in more than 10 train rows and in some test rows. Label random rows by hand in a "
            "column 'gold', which may have gaps, and run this command again."
        ]
    seeds = "seeds and " if len(told.accuracies[best]) > 1 else ""
    brackets, few = "", ""
    if "(" in found.text:
        brackets = f"In brackets: the 95 % interval over {seeds}these rows; "
        few = too_narrow(told.yardstick.fewest_seeds([best], [column]))
    return [
        f"{best} is worth {found.text} random human labels: training on that many human labels alone, without any "
        f"noisy label, gives the same accuracy on the {told.tested} test rows with gold{_flattered(told)}. "
        f"{brackets}< and > mean outside the learning curve.{' ' * bool(few)}{few}"
    ]


def _unknown(told: Adviser) -> list[str]:
    """What no number above answers."""
    said = []
    if told.main.rate is None:
        said.append(
            "How many labels are wrong, how accurate any model is, and whether the chosen method is the best. Label 50 "
            "to 100 random rows by hand in a column 'gold', leave the others empty, and run this command again."
        )
        if len(told.sources) > 1:
            said.append(f"Which labeller is best: {_by_rule(told.main)}")
    elif told.tested < FEWEST_TEST:
        said.append(
            f"Which method is most accurate: {told.tested} test rows have gold, and at least {FEWEST_TEST} are needed. "
            "More random rows with gold narrow every interval above (four times as many halve it)."
        )
    if told.main.rate is not None:
        said.append("The intervals are valid only if the rows with gold were drawn at random from all rows.")
    failed = [record for record in told.results.records if record.status != "done"]
    said += [
        f"{record.key.method}, {record.key.noise}, seed {record.key.seed}: {record.status}, {record.reason}"
        for record in failed[:5]
    ]
    return said + ([f"{len(failed) - 5} more cells did not run."] if len(failed) > 5 else [])


def _by_rule(main: Source) -> str:
    """Why labels are used that no gold was there to choose."""
    source, why = main.cells[0].source, "estimates without gold are too uncertain to choose by"
    if source.rule == "single":
        return f"{main.name} is used, by rule, since it comes first: {why}."
    tie = ""
    if source.rule == "vote":
        tie = " Where its labellers differ, it takes one of their labels at random."
        if len(source.members) > 2:
            tie = " Of labels that are equally frequent, it takes one at random."
    return f"{main.name} is used, by rule, since it is of several labellers: {why}.{tie}"


def _commands(told: Adviser, vote: str) -> list[tuple[str, str]]:
    """What to type next, and why; `vote` is that of the labels with the only others, which cannot outvote them."""
    options, name, table = told.plan.options, told.task.info.name, told.path
    reading = {each: value for each in READING if (value := getattr(options, each))}
    encoder, _ = split_mode(options.encoder[0])
    asked = {"llms": told.main.selector} | reading | ({} if encoder == "minilm" else {"encoder": encoder})
    kept = {"results": options.results}

    def command(which: str, given: dict[str, Any], *arguments: str, out: str) -> str:
        return command_line(which, {**given, "out": f"{name}-{out}"}, *arguments)

    made, one_file = [], not Path(table).is_dir()
    if one_file:
        cleaned = command("clean", asked | kept, table, out="cleaned.csv")
        why = "The table with corrected labels beside the old ones, and the reasons"
        if vote:
            why += (
                f" (the only other labeller cannot outvote {told.main.name}: where it answered, no label is corrected; "
                f"check by hand, or clean the vote of both with --llms {shell_word(vote)})"
            )
        made.append((f"{why}:", cleaned))
    if found := told.exportable():
        method, record = found
        best = told.ranked[0]
        why = "" if method == best else f" ({best} needs more than its networks to predict and cannot be exported)"
        text = {"text_column": options.text_column} if options.text_column else {}
        local = {"encoder": encoder} if "/" in encoder else {}
        model = command("export", kept, record.hash[:CELL_DIGITS], out="model")
        made.append((f"The model of {method}{why} as a folder:", model))
        if one_file:
            labels = command("predict", text | local, f"{name}-model", table, out="predictions.csv")
            made.append(("Label new texts with that model:", labels))
    suspicion = command("trust", asked | kept, table, out="trust.csv")
    return [
        *made,
        ("All rows, the most suspicious first, to check by hand:", suspicion),
        ("Every number behind this page:", command_line("report", kept)),
    ]
