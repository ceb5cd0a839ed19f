"""What the site builds itself: one page per method, the command line's reference, notebooks as pages, reports, MathML.

Equations become MathML while the site is built, so that pages need neither a script nor the network to show them.
"""

from __future__ import annotations

import dataclasses
import html
import inspect
import json
import re
import sys
import tempfile
from pathlib import Path

import yaml
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
EQUATIONS = Path(__file__).with_name("methods.yaml")
REPORTED = ("frozen", "deep-semeval", "deep-trec", "deep-tweets")
"""Folders of results/reference whose report is part of the site."""
MATH = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, config) -> Files:
    """Add the pages that are made from the code."""
    for path, text in (method_pages() | notebook_pages() | {"cli.md": cli_page()} | report_pages()).items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_content(content: str, **_) -> str:
    """Every equation of a page as MathML."""
    return MATH.sub(lambda found: mathml(html.unescape(found[3]), block=found[2] == "["), content)


def mathml(tex: str, block: bool) -> str:
    """A LaTeX formula as MathML, with its source as the text for copying and for screen readers."""
    from latex2mathml.converter import convert

    made = convert(tex.strip(), display="block" if block else "inline")
    return f'<div class="equation">{made}</div>' if block else made


def method_pages() -> dict[str, str]:
    """The overview and one page per method and wrapper, from the registry's docstrings and `methods.yaml`."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from methods import registry, wrappers

    facts = yaml.safe_load(EQUATIONS.read_text("utf-8"))
    known = {name: cls for name, cls in registry.available().items() if cls.__module__.startswith("methods.")}
    known |= {f"+{suffix}": cls for suffix, cls in wrappers.WRAPPERS.items()}
    if stale := [name for name in facts if name not in known]:
        raise ValueError(f"docs/methods.yaml names methods that there are not: {', '.join(stale)}")
    pages = {f"methods/{slug(name)}.md": method_page(name, cls, facts.get(name, {})) for name, cls in known.items()}
    return pages | {"methods/index.md": overview(known)}


def slug(name: str) -> str:
    """The file name of a method's page."""
    return name.replace("+", "plus-")


def overview(known: dict[str, type]) -> str:
    """The list of methods, each with the first line of its docstring."""
    rows = [f"| [`{name}`]({slug(name)}.md) | {cell(first_line(cls))} |" for name, cls in known.items()]
    return "\n".join(
        [
            "# Methods",
            "",
            "Every method trains through the same loop on the same noisy labels, and is scored on gold labels that it "
            "cannot see. A parameter is given in brackets, `sidyp[num_samples=8]`; `+ts` after any name adds "
            "temperature scaling. To add one: [your own method](../add-a-method.md).",
            "",
            "| name | what it does |",
            "|---|---|",
            *rows,
            "",
            r"Symbols: \(x\) a text, \(\tilde y\) its noisy label, \(y\) its true label, \(C\) classes, \(p\) the "
            r"softmax of a network's logits, \(\hat\tau\) the noise rate as estimated without gold, \(M\) networks",
            "(branches).",
            "",
        ]
    )


def method_page(name: str, cls: type, facts: dict) -> str:
    """One method: its docstring, equations, citation, parameters, and where its code is."""
    first, _, rest = (inspect.getdoc(cls) or "").partition("\n")
    call = f"plain{name}" if name.startswith("+") else name
    lines = [f"# {name}", "", prose(first), "", prose(rest.strip()), ""]
    for tex in facts.get("equations", ()):
        lines += ["\\[", tex, "\\]", ""]
    if "note" in facts:
        lines += [prose(facts["note"]), ""]
    lines += ["```console", f"$ bench run --methods plain,{call} --tasks tweets --noise sn@0.3 --encoder minilm:frozen"]
    lines += ["```", "", "## Parameters", "", *parameters(cls)]
    if "citation" in facts:
        link = f" [arXiv {facts['arxiv']}](https://arxiv.org/abs/{facts['arxiv']})" if "arxiv" in facts else ""
        lines += ["", "## Citation", "", f"{facts['citation']}{link}"]
    home = Path(inspect.getfile(cls)).relative_to(ROOT).as_posix()
    version = getattr(cls, "version", 1)
    lines += [
        "",
        "## Code",
        "",
        f"`{home}`, version {version}. Records name the version; a new one never reuses old cells.",
    ]
    return "\n".join([*lines, ""])


def parameters(cls: type) -> list[str]:
    """The table of a method's hyper-parameters with defaults and descriptions."""
    found = dataclasses.fields(cls.Config) if hasattr(cls, "Config") else ()
    if not found:
        return ["It has none of its own; the shared training recipe is all there is."]
    rows = []
    for field in found:
        info = cls.Config.__pydantic_fields__[field.name]
        bounds = ", ".join(filter(None, map(bound, info.metadata)))
        kind = f"{type_name(field.type)}{f' ({bounds})' if bounds else ''}"
        rows.append(f"| `{field.name}` | `{shown(info.default)}` | {cell(kind)} | {cell(info.description or '')} |")
    return ["| name | default | values | what it is, and where the default comes from |", "|---|---|---|---|", *rows]


def bound(constraint: object) -> str:
    """A range limit in words: `≥ 1`, `< 1`."""
    for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
        if (value := getattr(constraint, attribute, None)) is not None:
            return f"{sign} {value:,}" if isinstance(value, int) else f"{sign} {value}"
    return ""


def type_name(kind: object) -> str:
    """A type as the source writes it; the choices of a Literal instead of its name."""
    text = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
    text = re.sub(r"Literal\[(.*?)\]", lambda found: re.sub("[\"']", "", found[1]).replace(", ", " or "), text)
    return text.replace(" | ", " or ").replace("None", "empty")


def shown(value: object) -> str:
    """A default as a selector writes it."""
    return {"True": "true", "False": "false", "None": "null"}.get(str(value), str(value))


def first_line(cls: type) -> str:
    """The first line of a class's docstring."""
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def prose(text: str) -> str:
    """Text of a docstring as Markdown: subscripts and brackets stay what they are; code and links are meant as such."""
    pieces = re.split(r"(`[^`]*`|\[[^\[\]]+\]\([^()\s]+\))", text)
    return "".join(piece if at % 2 else re.sub(r"([*_<>\[\]])", r"\\\1", piece) for at, piece in enumerate(pieces))


def cell(text: str) -> str:
    """`prose` on one line, without bars that would end a table's cell."""
    return prose(" ".join(text.split())).replace("|", "\\|")


def notebook_pages() -> dict[str, str]:
    """Prose and code of every notebook; they are stored without outputs."""
    pages = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        parts = []
        for each in json.loads(path.read_text("utf-8"))["cells"]:
            source = "".join(each["source"])
            code = source.replace("%matplotlib inline\n", "")
            parts.append(source if each["cell_type"] == "markdown" else f"```python\n{code}\n```")
        title, _, rest = "\n\n".join(parts).partition("\n")
        hint = f"*This page shows prose and code; `notebooks/{path.name}` runs it and shows tables and figures.*"
        pages[f"notebooks/{path.stem}.md"] = f"{title}\n\n{hint}\n{rest}\n"
    return pages


def report_pages() -> dict[str, str]:
    """The page of `bench report` for each of `REPORTED`, made from the committed records."""
    from bench.report.build import build_report

    pages = {}
    for name in REPORTED:
        with tempfile.TemporaryDirectory() as out:
            page = build_report(ROOT / "results" / "reference" / name, Path(out), formats=["html"]).page
            pages[f"reports/{name}.html"] = page.read_text("utf-8")
    return pages


def cli_page() -> str:
    """The reference of the command line, from the application itself."""
    import typer
    from typer.cli import get_docs_for_click

    from bench.cli.app import app

    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="bench")
    text = re.sub(r"^\* `(--install-completion|--show-completion)`.*\n", "", text, flags=re.MULTILINE)
    for name, each in command.commands.items():  # in full, where the list of commands cuts them
        line = " ".join((each.help or "").split())
        text = re.sub(rf"^\* `{re.escape(name)}`: .*$", lambda _, n=name, t=line: f"* [`{n}`](#bench-{n}): {t}", text,
                      count=1, flags=re.MULTILINE)  # fmt: skip
    return text.replace("# `bench`", "# Command line", 1).replace("^[env var: ", "[")
