"""Random graphs for property tests: `graphs()` is a hypothesis strategy of `sg.Graph`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy
from hypothesis import strategies as st

import symgrad as sg
from symgrad.errors import SymgradError

SHAPES: list[tuple[Any, ...]] = [(), (3,), ("n",), ("n", 3), (2, "m"), ("n", "m"), (1, 3), ("n", 1), (0,)]
DTYPES = ("float64", "float32", "int64", "int8", "uint8", "bool", "complex128", "complex64")
NUMBERS = (0.0, -0.0, 1, 2, -3, 0.1, 1e300, 1e-320, math.inf, -math.inf, math.nan, True, 2j)
NAMES = ("h", "loss", "d_x", "fill", "add", "multiply_1", "d1", "x_T", "größe", "complex", "n")

_UNARY: list[Callable[[Any], Any]] = [
    lambda a: -a,
    abs,
    sg.tanh,
    sg.exp,
    sg.relu,
    sg.isnan,
    sg.sum,
    lambda a: sg.sum(a, axis=0, keepdims=True),
    lambda a: sg.max(a, axis=-1),
    sg.mean,
    lambda a: sg.softmax(a, axis=-1),
    lambda a: sg.logsumexp(a, axis=0),
    lambda a: sg.prod(a, axis=0),
    lambda a: sg.argmax(a, axis=0),
    lambda a: a.T,
    lambda a: sg.reshape(a, (a.size,)),
    lambda a: sg.expand_dims(a, 0),
    lambda a: a[::2],
    lambda a: a[..., :1],
    lambda a: a[None],
    lambda a: sg.astype(a, "float32"),
    lambda a: sg.concat([a, a], axis=0),
    sg.stop_gradient,
    lambda a: sg.arange(a.shape[0]),
    lambda a: sg.split(a, [1], axis=0)[1],
    lambda a: sg.take(a, numpy.array([0, 0]), axis=0),
    lambda a: a.size + 0 * a,
]
_BINARY: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / b,
    lambda a, b: a**b,
    lambda a, b: a // b,
    sg.maximum,
    lambda a, b: a == b,
    lambda a, b: a < b,
    lambda a, b: sg.where(a > b, a, b),
    lambda a, b: sg.where(True, a, b),
    lambda a, b: a @ b,
]


@st.composite
def graphs(draw: st.DrawFn, max_nodes: int = 12) -> sg.Graph:
    """Graphs of a few inputs and states of mixed dtypes and sizes, random ops, names, outputs and updates."""
    given = [
        sg.tensor(f"x{i}", draw(st.sampled_from(SHAPES)), draw(st.sampled_from(DTYPES)))
        for i in range(draw(st.integers(1, 3)))
    ]
    given.append(sg.tensor("sizes", ("n", "m")))  # determines every size
    pool: list[Any] = list(given)
    states = []
    for i in range(draw(st.integers(0, 2))):
        shape = draw(st.sampled_from([(), (3,), (2, 3), (0, 2), (7, 9)]))
        values = numpy.linspace(-1, 1, math.prod(shape)).reshape(shape)
        dtype = draw(st.sampled_from(DTYPES))
        states.append(sg.shared(values.astype(dtype), name=draw(st.sampled_from([f"w{i}", "w", None]))))
    pool += states
    for _ in range(draw(st.integers(1, max_nodes))):
        result = _step(draw, pool)
        if isinstance(result, sg.Tensor):
            if result.name is None and draw(st.integers(0, 3)) == 0:
                result.named(draw(st.sampled_from(NAMES)))
            pool.append(result)
    chosen = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=4))
    outputs: Any = chosen
    if draw(st.booleans()):
        outputs = {f"out{i}": t for i, t in enumerate(chosen)}
    updates = {}
    for state in states:
        fitting = [t for t in pool if t.type == state.type]
        if draw(st.booleans()):
            updates[state] = draw(st.sampled_from(fitting))
    return sg.Graph(given, outputs, updates, name=draw(st.sampled_from(["main", "f", "g_1"])))


def _step(draw: st.DrawFn, pool: list[Any]) -> Any:
    a = draw(st.sampled_from(pool))
    try:
        if draw(st.booleans()):
            return draw(st.sampled_from(_UNARY))(a)
        b = draw(st.one_of(st.sampled_from(pool), st.sampled_from(NUMBERS)))
        f = draw(st.sampled_from(_BINARY))
        return f(b, a) if draw(st.booleans()) else f(a, b)
    except (SymgradError, TypeError, IndexError, OverflowError, ValueError):
        return None
