"""The small public API that notebooks use."""

import numpy as np
import pytest

import bench
from bench.core.errors import UsageError
from bench.report.figures import collect as figures


@pytest.fixture(scope="module")
def loaded(folder):
    return bench.load_results(folder)


def test_cells_and_curves_are_tidy(loaded):
    assert loaded.cells["cell"].is_unique
    assert loaded.tasks == ["trec", "tweets"]
    assert loaded.setups == ["minilm:fine-tuned", "minilm:frozen"]
    assert any("torn.json" in note for note in loaded.notes)


def test_a_table_is_texts_or_means(loaded):
    text = loaded.table("trec", setup="minilm:frozen")
    means = loaded.table("trec", setup="minilm:frozen", text=False)
    assert list(text.columns) == ["average", "vs plain", "mixtral-8x22b/few", "weak", "sn@0.3"]
    expected = loaded.cells.query(
        "task == 'trec' and noise == 'weak' and setup == 'minilm:frozen' and method == 'plain'"
    )
    assert means.loc["plain", "weak"] == pytest.approx(100 * expected["accuracy_last"].mean())
    assert text.loc["plain", "weak"].startswith(f"{means.loc['plain', 'weak']:.1f} ± ")
    assert np.isnan(means.loc["plain", "vs plain"])


def test_the_table_of_all_tasks_has_two_levels(loaded):
    assert loaded.table().columns.nlevels == 2
    assert ("tweets", "asn@0.3") in loaded.table().columns


@pytest.mark.parametrize("kind", ["accuracy", "ece", "reliability", "memorisation", "confusion"])
def test_every_figure_of_the_report_can_be_drawn(loaded, kind):
    figure = getattr(loaded.plot, kind)("trec")
    assert figure.axes


def test_the_method_plot_covers_every_kind_of_plan(loaded):
    made = figures.plans(loaded.results, [loaded.block()], "last")
    assert {plan.kind for plan in made} <= set(dir(loaded.plot))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda loaded: loaded.table("trek"), "unknown task 'trek': did you mean trec"),
        (lambda loaded: loaded.table(metric="f1"), "unknown metric 'f1': did you mean macro_f1"),
        (lambda loaded: loaded.table(setup="bert"), "unknown set-up 'bert'.*minilm:frozen"),
        (lambda loaded: loaded.table(rule="best"), "unknown rule 'best'"),
        (lambda loaded: loaded.plot.ece("mnli"), "unknown task 'mnli'"),
    ],
)
def test_wrong_names_are_refused_with_the_right_ones(loaded, call, message):
    with pytest.raises(UsageError, match=message):
        call(loaded)


def test_a_wrong_folder_or_baseline_is_refused(tmp_path, folder):
    with pytest.raises(UsageError, match="does not exist"):
        bench.load_results(tmp_path / "none")
    with pytest.raises(UsageError, match="unknown baseline"):
        bench.load_results(folder, baseline="nothing")
