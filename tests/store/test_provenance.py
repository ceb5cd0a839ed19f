"""Which code made a record."""

import os

from bench.store.provenance import code_version, versions


def test_where_git_refuses_to_tell_the_commit_the_release_is_told(monkeypatch):
    """As it does in a folder of another user, which is the rule in containers."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    for scope in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"GIT_CONFIG_{scope}", os.devnull)
    assert code_version.__wrapped__() == versions()["noisy-label-bench"]
