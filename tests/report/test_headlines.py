"""What a report says first, by kind of noise, against independent computations from the tidy frame."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bench.report import frame
from bench.report.tables import bootstrap, stats
from bench.report.tables.blocks import blocks, check_baseline
from bench.report.tables.bootstrap import Gap
from bench.report.tables.headlines import Leader, headlines
from bench.report.words import answer
from bench.store.noise_words import NOISE_KINDS, noise_kind
from bench.store.records import write_record
from tests.factories import cell_key, done_record, write_done, write_grid

NOISES = {"weak": 0.35, "sn@0.3": 0.3, "asn@0.3": 0.3, "mixtral-8x22b/few": 0.25}
METHODS = ("plain", "co-teaching", "elr", "oracle")
SEEDS = (1, 2, 3, 4)


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Two tasks, four noise sources of three kinds, four methods, four seeds."""
    folder = tmp_path_factory.mktemp("kinds") / "results"
    write_grid(folder, noises=NOISES, methods=METHODS, seeds=SEEDS, setups=[("minilm", "frozen")])
    return frame.load(folder)


def first(results):
    """The headlines of the first set-up."""
    return headlines(results, blocks(results.cells, check_baseline(results.cells, "plain"))[0])


def by_seed(results, method, kind, rule):
    """float[seeds], per cent: the mean over the columns of a kind."""
    cells = results.cells
    chosen = cells[(cells["method"] == method) & (cells["noise_kind"] == kind)]
    return 100 * chosen.groupby("seed")[f"accuracy_{rule}"].mean().to_numpy()


def half(values):
    return scipy_stats.t.ppf(0.975, len(values) - 1) * scipy_stats.sem(values)


def test_there_is_one_headline_per_kind_with_llm_labels_first(grid):
    found = first(grid)
    assert [each.kind for each in found] == ["llm", "weak", "synthetic"]
    assert [each.columns for each in found] == [2, 2, 4]
    assert list(NOISE_KINDS)[:4] == ["llm", "weak", "synthetic", "human"]


@pytest.mark.parametrize("kind", ["llm", "weak", "synthetic"])
def test_gains_by_both_rules_are_paired_by_seed(grid, kind):
    found = next(each for each in first(grid) if each.kind == kind)
    assert found.best == "co-teaching"  # never the oracle, which is higher
    assert list(found.gains) == ["last", "noisy_valid"]
    for rule, gain in ((rule, each.gap.seeds) for rule, each in found.gains.items()):
        expected = by_seed(grid, "co-teaching", kind, rule) - by_seed(grid, "plain", kind, rule)
        assert (gain.mean, gain.half, gain.n) == pytest.approx((expected.mean(), half(expected), 4))
    alone = by_seed(grid, "plain", kind, "noisy_valid") - by_seed(grid, "plain", kind, "last")
    assert (found.es_alone.gap.seeds.mean, found.es_alone.gap.seeds.half) == pytest.approx((alone.mean(), half(alone)))
    for part in (each.gap.seeds for each in (*found.gains.values(), found.es_alone)):
        assert f"{part.mean:+.1f} ± {part.half:.1f}".replace("-", "−") in found.sentence


def test_the_baseline_stopped_early_is_a_method_that_may_be_best(tmp_path):
    for method, last, chosen in (("plain", 0, 2), ("elr", 1, 1)):
        for seed in SEEDS:
            write_with(tmp_path, method, seed, {"last": 120 + 10 * last, "noisy_valid": 120 + 10 * chosen})
    found = first(frame.load(tmp_path))[0]
    assert (found.best, found.best_es) == ("plain+es", "plain")
    assert "noisy_valid" not in found.gains  # by that rule it is the baseline itself
    assert found.gains["last"].gap.seeds.mean == found.es_alone.gap.seeds.mean == pytest.approx(10, abs=1)


def write_with(folder, method, seed, right, n_test=200, spread=True):
    """A cell whose predictions are right on the first so many test texts, one more with every other seed."""
    shift = seed % 2 if spread else 0
    key = cell_key(noise="sn@0.3", method=method, seed=seed, encoder=("minilm", "frozen"))
    record, arrays = done_record(key, n_test=n_test)
    gold, scores = arrays["gold"], {}
    for rule in ("last", "noisy_valid", "oracle_best"):
        hits = right.get(rule, right["last"]) + shift
        predicted = np.where(np.arange(n_test) < hits, gold, (gold + 1) % 6)
        arrays[f"test_{rule}"] = np.eye(6, dtype=np.float16)[predicted]
        scores[rule] = getattr(record.scores, rule).model_copy(update={"accuracy": hits / n_test})
    write_record(record.model_copy(update={"scores": record.scores.model_copy(update=scores)}), folder, arrays)


def test_ahead_takes_seeds_and_texts(tmp_path):
    """One text of 200 more in every seed: the seeds are sure, the test texts are not."""
    for seed in SEEDS:
        write_with(tmp_path / "a", "plain", seed, {"last": 140})
        write_with(tmp_path / "a", "elr", seed, {"last": 141 + seed // 4})
        write_with(tmp_path / "b", "plain", seed, {"last": 140})
        write_with(tmp_path / "b", "elr", seed, {"last": 160 + seed // 4})
    close, clear = (first(frame.load(tmp_path / each))[0] for each in "ab")
    assert close.gains["last"].gap.seeds.excludes_zero
    assert not close.gains["last"].sure
    assert close.sure.startswith("not shown to differ from the runner-up plain: it is ahead over seeds, but not when")
    assert clear.gains["last"].sure
    assert clear.sure.startswith("ahead of the runner-up plain over seeds and test texts, which is not corrected")


def test_without_the_arrays_or_with_few_seeds_nothing_is_ahead(tmp_path, monkeypatch):
    for seed in SEEDS:
        for method, right in (("plain", 120), ("elr", 160)):
            write_with(tmp_path / "many", method, seed, {"last": right + seed * (method == "elr")})
            if seed < 3:
                write_with(tmp_path / "few", method, seed, {"last": right + seed})
    few = first(frame.load(tmp_path / "few"))[0]
    assert few.sure == "not shown to differ from the runner-up plain: 2 shared seeds, at least 3 are needed"
    monkeypatch.setattr(bootstrap, "MOST_CELLS", 5)
    many = first(frame.load(tmp_path / "many"))[0]
    assert many.gains["last"].gap.seeds.excludes_zero
    assert not many.gains["last"].sure
    assert "it is ahead over seeds, but test texts were not resampled (it is left out from 5 cells on" in many.sure


def test_the_best_is_best_on_the_seeds_that_all_have(tmp_path):
    """Elr failed with the hardest seed and is worse with every other: its mean over its own seeds is higher."""
    for seed in SEEDS:
        write_with(tmp_path, "plain", seed, {"last": 60 if seed == 4 else 160 + seed, "noisy_valid": 100})
        if seed < 4:
            write_with(tmp_path, "elr", seed, {"last": 120 + 2 * seed})
    found = first(frame.load(tmp_path))[0]
    assert found.best == "plain"
    assert found.accuracy == pytest.approx(100 * np.mean([162, 162, 164]) / 200)  # odd seeds have one more
    assert found.sure == (
        "over the 3 seeds that all methods have, it is ahead of the runner-up elr over seeds and test texts, which is "
        "not corrected for the number of methods"
    )


def test_without_a_seed_that_all_methods_have_there_is_no_best(tmp_path):
    for seed in SEEDS:
        write_with(tmp_path, "plain" if seed < 3 else "elr", seed, {"last": 160})
    found = first(frame.load(tmp_path))[0]
    assert (found.best, found.best_es) == ("", "")
    assert found.sentence.endswith("no method can be compared yet: there is no seed that all methods have.")
    assert answer(found).best == "no method can be compared yet: there is no seed that all methods have"


def test_behind_is_never_ahead():
    behind = Gap(stats.Interval(-1.0, 0.4, 4), None)
    assert Leader("elr", "plain", 80.0, behind).words() == "not shown to differ from the runner-up plain"


def test_the_rows_for_the_figure_have_every_method_kind_and_rule(grid):
    found = {each.kind: each for each in first(grid)}
    assert list(found) == ["llm", "weak", "synthetic"]
    assert {row.method for each in found.values() for row in each.rows} == {"co-teaching", "elr", "plain+es"}
    [gap] = [row.gap for row in found["weak"].rows if (row.method, row.rule) == ("elr", "noisy_valid")]
    gaps = by_seed(grid, "elr", "weak", "noisy_valid") - by_seed(grid, "plain", "weak", "noisy_valid")
    assert (gap.seeds.mean, gap.seeds.half) == pytest.approx((gaps.mean(), half(gaps)))
    assert gap.texts[0] < gap.seeds.mean < gap.texts[1]
    assert (found["weak"].columns, gap.seeds.n) == (2, 4)


def test_no_gain_is_sure_that_a_correction_for_all_methods_takes_away():
    """p is 0.03 alone and 0.06 of two."""
    t = scipy_stats.t.isf(0.015, 3)
    gaps = dict(zip(SEEDS, (1 + np.array([-1, -1, 1, 1]) * np.sqrt(3) / t).tolist(), strict=True))
    zero = dict.fromkeys(SEEDS, 0.0)
    assert stats.paired_t_p(gaps, zero) == pytest.approx(0.03)
    corrected = stats.corrected_p({"a": gaps, "b": gaps, "plain": zero}, ["a", "b"], "plain")
    assert corrected["a"] == pytest.approx(0.06)


def test_a_column_that_people_filled_in_is_human():
    assert noise_kind("column", "rater_2") == "human"
    assert noise_kind("column", "vote(AnnotatorA,expert)") == "human"
    assert noise_kind("column", "vote(rater,gpt)") == "column"
    assert noise_kind("llm", "expert-llm") == "llm"


def test_without_a_baseline_there_is_a_leader_and_no_gain(tmp_path):
    for seed in (1, 2, 3):
        write_done(tmp_path, cell_key(method="elr", seed=seed))
        write_done(tmp_path, cell_key(method="co-teaching", seed=seed))
    found = first(frame.load(tmp_path))[0]
    assert found.best == "co-teaching"
    assert found.gains == {}
    assert found.es_alone is None
    assert found.rows == ()


def test_the_row_stopped_early_reads_the_chosen_step(grid):
    block = blocks(grid.cells, "plain")[0]
    shown = block.by("last")
    assert shown.methods[:2] == ["plain", "plain+es"]
    assert block.by("noisy_valid").methods == block.methods == [m for m in shown.methods if m != "plain+es"]
    column = ("trec", "weak")
    for metric in ("accuracy", "ece"):
        chosen = block.values("plain", column, f"{metric}_noisy_valid")
        assert shown.values("plain+es", column, f"{metric}_last") == chosen
        assert chosen != block.values("plain", column, f"{metric}_last")
    draws, _ = bootstrap.draws_of(grid, block)
    seeds = list(SEEDS)
    early = draws.average(shown, "plain+es", [column], seeds, "last")
    assert (early == draws.average(block, "plain", [column], seeds, "noisy_valid")).all()
    assert Leader.of(shown, ["plain"], [column], "last", draws).words() == "the only method with these columns"
