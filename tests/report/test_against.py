"""Published numbers beside ours: `bench report --against paper`."""

import numpy as np
import pytest
import yaml

from bench.core.errors import UsageError
from bench.report import frame
from bench.report.build import build_report
from bench.report.tables.against import against_sentences, against_tables, differences
from bench.report.tables.blocks import blocks
from bench.report.tables.published_numbers import FOLDER, read_published
from tests import factories


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """SiDyP and plain on two tasks with Mixtral's few-shot labels, and on weak labels, which no LLM made."""
    path = tmp_path_factory.mktemp("against") / "results"
    noises = {"mixtral-8x22b/few": 0.25, "weak": 0.35}
    factories.write_grid(path, noises=noises, methods={"plain": 0, "sidyp": 0.5}, setups=factories.SETUPS[1:])
    return path


@pytest.fixture(scope="module")
def read(folder):
    return frame.load(folder)


def tables(read, name="paper"):
    return against_tables(read, blocks(read.cells, "plain"), read_published(name), "last")


def test_every_published_number_has_a_source_and_the_abstract_comes_first():
    published = read_published("paper")
    assert [gain.value for gain in published.gains[:2]] == [7.21, 7.30]
    assert [gain.prompting for gain in published.gains[:2]] == ["zero", "few"]
    assert all("2505.19675" in gain.source for gain in published.gains[:2])
    assert all(number.source for number in published.gains + published.scores)


def test_our_gain_is_the_mean_over_llm_labelled_columns_paired_by_seed(read):
    (table,) = tables(read)
    row = next(row for row in table.rows if row.label == "sidyp over plain, few-shot labels")
    published, points, relative, columns = row.entries
    llm = read.cells[read.cells["noise"] == "mixtral-8x22b/few"]
    by_seed = 100 * llm.pivot_table(index="seed", columns="method", values="accuracy_last", aggfunc="mean")
    gaps = by_seed["sidyp"] - by_seed["plain"]
    assert published.mean == 7.30
    assert points.mean == pytest.approx(gaps.mean())
    assert points.n == 3
    assert points.half == pytest.approx(4.302653 * gaps.std(ddof=1) / np.sqrt(3), rel=1e-5)
    assert relative.mean == pytest.approx((100 * gaps / by_seed["plain"]).mean())
    assert columns.text == "2"


def test_what_was_not_run_here_stays_empty(read):
    (table,) = tables(read)
    row = next(row for row in table.rows if row.label == "sidyp over plain, zero-shot labels")
    assert row.entries[0].mean == 7.21
    assert [entry.state for entry in row.entries[1:]] == ["not run", "not run", "empty"]


def test_differences_of_the_set_up_are_named(read):
    block = blocks(read.cells, "plain")[0]
    (sentence,) = differences(read, block, read_published("paper"))
    assert "encoder minilm frozen here, bert-base-uncased fine-tuned there" in sentence
    assert "4 epochs here, 20 there" in sentence
    assert "not run here: 20news, numclaim, semeval" in sentence
    assert "only here: tweets" in sentence
    assert "labels of llama3-70b, llama3.1-70b, llama3.1-405b, gpt-4o only there" in sentence


def test_sentences_speak_only_of_what_both_sides_have(read):
    said = against_sentences(read, blocks(read.cells, "plain"), read_published("paper"), "last")
    assert len(said) == 1
    assert said[0].startswith("Published (arXiv 2505.19675, abstract): sidyp over plain on few-shot labels +7.30 %.")
    assert "2 columns" in said[0]


def own_file(tmp_path, **changes):
    raw = yaml.safe_load((FOLDER / "paper.yaml").read_text("utf-8")) | changes
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(raw))
    return str(path)


def test_scores_of_single_cells_stand_beside_ours_and_the_rest_stays_empty(read, tmp_path):
    score = {"method": "plain", "task": "trec", "llm": "mixtral-8x22b", "prompting": "few", "value": 61.25,
             "source": "somewhere, table 2"}  # fmt: skip
    other = score | {"task": "numclaim"}
    (table,) = tables(read, own_file(tmp_path, gains=[], scores=[score, other]))
    assert [(head.group, head.name) for head in table.heads] == [
        ("trec mixtral-8x22b/few", "here"),
        ("trec mixtral-8x22b/few", "published"),
    ]
    by_label = {row.label: row.entries for row in table.rows}
    ours = read.cells.query("task == 'trec' and noise == 'mixtral-8x22b/few' and method == 'plain'")
    assert by_label["plain"][0].mean == pytest.approx(100 * ours["accuracy_last"].mean())
    assert by_label["plain"][1].mean == 61.25
    assert by_label["sidyp"][1].state == "empty"
    assert "somewhere, table 2" in " ".join(table.caption)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gains": [{"method": "sidyp", "value": 1.0}]}, r"gains\.0\.source: Field required"),
        ({"scores": [{"method": "a", "task": "b", "value": "high", "source": "here"}]}, r"scores\.0\.value"),
        ({"typo": 1}, "typo: Extra inputs are not permitted"),
    ],
)
def test_a_number_without_a_source_or_with_a_wrong_field_is_refused(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        read_published(own_file(tmp_path, **changes))


def test_wrong_names_and_files_are_refused(tmp_path):
    with pytest.raises(UsageError, match="did you mean paper"):
        read_published("papr")
    with pytest.raises(UsageError, match="cannot be read"):
        read_published(str(tmp_path / "none.yaml"))
    (tmp_path / "torn.yaml").write_text("gains: [")
    with pytest.raises(UsageError, match="are not valid YAML"):
        read_published(str(tmp_path / "torn.yaml"))


def test_the_report_shows_them_and_says_what_differs(folder, tmp_path):
    done = build_report(folder, tmp_path / "report", formats=["md", "csv"], against="paper")
    text = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert "Gains beside SiDyP's paper" in text
    assert "What differs: encoder minilm frozen here" in text.replace("\\", "")
    assert any(sentence.startswith("Published (arXiv 2505.19675") for sentence in done.sentences)
    plain = build_report(folder, tmp_path / "other", formats=["csv"])
    assert not any("Published" in sentence for sentence in plain.sentences)
