"""Records: frozen dataclasses whose methods are written when they are first needed.

To write the methods of a dataclass takes up to a millisecond. The language and the compiler have hundreds, of
which a program uses a few.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

from symgrad.locks import Lock

Class = TypeVar("Class", bound=type)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def record(cls: Class) -> Class:
    """The class as `dataclass(frozen=True)` makes it, once an instance is made or its fields are asked for.

    >>> @record
    ... class Point:
    ...     x: int
    ...     y: int = 0
    >>> Point(1)
    Point(x=1, y=0)
    >>> [f.name for f in dataclasses.fields(Point)], {Point(1): "one"}[Point(1, 0)]
    (['x', 'y'], 'one')
    """
    _waiting[cls] = {n: v for n, v in vars(cls).items() if isinstance(v, dataclasses.Field)}
    setattr(cls, _FIELDS, _Fields())
    if "__init__" in vars(cls):
        _complete(cls)
    else:
        cls.__init__ = _first  # type: ignore[misc]
    return cls


_FIELDS = "__dataclass_fields__"
#: The classes that wait for their methods, with the `field(...)`s of their declarations.
_waiting: weakref.WeakKeyDictionary[type, dict[str, Any]] = weakref.WeakKeyDictionary()
_lock = Lock()


class _Fields:
    """The fields of a class that waits for its methods, and of what is derived from it."""

    def __get__(self, _: object, owner: type) -> Any:
        _complete(owner)
        return getattr(owner, _FIELDS)


def _first(self: Any, *args: Any, **keywords: Any) -> None:
    """The initializer of a class that waits for its methods."""
    _complete(type(self))
    type(self).__init__(self, *args, **keywords)


def _complete(cls: type) -> None:
    with _lock:
        for base in reversed(cls.__mro__):
            if base in _waiting:
                _write(base)


def _write(cls: Any) -> None:
    """Give a class its methods. A signal, or a fork, may have ended an earlier attempt anywhere."""
    for name, declared in _waiting[cls].items():
        setattr(cls, name, declared)
    for name in ("__setattr__", "__delattr__"):
        if name in vars(cls):
            delattr(cls, name)
    has_own = vars(cls).get("__init__", _first) is not _first
    dataclasses.dataclass(frozen=True, init=False)(cls)
    if not has_own:  # last, and at once: other threads wait in the first one until then
        cls.__init__ = _initializer(cls)
    del _waiting[cls]


def _initializer(cls: Any) -> Callable[..., None]:
    """The `__init__` that a frozen dataclass has."""
    names: dict[str, Any] = {"assign": object.__setattr__}
    positional: list[str] = ["self"]
    by_name: list[str] = []
    lines: list[str] = []
    for f in dataclasses.fields(cls):
        value, parameter = f.name, f.name
        if f.default is not dataclasses.MISSING:
            names[f"default_{f.name}"] = f.default
            parameter += f"=default_{f.name}"
        elif f.default_factory is not dataclasses.MISSING:
            names[f"default_{f.name}"], names[f"make_{f.name}"] = _MADE, f.default_factory
            parameter += f"=default_{f.name}"
            value = f"make_{f.name}() if {f.name} is default_{f.name} else {f.name}"
        if f.init:
            (by_name if f.kw_only else positional).append(parameter)
        elif value != f.name:
            value = f"make_{f.name}()"
        if f.init or value != f.name:
            lines.append(f"assign(self, {f.name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    head = ", ".join([*positional, *(["*", *by_name] if by_name else [])])
    # The names are those that the class declares: no user's text.
    exec(f"def __init__({head}):\n " + "\n ".join(lines or ["pass"]), names)
    made: Callable[..., None] = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


#: The default of a parameter whose field says how to make one.
_MADE = object()
