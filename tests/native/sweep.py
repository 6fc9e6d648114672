"""Native sweeps: an elementwise op as kernels compute it, beside a reference of more digits, lane by lane.

`Sweep(op, "f32")` compiles two loops. One computes the op's scalar code in vectors, through the same builder
and functions that kernels use. The other calls the C library on each element, in float64 for float32 and in
80-bit floats for float64, and keeps the largest distance in units in the last place, where it is, and how
often the value was wrong where only one value is right: NaN, infinities, zeros with their signs.
"""

from __future__ import annotations

import ctypes
import platform
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad import registry
from symgrad_compiler.backends.llvm.ir import BITS, LLVM_TYPES, Module, Value, literal, vector_type
from symgrad_compiler.backends.llvm.maths import Maths
from symgrad_compiler.backends.llvm.scalars import Code
from symgrad_compiler.backends.llvm.target import Engine, Target, compile_object, function_at, host

#: Whether the references exist: 80-bit floats, and a C library that computes them (glibc).
HAS_REFERENCES = sys.platform == "linux" and platform.machine() == "x86_64"

DTYPES = {"f32": np.dtype(np.float32), "f64": np.dtype(np.float64)}
#: Elements that stay in a cache of the second level.
CHUNK = 1 << 14


@dataclass
class Errors:
    """What a sweep found. `error` is in units in the last place; `misrounded` counts results that are not the
    nearest float, `wrong` those that miss a NaN, an infinity or the sign of a zero."""

    error: float = 0.0
    at: tuple[float, ...] = ()
    count: int = 0
    misrounded: int = 0
    wrong: int = 0
    wrong_at: tuple[float, ...] = ()

    def __str__(self) -> str:
        text = f"{self.error:.4f} units at {self.at}, {self.misrounded} of {self.count} not nearest"
        return f"{text}, WRONG {self.wrong}, first at {self.wrong_at}" if self.wrong else text


class Sweep:
    """An op on float32 or float64 beside its reference. Errors of results below 2^floor count as if these
    were 2^floor: an absolute bound beside zeros that are not at 0."""

    def __init__(
        self,
        name: str,
        kind: str,
        floor: int = -(1 << 14),
        lanes: int | None = None,
        target: Target | None = None,
    ) -> None:
        op = registry.ops[name]
        self.kind, self.dtype, self.operands = kind, DTYPES[kind], len(op.operands)
        target = target or host()
        module = Module()
        self.lanes = lanes or 4 * target.machine.vector_bytes * 8 // BITS[kind]
        _values(module, op, kind, self.lanes, self.operands, target)
        wide = "double" if kind == "f32" else "x86_fp80"
        comparison = _comparison(module, name, kind, wide, self.operands, floor)
        text = module.text() + comparison
        self._engine = Engine([compile_object(text, target)], target)
        pointers = [ctypes.c_void_p] * 3
        self._values = function_at(self._engine.address("values"), None, *pointers, ctypes.c_int64)
        self._compare = function_at(
            self._engine.address("compare"), None, *pointers, ctypes.c_int64, ctypes.c_void_p
        )
        self.errors = Errors()

    def values(self, *operands: np.ndarray) -> np.ndarray:
        """The op on arrays of one length, a multiple of `lanes`."""
        out = np.empty_like(operands[0])
        self._values(*self._addresses(operands), out.ctypes.data, len(out))
        return out

    def add(self, *operands: np.ndarray) -> None:
        """Compare on arrays of any length; the findings go to `errors`."""
        for start in range(0, len(operands[0]), CHUNK):
            part = [np.asarray(a[start : start + CHUNK], self.dtype) for a in operands]
            count = len(part[0])
            padding = -count % self.lanes
            self._add([np.concatenate([a, a[:1].repeat(padding)]) if padding else a for a in part], count)

    def _add(self, operands: list[np.ndarray], count: int) -> None:
        out = self.values(*operands)
        found = np.zeros(7)
        self._compare(*self._addresses(operands), out.ctypes.data, count, found.ctypes.data)
        errors, (error, *at) = self.errors, found[:3]
        if error > errors.error:
            errors.error, errors.at = float(error), tuple(map(float, at[: self.operands]))
        errors.count += count
        errors.misrounded += int(found[3])
        if found[4] and not errors.wrong:
            errors.wrong_at = tuple(map(float, found[5 : 5 + self.operands]))
        errors.wrong += int(found[4])

    def _addresses(self, operands: Any) -> list[int]:
        return [operands[0].ctypes.data, operands[-1].ctypes.data]


def _values(module: Module, op: Any, kind: str, lanes: int, count: int, target: Target) -> None:
    """values(x, y, out, n): out = op(x, y), `lanes` elements at a time."""
    f = module.function(
        "values", [("x", "ptr"), ("y", "ptr"), ("out", "ptr"), ("n", "i64")], linkage="dso_local "
    )
    maths = Maths(module, target.machine)
    code = Code(f, maths, target.machine)
    type_ = vector_type(kind, lanes)

    def body(index: Value, _: list[Value]) -> list[Value]:
        sources = [f.offset(f.parameters[n], index, kind) for n in ("x", "y")[:count]]
        align = BITS[kind] // 8
        operands = [f.volatile(f"load {type_}, ptr {s.text}, align {align}", kind, lanes) for s in sources]
        result = op.scalar(code, *operands)
        at = f.offset(f.parameters["out"], index, kind)
        f.do(f"store {type_} {result.text}, ptr {at.text}, align {align}")
        return []

    f.loop(literal(0, "i64"), f.parameters["n"], literal(lanes, "i64"), [], body)
    f.do("ret void")


# ---- references -------------------------------------------------------------------------------------


class Wide:
    """Emits expressions of one wide type. Names of functions are those of C, for float64."""

    def __init__(self, type_: str) -> None:
        self.type = type_
        self.lines: list[str] = []
        self.declared: dict[str, None] = {}

    def emit(self, expression: str) -> str:
        name = f"%w{len(self.lines)}"
        self.lines.append(f"  {name} = {expression}")
        return name

    def number(self, value: float) -> str:
        bits = f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
        return bits if self.type == "double" else self.emit(f"fpext double {bits} to {self.type}")

    def __call__(self, name: str, *operands: str) -> str:
        if name in ("fadd", "fsub", "fmul", "fdiv"):
            return self.emit(f"{name} {self.type} {operands[0]}, {operands[1]}")
        if name in ("fabs", "rint"):
            symbol = f"llvm.{name}.{'f64' if self.type == 'double' else 'f80'}"
        else:
            symbol = name if self.type == "double" else f"{name}l"
        self.declared[f"declare {self.type} @{symbol}({', '.join([self.type] * len(operands))})"] = None
        return self.emit(f"call {self.type} @{symbol}({', '.join(f'{self.type} {o}' for o in operands)})")

    def less(self, x: str, y: str) -> str:
        return self.emit(f"fcmp olt {self.type} {x}, {y}")

    def select(self, condition: str, x: str, y: str) -> str:
        return self.emit(f"select i1 {condition}, {self.type} {x}, {self.type} {y}")


def _sigmoid(w: Wide, x: str) -> str:
    one = w.number(1)
    return w("fdiv", one, w("fadd", one, w("exp", w("fsub", w.number(-0.0), x))))


def _softplus(w: Wide, x: str) -> str:
    size = w("fabs", x)
    tail = w("log1p", w("exp", w("fsub", w.number(-0.0), size)))
    return w("fadd", w.select(w.less(x, w.number(0)), w.number(0), x), tail)


def _logaddexp(w: Wide, x: str, y: str) -> str:
    """max + log(1 + exp(min - max)), equal infinities as they are."""
    is_lower = w.less(x, y)
    high, low = w.select(is_lower, y, x), w.select(is_lower, x, y)
    is_equal = w.emit(f"fcmp oeq {w.type} {x}, {y}")
    difference = w.select(is_equal, w.number(0), w("fsub", low, high))
    return w("fadd", high, w("log1p", w("exp", difference)))


def _gammaln(w: Wide, x: str) -> str:
    """C's, but -infinity at -infinity, as SciPy's."""
    end = w.emit(f"fcmp oeq {w.type} {x}, {w.number(-np.inf)}")
    return w.select(end, x, w("lgamma", x))


def _ndtr(w: Wide, x: str) -> str:
    return w("fmul", w.number(0.5), w("erfc", w("fmul", x, w.number(-np.sqrt(0.5)))))


def _gate(gate: Callable[[Wide, str], str], end: float) -> Callable[[Wide, str], str]:
    """x gate(x), which is 0 below the end."""

    def code(w: Wide, x: str) -> str:
        bounded = w.select(w.less(x, w.number(end)), w.number(end), x)
        return w("fmul", bounded, gate(w, bounded))

    return code


def _gelu_derivative(w: Wide, x: str) -> str:
    bounded = _bounded(w, x, 37)  # the result is no zero there, but rounded to one of its sign
    size = w("fabs", bounded)
    density = w("exp", w("fmul", w.number(-0.5), w("fmul", size, size)))
    slope = w("fmul", w.number(1 / np.sqrt(2 * np.pi)), w("fmul", bounded, density))
    result = w("fadd", _ndtr(w, bounded), slope)
    return w.select(w.emit(f"fcmp uno {w.type} {x}, {x}"), x, result)


def _silu_derivative(w: Wide, x: str) -> str:
    """s (1 + x (1 - s)), s = sigmoid(x)."""
    bounded = _bounded(w, x, 700)
    left, right = _sigmoid(w, bounded), _sigmoid(w, w("fsub", w.number(-0.0), bounded))
    result = w("fmul", left, w("fadd", w.number(1), w("fmul", bounded, right)))
    return w.select(w.emit(f"fcmp uno {w.type} {x}, {x}"), x, result)


def _bounded(w: Wide, x: str, end: float) -> str:
    size, most = w("fabs", x), w.number(end)
    size = w.select(w.less(most, size), most, size)
    return w.select(w.less(x, w.number(0)), w("fsub", w.number(-0.0), size), size)


def _cubic(w: Wide, x: str) -> tuple[str, str]:
    """z = sqrt(8 / pi) (x + 0.044715 x^3), and its slope."""
    scale, square = w.number(np.sqrt(8 / np.pi)), w("fmul", x, x)
    z = w("fmul", w("fmul", scale, x), w("fadd", w.number(1), w("fmul", w.number(0.044715), square)))
    slope = w("fmul", scale, w("fadd", w.number(1), w("fmul", w.number(3 * 0.044715), square)))
    return z, slope


def _gelu_tanh_derivative(w: Wide, x: str) -> str:
    """s (1 + x z' (1 - s)), s = sigmoid(z)."""
    bounded = _bounded(w, x, 19)
    z, slope = _cubic(w, bounded)
    left, right = _sigmoid(w, z), _sigmoid(w, w("fsub", w.number(-0.0), z))
    factor = w("fadd", w.number(1), w("fmul", w("fmul", bounded, slope), right))
    return w.select(w.emit(f"fcmp uno {w.type} {x}, {x}"), x, w("fmul", left, factor))


#: Those of float32 alone: in float64 the references would not do.
IN_FLOAT32: dict[str, Callable[..., str]] = {
    "ndtr": _ndtr,
    "silu": _gate(_sigmoid, -700.0),
    "silu_derivative": _silu_derivative,
    "gelu": _gate(_ndtr, -35.0),
    "gelu_derivative": _gelu_derivative,
    "gelu_tanh": _gate(lambda w, x: _sigmoid(w, _cubic(w, x)[0]), -19.0),
    "gelu_tanh_derivative": _gelu_tanh_derivative,
}
#: B_2k / (2 k), the coefficients of the asymptotic series of digamma.
_BERNOULLI = ((1, 12), (-1, 120), (1, 252), (-1, 240), (1, 132), (-691, 32760), (1, 12), (-3617, 8160))
_SHIFT = 24


def _digamma(w: Wide, x: str) -> str:
    """log(z) - 1/(2 z) - sum of B_2k / (2 k z^2k) at z = y + 24, less 1/y + ... + 1/(y + 23); left of 0 by
    digamma(x) = digamma(1 - x) - pi cot(pi x). Where y is large the terms are of one size, and nothing is
    shifted."""
    zero, one = w.number(0), w.number(1)
    left = w.less(x, zero)
    y = w.select(left, w("fsub", one, x), x)
    is_large = w.less(w.number(_SHIFT), y)
    total = zero
    for i in reversed(range(1, _SHIFT)):
        total = w("fadd", total, w("fdiv", one, w("fadd", y, w.number(i))))
    total = w("fadd", total, w("fdiv", one, y))
    total = w.select(is_large, zero, total)
    z = w.select(is_large, y, w("fadd", y, w.number(_SHIFT)))
    inverse = w("fdiv", one, z)
    square = w("fmul", inverse, inverse)
    series = zero
    for top, bottom in reversed(_BERNOULLI):
        series = w("fmul", square, w("fadd", series, w("fdiv", w.number(top), w.number(bottom))))
    rest = w("fadd", w("fmul", w.number(0.5), inverse), series)
    right = w("fsub", w("fsub", w("log", z), rest), total)
    turn = w("fsub", x, w("rint", x))
    pi = w("fadd", w.number(np.pi), w.number(1.2246467991473532e-16))
    angle = w("fmul", pi, turn)
    there = w("fsub", right, w("fdiv", w("fmul", pi, w("cos", angle)), w("sin", angle)))
    at_pole = w.emit(f"fcmp oeq {w.type} {turn}, {zero}")
    there = w.select(at_pole, w.number(np.nan), there)
    return w.select(left, there, right)


def _named(name: str) -> Callable[..., str]:
    return lambda w, *operands: w(name, *operands)


REFERENCES: dict[str, Callable[..., str]] = {
    "abs": _named("fabs"),
    "pow": _named("pow"),
    "gammaln": _gammaln,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "logaddexp": _logaddexp,
    "digamma": _digamma,
    **{
        name: _named(name)
        for name in (
            *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan"),
            *("asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
            *("erf", "erfc", "cbrt", "hypot"),
        )
    },
}


def _comparison(module: Module, name: str, kind: str, wide: str, count: int, floor: int) -> str:
    """compare(x, y, out, n, found): found is the largest error, its x and y, how many are not the nearest,
    how many are wrong, x and y of the first of these."""
    w = Wide(wide)
    result = (REFERENCES | IN_FLOAT32)[name](w, *("%wx", "%wy")[:count])
    body = "\n".join(w.lines)
    narrow, bits = LLVM_TYPES[kind], BITS[kind]
    digits, least, most = (24, -126, 127) if kind == "f32" else (53, -1022, 1023)
    word, mantissa, bias = ("i64", 52, 1023) if wide == "double" else ("i80", 64, 16383)
    mask = 0x7FF if wide == "double" else 0x7FFF
    lead = 0 if wide == "double" else 1 << 63  # 80-bit floats write their first digit
    intrinsic = "f64" if wide == "double" else "f80"
    for declaration in (*w.declared, f"declare {wide} @llvm.fabs.{intrinsic}({wide})"):
        module.declare(declaration)
    widen = lambda n: f"fpext {narrow} {n} to {wide}"  # noqa: E731
    as_double = (
        (lambda n: f"fpext float {n} to double") if kind == "f32" else (lambda n: f"fadd double {n}, -0.0")
    )
    infinity, zero = "0x7FF0000000000000", "0.0"
    wide_zero = "0.0" if wide == "double" else "0xK00000000000000000000"
    return f"""
define void @compare(ptr %x, ptr %y, ptr %out, i64 %n, ptr %found) {{
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %latch ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %inside, label %after
inside:
  %px = getelementptr {narrow}, ptr %x, i64 %i
  %py = getelementptr {narrow}, ptr %y, i64 %i
  %po = getelementptr {narrow}, ptr %out, i64 %i
  %vx = load {narrow}, ptr %px
  %vy = load {narrow}, ptr %py
  %v = load {narrow}, ptr %po
  %dx = {as_double("%vx")}
  %dy = {as_double("%vy")}
  %wx = {widen("%vx")}
  %wy = {widen("%vy")}
{body}
  %nearest = fptrunc {wide} {result} to {narrow}
  %same = fcmp oeq {narrow} %nearest, %v
  %vbits = bitcast {narrow} %v to i{bits}
  %nbits = bitcast {narrow} %nearest to i{bits}
  %vsign = icmp slt i{bits} %vbits, 0
  %nsign = icmp slt i{bits} %nbits, 0
  %signs = icmp eq i1 %vsign, %nsign
  %exact = and i1 %same, %signs
  %vnan = fcmp uno {narrow} %v, %v
  %nnan = fcmp uno {narrow} %nearest, %nearest
  %nans = and i1 %vnan, %nnan
  %fine = or i1 %exact, %nans
  br i1 %fine, label %latch, label %differ
differ:
  %missed = load double, ptr %p3
  %missed.1 = fadd double %missed, 1.0
  store double %missed.1, ptr %p3
  ; where only one value is right: NaN, zeros, infinities of infinite references; and no sign may be wrong
  %wideabs = call {wide} @llvm.fabs.{intrinsic}({wide} {result})
  %winf = fpext {narrow} {infinity} to {wide}
  %endless = fcmp oeq {wide} %wideabs, %winf
  %vinf1 = fcmp oeq {narrow} %v, {infinity}
  %vinf2 = fcmp oeq {narrow} %v, 0xFFF0000000000000
  %vinf = or i1 %vinf1, %vinf2
  %iszero = fcmp oeq {wide} %wideabs, {wide_zero}
  %nosign = xor i1 %signs, true
  %b1 = or i1 %vnan, %nnan
  %b2 = or i1 %b1, %endless
  %b3 = or i1 %b2, %vinf
  %b4 = or i1 %b3, %iszero
  %vzero = fcmp oeq {narrow} %v, {zero}
  %unsigned = and i1 %vzero, %nosign
  %bad = or i1 %b4, %unsigned
  br i1 %bad, label %wrong, label %finite
wrong:
  %count = load double, ptr %p4
  %first = fcmp oeq double %count, 0.0
  %count.1 = fadd double %count, 1.0
  store double %count.1, ptr %p4
  br i1 %first, label %note, label %latch
note:
  store double %dx, ptr %p5
  store double %dy, ptr %p6
  br label %latch
finite:
  %wbits = bitcast {wide} %wideabs to {word}
  %shifted = lshr {word} %wbits, {mantissa}
  %masked = and {word} %shifted, {mask}
  %e.0 = {"add i64 0, %masked" if word == "i64" else "trunc i80 %masked to i64"}
  %e.1 = sub i64 %e.0, {bias}
  %low = icmp slt i64 %e.1, {max(least, floor)}
  %e.2 = select i1 %low, i64 {max(least, floor)}, i64 %e.1
  %high = icmp sgt i64 %e.2, {most}
  %e.3 = select i1 %high, i64 {most}, i64 %e.2
  %s.0 = sub i64 {bias + digits - 1}, %e.3
  %s.1 = {"add i64 %s.0, 0" if word == "i64" else "zext i64 %s.0 to i80"}
  %s.2 = shl {word} %s.1, {mantissa}
  %s.3 = or {word} %s.2, {lead}
  %scale = bitcast {word} %s.3 to {wide}
  %wv = {widen("%v")}
  %gap = fsub {wide} %wv, {result}
  %units = fmul {wide} %gap, %scale
  %size = call {wide} @llvm.fabs.{intrinsic}({wide} %units)
  %error = {"fadd double %size, -0.0" if wide == "double" else "fptrunc x86_fp80 %size to double"}
  %most = load double, ptr %found
  %worse = fcmp ogt double %error, %most
  br i1 %worse, label %keep, label %latch
keep:
  store double %error, ptr %found
  store double %dx, ptr %p1
  store double %dy, ptr %p2
  br label %latch
latch:
  %next = add i64 %i, 1
  br label %head
after:
  ret void
}}
""".replace(
        "entry:\n",
        "entry:\n" + "".join(f"  %p{k} = getelementptr double, ptr %found, i64 {k}\n" for k in range(1, 7)),
    )
