"""What methods are worth in human labels: read off a learning curve backwards, with bounds outside of it."""

import math

import numpy as np
import pytest
from matplotlib.text import Text
from sklearn.isotonic import IsotonicRegression

import bench
from bench.report.build import build_report
from bench.report.figures import collect as figures
from bench.report.frame import load
from bench.report.tables.blocks import blocks
from bench.report.tables.yardstick import LABELLER, Worth, Yardstick, isotonic, labels_for, learning_curve
from bench.store.records import write_record
from benchmarks.worth_figure import drawn
from tests.factories import cell_key, done_record

SIZES = (10, 100, 1000)
TEXTS = 1000


def test_a_curve_that_falls_is_made_monotone_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    curves = rng.normal(size=(50, 8)) + np.linspace(0, 2, 8)
    expected = [IsotonicRegression().fit_transform(np.arange(8), row) for row in curves]
    np.testing.assert_allclose(isotonic(curves), expected)


@pytest.mark.parametrize(
    ("accuracy", "labels"),
    [(40, 10), (50, 100**0.75), (60, 100), (70, 10**2.5), (80, 1000), (39.9, 0), (80.1, math.inf)],
)
def test_it_is_read_backwards_in_log_k(accuracy, labels):
    if accuracy == 50:  # halfway between 40 and 60 in accuracy, so halfway between 10 and 100 in log k
        labels = 10**1.5
    found = labels_for(np.array([accuracy]), np.array([[40.0, 60.0, 80.0]]), np.array(SIZES))
    assert found[0] == pytest.approx(labels)


def test_a_flat_piece_gives_the_fewest_labels_that_reach_it():
    found = labels_for(np.array([60.0, 60.5]), np.array([[40.0, 60, 60, 80]] * 2), np.array([10, 20, 50, 100]))
    assert found[0] == pytest.approx(20)
    assert 50 < found[1] < 52


@pytest.mark.parametrize(
    ("worth", "words"),
    [
        (Worth(57.4, 41.2, 80.1), "57 (41 to 80)"),
        (Worth(1437, 1213, math.inf), "1,400 (1,200 to > 1,749)"),
        (Worth(0, 0, 14), "< 10 (< 10 to 14)"),
        (Worth(0, 0, 0), "< 10"),
        (Worth(math.inf, math.inf, math.inf), "> 1,749"),
        (Worth(57.4, math.nan, math.nan), "57"),
    ],
)
def test_words(worth, words):
    assert worth.words((10, 1749)) == words


def write(
    folder, method, seed, accuracy, human=None, noise="weak", config=None, texts=TEXTS, chosen=None, labeller=None
):
    """A cell that gets `accuracy` per cent of the test texts right, which ones its seed says.

    `chosen` is the accuracy of the step chosen on noisy validation labels, `labeller` that of the labeller itself.
    """
    key = cell_key("tweets", noise, method, seed, ("minilm", "frozen"), config=config or {})
    record, arrays = done_record(key, n_test=texts, human_labels=human, sees_gold=False)
    order = np.random.default_rng(seed).permutation(texts)

    def answers(percent):
        return np.where(order < round(percent / 100 * texts), arrays["gold"], 1 - arrays["gold"])

    made, scores = {}, {}
    for rule, percent in (("last", accuracy), ("noisy_valid", accuracy if chosen is None else chosen)):
        made[f"test_{rule}"] = np.eye(2, dtype=np.float16)[answers(percent)]
        share = float((answers(percent) == arrays["gold"]).mean())
        scores[rule] = getattr(record.scores, rule).model_copy(update={"accuracy": share})
    record.scores = record.scores.model_copy(update=scores)
    if labeller is not None:
        made["test_labels"] = answers(labeller).astype(np.int16)
        record.noise = record.noise.model_copy(update={"labeller_test_accuracy": labeller / 100})
    write_record(record, folder, arrays | made)


@pytest.fixture
def folder(tmp_path):
    """A curve through 40, 60 and 80 % with one noise source, and three methods with two of them."""
    for seed in (1, 2, 3):
        for size, accuracy in zip(SIZES, (40, 60, 80), strict=True):
            rows = "all" if size == 1000 else size
            write(tmp_path, "gold", seed, accuracy + (seed - 2), size, config={"rows": rows})
        for noise in ("weak", "sn@0.3"):
            for method, accuracy in (("plain", 50), ("best", 70), ("great", 95), ("poor", 30)):
                write(tmp_path, method, seed, accuracy, noise=noise)
    return tmp_path


@pytest.fixture
def yardstick(folder):
    results = load(folder)
    (block,) = blocks(results.cells, "plain")
    return Yardstick(results, block, "last")


def test_the_curve_is_that_of_the_cells_with_human_labels_alone(yardstick):
    curve = learning_curve(yardstick.block, [("tweets", "sn@0.3")], "last")
    assert curve.sizes == SIZES
    assert curve.columns == [("tweets", "weak")]
    assert curve.means.tolist() == pytest.approx([40, 60, 80])
    assert curve.whole
    assert yardstick.measured == ["plain", "best", "great", "poor"]


def test_every_noise_source_of_the_task_is_measured_by_it(yardstick):
    for noise in ("weak", "sn@0.3"):
        found = {method: yardstick.worth(method, [("tweets", noise)]) for method in yardstick.measured}
        assert found["plain"].labels == pytest.approx(10**1.5)
        assert found["best"].labels == pytest.approx(10**2.5)
        assert found["great"].labels == found["great"].low == math.inf
        assert found["poor"].labels == found["poor"].high == 0
    whole = yardstick.worth("best", [("tweets", "weak"), ("tweets", "sn@0.3")])
    assert whole.labels == pytest.approx(10**2.5)


def test_the_interval_is_that_of_a_bootstrap_over_seeds_and_texts(yardstick):
    """Against a plain bootstrap, written out, which draws its own numbers."""
    found = yardstick.worth("plain", [("tweets", "weak")])
    block, read = yardstick.block, yardstick.read
    labels = ["plain", *yardstick.curves["tweets", "weak"].methods]
    hits = np.array([[read.right(row["cell"]) for row in block.rows[each, ("tweets", "weak")]] for each in labels])
    rng, drawn = np.random.default_rng(5), []
    for _ in range(2000):
        texts, seeds = rng.integers(TEXTS, size=TEXTS), rng.integers(3, size=3)
        plain, *curve = 100 * hits[:, seeds][:, :, texts].mean(axis=(1, 2))
        drawn.append(labels_for(np.array([plain]), np.array([curve]), np.array(SIZES))[0])
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found.low == pytest.approx(low, rel=0.06)
    assert found.high == pytest.approx(high, rel=0.06)
    assert found.low < found.labels < found.high


def test_other_test_texts_have_no_worth_and_no_curve_has_no_table(folder, tmp_path):
    write(folder, "plain", 1, 50, noise="other", texts=700)
    results = load(folder)
    (block,) = blocks(results.cells, "plain")
    yardstick = Yardstick(results, block, "last")
    assert ("tweets", "other") not in yardstick.columns
    assert yardstick.worth("plain", [("tweets", "other")]) is None
    assert yardstick.entry("plain", [("tweets", "other")]).state == "empty"


def test_by_noisy_validation_every_noise_source_has_its_own_curve_or_no_worth(tmp_path):
    """The steps of the curve are chosen on noisy validation labels as well: with more noise it lies lower."""
    for noise, lost in (("weak", 0), ("sn@0.3", 10), ("sn@0.1", 0)):
        for seed in (1, 2, 3):
            write(tmp_path, "plain", seed, 60, noise=noise)
            for size, accuracy in zip(SIZES, (40, 60, 80), strict=True) if noise != "sn@0.1" else ():
                write(tmp_path, "gold", seed, accuracy, size, noise, {"rows": size}, chosen=accuracy - lost)
    results = load(tmp_path)
    (block,) = blocks(results.cells, "plain")
    weak, noisy, bare = (("tweets", noise) for noise in ("weak", "sn@0.3", "sn@0.1"))
    last, chosen = (Yardstick(results, block, rule) for rule in ("last", "noisy_valid"))
    assert [last.worth("plain", [each]).labels for each in (weak, noisy, bare)] == pytest.approx([100, 100, 100])
    assert [chosen.worth("plain", [each]).labels for each in (weak, noisy)] == pytest.approx([100, 10**2.5])
    assert chosen.worth("plain", [bare]) is None
    both = chosen.worth("plain", [weak, noisy])  # on average the curve goes through 35, 55 and 75 %
    assert both.labels == pytest.approx(10**2.25)
    assert both.low <= both.labels <= both.high
    build_report(tmp_path, tmp_path / "report", formats=("md", "figures"), rule="noisy_valid")
    text = (tmp_path / "report" / "report.md").read_text()
    assert "tweets with weak: 10, 100, 1,000; tweets with sn@0.3: 10, 100, 1,000." in text
    plot = bench.load_results(tmp_path).plot.worth("tweets", rule="noisy_valid")
    assert [axis.get_title(loc="left") for axis in plot.axes] == ["weak", "sn@0.3"]


def test_the_labeller_is_worth_its_mean_over_seeds(tmp_path):
    for seed, own in ((1, 45), (2, 60), (3, 75)):
        write(tmp_path, "plain", seed, 60, labeller=own)
        for size, accuracy in zip(SIZES, (40, 60, 80), strict=True):
            write(tmp_path, "gold", seed, accuracy, size, config={"rows": size}, labeller=own)
    results = load(tmp_path)
    (block,) = blocks(results.cells, "plain")
    found = Yardstick(results, block, "last").worth(LABELLER, [("tweets", "weak")])
    assert found.labels == pytest.approx(100)
    assert found.low < 30  # its seeds are drawn as well: 45 % alone is worth 18 labels
    assert found.high > 300


@pytest.mark.parametrize(("method", "curve", "few"), [(1, 5, "1 seed"), (5, 4, "4 seeds"), (5, 5, "")])
def test_few_seeds_of_a_method_or_of_the_curve_make_its_interval_too_narrow(tmp_path, method, curve, few):
    for seed in range(1, 6):
        if seed <= method:
            write(tmp_path, "plain", seed, 50)
        for size, accuracy in zip(SIZES, (40, 60, 80), strict=True) if seed <= curve else ():
            write(tmp_path, "gold", seed, accuracy, size, config={"rows": size})
    build_report(tmp_path, tmp_path / "report", formats=("md",))
    text = (tmp_path / "report" / "report.md").read_text()
    said = "with fewer than five the 95 % interval is too narrow."
    places = 3 if few else 0  # the sentence at the top, the table of accuracy and that of worth
    assert text.count(said) == text.count(f"A method or a size of the curve has only {few}: {said}") == places


def test_few_seeds_of_a_method_without_an_interval_are_no_reason_to_doubt_others(tmp_path):
    """Only elr has one seed, and its worth below the curve has no interval; npc, which is the best, has five."""
    for seed in range(1, 6):
        write(tmp_path, "npc", seed, 70)
        write(tmp_path, "plain", seed, 65)
        for size, accuracy in zip(SIZES, (40, 60, 80), strict=True):
            write(tmp_path, "gold", seed, accuracy, size, config={"rows": size})
    write(tmp_path, "elr", 1, 5)
    summary = build_report(tmp_path, tmp_path / "report", formats=("md",))
    (said,) = [sentence for sentence in summary.sentences if "human labels (95 %" in sentence]
    assert "too narrow" not in said
    lines = (tmp_path / "report" / "report.md").read_text().splitlines()
    (below,) = [line for line in lines if "Worth: the number of random human labels" in line]
    assert "too narrow" not in below


def test_the_worth_of_an_average_rests_on_the_seeds_that_have_all_columns(tmp_path):
    for noise, seeds in (("weak", range(1, 6)), ("sn@0.3", range(4, 9))):
        for seed in seeds:
            write(tmp_path, "plain", seed, 60, noise=noise)
    for seed in range(1, 6):
        for size, accuracy in zip(SIZES, (40, 60, 80), strict=True):
            write(tmp_path, "gold", seed, accuracy, size, config={"rows": size})
    results = load(tmp_path)
    yardstick = Yardstick(results, blocks(results.cells, "plain")[0], "last")
    columns = [("tweets", "weak"), ("tweets", "sn@0.3")]
    assert [yardstick.fewest_seeds(["plain"], each) for each in (columns[:1], columns[1:], columns)] == [5, 5, 2]


def test_the_sentence_names_the_best_on_the_seeds_that_all_have(tmp_path, folder):
    """Lucky lacks the hardest seed and is worse with every seed that it has."""
    for seed, accuracy in ((1, 50), (2, 90), (3, 92)):
        write(folder, "steady", seed, accuracy, noise="sn@0.1")
        if seed > 1:
            write(folder, "lucky", seed, accuracy - 1, noise="sn@0.1")
    summary = build_report(folder, tmp_path / "report", formats=("md",))
    (said,) = [sentence for sentence in summary.sentences if "human labels (95 %" in sentence]
    assert "on tweets with sn@0.1 (steady, 77.3 %)" in said


def test_methods_that_share_no_seed_have_a_worth_but_none_is_best(tmp_path):
    for size, accuracy in zip(SIZES, (40, 60, 80), strict=True):
        write(tmp_path, "gold", 1, accuracy, size, config={"rows": size})
    write(tmp_path, "plain", 1, 70)
    write(tmp_path, "elr", 9, 80)
    summary = build_report(tmp_path, tmp_path / "report", formats=("md",))
    (said,) = [sentence for sentence in summary.sentences if "human labels (95 %" in sentence]
    assert said.endswith("not known on tweets with weak, where the methods share no seed.")


def test_the_figure_from_python_has_a_panel_per_noise_source(folder):
    titles = [axis.get_title(loc="left") for axis in bench.load_results(folder).plot.worth("tweets").axes]
    assert titles == ["weak", "sn@0.3"]


def test_the_report_has_a_table_a_column_a_figure_and_a_sentence(folder, tmp_path):
    summary = build_report(folder, tmp_path / "report", formats=("md", "csv", "html"))
    names = {path.relative_to(tmp_path / "report").as_posix() for path in summary.files}
    assert "figures/worth-tweets-minilm-frozen.png" in names
    text = (tmp_path / "report" / "report.md").read_text()
    (said,) = [sentence for sentence in summary.sentences if "human labels" in sentence]
    assert said.startswith(
        "minilm:frozen: what the method with the highest test accuracy (a choice that flatters it) is worth in"
    )
    assert "> 1,000 on tweets with weak (great, 95.0 %); > 1,000 on tweets with sn@0.3 (great, 95.0 %)." in said
    assert "Worth in human labels: minilm:frozen" in text
    table = next(path for path in summary.files if path.name == "accuracy-tweets-minilm-frozen.csv").read_text()
    worth = [line for line in table.splitlines() if ",worth,human labels," in line]
    (best,) = [line for line in worth if line.startswith("best,method,tweets,worth,human labels,value,316.")]
    assert best.split(",", 10)[-1].strip('"').startswith("320 (")
    (bound,) = [line for line in worth if line.startswith("great,")]
    assert bound.endswith('"> 1,000"')
    (own,) = [line for line in worth if line.startswith("gold[rows=100],human")]
    assert ",empty," in own


def test_the_figure_of_human_labels_has_one_panel_per_label_set_and_the_labellers_mean_over_seeds(folder):
    for seed in (1, 2, 3):
        write(folder, "plain", seed, 50, labeller=44 + seed, noise="weak")
        write(folder, "plain", seed, 50, labeller=70, noise="sn@0.3")
    figure = drawn(str(folder), "last")
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title(loc="left") for axis in shown] == ["tweets: weak", "tweets: sn@0.3"]
    dotted = [[line.get_ydata()[0] for line in axis.lines if line.get_linestyle() == ":"] for axis in shown]
    assert dotted == [[pytest.approx(46)], [pytest.approx(70)]]


def test_every_leader_line_ends_at_the_middle_of_its_name_s_left_edge_however_steep_it_is(folder):
    for name in "abcdefghi":
        write(folder, name, 1, 50)
    with figures.style():
        figure = bench.load_results(folder).plot.worth("tweets")
        figure.draw_without_rendering()
    for each in figure.axes[0].texts:
        box, start = Text.get_window_extent(each), each.arrow_patch.get_path().vertices[0]
        assert start == pytest.approx((box.x0, (box.y0 + box.y1) / 2), abs=1.5), each.get_text()
