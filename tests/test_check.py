"""check_grad finds right derivatives right and wrong rules wrong, by name."""

from __future__ import annotations

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
    assert {c.method for c in report.comparisons} == {"complex step"}
    other = sg.check_grad(sg.sum(sg.relu(x)), x, {x: [0.1, 0.2, 0.3]})
    assert {c.method for c in other.comparisons} == {"differences"}
    assert report.ok
    assert other.ok
    assert "relu" in str(other)


def test_symbolic_sizes_at_two_orders() -> None:
    x = sg.vector("x", size="n")
    assert sg.check_grad(sg.sum(sg.sin(x) * x), x, {x: [0.1, 0.2]}, order=2).ok


def test_float32() -> None:
    x = sg.vector("x", size=3, dtype="float32")
    assert sg.check_grad(sg.sum(sg.sigmoid(x) * x), x, {x: [0.1, 0.2, 0.3]}).ok


def test_a_wrong_rule_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    op = registry.ops["tanh"]
    monkeypatch.setattr(op, "rules", {"d_x": lambda x, out: 1 + out * out})
    x = sg.vector("x", size=3)
    report = sg.check_grad(sg.sum(sg.sin(sg.tanh(sg.relu(x)))), x, {x: [0.5, 0.7, 0.9]})
    assert not report.ok
    assert report.suspects == ("tanh, operand x",)
    assert "WRONG" in str(report)
