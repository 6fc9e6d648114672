"""Parse errors: where, what was expected, what was found, and what the writer may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from symgrad.errors import ParseError, SymgradError

#: What rules of ops, graphs and values may raise on attributes that no program would build.
REFUSALS = (SymgradError, ArithmeticError, AssertionError, LookupError, TypeError, ValueError)
_SHOWN = 60


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the words of `known` closest to `name`.

    >>> did_you_mean("mutiply", ["multiply", "add"])
    'did you mean multiply?'
    """
    close = difflib.get_close_matches(name[:_SHOWN], list(known), n=3)
    return f"did you mean {' or '.join(close)}?" if close else None


def shorten(text: str) -> str:
    """`text` as it is quoted in a message."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def refused(cause: BaseException, line: int, column: int, source: str, what: str = "") -> ParseError:
    """A parse error for what an op, a value or a graph refused, with the reasons given."""
    known = isinstance(cause, SymgradError)
    reason = cause.what if isinstance(cause, SymgradError) else str(cause) or type(cause).__name__
    error = ParseError(
        f"{what}: {reason}" if what else reason,
        line=line,
        column=column,
        source=source,
        hint=cause.hint if isinstance(cause, SymgradError) else None,
    )
    if known:
        error.facts = cause.facts  # type: ignore[attr-defined]
    return error
