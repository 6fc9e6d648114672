"""The pipeline as a whole: it comes to rest, makes nothing worse, keeps the numbers of gradient graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.dims import evaluate, symbols
from symgrad.ir.graph import Graph

SIZES = {"n": 3, "t": 5}


def mlp_loss() -> tuple[Any, Any, list[Any]]:
    x, y = sg.matrix("x", ("n", 6)), sg.vector("y", "n", dtype="int64")
    ws = [sg.matrix("w1", (6, 7)), sg.vector("b1", 7), sg.matrix("w2", (7, 3)), sg.vector("b2", 3)]
    z = sg.tanh(x @ ws[0] + ws[1]) @ ws[2] + ws[3]
    picked = sg.take_along_axis(sg.log_softmax(z, axis=1), y[:, None], axis=1)
    return [x, y], -sg.mean(picked), ws


def mlp() -> Graph:
    given, cost, ws = mlp_loss()
    return Graph([*given, *ws], [cost, *sg.grad(cost, ws)])


def hessian_vector_product() -> Graph:
    given, cost, ws = mlp_loss()
    vs = [sg.tensor(f"v_{w.name}", w.shape) for w in ws]
    along = sg.stack([sg.sum(g * v) for g, v in zip(sg.grad(cost, ws), vs, strict=True)])
    return Graph([*given, *ws, *vs], sg.grad(sg.sum(along), ws))


def attention() -> Graph:
    heads, width = 2, 8
    x = sg.tensor("x", (2, "t", width))
    ws = [sg.matrix(name, (width, width)) for name in ("wq", "wk", "wv", "wo")]

    def apart(z: Any) -> Any:
        return sg.permute_dims(sg.reshape(z, (2, x.shape[1], heads, width // heads)), (0, 2, 1, 3))

    q, k, v = (apart(x @ w) for w in ws[:3])
    seen = sg.softmax(q @ k.mT / np.sqrt(width // heads), axis=-1) @ v
    out = sg.reshape(sg.permute_dims(seen, (0, 2, 1, 3)), x.shape) @ ws[3]
    cost = sg.mean(sg.square(out))
    return Graph([x, *ws], [cost, *sg.grad(cost, [x, *ws])])


def lstm(steps: int = 20) -> Graph:
    size = 4
    x = sg.tensor("x", (steps, "n", 3))
    ws = [sg.matrix("wx", (3, 4 * size)), sg.matrix("wh", (size, 4 * size)), sg.vector("b", 4 * size)]
    h = c = sg.zeros((x.shape[1], size))
    for t in range(steps):
        z = x[t] @ ws[0] + h @ ws[1] + ws[2]
        i, f, g, o = (z[:, k * size : (k + 1) * size] for k in range(4))
        c = sg.sigmoid(f) * c + sg.sigmoid(i) * sg.tanh(g)
        h = sg.sigmoid(o) * sg.tanh(c)
    cost = sg.sum(h * h)
    return Graph([x, *ws], [cost, *sg.grad(cost, ws)])


def fourth_derivative() -> Graph:
    x = sg.vector("x", "n")
    y = sg.exp(sg.sin(x)) * sg.tanh(x)
    for _ in range(4):
        y = sg.grad(sg.sum(y), x)
    return Graph([x], y)


def layer_norm() -> Graph:
    x = sg.tensor("x", ("n", 6))
    g, b = sg.vector("g", 6), sg.vector("b", 6)
    centred = x - sg.mean(x, axis=-1, keepdims=True)
    spread = sg.sqrt(sg.mean(centred**2, axis=-1, keepdims=True) + 1e-5)
    cost = sg.sum(sg.gelu(centred / spread * g + b) ** 2)
    return Graph([x, g, b], [cost, *sg.grad(cost, [x, g, b])])


GRAPHS: dict[str, Callable[[], Graph]] = {
    f.__name__: f for f in (mlp, hessian_vector_product, attention, lstm, fourth_derivative, layer_norm)
}


def arguments(graph: Graph) -> list[Any]:
    rng = np.random.default_rng(0)
    values: list[Any] = []
    for t in graph.inputs:
        shape = tuple(evaluate(d, SIZES) for d in t.shape)
        values.append(rng.integers(0, 3, shape) if t.dtype.kind == "int" else rng.normal(size=shape))
    return values


@pytest.mark.parametrize("name", GRAPHS)
def test_a_second_time_changes_nothing(name: str) -> None:
    once = sg.optimize(GRAPHS[name]())
    again = sg.optimize(once)
    assert sg.emit(again) == sg.emit(once)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_numbers_stay(name: str) -> None:
    graph = GRAPHS[name]()
    assert {s for t in graph.inputs for d in t.shape for s in symbols(d)} <= set(SIZES)
    values = arguments(graph)
    plain, tuned = (sg.function(graph.inputs, list(graph.outputs), passes=p)(*values) for p in ((), None))
    for old, new in zip(plain, tuned, strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", GRAPHS)
def test_no_more_nodes_than_before(name: str) -> None:
    graph = GRAPHS[name]()
    assert len(sg.optimize(graph).nodes) < len(graph.nodes)


def count(graph: Graph) -> dict[str, int]:
    found: dict[str, int] = sg.optimize(graph).stats()["ops"]
    return found


def test_gradients_of_parts_are_joined() -> None:
    """The four gates of a step: their cotangents are joined, not added to zeros four times."""
    ops = count(lstm(3))
    assert "unslice" not in ops
    assert ops["concat"] == 3


def test_gradients_of_a_split_are_joined() -> None:
    x = sg.matrix("x", ("n", 9))
    cost = sg.sum(sg.sin(x[:, :2])) + sg.sum(sg.cos(x[:, 2:5])) + sg.sum(sg.tanh(x[:, 5:]))
    assert count(Graph([x], sg.grad(cost, x))).keys() & {"unslice", "add", "concat"} == {"concat"}


def test_a_batch_of_dense_layers_is_one_product() -> None:
    x, w = sg.tensor("x", (4, "n", 3)), sg.matrix("w", (3, 5))
    cost = sg.sum(sg.sin(x @ w))
    graph = sg.optimize(Graph([x, w], sg.grad(cost, [x, w])))
    assert {t.ndim for n in graph.nodes if n.op.name == "matmul" for t in n.inputs} == {2}
    assert "sum" not in graph.stats()["ops"]


def test_a_product_that_is_shared_is_not_taken_apart() -> None:
    a, b, v = sg.matrix("a", (9, 9)), sg.matrix("b", (9, 9)), sg.vector("v", 9)
    p = a @ b
    graph = sg.optimize(Graph([a, b, v], [p, p @ v]))
    assert [n.output.shape for n in graph.nodes] == [(9, 9), (9,)]


CHAINS: list[tuple[str, list[tuple[Any, ...]], Callable[..., Any], list[tuple[Any, ...]]]] = [
    ("vector last", [("n", "n"), ("n", "n"), ("n",)], lambda a, b, v: a @ b @ v, [("n",), ("n",)]),
    ("vector first", [("n",), ("n", "n"), ("n", "n")], lambda v, a, b: v @ (a @ b), [("n",), ("n",)]),
    ("transposed", [("n", "n"), ("n", "n"), ("n",)], lambda a, b, v: (a @ b).T @ v, [("n",), ("n",)]),
    ("textbook", [(10, 100), (100, 5), (5, 50)], lambda a, b, c: a @ (b @ c), [(10, 5), (10, 50)]),
    (
        "not provable",
        [("n", "k"), ("k", "m"), ("m", "j")],
        lambda a, b, c: a @ (b @ c),
        [("k", "j"), ("n", "j")],
    ),
    (
        "four",
        [(9, 2), (2, 9), (9, 2), (2, 9)],
        lambda a, b, c, d: (a @ b) @ (c @ d),
        [(2, 2), (2, 9), (9, 9)],
    ),
]


@pytest.mark.parametrize(("shapes", "build", "products"), [c[1:] for c in CHAINS], ids=[c[0] for c in CHAINS])
def test_chains_in_their_cheapest_order(
    shapes: list[tuple[Any, ...]], build: Callable[..., Any], products: list[tuple[Any, ...]]
) -> None:
    inputs = [sg.tensor(f"x{i}", shape) for i, shape in enumerate(shapes)]
    graph = Graph(inputs, build(*inputs))
    tuned = sg.optimize(graph)
    found = [tuple(map(str, n.output.shape)) for n in tuned.nodes if n.op.name == "matmul"]
    assert sorted(found) == sorted(tuple(map(str, p)) for p in products)
    sizes = {s: i + 2 for i, s in enumerate("nkmj")}
    rng = np.random.default_rng(0)
    values = [rng.normal(size=[evaluate(d, sizes) for d in t.shape]) for t in inputs]
    plain, fast = (sg.function(inputs, g.outputs[0], passes=())(*values) for g in (graph, tuned))
    np.testing.assert_allclose(fast, plain, rtol=1e-12)


def test_products_of_neighbouring_parts_are_one() -> None:
    x, w = sg.matrix("x", ("n", 8)), sg.matrix("w", (8, 12))
    parts = [sg.sin(x @ w[:, 3 * i : 3 * i + 3]) for i in (2, 0, 1)]
    graph = Graph([x, w], parts)
    tuned = sg.optimize(graph)
    (product,) = (n for n in tuned.nodes if n.op.name == "matmul")
    assert product.inputs[1].shape == (8, 9)
    assert any("combine_products" in str(o) for o in product.origins)
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 8)), rng.normal(size=(8, 12))
    plain, fast = (sg.function([x, w], list(g.outputs), passes=())(*values) for g in (graph, tuned))
    for old, new in zip(plain, fast, strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-13)


def test_products_of_parts_that_lie_apart_are_not_joined() -> None:
    x, w = sg.matrix("x", ("n", 8)), sg.matrix("w", (8, 12))
    assert count(Graph([x, w], [x @ w[:, :3], x @ w[:, 6:]]))["matmul"] == 2
    assert count(Graph([x, w], [x @ w[:, :3], x @ (2 * w[:, 3:6])]))["matmul"] == 2


def test_the_same_expression_written_twice_is_one() -> None:
    """Before differentiation nothing is merged yet; but what the caller named stays apart."""
    x = sg.scalar("x")
    written = (sg.exp(2 * x) - 1) / (sg.exp(2 * x) + 1)
    assert sg.function([x], sg.grad(written, x))(18.0) == pytest.approx(4 * np.exp(-36.0), rel=1e-12)
    twice = 2 * x
    apart = (sg.exp(twice) - 1) / (sg.exp(2 * x) + 1)
    at = 0.3
    expected = np.exp(2 * at) / (np.exp(2 * at) + 1)
    assert sg.function([x], sg.grad(apart, twice))(at) == pytest.approx(expected, rel=1e-12)


def test_weights_behind_merged_heads_have_one_product_as_gradient() -> None:
    """The transpose of the merged heads is not made of the heads anew: that would be a second copy, and keep
    the batch apart."""
    heads, w = sg.tensor("heads", (8, 4, 128, 16)), sg.matrix("w", shape=(64, 32))
    x = sg.reshape(sg.permute_dims(heads, (0, 2, 1, 3)), (8, 128, 64))
    d_w = sg.grad(sg.sum(sg.tanh(x @ w)), w)
    graph = sg.optimize(sg.Graph([heads, w], [d_w]))
    assert [n.outputs[0].shape for n in graph.nodes if n.op.name == "matmul"] == [(1024, 32), (64, 32)]
    assert sum(n.op.name == "permute_dims" and n.outputs[0].ndim == 4 for n in graph.nodes) == 1


def test_numbers_that_are_the_same_everywhere_are_not_written_out() -> None:
    """Found in review: gigabytes while it compiled, or none left."""
    x, huge = sg.scalar("x"), sg.full((10**6, 10**6), 2.0)
    for y in (sg.max(huge), sg.argmax(huge), sg.std(huge)):
        sg.optimize(sg.Graph([x], [x + y]))
    small = sg.optimize(sg.Graph([x], [x + sg.max(sg.full((30, 30), 2.0))]))
    assert [n.op.name for n in small.nodes if n.op.name not in ("fill", "constant")] == ["add"]
