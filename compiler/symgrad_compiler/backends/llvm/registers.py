"""Instructions of AVX-512 that elementary functions are built on: tables that lie in registers, the parts of
a float, estimates of a reciprocal. Their users ask `b.machine.has_avx512` and the lanes (`whole_registers`).
Tables of float32 are there on AVX2 too, shorter ones (`holds_tables`).
"""

from __future__ import annotations

import math

from symgrad_compiler.backends.llvm.ir import LLVM_TYPES, Value, literal, vector_type
from symgrad_compiler.backends.llvm.scalars import Code, by_parts

#: Lanes of a register, and how intrinsics call it.
_LANES = {"f64": 8, "f32": 16}
_SUFFIX = {"f64": "pd", "f32": "ps"}
_WORD = {"f64": "i64", "f32": "i32"}
#: Round as the processor is set to.
_ROUND = 4


def whole_registers(b: Code, x: Value) -> bool:
    """Whether x fills registers of AVX-512."""
    return b.machine.has_avx512 and x.kind in _LANES and x.lanes % _LANES[x.kind] == 0


def holds_tables(b: Code, x: Value) -> bool:
    """Whether tables can be looked up by elements like x: those of AVX2 hold 8 float32."""
    return whole_registers(b, x) or (b.machine.has_avx2 and x.kind == "f32" and x.lanes % _SHORT == 0)


#: Entries of a table that is one register of AVX2.
_SHORT = 8


def lookup(b: Code, index: Value, table: tuple[float, ...], kind: str) -> Value:
    """table[index], for a table of two registers of AVX-512, 16 float64 or 32 float32, or one of AVX2, 8
    float32. Of an index only the lowest bits count, which fit the table."""
    if len(table) == _SHORT:
        return _short_lookup(b, index, table)
    lanes = _LANES[kind]
    assert len(table) == 2 * lanes
    name = f"llvm.x86.avx512.vpermi2var.{_SUFFIX[kind]}.512"
    type_, word = vector_type(kind, lanes), vector_type(_WORD[kind], lanes)
    halves = [_constant(table[i : i + lanes], kind) for i in (0, lanes)]

    def one(code: Code, index: Value) -> Value:
        code.f.module.declare(f"declare {type_} @{name}({type_}, {word}, {type_})")
        listed = f"{type_} {halves[0]}, {word} {index.text}, {type_} {halves[1]}"
        return code.f.emit(f"call {type_} @{name}({listed})", kind, lanes)

    return by_parts(b, lanes, one, index)


def _short_lookup(b: Code, index: Value, table: tuple[float, ...]) -> Value:
    type_, word = vector_type("f32", _SHORT), vector_type("i32", _SHORT)
    entries = _constant(table, "f32")

    def one(code: Code, index: Value) -> Value:
        code.f.module.declare(f"declare {type_} @llvm.x86.avx2.permps({type_}, {word})")
        listed = f"{type_} {entries}, {word} {index.text}"
        return code.f.emit(f"call {type_} @llvm.x86.avx2.permps({listed})", "f32", _SHORT)

    return by_parts(b, _SHORT, one, index)


def _constant(numbers: tuple[float, ...], kind: str) -> str:
    return f"<{', '.join(f'{LLVM_TYPES[kind]} {literal(v, kind).text}' for v in numbers)}>"


def scalef(b: Code, x: Value, whole: Value, least: float = -math.inf) -> Value:
    """x 2^floor(whole), rounded once; 0 where `whole` is less than `least`."""
    return _masked(b, "scalef", x, whole, least=least)


def exponent(b: Code, x: Value) -> Value:
    """floor(log2|x|) as a float: -infinity of 0, infinity of infinities."""
    return _masked(b, "getexp", x)


def mantissa(b: Code, x: Value) -> Value:
    """x 2^-k in [3/4, 3/2); 1 for 0 and infinity, NaN for negative x."""
    lanes, suffix = _LANES[x.kind], _SUFFIX[x.kind]
    type_, mask = vector_type(x.kind, lanes), f"i{lanes}"
    name = f"llvm.x86.avx512.mask.getmant.{suffix}.512"

    def one(code: Code, x: Value) -> Value:
        code.f.module.declare(f"declare {type_} @{name}({type_}, i32 immarg, {type_}, {mask}, i32 immarg)")
        listed = f"{type_} {x.text}, i32 {_THREE_QUARTERS | _NAN_IF_NEGATIVE}, {type_} zeroinitializer"
        return code.f.emit(f"call {type_} @{name}({listed}, {mask} -1, i32 {_ROUND})", x.kind, lanes)

    return by_parts(b, lanes, one, x)


_THREE_QUARTERS, _NAN_IF_NEGATIVE = 3, 2 << 2


def _masked(b: Code, instruction: str, *operands: Value, least: float = -math.inf) -> Value:
    """An instruction; 0 in the lanes whose last operand is less than `least`."""
    kind = operands[0].kind
    lanes = _LANES[kind]
    type_, mask = vector_type(kind, lanes), f"i{lanes}"
    name = f"llvm.x86.avx512.mask.{instruction}.{_SUFFIX[kind]}.512"
    types = ", ".join([type_] * (len(operands) + 1))

    def one(code: Code, *parts: Value) -> Value:
        f = code.f
        f.module.declare(f"declare {type_} @{name}({types}, {mask}, i32 immarg)")
        listed = ", ".join(f"{type_} {p.text}" for p in parts)
        those = "-1"
        if least != -math.inf:
            last, bound = parts[-1], literal(least, kind, lanes)
            kept = f.emit(f"fcmp uge {type_} {last.text}, {bound.text}", "i1", lanes)
            those = f.emit(f"bitcast {kept.type} {kept.text} to {mask}", mask).text
        listed = f"{listed}, {type_} zeroinitializer, {mask} {those}, i32 {_ROUND}"
        return f.emit(f"call {type_} @{name}({listed})", kind, lanes)

    return by_parts(b, lanes, one, *operands)


def estimate(b: Code, instruction: str, x: Value) -> Value:
    """rcp14 or rsqrt14: 1 / x or 1 / sqrt(x) to 14 bits."""
    lanes = _LANES[x.kind]
    type_, mask = vector_type(x.kind, lanes), f"i{lanes}"
    name = f"llvm.x86.avx512.{instruction}.{_SUFFIX[x.kind]}.512"

    def one(code: Code, x: Value) -> Value:
        code.f.module.declare(f"declare {type_} @{name}({type_}, {type_}, {mask})")
        listed = f"{type_} {x.text}, {type_} zeroinitializer, {mask} -1"
        return code.f.emit(f"call {type_} @{name}({listed})", x.kind, lanes)

    return by_parts(b, lanes, one, x)
