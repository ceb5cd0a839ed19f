"""Whether the network may and can be used, so that a missing hub is one quick answer and not minutes of retries."""

from __future__ import annotations

import os
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "BENCH_OFFLINE")
HUB = "https://huggingface.co"


_CLOSED: ContextVar[bool] = ContextVar("closed", default=False)


@contextmanager
def on_this_machine() -> Iterator[None]:
    """Within it nothing is fetched: what is not on this machine is unavailable."""
    token = _CLOSED.set(True)
    try:
        yield
    finally:
        _CLOSED.reset(token)


def closed() -> bool:
    """Whether this is within `on_this_machine`."""
    return _CLOSED.get()


def offline() -> bool:
    """Whether the network may not be used: the user forbids it (HF_HUB_OFFLINE or BENCH_OFFLINE), or the caller."""
    return closed() or any(os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in OFFLINE_VARIABLES)


def resolves(url: str) -> bool:
    """Whether the host of a URL has an address here, or a proxy would know it."""
    if urllib.request.getproxies():
        return True
    try:
        socket.getaddrinfo(urllib.parse.urlsplit(url).hostname, 443)
    except OSError:
        return False
    return True


def hub_reachable() -> bool:
    """Whether asking the Hugging Face hub makes sense: not forbidden, and its name has an address."""
    return not offline() and resolves(os.environ.get("HF_ENDPOINT") or HUB)
