"""The axes that a loop nest runs along, and the streams of memory that advance with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from symgrad.dims import Dim, is_never_negative
from symgrad.ir.tensor import Tensor
from symgrad.ops.strided import Strided
from symgrad.records import record
from symgrad_compiler.backends.llvm.ir import Value
from symgrad_compiler.backends.llvm.scalars import kind_of
from symgrad_compiler.plan.steps import Access, Index, Kernel, Reduction, Storage


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


@record
class Streams:
    """What a kernel touches, as layouts over its space: (storage, strides, offset); and who touches which, by
    position."""

    layouts: list[tuple[Storage, tuple[Dim, ...], Dim]]
    reduced: set[int]
    sources: dict[Tensor, int]
    gathers: dict[Tensor, tuple[int, list[int]]]
    scatters: list[tuple[int, list[int]]]
    stores: list[int]
    results: list[int]
    lost: dict[Reduction, int]

    @classmethod
    def of(cls, kernel: Kernel) -> Streams:
        rank = len(kernel.space)
        reduced = set(kernel.reductions[0].axes) if kernel.reductions else set()
        kept = [i for i in range(rank) if i not in reduced]
        layouts: list[tuple[Storage, tuple[Dim, ...], Dim]] = []

        def add(storage: Storage, layout: Strided) -> int:
            layouts.append((storage, layout.strides, layout.offset))
            return len(layouts) - 1

        def add_result(access: Access) -> int:
            strides: list[Dim] = [0] * rank
            for axis, stride in zip(kept, access.layout.strides, strict=True):
                strides[axis] = stride
            layouts.append((access.storage, tuple(strides), access.layout.offset))
            return len(layouts) - 1

        def add_indices(indices: Sequence[Index]) -> list[int]:
            return [add(i.access.storage, i.access.layout) for i in indices]

        return cls(
            layouts,
            reduced,
            {t: add(s.storage, s.layout) for t, s in kernel.sources.items() if isinstance(s, Access)},
            {t: (add(g.storage, g.layout), add_indices(g.indices)) for t, g in kernel.gathers.items()},
            [(add(s.storage, s.layout), add_indices(s.indices)) for s in kernel.scatters],
            [add(a.storage, a.layout) for _, a in kernel.stores],
            [add_result(a) for _, a in kernel.results],
            {r: add_result(a) for r, a in (kernel.lost or {}).items()},
        )


@record
class Axis:
    """A loop."""

    extent: Dim
    reduced: bool


def merge(
    space: Sequence[Dim], reduced: set[int], strides: Sequence[tuple[Dim, ...]], positional: bool
) -> tuple[list[Axis], list[int]]:
    """The axes of the nest, and which axis of the space each advances by: axes of size 1 are dropped, and
    neighbours along which every stream advances evenly become one, unless both might be negative."""
    axes: list[Axis] = []
    last: list[int] = []
    for i, extent in enumerate(space):
        if extent == 1:
            continue
        is_reduced = i in reduced
        if axes and axes[-1].reduced == is_reduced and not (positional and is_reduced):
            before = last[-1]
            known = is_never_negative(extent) and is_never_negative(axes[-1].extent)
            if known and all(s[before] == s[i] * extent for s in strides):
                axes[-1] = Axis(axes[-1].extent * extent, is_reduced)
                last[-1] = i
                continue
        axes.append(Axis(extent, is_reduced))
        last.append(i)
    return axes, last
