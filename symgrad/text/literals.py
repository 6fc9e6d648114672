"""Exact numbers and small arrays as text: what is printed parses to the same bits.

    Number  = ["-"] FLOAT | ["-"] "inf" | "nan" ["(" HEX ")"] | "True" | "False" | ["-"] INT
            | "complex" "(" Number "," Number ")"
    Array   = Number | "[" [Array ("," Array)*] "]"          an array without elements is []

Floats print the fewest digits that give them back; a NaN other than the usual one prints its bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from symgrad.dims import Shape
from symgrad.text.lexer import Cursor
from symgrad.text.sizes import read_int
from symgrad.types import DTYPES, DType, TensorType

MAX_DIGITS = 400
_BITS: dict[int, Any] = {4: numpy.dtype("uint32"), 8: numpy.dtype("uint64")}
_PARTS = {"complex64": DTYPES["float32"], "complex128": DTYPES["float64"]}


def write_number(value: Any, dtype: DType) -> str:
    """The text of a NumPy scalar of `dtype`.

    >>> from symgrad.types import FLOAT32, FLOAT64
    >>> write_number(numpy.float32(0.1), FLOAT32), write_number(numpy.float64("-inf"), FLOAT64)
    ('0.1', '-inf')
    """
    if dtype.kind == "complex":
        part = _PARTS[dtype.name]
        return f"complex({write_number(value.real, part)}, {write_number(value.imag, part)})"
    if dtype.kind != "float":
        return str(value.item())
    number = float(value)
    if math.isnan(number):
        bits = value.view(_BITS[dtype.itemsize]).item()
        usual = dtype.numpy.type(math.nan).view(_BITS[dtype.itemsize]).item()
        return "nan" if bits == usual else f"nan(0x{bits:0{2 * dtype.itemsize}x})"
    if dtype.itemsize == 8 or math.isinf(number):
        return repr(number)
    text = str(value)
    if dtype.numpy.type(float(text)) != value:
        return repr(number)
    return text if any(c in text for c in ".en") else text + ".0"


def read_number(cursor: Cursor, dtype: DType) -> Any:
    """A NumPy scalar of `dtype`."""
    token = cursor.token
    if dtype.kind == "bool":
        if token.kind != "name" or token.text not in ("True", "False"):
            cursor.fail("a bool is missing", expected="True or False")
        return numpy.bool_(cursor.advance().text == "True")
    if dtype.kind == "complex":
        part = _PARTS[dtype.name]
        if not (token.kind == "name" and token.text == "complex"):
            return dtype.numpy.type(read_number(cursor, part))
        cursor.advance()
        cursor.expect("(")
        real = read_number(cursor, part)
        cursor.expect(",")
        imaginary = read_number(cursor, part)
        cursor.expect(")")
        return numpy.array([real, imaginary], part.numpy).view(dtype.numpy)[0]
    if dtype.kind in ("int", "uint"):
        value = read_int(cursor)
        limits = numpy.iinfo(dtype.numpy)
        if not int(limits.min) <= value <= int(limits.max):
            cursor.fail(f"{value} is not a value of {dtype}", at=token)
        return dtype.numpy.type(value)
    return _read_float(cursor, dtype)


def _read_float(cursor: Cursor, dtype: DType) -> Any:
    start = cursor.token
    negative = cursor.accept("-")
    token = cursor.token
    if token.kind == "name" and token.text == "inf":
        cursor.advance()
        return dtype.numpy.type(-math.inf if negative else math.inf)
    if token.kind == "name" and token.text == "nan" and not negative:
        cursor.advance()
        return _read_nan(cursor, dtype) if cursor.accept("(") else dtype.numpy.type(math.nan)
    token = cursor.take("number", f"a number of {dtype}")
    if len(token.text) > MAX_DIGITS or token.text[:2] in ("0x", "0X"):
        cursor.fail(f"a number of {dtype} is missing", at=token, expected="a decimal number")
    with numpy.errstate(over="ignore", under="ignore"):
        value = dtype.numpy.type(float(token.text))
    if not numpy.isfinite(value):
        cursor.fail(f"{token.text} is out of the range of {dtype}", at=start, hint="infinity is `inf`")
    return -value if negative else value


def _read_nan(cursor: Cursor, dtype: DType) -> Any:
    token = cursor.take("number", "the bits of a NaN")
    digits = token.text[2:]
    if token.text[:2] != "0x" or len(digits) != 2 * dtype.itemsize:
        cursor.fail("the bits of a NaN are missing", at=token, expected=f"0x and {2 * dtype.itemsize} digits")
    value = numpy.array(int(digits, 16), _BITS[dtype.itemsize]).view(dtype.numpy)[()]
    if not numpy.isnan(value):
        cursor.fail("these bits are not a NaN", at=token)
    cursor.expect(")")
    return value


def write_array(array: numpy.ndarray[Any, Any], dtype: DType) -> str:
    """The text of a small array as nested lists.

    >>> from symgrad.types import INT64
    >>> write_array(numpy.array([[1, 2]]), INT64)
    '[[1, 2]]'
    """
    if not array.size:
        return "[]"
    items = [write_number(v, dtype) for v in array.reshape(-1)]
    for length in reversed(array.shape):
        items = [f"[{', '.join(items[i : i + length])}]" for i in range(0, len(items), length)]
    return items[0]


def read_array(cursor: Cursor, type: TensorType) -> numpy.ndarray[Any, Any]:
    """An array of a known type."""
    shape = fixed_shape(cursor, type.shape)
    values: list[Any] = []
    if 0 in shape:
        cursor.expect("[")
        cursor.expect("]")
    else:
        _read_items(cursor, type.dtype, shape, values)
    return numpy.array(values, type.dtype.numpy).reshape(shape)


def _read_items(cursor: Cursor, dtype: DType, shape: Sequence[int], values: list[Any]) -> None:
    if not shape:
        values.append(read_number(cursor, dtype))
        return
    cursor.expect("[")
    for i in range(shape[0]):
        if i:
            if cursor.token.text == "]":
                cursor.fail(f"{i} elements where the type says {shape[0]}")
            cursor.expect(",")
        _read_items(cursor, dtype, shape[1:], values)
    if cursor.token.text == ",":
        cursor.fail(f"more elements than the type says ({shape[0]})")
    cursor.expect("]")


def fixed_shape(cursor: Cursor, shape: Shape) -> tuple[int, ...]:
    """`shape`, which must have no symbolic sizes, since an array has it."""
    numbers = [d for d in shape if isinstance(d, int)]
    if len(numbers) < len(shape):
        cursor.fail("an array has a symbolic size", expected="numbers in its shape")
    return tuple(numbers)
