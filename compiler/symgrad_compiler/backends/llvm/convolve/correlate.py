"""The loops of a convolution, and of its gradient for the input: `geometry.Correlation`.

    range(job, places, own, start, stop)      some tasks

A task is some units (`cutting.py`) and some panels of the weights, which stay in the second cache together.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import TypeAlias

from symgrad.lazy import cached_property
from symgrad_compiler.backends.llvm.contract.integers import Int
from symgrad_compiler.backends.llvm.contract.words import Words, call, every
from symgrad_compiler.backends.llvm.convolve.cutting import Cutting, Placed, runs
from symgrad_compiler.backends.llvm.convolve.tile import tile_function
from symgrad_compiler.backends.llvm.ir import Function, Module, Value, literal
from symgrad_compiler.backends.llvm.scalars import Machine
from symgrad_compiler.backends.llvm.splitting import RANGE
from symgrad_compiler.plan.geometry import Axis

#: Bytes of the second cache for the weights of a task, and for its part of A.
_WEIGHTS, _IMAGES = 400_000, 200_000
#: Multiplications of a task, about.
_TASK = 2_000_000


#: Where A, B, and C with what lies as it does, are.
_Operands: TypeAlias = tuple[Value, Value, list[Value]]


class Job(IntEnum):
    """The words of a job."""

    A = 0
    B = 1
    C = 2
    UNITS = 3
    BLOCKS = 4
    STREAMS = 5  # whether C is written past the caches
    PLACES = 6  # and beyond: of the operands and results of the epilogue


class Correlate:
    """The code of one correlation."""

    def __init__(self, module: Module, machine: Machine, cutting: Cutting) -> None:
        self.module, self.machine, self.cut = module, machine, cutting
        self.x, self.panels = cutting.x, cutting.panels
        self.width = cutting.panels.width
        places = cutting.epilogue.places if cutting.epilogue else ()
        #: Of C and of the places of the epilogue, whether they lie as C does.
        self.is_full = (True, *places)

    # ---- tasks --------------------------------------------------------------------------------------

    @cached_property
    def _all_panels(self) -> int:
        return self.width.panels * self.x.groups

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
        x, cut = self.x, self.cut
        of_a = max(1, cut.a_steps[-1] // max(1, cut.units))
        fits = max(1, _IMAGES // of_a)
        if self.groups > 1:
            return fits
        places = math.prod(a.out for a in cut.inner)
        each = places * math.prod(a.taps for a in x.axes) * x.channels * x.features * x.groups
        return max(1, min(fits, -(-_TASK // max(1, each))))

    # ---- code ---------------------------------------------------------------------------------------

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

            def panels(first: Int, last: Int) -> None:
                every(f, panel, end, 1, lambda p: self._panel(f, job, p, first, last))

            if self.x.is_depthwise:  # panels are of the image as well: those of a row lie side by side
                every(f, first, last, 1, lambda unit: panels(unit, unit + 1))
            else:
                panels(first, last)

        every(f, Int(f, f.parameters["start"]), Int(f, f.parameters["stop"]), 1, task)
        f.do("ret void")

    def _panel(self, f: Function, job: Words, panel: Int, first: Int, last: Int) -> None:
        """One panel of the weights, and some units."""
        x, width = self.x, self.width
        group, number = panel // width.panels, panel % width.panels
        taps = sum(a.first_tap * step for a, step in zip(x.axes, self.panels.taps, strict=True))
        start = f.field(job.pointer(Job.B), self.panels.first + taps)
        b = f.offset(start, (panel * self.panels.panel).value, "i8")
        columns = number * (width.panel * x.bytes)
        in_c = group * (x.features * x.bytes) + columns
        in_a = columns if x.is_depthwise else group * (x.channels * x.bytes)
        a = f.offset(job.pointer(Job.A), in_a.value, "i8")
        words = (Job.C, *[Job.PLACES + i for i in range(len(self.is_full) - 1)])
        cs = [f.offset(job.pointer(word), in_c.value, "i8") for word in words]
        flags = [job[Job.STREAMS]] if self.cut.may_stream else []

        def units(columns: int) -> None:
            tiles = self.cut.tiles(columns)
            every(f, first, last, 1, lambda unit: self._unit(f, unit, tiles, (a, b, cs), flags))

        if width.last == width.panel:
            units(width.panel)
        elif width.panels == 1:
            units(width.last)
        else:
            is_last = number.equals(width.panels - 1)
            f.either(is_last, lambda: units(width.last), lambda: units(width.panel))

    def _moved(self, f: Function, cs: list[Value], by: Int) -> list[Value]:
        """C and what lies as it does, so many bytes further."""
        return [f.offset(c, by.value, "i8") if full else c for c, full in zip(cs, self.is_full, strict=True)]

    def _unit(
        self, f: Function, unit: Int, tiles: list[Placed], operands: _Operands, flags: list[Int]
    ) -> None:
        (a, b, cs), cut, rest = operands, self.cut, unit
        counts: list[Int] = []
        for i, axis in reversed(list(enumerate(cut.outer))):
            at, rest = rest % axis.out, rest // axis.out
            a = f.offset(a, ((at * axis.stride - axis.low) * cut.a_steps[i]).value, "i8")
            cs = self._moved(f, cs, (at * axis.step + axis.first) * cut.c_steps[i])
            if i in cut.edged:
                low, high = _taps_of(axis, at)
                counts.insert(0, (high - low).at_least(0))
                a_step, b_step = cut.tap_steps(i)
                a = f.offset(a, (low * a_step).value, "i8")
                b = f.offset(b, (low * b_step).value, "i8")
        a = f.offset(a, (rest * cut.a_steps[-1]).value, "i8")
        cs = self._moved(f, cs, rest * cut.c_steps[-1])
        for placed, count, a_step, c_step in runs(tiles):
            self._tiles(f, placed, count, (a, b, cs), (a_step, c_step), [*flags, *counts])

    def _tiles(
        self,
        f: Function,
        placed: Placed,
        count: int,
        operands: _Operands,
        steps: tuple[int, int],
        numbers: list[Int],
    ) -> None:
        """Some equal tiles; `numbers` are what their function is also called with."""
        name = tile_function(self.module, placed.tile, self.machine)
        a, b, cs = operands

        def one(i: Int) -> None:
            at = f.offset(a, (i * steps[0] + placed.a).value, "i8")
            to = self._moved(f, cs, i * steps[1] + placed.c)
            call(f, name, at, b, to[0], *numbers, *to[1:])

        if count == 1:
            one(Int(f, literal(0, "i64")))
            return

        every(f, Int(f, literal(0, "i64")), Int(f, literal(count, "i64")), 1, one)


def _taps_of(axis: Axis, i: Int) -> tuple[Int, Int]:
    """`Axis.taps_of`, at run time."""
    before = (i * (-axis.stride) + axis.low).at_least(0)
    low = before.up_over(axis.dilation)
    reach = i * (-axis.stride) + (axis.size - 1 + axis.low)
    high = reach.at_least(0) // axis.dilation + 1
    return low, high.where(reach >= 0, 0).at_most(axis.taps)
