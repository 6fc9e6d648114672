"""The axes that a loop nest runs along, and the streams of memory that advance with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from symgrad.dims import Dim
from symgrad_compiler.backends.llvm.ir import Value
from symgrad_compiler.backends.llvm.scalars import kind_of
from symgrad_compiler.plan.steps import Storage


@dataclass(eq=False)
class Stream:
    """A layout that the loops walk along, and where it is now: a pointer, or a position for an iota."""

    storage: Storage
    strides: tuple[Dim, ...]  # by merged axis
    offset: Dim
    at: list[Value] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return kind_of(self.storage.dtype)


@dataclass(frozen=True)
class Axis:
    """A loop."""

    extent: Dim
    reduced: bool


def merge(
    space: Sequence[Dim], reduced: set[int], strides: Sequence[tuple[Dim, ...]], positional: bool
) -> tuple[list[Axis], list[int]]:
    """The axes of the nest, and which axis of the space each advances by: axes of size 1 are dropped, and
    neighbours along which every stream advances evenly become one."""
    axes: list[Axis] = []
    last: list[int] = []
    for i, extent in enumerate(space):
        if extent == 1:
            continue
        is_reduced = i in reduced
        if axes and axes[-1].reduced == is_reduced and not (positional and is_reduced):
            before = last[-1]
            if all(s[before] == s[i] * extent for s in strides):
                axes[-1] = Axis(axes[-1].extent * extent, is_reduced)
                last[-1] = i
                continue
        axes.append(Axis(extent, is_reduced))
        last.append(i)
    return axes, last
