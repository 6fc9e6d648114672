"""Shape and creation beside the generic tests: errors, NumPy on random shapes, symbolic sizes, masked NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad as sg

X = sg.tensor("x", (3, 4))
N = sg.tensor("n_by_4", ("n", 4))
V = sg.tensor("v", (3,))

# ---- errors -----------------------------------------------------------------------------------------

ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda: sg.reshape(X, (5, -1)), sg.ShapeError, "cannot reshape"),
    (lambda: sg.reshape(X, (-1, -1)), sg.ShapeError, "at most one"),
    (lambda: sg.reshape(N, (3, -1)), sg.ShapeError, "cannot reshape"),
    (lambda: sg.reshape(sg.zeros((0, 3)), (0, -1)), sg.ShapeError, "not determined"),
    (lambda: sg.permute_dims(X, (0, 0)), sg.ShapeError, "repeated"),
    (lambda: sg.permute_dims(X, (0,)), sg.ShapeError, "permutation"),
    (lambda: sg.expand_dims(X, axis=3), sg.AxisError, "axis 3 does not exist"),
    (lambda: sg.expand_dims(X, axis=(0, -4)), sg.ShapeError, "repeated"),
    (lambda: sg.squeeze(X, axis=0), sg.ShapeError, "only axes of size 1"),
    (lambda: sg.squeeze(N, axis=0), sg.ShapeError, "by chance does not count"),
    (lambda: sg.moveaxis(X, (0, 1), 0), sg.ShapeError, "as many destinations"),
    (lambda: sg.moveaxis(X, (0, -2), (0, 1)), sg.ShapeError, "repeated"),
    (lambda: sg.swapaxes(X, 0, 2), IndexError, "axis 2 does not exist"),
    (lambda: sg.broadcast_to(X, (4,)), sg.ShapeError, "fewer dimensions"),
    (lambda: sg.broadcast_arrays(X, V), sg.ShapeError, "do not broadcast"),
    (lambda: sg.broadcast_shapes((2, 3), (3, 2)), sg.ShapeError, "do not broadcast"),
    (lambda: sg.concat([]), sg.ShapeError, "at least one"),
    (lambda: sg.concat(X), sg.ShapeError, "takes a list"),
    (lambda: sg.concat([X, V]), sg.ShapeError, "equal shapes"),
    (lambda: sg.concat([X, sg.zeros((3, 5))]), sg.ShapeError, "equal shapes but for axis 0"),
    (lambda: sg.concat([X, X], axis=2), sg.AxisError, "axis 2"),
    (lambda: sg.concat([sg.constant(1.0), sg.constant(2.0)]), sg.ShapeError, "use stack"),
    (lambda: sg.stack([X, X.T]), sg.ShapeError, "one shape"),
    (lambda: sg.stack([X, X], axis=3), sg.AxisError, "axis 3"),
    (lambda: sg.unstack(N), sg.ShapeError, "fixed size"),
    (lambda: sg.split(X, 3, axis=1), sg.ShapeError, "does not split into 3"),
    (lambda: sg.split(X, 0), sg.ShapeError, "does not split into 0"),
    (lambda: sg.split(X, sizes=[1, 1]), sg.ShapeError, "add up to 2, not 3"),
    (lambda: sg.split(X, sizes=[4, -1]), sg.ShapeError, "negative"),
    (lambda: sg.split(N, 2), sg.ShapeError, "does not split into 2"),
    (lambda: sg.array_split(X, 0), sg.ShapeError, "into 0 pieces"),
    (lambda: sg.flip(X, axis=(0, -2)), sg.ShapeError, "repeated"),
    (lambda: sg.flip(X, axis=-3), sg.AxisError, "axis -3"),
    (lambda: sg.roll(X, (1, 2, 3), axis=(0, 1)), sg.ShapeError, "a shift for each axis"),
    (lambda: sg.roll(X, 1.5), sg.ShapeError, "a shift must be an int"),
    (lambda: sg.roll(X, sg.scalar("s", "int64")), sg.ShapeError, "a shift must be an int"),
    (lambda: sg.tile(X, -1), sg.ShapeError, "not be negative"),
    (lambda: sg.repeat(X, -1), sg.ShapeError, "not be negative"),
    (lambda: sg.repeat(X, [1, 2], axis=0), sg.ShapeError, "a count for each of the 3"),
    (lambda: sg.repeat(X, [1, -2, 0], axis=0), sg.ShapeError, "none negative"),
    (lambda: sg.repeat(X, [1.0, 2.0, 3.0], axis=0), sg.ShapeError, "list of ints"),
    (lambda: sg.repeat(X, sg.tensor("r", (3,), "int64"), axis=0), sg.ShapeError, "must not depend on values"),
    (lambda: sg.repeat(N, [1, 2], axis=0), sg.ShapeError, "each of the n"),
    (lambda: sg.pad(X, -1), sg.ShapeError, "cannot be negative"),
    (lambda: sg.pad(X, 1.5), sg.ShapeError, "a width must be an int"),
    (lambda: sg.pad(X, ((1, 2), (3, 4), (5, 6))), sg.ShapeError, "a pair for each axis"),
    (lambda: sg.pad(X, ((1, 2, 3),)), sg.ShapeError, "a pair for each axis"),
    (lambda: sg.pad(X, {2: 1}), sg.AxisError, "axis 2"),
    (lambda: sg.pad(X, 1, "mirror"), sg.ShapeError, "no mode 'mirror'"),
    (lambda: sg.pad(sg.zeros((0, 2)), 1, "edge"), sg.ShapeError, "nothing for pad to repeat"),
    (lambda: sg.pad(X, 1, constant_values=V), sg.ShapeError, "no dimensions"),
    (lambda: sg.pad(X.astype("int32"), 1, constant_values=0.5), sg.DTypeError, "does not hold"),
    (lambda: sg.pad(X > 0, 1, constant_values=2), sg.DTypeError, "does not hold"),
    (lambda: sg.pad(X.astype("int8"), 1, constant_values=-129), sg.DTypeError, "does not hold"),
    (lambda: sg.pad(X, 1, constant_values=1j), sg.DTypeError, "does not hold"),
    (lambda: sg.meshgrid(X), sg.ShapeError, "1-d"),
    (lambda: sg.meshgrid(V, indexing="yx"), sg.ShapeError, '"xy" or "ij"'),
    (lambda: sg.tril(V), sg.ShapeError, "at least 2 dimensions"),
    (lambda: sg.triu(X, k=0.5), sg.ShapeError, "must be an int"),
    (lambda: sg.diag(sg.zeros((2, 3, 4))), sg.ShapeError, "axis1=-2"),
    (lambda: sg.diagonal(X, 0, 1, -1), sg.ShapeError, "two different axes"),
    (V.trace, sg.ShapeError, "at least 2 dimensions"),
    (lambda: sg.eye(-1), sg.ShapeError, "not be negative"),
    (lambda: sg.eye(3, k=0.5), sg.ShapeError, "must be an int"),
    (lambda: sg.linspace(0, 1, -1), sg.ShapeError, "not be negative"),
    (lambda: sg.arange(0, 1, 0), sg.ShapeError, "never arrives"),
    (lambda: sg.arange(0, np.inf), sg.ShapeError, "infinitely many"),
    (lambda: sg.arange(0, X.shape[0], np.nan), sg.ShapeError, "infinitely many"),
    (lambda: sg.arange(0, N.shape[0], 0.5), sg.ShapeError, "symbolic sizes beside ints"),
    (lambda: sg.arange(sg.scalar("s")), sg.ShapeError, "cannot depend on values"),
    (lambda: sg.arange(0.5, 3, dtype="int64"), sg.DTypeError, "does not make int64"),
    (lambda: sg.zeros(3, device="gpu"), sg.SymgradError, "no device"),
    (lambda: sg.asarray([[X, 1.0], [2.0]]), sg.ShapeError, "one shape"),
    (lambda: X.to_device("gpu"), sg.SymgradError, "no device"),
    (lambda: sg.isdtype("float32", "floating"), sg.DTypeError, "not a kind"),
    (sg.result_type, sg.DTypeError, "at least one"),
    (lambda: sg.finfo("int8"), sg.DTypeError, "use iinfo"),
    (lambda: sg.iinfo("float32"), sg.DTypeError, "use finfo"),
    (lambda: X.__array_namespace__(api_version="1.0"), ValueError, "not known"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "error", "text"), ERRORS, ids=[text for *_, text in ERRORS])
def test_errors_when_the_graph_is_built(build: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        build()


# ---- random shapes ----------------------------------------------------------------------------------


@st.composite
def arrays(draw: Any, min_rank: int = 0) -> np.ndarray:
    shape = draw(st.lists(st.integers(0, 4), min_size=min_rank, max_size=3))
    dtype = draw(st.sampled_from(["float64", "float32", "int16", "bool"]))
    return (np.arange(int(np.prod(shape))).reshape(shape) % 11 - 4).astype(dtype)


def axes_of(data: Any, x: np.ndarray) -> Any:
    """None, an axis, or some axes, counted from either end."""
    if not x.ndim:
        return data.draw(st.sampled_from([None, ()]))
    axis = st.integers(-x.ndim, x.ndim - 1)
    some = st.lists(axis, unique_by=lambda a: a % x.ndim, max_size=x.ndim).map(tuple)
    return data.draw(st.one_of(st.none(), axis, some))


def axis_of(data: Any, x: np.ndarray) -> Any:
    return data.draw(st.integers(-x.ndim, x.ndim - 1))


def two_axes(data: Any, x: np.ndarray) -> Any:
    return data.draw(st.permutations(range(x.ndim)))[:2]


OFFSETS = st.integers(-5, 5)


def shape_of(data: Any, count: int, low: int = 0, high: int = 3) -> tuple[int, ...]:
    return tuple(data.draw(st.lists(st.integers(low, high), min_size=count, max_size=count)))


def _roll(data: Any, x: np.ndarray) -> tuple[Any, ...]:
    axis = axes_of(data, x)
    axis = None if axis == () else axis  # NumPy fails for no axes
    several = isinstance(axis, tuple)
    return (shape_of(data, len(axis), -9, 9) if several else data.draw(st.integers(-9, 9)), axis)


def _pad(data: Any, x: np.ndarray) -> tuple[Any, ...]:
    modes = ["constant", "edge", "reflect", "symmetric", "wrap"] if x.size else ["constant"]
    widths = tuple(shape_of(data, 2, 0, 6) for _ in range(x.ndim)) or 1
    return widths, data.draw(st.sampled_from(modes))


#: Function -> (smallest rank, arguments after the array), for functions that NumPy has under this name.
RANDOM: dict[str, tuple[int, Any]] = {
    "flip": (0, lambda data, x: {"axis": axes_of(data, x)}),
    "roll": (0, _roll),
    "pad": (0, _pad),
    "tile": (0, lambda data, x: (shape_of(data, data.draw(st.integers(0, 4))),)),
    "repeat": (1, lambda data, x: (data.draw(st.integers(0, 3)), axis_of(data, x))),
    "tril": (2, lambda data, x: {"k": data.draw(OFFSETS)}),
    "triu": (2, lambda data, x: {"k": data.draw(OFFSETS)}),
    "diagonal": (2, lambda data, x: (data.draw(OFFSETS), *two_axes(data, x))),
    "moveaxis": (1, lambda data, x: (axis_of(data, x), axis_of(data, x))),
    "swapaxes": (1, lambda data, x: (axis_of(data, x), axis_of(data, x))),
    "expand_dims": (0, lambda data, x: (data.draw(st.integers(-x.ndim - 1, x.ndim)),)),
}  # fmt: skip


@pytest.mark.parametrize("name", RANDOM)
@settings(max_examples=25)
@given(data=st.data())
def test_as_numpy_on_random_shapes(name: str, data: Any) -> None:
    rank, draw = RANDOM[name]
    x = data.draw(arrays(min_rank=rank))
    found = draw(data, x)
    args, keywords = (found, {}) if isinstance(found, tuple) else ((), found)
    symbol = sg.tensor("x", x.shape, x.dtype)
    ours, theirs = getattr(sg, name), getattr(np, name)
    if name == "repeat":
        args, keywords = args[:1], {"axis": args[1]}
    y = ours(symbol, *args, **keywords)
    expected = theirs(x, *args, **keywords)
    result = np.asarray(sg.function([symbol], y, on_unused_input="ignore")(x))
    assert y.shape == expected.shape
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)


@settings(max_examples=25)
@given(
    st.floats(-5, 5),
    st.floats(-5, 5),
    st.integers(0, 30),
    st.booleans(),
    st.sampled_from([None, "float32", "int64"]),
)
def test_linspace(start: float, stop: float, num: int, endpoint: bool, dtype: str | None) -> None:
    result = sg.linspace(start, stop, num, endpoint=endpoint, dtype=dtype).eval()
    expected = np.linspace(start, stop, num, endpoint=endpoint, dtype=dtype)
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(result, expected, rtol=1e-6 if dtype == "float32" else 1e-14, atol=1e-15)
    if num > 1 and endpoint and dtype is None:
        assert result[-1] == stop


@settings(max_examples=25)
@given(
    st.one_of(st.integers(-9, 9), st.floats(-9, 9)),
    st.one_of(st.integers(-9, 9), st.floats(-9, 9)),
    st.sampled_from([1, 2, -1, -3, 0.5, -0.25, 0.1]),
    st.sampled_from([None, "float32", "float64"]),
)
def test_arange(start: Any, stop: Any, step: Any, dtype: str | None) -> None:
    result = sg.arange(start, stop, step, dtype=dtype).eval()
    expected = np.arange(start, stop, step, dtype=dtype)
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-6 if dtype == "float32" else 1e-13, atol=1e-6)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint32", "float32", "complex64"])
def test_arange_counts_down_in_every_dtype(dtype: str) -> None:
    result = sg.arange(9, -1, -3, dtype=dtype).eval()
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, [9, 6, 3, 0])


# ---- symbolic sizes ---------------------------------------------------------------------------------

#: Name -> (in the language, in NumPy), of a tensor of shape (n, m).
SYMBOLIC: dict[str, tuple[Any, Any]] = {
    "reshape": (lambda x: sg.reshape(x, (-1,)), lambda x: x.reshape(-1)),
    "ravel": (lambda x: x.ravel(), np.ravel),
    "expand_dims": (lambda x: sg.expand_dims(x, axis=(0, -1)), lambda x: x[None, ..., None]),
    "flip": (sg.flip, np.flip),
    "flip an axis": (lambda x: sg.flip(x, axis=-1), lambda x: np.flip(x, -1)),
    "roll": (lambda x: sg.roll(x, 3, axis=0), lambda x: np.roll(x, 3, 0)),
    "roll back": (lambda x: sg.roll(x, (-1, 7), axis=(1, 0)), lambda x: np.roll(x, (-1, 7), (1, 0))),
    "roll all": (lambda x: sg.roll(x, -2), lambda x: np.roll(x, -2)),
    "tile": (lambda x: sg.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3))),
    "tile by a size": (lambda x: sg.tile(x, (x.shape[1], 1)), lambda x: np.tile(x, (x.shape[1], 1))),
    "repeat": (lambda x: sg.repeat(x, 2), lambda x: np.repeat(x, 2)),
    "repeat an axis": (lambda x: sg.repeat(x, 3, axis=1), lambda x: np.repeat(x, 3, 1)),
    "pad": (lambda x: sg.pad(x, ((1, 2), (0, 3))), lambda x: np.pad(x, ((1, 2), (0, 3)))),
    "pad by numbers": (
        lambda x: sg.pad(x, 1, constant_values=((1, 2), (3, 4))),
        lambda x: np.pad(x, 1, constant_values=((1, 2), (3, 4))),
    ),
    "tril": (lambda x: sg.tril(x, k=1), lambda x: np.tril(x, 1)),
    "triu": (lambda x: sg.triu(x, k=1), lambda x: np.triu(x, 1)),
    "diagonal": (sg.diagonal, np.diagonal),
    "trace": (lambda x: x.trace(), np.trace),
    "diag": (
        lambda x: sg.diag(sg.sum(x, axis=1)),
        lambda x: np.diag(x.sum(1)),
    ),
    "diag, k": (lambda x: sg.diag(sg.sum(x, axis=1), -2), lambda x: np.diag(x.sum(1), -2)),
    "eye": (lambda x: sg.eye(x.shape[0], x.shape[1], k=-1) + x, lambda x: np.eye(*x.shape, k=-1) + x),
    "linspace": (lambda x: x + sg.linspace(1, 2, x.shape[1]), lambda x: x + np.linspace(1, 2, x.shape[1])),
    "arange": (lambda x: x + sg.arange(x.shape[1])[::-1], lambda x: x + np.arange(x.shape[1])[::-1]),
    "arange down": (
        lambda x: sg.arange(x.shape[0] - 1, -1, -1)[:, None] + x,
        lambda x: np.arange(x.shape[0])[::-1, None] + x,
    ),
    "meshgrid": (
        lambda x: sg.meshgrid(sg.sum(x, axis=0), sg.sum(x, axis=1))[1],
        lambda x: np.meshgrid(x.sum(0), x.sum(1))[1],
    ),
    "concat": (lambda x: sg.concat([x, 2 * x, x[:0]], axis=0), lambda x: np.concatenate([x, 2 * x])),
    "concat all": (lambda x: sg.concat([x, x], axis=None), lambda x: np.concatenate([x, x], None)),
    "stack": (lambda x: sg.stack([x, -x], axis=-1), lambda x: np.stack([x, -x], -1)),
    "array_split": (lambda x: sg.array_split(x, 3)[1], lambda x: np.array_split(x, 3)[1]),
    "array_split, last": (lambda x: sg.array_split(x, 4, 1)[3], lambda x: np.array_split(x, 4, 1)[3]),
    "broadcast_to": (
        lambda x: sg.broadcast_to(x[:, None], (x.shape[0], 2, x.shape[1])),
        lambda x: np.broadcast_to(x[:, None], (x.shape[0], 2, x.shape[1])),
    ),
    "full": (lambda x: sg.full(x.shape, 2.5) * x, lambda x: 2.5 * x),
}
SIZES = [(3, 4), (1, 1), (4, 1), (1, 5), (0, 3), (3, 0), (0, 0), (9, 2)]


@pytest.mark.parametrize("name", SYMBOLIC)
def test_symbolic_sizes(name: str) -> None:
    """One compilation serves all sizes, and its gradient too."""
    build, reference = SYMBOLIC[name]
    x = sg.matrix("x", shape=("n", "m"))
    y = build(x)
    f = sg.function([x], [y, sg.grad(sg.sum(y * y), x)])
    for shape in SIZES:
        a = np.random.default_rng(5).uniform(1, 2, shape)
        value, gradient = f(a)
        expected = reference(a)
        assert value.shape == expected.shape, shape
        np.testing.assert_allclose(value, expected, rtol=1e-14, err_msg=str(shape))
        if a.size:
            step = 1e-6 * np.cos(np.arange(a.size)).reshape(shape)
            up, down = (reference(a + s * step) ** 2 for s in (1, -1))
            np.testing.assert_allclose((gradient * step).sum(), (up - down).sum() / 2, rtol=1e-6, atol=1e-12)
        assert gradient.shape == shape


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
def test_pad_of_a_symbolic_size_that_is_too_small(mode: str) -> None:
    x = sg.vector("x", size="n")
    f = sg.function([x], sg.pad(x, (2, 1), mode))
    for n in (3, 4, 9):
        a = np.arange(n) + 1.0
        np.testing.assert_array_equal(f(a), np.pad(a, (2, 1), mode=mode))  # type: ignore[call-overload]
    with pytest.raises(IndexError, match="out of bounds"):
        f(np.empty(0))
    if mode != "edge":
        with pytest.raises(IndexError, match="out of bounds"):
            f(np.ones(1))


# ---- what is left out -------------------------------------------------------------------------------

BAD = np.array([[1.0, np.nan, np.inf], [2.0, 3.0, -np.inf], [4.0, 5.0, 6.0]])
#: The first column.
FIRST = np.outer([1, 1, 1], [1, 0, 0])


@pytest.mark.parametrize(
    ("build", "taken"),
    [
        (sg.tril, np.tri(3)),
        (lambda x: sg.triu(x.T), np.tri(3)),
        (lambda x: sg.diagonal(x, -1), np.eye(3, k=-1)),
        (lambda x: x.trace(), np.eye(3)),
        (lambda x: sg.flip(x)[:, 2], FIRST),
        (lambda x: sg.roll(x, 1, axis=1)[:, 1], FIRST),
        (lambda x: sg.pad(x[:, :1], 1), FIRST),
        (lambda x: sg.split(x, 3, axis=1)[0], FIRST),
    ],
    ids=["tril", "triu", "diagonal", "trace", "flip", "roll", "pad", "split"],
)  # fmt: skip
def test_what_is_left_out_stays_out_of_derivatives(build: Any, taken: np.ndarray) -> None:
    """Through x² at infinity and NaN: the derivative is 0 where a value is not taken, at both orders."""
    x = sg.tensor("x", (3, 3))
    cost = sg.sum(build(x * x))
    first = sg.grad(cost, x)
    second = sg.grad(sg.sum(sg.where(sg.constant(taken) != 0, first * x, 0)), x)
    for found, expected in [
        (first, np.where(taken, 2 * BAD, 0)),
        (second, np.where(taken, 4 * BAD, 0)),
    ]:
        np.testing.assert_array_equal(found.eval({x: BAD}), expected)


def test_triangles_of_infinities_have_zeros() -> None:
    x = sg.tensor("x", (3, 3))
    np.testing.assert_array_equal(sg.tril(x).eval({x: BAD}), np.tril(np.nan_to_num(BAD)))


def test_the_pull_of_a_triangle_drops_what_is_outside() -> None:
    """tril(g) for any g, NaN included; and none of the infinities of a diverging function outside."""
    x, g = sg.tensor("x", (3, 3)), sg.tensor("g", (3, 3))
    pulled = sg.vjp(sg.tril(x), x, g)
    np.testing.assert_array_equal(pulled.eval({g: BAD}), np.tril(np.nan_to_num(BAD)))
    zero = sg.grad(sg.sum(sg.triu(sg.sqrt(x), k=1)), x)
    np.testing.assert_array_equal(
        zero.eval({x: np.diag([0.0, 1, 4]) + np.triu(np.ones((3, 3)), 1)}), np.triu(np.full((3, 3), 0.5), 1)
    )


def test_pad_adds_up_over_all_places() -> None:
    x = sg.vector("x", size=3)
    for mode in ("edge", "reflect", "symmetric", "wrap"):
        counts = sg.grad(sg.sum(sg.pad(x, (2, 3), mode)), x).eval({x: np.zeros(3)})
        reference = np.bincount(np.pad(np.arange(3), (2, 3), mode=mode), minlength=3)  # type: ignore[call-overload]
        np.testing.assert_array_equal(counts, reference)


# ---- native form ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "build",
    [
        sg.flip,
        lambda x: sg.roll(x, 3, axis=0),
        lambda x: sg.tile(x, (2, 2)),
        lambda x: sg.repeat(x, 2, axis=0),
        lambda x: sg.pad(x, 2, constant_values=1.0),
        lambda x: sg.pad(x, 2, mode="reflect"),
        lambda x: sg.tril(x) + sg.triu(x, k=1),
        sg.diagonal,
        lambda x: sg.diag(x[0], 1),
        lambda x: sg.meshgrid(x[0], x[1])[0],
        lambda x: sg.eye(4) + sg.linspace(0, 1, 4) + x,
        lambda x: sg.repeat(x, [1, 2, 0, 3], axis=0),
    ],
)
def test_nothing_calls_back(build: Any) -> None:
    x = sg.tensor("x", (4, 4))
    y = build(x)
    f = sg.function([x], [y, sg.grad(sg.sum(y * y), x)], backend="llvm")
    assert "call back" not in f.plan(), f.plan()


def test_views_and_triangles_are_one_kernel() -> None:
    x = sg.matrix("x", shape=("n", "m"))
    for y in (sg.tril(x), sg.flip(x), sg.repeat(x, 2, axis=0), sg.tile(x, (2, 3)), sg.diagonal(x)):
        plan = sg.function([x], y, backend="llvm").plan()
        assert plan.startswith("main: 1 steps, 1 of them kernels"), plan


def test_what_is_joined_and_reshaped_lies_in_the_result() -> None:
    x = sg.tensor("x", (4, 4))
    f = sg.function([x], [sg.roll(x, 3), x.T.reshape(16)], backend="llvm")
    assert f.plan().startswith("main: 3 steps, 3 of them kernels; flops 0, bytes 512"), f.plan()
    a = np.arange(16.0).reshape(4, 4)
    for ours, theirs in zip(f(a), [np.roll(a, 3), a.T.ravel()], strict=True):
        np.testing.assert_array_equal(ours, theirs)


# ---- dtypes, methods, constants ---------------------------------------------------------------------


def test_methods_are_the_functions() -> None:
    assert X.reshape(2, 6).shape == X.reshape((2, 6)).shape == X.reshape([2, -1]).shape == (2, 6)
    assert X.reshape(-1).shape == X.ravel().shape == X.flatten().shape == (12,)
    assert X.transpose().shape == X.transpose(1, 0).shape == X.transpose((1, 0)).shape == (4, 3)
    assert X.transpose(None).shape == X.swapaxes(0, -1).shape == (4, 3)
    assert X[None].squeeze().shape == X[None].squeeze(0).shape == (3, 4)
    assert X.repeat(2, axis=1).shape == (3, 8)
    assert X.diagonal(1).shape == (3,)
    assert X.trace().shape == ()
    assert X.device == "cpu"
    assert X.to_device("cpu") is X


def test_dtypes_and_constants_by_name() -> None:
    assert sg.float32 is sg.dtype("float32")
    assert sg.bool is sg.dtype("bool")
    assert sg.zeros(2, dtype=sg.int8).dtype is sg.int8
    assert (sg.pi, sg.e, sg.inf, sg.newaxis) == (np.pi, np.e, np.inf, None)
    assert np.isnan(sg.nan)
    assert X[sg.newaxis].shape == (1, 3, 4)
    assert sg.__array_api_version__ == "2023.12"


def test_the_namespace_about_itself() -> None:
    info = sg.__array_namespace_info__()
    assert info.default_device() == "cpu"
    assert info.default_dtypes()["real floating"] is sg.float64
    assert set(info.dtypes(kind="integral")) == {f"{u}int{b}" for u in ("", "u") for b in (8, 16, 32, 64)}
    assert info.capabilities() == {"boolean indexing": False, "data-dependent shapes": False}


def test_promotion_is_numpys() -> None:
    names = [f"{u}int{b}" for u in ("", "u") for b in (8, 64)] + ["bool", "float32", "float64", "complex64"]
    for a in names:
        for b in names:
            assert sg.result_type(a, b).name == np.result_type(a, b).name
            assert sg.can_cast(a, b) == np.can_cast(a, b)
        for weak in (True, 1, 1.5, 1j):
            array = np.zeros(1, a)
            assert sg.result_type(sg.constant(array), weak).name == np.result_type(array, weak).name
    assert sg.result_type(1, 2.5) is sg.float64
    assert sg.finfo(sg.complex64) == sg.finfo("float32")
    assert sg.iinfo(X.astype("uint8")).max == 255


def test_asarray() -> None:
    x = sg.scalar("x")
    assert sg.asarray(x) is x
    assert sg.asarray(x, dtype="float32").dtype is sg.float32
    np.testing.assert_array_equal(sg.asarray([[1, 2], [3, 4]], dtype="int8").eval(), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(sg.asarray([[x, 1], [2, 3 * x]]).eval({x: 5.0}), [[5, 1], [2, 15]])
