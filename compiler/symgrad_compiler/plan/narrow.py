"""Rows of few elements within a loop over rows: what only the loop touches lies there by columns.

    75 rows of 10 scores      row by row: 10 of 16 lanes, a maximum across the lanes of each
                              by columns: 16 rows side by side, the maximum of 10 vectors

A loop decides freely how its own memory lies. The kernels that touch it go through its columns, which are
long, and inside through rows: reductions of a row need no step across lanes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from symgrad.dims import Dim, Shape
from symgrad.ops.strided import Strided
from symgrad_compiler.plan.steps import (
    IOTA,
    Access,
    FillStep,
    Gather,
    Index,
    Kernel,
    MatMulStep,
    Reduction,
    RowStep,
    Scatter,
    Storage,
)

#: The most elements of a row.
MOST_NARROW = 16


def by_columns(steps: Sequence[RowStep], widths: Mapping[Storage, Dim], rows: Dim) -> list[RowStep]:
    """The steps of a loop over a block of `rows`; `widths` are the elements of a row of each storage that
    nothing else touches."""
    narrow = {s: w for s, w in widths.items() if isinstance(w, int) and 2 <= w <= MOST_NARROW}
    while narrow:
        fixed = {s for step in steps if not _may_turn(step, narrow) for s in _storages(step)}
        if fixed.isdisjoint(narrow):
            break
        narrow = {s: w for s, w in narrow.items() if s not in fixed}
    if not narrow:
        return list(steps)
    turn = _Turn(narrow, rows)
    return [turn(step) if not _storages(step).isdisjoint(narrow) else step for step in steps]


def _storages(step: RowStep) -> set[Storage]:
    return {access.storage for access in (*step.reads(), *step.writes())}


def _may_turn(step: RowStep, narrow: Mapping[Storage, int]) -> bool:
    """Whether nothing else has both rows and columns in a kernel: that would be read or written across."""
    if not isinstance(step, Kernel) or _storages(step).isdisjoint(narrow):
        return True
    return all(
        access.storage in narrow
        or access.storage.kind == IOTA
        or access.layout.strides[0] == 0
        or all(size == 1 or stride == 0 for size, stride in _inside(access.layout))
        for access in _over_rows(step)
    )


def _inside(layout: Strided) -> Iterator[tuple[Dim, Dim]]:
    return zip(layout.shape[1:], layout.strides[1:], strict=True)


def _over_rows(kernel: Kernel) -> Iterator[Access]:
    """What has the rows as its first axis."""
    yield from (s for s in kernel.sources.values() if isinstance(s, Access))
    indexed: list[Gather | Scatter] = [*kernel.gathers.values(), *kernel.scatters]
    for each in indexed:
        yield Access(each.storage, each.layout)
        yield from (index.access for index in each.indices)
    yield from (access for _, access in kernel.stores)
    if not (kernel.reductions and 0 in kernel.reductions[0].axes):
        yield from (access for _, access in kernel.results)


class _Turn:
    """Element `e` of row `r` is at e rows + r in the storages of `widths`; the rows are the last axis."""

    def __init__(self, widths: Mapping[Storage, int], rows: Dim) -> None:
        self.widths, self.rows = widths, rows

    def __call__(self, step: RowStep) -> RowStep:
        if isinstance(step, FillStep):
            return step  # all of a block, in whatever order
        if isinstance(step, MatMulStep):
            a, b, out = (self._moved(x) for x in (step.a, step.b, step.out))
            return replace(step, a=a, b=b, out=out)
        reductions = {r: self._reduction(r, len(step.space)) for r in step.reductions}
        by_row = not (step.reductions and 0 in step.reductions[0].axes)
        kept = self._access if by_row else self._moved
        return replace(
            step,
            space=_turned(step.space),
            sources={t: self._access(s) if isinstance(s, Access) else s for t, s in step.sources.items()},
            gathers={
                t: Gather(g.storage, self._layout(g.storage, g.layout), self._indices(g.storage, g.indices))
                for t, g in step.gathers.items()
            },
            scatters=[
                replace(
                    s, layout=self._layout(s.storage, s.layout), indices=self._indices(s.storage, s.indices)
                )
                for s in step.scatters
            ],
            stores=[(t, self._access(a)) for t, a in step.stores],
            reductions=list(reductions.values()),
            results=[(reductions[r], kept(a)) for r, a in step.results],
            lost=None if step.lost is None else {reductions[r]: self._moved(a) for r, a in step.lost.items()},
        )

    def _reduction(self, reduction: Reduction, rank: int) -> Reduction:
        axes = tuple(sorted((a - 1) % rank for a in reduction.axes))
        return replace(reduction, axes=axes)

    def _indices(self, storage: Storage, indices: Sequence[Index]) -> tuple[Index, ...]:
        return tuple(Index(self._access(i.access), self._apart(storage, i.stride), i.size) for i in indices)

    def _apart(self, storage: Storage, stride: Dim) -> Dim:
        """How far apart elements are that were `stride` apart."""
        if storage not in self.widths:
            return stride
        return 1 if stride == self.widths[storage] else stride * self.rows

    def _access(self, access: Access) -> Access:
        return Access(access.storage, self._layout(access.storage, access.layout))

    def _layout(self, storage: Storage, layout: Strided) -> Strided:
        moved = self._moved(Access(storage, layout)).layout
        return Strided(_turned(moved.shape), _turned(moved.strides), moved.offset)

    def _moved(self, access: Access) -> Access:
        """The same elements where they are now, in the order of the axes that they had."""
        storage, layout = access.storage, access.layout
        strides = tuple(self._apart(storage, s) for s in layout.strides)
        offset = layout.offset * self.rows if storage in self.widths else layout.offset
        return Access(storage, Strided(layout.shape, strides, offset))


def _turned(axes: Shape) -> Shape:
    return (*axes[1:], *axes[:1])
