"""Checks: the call fails where one does not hold, with what the error is to say."""

from __future__ import annotations

from collections.abc import Callable

from symgrad.dims import count
from symgrad.ops.strided import Strided
from symgrad_compiler.backends.llvm.ir import Value, literal
from symgrad_compiler.backends.llvm.scalars import kind_of
from symgrad_compiler.backends.llvm.steps import StepEmitter
from symgrad_compiler.plan.checks import Elements, Equal, Exponents, Indices, Inside, NotNegative, Sign
from symgrad_compiler.plan.steps import Access, Check
from symgrad_runtime.native import (
    INDEX_ERROR,
    NEGATIVE_POWER,
    NEGATIVE_SIZE,
    NO_ELEMENTS,
    SHAPE_ERROR,
    SLICE_ERROR,
    WRONG_BOUND,
)

_ZERO = literal(0, "i64")


def emit_check(emitter: StepEmitter, check: Check) -> None:
    """The function of a check."""
    code, sizes = emitter.code, emitter.sizes
    match check:
        case NotNegative():
            size = sizes(check.size)
            emitter.fail(code.less(size, _ZERO), NEGATIVE_SIZE, size)
        case Sign():
            _sign(emitter, check)
        case Equal():
            a, b = (sizes(d) for d in check.sizes)
            emitter.fail(code.logical_not(code.equal(a, b)), SHAPE_ERROR, a, b)
        case Elements():
            number = sizes(check.count)
            emitter.fail(code.less_equal(number, _ZERO), NO_ELEMENTS, number)
        case Inside():
            _inside(emitter, check)
        case Indices():
            _indices(emitter, check)
        case _:
            assert isinstance(check, Exponents)
            _exponents(emitter, check)
    emitter.finish()


def _sign(emitter: StepEmitter, check: Sign) -> None:
    code, bound = emitter.code, emitter.sizes(check.bound.bound)
    reach = emitter.sizes(check.bound.reach)
    is_negative = code.less(bound, _ZERO)
    if check.bound.from_end:
        wrong = code.logical_and(code.logical_not(is_negative), code.less_equal(_ZERO, reach))
    else:
        wrong = code.logical_and(is_negative, code.less_equal(_ZERO, code.add(bound, reach)))
    emitter.fail(wrong, WRONG_BOUND, bound)


def _inside(emitter: StepEmitter, check: Inside) -> None:
    code, size = emitter.code, emitter.sizes(check.size)
    some = code.less(_ZERO, emitter.sizes(check.count))
    for position in (emitter.sizes(check.first), emitter.sizes(check.last)):
        outside = code.logical_or(code.less(position, _ZERO), code.less_equal(size, position))
        emitter.fail(code.logical_and(some, outside), SLICE_ERROR, position, size)


def _indices(emitter: StepEmitter, check: Indices) -> None:
    code, size = emitter.code, emitter.sizes(check.size)
    least = code.negative(size) if check.from_end else _ZERO

    def one(index: Value) -> None:
        is_outside = code.logical_or(code.less(index, least), code.less_equal(size, index))
        emitter.fail(is_outside, INDEX_ERROR, index, size)

    _each(emitter, check.index, one)


def _exponents(emitter: StepEmitter, check: Exponents) -> None:
    def one(exponent: Value) -> None:
        emitter.fail(emitter.code.less(exponent, _ZERO), NEGATIVE_POWER, exponent, _ZERO)

    _each(emitter, check.exponent, one)


def _each(emitter: StepEmitter, access: Access, one: Callable[[Value], None]) -> None:
    """For each integer in memory, once where it is repeated."""
    kind, layout = kind_of(access.storage.dtype), access.layout
    start = emitter.pointer(access)
    if layout.is_contiguous:
        layout = Strided((count(layout.shape),), (1,), layout.offset)
    axes = [i for i, s in enumerate(layout.strides) if s != 0]

    def element(indices: list[Value]) -> None:
        at = emitter.position([layout.strides[i] for i in axes], indices)
        one(emitter.code.convert(emitter.f.load(emitter.f.offset(start, at, kind), kind), "i64"))

    emitter.nest([layout.shape[i] for i in axes], element)
