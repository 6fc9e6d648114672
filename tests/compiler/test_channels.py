"""Convolutions with their channels last, and what lies between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.ops.conv import Convolution
from symgrad.ops.shape import PermuteDims

WITHOUT = tuple(p for p in sg.passes.default if p is not sg.passes.channels_last)


def bias(x: Any, b: Any) -> Any:
    return x + sg.reshape(b, (b.shape[0], 1, 1))


NETS: dict[str, Callable[..., Any]] = {
    "pools": lambda x, v, w, b: sg.conv2d(sg.max_pool2d(sg.relu(bias(sg.conv2d(x, v), b)), 2), w),
    "overlapping pools": lambda x, v, w, b: sg.conv2d(
        sg.max_pool2d(sg.tanh(sg.conv2d(x, v, padding="same")), 3, stride=2, padding=1), w
    ),
    "mean pools": lambda x, v, w, b: sg.conv2d(
        sg.avg_pool2d(bias(sg.conv2d(x, v, padding=1), b), (2, 3), stride=(1, 2)), w
    ),
    "a residual": lambda x, v, w, b: sg.conv2d(h := sg.conv2d(x, v), w, padding=1) + sg.sin(h),
    "mean of the image": lambda x, v, w, b: sg.mean(sg.exp(sg.conv2d(x, v)), axis=(2, 3)) @ w[:, :, 0, 0],
    "a sum that keeps the channels": lambda x, v, w, b: sg.sum(sg.conv2d(x, v), axis=3, keepdims=True) * b[0],
    "normalised": lambda x, v, w, b: sg.conv2d(
        (h := sg.conv2d(x, v)) / sg.sqrt(1 + sg.mean(h**2, axis=(0, 2, 3), keepdims=True)), w
    ),
    "parts": lambda x, v, w, b: sg.conv2d(
        sg.concat([(h := sg.conv2d(x, v))[:, :2], 2 * h[:, 2:]], axis=1), w
    ),
    "strides": lambda x, v, w, b: sg.conv2d(
        sg.conv2d(x, v, stride=2, padding=2)[:, :, 1:, ::-1], w, padding=1
    ),
    "transposed": lambda x, v, w, b: sg.conv_transpose2d(sg.relu(sg.conv2d(x, v)), w, stride=2),
    "moved in between": lambda x, v, w, b: sg.conv2d(sg.permute_dims(sg.conv2d(x, v), (0, 1, 3, 2)), w),
    "softmax over channels": lambda x, v, w, b: sg.conv2d(sg.softmax(sg.conv2d(x, v), axis=1), w),
}


@pytest.mark.parametrize("batch", [2, "n"])
@pytest.mark.parametrize("net", NETS)
def test_as_without(net: str, batch: Any) -> None:
    x, v = sg.tensor("x", (batch, 3, 9, 8)), sg.tensor("v", (4, 3, 3, 3))
    w, b = sg.tensor("w", (4, 4, 3, 3)), sg.vector("b", size=4)
    y = NETS[net](x, v, w, b)
    cost = sg.sum(sg.sin(y))
    outputs = [y, *sg.grad(cost, [x, v, w, b], disconnected_inputs="none")]
    outputs = [t for t in outputs if t is not None]
    inputs = [x, v, w, b]
    rng = np.random.default_rng(0)
    values = [rng.normal(scale=0.3, size=tuple(2 if d == "n" else d for d in s)) for s in
              [(batch, 3, 9, 8), (4, 3, 3, 3), (4, 4, 3, 3), (4,)]]  # fmt: skip
    f = sg.function(inputs, outputs, on_unused_input="ignore")
    assert all(n.op.channels == "last" for n in f.optimized.nodes if isinstance(n.op, Convolution))
    plain = sg.function(inputs, outputs, passes=WITHOUT, backend="numpy", on_unused_input="ignore")
    for a, c in zip(f(*values), plain(*values), strict=True):
        np.testing.assert_allclose(a, c, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize(("rank", "conv"), [(1, sg.conv1d), (3, sg.conv3d)])
def test_other_numbers_of_axes(rank: int, conv: Any) -> None:
    x, w = sg.tensor("x", (2, 3, *(6,) * rank)), sg.tensor("w", (6, 1, *(3,) * rank))
    cost = sg.sum(sg.square(sg.relu(conv(x, w, groups=3, padding=1, dilation=2))))
    outputs = [cost, *sg.grad(cost, [x, w])]
    rng = np.random.default_rng(1)
    values = rng.normal(size=(2, 3, *(6,) * rank)), rng.normal(size=(6, 1, *(3,) * rank))
    plain = sg.function([x, w], outputs, passes=WITHOUT, backend="numpy")(*values)
    for a, c in zip(sg.function([x, w], outputs)(*values), plain, strict=True):
        np.testing.assert_allclose(a, c, rtol=1e-10)


def test_nothing_is_moved_between_two_convolutions() -> None:
    """Of two layers with their gradient, images and weights are moved, and weights' gradients back."""
    x, v, w = sg.tensor("x", ("n", 3, 20, 20)), sg.tensor("v", (8, 3, 3, 3)), sg.tensor("w", (8, 8, 3, 3))
    b = sg.vector("b", size=8)
    h = sg.max_pool2d(sg.relu(bias(sg.conv2d(x, v), b)), 2)
    cost = sg.sum(sg.square(sg.conv2d(h, w)))
    g = sg.optimize(sg.Graph([x, v, w, b], [cost, *sg.grad(cost, [v, w, b])]))
    moved = [n for n in g.nodes if isinstance(n.op, PermuteDims)]
    assert len(moved) == 5
    assert {n.inputs[0] for n in moved} >= {x, v, w}
    assert [t.shape for t in g.outputs[1:]] == [v.shape, w.shape, b.shape]


def test_graphs_without_convolutions_stay() -> None:
    x = sg.tensor("x", (2, 3, 4, 4))
    graph = sg.Graph([x], sg.max_pool2d(x, 2))
    assert sg.passes.channels_last(graph) is graph
