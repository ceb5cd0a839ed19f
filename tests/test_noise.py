"""Noise sources: which there are for a task, what they draw, and how the labels are described."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.errors import Skip, UsageError
from bench.noise import NoiseSource, covered, draw, labellers, noise_facts, parse_noise, sources_for
from bench.sources import Gold, TaskData, load_task, restrict
from llm_labels.labelsets import Card, SplitCounts, SplitLabels, write_label_set

SPLITS = ("train", "valid", "test")
SIZES = {"train": 60, "valid": 20, "test": 30}


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    """Only the label sets that a test writes; no network."""
    monkeypatch.setattr("llm_labels.labelsets.SETS", tmp_path / "no-sets")
    monkeypatch.setattr("bench.label_sources.PUBLISHED", {})


@pytest.fixture(scope="module")
def real() -> Path:
    folder = Path(os.environ.get("BENCH_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no test data: name a folder with trec/ and semeval/ in BENCH_TEST_DATA")
    return folder


@pytest.fixture
def task(tmp_path) -> TaskData:
    """A WRENCH task of three classes and four labelling functions."""
    folder = tmp_path / "data" / "toy"
    folder.mkdir(parents=True)
    (folder / "label.json").write_text('{"0": "a", "1": "b", "2": "c"}')
    rng = np.random.default_rng(0)
    for split, n in SIZES.items():
        rows = {
            str(i): {
                "label": i % 3,
                "weak_labels": rng.integers(-1, 3, 4).tolist(),
                "data": {"text": f"{split} text {i}"},
            }
            for i in range(n)
        }
        (folder / f"{split}.json").write_text(json.dumps(rows))
    return load_task(str(folder))


def embeddings(task: TaskData):
    return lambda: {s: np.random.default_rng(1).standard_normal((len(task.texts(s)), 8)) for s in SPLITS}


def answer(task: TaskData, data_dir: Path, labeller: str, flip: int, prompting: str = "zero", rows=None) -> Path:
    """Write a label set that is wrong on every `flip`-th text and silent on every seventh."""
    folder = data_dir / "llm_labels" / labeller / prompting / task.info.name
    parts, counts = {}, {}
    for split in SPLITS if rows is None else rows:
        total = len(task.texts(split))
        asked = np.arange(total) if rows is None else np.asarray(rows[split])
        labels = np.where(asked % flip == 0, (task.gold.of(split)[asked] + 1) % 3, task.gold.of(split)[asked])
        labels = np.where(asked % 7 == 6, -1, labels)
        parts[split] = SplitLabels(asked, labels)
        answered = int((labels >= 0).sum())
        print_ = task.full_fingerprint[split]
        counts[split] = SplitCounts(total=total, asked=len(asked), answered=answered, fingerprint=print_)
    card = Card(
        labeller=labeller,
        revision="1",
        prompting=prompting,
        task=task.info.name,
        label_names=list(task.label_names),
        prompt_hash="0",
        decoding={},
        date="2025-01-01",
        splits=counts,
    )
    write_label_set(folder, card, parts)
    return folder


def ids(selections) -> list[str]:
    return [f"skipped {entry[0].id}" if isinstance(entry, tuple) else entry.id for entry in selections]


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
    [source] = sources_for(task, llms=["mix"], data_dir=tmp_path)
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
    assert "made from gold labels, and task toy has none" in reasons[0]
    assert "has no weak votes" in reasons[1]
    [(_, why)] = sources_for(bare)
    assert "there is no label set for task toy" in why
    with pytest.raises(Skip, match="made from gold labels"):
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
    [source] = sources_for(task, noise=["two"])
    assert (source.kind, source.labeller) == ("column", "two")
    labels = draw(source, task, 1)
    assert all(np.array_equal(getattr(labels, s), task.columns["two"][s]) for s in SPLITS)
    [both] = sources_for(task, llms=["vote(two,one)"])
    assert (both.id, both.kind) == ("vote(one,two)", "column")


def test_columns_of_another_task_are_skipped_here(task, tmp_path):
    [(source, why)] = sources_for(task, llms=["my_llm"], also_known=["my_llm"], data_dir=tmp_path)
    assert source.kind == "column"
    assert why == "task toy has no column 'my_llm'"


# drawing


@pytest.mark.parametrize("name", ["weak", "sn@0.3", "asn@0.3", "idn@0.3"])
def test_draws_are_named_by_seed_and_leave_gold_and_test_alone(task, name):
    source = parse_noise(name)
    before = {split: task.gold.of(split).copy() for split in SPLITS}
    first, again, other = (draw(source, task, seed, embeddings(task)) for seed in (1, 1, 2))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.test is None
    assert all(np.array_equal(before[split], task.gold.of(split)) for split in SPLITS)


@pytest.mark.parametrize("name", ["weak", "sn@0.3", "asn@0.3"])
def test_one_splits_draw_never_shifts_anothers(task, name):
    fewer = restrict(task, {"train": np.arange(10)})
    whole, part = draw(parse_noise(name), task, 1), draw(parse_noise(name), fewer, 1)
    assert np.array_equal(whole.valid, part.valid)


def test_marked_and_bare_texts_see_the_same_noise(task):
    renamed = replace(task, name="toy[mark_entities=true]")
    assert draw(parse_noise("sn@0.3"), task, 1).fingerprint == draw(parse_noise("sn@0.3"), renamed, 1).fingerprint


def test_embeddings_are_asked_for_by_idn_alone(task):
    def refuse():
        raise AssertionError("not needed")

    draw(parse_noise("sn@0.3"), task, 1, refuse)
    with pytest.raises(AssertionError, match="not needed"):
        draw(parse_noise("idn@0.3"), task, 1, refuse)
    with pytest.raises(UsageError, match="needs sentence embeddings"):
        draw(parse_noise("idn@0.3"), task, 1)


def test_an_llms_labels_do_not_depend_on_the_seed_and_keep_no_answer(task, tmp_path):
    answer(task, tmp_path, "gpt", 4)
    [source] = sources_for(task, llms=["gpt"], data_dir=tmp_path)
    first, second = draw(source, task, 1), draw(source, task, 2)
    assert first.fingerprint == second.fingerprint
    assert (first.train[6::7] == -1).all()
    expected = (task.gold.test + (np.arange(30) % 4 == 0)) % 3
    asked = np.arange(30) % 7 != 6
    assert np.array_equal(first.test[asked], expected[asked])


def test_labels_follow_their_texts_under_a_limit(task, tmp_path):
    answer(task, tmp_path, "gpt", 4)
    [source] = sources_for(task, llms=["gpt"], data_dir=tmp_path)
    small = load_task(str(tmp_path / "data" / "toy"), limit=12)
    whole, part = draw(source, task, 1), draw(source, covered(source, small), 1)
    assert np.array_equal(part.train, whole.train[small.rows["train"]])
    assert np.array_equal(part.test, whole.test[small.rows["test"]])


# label sets that cover a part


def test_a_partial_set_narrows_the_task_and_the_limit_counts_covered_texts(task, tmp_path):
    some = {"train": np.arange(0, 60, 2), "valid": np.arange(10), "test": np.arange(5, 30)}
    answer(task, tmp_path, "gpt", 4, rows=some)
    [source] = sources_for(task, llms=["gpt"], data_dir=tmp_path)
    narrowed = covered(source, task)
    assert narrowed.rows["train"].tolist() == some["train"].tolist()
    assert len(narrowed.test) == 25
    assert len(draw(source, narrowed, 1).train) == 30
    with pytest.raises(UsageError, match="does not cover all train texts of task toy: use `covered` first"):
        draw(source, task, 1)
    limited = covered(source, load_task(str(tmp_path / "data" / "toy"), limit=15))
    assert [len(limited.texts(split)) for split in SPLITS] == [15, 10, 15]
    assert np.isin(limited.rows["train"], some["train"]).all()
    assert len(draw(source, limited, 1).train) == 15


def test_a_set_without_test_labels_leaves_test_whole(task, tmp_path):
    answer(task, tmp_path, "gpt", 4, rows={"train": np.arange(60), "valid": np.arange(20)})
    [source] = sources_for(task, llms=["gpt"], data_dir=tmp_path)
    assert covered(source, task) is task
    labels = draw(source, task, 1)
    assert labels.test is None
    assert noise_facts(labels, task.gold, 3).labeller_test_accuracy is None


def test_a_set_without_valid_labels_is_skipped(task, tmp_path):
    answer(task, tmp_path, "gpt", 4, rows={"train": np.arange(60)})
    [(_, why)] = sources_for(task, llms=["gpt"], data_dir=tmp_path)
    assert "gpt/zero has no valid labels for task toy" in why


# ensembles


def test_a_vote_of_labellers_is_their_majority(task, tmp_path):
    for labeller, flip in (("x", 2), ("y", 3), ("z", 5)):
        answer(task, tmp_path, labeller, flip)
    [source] = sources_for(task, llms=["vote(z, x ,y)"], data_dir=tmp_path)
    assert (source.id, source.kind, source.prompting) == ("vote(x,y,z)/zero", "llm", "zero")
    labels = draw(source, task, 1)
    for i in range(60):
        wrong = [i % flip == 0 for flip in (2, 3, 5)]
        expected = -1 if i % 7 == 6 else (task.gold.train[i] + (sum(wrong) >= 2)) % 3
        assert labels.train[i] == expected
    assert labels.fingerprint == draw(source, task, 1).fingerprint


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


def test_dawid_skene_trusts_the_better_labeller(task, tmp_path):
    pytest.importorskip("crowdkit")
    for labeller, flip in (("x", 30), ("y", 31), ("z", 2)):
        answer(task, tmp_path, labeller, flip)
    [source] = sources_for(task, llms=["dawid-skene(x,y,z)"], data_dir=tmp_path)
    labels = draw(source, task, 1)
    facts = noise_facts(labels, task.gold, 3)
    single = noise_facts(draw(sources_for(task, llms=["z"], data_dir=tmp_path)[0], task, 1), task.gold, 3)
    assert facts.rate_train < 0.05 < single.rate_train
    assert (labels.train[6::7] == -1).all(), "nobody answered these"


# facts


def test_facts_equal_a_slow_count(task, tmp_path):
    answer(task, tmp_path, "gpt", 4)
    [source] = sources_for(task, llms=["gpt"], data_dir=tmp_path)
    labels = draw(source, task, 1)
    facts = noise_facts(labels, task.gold, 3)
    pairs = [(int(g), int(y)) for g, y in zip(task.gold.train, labels.train, strict=True) if y >= 0]
    assert facts.rate_train == pytest.approx(sum(g != y for g, y in pairs) / len(pairs))
    assert facts.no_answer_train == pytest.approx((60 - len(pairs)) / 60)
    assert facts.confusion_train == [[pairs.count((g, y)) for y in range(3)] for g in range(3)]
    right = sum(int(g == y) for g, y in zip(task.gold.test, labels.test, strict=True))
    assert facts.labeller_test_accuracy == pytest.approx(right / 30), "no answer counts as wrong"
    assert (facts.kind, facts.labeller, facts.prompting) == ("llm", "gpt", "zero")


def test_facts_without_gold_or_answers_are_none(task):
    silent = draw(
        parse_noise("weak"),
        replace(task, votes={s: np.full((n, 2), -1) for s, n in SIZES.items()}),
        1,
        uncovered="drop",
    )
    facts = noise_facts(silent, task.gold, 3)
    assert facts.rate_train is None
    assert facts.no_answer_train == 1
    labels = draw(NoiseSource("weak", "weak"), task, 1)
    facts = noise_facts(labels, Gold(None, None, None), 3)
    assert facts.rate_train is facts.confusion_train is facts.labeller_test_accuracy is None
    with pytest.raises(UsageError, match="unknown value of uncovered 'none'"):
        draw(parse_noise("weak"), task, 1, uncovered="none")


# the published data


def test_measured_rates_of_the_real_sets(real):
    semeval, trec = (load_task(name, data_dir=real) for name in ("semeval", "trec"))
    [mixtral] = sources_for(semeval, llms=["mixtral"], data_dir=real)
    labels = draw(mixtral, semeval, 1)
    assert mixtral.id == "mixtral-8x22b/few"
    wrong = {split: (getattr(labels, split) != semeval.gold.of(split)).mean() for split in SPLITS}
    assert wrong == pytest.approx({"train": 0.555, "valid": 0.562, "test": 0.592}, abs=0.001)
    assert [(getattr(labels, split) < 0).sum() for split in SPLITS] == [1, 1, 4]
    weak = {t.name: noise_facts(draw(parse_noise("weak"), t, 1), t.gold, len(t.label_names)) for t in (semeval, trec)}
    assert weak["semeval"].rate_train == pytest.approx(0.201, abs=0.015)
    assert weak["trec"].rate_train == pytest.approx(0.48, abs=0.015)
    uncovered = noise_facts(draw(parse_noise("weak"), trec, 1, uncovered="drop"), trec.gold, 6).no_answer_train
    assert uncovered == pytest.approx(0.048, abs=0.001)
