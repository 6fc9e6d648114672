"""Values that live in a graph: exact scalars, constant arrays, shared state.

Scalars and arrays compare and hash by dtype, shape and bits, so that 0.0 and -0.0, 1 and True, and NaN and
itself are told apart or equal as a compiler needs it.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy

from symgrad.conversion import Misfit, exact_array, rounded_array
from symgrad.errors import DTypeError, ShapeError, SymgradError
from symgrad.ir import origin
from symgrad.locks import Lock
from symgrad.types import DType, PyScalar, TensorType, dtype


class Scalar:
    """One number of a dtype, compared by bits."""

    __slots__ = ("_hash", "bits", "dtype")

    def __init__(self, dtype: DType, bits: bytes) -> None:
        self.dtype = dtype
        self.bits = bits
        self._hash = hash((dtype.name, bits))

    @classmethod
    def of(cls, value: Any, dtype: DType) -> Scalar:
        """`value` in `dtype`; DTypeError where it does not fit (300 in int8, 1.5 in int64)."""
        key = (type(value), value, dtype)
        if type(value) in (int, float) and value:  # 0.0 and -0.0 are equal keys
            found = _small.get(key)
            if found is not None:
                return found
        made = cls._convert(value, dtype)
        if type(value) in (int, float) and value and len(_small) < MAX_CACHED:
            _small[key] = made
        return made

    @classmethod
    def _convert(cls, value: Any, dtype: DType) -> Scalar:
        try:
            converted = rounded_array(numpy.asarray(value), dtype)
        except (Misfit, OverflowError, TypeError, ValueError):
            raise DTypeError(f"{value!r} is not a value of {dtype}") from None
        return cls(dtype, converted.tobytes())

    @property
    def numpy(self) -> Any:
        """The value as a NumPy scalar."""
        return numpy.frombuffer(self.bits, self.dtype.numpy)[0]

    @property
    def python(self) -> PyScalar:
        """The value as a Python number (exact: a float32 is a float)."""
        result: PyScalar = self.numpy.item()
        return result

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scalar) and self.dtype is other.dtype and self.bits == other.bits

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"{self.dtype.short} {self.python!r}"


#: Scalars made of Python numbers; a graph names the same few again and again.
_small: dict[tuple[type, Any, DType], Scalar] = {}
MAX_CACHED = 4096


class ArrayData:
    """A constant array: a private read-only copy, compared by type and bits."""

    __slots__ = ("array", "digest", "type")

    def __init__(self, value: Any) -> None:
        array = numpy.array(value, order="C")
        self.type = TensorType(dtype(array.dtype), array.shape)
        self.array: numpy.ndarray[Any, Any] = array.astype(self.type.dtype.numpy, copy=False)
        self.array.flags.writeable = False
        self.digest = hashlib.sha256(str(self.type).encode() + self.array.tobytes()).digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArrayData) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"ArrayData({self.type})"


class State:
    """The storage of a shared variable: an array of fixed type, replaced as a whole.

    A compiled function holds `lock` while it reads the state, computes and writes updates, so that calls in
    several threads see whole values. Two arrays take turns: a new value is computed into `spare` and then
    becomes `array` in one step, so a call that fails half-way changes nothing.
    """

    __slots__ = ("__weakref__", "array", "lock", "spare", "type")

    def __init__(self, value: Any) -> None:
        array = numpy.array(value, order="C")
        self.type = TensorType(dtype(array.dtype), array.shape)
        self.array: numpy.ndarray[Any, Any] = array.astype(self.type.dtype.numpy, copy=False)
        self.spare: numpy.ndarray[Any, Any] | None = None
        self.lock = Lock()

    def get(self) -> numpy.ndarray[Any, Any]:
        """A copy of the value."""
        with self.lock:
            return self.array.copy()

    def set(self, value: Any) -> None:
        """Replace the value: by one of the state's shape that its dtype holds (`symgrad.conversion`)."""
        try:
            array = exact_array(value, self.type.dtype)
        except Misfit as misfit:
            raise self._misfit(misfit) from misfit.__cause__
        if array.shape != self.type.shape:
            raise ShapeError(
                "the shape of shared state is fixed",
                facts=[("expected", self.type), ("got", f"shape {array.shape}")],
                at=origin.locate(origin.current()),
            )
        with self.lock:
            self.array = numpy.array(array, order="C")

    def _misfit(self, misfit: Misfit) -> SymgradError:
        facts, at = [("expected", self.type), ("got", misfit.got)], origin.locate(origin.current())
        if misfit.is_ragged:
            return ShapeError("the shape of shared state is fixed", facts=facts, at=at)
        if misfit.is_value:
            return DTypeError(
                f"shared state of {self.type.dtype} does not hold {misfit.number}", facts=facts, at=at
            )
        if misfit.is_dtype:
            hint = f"convert with value.astype({self.type.dtype.name!r})"
            return DTypeError("the dtype of shared state is fixed", facts=facts, at=at, hint=hint)
        return DTypeError("shared state holds numbers", facts=facts, at=at)
