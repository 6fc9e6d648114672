"""Which tiles a result is cut into: by an estimate of how many cycles they take.

Elements of few columns, which would leave most lanes idle, are dot products with lanes along the channels.

A step of a tile of r rows and v vectors multiplies r v registers, two a cycle. It loads r numbers and v
registers, two a cycle as well. A register can be added to again after four cycles.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.records import record
from symgrad_compiler.backends.llvm.ir import BITS
from symgrad_compiler.backends.llvm.scalars import Machine

_LATENCY = 4
#: The most vectors of a panel; pixels of a depthwise tile that share what is read of the weights, at least.
_VECTORS, _FEW = 4, 4
#: Cycles that loading a register of B takes, from the second cache and from the last one; bytes of a panel
#: that stays in the second one.
_SECOND, _LAST, _FITS = 1.5, 6.0, 700_000
#: Cycles to add up the lanes of a sum and to store it; how much less time dot products must take.
_TOTAL, _SURELY = 4.0, 0.8


@record
class Width:
    """Columns: panels of `vectors` vectors of `lanes` lanes; the last panel may have fewer columns."""

    lanes: int
    vectors: int
    columns: int
    #: Whether lanes are channels, which are summed up; else they are columns.
    dots: bool = False

    @property
    def panel(self) -> int:
        return self.lanes * self.vectors

    @property
    def panels(self) -> int:
        return -(-self.columns // self.panel)

    @property
    def last(self) -> int:
        """Columns of the last panel."""
        return self.columns - (self.panels - 1) * self.panel

    def vectors_of(self, columns: int) -> int:
        return -(-columns // self.lanes)


def lanes_for(columns: int, kind: str, machine: Machine) -> int:
    """Of a register, or of a part of one that so few columns fill."""
    lanes = machine.vector_bytes * 8 // BITS[kind]
    while lanes // 2 >= max(columns, 2):
        lanes //= 2
    return lanes


def most_rows(vectors: int, machine: Machine, is_lanewise: bool) -> int:
    """How many fit into the registers, beside a row of B and a number of A (and a product, without fused
    multiply-add)."""
    registers = 32 if machine.has_avx512 or (not machine.has_masks and machine.has_fma) else 16
    own = vectors + 1 + (not machine.has_fma) + (is_lanewise and vectors > 1)
    return max(1, min((registers - own) // vectors, 28))


def dots(columns: int, channels: int, taps: float, kind: str, machine: Machine) -> tuple[Width, int] | None:
    """Dot products, and the most rows of a tile, if that takes less time; `taps` are met by each element."""
    lanes = machine.vector_bytes * 8 // BITS[kind]
    if channels % lanes or columns > lanes // 2:
        return None
    steps = channels * taps
    if columns * (steps / lanes / 2 + _TOTAL) > _SURELY * steps / 2:
        return None
    return Width(lanes, 1, columns, True), most_rows(columns, machine, False)


def heights(rows: int, most: int) -> list[int]:
    """Rows cut into tiles that are about equally high."""
    count = -(-rows // most)
    return [rows // count + (i < rows % count) for i in range(count)]


def cycles(rows: int, vectors: int, is_lanewise: bool, load: float) -> float:
    """Of a step; `load` is what a register of B takes."""
    loads = rows * (vectors if is_lanewise else 1) + vectors
    return max(rows * vectors / 2, loads / 2, _LATENCY, load * vectors)


def choose(
    runs: Sequence[tuple[int, int]],
    columns: int,
    kind: str,
    machine: Machine,
    is_lanewise: bool = False,
    depth: int = 0,
) -> tuple[Width, int]:
    """The width of panels, and the most rows of a tile, for `count` runs of `rows` rows each. `depth` is how
    many rows of B there are that each tile reads."""
    lanes = lanes_for(columns, kind, machine)
    widths = range(1, _VECTORS + 1)
    if is_lanewise:
        # wide, so few pixels at a time: those a power of two apart compete for places in the cache
        fit = [v for v in widths if v * lanes <= columns and most_rows(v, machine, True) >= _FEW]
        widths = range(max(fit, default=1), max(fit, default=1) + 1)
    best: tuple[float, Width, int] | None = None
    for vectors in widths:
        width = Width(lanes, vectors, columns)
        if vectors > 1 and width.panels == 1 and width.vectors_of(columns) < vectors:
            break
        most = most_rows(vectors, machine, is_lanewise)
        cost = 0.0
        load = _SECOND if depth * width.panel * BITS[kind] // 8 <= _FITS else _LAST
        for count, rows in runs:
            for height in heights(rows, most):
                whole = cycles(height, vectors, is_lanewise, load) * (width.panels - 1)
                cost += count * (whole + cycles(height, width.vectors_of(width.last), is_lanewise, load))
        if best is None or cost < best[0] * 0.999:
            best = cost, width, most
    assert best is not None
    return best[1], best[2]
