"""What a second thread gains, and what it costs beside a process that keeps a core busy.

    python benchmarks/threads.py

For kernels that compute and one that moves memory: milliseconds with one thread and with two, in turns; then
the same beside a competing process on one core.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import symgrad as sg

ROUNDS, CALLS = 15, 5
_BUSY = "while True: pass"


def softmax_loss(z: Any) -> Any:
    return sg.grad(sg.sum(sg.logsumexp(z, axis=1) - z[:, 0]), z)


WORK: dict[str, tuple[Callable[[Any], Any], tuple[int, ...], str]] = {
    "tanh exp sin log": (
        lambda x: sg.tanh(x) * sg.exp(-x * x) + sg.sin(x) * sg.log(1 + x * x),
        (500_000,),
        "float64",
    ),
    "fourth power series": (lambda x: sg.sum(sg.erf(x) * sg.exp(x)), (1_000_000,), "float64"),
    "softmax gradient": (softmax_loss, (512, 4000), "float32"),
    "memory: x + 1": (lambda x: x + 1, (2_000_000,), "float64"),
}


def in_turns(call: Callable[[], None]) -> tuple[float, float]:
    """Medians for one thread and for two."""
    times: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for count, found in times.items():
            sg.set_num_threads(count)
            call()
            start = time.perf_counter()
            for _ in range(CALLS):
                call()
            found.append((time.perf_counter() - start) / CALLS)
    return float(np.median(times[1])) * 1e3, float(np.median(times[2])) * 1e3


def measure(title: str) -> None:
    print(title)
    print(f"  {'':22} one thread  two threads  one / two")
    for name, (expression, shape, dtype) in WORK.items():
        x = sg.tensor("x", shape=shape, dtype=dtype)
        f = sg.function([x], expression(x))
        value = np.random.default_rng(0).normal(size=shape).astype(dtype)
        out = np.empty_like(f(value))

        def call(f: Any = f, out: Any = out, value: Any = value) -> None:
            f.into(out, value)

        one, two = in_turns(call)
        print(f"  {name:22} {one:7.2f} ms   {two:7.2f} ms   {one / two:7.2f}")


def main() -> None:
    measure("alone")
    busy = subprocess.Popen([sys.executable, "-c", _BUSY])
    try:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(busy.pid, {max(os.sched_getaffinity(0))})
        measure("beside a process that keeps one core busy")
    finally:
        busy.kill()
        busy.wait()


if __name__ == "__main__":
    main()
