"""What the numbers support, against scipy and slow obvious loops over the records."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bench.report import frame
from bench.report.figures.overview import pareto_data
from bench.report.tables import bootstrap, stats
from bench.report.tables.blocks import blocks, compared
from bench.report.tables.headlines import Leader
from bench.report.tables.ranks import RanksTable, improvability, ranks, win_rate
from bench.report.tables.rules import rules_table
from bench.report.tables.significance import significance_table
from bench.report.tables.wins import WinsTable, outcomes, score_array
from bench.store.records import read_arrays, write_record
from tests.factories import cell_key, done_record, write_done, write_grid
from tests.report.test_tables import context, entries

NOISES = {"mixtral-8x22b/few": 0.25, "weak": 0.35, "sn@0.1": 0.1, "sn@0.3": 0.3, "asn@0.3": 0.3}
METHODS = ("plain", "co-teaching", "elr", "oracle")


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """One task, five noise sources, four methods, four seeds."""
    folder = tmp_path_factory.mktemp("wide") / "results"
    write_grid(folder, ["trec"], NOISES, METHODS, seeds=(1, 2, 3, 4), setups=[("minilm", "frozen")])
    return frame.load(folder)


@pytest.fixture(scope="module")
def block(wide):
    return blocks(wide.cells, "plain")[0]


@pytest.fixture(scope="module")
def draws(wide, block):
    return bootstrap.draw(wide, block)


@pytest.fixture(scope="module")
def table(block, draws):
    return significance_table(context(block, draws=draws), "accuracy")


def scores(results, method, name="accuracy_last"):
    """float[noise, seed] in percent."""
    cells = results.cells[results.cells["method_label"] == method]
    return 100 * cells.pivot(index="noise", columns="seed", values=name).to_numpy(float)


def test_the_paired_t_test_is_that_of_scipy_corrected_for_the_methods_compared(wide, table):
    raw = [scipy_stats.ttest_rel(scores(wide, m).mean(0), scores(wide, "plain").mean(0)).pvalue for m in METHODS[1:3]]
    expected = [min(1, p * (2 if p == min(raw) else 1)) for p in raw]
    expected = np.maximum(expected, min(expected))  # step-down: never below a smaller one
    found = [entries(table)[method, "p, seeds"].mean for method in METHODS[1:3]]
    assert found == pytest.approx(expected.tolist())
    assert [row.label for row in table.rows] == ["co-teaching", "elr"]  # a reference is not compared


def test_the_test_over_columns_averages_seeds_first(wide, block):
    table = entries(significance_table(context(block), "ece"))
    gaps = [scores(wide, m, "ece_last").mean(1) - scores(wide, "plain", "ece_last").mean(1) for m in METHODS[1:3]]
    expected = stats.holm([scipy_stats.wilcoxon(gap).pvalue for gap in gaps])
    assert [table[method, "p, columns"].mean for method in METHODS[1:3]] == pytest.approx(expected.tolist())


def test_the_bootstrap_draws_seeds_and_texts_for_both_methods_alike(wide, table):
    entry = entries(table)["co-teaching", "bootstrap"]
    rng = np.random.default_rng(0)
    gaps = {}
    for row in wide.cells.to_dict("records"):
        arrays = read_arrays(wide.folder / row["record"])
        right = arrays["test_last"].argmax(1) == arrays["gold"]
        gaps[row["method"], row["noise"], row["seed"]] = right.astype(float)
    drawn = []
    for _ in range(1500):
        seeds, texts = rng.integers(1, 5, 4), rng.integers(200, size=200)
        every = [(noise, seed) for noise in NOISES for seed in seeds]
        drawn.append(np.mean([(gaps["co-teaching", *k] - gaps["plain", *k])[texts].mean() for k in every]))
    low, high = 100 * np.quantile(drawn, [0.025, 0.975])
    found = [float(part.replace("−", "-")) for part in entry.text.split(" to ")]
    assert found == pytest.approx([low, high], abs=0.5)
    assert low < entry.mean < high


def test_a_cell_without_arrays_has_no_bootstrap(tmp_path):
    for method in ("plain", "elr"):
        for seed in (1, 2, 3):
            path = write_done(tmp_path, cell_key(method=method, seed=seed))
    path.with_suffix(".npz").unlink()
    results = frame.load(tmp_path)
    block = blocks(results.cells, "plain")[0]
    draws = bootstrap.draw(results, block)
    table = entries(significance_table(context(block, draws=draws), "accuracy"))
    assert table["elr", "bootstrap"].text == "no arrays"
    assert table["elr", "p, seeds"].state == "value"


def test_won_tied_lost_is_what_the_paired_intervals_say(wide, block):
    methods, columns = compared(block, "accuracy_last")
    found = outcomes(score_array(block, methods, columns, "accuracy_last"))
    for i, ours in enumerate(methods):
        for j, theirs in enumerate(methods):
            signs = []
            for a, b in zip(scores(wide, ours), scores(wide, theirs), strict=True):
                gap = stats.mean_interval(a - b)
                signs.append(int(np.sign(gap.mean)) if gap.excludes_zero else 0)
            assert found[:, i, j].tolist() == [signs.count(1), signs.count(0), signs.count(-1)]
    assert (found[0] == found[2].T).all()


def test_lower_errors_win_and_unshared_seeds_do_not_count():
    nan = np.nan
    scores = np.array([[[1.0, 1.1, 1.2, nan]], [[2.0, 2.2, 2.1, 9.0]], [[0.5, nan, 0.7, 0.6]]])
    found = outcomes(scores, higher_is_better=False)
    assert found[:, 0, 1].tolist() == [1, 0, 0]
    assert found[:, 0, 2].tolist() == [0, 0, 0]  # two shared seeds
    assert found[:, 0, 0].tolist() == [0, 1, 0]


def test_ranks_are_those_of_the_column_means(wide, block):
    methods, ranked = ranks(block, "accuracy", "last")
    means = np.array([scores(wide, method).mean(1) for method in methods])
    assert ranked.mean == pytest.approx(scipy_stats.rankdata(-means, axis=0).mean(1))
    assert ranked.blocks == 5
    (table,) = RanksTable().make(context(block))
    assert "Friedman test" in table.caption[0]
    by_error = ranks(block, "ece", "last")[1]
    errors = np.array([scores(wide, method, "ece_last").mean(1) for method in methods])
    assert by_error.mean == pytest.approx(scipy_stats.rankdata(errors, axis=0).mean(1))


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """Seed 4 is hard; co-teaching failed with it in five columns, and is worse than plain with every seed it has.

    Elr has another seed than all others in a sixth column.
    """
    folder = tmp_path_factory.mktemp("uneven")
    for place, noise in enumerate((*NOISES, "asn@0.1")):
        for method, worse in (("plain", 0), ("co-teaching", 0.004), ("elr", -0.01)):
            seeds = (5,) if method == "elr" and noise == "asn@0.1" else (1, 2, 3, 4)
            for seed in seeds[: 3 if method == "co-teaching" and noise != "asn@0.1" else None]:
                record, arrays = done_record(cell_key("trec", noise, method, seed, ("minilm", "frozen")))
                accuracy = (0.5 if seed == 4 else 0.8 + 0.01 * seed) - worse * (1 + 0.1 * seed + 0.01 * place)
                last = record.scores.last.model_copy(update={"accuracy": accuracy})
                scores = record.scores.model_copy(update={"last": last})
                write_record(record.model_copy(update={"scores": scores}), folder, arrays)
    return blocks(frame.load(folder).cells, "plain")[0]


def test_ranks_and_measures_count_only_seeds_that_all_methods_have(uneven):
    methods, ranked = ranks(uneven, "accuracy", "last")
    assert dict(zip(methods, ranked.mean, strict=True)) == {"elr": 1, "plain": 2, "co-teaching": 3}
    assert ranked.blocks == 5
    (table,) = RanksTable().make(context(uneven))
    assert {row.label: row.entries[-2].mean for row in table.rows} == {"elr": 100, "plain": 50, "co-teaching": 0}
    assert (
        "Methods have different seeds: in each column only the seeds that all of them have count; 1 column without "
        "such a seed is left out."
    ) in table.caption


def test_a_method_with_fewer_than_half_of_the_seeds_does_not_shrink_the_comparison_of_the_others(tmp_path):
    write_grid(tmp_path, ["trec"], {"weak": 0.35, "sn@0.3": 0.3}, ("plain", "co-teaching"), seeds=(1, 2, 3))
    write_grid(tmp_path, ["trec"], {"weak": 0.35, "sn@0.3": 0.3}, ("elr",), seeds=(1,))
    block = blocks(frame.load(tmp_path).cells, "plain")[0]
    methods, _ = ranks(block, "accuracy", "last")
    assert methods == ["plain", "co-teaching"]
    (table,) = RanksTable().make(context(block))
    assert "Without elr: fewer than half of the seeds." in table.caption
    leader = Leader.of(block, block.methods, block.columns, "last", None)
    assert leader.gap.seeds.n == 3
    assert "leaving out elr (fewer than half of the seeds)" in leader.words()
    assert "elr" not in pareto_data(block, "last")
    draws, _ = context(block).draws()
    assert any("without regard to elr" in said for said in rules_table(block, draws).caption)


def test_two_methods_with_more_seeds_than_the_others_leave_none_out(tmp_path):
    """The others have as many as are needed, or are the most."""
    for seeds, shared in (((1, 2, 3), 3), ((1, 2), 2)):
        folder = tmp_path / str(shared)
        write_grid(folder, ["trec"], {"weak": 0.35}, ("co-teaching", "elr", "npc"), seeds=seeds)
        write_grid(folder, ["trec"], {"weak": 0.35}, ("plain", "sidyp"), seeds=range(1, 9))
        block = blocks(frame.load(folder).cells, "plain")[0]
        leader = Leader.of(block, block.methods, block.columns, "last", None)
        assert (leader.gap.seeds.n, list(leader.without)) == (shared, [])


@pytest.mark.parametrize(
    ("seeds", "base", "few"),
    [
        ({"plain": (1, 2, 3), "npc": (1, 2, 3), "elr": (1,)}, "plain", ["elr"]),
        ({"plain": (1, 2), "npc": (3, 4), "gce": (1, 2, 3)}, "plain", ["npc"]),
        ({"plain": (1, 2, 3), "npc": (1,)}, "plain", []),  # one would be left alone
        ({"plain": (1,), "npc": (1, 2, 3), "gce": (1, 2, 3)}, "plain", []),
        ({"plain": (1, 2, 3), "npc": (1, 2), "gce": (1, 2, 3)}, None, []),
        ({}, "plain", []),
    ],
)
def test_methods_with_too_few_seeds(seeds, base, few):
    assert stats.too_few_seeds({name: [each] for name, each in seeds.items()}, base) == few


def test_the_test_over_columns_counts_the_seeds_shared_with_the_baseline(uneven):
    table = significance_table(context(uneven), "accuracy")
    found = {row.label: row.entries[-2] for row in table.rows}
    # all six columns lost by co-teaching, all five that it shares won by elr: 2 / 2^6 and 2 / 2^5, the first doubled
    assert found["co-teaching"].mean == pytest.approx(2 * 2 / 2**6)
    assert found["elr"].mean == pytest.approx(2 / 2**5)
    (said,) = (sentence for sentence in table.caption if "different seeds" in sentence)
    assert said.endswith("is over the seeds that a method shares with plain; without one, elr lacks 1 column there.")


def test_where_all_have_the_same_seeds_nothing_is_said_of_them(block):
    captions = [
        *significance_table(context(block), "accuracy").caption,
        *next(RanksTable().make(context(block))).caption,
    ]
    assert not any("different seeds" in sentence for sentence in captions)


def test_few_columns_and_few_seeds_are_said_instead_of_numbers(tmp_path):
    write_grid(tmp_path, ["trec"], {"weak": 0.35}, ("plain", "co-teaching"), seeds=(1, 2))
    block = blocks(frame.load(tmp_path).cells, "plain")[0]
    table = entries(significance_table(context(block, why="nothing was drawn"), "accuracy"))
    assert table["co-teaching", "p, seeds"].text == "too few: 2 seeds"
    assert table["co-teaching", "p, columns"].text == "too few: 1 column"
    assert table["co-teaching", "won / tied / lost"].text == "too few seeds"
    assert list(WinsTable().make(context(block))) == []
    (table,) = RanksTable().make(context(block))
    assert "too few for a test" in table.caption[0]


def test_without_a_baseline_nothing_is_compared_with_it(wide):
    assert significance_table(context(blocks(wide.cells, None)[0]), "accuracy") is None


def test_improvability_is_the_share_of_the_error_that_the_best_method_of_a_column_spares():
    accuracies = np.array([[0.9, 0.5], [0.8, 0.75], [1.0, 0.5]])
    assert improvability(accuracies) == pytest.approx([(100 + 50) / 2, (100 + 0) / 2, (0 + 50) / 2])
    assert improvability(np.ones((2, 3))).tolist() == [0, 0]  # no error to spare


def test_the_win_rate_counts_pairs_of_a_column_and_another_method():
    accuracies = np.array([[0.9, 0.5], [0.8, 0.75], [1.0, 0.5]])
    assert win_rate(accuracies) == pytest.approx([100 * (1 + 0.5) / 4, 100 * 2 / 4, 100 * (2 + 0.5) / 4])


def test_ranks_go_by_kind_of_noise(wide, block):
    (table,) = RanksTable().make(context(block))
    assert [head.name for head in table.heads] == [
        "LLM labels", "weak labels", "synthetic noise", "all", "improvability", "win rate", "all",
    ]  # fmt: skip
    assert any("how many per cent fewer errors the best method of a column makes" in text for text in table.caption)
    methods = [row.label for row in table.rows]
    synthetic = [place for place, noise in enumerate(sorted(NOISES)) if "@" in noise]  # as `scores` sorts them
    means = np.array([scores(wide, method).mean(1)[synthetic] for method in methods])
    expected = scipy_stats.rankdata(-means, axis=0).mean(1)
    assert [row.entries[2].mean for row in table.rows] == pytest.approx(expected.tolist())
    assert len(table.heads[2].below.split()) == 2
    whole = np.array([scores(wide, method).mean(1) / 100 for method in methods])
    errors = 1 - whole
    assert [row.entries[4].mean for row in table.rows] == pytest.approx(
        (100 * (1 - errors.min(0) / errors).mean(1)).tolist()
    )
