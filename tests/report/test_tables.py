"""Result tables against independent computations from the tidy frame."""

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.proportion import proportion_confint

from bench.core.errors import UsageError
from bench.report import frame
from bench.report.tables.base import Context
from bench.report.tables.blocks import blocks, check_baseline
from bench.report.tables.bootstrap import draws_of
from bench.report.tables.entries import wilson
from bench.report.tables.gains import gain_table
from bench.report.tables.model import Entry, Table, parts
from bench.report.tables.result import result_table
from tests.factories import METHODS, TASKS, cell_key, write_done, write_grid


def block_of(results, setup="minilm:fine-tuned", baseline="plain"):
    return next(block for block in blocks(results.cells, baseline) if block.setup == setup)


def entries(table):
    """Entries by (row, column name)."""
    return {
        (row.label, head.name): entry
        for row in table.rows
        for head, entry in zip(table.heads, row.entries, strict=True)
    }


def context(block, results=None, draws=None, why="", rule="last"):
    """What report tables are made from; `draws` is the bootstrap, `why` there is none."""
    return Context(results, block, rule, full=False, draws=lambda: (draws, why))


def by_seed(results, method, noise, name="accuracy_last", task="trec", setup="minilm:fine-tuned"):
    cells = results.cells
    keep = (cells["method_label"] == method) & (cells["noise"] == noise) & (cells["task"] == task)
    return cells[keep & (cells["setup"] == setup)].dropna(subset=[name]).set_index("seed")[name] * 100


@pytest.fixture(scope="module")
def table(results):
    block = block_of(results)
    return result_table(block, "trec", "accuracy", "last", draws=draws_of(results, block)[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noise", ["mixtral-8x22b/few", "weak", "sn@0.3"])
def test_an_entry_is_the_mean_and_t_interval_over_seeds(results, table, method, noise):
    values = by_seed(results, method, noise)
    entry = entries(table)[method, noise]
    assert entry.n == len(values)
    assert entry.mean == pytest.approx(values.mean())
    half = scipy_stats.t.ppf(0.975, len(values) - 1) * scipy_stats.sem(values)
    assert entry.half == pytest.approx(half)
    assert len(entry.cells) == 3  # the failed cell is behind its number too


def test_the_average_and_its_difference_are_paired_by_seed(results):
    table = result_table(block_of(results, "minilm:frozen"), "trec", "accuracy", "last")
    noises = ["mixtral-8x22b/few", "weak", "sn@0.3"]
    average = {
        method: np.mean([by_seed(results, method, noise, setup="minilm:frozen") for noise in noises], axis=0)
        for method in METHODS
    }
    found = entries(table)
    assert found["co-teaching", "average"].mean == pytest.approx(average["co-teaching"].mean())
    gain = average["co-teaching"] - average["plain"]
    assert found["co-teaching", "vs plain"].mean == pytest.approx(gain.mean())
    assert found["co-teaching", "vs plain"].half == pytest.approx(
        scipy_stats.t.ppf(0.975, 2) * gain.std(ddof=1) / np.sqrt(3)
    )
    assert found["plain", "vs plain"].state == "empty"


def test_the_oracle_and_the_labeller_never_compete_for_best(results):
    block = block_of(results)
    table = result_table(block, "trec", "accuracy", "noisy_valid", draws=draws_of(results, block)[0])
    best = {key for key, entry in entries(table).items() if entry.best}
    assert best == {("co-teaching", "mixtral-8x22b/few")}
    assert entries(table)["oracle", "mixtral-8x22b/few"].mean > entries(table)["co-teaching", "mixtral-8x22b/few"].mean
    assert [row.label for row in table.rows if row.kind == "reference"] == ["oracle", "labeller itself (test)"]


def test_lower_is_better_for_calibration(results):
    table = result_table(block_of(results, "minilm:frozen"), "trec", "ece", "last")
    assert not any(entry.best for entry in entries(table).values()), "its test texts are not drawn anew"
    assert "lower is better" in table.caption[0]


def test_the_noise_rate_stands_under_its_column(results, table):
    rates = results.cells.query("task == 'trec' and noise == 'weak' and setup == 'minilm:fine-tuned'")[
        "noise_rate_train"
    ]
    head = next(head for head in table.heads if head.name == "weak")
    assert head.below == f"noise {100 * rates.mean():.1f} %"


def test_the_labeller_itself_is_a_reference_row(table):
    row = entries(table)
    assert row["labeller itself (test)", "mixtral-8x22b/few"].mean == pytest.approx(75)
    assert row["labeller itself (test)", "weak"].state == "empty"


def test_failed_skipped_and_missing_cells_are_visible(results):
    block = block_of(results)
    trec = entries(result_table(block, "trec", "accuracy", "last"))
    assert (trec["co-teaching", "weak"].n, trec["co-teaching", "weak"].note) == (2, "1 failed")
    assert trec["co-teaching[forget_rate=0.3]", "weak"].state == "not run"
    tweets = entries(result_table(block, "tweets", "accuracy", "last"))
    assert tweets["co-teaching", "asn@0.3"].state == "skipped"
    assert "at least 3 classes" in tweets["co-teaching", "asn@0.3"].note
    assert tweets["oracle", "asn@0.3"].state == "not run"


def test_averages_are_over_the_columns_that_every_compared_method_has(results):
    table = result_table(block_of(results), "tweets", "accuracy", "last")
    shared = ["mixtral-8x22b/few", "weak", "sn@0.3"]
    expected = np.mean([by_seed(results, "plain", noise, task="tweets").mean() for noise in shared])
    assert entries(table)["plain", "average"].mean == pytest.approx(expected)
    assert any("the 3 columns that every compared method has: " + ", ".join(shared) in text for text in table.caption)


def test_a_method_with_few_columns_does_not_shrink_the_average_of_the_others(table):
    found = entries(table)
    assert found["co-teaching[forget_rate=0.3]", "average"].state == "empty"
    assert "Average over all 3 columns (1 LLM, 1 weak, 1 synthetic)." in table.caption
    assert any("Without an average" in text and "forget_rate" in text for text in table.caption)


def test_setups_are_never_mixed(results):
    made = blocks(results.cells, "plain")
    assert [block.setup for block in made] == ["minilm:fine-tuned", "minilm:frozen"]
    for block in made:
        ids = {row["cell"] for rows in block.rows.values() for row in rows}
        assert set(results.cells[results.cells["cell"].isin(ids)]["setup"]) == {block.setup}


def test_the_table_of_all_tasks_has_every_scored_column(results):
    block = block_of(results)
    table = result_table(block, "", "accuracy", "last")
    groups = [head.group for head in table.heads if head.task]
    assert groups == ["trec"] * 3 + ["tweets"] * 4
    assert set(block.tasks()) == set(TASKS)  # the task without gold has no column


def test_the_layout_of_the_paper_keeps_the_labels_of_llms_only(results):
    table = result_table(block_of(results), "", "accuracy", "last", kind="llm")
    assert [head.name for head in table.heads if not head.task] == ["average", "one task less", "vs plain"]
    assert {head.group for head in table.heads if not head.task} == {""}, "they are one group"
    assert [(head.group, head.name) for head in table.heads if head.task] == [
        ("trec", "mixtral-8x22b/few"),
        ("tweets", "mixtral-8x22b/few"),
    ]
    both = [by_seed(results, "plain", "mixtral-8x22b/few", task=task) for task in ("trec", "tweets")]
    assert entries(table)["plain", "average"].mean == pytest.approx(np.mean(both))


def test_a_noise_source_has_a_table_over_tasks(results):
    table = result_table(block_of(results, "minilm:frozen"), "", "ece", "last", noise="sn@0.3")
    assert [head.name for head in table.heads] == ["average", "one task less", "vs plain", "trec", "tweets"]
    expected = by_seed(results, "oracle", "sn@0.3", "ece_last", "tweets", "minilm:frozen").mean()
    assert entries(table)["oracle", "tweets"].mean == pytest.approx(expected)
    assert "sn@0.3, all tasks" in table.title


def test_the_labeller_is_averaged_and_compared_where_every_column_has_one(results):
    table = result_table(block_of(results), "", "accuracy", "last", kind="llm")
    plain = entries(table)["plain", "average"].mean
    labeller = entries(table)["labeller itself (test)", "average"]
    assert labeller.mean == pytest.approx(75)
    assert np.isnan(labeller.half)  # one set of answers: no interval
    assert entries(table)["labeller itself (test)", "vs plain"].mean == pytest.approx(75 - plain)
    mixed = result_table(block_of(results), "trec", "accuracy", "last")
    assert entries(mixed)["labeller itself (test)", "average"].state == "empty"


def test_a_labeller_may_be_called_like_a_column_of_differences(tmp_path):
    for method in ("plain", "oracle"):
        write_done(tmp_path, cell_key(noise="vs mine/few", method=method))
    table = result_table(block_of(frame.load(tmp_path)), "trec", "accuracy", "last")
    entry = entries(table)["labeller itself (test)", "vs mine/few"]
    assert entry.mean == pytest.approx(70)
    assert not entry.signed


def test_a_calibration_table_says_why_the_labeller_has_none(results):
    table = result_table(block_of(results), "trec", "ece", "last")
    assert any("labels without probabilities" in text for text in table.caption)


def test_one_seed_has_an_interval_over_test_texts_and_no_best(tmp_path):
    write_grid(tmp_path, tasks=["trec"], seeds=[1])
    results = frame.load(tmp_path)
    block = block_of(results)
    table = result_table(block, "trec", "accuracy", "last", draws=draws_of(results, block)[0])
    numbers = {key: entry for key, entry in entries(table).items() if entry.state == "value"}
    assert all(entry.limits or entry.signed for entry in numbers.values())  # references are not drawn anew
    assert not any(entry.best for entry in numbers.values())
    share = by_seed(results, "plain", "weak").iloc[0] / 100
    low, high = proportion_confint(share * 200, 200, method="wilson")
    assert numbers["plain", "weak"].half == pytest.approx(100 * (high - low) / 2)
    assert numbers["plain", "weak"].limits == pytest.approx((100 * low, 100 * high))
    assert parts(numbers["plain", "weak"], table)[1:] == ("", f"({100 * low:.1f} to {100 * high:.1f})")
    assert any("the 95 % interval over test texts (Wilson" in text for text in table.caption)
    assert "One seed" in table.caption[0]


def test_scores_that_are_the_same_with_every_seed_are_no_certainty(results, tmp_path):
    cells = results.cells.copy()
    cells["accuracy_last"] = 0.9
    table = result_table(blocks(cells, "plain")[0], "", "accuracy", "last")
    found = entries(table)
    low, high = proportion_confint(180, 200, method="wilson")
    half = 50 * (high - low)
    assert found["plain", "sn@0.3"].half == pytest.approx(half)
    limits = f"{100 * low:.1f} to {100 * high:.1f}"
    assert found["plain", "sn@0.3"].note == f"the same with every seed: interval over test texts {limits}"
    # three columns of one task, whose texts are the same, and four of another: two independent sets of texts
    assert found["plain", "average"].half == pytest.approx(half * np.hypot(3, 4) / 7)
    assert "±" not in " ".join(parts(found["co-teaching", "vs plain"], table))


def test_a_small_interval_is_not_rounded_to_none():
    assert parts(Entry("value", 80.0, 0.04), Table("", "", "", "", "", (), ()))[1] == "± < 0.1"


def test_averages_go_by_kind_of_noise_with_llm_labels_first(results):
    block = block_of(results, "minilm:frozen")
    table = result_table(block, "", "accuracy", "last")
    heads = [head for head in table.heads if not head.task]
    assert [head.name for head in heads] == [
        "LLM labels", "one task less", "weak labels", "one task less", "synthetic noise", "one task less", "average",
        "one task less", "vs plain",
    ]  # fmt: skip
    assert {head.group for head in heads} == {"averages"}
    assert heads[6].below == "2 LLM, 2 weak, 2 synthetic"
    scores = [by_seed(results, "plain", "weak", task=task, setup="minilm:frozen") for task in ("trec", "tweets")]
    row = next(row for row in table.rows if row.label == "plain")
    assert row.entries[2].mean == pytest.approx(np.mean(scores))
    low, high = sorted(scores[place].mean() for place in (0, 1))
    assert row.entries[3].text == f"{low:.1f} to {high:.1f}"


def test_a_small_test_set_is_named_with_wilson_s_interval(tmp_path):
    for seed in (1, 2, 3):
        for method in ("plain", "co-teaching"):
            write_done(tmp_path, cell_key(method=method, seed=seed), n_test=60)
    results = frame.load(tmp_path)
    table = result_table(blocks(results.cells, "plain")[0], "trec", "accuracy", "last")
    share = max(results.cells.groupby("method")["accuracy_last"].mean())
    low, high = proportion_confint(round(share * 60), 60, method="wilson")
    limits = f"{100 * low:.0f} to {100 * high:.0f} %"
    expected = f"{100 * share:.1f} % (co-teaching with weak), has a 95 % interval of {limits}"
    assert any("trec has only 60 test texts" in text and expected in text for text in table.caption)
    assert wilson(52.7 / 60, 60) == pytest.approx((77.8, 94.2), abs=0.1)


def test_two_seeds_give_an_interval_but_support_nothing(tmp_path):
    write_grid(tmp_path, tasks=["trec"], seeds=[1, 2])
    table = result_table(block_of(frame.load(tmp_path)), "trec", "accuracy", "last")
    assert not any(entry.best for entry in entries(table).values())
    assert "over 2 seeds" in table.caption[0]


def test_the_noisy_valid_rule_reads_other_scores(results):
    last, chosen = (
        entries(result_table(block_of(results), "trec", "accuracy", rule)) for rule in ("last", "noisy_valid")
    )
    values = by_seed(results, "plain", "weak", "accuracy_noisy_valid")
    assert chosen["plain", "weak"].mean == pytest.approx(values.mean())
    assert chosen["plain", "weak"].mean != last["plain", "weak"].mean


def test_without_the_baseline_there_is_no_difference_column(tmp_path):
    for seed in (1, 2, 3):
        write_done(tmp_path, cell_key(method="co-teaching", seed=seed))
    cells = frame.load(tmp_path).cells
    assert check_baseline(cells, "plain") is None
    block = blocks(cells, None)[0]
    table = result_table(block, "trec", "accuracy", "last")
    assert [head.name for head in table.heads] == ["weak"]


def test_the_bootstrap_of_accuracies_gives_no_other_metric_its_interval(tmp_path):
    for method in ("plain", "elr"):
        write_done(tmp_path, cell_key(method=method))
    results = frame.load(tmp_path)
    (block,) = blocks(results.cells, "plain")
    draws, _ = draws_of(results, block)
    gaps = [
        table.rows[-1].entries[0]
        for metric in ("accuracy", "ece")
        for table in (
            result_table(block, "trec", metric, "last", draws=draws),
            gain_table(context(block, draws=draws), metric),
        )
    ]
    assert [(gap.signed, np.isnan(gap.half)) for gap in gaps] == [(True, False)] * 2 + [(True, True)] * 2


def test_a_wrong_baseline_is_refused_with_what_is_there(results):
    with pytest.raises(UsageError, match=r"unknown baseline 'coteaching'.*did you mean co-teaching"):
        check_baseline(results.cells, "coteaching")
    assert check_baseline(results.cells, "co-teaching[forget_rate=0.3]") == "co-teaching[forget_rate=0.3]"
