"""Bounds of slices, and indices, that are sizes: from which end they count, and what a call has to check of that.

A bound b counts from the front where it is 0 or more, and from the end where it is negative. Which of the two a
size such as -k is has to be known when the graph is built, so it is taken to be

    from the end     if it falls with its symbols, from 1 or less: -k, 1-k, -(k//2)
    from the front   otherwise: k, n-k, n-6, 9-k

and a call in which the other would give another result raises (`plan/sizes.py`). So x[:-k] has n-k elements, and an
error for k = 0, for which NumPy takes -k to count from the front.
"""

from __future__ import annotations

from symgrad.dims import Dim, constant_term, is_never_negative, is_never_positive
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.shape import SpecifyShape
from symgrad.records import record


@record
class Bound:
    """A bound that a call has to check, and the farthest from the end, less 1, that it makes a difference."""

    bound: Dim
    reach: Dim

    @property
    def from_end(self) -> bool:
        """Whether it is taken to count from the end."""
        return counts_from_end(self.bound)

    @property
    def is_certain(self) -> bool:
        """Whether it is on its side, or makes no difference, whatever the symbols are."""
        if self.from_end:  # fails if bound >= 0 and reach >= 0
            return is_never_positive(self.bound + 1) or is_never_positive(self.bound + self.reach + 1)
        gap = self.reach - self.bound  # fails if bound < 0 and bound + reach >= 0
        return is_never_negative(self.bound) or (isinstance(gap, int) and gap < 2)


def counts_from_end(bound: Dim) -> bool:
    """Whether a bound is taken to count from the end."""
    if isinstance(bound, int):
        return bound < 0
    start = constant_term(bound)
    return start <= 1 and is_never_positive(bound - start)


def place(bound: Dim, size: Dim) -> Dim:
    """Where a bound of an axis is, counted from the front."""
    return size + bound if counts_from_end(bound) else bound


def bounded(x: Tensor, bounds: list[Bound]) -> Tensor:
    """x, to be cut at bounds that a call checks."""
    checked = [b for b in bounds if not b.is_certain]
    if not checked:
        return x
    return apply(SpecifyShape(x.shape, tuple(b.bound for b in checked), tuple(b.reach for b in checked)), x)
