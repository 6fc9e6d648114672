"""The operators of Python as functions of the language.

Those are looked up in the registry, since the room `ops` that defines them lies above.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from symgrad import registry

if TYPE_CHECKING:
    from typing import Any

    from symgrad.ir.tensor import Tensor


def _operator(name: str, symbol: str) -> Callable[[Operators, Any], Tensor]:
    def call(self: Operators, other: Any) -> Tensor:
        result: Tensor = registry.language[name](self, other)
        return result

    call.__doc__ = f"`self {symbol} other`, elementwise."
    return call


def _reflected(name: str, symbol: str) -> Callable[[Operators, Any], Tensor]:
    def call(self: Operators, other: Any) -> Tensor:
        result: Tensor = registry.language[name](other, self)
        return result

    call.__doc__ = f"`other {symbol} self`, elementwise."
    return call


def _unary(name: str, symbol: str) -> Callable[[Operators], Tensor]:
    def call(self: Operators) -> Tensor:
        result: Tensor = registry.language[name](self)
        return result

    call.__doc__ = f"`{symbol}self`, elementwise."
    return call


class Operators:
    """The operators of the language, shared by tensors and by the patterns of rewrite rules."""

    __slots__ = ()
    __hash__ = object.__hash__

    __add__ = _operator("add", "+")
    __sub__ = _operator("subtract", "-")
    __mul__ = _operator("multiply", "*")
    __truediv__ = _operator("divide", "/")
    __floordiv__ = _operator("floor_divide", "//")
    __mod__ = _operator("remainder", "%")
    __pow__ = _operator("pow", "**")
    __matmul__ = _operator("matmul", "@")
    __and__ = _operator("bitwise_and", "&")
    __or__ = _operator("bitwise_or", "|")
    __xor__ = _operator("bitwise_xor", "^")
    __lshift__ = _operator("bitwise_left_shift", "<<")
    __rshift__ = _operator("bitwise_right_shift", ">>")
    __lt__ = _operator("less", "<")
    __le__ = _operator("less_equal", "<=")
    __gt__ = _operator("greater", ">")
    __ge__ = _operator("greater_equal", ">=")
    __eq__ = _operator("equal", "==")  # type: ignore[assignment]
    __ne__ = _operator("not_equal", "!=")  # type: ignore[assignment]
    __radd__ = _reflected("add", "+")
    __rsub__ = _reflected("subtract", "-")
    __rmul__ = _reflected("multiply", "*")
    __rtruediv__ = _reflected("divide", "/")
    __rfloordiv__ = _reflected("floor_divide", "//")
    __rmod__ = _reflected("remainder", "%")
    __rpow__ = _reflected("pow", "**")
    __rmatmul__ = _reflected("matmul", "@")
    __rand__ = _reflected("bitwise_and", "&")
    __ror__ = _reflected("bitwise_or", "|")
    __rxor__ = _reflected("bitwise_xor", "^")
    __rlshift__ = _reflected("bitwise_left_shift", "<<")
    __rrshift__ = _reflected("bitwise_right_shift", ">>")

    __neg__ = _unary("negative", "-")
    __abs__ = _unary("abs", "the absolute value of ")
    __invert__ = _unary("bitwise_invert", "~")

    def __pos__(self) -> Operators:
        return self


#: The function of NumPy that `a * x` calls for an array a, by name, and the tensor's operator in its place.
REFLECTED = {
    "add": "__radd__",
    "subtract": "__rsub__",
    "multiply": "__rmul__",
    "divide": "__rtruediv__",
    "true_divide": "__rtruediv__",
    "floor_divide": "__rfloordiv__",
    "remainder": "__rmod__",
    "power": "__rpow__",
    "matmul": "__rmatmul__",
    "bitwise_and": "__rand__",
    "bitwise_or": "__ror__",
    "bitwise_xor": "__rxor__",
    "left_shift": "__rlshift__",
    "right_shift": "__rrshift__",
    "less": "__gt__",
    "less_equal": "__ge__",
    "greater": "__lt__",
    "greater_equal": "__le__",
    "equal": "__eq__",
    "not_equal": "__ne__",
}
