"""`nan_guard`: the first node that makes a NaN or an infinity is named, the same on both backends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import symgrad as sg
from symgrad.api.structure import flatten
from symgrad.dims import evaluate, symbols
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import apply
from symgrad.ir.traverse import ancestors
from symgrad.ops.kinds import Elementwise
from symgrad.registry import ops
from symgrad_compiler.plan.finite import BOUNDED
from symgrad_compiler.validate.interpret import is_of_matrices
from tests.graphs import graphs
from tests.ops.sample import Sample
from tests.ops.samples import SAMPLES


def verdict(f: Any, *arguments: Any) -> str:
    """What a guarded call says, "" where it returns."""
    try:
        f(*arguments)
    except (sg.SymgradError, IndexError, ValueError) as error:
        return str(error)
    return ""


def guarded(inputs: Any, outputs: Any, **options: Any) -> Any:
    return sg.function(inputs, outputs, nan_guard=True, **options)


def test_the_error_says_what_where_and_from_what() -> None:
    x = sg.matrix("x", shape=("n", 2))
    y = sg.log(x).named("y")
    f = guarded([x], sg.sum(y))
    assert f.backend == sg.function([x], y).backend
    with pytest.raises(sg.ExecutionError, match="y is not finite, first made by log") as caught:
        f([[1.0, 2.0], [-3.0, 0.0]])
    said = str(caught.value)
    assert "result: float64[2, 2], 0 to 0.693147, 1 NaN and 1 infinite of 4, the first at [1, 0]" in said
    assert "x: float64[2, 2], -3 to 2" in said
    assert "test_nan_guard.py" in said
    assert f([[1.0, 1.0]]) == 0.0


def test_an_argument_or_a_state_that_is_not_finite_is_named() -> None:
    x, w = sg.vector("x"), sg.shared(np.array([1.0, 2.0]), "w")
    f = guarded([x], sg.sum(x) * w)
    assert "the input 'x' is not finite\n  x: float64[3], 1 to 1, 2 NaN of 3, the first at [1]" in verdict(
        f, [1.0, np.nan, np.nan]
    )
    assert verdict(f, [1.0]) == ""
    w.set(np.array([1.0, -np.inf]))
    assert "the state 'w' is not finite" in verdict(f, [1.0])


def test_arguments_are_looked_at_however_they_are_read() -> None:
    """All of them by a kernel; parts; at indices; repeated; by a product; by nothing but a copy or a sum."""
    x = sg.matrix("x", shape=("n", 40))
    i = sg.constant(np.array([0, 2]))
    for y in (
        *(x * 2, x[1:] * 2, sg.take(x, i, axis=0), x.T + 1, x @ sg.ones((40, 2)), x, sg.sum(x, axis=0)),
        *(sg.max(x, axis=1), sg.sum(x), x > 0, sg.argmax(x, axis=0), sg.cumsum(x, axis=1), x[::2] + x[::2]),
        *(sg.softmax(x, axis=1) * x, sg.sum(sg.where(x > 0, x, 0.0), axis=1), sg.sort(x, axis=0)),
    ):
        f = guarded([x], y)
        for place in (0, 41, 83, 87, 159):
            a = np.ones((4, 40))
            assert verdict(f, a) == ""
            a.flat[place] = np.inf
            said = verdict(f, a)
            assert "'x' is not finite\n  x: float64[4, 40], 1 to 1, 1 infinite of 160, the first at" in said
            assert f"[{place // 40}, {place % 40}]" in said


def test_a_derivative_names_the_forward_line_and_the_rule() -> None:
    x = sg.vector("x")
    f = guarded([x], sg.grad(sg.sum(sg.sqrt(x)), x))
    said = verdict(f, [1.0, 0.0])
    assert "is not finite, first made by" in said
    assert "> vjp sqrt.x" in said


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["light", "heavy", "reduced", "heavy and reduced"])
def test_every_element_of_every_length_counts_and_no_other(dtype: str, kind: str) -> None:
    """However wide the vectors are, and those of the ends."""
    x = sg.vector("x", dtype=dtype)
    y = sg.log(x) + 1
    if "heavy" in kind:
        for f in (sg.exp, sg.sin, sg.tanh, sg.log1p, sg.expm1, sg.cos, sg.sigmoid, sg.sqrt, sg.sinh):
            y = y + f(x)
    f = guarded([x], sg.sum(y) if "reduced" in kind else y)
    for n in (*range(20), 31, 32, 33, 64, 65, 100):
        a = np.ones(n, dtype)
        f(a)
        for i in range(n):
            a[i] = 0
            assert "first made by log" in verdict(f, a), (n, i)
            a[i] = 1


@pytest.mark.parametrize("axis", [0, 1, (0, 1)])
def test_sums_and_products_that_overflow(axis: Any) -> None:
    x = sg.matrix("x", dtype="float32")
    a = np.full((300, 7), 1e36, np.float32)
    f, g = guarded([x], sg.sum(x, axis=axis)), guarded([x], sg.prod(x * 10, axis=axis))
    assert "first made by sum" in verdict(f, np.full((300, 7), 3e37, np.float32) * (1 + 9 * (axis == 1)))
    assert "first made by prod" in verdict(g, a)
    assert verdict(f, a / 10) == ""
    assert verdict(f, np.empty((0, 0), np.float32)) == ""
    assert verdict(guarded([x], sg.max(x, axis=1)), a) == ""


def test_steps_that_are_no_kernels() -> None:
    x = sg.matrix("x", shape=("n", "n"))
    big = np.full((40, 40), 1e200)
    for made, name in [
        (x @ x, "matmul"),
        (sg.cumprod(x, axis=0), "cumulative_prod"),
        (sg.sum(x * x), "square"),
        (sg.sum(sg.take(x, sg.constant([0, 0]), axis=0) * 1e200), "multiply"),
        (sg.astype(x, "complex128") * (1e200 + 0j), "multiply"),
    ]:
        said = verdict(guarded([x], made), big)
        assert said, name
        assert name in said
        assert verdict(guarded([x], made), np.ones((40, 40))) == ""


def test_products_with_vectors() -> None:
    """However a plan computes them."""
    x, v, u = sg.matrix("x", shape=("n", "k")), sg.vector("v", size="k"), sg.vector("u", size="n")
    row, column = u[None, :], v[:, None]
    products = (x @ v, u @ x, v @ v, row @ x, x @ column, x.T @ u, column.T @ x.T, x.T @ row.T)
    for y in products:
        f = guarded([x, v, u], y, on_unused_input="ignore")
        assert verdict(f, np.ones((30, 20)), np.ones(20), np.ones(30)) == ""
        big = (np.full((30, 20), 1e200), np.full(20, 1e200), np.full(30, 1e200))
        assert "is not finite, first made by matmul" in verdict(f, *big)


def test_scattered_values_that_overflow() -> None:
    x, i = sg.vector("x"), sg.vector("i", dtype="int64")
    f = guarded([x, i], sg.grad(sg.sum(sg.take(x, i) * 1e308), x), on_unused_input="ignore")
    assert verdict(f, np.ones(4), [0, 1, 2]) == ""
    assert "scatter" in verdict(f, np.ones(4), [1, 1, 1])


def test_what_is_scattered_in_a_loop_over_rows() -> None:
    """It lies in memory for one block, of which a short block leaves the rest as it was."""
    x, c = sg.matrix("x", shape=("n", 32)), sg.vector("c", size="n")
    i = sg.matrix("i", shape=("n", 2), dtype="int64")
    h = sg.exp(x)
    d_x = sg.grad(sg.sum(sg.tanh(h)) + sg.sum(c[:, None] * sg.take_along_axis(h, i, axis=1)), x)
    f = guarded([x, c, i], sg.tanh(d_x))
    if f.backend == "llvm":
        assert "zeros scatter_add_along_axis[rows of the loop, 32]" in f.plan()
    for row in (60, 149):
        big = np.ones(150)
        big[row] = 1e308
        said = verdict(f, np.zeros((150, 32)), big, np.ones((150, 2), int))
        assert "scatter_add_along_axis is not finite" in said
        assert f"the first at [{row}, 1]" in said
        for n in (3, 0, 1, 200):
            assert verdict(f, np.zeros((n, 32)), np.ones(n), np.ones((n, 2), int)) == ""


def test_rows_in_one_loop() -> None:
    x = sg.matrix("x", dtype="float32")
    norm = (x - sg.mean(x, axis=1, keepdims=True)) / sg.std(x, axis=1, keepdims=True)
    f = guarded([x], sg.softmax(norm, axis=1) * 2)
    a = np.random.default_rng(0).normal(size=(700, 130)).astype(np.float32)
    assert verdict(f, a) == ""
    a[613] = 7.0
    assert "is not finite, first made by" in verdict(f, a)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_say_what_they_find(threads: int) -> None:
    x, m = sg.vector("x"), sg.matrix("m")
    f = guarded([x], [sg.log(x) * 2, sg.sum(sg.log(x))])
    g = guarded([m], sg.softmax(sg.log(m), axis=1) * m)
    before = sg.get_num_threads()
    sg.set_num_threads(threads)
    try:
        a, b = np.ones(400_000), np.ones((6_000, 100))
        assert verdict(f, a) == verdict(g, b) == ""
        for place in (0, 1, 63_999, 201_010, 399_999):
            a[place], b.flat[place] = 0, 0
            assert f"the first at [{place}]" in verdict(f, a)
            assert f"the first at [{place // 100}, {place % 100}]" in verdict(g, b)
            a[place], b.flat[place] = 1, 1
    finally:
        sg.set_num_threads(before)


def test_kernels_that_share_code() -> None:
    """Every step of a recurrence is a kernel of its own; some are checked in another way."""
    x, u = sg.vector("x", size=4), sg.matrix("u", shape=(4, 4))
    states, h = [], x
    for _ in range(6):
        h = sg.tanh(u @ h) / h
        states.append(h)
    masked = sg.where(x > 0, x, -np.inf)
    f = guarded([x, u], [*states, masked * 2, x * 2])
    assert verdict(f, np.full(4, 0.5), np.eye(4)) == ""
    assert "first made by" in verdict(f, np.full(4, 0.5), np.zeros((4, 4)))
    assert verdict(f, np.array([0.5, 0.5, 0.5, -0.5]), np.eye(4)) == ""


def test_infinities_that_the_graph_holds_are_intended() -> None:
    x, keep = sg.matrix("x", shape=("n", "k")), sg.tensor("keep", ("n", "k"), "bool")
    scores = sg.where(keep, x, -np.inf)
    p = sg.softmax(scores, axis=1)
    loss = -sg.mean(sg.log_softmax(scores, axis=1)[:, 0])
    f = guarded([x, keep], [p, loss, sg.grad(loss, x), sg.max(scores)])
    a = np.random.default_rng(0).normal(size=(6, 50))
    mask = a < 1
    mask[:, 0] = True
    assert verdict(f, a, mask) == ""
    mask[3] = False
    assert verdict(f, a, mask) == ""  # its softmax is 0, the logarithm of that -inf
    after = guarded([x, keep], 1 / p)
    assert "is not finite, first made by reciprocal" in verdict(after, a, mask)
    missing = guarded([x, keep], sg.where(keep, x, np.nan) + 1)
    assert verdict(missing, a, mask) == ""


def test_ops_said_to_be_bounded_are() -> None:
    """Of infinities they make numbers or NaN."""
    values = np.array([np.inf, -np.inf, 1e300, -0.5, 0.0])
    for name in BOUNDED:
        op = ops[name]
        if not isinstance(op, Elementwise):
            continue
        a, b = (sg.constant(np.tile(v, 5)) for v in (values, values[::-1]))
        assert not np.isinf(apply(op, *[a, b][: len(op.operands)]).eval()).any(), name
    assert np.isfinite(sg.softmax(sg.constant(np.array([-np.inf, 1.0, 3.0]))).eval()).all()


def test_state_keeps_its_old_value() -> None:
    w, n = sg.shared(np.ones((3, 3)), "w"), sg.shared(np.arange(3.0), "n")
    x = sg.matrix("x", shape=(3, 3))
    f = guarded([x], sg.sum(x), updates={w: w - 0.5 * (x @ x), n: sg.log(n * 2 + x[0, 0])})
    with pytest.raises(sg.ExecutionError, match="first made by log"):
        f(np.zeros((3, 3)))
    np.testing.assert_array_equal(w.get(), np.ones((3, 3)))
    np.testing.assert_array_equal(n.get(), np.arange(3.0))
    f(np.ones((3, 3)))
    np.testing.assert_allclose(w.get(), -0.5)
    np.testing.assert_allclose(n.get(), np.log([1.0, 3.0, 5.0]))


def test_into_and_compiled_programs_kept_on_disk() -> None:
    """A guarded program and an unguarded one are kept apart; one from the disk explains as a new one does."""
    x = sg.vector("x", size=3)
    y = sg.log(x) * 3
    bare, first, second = sg.function([x], y), guarded([x], y), guarded([x], y)
    assert bare([1.0, 0.0, 1.0])[1] == -np.inf
    assert verdict(first, [1.0, 0.0, 1.0]) == verdict(second, [1.0, 0.0, 1.0]) != ""
    out = np.empty(3)
    with pytest.raises(sg.ExecutionError, match="first made by log"):
        second.into(out, [1.0, 0.0, 1.0])
    second.into(out, [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(out, 0)


SPOILT = [None, 0.0, 1e30, 1e-30]
#: The first sample of each op; the campaign takes all.
SAMPLE_ROWS = [
    pytest.param(s, id=f"{n}-{i}", marks=[pytest.mark.campaign] if i else [])
    for n, row in SAMPLES.items()
    for i, s in enumerate(row)
]


@pytest.mark.slow
@pytest.mark.seen
@pytest.mark.native
@pytest.mark.parametrize("sample", SAMPLE_ROWS)
def test_samples_are_judged_alike(sample: Sample, backend: str) -> None:
    """Each op, and a division and a logarithm behind it, on arguments of which some are 0, huge or tiny: the
    same error, word for word, as on NumPy, or the results of the program without a guard."""
    shapes = sample.shapes or [a.shape for a in sample.operands]
    operands = zip(shapes, sample.operands, strict=True)
    xs = [sg.tensor(f"x{i}", shape, a.dtype) for i, (shape, a) in enumerate(operands)]
    ys = flatten(sample.build(*xs))
    ys += [y for y in ys if y.dtype.kind == "float" for y in (1 / y, sg.sum(sg.log(y)))]
    options: Any = dict(on_unused_input="ignore", validate=False)
    ours, theirs = (guarded(xs, ys, backend=b, **options) for b in ("llvm", "numpy"))
    bare = sg.function(xs, ys, backend="numpy", **options)
    for number, factor in enumerate(SPOILT):
        chosen = np.random.default_rng(number)
        values = [
            a
            if factor is None or a.dtype.kind not in "fc" or not np.isfinite(a).all()
            else (a * np.where(chosen.random(a.shape) < 0.3, factor, 1)).astype(a.dtype)
            for a in sample.operands
        ]
        said = verdict(ours, *values)
        assert said == verdict(theirs, *values)
        if not said:
            of_matrices = any(map(is_of_matrices, ancestors(ys)))  # accurate beside the largest element
            for a, b in zip(ours(*values), bare(*values), strict=True):
                eps = 1e-5 if np.asarray(a).dtype.itemsize < 8 else 1e-12
                finite = np.abs(b)[np.isfinite(b)]
                size = float(finite.max(initial=0)) if of_matrices else 0.0
                np.testing.assert_allclose(a, b, rtol=eps, atol=eps * size)


@settings(max_examples=40, phases=[Phase.generate])
@given(graphs(), st.integers(0, 2**32 - 1))
def test_random_graphs_are_judged_alike(graph: Graph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = {
        n: int(rng.integers(1, 4))
        for n in sorted({n for t in graph.inputs for d in t.shape for n in symbols(d)})
    }
    values = [
        rng.integers(-1, 3, [evaluate(d, sizes) for d in t.shape]).astype(t.dtype.numpy) for t in graph.inputs
    ]
    inputs = dict(zip(graph.input_names, graph.inputs, strict=True))
    before = {s: s.get() for s in graph.states}
    said = []
    for name in ("llvm", "numpy"):
        f = guarded(
            inputs, list(graph.outputs), updates=graph.updates, on_unused_input="ignore", backend=name
        )
        said.append(verdict(f, *values))
        if said[-1]:
            assert all(np.array_equal(s.get(), old) for s, old in before.items())
        for s, old in before.items():
            s.set(old)
    assert said[0] == said[1]
