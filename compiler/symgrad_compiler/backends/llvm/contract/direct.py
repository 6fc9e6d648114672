"""Small products: the micro-kernels go over A and B where they are, without a plan.

    direct(request)      one product that `is_direct`

Laying a product out takes longer than multiplying some hundred numbers; here, no number is divided.
"""

from __future__ import annotations

from symgrad_compiler.backends.llvm.contract import micro
from symgrad_compiler.backends.llvm.contract.integers import Int
from symgrad_compiler.backends.llvm.contract.pieces import Loops
from symgrad_compiler.backends.llvm.contract.request import Request
from symgrad_compiler.backends.llvm.contract.tiles import Tiles
from symgrad_compiler.backends.llvm.contract.words import Words, call, every
from symgrad_compiler.backends.llvm.ir import Module, Value

#: Tiles below each other, and elements of B, at most.
_TILES, _SMALL = 4, 2**13


def direct_name(tiles: Tiles) -> str:
    return f"contract.direct.{tiles.kind}"


def is_direct(loops: Loops, request: Words) -> Value:
    """Whether B is small, its rows without gaps, and the product few tiles high."""
    tiles = loops.tiles
    columns, a_row = request[Request.COLUMNS], request[Request.A_ROW]
    even = (columns & (tiles.lanes - 1)).equals(0)
    if tiles.machine.has_avx512:  # which reads part of a register, if it is the only one
        even = loops.or_(even, columns <= tiles.lanes)
    has_lanes = loops.both(request[Request.B_COLUMN].equals(1), even)
    low = request[Request.ROWS] <= _TILES * tiles.rows
    inner = request[Request.INNER]
    small = loops.both(columns * inner <= _SMALL, inner <= tiles.inner)
    found = loops.both(loops.both(has_lanes, low), small)
    return found if tiles.rows_apart else loops.both(found, a_row.equals(1))


def emit_direct(module: Module, tiles: Tiles) -> None:
    """The function."""
    _Direct(module, tiles).emit()


class _Direct(Loops):
    def __init__(self, module: Module, tiles: Tiles) -> None:
        super().__init__(tiles, module.function(direct_name(tiles), [("request", "ptr")]))
        self.request = Words(self.f, self.f.parameters["request"])

    def emit(self) -> None:
        f, request, tiles = self.f, self.request, self.tiles
        words = (Request.ROWS, Request.COLUMNS, Request.INNER, Request.A_ROW, Request.A_COLUMN)
        rows, columns, inner, a_row, a_step = (request[w] for w in words)
        b_step, c_row, adds = (request[w] for w in (Request.B_ROW, Request.C_ROW, Request.ADDS))
        a, b, c = (request.pointer(w) for w in (Request.A, Request.B, Request.C))
        alpha = f.load(request.pointer_to(Request.ALPHA), self.kind)
        kernels = f.field(Value(f"@{micro.table(tiles)}", "ptr"), 0)

        def panel(row: Int) -> None:
            height = (rows - row).at_most(tiles.rows)
            of_height = f.offset(kernels, ((height - 1) * tiles.vectors).value, "ptr")
            here, below = self.at(a, row * a_row), self.at(c, row * c_row)

            def tile(column: Int) -> None:
                width = (columns - column).at_most(tiles.columns)
                kernel = f.load(f.offset(of_height, (width.up_over(tiles.lanes) - 1).value, "ptr"), "ptr")
                from_, to = self.at(b, column), self.at(below, column)
                ahead = self.at(from_, b_step * micro.FURTHER)
                places = (here, a_row, a_step, from_, b_step, to, c_row)
                call(f, kernel, *places, inner, alpha, adds, width, ahead, self.number(0))

            every(f, self.number(0), columns, tiles.columns, tile)

        every(f, self.number(0), rows, tiles.rows, panel)
        f.do("ret void")
