"""`build_report`: one call, every file, from records alone."""

import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from bench.core.errors import UsageError
from bench.report.build import build_report
from bench.report.frame import load
from bench.report.output.console import main_table
from bench.report.tables.blocks import blocks
from bench.report.tables.result import layouts
from bench.store.records import Record, write_record
from tests.factories import cell_key, write_done, write_grid, write_results

HOSTILE = "</script><img src=x onerror=alert(1)>|`$x_1$`"


def names(summary):
    return {path.relative_to(summary.out).as_posix() for path in summary.files}


def test_everything_that_was_promised_is_written(built):
    written = names(built)
    assert {"cells.parquet", "cells.csv", "report.md", "report.tex", "index.html"} <= written
    for kind in ("accuracy", "ece", "reliability", "memorisation"):
        assert {f"figures/{kind}-trec-minilm-fine-tuned.{suffix}" for suffix in ("png", "svg", "pdf")} <= written
    assert {
        f"figures/{kind}-minilm-fine-tuned.{suffix}" for kind in ("pareto", "improvement") for suffix in ("png", "pdf")
    } <= written
    for kind in ("accuracy-trec", "ece-trec", "selection", "calibration", "cost"):
        assert {f"tables/{kind}-minilm-fine-tuned.{suffix}" for suffix in ("csv", "tex")} <= written
    assert all(path.stat().st_size > 0 for path in built.files)
    assert list(built.results.cells["status"]) == ["done"] * 18
    assert built.page == built.out / "index.html"


def test_result_tables_are_of_all_columns_of_llms_of_tasks_and_of_noise_sources(results):
    block = blocks(results.cells, "plain")[0]
    assert layouts(block) == [
        {"task": ""},
        {"task": "", "kind": "llm"},
        {"task": "trec"},
        {"task": "tweets"},
        {"task": "", "noise": "weak"},
        {"task": "", "noise": "sn@0.3"},
    ]


def test_the_summary_counts_everything(tmp_path):
    summary = build_report(write_results(tmp_path / "results"), tmp_path / "report", formats=["csv"])
    cells = pd.read_parquet(tmp_path / "report" / "cells.parquet")
    assert summary.sentences[0] == (
        f"{len(cells)} cells read: {len(cells) - 4} done, 1 failed, 3 skipped. "
        "2 files are not readable records and were left out."
    )
    assert summary.page is None


def test_only_the_formats_asked_for_are_written(small, tmp_path):
    assert names(build_report(small, tmp_path / "a", formats=["latex"])) == {
        "cells.parquet",
        "cells.csv",
        "report.tex",
        *(f"tables/{each}-minilm-fine-tuned.tex" for each in ("accuracy-trec", "ece-trec")),
        *(f"tables/{each}-both-rules-minilm-fine-tuned.tex" for each in ("accuracy", "ece", "gain")),
        *(f"tables/gain-{each}-minilm-fine-tuned.tex" for each in ("accuracy", "ece")),
        *(f"tables/significance-{each}-minilm-fine-tuned.tex" for each in ("accuracy", "ece")),
        *(f"tables/{each}-minilm-fine-tuned.tex" for each in ("ranks", "wins")),
        *(f"tables/{each}-minilm-fine-tuned.tex" for each in ("selection", "calibration", "cost", "labelling")),
    }


def test_a_second_report_is_the_same_bytes(small, built, tmp_path):
    again = build_report(small, tmp_path / "again")
    for path in again.files:
        assert path.read_bytes() == (built.out / path.relative_to(again.out)).read_bytes(), path.name
    assert names(again) == names(built)


def test_the_markdown_report_shows_the_figures_it_names(built):
    text = (built.out / "report.md").read_text("utf-8")
    linked = [part.split(")")[0] for part in text.split("](")[1:]]
    assert len(linked) == 8
    assert all((built.out / path).is_file() for path in linked)


def test_a_report_clears_what_an_earlier_one_left_and_nothing_else(tmp_path):
    results, out = tmp_path / "results", tmp_path / "report"
    path = write_done(results, cell_key())
    for seed in (1, 2):
        write_done(results, cell_key(task="tweets", seed=seed))
    first = build_report(results, out, formats=["latex", "csv"])
    (out / "tables" / "mine.csv").write_text("a user's own")
    edited = out / "tables" / "accuracy-trec-minilm-fine-tuned.tex"
    edited.write_text("edited by hand")
    path.unlink()
    second = build_report(results, out, formats=["csv"])
    gone = names(first) - names(second) - {"tables/accuracy-trec-minilm-fine-tuned.tex"}
    assert "tables/accuracy-trec-minilm-fine-tuned.csv" in gone
    assert not [name for name in gone if (out / name).exists()]
    assert all((out / name).is_file() for name in names(second))
    assert edited.read_text() == "edited by hand"
    assert (out / "tables" / "mine.csv").is_file()


def test_a_forged_list_of_files_removes_nothing_outside_the_report(small, tmp_path):
    victim = tmp_path / "victim.txt"
    victim.write_text("x")
    digest = hashlib.sha256(b"x").hexdigest()
    (tmp_path / "out").mkdir()
    for content in (json.dumps({"../victim.txt": digest, str(victim): digest}), "[1]", "not json"):
        (tmp_path / "out" / "report-files.json").write_text(content)
        build_report(small, tmp_path / "out", formats=["csv"])
        assert victim.is_file()


def test_very_many_cells_leave_out_what_is_slow_and_say_so(small, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.report.drawn.MOST_CELLS", 10)
    monkeypatch.setattr("bench.report.tables.bootstrap.MOST_CELLS", 10)
    summary = build_report(small, tmp_path / "a")
    assert {name for name in names(summary) if name.endswith(".png")} == {
        "figures/improvement-minilm-fine-tuned.png",
        "figures/kinds-minilm-fine-tuned.png",
        "figures/pareto-minilm-fine-tuned.png",
    }
    text = summary.page.read_text("utf-8")
    assert "only the figures over all columns are drawn" in text
    assert "No bootstrap: it is left out from 10 cells on" in text
    assert "left out to save time" not in text
    whole = build_report(small, tmp_path / "b", full=True)
    assert "figures/accuracy-trec-minilm-fine-tuned.png" in names(whole)
    assert "No bootstrap" not in whole.page.read_text("utf-8")


def test_a_report_of_many_cells_draws_the_most_telling_figures_and_names_the_others(small, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.report.drawn.MOST_CELLS", 20)  # 18 cells: a tenth of the panels are left
    summary = build_report(small, tmp_path / "a")
    drawn = {name.split("/")[1].split("-")[0] for name in names(summary) if name.endswith(".png")}
    assert {"improvement", "pareto", "accuracy", "ece"} <= drawn
    assert "confusion" not in drawn
    assert any("noisy labels (trec)" in note and "--full" in note for note in summary.results.notes)
    assert "noisy labels (trec)" in summary.page.read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ["pdf"]}, r"unknown report format 'pdf'.*md, latex, csv, html"),
        ({"formats": []}, "formats must be a list"),
        ({"formats": "html"}, "formats must be a list"),
        ({"rule": "best"}, "unknown selection rule 'best'"),
        ({"rule": "oracle_best"}, "never a result"),
        ({"baseline": "plian"}, "unknown baseline 'plian': did you mean plain"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_written(small, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        build_report(small, tmp_path / "report", **options)
    assert not (tmp_path / "report").exists()


def test_a_newer_schema_stops_the_report_before_anything_is_written(tmp_path):
    path = write_done(tmp_path / "results", cell_key())
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 2}))
    with pytest.raises(UsageError, match="schema 2"):
        build_report(tmp_path / "results", tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_single_cell_is_a_report(tmp_path):
    write_done(tmp_path / "results", cell_key())
    summary = build_report(tmp_path / "results", tmp_path / "report")
    assert "only method" in summary.sentences[1]
    assert summary.page.is_file()


def test_results_without_any_score_are_a_report(tmp_path):
    key = cell_key()
    write_record(Record(hash=key.hash, key=key, status="skipped", reason="no labels"), tmp_path / "a")
    write_done(tmp_path / "b", cell_key(task="reviews", noise="crowd"), has_gold=False)
    skipped = build_report(tmp_path / "a", tmp_path / "out-a")
    assert "no method can be compared" in skipped.sentences[1]
    assert "no labels" in (tmp_path / "out-a" / "index.html").read_text()
    no_gold = build_report(tmp_path / "b", tmp_path / "out-b")
    assert no_gold.sentences[1].startswith(
        "Nothing can be scored, because the test texts have no gold labels: reviews."
    )
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(main_table(load(tmp_path / "b")))
    assert "No table" in console.export_text()
    assert "no gold labels" in (tmp_path / "out-b" / "report.md").read_text()


def test_without_the_default_baseline_the_report_says_so(tmp_path):
    write_grid(tmp_path / "r", tasks=["trec"], methods=["co-teaching"], seeds=[1, 2])
    summary = build_report(tmp_path / "r", tmp_path / "o", formats=["latex"])
    assert "No method named 'plain'" in " ".join(summary.results.notes)


def test_hostile_names_stay_text_in_every_format(tmp_path):
    for seed in (1, 2):
        key = cell_key(task="mine", noise="mine.csv:" + HOSTILE, seed=seed)
        write_done(tmp_path / "r", key, label_names=[HOSTILE, "b"], command=HOSTILE)
    failed = cell_key(task="mine", method="co-teaching", noise="mine.csv:" + HOSTILE)
    write_record(Record(hash=failed.hash, key=failed, status="failed", reason=HOSTILE), tmp_path / "r")
    summary = build_report(tmp_path / "r", tmp_path / "o")
    page = summary.page.read_text("utf-8")
    assert "<img" not in page
    assert page.count("</script>") == 2
    assert "<img" not in (tmp_path / "o" / "report.md").read_text("utf-8").replace("\\<img", "")
    assert "$x_1$" not in (tmp_path / "o" / "report.tex").read_text("utf-8")


def test_torch_is_never_imported(small, tmp_path):
    code = (
        "import sys; from pathlib import Path; import bench; from bench.report.build import build_report;"
        "from bench.report.frame import load; from bench.report.output.console import main_table;"
        f"build_report(Path({str(small)!r}), Path({str(tmp_path / 'out')!r}), formats=['latex', 'csv', 'html']);"
        f"main_table(load(Path({str(small)!r}))); bench.load_results({str(small)!r}).table('trec');"
        "heavy = {'torch', 'transformers', 'datasets'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-2000:]


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, bench, bench.report;"
        "heavy = {'pandas', 'numpy', 'matplotlib', 'jinja2', 'torch', 'scipy'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_main_table_prints_every_method_and_mean(folder):
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(main_table(load(folder)))
    text = console.export_text()
    assert "Accuracy (%): trec, minilm:fine-tuned" in text
    for word in ("plain", "co-teaching", "oracle", "labeller itself (test)", "skipped", "not run", "noise 33.6 %"):
        assert word in text
    assert "± " in text


def test_a_report_can_be_uploaded_as_it_is(tmp_path):
    home = tmp_path / "home" / "ann"
    for seed in (1, 2, 3):
        for method in ("plain", "gce"):
            write_done(
                home / "results", cell_key(method=method, seed=seed), command=f"bench run --data-dir {home}/data"
            )
    failed = cell_key(method="cr")
    write_record(
        Record(hash=failed.hash, key=failed, status="failed", reason=f"no file {home}/x.csv"), home / "results"
    )
    (home / "results" / "cells" / "torn.json").write_text("{")
    summary = build_report(home / "results", tmp_path / "elsewhere" / "report")
    for path in summary.files:
        if path.suffix in (".html", ".md", ".tex", ".csv", ".json", ".svg"):
            text = path.read_text("utf-8")
            assert str(tmp_path) not in text, path.name
            assert "home/ann" not in text, path.name
    assert "command" in pd.read_parquet(summary.out / "cells.parquet")
    assert not pd.read_parquet(summary.out / "cells.parquet")["command"].str.contains("ann").any()
    page = summary.page.read_text("utf-8")
    links = [link for link in re.findall(r'href="([^"#]+)', page) if not link.startswith("data:")]
    assert all((summary.out / link).is_file() for link in links)
