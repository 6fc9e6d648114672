"""Memory stays flat: over calls of every kind, and over functions that are compiled and dropped.

`make campaign` makes 10 million calls and 2,000 functions; `make test` the same with fewer. What is asked is
that resident memory does not grow with the number: it is taken after a first share, and again at the end.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad as sg

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

Report = Callable[..., None]
MEGABYTE = 2**20


@pytest.fixture(autouse=True)
def native() -> None:
    sg.set_backend("llvm")


def resident() -> int:
    """Bytes, after all that is free has gone back to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def grown(work: Callable[[int], object], first: int, count: int) -> int:
    """How much `count` more rounds leave behind, after some first ones."""
    for k in range(first):
        work(k)
    before = resident()
    for k in range(first, first + count):
        work(k)
    return resident() - before


Call = Callable[[], object]
A, B, LARGE = np.ones(50), np.ones((6, 5)), np.ones(20_000)


def vector_function() -> Any:
    v = sg.vector("v", size="n")
    return sg.function([v], v * 2)


def number() -> Call:
    x = sg.scalar("x")
    f = sg.function([x], sg.grad(sg.tanh(x) ** 2, x))
    return lambda: f(0.5)


def array_scalar() -> Call:
    x = sg.scalar("x")
    f = sg.function([x], x * 2)
    return lambda: f(A[0])


def several_function() -> Any:
    x, v = sg.scalar("x"), sg.vector("v", size="n")
    return sg.function([x, v], [sg.sin(x) * x, v * x, sg.sum(sg.softmax(v))])


def several() -> Call:
    f = several_function()
    return lambda: f(2.0, A)


def keywords() -> Call:
    f = several_function()
    return lambda: f(x=2.0, v=A)


def wrong() -> Call:
    f = several_function()

    def call() -> None:
        with pytest.raises(sg.InputError):
            f(1.0, B)

    return call


def sizes() -> Call:
    f, arrays = several_function(), [np.ones(n) for n in (9_000, 20_000, 60_000)]
    return lambda: [f(2.0, a) for a in arrays]


def named() -> Call:
    v, x = sg.vector("v", size="n"), sg.scalar("x")
    f = sg.function([v, x], {"double": v * 2, "sum": sg.sum(v) * x})
    return lambda: f(A, 1.5)


def product() -> Call:
    m = sg.matrix("m", shape=("n", "k"))
    f = sg.function([m], sg.sum(m @ m.T, axis=0))
    return lambda: f(B)


def converted() -> Call:
    f = vector_function()
    return lambda: f([1.0, 2.0, 3.0])


def into() -> Call:
    f, out = vector_function(), np.empty(50)
    return lambda: f.into(out, A)


def large() -> Call:
    f = vector_function()
    return lambda: f(LARGE)


def large_by_keyword() -> Call:
    f = vector_function()
    return lambda: f(v=LARGE)


def state() -> Call:
    v = sg.vector("v", size=50)
    w, counter = sg.shared(np.zeros(50), "w"), sg.shared(0, "counter")
    f = sg.function([v], sg.sum(w), updates={w: w + v, counter: counter + 1})
    return lambda: f(A)


def fails() -> Call:
    v, i = sg.vector("v", size="n"), sg.scalar("i", dtype="int64")
    f = sg.function([v, i], sg.take(v, i))

    def call() -> None:
        with pytest.raises(IndexError):
            f(A, 99)

    return call


def called_back() -> Call:
    v = sg.vector("v", size="n")
    f = sg.function([v], sg.abs(sg.fft.fft(v)))
    return lambda: f(A)


#: A kind of call, and how many of them in the campaign: ten million together, fewer where Python has a part.
KINDS = {
    number: 5_000_000,
    array_scalar: 1_000_000,
    several: 2_000_000,
    named: 1_000_000,
    product: 500_000,
    converted: 100_000,
    keywords: 100_000,
    into: 100_000,
    state: 100_000,
    large: 100_000,
    large_by_keyword: 20_000,
    sizes: 3_000,
    fails: 20_000,
    wrong: 20_000,
    called_back: 10_000,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.005, pytest.param(1.0, marks=pytest.mark.campaign)])
def test_calls(kind: Callable[[], Call], share: float, report: Report) -> None:
    call, count = kind(), max(300, int(KINDS[kind] * share))
    for _ in range(3):  # what is left behind, is so each time; what other tests have begun, once
        growth = grown(lambda _: call(), max(100, count // 10), count)
        if growth < MEGABYTE // 2:
            break
    if share == 1.0:
        report(f"{count:,} calls, {kind.__name__}: resident memory {growth / MEGABYTE:+.2f} MB")
    assert growth < MEGABYTE // 2


def build(k: int) -> Callable[[], object]:
    """A function and a call of it; in turn of several kinds."""
    v, m = sg.vector("v", size="n"), sg.matrix("m", shape=("n", 4))
    a, b, factor = np.ones(9), np.ones((9, 4)), float(k % 40)  # numbers are kept, up to some thousands
    match k % 4:
        case 0:
            f = sg.function([v], sg.sum(sg.tanh(v * factor) @ v))
            return lambda: f(a)
        case 1:
            w = sg.shared(np.zeros(4), "w")
            loss = sg.mean((m @ w - factor) ** 2)
            g = sg.function([m], loss, updates={w: w - 0.1 * sg.grad(loss, w)})
            return lambda: g(b)
        case 2:
            h = sg.function([m], [sg.softmax(m, axis=1) * factor, sg.constant(np.arange(1000.0)) + factor])
            return lambda: h(b)
        case _:
            p = sg.function([v], sg.abs(sg.fft.fft(v * factor)))
            return lambda: p(a)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "kilobytes"), [(60, 60), pytest.param(2000, 1.5, marks=pytest.mark.campaign)]
)
def test_functions_that_are_dropped(
    count: int, kilobytes: float, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known to stay: some 160 bytes a function in LLVM, 70 in CPython for each compiled file name."""
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", "")
    monkeypatch.setenv("SYMGRAD_VALIDATE", "0")
    growth = grown(lambda k: build(k)(), 40 + count // 10, count)
    report(f"{count:,} functions compiled, called and dropped: resident memory {growth / MEGABYTE:+.2f} MB")
    assert growth < count * kilobytes * 1024


@pytest.mark.slow
def test_functions_from_the_cache_that_are_dropped(report: Report) -> None:
    growth = grown(lambda k: build(k % 4)(), 40, 200)
    assert growth < 200 * 20 * 1024
