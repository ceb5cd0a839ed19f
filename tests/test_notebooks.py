"""Every notebook runs from top to bottom on fresh small results; none is stored with outputs."""

from pathlib import Path

import pytest

from bench.report import build_report
from tests import factories

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"

nbformat = pytest.importorskip("nbformat", reason="the extra [dev] installs nbformat")
nbclient = pytest.importorskip("nbclient", reason="the extra [dev] installs nbclient")
pytest.importorskip("ipykernel", reason="the extra [dev] installs ipykernel")


def read(name):
    return nbformat.read(NOTEBOOKS / name, as_version=4)


@pytest.mark.parametrize("name", sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")))
def test_a_notebook_is_stored_without_outputs(name):
    for cell in read(name).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_reading_results_runs_and_shows_a_table_and_three_plots(tmp_path, monkeypatch):
    noises = {"mixtral-8x22b/few": 0.25, "sn@0.3": 0.3}
    factories.write_grid(tmp_path / "results", tasks=["trec"], noises=noises, setups=factories.SETUPS[:1])
    build_report(tmp_path / "results", tmp_path / "report", formats=["csv"])
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BENCH_REPORT", str(tmp_path / "report"))
    notebook = read("reading_results.ipynb")
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    shown = [output.data for output in outputs if output.output_type == "execute_result"]
    assert sum("image/png" in data for data in shown) == 3
    tables = [data["text/html"] for data in shown if "text/html" in data]
    assert any("co-teaching" in table and "±" in table for table in tables)
