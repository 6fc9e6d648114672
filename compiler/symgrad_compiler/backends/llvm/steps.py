"""Steps that are not kernels: matrix products, checks, zeros, callbacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgrad.dims import Dim
from symgrad.ops.strided import Strided
from symgrad_compiler.backends.llvm.frame import CALLBACK, DGEMM, SGEMM, Frame
from symgrad_compiler.backends.llvm.ir import (
    BITS,
    LLVM_TYPES,
    Function,
    Module,
    Value,
    literal,
    vector_type,
)
from symgrad_compiler.backends.llvm.scalars import Code, kind_of
from symgrad_compiler.backends.llvm.sizes import Sizes
from symgrad_compiler.plan.proofs import is_never_negative
from symgrad_compiler.plan.steps import (
    Access,
    BoundsCheck,
    Callback,
    FillStep,
    MatMulStep,
)
from symgrad_runtime.native import (
    CALLBACK_ERROR,
    INDEX_ERROR,
    NEGATIVE_POWER,
    NO_ELEMENTS,
    SHAPE_ERROR,
    SLICE_ERROR,
    TOO_LARGE,
)

_BLAS_LIMIT = 2**31 - 1
_INT_BYTES = 4


class StepEmitter:
    """Emits one step as `i32 name(ptr frame)`, 0 where all went well."""

    #: Where the arguments of a library call are put: integers, and two floats.
    room: tuple[Value, Value]

    def __init__(self, module: Module, frame: Frame, name: str, number: int) -> None:
        self.module = module
        self.frame = frame
        self.number = number
        self.f: Function = module.function(name, [("frame", "ptr")], "i32")
        self.code = Code(self.f)
        self.sizes = Sizes(self.f, self._size)

    def word(self, index: int, kind: str) -> Value:
        address = self.f.field(self.f.parameters["frame"], 8 * index)
        return self.f.emit(f"load {LLVM_TYPES[kind]}, ptr {address.text}, align 8", kind)

    def _size(self, name: str) -> Value:
        return self.word(self.frame.size_word(name), "i64")

    def pointer(self, access: Access) -> Value:
        """The first element."""
        word, bytes_ = self.frame.place(access.storage)
        start = self.word(word, "ptr")
        start = self.f.field(start, bytes_) if bytes_ else start
        offset = self.sizes(access.layout.offset)
        return start if offset.number == 0 else self.f.offset(start, offset, kind_of(access.storage.dtype))

    def finish(self) -> None:
        self.f.do("ret i32 0")

    def fail(self, condition: Value, what: int, *numbers: Value) -> None:
        """Where the condition holds: record the error, return."""

        def record() -> None:
            words = [literal(self.number, "i64"), literal(what, "i64"), *numbers]
            for i, value in enumerate(words):
                address = self.f.field(self.f.parameters["frame"], 8 * (self.frame.error + i))
                self.f.store(value, address)
            self.f.do("ret i32 1")
            self.f.start(self.f.label())

        self.f.when(condition, record)

    def nest(self, shape: Sequence[Dim], body: Callable[[list[Value]], None]) -> None:
        """Loops over a shape."""

        def level(indices: list[Value]) -> None:
            if len(indices) == len(shape):
                body(indices)
                return

            def inside(index: Value, _: list[Value]) -> list[Value]:
                level([*indices, index])
                return []

            extent = self.sizes(shape[len(indices)])
            self.f.loop(literal(0, "i64"), extent, literal(1, "i64"), [], inside)

        level([])

    def position(self, strides: Sequence[Dim], indices: Sequence[Value]) -> Value:
        total = literal(0, "i64")
        for stride, index in zip(strides, indices, strict=True):
            total = self.code.add(total, self.code.multiply(index, self.sizes(stride)))
        return total

    # ---- the steps ----------------------------------------------------------------------------------

    def zeros(self, step: FillStep) -> None:
        storage = step.out.storage
        size = literal(storage.dtype.itemsize, "i64")
        for dim in step.out.layout.shape:
            size = self.code.multiply(size, self.at_least_zero(dim))
        self.module.declare("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1 immarg)")
        at = self.pointer(step.out)
        self.f.do(f"call void @llvm.memset.p0.i64(ptr {at.text}, i8 0, i64 {size.text}, i1 false)")
        self.finish()

    def at_least_zero(self, dim: Dim) -> Value:
        """A size; 0 where it is negative, as that of a slice of nothing may be."""
        size = self.sizes(dim)
        if is_never_negative(dim):
            return size
        zero = literal(0, "i64")
        return self.code.select(self.code.less(zero, size), size, zero)

    def check(self, step: BoundsCheck) -> None:
        code = self.code
        size = self.sizes(step.size)
        if step.elements is not None:
            zero = literal(0, "i64")
            elements, results = (self.sizes(d) for d in step.elements)
            nothing = code.logical_and(code.less_equal(elements, zero), code.less(zero, results))
            self.fail(nothing, NO_ELEMENTS, elements, results)
        elif step.equal is not None:
            a, b = (self.sizes(d) for d in step.equal)
            self.fail(code.logical_not(code.equal(a, b)), SHAPE_ERROR, a, b)
        elif step.index is None:
            self._check_slice(step, size)
        else:
            self._check_indices(step, step.index, size)
        self.finish()

    def _check_slice(self, step: BoundsCheck, size: Value) -> None:
        code = self.code
        zero = literal(0, "i64")
        some = code.less(zero, self.sizes(step.count))
        for position in (self.sizes(step.first), self.sizes(step.last)):
            outside = code.logical_or(code.less(position, zero), code.less_equal(size, position))
            self.fail(code.logical_and(some, outside), SLICE_ERROR, position, size)

    def _check_indices(self, step: BoundsCheck, access: Access, size: Value) -> None:
        code, kind = self.code, kind_of(access.storage.dtype)
        start = self.pointer(access)
        layout = access.layout
        if layout.is_contiguous:
            total: Dim = 1
            for extent in layout.shape:
                total = total * extent
            layout = Strided((total,), (1,), layout.offset)
        axes = [i for i, s in enumerate(layout.strides) if s != 0]

        def one(indices: list[Value]) -> None:
            at = self.position([layout.strides[i] for i in axes], indices)
            index = code.convert(self.f.load(self.f.offset(start, at, kind), kind), "i64")
            if step.is_exponent:
                self.fail(code.less(index, literal(0, "i64")), NEGATIVE_POWER, index, size)
                return
            low = code.less(index, code.negative(size))
            self.fail(code.logical_or(low, code.less_equal(size, index)), INDEX_ERROR, index, size)

        self.nest([layout.shape[i] for i in axes], one)

    def callback(self, step: Callback, index: int) -> None:
        function = self.word(CALLBACK, "ptr")
        frame = self.f.parameters["frame"]
        status = self.f.volatile(f"call i32 {function.text}(ptr {frame.text}, i32 {index})", "i32")
        failed = self.code.logical_not(self.code.equal(status, literal(0, "i32")))
        self.fail(failed, CALLBACK_ERROR, literal(index, "i64"), literal(0, "i64"))
        self.finish()

    def matmul(self, step: MatMulStep) -> None:
        a, b, out = step.a, step.b, step.out
        kind = kind_of(out.storage.dtype)
        m, n = (self.sizes(d) for d in out.layout.shape[-2:])
        k = self.sizes(a.layout.shape[-1])
        if kind in ("f32", "f64"):
            floats = self.f.volatile(f"alloca [2 x {LLVM_TYPES[kind]}], align 16", "ptr")
            self.room = (self.f.volatile("alloca [8 x i64], align 16", "ptr"), floats)
            self._require_small([m, n, k, *(self.sizes(s) for x in (a, b) for s in x.layout.strides[-2:])])
        starts = [self.pointer(x) for x in (a, b, out)]
        batch = out.layout.shape[:-2]

        def one(indices: list[Value]) -> None:
            pointers = [
                self.f.offset(p, self.position(x.layout.strides[:-2], indices), kind) if batch else p
                for p, x in zip(starts, (a, b, out), strict=True)
            ]
            if kind not in ("f32", "f64"):
                self._plain(step, pointers, m, n, k, kind)
            elif not step.strong:
                self._gemm(step, pointers, m, n, k, kind)
            else:
                self._strong(step, pointers, m, n, k, kind)

        self.nest(batch, one)
        self.finish()

    def _strong(
        self, step: MatMulStep, pointers: Sequence[Value], m: Value, n: Value, k: Value, kind: str
    ) -> None:
        """Strong zeros matter where the other factor is not finite; then the product is not either."""
        other = {"a": 1, "b": 0}.get(step.strong)
        if other is not None and _is_dense((step.a, step.b)[other].layout):
            rows, columns = (n, k) if other == 1 else (m, k)
            count = self.code.multiply(rows, columns)
            finite = self.all_finite(pointers[other], count, kind)

            def rarely() -> None:
                self._plain(step, pointers, m, n, k, kind)

            self.f.either(finite, lambda: self._gemm(step, pointers, m, n, k, kind), rarely)
            return
        if step.factor is not None:  # the product alone is not at hand
            self._plain(step, pointers, m, n, k, kind)
            return
        self._gemm(step, pointers, m, n, k, kind)
        finite = self.all_finite(pointers[2], self.code.multiply(m, n), kind)
        self.f.when(self.code.logical_not(finite), lambda: self._plain(step, pointers, m, n, k, kind))

    def all_finite(self, pointer: Value, count: Value, kind: str) -> Value:
        """Whether numbers in a row are neither infinite nor NaN."""
        self.module_finite(kind)
        return self.f.volatile(f"call i1 @all_finite.{kind}(ptr {pointer.text}, i64 {count.text})", "i1")

    def _require_small(self, values: Sequence[Value]) -> None:
        """BLAS counts in 32 bits."""
        limit = literal(_BLAS_LIMIT, "i64")
        for value in values:
            if value.number is None:
                self.fail(self.code.less(limit, value), TOO_LARGE, value, limit)
            elif value.number > _BLAS_LIMIT:
                self.fail(literal(1, "i1"), TOO_LARGE, value, limit)

    def _gemm(
        self, step: MatMulStep, pointers: Sequence[Value], m: Value, n: Value, k: Value, kind: str
    ) -> None:
        """BLAS stores columns first: out^T = b^T a^T."""
        f = self.f
        room, floats = self.room

        def put(slot: int, value: Value) -> Value:
            at = f.field(room, 8 * slot)
            f.store(self.code.convert(value, "i32"), at)
            return at

        flags_a, lead_a = self._orientation(step.a, k)
        flags_b, lead_b = self._orientation(step.b, n)
        one, zero = f.field(floats, 0), f.field(floats, BITS[kind] // 8)
        f.store(literal(1 if step.factor is None else step.factor, kind), one)
        f.store(literal(0 if step.factor is None else 1, kind), zero)
        letters = f.field(room, 56)
        f.store(literal(flags_b, "u8"), letters)
        f.store(literal(flags_a, "u8"), f.field(room, 57))
        arguments = [
            letters,
            f.field(room, 57),
            put(0, n),
            put(1, m),
            put(2, k),
            one,
            pointers[1],
            put(3, lead_b),
            pointers[0],
            put(4, lead_a),
            zero,
            pointers[2],
            put(5, self._at_least_one(n)),
        ]
        function = self.word(SGEMM if kind == "f32" else DGEMM, "ptr")
        f.do(f"call void {function.text}({', '.join(f'ptr {v.text}' for v in arguments)})")

    def _orientation(self, access: Access, columns: Value) -> tuple[int, Value]:
        """'N' and the distance of rows where rows have no gaps, else 'T' and the distance of columns."""
        rows_step, columns_step = access.layout.strides[-2:]
        row_count, column_count = access.layout.shape[-2:]
        if columns_step == 1 or column_count == 1:
            lead = self.sizes(rows_step) if row_count != 1 else columns
            return ord("N"), self._at_least(lead, columns)
        lead = self.sizes(columns_step) if column_count != 1 else self.sizes(row_count)
        return ord("T"), self._at_least(lead, self.sizes(row_count))

    def _at_least_one(self, value: Value) -> Value:
        return self._at_least(value, literal(1, "i64"))

    def _at_least(self, value: Value, low: Value) -> Value:
        larger = self.code.select(self.code.less(value, low), low, value)
        one = literal(1, "i64")
        return self.code.select(self.code.less(larger, one), one, larger)

    def module_finite(self, kind: str) -> None:
        """The helper `all_finite`: whether n numbers in a row are neither infinite nor NaN."""
        name = f"all_finite.{kind}"
        if name in self.module.made:
            return
        f = self.module.function(name, [("p", "ptr"), ("n", "i64")], "i1")
        self.module.made[name] = f
        lanes = 64  # several registers, so that their additions overlap
        code = Code(f)
        whole = f.emit(f"and i64 %n, {-lanes}", "i64")
        zero, nothing = literal(0, "i64"), literal(0, kind, lanes)

        def wide(i: Value, carried: list[Value]) -> list[Value]:
            at = f.offset(f.parameters["p"], i, kind)
            type_ = vector_type(kind, lanes)
            x = f.volatile(f"load {type_}, ptr {at.text}, align {BITS[kind] // 8}", kind, lanes)
            return [code.muladd(x, nothing, carried[0])]  # 0 x is NaN if x is not finite

        (total,) = f.loop(zero, whole, literal(lanes, "i64"), [nothing], wide)

        def narrow(i: Value, carried: list[Value]) -> list[Value]:
            x = f.load(f.offset(f.parameters["p"], i, kind), kind)
            return [code.add(carried[0], code.multiply(x, literal(0, kind)))]

        (rest,) = f.loop(whole, f.parameters["n"], literal(1, "i64"), [literal(0, kind)], narrow)
        bad = f.intrinsic(f"llvm.vector.reduce.or.v{lanes}i1", ("i1", 1), code.is_nan(total))
        result = code.logical_not(code.logical_or(bad, code.is_nan(rest)))
        f.do(f"ret i1 {result.text}")

    def _plain(
        self, step: MatMulStep, pointers: Sequence[Value], m: Value, n: Value, k: Value, kind: str
    ) -> None:
        """Three loops: for integers, and for products of numbers that are not finite with strong zeros."""
        code, f = self.code, self.f
        steps = [[self.sizes(s) for s in x.layout.strides[-2:]] for x in (step.a, step.b, step.out)]
        zero, one = literal(0, "i64"), literal(1, "i64")

        def element(which: int, row: Value, column: Value) -> Value:
            at = code.add(code.multiply(row, steps[which][0]), code.multiply(column, steps[which][1]))
            return f.offset(pointers[which], at, kind)

        def row(i: Value, _: list[Value]) -> list[Value]:
            def column(j: Value, _: list[Value]) -> list[Value]:
                def term(p: Value, carried: list[Value]) -> list[Value]:
                    x, y = f.load(element(0, i, p), kind), f.load(element(1, p, j), kind)
                    product = code.multiply(x, y)
                    nothing = literal(0, kind)
                    for letter, factor in (("a", x), ("b", y)):
                        if letter in step.strong:
                            product = code.select(code.equal(factor, nothing), nothing, product)
                    return [code.add(carried[0], product)]

                (total,) = f.loop(zero, k, one, [literal(0, kind)], term)
                at = element(2, i, j)
                if step.factor is not None:
                    total = code.add(f.load(at, kind), code.multiply(literal(step.factor, kind), total))
                f.store(total, at)
                return []

            f.loop(zero, n, one, [], column)
            return []

        f.loop(zero, m, one, [], row)


def _is_dense(layout: Strided) -> bool:
    """Whether a layout, in some order of its axes, is contiguous."""
    step: Dim = 1
    left = [(d, s) for d, s in zip(layout.shape, layout.strides, strict=True) if d != 1]
    while left:
        found = next((pair for pair in left if pair[1] == step), None)
        if found is None:
            return False
        left.remove(found)
        step = step * found[0]
    return True
