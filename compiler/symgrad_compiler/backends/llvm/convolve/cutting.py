"""How a correlation is cut into tiles, and what each of them sums up.

A unit is what tiles are cut from: a row of the result, along the last axis; or all of the last two axes,
where they are small. Taps that meet the same rows of a tile are one segment of its sum: at the edges of an
image some taps meet some rows only. Along the axes of units, the taps are counted when the code runs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from symgrad.lazy import cached_property
from symgrad.records import record
from symgrad_compiler.backends.llvm.convolve.shapes import Width, choose, dots, heights
from symgrad_compiler.backends.llvm.convolve.tile import LINE, Epilogue, Loop, Segment, Tile
from symgrad_compiler.backends.llvm.scalars import Machine
from symgrad_compiler.plan.geometry import Correlation

#: The last two axes are one unit if they have no more places, and their tiles no more segments.
_SMALL, _SEGMENTS = 128, 48
#: Rows of a tile, about.
_ROWS = 14

#: Rows of a tile that some taps in a row meet: the first tap, and how many.
_Line: TypeAlias = list[tuple[tuple[int, ...], int, int]]


@record
class Panels:
    """How the weights lie: bytes from one channel to the next (of dot products, from one column to the next),
    and from one tap to the next along each axis; where the first tap is; bytes of a panel."""

    width: Width
    channel: int
    taps: tuple[int, ...]
    first: int
    panel: int
    is_packed: bool


@record
class Placed:
    """A tile; where it starts in the A and the C of its unit, in bytes, but for its panel."""

    tile: Tile
    a: int
    c: int


def choose_width(xs: Sequence[Correlation], machine: Machine) -> tuple[Width, int]:
    """The width of panels and the height of tiles that suit all parts of a convolution."""
    runs = []
    for x in xs:
        steps = math.prod(a.taps for a in x.axes)
        rows = math.prod(a.out for a in x.axes[-2:])
        if _flat_axes(x, _ROWS) == 2:
            runs.append((steps, rows))
        else:
            runs.append((steps * (rows // max(1, x.axes[-1].out)), x.axes[-1].out))
    x = xs[0]
    if not x.is_depthwise:
        taps = sum(math.prod(a.taps for a in each.axes) for each in xs) / len(xs)
        found = dots(x.features, x.channels, taps, x.kind, machine)
        if found is not None:
            return found
    depth = 0 if x.is_depthwise else x.channels * math.prod(x.taps)
    return choose(runs, x.features, x.kind, machine, x.is_depthwise, depth)


def _flat_axes(x: Correlation, most: int) -> int:
    """How many axes a unit has."""
    height, width = x.axes[-2:]
    if height.out * width.out > _SMALL or width.out % most == 0:
        return 1
    if height.is_inside and width.is_inside:
        return 2
    tiles = -(-height.out * width.out // most)
    return 2 if height.taps * width.taps * tiles <= _SEGMENTS else 1


class Cutting:
    """One correlation, with panels of this width and tiles of at most `most` rows."""

    def __init__(
        self, x: Correlation, panels: Panels, most: int, machine: Machine, epilogue: Epilogue | None = None
    ) -> None:
        self.x, self.panels, self.most, self.machine, self.epilogue = x, panels, most, machine, epilogue
        self.flat = _flat_axes(x, most)
        #: The axes of units, and those inside a unit.
        self.outer, self.inner = x.axes[: -self.flat], x.axes[-self.flat :]
        #: The outer axes whose taps depend on the unit.
        self.edged = [i for i, axis in enumerate(self.outer) if not axis.is_inside]

    @property
    def units(self) -> int:
        """Of an image."""
        return math.prod(a.out for a in self.outer)

    # ---- in bytes -----------------------------------------------------------------------------------

    @cached_property
    def a_steps(self) -> list[int]:
        """From one element of A to the next, for each axis, and from one image to the next, at the end."""
        x = self.x
        channels = x.features if x.is_depthwise else x.channels * x.groups
        return byte_steps([a.size for a in x.axes], channels * x.bytes)

    @cached_property
    def c_steps(self) -> list[int]:
        x = self.x
        return byte_steps([a.places for a in x.axes], x.features * x.groups * x.bytes)

    def tap_steps(self, axis: int) -> tuple[int, int]:
        """From one tap to the next in A and in B."""
        x = self.x.axes[axis]
        return x.dilation * self.a_steps[axis], x.tap_step * self.panels.taps[axis]

    # ---- tiles --------------------------------------------------------------------------------------

    def tiles(self, columns: int) -> list[Placed]:
        """Of a unit, for a panel of so many columns."""
        places = list(itertools.product(*[range(a.out) for a in self.inner]))
        found, start = [], 0
        for height in heights(len(places), self.most):
            chosen = places[start : start + height]
            start += height
            a, c = [self._in_a(p) for p in chosen], [self._in_c(p) for p in chosen]
            width = self.panels.width
            tile = Tile(
                self.x.kind,
                width.lanes,
                columns if width.dots else width.vectors_of(columns),
                tuple(at - a[0] for at in a),
                tuple(at - c[0] for at in c),
                columns,
                tuple(self._segments(chosen)),
                tuple(self.tap_steps(i) for i in self.edged),
                is_lanewise=self.x.is_depthwise,
                reads_beyond=self.panels.is_packed,
                column=self.panels.channel if width.dots else 0,
                may_stream=self.may_stream,
                asks_a=self._next_in_a,
                asks_c=self._next_in_c,
                epilogue=self.epilogue,
            )
            found.append(Placed(tile, a[0], c[0]))
        return found

    @cached_property
    def may_stream(self) -> bool:
        """Whether C can be written past the caches: whole registers, of a depthwise convolution, which has
        little else to do."""
        x, width, register = self.x, self.panels.width, self.machine.vector_bytes
        whole = width.lanes * x.bytes == register and x.features * x.groups * x.bytes % register == 0
        return x.is_depthwise and whole and (self.epilogue is None or self.epilogue.writes == 1)

    @cached_property
    def _next_in_a(self) -> tuple[int, ...]:
        """From the rows of a depthwise tile to those that only the next unit reads: there is too little to do
        with them for the processor to wait."""
        if not (self.x.is_depthwise and self.outer):
            return ()
        axis, step = self.outer[-1], self.a_steps[len(self.outer) - 1]
        last = axis.dilation * (axis.taps - 1)
        return tuple((last + more) * step for more in range(1, axis.stride + 1))

    @cached_property
    def _next_in_c(self) -> tuple[int, ...]:
        """The same of C; other tiles take long enough for their own to come meanwhile."""
        width = self.panels.width
        if not (self.x.is_depthwise and self.outer):
            return (0,) if width.panel * self.x.bytes >= LINE and not width.dots else ()
        return (self.outer[-1].step * self.c_steps[len(self.outer) - 1],)

    def _in_a(self, place: tuple[int, ...]) -> int:
        """Where tap 0 of a place of the unit is in A."""
        steps = self.a_steps[len(self.outer) : -1]
        axes = zip(self.inner, place, steps, strict=True)
        return sum((i * axis.stride - axis.low) * step for axis, i, step in axes)

    def _in_c(self, place: tuple[int, ...]) -> int:
        steps = self.c_steps[len(self.outer) : -1]
        axes = zip(self.inner, place, steps, strict=True)
        return sum((axis.first + axis.step * i) * step for axis, i, step in axes)

    # ---- sums ---------------------------------------------------------------------------------------

    def _segments(self, places: list[tuple[int, ...]]) -> Iterator[Segment]:
        """What a tile of these places sums up."""
        x, last = self.x, len(self.x.axes) - 1
        if math.prod(a.taps for a in x.axes) == 0:
            return
        outer = [
            Loop(axis.taps, *self.tap_steps(i)) for i, axis in enumerate(self.outer) if i not in self.edged
        ]
        a_above, b_above = self.tap_steps(last - 1) if self.flat == 2 else (0, 0)
        a_tap, b_tap = self.tap_steps(last)
        lines = [self._line(places, p) for p in range(self.inner[0].taps if self.flat == 2 else 1)]
        above = 0
        for line, same in itertools.groupby(lines):
            count = len(list(same))
            for rows, tap, taps in line:
                loops = (*outer, Loop(count, a_above, b_above), *self._inside(taps))
                yield Segment(rows, loops, above * a_above + tap * a_tap, above * b_above + tap * b_tap)
            above += count

    def _line(self, places: list[tuple[int, ...]], above: int) -> _Line:
        """Taps of the last axis by the rows that they meet, for a tap of the axis above if units have one."""
        last = self.inner[-1]
        found: _Line = []
        for tap in range(last.taps):
            rows = tuple(
                r
                for r, place in enumerate(places)
                if tap in last.taps_of(place[-1])
                and (self.flat == 1 or above in self.inner[0].taps_of(place[0]))
            )
            if found and found[-1][0] == rows:
                found[-1] = (rows, found[-1][1], found[-1][2] + 1)
            elif rows:
                found.append((rows, tap, 1))
        return found

    def _inside(self, taps: int) -> tuple[Loop, ...]:
        """The loops over some taps of the last axis, and channels: one, if these run on from tap to tap."""
        x = self.x
        a_tap, b_tap = self.tap_steps(len(x.axes) - 1)
        if x.is_depthwise:
            return (Loop(taps, a_tap, b_tap),)
        width = self.panels.width
        each, count = (x.bytes, self.panels.channel), x.channels
        if width.dots:
            each, count = (width.lanes * x.bytes, width.lanes * x.bytes), x.channels // width.lanes
        if (a_tap, b_tap) == (count * each[0], count * each[1]):
            return (Loop(taps * count, *each),)
        return (Loop(taps, a_tap, b_tap), Loop(count, *each))


def row_major(sizes: Sequence[int], each: int) -> tuple[int, ...]:
    """Bytes from one element to the next along each axis."""
    steps = [each]
    for size in reversed(sizes[1:]):
        steps.insert(0, steps[0] * size)
    return tuple(steps)


def byte_steps(sizes: list[int], each: int) -> list[int]:
    """Bytes from one element to the next along each axis, and from one image to the next, at the end."""
    return [*row_major(sizes, each), each * math.prod(sizes)]


def runs(tiles: Sequence[Placed]) -> Iterator[tuple[Placed, int, int, int]]:
    """Equal tiles at equal distances: the first, how many, and their steps in A and C."""
    i = 0
    while i < len(tiles):
        j, steps = i, (0, 0)
        while j + 1 < len(tiles) and tiles[j + 1].tile == tiles[i].tile:
            to = tiles[j + 1].a - tiles[j].a, tiles[j + 1].c - tiles[j].c
            if j > i and to != steps:
                break
            steps = to
            j += 1
        yield tiles[i], j + 1 - i, *steps
        i = j + 1
