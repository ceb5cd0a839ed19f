"""Tables whose rows stand on different cells: what they say of it, and what they leave empty."""

import dataclasses

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from bench.report.figures.overview import overview_plans, pareto_data
from bench.report.output.render import csv_table
from bench.report.tables.blocks import Block
from bench.report.tables.cost import cost_table
from bench.report.tables.entries import seeds_or_texts
from bench.report.tables.headlines import Leader, headline
from bench.report.tables.model import parts
from bench.report.tables.ranks import RanksTable
from bench.report.tables.result import result_table
from bench.report.tables.rules import rules_table
from bench.report.tables.significance import significance_table
from bench.report.tables.stats import mean_interval
from bench.report.tables.summaries import calibration_table, selection_table
from bench.report.tables.yardstick import LABELLER
from bench.store.metrics import METRICS
from tests.report.test_tables import context, entries

RULES = ("last", "noisy_valid", "oracle_best")
FACTS = {
    "status": "done",
    "has_gold": True,
    "reason": None,
    "n_scored": 500,
    "noise_rate_trained": 0.2,
    "no_answer_train": 0,
    "noise_rate_expected": False,
    "labeller_test_accuracy": None,
    "labeller_test_no_answer": None,
}


def block_of(scores, references=(), **facts):
    """Of `scores[method][task][seed]`, fractions, on the labels of one LLM; `facts` go to every cell."""
    tasks = dict.fromkeys(task for by_task in scores.values() for task in by_task)
    columns = [(task, "gpt") for task in tasks]
    rows = {
        (method, (task, "gpt")): [
            FACTS
            | {f"{metric}_{rule}": score for metric in METRICS for rule in RULES}
            | {"cell": f"{method} {task} {seed}", "seed": seed}
            | facts
            for seed, score in by_seed.items()
        ]
        for method, by_task in scores.items()
        for task, by_seed in by_task.items()
    }
    kinds = dict.fromkeys(columns, "llm")
    methods, none = list(scores), frozenset()
    return Block("setup", methods, frozenset(references), none, columns, kinds, rows, baseline=methods[0])


EASY = {1: 0.70, 2: 0.71, 3: 0.69, 4: 0.75, 5: 0.76, 6: 0.74}


def own(*seeds, worse=0.0):
    return {seed: EASY[seed] - worse for seed in seeds}


OTHER_SEEDS = "Methods have different seeds, and each row is over its own:"


@pytest.mark.parametrize(("others", "said"), [((3, 4, 5, 6), True), ((1, 2, 3, 4), False), ((1, 2), True)])
def test_rows_over_different_seeds_say_so(others, said):
    """B is worse with every seed that both have; with easier ones its mean is higher."""
    block = block_of({"plain": {"trec": own(1, 2, 3, 4)}, "B": {"trec": own(*others, worse=0.01)}})
    for table in (result_table(block, "trec", metric, "last") for metric in ("accuracy", "ece")):
        assert (f"{OTHER_SEEDS} compare methods by differences from plain, paired by seed." in table.caption) is said
    for table in without_differences(block):
        assert (f"{OTHER_SEEDS} compare only methods of the same seeds." in table.caption) is said, table.name


def without_differences(block):
    """The tables that have no column of differences from the baseline."""
    return (
        rules_table(block, None),
        selection_table(block, block.methods, block.columns),
        calibration_table(block, block.methods, block.columns, "last"),
    )


@pytest.mark.parametrize(
    "plain",
    [
        {"snli": own(1, 2)},  # no cells in the table
        {"trec": {1: float("nan")}},  # cells without a score
        {"trec": own(4, 5, 6)},  # no seed that another method has
    ],
)
def test_rows_without_differences_are_to_be_compared_by_equal_seeds(plain):
    block = block_of({"plain": plain, "A": {"trec": own(1, 2, 3)}, "B": {"trec": own(1, 2)}})
    (said,) = (each for each in result_table(block, "trec", "accuracy", "last").caption if OTHER_SEEDS in each)
    assert said.endswith("compare only methods of the same seeds.")


def test_references_with_seeds_of_their_own_are_not_compared():
    scores = {name: {"trec": own(1, 2, 3, 4)} for name in ("plain", "B")} | {"gold": {"trec": own(1, 2)}}
    block = block_of(scores, ["gold"])
    for table in (result_table(block, "trec", "accuracy", "last"), *without_differences(block)):
        assert not any(OTHER_SEEDS in each for each in table.caption), table.name


def costs_of(seconds, references=()):
    """A block whose cells take `seconds[method][task][seed]`."""
    block = block_of(seconds, references)
    for rows in block.rows.values():
        for row in rows:
            paid = dict.fromkeys(("stand_alone", "marginal", "stand_alone_low", "stand_alone_high"), row["brier_last"])
            row |= {f"seconds_{name}": value for name, value in paid.items()}
            row |= {"seconds_unit": "processor", "peak_memory_mb": 1, "parameters": 1, "device": "cpu"}
    return block


def test_a_method_without_its_slow_cells_is_not_cheaper():
    """It takes half as long again in every column, and has one seed of the column that takes long."""
    plain = {"small": dict.fromkeys(range(5), 1), "big": dict.fromkeys(range(5), 100)}
    slow = {"small": dict.fromkeys(range(5), 1.5), "big": {0: 150}}
    block = costs_of({"plain": plain, "slow": slow, "oracle": {"small": {0: 1}}}, ["oracle"])
    table = cost_table(block, block.methods, block.columns)
    found = entries(table)
    assert [found[method, "stand-alone"].mean for method in ("plain", "slow")] == [50.5, 75.75]
    assert found["oracle", "stand-alone"].state == "empty"
    assert "Empty where a method lacks columns that others have: oracle." in table.caption


def test_the_figure_of_cost_has_seconds_and_accuracy_of_the_same_cells():
    """The reference has a cheap cell more, with a seed that the other column lacks."""
    plain = {"small": {1: 1, 2: 1}, "big": {1: 100, 2: 100}}
    block = costs_of({"plain": plain, "oracle": {"small": {1: 1, 2: 1}, "big": {1: 100}}}, ["oracle"])
    assert pareto_data(block, "last")["oracle"][0] == 50.5


def test_a_method_without_a_seed_that_has_all_columns_is_named():
    scores = {
        "plain": {"a": {1: 0.70, 2: 0.71, 3: 0.70}, "b": {1: 0.71, 2: 0.70, 3: 0.70}},
        "great": {"a": {1: 0.90, 2: 0.91}, "b": {3: 0.90, 4: 0.92}},
        "C": {"a": {1: 0.60, 2: 0.60, 3: 0.61}, "b": {1: 0.61, 2: 0.60, 3: 0.60}},
    }
    block = block_of(scores)
    said = "Without an average, because none of their seeds has all of the columns: great."
    result = result_table(block, "", "accuracy", "last")
    assert entries(result)["great", "average"].state == "empty"
    assert said in result.caption
    assert said in rules_table(block, None).caption
    found = headline(block, block.spans(block.columns)[0], "last", None, "")
    assert (found.best, found.sure) == (
        "plain",
        "leaving out great (no seed with all columns), it is not shown to differ from the runner-up plain+es",
    )
    alone = Leader.of(block, [], block.columns, "last", None, ["great"])
    assert (alone.name, alone.only) == (None, "there is no seed that all methods have")


def test_an_average_without_a_task_is_over_the_seeds_of_the_average():
    """Seed 3 is easy; B lacks it in one task, and without that task scores the same."""
    all_seeds, two = {1: 0.7, 2: 0.7, 3: 0.85}, {1: 0.7, 2: 0.7}
    block = block_of({"plain": dict.fromkeys("abc", all_seeds), "B": {"a": two, "b": all_seeds, "c": all_seeds}})
    found = entries(result_table(block, "", "accuracy", "last"))
    assert found["B", "average"].mean == pytest.approx(70)
    assert [found[method, "one task less"].text for method in ("plain", "B")] == ["75.0 to 75.0", "70.0 to 70.0"]


def test_a_headline_counts_the_comparisons_of_each_rule_by_itself():
    """At the last step, plain stopped early is one more."""
    block = block_of({name: {"a": {1: 0.70, 2: 0.71, 3: 0.72}} for name in ("plain", "B", "C")})
    found = headline(block, block.spans(block.columns)[0], "last", None, "")
    assert [row.rule for row in found.rows].count("last") == 3
    assert [found.unsure(rule).rpartition(", ")[2] for rule in ("last", "noisy_valid")] == [
        "corrected for 3 methods",
        "corrected for 2 methods",
    ]


def test_a_comparison_without_a_p_is_not_counted_among_those_corrected_for():
    """C shares one seed with plain, so its p is NaN, and that of B is not corrected at all by early stopping."""
    better = {seed: score + 0.01 + 0.004 * (seed % 2) for seed, score in own(1, 2, 3, 4).items()}
    block = block_of({"plain": {"a": own(1, 2, 3, 4)}, "B": {"a": better}, "C": {"a": own(4, 5, 6)}})
    found = headline(block, block.spans(block.columns)[0], "last", None, "")
    assert [found.unsure(rule) for rule in ("last", "noisy_valid")] == [
        "not shown to differ from 0, corrected for 2 methods",
        "not shown to differ from 0",
    ]
    (said,) = (each for each in significance_table(context(block), "accuracy").caption if "Holm" in each)
    assert said.endswith(
        "corrected (Holm) for the comparisons of this table that have a p: 1 over seeds, 0 over columns."
    )


def sharing_texts(block, tasks):
    """The block with its columns as noise sources of that many tasks."""
    places = {column: ("abcde"[at % tasks], f"gpt{at}") for at, column in enumerate(block.columns)}
    rows = {(method, places[column]): cells for (method, column), cells in block.rows.items()}
    columns = list(places.values())
    return dataclasses.replace(block, columns=columns, kinds=dict.fromkeys(columns, "llm"), rows=rows)


def test_columns_that_share_texts_are_counted_as_the_tests_have_them():
    """B shares no seed with the others in one of seven columns: ranks are over six, and so is its test."""
    made = {name: dict.fromkeys("abcdefg", own(1, 2, 3, worse=each)) for name, each in (("plain", 0), ("C", 0.02))}
    made["B"] = dict.fromkeys("abcdef", own(1, 2, 3, worse=0.01)) | {"g": own(4, 5, 6)}
    block = sharing_texts(costs_of(made), 3)
    ranks = [
        " ".join(next(RanksTable().make(context(block))).caption),
        *(plan.caption for plan in overview_plans(block, "last") if plan.kind == "ranks"),
    ]
    assert len(ranks) == 3
    assert all("these are 6 columns of 3 tasks." in caption for caption in ranks)
    assert any("these are at most 7 columns of 3 tasks." in each for each in significance_caption(block))
    alone = dataclasses.replace(block, methods=["plain", "B"])
    assert any("these are at most 6 columns of 3 tasks." in each for each in significance_caption(alone))


def significance_caption(block):
    return significance_table(context(block), "accuracy").caption


@pytest.mark.parametrize("tasks", [5, 3])
def test_tests_over_columns_say_where_these_share_the_texts_of_a_task(tasks):
    """With as many tasks as columns nothing is said."""
    scores = {"plain": 0, "B": 0.01, "C": 0.02}
    made = {name: dict.fromkeys("abcde", own(1, 2, 3, worse=each)) for name, each in scores.items()}
    block = sharing_texts(costs_of(made), tasks)
    said = (
        "Columns of one task share its texts, so tests over columns are too sure (p is too small): these are 5 columns "
        "of 3 tasks."
    )
    captions = [
        *next(RanksTable().make(context(block))).caption,
        *significance_table(context(block), "accuracy").caption,
        *(plan.caption for plan in overview_plans(block, "last") if plan.kind == "ranks"),
    ]
    assert sum(said in caption for caption in captions) == (4 if tasks == 3 else 0)


def test_the_interval_of_one_seed_has_wilson_s_own_limits():
    """Of 100 texts, all right and 98 right; on two tasks, distances from the mean are added in squares."""
    block = block_of({"plain": {"a": {1: 1.0}, "b": {1: 0.98}}}, n_scored=100)
    table = result_table(block, "", "accuracy", "last")
    average, _, _, all_right, two_wrong = (" ".join(filter(None, parts(e, table))) for e in table.rows[0].entries)
    assert (all_right, two_wrong) == ("100.0 (96.3 to 100.0)", "98.0 (93.0 to 99.4)")
    ends = [np.array(proportion_confint(hits, 100, method="wilson")) * 100 for hits in (100, 98)]
    low, high = (np.hypot(ends[0][side] - 100, ends[1][side] - 98) / 2 for side in (0, 1))
    assert average == f"99.0 ({99 - low:.1f} to {99 + high:.1f})"
    assert "one seed: interval over test texts 96.3 to 100.0" in csv_table(table)
    (said,) = (each for each in table.caption if each.startswith("Two limits"))
    assert "of an average over columns, Wilson's limits combined, Newcombe 1998" in said


def test_the_limits_of_a_difference_have_their_signs():
    made = seeds_or_texts(mean_interval([2.0]), (), lambda: (-1.2, 5.2), signed=True)
    assert made.note == "one seed: interval over test texts −1.2 to +5.2"


LABELLED = {"labeller_test_accuracy": 0.5, "labeller_test_no_answer": 0, "method_label": "plain"}


def test_differences_without_an_interval_are_named():
    """The oracle has one seed, and the labeller, with the same test accuracy in its records, none."""
    scores = {"plain": own(1, 2, 3), "B": {1: 0.75, 2: 0.73, 3: 0.72}, "oracle": {1: 0.95}}
    block = block_of({name: {"trec": each} for name, each in scores.items()}, ["oracle"], **LABELLED)
    table = result_table(block, "trec", "accuracy", "last")
    said = "vs plain: difference of the averages, paired by seed, with 95 % interval"
    why = "the labeller's is not paired and has none, as it has no seeds"
    assert f"{said} (none for oracle); {why}." in table.caption
    assert entries(table)[LABELLER, "vs plain"].limits is None
    assert f"{said} (none for oracle)." in result_table(block, "trec", "ece", "last").caption


def test_the_average_of_one_column_has_the_limits_of_that_column_for_the_labeller_too():
    scores = {"plain": {"a": own(1, 2), "b": own(1, 2)}, "B": {"a": own(1, 2)}, "C": {"a": own(1, 2)}}
    block = block_of(scores, **LABELLED)
    found = entries(result_table(block, "", "accuracy", "last"))
    assert found[LABELLER, "average"].limits == pytest.approx(found[LABELLER, "gpt"].limits)


def test_references_without_a_row_by_both_rules_are_named_and_more_than_one_do_not_compete():
    """There are 600 rows in task b, so `gold[rows=1000]` has no cell there."""
    scores = {name: dict.fromkeys("ab", own(1, 2, 3)) for name in ("plain", "B", "gold[rows=10]")}
    block = block_of(scores | {"gold[rows=1000]": {"a": own(1, 2, 3)}}, ["gold[rows=10]", "gold[rows=1000]"])
    block = dataclasses.replace(block, humans=frozenset(["gold[rows=10]", "gold[rows=1000]"]))
    (said,) = (each for each in rules_table(block, None).caption if each.startswith("Without an average"))
    assert said == "Without an average, because none of their seeds has all of the columns: gold[rows=1000]."
    table = result_table(block, "", "accuracy", "last")
    assert "gold[rows=10], gold[rows=1000]: learn from human labels, so they do not compete." in table.caption


def test_a_gain_without_a_p_is_not_called_corrected():
    """B has two seeds, so no test over seeds; C and D have one each."""
    worse = [{"a": {1: 0.6, 2: 0.62 + extra, 3: 0.58, 4: 0.66}} for extra in (0, 0.01)]
    block = block_of({"plain": {"a": own(1, 2, 3, 4)}, "B": {"a": {1: 0.9, 2: 0.92}}, "C": worse[0], "D": worse[1]})
    found = headline(block, block.spans(block.columns)[0], "last", None, "")
    assert found.best == "B"
    assert found.unsure("last") == "not shown to differ from 0"


def test_rates_that_were_computed_are_said_to_be():
    scores = {"plain": {"trec": own(1, 2)}}
    for expected in (True, False):
        table = result_table(block_of(scores, noise_rate_expected=expected), "trec", "accuracy", "last")
        assert any(each.startswith("≈: computed") for each in table.caption) is expected
