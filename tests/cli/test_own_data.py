"""A user's own data and method on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from bench.store.records import read_arrays
from tests.command import statuses
from tests.conftest import records, review_rows, write_csv


def check_recomputed(record) -> None:
    """Every score of a record is that of the arrays beside it, by scikit-learn and a slow loop."""
    arrays = read_arrays(record.key.path(Path("results")))
    gold = arrays["gold"]
    for rule in ("last", "noisy_valid", "oracle_best"):
        values = arrays[f"test_{rule}"].astype(np.float64)
        values /= values.sum(1, keepdims=True)
        scores = getattr(record.scores, rule)
        predicted = values.argmax(1)
        assert scores.accuracy == pytest.approx(accuracy_score(gold, predicted), abs=1e-9)
        assert scores.macro_f1 == pytest.approx(f1_score(gold, predicted, average="macro"), abs=1e-9)
        assert scores.nll == pytest.approx(-np.log(values[np.arange(len(gold)), gold]).mean(), abs=1e-6)
        assert scores.brier == pytest.approx(((values - np.eye(values.shape[1])[gold]) ** 2).sum(1).mean(), abs=1e-6)
        gap, confidence = 0.0, values.max(1)
        for low in range(15):
            inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
            if inside.any():
                gap += inside.mean() * abs(confidence[inside].mean() - (predicted == gold)[inside].mean())
        assert scores.ece == pytest.approx(gap, abs=1e-6)


def test_a_users_csv_with_two_noisy_columns_and_gold(run):
    answer = run(llms=None, methods="plain,./instant.py", epochs=2, seeds="1")
    assert answer.exit_code == 0, answer.stderr
    found = records()
    assert {(record.key.noise, record.key.method) for record in found} == {
        (noise, method) for noise in ("ann", "bob") for method in ("plain", "instant")
    }
    rows = [row for row in review_rows() if row["split"] == "train"]
    for record in found:
        wrong = np.mean([row[record.key.noise] != row["gold"] for row in rows])
        assert record.noise.rate_train == pytest.approx(wrong)
        assert record.noise.kind == "column"
        check_recomputed(record)


def test_jsonl_is_read_as_csv_is(run):
    Path("lines.jsonl").write_text("".join(json.dumps(row) + "\n" for row in review_rows()))
    run(seeds="1")
    run(tasks="lines.jsonl", seeds="1")
    one, other = records()
    assert one.key.task != other.key.task
    assert one.data.fingerprint == other.data.fingerprint
    assert one.scores == other.scores


def test_without_gold_predictions_are_written_and_the_report_says_so(run, bench):
    write_csv(Path("reviews.csv"), [{k: v for k, v in row.items() if k != "gold"} for row in review_rows()])
    answer = run(seeds="1")
    assert answer.exit_code == 0, answer.stderr
    assert "no gold: predictions written, no scores" in answer.stdout
    (record,) = records()
    assert record.scores is None
    assert record.noise.rate_train is None
    arrays = read_arrays(record.key.path(Path("results")))
    assert arrays["test_last"].shape == (16, 2)
    assert "gold" not in arrays
    report = bench("report", "--format", "md,html")
    assert report.exit_code == 0, report.stderr
    assert "no gold" in Path("results/report/report.md").read_text()
    assert "no gold" in Path("results/report/index.html").read_text()


def wrench_folder(folder: Path) -> Path:
    """The small CSV as a WRENCH folder: two labelling functions of which the second sometimes abstains."""
    folder.mkdir()
    (folder / "label.json").write_text(json.dumps({"0": "negative", "1": "positive"}))
    names = ("negative", "positive")
    for split in ("train", "valid", "test"):
        rows = [row for row in review_rows() if row["split"] == split]
        content = {
            str(number): {
                "label": names.index(row["gold"]),
                "weak_labels": [names.index(row["ann"]), names.index(row["bob"]) if number % 3 else -1],
                "data": {"text": row["text"]},
            }
            for number, row in enumerate(rows)
        }
        (folder / f"{split}.json").write_text(json.dumps(content))
    return folder


def test_a_wrench_folder_is_read_as_it_is(run, tmp_path):
    wrench_folder(tmp_path / "reviews-wrench")
    answer = run(tasks="./reviews-wrench", llms=None, noise="weak,sn@0.3", seeds="1")
    assert answer.exit_code == 0, answer.stderr
    assert {record.key.noise for record in records()} == {"weak", "sn@0.3"}
    assert {record.data.n_train for record in records()} == {64}


def test_a_users_method_file_takes_parameters_and_its_edit_is_a_new_cell(run, instant):
    assert statuses(run(methods="./instant.py[strength=2]", seeds="1")) == ["done"]
    assert records()[0].key.config["strength"] == 2
    assert statuses(run(methods="./instant.py[strength=2]", seeds="1")) == ["cached"]
    instant.write_text(instant.read_text() + "\n# edited\n")
    assert statuses(run(methods="./instant.py[strength=2]", seeds="1")) == ["done"]
    assert len(records()) == 2
