"""What the tests of label sets share."""

import pytest


@pytest.fixture
def isolated(monkeypatch, tmp_path):
    """Only the label sets that a test writes; no network."""
    monkeypatch.setattr("llm_labels.labelsets.SETS", tmp_path / "no-sets")
    monkeypatch.setattr("bench.noise.label_sets.PUBLISHED", {})
    monkeypatch.setattr("bench.noise.label_sets.known", dict)
