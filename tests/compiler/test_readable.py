"""Gradients after the pipeline read as a textbook writes them: golden files, and what they must hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.ir.graph import Graph
from symgrad.ir.origin import UNKNOWN, scope
from tests.golden_text import Golden


def cross_entropy() -> tuple[list[Any], Any]:
    """(softmax - one_hot) / n"""
    x, labels = sg.matrix("x", ("n", "k")), sg.vector("labels", size="n", dtype="int64")
    picked = sg.take_along_axis(sg.log_softmax(x, axis=1), labels[:, None], axis=1)
    return [x, labels], sg.grad(-sg.mean(picked), x)


def cross_entropy_one_hot() -> tuple[list[Any], Any]:
    """The same, written with a one-hot tensor and the logarithm of softmax."""
    x, labels = sg.matrix("x", ("n", "k")), sg.vector("labels", size="n", dtype="int64")
    hot = sg.one_hot(labels, x.shape[1])
    return [x, labels], sg.grad(-sg.mean(sg.sum(hot * sg.log(sg.softmax(x, axis=1)), axis=1)), x)


def cross_entropy_fixed() -> tuple[list[Any], Any]:
    """The same for known sizes."""
    x, labels = sg.matrix("x", (32, 10)), sg.vector("labels", size=32, dtype="int64")
    picked = sg.take_along_axis(sg.log_softmax(x, axis=1), labels[:, None], axis=1)
    return [x, labels], sg.grad(-sg.mean(picked), x)


def least_squares() -> tuple[list[Any], Any]:
    """2 A^T (A x - b)"""
    a, x, b = sg.matrix("A", ("m", "n")), sg.vector("x", size="n"), sg.vector("b", size="m")
    return [a, x, b], sg.grad(sg.sum((a @ x - b) ** 2), x)


def logistic_regression() -> tuple[list[Any], Any]:
    """X^T (sigmoid(X w) - y)"""
    x, w, y = sg.matrix("X", ("m", "n")), sg.vector("w", size="n"), sg.vector("y", size="m")
    z = x @ w
    return [x, w, y], sg.grad(sg.sum(sg.log(1 + sg.exp(z)) - y * z), w)


#: name -> (graph, the ops that it is made of)
READABLE: dict[str, tuple[Callable[[], tuple[list[Any], Any]], str]] = {
    "cross_entropy": (cross_entropy, "astype broadcast multiply one_hot reciprocal size_of softmax subtract"),
    "cross_entropy_one_hot": (
        cross_entropy_one_hot,
        "astype broadcast multiply one_hot reciprocal size_of softmax subtract",
    ),
    "cross_entropy_fixed": (cross_entropy_fixed, "fill multiply one_hot softmax subtract"),
    "least_squares": (least_squares, "fill matmul matmul multiply permute_dims subtract"),
    "logistic_regression": (logistic_regression, "matmul matmul permute_dims sigmoid subtract"),
}


@pytest.mark.parametrize("name", READABLE)
def test_gradients_are_readable(name: str, golden: Golden) -> None:
    make, ops = READABLE[name]
    with scope((UNKNOWN,)):
        inputs, gradient = make()
        text = sg.emit(sg.optimize(Graph(inputs, gradient, name=name)))
    found = sg.parse(text)
    assert sorted(n.op.name for n in found.nodes) == ops.split()
    golden(f"readable/{name}.sg", "\n".join(line.split("  @")[0].rstrip() for line in text.split("\n")))


def test_they_are_right_too() -> None:
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(32, 10)), rng.integers(0, 10, 32)
    softmax = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    expected = (softmax - np.eye(10)[labels]) / 32
    for make in (cross_entropy, cross_entropy_one_hot, cross_entropy_fixed):
        inputs, gradient = make()
        np.testing.assert_allclose(sg.function(inputs, gradient)(x, labels), expected, rtol=1e-13, atol=1e-16)
        with pytest.raises(IndexError, match="index 10 is out of bounds"):
            sg.function(inputs, gradient)(x, np.full(32, 10))
    a, v, b = rng.normal(size=(5, 3)), rng.normal(size=3), rng.uniform(size=5)
    inputs, gradient = least_squares()
    np.testing.assert_allclose(sg.function(inputs, gradient)(a, v, b), 2 * a.T @ (a @ v - b), rtol=1e-13)
    inputs, gradient = logistic_regression()
    sigmoid = 1 / (1 + np.exp(-a @ v))
    np.testing.assert_allclose(sg.function(inputs, gradient)(a, v, b), a.T @ (sigmoid - b), rtol=1e-13)
