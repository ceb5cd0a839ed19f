"""What methods share: the same labels for all, keys that name every input, runs that reuse changes by no bit."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch.nn.functional as F
from scipy.stats import chisquare

from bench.core.errors import Skip
from bench.core.texts import Texts
from bench.training.encoders import load_encoder
from bench.training.stages import StageStore, stage_hash
from bench.training.tools import Tools
from methods import confident, registry, shared, stages
from methods.human import GOLD_RUN
from methods.runs import run_key
from tests.conftest import records
from tests.methods.toy import toy_task, toy_tools


@pytest.fixture(scope="module")
def task():
    return toy_task(sizes=(60, 20, 30))[0]


def tools_with(store, **changes):
    tools = toy_tools(epochs=2, batch_size=20, **changes)
    return dataclasses.replace(tools, stages=store)


def assert_same(a, b):
    np.testing.assert_array_equal(a.running, b.running)
    for part in ("probabilities", "final_logits", "features"):
        one, two = getattr(a, part), getattr(b, part)
        assert one.keys() == two.keys()
        for split in one:
            np.testing.assert_array_equal(one[split], two[split])


def test_answers_stay_and_refusals_become_one_uniform_draw_that_all_methods_share():
    n = 9000
    given = np.where(np.arange(n) % 3 == 0, -1, np.arange(n) % 4)
    task = SimpleNamespace(train_labels=given, valid_labels=given, num_classes=4)
    filled = shared.labels(task, toy_tools())
    refused = given < 0
    np.testing.assert_array_equal(filled.train[~refused], given[~refused])
    assert chisquare(np.bincount(filled.train[refused], minlength=4)).pvalue > 0.001
    assert filled.train.dtype == np.int64
    assert not np.array_equal(filled.train, filled.valid)  # each split draws its own
    np.testing.assert_array_equal(shared.labels(task, toy_tools()).train, filled.train)
    assert not np.array_equal(shared.labels(task, toy_tools(seed=2)).train, filled.train)
    assert (given[refused] == -1).all()  # the task itself is left alone


def test_a_frozen_encoder_gives_scaled_sentence_embeddings(task):
    tools = toy_tools()
    vectors = shared.embeddings(task, tools)
    inputs = shared.inputs(task, tools)
    for split in shared.SPLITS:
        assert len(inputs[split]) == len(getattr(task, split))
        scaled = vectors[split] * np.sqrt(vectors[split].shape[1])
        np.testing.assert_allclose(inputs[split].batch(np.arange(5))["features"], scaled[:5], rtol=1e-6)


def test_a_fine_tuned_encoder_gives_the_tokenizers_ids(tiny_bert, task):
    encoder = load_encoder(str(tiny_bert), max_length=16)
    tools = Tools(encoder, encoder, toy_tools().recipe, StageStore(None), 1, ("toy",))
    inputs = shared.inputs(task, tools)["test"]
    expected = encoder.tokenizer(list(task.test.texts), truncation=True, max_length=16, padding=True)
    batch = inputs.batch(np.arange(len(task.test)))
    np.testing.assert_array_equal(batch["input_ids"], expected["input_ids"])
    np.testing.assert_array_equal(batch["attention_mask"], expected["attention_mask"])


def test_embeddings_of_neighbours_are_the_sentence_encoders_and_inputs_are_the_encoders(task):
    tools = toy_tools()
    other = dataclasses.replace(tools.encoder, revision="other")
    other.embed = lambda texts: np.ones((len(texts), 3), np.float32)
    tools = dataclasses.replace(tools, sentence_encoder=other)
    assert shared.embeddings(task, tools)["test"].shape == (30, 3)
    assert shared.inputs(task, tools)["test"].features.shape[1] != 3


def variations():
    """Everything that a training run depends on, changed one at a time: name -> (task, tools, targets, settings)."""
    task = toy_task(sizes=(20, 8, 8))[0]
    targets, settings = task.train_labels, {"branches": 3}
    found = {"as it is": (task, toy_tools(), targets, settings)}
    for split in shared.SPLITS:
        texts = getattr(task, split)
        other = Texts(texts.ids, (*texts.texts[:-1], texts.texts[-1] + " "))
        found[f"{split} text"] = (dataclasses.replace(task, **{split: other}), toy_tools(), targets, settings)
    names = (*task.label_names, "one more")
    found["classes"] = (dataclasses.replace(task, label_names=names), toy_tools(), targets, settings)
    found["labels"] = (task, toy_tools(), (targets + 1) % 3, settings)
    found["seed"] = (task, toy_tools(seed=2), targets, settings)
    found["settings"] = (task, toy_tools(), targets, {"branches": 4})
    found["axes"] = (task, dataclasses.replace(toy_tools(), axes=("other",)), targets, settings)
    base = toy_tools()
    changed = {"revision": "9", "mode": "fine-tuned", "pooling": "cls", "max_length": 64}
    for name, value in changed.items():
        encoder = dataclasses.replace(base.encoder, **{name: value})
        found[f"encoder {name}"] = (task, dataclasses.replace(base, encoder=encoder), targets, settings)
    values = {"pooling": "cls", "precision": "bf16"}
    for field in dataclasses.fields(base.recipe):
        now = getattr(base.recipe, field.name)
        value = values.get(field.name, now + 1 if isinstance(now, int) else None)
        if value is None:
            value = now / 2 or 0.5
        recipe = dataclasses.replace(base.recipe, **{field.name: value})
        found[f"recipe {field.name}"] = (task, dataclasses.replace(base, recipe=recipe), targets, settings)
    return found


def test_every_input_of_a_run_is_in_its_key():
    found = variations()
    hashes = {name: stage_hash("plain run", run_key(*given)) for name, given in found.items()}
    assert len(hashes) == len(set(hashes.values())) > 20
    again = stage_hash("plain run", run_key(*variations()["as it is"]))
    assert again == hashes["as it is"]


def test_the_hash_of_every_stage_is_the_one_that_finished_grids_have():
    """Another hash, and every results folder computes its stages again: bump a version only where numbers change."""
    task, tools = toy_task(sizes=(20, 8, 8))[0], toy_tools(epochs=1)
    for stage in (shared.plain_run, shared.branch_run, shared.out_of_fold, shared.noise_rate):
        stage(task, tools)
    found = {use.name: use.hash[:16] for use in tools.stages.uses}
    tools.stages.begin()
    shared.branch_run(task, tools, branches=2, alpha=0.0, warmup=0.0, shuffle=False, restarts=True)
    found["branches run, released code"] = tools.stages.uses[-1].hash[:16]
    read = {"mode": "fine-tuned", "tokenise": lambda texts: {}, "inputs": lambda arrays: arrays}
    tools.encoder = SimpleNamespace(revision="0", max_length=128, top=None, **read)
    tools.stages.begin()
    shared.inputs(task, tools)
    found["tokens"] = tools.stages.uses[0].hash[:16]
    assert found == {
        "embeddings": "d7d897a5bf3d5d6f",
        "plain run": "6c520f32ffb31fd4",
        "branches run": "383088dcc90a444b",
        "branches run, released code": "be78fd10274e2ec1",
        "out of fold": "38470c1c3208da61",
        "noise rate": "290460e33f90b6b4",
        "tokens": "6f02c2f7522cfa59",
    }


def test_who_raises_the_version_of_a_stage_raises_those_of_its_methods_too():
    """A record knows the version of its method alone: without that, what the old stage gave would count as done."""
    built_in = registry.available().items()
    found = {name: (cls.version, *(stage.version for stage in cls.stages)) for name, cls in built_in if cls.stages}
    assert found == {
        "cleanlab": (1, 3), "co-teaching": (2, 2), "cr": (1, 2), "dygen": (2, 2, 2), "jocor": (2, 2), "npc": (3, 2),
        "oracle": (1, 2), "plain": (1, 2), "second-opinion": (2, 3), "sidyp": (3, 2, 2),
    }  # fmt: skip


@pytest.mark.parametrize("runner", [shared.plain_run, shared.branch_run])
def test_a_run_is_the_same_bit_by_bit_with_and_without_the_store(runner, task, tmp_path):
    without = runner(task, tools_with(StageStore(None)))
    first_tools, second_tools = (tools_with(StageStore(tmp_path)) for _ in range(2))
    first, second = runner(task, first_tools), runner(task, second_tools)
    assert_same(without, first)
    assert_same(first, second)
    run_uses = [use for use in second_tools.stages.uses if use.name.endswith(" run")]
    assert [use.reused for use in run_uses] == [True]
    assert second_tools.trainer.parameters == first_tools.trainer.parameters > 0


def test_the_plain_run_is_cross_entropy_on_the_noisy_labels(task):
    tools = toy_tools(epochs=2, batch_size=20)
    found = shared.plain_run(task, tools)
    (network,) = tools.trainer.classifiers(1, task.num_classes, "plain")
    inputs = shared.inputs(task, tools)
    epochs = list(
        tools.trainer.fit(
            [network],
            inputs,
            lambda outputs, batch: F.cross_entropy(outputs[0].logits, batch.targets["label"], reduction="none"),
            targets={"label": shared.labels(task, tools).train},
            name="plain",
        )
    )
    for number, epoch in enumerate(epochs):
        for split in ("valid", "test"):
            np.testing.assert_array_equal(found.probabilities[split][number], epoch.probabilities(split))
        np.testing.assert_array_equal(found.running[number], epoch.running)
    for split in shared.SPLITS:
        logits, features = tools.trainer.predict([network], inputs[split], features=True)
        np.testing.assert_array_equal(found.final_logits[split], logits)
        np.testing.assert_array_equal(found.features[split][:, 0], features.astype(np.float16))
    np.testing.assert_array_equal(found.final("test"), found.probabilities["test"][-1])


def test_the_plain_run_may_be_given_other_labels(task):
    other = (task.train_labels + 1) % 3
    given = shared.plain_run(task, toy_tools(epochs=1), other)
    assert_same(given, shared.plain_run(dataclasses.replace(task, train_labels=other), toy_tools(epochs=1)))
    noisy = shared.plain_run(task, toy_tools(epochs=1))
    assert not np.array_equal(given.probabilities["test"], noisy.probabilities["test"])


def test_predictions_are_the_mean_over_networks_after_each_epoch(task):
    run = shared.branch_run(task, toy_tools(epochs=3), branches=2)
    steps = list(run.predictions())
    assert [step.step for step in steps] == [1, 2, 3]
    for number, step in enumerate(steps):
        np.testing.assert_allclose(step.test, sum(run.probabilities["test"][number]) / 2, atol=1e-7)
        np.testing.assert_allclose(step.valid, sum(run.probabilities["valid"][number]) / 2, atol=1e-7)
        np.testing.assert_array_equal(step.train, run.running[number])


def test_the_branch_run_keeps_the_features_of_every_epoch_of_every_branch(task):
    run = shared.branch_run(task, toy_tools(epochs=3), branches=2)
    for split in shared.SPLITS:
        n = len(getattr(task, split))
        assert run.features[split].shape[:3] == (2, 3, n)
        assert run.features[split].dtype == np.float16
        assert run.final_logits[split].shape == (2, n, 3)
        assert not np.array_equal(run.features[split][:, 0], run.features[split][:, 2])  # dynamics, not copies
    np.testing.assert_array_equal(run.final("test"), run.probabilities["test"][-1])


def test_branches_are_not_held_together_before_the_warm_up_is_over(task):
    apart, warming, together = (
        shared.branch_run(task, toy_tools(epochs=4, batch_size=10), alpha=alpha, warmup=warmup)
        for alpha, warmup in ((0.0, 0.1), (100.0, 1.0), (100.0, 0.0))
    )
    assert_same(apart, warming)
    spread = lambda run: run.probabilities["test"][-1].std(0).mean()  # noqa: E731
    assert spread(together) < 0.8 * spread(apart)


def test_out_of_fold_probabilities_are_of_the_asked_splits_in_order(task, tmp_path):
    tools = tools_with(StageStore(tmp_path))
    both = shared.out_of_fold(task, tools, which=("train", "valid"))
    assert both.shape == (80, 3)
    np.testing.assert_allclose(both.sum(1), 1, atol=1e-9)
    vectors, labels = shared.embeddings(task, tools), shared.labels(task, tools)
    expected = confident.out_of_fold_logistic(
        np.concatenate([vectors["train"], vectors["valid"]]),
        np.concatenate([labels.train, labels.valid]),
        3,
        tools.generator("folds"),
        folds=5,
    )
    np.testing.assert_array_equal(both, expected)
    np.testing.assert_array_equal(shared.out_of_fold(task, tools, which=("train", "valid")), both)
    assert shared.out_of_fold(task, tools).shape == (60, 3)


def test_a_given_noise_rate_is_taken_as_it_is(task):
    assert shared.noise_rate(task, toy_tools(), "0.3") == 0.3
    assert shared.noise_rate(task, toy_tools(), "0") == 0.0


@pytest.mark.parametrize("truth", [0.0, 0.3, 0.9])
def test_the_true_rate_is_used_as_it_is_where_the_harness_lends_it(task, truth):
    tools = toy_tools()
    tools.oracle_noise_rate = truth
    assert shared.noise_rate(task, tools, "oracle") == truth


def test_without_a_true_rate_the_ablation_is_skipped_with_the_way_out(task):
    with pytest.raises(Skip, match="use tau=estimated"):
        shared.noise_rate(task, toy_tools(), "oracle")


@pytest.mark.parametrize("rate", [0.2, 0.3])
def test_the_estimated_rate_is_near_a_planted_one(rate):
    task, _, gold = toy_task(sizes=(1500, 20, 20), rate=rate, spread=0.25)
    true = (task.train_labels != gold).mean()
    assert abs(shared.noise_rate(task, toy_tools()) - true) < 0.05


STAGED = """
import numpy as np

from methods.base import Method, Predictions, config
from methods.registry import register
from methods.stages import Stage

PRIOR = Stage("my prior", 1)


@register
class Staged(Method):
    name = "staged"
    stages = (PRIOR,)

    @config
    class Config:
        pass

    def run(self, task, tools):
        prior = PRIOR.get(tools.stages, {"task": task.name}, lambda: {"prior": np.array([0.25])})["prior"]
        rows = [np.full((len(each), task.num_classes), 1 / task.num_classes, "f4") for each in (task.valid, task.test)]
        yield Predictions(1, *rows, diagnostics={"prior": float(prior[0])})
"""


def test_a_stage_of_a_users_file_is_another_one_when_the_file_is_edited(bench, reviews, tiny_bert):
    words = ["run", "--methods", "./staged.py", "--tasks", reviews.name, "--llms", "ann", "--seeds", "1"]
    words += ["--encoder", f"{tiny_bert}:frozen"]
    for value in ("0.25", "0.75"):
        (reviews.parent / "staged.py").write_text(STAGED.replace("0.25", value), encoding="utf-8")
        assert bench(*words).exit_code == 0
        assert bench(*words, "--force").exit_code == 0
    found = sorted((record.diagnostics["prior"], record.stages[-1].reused) for record in records())
    assert found == [(0.25, True), (0.75, True)]


def test_a_stage_of_this_package_is_known_by_its_version_alone():
    """So that what committed records and stores name stays the same."""
    for stage in (*(each for each in vars(stages).values() if isinstance(each, stages.Stage)), GOLD_RUN):
        assert stage.full_key({"texts": "abc"}) == {"texts": "abc", "version": stage.version}
