"""One system on one workload, in a process of its own: answers, line by line, what `run.py` asks.

    python benchmarks/worker.py SYSTEM WORKLOAD SIZES(json)

Each line in and out is a JSON object. Between requests it waits on its pipe, and so takes no processor time.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import timeit
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.harness import Program, as_list
from benchmarks.systems import SYSTEMS, System
from benchmarks.workloads import WORKLOADS

#: A shorter timing than this is of several calls.
LEAST_SECONDS = 2e-3
#: A turn has at least so many timings.
LEAST_TIMINGS = 1


class Worker:
    """Answers requests: `build`, `time`, `plan`."""

    def __init__(self, system: System, workload: str, sizes: dict[str, int]) -> None:
        self.system, self.workload, self.sizes = system, WORKLOADS[workload], sizes
        self.version = system.load()
        data = self.workload.data(sizes)
        self.data = {name: system.array(value) for name, value in data.items()}
        self.timers: dict[str, tuple[timeit.Timer, int]] = {}

    def build(self, outputs: str = "") -> dict[str, Any]:
        """Seconds from the workload's definition to its first result; writes the results to a file."""
        start = time.perf_counter()
        self.program = self.system.make(self.workload, self.data, self.sizes)
        function, arguments = self.program
        found = function(*arguments)
        if self.system.version == "jax":
            self.system.module.block_until_ready(found)
        seconds = time.perf_counter() - start
        if outputs:
            arrays = as_list(found)
            np.savez(outputs, **{f"r{i}": array for i, array in enumerate(arrays)})
        ways = [way for way in self.system.ways if not (way and self.workload.small_call)]
        self.timers = {way: timer(self.system, self.program, way) for way in ways}
        return {"seconds": seconds}

    def time(self, way: str, seconds: float) -> dict[str, Any]:
        """Seconds of a call, timed for so many seconds."""
        run, number = self.timers[way]
        run.timeit(number)  # what other processes put out of the caches
        times: list[float] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(times) < LEAST_TIMINGS:
            times.append(run.timeit(number) / number)
        return {"times": times}

    def plan(self) -> dict[str, Any]:
        return {"plan": self.system.plan(self.program)}


def timer(system: System, program: Program, way: str) -> tuple[timeit.Timer, int]:
    """What times one call, written out without anything around it; and how many calls make a timing."""
    names = {f"a{i}": value for i, value in enumerate(program.arguments)}
    call = system.ways[way].format(a=", ".join(names))
    scope = {"f": program.function} | names | system.names(program, way)
    run = timeit.Timer(call, "gc.enable()", globals=scope | {"gc": importlib.import_module("gc")})
    number = 1
    while run.timeit(number) < LEAST_SECONDS:
        number *= 2
    return run, number


def main() -> None:
    # What packages print must not come between the answers: they get standard error as their output.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(found: dict[str, Any]) -> None:
        answers.write(json.dumps(found) + "\n")

    name, workload, sizes = sys.argv[1:]
    system = SYSTEMS[name]()
    try:
        worker = Worker(system, workload, json.loads(sizes))
    except ModuleNotFoundError as error:
        answer({"missing": error.name})
        return
    answer({"version": worker.version})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer(getattr(worker, request.pop("do"))(**request))
        except Exception as error:
            traceback.print_exc()
            answer({"failed": f"{type(error).__name__}: {error}".splitlines()[0]})


if __name__ == "__main__":
    main()
