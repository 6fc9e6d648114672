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

#: Tiles below each other, at most.
_TILES = 4


def direct_name(tiles: Tiles) -> str:
    return f"contract.direct.{tiles.kind}"


def is_direct(loops: Loops, request: Words) -> Value:
    """Whether a product is one tile wide, of elements side by side, and few tiles high."""
    tiles = loops.tiles
    columns, a_row = request[Request.COLUMNS], request[Request.A_ROW]
    has_lanes = request[Request.B_COLUMN].equals(1)
    if not tiles.machine.has_avx512:  # whose kernels read whole registers
        has_lanes = loops.both(has_lanes, (columns & (tiles.lanes - 1)).equals(0))
    low = loops.both(request[Request.ROWS] <= _TILES * tiles.rows, request[Request.INNER] <= tiles.inner)
    found = loops.both(loops.both(has_lanes, low), columns <= tiles.columns)
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
        vectors = columns.up_over(tiles.lanes)
        kernels = f.field(Value(f"@{micro.table(tiles)}", "ptr"), 0)

        def tile(row: Int) -> None:
            height = (rows - row).at_most(tiles.rows)
            number = (height - 1) * tiles.vectors + vectors - 1
            kernel = f.load(f.offset(kernels, number.value, "ptr"), "ptr")
            here, there = self.at(a, row * a_row), self.at(c, row * c_row)
            call(f, kernel, here, a_row, a_step, b, b_step, there, c_row, inner, alpha, adds, columns, b)

        every(f, self.number(0), rows, tiles.rows, tile)
        f.do("ret void")
