"""Factors of matrices and triangular systems: calls of LAPACK and BLAS, matrix by matrix, in place on the
result.

LAPACK has matrices column by column, so it sees the transposes of ours: a lower triangle of ours is an upper
one there, a solution on the left is one on the right. Nothing is moved for that.

The functions are SciPy's. Their addresses are in a table that the frame points to: none is part of the code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgrad.dims import Dim, product
from symgrad.ops.cholesky import Cholesky, CholeskyInverse
from symgrad.ops.solve import LUFactor
from symgrad.ops.triangular import SolveTriangular
from symgrad_compiler.backends.llvm.blocked import Blocked
from symgrad_compiler.backends.llvm.frame import LAPACK, frame_word
from symgrad_compiler.backends.llvm.ir import LLVM_TYPES, Value, literal
from symgrad_compiler.backends.llvm.names import ROUTINES
from symgrad_compiler.backends.llvm.scalars import kind_of
from symgrad_compiler.backends.llvm.steps import StepEmitter
from symgrad_compiler.plan.steps import MatrixStep
from symgrad_runtime.native import NOT_POSITIVE_DEFINITE, SINGULAR

_ZERO, _ONE = literal(0, "i64"), literal(1, "i64")
#: Matrices beyond this size are factored block by block.
LARGE = 128


def emit_factor(emitter: StepEmitter, step: MatrixStep) -> None:
    """The function of a step."""
    _Factor(emitter, step).emit()


class _Factor:
    def __init__(self, emitter: StepEmitter, step: MatrixStep) -> None:
        self.emitter, self.step = emitter, step
        self.f, self.code, self.sizes = emitter.f, emitter.code, emitter.sizes
        self.kind = kind_of(step.node.inputs[0].dtype)
        *batch, self.rows = step.node.inputs[0].shape[:-1]
        self.batch: Dim = product(batch)
        self.n = self.sizes(self.rows)
        self.order = self._int(self.n)
        self.info = self.f.volatile("alloca i32, align 4", "ptr")
        self.blocked = Blocked(self)
        self.scratch = emitter.pointer(step.scratch) if step.scratch else self.info

    def emit(self) -> None:
        """Matrix by matrix."""
        emitter, step = self.emitter, self.step
        operands = [emitter.pointer(x) for x in step.operands]
        outs = [emitter.pointer(x) for x in step.outs]
        op = step.node.op
        column = self._int(self.sizes(step.outs[0].layout.shape[-1]) if step.outs[0].layout.shape else _ONE)
        pivots = self._pivots() if isinstance(op, LUFactor) else column

        def one(indices: list[Value]) -> None:
            (number,) = indices
            if isinstance(op, Cholesky):
                self._cholesky(number, operands[0], outs[0])
            elif isinstance(op, CholeskyInverse):
                self._inverse(number, operands[0], outs[0])
            elif isinstance(op, SolveTriangular):
                self._triangular(op, number, operands, outs[0], column)
            else:
                self._lu(number, operands[0], outs, pivots)

        emitter.nest((self.batch,), one)
        emitter.finish()

    # ---- the parts of calls -------------------------------------------------------------------------

    def _int(self, value: Value) -> Value:
        """The address of an int of LAPACK's."""
        place = self.f.volatile("alloca i32, align 4", "ptr")
        narrow = self.f.emit(f"trunc i64 {value.text} to i32", "i32")
        self.f.store(narrow, place)
        return place

    def _pivots(self) -> Value:
        """Room for an int for each row."""
        size = self.code.multiply(self.n, literal(4, "i64"))
        return self.f.volatile(f"alloca i8, i64 {size.text}, align 4", "ptr")

    def _constant(self, name: str, value: str) -> Value:
        """The address of a constant."""
        self.emitter.module.declare(f"@lapack.{name} = private unnamed_addr constant {value}")
        return Value(f"@lapack.{name}", "ptr")

    def letter(self, letter: str) -> Value:
        return self._constant(letter, f"i8 {ord(letter)}")

    def call(self, routine: str, *arguments: Value) -> None:
        index = 2 * ROUTINES.index(routine) + (self.kind == "f64")
        table = frame_word(self.emitter.f, LAPACK, "ptr")
        function = self.f.volatile(f"load ptr, ptr {self.f.field(table, 8 * index).text}, align 8", "ptr")
        listed = ", ".join(f"ptr {a.text}" for a in arguments)
        self.f.do(f"call void {function.text}({listed})")

    def _call_if_any(self, routine: str, *arguments: Value) -> None:
        """The call, unless matrices have no elements, which LAPACK does not take."""
        self.f.store(literal(0, "i32"), self.info)
        self.f.when(self.code.less(_ZERO, self.n), lambda: self.call(routine, *arguments))

    def _matrix(self, start: Value, number: Value, *extents: Value) -> Value:
        """The matrix (or row) of this number in a batch."""
        at = number
        for extent in extents:
            at = self.code.multiply(at, extent)
        return self.f.offset(start, at, self.kind)

    def copy(self, source: Value, target: Value, *extents: Value) -> None:
        size = literal(8 if self.kind == "f64" else 4, "i64")
        for extent in extents:
            size = self.code.multiply(size, extent)
        self.emitter.module.declare("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1 immarg)")
        listed = f"ptr {target.text}, ptr {source.text}, i64 {size.text}, i1 false"
        self.f.do(f"call void @llvm.memcpy.p0.p0.i64({listed})")

    def each(self, stop: Value, body: Callable[[Value], None], start: Value = _ZERO) -> None:
        def one(i: Value, _: list[Value]) -> list[Value]:
            body(i)
            return []

        self.f.loop(start, stop, _ONE, [], one)

    def element(self, matrix: Value, row: Value, column: Value) -> Value:
        return self.f.offset(matrix, self.code.add(self.code.multiply(row, self.n), column), self.kind)

    def failed(self, what: int, number: Value, shift: Value = _ZERO) -> None:
        """Fail where LAPACK says so."""
        info = self.f.volatile(f"load i32, ptr {self.info.text}, align 4", "i32")
        wide = self.f.emit(f"sext i32 {info.text} to i64", "i64")
        where = self.code.add(wide, shift)
        self.emitter.fail(self.code.less(_ZERO, wide), what, number, where)

    # ---- the ops ------------------------------------------------------------------------------------

    def _cholesky(self, number: Value, source: Value, target: Value) -> None:
        a = self._matrix(source, number, self.n, self.n)
        out = self._matrix(target, number, self.n, self.n)
        self.copy(a, out, self.n, self.n)
        self.f.either(
            self.code.less(literal(LARGE, "i64"), self.n),
            lambda: self.blocked.factor(number, out, self.scratch, NOT_POSITIVE_DEFINITE),
            lambda: self._factor_at_once(number, out),
        )
        self.each(self.n, lambda row: self._clear_right_of(out, row))

    def _factor_at_once(self, number: Value, out: Value) -> None:
        self._call_if_any("potrf", self.letter("U"), self.order, out, self.order, self.info)
        self.failed(NOT_POSITIVE_DEFINITE, number)

    def _clear_right_of(self, matrix: Value, row: Value) -> None:
        """Zeros above the diagonal."""
        self.emitter.module.declare("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1 immarg)")
        after = self.code.add(row, _ONE)
        start = self.element(matrix, row, after)
        count = self.code.add(self.n, self.code.negative(after))
        size = self.code.multiply(count, literal(8 if self.kind == "f64" else 4, "i64"))
        self.f.do(f"call void @llvm.memset.p0.i64(ptr {start.text}, i8 0, i64 {size.text}, i1 false)")

    def _inverse(self, number: Value, source: Value, target: Value) -> None:
        factor = self._matrix(source, number, self.n, self.n)
        out = self._matrix(target, number, self.n, self.n)
        self.each(self.n, lambda i: self._check_diagonal(factor, i, number))
        self.f.either(
            self.code.less(literal(LARGE, "i64"), self.n),
            lambda: self.blocked.inverse(factor, out, self.scratch),
            lambda: self._invert_at_once(number, factor, out),
        )

        def mirror(row: Value, column: Value) -> None:
            value = self.f.load(self.element(out, row, column), self.kind)
            self.f.store(value, self.element(out, column, row))

        self.each(self.n, lambda row: self.each(row, lambda column: mirror(row, column)))

    def _invert_at_once(self, number: Value, factor: Value, out: Value) -> None:
        self.copy(factor, out, self.n, self.n)
        self._call_if_any("potri", self.letter("U"), self.order, out, self.order, self.info)
        self.failed(SINGULAR, number, literal(-1, "i64"))

    def _triangular(
        self, op: SolveTriangular, number: Value, sources: Sequence[Value], target: Value, column: Value
    ) -> None:
        columns = self.sizes(self.step.outs[0].layout.shape[-1])
        a = self._matrix(sources[0], number, self.n, self.n)
        b = self._matrix(sources[1], number, self.n, columns)
        x = self._matrix(target, number, self.n, columns)
        if not op.unit:
            self.each(self.n, lambda i: self._check_diagonal(a, i, number))
        self.copy(b, x, self.n, columns)
        upper = self.letter("U" if op.lower else "L")
        transposed = self.letter("T" if op.adjoint else "N")
        flipped = self.letter("N" if op.adjoint else "T")
        unit = self.letter("U" if op.unit else "N")
        one = self._constant(f"one.{self.kind}", f"{LLVM_TYPES[self.kind]} 1.0")
        step = self._constant("one.i32", "i32 1")
        self.f.either(
            self.code.equal(columns, _ONE),
            lambda: self._call_if_any("trsv", upper, flipped, unit, self.order, a, self.order, x, step),
            lambda: self.f.when(
                self.code.less(_ZERO, columns),
                lambda: self._call_if_any(
                    "trsm", *[self.letter("R"), upper, transposed, unit, column, self.order],
                    *[one, a, self.order, x, column],
                ),
            ),
        )  # fmt: skip

    def _check_diagonal(self, a: Value, i: Value, number: Value) -> None:
        value = self.f.load(self.element(a, i, i), self.kind)
        self.emitter.fail(self.code.equal(value, literal(0, self.kind)), SINGULAR, number, i)

    def _lu(self, number: Value, source: Value, targets: Sequence[Value], pivots: Value) -> None:
        a = self._matrix(source, number, self.n, self.n)
        lu = self._matrix(targets[0], number, self.n, self.n)
        self.copy(a, lu, self.n, self.n)
        self._call_if_any("getrf", self.order, self.order, lu, self.order, pivots, self.info)
        order = self.f.offset(targets[1], self.code.multiply(number, self.n), "i64")
        self.each(self.n, lambda i: self.f.store(i, self.f.offset(order, i, "i64")))

        def exchange(i: Value, carried: list[Value]) -> list[Value]:
            """Row i changed places with row pivots[i], counted from 1."""
            pivot = self.f.volatile(f"load i32, ptr {self.f.offset(pivots, i, 'i32').text}, align 4", "i32")
            other = self.code.add(self.f.emit(f"sext i32 {pivot.text} to i64", "i64"), literal(-1, "i64"))
            mine, its = self.f.offset(order, i, "i64"), self.f.offset(order, other, "i64")
            x, y = self.f.load(mine, "i64"), self.f.load(its, "i64")
            self.f.store(y, mine)
            self.f.store(x, its)
            stays = self.code.equal(i, other)
            return [self.code.select(stays, carried[0], self.code.negative(carried[0]))]

        (parity,) = self.f.loop(_ZERO, self.n, _ONE, [literal(1, self.kind)], exchange)
        self.f.store(parity, self.f.offset(targets[2], number, self.kind))
