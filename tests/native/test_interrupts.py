"""Signals whose handlers raise, at any moment: nothing stays locked, no state is torn, none is lost."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
import tracemalloc
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


@contextmanager
def alarm(handler: Any) -> Iterator[None]:
    """The handler of SIGALRM, for a while."""
    before = signal.signal(signal.SIGALRM, handler)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


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

    with alarm(handler), pytest.raises(Timeout):
        work()


def long_program(shape: tuple[Any, Any], kind: str) -> tuple[Any, Any]:
    """Products one after the other, some tenths of a second; what changes its state, in several ways."""
    x = sg.matrix("x", shape=shape)
    y = x
    for _ in range(40):
        y = (y @ x) * 0.01
    y = sg.reshape(sg.ravel(y)[:250_000], (500, 500)) if shape != (500, 500) else y
    total = sg.shared(np.float64(1.0), "total")
    whole = sg.shared(np.ones((500, 500)), "whole")
    updates = {
        "none": {},
        "in place": {total: total + sg.sum(y)},
        "another": {whole: y},
        "both": {total: total + sg.sum(y), whole: sg.tanh(whole) + y},
    }
    f = sg.function([x], sg.sum(y) if kind != "another" else [], updates=updates[kind], backend="llvm")
    return f, lambda: (float(total.value), whole.value.copy())


@pytest.mark.parametrize("shape", [(500, 500), ("n", "n")], ids=["static", "symbolic"])
@pytest.mark.parametrize("kind", ["none", "in place", "another", "both"])
def test_native_code_stops_between_its_steps(shape: tuple[Any, Any], kind: str) -> None:
    """Found in review: Ctrl-C came when all was done, the results lost and the states new."""
    f, states = long_program(shape, kind)
    x = np.random.default_rng(0).random((500, 500))
    old = states()

    def handler(*_: Any) -> None:
        raise Interrupt

    with alarm(handler):
        for _ in range(3):
            signal.setitimer(signal.ITIMER_REAL, 0.03)
            with pytest.raises(Interrupt):
                f(x)
            assert states()[0] == old[0]
            np.testing.assert_array_equal(states()[1], old[1])
    wanted = x
    for _ in range(40):
        wanted = wanted @ x * 0.01
    got = f(x)
    if kind != "another":
        np.testing.assert_allclose(got, wanted.sum(), rtol=1e-9)
    if kind in ("in place", "both"):
        np.testing.assert_allclose(states()[0], 1 + wanted.sum(), rtol=1e-9)
    if kind in ("another", "both"):
        np.testing.assert_allclose(states()[1], wanted + (kind == "both") * np.tanh(1.0), rtol=1e-9)


def test_handlers_that_raise_nothing_run_while_native_code_does() -> None:
    f, _ = long_program((500, 500), "none")
    x = np.random.default_rng(0).random((500, 500))
    wanted = f(x)
    times: list[float] = []
    with alarm(lambda *_: times.append(time.perf_counter())):
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        got = f(x)
        end = time.perf_counter()
    assert got == wanted
    assert sum(t < end for t in times) >= 2


def test_stopped_calls_keep_no_results() -> None:
    x = sg.matrix("x", shape=(500, 500))
    y = x
    for _ in range(20):
        y = (y @ x) * 0.01
    f = sg.function([x], [y, sg.exp(y)], backend="llvm")
    given = np.ones((500, 500))

    def handler(*_: Any) -> None:
        raise Interrupt

    with alarm(handler):
        for _ in range(5):
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            with pytest.raises(Interrupt):
                f(given)
        counted = [sys.getrefcount(given)]
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(10):
                signal.setitimer(signal.ITIMER_REAL, 0.02)
                with pytest.raises(Interrupt):
                    f(given)
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        counted.append(sys.getrefcount(given))
    assert counted[0] == counted[1]
    assert grown < 1_000_000
