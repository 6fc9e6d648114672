"""Matrix products: calls of the functions of `contract`, which every program finds through its frame.

Integers take three plain loops; so do products with strong zeros of numbers that are not finite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from symgrad.dims import Dim
from symgrad.ops.strided import Strided
from symgrad_compiler.backends.llvm.contract.request import WORDS, Request
from symgrad_compiler.backends.llvm.finite import all_finite, any_zero
from symgrad_compiler.backends.llvm.frame import POOL, PRODUCTS, frame_word
from symgrad_compiler.backends.llvm.ir import Value, literal
from symgrad_compiler.backends.llvm.scalars import kind_of
from symgrad_compiler.backends.llvm.steps import StepEmitter
from symgrad_compiler.plan.steps import Access, MatMulStep, others_of

_ZERO, _ONE = literal(0, "i64"), literal(1, "i64")
#: An operand that is so many times shorter than the other is looked through for zeros first.
_SHORTER = 8


def emit_matmul(emitter: StepEmitter, step: MatMulStep) -> None:
    """The function of a step. Of a result whose rows have gaps and whose columns have none, the transpose is
    made: C^T = B^T A^T."""
    strides = step.out.layout.strides
    turned = strides[-1] != 1 and strides[-2] == 1
    if turned:
        strong = {"a": "b", "b": "a"}.get(step.strong, step.strong)
        a, b, out = (_turned(access) for access in (step.b, step.a, step.out))
        step = replace(step, strong=strong, a=a, b=b, out=out)
    _MatMul(emitter, step, turned).emit()


def _turned(access: Access) -> Access:
    """A matrix, or a batch of them, transposed."""
    layout = access.layout
    shape = (*layout.shape[:-2], *layout.shape[:-3:-1])
    strides = (*layout.strides[:-2], *layout.strides[:-3:-1])
    return Access(access.storage, Strided(shape, strides, layout.offset))


class _MatMul:
    def __init__(self, emitter: StepEmitter, step: MatMulStep, turned: bool) -> None:
        self.emitter, self.step = emitter, step
        self.turned = turned
        self.f, self.code, self.sizes = emitter.f, emitter.code, emitter.sizes
        self.kind = kind_of(step.out.storage.dtype)
        shape = (*step.out.layout.shape[-2:], step.a.layout.shape[-1])
        self.m, self.n, self.k = (emitter.sizes.extent(d) for d in shape)

    def emit(self) -> None:
        """Batch by batch; the last axis of a batch is left to the product, where zeros are not strong."""
        step, f = self.step, self.f
        operands = (step.a, step.b, step.out)
        starts = [self.emitter.pointer(x) for x in operands]
        batch = step.out.layout.shape[:-2]
        is_float = self.kind in PRODUCTS
        at_once = 1 if batch and is_float and not step.strong else 0
        request = f.volatile(f"alloca [{WORDS} x i64], align 16", "ptr") if is_float else _ZERO
        if is_float:
            self._fill(request, at_once)

        def one(indices: list[Value]) -> None:
            pointers = [
                f.offset(p, self.emitter.position(x.layout.strides[: len(indices)], indices), self.kind)
                if indices
                else p
                for p, x in zip(starts, operands, strict=True)
            ]
            if not is_float:
                self._plain(pointers)
            elif not step.strong:
                self._multiply(request, pointers)
            else:
                self._strong(request, pointers)

        self.emitter.nest(batch[: len(batch) - at_once], one)
        self.emitter.finish()

    # ---- through the product ------------------------------------------------------------------------

    def _put(self, request: Value, word: Request, value: Value) -> None:
        self.f.store(value, self.f.field(request, 8 * word))

    def _fill(self, request: Value, at_once: int) -> None:
        """The words that are the same for all of the batch."""
        step = self.step
        a, b, out = (x.layout for x in (step.a, step.b, step.out))
        dims: dict[Request, Dim] = {
            Request.A_ROW: a.strides[-2],
            Request.A_COLUMN: a.strides[-1],
            Request.B_ROW: b.strides[-2],
            Request.B_COLUMN: b.strides[-1],
            Request.C_ROW: out.strides[-2],
        }
        if at_once:
            dims |= {Request.A_BATCH: a.strides[-3], Request.B_BATCH: b.strides[-3]}
            dims[Request.C_BATCH] = out.strides[-3]
        words = {word: self.sizes(dim) for word, dim in dims.items()}
        if at_once:
            words[Request.BATCH] = self.sizes.extent(out.shape[-3])
        words |= {Request.ROWS: self.m, Request.COLUMNS: self.n, Request.INNER: self.k}
        words[Request.ADDS] = _ZERO if step.factor is None else _ONE
        if step.tall == "rows" and self.turned:
            words[Request.B_AHEAD] = self.code.multiply(self.n, words[Request.B_COLUMN])
        elif step.tall == "rows":
            words[Request.A_AHEAD] = self.code.multiply(self.m, words[Request.A_ROW])
        elif step.tall == "sum":  # b is the tall one, or as good
            words[Request.B_AHEAD] = self.code.multiply(self.k, words[Request.B_ROW])
        words[Request.ALPHA] = literal(1 if step.factor is None else step.factor, self.kind)
        for word in Request:
            self._put(request, word, words.get(word, _ONE if word == Request.BATCH else _ZERO))

    def _multiply(self, request: Value, pointers: Sequence[Value]) -> None:
        for word, pointer in zip((Request.A, Request.B, Request.C), pointers, strict=True):
            self._put(request, word, pointer)
        function = frame_word(self.emitter.f, PRODUCTS[self.kind], "ptr")
        pool = frame_word(self.emitter.f, POOL, "ptr")
        self.f.do(f"call void {function.text}(ptr {pool.text}, ptr {request.text})")

    # ---- strong zeros -------------------------------------------------------------------------------

    def _strong(self, request: Value, pointers: Sequence[Value]) -> None:
        """Strong zeros matter where there are some and the other factor is not finite; then the product is
        not either. What takes least is looked at."""
        others = others_of(self.step.strong)
        dense = all((self.step.a, self.step.b)[i].layout.is_dense for i in others)

        def multiply() -> None:
            self._multiply(request, pointers)

        def plain() -> None:
            self._plain(pointers)

        def look() -> None:
            self.f.either(self._are_finite(others, pointers), multiply, plain)

        if self.step.factor is None and (not dense or self._is_result_shorter(others)):
            multiply()
            bad = self.code.logical_not(self._is_finite(pointers[2], self.m, self.n))
            if dense:
                self.f.when(bad, lambda: self._unless(self._are_finite(others, pointers), plain))
            else:
                self.f.when(bad, plain)
        elif not dense:  # the product alone is not at hand
            plain()
        elif len(others) == 1 and self._is_shorter(1 - others[0]):
            which = 1 - others[0]
            zero = any_zero(self.f, pointers[which], self._numbers(which), self.kind)
            self.f.either(zero, look, multiply)
        else:
            look()

    def _unless(self, condition: Value, do: Callable[[], None]) -> None:
        self.f.when(self.code.logical_not(condition), do)

    def _is_finite(self, pointer: Value, rows: Value, columns: Value) -> Value:
        return all_finite(self.f, pointer, self.code.multiply(rows, columns), self.kind)

    def _are_finite(self, operands: Sequence[int], pointers: Sequence[Value]) -> Value:
        """Whether all of some operands is finite; those that follow one that is not are not looked at."""
        first, *others = operands
        found = all_finite(self.f, pointers[first], self._numbers(first), self.kind)
        if not others:
            return found
        no = literal(0, "i1")
        return self.f.choose(found, lambda: self._are_finite(others, pointers), lambda: no)

    def _numbers(self, which: int) -> Value:
        return self.code.multiply((self.m, self.n)[which], self.k)

    def _is_result_shorter(self, others: Sequence[int]) -> bool:
        """Whether the result is shorter than the operands that would be looked at; of sizes that are not
        known, if these were both."""
        m, n, k = *self.step.out.layout.shape[-2:], self.step.a.layout.shape[-1]
        if not (isinstance(m, int) and isinstance(n, int) and isinstance(k, int)):
            return len(others) == 2
        return m * n < sum((m, n)[which] * k for which in others)

    def _is_shorter(self, which: int) -> bool:
        """Whether an operand is far shorter than the other, and without gaps: worth a look for zeros."""
        m, n = self.step.out.layout.shape[-2:]
        mine, other = (m, n) if which == 0 else (n, m)
        if not (isinstance(mine, int) and isinstance(other, int)):
            return False
        return _SHORTER * mine <= other and (self.step.a, self.step.b)[which].layout.is_dense

    def _plain(self, pointers: Sequence[Value]) -> None:
        """Three loops: for integers, and for products of numbers that are not finite with strong zeros."""
        code, f, step, kind = self.code, self.f, self.step, self.kind
        steps = [[self.sizes(s) for s in x.layout.strides[-2:]] for x in (step.a, step.b, step.out)]
        zero, one = _ZERO, _ONE

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

                (total,) = f.loop(zero, self.k, one, [literal(0, kind)], term)
                at = element(2, i, j)
                if step.factor is not None:
                    total = code.add(f.load(at, kind), code.multiply(literal(step.factor, kind), total))
                f.store(total, at)
                return []

            f.loop(zero, self.n, one, [], column)
            return []

        f.loop(zero, self.m, one, [], row)
