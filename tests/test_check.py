"""check_grad finds right derivatives right and wrong rules wrong, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad import registry


def test_a_right_gradient_passes_at_two_orders() -> None:
    x, w = sg.matrix("x", shape=(3, 2)), sg.matrix("w", shape=(2, 2))
    cost = sg.mean(sg.tanh(x @ w) ** 2)
    rng = np.random.default_rng(0)
    report = sg.check_grad(cost, [x, w], {x: rng.normal(size=(3, 2)), "w": rng.normal(size=(2, 2))}, order=2)
    assert report.ok, str(report)


def test_the_complex_step_is_used_where_it_can_be() -> None:
    x = sg.vector("x", size=3)
    report = sg.check_grad(sg.sum(sg.exp(sg.sin(x))), x, {x: [0.1, 0.2, 0.3]})
    assert {c.method for c in report.entries} == {"complex step"}
    other = sg.check_grad(sg.sum(sg.relu(x)), x, {x: [0.1, 0.2, 0.3]})
    assert {c.method for c in other.entries} == {"differences"}
    assert report.ok
    assert other.ok
    assert "relu" in str(other)


def test_symbolic_sizes_at_two_orders() -> None:
    x = sg.vector("x", size="n")
    assert sg.check_grad(sg.sum(sg.sin(x) * x), x, {x: [0.1, 0.2]}, order=2).ok


@pytest.mark.parametrize(
    "f",
    [
        lambda x: sg.sigmoid(x) * x,
        lambda x: sg.sin(x) * x,
        lambda x: sg.exp(x**3) / 7,
        lambda x: sg.tanh(sg.sum(x) * x),
        lambda x: sg.cos(sg.astype(x, "float64")),
        lambda x: 1e6 * sg.log(x),
    ],
)
def test_float32(f: Any) -> None:
    """The complex step is one of complex128; the gradient has the digits that it has."""
    x = sg.vector("x", size=3, dtype="float32")
    cost = sg.sum(f(x))
    assert sg.check_grad(cost, x, {x: [0.1, 0.7, 1.3]}, order=2).ok


def test_a_rule_that_is_wrong_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    x = sg.vector("x", size=3, dtype="float32")
    monkeypatch.setitem(registry.ops["sin"].rules, "d_x", lambda x, out: 1.001 * sg.cos(x))
    report = sg.check_grad(sg.sum(sg.sin(x) * x), x, {x: [0.1, 0.7, 1.3]})
    assert not report.ok


def test_complex_targets_move_in_complex_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    z = sg.vector("z", size=2, dtype="complex64")
    cost = sg.sum(sg.abs(sg.exp(z)) ** 2)
    assert sg.check_grad(cost, z, {z: [0.1 + 0.2j, -0.3j]}, order=2).ok
    monkeypatch.setitem(registry.ops["conj"].rules, "vjp_x", lambda g, x, out: g)
    report = sg.check_grad(sg.real(sg.sum(sg.conj(z) * z * z)), z, {z: [0.1 + 0.2j, -0.3j]})
    assert not report.ok
    assert "conj, operand x" in report.suspects


def test_a_wrong_rule_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    op = registry.ops["tanh"]
    monkeypatch.setattr(op, "rules", {"d_x": lambda x, out: 1 + out * out})
    x = sg.vector("x", size=3)
    report = sg.check_grad(sg.sum(sg.sin(sg.tanh(sg.relu(x)))), x, {x: [0.5, 0.7, 0.9]})
    assert not report.ok
    assert report.suspects == ("tanh, operand x",)
    assert "WRONG" in str(report)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("outer", [sg.sin, sg.abs], ids=["complex step", "differences"])
def test_a_wrong_rule_is_named_at_every_scale(monkeypatch: pytest.MonkeyPatch, scale: float, outer) -> None:
    monkeypatch.setattr(registry.ops["tanh"], "rules", {"d_x": lambda x, out: 1 - out})
    x = sg.vector("x", size=3)
    report = sg.check_grad(scale * sg.sum(outer(sg.tanh(x))), x, {x: [0.5, 0.7, 0.9]})
    assert not report.ok
    assert report.suspects == ("tanh, operand x",)


def test_the_wrong_operand_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    op = registry.ops["divide"]
    monkeypatch.setattr(op, "rules", {**op.rules, "d_y": lambda x, y, out: out / y})
    x, y = sg.vector("x", size=3), sg.vector("y", size=3)
    report = sg.check_grad(sg.sum(x / y), [x, y], {x: [0.5, 0.7, 0.9], y: [1.0, 2.0, 3.0]})
    assert report.suspects == ("divide, operand y",)
    assert [e.ok for e in report.entries] == [e.wrt == "x" for e in report.entries]


def test_a_rule_that_is_wrong_at_the_second_order_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.ops["cos"], "rules", {"d_x": lambda x, out: sg.sin(x)})
    x = sg.vector("x", size=3)
    point = {x: [0.5, 0.7, 0.9]}
    assert sg.check_grad(sg.sum(sg.sin(x)), x, point).ok
    report = sg.check_grad(sg.sum(sg.sin(x)), x, point, order=2)
    assert report.suspects == ("cos, operand x",)
    assert {e.order for e in report.entries if not e.ok} == {2}


@pytest.mark.parametrize(
    ("cost", "at"),
    [
        (lambda x: sg.sum(sg.relu(x)) + 1e10, [0.5, 0.7, 0.9]),  # rounding of a large constant
        (lambda x: sg.sum(sg.where(x > 0, sg.log(x), 0)), [1e-3, 0.5, 0.1]),  # a pole nearby
        (lambda x: sg.sum(sg.sqrt(sg.abs(x))), [1e-5, 0.5, 0.1]),  # a kink nearby
        (lambda x: sg.sum(sg.relu(x)), [1e300, 1e200, 1.0]),
        (lambda x: sg.sum(sg.softmax(x)), [0.1, 0.2, 0.3]),  # 0 but for rounding
        (lambda x: sg.sum(sg.log(sg.exp(x)) - x), [0.1, 0.2, 0.3]),
        (lambda x: sg.sum(sg.stop_gradient(x) * x), [0.1, 0.2, 0.3]),
    ],
)
def test_hard_points_do_not_blame_a_right_rule(cost, at) -> None:
    x = sg.vector("x", size=3)
    report = sg.check_grad(cost(x), x, {x: at})
    assert report.ok, str(report)
    assert not report.suspects


def test_a_kink_at_the_point_is_reported_as_one() -> None:
    x = sg.vector("x", size=3)
    report = sg.check_grad(sg.sum(sg.relu(x)), x, {x: [0.0, 0.0, 1.0]})
    assert report.ok, str(report)
    assert str(report).count("a kink at the point") == 3


def test_no_slope_is_not_ok() -> None:
    x = sg.scalar("x")
    report = sg.check_grad(sg.sqrt(sg.abs(x)), x, {x: 0.0})
    assert not report.ok
    assert "do not settle" in str(report)


def test_shared_and_intermediate_targets() -> None:
    x = sg.vector("x", size=3)
    w = sg.shared([0.1, 0.2, 0.3], "w")
    h = sg.sin(x * w).named("h")
    report = sg.check_grad(sg.sum(h * h * w), {"w": w, "h": h}, {"x": [0.5, 0.7, 0.9]}, order=2)
    assert report.ok, str(report)
    assert {e.wrt for e in report.entries} == {"w", "h"}
    assert w.get().tolist() == [0.1, 0.2, 0.3]
    assert sg.check_grad(sg.sum(h * w), x, {x: [0.5, 0.7, 0.9], w: [3.0, 2.0, 1.0]}).ok


def test_values_that_do_not_fit() -> None:
    x = sg.vector("x", size=3)
    with pytest.raises(sg.InputError, match="needs a value for x"):
        sg.check_grad(sg.sum(x), x, {})
    with pytest.raises(sg.InputError, match="'q'"):
        sg.check_grad(sg.sum(x), x, {x: [1, 2, 3], "q": 1})
    with pytest.raises(sg.GradientError, match="at least 1"):
        sg.check_grad(sg.sum(x), x, {x: [1, 2, 3]}, order=0)


def _squares(rule: Callable[..., Any]) -> Callable[..., Any]:
    return sg.custom_vjp(lambda x: x * x, rule)


@pytest.mark.parametrize(
    "cost",
    [
        lambda x, f: sg.sum(sg.where(x > 0, f(x), x)),
        lambda x, f: sg.sum(f(x)) * sg.take(x, sg.argmax(x)),
        lambda x, f: sg.sum(f(x) * sg.floor(x)) + sg.sum(sg.sort(x)[sg.argsort(x)]),
    ],
    ids=["where", "argmax", "floor and argsort"],
)
@pytest.mark.parametrize("size", [3, "n"])
def test_a_wrong_rule_beside_bools_and_integers_is_named(cost, size) -> None:
    x = sg.vector("x", size=size)
    report = sg.check_grad(cost(x, _squares(lambda g, x: g * 3.0)), x, {x: [2.5, 0.7, 1.9]})
    assert not report.ok
    assert report.suspects == ("custom_vjp, operand arguments0",)


def test_a_right_custom_rule_is_not_blamed_for_a_wrong_one() -> None:
    """Its values are operands, too, but have no rule; its arguments move the function, not the op alone."""
    x = sg.vector("x", size=3)
    right, wrong = (
        _squares(lambda g, x: g * 2 * x),
        sg.custom_jvp(lambda x, y: x * y, lambda t, x, y: t[0] * y),
    )
    report = sg.check_grad(sg.sum(wrong(right(x), sg.sin(x))), x, {x: [2.5, 0.7, 1.9]})
    assert report.suspects == ("custom_jvp, operand arguments1",)
