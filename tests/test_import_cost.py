"""`import symgrad` is fast: it loads no heavy library and adds little to NumPy's own import."""

from __future__ import annotations

import statistics
import subprocess
import sys

HEAVY = ("llvmlite", "matplotlib", "networkx", "scipy", "sympy")
BUDGET_MS = 60.0
RUNS = 7

# NumPy first, so that symgrad's share alone is timed; both in one fresh process.
TIME_BOTH = """
from time import perf_counter
start = perf_counter(); import numpy
middle = perf_counter(); import symgrad
print((middle - start) * 1e3, (perf_counter() - middle) * 1e3)
"""

LIST_LOADED = f"import sys, symgrad; print(*[name for name in {HEAVY!r} if name in sys.modules])"


def output_of(code: str) -> str:
    # -I: neither the folder nor the environment variables of whoever runs the tests count.
    return subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_import_loads_nothing_heavy() -> None:
    assert output_of(LIST_LOADED).split() == []


def test_import_adds_little_to_numpy() -> None:
    output_of(TIME_BOTH)  # writes the .pyc files
    pairs = [tuple(map(float, output_of(TIME_BOTH).split())) for _ in range(RUNS)]
    numpy_ms, symgrad_ms = (statistics.median(column) for column in zip(*pairs, strict=True))
    assert symgrad_ms <= BUDGET_MS, f"symgrad {symgrad_ms:.0f} ms after NumPy's {numpy_ms:.0f} ms"
