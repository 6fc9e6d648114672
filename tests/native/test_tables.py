"""The tables of `piecewise` against their functions, by mpmath with 40 digits, and where intervals meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

from symgrad_compiler.backends.llvm import erfcx_table, piecewise_tables, short_tables
from symgrad_compiler.backends.llvm.piecewise_tables import Pieces
from tests.native.sweep import HAS_REFERENCES, Sweep


def tail(a: Any) -> Any:
    return mp.exp(a * a / 2) * mp.erfc(a / mp.sqrt(2)) / 2


def tail_slope(a: Any) -> Any:
    return tail(a) - a / mp.sqrt(2 * mp.pi)


def _z(a: Any) -> tuple[Any, Any]:
    scale, cubic = mp.sqrt(8 / mp.pi), mpf("0.044715")
    return scale * (a + cubic * a**3), scale * (1 + 3 * cubic * a**2)


def gate(a: Any) -> Any:
    return 1 / (1 + mp.exp(-_z(a)[0]))


def gate_slope(a: Any) -> Any:
    return gate(a) * (1 - a * _z(a)[1] * gate(a))


def erfcx(x: Any) -> Any:
    return mp.exp(x * x) * mp.erfc(x)


@dataclass(frozen=True)
class Table:
    function: Callable[[Any], Any]
    pieces: Pieces
    #: Of the results; a function that crosses 0 is compared with the least that it is beside that.
    digits: int
    least: float = 0.0
    is_odd: bool = False


TABLES = {
    name: Table(function, getattr(room, name), digits, least, function in (mp.erf, mp.tanh))
    for room, name, function, digits, least in (
        (piecewise_tables, "ERF", mp.erf, 52, 0.0),
        (piecewise_tables, "ERF_SINGLE", mp.erf, 23, 0.0),
        (piecewise_tables, "TANH_SINGLE", mp.tanh, 23, 0.0),
        (piecewise_tables, "ERFCX", erfcx, 52, 0.0),
        (piecewise_tables, "ERFCX_SINGLE", erfcx, 27, 0.0),
        (piecewise_tables, "TAIL_SINGLE", tail, 23, 0.0),
        (piecewise_tables, "TAIL_SLOPE_SINGLE", tail_slope, 21, 0.1),
        (piecewise_tables, "GATE_SINGLE", gate, 23, 0.0),
        (piecewise_tables, "GATE_SLOPE_SINGLE", gate_slope, 21, 0.1),
        (short_tables, "ERF_SHORT", mp.erf, 23, 0.0),
        (short_tables, "TANH_SHORT", mp.tanh, 23, 0.0),
        (short_tables, "TAIL_SHORT", tail, 23, 0.0),
        (short_tables, "TAIL_SLOPE_SHORT", tail_slope, 21, 0.1),
        (short_tables, "GATE_SHORT", gate, 23, 0.0),
        (short_tables, "GATE_SLOPE_SHORT", gate_slope, 21, 0.1),
    )
}


def edges(pieces: Pieces) -> list[float]:
    """Where intervals begin, and where the last ends."""
    count = len(pieces.centres)
    if pieces.step:
        return [0.0, *((i + 0.5) * pieces.step for i in range(count))]
    each = count // 4
    starts = [2 ** (octave + 1) * (1 + i / each) for octave in range(4) for i in range(each)]
    return [(start - 2) / pieces.unit for start in (*starts, 32.0)]


@pytest.mark.parametrize("name", TABLES)
def test_pieces(name: str) -> None:
    """In every interval, the number and polynomial that are looked up make the function."""
    table, pieces = TABLES[name], TABLES[name].pieces
    bounds, worst = edges(pieces), 0.0
    with mp.workdps(40):
        for i, (centre, value) in enumerate(zip(pieces.centres, pieces.values, strict=True)):
            coefficients = [row[i] for row in pieces.coefficients]
            for x in np.linspace(bounds[i], bounds[i + 1], 9)[: -1 if i == len(bounds) - 2 else None]:
                t = mpf(float(x)) - centre
                slope = mp.polyval(coefficients[::-1], t)
                if table.is_odd and pieces.unit * bounds[i] + 2 < pieces.linear:
                    slope += 1
                exact = table.function(mpf(float(x)))
                found = value + t * slope
                if x:
                    worst = max(worst, float(abs(found - exact) / max(abs(exact), table.least)))
                else:
                    assert abs(found - exact) <= 2.0**-table.digits
    assert worst <= 2.0**-table.digits, np.log2(worst)


@pytest.mark.parametrize(
    ("op", "tables"),
    [
        ("erf", ("ERF_SINGLE", "ERF_SHORT")),
        ("tanh", ("TANH_SINGLE", "TANH_SHORT")),
        ("ndtr", ("TAIL_SINGLE", "TAIL_SHORT")),
        ("gelu", ("TAIL_SINGLE", "TAIL_SHORT")),
        ("gelu_derivative", ("TAIL_SLOPE_SINGLE", "TAIL_SLOPE_SHORT")),
        ("gelu_tanh", ("GATE_SINGLE", "GATE_SHORT")),
        ("gelu_tanh_derivative", ("GATE_SLOPE_SINGLE", "GATE_SLOPE_SHORT")),
    ],
)
@pytest.mark.skipif(not HAS_REFERENCES, reason="needs glibc's functions of 80-bit floats")
def test_at_the_edges_of_intervals(op: str, tables: tuple[str, ...]) -> None:
    """What is looked up belongs together, on both sides of an edge and on it."""
    found = np.array([e for name in tables for e in edges(TABLES[name].pieces)], dtype=np.float32)
    beside = (found.view(np.int32)[:, None] + np.arange(-40, 41, dtype=np.int32)).clip(0).view(np.float32)
    sweep = Sweep(op, "f32")
    sweep.add(np.concatenate([beside.ravel(), -beside.ravel()]))
    assert sweep.errors.error <= (1.0 if op in ("erf", "tanh") else 3.0), sweep.errors
    assert not sweep.errors.wrong


def test_erfcx_by_rows() -> None:
    """The table of 128 intervals that is made, to the last places of float64, its values farther."""
    worst, table = 0.0, erfcx_table.erfcx_table()
    assert table.shape == (erfcx_table.INTERVALS, 2 + erfcx_table.COEFFICIENTS)
    starts = [2 ** (octave + 1) * (1 + i / 32) for octave in range(4) for i in range(32)]
    with mp.workdps(40):
        for (centre, value, *q), *ends in zip(table.tolist(), starts, [*starts[1:], 32.0], strict=True):
            assert abs(value - erfcx(mpf(centre))) < 0.01 * np.spacing(value)
            for x in np.linspace(*((end - 2) / erfcx_table.UNIT for end in ends), 5):
                t = mpf(float(x)) - centre
                exact = erfcx(mpf(float(x)))
                worst = max(worst, float(abs((value + t * mp.polyval(q[::-1], t)) / exact - 1)))
    assert worst <= 2.0**-53, np.log2(worst)


def test_all_tables_are_tried() -> None:
    there = {
        n for room in (piecewise_tables, short_tables) for n, v in vars(room).items() if isinstance(v, Pieces)
    }
    assert there == set(TABLES)
