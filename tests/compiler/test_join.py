"""Kernels of a loop over rows that become one."""

from __future__ import annotations

import numpy as np
import pytest

import symgrad as sg
from symgrad.ir.tensor import Tensor
from symgrad.ops.strided import Strided
from symgrad_compiler.plan.join import joined
from symgrad_compiler.plan.steps import ARENA, INPUT, Access, Kernel, Storage

ROWS = 100_000


def plan_of(inputs: list[Tensor], outputs: list[Tensor]) -> str:
    """The plan, after a call that is compared with the NumPy backend's."""
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(0.5, 2.0, [ROWS if d == "n" else d for d in map(_known, t.shape)]) for t in inputs]
    f = sg.function(inputs, outputs, backend="llvm")
    for a, b in zip(f(*arrays), sg.function(inputs, outputs, backend="numpy")(*arrays), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)
    return f.plan()


def _known(dim: object) -> object:
    return dim if isinstance(dim, int) else "n"


def test_what_meets_later_is_one_kernel() -> None:
    """log(a / b) and the rest read nothing in common until they are added up."""
    a, b, c, d = xs = [sg.vector(name, size="n") for name in "abcd"]
    y = sg.log(a / b) + sg.exp(c * c + 1 / d) / sg.sqrt(d)
    plan = plan_of(xs, [y, sg.sum(y)])
    assert plan.count("kernel over (rows of the loop,)") == 1
    assert "sqrt[" not in plan


def test_what_the_caller_gets_too_is_still_stored() -> None:
    a, b, c = xs = [sg.vector(name, size="n") for name in "abc"]
    first, second = sg.log(a / b), sg.sqrt(c)
    plan = plan_of(xs, [sg.sum(first * second), second])
    assert plan.count("kernel over (rows of the loop,)") == 1
    assert "<- sqrt" in plan


def test_a_value_and_where_it_is_least_are_found_together() -> None:
    x, y = sg.matrix("x", shape=("n", 64)), sg.vector("y", size=64)
    d = sg.square(x - y)
    plan = plan_of([x, y], [sg.min(d, axis=1), sg.argmin(d, axis=1)])
    assert plan.count("kernel over") == 1


def test_what_reads_a_sum_of_the_same_row_waits_for_it() -> None:
    x = sg.matrix("x", shape=("n", 64))
    e = sg.sqrt(x)
    plan = plan_of([x], [e / sg.sum(e, axis=1, keepdims=True)])
    assert plan.count("kernel over (rows of the loop, 64)") == 2


def test_what_the_first_reads_and_the_second_computes_is_read() -> None:
    """Cheap things are done again, each time in the kernel that needs them."""
    x, y, z = (sg.vector(name, size=8) for name in "xyz")
    doubled = x + x
    first_made, second_made = y + doubled, z - doubled
    total = first_made * second_made
    layout = Strided.contiguous((8,))
    given = {t: Access(Storage(INPUT, t.dtype, 8, i), layout) for i, t in enumerate((x, y, z))}
    kept, handed_over, result = (Access(Storage(ARENA, x.dtype, 8), layout) for _ in range(3))
    first, second = Kernel((8,)), Kernel((8,))
    first.sources = {y: given[y], doubled: kept}
    first.add(first_made.node)
    first.stores = [(first_made, handed_over)]
    second.sources = {x: given[x], z: given[z], first_made: handed_over}
    for tensor in (doubled, second_made, total):
        second.add(tensor.node)
    second.stores = [(total, result)]
    (both,) = joined([first, second], {handed_over.storage})
    assert isinstance(both, Kernel)
    assert both.nodes == [first_made.node, second_made.node, total.node]
    assert set(both.sources) == {y, z, doubled}
    assert both.stores == [(total, result)]


@pytest.mark.parametrize("count", [3, 30])
def test_kernels_stay_of_a_size(count: int) -> None:
    """No more streams of memory than a kernel may have."""
    xs = [sg.vector(f"x{i}", size="n") for i in range(count)]
    total = xs[0] * 2.0
    for x in xs[1:]:
        total = sg.logaddexp(total, x * 2.0)
    plan = plan_of(xs, [total, sg.sum(total)])
    assert (plan.count("kernel over (rows of the loop,)") == 1) == (count == 3)
