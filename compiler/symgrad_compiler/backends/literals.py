"""Attributes and numbers as Python source. Only checked values get here; strings go through repr."""

from __future__ import annotations

import keyword
import math
from collections.abc import Mapping
from typing import Any

from symgrad.dims import Dim, Size, code, is_never_negative, size, substitute
from symgrad.ir.values import Scalar
from symgrad.types import DType, PyScalar


def number(value: PyScalar) -> str:
    """A Python number that reads back as itself."""
    if isinstance(value, complex):
        return f"complex({number(value.real)}, {number(value.imag)})"
    if isinstance(value, float) and not math.isfinite(value):
        return "numpy.nan" if math.isnan(value) else "-numpy.inf" if value < 0 else "numpy.inf"
    return repr(value)


def typed(scalar: Scalar) -> str:
    """A NumPy scalar of exactly this dtype."""
    return f"{dtype_code(scalar.dtype)}({number(scalar.python)})"


def dtype_code(dtype: DType) -> str:
    """The NumPy type, e.g. numpy.float32."""
    return "numpy.bool_" if dtype.kind == "bool" else f"numpy.{dtype.name}"


class SizeNames:
    """The Python variables of symbolic sizes: their own names, unless those mean something in Python."""

    def __init__(self, names: tuple[str, ...], reserved: frozenset[str]) -> None:
        self.variables = {n: n + "_" if keyword.iskeyword(n) or n in reserved else n for n in names}
        self._renamed: Mapping[str, Dim] = {n: size(v) for n, v in self.variables.items() if n != v}

    def code(self, dim: Dim) -> str:
        """A size as an expression."""
        return code(substitute(dim, self._renamed) if self._renamed and isinstance(dim, Size) else dim)

    def shape(self, shape: tuple[Dim, ...]) -> str:
        """A shape as a tuple expression; sizes such as n - 1 are 0 where they would be negative."""
        return f"({', '.join(map(self._extent, shape))}{',' if len(shape) == 1 else ''})"

    def _extent(self, dim: Dim) -> str:
        return self.code(dim) if is_never_negative(dim) else f"max({self.code(dim)}, 0)"

    def attribute(self, value: Any) -> str:
        """An attribute of an op as an expression."""
        if isinstance(value, tuple):
            return f"({', '.join(self.attribute(v) for v in value)}{',' if len(value) == 1 else ''})"
        if isinstance(value, DType):
            return dtype_code(value)
        if isinstance(value, Scalar):
            return typed(value)
        return self.code(value) if isinstance(value, Size) else repr(value)
