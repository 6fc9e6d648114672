"""What a call checks before it computes with it: sizes, bounds of slices, elements that are indices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from symgrad.dims import Dim
from symgrad.ops.bounds import Bound
from symgrad_compiler.plan.steps import Access, Check, Step


@dataclass(eq=False)
class NotNegative(Check):
    """A size that was computed from others is not negative."""

    size: Dim


@dataclass(eq=False)
class Sign(Check):
    """The bound of a slice counts from the end that it was taken to count from."""

    bound: Bound


@dataclass(eq=False)
class Equal(Check):
    """Sizes that were assumed equal are."""

    sizes: tuple[Dim, Dim]


@dataclass(eq=False)
class Elements(Check):
    """A reduction that needs elements gets some, also for no results, as in NumPy."""

    count: Dim


@dataclass(eq=False)
class Inside(Check):
    """A slice stays within its axis: its first and its last position, if it has positions."""

    size: Dim
    first: Dim
    last: Dim
    count: Dim


@dataclass(eq=False)
class Indices(Check):
    """All indices in memory are in range of an axis."""

    size: Dim
    index: Access
    #: Whether negative ones count from the end; otherwise they are out of range.
    from_end: bool

    def reads(self) -> Iterator[Access]:
        yield self.index


@dataclass(eq=False)
class Exponents(Check):
    """Exponents of integers are not negative."""

    exponent: Access

    def reads(self) -> Iterator[Access]:
        yield self.exponent


def is_of_sizes(step: Step) -> bool:
    """Whether a step is a check that reads no memory: it can come before all that is computed."""
    return isinstance(step, Check) and next(step.reads(), None) is None
