"""An encoder of a short name is the one that its name and commit stand for, file by file."""

import shutil

import pytest

from bench.core.errors import UsageError
from bench.core.hashes import hash_file
from bench.training import find_encoder


@pytest.fixture
def pinned(tmp_path, monkeypatch, tiny_bert):
    """The folder of `mpnet`, which here is a tiny BERT."""
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))
    folder = tmp_path / "encoders" / "all-mpnet-base-v2"
    shutil.copytree(tiny_bert, folder)
    hub_name, commit, files = find_encoder.HUB_ENCODERS["mpnet"]
    assert {"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"} < files.keys()
    here = {name: hash_file(folder / name) for name in files if (folder / name).is_file()}
    monkeypatch.setitem(find_encoder.HUB_ENCODERS, "mpnet", (hub_name, commit, here))
    find_encoder._pinned.cache_clear()
    yield folder
    find_encoder._pinned.cache_clear()


def test_a_folder_with_the_pinned_files_is_the_commit(pinned):
    (pinned / "README.md").write_text("any other file")
    assert find_encoder.locate("mpnet") == (str(pinned), "e8c3b32edf5434bc2275fc9bab85f82640a19130")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    "change", [lambda path: path.write_bytes(path.read_bytes() + b" "), lambda path: path.unlink()]
)
def test_a_folder_with_another_file_is_refused_by_its_name(pinned, name, change):
    change(pinned / name)
    with pytest.raises(UsageError, match=rf"encoder 'mpnet': .*/{name} is not that of sentence-transformers/all-mpnet"):
        find_encoder.locate("mpnet")


def test_of_the_hubs_own_copy_of_the_commit_the_weights_are_looked_at(pinned, tmp_path, monkeypatch):
    """Beside them nothing of the hub's needs to be byte for byte what a folder from elsewhere has."""
    copy = pinned.rename(tmp_path / "snapshot")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(copy))
    (copy / "tokenizer_config.json").write_bytes((copy / "tokenizer_config.json").read_bytes() + b" ")
    assert find_encoder.locate("mpnet") == (str(copy), "e8c3b32edf5434bc2275fc9bab85f82640a19130")
    (copy / "model.safetensors").write_bytes(b"other")
    find_encoder._pinned.cache_clear()
    with pytest.raises(UsageError, match=r"model\.safetensors is not that of"):
        find_encoder.locate("mpnet")
