"""Indexing, updates and sorting against NumPy: keys, repeated indices, derivatives, errors, batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad as sg
from symgrad.ir.tensor import apply
from symgrad.ops.gather import Gather, ScatterAdd, Take
from symgrad.ops.scatter import Scatter
from symgrad.ops.slices import SetSlice
from symgrad.ops.sort import ArgSort, SearchSorted

SHAPE = (3, 4, 2, 3)
X = np.random.default_rng(0).normal(size=SHAPE)
UFUNCS: dict[str, Any] = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}

# ---- keys -------------------------------------------------------------------------------------------


@st.composite
def keys(draw: st.DrawFn) -> tuple[Any, ...]:
    """Keys of all kinds for SHAPE; arrays among them broadcast."""
    common = draw(st.sampled_from([(), (2,), (0,), (2, 3)]))
    items: list[Any] = []
    axis, dots = 0, False
    while axis < len(SHAPE) and draw(st.integers(0, 5)):
        size = SHAPE[axis]
        bound = st.none() | st.integers(-size - 1, size + 1)
        kind = draw(st.sampled_from("islsannem"))
        if kind == "i":
            items.append(draw(st.integers(-size, size - 1)))
        elif kind == "s":
            step = draw(st.sampled_from([None, 1, 2, -1, -2]))
            items.append(slice(draw(bound), draw(bound), step))
        elif kind in "la":
            shape = draw(st.sampled_from([common, common[1:], tuple(1 for _ in common)]))
            numbers = draw(st.lists(st.integers(-size, size - 1), min_size=6, max_size=6))
            array = np.resize(np.array(numbers, draw(st.sampled_from(["int64", "int8"]))), shape)
            items.append(array.tolist() if kind == "l" else array)
        elif kind == "n":
            items.append(None)
        elif kind == "e" and not dots:
            items.append(Ellipsis)
            dots = True
            axis += draw(st.integers(0, len(SHAPE) - axis)) - 1
        elif kind == "m" and common in ((), (2,)) and size >= 2:
            mask = np.zeros(size, bool)
            mask[draw(st.permutations(range(size)))[:2]] = True
            items.append(mask if draw(st.booleans()) else mask.tolist())
        else:
            continue
        axis += kind not in "n"
    return tuple(items)


def numpy_takes(key: tuple[Any, ...]) -> bool:
    try:
        X[key]
    except IndexError:
        return False
    return True


def unbounded(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """The key without the bounds of slices, which must not lie beyond symbolic sizes."""
    return tuple(slice(None, None, k.step) if isinstance(k, slice) else k for k in key)


@settings(max_examples=150)
@given(keys().filter(numpy_takes), st.booleans())
def test_random_keys(key: tuple[Any, ...], symbolic: bool) -> None:
    key = unbounded(key) if symbolic else key
    x = sg.tensor("x", ("a", "b", "c", "d") if symbolic else SHAPE)
    y = x[key]
    f = sg.function([x], y)
    np.testing.assert_array_equal(f(X), X[key])
    assert np.asarray(f(X)).shape == X[key].shape


@settings(max_examples=100)
@given(keys().filter(numpy_takes), st.sampled_from(["set", "add", "mul", "max", "min"]), st.booleans())
def test_random_updates(key: tuple[Any, ...], mode: str, symbolic: bool) -> None:
    key = unbounded(key) if symbolic else key
    v = np.random.default_rng(1).normal(size=X[key].shape)
    expected = X.copy()
    if mode == "set":
        expected[key] = v
    else:
        UFUNCS[mode].at(expected, key, v)
    x = sg.tensor("x", ("a", "b", "c", "d") if symbolic else SHAPE)
    update = sg.tensor("v", x[key].shape)
    found = sg.function([x, update], getattr(x.at[key], mode)(update), on_unused_input="ignore")(X, v)
    np.testing.assert_array_equal(found, expected)


MASKS = [
    X > 0,
    X[..., 0, 0] > 0,
    (np.s_[:], X[0] > 0),
    (np.s_[1:], X[0, :, 0, 0] > 0, [1]),
    (..., X[0, 0] > 0),
    ([True, False, True],),
    (True,),
    (False,),
    (None, np.True_, [0, 1]),
    (X[..., 0] > 0, 1),
    ([0, 1], slice(None), np.array([True, True])),
    np.zeros(SHAPE, bool),
]


@pytest.mark.parametrize("number", range(len(MASKS)))
def test_masks(number: int) -> None:
    key = MASKS[number]
    x = sg.tensor("x", ("n", 4, 2, 3))
    np.testing.assert_array_equal(sg.function([x], x[key])(X), X[key])
    expected = X.copy()
    expected[key] = 7.0
    np.testing.assert_array_equal(sg.function([x], x.at[key].set(7.0))(X), expected)


def test_zero_d_tensors_are_indices() -> None:
    x, i = sg.tensor("x", ("n", 4, 2, 3)), sg.scalar("i", "int32")
    f = sg.function([x, i], [x[i], x[:, i], x[i, :, -1], x[:, i, 1:, i], x.at[i].set(0.0), x[i, [0, 1]]])
    for k in (0, 1, -1):
        j = np.int32(k)
        expected = [X[k], X[:, k], X[k, :, -1], X[:, k, 1:, k], X.copy(), X[k, [0, 1]]]
        expected[4][k] = 0
        for a, b in zip(f(X, j), expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_symbolic_masks_update() -> None:
    x, v, m = sg.matrix("x", ("n", 3)), sg.vector("v", 3), sg.vector("m", "n", "bool")
    outputs = [x.at[m].set(v), x.at[x > 0].mul(2.0), x.at[m,].add(1), x.at[x > 0].max(v)]
    a, b = X[0, :, 0], np.array([0.5, -0.5, 0.0])
    c = np.array([True, False, True, False])
    big = np.where(a > 0, np.maximum(a, b), a)
    expected = [np.where(c[:, None], b, a), np.where(a > 0, 2 * a, a), a + c[:, None], big]
    for found, want in zip(sg.function([x, v, m], outputs)(a, b, c), expected, strict=True):
        np.testing.assert_array_equal(found, want)


def test_an_update_leaves_the_rest_to_the_bit() -> None:
    x = sg.vector("x", size=4)
    value = np.array([-0.0, np.nan, np.inf, -0.0])
    for y in (x.at[1:3].add(1.0), x.at[[1, 2]].add(1.0), x.at[np.array([0, 1, 1, 0], bool)].add(1.0)):
        found = sg.function([x], y)(value)
        np.testing.assert_array_equal(np.signbit(found), [True, False, False, True])


# ---- repeated indices -------------------------------------------------------------------------------

PLACES = np.array([1, 0, 1, 3, 1])


@pytest.mark.parametrize("mode", ["set", "add", "mul", "max", "min"])
@pytest.mark.parametrize("known", [True, False])
def test_derivatives_with_repeated_indices(mode: str, known: bool) -> None:
    """Against the same written out, one update after the other, at points with zeros and no ties."""
    x, v, i = sg.matrix("x", (4, 2)), sg.matrix("v", (5, 2)), sg.vector("i", 5, "int64")
    one_by_one = [x[k] for k in range(4)]
    for k, place in enumerate(PLACES):
        old, new = one_by_one[place], v[k]
        one_by_one[place] = {
            "set": lambda old, new: new,
            "add": lambda old, new: old + new,
            "mul": lambda old, new: old * new,
            "max": sg.maximum,
            "min": sg.minimum,
        }[mode](old, new)
    ours = getattr(x.at[PLACES if known else i], mode)(v)
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(4, 2)), rng.normal(size=(5, 2))
    if mode in ("set", "add", "mul"):
        a[1, 0] = b[0, 0] = b[2, 1] = b[4, 1] = b[3, 0] = 0
    weights = rng.normal(size=(4, 2))
    found = []
    for y in (ours, sg.stack(one_by_one)):
        cost = sg.sum(weights * y * y * sg.exp(0.1 * y))
        first = sg.grad(cost, [x, v], disconnected_inputs="ignore")
        inner = sg.sum(sg.sin(first[0])) + sg.sum(sg.sin(first[1]) * sg.exp(first[1]))
        second = sg.grad(inner, [x, v], disconnected_inputs="ignore")
        third = sg.grad(sg.sum(sg.cos(second[0])) + sg.sum(second[1]), v, disconnected_inputs="ignore")
        f = sg.function([x, v, i], [y, *first, *second, third], on_unused_input="ignore")
        found.append(f(a, b, PLACES))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_what_is_overwritten_has_the_cotangent_zero() -> None:
    x, v = sg.vector("x", size=3), sg.vector("v", size=3)
    y = sg.log(x).at[[0, 2, 0]].set(1 / v)
    f = sg.function([x, v], sg.grad(sg.sum(y), [x, v]))
    d_x, d_v = f(np.array([0.0, 2.0, 0.0]), np.array([0.0, 1.0, 2.0]))
    np.testing.assert_array_equal(d_x, [0, 0.5, 0])
    np.testing.assert_array_equal(d_v, [0, -1, -0.25])


def test_ties_are_split_equally() -> None:
    x, v = sg.vector("x", size=2), sg.vector("v", size=4)
    for y in (x.at[[0, 0, 0, 1]].max(v), -(-x).at[[0, 0, 0, 1]].min(-v)):
        f = sg.function([x, v], sg.grad(sg.sum(y), [x, v]))
        d_x, d_v = f(np.array([2.0, 5.0]), np.array([2.0, 1.0, 2.0, np.nan]))
        np.testing.assert_allclose(d_x, [1 / 3, 0], rtol=1e-15)
        np.testing.assert_allclose(d_v, [1 / 3, 0, 1 / 3, 0], rtol=1e-15)


def test_forward_mode_of_updates() -> None:
    """`set` and `add` push tangents as they push values."""
    x, v, t, u = (sg.vector(n, size=k) for n, k in (("x", 4), ("v", 5), ("t", 4), ("u", 5)))
    node = x.at[PLACES].set(v).node
    (pushed,) = node.op.push(node, [t, u, None], False)
    expected = np.arange(4.0)
    expected[PLACES] = np.arange(5.0) + 10
    np.testing.assert_array_equal(pushed.eval({t: np.arange(4.0), u: np.arange(5.0) + 10}), expected)


# ---- errors -----------------------------------------------------------------------------------------


def test_errors_when_the_graph_is_built() -> None:
    x, i = sg.matrix("x", (3, 4)), sg.vector("i", 2, "int64")
    m = sg.vector("m", 3, "bool")
    for key, kind, text in [
        ((0, 0, 0), IndexError, "too many indices: 3 for 2 dimensions of x"),
        ((i, i, i), IndexError, "too many indices"),
        ((np.ones((3, 4, 1), bool),), IndexError, "too many indices"),
        ((..., ...), IndexError, "only one"),
        (([0, 3],), IndexError, "index 3 is out of range for an axis of size 3"),
        ((slice(None), -5), IndexError, "index -5 is out of range"),
        ((np.ones(4, bool),), IndexError, "a mask of length 4 does not fit an axis of size 3"),
        ((m,), IndexError, "sg.where"),
        (([0.5],), sg.DTypeError, "integer"),
        ((sg.vector("f", 2),), sg.DTypeError, "integer"),
        (("a",), IndexError, "not an index"),
        ((0.5,), IndexError, "not an index"),
        (([0, 1], [0, 1, 2]), sg.ShapeError, "broadcast"),
    ]:
        with pytest.raises(kind, match=text):
            x[key]
    with pytest.raises(IndexError, match="out of range"):
        sg.take(x, [7], axis=0)
    with pytest.raises(IndexError, match="out of range"):
        sg.take_along_axis(x, [[7]], axis=0)


def test_errors_of_updates() -> None:
    x, n = sg.matrix("x", (3, 4), "float32"), sg.vector("n", 3, "int64")
    for build, kind, text in [
        (lambda: x.at[0].set(sg.vector("v", 4)), sg.DTypeError, "float32 does not hold the update"),
        (lambda: n.at[0].set(1.5), sg.DTypeError, "int64 does not hold"),
        (lambda: n.at[0].set(np.array(1.5)), sg.DTypeError, "int64 does not hold"),
        (lambda: (n > 0).at[0].add(True), sg.DTypeError, "does not take bool"),
        (lambda: x.at[0].set([1, 2, 3]), sg.ShapeError, "broadcast"),
        (lambda: x.at[[0, 1]].set(np.zeros((3, 4), "float32")), sg.ShapeError, "broadcast"),
        (lambda: x.at[sg.vector("m", 4, "bool")].set(0), sg.ShapeError, "a mask must have"),
        (lambda: x.at[5].set(0), IndexError, "out of range"),
        (lambda: sg.topk(x, 5), sg.ShapeError, "no 5 elements"),
        (lambda: sg.sort(x * 1j), sg.DTypeError, "has no order"),
        (lambda: sg.segment_sum(x, n[:2], 3), sg.ShapeError, "segment_ids"),
        (lambda: sg.bincount(x, length=3), sg.DTypeError, "integer"),
    ]:
        with pytest.raises(kind, match=text):
            build()
    assert x.at[0].set([1, 2, 3, 4]).dtype is x.dtype


@pytest.mark.parametrize("name", ["gather", "scatter", "scatter_add", "along", "put"])
def test_out_of_range_at_run_time_names_the_node(name: str) -> None:
    x, i = sg.matrix("x", ("n", 3)), sg.vector("i", "k", "int64")
    y = {
        "gather": lambda: x[i, i],
        "scatter": lambda: x.at[i].add(1.0),
        "scatter_add": lambda: apply(ScatterAdd((0,), (4,)), x[0][i * 0], i),
        "along": lambda: sg.take_along_axis(x, i[None], axis=1),
        "put": lambda: sg.put_along_axis(x[0], i, 1.0),
    }[name]()
    f = sg.function([x, i], y.named("result"))
    a = np.zeros((4, 3))
    size = 3 if name in ("along", "put") else 4
    assert f(a, np.array([0, -3, 2])) is not None
    for bad in (7, -8):
        with pytest.raises(
            IndexError, match=f"index {bad} is out of bounds for axis . with size {size}\n.*result"
        ):
            f(a, np.array([0, bad]))


def test_text_that_lies_is_refused() -> None:
    head = "graph g(x: f64[3], i: i64[2], v: f64[2]) -> f64[3] {\n"
    for line in [
        'y: f64[3] = scatter(x, v, i, axes=(0,), mode="sub")',
        'y: f64[3] = scatter(x, v, i, axes=(1,), mode="add")',
        'y: f64[3] = scatter(x, v, axes=(), mode="add")',
        'y: f64[3] = scatter(x, x, i, axes=(0,), mode="add")',
        "y: f64[3] = gather(x, i, i, axes=(0,))",
        "y: f64[3] = gather(x, axes=())",
        "y: f64[3] = set_slice(x, v, starts=(0,), stops=(9,), steps=(1,))",
        "y: f64[3] = set_slice(x, v, starts=(0,), stops=(2,), steps=(0,))",
        "y: f64[3] = argsort(x, axis=3, descending=False)",
        'y: f64[3] = searchsorted(x, v, side="up", rows=0)',
        'y: f64[3] = searchsorted(x, v, side="left", rows=-1)',
    ]:
        with pytest.raises(sg.ParseError):
            sg.parse(f"{head}  {line}\n  return y\n}}\n")


# ---- sorting ----------------------------------------------------------------------------------------

LENGTHS = (0, 1, 2, 7, 8, 9, 16, 17, 31, 100, 1025)
DTYPES = ["float64", "float32", "int64", "int8", "uint32", "uint8", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_sorting_as_numpy(dtype: str, axis: int) -> None:
    x = sg.matrix("x", ("n", "m"), dtype)
    f = sg.function([x], [sg.argsort(x, axis), sg.sort(x, axis), sg.argsort(x, axis, descending=True)])
    rng = np.random.default_rng(5)
    for n in LENGTHS:
        a = rng.integers(0, 6, (n, 3) if axis == 0 else (3, n)).astype(dtype)
        if a.dtype.kind == "f":
            special = np.array([0.0, -0.0, np.nan, -np.inf, np.inf, 1e-310], dtype)
            a = np.where(rng.random(a.shape) < 0.4, rng.choice(special, a.shape), a)
        elif a.size and dtype != "bool":
            a[0, 0] = np.iinfo(a.dtype).min
            a[-1, -1] = np.iinfo(a.dtype).max
        order, values, down = f(a)
        np.testing.assert_array_equal(order, np.argsort(a, axis, kind="stable"))
        np.testing.assert_array_equal(values, np.sort(a, axis))
        last = np.isnan(a) if a.dtype.kind == "f" else np.zeros(a.shape, bool)
        ranks = np.unique(a, return_inverse=True)[1].reshape(a.shape)
        expected = np.argsort(np.where(last, 1, -ranks.astype(float)), axis, kind="stable")
        np.testing.assert_array_equal(down, expected)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "uint8", "bool"])
def test_few_of_the_first(dtype: str, axis: int) -> None:
    """Few positions that sort are found without sorting; ties, NaN and zeros in their order all the same."""
    rng = np.random.default_rng(0)
    a = rng.integers(0, 50, (21, 23)).astype(dtype)
    if dtype.startswith("float"):
        a[2, 4], a[5], a[6, ::2], a[9] = np.nan, np.where(rng.random(23) < 0.5, 0.0, -0.0), np.inf, np.nan
    order = np.argsort(a, axis, kind="stable")
    for shape in (a.shape, ("n", "m")):
        x = sg.tensor("x", shape, dtype)
        for k in (1, 2, 3, 16, 17, 20):
            values, indices = sg.topk(x, k, axis=axis)
            up = sg.argsort(x, axis=axis)
            parts = [up[:k], up[1:k:3]] if axis == 0 else [up[:, :k], up[:, 1:k:3]]
            found = sg.function([x], [values, indices, *parts])(a)
            keys = np.where(np.isnan(a), np.inf, -a.astype(float))
            wanted = np.argsort(keys, axis, kind="stable")
            if dtype.startswith("float"):  # NaN behind -inf, too
                wanted = np.take_along_axis(
                    wanted,
                    np.argsort(np.isnan(np.take_along_axis(a, wanted, axis)), axis, kind="stable"),
                    axis,
                )
            wanted = wanted.take(range(k), axis)
            np.testing.assert_array_equal(found[1], wanted)
            np.testing.assert_array_equal(found[0], np.take_along_axis(a, wanted, axis))
            np.testing.assert_array_equal(found[2], order.take(range(k), axis))
            np.testing.assert_array_equal(found[3], order.take(range(1, k, 3), axis))
    f = sg.function([x], sg.topk(x, 3, axis=axis)[1])
    with pytest.raises((IndexError, sg.ShapeError)):
        f(a[:2, :2])
    assert f(a[:0] if axis == 1 else a[:, :0]).size == 0


def test_topk_of_ties_and_nan() -> None:
    x = sg.matrix("x", ("n", 5))
    values, indices = sg.topk(x, 3)
    f = sg.function([x], [values, indices, sg.grad(sg.sum(values * [1.0, 2.0, 3.0]), x)])
    a = np.array([[1.0, 4.0, np.nan, 4.0, 1.0], [np.nan, np.nan, np.nan, 0.0, -np.inf]])
    v, i, g = f(a)
    np.testing.assert_array_equal(v, [[4, 4, 1], [0, -np.inf, np.nan]])
    np.testing.assert_array_equal(i, [[1, 3, 0], [3, 4, 0]])
    np.testing.assert_array_equal(g, [[3, 1, 0, 2, 0], [3, 0, 0, 1, 2]])


def test_positions_are_used_behind_their_check() -> None:
    """Indices of known numbers, of an axis of unknown size: nothing is read or written before the check."""
    x, first = sg.matrix("x", shape=("n", 3)), sg.arange(5)[:1]
    order = 2 * sg.argsort(x, axis=0, descending=True)
    rows = sg.take_along_axis(order, sg.argsort(order, axis=0), axis=0)
    hot = sg.one_hot(order % 3, 5)
    moved = sg.take(sg.astype(rows[..., None] != hot, "float32"), rows % (x.shape[0] + 1), axis=0)
    f = sg.function([x], [hot.at[first].add(2.0), moved], backend="llvm")
    around = np.zeros(64)
    with pytest.raises(sg.IndexRangeError, match="index 0 is out of bounds for axis 0 with size 0"):
        f.into([around[32:32].reshape(0, 3, 5), np.empty((0, 3, 3, 5), np.float32)], np.empty((0, 3)))
    assert not around.any()
    lines = sg.function([x], sg.sum(sg.take(x * 3, first, axis=0)), backend="llvm").plan().splitlines()
    check = next(i for i, line in enumerate(lines) if " check copy of " in line)
    assert [i > check for i, line in enumerate(lines) if " of n]" in line] == [True]


def test_indices_of_a_sort_need_no_check() -> None:
    x = sg.matrix("x", ("n", 5))
    f = sg.function([x], [sg.sort(x), x[:, [0, 4]], x[sg.arange(x.shape[0])]], backend="llvm")
    assert "check" not in f.plan()


# ---- batches ----------------------------------------------------------------------------------------

TABLE = np.array([[0, 2, 1], [2, 2, -1]])
BATCHES = [
    (Take(0), [(4, 3), TABLE]),
    (Take(1), [(2, 4, 3), TABLE]),
    (Gather((0,)), [(4, 3), TABLE]),
    (Gather((0, 2)), [(4, 2, 3), TABLE, TABLE]),
    (ScatterAdd((0, 2), (4, 2, 3)), [(2, 3, 2), TABLE, TABLE]),
    (ScatterAdd((1,), (2, 4)), [(3, 2), TABLE[0]]),
    *[(Scatter((0, 2), m), [(4, 2, 3), (2, 3, 2), TABLE, TABLE]) for m in ("set", "add", "mul", "max")],
    (SetSlice((1, 0), (3, 4), (1, 2)), [(4, 5), (2, 2)]),
    (ArgSort(1, True), [(2, 4)]),
]


@pytest.mark.parametrize(("op", "specs"), BATCHES, ids=str)
def test_batches_against_a_loop(op: Any, specs: list[Any]) -> None:
    rng = np.random.default_rng(6)
    for pattern in range(1, 2 ** len(specs)):
        batched = [bool(pattern >> k & 1) for k in range(len(specs))]
        arrays = []
        for spec, has_axis in zip(specs, batched, strict=True):
            lead = (5,) if has_axis else ()
            if isinstance(spec, tuple):
                arrays.append(rng.normal(size=(*lead, *spec)))
            else:
                arrays.append(rng.permuted(np.broadcast_to(spec, (*lead, *spec.shape)), axis=-1))
        shapes = [("b", *a.shape[1:]) if h else a.shape for a, h in zip(arrays, batched, strict=True)]
        xs = [sg.tensor(f"x{k}", s, a.dtype) for k, (s, a) in enumerate(zip(shapes, arrays, strict=True))]
        (y,) = op.batch(sg.size("b"), xs, batched)
        found = sg.function(xs, y)(*arrays)
        rows = [
            sg.tensor(f"x{k}", a.shape[h:], a.dtype)
            for k, (a, h) in enumerate(zip(arrays, batched, strict=True))
        ]
        one = sg.function(rows, apply(op, *rows))
        for b in range(5):
            expected = one(*[a[b] if h else a for a, h in zip(arrays, batched, strict=True)])
            np.testing.assert_array_equal(found[b], expected)


def test_searchsorted_in_rows() -> None:
    x, v = sg.matrix("x", ("b", 4)), sg.tensor("v", ("b", 2, 3))
    (y,) = SearchSorted("left", 0).batch(sg.size("b"), [x, v], [True, True])
    rng = np.random.default_rng(7)
    a, b = np.sort(rng.normal(size=(5, 4))), rng.normal(size=(5, 2, 3))
    found = sg.function([x, v], y)(a, b)
    np.testing.assert_array_equal(found, [np.searchsorted(p, q) for p, q in zip(a, b, strict=True)])


# ---- shapes at their limits -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (4, 1), (1, 5), (3, 0), (40, 33)], ids=str)
def test_backends_on_symbolic_sizes(shape: tuple[int, int]) -> None:
    n, m = shape
    x, i, v = sg.matrix("x", ("n", "m")), sg.vector("i", "k", "int64"), sg.matrix("v", ("k", "m"))
    outputs = [
        x[i], x[i, i * 0], x.at[i].set(v), x.at[i].add(v), x.at[i].mul(v), x.at[i].max(v),
        sg.segment_sum(v, i % x.shape[0], x.shape[0]), x.at[:, i * 0].add(1.0), sg.sort(x, axis=0),
    ]  # fmt: skip
    rng = np.random.default_rng(8)
    a = rng.normal(size=shape)
    k = 0 if 0 in shape else 50
    at = rng.integers(-n, n, k) if k else np.zeros(0, int)
    arrays = [a, at, rng.normal(size=(k, m))]
    found = [sg.function([x, i, v], outputs, backend=b)(*arrays) for b in ("llvm", "numpy")]
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 9])
def test_slices_of_symbolic_sizes_that_hold_nothing(size: int) -> None:
    v = sg.vector("v", "n")
    keys = [
        slice(*bounds)
        for bounds in [
            (-7, None, -1), (None, -5), (-7, -2, -3), (-1, -3), (-2, None, -1), (-3, -3),
        ]
    ]  # fmt: skip
    a = np.arange(1.0, size + 1)
    for key in keys:
        if any(b is not None and b < -size for b in (key.start, key.stop)) and a[key].size:
            continue  # NumPy clips, and sizes that are not known cannot be
        y = v[key]
        assert np.array_equal(sg.function([v], y, on_unused_input="ignore")(a), a[key]), key
        ones, added = np.zeros(size), a.copy()
        ones[key] = 1
        added[key] += 5
        assert np.array_equal(sg.function([v], sg.grad(sg.sum(y), v), on_unused_input="ignore")(a), ones), key
        assert np.array_equal(sg.function([v], v.at[key].add(5.0))(a), added), key


# ---- state ------------------------------------------------------------------------------------------


def test_updates_of_state_at_indices() -> None:
    w, u = sg.shared(np.zeros((5, 3)), "w"), sg.shared(np.arange(5.0), "u")
    i, v = sg.vector("i", "k", "int64"), sg.matrix("v", ("k", 3))
    f = sg.function([i, v], sg.sum(w), updates={w: w.at[i].add(v), u: u.at[1:3].set(u[2:4])})
    f(np.array([0, 4, 0]), np.ones((3, 3)))
    assert f(np.array([0, -1, 0]), np.ones((3, 3))) == 9
    with pytest.raises(IndexError):
        f(np.array([0, 9]), np.ones((2, 3)))
    np.testing.assert_array_equal(w.get()[:, 0], [4, 0, 0, 0, 2])
    np.testing.assert_array_equal(u.get(), [0, 3, 3, 3, 4])


@pytest.mark.parametrize("name", ["set_slice", "scatter", "sort"])
def test_an_update_in_place_that_is_also_read_elsewhere(name: str) -> None:
    w = sg.shared(np.arange(4.0), "w")
    y = w * 2
    made, expected = {
        "set_slice": (y.at[0].set(5.0), [5, 2, 4, 6]),
        "scatter": (y.at[[1, 1]].add(1.0), [0, 4, 4, 6]),
        "sort": (sg.sort(-y), [-6, -4, -2, 0]),
    }[name]
    np.testing.assert_array_equal(sg.function([], made, updates={w: y})(), expected)
    np.testing.assert_array_equal(w.get(), [0, 2, 4, 6])


@pytest.mark.parametrize("engine", ["numpy", "llvm"])
def test_negative_segments_are_out_of_range(engine: str) -> None:
    w, i = sg.vector("w", size=4), sg.vector("i", size=4, dtype="int32")
    count = sg.vector("c")
    n = count.shape[0]
    for y in (
        sg.segment_sum(w, i, 3),
        sg.segment_max(w, i, n),
        sg.bincount(i, length=3),
        sg.bincount(i, w, length=n),
    ):
        f = sg.function([w, i, count], y, backend=engine, on_unused_input="ignore")
        assert len(f(np.ones(4), [0, 2, 2, 0], np.ones(3))) == 3
        for wrong in (-1, -3, -4, 3):
            with pytest.raises(
                sg.IndexRangeError, match=f"index {wrong} is out of bounds for axis 0 with size 3"
            ):
                f(np.ones(4), [0, 1, wrong, 2], np.ones(3))
    for wrong in (-1, 3):
        with pytest.raises(sg.KeyShapeError, match=f"{wrong} is out of range for an axis of size 3"):
            sg.segment_sum(w, [0, 1, wrong, 2], 3)
    small = sg.vector("s", size=4, dtype="uint8")
    assert sg.bincount(small, length=3).eval({small: [0, 2, 2, 0]}).tolist() == [2, 0, 2]
