"""Whether numbers in a row of memory are finite, by a function that a module makes on first use."""

from __future__ import annotations

from symgrad_compiler.backends.llvm.ir import BITS, Function, Module, Value, literal, vector_type
from symgrad_compiler.backends.llvm.scalars import Code


def all_finite(f: Function, pointer: Value, count: Value, kind: str) -> Value:
    """Whether `count` numbers from a pointer on are neither infinite nor NaN."""
    _emit(f.module, kind)
    return f.volatile(f"call i1 @all_finite.{kind}(ptr {pointer.text}, i64 {count.text})", "i1")


def _emit(module: Module, kind: str) -> None:
    """i1 all_finite.<kind>(ptr p, i64 n)"""
    name = f"all_finite.{kind}"
    if name in module.made:
        return
    f = module.function(name, [("p", "ptr"), ("n", "i64")], "i1")
    module.made[name] = f
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
