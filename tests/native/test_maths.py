"""The elementary functions against 80-bit references: error bounds, limits, tails."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad import registry
from symgrad.ir.tensor import apply
from symgrad.ops.kinds import Elementwise
from symgrad_compiler.backends.llvm import target

pytestmark = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="needs a longdouble of more digits than float64"
)

#: name -> reference, ranges, and the bound in float64 in units in the last place. float32: 1.
TABLE: dict[str, tuple[Callable[..., Any], list[tuple[float, float]], float]] = {
    "exp": (np.exp, [(-745, 710), (-1, 1), (-1e-9, 1e-9)], 1),
    "expm1": (np.expm1, [(-50, 710), (-1, 1), (-1e-5, 1e-5)], 2),
    "log": (np.log, [(1e-300, 1e300), (0.5, 2), (0.99, 1.01), (5e-324, 1e-308)], 1),
    "log1p": (np.log1p, [(-0.999, 10), (-0.5, 0.5), (-1e-5, 1e-5), (0, 1e10)], 1),
    "exp2": (np.exp2, [(-1075, 1024), (-1, 1), (-1e-9, 1e-9)], 1.2),
    "log2": (np.log2, [(1e-300, 1e300), (0.5, 2), (0.99, 1.01), (5e-324, 1e-308)], 0.8),
    "log10": (np.log10, [(1e-300, 1e300), (0.5, 2), (0.99, 1.01), (5e-324, 1e-308)], 0.8),
    "sin": (np.sin, [(-10, 10), (-1e5, 1e5), (-1e9, 1e9), (1e9, 1e18)], 1),
    "cos": (np.cos, [(-10, 10), (-1e5, 1e5), (-1e9, 1e9), (1e9, 1e18)], 1),
    "tan": (np.tan, [(-10, 10), (-1e5, 1e5)], 2),
    "asin": (np.arcsin, [(-1, 1), (-0.5, 0.5), (0.99, 1), (-1e-8, 1e-8)], 1),
    "acos": (np.arccos, [(-1, 1), (-0.5, 0.5), (0.99, 1), (-1, -0.99)], 1),
    "atan": (np.arctan, [(-10, 10), (-1, 1), (0.4, 0.43), (2.3, 2.5), (-1e9, 1e9)], 2),
    "asinh": (np.arcsinh, [(-10, 10), (-1e-3, 1e-3), (-1e300, 1e300)], 2),
    "acosh": (np.arccosh, [(1, 2), (1, 1.0001), (1, 1e3), (1, 1e300)], 2),
    "atanh": (np.arctanh, [(-1, 1), (-1e-3, 1e-3), (0.99, 1)], 2),
    "cbrt": (np.cbrt, [(-10, 10), (-1e300, 1e300), (-1e-308, 1e-308)], 0.6),
    "sinh": (np.sinh, [(-711, 711), (-2, 2), (-1e-3, 1e-3)], 2),
    "cosh": (np.cosh, [(-711, 711), (-2, 2)], 2),
    "tanh": (np.tanh, [(-30, 30), (-1, 1), (-1e-3, 1e-3)], 2),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), [(-740, 40), (-5, 5)], 2),
}
COUNT = 50_000


def error(values: Any, reference: Any) -> float:
    """The largest distance from the reference, in units in the last place of the result's dtype."""
    rounded = reference.astype(values.dtype)
    unit = np.spacing(np.maximum(np.abs(rounded), np.finfo(values.dtype).tiny)).astype(np.longdouble)
    finite = np.isfinite(rounded)
    same = (values == rounded) | (np.isnan(values) & np.isnan(rounded))
    assert same[~finite].all()
    distances = np.abs(values.astype(np.longdouble) - reference)[finite] / unit[finite]
    return float(distances.max(initial=0))


@pytest.fixture(params=["slow", "quick"])
def divider(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A machine on which a division of a vector takes long, or takes less than Newton's steps."""
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", "")
    monkeypatch.setattr(
        target, "_DIVIDERS", {target.host().cpu: {"slow": (32, 48), "quick": (8, 16)}[request.param]}
    )
    return str(request.param)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", TABLE)
@pytest.mark.usefixtures("divider")
def test_error_bounds(name: str, dtype: str) -> None:
    reference, ranges, bound = TABLE[name]
    x = sg.vector("x", size="n", dtype=dtype)
    f = sg.function([x], getattr(sg, name)(x), backend="llvm")
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**64, COUNT, dtype=np.uint64).view(np.float64)
    with np.errstate(all="ignore"):
        for a in [*[rng.uniform(low, high, COUNT) for low, high in ranges], bits]:
            a = a.astype(dtype)
            assert error(f(a), reference(a.astype(np.longdouble))) <= (bound if dtype == "float64" else 1)


@pytest.mark.parametrize(("dtype", "bound"), [("float64", 1.3), ("float32", 1)])
def test_powers(dtype: str, bound: float) -> None:
    x, y = (sg.vector(n, size="n", dtype=dtype) for n in "xy")
    f = sg.function([x, y], x**y, backend="llvm")
    rng = np.random.default_rng(1)
    a = np.exp(rng.uniform(-20, 20, COUNT)).astype(dtype)
    b = rng.uniform(-30, 30, COUNT).astype(dtype)
    with np.errstate(all="ignore"):
        assert error(f(a, b), np.power(a.astype(np.longdouble), b.astype(np.longdouble))) <= bound


PAIRS: dict[str, tuple[Callable[..., Any], float]] = {
    "atan2": (np.arctan2, 2),
    "hypot": (np.hypot, 1),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.usefixtures("divider")
def test_functions_of_two(name: str, dtype: str) -> None:
    reference, bound = PAIRS[name]
    x, y = (sg.vector(n, size="n", dtype=dtype) for n in "xy")
    f = sg.function([x, y], getattr(sg, name)(x, y), backend="llvm")
    rng = np.random.default_rng(5)
    bits = rng.integers(0, 2**64, (2, COUNT), dtype=np.uint64).view(np.float64)
    tiny = rng.integers(-9, 9, (2, COUNT)) * 5e-324
    with np.errstate(all="ignore"):
        for ab in [rng.normal(size=(2, COUNT)), np.exp(rng.uniform(-30, 30, (2, COUNT))), bits, tiny]:
            a, b = ab.astype(dtype)
            exact = reference(a.astype(np.longdouble), b.astype(np.longdouble))
            assert error(f(a, b), exact) <= (bound if dtype == "float64" else 1)


def test_logarithms_of_powers_are_exact() -> None:
    x = sg.vector("x", size="n")
    powers = np.arange(-1074, 1024)
    np.testing.assert_array_equal(sg.function([x], sg.log2(x), backend="llvm")(2.0**powers), powers)
    np.testing.assert_array_equal(sg.function([x], sg.exp2(x), backend="llvm")(powers), 2.0**powers)
    tens = np.array([float(f"1e{k}") for k in range(23)])
    np.testing.assert_array_equal(sg.function([x], sg.log10(x), backend="llvm")(tens), np.arange(23))
    cubes = np.arange(-1000.0, 1000.0)
    np.testing.assert_array_equal(sg.function([x], sg.cbrt(x), backend="llvm")(cubes**3), cubes)


@pytest.mark.parametrize("n", [-8, -3, -1, 0, 1, 2, 3, 5, 8])
def test_known_powers(n: int) -> None:
    x = sg.vector("x", size="n")
    a = np.random.default_rng(2).normal(size=COUNT)
    ours = sg.function([x], x**n, backend="llvm")(a)
    assert error(ours, np.power(a.astype(np.longdouble), n)) <= 4


@pytest.mark.parametrize("count", [1, 2])
def test_quotients_are_correctly_rounded(count: int, divider: str) -> None:
    """Also where several share a reciprocal, and where it is made of an estimate."""
    x, y = sg.vector("x", size="n"), sg.vector("y", size="n")
    f = sg.function([x, y], [x / y, 1 / y][:count], backend="llvm")
    if target.host().machine.has_avx512:
        assert ("rcp14" in f.code("llvm")) == (divider == "slow")
    rng = np.random.default_rng(3)
    whole = rng.integers(1, 1000, (2, COUNT)).astype(float)
    special = np.array([0.0, -0.0, 1.0, -3.0, np.inf, -np.inf, np.nan, 1e308, 1e-308, 5e-324, 2.0**1023])
    pairs = [rng.normal(size=(2, COUNT)), whole, np.array(np.meshgrid(special, special)).reshape(2, -1)]
    for a, b in [*pairs, *of_all_sizes(rng, "float64")]:
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(f(a, b)[0], a / b)


def of_all_sizes(rng: np.random.Generator, dtype: str) -> list[list[Any]]:
    """Pairs of numbers: of any size, both small, the first small, the quotient small."""
    least, most = {"float64": (-1074, 1023), "float32": (-149, 127)}[dtype]
    small = (least, least + 60)
    pairs = [[(least, most)] * 2, [small, (least // 2, least // 2 + 30)], [small, (-5, 5)]]
    pairs.append([(least + 40, least + 60), (40, 60)])
    return [
        [(rng.uniform(1, 2, COUNT) * 2.0 ** rng.integers(*r, COUNT)).astype(dtype) for r in pair]
        for pair in pairs
    ]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("number", [3, 0.7, -1e20, 1e-20, 1e100])
@pytest.mark.usefixtures("divider")
def test_quotients_by_numbers_are_correctly_rounded(number: float, dtype: str) -> None:
    x = sg.vector("x", size="n", dtype=dtype)
    f = sg.function([x], x / number, backend="llvm")
    with np.errstate(all="ignore"):
        for a, _ in of_all_sizes(np.random.default_rng(3), dtype):
            np.testing.assert_array_equal(f(a), a / a.dtype.type(number))


def test_roots_are_correctly_rounded(divider: str) -> None:
    x = sg.vector("x", size="n")
    f = sg.function([x], sg.sqrt(x), backend="llvm")
    if target.host().machine.has_avx512:
        assert ("rsqrt14" in f.code("llvm")) == (divider == "slow")
    a = np.concatenate([np.abs(np.random.default_rng(4).normal(size=COUNT)), np.arange(1000.0) ** 2])
    np.testing.assert_array_equal(f(a), np.sqrt(a))
    edge = np.array([0.0, -0.0, np.inf, np.nan, -1.0, 1e308, 2.0**-1022])
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(f(edge), np.sqrt(edge))
    for a, _ in of_all_sizes(np.random.default_rng(4), "float64"):
        np.testing.assert_array_equal(f(a), np.sqrt(a))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_reciprocal_roots(dtype: str) -> None:
    x = sg.vector("x", size="n", dtype=dtype)
    f = sg.function([x], sg.rsqrt(x), backend="llvm")
    a = np.abs(np.random.default_rng(4).normal(size=COUNT)).astype(dtype)
    assert error(f(a), 1 / np.sqrt(a.astype(np.longdouble))) <= 1.5


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["exp", "exp2", "expm1", "sigmoid", "silu", "gelu", "ndtr", "erfc"])
def test_what_vanishes_takes_no_longer(name: str, dtype: str) -> None:
    """Masked scores, of -inf or -1e9: to underflow takes processors many times as long as to give 0."""
    x = sg.vector("x", size=8192, dtype=dtype)
    f = sg.function([x], getattr(sg, name)(x), backend="llvm")
    result, times = (
        np.empty(8192, dtype),
        {-1.0: math.inf, -1e9: math.inf, 1e9: math.inf, -math.inf: math.inf},
    )
    arguments = {value: np.full(8192, value, dtype) for value in times}
    for _ in range(40):
        for value, array in arguments.items():
            start = time.perf_counter()
            f.into(result, array)
            times[value] = min(times[value], time.perf_counter() - start)
    assert max(times.values()) < 2 * times[-1.0]


@pytest.mark.usefixtures("divider")
def test_tails() -> None:
    """Derivatives keep their digits where the function itself is flat."""
    x = sg.vector("x", size="n")
    f = sg.function([x], sg.grad(sg.sum(sg.tanh(x)) + sg.sum(sg.sigmoid(x)), x), backend="llvm")
    a = np.array([-300.0, 20.0, 300.0])
    e, h = np.exp(-np.abs(a).astype(np.longdouble)), np.exp(-2 * np.abs(a).astype(np.longdouble))
    expected = 4 * h / (1 + h) ** 2 + e / (1 + e) ** 2
    np.testing.assert_allclose(f(a), expected.astype(float), rtol=1e-14)


# ---- lanes ----------------------------------------------------------------------------------------------

SPECIAL = (math.inf, -math.inf, math.nan, 0.0, -0.0, 1e30, -1e30, 3e9, 1e-40, -7.0, 2.0, 1.0, -1.0, -0.5)
#: All of floats that make something of them.
OF_FLOATS = [
    name
    for name, op in registry.ops.items()
    if isinstance(op, Elementwise) and "float" in op.accepts and not op.conditions and name != "complex"
]


@pytest.mark.parametrize("name", OF_FLOATS)
def test_no_number_depends_on_its_neighbours(name: str, divider: str) -> None:
    """Where registers begin depends on the number of threads; the bits must not."""
    op, count = registry.ops[name], 1000
    assert isinstance(op, Elementwise)
    rng = np.random.default_rng(0)
    for dtype in ("float64", "float32"):
        inputs = [sg.vector(f"x{i}", size="n", dtype=dtype) for i in range(len(op.operands))]
        f = sg.function(inputs, apply(op, *inputs), backend="llvm")
        plain = [(rng.standard_normal(count) * rng.choice([0.3, 3, 30], count)).astype(dtype) for _ in inputs]
        is_special = rng.random(count) < 0.15
        mixed = [np.where(is_special, rng.choice(SPECIAL, count), v).astype(dtype) for v in plain]
        beside_plain, beside_special = bits(f(*plain)), bits(f(*mixed))
        np.testing.assert_array_equal(beside_plain[~is_special], beside_special[~is_special])
        for i in range(100):
            assert bits(f(*[v[i : i + 1] for v in mixed]))[0] == beside_special[i]


def bits(a: Any) -> Any:
    """The numbers' bits; those of all NaNs are the same."""
    return np.where(np.isnan(a), np.nan, a).view(f"u{a.itemsize}") if a.dtype.kind == "f" else a
