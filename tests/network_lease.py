"""Leases as on a network file system, where two names cannot be exchanged in one step."""

from __future__ import annotations

import os

import pytest
from filelock import SoftFileLease, Timeout

from bench.store import claims


class NetworkLease(SoftFileLease):
    """A lease that filelock cannot take over while its file lies there, whatever wrote it, however long ago."""

    def acquire(self, *args, **kwargs):
        """As SoftFileLease, but Timeout at once where there is a file."""
        if os.path.lexists(self.lock_file):
            raise Timeout(self.lock_file)
        return super().acquire(*args, **kwargs)


def use_network_leases(patch: pytest.MonkeyPatch) -> None:
    """Make every claim of this process one on a network file system."""
    patch.setattr(claims, "SoftFileLease", NetworkLease)
