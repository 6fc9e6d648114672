"""Panels: a few rows of A, or columns of B, laid out in the order in which the micro-kernel reads them.

    pack(to, to_step, width, from, lane_step, inner_step, inner)

puts the element at from + lane_step i + inner_step k to to + to_step k + i, for i below `width`, which is at
most a tile's. It may write up to a register beyond the last element. There are three ways: where lanes are
next to each other they are copied; where steps of the inner dimension are, squares are transposed in
registers; anything else goes element by element.

The lanes of a register beyond `width` get other elements or 0; where that spills over into the next step of
the inner dimension, it is written before what belongs there. So registers go from the last to the first.
"""

from __future__ import annotations

from collections.abc import Callable

from symgrad_compiler.backends.llvm.contract.integers import Int
from symgrad_compiler.backends.llvm.contract.tiles import Tiles
from symgrad_compiler.backends.llvm.ir import Function, Module, Value, literal
from symgrad_compiler.backends.llvm.lanes import lane_mask, read, write
from symgrad_compiler.backends.llvm.scalars import Code

_ONE = literal(1, "i64")


def name(tiles: Tiles) -> str:
    return f"pack.{tiles.kind}.{tiles.vectors}x{tiles.lanes}"


def emit_pack(module: Module, tiles: Tiles) -> None:
    """The function."""
    _Pack(module, tiles).emit()


class _Pack:
    def __init__(self, module: Module, tiles: Tiles) -> None:
        self.tiles, self.kind, self.lanes = tiles, tiles.kind, tiles.lanes
        words = [("to", "ptr"), ("to_step", "i64"), ("width", "i64"), ("source", "ptr")]
        words += [("lane_step", "i64"), ("inner_step", "i64"), ("inner", "i64")]
        self.f: Function = module.function(name(tiles), words, linkage="internal ")
        self.code = Code(self.f, machine=tiles.machine)
        self.to, self.source = self.f.parameters["to"], self.f.parameters["source"]
        numbers = ("to_step", "width", "lane_step", "inner_step", "inner")
        self.to_step, self.width, self.lane_step, self.inner_step, self.inner = (
            Int(self.f, self.f.parameters[n]) for n in numbers
        )

    def emit(self) -> None:
        f = self.f
        square = self.code.logical_and(self.inner_step.equals(1), self.inner >= self.lanes)
        f.either(
            self.lane_step.equals(1),
            self._copy,
            lambda: f.either(square, self._transpose, self._elements),
        )
        f.do("ret void")

    def _at(self, pointer: Value, index: Int) -> Value:
        return self.f.offset(pointer, index.value, self.kind)

    def _store(self, value: Value, at: Value) -> None:
        write(self.code, value, at, _ONE, value.lanes, None)

    # ---- lanes side by side -------------------------------------------------------------------------

    def _copy(self) -> None:
        """Whole tiles by whole registers; else the last register by a mask."""
        vectors = self.tiles.vectors
        self.f.either(self.width.equals(vectors * self.lanes), lambda: self._rows(vectors), self._groups)

    def _rows(self, vectors: int) -> None:
        def one(_: Value, carried: list[Value]) -> list[Value]:
            to, source = carried
            for j in range(vectors):
                bytes_ = j * self.lanes * self.tiles.bytes
                x = read(self.code, self.f.field(source, bytes_), _ONE, self.kind, self.lanes, None)
                self._store(x, self.f.field(to, bytes_))
            return [self._at(to, self.to_step), self._at(source, self.inner_step)]

        self._inner_loop(one)

    def _inner_loop(self, body: Callable[[Value, list[Value]], list[Value]]) -> None:
        self.f.loop(literal(0, "i64"), self.inner.value, _ONE, [self.to, self.source], body)

    def _groups(self) -> None:
        def group(first: Int) -> None:
            mask = lane_mask(self.code, first.value, self.width.value, self.lanes)

            def one(_: Value, carried: list[Value]) -> list[Value]:
                to, source = carried
                x = read(self.code, self._at(source, first), _ONE, self.kind, self.lanes, mask)
                self._store(x, self._at(to, first))
                return [self._at(to, self.to_step), self._at(source, self.inner_step)]

            self._inner_loop(one)

        self._each_group(group)

    def _each_group(self, body: Callable[[Int], None]) -> None:
        """From the last to the first register of a panel."""
        count = self.width.up_over(self.lanes)

        def one(index: Value, _: list[Value]) -> list[Value]:
            body((count - 1 - Int(self.f, index)) * self.lanes)
            return []

        self.f.loop(literal(0, "i64"), count.value, _ONE, [], one)

    # ---- steps side by side -------------------------------------------------------------------------

    def _transpose(self) -> None:
        """Square by square; the last one overlaps the one before, if the inner dimension is no multiple."""

        def group(first: Int) -> None:
            lanes = [(first + i).at_most(self.width - 1) for i in range(self.lanes)]
            sources = [self._at(self.source, lane * self.lane_step) for lane in lanes]
            to = self._at(self.to, first)

            def square(k: Int) -> None:
                rows = [read(self.code, self._at(s, k), _ONE, self.kind, self.lanes, None) for s in sources]
                at = self._at(to, k * self.to_step)
                for column in self._transposed(rows):
                    self._store(column, at)
                    at = self._at(at, self.to_step)

            def one(index: Value, _: list[Value]) -> list[Value]:
                square(Int(self.f, index).at_most(self.inner - self.lanes))
                return []

            self.f.loop(literal(0, "i64"), self.inner.value, literal(self.lanes, "i64"), [], one)

        self._each_group(group)

    def _transposed(self, rows: list[Value]) -> list[Value]:
        """By halves: exchange the upper right with the lower left quarter, then within quarters."""
        lanes = self.lanes
        distance = lanes // 2
        while distance:
            upper = [l if not l & distance else lanes + l - distance for l in range(lanes)]
            lower = [l + distance if not l & distance else lanes + l for l in range(lanes)]
            for i in range(lanes):
                if not i & distance:
                    a, b = rows[i], rows[i + distance]
                    rows[i], rows[i + distance] = self._shuffle(a, b, upper), self._shuffle(a, b, lower)
            distance //= 2
        return rows

    def _shuffle(self, a: Value, b: Value, order: list[int]) -> Value:
        listed = ", ".join(f"i32 {i}" for i in order)
        text = f"shufflevector {a.type} {a.text}, {b.type} {b.text}, <{len(order)} x i32> <{listed}>"
        return self.f.volatile(text, self.kind, len(order))

    # ---- anything else ------------------------------------------------------------------------------

    def _elements(self) -> None:
        """What fills up the last register is 0: garbage may be a number that is slow to multiply."""
        f, zero = self.f, literal(0, "i64")
        filled = self.width.up_to(self.lanes).at_most(self.to_step)

        def one(_: Value, carried: list[Value]) -> list[Value]:
            to, source = carried

            def lane(i: Value, at: list[Value]) -> list[Value]:
                f.store(f.load(at[0], self.kind), f.offset(to, i, self.kind))
                return [self._at(at[0], self.lane_step)]

            def nothing(i: Value, _: list[Value]) -> list[Value]:
                f.store(literal(0, self.kind), f.offset(to, i, self.kind))
                return []

            f.loop(zero, self.width.value, _ONE, [source], lane)
            f.loop(self.width.value, filled.value, _ONE, [], nothing)
            return [self._at(to, self.to_step), self._at(source, self.inner_step)]

        self._inner_loop(one)
