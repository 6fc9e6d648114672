"""Signals whose handlers raise, at any moment: nothing stays locked, no state is torn, none is lost."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest

import symgrad as sg

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")


class Interrupt(BaseException):
    """What the handler raises."""


@contextmanager
def raising(number: int) -> Iterator[dict[str, bool]]:
    """While armed, the signal raises; otherwise it is ignored. Garbage is collected before: Python ignores
    what is raised where an object dies."""
    gc.collect()
    armed = {"now": False}

    def handler(*_: Any) -> None:
        if armed["now"]:
            armed["now"] = False
            raise Interrupt

    before = signal.signal(number, handler)
    try:
        yield armed
    finally:
        signal.signal(number, before)


def until_raised(armed: dict[str, bool], work: Any) -> None:
    """Work until the signal raises. In a function of its own: Python 3.13 leaves the jump back to the start
    of a loop out of the `try` around it, so that what is raised there is never caught."""
    armed["now"] = True
    while armed["now"]:
        work()


def is_free(lock: Any) -> bool:
    """Whether another thread can take it."""
    found = []

    def look() -> None:
        if lock.acquire(timeout=5):
            lock.release()
            found.append(True)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return bool(found)


@pytest.mark.parametrize("what", ["numpy", "llvm", "get"])
def test_nothing_stays_locked_or_torn(what: str) -> None:
    states = [sg.shared(np.zeros(3)) for _ in range(11)]
    if what == "get":
        work: Any = states[0].get
    else:
        work = sg.function([], [], updates={s: s + 1 for s in states}, backend=what)
    rng = np.random.default_rng(0)
    with raising(signal.SIGALRM) as armed:
        for _ in range(200):
            with suppress(Interrupt):
                armed["now"] = True
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-4, 1e-3))
                until_raised(armed, work)
            assert is_free(states[0].state.lock)
            assert len({float(s.get()[0]) for s in states}) == 1
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert what == "get" or states[0].get()[0] > 0


@pytest.mark.parametrize("what", ["numpy", "llvm"])
def test_signals_that_another_thread_takes(what: str) -> None:
    """Some states are written in place, others into spare arrays: all of them are new, or none."""
    states = [sg.shared(np.zeros(3)) for _ in range(12)]
    updates = {s: s + 1 if i % 2 else sg.cumulative_sum(s - s + 1) + s for i, s in enumerate(states)}
    updates |= {s: sg.stack([s[0], s[1], s[2]]) + 1 for s in states[::3]}
    work = sg.function([], [], updates=updates, backend=what)
    over = threading.Event()
    rng = np.random.default_rng(0)

    def send() -> None:
        while not over.wait(rng.uniform(1e-4, 1e-3)):
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    sender = threading.Thread(target=send)
    with raising(signal.SIGUSR1) as armed:
        sender.start()
        try:
            for _ in range(300):
                with suppress(Interrupt):
                    until_raised(armed, work)
                assert is_free(states[0].state.lock)
                assert len({float(s.get()[0]) for s in states}) == 1
        finally:
            over.set()
            sender.join()
    assert states[0].get()[0] > 0


def test_a_signal_before_a_call_back_is_not_lost() -> None:
    """It comes while native code multiplies, and Python handles it where that calls back. If the main thread
    blocks signals, the other one takes it."""
    size = 1000
    x, w = sg.matrix("x", shape=(size, size)), sg.shared(np.zeros((size, size)))
    y = sg.median(x @ x, axis=0) + sg.real(sg.fft.fft(x @ x))
    value = sg.function([x], y, backend="llvm")
    update = sg.function([x], [], updates={w: y}, backend="llvm")
    given = np.random.default_rng(0).standard_normal((size, size))
    wanted = value(given)
    over = threading.Event()
    other = threading.Thread(target=over.wait, daemon=True)
    other.start()
    with raising(signal.SIGALRM) as armed:

        def patiently(run: Any) -> None:
            """Call, and wait for a signal that comes late."""
            armed["now"] = True
            signal.setitimer(signal.ITIMER_REAL, 0.004)
            run(given)
            time.sleep(60)

        for run in (value, update) * 4:
            before = w.get()
            with pytest.raises(Interrupt):
                patiently(run)
            now = w.get()
            assert (now == before).all() or (now == wanted).all()
    over.set()
    other.join()
    np.testing.assert_array_equal(value(given), wanted)


@pytest.mark.parametrize("which", ["numpy", "llvm"])
def test_what_a_handler_raises_stays_what_it_is(which: str) -> None:
    """Found in review: a timeout of the user's own became an ExecutionError without a text."""

    class Timeout(Exception):
        pass

    x = sg.matrix("x", shape=(600, 600))
    y = x
    for _ in range(40):
        y = sg.real(sg.fft.fft(y)) / 25
    f = sg.function([x], y, backend=which)

    def handler(*_: Any) -> None:
        raise Timeout

    def work() -> None:
        for _ in range(1000):
            signal.setitimer(signal.ITIMER_REAL, 0.03)
            f(np.ones((600, 600)))

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(Timeout):
            work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
