"""From the lenient language to the strict IR: promotion and broadcasting, spelled out as nodes.

In the IR an elementwise op's operands have equal shapes and dtypes. The language takes tensors, arrays,
numbers and sizes: dtypes are promoted (Python numbers are weak), shapes broadcast.
"""

from __future__ import annotations

import operator
import threading
import weakref
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy

from symgrad.dims import Shape
from symgrad.errors import GraphError, SymgradError
from symgrad.ir import origin
from symgrad.ir.tensor import Tensor, apply, create, operand_label
from symgrad.ir.values import Scalar
from symgrad.ops.cast import astype
from symgrad.ops.create import Fill, as_tensor
from symgrad.ops.kinds import INTEGERS, Elementwise
from symgrad.ops.shape import broadcast_shapes, broadcast_to
from symgrad.registry import language, ops, provide
from symgrad.types import BOOL, FLOAT64, DType, TensorType, default_dtype, promote, promote_weak


@provide("align_and_apply")
def align_and_apply(op: Elementwise, operands: Sequence[Any]) -> Any:
    """`op` applied to operands of any kind; a pattern among them makes a pattern."""
    if len(operands) != len(op.operands):
        raise GraphError(
            f"{op.name} takes {len(op.operands)} operand{'s' * (len(op.operands) > 1)}, not {len(operands)}",
            at=origin.locate(origin.current()),
        )
    first = operands[0]
    if len(operands) == 1 and first.__class__ is Tensor and first.type.dtype.kind in op.accepts:
        return apply(op, first)
    if len(operands) == 2 and not op.conditions:
        pair = _fill_beside(op, first, operands[1])
        if pair is not None:
            return _applied(op, pair)
    for operand in operands:
        if getattr(operand, "is_pattern", False):
            return operand.of(op, operands)
    if all(type(x) is Tensor for x in operands) and _is_aligned(op, operands):
        return _applied(op, operands)
    values = [x if isinstance(x, Tensor) or is_weak(x) else as_tensor(x) for x in operands]
    dtype = common_dtype(values[op.conditions :])
    if dtype is BOOL and op.name in _OF_BOOLS:
        return align_and_apply(ops[_OF_BOOLS[op.name]], values)
    if dtype.kind == "complex" and op.name in _OF_COMPLEX:
        return language[_OF_COMPLEX[op.name]](*values)
    if op.name in _COMPARISONS and dtype.kind in INTEGERS:
        holds = _beyond(op, values, dtype)
        if holds is not None:
            return holds
    if op.to_float and dtype.kind in ("bool", "int", "uint"):
        dtype = FLOAT64
    tensors = [x for x in values if isinstance(x, Tensor)]
    try:
        shape = broadcast_shapes([t.type for t in tensors]) if tensors else ()
    except SymgradError as error:
        error.what = f"{op.name}: {error.what}"
        error.facts = tuple(
            (operand_label(op, i, t), t.type) for i, t in enumerate(values) if isinstance(t, Tensor)
        )
        error.at = origin.locate(origin.current())
        raise
    dtypes = [BOOL if i < op.conditions else dtype for i in range(len(values))]
    return _applied(op, [_fit(v, d, shape) for v, d in zip(values, dtypes, strict=True)])


def _applied(op: Elementwise, operands: Sequence[Tensor]) -> Tensor:
    if op.check is not None:
        op.check(*operands)
    return apply(op, *operands)


#: What these are of booleans, as in NumPy.
_OF_BOOLS = {
    "add": "logical_or",
    "multiply": "logical_and",
    "maximum": "logical_or",
    "minimum": "logical_and",
}

#: What these are of complex numbers.
_OF_COMPLEX = {"abs": "modulus", "sign": "phasor"}

_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}


def _beyond(op: Elementwise, values: Sequence[Any], dtype: DType) -> Tensor | None:
    """A comparison of integers with a Python int that their dtype does not hold: known whatever they are."""
    info = numpy.iinfo(dtype.numpy)
    tensors = [x for x in values if isinstance(x, Tensor)]
    signs = [0 if isinstance(x, Tensor) else (x > info.max) - (x < info.min) for x in values]
    if len(tensors) != 1 or not any(signs):
        return None
    return apply(Fill(Scalar.of(_COMPARISONS[op.name](*signs), BOOL), tensors[0].shape))


def _fill_beside(op: Elementwise, x: Any, y: Any) -> tuple[Tensor, Tensor] | None:
    """The common cases: two tensors of one type, a float tensor and a Python number."""
    if isinstance(x, Tensor):
        if y.__class__ is Tensor:
            return (x, y) if y.type == x.type and x.type.dtype.kind in op.accepts else None
        if (y.__class__ is float or y.__class__ is int) and x.type.dtype.kind == "float":
            return x, _fill(y, x.type)
    elif (
        isinstance(y, Tensor)
        and (x.__class__ is float or x.__class__ is int)
        and y.type.dtype.kind == "float"
    ):
        return _fill(x, y.type), y
    return None


def _fill(value: float, like: TensorType) -> Tensor:
    """A number beside a tensor. Equal numbers of equal type are one tensor as long as it lives."""
    scalar = Scalar.of(value, like.dtype)
    key = (scalar, like.shape)
    table = _literals.table
    found = table.get(key)
    if found is None or found.name is not None:
        found = table[key] = create(Fill(scalar, like.shape), (), (like,), origin.current())[0]
    return found


class _Literals(threading.local):
    """The numbers beside tensors that are in use."""

    def __init__(self) -> None:
        self.table: MutableMapping[tuple[Scalar, Shape], Tensor] = weakref.WeakValueDictionary()


_literals = _Literals()


@contextmanager
def own_literals() -> Iterator[None]:
    """Share numbers with nothing made outside: what is built inside, and in which order, depends on that alone."""
    before = _literals.table
    _literals.table = {}
    try:
        yield
    finally:
        _literals.table = before


def _is_aligned(op: Elementwise, operands: Sequence[Tensor]) -> bool:
    first = operands[-1].type
    if first.dtype.kind not in op.accepts:
        return False
    if op.conditions:
        return all(t.type.shape == first.shape for t in operands) and all(
            t.type.dtype is (BOOL if i < op.conditions else first.dtype) for i, t in enumerate(operands)
        )
    return all(t.type is first or t.type == first for t in operands)


def is_weak(value: Any) -> bool:
    """Whether `value` is a Python number, which takes the dtype of what it meets."""
    return isinstance(value, (bool, int, float, complex)) and not isinstance(value, numpy.generic)


def common_dtype(values: Sequence[Any]) -> DType:
    """The dtype that tensors and Python numbers have in common."""
    found: DType | None = None
    for value in values:
        if isinstance(value, Tensor):
            found = value.dtype if found is None else promote(found, value.dtype)
    for value in values:
        if not isinstance(value, Tensor):
            if found is None:
                found = default_dtype(value)
            else:
                found = promote_weak(found, value)
    assert found is not None
    return found


def _fit(value: Any, dtype: DType, shape: Shape) -> Tensor:
    if not isinstance(value, Tensor):
        return apply(Fill(Scalar.of(value, dtype), shape))
    return broadcast_to(astype(value, dtype), shape)


def align_tensors(values: Sequence[Any]) -> list[Tensor]:
    """Operands of a structured op as tensors of one dtype, their shapes left as they are."""
    operands = [x if isinstance(x, Tensor) or is_weak(x) else as_tensor(x) for x in values]
    dtype = common_dtype(operands)
    return [_fit(x, dtype, x.shape if isinstance(x, Tensor) else ()) for x in operands]
