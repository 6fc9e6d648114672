"""Functions of float32 that are computed in float32, twice as many elements at a time as through float64.
They are within a unit in the last place; every argument is tried in `tests/native/test_sweeps.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from symgrad_compiler.backends.llvm.ir import Value, literal
from symgrad_compiler.backends.llvm.pieces import GONE_SINGLE, clamp, like, ratio, scale, two_sum
from symgrad_compiler.backends.llvm.piecewise import erf_by_pieces, gate, normal_tail, tanh_by_pieces
from symgrad_compiler.backends.llvm.registers import holds_tables, whole_registers
from symgrad_compiler.backends.llvm.scalars import Code

#: (exp(r) - 1 - r) / r^2 on |r| <= ln(2) / 2
_EXP = (0.5, 0.16666576, 0.041666552, 0.008363233, 0.001392625)
_LN2_HIGH, _LN2_LOW = 0.6931471824645996, -1.9046542121259336e-09
_LOG2_E = 1.4426950408889634
_ROUNDER, _ROUNDER_BITS = 1.5 * 2.0**23, 0x4B400000
#: Beyond, exp is 0 or infinite.
_EXP_RANGE = (-120.0, 89.0)
#: From here on a exp(-a^2 / 2) is 0; and a exp(-z), see `_gate_tail`.
_TAIL_END, _GATE_END = 15.2, 11.5
#: sqrt(8 / pi) and 0.044715 times that, each the sum of two float32.
_LINEAR, _CUBIC = (1.5957692, -4.534068e-08), (0.071354814, 2.3988325e-09)
#: (a, t, n): beside a = |x|, a function of it that is t 2^n; n as `_exponential` has it.
Tail = tuple[Value, Value, Value]


def _exponential(b: Code, x: Value, low: Value | None = None) -> tuple[Value, Value]:
    """exp(x + low) = (1 + rest) 2^n: (rest, n + `_ROUNDER`); x in the range of exp."""
    shifted = b.fma(x, like(x, _LOG2_E), like(x, _ROUNDER))
    whole = b.subtract(shifted, like(x, _ROUNDER))
    first = b.fma(whole, like(x, -_LN2_HIGH), x)  # exact
    lost = b.multiply(whole, like(x, _LN2_LOW))
    lost = lost if low is None else b.subtract(lost, low)
    r = b.subtract(first, lost)
    tail = b.fma(b.multiply(r, r), b.polynomial(r, _EXP), b.negative(lost))
    return b.add(first, tail), shifted


def exp(b: Code, x: Value) -> Value:
    """2^n exp(r), x = n ln(2) + r."""
    rest, n = _exponential(b, clamp(b, x, *_EXP_RANGE))
    return _scaled(b, b.add(like(x, 1), rest), n, is_positive=True)


def _scaled(b: Code, x: Value, n: Value, is_positive: bool = False) -> Value:
    """x 2^n, see `pieces.scale`; n + `_ROUNDER` is given."""
    whole = b.subtract(n, like(x, _ROUNDER))
    if whole_registers(b, x):
        return scale(b, x, None, whole, GONE_SINGLE, is_positive)
    bits = b.subtract(b.bits(n, "i32"), literal(_ROUNDER_BITS, "i32", x.lanes))
    half = b.shift_right(bits, 1)
    rest = _power_of_two(b, b.subtract(bits, half))
    rest = b.select(b.less(whole, like(x, GONE_SINGLE)), like(x, 0), rest)
    return b.multiply(b.multiply(x, _power_of_two(b, half)), rest)


def _power_of_two(b: Code, n: Value) -> Value:
    """2^n for -126 <= n <= 127."""
    return b.bits(b.shift_left(b.add(n, b.constant(127, n)), 23), "f32")


# ---- with tables, or many at a time -----------------------------------------------------------------


def sigmoid(b: Code, x: Value) -> Value:
    """1 / (1 + e) or e / (1 + e), with e = exp(-|x|), and what rounding e and 1 + e lost."""
    return _sigmoid_parts(b, x)[0]


def _sigmoid_parts(b: Code, x: Value) -> tuple[Value, Value, Value]:
    """sigmoid(x); and h and n, exp(-|x|) = h 2^n."""
    one, zero = like(x, 1), like(x, 0)
    rest, n = _exponential(b, clamp(b, b.negative(b.call("absolute", x)), _SILU_END, 0.0))
    head = b.add(one, rest)
    e = _scaled(b, head, n)
    low = _scaled(b, b.add(b.subtract(one, head), rest), n)
    bottom = b.add(one, e)
    bottom_low = b.add(b.add(b.subtract(one, bottom), e), low)
    left = b.less(x, zero)
    top, top_low = b.select(left, e, one), b.select(left, low, zero)
    return ratio(b, top, bottom, False, top_low, bottom_low), head, n


def silu(b: Code, x: Value) -> Value:
    """x sigmoid(x), with one rounding where the sigmoid may be subnormal; 0 where that is."""
    gate, head, n = _sigmoid_parts(b, x)
    end = like(x, _SILU_END)
    bounded = b.select(b.less(x, end), end, x)
    far = _scaled(b, b.multiply(bounded, head), n)
    return b.select(b.less(x, like(x, _SUBNORMAL_FROM)), far, b.multiply(x, gate))


def silu_derivative(b: Code, x: Value) -> Value:
    """left(a) = t (1 + t - a) / (1 + t)^2 on the left, t = exp(-a), a = |x|; 1 less that on the right. Beside
    the zero, 1 + t - a is d + c (exp(d) - 1) with the distance d from it, where exp(-a) is c."""
    one, end = like(x, 1), like(x, -_SILU_END)
    size = b.call("absolute", x)
    size = b.select(b.less(end, size), end, size)
    rest, n = _exponential(b, b.negative(size))
    head = b.add(one, rest)
    head_low = b.add(b.subtract(one, head), rest)
    t, low = _scaled(b, head, n), _scaled(b, head_low, n)
    near, near_low, is_near = _beside_silu_zero(b, size)
    begin, begin_low = two_sum(b, one, b.negative(size))
    far, far_low = two_sum(b, begin, t)
    factor = b.select(is_near, near, far)
    factor_low = b.select(is_near, near_low, b.add(b.add(begin_low, far_low), low))
    bottom = b.add(one, t)
    bottom_low = b.add(b.add(b.subtract(one, bottom), t), low)
    square = b.multiply(bottom, bottom)
    square_low = b.fma(bottom, bottom, b.negative(square))
    square_low = b.fma(b.add(bottom, bottom), bottom_low, square_low)
    top = b.multiply(factor, head)
    top_low = b.fma(factor, head, b.negative(top))
    top_low = b.fma(factor_low, head, b.fma(factor, head_low, top_low))
    left = _scaled(b, ratio(b, top, square, False, top_low, square_low), n)
    return b.select(b.less(x, like(x, 0)), left, b.subtract(one, left))


def _beside_silu_zero(b: Code, size: Value) -> tuple[Value, Value, Value]:
    """1 - a + exp(-a), as the sum of two numbers, and whether it is good: within 1/2 of its zero."""
    far = b.subtract(like(size, _SILU_ZERO[0]), size)
    d = b.subtract(far, like(size, _SILU_ZERO[1]))
    d_low = b.subtract(b.subtract(far, d), like(size, _SILU_ZERO[1]))
    first = like(size, _SILU_SLOPE[0])
    rest = b.fma(d, b.polynomial(d, _SILU_SLOPE[2:]), like(size, _SILU_SLOPE[1]))
    slope = b.add(first, rest)
    slope_low = b.add(b.subtract(first, slope), rest)
    found = b.multiply(d, slope)
    lost = b.fma(d, slope, b.negative(found))
    lost = b.fma(d, slope_low, b.fma(d_low, slope, lost))
    return found, lost, b.less(b.call("absolute", d), like(size, 0.5))


#: Where 1 - a + exp(-a) is 0, a sum of two float32; and that over the distance d from there: at d = 0 the sum
#: of the first two, and what follows in d.
_SILU_ZERO = (1.2784645557403564, 1.297928265020314e-08)
_SILU_SLOPE = (
    *(1.2784645557403564, -1.2979282537628478e-08),
    *(0.13923228, 0.046410758, 0.0116023095, 0.0023204957, 0.00038978836, 5.558758e-05),
)
#: From here downwards x exp(x) is 0.
_SILU_END = -120.0
#: From here downwards sigmoid(x) is exp(x), before that is subnormal.
_SUBNORMAL_FROM = -40.0


def _tail(b: Code, x: Value, is_slope: bool) -> Tail:
    """exp(-a^2 / 2) f(a) = t 2^n, a = |x|, f of `normal_tail`: (a, t, n)."""
    size = b.call("absolute", x)
    size = b.select(b.less(like(x, _TAIL_END), size), like(x, _TAIL_END), size)
    square = b.multiply(size, size)
    half = like(x, -0.5)
    low = b.multiply(b.fma(size, size, b.negative(square)), half)
    rest, n = _exponential(b, b.multiply(square, half), low)
    factor = normal_tail(b, size, is_slope)
    return size, b.fma(factor, rest, factor), n


def ndtr(b: Code, x: Value) -> Value:
    """The tail on the left, 1 less that on the right."""
    _, t, n = _tail(b, x, False)
    tail = _scaled(b, t, n)
    return b.select(b.less(like(x, 0), x), b.subtract(like(x, 1), tail), tail)


def _gate_tail(b: Code, x: Value, is_slope: bool) -> Tail:
    """exp(-z) f(a) = t 2^n, a = |x|, z = sqrt(8 / pi) (a + 0.044715 a^3), f of `gate`: (a, t, n)."""
    size = b.call("absolute", x)
    size = b.select(b.less(like(x, _GATE_END), size), like(x, _GATE_END), size)
    square = b.multiply(size, size)
    lost = b.fma(size, size, b.negative(square))
    (linear, linear_low), (cubic, cubic_low) = ((like(x, v) for v in pair) for pair in (_LINEAR, _CUBIC))
    term = b.multiply(square, cubic)
    lost = b.fma(lost, cubic, b.fma(square, cubic, b.negative(term)))
    lost = b.fma(square, cubic_low, b.add(lost, linear_low))
    factor, rounded = two_sum(b, linear, term)
    z = b.multiply(size, factor)
    low = b.fma(size, b.add(rounded, lost), b.fma(size, factor, b.negative(z)))
    rest, n = _exponential(b, b.negative(z), b.negative(low))
    found = gate(b, size, is_slope)
    return size, b.fma(found, rest, found), n


def gelu(b: Code, x: Value) -> Value:
    """max(x, 0) - |x| ndtr(-|x|)."""
    return _less_tail(b, x, _tail(b, x, False))


def gelu_tanh(b: Code, x: Value) -> Value:
    """max(x, 0) - |x| sigmoid(-|z|)."""
    return _less_tail(b, x, _gate_tail(b, x, False))


def _less_tail(b: Code, x: Value, tail: Tail) -> Value:
    size, t, n = tail
    left = _scaled(b, b.multiply(b.negative(size), t), n)
    return b.call("copysign", b.add(left, b.select(b.less(like(x, 0), x), x, like(x, 0))), x)


def gelu_derivative(b: Code, x: Value) -> Value:
    """exp(-a^2 / 2) (exp(a^2 / 2) ndtr(-a) - a / sqrt(2 pi)) on the left, 1 less that on the right."""
    return _of_both_sides(b, x, _tail(b, x, True))


def gelu_tanh_derivative(b: Code, x: Value) -> Value:
    """sigmoid(-z) (1 - a z' sigmoid(z)) on the left, 1 less that on the right."""
    return _of_both_sides(b, x, _gate_tail(b, x, True))


def _of_both_sides(b: Code, x: Value, tail: Tail) -> Value:
    left = _scaled(b, tail[1], tail[2])
    return b.select(b.less(x, like(x, 0)), left, b.subtract(like(x, 1), left))


IN_REGISTERS: dict[str, Callable[[Code, Value], Value]] = {
    "erf": erf_by_pieces,
    "tanh": tanh_by_pieces,
    "sigmoid": sigmoid,
    "silu": silu,
    "silu_derivative": silu_derivative,
    "ndtr": ndtr,
    "gelu": gelu,
    "gelu_derivative": gelu_derivative,
    "gelu_tanh": gelu_tanh,
    "gelu_tanh_derivative": gelu_tanh_derivative,
}


def in_float32(b: Code, function: str, x: Value) -> Callable[[Code, Value], Value] | None:
    """How a function of float32 is computed in float32, if it is."""
    if function == "exp" and b.machine.has_fma:
        return exp
    return IN_REGISTERS.get(function) if holds_tables(b, x) else None
