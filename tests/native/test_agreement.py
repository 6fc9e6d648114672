"""The native backend against the NumPy backend: every op on every dtype and special values, random graphs."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import symgrad as sg
from symgrad import registry
from symgrad.api.structure import flatten
from symgrad.dims import evaluate, symbols
from symgrad.ir.graph import Graph
from symgrad.ops.kinds import Elementwise
from symgrad.types import DTYPES
from symgrad_compiler.passes.release import release
from symgrad_compiler.plan.planes import OF_PAIRS, TO_REAL
from symgrad_compiler.validate import Arguments, Estimate, Estimates, Interpreter, agree
from symgrad_compiler.validate.noise import MANY
from tests.agreement import compiled
from tests.graphs import graphs
from tests.ops.samples import SAMPLES, Sample
from tests.ops.samples_conv import CONV
from tests.ops.samples_linalg import LINALG
from tests.ops.samples_linalg_complex import LINALG_COMPLEX

#: Units in the last place by which the backends may differ: NumPy's own functions are within 4, ours within
#: 3. Composites (softplus, logaddexp, sech_squared) add up.
ULPS = {"float64": 8, "float32": 4}
#: tan and pow of NumPy in float32, and what is built on them.
LOOSE = {"pow": 16, "tan": 16, "sinh": 16, "cosh": 16, "logaddexp": 16, "softplus": 16, "sech_squared": 32}

FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e-3, 40.0, -40.0, 700.0, -745.0, 1e9, 1e22, np.pi]
LIMITS = [np.inf, -np.inf, np.nan]


def values(dtype: Any) -> np.ndarray:
    """Ordinary and special numbers of a dtype."""
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        near = [0, 1, 2, 3, 7, 63, info.max, info.max - 1, info.min, info.min + 1]
        return np.array([*near, *([-1, -2, -3, -8] if dtype.kind == "i" else [])], dtype)
    info = np.finfo(dtype)
    tiny = [info.tiny, info.smallest_subnormal, -info.tiny, info.max, -info.max, info.eps]
    with np.errstate(over="ignore"):
        return np.array([*FLOATS, *LIMITS, *tiny], dtype)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference in units in the last place; NaN equals NaN, infinities must be equal."""
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    a, b = a[~same], b[~same]
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return np.inf
    largest = np.maximum(np.abs(a), np.abs(b))
    unit = np.spacing(np.maximum(largest, np.finfo(a.dtype).tiny))
    with np.errstate(over="ignore"):
        return float((np.abs(a - b) / unit).max())


CASES = [
    (name, dtype)
    for name, op in registry.ops.items()
    if isinstance(op, Elementwise)
    for dtype in DTYPES.values()
    if dtype.kind in op.accepts
]


@pytest.mark.parametrize(("name", "dtype"), CASES, ids=str)
def test_elementwise_on_special_values(name: str, dtype: Any) -> None:
    op = registry.ops[name]
    if dtype.kind == "complex":
        pytest.skip("see below")
    if name == "pow" and dtype.kind in ("int", "uint"):
        pytest.skip("calls back into NumPy")
    kinds = [np.dtype(bool) if i < op.conditions else dtype.numpy for i in range(len(op.operands))]
    grids = np.meshgrid(*[values(k) for k in kinds], indexing="ij")
    arrays = [np.ascontiguousarray(g.ravel()) for g in grids]
    xs = [sg.tensor(f"x{i}", ("n",), a.dtype) for i, a in enumerate(arrays)]
    reference = sg.function(xs, op(*xs), backend="numpy")(*arrays)
    native = sg.function(xs, op(*xs), backend="llvm")(*arrays)
    assert native.dtype == reference.dtype
    if native.dtype.kind != "f":
        np.testing.assert_array_equal(native, reference)
    else:
        assert distance(native, reference) <= max(ULPS[native.dtype.name], LOOSE.get(name, 0))
        zeros = (native == 0) & (reference == 0)
        if name not in ("maximum", "minimum", "relu"):  # of 0 and -0 either is right
            np.testing.assert_array_equal(np.signbit(native[zeros]), np.signbit(reference[zeros]))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", [op.name for op in (*OF_PAIRS, *TO_REAL) if op.name != "complex"])
def test_complex_numbers_on_special_values(name: str, dtype: str) -> None:
    """What NumPy gives, but for which parts of a result that is not finite are infinite and which NaN."""
    op = registry.ops[name]
    part = np.float32 if dtype == "complex64" else np.float64
    info = np.finfo(part)
    parts = [0, -0.0, 1.5, -2.5, 1e-3, info.tiny / 4, info.max / 4, -info.max / 4, np.inf, -np.inf, np.nan]
    x, y = np.meshgrid(np.array(parts, part), np.array(parts, part))
    z = (np.zeros(x.shape) + x).ravel().astype(dtype)
    z.real, z.imag = x.ravel(), y.ravel()
    kinds = [np.dtype(bool) if i < op.conditions else np.dtype(dtype) for i in range(len(op.operands))]
    grids = np.meshgrid(*[np.array([False, True]) if k.kind == "b" else z for k in kinds], indexing="ij")
    arrays = [np.ascontiguousarray(g.ravel()) for g in grids]
    xs = [sg.tensor(f"x{i}", ("n",), a.dtype) for i, a in enumerate(arrays)]
    reference = sg.function(xs, op(*xs), backend="numpy")(*arrays)
    native = sg.function(xs, op(*xs), backend="llvm")(*arrays)
    assert "call back" not in sg.function(xs, op(*xs), backend="llvm").plan()
    if native.dtype.kind == "b":
        np.testing.assert_array_equal(native, reference)
        return
    finite = np.isfinite(reference)
    wrong = finite != np.isfinite(native)
    with np.errstate(all="ignore"):
        far = np.abs(native - reference) > 4 * info.eps * np.abs(reference) + info.tiny
    wrong |= finite & far
    places = np.flatnonzero(wrong)[:5]
    assert not len(places), [(*[a[i] for a in arrays], reference[i], native[i]) for i in places]


#: Lengths around whole vectors, of one and of several side by side.
LENGTHS = (0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 130, 1000, 4097)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "bool"])
def test_every_length(dtype: str) -> None:
    x = sg.tensor("x", ("n",), dtype)
    y = x if dtype == "bool" else x * x + x
    outputs = [y, sg.sum(y), *([] if dtype == "bool" else [sg.max(sg.concat([y, x])), y[::-1], y[::3]])]
    f = sg.function([x], outputs, backend="llvm")
    g = sg.function([x], outputs, backend="numpy")
    rng = np.random.default_rng(0)
    for n in LENGTHS[1:]:
        a = rng.integers(-9, 9, n).astype(dtype)
        for ours, theirs in zip(f(a), g(a), strict=True):
            np.testing.assert_array_equal(ours, theirs)


SHAPES = [(3, 4), (1, 1), (5, 1), (1, 6), (129, 17), (2, 300), (300, 2), (0, 3), (3, 0)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("axis", [0, 1, None])
def test_reductions_along_every_axis(shape: tuple[int, int], axis: int | None) -> None:
    x = sg.matrix("x", shape=("n", "m"))
    made = [sg.sum(x, axis=axis), sg.prod(x, axis=axis), sg.logsumexp(x, axis=axis)]
    empty = 0 in shape
    if not empty:
        made += [sg.max(x, axis=axis), sg.min(x, axis=axis), sg.argmax(x, axis=axis), sg.argmin(x, axis=axis)]
    a = np.random.default_rng(1).normal(size=shape)
    f = sg.function([x], made, backend="llvm")
    g = sg.function([x], made, backend="numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for ours, theirs in zip(f(a), g(a), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-14)


def _rows(dtype: str, m: int) -> np.ndarray:
    """Ties, zeros of both signs, the ends of the range alone and among others, NaN first, last and twice."""
    rng = np.random.default_rng(m)
    ends = [False, True] if dtype == "bool" else [-np.inf, np.inf]
    if dtype[0] in "iu":
        ends = [int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)]
    rows = [np.full(m, e) for e in ends]
    rows += [rng.integers(0, high, m) for high in (2, 3, 100) for _ in range(4)]
    rows += [np.where(rng.random(m) < 0.9, e, 1) for e in ends]
    if dtype[0] == "f":
        rows += [np.where(rng.random(m) < 0.5, 0.0, -0.0), rng.normal(size=m)]
        for place in (0, m // 2, m - 1):
            row = rng.normal(size=m)
            row[[place, m - 1]] = np.nan
            rows += [row, np.where(np.isnan(row), row, np.inf), np.where(np.isnan(row), row, -np.inf)]
    return np.array(rows).astype(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("axis", [0, 1])
def test_where_extremes_are(dtype: str, axis: int) -> None:
    """The first of equal ones, and the first NaN, alone and beside the extreme itself, which is found so;
    lengths around whole vectors, known before and when it runs."""
    for m in (1, 3, 8, 16, 17, 40, 67, 300):
        a = _rows(dtype, m)
        a = a if axis == 1 else np.ascontiguousarray(a.T)
        for shape in (("n", "m"), a.shape):
            x = sg.tensor("x", shape, dtype)
            y = x if dtype == "bool" else x + 0
            functions = ["argmax", "argmin", *(["any", "all"] if dtype == "bool" else ["max", "min"])]
            f = sg.function([x], [getattr(sg, name)(y, axis=axis) for name in functions], backend="llvm")
            alone = sg.function([x], sg.argmin(y, axis=axis), backend="llvm")
            wanted = [getattr(a, name)(axis) for name in functions]
            np.testing.assert_array_equal(alone(a), wanted[1], err_msg=f"{m}")
            for ours, theirs in zip(f(a), wanted, strict=True):
                np.testing.assert_array_equal(ours, theirs, err_msg=f"{m}")


def test_reductions_of_three_axes() -> None:
    x = sg.tensor("x", ("a", 5, "c"))
    subsets = [axes for k in (1, 2, 3) for axes in itertools.combinations(range(3), k)]
    made = [op(x, axis=axes) for axes in subsets for op in (sg.sum, sg.max)]
    f, g = (sg.function([x], made, backend=b) for b in ("llvm", "numpy"))
    for shape in ((4, 5, 6), (1, 5, 40), (200, 5, 1)):
        a = np.random.default_rng(2).normal(size=shape)
        for ours, theirs in zip(f(a), g(a), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


def test_maximum_of_nothing_is_an_error_on_both() -> None:
    x = sg.matrix("x", shape=("n", 3))
    for backend in ("numpy", "llvm"):
        f = sg.function([x], sg.max(x, axis=0), backend=backend)
        with pytest.raises(sg.ExecutionError, match="zero-size array"):
            f(np.empty((0, 3)))


def test_long_sums_keep_their_digits() -> None:
    x = sg.vector("x", size="n", dtype="float32")
    m = sg.matrix("m", shape=("n", 3), dtype="float32")
    a = np.random.default_rng(3).uniform(0, 1, 3_000_000).astype(np.float32)
    total = sg.function([x], sg.sum(x), backend="llvm")(a)
    assert abs(float(total) / a.sum(dtype=np.float64) - 1) < 1e-6
    columns = sg.function([m], sg.sum(m, axis=0), backend="llvm")(a.reshape(-1, 3))
    np.testing.assert_allclose(columns, a.reshape(-1, 3).sum(0, dtype=np.float64), rtol=2e-6)


#: The first sample of each op; the campaign takes all.
CASE_ROWS = [
    pytest.param(n, s, id=f"{n}-{i}", marks=[pytest.mark.campaign] if i else [])
    for n, row in SAMPLES.items()
    for i, s in enumerate(row)
]


@pytest.mark.seen
@pytest.mark.parametrize(("name", "sample"), CASE_ROWS)
def test_samples_agree(name: str, sample: Sample) -> None:
    """Of sums of products, in units of the largest element: terms cancel, in another order."""
    shapes = sample.shapes or [a.shape for a in sample.operands]
    xs = [
        sg.tensor(f"x{i}", s, a.dtype) for i, (s, a) in enumerate(zip(shapes, sample.operands, strict=True))
    ]
    ys = flatten(sample.build(*xs))
    found = [
        sg.function(xs, ys, backend=b, on_unused_input="ignore")(*sample.operands) for b in ("llvm", "numpy")
    ]
    sums = name in LINALG or name in LINALG_COMPLEX or name in CONV
    for ours, theirs in zip(*found, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        if ours.dtype.kind == "f" and not sums:
            assert distance(np.ravel(ours), np.ravel(theirs)) <= 32
        elif ours.dtype.kind in "fc":
            largest = np.abs(theirs).max(initial=0)
            assert np.abs(ours - theirs).max(initial=0) <= 32 * np.finfo(ours.dtype).eps * largest
        else:
            np.testing.assert_array_equal(ours, theirs)


def small_arguments(graph: Graph, seed: int) -> Arguments:
    """Values of order one; indices among them may be out of bounds."""
    rng = np.random.default_rng(seed)
    names = sorted({n for t in graph.inputs for d in t.shape for n in symbols(d)})
    sizes = {n: int(rng.integers(1, 4)) for n in names}
    values = {s: s.state.array.copy() for s in graph.states}
    for t in graph.inputs:
        shape = [evaluate(d, sizes) for d in t.shape]
        if t.dtype.kind == "complex":
            values[t] = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(t.dtype.numpy)
        elif t.dtype.kind == "float":
            values[t] = rng.uniform(-2, 2, shape).astype(t.dtype.numpy)
        else:
            values[t] = rng.integers(0, 2, shape).astype(t.dtype.numpy)
    return Arguments("ordinary", values, sizes)


@settings(max_examples=60, phases=[Phase.generate])
@given(graphs(), st.integers(0, 2**32 - 1))
def test_random_graphs_agree(graph: Graph, seed: int) -> None:
    """Outputs and new states on both backends, or the same error."""
    given_values = small_arguments(graph, seed)
    found: list[Any] = []
    for backend in ("numpy", "llvm"):
        try:
            found.append(compiled(graph, backend)(given_values))
        except (IndexError, ValueError, sg.SymgradError) as error:
            found.append(f"{type(error).__name__}: {str(error).splitlines()[0]}")
    theirs, ours = found
    if isinstance(theirs, str) or isinstance(ours, str):
        assert ours == theirs
        return
    written = release(graph)
    estimates = Estimates(Interpreter(given_values.values, given_values.sizes))
    for i, (known, a, b) in enumerate(zip(estimates(written), theirs, ours, strict=True)):

        def known_now(known: Estimate = known) -> Estimate:
            return known

        def known_better(i: int = i) -> Estimate:
            return estimates(written, MANY)[i]

        for value in (a, b):
            assert agree("stable", known.value, value, known_now, again=known_better) is None, f"{graph}"


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 5e-7), ("float64", 1e-14)])
def test_long_sums_lose_little(dtype: str, bound: float) -> None:
    """Equal terms, whose roundings all go one way, and an infinity among them."""
    x = sg.vector("x", size="n", dtype=dtype)
    f = sg.function([x], [sg.sum(x), sg.mean(x)], backend="llvm")
    for value in (0.1, 0.3, 7.7):
        a = np.full(5_000_003, value, dtype)
        exact = float(a[0])
        total, mean = f(a)
        assert abs(float(total) / (exact * a.size) - 1) < bound
        assert abs(float(mean) / exact - 1) < bound
    a[4_000_000] = np.inf
    assert f(a) == [np.inf, np.inf]
