"""Weights in panels, in the order in which tiles read them: group, panel, taps, channel, column.

    range(job, places, own, start, stop)      the taps of some panels

The gradient for the input reads taps from the last to the first, and features as channels.
"""

from __future__ import annotations

import math
from dataclasses import replace
from enum import IntEnum

from symgrad_compiler.backends.llvm.contract import pack
from symgrad_compiler.backends.llvm.contract.integers import Int
from symgrad_compiler.backends.llvm.contract.tiles import Tiles
from symgrad_compiler.backends.llvm.contract.words import Words, call, every
from symgrad_compiler.backends.llvm.convolve.cutting import Panels, row_major
from symgrad_compiler.backends.llvm.convolve.shapes import Width
from symgrad_compiler.backends.llvm.ir import Module, literal
from symgrad_compiler.backends.llvm.scalars import Machine
from symgrad_compiler.backends.llvm.splitting import RANGE
from symgrad_compiler.plan.geometry import FORWARD, Convolution, Correlation


class Packing(IntEnum):
    """The words of the job."""

    FROM = 0
    TO = 1


def panels_of(convolution: Convolution, x: Correlation, width: Width) -> Panels:
    """Where weights are; those of depthwise convolutions stay where they are, and so do those that lie as
    they would be packed."""
    c = convolution
    if x.is_depthwise:
        each = c.bytes * c.features
        steps = row_major(c.taps, each)
        backwards = c.what != FORWARD
        first = (math.prod(c.taps) - 1) * each if backwards else 0
        taps = tuple(-s if backwards else s for s in steps)
        return Panels(width, 0, taps, first, width.panel * c.bytes, False)
    if width.dots:
        return _columns_of(c, x, width)
    is_packed = not (c.what == FORWARD and c.groups == 1 and width.panel == c.features)
    row = width.panel * c.bytes
    taps = row_major(c.taps, x.channels * row)
    return Panels(width, row, taps, 0, math.prod(c.taps) * x.channels * row, is_packed)


def _columns_of(c: Convolution, x: Correlation, width: Width) -> Panels:
    """For dot products: columns of channels. The gradient for the input has them where they are."""
    if c.what == FORWARD:
        column = x.channels * c.bytes
        tap = x.features * column
        return Panels(width, column, row_major(c.taps, tap), 0, math.prod(c.taps) * tap, True)
    column = c.features * c.bytes
    steps = row_major(c.taps, c.channels // c.groups * column)
    first = (math.prod(c.taps) - 1) * steps[-1]
    return Panels(width, column, tuple(-s for s in steps), first, x.channels * c.bytes, False)


def room(convolution: Convolution, x: Correlation, panels: Panels) -> int:
    """Bytes that packed weights take, with what packing may write beyond them."""
    if not panels.is_packed:
        return 0
    return panels.panel * panels.width.panels * x.groups + panels.width.panel * convolution.bytes


def emit_packing(
    module: Module, machine: Machine, convolution: Convolution, x: Correlation, panels: Panels, name: str
) -> int:
    """The function; returns how many pieces there are."""
    c, width = convolution, panels.width
    register = replace(machine, vector_bytes=width.lanes * c.bytes)
    sizes = Tiles(c.kind, register, 1, width.vectors, 1, 1, 1)
    packs = pack.name(sizes)
    if packs not in module.made:
        pack.emit_pack(module, sizes)
        module.made[packs] = module.functions[-1]
    f = module.function(name, [("job", "ptr"), *RANGE[1:]])
    job = Words(f, f.parameters["job"])
    taps = math.prod(c.taps)
    panels_in_all = width.panels * x.groups
    lane_step, inner_step = (1, c.features) if c.what == FORWARD else (c.features, 1)
    lanes, rows, wide = width.columns, x.channels, width.panel
    if width.dots:  # rows are columns, lanes are channels
        lane_step, inner_step = c.features, 1
        lanes, rows, wide = x.channels, width.columns, x.channels

    def number(value: int) -> Int:
        return Int(f, literal(value, "i64"))

    def piece(index: Int) -> None:
        # Panels of one tap follow each other: they read the same rows.
        tap, panel = index // panels_in_all, index % panels_in_all
        group, first = panel // width.panels, panel % width.panels * width.panel
        source_tap = tap if c.what == FORWARD else (taps - 1) - tap
        at = source_tap * (c.channels // c.groups * c.features) + group * (c.features // c.groups)
        source = f.offset(job.pointer(Packing.FROM), (at + first * lane_step).value, c.kind)
        place = (panel * taps + tap) * (rows * wide)
        to = f.offset(job.pointer(Packing.TO), place.value, c.kind)
        columns = (number(lanes) - first).at_most(wide)
        steps = number(lane_step), number(inner_step)
        call(f, packs, to, number(wide), columns, source, *steps, number(rows))

    every(f, Int(f, f.parameters["start"]), Int(f, f.parameters["stop"]), 1, piece)
    f.do("ret void")
    return taps * panels_in_all
