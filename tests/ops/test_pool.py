"""Pooling against brute force: windows one by one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import symgrad as sg

Array = np.ndarray[Any, Any]


def windows(
    x: Array, size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool = False
) -> Iterator[tuple[tuple[int, ...], tuple[Array, ...], tuple[int, ...]]]:
    """For each window of the last axes: where it is, the places of its elements in x, how many it
    has in the padded x."""
    rank = len(size)
    counts, firsts = [], []
    for n, k, s, p, d in zip(x.shape[-rank:], size, stride, padding, dilation, strict=True):
        extent, whole = (k - 1) * d + 1, n + 2 * p
        count = (whole - extent) // s + 1
        if ceil_mode and (whole - extent) % s and count * s < n + p:
            count += 1
        counts.append(count)
        firsts.append(p)
    for at in itertools.product(*map(range, counts)):
        inside, padded = [], []
        for i, n, k, s, p, d in zip(at, x.shape[-rank:], size, stride, firsts, dilation, strict=True):
            places = i * s - p + d * np.arange(k)
            inside.append(places[(places >= 0) & (places < n)])
            padded.append(int((places < n + p).sum()))
        yield at, np.ix_(*inside), tuple(padded)


def brute_force(
    x: Array, g: Array | None, geometry: Any, function: str, ceil_mode: bool, count_include_pad: bool = True
) -> tuple[Array, Array]:
    """The result, and the gradient for a cotangent (ones unless given); at ties it is split equally."""
    rank = len(geometry[0])
    found = {}
    taken = []
    for at, places, padded in windows(x, *geometry, ceil_mode):
        inside = x[(..., *places)]
        axes = tuple(range(x.ndim - rank, x.ndim))
        share: Any
        if function == "max":
            found[at] = inside.max(axis=axes, initial=-np.inf)
            share = (inside == found[at].reshape(*found[at].shape, *[1] * rank)).astype(float)
            share /= share.sum(axis=axes, keepdims=True)
        else:
            count = np.prod(padded) if count_include_pad else inside[0, 0].size
            found[at] = inside.sum(axis=axes) / count
            share = np.full(inside.shape, 1 / count)
        taken.append((at, places, share))
    extent = tuple(max(at[i] for at in found) + 1 for i in range(rank))
    out = np.empty((*x.shape[: x.ndim - rank], *extent))
    gradient = np.zeros(x.shape)
    for at, value in found.items():
        out[(..., *at)] = value
    for at, places, share in taken:
        weight = 1.0 if g is None else g[(..., *at)].reshape(*g.shape[: g.ndim - rank], *[1] * rank)
        gradient[(..., *places)] += weight * share
    return out, gradient


def check(seed: int) -> None:
    """A random max pooling and mean pooling, value and gradient, with ties, in both orders of channels."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    size, stride, dilation = (tuple(int(v) for v in rng.integers(1, 4, rank)) for _ in range(3))
    dilation = tuple(min(d, 2) for d in dilation)
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in size)
    ceil_mode, include, last = (bool(v) for v in rng.integers(0, 2, 3))
    dtype = "float64" if seed % 3 else "float32"
    sizes = [(k - 1) * d + 1 + int(rng.integers(0, 5)) for k, d in zip(size, dilation, strict=True)]
    a = rng.integers(0, 4, (2, 3, *sizes)).astype(dtype)
    order = (0, *range(2, 2 + rank), 1) if last else tuple(range(2 + rank))
    back = np.argsort(order)
    x = sg.tensor("x", [a.shape[i] for i in order], dtype)
    keywords: dict[str, Any] = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    keywords["channels"] = "last" if last else "first"
    pools = [
        getattr(sg, f"max_pool{rank}d")(x, size, dilation=dilation, **keywords),
        getattr(sg, f"avg_pool{rank}d")(x, size, count_include_pad=include, **keywords),
    ]
    gs = [sg.tensor(f"g{i}", y.shape, dtype) for i, y in enumerate(pools)]
    values = [rng.integers(1, 5, [int(d) for d in y.shape]).astype(dtype) for y in pools]
    gradients = [sg.vjp(y, [x], g)[0] for y, g in zip(pools, gs, strict=True)]
    found = sg.function([x, *gs], [*pools, *gradients])(a.transpose(order), *values)
    for i, function in enumerate(("max", "mean")):
        geometry = (size, stride, padding, dilation if function == "max" else (1,) * rank)
        wanted = brute_force(a, values[i].transpose(back), geometry, function, ceil_mode, include)
        for got, expected in zip((found[i], found[2 + i]), wanted, strict=True):
            assert got.dtype == dtype
            tolerance = 1e-5 if dtype == "float32" else 1e-12
            np.testing.assert_allclose(
                got.transpose(back), expected, rtol=0, atol=tolerance * 10, err_msg=f"seed {seed}: {function}"
            )


@pytest.mark.parametrize("part", range(4))
def test_random_configurations(part: int) -> None:
    for seed in range(5 * part, 5 * part + 5):
        check(seed)


@pytest.mark.campaign
@pytest.mark.parametrize("part", range(20))
def test_many_random_configurations(part: int) -> None:
    for seed in range(1000 + 10 * part, 1010 + 10 * part):
        check(seed)


def test_ties_are_split_equally() -> None:
    x = sg.tensor("x", (1, 1, 2, 4))
    d = sg.grad(sg.sum(sg.max_pool2d(x, 2)), x)
    a = np.array([[[[5.0, 5.0, 1.0, 0.0], [5.0, 0.0, 0.0, 0.0]]]])
    np.testing.assert_allclose(d.eval({x: a})[0, 0], [[1 / 3, 1 / 3, 1, 0], [1 / 3, 0, 0, 0]])


@pytest.mark.parametrize("channels", ["first", "last"])
def test_infinities_and_nan(channels: str) -> None:
    """NaN shows, and takes no gradient; a window of -inf has that as its maximum."""
    a = np.array([1.0, np.nan, -np.inf, -np.inf, np.inf, 2.0])
    shape = (1, 1, 6) if channels == "first" else (1, 6, 1)
    x = sg.tensor("x", shape)
    y = sg.max_pool1d(x, 2, channels=channels)
    f = sg.function([x], [y, sg.grad(sg.sum(y), x)])
    value, gradient = f(a.reshape(shape))
    np.testing.assert_array_equal(value.ravel(), [np.nan, -np.inf, np.inf])
    np.testing.assert_array_equal(gradient.ravel(), [0, 0, 0.5, 0.5, 1, 0])


def test_what_is_not_the_maximum_sends_no_nan_back() -> None:
    """The slope of sqrt at 0 is infinite, but its cotangent is exactly 0."""
    x = sg.tensor("x", (1, 1, 4))
    d = sg.grad(sg.sum(sg.max_pool1d(sg.sqrt(x), 2)), x)
    np.testing.assert_allclose(d.eval({x: [[[0.0, 4.0, 1.0, 0.0]]]})[0, 0], [0, 0.25, 0.5, 0])


def test_integers() -> None:
    a = np.array([[[3, 1, -7, -9, 2]]], "int8")
    found = sg.max_pool1d(a, 3, stride=2, padding=1).eval()
    assert found.dtype == "int8"
    np.testing.assert_array_equal(found[0, 0], [3, 1, 2])
    mean = sg.avg_pool1d(a, 2).eval()
    assert mean.dtype == "float64"
    np.testing.assert_array_equal(mean[0, 0], [2, -8])


@pytest.mark.parametrize(
    ("size", "stride", "padding", "channels"),
    [
        (2, None, 0, "first"),
        (3, 2, 1, "last"),
        (2, 3, 0, "first"),
        pytest.param(2, None, 0, "last", marks=pytest.mark.campaign),
        pytest.param(3, 2, 1, "first", marks=pytest.mark.campaign),
        pytest.param(2, 3, 0, "last", marks=pytest.mark.campaign),
    ],
)
def test_one_program_for_all_sizes(size: int, stride: Any, padding: int, channels: str) -> None:
    """Also with a last window that begins inside; sizes are known when it runs."""
    names = ("n", 2, "h", "w") if channels == "first" else ("n", "h", "w", 2)
    x = sg.tensor("x", names)
    order = (0, 1, 2, 3) if channels == "first" else (0, 2, 3, 1)
    back = np.argsort(order)
    keywords: dict[str, Any] = {"stride": stride, "padding": padding, "channels": channels}
    outputs = []
    for ceil_mode in (False, True):
        for pool in (sg.max_pool2d, sg.avg_pool2d):
            y = pool(x, size, ceil_mode=ceil_mode, **keywords)
            outputs += [y, sg.grad(sg.sum(y), x)]
    f = sg.function([x], outputs)
    rng = np.random.default_rng(6)
    for shape in ((2, 2, 5, 6), (1, 2, 3, 4), (0, 2, 4, 4)):
        a = rng.normal(size=shape)
        found = iter(f(a.transpose(order)))
        for ceil_mode in (False, True):
            for function in ("max", "mean"):
                geometry = ((size,) * 2, (stride or size,) * 2, (padding,) * 2, (1, 1))
                for wanted in brute_force(a, None, geometry, function, ceil_mode):
                    np.testing.assert_allclose(next(found).transpose(back), wanted, rtol=1e-12, atol=1e-13)
    with pytest.raises(IndexError, match="out of bounds"):
        f(np.zeros((1, 2, 0, 0)).transpose(order))


def test_vmap_and_second_derivatives() -> None:
    x, g = sg.tensor("x", (3, 2, 1, 5, 4)), sg.tensor("g", (3, 2, 1, 2, 2))

    def pulled(x: Any, g: Any) -> Any:
        return sg.vjp(sg.max_pool2d(x, (3, 2), stride=2) ** 2, [x], g)[0]

    stacked = sg.vmap(pulled)(x, g)
    again = sg.grad(sg.sum(stacked**2), [x, g])
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=(3, 2, 1, 5, 4)), rng.normal(size=(3, 2, 1, 2, 2))
    found = sg.function([x, g], [stacked, *again])(a, b)
    t, u = sg.tensor("t", a.shape[1:]), sg.tensor("u", b.shape[1:])
    alone = pulled(t, u)
    one = sg.function([t, u], [alone, *sg.grad(sg.sum(alone**2), [t, u])])
    for i in range(3):
        for got, wanted in zip(found, one(a[i], b[i]), strict=True):
            np.testing.assert_allclose(got[i], wanted, rtol=1e-12, atol=1e-13)


X = sg.tensor("x", ("n", 3, 8, 8))
ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: sg.max_pool2d(X, 9), sg.ShapeError, "spans 9 elements does not fit into 8"),
    (lambda: sg.max_pool2d(X, 3, padding=2), sg.ShapeError, r"half of a window, which spans 3"),
    (lambda: sg.avg_pool1d(X, 2), sg.ShapeError, r"avg_pool1d needs a tensor of 3 dimensions: x is \(n, c, "),
    (lambda: sg.max_pool2d(X, (2, 2, 2)), sg.ShapeError, "size must be an int, or 2 of them"),
    (lambda: sg.max_pool2d(X, 0), sg.ShapeError, "at least"),
    (lambda: sg.max_pool2d(X, 2, stride=0), sg.ShapeError, "at least 1"),
    (lambda: sg.max_pool2d(X, 2, channels="middle"), sg.ShapeError, '"first" or "last"'),
    (lambda: sg.max_pool2d(X > 0, 2), sg.DTypeError, "max_pool does not take bool"),
]


@pytest.mark.parametrize("place", range(len(ERRORS)))
def test_errors_say_what_is_wrong(place: int) -> None:
    call, kind, text = ERRORS[place]
    with pytest.raises(kind, match=text) as caught:
        call()
    assert "test_pool.py" in str(caught.value)


@pytest.mark.parametrize("engine", ["llvm", "numpy"])
@pytest.mark.parametrize("side", [2, 5, 7])
def test_square_images_of_symbolic_size(side: int, engine: str) -> None:
    """Sizes such as (h // 2)^2, which programs in Python have to bracket."""
    x = sg.tensor("x", ("h", "h"))
    a = np.arange(float(side * side)).reshape(side, side)
    half = side // 2
    f = sg.function([x], [sg.mean(x[::2, ::2]), sg.mean(sg.max_pool2d(x[None, None], 2))], backend=engine)
    blocks = a[: 2 * half, : 2 * half].reshape(half, 2, half, 2).max(axis=(1, 3))
    np.testing.assert_allclose(f(a), [a[::2, ::2].mean(), blocks.mean()])
    images = sg.tensor("images", ("n", 3, "h", "h"))
    w = sg.tensor("w", (2, 3, 1, 1))
    pooled = sg.max_pool2d(sg.relu(sg.conv2d(images, w)), 2)
    loss = sg.sum(pooled**2) / pooled.size
    g = sg.function([images, w], [loss, *sg.grad(loss, [images, w])], backend=engine)
    rng = np.random.default_rng(side)
    at, by = rng.normal(size=(2, 3, side, side)), rng.normal(size=(2, 3, 1, 1))
    _, d_images, d_w = g(at, by)
    for found, i, direction in (
        (d_images, 0, rng.normal(size=at.shape)),
        (d_w, 1, rng.normal(size=by.shape)),
    ):
        step = 1e-6
        ends = [
            g(*[v + sign * step * direction if j == i else v for j, v in enumerate((at, by))])[0]
            for sign in (1, -1)
        ]
        assert np.isclose(np.sum(found * direction), (ends[0] - ends[1]) / (2 * step), rtol=1e-6)


def test_complex_numbers_have_no_maximum() -> None:
    with pytest.raises(sg.DTypeError, match="no order"):
        sg.max_pool2d(np.ones((1, 1, 3, 3), complex), 2)


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"size": 0}, r"at least 1 element along each axis, not \(0, 0\)"),
        ({"size": 3, "padding": -1}, "from 0 to half of a window"),
        ({"size": 3, "padding": 2}, "from 0 to half of a window"),
    ],
)
def test_windows_that_there_cannot_be(keywords: Any, said: str) -> None:
    for pool in (sg.max_pool2d, sg.avg_pool2d):
        with pytest.raises(sg.ShapeError, match=said):
            pool(sg.tensor("x", ("n", 2, 9, 9)), **keywords)
