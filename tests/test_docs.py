"""The documentation site: it builds without a warning, says what the code says, and needs no network to be read."""

import dataclasses
import html
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

import bench
from bench.cli import clean
from benchmarks import llm_anatomy
from benchmarks.base_size import TABLES, layers_table

pytest.importorskip("mkdocs", reason="the extra [dev] installs mkdocs")
pytest.importorskip("material", reason="the extra [dev] installs mkdocs-material")
pytest.importorskip("latex2mathml", reason="the extra [dev] installs latex2mathml")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; `--strict` turns every warning into a failure."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def text_of(page: Path) -> str:
    """What a reader sees, without markup."""
    body = re.sub(r"<(script|style|annotation)\b.*?</\1>", "", page.read_text("utf-8"), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_a_picture_that_is_much_wider_than_the_page_leads_to_its_file():
    from PIL import Image

    for page in (ROOT / "docs").glob("*.md"):
        for before, name in re.findall(r"(.?)!\[[^]]*\]\((figures/[^)]+)\)", page.read_text("utf-8")):
            width, _ = Image.open(ROOT / "docs" / name).size
            assert before == "[" or width <= 1600, f"{page.name}: {name} is shown at half its size or less"


def test_every_method_has_a_page_with_its_equation_and_every_parameter(site):
    from methods import registry

    equations = yaml.safe_load((ROOT / "docs" / "methods.yaml").read_text("utf-8"))
    ours = (
        "plain oracle gold noisy-then-gold mixed corrected co-teaching jocor cr sidyp npc dygen selfmix elr gce mixup"
    )
    assert {*ours.split(), "label-smoothing", "knn-vote", "cleanlab", "second-opinion"} <= set(equations)
    for name, cls in registry.available().items():
        if not cls.__module__.startswith("methods."):  # another test's
            continue
        page = site / "methods" / f"{name}.html"
        assert "<math" in page.read_text("utf-8") or name not in equations, name
        shown = text_of(page)
        for field in dataclasses.fields(cls.Config):
            assert field.name in shown, f"{name}.{field.name}"
    assert "softmax" in text_of(site / "methods" / "plus-ts.html")
    gold = site / "methods" / "gold.html"
    assert re.search(r"yardstick of\s+<a href=\"\.\./human-labels\.html\">human labels</a>", gold.read_text("utf-8"))


def test_every_method_but_the_oracle_cites_a_paper():
    facts = yaml.safe_load((ROOT / "docs" / "methods.yaml").read_text("utf-8"))
    assert [name for name, each in facts.items() if "citation" not in each] == ["oracle"]


def test_a_method_of_another_package_or_without_an_equation_breaks_no_page(monkeypatch):
    from docs import hooks
    from methods import registry

    known = dict(registry.available())
    plain = known["plain"]
    monkeypatch.setattr(registry, "available", lambda: known)
    known["bare"] = type("Bare", (plain,), {"name": "bare", "__doc__": "New here.", "__module__": "methods.plain"})
    known["foreign"] = type("Foreign", (plain,), {"name": "foreign", "__module__": "elsewhere"})
    pages = hooks.method_pages()
    assert "New here." in pages["methods/bare.md"]
    assert "New here." in pages["methods/index.md"]
    assert "foreign" not in "".join([*pages, *pages.values()])


def test_every_code_block_shows_code(site):
    """An include with a slip in its marks is left as it stands, or leaves nothing."""
    shown = {}
    for page in sorted(site.rglob("*.html")):
        for number, block in enumerate(re.findall(r"<pre\b.*?</pre>", page.read_text("utf-8"), re.DOTALL)):
            shown[page.relative_to(site).as_posix(), number] = html.unescape(re.sub(r"<[^>]+>", "", block)).strip()
    assert len(shown) > 50
    for place, code in shown.items():
        assert code, f"{place}: empty"
        assert not re.search(r"-+\s*8\s*<|\bsnippets?::", code), f"{place}: {code[:80]}"
    assert any('INFO = TaskInfo(\n    name="tweets"' in code for code in shown.values())


def test_no_equation_is_left_as_tex(site):
    for page in site.rglob("*.html"):
        content = page.read_text("utf-8")
        assert 'class="arithmatex"' not in content, page.name
        for equation in re.findall(r"<math.*?</math>", content, re.DOTALL):
            assert not re.search(r"\\[A-Za-z]+", equation), f"{page.name}: {equation[:200]}"


def test_the_command_line_reference_has_every_command_and_option(site):
    import typer.main

    from tests.conftest import application

    shown = text_of(site / "cli.html")
    for name, command in typer.main.get_command(application()).commands.items():
        assert f"bench {name}" in shown
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.hidden:
                assert parameter.opts[0] in shown, f"bench {name} {parameter.opts[0]}"


def test_reports_of_the_committed_results_are_part_of_the_site_and_linked(site):
    shown = text_of(site / "reports" / "frozen.html")
    assert "1,360 cells" in shown or "1360 cells" in shown
    evidence = (site / "evidence.html").read_text("utf-8")
    for page in (site / "reports").iterdir():
        assert f'href="reports/{page.name}"' in evidence


def test_what_the_reference_of_python_shows_says_what_its_parameters_are():
    targets = [
        name
        for page in (ROOT / "docs").glob("*.md")
        for name in re.findall(r"^::: ([\w.]+)", page.read_text("utf-8"), re.MULTILINE)
    ]
    shown = {name: pkgutil.resolve_name(name) for name in targets}
    assert len(shown) > 20
    silent = [
        name
        for name, each in shown.items()
        if callable(each) and inspect.signature(each).parameters
        and not re.search(r"^(Parameters|Attributes)\n---", inspect.getdoc(each) or "", re.MULTILINE)
    ]  # fmt: skip
    assert silent == []


def test_every_notebook_is_a_page_and_is_listed(site):
    listed = (site / "notebooks.html").read_text("utf-8")
    names = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert len(names) == 7
    for name in names:
        assert f'href="notebooks/{name}.html"' in listed
        assert "import bench" in text_of(site / "notebooks" / f"{name}.html"), name


def test_pages_load_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]*\ssrc="([^"]+)"', page.read_text("utf-8"))
        loaded += re.findall(
            r'<link[^>]*rel="(?:stylesheet|preconnect|icon)"[^>]*href="([^"]+)"', page.read_text("utf-8")
        )
        assert not [address for address in loaded if address.startswith(("http", "//"))], page.name


def test_the_method_that_the_site_shows_is_the_readmes():
    """One example in two places must not drift apart."""
    example = re.compile(r"```python[^\n]*\n(.*?)```", re.DOTALL)
    readme = next(code for code in example.findall((ROOT / "README.md").read_text("utf-8")) if "@register" in code)
    page = next(iter(example.findall((ROOT / "docs" / "add-a-method.md").read_text("utf-8"))))
    assert page == readme


def test_the_table_of_wrong_labels_found_is_that_of_the_committed_numbers():
    table = pd.read_csv(ROOT / "results" / "reference" / "detection" / "detection.csv")
    told = (ROOT / "docs" / "take_away.md").read_text("utf-8")
    shown = ["most", "auc_trained_on_gold", "trained_on_gold", "cleanlab", "text", "with_labellers"]
    for task, rows in table.groupby("task"):
        rates = 100 * rows["noise_rate"]
        numbers = " | ".join(f"{rows[name].mean():.2f}" for name in shown)
        reached = (rows["with_labellers"] >= 1.5).sum()
        assert f"| {task} | {len(rows)} | {rates.min():.0f} to {rates.max():.0f} | {numbers} | {reached} |" in told
    votes = pd.read_csv(ROOT / "results" / "reference" / "detection" / "votes.csv")
    for gains, sentence in ((table["cleaned_text"], clean.UNCONFIRMED), (votes["cleaned"], clean.OF_VOTES)):
        counted = (
            f"{(gains > 0).sum()} better, by up to {gains.max():.1f} points, and {(gains < 0).sum()} worse, by up to"
        )
        assert f"{counted} {-gains.min():.1f} (pidgin" in " ".join(told.split())
        assert f"Of {len(gains)} " in sentence
        assert f"{counted} {-gains.min():.1f}:" in sentence
    means = (
        table.groupby(["chosen_on", "task"])[["cleanlab", "text", "with_labellers"]].mean().groupby("chosen_on").mean()
    )
    ours = ["{:.2f}, the text alone {:.2f}, with the other labellers {:.2f}", "{:.2f}, {:.2f} and {:.2f}"]
    for chosen_on, line in enumerate(ours):
        assert line.format(*means.loc[bool(chosen_on)]) in " ".join(told.split())
    assert (
        f"has {means_of(table, 'with_labellers')} times chance, that of cleanlab {means_of(table, 'cleanlab')}"
        in " ".join((ROOT / "CHANGELOG.md").read_text("utf-8").split())
    )


def test_the_gains_on_labels_of_real_llms_are_the_committed_numbers():
    told = (ROOT / "docs" / "which_method.md").read_text("utf-8").replace("**", "").replace("−", "-")
    folder = ROOT / "results" / "reference" / "llm-axis-properties"
    tables = [
        pd.read_csv(folder / encoder / "averages.csv").set_index(["rule", "method"]) for encoder in ("mpnet", "minilm")
    ]
    shown = [table.loc[rule] for table in tables for rule in ("last", "noisy_valid")]
    for method in set(shown[0].index) - {"plain+ts"}:
        row = next(line for line in told.splitlines() if line.startswith(f"| {method} | ") and "±" in line)
        cells = [tuple(map(float, cell.split(" ± "))) for cell in row.strip("| ").split(" | ")[1:]]
        expected = [(table.loc[method, "mean"], table.loc[method, "half"]) for table in shown]
        assert cells == [pytest.approx(pair, abs=0.051) for pair in expected], method


def test_the_tables_of_a_base_size_encoder_are_those_of_the_committed_records():
    cells = bench.load_results(ROOT / "results" / "reference" / "base-size").cells
    evidence, scale = ((ROOT / "docs" / name).read_text("utf-8") for name in ("evidence.md", "scale.md"))
    for of, setup in TABLES:
        assert "\n".join(of(cells, setup)) in evidence, setup
    assert "\n".join(layers_table(cells)) in scale


def test_the_table_of_sidyp_taken_apart_is_that_of_the_committed_numbers():
    def rows(text: str, head: str) -> list[list[str]]:
        """The cells of the table whose heading begins so."""
        table = text[text.index(head) :].split("\n\n")[0]
        return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]

    committed = (ROOT / "results" / "reference" / "sidyp-dissected" / "table.md").read_text("utf-8")
    numbers = {name: cells for name, *cells in rows(committed, "|  | cfpb, gpt-4o/zero (5 seeds) | fomc, gpt-4/zero")}
    told = rows(
        (ROOT / "docs" / "findings.md").read_text("utf-8"), "| test accuracy (%), difference from plain | semeval"
    )
    assert len(told) == 15
    for name, semeval, cfpb, fomc in told:
        assert numbers[name] == [cfpb, fomc, semeval]


def means_of(table: pd.DataFrame, name: str) -> str:
    return f"{table.groupby('task')[name].mean().mean():.2f}"


def test_the_table_of_what_mistakes_are_like_is_that_of_the_committed_numbers():
    assert llm_anatomy.table() in (ROOT / "docs" / "llm_anatomy.md").read_text("utf-8")
