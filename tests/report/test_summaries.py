"""Selection, calibration and cost over the shared columns; gaps; sentences."""

import pytest

from bench.report import frame, words
from bench.report.gaps import find_gaps, gap_sentences
from bench.report.output.console import rich_table
from bench.report.output.render import latex_table, markdown_table
from bench.report.tables.blocks import blocks
from bench.report.tables.cost import LabellingTable
from bench.report.tables.headlines import headlines, points
from bench.report.tables.summaries import SummaryTables
from tests.factories import cell_key, write_done
from tests.report.test_tables import context, entries


@pytest.fixture(scope="module")
def frozen(results):
    block = blocks(results.cells, "plain")[1]
    assert block.setup == "minilm:frozen"
    return {table.kind: entries(table) for table in SummaryTables().make(context(block))}


@pytest.fixture(scope="module")
def cells(results):
    cells = results.cells
    return cells[(cells["setup"] == "minilm:frozen") & (cells["method"] == "co-teaching")]


def test_selection_shows_three_steps_side_by_side(frozen, cells):
    rules = {"last step": "last", "noisy valid": "noisy_valid", "oracle best": "oracle_best"}
    for head, rule in rules.items():
        expected = 100 * cells[f"accuracy_{rule}"].mean()
        assert frozen["selection"]["co-teaching", head].mean == pytest.approx(expected)
    gap = 100 * (cells["accuracy_oracle_best"] - cells["accuracy_last"]).mean()
    assert frozen["selection"]["co-teaching", "oracle best − last"].mean == pytest.approx(gap)
    assert gap >= 0


def test_calibration_averages_every_metric(frozen, cells):
    assert frozen["calibration"]["co-teaching", "ECE"].mean == pytest.approx(100 * cells["ece_last"].mean())
    assert frozen["calibration"]["co-teaching", "Brier"].mean == pytest.approx(cells["brier_last"].mean())
    assert not frozen["calibration"]["oracle", "ECE"].best


def test_cost_is_marginal_and_stand_alone(frozen, cells):
    assert frozen["cost"]["co-teaching", "marginal"].mean == pytest.approx(cells["seconds_marginal"].mean())
    assert frozen["cost"]["co-teaching", "stand-alone"].mean == pytest.approx(cells["seconds_stand_alone"].mean())
    assert frozen["cost"]["co-teaching", "stand-alone"].mean > frozen["cost"]["co-teaching", "marginal"].mean
    assert frozen["cost"]["co-teaching", "parameters"].mean == pytest.approx(44)
    assert frozen["cost"]["co-teaching", "device"].text == "cpu"


def test_the_cost_says_that_its_memory_is_as_run_and_one_column_is_called_so(tmp_path):
    for method in ("plain", "co-teaching"):
        write_done(tmp_path, cell_key(method=method))
    (block,) = blocks(frame.load(tmp_path).cells, "plain")
    made = {table.kind: table for table in SummaryTables().make(context(block))}
    assert "One seed, no interval." in made["calibration"].caption
    assert "One seed, no interval." not in made["cost"].caption
    assert [head.below for head in made["calibration"].heads[-2:]] == ["lower is better", "nats, lower is better"]
    assert made["calibration"].heads[1].below == "%, lower is better"
    assert any("NLL: negative log-likelihood" in text for text in made["calibration"].caption)
    assert made["cost"].caption[0] == "Over the one column (task and noise source)."
    assert any(text.startswith("Peak memory: as run, without the shared stages") for text in made["cost"].caption)


def test_the_cost_of_labelling_is_that_of_the_record(tmp_path):
    cost = {
        "texts": 500.0,
        "requests": 510.0,
        "tokens_in": 30_000.0,
        "tokens_out": 2_000.0,
        "seconds": 81.5,
        "usd": 0.0,
    }
    write_done(tmp_path, cell_key(noise="smollm2/few"), diagnostics={"labelling": cost})
    write_done(tmp_path, cell_key(noise="mixtral-8x22b/few"), diagnostics={"labelling": "free"})
    write_done(tmp_path, cell_key(noise="sn@0.3"))
    (table,) = LabellingTable().make(context(blocks(frame.load(tmp_path).cells, "plain")[0]))
    assert [row.label for row in table.rows] == ["mixtral-8x22b/few, trec", "smollm2/few, trec"]
    found = entries(table)
    assert [found["smollm2/few, trec", head].mean for head in ("texts", "tokens", "seconds", "price")] == [
        500, 32, 81.5, 0,
    ]  # fmt: skip
    assert found["mixtral-8x22b/few, trec", "texts"].text == "not published"
    assert "| label set | texts" in markdown_table(table)
    assert "\nlabel set & texts" in latex_table(table)
    assert next(iter(rich_table(table).columns)).header == "label set"


def test_every_gap_is_listed_with_its_reason(results):
    gaps = find_gaps(results.cells, blocks(results.cells, "plain"))
    by_status = {status: [gap for gap in gaps if gap.status == status] for status in ("failed", "skipped", "no gold")}
    assert [gap.reason for gap in by_status["failed"]] == ["RuntimeError: loss is not finite at step 12"]
    assert by_status["skipped"][0].seeds == (1, 2, 3)
    assert by_status["no gold"][0].task == "reviews"
    missing = {(gap.method, gap.task, gap.noise) for gap in gaps if gap.status == "not run"}
    assert ("oracle", "tweets", "asn@0.3") in missing
    assert len(missing) == 7
    sentences = gap_sentences(gaps)
    assert "failed: trec, weak, co-teaching, minilm:fine-tuned, seed 3: RuntimeError" in sentences[0]
    assert sum(sentence.startswith("not run") for sentence in sentences) == 2


def test_a_finished_cell_that_lost_its_scores_is_a_gap(tmp_path):
    write_done(tmp_path, cell_key(), scores=None)
    results = frame.load(tmp_path)
    gaps = find_gaps(results.cells, blocks(results.cells, "plain"))
    assert [(gap.status, gap.reason) for gap in gaps] == [("failed", "finished without scores")]


def test_an_answer_says_the_best_method_its_gain_by_both_rules_and_how_sure_that_is(results):
    for block in blocks(results.cells, "plain"):
        for found in headlines(results, block):
            answer = words.answer(found)
            assert answer.title.startswith(found.title[:1].upper() + found.title[1:])
            assert answer.best == f"{found.best} {found.accuracy:.1f} %"
            assert [name for name, *_ in answer.gains] == [
                "over plain at the last step",
                "over plain with early stopping",
            ]
            assert [value for _, value, _ in answer.gains] == [points(each.gap.seeds) for each in found.gains.values()]
            assert [note == "" for *_, note in answer.gains] == [each.sure for each in found.gains.values()]
            assert found.sure[1:] in answer.sure
            assert points(found.es_alone.gap.seeds) in answer.sure
