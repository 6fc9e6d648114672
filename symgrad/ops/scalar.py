"""The builder protocol of scalar code: what an elementwise op's native form is written in.

An elementwise op gives `scalar=lambda b, x, y: b.add(x, y)`, where `b` emits one instruction per call and
`x`, `y` are opaque values of one element. A backend implements the protocol for its own instructions; the
ops import no backend, and the tests run the same code with NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from symgrad.errors import CompileError

Value: TypeAlias = Any


class ScalarBuilder(Protocol):
    """Emits operations on single elements; operands of one call have one dtype, comparisons give bools."""

    def constant(self, value: float, like: Value) -> Value:
        """`value` in the dtype of `like`."""

    def add(self, x: Value, y: Value) -> Value: ...
    def subtract(self, x: Value, y: Value) -> Value: ...
    def multiply(self, x: Value, y: Value) -> Value: ...
    def divide(self, x: Value, y: Value) -> Value: ...
    def negative(self, x: Value) -> Value: ...

    def less(self, x: Value, y: Value) -> Value:
        """x < y; false where either is NaN."""

    def less_equal(self, x: Value, y: Value) -> Value: ...
    def equal(self, x: Value, y: Value) -> Value: ...
    def logical_and(self, x: Value, y: Value) -> Value: ...
    def logical_or(self, x: Value, y: Value) -> Value: ...
    def logical_not(self, x: Value) -> Value: ...

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        """x where the condition holds, else y; the other is not looked at."""

    def call(self, function: str, *operands: Value) -> Value:
        """An elementary function by its NumPy name: "exp", "log", "floor", "bitwise_and", ..."""

    def astype(self, x: Value, dtype: str) -> Value: ...


ScalarCode: TypeAlias = Callable[..., Value]

#: The functions of `call` that cost many simple operations each.
COSTLY_FUNCTIONS = frozenset(
    [
        "exp",
        "exp2",
        "expm1",
        "log",
        "log1p",
        "log2",
        "log10",
        "sin",
        "cos",
        "tan",
        "arcsin",
        "arccos",
        "arctan",
        "arctan2",
        "arcsinh",
        "arccosh",
        "arctanh",
        "sinh",
        "cosh",
        "tanh",
        "sigmoid",
        "softplus",
        "logaddexp",
        "power",
        "cbrt",
        "hypot",
        "remainder",
        "floor_divide",
        "gaussian",
        "erf",
        "erfc",
        "erfinv",
        "ndtr",
        "log_ndtr",
        "inverse_mills",
        "inverse_mills_derivative",
        "gammaln",
        "digamma",
        "polygamma",
        "sinc_derivative",
        "xlogx_derivative",
        "silu",
        "silu_derivative",
        "gelu",
        "gelu_derivative",
        "gelu_tanh",
        "gelu_tanh_derivative",
    ]
)
#: The functions whose first operand is a known whole number, up to `MOST_ORDER`, where an op is native.
OF_ORDER = frozenset(["polygamma", "sinc_derivative"])
MOST_ORDER = 20
#: The functions that every builder knows by `call`. An op that calls another has no native form yet: it is called
#: back in its NumPy form.
FUNCTIONS = COSTLY_FUNCTIONS | frozenset(
    [
        "sqrt",
        "absolute",
        "floor",
        "ceil",
        "trunc",
        "rint",
        "copysign",
        "signbit",
        "nextafter",
        "sign",
        "maximum",
        "minimum",
        "isfinite",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "invert",
        "left_shift",
        "right_shift",
    ]
)


def functions_used(code: ScalarCode, operands: int) -> frozenset[str]:
    """The functions that scalar code calls.

    >>> sorted(functions_used(lambda b, x: b.add(b.call("exp", x), b.call("floor", x)), 1))
    ['exp', 'floor']
    """
    recorder = _Recorder()
    made = code(recorder, *[_Value() for _ in range(operands)])
    if not isinstance(made, _Value):
        raise CompileError(
            f"the scalar form of an op returns {type(made).__name__}, which its builder has not made",
            facts=[("got", repr(made)[:80])],
            hint="b.constant(1.0, x) is a number like x, b.add(x, y) a sum",
        )
    return frozenset(recorder.called)


class _Value:
    """What a builder that computes nothing makes."""


class _Recorder:
    """A builder that computes nothing, and takes down what is called."""

    def __init__(self) -> None:
        self.called: set[str] = set()

    def call(self, function: str, *operands: Value) -> Value:
        self.called.add(function)
        return _Value()

    def __getattr__(self, name: str) -> Callable[..., Value]:
        return lambda *operands: _Value()
