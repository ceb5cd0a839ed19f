"""Making a label set: complete, resumable, within the budget, blind to gold, safe against what an LLM writes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import UsageError
from bench.core.texts import Texts
from bench.data.task import Gold, limit_task
from llm_labels.cache import Answer, AnswerCache
from llm_labels.labellers.local import LocalLabeller
from llm_labels.labellers.openai_server import OpenAILabeller, Prices
from llm_labels.labelsets import read_card, read_label_set
from llm_labels.run import label_task
from llm_labels.sanitise import printable
from tests.llm_labels.tiny import chat_server, prompt_file, reply, text_of, tiny_model, tiny_task

TASK = tiny_task()
SIZES = {"train": 8, "valid": 4, "test": 6}


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")


def local(model_folder, calibration="contextual", **options):
    return LocalLabeller(str(model_folder), name="tiny", precision="float32", calibration=calibration, **options)


def chat(server, **options):
    return OpenAILabeller("moody-8b", base_url=server.address, pause=0.01, **options)


def label(tmp_path, labeller, task=TASK, prompting="few", **options):
    options.setdefault("out", tmp_path / "sets")
    return label_task(
        task,
        labeller,
        prompting=prompting,
        cache_dir=tmp_path / "cache",
        prompt_file=prompt_file(tmp_path, TASK),
        **options,
    )


def files(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")}


def test_every_text_gets_a_label_and_the_set_reads_back(model_folder, tmp_path):
    made = label(tmp_path, local(model_folder))
    assert made.folder == tmp_path / "sets" / "tiny" / "few" / "moods"
    read = read_label_set(made.folder, TASK.label_names, TASK.full_fingerprint, answers=True)
    assert {split: len(part.rows) for split, part in read.items()} == SIZES
    for split, part in read.items():
        np.testing.assert_array_equal(part.labels, made.labels[split].labels)
        np.testing.assert_array_equal(part.labels, made.probabilities[split].argmax(1))
    card = read_card(made.folder)
    assert (card.labeller, card.prompting, card.task, card.calibration) == ("tiny", "few", "moods", "contextual")
    assert card.decoding == {"kind": "scored", "length_normalised": True, "precision": "float32", "version": 2}
    assert card.cost["requests"] == 18 + 3  # and the content-free texts
    assert card.cost["usd"] == 0
    assert made.complete
    with np.load(made.folder / "probabilities.npz") as stored:
        assert stored["test"].shape == (6, 2)


def test_gold_labels_change_nothing(model_folder, tmp_path):
    flipped = replace(TASK, gold=Gold(*(1 - TASK.gold.of(split) for split in SIZES)))
    unknown = replace(TASK, gold=Gold(None, None, None))
    made = [
        files(label(tmp_path / str(i), local(model_folder), task=task).folder)
        for i, task in enumerate((TASK, flipped, unknown))
        if not (tmp_path / str(i)).mkdir()
    ]
    assert made[0] == made[1] == made[2]


def test_an_example_is_asked_about_without_itself(tmp_path):
    with chat_server(lambda text, n: (200, reply("POS"))) as server:
        label(tmp_path, chat(server), splits=("train",))
    seen = {body["messages"][0]["content"].splitlines()[-2]: body["messages"][0]["content"] for body in server.asked}
    for row, text in enumerate(TASK.train.texts):
        assert seen[f"Text: {text}"].count(f"Text: {text}\n") == 1, row
        others = [other for other in (1, 2) if other != row]
        assert all(f"Text: {TASK.train.texts[other]}\n" in seen[f"Text: {text}"] for other in others)


def test_an_interrupted_labelling_goes_on_and_gives_the_same_set(model_folder, tmp_path):
    whole = label(tmp_path, local(model_folder), out=tmp_path / "whole")
    (tmp_path / "again").mkdir()
    seen = []

    def interrupt(progress):
        seen.append(progress)
        if len(seen) == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label(tmp_path / "again", local(model_folder), progress=interrupt)
    assert not (tmp_path / "again" / "sets").exists()
    resumed = label(tmp_path / "again", local(model_folder))
    assert resumed.from_cache == 9
    assert files(resumed.folder) == files(whole.folder)
    assert label(tmp_path / "again", local(model_folder)).from_cache == 21


def test_progress_tells_rate_and_time_left(model_folder, tmp_path):
    seen = []
    label(tmp_path, local(model_folder), progress=seen.append)
    assert [p.split for p in seen] == ["calibration"] * 3 + ["train"] * 8 + ["valid"] * 4 + ["test"] * 6
    assert (seen[-1].done, seen[-1].total, seen[-1].asked, seen[-1].seconds_left) == (6, 6, 21, 0)
    assert seen[10].seconds_left == pytest.approx(10 / seen[10].rate)


SCRIPT = """
import sys
from pathlib import Path
from tests.llm_labels.test_run import chat, label
from types import SimpleNamespace
label(Path(sys.argv[1]), chat(SimpleNamespace(address=sys.argv[2]), concurrency=2))
"""


def test_a_killed_labelling_asks_nothing_twice_that_was_answered(tmp_path):
    with chat_server(lambda text, n: (200, reply("POS"), {}, 0.15)) as server:
        root = Path(__file__).parents[2]
        command = [sys.executable, "-c", SCRIPT, str(tmp_path), server.address]
        process = subprocess.Popen(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
        deadline = time.monotonic() + 60
        while len(server.asked) < 8 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = len(server.asked)
        assert 8 <= before < 18
        made = label(tmp_path, chat(server))
    assert made.complete
    assert made.from_cache >= before - 2
    twice = [text for text, count in server.texts.items() if count > 1]
    assert len(server.texts) == 18
    assert len(twice) <= 2  # those in flight when the process died
    assert max(server.texts.values()) <= 2


def test_a_text_that_comes_twice_is_asked_once(tmp_path):
    texts = Texts(("0", "1", "2"), ("same", "same", "other"))
    task = replace(TASK, test=texts, full_fingerprint={**TASK.full_fingerprint, "test": texts.fingerprint})
    with chat_server(lambda text, n: (200, reply("POS" if text == "same" else "NEG"))) as server:
        made = label(tmp_path, chat(server), task=task, splits=("test",))
    assert server.texts == {"same": 1, "other": 1}
    assert made.labels["test"].labels.tolist() == [1, 1, 0]


def test_the_card_counts_how_the_answers_were_read(tmp_path):
    said = ["<think>POS?</think>NEG", "Label: POS", "<think>POS", "POS or NEG", "POS", '{"label": "NEG"}']
    by_text = dict(zip(TASK.test.texts, said, strict=True))
    with chat_server(lambda text, n: (200, reply(by_text[text]))) as server:
        made = label(tmp_path, chat(server), splits=("test",))
    assert made.labels["test"].labels.tolist() == [0, 1, -1, -1, 1, 0]
    counts = {"alone": 2, "stated": 2, "thought without an end": 1, "several classes": 1}
    assert made.card.readings == read_card(made.folder).readings == counts
    assert made.notes == ("1 answers ended before the model stopped thinking: allow more tokens (--max-tokens)",)


def test_the_label_after_a_long_thought_is_kept(tmp_path):
    with chat_server(lambda text, n: (200, reply(f"<think>{'POS ' * 50_000}</think>NEG"))) as server:
        made = label(tmp_path, chat(server), splits=("test",))
    assert made.labels["test"].labels.tolist() == [0] * 6


def test_the_budget_stops_cleanly_and_counts_what_was_spent_before(tmp_path):
    cent = Prices(50.0, 500.0)  # 100 and 10 tokens: one cent an answer
    with chat_server(lambda text, n: (200, reply("POS"))) as server:
        made = label(tmp_path, chat(server, prices=cent, concurrency=1), budget=0.05)
        assert not made.complete
        assert len(server.asked) == 5
        assert made.card.cost["usd"] == pytest.approx(0.05)
        part = read_label_set(made.folder, TASK.label_names, TASK.full_fingerprint)
        assert {split: len(part[split].rows) for split in part} == {"train": 5, "valid": 0, "test": 0}
        label(tmp_path, chat(server, prices=cent, concurrency=1), budget=0.05)
        assert len(server.asked) == 5
        made = label(tmp_path, chat(server, prices=cent), budget=1.0)
        assert made.complete
        assert len(server.asked) == 18
        assert made.card.cost["usd"] == pytest.approx(0.18)


def test_a_text_that_comes_twice_is_paid_once(tmp_path):
    texts = replace(TASK.train, texts=("rain again",) * 8)
    task = replace(TASK, train=texts, full_fingerprint={**TASK.full_fingerprint, "train": texts.fingerprint})
    with chat_server(lambda text, n: (200, reply("POS"))) as server:
        for split in ("train", "valid"):
            who = chat(server, prices=Prices(100.0, 0.0), concurrency=1)  # a cent per question of 100 tokens
            made = label_task(
                task, who, prompting="zero", splits=(split,), budget=0.05, out=tmp_path / "sets",
                cache_dir=tmp_path / "cache",
            )  # fmt: skip
    assert made.complete
    assert made.card.cost["usd"] == pytest.approx(0.05)


def test_a_limit_takes_the_texts_that_the_benchmark_takes_and_grows(model_folder, tmp_path):
    small = label(tmp_path, local(model_folder), limit=3)
    for split, rows in limit_task(TASK, 3).rows.items():
        np.testing.assert_array_equal(small.labels[split].rows, rows)
    large = label(tmp_path, local(model_folder), limit={"train": 5})
    assert {split: len(part.rows) for split, part in large.labels.items()} == {"train": 5, "valid": 4, "test": 6}
    assert large.from_cache == 9 + 3
    assert set(small.labels["train"].rows) < set(large.labels["train"].rows)


def test_another_decoder_or_calibration_starts_from_the_kept_answers(model_folder, tmp_path):
    with chat_server(lambda text, n: (200, reply("POS or NEG"))) as server:
        strict = label(tmp_path, chat(server))
        official = label(tmp_path, chat(server, decoder="official"))
    assert max(server.texts.values()) == 1
    assert set(strict.labels["test"].labels) == {-1}
    assert set(official.labels["test"].labels) == {1}
    assert official.card.decoding["decoder"] == "official"
    label(tmp_path, local(model_folder))
    assert label(tmp_path, local(model_folder, calibration="none")).from_cache == 18
    automatic = label(tmp_path, local(model_folder, calibration="auto"))
    assert automatic.from_cache == automatic.card.cost["requests"] == 18 + 3  # the content-free and the train texts
    assert automatic.card.calibration in ("contextual", "batch")


def test_a_text_like_an_example_is_asked_without_it(tmp_path):
    twin = TASK.train.texts[1]
    texts = replace(TASK.valid, texts=(twin, *TASK.valid.texts[1:]))
    task = replace(TASK, valid=texts, full_fingerprint={**TASK.full_fingerprint, "valid": texts.fingerprint})
    with chat_server(lambda text, n: (200, reply("POS"))) as server:
        label(tmp_path, chat(server), task=task, splits=("valid",))
    seen = {text_of(body): body["messages"][0]["content"] for body in server.asked}
    assert seen[twin].count(twin) == 1
    assert all(twin in content for text, content in seen.items() if text != twin)


def test_a_prompt_that_does_not_fit_is_refused_before_any_is_scored(model_folder, tmp_path):
    texts = replace(TASK.test, texts=(*TASK.test.texts[:-1], "sun " * 100))
    task = replace(TASK, test=texts, full_fingerprint={**TASK.full_fingerprint, "test": texts.fingerprint})
    labeller = local(model_folder)
    labeller.scorer.max_positions = 400
    label(tmp_path, labeller, prompting="zero")
    longer = local(model_folder)
    longer.scorer.max_positions = 400
    with pytest.raises(UsageError, match=r"does not fit the model \(400 positions\): use a prompt file with a smaller"):
        label(tmp_path, longer, task=task, prompting="zero", out=tmp_path / "other")
    assert longer.usage.requests == 0


def test_scores_that_are_no_numbers_are_no_labels(model_folder, tmp_path):
    labeller = local(model_folder)
    labeller.scorer.model.model.norm.weight.data.fill_(float("nan"))
    with pytest.raises(UsageError, match="model 'tiny' gives scores that are not numbers in float32"):
        label(tmp_path, labeller)
    assert not (tmp_path / "sets").exists()


NASTY = {
    "html": "<script>alert(1)</script>",
    "latex": "\\input{/etc/passwd} $\\infty$ 100 % & _",
    "ansi": "POS\x1b[2J\x1b]0;title\x07",
    "null": "\x00\x00NEG",
    "million": "POS " + "x" * 1_000_000,
    "formula": "=cmd|' /C calc'!A0",
    "lines": "a\r\nb\u2028c\u2029d\x85e\x0bf",
    "quotes": '","\n"POS"',
    "bidi": "\u202eSOP\u200b\ufeff",
}


def test_nothing_that_an_llm_writes_damages_a_file(tmp_path):
    texts = Texts(tuple(map(str, range(len(NASTY)))), tuple(NASTY))
    task = replace(TASK, test=texts, full_fingerprint={**TASK.full_fingerprint, "test": texts.fingerprint})
    with chat_server(lambda text, n: (200, reply(NASTY[text]))) as server:
        made = label(tmp_path, chat(server), task=task, splits=("test",))
    raw = (made.folder / "test.csv").read_bytes()
    assert len(raw) < 20_000
    assert all(byte == 10 or byte >= 32 for byte in raw)
    lines = raw.decode().splitlines()
    assert len(lines) == 1 + len(NASTY)
    rows = list(csv.DictReader(lines))
    assert [row["label"] for row in rows] == ["", "", "positive", "negative", "positive", "", "", "positive", ""]
    assert rows[5]["answer"].startswith("'=")
    assert "\u202e" not in rows[8]["answer"]
    read_label_set(made.folder, TASK.label_names, task.full_fingerprint, answers=True)
    [cache] = (tmp_path / "cache").glob("*.jsonl")
    assert cache.stat().st_size < 200_000
    assert all(json.loads(line)["key"] for line in cache.read_text().splitlines())


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("CE\nbecause", "CE\\nbecause"),
        ("a\x00b\x1b[31m", "a\\x00b\\x1b[31m"),
        ("\u202eabc\U000e0041", "\\u202eabc\\U000e0041"),
        ("=1+1", "'=1+1"),
        ("naïve — 日本語 😀", "naïve — 日本語 😀"),
        ("x" * 600, "x" * 500 + " [...]"),
        ("", ""),
        ("\ud800", "\\ud800"),
    ],
)
def test_printable(answer, shown):
    assert printable(answer) == shown


def test_a_torn_line_of_the_cache_is_asked_again(tmp_path):
    path = tmp_path / "answers.jsonl"
    with AnswerCache(path) as cache:
        cache.put("a", Answer("one"))
        cache.put("b", Answer("two\u2028\ud800\x00"))
    path.write_bytes(path.read_bytes()[:-15])
    with AnswerCache(path) as cache:
        assert cache.damaged == 1
        assert ("a" in cache, "b" in cache) == (True, False)
        cache.put("b", Answer("two"))
    with AnswerCache(path) as cache:
        assert (cache["a"].text, cache["b"].text) == ("one", "two")


@pytest.mark.parametrize("line", ["[]", "null", '"x"', '{"key": "k"}', '{"key": [], "text": ""}', "\x00"])
def test_strange_lines_in_the_cache_are_skipped(tmp_path, line):
    (tmp_path / "a.jsonl").write_text(line + "\n")
    with AnswerCache(tmp_path / "a.jsonl") as cache:
        assert (len(cache), cache.damaged) == (0, 1)


def test_one_writer_at_a_time(tmp_path):
    with AnswerCache(tmp_path / "b.jsonl", lock=tmp_path / "set.lock"), pytest.raises(UsageError, match="is in use"):
        AnswerCache(tmp_path / "c.jsonl", lock=tmp_path / "set.lock").__enter__()
    with AnswerCache(tmp_path / "a.jsonl"), pytest.raises(UsageError, match="is in use: another `bench label`"):
        AnswerCache(tmp_path / "a.jsonl").__enter__()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"prompting": "many"}, "prompting 'many' is unknown: choose zero or few"),
        ({"splits": ("train", "dev")}, "split 'dev' is unknown"),
        ({"splits": ()}, "split '' is unknown"),
        ({"limit": 0}, "limit 0 is too small"),
        ({"budget": -1.0}, "budget -1.0 is not an amount"),
        ({"budget": float("nan")}, "budget nan is not an amount"),
        ({"budget": 1.0}, "a budget needs prices"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_asked(tmp_path, options, complaint):
    with chat_server(lambda text, n: (200, reply("POS"))) as server:
        with pytest.raises(UsageError, match=complaint):
            label(tmp_path, chat(server), **options)
        assert server.asked == []
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "sets").exists()


def test_a_base_model_is_asked_with_examples_only(model_folder, tmp_path):
    base = local(model_folder)
    base.files = replace(base.files, base_only=True)
    with pytest.raises(UsageError, match="'tiny' is a base model, which does not follow instructions: use few"):
        label(tmp_path, base, prompting="zero")
