"""How far the elementary functions are from the exact value: every float32, many float64, limits.

A strided part of what `make campaign` runs in full is part of `make test`. One function: `-k "float32 and
exp"`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.native.sweep import HAS_REFERENCES, IN_FLOAT32, REFERENCES, Errors, Sweep

pytestmark = pytest.mark.skipif(not HAS_REFERENCES, reason="needs glibc's functions of 80-bit floats")

#: Every bit pattern of float32 in a campaign, of the other functions one of `STRIDE`; in `make test` one of
#: `FEW`.
EVERY = ("exp", "log", "tanh", "sigmoid", "sin", "cos", "erf", "log1p", "expm1")
STRIDE, FEW = 31, 4099
PAIRS = ("atan2", "hypot", "logaddexp", "pow")
SINGLE = [name for name in (*REFERENCES, *IN_FLOAT32) if name not in PAIRS]
PART = 1 << 22
FEW_RANDOM = 100_000
OTHERS = [name for name in REFERENCES if name not in ("gammaln", "digamma")]

#: Allowed errors in float64, of the others 2.
BOUNDS = {"exp": 1.0, "log": 1.0}
#: In float32, of the others 1: products of several factors.
SINGLE_BOUNDS = {
    "ndtr": 2.0,
    **dict.fromkeys(("silu", "silu_derivative"), 2.0),
    **dict.fromkeys(("gelu", "gelu_tanh"), 3.0),
}
SINGLE_BOUNDS |= {f"{name}_derivative": 3.0 for name in ("gelu", "gelu_tanh")}
#: log(e^x + e^y) is 0 far from (0, 0), beside which the bound is absolute: results below 2^k count as if they
#: were 2^k. So are log(gamma) and its derivative, on the left between all poles; k and bounds of each side.
FLOORS = {"logaddexp": -8}
GAMMA = {
    ("gammaln", 1): (0, 3.0),
    ("gammaln", -1): (3, 4.0),
    ("digamma", 1): (0, 2.0),
    ("digamma", -1): (6, 4.0),
}

#: Where float64 is tried, besides all bit patterns: evenly in each range.
RANGES: dict[str, list[tuple[float, float]]] = {
    "exp": [(-745.2, 709.8), (-746, -708), (-1, 1), (-1e-9, 1e-9)],
    "exp2": [(-1075, 1024.1), (-1075, -1022), (-1, 1), (-1e-9, 1e-9)],
    "expm1": [(-40, 709.8), (-1, 1), (-0.1, 0.1), (-1e-5, 1e-5)],
    "log": [(0.5, 2), (0.99, 1.01), (0, 1e-307), (0, 1e3)],
    "log2": [(0.5, 2), (0.99, 1.01), (0, 1e-307), (0, 1e3)],
    "log10": [(0.5, 2), (0.99, 1.01), (0, 1e-307), (0, 1e3)],
    "log1p": [(-1, 3), (-0.1, 0.1), (-1e-5, 1e-5), (0, 1e10), (-1, -0.99)],
    "sin": [(-10, 10), (-1e5, 1e5), (-2e9, 2e9), (-1e22, 1e22)],
    "cos": [(-10, 10), (-1e5, 1e5), (-2e9, 2e9), (-1e22, 1e22)],
    "tan": [(-10, 10), (-1e5, 1e5), (-2e9, 2e9), (-1e22, 1e22)],
    "asin": [(-1, 1), (-0.6, 0.6), (0.99, 1)],
    "acos": [(-1, 1), (-0.6, 0.6), (0.99, 1), (-1, -0.99)],
    "atan": [(-10, 10), (-1, 1), (0.4, 0.43), (2.3, 2.5)],
    "sinh": [(-710.5, 710.5), (-2, 2), (-1e-3, 1e-3)],
    "cosh": [(-710.5, 710.5), (-2, 2)],
    "tanh": [(-20, 20), (-1, 1), (-1e-3, 1e-3)],
    "asinh": [(-10, 10), (-1, 1), (-1e-3, 1e-3), (-1e10, 1e10)],
    "acosh": [(1, 2), (1, 1.001), (1, 1e3)],
    "atanh": [(-1, 1), (-0.5, 0.5), (-1e-3, 1e-3), (0.99, 1)],
    "erf": [(-6, 6), (-1, 1), (-1e-3, 1e-3)],
    "erfc": [(-6, 28), (-1, 1), (0, 6), (26, 27.4)],
    "cbrt": [(-10, 10), (-1e-307, 1e-307)],
    "sigmoid": [(-746, 40), (-10, 10), (-1, 1)],
    "softplus": [(-746, 800), (-10, 10), (-1, 1)],
    "gammaln": [(0, 10), (0.9, 2.1), (5, 200), (0, 1e-3)],
    "digamma": [(0, 10), (1, 2), (5, 200), (0, 1e-3)],
    "abs": [(-1, 1)],
    "pow": [(0, 20), (0.9, 1.1), (0, 1e-307), (-100, 100)],
    "atan2": [(-10, 10), (-1e-307, 1e-307)],
    "hypot": [(-10, 10), (-1e-307, 1e-307)],
    "logaddexp": [(-750, 750), (-10, 10), (-1, 1)],
}
LIMITS = [
    0.0,
    5e-324,
    1e-310,
    2.3e-308,
    1e-300,
    1e-9,
    0.5,
    1.0,
    1.5,
    2.0,
    3.0,
    7.0,
    1e9,
    1e22,
    1.7e308,
    np.inf,
]


@pytest.fixture
def swept(report: Callable[..., None]) -> Callable[..., Errors]:
    """Run a sweep, and report and check what it found."""

    def run(label: str, sweep: Sweep, parts: Iterator[tuple[np.ndarray, ...]], bound: float) -> Errors:
        for operands in parts:
            sweep.add(*operands)
        report(f"{label}: {sweep.errors}")
        assert sweep.errors.error <= bound, sweep.errors
        assert not sweep.errors.wrong, sweep.errors
        return sweep.errors

    return run


def campaign(*values: Any) -> Any:
    return pytest.param(*values, marks=[pytest.mark.campaign, pytest.mark.slow])


# ---- float32 ----------------------------------------------------------------------------------------


def every(stride: int) -> Iterator[tuple[np.ndarray]]:
    """Every `stride`-th float32, in parts."""
    for start in range(0, 1 << 32, PART * stride):
        bits = np.arange(start, min(start + PART * stride, 1 << 32), stride, dtype=np.uint64)
        yield (bits.astype(np.uint32).view(np.float32),)


@pytest.mark.parametrize(
    ("name", "stride"),
    [
        *((name, FEW) for name in SINGLE),
        *(campaign(name, 1 if name in EVERY else STRIDE) for name in SINGLE),
    ],
)
def test_float32(name: str, stride: int, swept: Callable[..., Errors]) -> None:
    found = swept(
        f"float32 {name}, every {stride}", Sweep(name, "f32"), every(stride), SINGLE_BOUNDS.get(name, 1)
    )
    assert found.count >= (1 << 32) // stride


def limits(dtype: Any, operands: int) -> tuple[np.ndarray, ...]:
    """All limits, of both signs, and NaN; pairs of them."""
    with np.errstate(over="ignore", under="ignore"):
        ends = np.array([*LIMITS, *(-v for v in LIMITS), np.nan]).astype(dtype)
    return tuple(g.ravel() for g in np.meshgrid(*[ends] * operands))


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("name", REFERENCES)
def test_limits(name: str, kind: str, swept: Callable[..., Errors]) -> None:
    """Zeros, infinities, NaN, subnormals; also lane by lane."""
    for lanes in (None, 1):
        sweep = Sweep(name, kind, lanes=lanes)
        parts = iter([limits(sweep.dtype, sweep.operands)])
        swept(f"limits {name} {kind}", sweep, parts, 1 if kind == "f32" else bound_of(name))


# ---- float64 ----------------------------------------------------------------------------------------


def bound_of(name: str) -> float:
    return BOUNDS.get(name, 2.0)


def spread(name: str, count: int, operands: int, dtype: Any) -> Iterator[tuple[np.ndarray, ...]]:
    """`count` numbers: a third of all bit patterns, the rest in the ranges."""
    rng = np.random.default_rng(sum(map(ord, name)))
    word = np.uint64 if dtype == np.float64 else np.uint32

    def bits(size: int) -> np.ndarray:
        return rng.integers(0, np.iinfo(word).max, size, dtype=word, endpoint=True).view(dtype)

    ranges = RANGES[name]
    done, size = 0, min(count // 3 + 1, 1 << 20)
    while done < count:
        yield tuple(bits(size) for _ in range(operands))
        each = 2 * size // len(ranges)
        for low, high in ranges:
            x = rng.uniform(low, high, each)
            other = [rng.uniform(*ranges[rng.integers(len(ranges))], each) for _ in range(operands - 1)]
            yield tuple(a.astype(dtype) for a in (x, *other))
        done += size + each * len(ranges)


@pytest.mark.parametrize(
    ("name", "count"), [*((n, FEW_RANDOM) for n in OTHERS), *(campaign(n, 10**8) for n in OTHERS)]
)
def test_float64(name: str, count: int, swept: Callable[..., Errors]) -> None:
    sweep = Sweep(name, "f64", **({"floor": FLOORS[name]} if name in FLOORS else {}))
    parts = spread(name, count, sweep.operands, np.float64)
    swept(f"float64 {name}, {count:.0e}", sweep, parts, bound_of(name))


def beside_quarter_turns(rng: np.random.Generator, count: int, dtype: Any) -> np.ndarray:
    """Angles beside multiples of pi/2 up to 1e9, whose reduction cancels nearly all digits."""
    turns = rng.integers(1, 6 * 10**8, count).astype(np.longdouble)
    half_pi = np.longdouble(np.pi / 2) + np.longdouble(6.123233995736766e-17)
    x = (turns * half_pi).astype(dtype)
    return np.concatenate([x, np.nextafter(x, dtype(0)), np.nextafter(x, dtype(1e10))])


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
@pytest.mark.parametrize("count", [50_000, campaign(3 * 10**6)])
def test_quarter_turns(name: str, kind: str, count: int, swept: Callable[..., Errors]) -> None:
    sweep = Sweep(name, kind)
    x = beside_quarter_turns(np.random.default_rng(1), count, sweep.dtype.type)
    swept(f"{name} {kind} beside multiples of pi/2", sweep, iter([(x,)]), 1 if kind == "f32" else 2)


def test_large_powers_of_numbers_beside_1(swept: Callable[..., Errors]) -> None:
    rng = np.random.default_rng(2)
    x = 1 + rng.integers(-(10**6), 10**6, 100_000) * 2.0**-52
    y = rng.uniform(-700, 700, 100_000) / np.where(x == 1, 1, np.log(x))
    swept("powers of numbers beside 1", Sweep("pow", "f64"), iter([(x, y)]), 2)


@pytest.mark.parametrize(
    ("name", "side", "count"), [*((*n, FEW_RANDOM) for n in GAMMA), *(campaign(*n, 10**8) for n in GAMMA)]
)
def test_gamma(name: str, side: int, count: int, swept: Callable[..., Errors]) -> None:
    floor, bound = GAMMA[name, side]
    parts = ((np.copysign(x, side),) for (x,) in spread(name, count, 1, np.float64))
    label = f"float64 {name} {'left' if side < 0 else 'right'} of 0, {count:.0e}, least {2**floor}"
    swept(label, Sweep(name, "f64", floor=floor), parts, bound)


@pytest.mark.parametrize("name", PAIRS)
def test_float32_pairs(name: str, swept: Callable[..., Errors]) -> None:
    sweep = Sweep(name, "f32", **({"floor": FLOORS[name]} if name in FLOORS else {}))
    swept(f"float32 {name}", sweep, spread(name, 300_000, 2, np.float32), 1)
