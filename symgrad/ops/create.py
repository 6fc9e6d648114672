"""Leaves of graphs: inputs, constants, shared state, sizes as numbers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy

from symgrad import dims
from symgrad.conversion import Misfit, exact_array, is_masked, rounded_array
from symgrad.dims import Dim, Shape, Size
from symgrad.errors import DTypeError, GraphError, ShapeError, SymgradError
from symgrad.ir import origin
from symgrad.ir.tensor import Node, Shared, Tensor, apply, check_name, make_input, make_shared
from symgrad.ir.values import ArrayData, Scalar, State
from symgrad.ops.kinds import Linear, declare
from symgrad.records import record
from symgrad.registry import language, provide
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
@record
class Fill(Linear):
    """One number everywhere: out[i...] = value."""

    value: Scalar
    shape: Shape
    name: ClassVar[str] = "fill"
    negative_is_empty = True
    numpy = "numpy.full({shape}, {value})"

    def infer(self) -> TensorType:
        check_extent(self.shape)
        return TensorType(self.value.dtype, self.shape)

    @staticmethod
    def finite_if(node: Node) -> bool:
        assert isinstance(node.op, Fill)
        return bool(numpy.isfinite(node.op.value.numpy))


@declare
@record
class Constant(Linear):
    """A constant array."""

    data: ArrayData
    name: ClassVar[str] = "constant"
    numpy = "{data}"
    view = True

    def infer(self) -> TensorType:
        return self.data.type


@declare
@record
class SizeOf(Linear):
    """A symbolic size as a number: a 0-d int64 tensor."""

    size: Dim
    name: ClassVar[str] = "size_of"
    numpy = "numpy.int64({size})"

    def infer(self) -> TensorType:
        return TensorType(INT64, ())


@declare
@record
class Iota(Linear):
    """out[i] = i, for i below `size`."""

    size: Dim
    dtype: DType
    name: ClassVar[str] = "iota"
    negative_is_empty = True
    numpy = "numpy.arange({size}, dtype={dtype})"

    def infer(self) -> TensorType:
        if self.dtype.kind in ("bool", "complex"):
            raise DTypeError(f"iota does not make {self.dtype}")
        check_extent((self.size,))
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
    return make_shared(State(number_array(value)), name)


@provide("constant")
def constant(value: Any, dtype: DTypeLike | None = None, name: str | None = None) -> Tensor:
    """A tensor of known value: from a number, a nested list or an array (copied).

    Floats are rounded to `dtype`; what it does not hold (300 in int8, 1.5 in int64) is a DTypeError.

    >>> constant(2.0), constant([[1, 2]], dtype="float32")
    (<fill: f64>, <constant: f32[1,2]>)
    """
    if isinstance(value, Tensor):
        raise DTypeError("a constant is made of numbers, not of a symbolic tensor")
    if getattr(value, "is_pattern", False):
        raise DTypeError(
            f"this op takes no patterns such as {value}",
            at=origin.locate(origin.current()),
            hint="patterns are made of elementwise ops and reductions; sg.rewrite.function_rule takes the rest",
        )
    if isinstance(value, Size):
        result = size_tensor(value)
    elif isinstance(value, (bool, int, float, complex)) and not isinstance(value, numpy.generic):
        result = fill(value, (), default_dtype(value) if dtype is None else _dtype(dtype))
    else:
        array = number_array(value)
        result = array_tensor(array if dtype is None else held_array(array, _dtype(dtype)))
    return result if name is None else result.named(name)


@provide("constant_for")
def constant_for(value: Any, like: TensorType, what: str) -> Tensor:
    """A tensor itself; else a constant of the dtype of `like`, as arguments are converted. `what` is it for?"""
    if isinstance(value, (Tensor, Size)):
        return as_tensor(value)
    try:
        return array_tensor(exact_array(value, like.dtype))
    except Misfit as misfit:
        facts, at = [("expected", like), ("got", misfit.got)], origin.locate(origin.current())
        if misfit.is_value:
            raise DTypeError(
                f"{what} is {misfit.number}, which {like.dtype} does not hold", facts=facts, at=at
            ) from misfit
        if misfit.is_dtype:
            raise DTypeError(
                f"{what} has another dtype",
                facts=facts,
                at=at,
                hint=f"convert with value.astype({like.dtype.name!r})",
            ) from misfit
        if misfit.is_ragged:
            raise ShapeError(f"{what} is no array", facts=facts, at=at) from misfit
        raise GraphError(f"{what} must be a tensor or numbers", facts=facts, at=at) from misfit


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
def zeros_like(x: Any, dtype: DTypeLike | None = None, *, device: str | None = None) -> Tensor:
    """Zeros of the shape (and dtype) of `x`."""
    return full_like(x, 0, dtype, device=device)


def ones_like(x: Any, dtype: DTypeLike | None = None, *, device: str | None = None) -> Tensor:
    """Ones of the shape (and dtype) of `x`."""
    return full_like(x, 1, dtype, device=device)


def empty_like(x: Any, dtype: DTypeLike | None = None, *, device: str | None = None) -> Tensor:
    """Zeros of the shape (and dtype) of `x`: a program has no values that nobody chose."""
    return full_like(x, 0, dtype, device=device)


def full_like(
    x: Any, fill_value: Any, dtype: DTypeLike | None = None, *, device: str | None = None
) -> Tensor:
    """A tensor that is `fill_value` everywhere, of the shape (and dtype) of `x`."""
    like = as_tensor(x)
    return full(like.shape, fill_value, like.dtype if dtype is None else dtype, device=device)


def zeros(shape: Any, dtype: DTypeLike | None = None, *, device: str | None = None) -> Tensor:
    """Zeros; float64 unless another dtype is given.

    >>> zeros(("n", 3)), zeros(2, dtype="int32")
    (<fill: f64[n,3]>, <fill: i32[2]>)
    """
    return full(shape, 0, FLOAT64 if dtype is None else dtype, device=device)


def ones(shape: Any, dtype: DTypeLike | None = None, *, device: str | None = None) -> Tensor:
    """Ones; float64 unless another dtype is given."""
    return full(shape, 1, FLOAT64 if dtype is None else dtype, device=device)


def empty(shape: Any, dtype: DTypeLike | None = None, *, device: str | None = None) -> Tensor:
    """Zeros: a program has no values that nobody chose."""
    return zeros(shape, dtype, device=device)


def full(shape: Any, fill_value: Any, dtype: DTypeLike | None = None, *, device: str | None = None) -> Tensor:
    """A tensor that is `fill_value` everywhere, a number or a tensor that broadcasts; its dtype is the
    value's unless given.

    >>> full((2, "n"), True)
    <fill: bool[2,n]>
    """
    check_device(device)
    sizes = as_shape(shape)
    if isinstance(fill_value, (bool, int, float, complex)) and not isinstance(fill_value, numpy.generic):
        return fill(fill_value, sizes, default_dtype(fill_value) if dtype is None else _dtype(dtype))
    value = as_tensor(fill_value)
    result: Tensor = language["broadcast_to"](value if dtype is None else value.astype(dtype), sizes)
    return result


def check_device(device: object) -> None:
    """Refuse a device (the array API's keyword) that is none: there is the processor."""
    if device not in (None, "cpu"):
        raise SymgradError(f"there is no device {device!r}", hint='the only one is "cpu"')


def arange(
    start: Any,
    stop: Any = None,
    step: Any = 1,
    dtype: DTypeLike | None = None,
    *,
    device: str | None = None,
) -> Tensor:
    """start, start + step, ... before stop: ceil((stop - start) / step) numbers.

    Sizes may be symbolic where all is an int. Ints give int64, floats float64, unless a dtype is given. The
    i-th number is start + i step, rounded twice.

    Raises:
        ShapeError: a step of 0, a size beside floats, a tensor, or infinitely many numbers.
        DTypeError: an integer dtype for floats.

    >>> arange(3).eval(), arange(5, 0, -2).eval(), arange(0, 1, 0.25).eval()
    (array([0, 1, 2]), array([5, 3, 1]), array([0.  , 0.25, 0.5 , 0.75]))
    """
    check_device(device)
    first, last = (0, start) if stop is None else (start, stop)
    first, last, step = (_bound(v) for v in (first, last, step))
    inexact = any(isinstance(v, float) for v in (first, last, step))
    wanted = (FLOAT64 if inexact else INT64) if dtype is None else _dtype(dtype)
    if isinstance(step, Size) or (inexact and any(isinstance(v, Size) for v in (first, last))):
        raise ShapeError(
            "arange takes symbolic sizes beside ints, with an int step",
            facts=[("got", (first, last, step))],
            hint="scale the numbers afterwards: sg.arange(n) * step",
        )
    if inexact and wanted.kind in ("bool", "int", "uint"):
        raise DTypeError(f"arange of floats does not make {wanted}", hint="use sg.arange(...).astype(dtype)")
    count = _count(first, last, step)
    iota = apply(Iota(count, wanted if _counts_up(first, step, wanted) else INT64))
    result: Tensor = iota if step == 1 else iota * step
    result = result if isinstance(first, (int, float)) and first == 0 else result + first
    converted: Tensor = result.astype(wanted)
    return converted


def _bound(value: Any) -> Any:
    """A bound or step of `arange`: an int, a float or a size."""
    if isinstance(value, (Size, int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, numpy.floating):
        return float(value)
    if isinstance(value, numpy.integer):
        return int(value)
    raise ShapeError(
        f"arange takes numbers and sizes, not {value!r:.60}",
        hint="the size of a tensor cannot depend on values" if isinstance(value, Tensor) else None,
    )


def _count(start: Any, stop: Any, step: Any) -> Dim:
    """ceil((stop - start) / step), at least 0."""
    if step == 0:
        raise ShapeError("a step of 0 never arrives", facts=[("got", (start, stop, step))])
    if all(isinstance(v, (int, Size)) for v in (start, stop, step)):
        count: Dim = -((start - stop) // step) if step > 0 else -((stop - start) // -step)
        if isinstance(count, int):
            return max(count, 0)
        return count
    number = (stop - start) / step
    if not math.isfinite(number):
        raise ShapeError("arange of infinitely many numbers", facts=[("got", (start, stop, step))])
    length: int = math.ceil(number)
    return max(length, 0)


def _counts_up(first: Any, step: Any, wanted: DType) -> bool:
    """Whether the numbers can be made in the dtype wanted, from what it holds."""
    if wanted.kind in ("bool", "complex"):
        return False
    return wanted.kind == "float" or (step == 1 and isinstance(first, int) and first == 0)


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


def held_array(array: numpy.ndarray[Any, Any], wanted: DType) -> numpy.ndarray[Any, Any]:
    """`array` in another dtype; DTypeError where that does not hold its numbers."""
    try:
        return rounded_array(array, wanted)
    except Misfit as misfit:
        raise DTypeError(
            f"{misfit.number} is not a value of {wanted}",
            facts=[("got", misfit.got)],
            at=origin.locate(origin.current()),
            hint=f"value.astype({wanted.name!r}) converts an array whatever is lost",
        ) from None


def number_array(value: Any) -> numpy.ndarray[Any, Any]:
    """A number, nested lists or an array, as an array of numbers."""
    if is_masked(value):
        raise DTypeError(
            "an array of numbers has no masked elements",
            facts=[("got", f"{type(value).__name__} of shape {value.shape}")],
            at=origin.locate(origin.current()),
            hint="value.filled(0) gives them a value; sg.where chooses inside the graph",
        )
    try:
        array = numpy.asarray(value)
    except (TypeError, ValueError) as error:
        raise _no_numbers(value) from error
    if array.dtype == object or array.dtype.kind not in "biufc":
        raise _no_numbers(value)
    return array


def _no_numbers(value: Any) -> SymgradError:
    """What is wrong with a value that no array is made of."""
    at = origin.locate(origin.current())
    got = [("got", f"{type(value).__name__} {value!r:.60}")]
    if holds_tensors(value):
        return DTypeError(
            "a constant is made of numbers, not of symbolic tensors",
            facts=got,
            at=at,
            hint="use sg.stack([...])",
        )
    if _is_ragged(value):
        return ShapeError("nested lists need equal lengths", facts=got, at=at)
    return DTypeError("a constant needs numbers", facts=got, at=at)


def holds_tensors(items: Any) -> bool:
    """Whether there is a tensor or a size in nested lists."""
    return isinstance(items, (tuple, list)) and any(
        isinstance(x, (Tensor, Size)) or holds_tensors(x) for x in items
    )


def _is_ragged(items: Any) -> bool:
    """Whether nested lists have different lengths at one depth."""
    try:
        numpy.shape(items)
    except ValueError:
        return True
    return False


def _dtype(like: DTypeLike) -> DType:
    return dtype(like)


dims.Size.as_number = staticmethod(size_tensor)
