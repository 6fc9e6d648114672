"""Strided layouts: where each element of a tensor lies in memory, as an affine map of its indices.

    position(i, j, ...) = offset + i * strides[0] + j * strides[1] + ...      (in elements)

Ops that only move elements state their effect on a layout (`strided`), so that no program copies for them.
Sizes, offsets and strides may be symbolic.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from symgrad.dims import Dim, Shape
from symgrad.records import record


@record
class Strided:
    """A layout of a tensor of shape `shape`."""

    shape: Shape
    strides: Shape
    offset: Dim = 0

    @staticmethod
    def contiguous(shape: Shape) -> Strided:
        """Row-major order without gaps.

        >>> Strided.contiguous((2, 3, 4)).strides
        (12, 4, 1)
        """
        strides: list[Dim] = []
        step: Dim = 1
        for size in reversed(shape):
            strides.append(step)
            step = step * size
        return Strided(tuple(shape), tuple(reversed(strides)))

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie in row-major order without gaps, as far as sizes tell."""
        step: Dim = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if size != 1 and stride != step:
                return False
            step = step * size
        return True

    @property
    def is_dense(self) -> bool:
        """Whether the elements lie without gaps in some order of the axes.

        >>> Strided((3, 4), (1, 3)).is_dense
        True
        """
        step: Dim = 1
        left = [(d, s) for d, s in zip(self.shape, self.strides, strict=True) if d != 1]
        while left:
            found = next((pair for pair in left if pair[1] == step), None)
            if found is None:
                return False
            left.remove(found)
            step = step * found[0]
        return True

    def broadcast(self, shape: Shape, axes: Sequence[int]) -> Strided:
        """New axes, along which nothing moves, at the positions `axes` of `shape`."""
        kept = iter(self.strides)
        return Strided(
            tuple(shape), tuple(0 if i in axes else next(kept) for i in range(len(shape))), self.offset
        )

    def permute(self, axes: Sequence[int]) -> Strided:
        """Axis i of the result is axis `axes[i]`."""
        return Strided(tuple(self.shape[a] for a in axes), tuple(self.strides[a] for a in axes), self.offset)

    def slice(self, starts: Shape, steps: Sequence[int], shape: Shape) -> Strided:
        """From `starts`, every `steps`-th element."""
        offset = self.offset
        for start, stride in zip(starts, self.strides, strict=True):
            offset = offset + start * stride
        strides = tuple(stride * step for stride, step in zip(self.strides, steps, strict=True))
        return Strided(tuple(shape), strides, offset)

    def reshape(self, shape: Shape) -> Strided | None:
        """The same elements in row-major order under another shape; None where no strides do that.

        >>> Strided((4, 6), (6, 1)).reshape((2, 2, 6)).strides
        (12, 6, 1)
        >>> Strided((4, 6), (1, 4)).reshape((24,)) is None
        True
        """
        if self.is_contiguous:
            plain = Strided.contiguous(shape)
            return Strided(plain.shape, plain.strides, self.offset)
        old = [(d, s) for d, s in zip(self.shape, self.strides, strict=True) if d != 1]
        new = [d for d in shape if d != 1]
        groups = _groups([d for d, _ in old], new)
        if groups is None:
            return None
        strides: list[Dim] = []
        for (a, b), (c, d) in groups:
            part = old[a:b]
            for (_, outer), (size, inner) in itertools.pairwise(part):
                if outer != inner * size:
                    return None
            step = part[-1][1]
            inside: list[Dim] = []
            for size in reversed(new[c:d]):
                inside.append(step)
                step = step * size
            strides += reversed(inside)
        found = iter(strides)
        return Strided(tuple(shape), tuple(0 if d == 1 else next(found) for d in shape), self.offset)


def _groups(old: list[Dim], new: list[Dim]) -> list[tuple[tuple[int, int], tuple[int, int]]] | None:
    """Shortest runs of old and new axes with equal products; None where they do not pair up."""
    ends: dict[Dim, int] = {}
    total: Dim = 1
    for i, size in enumerate(old):
        total = total * size
        ends[total] = i + 1
    groups = []
    a = c = 0
    total = 1
    for j, size in enumerate(new):
        total = total * size
        b = ends.get(total)
        if b is not None and b > a:
            groups.append(((a, b), (c, j + 1)))
            a, c = b, j + 1
    return groups if a == len(old) and c == len(new) else None
