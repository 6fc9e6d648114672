"""Functions for every element along an axis at once: `vmap`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps
from typing import Any

from symgrad import dims
from symgrad.api.structure import flatten, rebuild, require_function, spread_axes, tensors
from symgrad.api.trace import Function
from symgrad.dims import Dim
from symgrad.errors import GraphError, ShapeError
from symgrad.ir import origin
from symgrad.ir.tensor import Tensor, make_input
from symgrad.ops.shape import broadcast_to, moveaxis, normalize_axis
from symgrad_compiler.autodiff.vectorize import vectorize


def vmap(f: Function, in_axes: Any = 0, out_axes: Any = 0) -> Function:
    """`f` for each element along an axis of its arguments at once.

    Args:
        f: a Python function on tensors; its arguments and results may be nested tuples, lists and dicts.
        in_axes: the axis of the arguments that is mapped: an int for all, or a tuple with an int, None (not
            mapped) or a nested structure of these for each positional argument. Keyword arguments are
            mapped along axis 0.
        out_axes: where the axis goes in the results, in the same manner; None for what does not depend on it.

    Returns:
        A Python function on tensors. Whatever `f` calls is vectorised: there is no loop. `f` is called once.

    >>> import symgrad as sg
    >>> x, w = sg.matrix("x", ("n", 3)), sg.vector("w", size=3)
    >>> rowwise = sg.vmap(lambda row: sg.grad(sg.tanh(row @ w), w))
    >>> rowwise(x)
    <reshape: f64[n,3]>
    """

    require_function(f, "vmap")

    @wraps(f)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves = tensors((args, kwargs))
        axes = spread_axes(_axes_of(in_axes, args), args, "in_axes") + [0] * len(flatten(kwargs))
        size, placeholders, batched = _split_axes(leaves, axes)
        given = iter(placeholders)
        results = f(*rebuild(args, [next(given) for _ in flatten(args)]), **rebuild(kwargs, list(given)))
        outputs = tensors(results)
        made = vectorize(outputs, batched, size)
        placed = [
            _place(t, made.get(t), axis, size)
            for t, axis in zip(outputs, spread_axes(out_axes, results, "out_axes"), strict=True)
        ]
        return rebuild(results, placed)

    return mapped


def _axes_of(in_axes: Any, args: tuple[Any, ...]) -> Any:
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if isinstance(in_axes, tuple) and len(in_axes) != len(args):
        raise GraphError(f"in_axes has {len(in_axes)} entries for {len(args)} positional arguments")
    return in_axes


def _split_axes(
    leaves: Sequence[Tensor], axes: Sequence[int | None]
) -> tuple[Dim, list[Tensor], dict[Tensor, Tensor]]:
    """(the size of the mapped axis, what the function sees, placeholder -> the tensor with the axis in
    front)."""
    found: list[tuple[str, Tensor, Dim]] = []
    seen: list[Tensor] = []
    batched: dict[Tensor, Tensor] = {}
    for number, (tensor, axis) in enumerate(zip(leaves, axes, strict=True)):
        if axis is None:
            seen.append(tensor)
            continue
        if not tensor.ndim:
            raise ShapeError(
                "vmap needs an axis to map over, but an argument has none",
                facts=[(tensor.name or f"argument {number}", tensor.type)],
                hint="in_axes=None for arguments that are not mapped",
            )
        front = moveaxis(tensor, normalize_axis(axis, tensor.ndim), 0)
        name = tensor.name or f"x{number}"
        placeholder = make_input(front.type.with_shape(front.shape[1:]), name)
        seen.append(placeholder)
        batched[placeholder] = front
        found.append((name, tensor, front.shape[0]))
    if not found:
        raise GraphError("vmap maps over no argument: at least one of in_axes must be an int")
    size = found[0][2]
    for _, _, other in found:
        if not dims.equal(size, other):
            raise ShapeError(
                f"the mapped axes have different sizes: {size} and {other}",
                facts=[(name, tensor.type) for name, tensor, _ in found],
                at=origin.locate(origin.current()),
            )
    return size, seen, batched


def _place(tensor: Tensor, made: Tensor | None, axis: int | None, size: Dim) -> Tensor:
    if axis is None:
        if made is not None:
            raise GraphError("out_axes is None for a result that depends on a mapped argument")
        return tensor
    if made is None:
        made = broadcast_to(tensor, (size, *tensor.shape))
    return moveaxis(made, 0, normalize_axis(axis, made.ndim))
