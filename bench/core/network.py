"""Whether the network may and can be used, so that a missing hub is one quick answer and not minutes of retries."""

from __future__ import annotations

import os
import socket
import urllib.parse
import urllib.request

OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "BENCH_OFFLINE")
HUB = "https://huggingface.co"


def offline() -> bool:
    """Whether the user forbids the network (HF_HUB_OFFLINE or BENCH_OFFLINE)."""
    return any(os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in OFFLINE_VARIABLES)


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
