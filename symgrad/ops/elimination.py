"""Small systems of linear equations, unrolled."""

from __future__ import annotations

from symgrad.ir.tensor import Tensor
from symgrad.ops.arithmetic import abs
from symgrad.ops.compare import equal
from symgrad.ops.create import arange
from symgrad.ops.join import stack
from symgrad.ops.reduce import argmax
from symgrad.ops.select import where


def eliminated(a: Tensor, b: Tensor) -> Tensor:
    """The solution x of a x = b, for a matrix of known size: Gauss's elimination with the largest pivot of each
    column. A singular matrix gives infinities or NaN.

    >>> from symgrad.ops.create import constant
    >>> eliminated(constant([[0.0, 2.0], [4.0, 0.0]]), constant([6.0, 8.0])).eval()
    array([2., 3.])
    """
    n = a.shape[0]
    assert isinstance(n, int)
    rows = arange(n)
    for k in range(n):
        candidates = where(rows < k, -1.0, abs(a[:, k]))
        pivot = argmax(candidates)
        order = where(equal(rows, k), pivot, where(equal(rows, pivot), k, rows))
        a, b = a[order], b[order]
        factors = where(rows > k, a[:, k] / a[k, k], 0.0)
        a = a - factors[:, None] * a[k]
        b = b - factors * b[k]
    found: list[Tensor] = []
    for k in reversed(range(n)):
        rest = b[k]
        for i, x in enumerate(found):
            rest = rest - a[k, k + 1 + i] * x
        found.insert(0, rest / a[k, k])
    return stack(found)
