"""The loops of a convolution, and of its gradient for the input: `geometry.Correlation`.

    range(job, places, own, start, stop)      some tasks

A unit is what tiles are cut from: a row of the result, along the last axis; or all of the last two axes,
where they are small. A task is some units and some panels of the weights, which stay in the second cache
together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from symgrad_compiler.backends.llvm.contract.integers import Int
from symgrad_compiler.backends.llvm.contract.words import Words, call, every
from symgrad_compiler.backends.llvm.convolve.shapes import Width, choose, heights
from symgrad_compiler.backends.llvm.convolve.tile import Loop, Segment, Tile, tile_function
from symgrad_compiler.backends.llvm.ir import Function, Module, Value, literal
from symgrad_compiler.backends.llvm.scalars import Machine
from symgrad_compiler.backends.llvm.splitting import RANGE
from symgrad_compiler.plan.geometry import Axis, Correlation

#: Bytes of the second cache for the weights of a task, and for its part of A.
_WEIGHTS, _IMAGES = 400_000, 200_000
#: Multiplications of a task, about.
_TASK = 2_000_000
#: The last two axes are one unit if they have no more places, and their tiles no more segments.
_SMALL, _SEGMENTS = 128, 48


class Job(IntEnum):
    """The words of a job."""

    A = 0
    B = 1
    C = 2
    UNITS = 3
    BLOCKS = 4


@dataclass(frozen=True)
class _Placed:
    """A tile; where it starts in the A and the C of its unit, in bytes, but for its panel."""

    tile: Tile
    a: int
    c: int


@dataclass(frozen=True)
class Panels:
    """How the weights lie: bytes from one channel to the next, and from one tap to the next along each axis;
    where the first tap is; bytes of a panel."""

    width: Width
    channel: int
    taps: tuple[int, ...]
    first: int
    panel: int
    is_packed: bool


class Correlate:
    """One correlation: what tiles it has, and its code."""

    def __init__(
        self, module: Module, machine: Machine, correlation: Correlation, panels: Panels, most: int
    ) -> None:
        self.module, self.machine, self.x = module, machine, correlation
        self.panels, self.most = panels, most
        self.flat = _flat_axes(correlation, most)

    # ---- sizes in bytes -----------------------------------------------------------------------------

    @cached_property
    def a_steps(self) -> list[int]:
        """From one element of A to the next, for each axis, and from one image to the next, at the end."""
        return self._steps([a.size for a in self.x.axes], self._channels)

    @cached_property
    def c_steps(self) -> list[int]:
        return self._steps([a.places for a in self.x.axes], self.x.features * self.x.groups)

    @property
    def _channels(self) -> int:
        x = self.x
        return x.features if x.is_depthwise else x.channels * x.groups

    def _steps(self, sizes: list[int], each: int) -> list[int]:
        steps = [each * self.x.bytes]
        for size in reversed(sizes):
            steps.insert(0, steps[0] * size)
        return [*steps[1:], steps[0]]

    @property
    def outer(self) -> tuple[Axis, ...]:
        """The axes of units."""
        return self.x.axes[: -self.flat]

    @property
    def inner(self) -> tuple[Axis, ...]:
        """The axes inside a unit."""
        return self.x.axes[-self.flat :]

    @property
    def units(self) -> int:
        """Of an image."""
        return math.prod(a.out for a in self.outer)

    @property
    def _is_edged(self) -> list[int]:
        """The outer axes whose taps depend on the unit."""
        return [i for i, axis in enumerate(self.outer) if not axis.is_inside]

    # ---- tiles --------------------------------------------------------------------------------------

    def tiles(self, columns: int) -> list[_Placed]:
        """Of a unit, for a panel of so many columns."""
        x, inner = self.x, self.inner
        places = list(itertools.product(*[range(a.out) for a in inner]))
        found, start = [], 0
        k = len(self.outer)
        for height in heights(len(places), self.most):
            chosen = places[start : start + height]
            start += height
            a = [self._a_of(place) for place in chosen]
            c = [
                sum(
                    (axis.first + axis.step * i) * s
                    for axis, i, s in zip(inner, place, self.c_steps[k:], strict=False)
                )
                for place in chosen
            ]
            tile = Tile(
                x.kind,
                self.panels.width.lanes,
                self.panels.width.vectors_of(columns),
                tuple(p - a[0] for p in a),
                tuple(p - c[0] for p in c),
                columns,
                tuple(self._segments(chosen)),
                self._around,
                is_lanewise=x.is_depthwise,
                reads_beyond=self.panels.is_packed,
            )
            found.append(_Placed(tile, a[0], c[0]))
        return found

    def _a_of(self, place: tuple[int, ...]) -> int:
        """Where tap 0 of a place of the unit is in A."""
        steps = self.a_steps[len(self.outer) :]
        return sum(
            (i * axis.stride - axis.low) * s for axis, i, s in zip(self.inner, place, steps, strict=False)
        )

    @property
    def _around(self) -> tuple[tuple[int, int], ...]:
        """The taps of outer axes with edges: how many there are is said by the caller."""
        return tuple(self._tap_steps(i) for i in self._is_edged)

    def _tap_steps(self, axis: int) -> tuple[int, int]:
        """Bytes from one tap to the next in A and in B."""
        x = self.x.axes[axis]
        return x.dilation * self.a_steps[axis], x.tap_step * self.panels.taps[axis]

    def _segments(self, places: list[tuple[int, ...]]) -> Iterator[Segment]:
        """What is summed up: taps that meet the same rows are one segment."""
        x, k = self.x, len(self.outer)
        outer = [
            Loop(axis.taps, *self._tap_steps(i))
            for i, axis in enumerate(self.outer)
            if i not in self._is_edged
        ]
        if math.prod(a.taps for a in x.axes) == 0:
            return
        axis = x.axes[-1]
        a_tap, b_tap = self._tap_steps(len(x.axes) - 1)
        channel = () if x.is_depthwise else (Loop(x.channels, x.bytes, self.panels.channel),)
        runs_on = (a_tap, b_tap) == (x.channels * x.bytes, x.channels * self.panels.channel)

        def met(place: tuple[int, ...]) -> list[range]:
            return [each.taps_of(i) for each, i in zip(self.inner, place, strict=True)]

        taps_of = [met(place) for place in places]
        # Above the last axis: 0 or 1 axis.
        above = range(self.inner[0].taps) if self.flat == 2 else range(1)
        lines: list[list[tuple[tuple[int, ...], int, int]]] = []
        for p in above:
            line: list[tuple[tuple[int, ...], int, int]] = []
            for q in range(axis.taps):
                rows = tuple(
                    r for r, taps in enumerate(taps_of) if q in taps[-1] and (self.flat == 1 or p in taps[0])
                )
                if rows and line and line[-1][0] == rows and line[-1][1] + line[-1][2] == q:
                    line[-1] = (rows, line[-1][1], line[-1][2] + 1)
                elif rows:
                    line.append((rows, q, 1))
            lines.append(line)
        p = 0
        while p < len(lines):
            count = len(list(itertools.takewhile(lambda line: line == lines[p], lines[p:])))
            a_above, b_above = self._tap_steps(k) if self.flat == 2 else (0, 0)
            loops = [*outer, Loop(count, a_above, b_above)]
            for rows, q, taps in lines[p]:
                if runs_on and not x.is_depthwise:
                    last: tuple[Loop, ...] = (Loop(taps * x.channels, x.bytes, self.panels.channel),)
                else:
                    last = (Loop(taps, a_tap, b_tap), *channel)
                at = p * a_above + q * a_tap, p * b_above + q * b_tap
                yield Segment(rows, (*loops, *last), *at)
            p += count

    # ---- code ---------------------------------------------------------------------------------------

    @cached_property
    def _all_panels(self) -> int:
        return self.panels.width.panels * self.x.groups

    @cached_property
    def group(self) -> int:
        """Panels of a task."""
        return max(1, min(self._all_panels, _WEIGHTS // max(1, self.panels.panel)))

    @cached_property
    def groups(self) -> int:
        return -(-self._all_panels // self.group)

    @cached_property
    def block(self) -> int:
        """Units of a task, at most."""
        x = self.x
        of_a = max(1, self.a_steps[-1] // max(1, self.units))
        fits = max(1, _IMAGES // max(1, of_a))
        if self.groups > 1:
            return fits
        places = math.prod(a.out for a in self.inner)
        each = places * math.prod(a.taps for a in x.axes) * x.channels * x.features * x.groups
        return max(1, min(fits, -(-_TASK // max(1, each))))

    def emit(self, name: str) -> None:
        """The function over a range of tasks."""
        f = self.module.function(name, [("job", "ptr"), *RANGE[1:]])
        job = Words(f, f.parameters["job"])
        blocks, units = job[Job.BLOCKS], job[Job.UNITS]

        def task(index: Int) -> None:
            group, block = index // blocks, index % blocks
            first = block * self.block
            last = (first + self.block).at_most(units)
            panel = group * self.group
            end = (panel + self.group).at_most(self._all_panels)
            every(f, panel, end, 1, lambda p: self._panel(f, job, p, first, last))

        every(f, Int(f, f.parameters["start"]), Int(f, f.parameters["stop"]), 1, task)
        f.do("ret void")

    def _panel(self, f: Function, job: Words, panel: Int, first: Int, last: Int) -> None:
        """One panel of the weights, and some units."""
        x, width = self.x, self.panels.width
        count = width.panels
        group, number = (
            (panel // count, panel % count) if x.groups > 1 else (Int(f, literal(0, "i64")), panel)
        )
        taps = sum(a.first_tap * step for a, step in zip(x.axes, self.panels.taps, strict=True))
        start = f.field(job.pointer(Job.B), self.panels.first + taps)
        b = f.offset(start, (panel * self.panels.panel).value, "i8")
        columns = number * (width.panel * x.bytes)
        c_at = group * (x.features * x.bytes) + columns
        a_at = columns if x.is_depthwise else group * (x.channels * x.bytes)
        a = f.offset(job.pointer(Job.A), a_at.value, "i8")
        c = f.offset(job.pointer(Job.C), c_at.value, "i8")

        def units(columns: int) -> None:
            tiles = self.tiles(columns)
            every(f, first, last, 1, lambda unit: self._unit(f, unit, tiles, a, b, c))

        if width.last == width.panel:
            units(width.panel)
        elif count == 1:
            units(width.last)
        else:
            f.either(number.equals(count - 1), lambda: units(width.last), lambda: units(width.panel))

    def _unit(self, f: Function, unit: Int, tiles: list[_Placed], a: Value, b: Value, c: Value) -> None:
        rest = unit
        counts: list[Int] = []
        for i, axis in reversed(list(enumerate(self.outer))):
            at, rest = rest % axis.out, rest // axis.out
            a = f.offset(a, ((at * axis.stride - axis.low) * self.a_steps[i]).value, "i8")
            c = f.offset(c, ((at * axis.step + axis.first) * self.c_steps[i]).value, "i8")
            if i in self._is_edged:
                low, high = _taps_of(axis, at)
                counts.insert(0, (high - low).at_least(0))
                a_step, b_step = self._tap_steps(i)
                a = f.offset(a, (low * a_step).value, "i8")
                b = f.offset(b, (low * b_step).value, "i8")
        a = f.offset(a, (rest * self.a_steps[-1]).value, "i8")
        c = f.offset(c, (rest * self.c_steps[-1]).value, "i8")
        for first, count, a_step, c_step in _runs(tiles):
            name = tile_function(self.module, first.tile, self.machine)

            def one(i: Int, first: _Placed, a_step: int, c_step: int, name: str) -> None:
                at = f.offset(f.field(a, first.a), (i * a_step).value, "i8")
                to = f.offset(f.field(c, first.c), (i * c_step).value, "i8")
                call(f, name, at, b, to, *counts)

            if count == 1:
                call(f, name, f.field(a, first.a), b, f.field(c, first.c), *counts)
            else:
                stop = Int(f, literal(count, "i64"))
                every(
                    f,
                    Int(f, literal(0, "i64")),
                    stop,
                    1,
                    lambda i, first=first, a_step=a_step, c_step=c_step, name=name: one(  # type: ignore[misc]
                        i, first, a_step, c_step, name
                    ),
                )


def _runs(tiles: list[_Placed]) -> Iterator[tuple[_Placed, int, int, int]]:
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


def _taps_of(axis: Axis, i: Int) -> tuple[Int, Int]:
    """`Axis.taps_of`, at run time."""
    before = (i * (-axis.stride) + axis.low).at_least(0)
    low = before.up_over(axis.dilation)
    reach = i * (-axis.stride) + (axis.size - 1 + axis.low)
    high = reach.at_least(0) // axis.dilation + 1
    return low, high.where(reach >= 0, 0).at_most(axis.taps)


def _flat_axes(x: Correlation, most: int) -> int:
    """How many axes tiles are cut from: two where they are small, and their tiles not too long."""
    if len(x.axes) == 1:
        return 1
    height, width = x.axes[-2:]
    if height.out * width.out > _SMALL or width.out % most == 0:
        return 1
    if height.is_inside and width.is_inside:
        return 2
    tiles = -(-height.out * width.out // most)
    return 2 if height.taps * width.taps * tiles <= _SEGMENTS else 1


def choose_width(xs: list[Correlation], machine: Machine) -> tuple[Width, int]:
    """The width of panels and the height of tiles that suit all parts of a convolution."""
    runs = []
    for x in xs:
        steps = math.prod(a.taps for a in x.axes)
        if _flat_axes(x, 14) == 2:
            runs.append((steps, x.axes[-1].out * x.axes[-2].out))
        else:
            runs.append((steps * (x.axes[-2].out if len(x.axes) > 1 else 1), x.axes[-1].out))
    depth = 0 if xs[0].is_depthwise else xs[0].channels * math.prod(xs[0].taps)
    return choose(runs, xs[0].features, xs[0].kind, machine, xs[0].is_depthwise, depth)
