"""Products of a matrix and a vector, y = alpha A x or y += alpha A x: as fast as A can be read.

    dots(job, ..., start, stop)         rows of A without gaps: a dot product each, several rows at a time
    columns(job, ..., start, stop)      columns of A without gaps: y is a sum of columns, several at a time

on the rows from start to stop; the words of the job are those of a request whose B is x and whose C is y.
"""

from __future__ import annotations

from collections.abc import Callable

from symgrad_compiler.backends.llvm.contract.integers import Int
from symgrad_compiler.backends.llvm.contract.request import Request
from symgrad_compiler.backends.llvm.contract.tiles import Tiles
from symgrad_compiler.backends.llvm.contract.words import Words, every
from symgrad_compiler.backends.llvm.ir import Function, Module, Value, literal
from symgrad_compiler.backends.llvm.lanes import lane_mask, read, write
from symgrad_compiler.backends.llvm.scalars import Code
from symgrad_compiler.backends.llvm.splitting import RANGE

#: Rows of a dot product that are under way, and registers of each; columns that are added at once.
ROWS, _REGISTERS, _COLUMNS = 4, 2, 8
#: Rows of y that stay in the first cache while columns are added; and the multiples by which threads share y.
_BLOCK, UNIT = 1024, 64
_ONE = literal(1, "i64")


def dots_name(tiles: Tiles) -> str:
    return f"contract.dots.{tiles.kind}"


def columns_name(tiles: Tiles) -> str:
    return f"contract.columns.{tiles.kind}"


def emit_vector(module: Module, tiles: Tiles) -> None:
    """Both functions."""
    _Dots(module, tiles, dots_name(tiles)).emit()
    _Columns(module, tiles, columns_name(tiles)).emit()


class _Vector:
    """What both have: the job, its matrix and its vectors."""

    def __init__(self, module: Module, tiles: Tiles, name: str) -> None:
        self.tiles, self.kind, self.lanes = tiles, tiles.kind, tiles.lanes
        self.f: Function = module.function(name, [("job", "ptr"), *RANGE[1:]])
        f = self.f
        self.code = Code(f, machine=tiles.machine)
        self.start, self.stop = (Int(f, f.parameters[n]) for n in ("start", "stop"))
        job = Words(f, f.parameters["job"])
        self.a, self.x, self.y = (job.pointer(w) for w in (Request.A, Request.B, Request.C))
        words = (Request.INNER, Request.A_ROW, Request.A_COLUMN, Request.B_ROW, Request.C_ROW)
        self.inner, self.a_row, self.a_column, self.x_step, self.y_step = (job[w] for w in words)
        self.adds = job[Request.ADDS].differs(0)
        self.alpha = f.load(job.pointer_to(Request.ALPHA), self.kind)

    def at(self, pointer: Value, index: Int) -> Value:
        return self.f.offset(pointer, index.value, self.kind)

    def load(self, at: Value, mask: Value | None = None) -> Value:
        return read(self.code, at, _ONE, self.kind, self.lanes, mask)

    def number(self, value: int) -> Int:
        return Int(self.f, literal(value, "i64"))


class _Dots(_Vector):
    def emit(self) -> None:
        whole = self.start + (self.stop - self.start) // ROWS * ROWS
        every(self.f, self.start, whole, ROWS, lambda row: self._rows(row, ROWS))
        every(self.f, whole, self.stop, 1, lambda row: self._rows(row, 1))
        self.f.do("ret void")

    def _rows(self, row: Int, count: int) -> None:
        f, code, lanes = self.f, self.code, self.lanes
        rows = [self.at(self.a, (row + i) * self.a_row) for i in range(count)]
        length = lanes * _REGISTERS
        whole = self.inner // length * length
        nothing = [literal(0, self.kind, lanes)] * (count * _REGISTERS)

        def wide(index: Value, sums: list[Value]) -> list[Value]:
            made = []
            for i in range(count):
                for r in range(_REGISTERS):
                    k = Int(f, index) + r * lanes
                    x, a = self.load(self.at(self.x, k)), self.load(self.at(rows[i], k))
                    made.append(code.muladd(a, x, sums[i * _REGISTERS + r]))
            return made

        sums = f.loop(literal(0, "i64"), whole.value, literal(length, "i64"), nothing, wide)

        def rest(index: Value, firsts: list[Value]) -> list[Value]:
            k = Int(f, index)
            mask = lane_mask(code, index, self.inner.value, lanes)
            x = self.load(self.at(self.x, k), mask)
            return [code.muladd(self.load(self.at(rows[i], k), mask), x, firsts[i]) for i in range(count)]

        firsts = f.loop(whole.value, self.inner.value, literal(lanes, "i64"), sums[::_REGISTERS], rest)
        for i in range(count):
            total = code.add(firsts[i], sums[i * _REGISTERS + 1])
            at = self.at(self.y, (row + i) * self.y_step)
            dot = code.multiply(self.alpha, self._sum(total))
            f.either(
                self.adds,
                lambda at=at, dot=dot: f.store(code.add(f.load(at, self.kind), dot), at),  # type: ignore[misc]
                lambda at=at, dot=dot: f.store(dot, at),  # type: ignore[misc]
            )

    def _sum(self, x: Value) -> Value:
        """Of all lanes: halves are added to halves."""
        suffix = f"v{self.lanes}{self.kind}"
        scalar = literal(0, self.kind)
        self.f.module.declare(
            f"declare {scalar.type} @llvm.vector.reduce.fadd.{suffix}({scalar.type}, {x.type})"
        )
        listed = f"{scalar.type} {literal(-0.0, self.kind).text}, {x.type} {x.text}"
        return self.f.volatile(
            f"call reassoc {scalar.type} @llvm.vector.reduce.fadd.{suffix}({listed})", self.kind
        )


class _Columns(_Vector):
    """y has no gaps here."""

    def emit(self) -> None:
        every(self.f, self.start, self.stop, _BLOCK, self._block)
        self.f.do("ret void")

    def _block(self, first: Int) -> None:
        f = self.f
        count = (self.stop - first).at_most(_BLOCK)
        y = self.at(self.y, first)
        f.when(
            self.code.logical_not(self.adds),
            lambda: self._each(count, lambda at, mask: literal(0, self.kind, self.lanes), y),
        )
        whole = self.inner // _COLUMNS * _COLUMNS
        every(f, self.number(0), whole, _COLUMNS, lambda k: self._add(first, count, y, k, _COLUMNS))
        every(f, whole, self.inner, 1, lambda k: self._add(first, count, y, k, 1))

    def _add(self, first: Int, count: Int, y: Value, k: Int, columns: int) -> None:
        f, code = self.f, self.code
        sources = [self.at(self.a, first + (k + i) * self.a_column) for i in range(columns)]
        factors = []
        for i in range(columns):
            x = f.load(self.at(self.x, (k + i) * self.x_step), self.kind)
            factors.append(code.splat(code.multiply(self.alpha, x), self.lanes))

        def more(at: Int, mask: Value | None) -> Value:
            total = self.load(self.at(y, at), mask)
            for factor, source in zip(factors, sources, strict=True):
                total = code.muladd(factor, self.load(self.at(source, at), mask), total)
            return total

        self._each(count, more, y)

    def _each(self, count: Int, value: Callable[[Int, Value | None], Value], y: Value) -> None:
        """Store value(at, mask) to all of a block of y, register by register."""
        lanes = self.lanes
        whole = count // lanes * lanes

        def one(at: Int) -> None:
            write(self.code, value(at, None), self.at(y, at), _ONE, lanes, None)

        every(self.f, self.number(0), whole, lanes, one)

        def last() -> None:
            mask = lane_mask(self.code, whole.value, count.value, lanes)
            write(self.code, value(whole, mask), self.at(y, whole), _ONE, lanes, mask)

        self.f.when(whole < count, last)
