"""Complex numbers: gradients against differences along Re and Im, the conventions, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import symgrad as sg

Z = np.array([[1 + 2j, 0.5 - 1j, -0.3 + 0.2j], [0.1 - 0.4j, 1.2 + 0.3j, -0.7 - 0.9j]])
W = np.array([[0.4 - 0.1j, -0.8 + 0.6j], [1.1 + 0.2j, 0.3 - 0.7j], [-0.5 - 0.5j, 0.9 + 1.3j]])


def real_cost(y: Any) -> Any:
    """A real number that depends on both parts of every element."""
    weights = np.cos(np.arange(1.0, 1 + int(str(y.size)))).reshape(y.shape)
    if y.dtype.kind == "complex":
        return sg.sum(weights * sg.real(y)) + sg.sum(np.sin(2 + weights) * sg.imag(y))
    return sg.sum(weights * y)


#: name -> a function of z (2, 3) and w (3, 2), both complex.
CASES: dict[str, Callable[[Any, Any], Any]] = {
    "a product": lambda z, w: z * w.T,
    "a quotient": lambda z, w: z / w.T,
    "a matrix product": lambda z, w: z @ w,
    "with the conjugate transposed": lambda z, w: z @ sg.conj(z.T) @ z,
    "a matrix and a vector": lambda z, w: z @ w[:, 0],
    "a batch": lambda z, w: sg.stack([z, 2j * z]) @ w,
    "einsum": lambda z, w: sg.einsum("ij,jk,ik->j", z, w, sg.conj(z @ w)),
    "vecdot": lambda z, w: sg.vecdot(z, w.T),
    "outer and kron": lambda z, w: sg.outer(z[0], w[:, 1]) + sg.kron(z[:1], w[:, :1]),
    "the length": lambda z, w: sg.abs(z),
    "the length squared": lambda z, w: sg.abs(z) ** 2,
    "the direction": lambda z, w: sg.sign(z) * w.T,
    "the angle": lambda z, w: sg.angle(z),
    "a power": lambda z, w: z**w.T,
    "a real base": lambda z, w: sg.abs(z) ** w.T,
    "a whole power": lambda z, w: z**-3,
    "a product of all": lambda z, w: sg.prod(z),
    "cumulative": lambda z, w: sg.cumulative_prod(z, axis=1) + sg.cumulative_sum(w.T, axis=0),
    "a variance": lambda z, w: sg.var(z, axis=1) + sg.std(w, axis=0),
    "a norm": lambda z, w: sg.vector_norm(z, axis=1) + sg.vector_norm(w, axis=0, ord=3),
    "a choice": lambda z, w: sg.where(sg.real(z) > 0, z * z, sg.conj(w.T)),
    "an update": lambda z, w: z.at[0, [1, 1]].mul(w[:2, 0]).at[1].add(w[:, 0]),
    "real parts in complex numbers": lambda z, w: (
        sg.exp(1j * sg.real(z)) * sg.complex(sg.imag(w.T), sg.abs(z))
    ),
    "a conversion": lambda z, w: sg.astype(sg.abs(z), "complex128") * w.T,
    "inverse functions": lambda z, w: (
        sg.asin(z) + sg.acos(w.T) + sg.atan(z / 3) + sg.asinh(z) + sg.acosh(w.T)
    ),
    "hyperbolic functions": lambda z, w: sg.tanh(z) + sg.tan(w.T) + sg.atanh(z / 4),
}


def differences(f: Callable[..., float], values: list[np.ndarray], which: int) -> np.ndarray:
    """d/dRe + i d/dIm of f towards one array, by central differences of fourth order."""
    found = np.zeros_like(values[which])
    step = 1e-3
    for place in np.ndindex(found.shape):
        for unit in (1, 1j):
            slope = 0.0
            for k, c in ((-2, 1 / 12), (-1, -2 / 3), (1, 2 / 3), (2, -1 / 12)):
                moved = [v.copy() for v in values]
                moved[which][place] += k * step * unit
                slope += c * float(f(*moved))
            found[place] += unit * slope / step
    return found


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_the_direction_of_steepest_ascent(name: str) -> None:
    z, w = sg.tensor("z", Z.shape, "complex128"), sg.tensor("w", W.shape, "complex128")
    cost = real_cost(CASES[name](z, w))
    gradients = sg.grad(cost, [z, w], disconnected_inputs="ignore")
    f = sg.function([z, w], cost, on_unused_input="ignore")
    found = sg.function([z, w], gradients, on_unused_input="ignore")(Z, W)
    for i, gradient in enumerate(found):
        np.testing.assert_allclose(gradient, differences(f, [Z, W], i), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_check_grad_agrees_to_second_order(name: str) -> None:
    z, w = sg.tensor("z", Z.shape, "complex128"), sg.tensor("w", W.shape, "complex128")
    report = sg.check_grad(real_cost(CASES[name](z, w)), z, {z: Z, w: W}, order=2)
    assert report.ok, str(report)


def at(y: Any, z: Any, value: complex) -> Any:
    return y.eval({z: value})


def test_conventions() -> None:
    z = sg.scalar("z", dtype="complex128")
    assert at(sg.grad(sg.abs(z) ** 2, z), z, 1 + 2j) == 2 + 4j
    assert at(sg.grad(sg.real(z * sg.conj(z)), z), z, 1 + 2j) == 2 + 4j
    assert at(sg.grad(sg.real(z), z), z, 1 + 2j) == 1
    assert at(sg.grad(sg.imag(z), z), z, 1 + 2j) == 1j
    for f in (sg.abs, sg.angle, lambda z: sg.real(sg.sign(z))):
        gradient = sg.grad(f(z), z)
        assert at(gradient, z, 0) == 0
        assert at(sg.grad(sg.real(gradient), z), z, 0) == 0
    # the cotangent of an analytic f is conj(f') g, its tangent f' t
    assert at(sg.vjp(z**3, z, 1j), z, 1 + 2j) == np.conj(3 * (1 + 2j) ** 2) * 1j
    assert at(sg.jvp(z**3, z, 1j), z, 1 + 2j) == 3 * (1 + 2j) ** 2 * 1j


def test_real_parameters_have_real_gradients() -> None:
    x = sg.scalar("x")
    y = sg.exp(1j * x)
    gradient = sg.grad(sg.real(y), x)
    assert gradient.dtype.name == "float64"
    np.testing.assert_allclose(gradient.eval({x: 0.3}), -np.sin(0.3), rtol=1e-15)
    np.testing.assert_allclose(sg.jvp(y, x, 1.0).eval({x: 0.3}), 1j * np.exp(0.3j), rtol=1e-15)
    single = sg.scalar("s", dtype="float32")
    assert sg.grad(sg.abs(single * (1 + 2j)), single).dtype.name == "float32"


def test_a_step_along_the_gradient_climbs() -> None:
    z = sg.vector("z", size=3, dtype="complex128")
    cost = sg.sum(sg.abs(sg.exp(z) * z) ** 2)
    f = sg.function([z], [cost, sg.grad(cost, z)])
    before, gradient = f(Z[0])
    after, _ = f(Z[0] + 1e-7 * gradient)
    np.testing.assert_allclose(after - before, 1e-7 * np.sum(np.abs(gradient) ** 2), rtol=1e-4)


# ---- Jacobians --------------------------------------------------------------------------------------


def test_jacobian_of_an_analytic_function() -> None:
    z = sg.vector("z", size=3, dtype="complex128")
    y = sg.stack([z[0] * z[1], sg.exp(z[2])])
    a, b, c = Z[0]
    wanted = np.array([[b, a, 0], [0, 0, np.exp(c)]])
    for mode in ("auto", "forward", "reverse"):
        found = sg.jacobian(y, z, mode=mode, holomorphic=True)
        np.testing.assert_allclose(found.eval({z: Z[0]}), wanted, rtol=1e-14)


def test_jacobian_between_real_and_complex() -> None:
    z, x = sg.vector("z", size=3, dtype="complex128"), sg.vector("x", size=3)
    rows = sg.jacobian(sg.abs(z) ** 2, z)
    np.testing.assert_allclose(rows.eval({z: Z[0]}), np.diag(2 * Z[0]), rtol=1e-14)
    found = sg.jacobian(sg.exp(1j * x), x)
    np.testing.assert_allclose(
        found.eval({x: [0, 1, 2]}), np.diag(1j * np.exp(1j * np.arange(3))), rtol=1e-14
    )
    by_both = sg.jacobian(sg.real(z) * x, {"z": z, "x": x})
    assert by_both["z"].dtype.name == "complex128"
    assert by_both["x"].dtype.name == "float64"
    nowhere = sg.jacobian(x, z, disconnected_inputs="ignore")
    assert nowhere.dtype.name == "complex128"


def test_hessians_move_gradients() -> None:
    z = sg.vector("z", size=3, dtype="complex128")
    cost = sg.sum(sg.abs(sg.exp(z)) ** 2 + sg.real(z**3))
    t = np.array([0.3 - 1j, 1j, -0.2])
    moved = sg.function([z], [sg.hvp(cost, z, t), sg.grad(cost, z)])
    h = 1e-6
    wanted = (moved(Z[0] + h * t)[1] - moved(Z[0] - h * t)[1]) / (2 * h)
    np.testing.assert_allclose(moved(Z[0])[0], wanted, rtol=1e-7)
    x = sg.vector("x", size=2)
    real_hessian = sg.hessian(sg.sum(sg.abs(sg.exp((1 + 2j) * x)) ** 2), x)
    np.testing.assert_allclose(
        real_hessian.eval({x: [0.1, 0.2]}), np.diag(4 * np.exp(2 * np.array([0.1, 0.2]))), rtol=1e-13
    )


# ---- what is refused --------------------------------------------------------------------------------


def test_refusals() -> None:
    z = sg.vector("z", size=3, dtype="complex128")
    x = sg.vector("x", size=3)
    cost = sg.sum(z * z)
    for differentiate in (sg.grad, sg.value_and_grad, sg.grad_table, sg.hessian):
        with pytest.raises((sg.GradientError, TypeError), match=r"real"):
            differentiate(cost, z)
    with pytest.raises(TypeError, match=r"(?s)the cost must be real.*sg\.real, sg\.imag or sg\.abs"):
        sg.grad(cost, z)
    with pytest.raises(sg.GradientError, match=r"(?s)only if y is analytic.*holomorphic=True"):
        sg.jacobian(z * z, z)
    with pytest.raises(sg.GradientError, match=r"(?s)with respect to real numbers.*sg\.hvp"):
        sg.hessian(sg.sum(sg.abs(z)), z)
    with pytest.raises(sg.GradientError, match="needs mode 'reverse'"):
        sg.jacobian(sg.abs(z), z, mode="forward")
    with pytest.raises(sg.GradientError, match="needs mode 'forward'"):
        sg.jacobian(1j * x, x, mode="reverse")
    with pytest.raises(sg.DTypeError, match="real part"):
        sg.vjp(sg.abs(z), z, np.array([1j, 0, 0]))
    with pytest.raises(sg.DTypeError, match="real part"):
        sg.astype(z, "float64")
    for f in (sg.floor, sg.relu, sg.max, sg.sort, sg.softmax, sg.erf, sg.maximum):
        with pytest.raises(sg.DTypeError, match="complex128"):
            f(z, z) if f is sg.maximum else f(z)


def test_the_logarithm_beside_one(backend: str) -> None:
    """NumPy's loses what is small beside 1."""
    z = sg.vector("z", size="n", dtype="complex128")
    f = sg.function([z], [sg.log1p(z), sg.log1p(sg.real(z))])
    values = np.array(
        [1e-10 + 1e-10j, 1e-200 * (1 + 1j), -1e-20 + 1e-5j, 0.3 - 0.2j, 5 + 3j, 0, -1, np.inf + 1j]
    )
    found, real = f(values)
    with mpmath.workdps(450):
        wanted = [complex(mpmath.log(1 + mpmath.mpc(v))) for v in values[:5]]
    np.testing.assert_allclose(found.real[:5], np.real(wanted), rtol=1e-15)
    np.testing.assert_allclose(found.imag[:5], np.imag(wanted), rtol=1e-15)
    np.testing.assert_array_equal(found[5:], [0, -np.inf, np.inf])
    np.testing.assert_array_equal(real[:5], np.log1p(values.real[:5]))
