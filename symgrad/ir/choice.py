"""Arguments that must be one of a few words or numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from symgrad.errors import SymgradError
from symgrad.ir import origin


def check_choice(what: str, value: Any, choices: Iterable[str | float], error: type[SymgradError]) -> None:
    """`error` unless `value` is one of the choices. It may be anything: a list, an array.

    >>> from symgrad.errors import GraphError
    >>> check_choice("norm", "ortho", ["backward", "ortho", "forward"], GraphError)
    >>> try:
    ...     check_choice("trans", [0], [0, "T"], GraphError)
    ... except GraphError as error:
    ...     print(error.what)
    trans must be 0 or "T", not [0]
    """
    known = dict.fromkeys(choices)
    try:
        if value in known:
            return
    except TypeError:  # it has no hash, so it is none of them
        pass
    *others, last = [f'"{c}"' if isinstance(c, str) else str(c) for c in known]
    listed = f"{', '.join(others)} or {last}" if others else last
    raise error(f"{what} must be {listed}, not {value!r:.40}", at=origin.locate(origin.current()))
