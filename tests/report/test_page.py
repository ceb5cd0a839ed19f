"""The page: self-contained, escaped, every number leads to its cells; tried in a real browser where there is one."""

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from bench.report.build import build_report
from bench.report.output.page import TEMPLATES, inline_svg, prose
from tests.factories import cell_key, write_done

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
VOID = {"meta", "br", "img", "input", "link", "hr", "path", "use", "col", "wbr"}


class Reader(HTMLParser):
    """Collects attributes and checks that every element is closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.ids, self.buttons, self.wrong = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [attrs[name] for name in ("src", "href", "xlink:href", "action") if name in attrs]
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if "data-cells" in attrs:
            self.buttons.append(attrs["data-cells"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.fixture(scope="module")
def page(built):
    return built.page.read_text("utf-8")


@pytest.fixture(scope="module")
def parsed(page):
    reader = Reader()
    reader.feed(page)
    return reader


def data_of(page):
    return json.loads(re.search(r'id="cell-data">(.*?)</script>', page, re.DOTALL).group(1))


def test_the_page_is_well_formed_with_unique_ids(parsed):
    assert parsed.wrong == []
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))


def test_the_page_needs_no_network(page, parsed):
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in parsed.links)
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert "default-src 'none'" in page


def test_every_number_leads_to_cells_of_the_data(page, parsed, built):
    data = data_of(page)
    assert len(data["cell"]) == len(built.results.cells)
    indices = [int(index) for button in parsed.buttons for index in button.split()]
    assert set(indices) == set(range(len(built.results.cells)))
    assert all(record.startswith("cells/trec/") for record in data["record"])
    assert all(command.startswith("bench run") for command in data["command"])


def test_every_number_of_a_table_can_be_pressed(page):
    numbers = re.findall(r'<td class="value"[^>]*>(.{8})', page)
    assert len(numbers) > 50
    assert set(numbers) == {"<button "}


def test_figures_are_inline_and_follow_the_mode(page):
    assert page.count("<svg") == 8
    assert "#1b1f24" not in page.split("</style>", 1)[1]
    assert "prefers-color-scheme: dark" in page


def test_an_inlined_figure_keeps_its_references():
    svg = (
        '<?xml version="1.0"?><!DOCTYPE svg><svg width="72pt" height="36pt" viewBox="0 0 72 36">'
        '<metadata>when</metadata><defs><style type="text/css">*{}</style><path id="a"/></defs>'
        '<!-- secret --><g clip-path="url(#b)"><use xlink:href="#a" style="fill: #1b1f24"/></g></svg>'
    )
    text = inline_svg(svg, "f1-", 'a "label" <b>')
    assert text.startswith("<svg ")
    assert 'id="f1-a"' in text
    assert 'href="#f1-a"' in text
    assert "url(#f1-b)" in text
    assert "var(--ink)" in text
    assert "--natural: 96px" in text
    assert not re.search(r'\s(width|height)="', text)
    assert "secret" not in text
    assert "<b>" not in text


def test_sentences_of_the_page_have_code_for_backticks_and_stay_escaped():
    assert prose("run `bench report --full` <b>") == "run <code>bench report --full</code> &lt;b&gt;"
    assert prose("worth < 50 and `<i>`") == "worth &lt;\u00a050 and <code>&lt;i&gt;</code>"


def test_the_name_of_a_variant_breaks_before_its_parameters_and_notes_show_code(tmp_path):
    for mode, width in (("paper", "half"), ("official", "full")):
        write_done(tmp_path, cell_key(method="sidyp", config={"mode": mode, "width": width}))
    page = build_report(tmp_path, tmp_path / "report", formats=("html",)).page.read_text("utf-8")
    assert ">sidyp<wbr>[mode=paper,<wbr>width=half]</th>" in page
    notes = page.split('<h2 id="notes">')[1].split("</ul>")[0]
    assert "<code>stages</code>" in notes
    assert "`" not in notes
    size, hint = re.search(r'<input id="find"[^>]* size="(\d+)" placeholder="([^"]+)"', page).groups()
    assert int(size) >= len(hint)


# In a browser: the page's own copy with a harness appended (the content policy would refuse the harness).
HARNESS = r"""
<script>
addEventListener("load", () => {
  const out = {};
  const wide = (each) => each.closest(".block").querySelector(".toggle") && each.tHead.textContent.includes("vs plain");
  const table = [...document.querySelectorAll("table.sortable")].find(wide);
  const fold = table.closest("details");
  const unfold = (open) => { if (fold) fold.open = open; };
  unfold(true);
  const names = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
  const press = (column) => table.tHead.rows[table.tHead.rows.length - 1].cells[column].querySelector("button").click();
  out.before = names();
  press(1); out.descending = names();
  press(1); out.ascending = names();
  press(0); out.byName = names();
  out.references = [...table.tBodies[1].rows].map((row) => row.cells[0].textContent);
  table.querySelector("button.number").click();
  out.dialog = document.getElementById("cells").open;
  out.articles = document.querySelectorAll("#cells article").length;
  out.command = document.querySelector("#cells .command code").textContent;
  out.record = document.querySelector("#cells p code").textContent;
  document.getElementById("cells").close();
  unfold(false);
  const kind = document.querySelector("select[name=kind]");
  kind.value = "cost"; kind.dispatchEvent(new Event("input", { bubbles: true }));
  const shown = [...document.querySelectorAll("main .block")].filter((block) => !block.hidden);
  out.folds = [...document.querySelectorAll("main details.fold")].filter((fold) => fold.open).map((fold) => fold.id);
  out.kinds = [...new Set(shown.map((block) => block.dataset.kind))];
  kind.value = ""; kind.dispatchEvent(new Event("input", { bubbles: true }));
  unfold(true);
  const noise = document.querySelector("select[name=noise]");
  const narrowTo = (name) => {
    if (noise) { noise.value = name; noise.dispatchEvent(new Event("input", { bubbles: true })); }
  };
  narrowTo("sn@0.3");
  const heads = [...table.tHead.rows[1].cells].filter((head) => !head.hidden);
  out.columns = heads.map((head) => head.querySelector("button").textContent);
  out.values = [...table.tBodies[0].rows[0].cells].filter((cell) => !cell.hidden).length;
  const group = table.tHead.querySelector(".group");
  out.span = group.colSpan;
  narrowTo("");
  out.spanAgain = group.colSpan;
  const faces = [...table.closest(".block").querySelectorAll(".face")];
  const inSight = () => faces.map((face) => getComputedStyle(face).display !== "none");
  out.faces = [inSight()];
  table.closest(".block").querySelectorAll(".toggle input")[1].click();
  out.faces.push(inSight());
  table.closest(".block").querySelectorAll(".toggle input")[0].click();
  const box = table.closest(".scroll");
  const left = (column) => [...table.tBodies[0].rows[0].cells].at(column).getBoundingClientRect().left;
  const places = () => [0, 1, -1].map(left);
  box.style.width = "320px";
  const before = places();
  box.scrollLeft = 60;
  out.moved = places().map((place, i) => Math.round(before[i] - place));
  box.style.width = "";
  const colour = (element, name) => getComputedStyle(element)[name].match(/[\d.]+/g).map(Number);
  out.ink = colour(document.body, "color");
  out.paper = colour(document.body, "backgroundColor");
  out.listed = colour(document.querySelector("#cell-table th"), "backgroundColor");
  const drawn = document.querySelector("figure svg text, figure svg use");
  out.drawn = drawn ? colour(drawn, "fill") : null;
  const method = document.querySelector("input[name=method]");
  method.value = "teach"; method.dispatchEvent(new Event("input", { bubbles: true }));
  const rows = [...table.querySelectorAll("tbody tr")].filter((row) => !row.hidden);
  out.methods = rows.map((row) => row.cells[0].textContent);
  const find = document.getElementById("find");
  find.value = "oracle sn@0.3"; find.dispatchEvent(new Event("input", { bubbles: true }));
  out.found = document.querySelectorAll("#cell-table tbody tr").length;
  out.hacked = Boolean(window.hacked);
  out.width = innerWidth;
  out.wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
  const pre = document.createElement("pre"); pre.id = "outcome"; pre.textContent = JSON.stringify(out);
  document.body.append(pre);
});
</script>
"""


def browse(path, *options):
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom", *options, path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, console


def outcome_of(page, folder, *options, harness=HARNESS):
    path = folder / "harness.html"
    without_policy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    path.write_text(without_policy.replace("</body>", harness + "</body>"), "utf-8")
    dom, console = browse(path, *options)
    found = re.search(r'<pre id="outcome">(.*?)</pre>', dom, re.DOTALL)
    assert found, console
    return json.loads(html.unescape(found.group(1)))


needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


@needs_browser
def test_in_a_browser_the_page_runs_without_console_errors(built):
    dom, console = browse(built.page)
    assert console == []
    assert "18 of 18 shown" in dom  # its script ran under the content policy


@needs_browser
def test_in_a_browser_tables_sort_filter_and_open_their_cells(page, built, tmp_path):
    out = outcome_of(page, tmp_path, "--window-size=1200,900")
    assert sorted(out["before"]) == ["co-teaching", "plain", "plain+es"]
    assert out["before"][0] == "co-teaching", "by their average"
    assert out["descending"] == out["ascending"][::-1] == out["before"]
    assert out["byName"] == ["co-teaching", "plain", "plain+es"]
    assert out["references"] == ["oracle", "labeller itself (test)"]
    assert out["dialog"]
    assert out["articles"] == 6, "two columns of three seeds"
    assert out["command"].startswith("bench run")
    assert re.fullmatch(r"cells/trec/.*/seed-\d-[0-9a-f]{12}\.json", out["record"])
    assert out["kinds"] == ["cost"]
    assert out["folds"] == ["g-cost-and-provenance"]
    assert out["faces"] == [[True, False], [False, True]], "accuracy, then the calibration error"
    assert out["moved"] == [0, 0, 60], "the methods and their average stay in sight"
    assert out["methods"] == ["co-teaching"]
    assert out["found"] == 3
    assert out["columns"] == ["method", "average", "vs plain", "sn@0.3"]
    assert (out["values"], out["span"], out["spanAgain"]) == (4, 1, 2)
    assert not out["wide"]


def luminance(colour):
    """Relative luminance (WCAG 2) of an RGB colour in 0..255."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour[:3])]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_colour_of_text_contrasts_with_whatever_it_stands_on(scheme):
    css = (TEMPLATES / "page.css").read_text("utf-8")
    colours = dict(re.findall(r"--(\w+): #(\w{6})", css.split("color-scheme: light dark", 1)[scheme]))
    light = {name: luminance(bytes.fromhex(value)) for name, value in colours.items()}
    for text in ("ink", "soft", "accent", "best", "bad"):
        for ground in ("page", "panel", "hover"):
            low, high = sorted((light[text], light[ground]))
            assert (high + 0.05) / (low + 0.05) >= 7, (text, ground)


@needs_browser
@pytest.mark.parametrize(("scheme", "darker"), [("1", "ink"), ("0", "paper")], ids=["light", "dark"])
def test_in_a_browser_text_and_figures_contrast_in_light_and_dark_mode(page, tmp_path, scheme, darker):
    out = outcome_of(page, tmp_path, f"--blink-settings=preferredColorScheme={scheme}")
    light = {name: luminance(out[name]) for name in ("ink", "paper", "drawn")}
    assert min(("ink", "paper"), key=light.get) == darker
    assert out["listed"] == out["paper"], "a list outside of a card stands on the page"
    for name in ("ink", "drawn"):
        pair = sorted((light[name], light["paper"]))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 7, name


@needs_browser
def test_in_a_browser_a_phone_never_scrolls_the_page_sideways(page, tmp_path):
    out = outcome_of(page, tmp_path, "--window-size=390,900")
    assert out["width"] <= 500  # some builds have no narrower window
    assert not out["wide"]


PAPER = r"""
<script>
addEventListener("load", () => {
  const tables = [...document.querySelectorAll("table.sortable")];
  const out = { tables: tables.length };
  out.shown = tables.filter((each) => each.getBoundingClientRect().height > 0 && each.checkVisibility()).length;
  out.cut = tables.filter((each) => getComputedStyle(each.closest(".scroll")).overflowX !== "visible").length;
  out.radios = [...document.querySelectorAll("input[type=radio]")].filter((each) => each.checkVisibility()).length;
  const pre = document.createElement("pre"); pre.id = "outcome"; pre.textContent = JSON.stringify(out);
  document.body.append(pre);
});
</script>
"""


@needs_browser
def test_in_a_browser_the_printed_page_shows_every_table_whole(page, tmp_path):
    out = outcome_of(page.replace("@media print", "@media screen"), tmp_path, "--window-size=1050,900", harness=PAPER)
    assert out == {"tables": out["tables"], "shown": out["tables"], "cut": 0, "radios": 0}


@needs_browser
def test_in_a_browser_hostile_names_stay_text(tmp_path):
    name = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
    for seed in (1, 2, 3):
        for method in ("plain", "co-teaching", "oracle"):
            key = cell_key(task="mine", noise=name, method=method, seed=seed)
            write_done(tmp_path / "r", key, label_names=[name, "b"], command="bench run " + name)
    summary = build_report(tmp_path / "r", tmp_path / "o", formats=["html"])
    out = outcome_of(summary.page.read_text("utf-8"), tmp_path)
    assert not out["hacked"]
    assert out["command"] == "bench run " + name
