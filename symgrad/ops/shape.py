"""Ops that move elements and compute none. All are linear, and each is another's transpose.

`broadcast` is strict: it inserts new axes, of any size, at `axes` of the result. `sum` over the same axes is
its exact transpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from symgrad import dims, registry
from symgrad.dims import Dim, Shape, Size, product
from symgrad.errors import AxisError, ShapeError
from symgrad.ir import origin
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ops.create import Fill, as_tensor
from symgrad.ops.kinds import Linear, declare
from symgrad.ops.strided import Strided
from symgrad.records import record
from symgrad.registry import provide
from symgrad.types import TensorType, as_dim, as_int, as_items, check_extent, format_shape


@declare
@record
class Reshape(Linear):
    """The same elements in row-major order under another shape."""

    shape: Shape
    name: ClassVar[str] = "reshape"
    operands = ("x",)
    numpy = "numpy.reshape({x}, {shape})"
    view = True

    def infer(self, x: TensorType) -> TensorType:
        check_extent(self.shape)
        if not dims.equal(product(x.shape), product(self.shape)):
            raise ShapeError(
                f"cannot reshape {format_shape(x.shape)} into {format_shape(self.shape)}: the numbers of elements differ",
                facts=[("x", x), ("elements", f"{product(x.shape)} and {product(self.shape)}")],
            )
        return x.with_shape(self.shape)

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor:
        return reshape(g, x.shape)

    def strided(self, x: Strided) -> Strided | None:
        return x.reshape(self.shape)

    @staticmethod
    def finite_if(node: Node) -> Sequence[Tensor]:
        return node.inputs

    def takes_as_empty(self, node: Node) -> bool:
        """The product of several negative sizes need not be negative; but they may stay as they are."""
        shapes = node.inputs[0].shape, self.shape
        before, after = ([d for d in shape if d != 1] for shape in shapes)
        return before == after or all(
            sum(not dims.is_never_negative(d) for d in shape) < 2 for shape in (before, after)
        )

    def batched_op(self, size: Dim) -> Reshape:
        return Reshape((size, *self.shape))


@declare
@record
class Broadcast(Linear):
    """out[..., i, ...] = x[...]: new axes at the positions `axes` of `shape`."""

    shape: Shape
    axes: tuple[int, ...]
    name: ClassVar[str] = "broadcast"
    negative_is_empty = True
    operands = ("x",)
    numpy = "numpy.broadcast_to(numpy.expand_dims({x}, {axes}), {shape})"
    view = True

    def infer(self, x: TensorType) -> TensorType:
        check_extent(self.shape)
        check_axes(self.axes, len(self.shape), "broadcast")
        kept = tuple(d for i, d in enumerate(self.shape) if i not in self.axes)
        if kept != x.shape:
            raise ShapeError(
                "broadcast: the shape without the new axes must be the operand's",
                facts=[("x", x), ("shape", format_shape(self.shape)), ("axes", self.axes)],
            )
        return x.with_shape(self.shape)

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor:
        result: Tensor = registry.language["sum"](g, axis=self.axes)
        return result

    def strided(self, x: Strided) -> Strided:
        return x.broadcast(self.shape, self.axes)

    @staticmethod
    def finite_if(node: Node) -> Sequence[Tensor]:
        return node.inputs

    def batched_op(self, size: Dim) -> Broadcast:
        return Broadcast((size, *self.shape), shifted(self.axes))


@declare
@record
class PermuteDims(Linear):
    """Axis i of the result is axis `axes[i]` of x."""

    axes: tuple[int, ...]
    name: ClassVar[str] = "permute_dims"
    negative_is_empty = True
    operands = ("x",)
    numpy = "numpy.transpose({x}, {axes})"
    view = True

    def infer(self, x: TensorType) -> TensorType:
        if sorted(self.axes) != list(range(x.ndim)):
            raise ShapeError(
                f"permute_dims needs a permutation of the axes 0 to {x.ndim - 1}",
                facts=[("x", x), ("axes", self.axes)],
            )
        return x.with_shape(tuple(x.shape[a] for a in self.axes))

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor:
        return permute_dims(g, tuple(self.axes.index(i) for i in range(len(self.axes))))

    def strided(self, x: Strided) -> Strided:
        return x.permute(self.axes)

    @staticmethod
    def finite_if(node: Node) -> Sequence[Tensor]:
        return node.inputs

    def batched_op(self, size: Dim) -> PermuteDims:
        return PermuteDims((0, *shifted(self.axes)))


@declare
@record
class SpecifyShape(Linear):
    """x itself, its shape stated otherwise: an assumption that every call checks. So are `bounds` of slices of x,
    each with its reach (`bounds.py`)."""

    shape: Shape
    bounds: Shape = ()
    reaches: Shape = ()
    name: ClassVar[str] = "specify_shape"
    operands = ("x",)
    numpy = "numeric.specify_shape({x}, {shape})"
    view = True
    fails = True

    def infer(self, x: TensorType) -> TensorType:
        if len(self.shape) != x.ndim or any(
            isinstance(a, int) and isinstance(b, int) and a != b
            for a, b in zip(x.shape, self.shape, strict=True)
        ):
            raise ShapeError(f"the shape cannot be {format_shape(self.shape)}", facts=[("x", x)])
        if len(self.bounds) != len(self.reaches):
            raise ShapeError("specify_shape needs a reach for each bound", facts=[("x", x)])
        return x.with_shape(self.shape)

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor:
        return apply(SpecifyShape(x.shape, self.bounds, self.reaches), g)

    def takes_as_empty(self, node: Node) -> bool:
        """Where bounds are checked, sizes are what they were."""
        return bool(self.bounds) and node.inputs[0].shape == self.shape

    def strided(self, x: Strided) -> Strided:
        return Strided(self.shape, x.strides, x.offset)

    def batched_op(self, size: Dim) -> SpecifyShape:
        return SpecifyShape((size, *self.shape), self.bounds, self.reaches)


def with_sizes(x: Tensor) -> Tensor:
    """x, to put something around it: a call checks that its sizes are not negative."""
    return x if all(map(dims.is_never_negative, x.shape)) else apply(SpecifyShape(x.shape), x)


# ---- the language -----------------------------------------------------------------------------------


@provide("reshape")
def reshape(x: Any, shape: Any, *, copy: bool | None = None) -> Tensor:
    """x under another shape; one entry may be -1 and is then computed.

    `copy` is the array API's; a tensor never changes, so whether it is copied makes no difference.

    >>> from symgrad.ops.create import tensor
    >>> reshape(tensor("x", ("n", 4, 3)), (-1, 6))
    <reshape: f64[2*n,6]>
    """
    tensor = as_tensor(x)
    wanted = as_items(shape)
    unknown = [i for i, d in enumerate(wanted) if as_int(d) == -1]
    if len(unknown) > 1:
        raise _of_call(ShapeError("at most one entry of a shape can be -1", facts=[("shape", wanted)]))
    sizes: list[Dim] = [1 if i in unknown else as_dim(d) for i, d in enumerate(wanted)]
    if unknown:
        sizes[unknown[0]] = _quotient(tensor, product(sizes))
    if tuple(sizes) == tensor.shape:
        return tensor
    return apply(Reshape(tuple(sizes)), tensor)


def _quotient(tensor: Tensor, known: Dim) -> Dim:
    if isinstance(known, int) and known == 0:
        raise ShapeError("-1 beside an empty axis is not determined", facts=[("x", tensor.type)])
    return dims.floordiv(product(tensor.shape), known)


@provide("permute_dims", "transpose")
def permute_dims(x: Any, axes: Any = None) -> Tensor:
    """x with its axes in another order (reversed unless given)."""
    tensor = as_tensor(x)
    order = (
        tuple(reversed(range(tensor.ndim)))
        if axes is None
        else normalize_axes(axes, tensor.ndim, keep_order=True)
    )
    if order == tuple(range(tensor.ndim)):
        return tensor
    return apply(PermuteDims(order), tensor)


@provide("matrix_transpose")
def matrix_transpose(x: Any) -> Tensor:
    """x with its last two axes exchanged."""
    tensor = as_tensor(x)
    if tensor.ndim < 2:
        raise ShapeError("a matrix transpose needs at least 2 dimensions", facts=[("x", tensor.type)])
    last = tensor.ndim - 1
    return permute_dims(tensor, (*range(last - 1), last, last - 1))


def moveaxis(x: Any, source: Any, destination: Any) -> Tensor:
    """x with the axes `source` moved to the positions `destination`; the others keep their order.

    >>> from symgrad.ops.create import tensor
    >>> moveaxis(tensor("x", (2, 3, 4)), (0, 1), (-1, -2))
    <permute_dims: f64[4,3,2]>
    """
    tensor = as_tensor(x)
    sources = normalize_axes(source, tensor.ndim, keep_order=True)
    places = normalize_axes(destination, tensor.ndim, keep_order=True)
    if len(sources) != len(places):
        raise ShapeError(
            f"moveaxis needs as many destinations as sources, not {len(places)} for {len(sources)}",
            facts=[("x", tensor.type), ("source", source), ("destination", destination)],
        )
    rest = iter([i for i in range(tensor.ndim) if i not in sources])
    moved = dict(zip(places, sources, strict=True))
    return permute_dims(tensor, tuple(moved[i] if i in moved else next(rest) for i in range(tensor.ndim)))


def expand_dims(x: Any, axis: Any = 0) -> Tensor:
    """x with new axes of size 1 at the positions `axis` of the result."""
    tensor = as_tensor(x)
    count = len(as_items(axis))
    axes = normalize_axes(axis, tensor.ndim + count)
    sizes = iter(tensor.shape)
    return reshape(tensor, tuple(1 if i in axes else next(sizes) for i in range(tensor.ndim + count)))


@provide("squeeze")
def squeeze(x: Any, axis: Any = None) -> Tensor:
    """x without the axes `axis`, each of size 1; unless given, without all whose size is a literal 1."""
    tensor = as_tensor(x)
    if axis is None:
        axis = tuple(i for i, d in enumerate(tensor.shape) if d == 1)
    axes = normalize_axes(axis, tensor.ndim)
    for a in axes:
        if tensor.shape[a] != 1:
            hint = (
                "a size that is 1 by chance does not count: index it, x[0]"
                if isinstance(tensor.shape[a], Size)
                else None
            )
            raise _of_call(ShapeError(f"only axes of size 1 can be squeezed, not axis {a}", hint=hint))
    return reshape(tensor, tuple(d for i, d in enumerate(tensor.shape) if i not in axes))


@provide("broadcast_to")
def broadcast_to(x: Any, shape: Any) -> Tensor:
    """x broadcast by NumPy's rules; only a literal size 1 stretches.

    >>> from symgrad.ops.create import tensor
    >>> broadcast_to(tensor("x", (3, 1)), ("n", 3, 4))
    <broadcast: f64[n,3,4]>
    """
    tensor = as_tensor(x)
    wanted = tuple(as_dim(d) for d in as_items(shape))
    if tensor.shape == wanted:
        return tensor
    op = tensor.node.op
    if isinstance(op, Fill):
        _require_broadcast(tensor, wanted)
        return apply(Fill(op.value, wanted))
    lead = len(wanted) - tensor.ndim
    if lead < 0:
        facts = [("x", tensor.type), ("shape", format_shape(wanted))]
        raise _of_call(ShapeError("cannot broadcast to fewer dimensions", facts=facts))
    pairs = list(zip(tensor.shape, wanted[lead:], strict=True))
    stretched = [i for i, (have, want) in enumerate(pairs) if have != want and have == 1]
    specified = tuple(want if have != 1 else have for have, want in pairs)
    if specified != tensor.shape:
        _require_broadcast(tensor, wanted)
        tensor = apply(SpecifyShape(specified), tensor)
    tensor = reshape(tensor, tuple(d for i, d in enumerate(tensor.shape) if i not in stretched))
    axes = (*range(lead), *(i + lead for i in stretched))
    return apply(Broadcast(wanted, axes), tensor) if axes else tensor


def _require_broadcast(tensor: Tensor, wanted: Shape) -> None:
    try:
        broadcast_shapes([tensor.type, tensor.type.with_shape(wanted)], wanted)
    except ShapeError as error:
        error.facts = (("x", tensor.type), ("shape", format_shape(wanted)))
        raise _of_call(error) from None


def broadcast_shapes(types: Sequence[TensorType], target: Shape | None = None) -> Shape:
    """The common shape of operands by NumPy's rules. Only a literal 1 stretches, and sizes must be provably
    equal: two symbols are not, even if they happen to be at run time.

    Raises:
        ShapeError: naming the sizes and the operands.
    """
    rank = max(t.ndim for t in types)
    result: list[Dim] = []
    for axis in range(-rank, 0):
        common: Dim = 1
        for t in types:
            if -axis > t.ndim or t.shape[axis] == 1 or t.shape[axis] is common:
                continue
            size = t.shape[axis]
            if isinstance(common, int) and common == 1:
                common = size
            elif not dims.equal(size, common):
                raise _mismatch(size, common, axis, types)
            elif isinstance(size, int):
                common = size
        result.append(common)
    if target is not None and not all(dims.equal(a, b) for a, b in zip(result, target, strict=True)):
        raise ShapeError("cannot broadcast", facts=[("x", types[0]), ("shape", format_shape(target))])
    return tuple(result)


def _mismatch(a: Dim, b: Dim, axis: int, types: Sequence[TensorType]) -> ShapeError:
    if isinstance(a, Size) or isinstance(b, Size):
        names = [dims.lone_symbol(d) for d in (a, b)]
        shown = [f"sg.size({n!r})" if n else str(d) for n, d in zip(names, (a, b), strict=True)]
        return ShapeError(
            f"the sizes {b} and {a} are not provably equal (axis {axis})",
            hint=f"use one name for both, or state it with sg.assume_equal({shown[1]}, {shown[0]}), which each call checks",
        )
    return ShapeError(f"shapes do not broadcast: {b} against {a} (axis {axis})", hint=_suggestion(types))


def _suggestion(types: Sequence[TensorType]) -> str | None:
    """A fix that fits, where one is obvious: a missing axis or a transpose."""
    if len(types) != 2:
        return None
    short, long = sorted(types, key=lambda t: t.ndim)
    if short.ndim == 1 and long.ndim == 2 and short.shape[0] == long.shape[0]:
        return "to align with the first axis, give the vector a second one: v[:, None]"
    if short.ndim == long.ndim == 2 and short.shape == long.shape[::-1]:
        return "did you mean the transpose of one of them, x.mT?"
    return None


def shifted(axes: Sequence[int]) -> tuple[int, ...]:
    """Axes behind a new leading one."""
    return tuple(a + 1 for a in axes)


def check_axes(axes: Sequence[int], rank: int, what: str) -> None:
    """Raise unless `axes` are sorted, without repeats, and within the rank (as the IR keeps them)."""
    if list(axes) != sorted(set(axes)) or any(not 0 <= a < rank for a in axes):
        raise ShapeError(f"{what}: bad axes {tuple(axes)} for {rank} dimensions")


def normalize_axis(axis: int, rank: int) -> int:
    """An axis counted from the front; negative ones count from the end."""
    if isinstance(axis, (bool, Tensor)) or not hasattr(axis, "__index__"):
        name = {"max": "maximum", "min": "minimum"}.get(origin.called()[0])
        hint = f"sg.{name}(a, b) is the {name} of two, elementwise" if name else None
        raise _of_call(ShapeError(f"an axis must be an int, not {axis!r:.60}", hint=hint))
    number = axis.__index__()
    if not -rank <= number < rank:
        raise _of_call(AxisError(f"axis {number} does not exist", facts=[("dimensions", rank)]))
    return number % rank


def normalize_axes(axes: Any, rank: int, *, keep_order: bool = False) -> tuple[int, ...]:
    """Axes counted from the front, without repeats; sorted unless `keep_order`. None means all."""
    if axes is None:
        return tuple(range(rank))
    found = [normalize_axis(a, rank) for a in as_items(axes)]
    if len(set(found)) < len(found):
        raise _of_call(ShapeError(f"an axis is repeated: {axes}", facts=[("dimensions", rank)]))
    return tuple(found if keep_order else sorted(found))


_HELPERS = ("normalize_axis", "normalize_axes")


def _of_call(error: ShapeError) -> ShapeError:
    """The error with the function that the user called, its tensors, and the user's line."""
    name, first = origin.called()
    if name and name not in _HELPERS:
        error.what = f"{name}: {error.what}"
    given = [first] if isinstance(first, Tensor) else first if isinstance(first, (list, tuple)) else []
    shown = [(t.name or "x", t.type) for t in given[:4] if isinstance(t, Tensor)]
    error.facts = (*shown, *[f for f in error.facts if f[0] != "x" or not shown])
    error.at = origin.locate(origin.current())
    return error
