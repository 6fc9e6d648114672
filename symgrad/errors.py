"""The errors of symgrad: what happened, what was expected, what was found, where, and what to try.

Bottom layer: imports nothing of the project. Every error that symgrad raises on purpose derives from
`SymgradError` and, where Python has a fitting class, from that too, so `except ValueError` keeps working.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from typing import Any

import numpy.linalg


class SymgradError(Exception):
    """Base of all errors of symgrad.

    The message reads top-down: `what`, then one `label: value` line for each of `facts`, then where in
    the user's code (`at`), then a `hint`.

    >>> print(SymgradError("sizes differ", facts=[("a", "f64[3]")], at="model.py:4", hint="try x.T"))
    sizes differ
      a: f64[3]
      at model.py:4
      hint: try x.T
    """

    def __init__(
        self,
        what: str,
        *,
        facts: Iterable[tuple[str, object]] = (),
        at: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.facts = tuple(facts)
        self.at = at
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        facts = tuple([(label, str(value)) for label, value in self.facts])
        return _again, (type(self), self.args, {**vars(self), "facts": facts})

    def __str__(self) -> str:
        lines = [self.what]
        lines += [f"  {label}: {value}" for label, value in self.facts]
        if self.at:
            lines.append(f"  at {self.at}")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


def _again(kind: type[SymgradError], args: tuple[Any, ...], state: dict[str, Any]) -> SymgradError:
    """An error that was pickled or copied."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ShapeError(SymgradError, ValueError):
    """Shapes or sizes that do not fit."""


class AxisError(ShapeError, IndexError):
    """An axis that a tensor does not have."""


class KeyShapeError(ShapeError, IndexError):
    """A key in x[key] that does not fit the tensor: out of range, too many indices, not known in time."""


class IndexRangeError(SymgradError, IndexError):
    """An index that is out of range when a compiled function runs. The message names the node."""


class NameNotFoundError(SymgradError, KeyError):
    """A name that no tensor of a graph has."""


class DTypeError(SymgradError, TypeError):
    """Dtypes that an op does not take, or values that a dtype does not hold."""


class GraphError(SymgradError, ValueError):
    """A graph that is not well formed: duplicate names, cycles, undetermined sizes, wrong types."""


class GradientError(SymgradError, ValueError):
    """A derivative that does not exist as asked: non-scalar cost, cotangent of the wrong shape, ..."""


class GradientTypeError(GradientError, DTypeError):
    """A derivative with respect to integers or booleans."""


class GradientShapeError(GradientError, ShapeError):
    """A cotangent, a tangent or a cost of the wrong shape."""


class DisconnectedInputError(GradientError):
    """A derivative with respect to a tensor that the cost does not depend on."""


#: Characters of a line that a message shows, around what is wrong.
_SHOWN = 200


class ParseError(SymgradError, ValueError):
    """Text that is not a graph; `line` and `column` count from 1."""

    def __init__(
        self,
        what: str,
        *,
        line: int,
        column: int,
        source: str = "",
        expected: str | None = None,
        found: str | None = None,
        hint: str | None = None,
    ) -> None:
        facts = [("expected", expected)] if expected else []
        facts += [("found", found)] if found else []
        super().__init__(what, facts=facts, hint=hint)
        self.line = line
        self.column = column
        self.source = source

    def __str__(self) -> str:
        head, *rest = super().__str__().split("\n")
        lines = [f"line {self.line}, column {self.column}: {head}"]
        if self.source:
            start = max(0, self.column - 1 - _SHOWN // 2)
            shown = self.source[start : start + _SHOWN]
            lead = "..." if start else ""
            shown = f"{lead}{shown}{'...' if start + _SHOWN < len(self.source) else ''}"
            lines += [f"    {shown}", "    " + " " * (len(lead) + self.column - 1 - start) + "^"]
        return "\n".join(lines + rest)


class CompileError(SymgradError, RuntimeError):
    """A graph that a pass or a backend cannot handle."""


class InputError(SymgradError, TypeError, ValueError):
    """An argument of a compiled function that does not fit: count, name, dtype or shape."""


class ExecutionError(SymgradError, RuntimeError):
    """A compiled function failed while it ran; the message names the node and its origin."""


class LinAlgError(SymgradError, numpy.linalg.LinAlgError):
    """A matrix that does not have what was asked of it: it is singular, or not positive definite, or an
    iteration does not converge. The message names the node, and which matrix of a batch it was."""


def negative_size(size: str, value: int, at: str | None = None) -> InputError:
    """The error for a size such as n - 2 that is negative for the arguments of a call, where it matters."""
    return InputError(f"a size comes out negative: {size} is {value}", at=at)


def wrong_bound(bound: str, value: int, at: str | None = None) -> InputError:
    """The error for the bound of a slice that counts from another end than it was taken to count from."""
    if value < 0:
        return InputError(
            f"a slice bound comes out negative: {bound} is {value}",
            at=at,
            hint="it is taken to count from the front; add the size of the axis to count from the end",
        )
    return InputError(
        f"a slice bound that counts from the end does not come out negative: {bound} is {value}",
        at=at,
        hint="add the size of the axis, as in x[:n-k], to count from the front",
    )


def wrong_rank(size: int) -> str:
    """What is wrong with a rank beyond that many elements."""
    if size == 0:
        return "median or quantile of no elements is not defined"
    return f"a rank of a quantile is out of range for {size} elements"


def range_error(error: IndexError) -> IndexError:
    """The error of ours for an IndexError of a running program, which ends in "\\n  in <node>"."""
    if isinstance(error, SymgradError):
        return error
    what, _, where = str(error).partition("\n  in ")
    return IndexRangeError(what, at=where or None)


def matrix_error(is_singular: bool, place: tuple[int, ...], info: int, at: str | None = None) -> LinAlgError:
    """The error for the matrix at `place` of a batch: what is wrong with it, and where: a 0 on the diagonal
    of a factor, counted from 0, or the size of the leading part that is not positive definite."""
    what = "the matrix is singular" if is_singular else "the matrix is not positive definite"
    facts: list[tuple[str, object]] = []
    if place:
        facts.append(("matrix of the batch", place[0] if len(place) == 1 else place))
    facts.append(("zero on the diagonal" if is_singular else "leading minor", info))
    return LinAlgError(what, facts=facts, at=at)


class NotSquareError(ShapeError, LinAlgError):
    """Matrices that are not square where square ones are needed."""


#: Whose code stands between a warning and the user's line.
_BETWEEN = frozenset({"symgrad", "symgrad_compiler", "symgrad_runtime", "functools", "contextlib"})


def warn(text: object, category: type[Warning] = UserWarning) -> None:
    """A warning at the user's line."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(str(text), category, stacklevel=level)
