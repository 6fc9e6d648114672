"""Arenas beyond any machine's memory, whose size may not even be a number of 64 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgrad as sg


@pytest.mark.parametrize(("axes", "size"), [(4, "n"), (5, "n"), (6, "n"), (4, 2**15)])
def test_no_memory_for_the_arena(axes: int, size: Any) -> None:
    x = sg.vector("x", size=size)
    product = x
    for _ in range(axes - 1):
        product = product[..., None] * x
    f = sg.function([x], sg.sum(sg.sort(product, axis=0)), backend="llvm")
    with pytest.raises(MemoryError, match="no memory for the arena"):
        f(np.ones(2**15))
    if size == "n":
        assert f(np.ones(2)) == 2**axes


def test_an_argument_without_elements_may_be_wide() -> None:
    x = sg.matrix("x", shape=("m", "n"))
    f = sg.function([x], sg.sum(sg.cumulative_sum(x.T @ x, axis=0)), backend="llvm")
    with pytest.raises(MemoryError, match="no memory for the arena"):
        f(np.empty((0, 2**30)))
    assert f(np.ones((2, 3))) == 36


def test_sizes_of_every_form() -> None:
    x, k = sg.vector("x", size="n"), sg.vector("k", size="k")
    n = x.shape[0]
    rows = sg.sort(x[: n // 3][:, None] * x[None, : n - 2], axis=0)
    f = sg.function(
        [x, k], [sg.sum(rows), sg.sum(sg.sort(k[:, None] * rows[None, 0], axis=1))], backend="llvm"
    )
    for count in (7, 50):
        a = np.arange(count) / 2
        wanted = np.sum(np.sort(a[: count // 3, None] * a[None, : count - 2], axis=0))
        np.testing.assert_allclose(f(a, np.ones(3))[0], wanted, rtol=1e-14)
