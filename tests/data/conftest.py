"""What the tests of users' tables share."""

from __future__ import annotations

import json

import pytest

from bench.data.load import load_task
from tests.data.own import write


@pytest.fixture
def task(tmp_path):
    """A task from columns of values; `labels`: the content of label.json."""

    def load(columns: dict, labels=None, name="mine.csv", **options):
        if labels is not None:
            (tmp_path / "label.json").write_text(json.dumps(labels))
        write(tmp_path / name, columns)
        return load_task(str(tmp_path / name), **options)

    return load
