"""Whether numbers in a row of memory are finite, or one of them is 0, by functions that a module makes on
first use."""

from __future__ import annotations

from collections.abc import Callable

from symgrad_compiler.backends.llvm.ir import BITS, Function, Module, Value, literal, vector_type
from symgrad_compiler.backends.llvm.scalars import Code


def all_finite(f: Function, pointer: Value, count: Value, kind: str) -> Value:
    """Whether `count` numbers from a pointer on are neither infinite nor NaN."""
    _emit(f.module, kind)
    return f.volatile(f"call i1 @all_finite.{kind}(ptr {pointer.text}, i64 {count.text})", "i1")


def any_zero(f: Function, pointer: Value, count: Value, kind: str) -> Value:
    """Whether one of `count` numbers from a pointer on is 0."""
    _emit_zero(f.module, kind)
    return f.volatile(f"call i1 @any_zero.{kind}(ptr {pointer.text}, i64 {count.text})", "i1")


#: Several registers, so that additions overlap; one or two.
_WIDE, _NARROW = 64, 16


def _emit(module: Module, kind: str) -> None:
    """i1 all_finite.<kind>(ptr p, i64 n)"""
    name = f"all_finite.{kind}"
    if name in module.made:
        return
    f = module.made[name] = module.function(name, [("p", "ptr"), ("n", "i64")], "i1")
    code = Code(f)

    def times_zero(x: Value, carried: Value) -> Value:
        return code.muladd(x, literal(0, kind, x.lanes), carried)  # 0 x is NaN if x is not finite

    wide, narrow = _each(f, kind, _WIDE, times_zero, kind)
    bad = code.logical_or(code.any(code.is_nan(wide)), code.is_nan(narrow))
    f.do(f"ret i1 {code.logical_not(bad).text}")


def _emit_zero(module: Module, kind: str) -> None:
    """i1 any_zero.<kind>(ptr p, i64 n)"""
    name = f"any_zero.{kind}"
    if name in module.made:
        return
    f = module.made[name] = module.function(name, [("p", "ptr"), ("n", "i64")], "i1")
    code = Code(f)

    def is_zero(x: Value, carried: Value) -> Value:
        return code.logical_or(carried, code.equal(x, literal(0, kind, x.lanes)))

    wide, narrow = _each(f, kind, _NARROW, is_zero, "i1")
    f.do(f"ret i1 {code.logical_or(code.any(wide), narrow).text}")


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
