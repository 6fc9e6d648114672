"""Dtypes and tensor types: what a tensor is before anything is known about its values.

    DType      = bool | i8 .. i64 | u8 .. u64 | f32 | f64 | c64 | c128
    TensorType = DType[Shape]            printed  f64[n,3]

Promotion follows the array API's table, mixed kinds (int with float) NumPy 2; Python scalars are weak.
Imports `dims` and `errors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy

from symgrad.dims import Dim, Shape, Size, size
from symgrad.errors import DTypeError, ShapeError

PyScalar: TypeAlias = bool | int | float | complex

#: NumPy's own limits: more dimensions, or more elements than an address space holds, cannot be computed.
MAX_RANK = 64
MAX_ELEMENTS = 2**62


class DType:
    """A dtype: one instance each. `==` also takes what stands for one: a name, a NumPy dtype, a type.

    `name` is NumPy's ("float64"), `short` the one in text ("f64"), `kind` one of "bool", "int", "uint",
    "float", "complex", and `numpy` the NumPy dtype. As with NumPy's dtypes, a name that is equal is another
    key of a dict.
    """

    __slots__ = ("itemsize", "kind", "name", "numpy", "short")
    __hash__ = object.__hash__

    def __init__(self, name: str, short: str, kind: str) -> None:
        self.name = name
        self.short = short
        self.kind = kind
        self.numpy = numpy.dtype(name)
        self.itemsize = self.numpy.itemsize

    @property
    def is_differentiable(self) -> bool:
        """Whether derivatives with respect to values of this dtype exist (floats and complex)."""
        return self.kind in ("float", "complex")

    @property
    def dtype(self) -> numpy.dtype[Any]:
        """The NumPy dtype: NumPy looks here, so that numpy.zeros(2, x.dtype) works."""
        return self.numpy

    def __eq__(self, other: object) -> bool:
        if other is self:
            return True
        if isinstance(other, DType) or not isinstance(other, (str, type, numpy.dtype)):
            return False
        if isinstance(other, str) and other in BY_SHORT:
            return BY_SHORT[other] is self
        try:
            return bool(numpy.dtype(other) == self.numpy)
        except (TypeError, ValueError):
            return False

    def __repr__(self) -> str:
        return self.name

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        return (dtype, (self.name,))


_TABLE = [
    ("bool", "bool", "bool"),
    *[(f"int{b}", f"i{b}", "int") for b in (8, 16, 32, 64)],
    *[(f"uint{b}", f"u{b}", "uint") for b in (8, 16, 32, 64)],
    *[(f"float{b}", f"f{b}", "float") for b in (32, 64)],
    *[(f"complex{b}", f"c{b}", "complex") for b in (64, 128)],
]
DTYPES: dict[str, DType] = {name: DType(name, short, kind) for name, short, kind in _TABLE}
BY_SHORT: dict[str, DType] = {d.short: d for d in DTYPES.values()}
_BY_NUMPY: dict[Any, DType] = {d.numpy: d for d in DTYPES.values()}

BOOL = DTYPES["bool"]
INT64 = DTYPES["int64"]
FLOAT32 = DTYPES["float32"]
FLOAT64 = DTYPES["float64"]
COMPLEX128 = DTYPES["complex128"]

COMPLEX64 = DTYPES["complex64"]

#: Of a complex dtype that of its parts, and the other way.
_PARTS = {COMPLEX64: FLOAT32, COMPLEX128: FLOAT64}
_WHOLE = {part: whole for whole, part in _PARTS.items()}

DTypeLike: TypeAlias = "DType | str | type | numpy.dtype[Any]"

_KIND_RANK = {"bool": 0, "uint": 1, "int": 1, "float": 2, "complex": 3}
_PYTHON_DEFAULT: dict[type, DType] = {bool: BOOL, int: INT64, float: FLOAT64, complex: COMPLEX128}


def dtype(like: DTypeLike) -> DType:
    """The dtype that a name, a NumPy dtype or a Python type stands for.

    >>> dtype("float32"), dtype("f32"), dtype(numpy.int8), dtype(float)
    (float32, float32, int8, float64)
    """
    if isinstance(like, DType):
        return like
    if isinstance(like, str) and like in BY_SHORT:
        return BY_SHORT[like]
    try:
        found = _BY_NUMPY.get(numpy.dtype(like).newbyteorder("="))
    except (TypeError, ValueError):
        found = None
    if found is None:
        raise DTypeError(f"{like!r} is not a dtype of symgrad", facts=[("known", ", ".join(DTYPES))])
    return found


def real_dtype(dtype: DType) -> DType:
    """The dtype of the parts of complex numbers; any other dtype itself.

    >>> real_dtype(COMPLEX64), real_dtype(FLOAT64)
    (float32, float64)
    """
    return _PARTS.get(dtype, dtype)


def complex_dtype(dtype: DType) -> DType:
    """The dtype of complex numbers whose parts are of this one; complex ones themselves.

    >>> complex_dtype(FLOAT32), complex_dtype(COMPLEX128)
    (complex64, complex128)
    """
    return _WHOLE.get(dtype, dtype)


@dataclass(frozen=True, slots=True)
class TensorType:
    """The type of a tensor: dtype and shape.

    >>> print(TensorType(FLOAT64, (size("n"), 3)))
    f64[n,3]
    """

    dtype: DType
    shape: Shape

    def __str__(self) -> str:
        return (
            f"{self.dtype.short}[{','.join(str(d) for d in self.shape)}]" if self.shape else self.dtype.short
        )

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def with_shape(self, shape: Shape) -> TensorType:
        return TensorType(self.dtype, shape)

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(dtype, self.shape)


def as_int(value: object) -> int | None:
    """An int, given as one of Python's or NumPy's; None for all else, bools among it."""
    if isinstance(value, int):
        return None if isinstance(value, bool) else int(value)
    if isinstance(value, (numpy.ndarray, numpy.integer)) and value.ndim == 0 and value.dtype.kind in "iu":
        return int(value)
    return None


def as_items(value: object) -> tuple[Any, ...]:
    """The entries of a sequence or an array; what is neither is a single entry."""
    given = value.tolist() if isinstance(value, numpy.ndarray) else value
    return tuple(given) if isinstance(given, (tuple, list, range)) else (given,)


def as_dim(value: object) -> Dim:
    """A dimension from an int, a size or the name of a size."""
    if isinstance(value, Size):
        return value
    if isinstance(value, str):
        return size(value)
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ShapeError(f"a dimension must be an int or a size name, not {value!r}")
    number = int(value.__index__())
    if number < 0:
        raise ShapeError(f"a dimension must not be negative: {number}")
    return number


def as_shape(value: object) -> Shape:
    """A shape from an int, a size name or a sequence of them.

    >>> as_shape(("n", 3))
    (Size(n), 3)
    """
    shape = tuple(as_dim(v) for v in as_items(value))
    check_extent(shape)
    return shape


def check_extent(shape: Shape) -> None:
    """Refuse shapes that no array can have."""
    if len(shape) > MAX_RANK:
        raise ShapeError(f"a tensor has at most {MAX_RANK} dimensions, not {len(shape)}")
    elements = 1
    for dim in shape:
        elements *= dim if isinstance(dim, int) and dim > 0 else 1
    if elements > MAX_ELEMENTS:
        raise ShapeError(f"the shape {format_shape(shape)} has too many elements")


def format_shape(shape: Shape) -> str:
    """A shape as Python writes tuples: `(n, 3)`."""
    return f"({', '.join(str(d) for d in shape)}{',' if len(shape) == 1 else ''})"


@cache
def promote(a: DType, b: DType) -> DType:
    """The dtype of an operation on `a` and `b` (array API; int with float as NumPy 2)."""
    if a is b:
        return a
    found = _BY_NUMPY.get(numpy.result_type(a.numpy, b.numpy))
    if found is None:
        raise DTypeError(f"no common dtype of {a} and {b}")
    return found


def promote_weak(a: DType, scalar: PyScalar) -> DType:
    """The dtype of an operation on an `a` and a Python scalar: the scalar's kind counts, not its size.

    >>> promote_weak(FLOAT32, 2.0), promote_weak(INT64, 2.0), promote_weak(FLOAT32, 1j)
    (float32, float64, complex64)
    """
    kind = default_dtype(scalar)
    if _KIND_RANK[kind.kind] <= _KIND_RANK[a.kind]:
        return a
    return DTYPES["complex64"] if kind.kind == "complex" and a is FLOAT32 else kind


def default_dtype(scalar: PyScalar) -> DType:
    """The dtype that a Python scalar has on its own."""
    for python, found in _PYTHON_DEFAULT.items():
        if isinstance(scalar, python):
            return found
    raise DTypeError(f"{type(scalar).__name__} is not a number")
