"""Division and square roots by Newton's iteration, where the processor's own are the bottleneck.

A division of 8 float64 occupies the divider of Intel's AVX-512 machines for 16 cycles, in which they could do
32 multiplications (AMD's Zen 5 takes 4: `Machine.division`). An estimate of the reciprocal to 14 bits
and two steps of Newton's method take 7, and one more step rounds a quotient correctly (Markstein 1990).

That step needs what a quotient leaves, x - q y, exactly, and a quotient that is not subnormal. Operands that
are too small or too large for it (0, infinities, NaNs) take the processor's instruction, by a branch for the
whole vector: in those lanes alone, since no number depends on its neighbours.

One reciprocal serves all quotients by the same divisor, on any machine with fused multiply-add; that of a
number is known beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from symgrad_compiler.backends.llvm.ir import Value
from symgrad_compiler.backends.llvm.registers import estimate, whole_registers
from symgrad_compiler.backends.llvm.scalars import Code

#: The least numerator but 0, and the least and the largest divisor, of what is rounded correctly: then a
#: quotient is not subnormal, nor is the last bit of what it leaves.
_RANGE = {"f32": (2.0**-80, 2.0**-80, 2.0**40), "f64": (2.0**-900, 2.0**-900, 2.0**100)}


class Quotients:
    """The quotients of one kernel; `newton` says that estimates are worth their time."""

    def __init__(self, code: Code, newton: bool) -> None:
        self.code = code
        self.newton = newton

    def inverse(self, y: Value) -> Value:
        """1 / y, correctly rounded but for rare ties."""
        return self._inverse(y)[0]

    def quotient(self, x: Value, y: Value) -> Value:
        """x / y from 1 / y, correctly rounded."""
        inverse, unsafe = self._inverse(y)
        x, y, inverse, unsafe = self.code.level(x, y, inverse, unsafe)
        return self._rounded(x, y, inverse, self.code.logical_or(unsafe, self._too_small(x)))

    def by_number(self, x: Value, y: Value) -> Value:
        """x / y for a number y that `is_plain`: a product, and a step that rounds it correctly."""
        assert y.number is not None
        inverse = self.code.constant(1 / y.number, x)
        return self._rounded(x, y, inverse, self._too_small(x))

    def is_plain(self, y: Value) -> bool:
        """Whether a divisor is a number whose reciprocal is far from the limits of its kind."""
        _, least, most = _RANGE[y.kind]
        return y.number is not None and self.code.machine.has_fma and least <= abs(y.number) <= most

    def _rounded(self, x: Value, y: Value, inverse: Value, unsafe: Value) -> Value:
        code = self.code
        first = code.multiply(x, inverse)
        rest = code.fma(code.negative(first), y, x)
        better = code.fma(rest, inverse, first)
        near = code.select(code.is_zero_or_nan(better), first, better)  # signs of zeros; infinities
        return self._unless(unsafe, lambda: code.divide(x, y), near)

    def _unless(self, unsafe: Value, exact: Callable[[], Value], near: Value) -> Value:
        """`near`, or in unsafe lanes what is exact."""
        code = self.code
        return code.f.choose(code.any(unsafe), lambda: code.select(unsafe, exact(), near), lambda: near)

    def _too_small(self, x: Value) -> Value:
        """The lanes in which a numerator is."""
        code = self.code
        small = code.less(code.unary("fabs", x), code.constant(_RANGE[x.kind][0], x))
        return code.logical_and(small, code.logical_not(code.equal(x, code.constant(0, x))))

    def _inverse(self, y: Value) -> tuple[Value, Value]:
        """1 / y, and the lanes in which no quotient can be made of it."""
        return self.code.f.remember(f"1 / {y.text}", lambda: self._make_inverse(y))

    def _make_inverse(self, y: Value) -> tuple[Value, Value]:
        code = self.code
        one, size = code.constant(1, y), code.unary("fabs", y)
        _, least, most = (code.constant(v, y) for v in _RANGE[y.kind])
        safe = code.logical_and(code.less_equal(least, size), code.less_equal(size, most))
        unsafe = code.logical_not(safe)
        if not self._estimates(y):
            return code.divide(one, y), unsafe
        rough = estimate(code, "rcp14", y)
        error = code.fma(code.negative(y), rough, one)
        both = code.fma(error, error, error)
        closer = code.fma(both, rough, rough)  # 1 + e + e^2: 42 bits
        inverse = code.fma(code.fma(code.negative(y), closer, one), closer, closer)
        return self._unless(unsafe, lambda: code.divide(one, y), inverse), unsafe

    def square_root(self, x: Value) -> Value:
        """Goldschmidt's iteration for g = sqrt(x) and h = 1 / (2 g), then a step of Newton's."""
        code = self.code
        if not self._estimates(x):
            return code.call("sqrt", x)
        half = code.constant(0.5, x)
        rough = estimate(code, "rsqrt14", x)
        g, h = code.multiply(x, rough), code.multiply(half, rough)
        error = code.fma(code.negative(h), g, half)
        for _ in range(2):
            g, h = code.fma(g, error, g), code.fma(h, error, h)
            error = code.fma(code.negative(h), g, half)
        root = code.fma(code.fma(code.negative(g), g, x), h, g)
        least, infinity = code.constant(_RANGE[x.kind][0], x), code.constant(math.inf, x)
        safe = code.logical_and(code.less_equal(least, x), code.less(x, infinity))
        return self._unless(code.logical_not(safe), lambda: code.call("sqrt", x), root)

    def _estimates(self, x: Value) -> bool:
        return self.newton and x.kind == "f64" and whole_registers(self.code, x)
