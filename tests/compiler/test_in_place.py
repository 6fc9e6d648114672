"""NumPy forms that write into the array of an operand give what they give into an array of their own.

The NumPy backend reuses arrays of operands that nothing reads any more, so every elementwise form must have
read what it needs of an operand before it writes there. Twice that was not so, which random graphs found.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad import registry
from symgrad.ops.evaluate import MODULES
from symgrad.ops.kinds import Elementwise
from symgrad.types import DTYPES
from tests.native.test_agreement import values

CASES = [
    (name, dtype)
    for name, op in registry.ops.items()
    if isinstance(op, Elementwise) and "{out}" in op.numpy
    for dtype in DTYPES.values()
    if dtype.kind in op.accepts and dtype.kind != "complex" and (name, dtype.kind) != ("pow", "int")
]


@pytest.mark.parametrize(("name", "dtype"), CASES, ids=str)
def test_into_an_operand(name: str, dtype: Any) -> None:
    op = registry.ops[name]
    kinds = [np.dtype(bool) if i < op.conditions else dtype.numpy for i in range(len(op.operands))]
    table = [np.append(values(k), np.array([-0.3, -1.7], k)) if k.kind == "f" else values(k) for k in kinds]
    arrays = [np.ascontiguousarray(g.ravel()) for g in np.meshgrid(*table, indexing="ij")]
    special = importlib.import_module("symgrad_compiler.backends.special").special
    template = op.numpy.format(out="out", **{n: n for n in op.operands})
    function = eval(f"lambda {', '.join(op.operands)}, out: {template}", {**MODULES, "special": special})
    with np.errstate(all="ignore"):
        wanted = np.asarray(function(*arrays, None))
        for i, array in enumerate(arrays):
            if array.dtype == wanted.dtype:
                given = [a.copy() for a in arrays]
                found = function(*given, given[i])
                assert found is given[i]
                np.testing.assert_array_equal(found, wanted)


def test_what_reads_a_new_value_waits_for_it(backend: str) -> None:
    """The kernel of `t` may write its state last only if that of `a`, which reads it, runs later still; that
    one does not, since `r` reads what it makes."""
    s = sg.shared(np.array([1.0, 2, 3]), "s")
    v = sg.shared(np.array([10.0, 20, 30]), "v")
    t = 2 * v - s
    a = sg.flip(t) + 1
    f = sg.function([], [t, sg.roll(a, 1)], updates={s: t, v: a}, backend=backend)
    old_s, old_v = s.get(), v.get()
    for _ in range(3):
        new = 2 * old_v - old_s
        other = new[::-1] + 1
        first, second = f()
        np.testing.assert_array_equal(first, new)
        np.testing.assert_array_equal(second, np.roll(other, 1))
        np.testing.assert_array_equal(s.get(), new)
        np.testing.assert_array_equal(v.get(), other)
        old_s, old_v = new, other


def test_chains_of_states_of_any_length(backend: str) -> None:
    """Each new value is a result, and read by the next one in another order; the last one by one more result:
    one after the other turns out not to be the last."""
    states = [sg.shared(np.arange(4.0) + k, f"s{k}") for k in range(6)]
    made = states[-1] * 2 - states[0]
    news = [made]
    for state in states[1:]:
        made = sg.flip(made) + state
        news.append(made)
    updates = dict(zip(states, news, strict=True))
    f = sg.function([], [*news, sg.roll(made, 1)], updates=updates, backend=backend)
    old = [s.get() for s in states]
    for _ in range(2):
        *results, found = f()
        new = [old[-1] * 2 - old[0]]
        for value in old[1:]:
            new.append(new[-1][::-1] + value)
        np.testing.assert_array_equal(found, np.roll(new[-1], 1))
        for state, result, value in zip(states, results, new, strict=True):
            np.testing.assert_array_equal(result, value)
            np.testing.assert_array_equal(state.get(), value)
        old = new
