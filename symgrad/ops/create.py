"""Leaves of graphs: inputs, constants, shared state, sizes as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy

from symgrad import dims
from symgrad.dims import Dim, Shape, Size
from symgrad.errors import DTypeError, ShapeError
from symgrad.ir.tensor import Node, Shared, Tensor, apply, check_name, make_input, make_shared
from symgrad.ir.values import ArrayData, Scalar, State
from symgrad.ops.kinds import Linear, declare
from symgrad.registry import provide
from symgrad.types import (
    FLOAT64,
    INT64,
    DType,
    DTypeLike,
    PyScalar,
    TensorType,
    as_shape,
    check_extent,
    default_dtype,
    dtype,
)


@declare
@dataclass(frozen=True)
class Fill(Linear):
    """One number everywhere: out[i...] = value."""

    value: Scalar
    shape: Shape
    name: ClassVar[str] = "fill"
    numpy = "numpy.full({shape}, {value})"

    def infer(self) -> TensorType:
        check_extent(self.shape)
        return TensorType(self.value.dtype, self.shape)

    @staticmethod
    def finite_if(node: Node) -> bool:
        assert isinstance(node.op, Fill)
        return bool(numpy.isfinite(node.op.value.numpy))


@declare
@dataclass(frozen=True)
class Constant(Linear):
    """A constant array."""

    data: ArrayData
    name: ClassVar[str] = "constant"
    numpy = "{data}"
    view = True

    def infer(self) -> TensorType:
        return self.data.type


@declare
@dataclass(frozen=True)
class SizeOf(Linear):
    """A symbolic size as a number: a 0-d int64 tensor."""

    size: Dim
    name: ClassVar[str] = "size_of"
    numpy = "numpy.int64({size})"

    def infer(self) -> TensorType:
        return TensorType(INT64, ())


@declare
@dataclass(frozen=True)
class Iota(Linear):
    """out[i] = i, for i below `size`."""

    size: Dim
    dtype: DType
    name: ClassVar[str] = "iota"
    numpy = "numpy.arange({size}, dtype={dtype})"

    def infer(self) -> TensorType:
        if self.dtype.kind in ("bool", "complex"):
            raise DTypeError(f"iota does not make {self.dtype}")
        return TensorType(self.dtype, (self.size,))


# ---- inputs and state -------------------------------------------------------------------------------


def tensor(name: str, shape: Any = (), dtype: DTypeLike = "float64") -> Tensor:
    """An input of a graph.

    Args:
        name: an identifier.
        shape: ints and names of symbolic sizes, e.g. ("n", 784).
        dtype: default float64.

    >>> tensor("x", shape=("n", 3))
    <x: f64[n,3]>
    """
    return make_input(TensorType(_dtype(dtype), as_shape(shape)), name)


def scalar(name: str, dtype: DTypeLike = "float64") -> Tensor:
    """A 0-d input."""
    return tensor(name, (), dtype)


def vector(name: str, size: Any = None, dtype: DTypeLike = "float64") -> Tensor:
    """A 1-d input; its size is called `<name>_size` unless given.

    >>> vector("x"), vector("y", size="n")
    (<x: f64[x_size]>, <y: f64[n]>)
    """
    return tensor(name, (f"{check_name(name)}_size" if size is None else size,), dtype)


def matrix(name: str, shape: Any = None, dtype: DTypeLike = "float64") -> Tensor:
    """A 2-d input; its sizes are called `<name>_rows` and `<name>_cols` unless given."""
    shape = (f"{check_name(name)}_rows", f"{name}_cols") if shape is None else shape
    found = tensor(name, shape, dtype)
    if found.ndim != 2:
        raise ShapeError(f"a matrix has two sizes, not {found.ndim}", facts=[("shape", shape)])
    return found


def shared(value: Any, name: str | None = None) -> Shared:
    """Persistent state with an initial value: `.get()`, `.set(value)`, and `updates=` of a function.

    >>> w = shared([1.0, 2.0], name="w")
    >>> w, w.get()
    (<w: f64[2]>, array([1., 2.]))
    """
    if isinstance(value, Tensor):
        raise DTypeError(
            "shared state starts from numbers, not from a symbolic tensor", hint="use t.eval(...) first"
        )
    return make_shared(State(_numbers(value)), name)


@provide("constant")
def constant(value: Any, dtype: DTypeLike | None = None, name: str | None = None) -> Tensor:
    """A tensor of known value: from a number, a nested list or an array (copied).

    >>> constant(2.0), constant([[1, 2]], dtype="float32")
    (<fill: f64>, <constant: f32[1,2]>)
    """
    if isinstance(value, Tensor):
        raise DTypeError("a constant is made of numbers, not of a symbolic tensor")
    if isinstance(value, Size):
        result = size_tensor(value)
    elif isinstance(value, (bool, int, float, complex)) and not isinstance(value, numpy.generic):
        result = fill(value, (), default_dtype(value) if dtype is None else _dtype(dtype))
    else:
        array = _numbers(value)
        if dtype is not None:
            array = array.astype(_dtype(dtype).numpy)
        result = array_tensor(array)
    return result if name is None else result.named(name)


def array_tensor(array: numpy.ndarray[Any, Any]) -> Tensor:
    """A constant of an array: a `fill` when it has no dimensions."""
    if array.ndim == 0:
        found = dtype_of(array)
        return apply(Fill(Scalar(found, array.astype(found.numpy).tobytes()), ()))
    return apply(Constant(ArrayData(array)))


def fill(value: PyScalar, shape: Shape, dtype: DType) -> Tensor:
    """A tensor that is `value` everywhere."""
    return apply(Fill(Scalar.of(value, dtype), shape))


@provide("zeros_like")
def zeros_like(x: Any, dtype: DTypeLike | None = None) -> Tensor:
    """Zeros of the shape (and dtype) of `x`."""
    return full_like(x, 0, dtype)


def ones_like(x: Any, dtype: DTypeLike | None = None) -> Tensor:
    """Ones of the shape (and dtype) of `x`."""
    return full_like(x, 1, dtype)


def full_like(x: Any, value: PyScalar, dtype: DTypeLike | None = None) -> Tensor:
    """A tensor that is `value` everywhere, of the shape (and dtype) of `x`."""
    like = as_tensor(x)
    return fill(value, like.shape, like.dtype if dtype is None else _dtype(dtype))


def zeros(shape: Any, dtype: DTypeLike = FLOAT64) -> Tensor:
    """Zeros."""
    return fill(0, as_shape(shape), _dtype(dtype))


def ones(shape: Any, dtype: DTypeLike = FLOAT64) -> Tensor:
    """Ones."""
    return fill(1, as_shape(shape), _dtype(dtype))


def full(shape: Any, value: PyScalar, dtype: DTypeLike | None = None) -> Tensor:
    """A tensor that is `value` everywhere; its dtype is the value's unless given."""
    return fill(value, as_shape(shape), default_dtype(value) if dtype is None else _dtype(dtype))


def arange(start: Any, stop: Any = None, step: int = 1, dtype: DTypeLike = INT64) -> Tensor:
    """start, start + step, ... below stop; sizes may be symbolic, the step a positive int.

    >>> arange(3).eval()
    array([0, 1, 2])
    """
    first, last = (0, start) if stop is None else (start, stop)
    if not all(isinstance(v, (int, Size)) for v in (first, last)) or not isinstance(step, int) or step < 1:
        raise ShapeError("arange takes sizes and a positive int step", facts=[("got", (first, last, step))])
    count = -((first - last) // step)
    if isinstance(count, int):
        count = max(count, 0)
    result = apply(Iota(count, _dtype(dtype)))
    result = result * step if step != 1 else result
    return result + first if not (isinstance(first, int) and first == 0) else result


def size_tensor(size: Dim) -> Tensor:
    """A size as a 0-d int64 tensor."""
    return fill(size, (), INT64) if isinstance(size, int) else apply(SizeOf(size))


def as_tensor(value: Any) -> Tensor:
    """`value` itself if it is a tensor, else a constant of it."""
    return value if isinstance(value, Tensor) else constant(value)


def fill_value(tensor: Tensor) -> PyScalar | None:
    """The number that a `fill` holds everywhere; None for any other tensor."""
    op = tensor.node.op
    return op.value.python if isinstance(op, Fill) else None


def dtype_of(array: numpy.ndarray[Any, Any]) -> DType:
    """The dtype of an array; DTypeError where symgrad has none for it."""
    return dtype(array.dtype)


def _numbers(value: Any) -> numpy.ndarray[Any, Any]:
    array = numpy.asarray(value)
    if array.dtype == object or array.dtype.kind not in "biufc":
        raise DTypeError("a constant needs numbers", facts=[("got", f"{type(value).__name__} {value!r:.60}")])
    return array


def _dtype(like: DTypeLike) -> DType:
    return dtype(like)


dims.Size.as_number = staticmethod(size_tensor)
