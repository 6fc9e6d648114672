"""The builder that the ops' scalar code is written against (`symgrad/ops/scalar.py`), emitting LLVM IR.

Operands may be scalars or vectors; a scalar beside a vector is repeated. Semantics are NumPy's: shifts past
the width give 0, integer division by 0 gives 0, `maximum` hands NaN on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from symgrad.records import record
from symgrad.types import DType
from symgrad_compiler.backends.llvm.ir import BITS, LLVM_TYPES, Function, Value, literal, vector_type

FLOATS = ("f32", "f64")


@record
class Machine:
    """What the generated code may use."""

    vector_bytes: int
    has_masks: bool
    has_fma: bool
    has_avx512: bool = False
    #: What a division and a square root of a vector of float64 take, in multiplications.
    division: int = 32
    root: int = 48

    @property
    def has_avx2(self) -> bool:
        """AVX2 with fused multiply-add, and no more."""
        return self.vector_bytes == 32 and self.has_fma

    @property
    def divides_quickly(self) -> bool:
        """Whether a division takes less than Newton's iteration from an estimate, which takes about ten."""
        return self.division <= 10


PLAIN = Machine(16, False, False)


class MathLibrary(Protocol):
    """Elementary functions: `maths.Maths`."""

    def __call__(self, code: Code, function: str, *operands: Value) -> Value: ...


def kind_of(dtype: DType) -> str:
    """How values of a dtype are called in `ir`."""
    return "i1" if dtype.kind == "bool" else dtype.short


class Code:
    """Emits operations on values into a function."""

    def __init__(
        self, function: Function, maths: MathLibrary | None = None, machine: Machine = PLAIN
    ) -> None:
        self.f = function
        self.maths = maths
        self.machine = machine

    # ---- shapes of values ---------------------------------------------------------------------------

    def splat(self, x: Value, lanes: int) -> Value:
        """x in every lane."""
        if x.lanes == lanes:
            return x
        if x.number is not None:
            return literal(x.number, x.kind, lanes)
        kind = LLVM_TYPES[x.kind]
        one = self.f.emit(f"insertelement <{lanes} x {kind}> poison, {kind} {x.text}, i64 0", x.kind, lanes)
        zeros = f"<{lanes} x i32> zeroinitializer"
        return self.f.emit(
            f"shufflevector <{lanes} x {kind}> {one.text}, <{lanes} x {kind}> poison, {zeros}", x.kind, lanes
        )

    def level(self, *values: Value) -> list[Value]:
        """The values with equal numbers of lanes."""
        lanes = max(v.lanes for v in values)
        return [self.splat(v, lanes) for v in values]

    def constant(self, value: float, like: Value) -> Value:
        return literal(value, like.kind, like.lanes)

    def _binary(self, instruction: str, x: Value, y: Value, kind: str | None = None) -> Value:
        x, y = self.level(x, y)
        return self.f.emit(f"{instruction} {x.type} {x.text}, {y.text}", kind or x.kind, x.lanes)

    def unary(self, name: str, x: Value) -> Value:
        """An LLVM intrinsic of one float."""
        return self.f.intrinsic(f"llvm.{name}.{_suffix(x)}", (x.kind, x.lanes), x)

    # ---- arithmetic ---------------------------------------------------------------------------------

    def add(self, x: Value, y: Value) -> Value:
        return self._binary("fadd" if x.kind in FLOATS else "add", x, y)

    def subtract(self, x: Value, y: Value) -> Value:
        return self._binary("fsub" if x.kind in FLOATS else "sub", x, y)

    def multiply(self, x: Value, y: Value) -> Value:
        return self._binary("fmul" if x.kind in FLOATS else "mul", x, y)

    def divide(self, x: Value, y: Value) -> Value:
        return self._binary("fdiv", x, y)

    def negative(self, x: Value) -> Value:
        if x.kind in FLOATS:
            return self.f.emit(f"fneg {x.type} {x.text}", x.kind, x.lanes)
        return self.subtract(self.constant(0, x), x)

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """x y + z, rounded once."""
        x, y, z = self.level(x, y, z)
        return self.f.intrinsic(f"llvm.fma.{_suffix(x)}", (x.kind, x.lanes), x, y, z)

    def muladd(self, x: Value, y: Value, z: Value) -> Value:
        """x y + z, rounded once or twice, whatever is faster."""
        return self.fma(x, y, z) if self.machine.has_fma else self.add(self.multiply(x, y), z)

    def polynomial(self, x: Value, coefficients: tuple[float, ...]) -> Value:
        """c0 + c1 x + c2 x^2 ..., as even part + x * odd part, each by Horner's rule in x^2: two chains of
        operations, half as long as one."""
        if len(coefficients) < 4:
            return self._horner(x, coefficients)
        square = self.multiply(x, x)
        even, odd = self._horner(square, coefficients[::2]), self._horner(square, coefficients[1::2])
        return self.muladd(odd, x, even)

    def _horner(self, x: Value, coefficients: tuple[float, ...]) -> Value:
        result = self.constant(coefficients[-1], x)
        for c in reversed(coefficients[:-1]):
            result = self.muladd(result, x, self.constant(c, x))
        return result

    # ---- comparisons, logic, bits -------------------------------------------------------------------

    def compare(self, relation: str, x: Value, y: Value) -> Value:
        """`relation`: eq, lt, le; ordered for floats."""
        x, y = self.level(x, y)
        if x.kind in FLOATS:
            instruction = f"fcmp o{relation}"
        elif relation == "eq":
            instruction = "icmp eq"
        else:
            instruction = f"icmp {'u' if x.kind[0] == 'u' or x.kind == 'i1' else 's'}{relation}"
        return self.f.emit(f"{instruction} {x.type} {x.text}, {y.text}", "i1", x.lanes)

    def less(self, x: Value, y: Value) -> Value:
        return self.compare("lt", x, y)

    def less_equal(self, x: Value, y: Value) -> Value:
        return self.compare("le", x, y)

    def equal(self, x: Value, y: Value) -> Value:
        return self.compare("eq", x, y)

    def is_nan(self, x: Value) -> Value:
        return self.f.emit(f"fcmp uno {x.type} {x.text}, {x.text}", "i1", x.lanes)

    def is_zero_or_nan(self, x: Value) -> Value:
        """x == 0, or x is NaN."""
        zero = self.constant(0, x)
        return self.f.emit(f"fcmp ueq {x.type} {x.text}, {zero.text}", "i1", x.lanes)

    def any(self, x: Value) -> Value:
        """Whether a bit is set in one lane."""
        if x.lanes == 1:
            return x
        return self.f.intrinsic(f"llvm.vector.reduce.or.v{x.lanes}i1", ("i1", 1), x)

    def logical_and(self, x: Value, y: Value) -> Value:
        return self._binary("and", x, y)

    def logical_or(self, x: Value, y: Value) -> Value:
        return self._binary("or", x, y)

    def logical_not(self, x: Value) -> Value:
        return self._binary("xor", x, literal(1, "i1"))

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        condition, x, y = self.level(condition, x, y)
        return self.f.emit(
            f"select {condition.type} {condition.text}, {x.type} {x.text}, {y.type} {y.text}", x.kind, x.lanes
        )

    def shift_left(self, x: Value, amount: int) -> Value:
        return self._binary("shl", x, self.constant(amount, x))

    def shift_right(self, x: Value, amount: int) -> Value:
        return self._binary("ashr" if x.kind[0] == "i" else "lshr", x, self.constant(amount, x))

    def bits_and(self, x: Value, y: Value) -> Value:
        return self._binary("and", x, y)

    def bits_xor(self, x: Value, y: Value) -> Value:
        return self._binary("xor", x, y)

    def bits_or(self, x: Value, y: Value) -> Value:
        return self._binary("or", x, y)

    def bits(self, x: Value, kind: str) -> Value:
        """The same bits as another kind."""
        if LLVM_TYPES[x.kind] == LLVM_TYPES[kind]:
            return Value(x.text, kind, x.lanes)
        return self.f.emit(f"bitcast {x.type} {x.text} to {vector_type(kind, x.lanes)}", kind, x.lanes)

    # ---- conversions --------------------------------------------------------------------------------

    def astype(self, x: Value, dtype: str) -> Value:
        return self.convert(x, dtype)

    def convert(self, x: Value, kind: str) -> Value:
        """x in another kind, by C's rules; to bool, whether it is not 0."""
        have = x.kind
        if have == kind:
            return x
        if kind == "i1":
            instruction = "fcmp une" if have in FLOATS else "icmp ne"
            return self.f.emit(f"{instruction} {x.type} {x.text}, {self.constant(0, x).text}", "i1", x.lanes)
        if have in FLOATS and kind in FLOATS:
            return self._cast("fpext" if BITS[kind] > BITS[have] else "fptrunc", x, kind)
        if have in FLOATS:
            if kind == "u64":
                return self._to_integer("fptoui", x, kind)
            wide = "i64" if kind in ("i64", "u32") else "i32"  # to 64 bits, few machines convert vectors
            return self.convert(self._to_integer("fptosi", x, wide), kind)
        unsigned = have[0] == "u" or have == "i1"
        if kind in FLOATS:
            return self._cast("uitofp" if unsigned else "sitofp", x, kind)
        if BITS[kind] == BITS[have]:
            return Value(x.text, kind, x.lanes, x.number)
        if BITS[kind] < BITS[have]:
            return self._cast("trunc", x, kind)
        return self._cast("zext" if unsigned else "sext", x, kind)

    def _to_integer(self, instruction: str, x: Value, kind: str) -> Value:
        """Any integer for a number out of range; without `freeze`, LLVM could make inf of it and back."""
        found = self._cast(instruction, x, kind)
        return self.f.emit(f"freeze {found.type} {found.text}", kind, found.lanes)

    def _cast(self, instruction: str, x: Value, kind: str) -> Value:
        return self.f.emit(f"{instruction} {x.type} {x.text} to {vector_type(kind, x.lanes)}", kind, x.lanes)

    # ---- functions ----------------------------------------------------------------------------------

    def call(self, function: str, *operands: Value) -> Value:
        """A function by its NumPy name."""
        table = _FLOAT if operands[0].kind in FLOATS else _INTEGER
        direct = table.get(function)
        if direct is not None:
            return direct(self, *operands)
        assert self.maths is not None
        return self.maths(self, function, *self.level(*operands))


def by_parts(b: Code, lanes: int, function: Callable[..., Value], *operands: Value) -> Value:
    """A function of exactly `lanes` lanes on wider vectors: halves, then halves of these."""
    wide = operands[0].lanes
    if wide == lanes:
        return function(b, *operands)
    half = wide // 2
    parts = []
    for start in (0, half):
        chosen = ", ".join(f"i32 {start + i}" for i in range(half))
        pieces = [
            b.f.emit(
                f"shufflevector {v.type} {v.text}, {v.type} poison, <{half} x i32> <{chosen}>", v.kind, half
            )
            for v in operands
        ]
        parts.append(by_parts(b, lanes, function, *pieces))
    low, high = parts
    chosen = ", ".join(f"i32 {i}" for i in range(wide))
    joined = f"shufflevector {low.type} {low.text}, {high.type} {high.text}, <{wide} x i32> <{chosen}>"
    return b.f.emit(joined, low.kind, wide)


def _suffix(x: Value) -> str:
    return x.kind if x.lanes == 1 else f"v{x.lanes}{x.kind}"


# ---- floats -----------------------------------------------------------------------------------------


def _maximum(b: Code, x: Value, y: Value) -> Value:
    """NumPy's: the larger; NaN if either is."""
    if y.number == 0:  # never -0, as in NumPy
        return b.select(b.less_equal(x, y), y, x)
    if y.number is not None and y.number == y.number:
        return b.select(b.less(x, y), y, x)
    larger = b.select(b.less_equal(y, x), x, y)
    return b.select(b.is_nan(x), x, larger)


def _minimum(b: Code, x: Value, y: Value) -> Value:
    if y.number is not None and y.number == y.number:
        return b.select(b.less(y, x), y, x)
    smaller = b.select(b.less_equal(x, y), x, y)
    return b.select(b.is_nan(x), x, smaller)


def _sign(b: Code, x: Value) -> Value:
    zero = b.constant(0, x)
    small = b.select(b.equal(x, zero), zero, x)
    below = b.select(b.less(x, zero), b.constant(-1, x), small)
    return b.select(b.less(zero, x), b.constant(1, x), below)


def _isfinite(b: Code, x: Value) -> Value:
    return b.less(b.unary("fabs", x), b.constant(float("inf"), x))


def _copysign(b: Code, x: Value, y: Value) -> Value:
    x, y = b.level(x, y)
    return b.f.intrinsic(f"llvm.copysign.{_suffix(x)}", (x.kind, x.lanes), x, y)


def _bits_of(b: Code, x: Value) -> Value:
    return b.bits(x, f"i{BITS[x.kind]}")


def _signbit(b: Code, x: Value) -> Value:
    bits = _bits_of(b, x)
    return b.less(bits, b.constant(0, bits))


def _nextafter(b: Code, x: Value, y: Value) -> Value:
    """Floats of one sign are ordered as their bits are."""
    x, y = b.level(x, y)
    zero, bits = b.constant(0, x), _bits_of(b, x)
    one = b.constant(1, bits)
    outward = b.logical_not(b._binary("xor", b.less(x, y), b.less(zero, x)))
    moved = b.bits(b.select(outward, b.add(bits, one), b.subtract(bits, one)), x.kind)
    moved = b.select(b.equal(x, zero), _copysign(b, b.bits(one, x.kind), y), moved)
    moved = b.select(b.equal(x, y), y, moved)
    nan = b.logical_or(b.is_nan(x), b.is_nan(y))
    return b.select(nan, b.constant(float("nan"), x), moved)


def _modulus(b: Code, x: Value, y: Value) -> tuple[Value, Value]:
    """C's fmod(x, y), and whether Python's modulus is one y more."""
    x, y = b.level(x, y)
    left = b.f.emit(f"frem {x.type} {x.text}, {y.text}", x.kind, x.lanes)
    zero = b.constant(0, x)
    signs_differ = b._binary("xor", b.less(y, zero), b.less(left, zero))
    return left, b.logical_and(b.logical_not(b.equal(left, zero)), signs_differ)


def _remainder(b: Code, x: Value, y: Value) -> Value:
    left, more = _modulus(b, x, y)
    zero = b.constant(0, left)
    exact = b.select(b.equal(left, zero), _copysign(b, zero, y), left)
    return b.select(more, b.add(left, y), exact)


def _floor_divide(b: Code, x: Value, y: Value) -> Value:
    left, more = _modulus(b, x, y)
    one, zero = b.constant(1, left), b.constant(0, left)
    quotient = b.divide(b.subtract(x, left), y)
    quotient = b.select(more, b.subtract(quotient, one), quotient)
    whole = b.unary("floor", quotient)
    whole = b.select(b.less(b.constant(0.5, left), b.subtract(quotient, whole)), b.add(whole, one), whole)
    ratio = b.divide(x, y)
    whole = b.select(b.equal(quotient, zero), _copysign(b, zero, ratio), whole)
    return b.select(b.equal(y, zero), ratio, whole)


_FLOAT: dict[str, Callable[..., Value]] = {
    "sqrt": lambda b, x: b.unary("sqrt", x),
    "absolute": lambda b, x: b.unary("fabs", x),
    "floor": lambda b, x: b.unary("floor", x),
    "ceil": lambda b, x: b.unary("ceil", x),
    "trunc": lambda b, x: b.unary("trunc", x),
    "rint": lambda b, x: b.unary("rint", x),
    "sign": _sign,
    "maximum": _maximum,
    "minimum": _minimum,
    "isfinite": _isfinite,
    "copysign": _copysign,
    "signbit": _signbit,
    "nextafter": _nextafter,
    "remainder": _remainder,
    "floor_divide": _floor_divide,
}


# ---- integers and bits ------------------------------------------------------------------------------


def _quotient(b: Code, x: Value, y: Value) -> tuple[Value, Value, Value]:
    """x / y and x % y rounded to zero, with y made 1 where it is 0 or -1; and that y."""
    x, y = b.level(x, y)
    one = b.constant(1, x)
    bad = b.equal(y, b.constant(0, x))
    if x.kind[0] == "i":
        bad = b.logical_or(bad, b.equal(y, b.constant(-1, x)))
    safe = b.select(bad, one, y)
    sign = "s" if x.kind[0] == "i" else "u"
    return b._binary(f"{sign}div", x, safe), b._binary(f"{sign}rem", x, safe), safe


def _floored(b: Code, x: Value, y: Value) -> tuple[Value, Value, Value | None]:
    """x / y and x % y rounded to zero, and, of signed integers, whether the quotient is to be one less."""
    q, r, _ = _quotient(b, x, y)
    if x.kind[0] != "i":
        return q, r, None
    zero = b.constant(0, x)
    signs_differ = b._binary("xor", b.less(r, zero), b.less(y, zero))
    return q, r, b.logical_and(b.logical_not(b.equal(r, zero)), signs_differ)


def _int_floor_divide(b: Code, x: Value, y: Value) -> Value:
    x, y = b.level(x, y)
    q, _, down = _floored(b, x, y)
    if down is not None:
        q = b.select(down, b.subtract(q, b.constant(1, x)), q)
        q = b.select(b.equal(y, b.constant(-1, x)), b.negative(x), q)
    zero = b.constant(0, x)
    return b.select(b.equal(y, zero), zero, q)


def _int_remainder(b: Code, x: Value, y: Value) -> Value:
    x, y = b.level(x, y)
    _, r, down = _floored(b, x, y)
    r = r if down is None else b.select(down, b.add(r, y), r)
    zero = b.constant(0, x)
    return b.select(b.equal(y, zero), zero, r)


def _shift(left: bool) -> Callable[[Code, Value, Value], Value]:
    def shift(b: Code, x: Value, y: Value) -> Value:
        x, y = b.level(x, y)
        zero, width = b.constant(0, x), b.constant(BITS[x.kind], x)
        inside = b.less(y, width)
        if x.kind[0] == "i":
            inside = b.logical_and(inside, b.less_equal(zero, y))
        amount = b.select(inside, y, zero)
        if left:
            return b.select(inside, b._binary("shl", x, amount), zero)
        if x.kind[0] == "u":
            return b.select(inside, b._binary("lshr", x, amount), zero)
        beyond = b._binary("ashr", x, b.constant(BITS[x.kind] - 1, x))
        return b.select(inside, b._binary("ashr", x, amount), beyond)

    return shift


def _int_sign(b: Code, x: Value) -> Value:
    zero = b.constant(0, x)
    positive = b.select(b.less(zero, x), b.constant(1, x), zero)
    return b.select(b.less(x, zero), b.constant(-1, x), positive) if x.kind[0] == "i" else positive


def _int_absolute(b: Code, x: Value) -> Value:
    return b.select(b.less(x, b.constant(0, x)), b.negative(x), x) if x.kind[0] == "i" else x


def _int_power(b: Code, x: Value, y: Value) -> Value:
    """By squaring, modulo 2^bits; an exponent that is not known counts as unsigned."""
    if y.number is not None:
        return power_by_squaring(b, x, int(y.number))
    x, y = b.level(x, y)
    zero, one = b.constant(0, x), b.constant(1, x)

    def more(carried: list[Value]) -> Value:
        return b.any(b.logical_not(b.equal(carried[1], zero)))

    def halve(carried: list[Value]) -> list[Value]:
        base, left, result = carried
        odd = b.logical_not(b.equal(b.bits_and(left, one), zero))
        unsigned = Value(left.text, "u" + left.kind[1:], left.lanes)
        half = b.shift_right(unsigned, 1)
        return [
            b.multiply(base, base),
            Value(half.text, left.kind, left.lanes),
            b.select(odd, b.multiply(result, base), result),
        ]

    return b.f.repeat([x, y, one], more, halve)[2]


def power_by_squaring(b: Code, x: Value, n: int) -> Value:
    """x^n for n >= 0."""
    result: Value | None = None
    while n:
        if n & 1:
            result = x if result is None else b.multiply(result, x)
        n >>= 1
        if n:
            x = b.multiply(x, x)
    return b.constant(1, x) if result is None else result


_INTEGER: dict[str, Callable[..., Value]] = {
    "bitwise_and": lambda b, x, y: b._binary("and", x, y),
    "bitwise_or": lambda b, x, y: b._binary("or", x, y),
    "bitwise_xor": lambda b, x, y: b._binary("xor", x, y),
    "invert": lambda b, x: b._binary("xor", x, b.constant(1 if x.kind == "i1" else -1, x)),
    "left_shift": _shift(True),
    "right_shift": _shift(False),
    "absolute": _int_absolute,
    "sign": _int_sign,
    "floor": lambda b, x: x,
    "ceil": lambda b, x: x,
    "trunc": lambda b, x: x,
    "rint": lambda b, x: x,
    "maximum": lambda b, x, y: b.select(b.less(x, y), y, x),
    "minimum": lambda b, x, y: b.select(b.less(y, x), y, x),
    "floor_divide": _int_floor_divide,
    "remainder": _int_remainder,
    "power": _int_power,
}
