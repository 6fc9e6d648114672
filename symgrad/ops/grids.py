"""Tensors from numbers: asarray, linspace, meshgrid."""

from __future__ import annotations

from typing import Any

import numpy

from symgrad.dims import Dim
from symgrad.errors import ShapeError
from symgrad.ir.choice import check_choice
from symgrad.ir.tensor import Tensor
from symgrad.ops.align import common_dtype, is_weak
from symgrad.ops.arithmetic import floor
from symgrad.ops.cast import astype
from symgrad.ops.compare import equal
from symgrad.ops.create import arange, as_tensor, check_device, holds_tensors, size_tensor
from symgrad.ops.join import stack
from symgrad.ops.select import maximum, where
from symgrad.ops.shape import broadcast_to, expand_dims, reshape
from symgrad.types import FLOAT64, DTypeLike, as_dim
from symgrad.types import dtype as as_dtype


def asarray(
    obj: Any, dtype: DTypeLike | None = None, *, device: str | None = None, copy: bool | None = None
) -> Tensor:
    """A tensor of a tensor, an array, a number, a size, or nested lists of them.

    A tensor never changes, so that `copy` makes no difference; arrays are copied when the graph is built.

    >>> from symgrad.ops.create import scalar
    >>> asarray([scalar("x"), 1])
    <concat: f64[2]>
    """
    check_device(device)
    if copy is False and isinstance(obj, numpy.ndarray):
        raise ShapeError("the values of an array are copied into the graph", hint="leave out copy=False")
    tensor = _gather(obj)
    return tensor if dtype is None else astype(tensor, dtype)


def _gather(obj: Any) -> Tensor:
    if holds_tensors(obj):
        return stack([x if is_weak(x) else _gather(x) for x in obj])
    return as_tensor(obj)


def linspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """`num` numbers at equal distances from start to stop, which is the last one if `endpoint`.

    start and stop may be tensors, which broadcast, and have derivatives; the numbers are along a new first
    axis. The i-th is start + i (stop - start) / (num - 1), and stop itself the last; without endpoint the
    divisor is num. Integer dtypes round down.

    >>> linspace(0, 1, 5).eval()
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    check_device(device)
    count = as_dim(num)
    ends = [x if is_weak(x) else as_tensor(x) for x in (start, stop)]
    common = common_dtype(ends)
    computed = common if common.is_differentiable else FLOAT64
    wanted = computed if dtype is None else as_dtype(dtype)
    first, last = (astype(as_tensor(x), computed) for x in ends)
    line = (count, *(1,) * max(first.ndim, last.ndim))
    position = reshape(arange(count), line)
    values = first + astype(position, computed) * ((last - first) / _divisor(count, endpoint, computed))
    if endpoint and not (isinstance(count, int) and count < 2):
        at_end = equal(position, count - 1) & (position > 0)  # of one number, the first is not the last
        values = where(at_end, last, values)
    if wanted.kind in ("int", "uint"):
        values = floor(values)
    return astype(values, wanted)


def _divisor(count: Dim, endpoint: bool, dtype: Any) -> Any:
    """The number of intervals, at least 1."""
    intervals = count - 1 if endpoint else count
    if isinstance(intervals, int):
        return max(intervals, 1)
    return astype(maximum(size_tensor(intervals), 1), dtype)


def meshgrid(*arrays: Any, indexing: str = "xy") -> list[Tensor]:
    """Coordinate tensors of a grid, from the coordinates along its axes, each 1-d (or a number).

    With "ij" axis i of the results is that of the i-th array; with "xy" the first two are exchanged. All
    results are views: no memory stands for them.

    >>> [g.eval().tolist() for g in meshgrid([1, 2, 3], [4, 5])]
    [[[1, 2, 3], [1, 2, 3]], [[4, 4, 4], [5, 5, 5]]]
    """
    check_choice("indexing", indexing, ["xy", "ij"], ShapeError)
    lines = [as_tensor(a) for a in arrays]
    for line in lines:
        if line.ndim > 1:
            raise ShapeError("meshgrid takes 1-d tensors", facts=[("got", line.type)])
    lines = [line if line.ndim else reshape(line, (1,)) for line in lines]
    axes = list(range(len(lines)))
    if indexing == "xy" and len(lines) > 1:
        axes[0], axes[1] = 1, 0
    shape: list[Dim] = [0] * len(lines)
    for axis, line in zip(axes, lines, strict=True):
        shape[axis] = line.shape[0]
    return [
        broadcast_to(expand_dims(line, tuple(i for i in range(len(lines)) if i != axis)), tuple(shape))
        for axis, line in zip(axes, lines, strict=True)
    ]
