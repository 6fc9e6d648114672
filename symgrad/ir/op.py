"""What every op is: a name, attributes, and a rule that gives the types of its outputs.

An op is a frozen dataclass whose fields are its attributes; printing, parsing, hashing and equality follow
from the fields. The room `ops` adds derivative rules and numeric forms (`ops/kinds.py`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, get_args

from symgrad.types import TensorType


class Op:
    """Base of all ops."""

    name: ClassVar[str]
    #: The operands' names; the last may end in "*" for any number.
    operands: ClassVar[tuple[str, ...]] = ()
    #: Whether the two operands may be exchanged without changing a bit of the result.
    commutative: ClassVar[bool] = False

    #: Types of the operands -> those of the outputs; raises ShapeError or DTypeError where they do not fit.
    infer: Callable[..., TensorType | Sequence[TensorType]]

    def operand_name(self, index: int) -> str:
        """The name of operand `index`."""
        names = self.operands
        if index < len(names) and not names[index].endswith("*"):
            return names[index]
        return f"{names[-1].rstrip('*')}{index - len(names) + 1}"

    def operand_rule(self, index: int) -> str:
        """What the rules of operand `index` are named after: its name, without a number if there are many."""
        return self.operands[min(index, len(self.operands) - 1)].rstrip("*")


_field_names: dict[type, tuple[str, ...]] = {}


def attribute_names(op_class: type) -> tuple[str, ...]:
    """The names of the attributes of a class of ops, in the order of declaration."""
    names = _field_names.get(op_class)
    if names is None:
        fields = dataclasses.fields(op_class) if dataclasses.is_dataclass(op_class) else ()
        names = _field_names[op_class] = tuple(f.name for f in fields)
    return names


def attributes(op: Op) -> dict[str, Any]:
    """The attributes of `op` by name, in the order of declaration."""
    return {name: getattr(op, name) for name in attribute_names(type(op))}


def attribute_types(op_class: Any) -> dict[str, str]:
    """The declared type of each attribute, as text ("Shape", "tuple[int, ...]", ...), whether the module that
    declares it has `from __future__ import annotations` or not."""
    if not dataclasses.is_dataclass(op_class):
        return {}
    return {f.name: _as_written(f.type) for f in dataclasses.fields(op_class)}


def _as_written(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return _MODULES.sub("", str(annotation))


_MODULES = re.compile(r"\b[a-z_]\w*\.(?=\w)")


@dataclasses.dataclass(frozen=True)
class Input(Op):
    """A graph's input: a leaf whose value is an argument."""

    name: ClassVar[str] = "input"


@dataclasses.dataclass(frozen=True, eq=False)
class SharedState(Op):
    """Persistent state: a leaf whose value the program keeps between calls."""

    state: Any
    name: ClassVar[str] = "shared"
