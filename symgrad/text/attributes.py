"""How attributes of ops are written and read: one codec for each declared type, for printer and parser both.

An op's fields name their types (`axes: tuple[int, ...]`); `fields` finds the codec of each. A new type of
attribute is one row of `_CODECS`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from symgrad.ir.graph import Subgraph
from symgrad.ir.op import Op, attribute_types
from symgrad.ir.values import ArrayData, Scalar
from symgrad.text.data import Blobs, Data
from symgrad.text.lexer import Cursor
from symgrad.text.literals import fixed_shape, read_array, read_number, write_array, write_number
from symgrad.text.sizes import read_dim, read_dtype, read_int, read_type
from symgrad.types import BOOL, BY_SHORT, FLOAT64, TensorType

#: Arrays of at most this many elements are written where they are used.
MAX_INLINE = 32


class Codec(NamedTuple):
    """`write(value, result type, blobs) -> text` and `read(cursor, result type, data) -> value`."""

    write: Callable[[Any, TensorType, Blobs], str]
    read: Callable[[Cursor, TensorType, Data], Any]


class Field(NamedTuple):
    """An attribute: its name, its codec, and the value that need not be written."""

    name: str
    codec: Codec
    default: Any


NO_DEFAULT = dataclasses.MISSING


@cache
def fields(op_class: Any) -> tuple[Field, ...]:
    """The attributes of a class of ops, in the order of declaration."""
    types = attribute_types(op_class)
    if not types:
        return ()
    return tuple(Field(f.name, codec(types[f.name]), f.default) for f in dataclasses.fields(op_class))


def write_attributes(op: Op, result: TensorType, blobs: Blobs) -> list[str]:
    """`name=value` for each attribute that differs from its default."""
    written = []
    op_class: Any = type(op)
    for name, codec, default in fields(op_class):
        value = getattr(op, name)
        if default is NO_DEFAULT or value != default:
            written.append(f"{name}={codec.write(value, result, blobs)}")
    return written


@cache
def codec(annotation: str) -> Codec:
    """The codec of a declared type."""
    annotation = annotation.strip()
    if annotation in _CODECS:
        return _CODECS[annotation]
    if annotation.endswith("| None"):
        return _optional(codec(annotation.removesuffix("| None")))
    if annotation.startswith("tuple[") and annotation.endswith("]"):
        items = _split(annotation[6:-1])
        if items[-1] == "...":
            return _repeated(codec(items[0]))
        return _sequence([codec(i) for i in items])
    raise TypeError(
        f"attributes of type {annotation} have no text: add a codec in symgrad/text/attributes.py"
    )


def _split(arguments: str) -> list[str]:
    """`int, tuple[int, int]` -> `int`, `tuple[int, int]`."""
    parts, depth = [""], 0
    for c in arguments:
        depth += (c == "[") - (c == "]")
        if c == "," and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return [p.strip() for p in parts]


# ---- composite types --------------------------------------------------------------------------------


def _optional(item: Codec) -> Codec:
    def read(cursor: Cursor, result: TensorType, data: Data) -> Any:
        return None if cursor.accept("None") else item.read(cursor, result, data)

    return Codec(lambda v, result, blobs: "None" if v is None else item.write(v, result, blobs), read)


def _repeated(item: Codec) -> Codec:
    def write(values: Sequence[Any], result: TensorType, blobs: Blobs) -> str:
        return _in_parentheses([item.write(v, result, blobs) for v in values])

    def read(cursor: Cursor, result: TensorType, data: Data) -> Any:
        values = []
        cursor.expect("(")
        while cursor.token.text != ")":
            values.append(item.read(cursor, result, data))
            if not cursor.accept(","):
                break
        cursor.expect(")")
        return tuple(values)

    return Codec(write, read)


def _sequence(items: Sequence[Codec]) -> Codec:
    def write(values: Sequence[Any], result: TensorType, blobs: Blobs) -> str:
        return _in_parentheses([c.write(v, result, blobs) for c, v in zip(items, values, strict=True)])

    def read(cursor: Cursor, result: TensorType, data: Data) -> Any:
        values = []
        cursor.expect("(")
        for i, item in enumerate(items):
            if i:
                cursor.expect(",")
            values.append(item.read(cursor, result, data))
        if len(items) == 1:
            cursor.accept(",")
        cursor.expect(")")
        return tuple(values)

    return Codec(write, read)


def _in_parentheses(items: list[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


# ---- values -----------------------------------------------------------------------------------------


def _write_scalar(value: Scalar, result: TensorType, blobs: Blobs) -> str:
    prefix = "" if value.dtype is result.dtype else value.dtype.short + " "
    return prefix + write_number(value.numpy, value.dtype)


def _read_scalar(cursor: Cursor, result: TensorType, data: Data) -> Scalar:
    dtype = read_dtype(cursor) if cursor.token.text in BY_SHORT else result.dtype
    return Scalar(dtype, read_number(cursor, dtype).tobytes())


def write_value(array: Any, type: TensorType, blobs: Blobs) -> str:
    """The text of a constant array: itself when it is small, else the name of data."""
    return write_array(array, type.dtype) if array.size <= MAX_INLINE else blobs.reference(array, type)


def read_value(cursor: Cursor, type: TensorType, data: Data) -> ArrayData:
    """A constant array of a known type."""
    start = cursor.token
    if not cursor.accept("data"):
        return ArrayData(read_array(cursor, type))
    found = data.find(cursor)
    if found.type != type:
        cursor.fail(f"the data is {found.type}, not {type}", at=start)
    return found


def _write_data(value: ArrayData, result: TensorType, blobs: Blobs) -> str:
    prefix = "" if value.type == result else f"{value.type} "
    return prefix + write_value(value.array, value.type, blobs)


def _read_data(cursor: Cursor, result: TensorType, data: Data) -> ArrayData:
    type = read_type(cursor) if cursor.token.text in BY_SHORT else result
    fixed_shape(cursor, type.shape)
    return read_value(cursor, type, data)


def _read_string(cursor: Cursor, result: TensorType, data: Data) -> str:
    token = cursor.take("string", "a quoted text")
    try:
        return str(json.loads(token.text))
    except ValueError:
        cursor.fail("a quoted text is not well formed", at=token, expected="a string as in JSON")


def _read_graph(cursor: Cursor, result: TensorType, data: Data) -> Subgraph:
    cursor.expect("graph")
    return data.find_graph(cursor)


_DIM = Codec(lambda v, result, blobs: str(v), lambda cursor, result, data: read_dim(cursor))
_CODECS = {
    "bool": Codec(lambda v, r, b: str(bool(v)), lambda c, r, d: bool(read_number(c, BOOL))),
    "int": Codec(lambda v, r, b: str(int(v)), lambda c, r, d: read_int(c)),
    "float": Codec(
        lambda v, r, b: write_number(FLOAT64.numpy.type(v), FLOAT64),
        lambda c, r, d: float(read_number(c, FLOAT64)),
    ),
    "str": Codec(lambda v, r, b: json.dumps(v), _read_string),
    "DType": Codec(lambda v, r, b: v.short, lambda c, r, d: read_dtype(c)),
    "TensorType": Codec(lambda v, r, b: str(v), lambda c, r, d: read_type(c)),
    "Dim": _DIM,
    "int | Size": _DIM,  # what Dim stands for
    "Shape": _repeated(_DIM),
    "Scalar": Codec(_write_scalar, _read_scalar),
    "ArrayData": Codec(_write_data, _read_data),
    "Subgraph": Codec(lambda v, r, b: b.graph_reference(v), _read_graph),
}
