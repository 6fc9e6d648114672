"""Tables that lower rooms offer and upper rooms fill, so that imports only ever go down.

`ops` maps the name of an op to what makes it: the op itself (elementwise) or its class. `language` holds
the functions behind the operators and methods of `Tensor` and `Graph` ("add", "sum", "emit", ...): the
room that defines one registers it here, and `Tensor` calls it from here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

ops: dict[str, Any] = {}
language: dict[str, Callable[..., Any]] = {}

F = TypeVar("F", bound=Callable[..., Any])


def provide(*names: str) -> Callable[[F], F]:
    """Decorator: register a function in `language` under each of `names`."""

    def register(function: F) -> F:
        for name in names:
            if name in language:
                raise TypeError(f"{name!r} is registered twice")
            language[name] = function
        return function

    return register


def register_op(name: str, op: Any) -> None:
    """Register what makes the op called `name`."""
    if name in ops:
        raise TypeError(f"op {name!r} is declared twice")
    ops[name] = op
