"""jvp, jacobian, hessian, hvp, vmap, trace: against each other and against loops."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import apply
from symgrad.ops.pool import SumUnpool
from symgrad.ops.windows import Fold
from tests.autodiff.network import mlp, network

X = np.array([0.3, -1.2, 2.0])
M = np.arange(12.0).reshape(3, 4) / 7 - 0.6


# ---- jvp --------------------------------------------------------------------------------------------


def test_jvp_and_vjp_are_adjoint() -> None:
    loss, ws, values = network()
    rng = np.random.default_rng(1)
    tangents = [rng.normal(size=w.shape) for w in ws]
    out = sg.jvp(loss, ws, tangents)
    back = sum(sg.sum(g * t) for g, t in zip(sg.grad(loss, ws), tangents, strict=True))
    np.testing.assert_allclose(out.eval(values), back.eval(values), rtol=1e-12)


def test_jvp_keeps_the_forms() -> None:
    x, y = sg.vector("x", size=3), sg.scalar("y")
    a, b = sg.jvp((x * y, y**2), {"x": x, "y": y}, {"y": 1.0, "x": np.ones(3)})
    at = {x: X, y: 2.0}
    np.testing.assert_allclose(a.eval(at), 2.0 + X)
    assert b.eval({y: 2.0}) == 4.0
    assert isinstance(sg.jvp([x * y], x, np.ones(3)), list)


def test_jvp_with_respect_to_an_intermediate() -> None:
    x = sg.vector("x", size=3)
    h = sg.sin(x)
    y = h * x
    np.testing.assert_allclose(sg.jvp(y, h, np.ones(3)).eval({x: X}), X)
    both = sg.jvp(y, [x, h], [np.ones(3), np.ones(3)])
    np.testing.assert_allclose(both.eval({x: X}), np.sin(X) + X * np.cos(X) + X)


def test_jvp_of_what_does_not_depend() -> None:
    x, y = sg.vector("x", size=3), sg.vector("y", size=3)
    with pytest.raises(sg.DisconnectedInputError, match="does not depend on y"):
        sg.jvp(x * 2, y, np.ones(3))
    assert not sg.jvp(x * 2, y, np.ones(3), disconnected_inputs="ignore").eval({x: X}).any()
    with pytest.raises(sg.GradientError, match="shape of its tensor"):
        sg.jvp(x * 2, x, np.ones(4))
    with pytest.raises(sg.GradientError, match="one tangent for each"):
        sg.jvp(x * 2, [x], [])
    with pytest.raises(sg.GradientError, match="keys of wrt"):
        sg.jvp(x * 2, {"x": x}, {"y": np.ones(3)})
    with pytest.raises(TypeError, match="integers"):
        sg.jvp(x * 2, sg.scalar("k", dtype="int64"), 1)


# ---- jacobian, hessian, hvp -------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_jacobian_of_a_matrix_function(mode: str) -> None:
    a = sg.matrix("a", (3, 4))
    y = sg.sin(a) @ a.T
    found = sg.jacobian(y, a, mode=mode).eval({a: M})
    assert found.shape == (3, 3, 3, 4)
    h = 1e-6
    f = sg.function([a], y)
    for i in range(3):
        for j in range(4):
            e = np.zeros((3, 4))
            e[i, j] = h
            np.testing.assert_allclose(found[:, :, i, j], (f(M + e) - f(M - e)) / (2 * h), atol=1e-8)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_jacobian_keeps_the_form_and_knows_scalars(mode: str) -> None:
    x, y = sg.vector("x", size=3), sg.scalar("y")
    found = sg.jacobian(x * y, {"x": x, "y": y}, mode=mode)
    assert found["x"].shape == (3, 3)
    assert found["y"].shape == (3,)
    np.testing.assert_array_equal(found["x"].eval({y: 2.0}), np.eye(3) * 2)
    scalar = sg.jacobian(y**2, y, mode=mode)
    assert scalar.shape == ()
    assert scalar.eval({y: 3.0}) == 6


@pytest.mark.parametrize("n", [0, 1, 5])
def test_jacobian_of_symbolic_size(n: int) -> None:
    x = sg.vector("x", size="n")
    found = sg.jacobian(x**2, x)
    a = np.arange(float(n))
    np.testing.assert_array_equal(found.eval({x: a}), np.diag(2 * a))


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_an_infinite_slope_spoils_nothing_else(mode: str) -> None:
    """0 * inf: where the peers fill rows and columns with NaN."""
    x = sg.vector("x", size=3)
    found = sg.jacobian(sg.sqrt(x), x, mode=mode).eval({x: [0.0, 1.0, 4.0]})
    np.testing.assert_array_equal(found, np.diag([np.inf, 0.5, 0.25]))


@pytest.mark.parametrize(
    "among_zeros",
    [
        lambda x, z: sg.concat([x, z]),
        lambda x, z: sg.stack([z, x]),
        lambda x, z: sg.reshape(sg.stack([x, z], axis=1), (-1,))[1:],
        lambda x, z: sg.pad(x, 1),
        lambda x, z: sg.diag(x),
        lambda x, z: sg.zeros(4).at[1:3].set(x),
        lambda x, z: sg.segment_sum(x, [0, 2], 4),
        lambda x, z: sg.zeros(4).at[[2, 2]].add(x),
        lambda x, z: sg.cumulative_sum(x, include_initial=True),
        lambda x, z: apply(Fold((1,), (2,), (1,), (0,), (4,)), x[:, None]),
        lambda x, z: apply(SumUnpool((1,), (2,), (1,), (0,), (4,)), x),
    ],
)
def test_what_depends_on_no_target_has_no_tangent(among_zeros: Any) -> None:
    """0 * inf: the square root of zeros that a tensor lies among."""
    x, z = sg.vector("x", size=2), sg.vector("z", size=2)
    y = sg.sum(sg.sqrt(among_zeros(x, z))) ** 2
    t = np.array([1.0, -2.0])
    f = sg.function(
        [x, z],
        [sg.grad(y, x), sg.jvp(y, x, t), sg.hessian(y, x), sg.hvp(y, x, t)],
        on_unused_input="ignore",
    )
    gradient, slope, hessian, product = f([1.0, 4.0], [0.0, 0.0])
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(slope, gradient @ t, rtol=1e-13)
    np.testing.assert_allclose(product, hessian @ t, rtol=1e-13)


def test_jacobian_errors() -> None:
    x, y = sg.vector("x", size=3), sg.vector("y", size=3)
    with pytest.raises(sg.GradientError, match="mode"):
        sg.jacobian(x, x, mode="sideways")
    with pytest.raises(sg.DisconnectedInputError):
        sg.jacobian(x * 2, [x, y])
    ignored = sg.jacobian(x * 2, [x, y], disconnected_inputs="ignore")
    assert not ignored[1].eval().any()
    with pytest.raises(TypeError, match="integers"):
        sg.jacobian(sg.argmax(x), x)


def test_hessian_is_the_jacobian_of_the_gradient() -> None:
    loss, ws, values = network()
    rows = sg.hessian(loss, ws)
    gradients = sg.grad(loss, ws)
    flat = [t for row in rows for t in row]
    other = [t for g in gradients for t in sg.jacobian(g, ws, mode="reverse", disconnected_inputs="ignore")]
    f = sg.function(list(values), [*flat, *other])
    results = f(*values.values())
    for a, b in zip(results[:9], results[9:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(results[1], results[3].transpose(2, 3, 0, 1), rtol=1e-10, atol=1e-13)
    assert rows[0][2].shape == (4, 5, 5, 3)


def test_hessian_keeps_the_form() -> None:
    x, y = sg.vector("x", size=2), sg.scalar("y")
    found = sg.hessian(sg.sum(x**3) * y, {"x": x, "y": y})
    at = {x: [1.0, 2.0], y: 3.0}
    np.testing.assert_array_equal(found["x"]["x"].eval(at), np.diag([18.0, 36.0]))
    np.testing.assert_array_equal(found["x"]["y"].eval({x: [1.0, 2.0]}), [3.0, 12.0])
    assert not found["y"]["y"].eval().any()


def flops(outputs: Any, inputs: Any) -> int:
    """Floating-point operations of an optimised graph: products count two for each term, the rest one an
    element."""
    graph = sg.optimize(Graph(inputs, outputs))
    total = 0
    for node in graph.nodes:
        if not node.inputs or getattr(node.op, "strided", None):
            continue
        size = int(node.output.size)
        total += 2 * size * int(node.inputs[0].shape[-1]) if node.op.name == "matmul" else size
    return total


def test_hvp_equals_the_hessian_times_the_vector_and_is_cheap() -> None:
    loss, ws, values = network()
    rng = np.random.default_rng(2)
    vs = [rng.normal(size=w.shape) for w in ws]
    found = sg.hvp(loss, ws, vs)
    rows = sg.hessian(loss, ws)
    at = sg.function(list(values), [*found, *[t for row in rows for t in row]])(*values.values())
    for i in range(3):
        expected = sum(np.tensordot(at[3 + 3 * i + j], vs[j], 2) for j in range(3))
        np.testing.assert_allclose(at[i], expected, rtol=1e-10)


def test_hvp_costs_at_most_three_gradients() -> None:
    x = sg.matrix("x", (32, 20))
    ws = [sg.matrix(f"w{i}", s) for i, s in enumerate([(20, 50), (50, 50), (50, 10)])]
    labels = sg.vector("labels", size=32, dtype="int64")
    scores = sg.log_softmax(mlp(x, ws), axis=1)
    loss = -sg.mean(sg.take_along_axis(scores, labels[:, None], axis=1))
    vs = [sg.matrix(f"v{i}", w.shape) for i, w in enumerate(ws)]
    once = flops(sg.grad(loss, ws), [x, labels, *ws])
    assert flops(sg.hvp(loss, ws, vs), [x, labels, *ws, *vs]) <= 3 * once


def test_the_jacobian_of_a_banded_map_compiles_quickly() -> None:
    x = sg.vector("x", size=200)
    y = sg.tanh(x) * 2 + sg.concat([x[1:] ** 2, x[:1]]) - sg.sin(sg.concat([x[-1:], x[:-1]]))
    start = time.perf_counter()
    f = sg.function([x], sg.jacobian(y, x), validate=False)
    elapsed = time.perf_counter() - start
    at = np.linspace(-1, 1, 200)
    expected = np.diag(2 / np.cosh(at) ** 2)
    for i in range(200):
        expected[i, (i + 1) % 200] += 2 * at[i + 1] if i < 199 else 1
        expected[i, i - 1] -= np.cos(at[i - 1])
    np.testing.assert_allclose(f(at), expected, rtol=1e-12, atol=1e-15)
    assert elapsed < 1


def test_second_derivatives_of_masked_products() -> None:
    x, m = sg.vector("x", size=2), sg.scalar("m", dtype="bool")
    for y in (x @ (x * x), x @ (x[:, None] * x) @ x):
        g = sg.grad(sg.where(m, y, 0.0), x)
        h = sg.grad(sg.sum(g), x)
        for value in sg.function([x, m], [g, h])([np.inf, 1.0], False):
            assert not value.any()


def test_constants_and_disconnected_targets_in_every_transform() -> None:
    v, u = sg.vector("v", size=2), sg.vector("u", size=2)
    h = v * v
    at = {v: [1.0, 2.0]}
    cost = sg.sum(h * v)
    np.testing.assert_array_equal(sg.grad(cost, v, consider_constant=h).eval(at), [1, 4])
    np.testing.assert_array_equal(sg.jvp(cost, v, [1.0, 0.0], consider_constant=h).eval(at), 1)
    np.testing.assert_array_equal(sg.jacobian(h * v, v, consider_constant=[h]).eval(at), np.diag([1.0, 4.0]))
    assert not sg.hessian(cost, v, consider_constant=h).eval(at).any()
    assert not sg.hvp(cost, v, [1.0, 1.0], consider_constant=h).eval(at).any()
    assert sg.jacobian(h, u, disconnected_inputs="none") is None
    assert sg.jvp(h, u, [1.0, 1.0], disconnected_inputs="none") is None
    with pytest.warns(UserWarning, match="does not depend on u"):
        assert not sg.jacobian(h, u, disconnected_inputs="warn").eval(at).any()
    with pytest.raises(sg.GradientTypeError, match="consider_constant takes tensors"):
        sg.grad(cost, v, consider_constant=[1.0])
    with pytest.raises(sg.GradientTypeError, match="wrt must be a tensor"):
        sg.grad(cost, None)
    with pytest.raises(sg.GradientError, match="disconnected_inputs must be"):
        sg.jvp(h, v, [1.0, 1.0], disconnected_inputs="no")


# ---- vmap -------------------------------------------------------------------------------------------


def looped(f: Any, *arrays: Any) -> Any:
    xs = [sg.tensor(f"x{i}", a.shape[1:]) for i, a in enumerate(arrays)]
    g = sg.function(xs, f(*xs), on_unused_input="ignore")
    return np.stack([g(*row) for row in zip(*arrays, strict=True)])


def many(a: Any, b: Any) -> Any:
    """About thirty ops, whose result is a vector."""
    h = sg.sin(a) @ b + sg.cos(a[0]) @ b
    h = sg.where(h > 0, sg.log1p(h * h), sg.tanh(h))
    h = sg.concat([h, h[::-1]])
    h = sg.softmax(h) + sg.logsumexp(h) - sg.max(h) * sg.min(h) + sg.prod(h[:2])
    h = sg.take(h, [2, 0, 2]) * sg.take_along_axis(h, [1, 1, 0], axis=0)
    s, t = sg.split(sg.reshape(sg.stack([h, -h], axis=1), (-1,)), [4])
    k = sg.argmax(a, axis=1)
    picked = sg.take_along_axis(a, k[:, None], axis=1)[:, 0]
    onehot = sg.one_hot(k, a.shape[1])
    return (
        sg.maximum(sg.mean(s) + sg.sum(t), picked)
        + sg.sum(onehot * sg.abs(a), axis=1)
        + sg.sqrt(sg.square(h) + 1)
    )


def test_vmap_over_thirty_ops_at_once() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(7, 3, 4)), rng.normal(size=(7, 4))
    x, y = sg.tensor("x", ("n", 3, 4)), sg.tensor("y", ("n", 4))
    out = sg.vmap(many)(x, y)
    assert len({n.op.name for n in Graph([x, y], out).nodes}) >= 30
    np.testing.assert_allclose(out.eval({x: a, y: b}), looped(many, a, b), rtol=1e-12)


def test_vmap_of_a_gradient_gives_one_for_each_example() -> None:
    x, w = sg.matrix("x", ("n", 3)), sg.vector("w", size=3)
    each = sg.vmap(lambda row: sg.grad(sg.tanh(row @ w), w))(x)
    a, v = np.random.default_rng(4).normal(size=(5, 3)), X
    expected = (1 - np.tanh(a @ v) ** 2)[:, None] * a
    np.testing.assert_allclose(each.eval({x: a, w: v}), expected, rtol=1e-12)


def test_vmap_axes() -> None:
    x, y = sg.tensor("x", (3, 5)), sg.tensor("y", (5, 2))
    out = sg.vmap(lambda a, b: a[:, None] * b, in_axes=(1, 0), out_axes=2)(x, y)
    assert out.shape == (3, 2, 5)
    a, b = np.arange(15.0).reshape(3, 5), np.arange(10.0).reshape(5, 2)
    np.testing.assert_array_equal(out.eval({x: a, y: b}), a[:, None, :] * b.T[None])
    held = sg.vmap(lambda a, b: a @ b, in_axes=(0, None))(x, y)
    np.testing.assert_allclose(held.eval({x: a, y: b}), a @ b)
    last = sg.vmap(sg.sum, in_axes=-1)(x)
    np.testing.assert_array_equal(last.eval({x: a}), a.sum(0))


def test_vmap_of_structures_and_nested() -> None:
    x, y = sg.tensor("x", (3, 5)), sg.tensor("y", (3,))

    def f(pair: Any, scale: Any) -> Any:
        return {"total": sg.sum(pair["a"]) * pair["b"], "constant": sg.constant(2.0) * scale}

    out = sg.vmap(f, in_axes=({"a": 0, "b": 0}, None), out_axes={"total": 0, "constant": None})(
        {"a": x, "b": y}, 3.0
    )
    a, b = np.arange(15.0).reshape(3, 5), X
    np.testing.assert_array_equal(out["total"].eval({x: a, y: b}), a.sum(1) * b)
    assert out["constant"].eval() == 6.0
    outer = sg.vmap(lambda p: sg.vmap(lambda q: p * q)(y))(y)
    np.testing.assert_array_equal(outer.eval({y: b}), np.outer(b, b))
    constant = sg.vmap(lambda _: sg.constant(1.0))(y)
    np.testing.assert_array_equal(constant.eval(), np.ones(3))


def test_vmap_errors() -> None:
    x, y, s = sg.tensor("x", (3, 5)), sg.tensor("y", (4,)), sg.scalar("s")
    with pytest.raises(sg.ShapeError, match="different sizes: 3 and 4"):
        sg.vmap(lambda a, b: a * b)(x, y)
    with pytest.raises(sg.ShapeError, match="needs an axis"):
        sg.vmap(lambda a: a)(s)
    with pytest.raises(ValueError, match="at least one"):
        sg.vmap(lambda a: a, in_axes=None)(x)
    with pytest.raises(ValueError, match="2 entries for 1"):
        sg.vmap(lambda a: a, in_axes=(0, 0))(x)
    with pytest.raises(ValueError, match="out_axes is None"):
        sg.vmap(lambda a: a, out_axes=None)(x)
    with pytest.raises(ValueError, match="in_axes must be"):
        sg.vmap(lambda a: a, in_axes="no")(x)


# ---- trace ------------------------------------------------------------------------------------------


def test_trace() -> None:
    g = sg.trace(lambda x, w: {"y": x @ w}, (("n", 3), "float32"), sg.vector("v", size=3, dtype="float32"))
    assert g.input_names == ("x", "v")
    assert g.output_names == ("y",)
    assert sg.parse(sg.emit(g)).same(g)
    with pytest.raises(sg.GraphError, match="spec"):
        sg.trace(lambda x: x, 3)


def test_shapes_that_do_not_fit_are_errors_of_shape_and_gradient() -> None:
    x = sg.vector("x", size=2)
    y, cost = x * 2, sg.sum(x**3)
    for wrong in (
        lambda: sg.vjp(y, x, np.ones(3)),
        lambda: sg.vjp(y, x, 1.0),
        lambda: sg.jvp(y, x, np.ones((2, 1))),
        lambda: sg.hvp(cost, x, np.ones(3)),
        lambda: sg.grad(None, x, known_grads={y: np.ones(3)}),
        lambda: sg.grad(y, x),
    ):
        with pytest.raises(sg.GradientShapeError) as caught:
            wrong()
        assert isinstance(caught.value, sg.GradientError)
        assert isinstance(caught.value, sg.ShapeError)
        assert caught.value.at
