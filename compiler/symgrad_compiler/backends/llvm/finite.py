"""Whether numbers in a row of memory are finite, or one of them is 0, by functions that a module makes on
first use."""

from __future__ import annotations

from collections.abc import Callable

from symgrad_compiler.backends.llvm.ir import BITS, Function, Value, literal, vector_type
from symgrad_compiler.backends.llvm.scalars import Code

#: Several registers, so that additions overlap; one or two.
_WIDE, _NARROW = 64, 16


def all_finite(f: Function, pointer: Value, count: Value, kind: str) -> Value:
    """Whether `count` numbers from a pointer on are neither infinite nor NaN."""

    def emit(code: Code) -> Value:
        def times_zero(x: Value, carried: Value) -> Value:
            return code.muladd(x, literal(0, kind, x.lanes), carried)  # 0 x is NaN if x is not finite

        wide, narrow = _each(code.f, kind, _WIDE, times_zero, kind)
        return code.logical_not(code.logical_or(code.any(code.is_nan(wide)), code.is_nan(narrow)))

    return _asked(f, f"all_finite.{kind}", emit, pointer, count)


def any_zero(f: Function, pointer: Value, count: Value, kind: str) -> Value:
    """Whether one of `count` numbers from a pointer on is 0."""

    def emit(code: Code) -> Value:
        def is_zero(x: Value, carried: Value) -> Value:
            return code.logical_or(carried, code.equal(x, literal(0, kind, x.lanes)))

        wide, narrow = _each(code.f, kind, _NARROW, is_zero, "i1")
        return code.logical_or(code.any(wide), narrow)

    return _asked(f, f"any_zero.{kind}", emit, pointer, count)


def _asked(f: Function, name: str, emit: Callable[[Code], Value], pointer: Value, count: Value) -> Value:
    """What i1 name(ptr p, i64 n) says; the module makes it the first time."""
    made = f.module.made
    if name not in made:
        made[name] = f.module.function(name, [("p", "ptr"), ("n", "i64")], "i1")
        made[name].do(f"ret i1 {emit(Code(made[name])).text}")
    return f.volatile(f"call i1 @{name}(ptr {pointer.text}, i64 {count.text})", "i1")


def _each(
    f: Function, kind: str, lanes: int, add: Callable[[Value, Value], Value], carried: str
) -> tuple[Value, Value]:
    """What `add` makes of all numbers, from 0 on: of vectors, and of what is left."""
    whole = f.emit(f"and i64 %n, {-lanes}", "i64")

    def wide(i: Value, so_far: list[Value]) -> list[Value]:
        at = f.offset(f.parameters["p"], i, kind)
        type_ = vector_type(kind, lanes)
        x = f.volatile(f"load {type_}, ptr {at.text}, align {BITS[kind] // 8}", kind, lanes)
        return [add(x, so_far[0])]

    def narrow(i: Value, so_far: list[Value]) -> list[Value]:
        return [add(f.load(f.offset(f.parameters["p"], i, kind), kind), so_far[0])]

    zero, one = literal(0, "i64"), literal(1, "i64")
    (many,) = f.loop(zero, whole, literal(lanes, "i64"), [literal(0, carried, lanes)], wide)
    (few,) = f.loop(whole, f.parameters["n"], one, [literal(0, carried)], narrow)
    return many, few
