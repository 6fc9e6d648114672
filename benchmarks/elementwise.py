"""The derivative of elementwise expressions of twelve operations over 1e6 float64, against a copy.

    python benchmarks/elementwise.py

The copy moves the same bytes. Results go into arrays that exist (`f.into`), on one thread, as the copy does.
Once with one pair of arrays, which a large cache may hold; once with ten pairs in turn, which come from
memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import symgrad as sg

EXPRESSIONS: dict[str, Callable[[Any], Any]] = {
    "+ - * only": lambda x: ((x * x - 0.5) * x + (0.3 * x - 1.5)) * x * 0.25 - (x + 2) * (x - 1),
    "one division": lambda x: ((x * x + 1.5) * x - 0.3 * x) / (x * x + 2.0) + 0.25 * x * x - x * 1.5,
    "exp": lambda x: sg.exp(-0.5 * x * x) * (x * x - 2.0 * x + 1.0) + 0.5 * x * x - 3.0 * x,
    "exp and division": lambda x: sg.exp(-x * x) * (x * x * x - 2 * x + 1) / (1 + x * x) + 0.5 * x,
    "tanh, exp, sin, log": lambda x: (
        sg.tanh(x * 1.5 + 0.2) * sg.exp(-0.5 * x * x) + sg.sin(x) * x + sg.log(1 + x * x) / 3.0
    ),
}
SIZE, RUNS, REPEATS = 1_000_000, 5, 20


def median_ms(run: Callable[[], None], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e3


def compare(
    expression: Callable[[Any], Any], pairs: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[float, float]:
    """Milliseconds a pair of arrays, of a copy and of the derivative, interleaved."""
    x = sg.vector("x", size="n")
    f = sg.function([x], sg.grad(sg.sum(expression(x)), x))

    def copy() -> None:
        for a, out in pairs:
            np.copyto(out, a)

    def derive() -> None:
        for a, out in pairs:
            f.into(out, a)

    derive()
    repeats = max(5, REPEATS // len(pairs))
    runs = [(median_ms(copy, repeats), median_ms(derive, repeats)) for _ in range(RUNS)]
    return float(np.median([c for c, _ in runs])) / len(pairs), float(np.median([d for _, d in runs])) / len(
        pairs
    )


def main() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 10):
        pairs = [(rng.normal(size=SIZE), np.empty(SIZE)) for _ in range(count)]
        print(f"{count} pair{'s in turn' * (count > 1)}, {count * SIZE * 16 // 10**6} MB")
        for name, expression in EXPRESSIONS.items():
            copied, derived = compare(expression, pairs)
            print(f"  {name:22} copy {copied:5.2f} ms  derivative {derived:5.2f} ms  {derived / copied:5.2f}")


if __name__ == "__main__":
    main()
