"""The builder protocol of scalar code: what an elementwise op's native form is written in.

An elementwise op gives `scalar=lambda b, x, y: b.add(x, y)`, where `b` emits one instruction per call and
`x`, `y` are opaque values of one element. A backend implements the protocol for its own instructions; the
ops import no backend, and the tests run the same code with NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

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
