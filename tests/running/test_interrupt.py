"""Ctrl-C once asks for an end, twice makes one; SIGTERM makes one; afterwards everything is as it was."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from bench.running.executors.dispatch import drain_on_interrupt


def test_the_first_asks_and_the_second_stops():
    said = []
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), drain_on_interrupt(lambda: said.append(1)) as stop:  # noqa: PT012
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        assert said == [1]
        os.kill(os.getpid(), signal.SIGINT)
    assert said == [1]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_sigterm_stops_at_once():
    with pytest.raises(KeyboardInterrupt), drain_on_interrupt(lambda: pytest.fail("nothing is drained")):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_thread_cannot_be_interrupted_and_says_nothing():
    seen = []

    def work():
        with drain_on_interrupt(lambda: None) as stop:
            seen.append(stop())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
