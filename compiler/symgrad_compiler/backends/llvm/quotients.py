"""Division and square roots by Newton's iteration, where the processor's own are the bottleneck.

A division of 8 float64 occupies the divider of Intel's AVX-512 machines for 16 cycles, in which they could do
32 multiplications (AMD's Zen 5 takes 4: `Machine.division`). An estimate of the reciprocal to 14 bits
and two steps of Newton's method take 7, and one more step rounds a quotient correctly (Markstein 1990).
Operands for which an estimate does not exist or leaves the range (0, infinities, subnormal divisors) take the
processor's instruction, by a branch for the whole vector.

One reciprocal serves all quotients by the same divisor, on any machine with fused multiply-add; that of a
number is known beforehand.
"""

from __future__ import annotations

import math

from symgrad_compiler.backends.llvm.ir import Value
from symgrad_compiler.backends.llvm.registers import estimate, whole_registers
from symgrad_compiler.backends.llvm.scalars import Code

#: An estimate y0 of 1 / y has |1 - y y0| < 2^-14; anything above this is no estimate.
_NO_ESTIMATE = 2.0**-10


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
        code = self.code
        inverse, unsafe = self._inverse(y)
        x, y, inverse = code.level(x, y, inverse)
        first = code.multiply(x, inverse)
        rest = code.fma(code.negative(first), y, x)
        better = code.fma(rest, inverse, first)
        near = code.select(code.is_zero_or_nan(better), first, better)  # signs of zeros; infinities
        return code.f.choose(unsafe, lambda: code.divide(x, y), lambda: near)

    def by_number(self, x: Value, y: Value) -> Value:
        """x / y for a number y that `is_plain`: a product, and a step that rounds it correctly."""
        code = self.code
        assert y.number is not None
        inverse = code.constant(1 / y.number, x)
        first = code.multiply(x, inverse)
        rest = code.fma(code.negative(first), y, x)
        better = code.fma(rest, inverse, first)
        return code.select(code.is_zero_or_nan(better), first, better)

    def is_plain(self, y: Value) -> bool:
        """Whether a divisor is a number whose reciprocal is far from the limits of its kind."""
        return y.number is not None and self.code.machine.has_fma and 1e-30 < abs(y.number) < 1e30

    def _inverse(self, y: Value) -> tuple[Value, Value]:
        """1 / y, and whether a quotient must not be made of it."""
        return self.code.f.remember(f"1 / {y.text}", lambda: self._make_inverse(y))

    def _make_inverse(self, y: Value) -> tuple[Value, Value]:
        code = self.code
        one = code.constant(1, y)
        if not self._estimates(y):
            inverse = code.divide(one, y)
            infinite = code.equal(code.unary("fabs", inverse), code.constant(math.inf, y))
            lost = code.logical_and(infinite, code.logical_not(code.equal(y, code.constant(0, y))))
            return inverse, code.any(lost)
        rough = estimate(code, "rcp14", y)
        error = code.fma(code.negative(y), rough, one)
        both = code.fma(error, error, error)
        closer = code.fma(both, rough, rough)  # 1 + e + e^2: 42 bits
        inverse = code.fma(code.fma(code.negative(y), closer, one), closer, closer)
        unsafe = code.any(code.logical_not(code.less(both, code.constant(_NO_ESTIMATE, y))))
        return code.f.choose(unsafe, lambda: code.divide(one, y), lambda: inverse), unsafe

    def square_root(self, x: Value) -> Value:
        """Goldschmidt's iteration for g = sqrt(x) and h = 1 / (2 g), then a step of Newton's."""
        code = self.code
        if not self._estimates(x):
            return code.call("sqrt", x)
        half = code.constant(0.5, x)
        rough = estimate(code, "rsqrt14", x)
        g, h = code.multiply(x, rough), code.multiply(half, rough)
        first = error = code.fma(code.negative(h), g, half)
        for _ in range(2):
            g, h = code.fma(g, error, g), code.fma(h, error, h)
            error = code.fma(code.negative(h), g, half)
        root = code.fma(code.fma(code.negative(g), g, x), h, g)
        size = code.unary("fabs", first)
        unsafe = code.any(code.logical_not(code.less(size, code.constant(_NO_ESTIMATE, x))))
        return code.f.choose(unsafe, lambda: code.call("sqrt", x), lambda: root)

    def _estimates(self, x: Value) -> bool:
        return self.newton and x.kind == "f64" and whole_registers(self.code, x)
