"""Families of LLMs, short names, and the tasks that an LLM has labelled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.core.errors import UsageError
from bench.noise.label_sets import find_label_sets
from bench.noise.llm_names import family, labeller_named, tasks_labelled
from bench.noise.select import sources_for
from tests.label_set_factory import SPLITS, answer, toy_task

PUBLISHED = [ref for ref in find_label_sets() if ref.task not in ("20news", "trec", "tweets", "numclaim")]
ALL = ("zero", "few")


def ids(selections) -> list[str]:
    return [f"skipped {source.id}" if why else source.id for source, why in selections]


@pytest.fixture
def task(tmp_path, isolated):
    """Four labellers of one task, one of them with examples too."""
    task = toy_task(tmp_path / "data")
    for number, name in enumerate(("gpt-4", "gpt-4o", "llama3.2_1b", "gpt-3-5")):
        answer(task, tmp_path, name, 3 + number)
    answer(task, tmp_path, "gpt-4", 3, "few")
    return task


def test_an_exact_name_wins_and_mixtral_keeps_its_meaning():
    known = {ref.labeller for ref in find_label_sets()}
    assert {"mixtral-8x22b", "mixtral-8x7b", "gpt-4", "gpt-4o"} <= known
    assert labeller_named("mixtral", known) == "mixtral-8x22b"
    assert labeller_named("gpt-4", known) == "gpt-4"
    assert labeller_named("mixtral", {*known, "mixtral"}) == "mixtral", "a user's own"
    assert labeller_named("LLAMA3.2_1B", known) == "llama3.2_1b"
    with pytest.raises(UsageError, match=r"'gemini' matches gemini-1.5-flash and .* or all of them: 'gemini\*'"):
        labeller_named("gemini", known)


def test_the_tasks_that_llms_have_labelled():
    assert tasks_labelled(["gpt-4"], PUBLISHED, ALL) == ["babe", "fomc", "phrasebank", "pidgin"]
    assert tasks_labelled(["gpt-4/few"], PUBLISHED, ALL) == ["babe"]
    assert tasks_labelled(["vote(gpt-4/zero,gpt-4/few)"], PUBLISHED, ALL) == ["babe"]
    assert tasks_labelled(["vote(gpt-4)"], PUBLISHED, ALL) == []
    assert tasks_labelled(["gpt-4"], PUBLISHED, ("few",)) == ["babe"]
    assert tasks_labelled(["claude*", "mixtral"], PUBLISHED, ALL) == ["cfpb", "semeval"]
    assert tasks_labelled(["vote(gpt-4,gpt-3.5-turbo)"], PUBLISHED, ALL) == ["fomc", "phrasebank"]
    assert tasks_labelled(["crowdlab(gemma*)"], PUBLISHED, ALL) == ["scicite"]
    assert len(tasks_labelled(["all"], PUBLISHED, ALL)) == 8
    with pytest.raises(UsageError, match="unknown llm 'claud-\\*': did you mean claude-3"):
        tasks_labelled(["claud-*"], PUBLISHED, ALL)


def test_a_pattern_knows_stars_and_question_marks_only():
    names = ["gpt-4", "gpt-4o", "GPT-5", "g[pt"]
    assert family("gpt-?", names) == ["GPT-5", "gpt-4"]
    assert family("g[p*", names) == ["g[pt"]
    assert family("[g]*", names) == []


def test_a_family_is_each_of_its_labellers(task, tmp_path):
    find = lambda text, **more: ids(sources_for(task, llms=[text], data_dir=tmp_path, **more))  # noqa: E731
    assert find("gpt-4*") == ["gpt-4/zero", "gpt-4/few", "gpt-4o/zero"]
    assert find("gpt-*/few") == ["gpt-4/few"]
    assert find("*", prompting=["few"]) == ["gpt-4/few"]
    assert find("LLAMA?.?_1b") == ["llama3.2_1b/zero"]
    with pytest.raises(UsageError, match="no llm is named like 'zzz"):
        find("zzz*")


def test_a_family_of_another_task_is_a_skip(task, tmp_path):
    other = replace(task, info=replace(task.info, name="other"))
    [(source, why)] = sources_for(other, llms=["gpt-*"], data_dir=tmp_path)
    assert source.id == "gpt-*"
    assert "has no labels of an LLM like 'gpt-*'" in why
    [(source, why)] = sources_for(other, llms=["vote(gpt-*)"], data_dir=tmp_path)
    assert "fewer than two labellers of task" in why


def test_families_within_ensembles_are_written_out(task, tmp_path):
    find = lambda text, **more: ids(sources_for(task, llms=[text], data_dir=tmp_path, **more))  # noqa: E731
    assert find("vote(gpt-*)") == ["vote(gpt-3-5,gpt-4,gpt-4o)/zero"]
    assert find("crowdlab(llama*,gpt-4o)") == ["crowdlab(gpt-4o,llama3.2_1b)/zero"]
    assert find("dawid-skene(gpt-4/few,gpt-4*)") == ["dawid-skene(gpt-4,gpt-4/few,gpt-4o)/zero"]
    assert find("vote(gpt-4?,gpt-4)") == ["vote(gpt-4,gpt-4o)/zero"]


def test_columns_belong_to_families_too(task, tmp_path):
    column = {split: np.zeros(len(task.texts(split)), dtype=int) for split in SPLITS}
    mine = replace(task, columns={"gpt-mine": column, "a*": column})
    assert ids(sources_for(mine, llms=["gpt-m*"], data_dir=tmp_path)) == ["gpt-mine"]
    assert ids(sources_for(mine, llms=["a*"], data_dir=tmp_path)) == ["a*"], "a column's full name is itself"
