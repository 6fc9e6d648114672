"""Products C = alpha A B, or C += alpha A B, of few columns, where rows of A and columns of B have no gaps:
the elements of C are dot products, several rows by several columns at a time. C itself may lie in any way.

    skinny(job, ..., start, stop)       rows from start to stop; the words of the job are those of a request

A register of A and one of B, both along the inner dimension, serve a whole tile of sums. A tile of C that
takes registers along its columns would leave most lanes idle here, and read A number by number.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgrad_compiler.backends.llvm.contract.integers import Int
from symgrad_compiler.backends.llvm.contract.request import Request
from symgrad_compiler.backends.llvm.contract.tiles import Tiles
from symgrad_compiler.backends.llvm.contract.words import Words, call, every
from symgrad_compiler.backends.llvm.ir import Function, Module, Value, literal
from symgrad_compiler.backends.llvm.lane_sums import Place, places, side_by_side, totals
from symgrad_compiler.backends.llvm.lanes import lane_mask, read, write
from symgrad_compiler.backends.llvm.scalars import Code
from symgrad_compiler.backends.llvm.splitting import RANGE

#: The most columns; the inner dimension from which on registers along it pay.
MOST_COLUMNS, LEAST_INNER = 24, 64
_ONE = literal(1, "i64")
#: Bytes of a line of the caches.
_LINE = 64


def skinny_name(tiles: Tiles) -> str:
    return f"contract.skinny.{tiles.kind}"


def shape(tiles: Tiles) -> tuple[int, int]:
    """Rows and columns of a tile: its sums, registers of A and one of B are in registers."""
    return (5, 5) if tiles.rows * tiles.vectors >= 24 else (3, 4)


def asked(tiles: Tiles, rows: int) -> int:
    """How many rows of the next tile, or of this one in the next round where that is known, a group of
    columns asks for: half, since there mostly are two groups; one, where a step is half a line."""
    return 1 if tiles.lanes * tiles.bytes < _LINE else rows - rows // 2


def emit_skinny(module: Module, tiles: Tiles) -> None:
    """The function over a range, and its kernels."""
    most, widest = shape(tiles)
    names = []
    for rows in (1, most):
        for columns in range(1, widest + 1):
            kernel = _Tile(module, tiles, rows, columns)
            kernel.emit()
            names.append(f"ptr @{kernel.f.name}")
    module.declare(f"@{_table(tiles)} = private constant [{len(names)} x ptr] [{', '.join(names)}], align 8")
    _Skinny(module, tiles).emit()


def _table(tiles: Tiles) -> str:
    return f"contract.dots.table.{tiles.kind}"


class _Skinny:
    def __init__(self, module: Module, tiles: Tiles) -> None:
        self.tiles = tiles
        self.f: Function = module.function(skinny_name(tiles), [("job", "ptr"), *RANGE[1:]])
        self.code = Code(self.f, machine=tiles.machine)
        self.job = Words(self.f, self.f.parameters["job"])

    def number(self, value: int) -> Int:
        return Int(self.f, literal(value, "i64"))

    def at(self, pointer: Value, index: Int) -> Value:
        return self.f.offset(pointer, index.value, self.tiles.kind)

    def emit(self) -> None:
        f, (most, _) = self.f, shape(self.tiles)
        start, stop = (Int(f, f.parameters[n]) for n in ("start", "stop"))
        whole = start + (stop - start) // most * most
        every(f, start, whole, most, lambda row: self._rows(row, most))
        left, adds = stop - whole, self.job[Request.ADDS]
        f.either(
            self.code.logical_and(self.code.logical_and(left >= 2, stop - start >= most), adds.equals(0)),
            lambda: self._rows(stop - most, most),
            lambda: every(f, whole, stop, 1, lambda row: self._rows(row, 1)),
        )
        f.do("ret void")

    def _rows(self, row: Int, rows: int) -> None:
        """Some rows of C, in groups of columns of about the same size."""
        f, job, (_, widest) = self.f, self.job, shape(self.tiles)
        columns = job[Request.COLUMNS]
        groups = columns.up_over(widest)
        width, wider = columns // groups, columns % groups
        a = self.at(job.pointer(Request.A), row * job[Request.A_ROW])
        c = self.at(job.pointer(Request.C), row * job[Request.C_ROW])
        alpha = f.load(job.pointer_to(Request.ALPHA), self.tiles.kind)
        table = f.field(Value(f"@{_table(self.tiles)}", "ptr"), 8 * widest * (rows > 1))

        def group(number: Int) -> None:
            first = number * width + number.at_most(wider)
            count = width + self.number(1).where(number < wider, 0)
            kernel = f.load(f.offset(table, (count - 1).value, "ptr"), "ptr")
            b = self.at(job.pointer(Request.B), first * job[Request.B_COLUMN])
            to = self.at(c, first * job[Request.C_COLUMN])
            a_row, b_column, inner = (job[w] for w in (Request.A_ROW, Request.B_COLUMN, Request.INNER))
            c_row, c_column = job[Request.C_ROW], job[Request.C_COLUMN]
            following = job[Request.A_AHEAD]
            further = following.where(following.differs(0), a_row * rows)
            asks = asked(self.tiles, rows)
            ahead = self.at(a, further + a_row * (number * asks).at_most(rows - asks))
            adds = job[Request.ADDS]
            call(f, kernel, a, a_row, b, b_column, to, c_row, c_column, inner, alpha, adds, ahead)

        every(f, self.number(0), groups, 1, group)


class _Tile:
    """dots(a, a_row, b, b_column, c, c_row, c_column, inner, alpha, adds, ahead): a tile of C; some rows from
    `ahead` on are asked for."""

    def __init__(self, module: Module, tiles: Tiles, rows: int, columns: int) -> None:
        self.tiles, self.rows, self.columns = tiles, rows, columns
        self.kind, self.lanes = tiles.kind, tiles.lanes
        self.asked = asked(tiles, rows)
        parameters = [("a", "ptr"), ("a_row", "i64"), ("b", "ptr"), ("b_column", "i64"), ("c", "ptr")]
        parameters += [("c_row", "i64"), ("c_column", "i64"), ("inner", "i64"), ("alpha", tiles.kind)]
        parameters += [("adds", "i64"), ("ahead", "ptr")]
        name = f"contract.dots.{tiles.kind}.{rows}x{columns}"
        self.f: Function = module.function(name, parameters, linkage="internal ")
        self.code = Code(self.f, machine=tiles.machine)

    def emit(self) -> None:
        f, code, lanes = self.f, self.code, self.lanes
        f.module.declare("declare void @llvm.prefetch.p0(ptr, i32 immarg, i32 immarg, i32 immarg)")
        p = f.parameters
        inner = Int(f, p["inner"])
        rows = [f.offset(p["a"], (Int(f, p["a_row"]) * i).value, self.kind) for i in range(self.rows)]
        columns = [
            f.offset(p["b"], (Int(f, p["b_column"]) * j).value, self.kind) for j in range(self.columns)
        ]
        nothing = [literal(0, self.kind, lanes)] * (self.rows * self.columns)

        ahead = [f.offset(p["ahead"], (Int(f, p["a_row"]) * i).value, self.kind) for i in range(self.asked)]

        def step(index: Value, sums: Sequence[Value], mask: Value | None) -> list[Value]:
            if mask is None:  # rows of the next tile: too short for the processor to notice by itself
                for row in ahead:
                    at = f.offset(row, index, self.kind)
                    f.do(f"call void @llvm.prefetch.p0(ptr {at.text}, i32 0, i32 2, i32 1)")
            a = [read(code, f.offset(r, index, self.kind), _ONE, self.kind, lanes, mask) for r in rows]
            made = list(sums)
            for j, column in enumerate(columns):
                b = read(code, f.offset(column, index, self.kind), _ONE, self.kind, lanes, mask)
                for i in range(self.rows):
                    number = i * self.columns + j
                    made[number] = code.muladd(a[i], b, made[number])
            return made

        whole = inner // lanes * lanes
        step_size = literal(lanes, "i64")
        sums = f.loop(literal(0, "i64"), whole.value, step_size, nothing, lambda k, s: step(k, s, None))

        def rest(index: Value, sums: list[Value]) -> list[Value]:
            return step(index, sums, lane_mask(code, index, inner.value, lanes))

        sums = f.loop(whole.value, inner.value, step_size, sums, rest)
        self._store(totals(code, sums))
        f.do("ret void")

    def _store(self, registers: list[Value]) -> None:
        """What has no gaps in C, a row's elements or a column's, is stored at once."""
        f, code, p = self.f, self.code, self.f.parameters
        ends = places(self.rows * self.columns, self.lanes)
        alpha = code.splat(p["alpha"], self.lanes)
        scaled = [code.multiply(alpha, x) for x in registers]
        rows = [[ends[i * self.columns + j] for j in range(self.columns)] for i in range(self.rows)]
        columns = [list(column) for column in zip(*rows, strict=True)]

        def store(runs: list[list[Place]], apart: Value, adding: bool) -> None:
            for number, run in enumerate(runs):
                at = f.offset(p["c"], (Int(f, apart) * number).value, self.kind)
                self._store_run(scaled, run, at, adding)

        def either_way(adding: bool) -> None:
            by_rows = Int(f, p["c_column"]).equals(1)
            f.either(
                by_rows,
                lambda: store(rows, p["c_row"], adding),
                lambda: store(columns, p["c_column"], adding),
            )

        adds = Int(f, p["adds"]).differs(0)
        f.either(adds, lambda: either_way(True), lambda: either_way(False))

    def _store_run(self, registers: list[Value], run: list[Place], at: Value, adding: bool) -> None:
        """Store lanes of registers one behind the other."""
        f, code, kind, lanes = self.f, self.code, self.kind, self.lanes
        if self.tiles.machine.has_masks and 1 < len(run) <= lanes:
            value = side_by_side(code, registers, run)
            mask = Value(f"<{', '.join(f'i1 {int(k < len(run))}' for k in range(lanes))}>", "i1", lanes)
            if adding:
                value = code.add(read(code, at, _ONE, kind, lanes, mask), value)
            write(code, value, at, _ONE, lanes, mask)
            return
        for number, (register, lane) in enumerate(run):
            x, to = registers[register], f.field(at, number * self.tiles.bytes)
            total = f.emit(f"extractelement {x.type} {x.text}, i64 {lane}", kind)
            f.store(code.add(f.load(to, kind), total) if adding else total, to)
