"""Generic tests of every op on its samples: type, value, scalar code, first and second derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

import symgrad as sg
from symgrad import registry
from symgrad.ops import numeric
from symgrad.ops.kinds import Elementwise
from tests.ops.samples import SAMPLES, Sample

CASES = [pytest.param(name, s, id=f"{name}-{i}") for name, row in SAMPLES.items() for i, s in enumerate(row)]
SMOOTH = [case for case in CASES if case.values[1].smooth]  # type: ignore[attr-defined]


def inputs(sample: Sample) -> list[Any]:
    shapes = sample.shapes or [a.shape for a in sample.operands]
    return [
        sg.tensor(f"x{i}", s, a.dtype) for i, (s, a) in enumerate(zip(shapes, sample.operands, strict=True))
    ]


def test_every_op_has_a_row() -> None:
    missing = sorted(set(registry.ops) - set(SAMPLES))
    assert not missing, f"add a row to tests/ops/samples.py for: {missing}"


@pytest.mark.parametrize(("name", "sample"), CASES)
def test_type_and_value(name: str, sample: Sample) -> None:
    xs = inputs(sample)
    y = sample.build(*xs)
    result = y.eval(dict(zip(xs, sample.operands, strict=True))) if xs else y.eval()
    assert np.asarray(result).dtype == y.dtype.numpy
    assert np.shape(result) == y.shape
    if sample.reference is not None:
        np.testing.assert_allclose(result, sample.reference(*sample.operands), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(("name", "sample"), CASES)
def test_float32_keeps_its_dtype(name: str, sample: Sample) -> None:
    if not all(a.dtype == np.float64 for a in sample.operands):
        pytest.skip("not a float sample")
    xs = [sg.tensor(f"x{i}", a.shape, "float32") for i, a in enumerate(sample.operands)]
    y = sample.build(*xs)
    values = [a.astype(np.float32) for a in sample.operands]
    result = y.eval(dict(zip(xs, values, strict=True)))
    assert np.asarray(result).dtype == y.dtype.numpy
    if y.dtype.name == "float32" and sample.reference is not None:
        np.testing.assert_allclose(result, sample.reference(*sample.operands), rtol=3e-5, atol=1e-5)


def projected(y: Any, seed: int) -> Any:
    if not all(isinstance(d, int) for d in y.shape):
        return sg.sum(y * sg.cos(y))
    weights = np.random.default_rng(seed).uniform(0.5, 1.5, y.shape)
    return sg.sum(y * weights)


def check(cost: Any, xs: list[Any], values: list[np.ndarray], label: str) -> Any:
    """The gradient against central differences along a random direction."""
    gradients = sg.grad(cost, xs, disconnected_inputs="ignore")
    rng = np.random.default_rng(7)
    directions = [rng.uniform(-1, 1, v.shape) for v in values]
    f = sg.function(xs, cost, on_unused_input="ignore")
    g = sg.function(xs, gradients, on_unused_input="ignore")
    h = 1e-6
    up = f(*[v + h * d for v, d in zip(values, directions, strict=True)])
    down = f(*[v - h * d for v, d in zip(values, directions, strict=True)])
    numeric = (up - down) / (2 * h)
    symbolic = sum(float((a * d).sum()) for a, d in zip(g(*values), directions, strict=True))
    assert abs(numeric - symbolic) <= 1e-7 * max(1.0, abs(numeric)), f"{label}: {numeric} and {symbolic}"
    return gradients


@pytest.mark.parametrize(("name", "sample"), SMOOTH)
def test_derivatives(name: str, sample: Sample) -> None:
    xs = inputs(sample)
    values = list(sample.operands)
    gradients = check(projected(sample.build(*xs), 1), xs, values, f"{name}, first derivative")
    second = sum((projected(g, 2 + i) for i, g in enumerate(gradients)), sg.constant(0.0))
    check(second, xs, values, f"{name}, second derivative")


class NumPyBuilder:
    """The scalar builder protocol on arrays: what an op's native code means."""

    def constant(self, value: float, like: Any) -> Any:
        return np.asarray(like).dtype.type(value)

    def select(self, condition: Any, x: Any, y: Any) -> Any:
        return np.where(condition, x, y)

    def call(self, function: str, *operands: Any) -> Any:
        return (
            getattr(np, function, None)(*operands) if hasattr(np, function) else SPECIAL[function](*operands)
        )

    def astype(self, x: Any, dtype: str) -> Any:
        return np.asarray(x).astype(dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


SPECIAL = {
    "sigmoid": scipy.special.expit,
    "erf": scipy.special.erf,
    "erfinv": scipy.special.erfinv,
    **{n: getattr(numeric, n) for n in ("gaussian", "erfc", "ndtr", "gammaln", "digamma")},
}
ELEMENTWISE = [n for n, op in registry.ops.items() if isinstance(op, Elementwise)]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_scalar_code_agrees(name: str) -> None:
    op = registry.ops[name]
    for sample in SAMPLES[name]:
        if len(sample.operands) != len(op.operands):
            continue
        with np.errstate(all="ignore"):
            native = op.scalar(NumPyBuilder(), *sample.operands)
        xs = inputs(sample)
        value = op(*xs).eval(dict(zip(xs, sample.operands, strict=True)))
        np.testing.assert_allclose(native, value, rtol=1e-14, atol=0)
