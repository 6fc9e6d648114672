"""Functions with rules of the user's: custom_vjp, custom_jvp, checkpoint, custom_root."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.ir.graph import Graph
from tests.autodiff.network import network

X = np.array([0.3, -1.2, 2.0])


def test_custom_vjp() -> None:
    scaled = sg.custom_vjp(lambda x, y: x * y, lambda g, x, y, out: (g * out, None))
    x, y = sg.vector("x", size=3), sg.vector("y", size=3)
    out = scaled(x, y)
    dx, dy = sg.vjp(out, [x, y], np.ones(3))
    at = {x: X, y: X + 1}
    np.testing.assert_allclose(out.eval(at), X * (X + 1))
    np.testing.assert_allclose(dx.eval(at), X * (X + 1))
    assert not dy.eval(at).any()
    # forward mode transposes the rule; second derivatives differentiate it
    np.testing.assert_allclose(sg.jvp(out, x, np.full(3, 2.0)).eval(at), 2 * X * (X + 1))
    second = sg.grad(sg.sum(dx), x, stabilize=False)
    np.testing.assert_allclose(second.eval(at), X * (X + 1))


def test_custom_vjp_in_text_under_vmap_and_with_structures() -> None:
    f = sg.custom_vjp(
        lambda pair: {"s": pair[0] + pair[1], "d": pair[0] - pair[1]},
        lambda g, pair: ((2 * g["s"], 3 * g["d"]),),
    )
    x, y = sg.vector("x", size=3), sg.vector("y", size=3)
    out = f((x, y))
    cost = sg.sum(out["s"] * out["d"])
    dx, dy = sg.grad(cost, [x, y])
    at = {x: X, y: X**2}
    np.testing.assert_allclose(dx.eval(at), 2 * (X - X**2))
    np.testing.assert_allclose(dy.eval(at), 3 * (X + X**2))
    graph = Graph([x, y], cost)
    again = sg.parse(sg.emit(graph))
    assert again.same(graph)
    other = sg.grad(again.outputs[0], list(again.inputs))[0]
    np.testing.assert_allclose(other.eval(dict(zip(again.inputs, at.values(), strict=True))), 2 * (X - X**2))
    rows = sg.matrix("rows", (4, 3))
    each = sg.vmap(lambda r: sg.grad(sg.sum(f((r, y))["s"]), r))(rows)
    np.testing.assert_array_equal(each.eval({rows: np.ones((4, 3)), y: X}), np.full((4, 3), 2.0))


def test_custom_rules_and_what_they_capture() -> None:
    w = sg.vector("w", size=3)
    f = sg.custom_vjp(lambda x: x * w, lambda g, x: g * w * 2)
    x = sg.vector("x", size=3)
    np.testing.assert_allclose(sg.grad(sg.sum(f(x)), x).eval({w: X}), 2 * X)
    with pytest.raises(sg.GradientError, match="reads without taking it as an argument"):
        sg.grad(sg.sum(f(x)), w)
    with pytest.raises(sg.GradientError, match="must return 1"):
        sg.custom_vjp(lambda x: x, lambda g, x: (g, g))(x)
    with pytest.raises(sg.GradientError, match="shape of its tensor"):
        sg.custom_vjp(lambda x: x, lambda g, x: sg.sum(g))(x)
    with pytest.raises(sg.GraphError, match="at least one argument"):
        sg.custom_vjp(lambda: w, lambda g: ())()


def test_custom_jvp() -> None:
    f = sg.custom_jvp(lambda x, y: sg.abs(x) * y, lambda t, x, y: t[0] * sg.tanh(x) * y + sg.abs(x) * t[1])
    x, y = sg.vector("x", size=3), sg.vector("y", size=3)
    at = {x: X, y: X + 1}
    out = f(x, y)
    np.testing.assert_allclose(sg.jvp(out, x, np.ones(3)).eval(at), np.tanh(X) * (X + 1))
    dx, dy = sg.grad(sg.sum(out), [x, y])
    np.testing.assert_allclose(dx.eval(at), np.tanh(X) * (X + 1))
    np.testing.assert_allclose(dy.eval(at), np.abs(X))
    second = sg.grad(sg.sum(dx), x)
    np.testing.assert_allclose(second.eval(at), (1 - np.tanh(X) ** 2) * (X + 1))
    graph = Graph([x, y], dx)
    assert sg.parse(sg.emit(graph)).same(graph)


def test_checkpoint_changes_no_derivative() -> None:
    loss, ws, values = network()
    x = next(iter(values))

    def body(h: Any, w: Any) -> Any:
        return sg.tanh(h @ w)

    layer = sg.checkpoint(body)
    scores = layer(layer(x, ws[0]), ws[1]) @ ws[2]
    again = sg.mean(sg.logsumexp(scores, axis=1) - scores[:, 0])
    plain, kept = sg.grad(loss, ws), sg.grad(again, ws)
    f = sg.function(list(values), [*plain, *kept, sg.hvp(loss, ws, ws)[0], sg.hvp(again, ws, ws)[0]])
    results = f(*values.values())
    for a, b in zip(results[:3], results[3:6], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(results[6], results[7], rtol=1e-12)
    names = [n.op.name for n in sg.optimize(Graph(list(values), [again, *kept])).nodes]
    assert names.count("matmul") == 3 + 5 + 2  # two of them again


def test_checkpoints_in_each_other() -> None:
    """Found in review: each level took twice the time of the one inside."""

    def outside(inner: Any) -> Any:
        return sg.checkpoint(lambda a: inner(a) * 1.5)

    f: Any = sg.sin
    for _ in range(40):
        f = outside(f)
    x = sg.scalar("x")
    graph = sg.Graph([x], [f(x), sg.grad(f(x), x)])
    again = sg.parse(sg.emit(graph))
    assert again.same(graph)
    found = sg.function(again.inputs, again.outputs, validate=False)(0.5)
    np.testing.assert_allclose(found, np.array([np.sin(0.5), np.cos(0.5)]) * 1.5**40)


def test_checkpoint_keeps_less() -> None:
    def peak(wrap: Any) -> int:
        x = sg.vector("x", size=100_000)

        @wrap
        def block(h: Any) -> Any:
            for _ in range(8):
                h = sg.sin(h) * h
            return h

        h = x
        for _ in range(4):
            h = block(h)
        return sg.function([x], sg.grad(sg.sum(h), x), backend="numpy").memory.peak

    assert peak(sg.checkpoint) < 0.7 * peak(lambda f: f)


def test_custom_root() -> None:
    a = sg.vector("a", size=3)

    def newton(f: Any, x: Any) -> Any:
        for _ in range(30):
            x = x - f(x) / (3 * x**2)
        return x

    def elementwise_solve(matvec: Any, b: Any) -> Any:
        return b / matvec(sg.ones_like(b))

    root = sg.custom_root(lambda x: x**3 - a, np.ones(3), newton, elementwise_solve)
    value = np.array([1.0, 8.0, 2.0])
    at = {a: value}
    np.testing.assert_allclose(root.eval(at), np.cbrt(value), rtol=1e-14)
    g = sg.grad(sg.sum(root), a)
    np.testing.assert_allclose(g.eval(at), value ** (-2 / 3) / 3, rtol=1e-13)
    np.testing.assert_allclose(sg.grad(sg.sum(g), a).eval(at), -2 / 9 * value ** (-5 / 3), rtol=1e-12)
    np.testing.assert_allclose(sg.jvp(root, a, np.ones(3)).eval(at), value ** (-2 / 3) / 3, rtol=1e-13)
    graph = Graph([a], root)
    assert sg.parse(sg.emit(graph)).same(graph)
    assert sum(n.op.name == "power" for n in Graph([a], g).nodes) < 30


def test_custom_root_of_a_system() -> None:
    """x with A x + x^3 = b: the matrix of the linear system is made and eliminated, or solved as told."""
    a, b = sg.matrix("a", (3, 3)), sg.vector("b", size=3)

    def f(x: Any) -> Any:
        return a @ x + x**3 - b

    rng = np.random.default_rng(0)
    matrix = np.eye(3) * 3 + rng.normal(size=(3, 3)) / 3
    right = rng.normal(size=3)

    def fixed_point(f: Any, x: Any) -> Any:
        for _ in range(120):
            x = x - f(x) / 6
        return x

    root = sg.custom_root(f, np.zeros(3), fixed_point)
    at = {a: matrix, b: right}
    x = root.eval(at)
    np.testing.assert_allclose(matrix @ x + x**3, right, atol=1e-14)
    jacobian = np.linalg.inv(matrix + np.diag(3 * x**2))
    for mode in ("forward", "reverse"):
        np.testing.assert_allclose(sg.jacobian(root, b, mode=mode).eval(at), jacobian, rtol=1e-11)
    big = sg.vector("big", size=9)
    with pytest.raises(sg.GradientError, match="at most 8"):
        sg.custom_root(lambda x: x - big, np.zeros(9), lambda f, x: x)


def test_roots_take_the_dtype_of_their_parameters() -> None:
    a = sg.scalar("a", dtype="float32")

    def newton(f: Any, x: Any) -> Any:
        for _ in range(8):
            x = x - f(x) / (3 * x * x)
        return x

    assert sg.custom_root(lambda r: r**3 - a, 1, newton).dtype.name == "float32"
    with pytest.raises(TypeError, match="integers"):
        sg.custom_root(lambda r: r, np.array(1), newton)


ROOTS: dict[str, Any] = {
    "checkpoint": sg.checkpoint(sg.sqrt),
    "custom_jvp": sg.custom_jvp(sg.sqrt, lambda t, x, y: t * 0.5 / y),
    "custom_vjp": sg.custom_vjp(sg.sqrt, lambda g, x, y: g * 0.5 / y),
    "custom_root": lambda a: sg.custom_root(
        lambda r: r * r - a, sg.sqrt(a), lambda f, g: g, lambda m, b: b / m(b * 0 + 1)
    ),
}


@pytest.mark.parametrize("name", ROOTS)
def test_masks_reach_into_rules(name: str) -> None:
    """A branch that is not taken contributes 0 at every order; an infinite slope spoils no other entry."""
    root, x, v = ROOTS[name], sg.scalar("x"), sg.vector("v", size=3)
    y = sg.where(x > 0, root(x), x * x)
    first = sg.grad(y, x)
    second = sg.grad(first, x)
    third = sg.grad(second, x, disconnected_inputs="ignore")
    found = sg.function([x], [first, second, third, sg.jvp(y, x, 1.0)])
    assert found(0.0) == [0, 2, 0, 0]
    np.testing.assert_allclose(found(4.0), [0.25, -1 / 32, 3 / 256, 0.25])
    expected = np.diag([np.inf, 0.5, 0.25])
    for mode in ("forward", "reverse"):
        found = sg.jacobian(root(v), v, mode=mode).eval({v: [0.0, 1.0, 4.0]})
        np.testing.assert_array_equal(found, expected)
    cotangents = sg.vmap(lambda c: sg.vjp(root(v), v, c))(sg.eye(3))
    np.testing.assert_allclose(cotangents.eval({v: [1.0, 4.0, 16.0]}), np.diag([0.5, 0.25, 0.125]))


def test_stabilisation_reaches_into_rules() -> None:
    def softplus(u: Any) -> Any:
        return sg.log(1 + sg.exp(u))

    x = sg.scalar("x")
    for f in (
        sg.checkpoint(softplus),
        lambda u: sg.custom_root(lambda r: r - softplus(u), softplus(u), lambda f, g: g),
    ):
        assert sg.grad(f(x), x).eval({x: 1000.0}) == 1
        assert sg.jvp(f(x), x, 1.0).eval({x: 1000.0}) == 1


def test_defaults_of_a_rule_are_its_own() -> None:
    x = sg.scalar("x")
    for k in (2.0, 3.0):
        f = sg.custom_vjp(lambda a, k=k: a * k, lambda g, a, k=k: g * k)
        assert sg.grad(f(x), x).eval({x: 10.0}) == k


def test_captured_constants_and_what_rules_read_have_no_derivative() -> None:
    x, w = sg.scalar("x"), sg.scalar("w")
    at = {x: 3.0, w: 2.0}
    held = sg.stop_gradient(w)
    inside = sg.custom_vjp(lambda a: a * sg.stop_gradient(w), lambda g, a: g)
    outside = sg.custom_vjp(lambda a: a * held, lambda g, a: g)
    by_rule = sg.custom_vjp(lambda a: a * 1.0, lambda g, a: g * w)
    assert sg.grad(inside(x) * w, w).eval(at) == 6
    assert sg.grad(outside(x) * w, w).eval(at) == 6
    assert sg.grad(by_rule(x) * w, w).eval(at) == 3


def test_a_rule_for_tangents_must_be_linear() -> None:
    x = sg.scalar("x")
    with pytest.raises(sg.GradientError, match="not linear in the tangent"):
        sg.grad(sg.custom_jvp(sg.sin, lambda t, a: t * t)(x), x)
    squared = sg.custom_jvp(lambda a, b: a * b, lambda t, a, b: t[0] * t[0] * b + t[1] * a)
    with pytest.raises(sg.GradientError, match="not linear in the tangent"):
        sg.jvp(squared(x, 2.0), x, 1.0)


def test_an_argument_without_a_tangent_adds_none() -> None:
    """Not 0 times what the rule multiplies it by, which is infinite here."""
    x, y = sg.scalar("x"), sg.scalar("y")
    f = sg.custom_jvp(
        lambda a, b: (a * sg.sqrt(b), sg.sin(b)),
        lambda t, a, b: (t[0] * sg.sqrt(b) + t[1] * a * 0.5 / sg.sqrt(b), t[1] * sg.cos(b)),
    )
    product, sine = f(x, y)
    cost = product**2 + product + x**3
    at = {x: 1.0, y: 0.0}
    assert sg.grad(cost, x).eval(at) == sg.jvp(cost, x, 1.0).eval(at) == 3
    assert sg.hvp(cost, x, 1.0).eval(at) == sg.hessian(cost, x).eval(at) == 6
    assert sg.jvp([product, sine], x, 1.0)[1].eval(at) == 0
    assert sg.jvp(sine, y, 2.0).eval(at) == 2


def test_names_of_many_things_that_a_function_captures() -> None:
    x = sg.vector("x", size=2)
    long = sg.vector("v" * 255, size=2)
    captured = [sg.sin(x * float(k)) for k in range(300)]
    f = sg.checkpoint(lambda a: a * sg.sum(sg.stack(captured)) + long)
    g = sg.Graph([x, long], [f(x), sg.checkpoint(lambda a: a * long)(long)])
    assert sg.parse(sg.emit(g)).same(g)
    (node,) = [n for n in g.nodes if n.op.name == "checkpoint" and len(n.inputs) > 300]
    names = node.op.rule.graph.input_names  # type: ignore[attr-defined]
    assert {"a", "sin", "sin_299"} <= {*names}
    root = sg.custom_root(lambda y: y - sum(captured[:260]), x, lambda f, start: start - f(start))
    assert sg.parse(sg.emit(sg.Graph([x], root))).same(sg.Graph([x], root))
