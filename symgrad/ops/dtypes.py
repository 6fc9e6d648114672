"""Dtypes by name, and the array API's functions on them: isdtype, can_cast, result_type, finfo, iinfo.

Also its constants, and what it asks a namespace about itself.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy

from symgrad.errors import DTypeError
from symgrad.ir.tensor import Tensor
from symgrad.ops.align import common_dtype, is_weak
from symgrad.ops.create import check_device
from symgrad.records import record
from symgrad.types import COMPLEX128, DTYPES, FLOAT64, INT64, DType, DTypeLike, promote, promote_weak
from symgrad.types import dtype as as_dtype

bool = DTYPES["bool"]
int8, int16, int32, int64 = (DTYPES[f"int{b}"] for b in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (DTYPES[f"uint{b}"] for b in (8, 16, 32, 64))
float32, float64 = DTYPES["float32"], DTYPES["float64"]
complex64, complex128 = DTYPES["complex64"], DTYPES["complex128"]

pi, e, inf, nan = numpy.pi, numpy.e, numpy.inf, numpy.nan
newaxis = None

#: The array API's kinds of dtypes, in ours.
KINDS: dict[str, tuple[str, ...]] = {
    "bool": ("bool",),
    "signed integer": ("int",),
    "unsigned integer": ("uint",),
    "integral": ("int", "uint"),
    "real floating": ("float",),
    "complex floating": ("complex",),
    "numeric": ("int", "uint", "float", "complex"),
}


def isdtype(dtype: DTypeLike, kind: Any) -> builtins.bool:
    """Whether a dtype is of a kind (see `KINDS`), is another dtype, or is one of a tuple of those.

    >>> isdtype("float32", "real floating"), isdtype("int8", ("bool", "uint8"))
    (True, False)
    """
    found = as_dtype(dtype)
    for one in kind if isinstance(kind, tuple) else (kind,):
        if isinstance(one, str) and one in KINDS:
            if found.kind in KINDS[one]:
                return True
        elif isinstance(one, str) and one not in DTYPES:
            raise DTypeError(f"{one!r} is not a kind of dtypes", facts=[("known", ", ".join(KINDS))])
        elif found is as_dtype(one):
            return True
    return False


def can_cast(from_: Any, to: DTypeLike) -> builtins.bool:
    """Whether promotion takes a dtype (or a tensor's) to another: every value of it is one of `to`.

    >>> can_cast("int32", "float64"), can_cast("int32", "float32")
    (True, False)
    """
    source = from_.dtype if isinstance(from_, Tensor) else as_dtype(from_)
    return builtins.bool(numpy.can_cast(source.numpy, as_dtype(to).numpy))


def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype of an operation on tensors, arrays, dtypes and Python numbers, which are weak.

    >>> result_type("int8", "uint8"), result_type("float32", 2), result_type("float32", 1j)
    (int16, float32, complex64)
    """
    if not arrays_and_dtypes:
        raise DTypeError("result_type needs at least one tensor or dtype")
    weak = [v for v in arrays_and_dtypes if is_weak(v)]
    strong = [_dtype_of(v) for v in arrays_and_dtypes if not is_weak(v)]
    if not strong:
        return common_dtype(weak)
    found = strong[0]
    for other in strong[1:]:
        found = promote(found, other)
    for number in weak:
        found = promote_weak(found, number)
    return found


def _dtype_of(value: Any) -> DType:
    if isinstance(value, (Tensor, numpy.ndarray, numpy.generic)):
        return as_dtype(value.dtype)
    return as_dtype(value)


@record
class FloatInfo:
    """The limits of a floating-point dtype; of a complex one, those of its parts."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


@record
class IntegerInfo:
    """The limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: DType


def finfo(type: Any) -> FloatInfo:
    """The limits of a floating-point or complex dtype, or of a tensor's.

    >>> finfo("float32").eps == 2.0**-23
    True
    """
    found = _dtype_of(type)
    if not found.is_differentiable:
        raise DTypeError(f"finfo takes floating-point dtypes, not {found}", hint="use iinfo")
    info = numpy.finfo(found.numpy)
    eps, largest, least = float(info.eps), float(info.max), float(info.smallest_normal)
    return FloatInfo(info.bits, eps, largest, -largest, least, as_dtype(info.dtype))


def iinfo(type: Any) -> IntegerInfo:
    """The limits of an integer dtype, or of a tensor's.

    >>> iinfo("int8").min
    -128
    """
    found = _dtype_of(type)
    if found.kind not in ("int", "uint"):
        raise DTypeError(f"iinfo takes integer dtypes, not {found}", hint="use finfo")
    info = numpy.iinfo(found.numpy)
    return IntegerInfo(info.bits, int(info.max), int(info.min), found)


# ---- the namespace about itself ---------------------------------------------------------------------


class NamespaceInfo:
    """What the array API's `__array_namespace_info__` returns."""

    def capabilities(self) -> dict[str, builtins.bool]:
        """Boolean masks and results whose sizes depend on values need values; tensors have none."""
        return {"boolean indexing": False, "data-dependent shapes": False}

    def default_device(self) -> str:
        return "cpu"

    def devices(self) -> list[str]:
        return ["cpu"]

    def default_dtypes(self, *, device: str | None = None) -> dict[str, DType]:
        check_device(device)
        return {
            "real floating": FLOAT64,
            "complex floating": COMPLEX128,
            "integral": INT64,
            "indexing": INT64,
        }

    def dtypes(self, *, device: str | None = None, kind: Any = None) -> dict[str, DType]:
        """The dtypes by name, all or those of a kind."""
        check_device(device)
        return {name: d for name, d in DTYPES.items() if kind is None or isdtype(d, kind)}


def __array_namespace_info__() -> NamespaceInfo:
    """What there is of the array API's optional parts: devices, dtypes, capabilities.

    >>> __array_namespace_info__().devices()
    ['cpu']
    """
    return NamespaceInfo()


__array_api_version__ = "2023.12"
