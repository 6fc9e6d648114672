"""Small matrices of known size: factors and systems without a loop, all elements in registers.

One function for each op, size and kind of float serves every step of a program:

    i32 unrolled.<op>...(operands, each as pointer, row stride, column stride; pointer to a dense result)

0 where all went well, else 1 + the place on the diagonal where it did not. Rows change places by selects, so
that there is no branch: the largest pivot of a column comes up as a bubble does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgrad.ops.cholesky import Cholesky
from symgrad.ops.determinant import Det
from symgrad.ops.solve import Inverse, Solve
from symgrad.ops.triangular import SolveTriangular
from symgrad_compiler.backends.llvm.ir import Function, Module, Value, literal
from symgrad_compiler.backends.llvm.scalars import Code, kind_of
from symgrad_compiler.backends.llvm.steps import StepEmitter
from symgrad_compiler.plan.steps import Access, MatrixStep
from symgrad_runtime.native import NOT_POSITIVE_DEFINITE, SINGULAR

Rows = list[list[Value]]


def emit_unrolled(emitter: StepEmitter, step: MatrixStep) -> None:
    """The function of a step: a call for each matrix of the batch."""
    name = _function(emitter.module, step)
    f, code = emitter.f, emitter.code
    accesses = (*step.operands, step.outs[0])
    starts = [emitter.pointer(x) for x in accesses]
    strides = [[emitter.sizes(s) for s in x.layout.strides[-2:]] for x in step.operands]
    batch = step.operands[0].layout.shape[:-2]

    def one(indices: list[Value]) -> None:
        arguments = []
        for i, (start, access) in enumerate(zip(starts, accesses, strict=True)):
            at = emitter.position(access.layout.strides[: len(indices)], indices)
            place = f.offset(start, at, kind_of(access.storage.dtype)) if indices else start
            arguments.append(f"ptr {place.text}")
            if i < len(strides):
                arguments += [f"i64 {s.text}" for s in strides[i]]
        status = f.volatile(f"call i32 @{name}({', '.join(arguments)})", "i32")
        wide = f.emit(f"sext i32 {status.text} to i64", "i64")
        number = literal(0, "i64")
        for index, extent in zip(indices, batch, strict=True):
            number = code.add(code.multiply(number, emitter.sizes(extent)), index)
        is_cholesky = isinstance(step.node.op, Cholesky)
        what = NOT_POSITIVE_DEFINITE if is_cholesky else SINGULAR
        info = wide if is_cholesky else code.add(wide, literal(-1, "i64"))
        emitter.fail(code.less(literal(0, "i64"), wide), what, number, info)

    emitter.nest(batch, one)
    emitter.finish()


def _function(module: Module, step: MatrixStep) -> str:
    """The name of the function for a step, which is made if there is none yet."""
    op = step.node.op
    kind = kind_of(step.node.inputs[0].dtype)
    shapes = ["x".join(map(str, x.layout.shape[-2:])) for x in step.operands]
    form = f"{op.lower:d}{op.adjoint:d}{op.unit:d}." if isinstance(op, SolveTriangular) else ""
    name = f"unrolled.{op.name}.{form}{'.'.join(shapes)}.{kind}"
    if name not in module.made:
        _Unrolled(module, name, step, kind).emit()
    return name


class _Unrolled:
    def __init__(self, module: Module, name: str, step: MatrixStep, kind: str) -> None:
        self.step, self.kind = step, kind
        parameters = []
        for i in range(len(step.operands)):
            parameters += [(f"x{i}", "ptr"), (f"row{i}", "i64"), (f"column{i}", "i64")]
        self.f: Function = module.function(name, [*parameters, ("out", "ptr")], "i32")
        module.made[name] = self.f
        self.code = Code(self.f)
        self.zero, self.one = literal(0, kind), literal(1, kind)
        self.n = _extent(step.operands[0], -1)

    def emit(self) -> None:
        op = self.step.node.op
        if isinstance(op, Cholesky):
            self._cholesky()
        elif isinstance(op, SolveTriangular):
            self._triangular(op)
        elif isinstance(op, Solve):
            self._eliminate(self._matrix(1))
        elif isinstance(op, Inverse):
            rows = range(self.n)
            self._eliminate([[self.one if i == j else self.zero for j in rows] for i in rows])
        else:
            assert isinstance(op, Det)
            self._determinant()
        self.f.do("ret i32 0")

    # ---- elements -----------------------------------------------------------------------------------

    def _load(self, operand: int, i: int, j: int) -> Value:
        p = self.f.parameters
        row = self.code.multiply(p[f"row{operand}"], literal(i, "i64"))
        at = self.code.add(row, self.code.multiply(p[f"column{operand}"], literal(j, "i64")))
        return self.f.load(self.f.offset(p[f"x{operand}"], at, self.kind), self.kind)

    def _matrix(self, operand: int, wanted: Callable[[int, int], bool] = lambda i, j: True) -> Rows:
        """The elements of an operand; 0 for those that are not wanted."""
        access = self.step.operands[operand]
        columns = range(_extent(access, -1))
        return [
            [self._load(operand, i, j) if wanted(i, j) else self.zero for j in columns]
            for i in range(_extent(access, -2))
        ]

    def _store(self, rows: Sequence[Sequence[Value]]) -> None:
        values = [v for row in rows for v in row]
        for i, value in enumerate(values):
            self.f.store(value, self.f.offset(self.f.parameters["out"], literal(i, "i64"), self.kind))

    def _fail(self, condition: Value, place: int) -> None:
        """Where the condition holds: say at which place of the diagonal."""

        def leave() -> None:
            self.f.do(f"ret i32 {place + 1}")
            self.f.start(self.f.label())

        self.f.when(condition, leave)

    def _less_product(self, total: Value, x: Value, y: Value) -> Value:
        return self.code.subtract(total, self.code.multiply(x, y))

    # ---- the ops ------------------------------------------------------------------------------------

    def _cholesky(self) -> None:
        code, n = self.code, self.n
        a = self._matrix(0, lambda i, j: i >= j)
        l: Rows = [[self.zero] * n for _ in range(n)]
        for j in range(n):
            total = a[j][j]
            for k in range(j):
                total = self._less_product(total, l[j][k], l[j][k])
            self._fail(code.less_equal(total, self.zero), j)  # NaN goes on, as in LAPACK
            l[j][j] = code.unary("sqrt", total)
            for i in range(j + 1, n):
                total = a[i][j]
                for k in range(j):
                    total = self._less_product(total, l[i][k], l[j][k])
                l[i][j] = code.divide(total, l[j][j])
        self._store(l)

    def _triangular(self, op: SolveTriangular) -> None:
        """Column by column, the triangle in registers."""
        code, n = self.code, self.n
        a = self._matrix(0, lambda i, j: i >= j if op.lower else i <= j)
        if not op.unit:
            for i in range(n):
                self._fail(code.equal(a[i][i], self.zero), i)
        if op.adjoint:
            a = [list(row) for row in zip(*a, strict=True)]
        order = range(n) if op.lower != op.adjoint else range(n - 1, -1, -1)
        columns = _extent(self.step.operands[1], -1)
        b = self._matrix(1)
        x: Rows = [[self.zero] * columns for _ in range(n)]
        for c in range(columns):
            done: list[int] = []
            for i in order:
                total = b[i][c]
                for k in done:
                    total = self._less_product(total, a[i][k], x[k][c])
                x[i][c] = total if op.unit else code.divide(total, a[i][i])
                done.append(i)
        self._store(x)

    def _pivot(self, a: Rows, b: Rows, k: int, sign: Value) -> Value:
        """Bring the largest element of column k, from row k on, to row k; the sign of the exchange."""
        code = self.code
        for i in range(k + 1, self.n):
            size, best = (code.unary("fabs", r[k]) for r in (a[i], a[k]))
            larger = code.less(best, size)
            for rows in (a, b):
                first, second = rows[k], rows[i]
                for c in range(k if rows is a else 0, len(first)):
                    x, y = first[c], second[c]
                    first[c], second[c] = code.select(larger, y, x), code.select(larger, x, y)
            sign = code.select(larger, code.negative(sign), sign)
        return sign

    def _reduce(self, a: Rows, b: Rows, k: int) -> None:
        """Clear column k below row k."""
        for i in range(k + 1, self.n):
            factor = self.code.divide(a[i][k], a[k][k])
            for rows in (a, b):
                for c in range(k + 1 if rows is a else 0, len(rows[i])):
                    rows[i][c] = self._less_product(rows[i][c], factor, rows[k][c])

    def _eliminate(self, b: Rows) -> None:
        """Gauss's elimination with the largest pivot of each column."""
        a = self._matrix(0)
        for k in range(self.n):
            self._pivot(a, b, k, self.one)
            self._fail(self.code.equal(a[k][k], self.zero), k)
            self._reduce(a, b, k)
        for i in range(self.n - 1, -1, -1):
            for c in range(len(b[i])):
                total = b[i][c]
                for k in range(i + 1, self.n):
                    total = self._less_product(total, a[i][k], b[k][c])
                b[i][c] = self.code.divide(total, a[i][i])
        self._store(b)

    def _determinant(self) -> None:
        """The product of the pivots; a column of zeros makes it 0, without a division by one."""
        code, a = self.code, self._matrix(0)
        none: Rows = [[] for _ in range(self.n)]
        sign = self.one
        for k in range(self.n):
            sign = self._pivot(a, none, k, sign)
            pivot = a[k][k]
            a[k][k] = code.select(code.equal(pivot, self.zero), self.one, pivot)
            self._reduce(a, none, k)
            a[k][k] = pivot
        product = sign
        for k in range(self.n):
            product = code.multiply(product, a[k][k])
        self._store([[product]])


def _extent(access: Access, axis: int) -> int:
    extent = access.layout.shape[axis]
    assert isinstance(extent, int), "planned for known sizes"
    return extent
