"""Convolutions against their index forms, run literally; their transposes; batches, sizes, text, errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.ops.conv import Conv, Convolution, ConvWeights, index_form
from symgrad.types import FLOAT64, TensorType
from tests.ops.index_form import run

Array = np.ndarray[Any, Any]
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


@dataclass(frozen=True)
class Config:
    """A convolution, and operands that fit it."""

    rank: int
    channels: str
    keywords: dict[str, Any]
    images: tuple[int, ...]
    weights: tuple[int, ...]
    dtype: str

    def op(self) -> Conv:
        k = self.keywords
        return Conv(self.channels, k["stride"], k["padding"], k["dilation"], k["groups"])

    def operands(self) -> tuple[Array, Array, Array]:
        """x, w, and a cotangent of the result."""
        rng = np.random.default_rng(abs(hash((self.images, self.weights))) % 2**32)
        result = self.op().result_shape(self.images, self.weights)
        shapes = (self.images, self.weights, tuple(int(d) for d in result))
        return tuple(rng.uniform(-1, 1, s).astype(self.dtype) for s in shapes)  # type: ignore[return-value]


def config(seed: int) -> Config:
    """A random one; every tenth has an empty batch."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    groups = int(rng.choice([1, 1, 2, 3]))
    inner, outer = (int(rng.integers(1, 4)) for _ in range(2))
    kernel, stride, dilation, low, high, more = (
        tuple(int(v) for v in rng.integers(*bounds, rank))
        for bounds in ((1, 4), (1, 4), (1, 3), (-1, 3), (-1, 3), (0, 4))
    )
    sizes = tuple(
        max((k - 1) * d + 1 - a - b, -min(a, 0) - min(b, 0)) + m
        for k, d, a, b, m in zip(kernel, dilation, low, high, more, strict=True)
    )
    channels = str(rng.choice(["first", "last"]))
    n = 0 if seed % 10 == 9 else int(rng.integers(1, 4))
    first = channels == "first"
    images = (n, groups * inner, *sizes) if first else (n, *sizes, groups * inner)
    weights = (groups * outer, inner, *kernel) if first else (*kernel, inner, groups * outer)
    keywords = {
        "stride": stride,
        "padding": tuple(zip(low, high, strict=True)),
        "dilation": dilation,
        "groups": groups,
    }
    return Config(rank, channels, keywords, images, weights, str(rng.choice(["float32", "float64"])))


def literally(op: Convolution, given: dict[str, Array]) -> Array:
    """The op's index form on operands by their letters."""
    named = {"y" if name == "g" else name: a.astype("float64") for name, a in given.items()}
    operands = [TensorType(FLOAT64, given[o].shape) for o in op.operands]
    return run(index_form(op), named, tuple(int(d) for d in op.infer(*operands).shape), int(op.groups))  # type: ignore[arg-type]


def check(seeds: range) -> None:
    """The value and both gradients of convolutions, all in one program."""
    configs = [config(seed) for seed in seeds]
    inputs, outputs, arguments = [], [], []
    for c in configs:
        arrays = c.operands()
        x, w, g = (sg.tensor(f"t{len(inputs) + i}", a.shape, a.dtype) for i, a in enumerate(arrays))
        y = getattr(sg, f"conv{c.rank}d")(x, w, channels=c.channels, **c.keywords)
        inputs += [x, w, g]
        outputs += [y, *sg.vjp(y, [x, w], g)]
        arguments += arrays
    found = iter(sg.function(inputs, outputs, on_unused_input="ignore")(*arguments))
    for seed, c in zip(seeds, configs, strict=True):
        x, w, g = c.operands()
        op = c.op()
        spatial = {"x": op.spatial(x.shape, "x"), "w": op.spatial(w.shape, "w"), "g": ()}
        for result in ("g", "x", "w"):
            made = op.towards(result, spatial[result], "")
            wanted = literally(made, {"x": x, "w": w, "g": g})
            at = next(found)
            assert at.dtype == c.dtype
            scale = 1 + np.abs(wanted).max(initial=0)
            what = f"seed {seed}: {index_form(made)}"
            np.testing.assert_allclose(at, wanted, rtol=0, atol=TOLERANCE[c.dtype] * scale, err_msg=what)


@pytest.mark.parametrize("part", range(4))
def test_random_configurations(part: int) -> None:
    check(range(10 * part, 10 * part + 10))


@pytest.mark.campaign
@pytest.mark.parametrize("part", range(50))
def test_many_random_configurations(part: int) -> None:
    check(range(1000 + 10 * part, 1010 + 10 * part))


# ---- padding, transposes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "pair"),
    [
        (5, 3, 1, 1, (1, 1)),
        (5, 2, 1, 1, (0, 1)),
        (5, 3, 2, 1, (1, 1)),
        (6, 3, 2, 1, (0, 1)),
        (7, 3, 3, 2, (2, 2)),
        (6, 1, 4, 1, (0, 0)),
        (4, 5, 3, 1, (2, 2)),
    ],
)
def test_same_padding(size: int, kernel: int, stride: int, dilation: int, pair: tuple[int, int]) -> None:
    """ceil(size / stride) windows; an odd zero more is behind. With a symbolic size, the same numbers."""
    w = np.random.default_rng(1).normal(size=(2, 3, kernel))
    a = np.random.default_rng(2).normal(size=(2, 3, size))
    keywords: dict[str, Any] = {"stride": stride, "dilation": dilation}
    wanted = sg.conv1d(a, w, padding=[pair], **keywords).eval()
    assert wanted.shape[2] == -(-size // stride)
    np.testing.assert_array_equal(sg.conv1d(a, w, padding="same", **keywords).eval(), wanted)
    x = sg.tensor("x", ("n", 3, "m"))
    y = sg.conv1d(x, w, padding="same", **keywords)
    gradient = sg.grad(sg.sum(y * y), x)
    f = sg.function([x], [y, gradient])
    found = f(a)
    np.testing.assert_allclose(found[0], wanted, rtol=1e-14, atol=1e-14)
    s = sg.tensor("s", a.shape)
    fixed = sg.conv1d(s, w, padding=[pair], **keywords)
    np.testing.assert_allclose(
        found[1], sg.grad(sg.sum(fixed * fixed), s).eval({s: a}), rtol=1e-13, atol=1e-14
    )


@pytest.mark.parametrize("seed", range(8))
def test_conv_transpose_is_the_transpose(seed: int) -> None:
    """<conv(u, w), x> = <u, conv_transpose(x, w)>, with PyTorch's formula for the sizes."""
    rng = np.random.default_rng(seed)
    rank, groups = 1 + seed % 3, 1 + seed % 2
    kernel, stride, dilation = (tuple(int(v) for v in rng.integers(1, 4, rank)) for _ in range(3))
    padding = tuple(int(rng.integers(0, k)) for k in kernel)
    more = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True))
    size = 4
    x, w = rng.normal(size=(2, 2 * groups, *[size] * rank)), rng.normal(size=(2 * groups, 3, *kernel))
    keywords: dict[str, Any] = {"stride": stride, "dilation": dilation, "groups": groups}
    found = getattr(sg, f"conv_transpose{rank}d")(
        x, w, padding=padding, output_padding=more, **keywords
    ).eval()
    geometry = zip(kernel, stride, dilation, padding, more, strict=True)
    sizes = tuple((size - 1) * s - 2 * p + (k - 1) * d + 1 + m for k, s, d, p, m in geometry)
    assert found.shape == (2, 3 * groups, *sizes)
    u = rng.normal(size=found.shape)
    pairs = [(p, p - m) for p, m in zip(padding, more, strict=True)]
    y = getattr(sg, f"conv{rank}d")(u, w, padding=pairs, **keywords).eval()
    np.testing.assert_allclose(np.vdot(y, x), np.vdot(u, found), rtol=1e-11)
    swapped = (0, *range(2, 2 + rank), 1)
    last = getattr(sg, f"conv_transpose{rank}d")(
        x.transpose(swapped), np.moveaxis(w, (0, 1), (-1, -2)), padding=padding, output_padding=more,
        channels="last", **keywords,
    )  # fmt: skip
    np.testing.assert_allclose(last.eval(), found.transpose(swapped), rtol=1e-12, atol=1e-12)


def test_a_depthwise_convolution_is_one_for_each_channel() -> None:
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(2, 4, 6, 5)), rng.normal(size=(4, 1, 3, 2))
    found = sg.nn.conv2d(x, w, groups=4).eval()
    for c in range(4):
        alone = sg.conv2d(x[:, c : c + 1], w[c : c + 1]).eval()
        np.testing.assert_allclose(found[:, c : c + 1], alone, rtol=1e-12, atol=1e-13)


# ---- sizes, batches, text ---------------------------------------------------------------------------


def test_one_program_for_all_sizes() -> None:
    x, w = sg.tensor("x", ("n", 2, "h", "w")), sg.tensor("k", (3, 2, 3, 2))
    y = sg.conv2d(x, w, stride=(2, 1), padding=1)
    f = sg.function([x, w], [y, *sg.grad(sg.sum(y**2), [x, w])])
    rng = np.random.default_rng(4)
    k = rng.normal(size=(3, 2, 3, 2))
    op = Conv("first", (2, 1), ((1, 1), (1, 1)), (1, 1))
    for shape in ((2, 2, 5, 4), (1, 2, 1, 1), (0, 2, 3, 3), (3, 2, 8, 2)):
        a = rng.normal(size=shape)
        value, d_x, d_w = f(a, k)
        np.testing.assert_allclose(value, literally(op, {"x": a, "w": k}), rtol=1e-12, atol=1e-13)
        given = {"x": a, "w": k, "g": 2 * value}
        np.testing.assert_allclose(
            d_x, literally(op.towards("x", shape[2:], ""), given), rtol=1e-11, atol=1e-12
        )
        np.testing.assert_allclose(d_w, literally(op.towards("w", (3, 2), ""), given), rtol=1e-11, atol=1e-12)
    with pytest.raises(IndexError, match=r"index 2 is out of bounds for axis \d with size 2"):
        f(np.ones((1, 2, 0, 4)), k)


@pytest.mark.parametrize("channels", ["first", "last"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("size", [3, "b"])
def test_vmap_of_each_operand(groups: int, channels: str, size: Any) -> None:
    rng = np.random.default_rng(5)
    shapes = {"x": (2, 4, 5, 4), "w": (6, 4 // groups, 2, 3)}
    if channels == "last":
        shapes = {"x": (2, 5, 4, 4), "w": (2, 3, 4 // groups, 6)}

    def f(x: Any, w: Any) -> Any:
        return sg.conv2d(x, w, groups=groups, channels=channels, padding=1, stride=(1, 2))

    def gradients(x: Any, w: Any) -> Any:
        y = f(x, w)
        return sg.grad(sg.sum(y * y), [x, w])

    single = {name: sg.tensor(name, s) for name, s in shapes.items()}
    many = {name: sg.tensor(f"{name}s", (size, *s)) for name, s in shapes.items()}
    arrays = {name: rng.normal(size=s) for name, s in shapes.items()}
    stacks = {name: rng.normal(size=(3, *s)) for name, s in shapes.items()}
    alone = sg.function([*single.values()], [f(*single.values()), *gradients(*single.values())])
    for batched in ("x", "w", "xw"):
        operands = [many[n] if n in batched else single[n] for n in "xw"]
        axes = tuple(0 if n in batched else None for n in "xw")
        outputs = [
            sg.vmap(f, in_axes=axes)(*operands),
            *sg.vmap(lambda x, w: tuple(gradients(x, w)), in_axes=axes)(*operands),
        ]
        given = [stacks[n] if n in batched else arrays[n] for n in "xw"]
        found = sg.function(operands, outputs)(*given)
        for i in range(3):
            wanted = alone(*[a[i] if n in batched else a for n, a in zip("xw", given, strict=True)])
            for a, b in zip(found, wanted, strict=True):
                np.testing.assert_allclose(a[i], b, rtol=1e-11, atol=1e-11, err_msg=batched)


@pytest.mark.parametrize("size", [0, "batch"])
@pytest.mark.parametrize("channels", ["first", "last"])
@pytest.mark.parametrize("groups", [1, 2])
def test_vmap_over_nothing(groups: int, channels: str, size: Any, backend: str) -> None:
    shapes = [(2, 4, 5, 4), (6, 4 // groups, 2, 3), (2, 6, 4, 2)]
    if channels == "last":
        shapes = [(2, 5, 4, 4), (2, 3, 4 // groups, 6), (2, 4, 2, 6)]
    x, w = sg.tensor("x", (size, *shapes[0])), sg.tensor("w", (size, *shapes[1]))

    def f(x: Any, w: Any) -> Any:
        y = sg.conv2d(x, w, groups=groups, channels=channels)
        return y, *sg.grad(sg.sum(y * y), [x, w])

    outputs = sg.vmap(f)(x, w)
    found = sg.function([x, w], outputs, backend=backend, on_unused_input="ignore")(
        np.ones((0, *shapes[0])), np.ones((0, *shapes[1]))
    )
    assert [a.shape for a in found] == [(0, *shapes[i]) for i in (2, 0, 1)]
    assert sg.vmap(f, in_axes=(0, None))(x, sg.tensor("v", shapes[1]))[2].shape == w.shape


def test_gradients_are_one_op_each() -> None:
    x, w = sg.tensor("x", ("n", 3, 9, 9)), sg.tensor("w", (4, 3, 3, 3))
    y = sg.conv2d(x, w, stride=2)
    g = sg.tensor("g", y.shape)
    text = sg.emit(sg.Graph([x, w, g], sg.vjp(y, [x, w], g)))
    assert sg.emit(sg.parse(text)) == text
    geometry = 'channels="first", strides=(2, 2), padding=((0, 0), (0, 0)), dilations=(1, 1)'
    assert f"d_x: f64[n,3,9,9] = conv_input(g, w, {geometry}, sizes=(9, 9))" in text
    assert f"d_w: f64[4,3,3,3] = conv_weights(x, g, {geometry}, sizes=(3, 3))" in text


def test_index_forms() -> None:
    op = Conv("first", (2, 1), ((1, 1), (0, 0)), (1, 3), groups=2)
    assert index_form(op) == "y[n,(g,o),i,j] += x[n,(g,c),2*i+p-1,j+3*q] * w[(g,o),c,p,q]"
    transposed = ConvWeights("last", (1,), ((2, 0),), (1,), sizes=(5,))
    assert index_form(transposed) == "w[p,c,o] += x[n,i+p-2,c] * y[n,i,o]"


# ---- masked cotangents ------------------------------------------------------------------------------


def test_what_is_not_chosen_sends_no_nan_back() -> None:
    """An infinite weight behind a mask: 0 * inf is 0 in both gradients, at first and second order."""
    x, w = sg.tensor("x", (1, 1, 5)), sg.tensor("w", (2, 1, 2))
    y = sg.conv1d(x, w)
    chosen = sg.where(sg.constant(np.array([[True], [False]])), y, 0.0)
    cost = sg.sum(chosen**2)
    d_x, d_w = sg.grad(cost, [x, w])
    second = sg.grad(sg.sum(d_x**2), x)
    f = sg.function([x, w], [d_x, d_w, second])
    a = np.arange(1.0, 6.0).reshape(1, 1, 5)
    weights = np.array([[[1.0, 2.0]], [[np.inf, 1.0]]])
    found = f(a, weights)
    plain = f(a, np.array([[[1.0, 2.0]], [[0.0, 0.0]]]))
    for got, wanted in zip(found, plain, strict=True):
        np.testing.assert_allclose(got, wanted)
    assert not found[1][1].any()


# ---- errors -----------------------------------------------------------------------------------------

X, W = sg.tensor("x", ("n", 3, 8, 8)), sg.tensor("w", (6, 3, 3, 3))
ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: sg.conv2d(X, sg.tensor("v", (6, 4, 3, 3))),
        sg.ShapeError,
        "for 4 channels, x has 3(.|\n)*v: f64",
    ),
    (lambda: sg.conv2d(X, W, groups=2), sg.ShapeError, "weights are for 6 channels, x has 3"),
    (lambda: sg.conv2d(X, sg.tensor("v", (4, 1, 3, 3)), groups=3), sg.ShapeError, "3 groups do not divide 4"),
    (
        lambda: sg.conv2d(X, W, dilation=4),
        sg.ShapeError,
        "a window that spans 9 elements does not fit into 8",
    ),
    (lambda: sg.conv2d(X[0], W), sg.ShapeError, r"conv2d needs tensors of 4 dimensions(.|\n)*x\[None\]"),
    (lambda: sg.conv1d(X, W), sg.ShapeError, "conv1d needs tensors of 3 dimensions"),
    (lambda: sg.conv2d(X, W, padding="full"), sg.ShapeError, '"valid", "same" or numbers'),
    (
        lambda: sg.conv2d(X, W, padding=(1, 2, 3)),
        sg.ShapeError,
        "padding must be an int, 2 of them, or 2 pairs",
    ),
    (lambda: sg.conv2d(X, W, stride=(1, 2, 3)), sg.ShapeError, "stride must be an int, or 2 of them"),
    (lambda: sg.conv2d(X, W, stride=0), sg.ShapeError, "at least 1"),
    (lambda: sg.conv2d(X, W, groups=0), sg.ShapeError, "at least 1"),
    (lambda: sg.conv2d(X, W, channels="middle"), sg.ShapeError, '"first" or "last"'),
    (lambda: sg.conv2d(X > 0, W > 0), sg.DTypeError, "one real dtype"),
    (lambda: sg.conv_transpose2d(X, W), sg.ShapeError, "x has 3"),
    (
        lambda: sg.conv_transpose2d(X, sg.tensor("v", (3, 2, 3, 3)), output_padding=1),
        sg.ShapeError,
        "must be below the stride",
    ),
    (
        lambda: sg.conv_transpose2d(X, sg.tensor("v", (3, 2, 1, 1)), padding=5),
        sg.ShapeError,
        "leaves nothing",
    ),
    (lambda: sg.sliding_windows(X, 9, axes=2), sg.ShapeError, "spans 9 elements does not fit into 8"),
    (lambda: sg.sliding_windows(X, (2, 2), axes=2), sg.ShapeError, "sizes must be an int, or 1 of them"),
]


@pytest.mark.parametrize("place", range(len(ERRORS)))
def test_errors_say_what_is_wrong(place: int) -> None:
    call, kind, text = ERRORS[place]
    with pytest.raises(kind, match=text) as caught:
        call()
    assert "test_conv.py" in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "keywords", "said"),
    [
        ((6, 4, 3, 3), {}, "conv_transpose2d: the weights are for 6 channels, x has 4"),
        ((4, 2, 3, 3), {"groups": 3}, "conv_transpose2d: 3 groups do not divide the 4 channels of x"),
        ((3, 3, 2, 6), {"channels": "last"}, "the weights are for 6 channels, x has 4"),
    ],
)
def test_a_transposed_convolution_of_other_channels(shape: Any, keywords: Any, said: str) -> None:
    x = sg.tensor("x", ("n", 9, 9, 4) if keywords.get("channels") else ("n", 4, 9, 9))
    with pytest.raises(sg.ShapeError, match=said):
        sg.conv_transpose2d(x, sg.tensor("w", shape), **keywords)
