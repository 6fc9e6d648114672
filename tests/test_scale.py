"""Long graphs: no recursion anywhere, and time that grows with length, not its square."""

from __future__ import annotations

import time
from typing import Any

import pytest

import symgrad as sg


def chain(n: int) -> tuple[Any, Any]:
    x = y = sg.scalar("x")
    for _ in range(n):
        y = sg.sin(y + 1)
    return x, y


def once(n: int) -> float:
    start = time.perf_counter()
    x, y = chain(n)
    g = sg.Graph([x], sg.grad(y, x))
    sg.optimize(g)
    return time.perf_counter() - start


@pytest.mark.slow
def test_a_long_chain_goes_all_the_way() -> None:
    x, y = chain(3_000)
    first = sg.grad(y, x)
    second = sg.grad(first, x)
    g = sg.Graph([x], [first, second])
    assert sg.parse(sg.emit(g)).same(g)
    assert sg.function([x], second)(0.5) is not None


@pytest.mark.slow
def test_time_grows_near_linearly() -> None:
    once(500)
    small, large = min(once(2_000) for _ in range(3)), min(once(8_000) for _ in range(2))
    assert large < 4 * 2.5 * small


def stacked(n: int) -> float:
    """Seconds to differentiate a stack of n numbers, from the first rule on."""
    x = sg.vector("x", size=2)
    cost = sg.sum(sg.stack([x[0] * float(k) for k in range(n)]) ** 2)
    start = time.perf_counter()
    sg.grad(cost, x, stabilize=False)
    return time.perf_counter() - start


@pytest.mark.slow
def test_a_join_of_many_is_differentiated_in_linear_time() -> None:
    stacked(500)
    small, large = min(stacked(2_000) for _ in range(3)), min(stacked(8_000) for _ in range(2))
    assert large < 4 * 2.5 * small


@pytest.mark.campaign
def test_a_hundred_thousand() -> None:
    assert once(100_000) < 40
    x, y = chain(100_000)
    g = sg.Graph([x], sg.grad(y, x))
    assert sg.parse(sg.emit(g)).same(g)
