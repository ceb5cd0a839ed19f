"""The page and figures on label sets: whole, escaped, and right where there is little to show."""

import re
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from bench.report.figures import label_sets
from bench.report.output.labels_page import label_files
from llm_labels.labelsets import SplitLabels
from llm_labels.study import Study, study_labels
from tests.llm_labels.tiny import tiny_task
from tests.report.test_page import Reader

HOSTILE = "<img src=x onerror=alert(1)>$\\frac$"
N = 60


def frames_of(sets, gold=True, name="moods"):
    """The frames of a study of sets by name: bool[60], where each labels the wrong one of two classes."""
    task = tiny_task(name, (N, 4, 6))
    if not gold:
        task = task.__class__(
            **{each.name: getattr(task, each.name) for each in fields(task)} | {"gold": no_gold(task)}
        )
    truth = np.arange(N) % 2
    parts = {
        key: {"train": SplitLabels(np.arange(N), np.where(wrong, 1 - truth, truth))} for key, wrong in sets.items()
    }
    found = Study.join([study_labels(task, parts, np.random.default_rng(0).normal(size=(N, 3)))])
    return {each.name: getattr(found, each.name) for each in fields(found)}


def no_gold(task):
    return task.gold.__class__(None, None, None)


@pytest.fixture(scope="module")
def files():
    draws = np.random.default_rng(1)
    sets = {f"gpt-{number}/zero": draws.random(N) < 0.3 for number in range(3)}
    return label_files(frames_of(sets | {HOSTILE + "/few": draws.random(N) < 0.4}, name="<script>moods</script>"))


def test_the_page_stands_alone_and_escapes_names(files):
    page = files["labels.html"].decode()
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    assert all(link.startswith(("#", "data:image/png")) for link in reader.links)
    assert len(reader.ids) == len(set(reader.ids))
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;img src=x onerror" in page
    assert "default-src 'none'" in page


def test_every_figure_is_there_as_png_and_svg(files):
    names = {path for path in files if path != "labels.html"}
    kinds = {re.match(r"figures/([a-z]+)", name)[1] for name in names}
    assert kinds == {"noise", "predictable", "unanimous", "names", "kappa", "precision"}
    assert {name.rpartition(".")[2] for name in names} == {"png", "svg"}
    assert all(files[name].startswith(b"\x89PNG") for name in names if name.endswith("png"))
    assert files["labels.html"].count(b"<figure") == len(names) / 2


def test_a_single_set_shares_nothing_and_still_has_its_rates():
    found = label_files(frames_of({"gpt/zero": np.arange(N) < 15}))
    assert {path.partition(".")[0] for path in found} == {
        "labels", "figures/noise", "figures/predictable", "figures/names-moods", "figures/precision-moods",
    }  # fmt: skip
    assert b"25.0 (15.8" in found["labels.html"]
    assert "Do they make the same mistakes?" not in found["labels.html"].decode()


def test_without_gold_the_page_says_why_it_is_empty():
    found = label_files(frames_of({"gpt/zero": np.arange(N) < 15, "b/zero": np.arange(N) < 9}, gold=False))
    assert list(found) == ["labels.html"]
    assert b"it is unknown which labels are wrong" in found["labels.html"]


def test_a_class_that_is_never_assigned_has_no_precision_and_no_number():
    frames = frames_of({"always/zero": np.arange(N) % 2 == 0, "right/zero": np.zeros(N, bool)})
    rows = frames["classes"].set_index(["labels", "class"])
    assert np.isnan(rows.loc[("always/zero", "negative"), "precision"])
    assert rows.loc[("always/zero", "negative"), "recall"] == 0
    assert rows.loc[("always/zero", "positive"), ["precision", "recall"]].tolist() == [0.5, 1]
    (plan,) = [each for each in label_sets.label_set_plans(frames) if each.kind == "precision"]
    texts = [text.get_text() for text in plan.draw().axes[0].texts]
    assert texts == ["100", "100", "–", "50"]


def test_families_are_named_by_how_llms_begin():
    names = ["gpt-4o/zero", "GPT-3.5", "llama3.1/few", "42/zero", "o1/zero"]
    assert [label_sets.family(name) for name in names] == ["gpt", "gpt", "llama", "42/zero", "o"]
    looks = label_sets.families([f"{chr(97 + n // 2)}x" for n in range(30)])
    assert len(looks) == len(label_sets.LOOKS)


def test_the_heat_map_of_shared_mistakes_is_symmetric_with_the_least_wrong_first():
    frames = frames_of({"b/zero": np.arange(N) < 20, "a/zero": np.arange(N) < 10, "c/zero": np.arange(N) >= 30})
    (plan,) = [each for each in label_sets.label_set_plans(frames) if each.kind == "kappa"]
    axis = plan.draw().axes[0]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["a/zero", "b/zero", "c/zero"]
    shown = axis.collections[0].get_array()
    np.testing.assert_allclose(shown, shown.T)
    kappa = frames["mistakes"].set_index(["a", "b"])["kappa"]
    assert shown[0, 1] == pytest.approx(kappa[("b/zero", "a/zero")])
    assert shown[1, 2] == pytest.approx(kappa[("b/zero", "c/zero")])
    assert kappa[("b/zero", "c/zero")] < 0 < kappa[("b/zero", "a/zero")]


def test_no_labels_of_train_draw_nothing():
    assert label_sets.label_set_plans({name: pd.DataFrame() for name in frames_of({})}) == []
