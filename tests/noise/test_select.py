"""Which noise sources there are for a task, under which names, and why one cannot be used."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from bench.core.errors import Skip, UsageError
from bench.core.selectors import listed, quoted
from bench.data.load import load_task
from bench.data.task import Gold, TaskData
from bench.noise.draw import draw
from bench.noise.label_sets import labellers
from bench.noise.select import sources_for
from bench.noise.source import names_twice, parse_noise
from tests.label_set_factory import SPLITS, answer, toy_task

pytestmark = pytest.mark.usefixtures("isolated")


@pytest.fixture
def task(tmp_path) -> TaskData:
    return toy_task(tmp_path / "data")


def ids(selections) -> list[str]:
    return [f"skipped {source.id}" if why else source.id for source, why in selections]


# names


@pytest.mark.parametrize(
    ("text", "id_", "rate"),
    [("weak", "weak", None), ("sn@0.3", "sn@0.3", 0.3), ("ASN@.20", "asn@0.2", 0.2), ("idn@1", "idn@1", 1.0)],
)
def test_noise_is_named_in_one_way(text, id_, rate):
    source = parse_noise(text)
    assert (source.id, source.rate) == (id_, rate)


@pytest.mark.parametrize("text", ["sn", "sn@", "sn@1.1", "sn@-0.1", "sn@x", "sn@nan", "sn@inf"])
def test_a_wrong_rate_is_refused_with_the_range(text):
    with pytest.raises(UsageError, match=r"the rate must be a number from 0 to 1, like sn@0\.3"):
        parse_noise(text)


def test_an_unknown_noise_is_refused():
    with pytest.raises(UsageError, match=r"unknown noise 'foo@0\.3'"):
        parse_noise("foo@0.3")


# what there is for a task


def test_everything_a_task_has_is_the_default(task, tmp_path):
    answer(task, tmp_path, "gpt", 3)
    answer(task, tmp_path, "gpt", 4, "few")
    answer(task, tmp_path, "llama", 5)
    assert ids(sources_for(task, data_dir=tmp_path)) == ["gpt/few", "gpt/zero", "llama/zero", "weak"]
    assert ids(sources_for(task, llms=["all"], data_dir=tmp_path)) == ["gpt/few", "gpt/zero", "llama/zero"]
    assert labellers(tmp_path) == {"gpt": (("few", "toy"), ("zero", "toy")), "llama": (("zero", "toy"),)}


def test_short_names_prompting_and_repetitions(task, tmp_path):
    answer(task, tmp_path, "gpt-4o", 3)
    answer(task, tmp_path, "gpt-4o", 3, "few")
    assert ids(sources_for(task, llms=["gpt", "gpt-4o"], data_dir=tmp_path)) == ["gpt-4o/zero", "gpt-4o/few"]
    assert ids(sources_for(task, llms=["gpt/few"], data_dir=tmp_path)) == ["gpt-4o/few"]
    assert ids(sources_for(task, llms=["gpt"], prompting=["zero"], data_dir=tmp_path)) == ["gpt-4o/zero"]
    with pytest.raises(UsageError, match="unknown llm 'claude': known: gpt-4o"):
        sources_for(task, llms=["claude"], data_dir=tmp_path)
    with pytest.raises(UsageError, match="unknown prompting 'one'"):
        sources_for(task, prompting=["one"], data_dir=tmp_path)


def test_the_authors_folder_names_are_understood(task, tmp_path):
    folder = tmp_path / "llm_labels" / "mixtral" / "fewshot" / "toy"
    folder.mkdir(parents=True)
    for split in SPLITS:
        rows = [f"9,{text},{i % 3}" for i, text in enumerate(task.texts(split).texts)]
        (folder / f"{split}.csv").write_text("\n".join(["true_label,original_sent,noisy_label", *rows]))
    [(source, _)] = sources_for(task, llms=["mix"], data_dir=tmp_path)
    assert source.id == "mixtral/few"
    assert draw(source, task, 1).test.tolist() == [i % 3 for i in range(30)]


@pytest.mark.parametrize(
    ("options", "id_", "reason"),
    [
        ({"llms": ["gpt"], "prompting": ["few"]}, "gpt/few", "no labels of gpt (few-shot) for task toy: put them into"),
        ({"llms": ["gpt/few"]}, "gpt/few", "`bench label --llm gpt --task toy --prompting few`"),
        ({"noise": ["sn@0.7"]}, "sn@0.7", "with 3 classes the symmetric rate is at most 0.667"),
    ],
)
def test_what_cannot_run_is_a_visible_skip_with_a_way_out(task, tmp_path, options, id_, reason):
    answer(task, tmp_path, "gpt", 3)
    [(source, why)] = sources_for(task, data_dir=tmp_path, **options)
    assert source.id == id_
    assert reason in why


def test_without_gold_or_votes_there_is_no_synthetic_or_weak_noise(task):
    bare = replace(task, gold=Gold(None, None, None), votes=None)
    reasons = [why for _, why in sources_for(bare, noise=["sn@0.3", "weak"])]
    assert "generated from gold labels, and task toy has none" in reasons[0]
    assert "has no weak votes" in reasons[1]
    [(_, why)] = sources_for(bare)
    assert "there is no label set for task toy" in why
    own = replace(bare, origin="my data/toy.csv")
    assert "`bench label --llm NAME --task 'my data/toy.csv'`" in sources_for(own)[0][1]
    with pytest.raises(Skip, match="generated from gold labels"):
        draw(parse_noise("sn@0.3"), bare, 1)


def test_a_label_set_for_other_texts_is_skipped_and_a_damaged_one_is_refused(task, tmp_path):
    folder = answer(task, tmp_path, "gpt", 3)
    other = replace(task, full_fingerprint={**task.full_fingerprint, "valid": "0" * 64})
    [(_, why)] = sources_for(other, llms=["gpt"], data_dir=tmp_path)
    assert "made for other valid texts" in why
    (folder / "train.csv").write_text("id,label,answer\n0,x,\n")
    with pytest.raises(UsageError, match="row 1: unknown label 'x'"):
        sources_for(task, llms=["gpt"], data_dir=tmp_path)


def test_a_users_columns_are_labellers(tmp_path):
    path = tmp_path / "mine.csv"
    rows = [f"text {i},{'ab'[i % 2]},{'ab'[i % 3 % 2]},{'ab'[i % 5 % 2]}" for i in range(40)]
    path.write_text("\n".join(["text,gold,one,two", *rows]))
    task = load_task(str(path))
    assert ids(sources_for(task)) == ["one", "two"]
    assert ids(sources_for(task, llms=["one"], noise=["two", "sn@0.2"])) == ["one", "two", "sn@0.2"]
    [(source, _)] = sources_for(task, noise=["two"])
    assert (source.kind, source.labeller) == ("column", "two")
    labels = draw(source, task, 1)
    assert all(np.array_equal(getattr(labels, s), task.columns["two"][s]) for s in SPLITS)
    [(both, _)] = sources_for(task, llms=["vote(two,one)"])
    assert (both.id, both.kind) == ("vote(one,two)", "column")


def test_columns_of_another_task_are_skipped_here(task, tmp_path):
    [(source, why)] = sources_for(task, llms=["my_llm"], also_known=["my_llm"], data_dir=tmp_path)
    assert source.kind == "column"
    assert why == "task toy has no column 'my_llm'"


def test_ensembles_over_prompting_and_their_errors(task, tmp_path):
    answer(task, tmp_path, "x", 2)
    answer(task, tmp_path, "x", 2, "few")
    answer(task, tmp_path, "y", 3, "few")
    find = lambda name: sources_for(task, llms=[name], data_dir=tmp_path)  # noqa: E731
    assert ids(find("vote(x,y)")) == ["vote(x,y)/few"]
    assert ids(find("vote(x/zero,y/few)")) == ["vote(x/zero,y/few)"]
    assert ids(find("vote(x/zero,y/zero)")) == ["skipped vote(x/zero,y/zero)"]
    with pytest.raises(UsageError, match="name at least two different labellers"):
        find("vote(x,x)")
    with pytest.raises(UsageError, match="unknown ensemble 'mean'"):
        find("mean(x,y)")


# columns with the names of other things

ODD = (
    *("plain", "a,b", "mix[x]", "gpt/few", "sn@0.3", "weak", "all"),
    *("vote(plain,gpt4)", "gpt4", "gpt", 'say "hi"', "a)b"),
)


@pytest.fixture
def odd(tmp_path):
    """A file whose columns are named like everything else."""
    path = tmp_path / "odd.csv"
    rows = [["text", "gold", *ODD]]
    for i in range(40):
        rows.append([f"text {i}", "ab"[i % 2], *("ab"[(i * (k + 2) // 3) % 2] for k in range(len(ODD)))])
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return load_task(str(path))


@pytest.mark.parametrize("name", ODD)
def test_the_full_name_of_a_column_selects_it(odd, name):
    for text in {quoted(name), listed(name)} - {"vote(plain,gpt4)"}:
        [(source, _)] = sources_for(odd, llms=[text])
        assert (source.kind, source.members) == ("column", (name,))
    assert [(source, "")] == sources_for(odd, noise=[quoted(name)])


def test_all_columns_are_there_and_no_two_have_one_id(odd):
    found = [source for source, _ in sources_for(odd, llms=["all"])]
    assert [source.members for source in found] == [(name,) for name in ODD]
    shadowed = {"sn@0.3", "weak", "all", "vote(plain,gpt4)"}
    assert [source.id for source in found] == [quoted(name) if name in shadowed else name for name in ODD]


def test_a_name_in_noise_is_the_noise_and_in_llms_the_column(odd):
    [(source, _)] = sources_for(odd, noise=["sn@0.3"])
    assert (source.id, source.kind) == ("sn@0.3", "synthetic")
    [(source, _)] = sources_for(odd, llms=["sn@0.3"])
    assert (source.id, source.kind) == ('"sn@0.3"', "column")
    assert names_twice(odd, ["sn@0.3", "sn@0.2", "plain"]) == [
        "--noise sn@0.3 is not the column of that name in task odd: for the column, use --llms sn@0.3"
    ]


def test_a_column_with_the_name_of_an_ensemble_is_refused_with_both_ways_out(odd):
    with pytest.raises(UsageError, match="is a column of task odd, and an ensemble"):
        sources_for(odd, llms=["vote(plain,gpt4)"])
    [(source, _)] = sources_for(odd, llms=["vote(gpt4,plain)"])
    assert source.rule == "vote"
    [(source, _)] = sources_for(odd, llms=['vote("a,b",plain)'])
    assert (source.id, source.members) == ('vote("a,b",plain)', ("a,b", "plain"))


def test_a_column_with_the_name_of_an_llm_hides_neither(odd, tmp_path):
    for prompting in ("zero", "few"):
        answer_odd(odd, tmp_path / "data", "gpt", prompting)
    find = lambda **asked: sources_for(odd, data_dir=tmp_path / "data", **asked)  # noqa: E731
    for name, other in (("gpt", "gpt with --prompting few"), ("gpt/few", "gpt with --prompting few")):
        with pytest.raises(
            UsageError, match=f"'{name}' is a column of task odd, and the labels of the LLM gpt"
        ) as raised:
            find(llms=[name])
        assert other in str(raised.value)
        [(source, _)] = find(llms=[quoted(name)])
        assert (source.kind, source.members) == ("column", (name,))
    assert ids(find(llms=["gpt"], prompting=["few"])) == ["gpt/few"]
    assert [source.kind for source, _ in find(llms=["gpt"], prompting=["few"])] == ["llm"]
    found = [source for source, _ in find(llms=["all"])]
    assert len({source.id for source in found}) == len(found) == len(ODD) + 2
    assert '"gpt/few"' in [source.id for source in found if source.kind == "column"]


def answer_odd(task, data_dir, labeller, prompting):
    folder = data_dir / "llm_labels" / labeller / prompting / task.info.name
    folder.mkdir(parents=True)
    for split in SPLITS:
        with (folder / f"{split}.csv").open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(("true_label", "original_sent", "noisy_label"))
            out.writerows((0, text, 1) for text in task.texts(split).texts)


def test_an_ensemble_of_columns_of_another_task_is_a_visible_skip(task):
    [(source, why)] = sources_for(task, llms=["vote(one,two)"], also_known=["one", "two"])
    assert (source.id, why) == ("vote(one,two)", "task toy has no column 'one'")
