"""What this machine has and lacks: every lack comes with the way out."""

from __future__ import annotations

import importlib.metadata

from bench.cli import doctor
from bench.cli.doctor import examine
from bench.core.errors import Unavailable
from bench.data.load import load_task


def facts(results=None, data_dir=None):
    return {fact.name: fact for fact in examine(results, data_dir)}


def test_device_packages_encoders_data_and_tools_are_named(tmp_path):
    found = facts(tmp_path / "results")
    assert found["torch"].text == importlib.metadata.version("torch")
    assert found["device"].state == "ok"
    assert found["precision"].text.partition(": ")[2]  # with its reason
    assert found["task tweets"].text.startswith("2892/400/800 texts, 2 classes")
    assert found["encoder bert-base-uncased"].state in ("ok", "absent")
    assert found["results"].state == "ok"
    assert not (tmp_path / "results").exists()  # looking writes nothing
    for fact in found.values():
        assert fact.state == "ok" or len(fact.text) > 10


def test_answers_are_listed_of_tasks_that_are_there_and_one_of_a_thing_is_one(tmp_path, monkeypatch):
    def without_cfpb(name, **options):
        if name == "cfpb":
            raise Unavailable("cfpb is out of reach")
        return load_task(name, **options)

    monkeypatch.setattr("bench.data.load.load_task", without_cfpb)
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    monkeypatch.setattr(doctor.os, "cpu_count", lambda: 1)
    found = facts(tmp_path / "results")
    assert found["task cfpb"].state == "absent"
    assert "cfpb" not in " ".join(fact.text for name, fact in found.items() if name.startswith("labels of"))
    assert found["device"].text.endswith(", 1 thread")
    assert found["python"].text.endswith(", 1 core")


def test_a_missing_package_data_folder_or_results_folder_is_missing(tmp_path, monkeypatch):
    version = importlib.metadata.version

    def without_datasets(name):
        if name == "datasets":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor.importlib.metadata, "version", without_datasets)
    found = facts(tmp_path, tmp_path / "nowhere")
    assert found["datasets"] == ("missing", "datasets", "pip install datasets")
    assert found["data folder"].state == "missing"
    assert "--data-dir" in found["data folder"].text


def test_a_results_path_below_a_file_is_missing(tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    fact = doctor._writable(tmp_path / "file" / "results")
    assert fact.state == "missing"
    assert "name another with --results" in fact.text


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    usage = doctor.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage._replace(free=2**29))
    said = f"'{tmp_path}': only 0.5 GiB free; name another folder with --results"
    assert doctor._writable(tmp_path) == ("absent", "results", said)
