"""What the caller gives as numbers, as an array of a dtype: wherever nothing is lost.

    booleans                      -> any dtype
    integers of any width         -> integers, floats, complex numbers, if these hold each of the values
    floats, complex numbers       -> wider ones
    Python's numbers and lists    -> as above; floats are rounded, but not to infinity

One rule for arguments of functions, values of shared state, updates and givens. Imports `types`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy

from symgrad.types import FLOAT32, FLOAT64, DType

Array = numpy.ndarray[Any, Any]

#: Integers up to this one, and their negatives, are exact in floats of so many bytes (of their parts).
_EXACT_UP_TO = {4: 2**24, 8: 2**53}
#: Python's numbers up to this one need no further look: no integer is rounded, no float is infinite.
_PLAIN = {FLOAT32.numpy: 2**24, FLOAT64.numpy: 2**53}


class Misfit(Exception):
    """Why a value is not converted: `got` is of a dtype that would lose digits (`is_dtype`), a number that
    the dtype does not hold (`is_value`), nested lists of unequal lengths (`is_ragged`), or no numbers."""

    def __init__(
        self, got: str, *, is_dtype: bool = False, is_value: bool = False, is_ragged: bool = False
    ) -> None:
        super().__init__(got)
        self.got = got
        self.is_dtype = is_dtype
        self.is_value = is_value
        self.is_ragged = is_ragged

    @property
    def number(self) -> str:
        """The number that is not held, without its place."""
        return self.got.partition(" at ")[0]


def exact_array(value: Any, dtype: DType, cast: bool = False) -> Array:
    """`value` as an array of `dtype`, which may be `value` itself; with `cast`, digits may be lost.

    Raises:
        Misfit: where something would be lost.

    >>> from symgrad.types import FLOAT32
    >>> exact_array([1, 0.1], FLOAT32)
    array([1. , 0.1], dtype=float32)
    """
    wanted = dtype.numpy
    if (value.__class__ is float or value.__class__ is int) and abs(value) <= _PLAIN.get(wanted, -1):
        return numpy.array(value, wanted)
    is_python = isinstance(value, (bool, int, float, complex, list, tuple)) and not isinstance(
        value, numpy.generic
    )
    array = _array(value, wanted, is_python)
    if array.dtype == wanted:
        if is_python and wanted.kind in "fc" and not cast:
            _require_integers(value, array, _EXACT_UP_TO[_part_size(wanted)])
        return array
    if not cast:
        _require_kind(array, wanted, is_python)
    with numpy.errstate(all="ignore"):
        converted = array.astype(wanted, copy=False)
        _require_values(value if is_python else None, array, converted, cast)
    return converted


def _require_values(python: Any, array: Array, converted: Array, cast: bool) -> None:
    """Refuse numbers that `converted` does not hold."""
    kinds = array.dtype.kind + converted.dtype.kind
    if kinds in _INTEGERS:
        if not numpy.can_cast(array.dtype, converted.dtype):
            _refuse(array, converted != array)
        return
    if kinds in _FLOATS_AS_INTEGERS:  # only with cast
        _refuse(array, converted != numpy.trunc(array))
    if cast or not array.size:
        return
    part = _part_size(converted.dtype)
    if kinds in _INTEGERS_AS_FLOATS:
        if array.itemsize > part // 2:
            _refuse(array, _is_rounded(array, _EXACT_UP_TO[part]))
    elif kinds in _FLOATS and python is not None:
        _refuse(array, numpy.isinf(converted) & ~numpy.isinf(array))
        _require_integers(python, array, _EXACT_UP_TO[part])


_INTEGERS = ("ii", "iu", "ui", "uu")
_INTEGERS_AS_FLOATS = ("if", "uf", "ic", "uc")
_FLOATS_AS_INTEGERS = ("fi", "fu")
_FLOATS = ("ff", "fc", "cc")


def _array(value: Any, wanted: numpy.dtype[Any], is_python: bool) -> Array:
    """An array of numbers. Python's integers beyond 64 bits are floats in it, which are looked at later."""
    if is_masked(value):
        raise Misfit("an array with masked elements")
    try:
        array = numpy.asarray(value)
    except (TypeError, ValueError) as error:
        is_ragged = is_python and isinstance(error, ValueError)
        got = "nested lists of unequal lengths" if is_ragged else f"{type(value).__name__}: {error}"
        raise Misfit(got, is_ragged=is_ragged) from error
    if is_python and array.size and array.dtype.kind in ("fO" if wanted.kind in "iu" else "O"):
        array = _of_long_integers(value, array, wanted)
    if array.dtype.kind not in "biufc":
        raise Misfit(f"{type(value).__name__} of dtype {array.dtype}")
    return array


def is_masked(value: Any) -> bool:
    """Whether it is an array of numpy.ma in which elements are masked."""
    masked = sys.modules.get("numpy.ma")  # where it is not loaded, nothing is masked
    return masked is not None and isinstance(value, masked.MaskedArray) and bool(masked.is_masked(value))


def rounded_array(array: Array, dtype: DType) -> Array:
    """`array` in a dtype that was asked for: as `astype`, where each number remains the same or is rounded to
    the nearest float, infinity if it is too large.

    Raises:
        Misfit: an element is another number there: 300 in int8, 1.5 or NaN in int64, 1j in float64.

    >>> from symgrad.types import FLOAT32
    >>> rounded_array(numpy.array([1, 0.1]), FLOAT32)
    array([1. , 0.1], dtype=float32)
    """
    wanted = dtype.numpy
    loses_parts = array.dtype.kind == "c" and wanted.kind != "c"
    with numpy.errstate(all="ignore"):
        converted = (array.real if loses_parts else array).astype(wanted)
    if loses_parts or wanted.kind not in "fc":
        _refuse(array, converted != array)
    return converted


def _of_long_integers(value: Any, array: Array, wanted: numpy.dtype[Any]) -> Array:
    """What Python's integers are where NumPy has found no dtype of integers for all of them."""
    numbers = list(leaves(value))
    if wanted.kind in "iu" and all(type(x) is int for x in numbers):
        bounds = numpy.iinfo(wanted)
        for number in numbers:
            if not bounds.min <= number <= bounds.max:
                raise _lost(number)
        return numpy.array(value, wanted)
    if array.dtype != object or not all(isinstance(x, (int, float, complex)) for x in numbers):
        return array
    try:
        return array.astype(complex if any(isinstance(x, complex) for x in numbers) else float)
    except OverflowError as error:
        raise _lost(max(numbers, key=abs)) from error


def _require_kind(array: Array, wanted: numpy.dtype[Any], is_python: bool) -> None:
    """Refuse kinds of numbers that may lose digits, whatever the values."""
    if array.dtype.kind in "iu" and wanted.kind in "iufc":
        return  # the values decide
    if is_python and (not array.size or numpy.can_cast(array.dtype, wanted, "same_kind")):
        return
    if not numpy.can_cast(array.dtype, wanted, "safe"):
        raise Misfit(f"an array of {array.dtype}", is_dtype=True)


def _refuse(array: Array, is_lost: Any) -> None:
    """Misfit, with the first of the elements that are lost."""
    if is_lost.any():
        raise _lost(array[is_lost].flat[0], tuple(int(i) for i in numpy.argwhere(is_lost)[0]))


def _lost(value: Any, place: tuple[int, ...] = ()) -> Misfit:
    is_long = isinstance(value, int) and value.bit_length() > 128
    short = f"an integer of {value.bit_length()} bits" if is_long else str(value)
    return Misfit(f"{short} at {list(place)}" if place else short, is_value=True)


def _is_rounded(array: Array, limit: int) -> Any:
    """Where integers are not what floats hold: an odd number below `limit`, times a power of 2."""
    if array.min() >= -limit and array.max() <= limit:
        return numpy.False_
    size = array.astype(numpy.uint64)
    size = numpy.where(array < 0, ~size + numpy.uint64(1), size)
    power = size & (~size + numpy.uint64(1))
    return size // numpy.maximum(power, numpy.uint64(1)) >= limit


def _part_size(wanted: numpy.dtype[Any]) -> int:
    return wanted.itemsize // 2 if wanted.kind == "c" else wanted.itemsize


def _require_integers(value: Any, array: Array, limit: int) -> None:
    """The same for Python's integers that became floats beside others, where any number is that large."""
    if numpy.vdot(array, array).real < limit**2:
        return
    for item in leaves(value):
        size = abs(int(item)) if isinstance(item, (int, numpy.integer)) else 0
        if size and size // (size & -size) >= limit:
            raise _lost(item)


def leaves(value: Any) -> Iterator[Any]:
    """The numbers of nested lists, and of arrays in them."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, numpy.ndarray):
        yield from value.flat
    else:
        yield value
