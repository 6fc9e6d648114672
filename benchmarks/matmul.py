"""Products of matrices: symgrad beside PyTorch and NumPy, and beside what the processor can do.

    python benchmarks/matmul.py                                 all sizes, float32 and float64
    python benchmarks/matmul.py --python torch=/path/to/python  PyTorch in an environment of its own
    python benchmarks/matmul.py --sizes 128 512 128x784x512     rows x inner x columns
    python benchmarks/matmul.py --forms nn tn --dtypes float32  t: that operand is a transposed matrix
    python benchmarks/matmul.py --threads 1                     of each system; then processor time counts
    python benchmarks/matmul.py --output results.json           every timing

Each system runs in a process of its own; they take turns, and the fused multiply-adds of the processor, in
native code made for that, take theirs. PyTorch and NumPy write into an array that they are given.

A line has the medians of all timings in thousands of millions of operations a second, that of symgrad also in
percent of what the processor did in its turns, and symgrad's speed as a multiple of each peer's: by medians,
and by the fastest timings, which say more on a busy machine. In the end, sizes from 128 and smaller ones each
have a geometric mean.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

SIZES = "2 4 8 16 31 32 33 64 100 128 129 200 255 256 257 384 500 512 513 768 1000 1024 1025 1536 2048 "
SIZES += "128x784x512 784x128x512 128x512x10 60000x784x10 20000x64x256 1024x1024x1 1x1024x1024"
FORMS, DTYPES, PEERS = ("nn", "tn", "nt", "tt"), ("float32", "float64"), ("torch", "numpy")
#: Sizes from here on have a geometric mean of their own.
LARGE = 128
#: The turns of the processor alone, and the multiply-adds of each sum in a call of theirs.
PEAK, _STEPS = "peak", 400_000
_SHORT = 2e-4  # seconds; what is faster is timed several calls at once

Call = Callable[[], Any]


# ---- in a worker ------------------------------------------------------------------------------------------


def _symgrad(dtype: str, form: str, a: Any, b: Any, out: Any) -> Call:
    sg = importlib.import_module("symgrad")
    key = (dtype, form)
    if key not in _compiled:
        x = sg.tensor("a", shape=("k", "m") if form[0] == "t" else ("m", "k"), dtype=dtype)
        y = sg.tensor("b", shape=("n", "k") if form[1] == "t" else ("k", "n"), dtype=dtype)
        product = sg.matmul(x.T if form[0] == "t" else x, y.T if form[1] == "t" else y)
        _compiled[key] = sg.function([x, y], product)
    f = _compiled[key]
    return lambda: f(a, b)


def _torch(dtype: str, form: str, a: Any, b: Any, out: Any) -> Call:
    torch = importlib.import_module("torch")
    x, y, z = (torch.from_numpy(array) for array in (a, b, out))
    x, y = (x.T if form[0] == "t" else x), (y.T if form[1] == "t" else y)
    return lambda: torch.matmul(x, y, out=z)


def _numpy(dtype: str, form: str, a: Any, b: Any, out: Any) -> Call:
    x, y = (a.T if form[0] == "t" else a), (b.T if form[1] == "t" else b)
    return lambda: np.matmul(x, y, out=out)


_MAKERS: dict[str, Callable[..., Call]] = {"symgrad": _symgrad, "torch": _torch, "numpy": _numpy}
_compiled: dict[tuple[str, str], Any] = {}


def work(system: str, threads: int) -> None:
    """Answer requests, a line each: the seconds of calls."""
    if system == "symgrad":
        importlib.import_module("symgrad").set_num_threads(threads)
    elif system == "torch":
        importlib.import_module("torch").set_num_threads(threads)
    clock = time.thread_time if threads == 1 else time.perf_counter
    calls: dict[str, Call] = {}
    for line in sys.stdin:
        wanted = json.loads(line)
        name = json.dumps([wanted[k] for k in ("size", "dtype", "form")])
        if name not in calls:
            calls.clear()
            calls[name] = _multiply_adds(threads)[0] if system == PEAK else _prepare(system, wanted)
        print(json.dumps(_timings(calls[name], wanted["seconds"], clock)), flush=True)


@cache
def _multiply_adds(threads: int) -> tuple[Call, float]:
    """A call, and how many operations it is. Needs llvmlite, which interpreters of peers may not have."""
    found: tuple[Call, float] = importlib.import_module("benchmarks.machine").fused(threads, _STEPS)
    return found


def _prepare(system: str, wanted: dict[str, Any]) -> Call:
    m, k, n = wanted["size"]
    dtype, form = wanted["dtype"], wanted["form"]
    rng = np.random.default_rng(0)
    a = rng.random((k, m) if form[0] == "t" else (m, k)).astype(dtype)
    b = rng.random((n, k) if form[1] == "t" else (k, n)).astype(dtype)
    out = np.zeros((m, n), dtype)
    call = _MAKERS[system](dtype, form, a, b, out)
    found = call()
    result = found if isinstance(found, np.ndarray) else out
    expected = (a.T if form[0] == "t" else a) @ (b.T if form[1] == "t" else b)
    np.testing.assert_allclose(result, expected, rtol=1e-3 if dtype == "float32" else 1e-9)
    return call


def _timings(call: Call, seconds: float, clock: Callable[[], float]) -> list[float]:
    start = time.perf_counter()
    call()
    number = max(1, int(_SHORT / max(time.perf_counter() - start, 1e-9)))
    found = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(found) < 3:
        start = clock()
        for _ in range(number):
            call()
        found.append((clock() - start) / number)
    return found


# ---- in the one that asks ---------------------------------------------------------------------------------


class Worker:
    """A system in a process of its own."""

    def __init__(self, system: str, python: str, threads: int) -> None:
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, str(threads))
        environment["OPENBLAS_THREAD_TIMEOUT"] = "8"  # its threads would go on into the turns of others
        environment.pop("SYMGRAD_VALIDATE", None)
        command = [python, __file__, "--worker", system, "--threads", str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def time(self, **wanted: Any) -> list[float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(wanted), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"a worker failed on {wanted}")
        found: list[float] = json.loads(answer)
        return found


def _size(text: str) -> tuple[int, int, int]:
    numbers = [int(n) for n in text.split("x")]
    m, k, n = numbers if len(numbers) == 3 else numbers * 3
    return m, k, n


@dataclass
class Result:
    """One product, by all systems."""

    dtype: str
    form: str
    size: tuple[int, int, int]
    times: dict[str, list[float]]  # seconds of a call, by system
    peak: float  # operations a second of the processor in its turns, in this type

    @property
    def name(self) -> str:
        return f"{self.dtype} {self.form} {'x'.join(map(str, self.size))}"

    def speed(self, system: str, of: Callable[[list[float]], float]) -> float:
        """Thousands of millions of operations a second."""
        return 2e-9 * math.prod(self.size) / of(self.times[system])

    def ratio(self, peer: str, of: Callable[[list[float]], float]) -> float:
        return of(self.times[peer]) / of(self.times["symgrad"])

    def line(self, systems: list[str]) -> str:
        speeds = "".join(f"{self.speed(s, median):9.1f}" for s in systems)
        part = self.speed("symgrad", median) / self.peak
        ratios = "".join(f"   {self.ratio(p, median):5.2f} ({self.ratio(p, min):5.2f})" for p in systems[1:])
        return f"{self.name:25}{speeds}  {part:5.0%} {ratios}"


def compare(given: argparse.Namespace) -> None:
    pythons = dict(pair.split("=", 1) for pair in given.python)
    systems = ["symgrad", *given.peers]
    workers = {s: Worker(s, pythons.get(s, sys.executable), given.threads) for s in [*systems, PEAK]}
    titles = "".join(f"{s:>9}" for s in systems) + "   peak " + "".join(f"{p:>16}" for p in given.peers)
    print(f"{given.threads} threads\n{'':25}{titles}")
    results = []
    for dtype, size, form in itertools.product(given.dtypes, map(_size, given.sizes), given.forms):
        results.append(_one(workers, dtype, form, size, given))
        print(results[-1].line(systems), flush=True)
    for p in given.peers:
        for title, some in (
            (f"sizes from {LARGE}", [r for r in results if min(r.size) >= LARGE]),
            ("smaller sizes", [r for r in results if min(r.size) < LARGE]),
        ):
            if some:
                mean, least = _summary([r.ratio(p, median) for r in some])
                print(f"{title}: {mean:.2f} x {p} in geometric mean, at least {least:.2f} x")
    if given.output:
        told = {"threads": given.threads, "results": [asdict(r) for r in results]}
        Path(given.output).write_text(json.dumps(told))


def _one(
    workers: dict[str, Worker], dtype: str, form: str, size: tuple[int, int, int], given: argparse.Namespace
) -> Result:
    times: dict[str, list[float]] = {s: [] for s in workers}
    for _ in range(given.rounds):
        for s, worker in workers.items():
            seconds = given.seconds / (5 if s == PEAK else 1)
            times[s] += worker.time(size=size, dtype=dtype, form=form, seconds=seconds)
            time.sleep(0.01)  # threads that spin for more work give up
    _, operations = _multiply_adds(given.threads)
    peak = 1e-9 * operations / median(times.pop(PEAK))
    return Result(dtype, form, size, times, peak if dtype == "float32" else peak / 2)


def _summary(ratios: list[float]) -> tuple[float, float]:
    return math.exp(math.fsum(map(math.log, ratios)) / len(ratios)), min(ratios)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--sizes", nargs="*", default=SIZES.split(), help="N, or ROWSxINNERxCOLUMNS")
    options.add_argument("--forms", nargs="*", choices=FORMS, default=FORMS)
    options.add_argument("--dtypes", nargs="*", choices=DTYPES, default=DTYPES)
    options.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    options.add_argument("--python", nargs="*", default=[], metavar="PEER=PATH", help="interpreters")
    options.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options.add_argument("--rounds", type=int, default=5, help="turns of each system (default 5)")
    options.add_argument("--seconds", type=float, default=0.05, help="of a turn (default 0.05)")
    options.add_argument("--output", metavar="FILE", help="all timings, as JSON")
    options.add_argument("--worker", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.worker:
        work(given.worker, given.threads)
    else:
        compare(given)


if __name__ == "__main__":
    main()
