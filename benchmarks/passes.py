"""What the passes do to five gradient graphs, and what they cost.

    python benchmarks/passes.py                   nodes per pass, seconds, run time with and without passes
    python benchmarks/passes.py --plot passes.png the nodes as a picture as well (extra `examples`)
    python benchmarks/passes.py --scale           the pipeline on 10,000 to 100,000 nodes; native compile
    python benchmarks/passes.py --profile         where the pipeline's time goes on 100,000 nodes

The cache on disk is off, BLAS has one thread. Run times are medians of interleaved calls, since other work
may share the machine.
"""

from __future__ import annotations

import argparse
import cProfile
import importlib
import os
import pstats
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ["SYMGRAD_CACHE_DIR"] = ""
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # two threads on a shared machine wait for each other

import numpy as np

import symgrad as sg
from symgrad.ir.graph import Graph

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.compiler.networks import NETWORKS, Network

BACKENDS = ("llvm", "numpy")
#: Seconds for each pair of functions that are compared.
SECONDS = 4.0


def interleaved(runs: Sequence[Callable[[], Any]], seconds: float) -> list[float]:
    """The median time of each, in seconds; they take turns."""
    times: list[list[float]] = [[] for _ in runs]
    for run in runs:
        run()
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or len(times[0]) < 5:
        for run, found in zip(runs, times, strict=True):
            before = time.perf_counter()
            run()
            found.append(time.perf_counter() - before)
    return [float(np.median(t)) for t in times]


def table(rows: Sequence[Sequence[object]]) -> str:
    """Columns of equal width, the first to the left."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join(
        "  ".join(
            c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in texts
    )


def numbered(names: Sequence[str]) -> list[str]:
    """The names of passes; what runs twice has a number."""
    return [f"{n} {names[: i + 1].count(n)}" if names.count(n) > 1 else n for i, n in enumerate(names)]


def nodes(networks: dict[str, Network]) -> dict[str, list[int]]:
    """Nodes before all passes and after each; prints them."""
    told = {name: sg.explain(network.graph) for name, network in networks.items()}
    names = numbered([p.name for p in next(iter(told.values())).passes])
    counts = {name: [len(e.graph.nodes), *[p.after for p in e.passes]] for name, e in told.items()}
    rows = [["graph", "before", *names, "left"]]
    rows += [[n, *map(str, c), f"{c[-1] / c[0]:.0%}"] for n, c in counts.items()]
    print("nodes after each pass\n" + table(rows) + "\n")
    seconds = [["graph", *names, "all"]]
    for name, e in told.items():
        times = [p.seconds * 1e3 for p in e.passes]
        seconds.append([name, *[f"{t:.1f}" for t in times], f"{sum(times):.1f}"])
    print("milliseconds of each pass\n" + table(seconds) + "\n")
    rules = [["graph", "applied", "rules"]]
    for name, e in told.items():
        applied = [(r.name, n) for p in e.passes for r, n in p.rules.items()]
        rules.append([name, str(sum(n for _, n in applied)), str(len({r for r, _ in applied}))])
    print("rules\n" + table(rules) + "\n")
    return counts


def run_times(networks: dict[str, Network]) -> None:
    rows = [["graph", "backend", "compile s", "without s", "run ms", "without ms", "without / with"]]
    for name, network in networks.items():
        for backend in BACKENDS:
            compiled, seconds = [], []
            for passes in (None, ()):
                start = time.perf_counter()
                compiled.append(network.compile(backend, passes))
                seconds.append(time.perf_counter() - start)
            calls = [partial(f, *network.arguments) for f in compiled]
            tuned, plain = interleaved(calls, SECONDS)
            figures = [*[f"{s:.2f}" for s in seconds], *[f"{t * 1e3:.3f}" for t in (tuned, plain)]]
            rows.append([name, backend, *figures, f"{plain / tuned:.2f}"])
    print("compile and run\n" + table(rows))


def chain(nodes: int) -> Graph:
    """A gradient graph of about so many nodes: a long chain with many weights, with work for the rules."""
    x = sg.vector("x", size="n")
    ws = [sg.scalar(f"w{i}") for i in range(50)]
    y = x
    for i in range(nodes * 1000 // 11_600):
        y = sg.tanh(y * ws[i % 50] + x) if i % 3 else sg.log(1 + sg.exp(y)) * 0.5
    cost = sg.sum(y)
    return Graph([x, *ws], [cost, *sg.grad(cost, ws)])


def timed(run: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor: on a shared machine the first may be far more."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def scale() -> None:
    rows = [["nodes", "left", "pipeline s", "CPU s", "CPU s per 10,000"]]
    for size in (10_000, 30_000, 100_000):
        graph = chain(size)
        runs = [timed(partial(sg.optimize, graph)) for _ in range(3)]
        count, left = len(graph.nodes), len(sg.optimize(graph).nodes)
        wall, cpu = (float(np.median(t)) for t in zip(*runs, strict=True))
        rows.append([f"{count}", f"{left}", f"{wall:.2f}", f"{cpu:.2f}", f"{cpu / count * 1e4:.3f}"])
    print("the pipeline, median of 3\n" + table(rows) + "\n")
    graph = chain(10_000)
    wall, cpu = timed(partial(sg.function, graph.inputs, list(graph.outputs), backend="llvm"))
    print(f"native compile of {len(graph.nodes)} nodes: {wall:.1f} s, CPU {cpu:.1f} s")


def profile() -> None:
    large, graph = chain(100_000), chain(10_000)
    inputs, outputs = graph.inputs, list(graph.outputs)
    for what, run in (
        ("the pipeline on 100,000 nodes", partial(sg.optimize, large)),
        ("native compile of 10,000", partial(sg.function, inputs, outputs, backend="llvm")),
    ):
        print(f"\n{what}")
        with cProfile.Profile() as found:
            run()
        pstats.Stats(found).sort_stats("tottime").print_stats(20)


def plot(counts: dict[str, list[int]], path: str) -> None:
    pyplot = importlib.import_module("matplotlib.pyplot")
    names = ["before", *numbered([str(n) for n in sg.passes.default.names])]
    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    for name, found in counts.items():
        axes.plot(names, [c / found[0] for c in found], marker="o", label=name)
    axes.set_ylabel("nodes, of those before")
    axes.tick_params(axis="x", rotation=30)
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--scale", action="store_true", help="large graphs instead of the five")
    options.add_argument("--profile", action="store_true", help="where the time goes on large graphs")
    options.add_argument("--plot", metavar="FILE", help="draw the nodes")
    given = options.parse_args()
    if given.profile:
        profile()
    elif given.scale:
        scale()
    else:
        networks = {name: make(1) for name, make in NETWORKS.items()}
        counts = nodes(networks)
        if given.plot:
            plot(counts, given.plot)
        run_times(networks)


if __name__ == "__main__":
    main()
