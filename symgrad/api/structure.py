"""Arguments and results of Python functions on tensors: nested tuples, lists and dicts of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from symgrad.errors import GraphError
from symgrad.ir import origin
from symgrad.ops.create import as_tensor


def require_function(f: Any, what: str) -> None:
    """GraphError unless `f` can be called."""
    if not callable(f):
        raise GraphError(
            f"{what} takes a function, not {type(f).__name__}",
            facts=[("got", repr(f)[:80])],
            at=origin.locate(origin.current()),
        )


def flatten(value: Any) -> list[Any]:
    """The leaves, in order; dicts by their own order.

    >>> flatten({"a": [1, 2], "b": (3,)})
    [1, 2, 3]
    """
    if isinstance(value, Mapping):
        return [leaf for v in value.values() for leaf in flatten(v)]
    if isinstance(value, (tuple, list)):
        return [leaf for v in value for leaf in flatten(v)]
    return [value]


def rebuild(like: Any, leaves: Sequence[Any]) -> Any:
    """`leaves` in the structure of `like`.

    >>> rebuild({"a": [1, 2], "b": (3,)}, "xyz")
    {'a': ['x', 'y'], 'b': ('z',)}
    """
    return _build(like, iter(leaves).__next__)


def _build(like: Any, take: Callable[[], Any]) -> Any:
    if isinstance(like, Mapping):
        return {key: _build(v, take) for key, v in like.items()}
    if isinstance(like, tuple) and hasattr(like, "_fields"):
        return type(like)(*[_build(v, take) for v in like])
    if isinstance(like, (tuple, list)):
        return type(like)(_build(v, take) for v in like)
    return take()


def spread_axes(axes: Any, value: Any, what: str) -> list[int | None]:
    """One axis for each leaf of `value`; an axis that stands for a whole part of it is repeated."""
    if isinstance(axes, Mapping) and isinstance(value, Mapping):
        if list(axes) != list(value):
            raise GraphError(f"{what} has the keys {list(axes)}, not {list(value)}")
        return [a for key, v in value.items() for a in spread_axes(axes[key], v, what)]
    if isinstance(axes, (tuple, list)):
        if not isinstance(value, (tuple, list)) or len(axes) != len(value):
            raise GraphError(
                f"{what} {axes!r} does not fit: one axis (or None) for each of {len(flatten(value))}"
            )
        return [a for x, v in zip(axes, value, strict=True) for a in spread_axes(x, v, what)]
    if axes is not None and (isinstance(axes, bool) or not hasattr(axes, "__index__")):
        raise GraphError(f"{what} must be an int, None, or a tuple of these, not {axes!r}")
    return [None if axes is None else axes.__index__()] * len(flatten(value))


def tensors(value: Any) -> list[Any]:
    """The leaves as tensors, of arguments or of what a function returned."""
    if value is None:
        raise GraphError(
            "the function returned nothing",
            facts=[("expected", "a tensor, or tuples, lists and dicts of tensors"), ("got", "None")],
            at=origin.locate(origin.current()),
            hint="end it with a return statement",
        )
    return [as_tensor(leaf) for leaf in flatten(value)]
