"""Two results folders side by side: `bench report --compare BEFORE AFTER`."""

import csv

import numpy as np
import pytest
from scipy import stats as scipy_stats
from typer.testing import CliRunner

from bench.core.errors import UsageError
from bench.report.compare.match import compare
from bench.report.compare.write import comparison_tables, sentences, write_comparison
from bench.store.parts import Scores, ScoreSet
from bench.store.records import Record, write_record
from tests import factories
from tests.conftest import application

SEEDS = (1, 2, 3, 4)


def write(folder, method, accuracies, *, noise="weak", task="trec", ece=0.1, changes=None, record=None):
    """One finished cell a seed with a given accuracy; `changes` go into the key, `record` into the record."""
    for seed, accuracy in zip(SEEDS, accuracies, strict=False):
        key = factories.cell_key(task, noise, method, seed, **(changes or {}))
        made, _ = factories.done_record(key, n_test=20, n_train=20)
        scores = Scores(**(dict(made.scores.last) | {"accuracy": accuracy, "ece": ece}))
        fields = {"scores": ScoreSet(last=scores, noisy_valid=scores, oracle_best=scores)} | (record or {})
        write_record(made.model_copy(update=fields), folder)


@pytest.fixture
def before(tmp_path):
    return tmp_path / "before"


@pytest.fixture
def after(tmp_path):
    return tmp_path / "after"


def outcome(found, method, metric="accuracy"):
    return next(line.outcomes[metric] for line in found.averages if line.method == method)


def test_a_difference_is_paired_by_seed_and_tested_by_the_paired_t_test(before, after):
    old, new = [0.60, 0.70, 0.80, 0.65], [0.62, 0.73, 0.825, 0.671]
    write(before, "plain", old)
    write(after, "plain", new)
    found = outcome(compare(before, after), "plain")
    expected = scipy_stats.ttest_rel(new, old)
    assert found.difference.mean == pytest.approx(100 * np.mean(np.subtract(new, old)))
    assert found.p == found.p_holm == pytest.approx(expected.pvalue)
    low, high = 100 * np.array(expected.confidence_interval())
    assert (found.difference.mean - found.difference.half, found.difference.mean + found.difference.half) == (
        pytest.approx((low, high))
    )
    assert found.verdict == "better"


def test_lower_is_better_for_calibration_error(before, after):
    for folder, eces in ((before, (0.20, 0.21, 0.22, 0.25)), (after, (0.10, 0.11, 0.13, 0.14))):
        for seed, ece in zip(SEEDS, eces, strict=True):
            key = factories.cell_key("trec", "weak", "plain", seed)
            made, _ = factories.done_record(key, n_test=20, n_train=20)
            scores = Scores(**(dict(made.scores.last) | {"ece": ece}))
            triple = ScoreSet(last=scores, noisy_valid=scores, oracle_best=scores)
            write_record(made.model_copy(update={"scores": triple}), folder)
    found = compare(before, after)
    assert outcome(found, "plain", "ece").verdict == "better"
    assert outcome(found, "plain", "ece").difference.mean < 0
    assert outcome(found, "plain").verdict == "unchanged"


def test_holm_takes_back_what_one_test_among_many_would_claim(before, after):
    """One method with p = 0.03 among five with no effect is not called better."""
    gap = np.array([0.01, 0.02, 0.03, 0.042])
    write(before, "plain", np.full(4, 0.5))
    write(after, "plain", 0.5 + gap)
    alone = outcome(compare(before, after), "plain")
    assert alone.p < 0.05
    assert alone.verdict == "better"
    for number in range(5):
        write(before, f"none-{number}", np.full(4, 0.5))
        write(after, f"none-{number}", 0.5 + np.array([0.01, -0.012, 0.02, -0.015 - number / 1000]))
    found = outcome(compare(before, after), "plain")
    assert found.p == pytest.approx(alone.p)
    assert found.p_holm == pytest.approx(6 * alone.p)
    assert found.verdict == "no difference shown"


def test_too_few_seeds_and_equal_gaps_are_said_not_tested(before, after):
    write(before, "two", [0.5, 0.6])
    write(after, "two", [0.6, 0.65])
    write(before, "same", [0.5, 0.5, 0.5, 0.5])
    write(after, "same", [0.6, 0.6, 0.6, 0.6])
    write(before, "equal", [0.5, 0.6, 0.7, 0.8])
    write(after, "equal", [0.5, 0.6, 0.7, 0.8])
    found = compare(before, after)
    verdicts = {line.method: line.outcomes["accuracy"].verdict for line in found.averages}
    assert verdicts == {"two": "too few seeds", "same": "not tested", "equal": "unchanged"}
    assert np.isnan(outcome(found, "same").p_holm)


def test_a_new_version_of_a_method_is_compared_and_named(before, after):
    write(before, "npc", [0.5, 0.6, 0.7])
    write(after, "npc", [0.6, 0.65, 0.9], changes={"method_version": 2}, record={"code_version": "new99"})
    found = compare(before, after)
    assert len(found.pairs) == 3
    assert "version of npc: 1 → 2 (3 of 3 cells)" in found.differing
    assert "code: abc1234 → new99 (3 of 3 cells)" in found.differing
    assert not found.new
    assert not found.gone


def test_commits_are_cut_short_and_stay_told_apart(before, after):
    commit = "0123456789ab"
    for folder, version in ((before, commit), (after, f"{commit}+")):
        write(folder, "npc", [0.5, 0.6, 0.7], record={"code_version": version})
    assert "code: 0123456 → 0123456+ (3 of 3 cells)" in compare(before, after).differing


def test_the_newest_version_in_a_folder_counts(before, after):
    write(before, "npc", [0.5, 0.6, 0.7])
    write(after, "npc", [0.1, 0.1, 0.1], changes={"method_version": 3}, record={"created": "2026-01-01T10:00:00Z"})
    write(after, "npc", [0.5, 0.6, 0.8], changes={"method_version": 2}, record={"created": "2026-01-02T10:00:00Z"})
    assert outcome(compare(before, after), "npc").after == pytest.approx(100 * 1.9 / 3)


def test_a_new_version_with_another_default_is_compared_though_the_old_ones_cells_are_there_too(before, after):
    """As after a copy of the folder, an edit of the method's file and a run that resumes."""
    for folder in (before, after):
        write(folder, "mine", [0.5, 0.6, 0.7], changes={"config": {"k": 2}})
    changes = {"method_version": 2, "config": {"k": 4}}
    write(after, "mine", [0.6, 0.7, 0.81], changes=changes, record={"created": "2030-01-02T10:00:00Z"})
    found = compare(before, after)
    assert [line.method for line in found.averages] == ["mine (k: 2 → 4)"]
    assert outcome(found, "mine (k: 2 → 4)").verdict == "better"
    assert found.apart == ["after: 3 cells of an older version of mine: the newest version there is compared"]
    assert (found.new, found.gone) == ([], [])


def test_cells_that_the_newest_version_lacks_are_not_filled_in_from_an_older_one(before, after):
    for folder in (before, after):
        write(folder, "mine", [0.5, 0.6, 0.7, 0.8])
    changes, record = {"method_version": 2}, {"created": "2030-01-02T10:00:00Z"}
    write(after, "mine", [0.6, 0.7, 0.8], changes=changes, record=record)
    found = compare(before, after)
    assert [pair.after.key.method_version for pair in found.pairs] == [2, 2, 2]
    assert (found.new, found.gone) == ([], [])
    assert found.apart == [
        "after: 4 cells of an older version of mine: the newest version there is compared",
        "after: 1 cell on trec, weak not run yet with the newest version of mine",
    ]


def test_cells_that_one_side_has_of_an_older_version_alone_are_neither_gone_nor_new(before, after):
    newer = {"changes": {"method_version": 2}, "record": {"created": "2030-01-02T10:00:00Z"}}
    for folder in (before, after):
        write(folder, "mine", [0.5, 0.6, 0.7])
        write(folder, "mine", [0.5, 0.6, 0.7], noise="sn@0.3")
    write(before, "mine", [0.5], noise="lost")
    write(after, "mine", [0.6, 0.7, 0.8], **newer)
    found = compare(before, after)
    assert [(record.key.noise, record.key.seed) for record in found.gone] == [("lost", 1)]
    assert found.apart[1:] == ["after: 3 cells on trec, sn@0.3 not run yet with the newest version of mine"]
    back = compare(after, before)
    assert [(record.key.noise, record.key.seed) for record in back.new] == [("lost", 1)]
    assert back.gone == []
    assert back.apart[1:] == ["before: 3 cells on trec, sn@0.3 not run yet with the newest version of mine"]


def test_changed_hyper_parameters_get_a_row_of_their_own_that_names_them(before, after):
    write(before, "npc", [0.5, 0.6, 0.7], changes={"config": {"k": 5, "rho": 1.0}})
    write(after, "npc", [0.6, 0.65, 0.9], changes={"config": {"k": 10, "rho": 1.0}})
    write(before, "npc", [0.5, 0.6, 0.7], noise="sn@0.3", changes={"config": {"k": 5, "rho": 1.0}})
    write(after, "npc", [0.5, 0.6, 0.7], noise="sn@0.3", changes={"config": {"k": 5, "rho": 1.0}})
    found = compare(before, after)
    by_method = {line.method: line.noise for line in found.lines}
    assert by_method["npc (k: 5 → 10)"] == "weak"
    assert len(by_method) == 2


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"data": "other"}, "texts or labels"),
        ({"recipe": {"epochs": 9, "learning_rate": 5e-5, "max_length": 128}}, "epochs: 4 → 9"),
        ({"limit": 100}, "limit: null → 100"),
    ],
)
def test_cells_that_differ_in_more_than_the_method_are_named_and_never_mixed(before, after, changes, why):
    write(before, "plain", [0.5, 0.6, 0.7])
    write(after, "plain", [0.9, 0.9, 0.95], changes=changes)
    found = compare(before, after)
    assert found.pairs == []
    assert found.lines == []
    assert len(found.new) == len(found.gone) == 3
    assert found.apart == [f"trec, weak: 3 cells of the same name not compared: {why}"]
    assert "accuracy: nothing can be compared." in sentences(found)


def test_an_average_takes_the_seeds_that_every_column_has(before, after):
    for folder, shift in ((before, 0.0), (after, 0.1)):
        write(folder, "plain", [0.5 + shift, 0.6, 0.7, 0.8], noise="weak")
        write(folder, "plain", [0.4, 0.5 + shift, 0.6], noise="sn@0.3")
    (line,) = compare(before, after).averages
    assert line.seeds == (1, 2, 3)
    assert line.columns == 2
    assert line.outcomes["accuracy"].before == pytest.approx(100 * np.mean([0.45, 0.55, 0.65]))


def test_a_changed_status_is_told_with_its_reason(before, after):
    write(before, "plain", [0.5])
    key = factories.cell_key("trec", "weak", "plain", 1)
    write_record(Record(hash=key.hash, key=key, status="failed", reason="loss is not finite"), after)
    found = compare(before, after)
    assert found.pairs == []
    assert [(one.status, two.status) for one, two in found.statuses] == [("done", "failed")]


def test_files_hold_the_tables_and_one_row_a_line_and_metric(before, after, tmp_path):
    write(before, "plain", [0.5, 0.6, 0.7])
    write(after, "plain", [0.5, 0.6, 0.7])
    write(before, "npc", [0.5, 0.6, 0.7], changes={"config": {"k": 5}})
    write(after, "npc", [0.6, 0.65, 0.9], changes={"config": {"k": 10}})
    found = compare(before, after)
    paths = write_comparison(found, tmp_path / "out")
    assert [path.name for path in paths] == ["comparison.md", "comparison.tex", "comparison.csv"]
    with paths[2].open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (len(found.lines) + len(found.averages))
    assert {row["verdict"] for row in rows if row["method"] == "plain"} == {"unchanged"}
    assert float(next(row for row in rows if row["method"] == "npc (k: 5 → 10)")["difference"]) == pytest.approx(35 / 3)
    assert "unchanged" in paths[0].read_text("utf-8")
    assert "U+" not in paths[1].read_text("utf-8")
    with pytest.raises(UsageError, match="no format 'html': there are md, latex, csv"):
        write_comparison(found, tmp_path / "out", ["html"])


def test_on_a_terminal_only_changed_columns_are_listed(before, after):
    for noise in ("weak", "sn@0.3"):
        write(before, "plain", [0.5, 0.6, 0.7], noise=noise)
    write(after, "plain", [0.5, 0.6, 0.7], noise="weak")
    write(after, "plain", [0.5, 0.6, 0.75], noise="sn@0.3")
    found = compare(before, after)

    def labels(tables):
        return [row.label for table in tables if table.kind == "compare-columns" for row in table.rows]

    assert labels(comparison_tables(found)) == ["plain: trec sn@0.3", "plain: trec weak"]
    assert labels(comparison_tables(found, changed_only=True)) == ["plain: trec sn@0.3"]


def test_the_command_prints_the_verdict_first_in_80_columns_and_writes_the_comparison(before, after):
    write(before, "plain", [0.60, 0.70, 0.80, 0.65])
    write(after, "plain", [0.62, 0.73, 0.825, 0.671])
    done = CliRunner(env={"COLUMNS": "80"}).invoke(application(), ["report", "--compare", str(before), str(after)])
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "accuracy: better: plain +2.4."
    assert lines[1] == "ECE: unchanged: plain."
    assert "4 cells compared (4 of them with exactly the same key), 0 new, 0 gone" in " ".join(lines)
    assert max(len(line) for line in lines if not line.startswith("wrote ")) <= 80
    assert (after / "report" / "comparison.md").is_file()


def test_options_without_a_part_in_a_comparison_are_refused(bench, before, after):
    write(before, "plain", [0.5])
    write(after, "plain", [0.5])
    done = bench("report", "--compare", before, after, "--against", "paper")
    assert done.exit_code == 2
    assert "--against cannot be combined with --compare" in done.stderr
    missing = bench("report", "--compare", before, after.parent / "none")
    assert missing.exit_code == 2
    assert "does not exist" in missing.stderr
