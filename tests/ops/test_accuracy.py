"""Values and derivatives of every elementwise op of floats, in units in the last place, against mpmath."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from mpmath import mpf, workprec

import symgrad as sg
from symgrad import registry
from symgrad.ops.kinds import Elementwise
from tests.ops.accuracy import EXACT, PRECISION, SECOND, TABLE, Row
from tests.ops.accuracy_special import SPECIAL

#: Ops of other rows: the derivative of erf is a gaussian, sinc and its derivatives are one op ...
THROUGH = {
    "gaussian": "erf",
    "sinc_derivative": "sinc",
    "polygamma": "polygamma(1)",
    "xlogx_derivative": "xlogx",
    "inverse_mills": "log_ndtr",
    "inverse_mills_derivative": "log_ndtr",
    "silu_derivative": "silu",
    "gelu_derivative": "gelu",
    "gelu_tanh": "gelu, approximate",
    "gelu_tanh_derivative": "gelu, approximate",
}

#: The allowed error of second derivatives, which are products of several roundings.
SECOND_BOUND = 6


def test_every_op_has_a_row() -> None:
    floats = {
        name
        for name, op in registry.ops.items()
        if isinstance(op, Elementwise) and "float" in op.accepts and op.result is None
    }
    special = {*SPECIAL, *(name for name, row in THROUGH.items() if row in SPECIAL)}  # see test_special.py
    missing = sorted(floats - set(TABLE) - special - set(EXACT))
    assert not missing, f"add a row to tests/ops/accuracy.py, or to that of the family, for: {missing}"


def built(name: str, row: Row, xs: list[Any]) -> Any:
    return (row.build or getattr(sg, name))(*xs)


def inputs(name: str, row: Row) -> list[Any]:
    return [sg.vector(re.sub(r"\W", "_", f"{name} {i}"), size=len(p)) for i, p in enumerate(row.points)]


@cache
def reference(function: Callable[..., Any], key: tuple[bytes, ...]) -> list[Any]:
    """A row's function at its points, rounded to nothing that matters."""
    with workprec(PRECISION):
        arrays = [np.frombuffer(k) for k in key]
        return [function(*[mpf(float(v)) for v in point]) for point in zip(*arrays, strict=True)]


def errors(got: np.ndarray, function: Callable[..., Any], points: tuple[np.ndarray, ...]) -> np.ndarray:
    """Distances in units in the last place of the result, of a subnormal one in the smallest float."""
    exact = reference(function, tuple(p.tobytes() for p in points))
    with workprec(PRECISION):
        return np.array([_error(float(g), e) for g, e in zip(got, exact, strict=True)])


def _error(got: float, exact: Any) -> float:
    rounded = float(exact)
    if not np.isfinite([got, rounded]).all():
        return 0.0 if got == rounded else np.inf
    unit = np.spacing(max(abs(rounded), np.finfo(float).tiny))
    return float(abs(mpf(got) - exact) / mpf(float(unit)))


def report(label: str, row: Row, got: np.ndarray, function: Callable[..., Any], bound: float) -> list[str]:
    """The worst point, if it is out of bounds."""
    distances = errors(got, function, row.points)
    worst = int(np.argmax(distances))
    WORST[label] = distances[worst]
    if distances[worst] <= bound:
        return []
    at = ", ".join(repr(float(p[worst])) for p in row.points)
    return [f"{label}: {distances[worst]:.3g} units at ({at}): {float(got[worst])!r}"]


#: The largest errors of this run, for who wants to see them.
WORST: dict[str, float] = {}


def test_values_and_derivatives(backend: str) -> None:
    """One program computes all rows."""
    xs, outputs, checks = [], [], []
    for name, row in TABLE.items():
        operands = inputs(name, row)
        y = built(name, row, operands)
        targets = [x for x, slope in zip(operands, row.slopes, strict=True) if slope is not None]
        slopes = [(i, s) for i, s in enumerate(row.slopes) if s is not None]
        xs += operands
        outputs += [y, *(sg.grad(sg.sum(y), targets) if targets else [])]
        checks += [(name, row, row.value)]
        checks += [(f"d {name} / d operand {i}", row, s) for i, s in slopes]
    found = sg.function(xs, outputs)(*[p for row in TABLE.values() for p in row.points])
    failures = [
        line
        for (label, row, function), got in zip(checks, found, strict=True)
        for line in report(label, row, got, function, row.bound)
    ]
    assert not failures, "\n".join(failures)


def test_second_derivatives(backend: str) -> None:
    xs, outputs = [], []
    for name, row in SECOND.items():
        (x,) = inputs(name, row)
        xs.append(x)
        slope = sg.grad(sg.sum(built(name, row, [x])), x)
        outputs.append(sg.grad(sg.sum(slope), x))
    found = sg.function(xs, outputs)(*[row.points[0] for row in SECOND.values()])
    failures = [
        line
        for (name, row), got in zip(SECOND.items(), found, strict=True)
        for line in report(f"second derivative of {name}", row, got, row.value, SECOND_BOUND)
    ]
    assert not failures, "\n".join(failures)
