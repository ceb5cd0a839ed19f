"""Noisy labels as they are drawn, narrowed to what a label set covers, combined, and described against gold."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import UsageError
from bench.data.load import load_task
from bench.data.task import Gold, TaskData, restrict
from bench.noise.draw import covered, draw, identity
from bench.noise.facts import NoisyLabels, noise_facts
from bench.noise.select import sources_for
from bench.noise.source import NoiseSource, parse_noise
from bench.noise.synthetic.base import SyntheticNoise
from tests.label_set_factory import SIZES, SPLITS, answer, toy_task

pytestmark = pytest.mark.usefixtures("isolated")


@pytest.fixture
def task(tmp_path) -> TaskData:
    return toy_task(tmp_path / "data")


@pytest.fixture(scope="module")
def real() -> Path:
    folder = Path(os.environ.get("BENCH_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no test data: name a folder with trec/ and semeval/ in BENCH_TEST_DATA")
    return folder


def embeddings(task: TaskData):
    return lambda: {s: np.random.default_rng(1).standard_normal((len(task.texts(s)), 8)) for s in SPLITS}


# drawing


class Writing(SyntheticNoise):
    """Writes the wrong labels into what it is handed, the natural way."""

    name = "writing"

    def flip(self, gold, num_classes, rate, generator):
        gold[generator.random(len(gold)) < rate] = 0
        return gold


class WritingTwo(Writing):
    """The same in `draw`."""

    def draw(self, gold, num_classes, rate, rng, embeddings=None):
        for split, labels in gold.items():
            self.flip(labels, num_classes, rate, rng(split))
        return gold, {}


@pytest.mark.parametrize("kind", [Writing, WritingTwo])
def test_a_noise_may_write_into_the_gold_that_it_is_handed(task, kind):
    before = {split: task.gold.of(split).copy() for split in SPLITS}
    labels = draw(NoiseSource("writing@0.9", "synthetic", rate=0.9, noise=kind), task, 1)
    assert all(np.array_equal(before[split], task.gold.of(split)) for split in SPLITS)
    assert (labels.train == 0).mean() > (task.gold.train == 0).mean()


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"n": 1, "rate": np.float32(0.5)}, r"'rate' = np.float32\(0.5\) \(numpy.float32\) cannot .* value.item\(\)"),
        (None, "NoneType, expected a mapping"),
    ],
)
def test_facts_of_a_noise_that_a_record_cannot_hold_are_refused_with_its_name(task, monkeypatch, facts, said):
    monkeypatch.setattr(Writing, "draw", lambda self, gold, *_: (gold, facts))
    with pytest.raises(UsageError, match=f"noise 'writing', facts of the draw: {said}"):
        draw(NoiseSource("writing@0.3", "synthetic", rate=0.3, noise=Writing), task, 1)


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


def test_splits_sources_and_tasks_draw_independently(task):
    flips = {}
    for name, subject in (
        ("asn@0.5", task),
        ("asn@0.50001", task),
        ("asn@0.5", replace(task, info=replace(task.info, name="b"))),
    ):
        labels = draw(parse_noise(name), subject, 1)
        for split in ("train", "valid"):
            flips[name, subject.info.name, split] = tuple((getattr(labels, split) != task.gold.of(split))[:20])
    assert len(flips) == len(set(flips.values())) == 6


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
    [(source, _)] = sources_for(task, llms=["gpt"], data_dir=tmp_path)
    first, second = draw(source, task, 1), draw(source, task, 2)
    assert first.fingerprint == second.fingerprint
    assert (first.train[6::7] == -1).all()
    expected = (task.gold.test + (np.arange(30) % 4 == 0)) % 3
    asked = np.arange(30) % 7 != 6
    assert np.array_equal(first.test[asked], expected[asked])


def test_labels_follow_their_texts_under_a_limit(task, tmp_path):
    answer(task, tmp_path, "gpt", 4)
    [(source, _)] = sources_for(task, llms=["gpt"], data_dir=tmp_path)
    small = load_task(str(tmp_path / "data" / "toy"), limit=12)
    whole, part = draw(source, task, 1), draw(source, covered(source, small), 1)
    assert np.array_equal(part.train, whole.train[small.rows["train"]])
    assert np.array_equal(part.test, whole.test[small.rows["test"]])


# label sets that cover a part


def test_a_partial_set_narrows_the_task_and_the_limit_counts_covered_texts(task, tmp_path):
    some = {"train": np.arange(0, 60, 2), "valid": np.arange(10), "test": np.arange(5, 30)}
    answer(task, tmp_path, "gpt", 4, rows=some)
    [(source, _)] = sources_for(task, llms=["gpt"], data_dir=tmp_path)
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
    [(source, _)] = sources_for(task, llms=["gpt"], data_dir=tmp_path)
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
    [(source, _)] = sources_for(task, llms=["vote(z, x ,y)"], data_dir=tmp_path)
    assert (source.id, source.kind, source.prompting) == ("vote(x,y,z)/zero", "llm", "zero")
    labels = draw(source, task, 1)
    for i in range(60):
        wrong = [i % flip == 0 for flip in (2, 3, 5)]
        expected = -1 if i % 7 == 6 else (task.gold.train[i] + (sum(wrong) >= 2)) % 3
        assert labels.train[i] == expected
    assert labels.fingerprint == draw(source, task, 1).fingerprint


def test_dawid_skene_trusts_the_better_labeller(task, tmp_path):
    pytest.importorskip("crowdkit")
    for labeller, flip in (("x", 30), ("y", 31), ("z", 2)):
        answer(task, tmp_path, labeller, flip)
    [(source, _)] = sources_for(task, llms=["dawid-skene(x,y,z)"], data_dir=tmp_path)
    labels = draw(source, task, 1)
    facts = noise_facts(labels, task.gold, 3)
    single = noise_facts(draw(sources_for(task, llms=["z"], data_dir=tmp_path)[0].source, task, 1), task.gold, 3)
    assert facts.rate_train < 0.05 < single.rate_train
    assert (labels.train[6::7] == -1).all(), "no labeller answered these"


def test_crowdlab_weighs_the_answers_against_the_texts(task):
    rng = np.random.default_rng(0)
    embeddings = {s: np.eye(3)[task.gold.of(s)] + rng.normal(0, 0.2, (len(task.texts(s)), 3)) for s in SPLITS}

    def labeller() -> dict[str, np.ndarray]:
        """Right in six of ten texts, silent in one of ten."""
        found = {}
        for split in SPLITS:
            gold = task.gold.of(split)
            labels = np.where(rng.random(len(gold)) < 0.6, gold, rng.integers(3, size=len(gold)))
            found[split] = np.where(rng.random(len(gold)) < 0.1, -1, labels)
        return found

    several = replace(task, columns={name: labeller() for name in "xyz"})
    labels, vote = (
        draw(sources_for(several, llms=[f"{rule}(x,y,z)"])[0].source, several, 1, lambda: embeddings)
        for rule in ("crowdlab", "vote")
    )
    answered = labels.train >= 0
    np.testing.assert_array_equal(answered, vote.train >= 0)
    gained = {
        split: (getattr(labels, split) == task.gold.of(split)).mean()
        - (getattr(vote, split) == task.gold.of(split)).mean()
        for split in SPLITS
    }
    assert min(gained.values()) > 0.05
    [(source, _)] = sources_for(several, llms=["crowdlab(x,y,z)"])
    again = draw(source, replace(several, gold=Gold(None, None, None)), 1, lambda: embeddings)
    assert again.fingerprint == labels.fingerprint, "gold is not looked at"
    with pytest.raises(UsageError, match="needs sentence embeddings"):
        draw(source, several, 1)


def test_crowdlab_of_answers_that_never_meet_keeps_them(task, tmp_path):
    whole = {split: np.where(np.arange(len(task.texts(split))) % 2, 0, -1) for split in SPLITS}
    other = {split: np.where(values < 0, 1, -1) for split, values in whole.items()}
    two = replace(task, columns={"one": whole, "two": other})
    [(source, _)] = sources_for(two, llms=["crowdlab(one,two)"])
    labels = draw(source, two, 1, lambda: {split: np.zeros((len(two.texts(split)), 2)) for split in SPLITS})
    assert labels.train.tolist() == [1, 0] * 30


def test_what_is_embedded_later_has_its_identity_before(task, tmp_path):
    for labeller, flip in (("x", 2), ("y", 3)):
        answer(task, tmp_path, labeller, flip)
    [(source, _)] = sources_for(task, llms=["crowdlab(x,y)"], data_dir=tmp_path)
    before = identity(source, task, 1)
    assert before == identity(source, task, 2), "folds and ties are those of the seed, which a key names"
    shutil.rmtree(tmp_path / "llm_labels" / "y")
    answer(task, tmp_path, "y", 4)
    [(source, _)] = sources_for(task, llms=["crowdlab(x,y)"], data_dir=tmp_path)
    assert identity(source, task, 1) != before


# facts


def test_facts_equal_a_slow_count(task, tmp_path):
    answer(task, tmp_path, "gpt", 4)
    [(source, _)] = sources_for(task, llms=["gpt"], data_dir=tmp_path)
    labels = draw(source, task, 1)
    facts = noise_facts(labels, task.gold, 3)
    pairs = [(int(g), int(y)) for g, y in zip(task.gold.train, labels.train, strict=True) if y >= 0]
    assert facts.rate_train == pytest.approx(sum(g != y for g, y in pairs) / len(pairs))
    assert facts.no_answer_train == pytest.approx((60 - len(pairs)) / 60)
    assert facts.confusion_train == [[pairs.count((g, y)) for y in range(3)] for g in range(3)]
    right = sum(int(g == y) for g, y in zip(task.gold.test, labels.test, strict=True))
    assert facts.labeller_test_accuracy == pytest.approx(right / 30), "no answer counts as wrong"
    assert (facts.kind, facts.labeller, facts.prompting) == ("llm", "gpt", "zero")


def test_the_noise_trained_on_counts_answers_and_draws_alike(task):
    rng = np.random.default_rng(0)
    answers = np.where(rng.random(60) < 0.8, -1, (task.gold.train + 1) % 3)
    drawn = rng.integers(0, 3, 60)
    filled = np.where(answers < 0, drawn, answers)
    labels = NoisyLabels(answers, np.zeros(20, int), np.full(30, -1), NoiseSource("gpt", "column", "gpt"))
    facts = noise_facts(labels, task.gold, 3, filled)
    wrong = sum(int(label != gold) for label, gold in zip(filled, task.gold.train, strict=True))
    assert facts.rate_trained == pytest.approx(wrong / 60)
    assert facts.rate_train == 1.0, "every answer is wrong"
    assert facts.labeller_test_accuracy is None, "without any answer in test there is nothing to score"
    assert facts.labeller_test_no_answer == 1
    assert noise_facts(labels, Gold(None, None, None), 3, filled).rate_trained is None


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
    [(mixtral, _)] = sources_for(semeval, llms=["mixtral"], data_dir=real)
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
