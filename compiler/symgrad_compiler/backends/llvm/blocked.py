"""Large Cholesky factors and their inverses, block by block: nearly all of the work is products of matrices,
which our own code does, on our own threads. LAPACK factors the blocks on the diagonal, which are small enough
that it takes one thread for them.

    factor     l[k:, k] = (a[k:, k] - l[k:, :k] l[k, :k]^T) l[k, k]^-T      column of blocks by column
    inverse    x = l^-1, row of blocks by row; then x^T x, of which the lower half is computed
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from symgrad_compiler.backends.llvm.contract.request import WORDS, Request
from symgrad_compiler.backends.llvm.frame import POOL, PRODUCTS, frame_word
from symgrad_compiler.backends.llvm.ir import Function, Value, literal
from symgrad_compiler.backends.llvm.scalars import Code
from symgrad_compiler.backends.llvm.steps import StepEmitter
from symgrad_compiler.plan.factors import BLOCK

_ZERO, _ONE = literal(0, "i64"), literal(1, "i64")
_SIDE = literal(BLOCK, "i64")


class Host(Protocol):
    """What emits the step."""

    emitter: StepEmitter
    f: Function
    code: Code
    kind: str
    n: Value
    order: Value
    info: Value

    def call(self, routine: str, *arguments: Value) -> None: ...
    def letter(self, letter: str) -> Value: ...
    def each(self, stop: Value, body: Callable[[Value], None], start: Value = ...) -> None: ...
    def copy(self, source: Value, target: Value, *extents: Value) -> None: ...
    def element(self, matrix: Value, row: Value, column: Value) -> Value: ...
    def failed(self, what: int, number: Value, shift: Value) -> None: ...


class Blocked:
    """Emits both. `scratch` holds a panel of `BLOCK` columns, a block, and for the inverse a matrix."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.f, self.code, self.kind, self.n = host.f, host.code, host.kind, host.n
        self.request = self.f.volatile(f"alloca [{WORDS} x i64], align 16", "ptr")
        self.side = self.f.volatile("alloca i32, align 4", "ptr")

    def factor(self, number: Value, out: Value, scratch: Value, what: int) -> None:
        """Cholesky's factor in place of a matrix."""
        code, n, host = self.code, self.n, self.host

        def column(start: Value, side: Value) -> None:
            rest = code.subtract(n, start)
            rows, corner = self._at(out, start, _ZERO), self._at(out, start, start)
            self._multiply(corner, n, (rows, n, _ONE), (rows, _ONE, n), rest, side, start, -1.0)
            host.call("potrf", host.letter("U"), self.side, corner, host.order, host.info)
            host.failed(what, number, start)
            below = code.subtract(rest, side)
            block = self._block(scratch)
            self._inverted(corner, block, side)
            panel = self._at(out, code.add(start, side), start)

            def move(row: Value) -> None:
                source = self.f.offset(panel, code.multiply(row, n), self.kind)
                host.copy(source, self.f.offset(scratch, code.multiply(row, side), self.kind), side)

            host.each(below, move)
            self._multiply(panel, n, (scratch, side, _ONE), (block, _ONE, _SIDE), below, side, side, None)

        self._by_blocks(column)

    def inverse(self, factor: Value, out: Value, scratch: Value) -> None:
        """The lower half of (l l^T)^-1."""
        code, n, f = self.code, self.n, self.f
        block = self._block(scratch)
        x = f.offset(block, literal(BLOCK * BLOCK, "i64"), self.kind)
        size = code.multiply(code.multiply(n, n), literal(8 if self.kind == "f64" else 4, "i64"))
        f.do(f"call void @llvm.memset.p0.i64(ptr {x.text}, i8 0, i64 {size.text}, i1 false)")

        def row(start: Value, side: Value) -> None:
            self._inverted(self._at(factor, start, start), block, side)
            left, mine = self._at(factor, start, _ZERO), self._at(x, start, _ZERO)
            self._multiply(scratch, start, (left, n, _ONE), (x, n, _ONE), side, start, start, None)
            self._multiply(mine, n, (block, _SIDE, _ONE), (scratch, start, _ONE), side, start, side, None)

            def place(i: Value) -> None:
                def negate(j: Value) -> None:
                    at = self._at(x, code.add(start, i), j)
                    f.store(code.negative(f.load(at, self.kind)), at)

                self.host.each(start, negate)
                source = f.offset(block, code.multiply(i, _SIDE), self.kind)
                self.host.copy(source, self._at(x, code.add(start, i), start), side)

            self.host.each(side, place)

        self._by_blocks(row)

        def square(start: Value, side: Value) -> None:
            below, columns = code.subtract(n, start), code.add(start, side)
            a, b = self._at(x, start, start), self._at(x, start, _ZERO)
            target = self._at(out, start, _ZERO)
            self._multiply(target, n, (a, _ONE, n), (b, n, _ONE), side, columns, below, None)

        self._by_blocks(square)

    # ---- parts --------------------------------------------------------------------------------------

    def _by_blocks(self, body: Callable[[Value, Value], None]) -> None:
        """Of each block on the diagonal: where it starts, and its side."""

        def one(start: Value, _: list[Value]) -> list[Value]:
            rest = self.code.subtract(self.n, start)
            side = self.code.select(self.code.less(rest, _SIDE), rest, _SIDE)
            self.f.store(self.f.emit(f"trunc i64 {side.text} to i32", "i32"), self.side)
            body(start, side)
            return []

        self.f.loop(_ZERO, self.n, _SIDE, [], one)

    def _at(self, matrix: Value, row: Value, column: Value) -> Value:
        return self.host.element(matrix, row, column)

    def _block(self, scratch: Value) -> Value:
        return self.f.offset(scratch, self.code.multiply(self.n, _SIDE), self.kind)

    def _inverted(self, corner: Value, block: Value, side: Value) -> None:
        """The inverse of a triangle on the diagonal, zeros above it, in rows of `BLOCK`."""
        size = literal(BLOCK * BLOCK * (8 if self.kind == "f64" else 4), "i64")
        self.host.emitter.module.declare("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1 immarg)")
        self.f.do(f"call void @llvm.memset.p0.i64(ptr {block.text}, i8 0, i64 {size.text}, i1 false)")

        def move(row: Value) -> None:
            source = self.f.offset(corner, self.code.multiply(row, self.n), self.kind)
            target = self.f.offset(block, self.code.multiply(row, _SIDE), self.kind)
            self.host.copy(source, target, self.code.add(row, _ONE))

        self.host.each(side, move)
        self.host.emitter.module.declare(f"@lapack.block = private unnamed_addr constant i32 {BLOCK}")
        letters = [self.host.letter("U"), self.host.letter("N")]
        self.host.call("trti2", *letters, self.side, block, Value("@lapack.block", "ptr"), self.host.info)

    def _multiply(
        self,
        c: Value,
        c_row: Value,
        a: tuple[Value, Value, Value],
        b: tuple[Value, Value, Value],
        rows: Value,
        columns: Value,
        inner: Value,
        alpha: float | None,
    ) -> None:
        """C = A B, or C += alpha A B; nothing where there is nothing to compute."""
        words: dict[Request, Value] = {
            Request.ROWS: rows,
            Request.COLUMNS: columns,
            Request.INNER: inner,
            Request.A: a[0],
            Request.A_ROW: a[1],
            Request.A_COLUMN: a[2],
            Request.B: b[0],
            Request.B_ROW: b[1],
            Request.B_COLUMN: b[2],
            Request.C: c,
            Request.C_ROW: c_row,
            Request.ALPHA: literal(1.0 if alpha is None else alpha, self.kind),
            Request.ADDS: _ZERO if alpha is None else _ONE,
            Request.BATCH: _ONE,
        }

        def call() -> None:
            for word in Request:
                self.f.store(words.get(word, _ZERO), self.f.field(self.request, 8 * word))
            function = frame_word(self.host.emitter.f, PRODUCTS[self.kind], "ptr")
            pool = frame_word(self.host.emitter.f, POOL, "ptr")
            self.f.do(f"call void {function.text}(ptr {pool.text}, ptr {self.request.text})")

        some = self.code.logical_and(self.code.less(_ZERO, rows), self.code.less(_ZERO, columns))
        self.f.when(self.code.logical_and(some, self.code.less(_ZERO, inner)), call)
