"""What a machine can do at most, as `profile` compares with it; here measured by NumPy alone.
`llvm/limits.py` measures it natively."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy

#: Bytes of each of the two arrays that are copied: more than caches hold.
COPIED = 64 * 2**20
#: Measurements of which the best counts.
ATTEMPTS = 12


@dataclass(frozen=True)
class Limits:
    """Measured limits of some threads together: memory in bytes read and written, arithmetic in
    operations, of which a multiplication with an addition is two; both in 1e9 a second."""

    threads: int
    #: GB/s of a copy between arrays that no cache holds.
    bandwidth: float
    #: GFLOP/s of vectors of float32, of float64.
    peak32: float
    peak64: float


def fastest(threads: int, work: Callable[[int], object]) -> float:
    """The shortest time in seconds in which so many threads did `work(number of the thread)` once each."""
    return min(_together(threads, work) for _ in range(ATTEMPTS))


def _together(threads: int, work: Callable[[int], object]) -> float:
    """The time from the start of the first thread's work to the end of the last one's."""
    ready = threading.Barrier(threads)
    starts, ends = [0.0] * threads, [0.0] * threads

    def run(number: int) -> None:
        ready.wait()
        starts[number] = time.perf_counter()
        work(number)
        ends[number] = time.perf_counter()

    others = [threading.Thread(target=run, args=(i,)) for i in range(1, threads)]
    for each in others:
        each.start()
    run(0)
    for each in others:
        each.join()
    return max(ends) - min(starts)


@lru_cache(maxsize=8)
def by_numpy(threads: int) -> Limits:
    """The limits of copies and of products of matrices, whose threads are BLAS's own."""
    source = numpy.ones(COPIED // 8)
    target = numpy.zeros(COPIED // 8)
    cuts = numpy.linspace(0, source.size, threads + 1).astype(int)

    def copy(i: int) -> None:
        numpy.copyto(target[cuts[i] : cuts[i + 1]], source[cuts[i] : cuts[i + 1]])

    seconds = fastest(threads, copy)
    peaks = []
    for dtype in (numpy.float32, numpy.float64):
        a = numpy.ones((768, 768), dtype)
        out = numpy.empty_like(a)
        seconds_of_product = fastest(1, partial(_product, a, out))
        peaks.append(2 * 768**3 / seconds_of_product / 1e9)
    return Limits(threads, 2 * COPIED / seconds / 1e9, peaks[0], peaks[1])


def _product(a: Any, out: Any, _: int) -> None:
    numpy.matmul(a, a, out=out)
