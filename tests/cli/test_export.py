"""`bench export` and `bench predict` as typed: what is taken away predicts what the cell predicted."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.store.opinions import rounded
from bench.store.records import read_arrays
from tests.conftest import records, review_rows, write_csv

TEST_TEXTS = [row["text"] for row in review_rows() if row["split"] == "test"]


def make(bench, encoder, *words, **options):
    """One cell of reviews.csv; its record's path and its stored test probabilities."""
    options = {"tasks": "reviews.csv"} | options
    words = [*words, *(word for name, value in options.items() for word in (f"--{name}", value))]
    done = bench("run", "--llms", "ann", "--seeds", 1, "--encoder", encoder, *words)
    assert done.exit_code == 0, done.stderr
    (record,) = records()
    path = record.key.path(Path("results"))
    return path, read_arrays(path, "test_last")["test_last"]


def texts_file(texts=TEST_TEXTS) -> Path:
    return write_csv(Path("new.csv"), [{"id": f"n{at}", "text": text} for at, text in enumerate(texts)])


def predictions() -> list[dict[str, str]]:
    with Path("pred.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("encoder", "method", "pooling", "kind", "networks"),
    [
        (":frozen", "plain", "auto", "heads", 1),
        (":frozen", "co-teaching", "auto", "heads", 2),
        (":frozen", "plain+ts", "auto", "heads", 1),
        (":frozen", "npc[epochs=2]", "auto", "heads", 1),
        (":frozen", "npc[epochs=2]+ts", "auto", "heads", 1),
        (":frozen", "dygen[epochs=2]", "auto", "heads", 6),
        ("", "selfmix", "cls", "transformers", 1),
        ("", "elr", "cls", "transformers", 1),
        ("", "cr", "mean", "networks", 3),
        ("", "plain", "mean", "networks", 1),
    ],
)
def test_an_exported_model_predicts_what_the_cell_did(
    bench, reviews, tiny_bert, encoder, method, pooling, kind, networks
):
    path, stored = make(bench, f"{tiny_bert}{encoder}", methods=method, pooling=pooling, epochs=2)
    done = bench("export", path, "--out", "model")
    assert done.exit_code == 0, done.stderr
    assert f"all {len(stored)} test predictions equal those of the record, bit for bit" in done.stdout
    said = {"heads": "head{} on the frozen encoder", "networks": "fine-tuned network{}, loaded back"}.get(kind)
    assert said is None or f"{networks} {said.format('s' * (networks > 1))}" in " ".join(done.stdout.split())
    facts = json.loads(Path("model/bench.json").read_text())
    assert (facts["kind"], facts["networks"], facts["label_names"]) == (kind, networks, ["negative", "positive"])
    assert not [file for file in Path("model").iterdir() if file.suffix in (".bin", ".pt", ".pkl")]

    told = bench("predict", "model", texts_file(), "--out", "pred.csv")
    assert told.exit_code == 0, told.stderr
    rows = predictions()
    assert [row["id"] for row in rows] == [f"n{at}" for at in range(len(stored))]
    assert [row["text"] for row in rows] == TEST_TEXTS
    sure = np.flatnonzero(np.ptp(stored, axis=1) > 1e-3)  # others are decided by less than the model may deviate
    labels = np.array([row["label"] for row in rows])
    assert len(sure) > len(rows) / 2
    assert labels[sure].tolist() == [facts["label_names"][at] for at in stored[sure].argmax(1)]
    np.testing.assert_allclose([float(row["probability"]) for row in rows], stored.max(1), atol=3e-4)


def test_a_temperature_is_not_rounded_into_the_weights_of_a_model_in_bf16(bench, reviews, tiny_bert):
    """Those that it divides would be rounded otherwise than the ones that were trained."""
    sure = {"epochs": 8, "learning-rate": 5e-3, "precision": "bf16"}
    path, _ = make(bench, tiny_bert, methods="plain+ts", pooling="cls", **sure)
    done = bench("export", path, "--out", "model")
    assert done.exit_code == 0, done.stderr
    assert json.loads(Path("model/bench.json").read_text())["kind"] == "networks"


@pytest.mark.parametrize("method", ["plain", "plain+ts"])
def test_the_pipeline_of_transformers_loads_a_fine_tuned_model(bench, reviews, tiny_bert, method):
    from transformers import pipeline

    path, stored = make(bench, tiny_bert, methods=method, pooling="cls", epochs=2)
    assert bench("export", path, "--out", "model").exit_code == 0
    classify = pipeline("text-classification", "model")
    told = classify(TEST_TEXTS, truncation=True, top_k=None, batch_size=3)
    found = [
        [{each["label"]: each["score"] for each in row}[name] for name in ("negative", "positive")] for row in told
    ]
    np.testing.assert_allclose(found, stored, atol=3e-4)


def test_python_loads_what_was_exported(bench, reviews, tiny_bert):
    import bench as package

    path, stored = make(bench, f"{tiny_bert}:frozen", methods="jocor", epochs=2)
    assert bench("export", path, "--out", "model").exit_code == 0
    model = package.load_exported("model")
    assert model.label_names == ("negative", "positive")
    np.testing.assert_array_equal(rounded(model.predict(TEST_TEXTS)), stored)
    assert model.predict([]).shape == (0, 2)


def test_a_method_that_predicts_otherwise_is_refused_with_what_can_be_exported(bench, reviews, tiny_bert):
    path, _ = make(bench, tiny_bert, methods="npc[epochs=1]", epochs=1)
    told = bench("export", path, "--out", "model")
    assert told.exit_code == 2
    assert "npc needs more than its trained networks to predict" in told.stderr
    assert "from a fine-tuned encoder" in told.stderr
    assert "co-teaching, corrected, cr, elr" in told.stderr
    assert "bench clean" in told.stderr
    assert not Path("model").exists()


def test_a_correction_that_is_damaged_or_lost_is_refused(bench, reviews, tiny_bert):
    path, _ = make(bench, f"{tiny_bert}:frozen", methods="npc[epochs=1]", epochs=1)
    assert bench("export", path, "--out", "model").exit_code == 0
    correction = Path("model/correction.safetensors")
    own = load_file(correction)
    wrong = ({"features": torch.zeros(3)}, {"shift": torch.zeros(3)}, {"scale": own["scale"].tile(1, 2, 1)})
    for part in (*wrong, {name: own[name][..., :5].contiguous() for name in ("shift", "scale")}):
        save_file(own | part, correction)
        told = bench("predict", "model", texts_file(["one"]), "--out", "pred.csv")
        assert (told.exit_code, "is damaged" in told.stderr) == (2, True), part
    for content in (Path("model/heads.safetensors").read_bytes(), b"", None):
        correction.unlink() if content is None else correction.write_bytes(content)
        told = bench("predict", "model", texts_file(["one"]), "--out", "pred.csv")
        assert (told.exit_code, "is damaged" in told.stderr) == (2, True), content


def test_a_method_without_networks_is_refused(bench, reviews, tiny_bert, instant):
    path, _ = make(bench, f"{tiny_bert}:frozen", methods=instant)
    told = bench("export", path, "--out", "model")
    assert (told.exit_code, Path("model").exists()) == (2, False)
    assert "instant needs more than its trained networks to predict" in told.stderr
    assert not re.search(r"export a cell of .*\binstant\b", told.stderr)
    assert re.search(r"export a cell of .*\bplain\b", told.stderr)


@pytest.mark.parametrize("name", ["cells.csv", "my data/new\nline's\\ö.csv"])
def test_a_task_of_any_name_is_exported(bench, reviews, tiny_bert, name):
    Path(name).parent.mkdir(exist_ok=True)
    reviews.rename(name)
    path, stored = make(bench, f"{tiny_bert}:frozen", tasks=name, methods="plain", epochs=1)
    done = bench("export", path, "--out", "model")
    assert done.exit_code == 0, done.stderr
    assert f"all {len(stored)} test predictions equal those of the record, bit for bit" in done.stdout


def test_changed_data_and_used_folders_are_refused(bench, reviews, tiny_bert):
    path, _ = make(bench, f"{tiny_bert}:frozen", methods="plain", epochs=1)
    Path("full").mkdir()
    Path("full/note.txt").write_text("mine")
    assert "name a new folder" in bench("export", path, "--out", "full").stderr
    rows = review_rows()
    rows[0]["ann"] = "positive" if rows[0]["ann"] == "negative" else "negative"
    write_csv(Path("reviews.csv"), rows)
    told = bench("export", path, "--out", "model")
    assert told.exit_code == 2
    assert "data changed since it ran; run it again with" in told.stderr
    assert sorted(file.name for file in Path("full").iterdir()) == ["note.txt"]


def test_what_is_not_an_export_or_is_damaged_is_refused(bench, reviews, tiny_bert):
    path, _ = make(bench, f"{tiny_bert}:frozen", methods="plain", epochs=1)
    assert bench("export", path, "--out", "model").exit_code == 0
    new = texts_file(["one"])

    def error(*words) -> str:
        told = bench("predict", *words, "--out", "pred.csv")
        assert (told.exit_code, Path("pred.csv").exists()) == (2, False)
        return told.stderr

    assert "not an exported model" in error("results", new)
    assert "no column 'body'" in error("model", new, "--text-column", "body")
    facts = json.loads(Path("model/bench.json").read_text())
    Path("model/bench.json").write_text(json.dumps(facts | {"encoder_revision": "0" * 16}))
    assert "name the folder of the right one with --encoder" in error("model", new)
    Path("model/bench.json").write_text(json.dumps(facts | {"version": 2}))
    assert "version = 2" in error("model", new)
    Path("model/bench.json").write_text(json.dumps(facts))
    Path("model/heads.safetensors").write_bytes(b"\x08")
    assert "damaged" in error("model", new)


def test_ids_are_found_in_any_spelling_and_half_a_character_is_refused(bench, reviews, tiny_bert):
    path, _ = make(bench, f"{tiny_bert}:frozen", methods="plain", epochs=1)
    assert bench("export", path, "--out", "model").exit_code == 0
    write_csv(Path("new.csv"), [{" ID ": "a7", "text": "good film"}])
    assert bench("predict", "model", "new.csv", "--out", "pred.csv").exit_code == 0
    assert predictions()[0]["id"] == "a7"
    Path("new.jsonl").write_text('{"text": "good"}\n{"text": "half \\ud800 pair"}\n')
    told = bench("predict", "model", "new.jsonl", "--out", "pred2.csv")
    assert (told.exit_code, "row 2: the text holds half a surrogate pair" in told.stderr) == (2, True)


def test_upper_layers_alone_cannot_be_exported(bench, reviews, tiny_bert):
    path, _ = make(bench, f"{tiny_bert}:top1", methods="plain", epochs=1)
    told = bench("export", path, "--out", "model")
    assert told.exit_code == 2
    assert "trained the upper layers of" in told.stderr
    assert not Path("model").exists()


def test_a_model_of_human_labels_is_exported(bench, reviews, tiny_bert):
    path, _ = make(bench, f"{tiny_bert}:frozen", methods="gold[rows=10]", epochs=1)
    done = bench("export", path, "--out", "model")
    assert done.exit_code == 0, done.stderr
    assert "bit for bit" in done.stdout


def test_no_code_of_an_export_is_run(bench, reviews, tiny_bert, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *asked: "y")
    path, _ = make(bench, tiny_bert, methods="cr", pooling="mean", epochs=1)
    assert bench("export", path, "--out", "model").exit_code == 0
    config = json.loads(Path("model/config.json").read_text())
    own = {"AutoConfig": "evil.EvilConfig", "AutoModel": "evil.EvilModel"}
    Path("model/config.json").write_text(json.dumps(config | {"auto_map": own, "model_type": "evil"}))
    Path("model/evil.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    told = bench("predict", "model", texts_file(), "--out", "pred.csv")
    assert told.exit_code == 2
    assert "damaged" in told.stderr
    assert not Path("ran").exists()


def test_predictions_never_hold_formulas_and_never_replace_the_texts(bench, reviews, tiny_bert):
    path, _ = make(bench, f"{tiny_bert}:frozen", methods="plain", epochs=1)
    assert bench("export", path, "--out", "model").exit_code == 0
    new = write_csv(Path("new.csv"), [{"body": text} for text in ("=1+1", "", "good\nfilm", "x" * 20_000)])
    assert bench("predict", "model", new, "--text-column", "Body", "--out", "pred.csv").exit_code == 0
    assert [row["text"] for row in predictions()] == ["'=1+1", "", "good\nfilm", "x" * 20_000]
    before = new.read_bytes()
    told = bench("predict", "model", new, "--text-column", "body", "--out", new)
    assert (told.exit_code, new.read_bytes()) == (2, before)


def test_a_row_without_a_text_gets_no_label_and_the_file_has_a_name_of_its_own(bench, reviews, tiny_bert):
    path, _ = make(bench, f"{tiny_bert}:frozen", methods="plain", epochs=1)
    assert bench("export", path, "--out", "model").exit_code == 0
    texts = ["good film", "", "bad film", " \t", "NaN"]
    Path("sub").mkdir()
    write_csv(Path("sub/new.csv"), [{"id": f"n{at}", "text": text} for at, text in enumerate(texts)])
    told = bench("predict", "model", "sub/new.csv", "--encoder", f"{tiny_bert}:frozen")
    assert told.exit_code == 0, told.stderr
    assert "wrote 2 labels to sub/new-predictions.csv" in told.stdout
    assert "3 rows without a text and so without a label: 2, 4, 5" in told.stdout
    Path("pred.csv").write_bytes(Path("sub/new-predictions.csv").read_bytes())
    rows = predictions()
    assert (
        [bool(row["label"]) for row in rows]
        == [bool(row["probability"]) for row in rows]
        == [True, False] * 2 + [False]
    )
    texts_file(["good film", "bad film"])
    assert bench("predict", "model", "new.csv", "--out", "pred.csv").exit_code == 0
    assert [row["label"] for row in predictions()] == [row["label"] for row in rows if row["label"]]
    write_csv(Path("new.csv"), [{"text": ""}, {"text": " "}])
    assert "wrote 0 labels" in bench("predict", "model", "new.csv").stdout
