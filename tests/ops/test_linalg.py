"""Linear algebra: conventions, errors, what finite differences cannot say, and references of many digits."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.linalg

import symgrad as sg
from tests.ops.sample import random
from tests.ops.samples_linalg import positive, separated

linalg = sg.linalg


def matrix(n: Any = 3, dtype: str = "float64") -> Any:
    return sg.tensor("a", (n, n), dtype)


def gradient(build: Any, value: np.ndarray) -> np.ndarray:
    """Of the sum of squares of what is built, weighted so that no symmetry hides a mistake."""
    a = sg.tensor("a", value.shape)
    y = build(a)
    weights = sg.constant(random(*[int(d) for d in y.shape], seed=99))
    return np.asarray(sg.function([a], sg.grad(sg.sum(weights * y**2), a))(value))


# ---- conventions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "factor",
    [
        linalg.cholesky,
        lambda a: linalg.cholesky(a, upper=True),
        lambda a: linalg.qr(a)[1] * [[-1.0, -1.0], [1.0, 1.0]],
    ],
)
def test_the_zeros_of_a_triangular_factor_have_no_derivative(factor: Any) -> None:
    """An infinite slope meets them: 0 * inf."""
    a = sg.matrix("a", shape=(2, 2))
    at, t = {a: np.array([[4.0, 2.0], [2.0, 3.0]])}, np.array([[1.0, 0.5], [0.5, 2.0]])
    y = factor(a)
    which = np.nonzero(y.eval(at))
    cost, only = sg.sum(sg.sqrt(y)), sg.sum(sg.sqrt(y[which]))
    for derivative in (sg.grad, lambda c, x: sg.jvp(c, x, t), lambda c, x: sg.hvp(c, x, t)):
        found, expected = derivative(cost, a).eval(at), derivative(only, a).eval(at)
        assert np.isfinite(expected).all()
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_cholesky_reads_the_lower_triangle_and_its_gradient_is_lower_triangular() -> None:
    a = matrix(2)
    factor = linalg.cholesky(a)
    f = sg.function([a], [factor, sg.grad(factor[1, 0], a), sg.grad(factor[1, 1], a)])
    value = np.array([[4.0, 777.0], [2.0, 5.0]])
    l, first, second = f(value)
    np.testing.assert_allclose(l, [[2, 0], [1, 2]])
    # l_10 = a_10 / sqrt(a_00); l_11 = sqrt(a_11 - a_10^2 / a_00)
    np.testing.assert_allclose(first, [[-1 / 8, 0], [1 / 2, 0]], atol=1e-15)
    np.testing.assert_allclose(second, [[1 / 16, 0], [-1 / 4, 1 / 4]], atol=1e-15)


def test_upper_factor_reads_the_upper_triangle() -> None:
    value = positive(3, 3, seed=1)
    above = np.triu(value) + np.tril(np.full((3, 3), np.nan), -1)
    a = matrix()
    upper = linalg.cholesky(a, upper=True)
    u, g = sg.function([a], [upper, sg.grad(sg.sum(upper**3), a)])(above)
    np.testing.assert_allclose(u, np.linalg.cholesky(value, upper=True), rtol=1e-13)
    assert (np.tril(g, -1) == 0).all()
    assert np.isfinite(g).all()


def test_derivatives_of_eigenvectors_keep_the_signs_of_the_vectors() -> None:
    a = matrix(2)
    v = linalg.eigh(a).eigenvectors
    jacobian = sg.function([a], [v, sg.jacobian(v, a)])
    vectors, slopes = jacobian(np.array([[1.0, 0.0], [0.0, 3.0]]))
    # d v_1 = v_2 (v_2^T da v_1) / (w_1 - w_2), of the triangle that is read
    signs = np.sign(np.diag(vectors))
    np.testing.assert_allclose(slopes[1, 0, 1, 0], -0.5 * signs[0], atol=1e-15)
    np.testing.assert_allclose(slopes[0, 1, 1, 0], 0.5 * signs[1], atol=1e-15)
    assert (slopes[..., 0, 1] == 0).all()


@pytest.mark.parametrize("eigenvalues", [[1.0, 1.0, 2.0], [2.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
def test_repeated_eigenvalues(eigenvalues: list[float]) -> None:
    """Finite; and right for what no choice of vectors changes: the sum of a function of the values."""
    q = np.linalg.qr(random(3, 3, seed=2))[0]
    value = (q * np.array(eigenvalues)) @ q.T
    value = (value + value.T) / 2
    a = matrix()
    w, v = linalg.eigh(a)
    whole = (v * sg.exp(w)) @ v.T  # a function of the matrix
    f = sg.function([a], [sg.grad(sg.sum(v**3), a), sg.grad(sg.sum(w**3), a), sg.hessian(sg.sum(v**3), a)])
    by_vectors, by_values, second = f(value)
    assert np.isfinite(by_vectors).all()
    assert np.isfinite(second).all()
    symmetric = 3 * value @ value
    expected = np.tril(2 * symmetric) - np.diag(np.diag(symmetric))
    np.testing.assert_allclose(by_values, expected, atol=1e-13)
    trace = sg.function([a], sg.grad(sg.sum(sg.diagonal(whole)), a))(value)
    symmetric = scipy.linalg.expm(value)
    np.testing.assert_allclose(trace, np.tril(2 * symmetric) - np.diag(np.diag(symmetric)), atol=1e-12)


def test_repeated_singular_values() -> None:
    a = matrix()
    u, s, vh = linalg.svd(a)
    f = sg.function([a], [sg.grad(sg.sum(u**3), a), sg.grad(sg.sum(vh**3), a), sg.grad(sg.sum(s), a)])
    for value in (np.eye(3), np.zeros((3, 3)), np.diag([2.0, 1.0, 1.0])):
        by_u, by_vh, by_s = f(value)
        assert np.isfinite(by_u).all()
        assert np.isfinite(by_vh).all()
        if value.any():
            np.testing.assert_allclose(by_s, np.eye(3), atol=1e-14)  # the nuclear norm's


# ---- complex matrices: conventions -------------------------------------------------------------------


def complex_matrix(n: Any = 3, name: str = "a") -> Any:
    return sg.tensor(name, (n, n), "complex128")


def test_of_a_hermitian_diagonal_the_real_part_is_read() -> None:
    a = complex_matrix(2)
    factor = linalg.cholesky(a)
    w = linalg.eigvalsh(a)
    slope = sg.grad(sg.real(factor[1, 1]), a)
    f = sg.function([a], [factor, slope, sg.grad(sg.imag(factor[1, 0]), a), sg.grad(w[0] + w[1], a)])
    value = np.array([[4.0 + 9j, 777.0], [2.0 - 2j, 5.0 - 3j]])
    l, first, second, third = f(value)
    # l_10 = a_10 / sqrt(a_00); l_11 = sqrt(a_11 - |a_10|^2 / a_00)
    np.testing.assert_allclose(l, [[2, 0], [1 - 1j, np.sqrt(3)]], atol=1e-15)
    root = np.sqrt(3)
    np.testing.assert_allclose(
        first, [[1 / (4 * root), 0], [(-1 + 1j) / (2 * root), 1 / (2 * root)]], atol=1e-15
    )
    np.testing.assert_allclose(second, [[1 / 8, 0], [0.5j, 0]], atol=1e-15)
    np.testing.assert_allclose(third, np.eye(2), atol=1e-14)


def test_the_sign_of_a_complex_determinant() -> None:
    """Of diag(z, 1): z / |z|, which turns with z."""
    a = complex_matrix(2)
    sign, logabsdet = linalg.slogdet(a)
    f = sg.function([a], [sign, logabsdet, sg.grad(sg.imag(sign), a), sg.grad(logabsdet, a)])
    s, logarithm, slope, of_logarithm = f(np.diag([2.0 + 0j, 1.0]))
    assert (complex(s), float(logarithm)) == (1, np.log(2))
    np.testing.assert_allclose(slope, np.diag([0.5j, 1j]), atol=1e-15)  # d/dIm z is 1 / |z|
    np.testing.assert_allclose(of_logarithm, np.diag([0.5, 1]), atol=1e-15)


def test_derivatives_turn_no_phase_of_complex_vectors() -> None:
    rng = np.random.default_rng(1)
    value = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    direction = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    a, t = complex_matrix(4), complex_matrix(4, "t")
    v = linalg.eigh(a).eigenvectors
    u, _, vh = linalg.svd(a)
    f = sg.function([a, t], [v, u, vh, *sg.jvp([v, u, vh], a, t)])
    v_, u_, vh_, dv, du, dvh = f(value, direction)
    assert np.abs(np.sum(v_.conj() * dv, 0)).max() < 1e-13
    of_u, of_v = np.sum(u_.conj() * du, 0), np.sum(vh_ * dvh.conj(), 1)
    np.testing.assert_allclose(of_u, -of_v, atol=1e-12)
    assert np.abs(of_u.imag).max() > 1e-3
    assert np.abs(dv).max() > 1e-3


@pytest.mark.parametrize("eigenvalues", [[1.0, 1.0, 2.0], [0.0, 0.0, 0.0]])
def test_repeated_eigenvalues_of_hermitian_matrices(eigenvalues: list[float]) -> None:
    q = np.linalg.qr(random(3, 3, seed=2) + 1j * random(3, 3, seed=3))[0]
    value = (q * np.array(eigenvalues)) @ q.conj().T
    value = (value + value.conj().T) / 2
    a = complex_matrix()
    w, v = linalg.eigh(a)
    whole = (v * sg.exp(w)) @ sg.conj(v).mT
    fixed = random(3, 3, seed=4)
    f = sg.function(
        [a], [sg.grad(sg.sum(sg.real(sg.trace(whole))), a), sg.grad(sg.sum(fixed * sg.abs(v) ** 2), a)]
    )
    trace, by_vectors = f(value)
    hermitian = scipy.linalg.expm(value)
    np.testing.assert_allclose(trace, np.tril(2 * hermitian) - np.diag(np.diag(hermitian)), atol=1e-12)
    assert np.isfinite(by_vectors).all()


# ---- singular matrices ------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_complex_det_of_any_rank(rank: int) -> None:
    """The gradients of Re det and Im det are the conjugate cofactors, and i times those; and along t."""
    n = 3
    value = (random(n, rank, seed=3) + 1j * random(n, rank, seed=5)) @ random(rank, n, seed=4)
    along = random(n, n, seed=6) + 1j * random(n, n, seed=7)
    a, t = complex_matrix(n), complex_matrix(n, "t")
    d = linalg.det(a)
    first = sg.grad(sg.real(d), a)
    f = sg.function([a, t], [first, sg.grad(sg.imag(d), a), sg.jvp(first, a, t)])
    g, h, second = f(value, along)

    def cofactors(m: np.ndarray) -> np.ndarray:
        """Row k is the cross product of the other two, which is quadratic in m."""
        return np.stack([np.cross(m[k - 2], m[k - 1]) for k in range(n)])

    np.testing.assert_allclose(g, cofactors(value).conj(), atol=1e-13)
    np.testing.assert_allclose(h, 1j * g, atol=1e-13)
    slope = (cofactors(value + along) - cofactors(value - along)) / 2  # exact
    np.testing.assert_allclose(second, slope.conj(), atol=1e-12)


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
@pytest.mark.parametrize("n", [3, 4])
def test_det_of_any_rank_to_second_order(n: int, rank: int) -> None:
    """The gradient is the matrix of cofactors, the Hessian that of their derivatives, by minors."""
    value = random(n, rank, seed=3) @ random(rank, n, seed=4)
    a = matrix(n)
    d = linalg.det(a)
    g, h = sg.function([a], [sg.grad(d, a), sg.hessian(d, a)])(value)

    def minor(rows: tuple[int, ...], columns: tuple[int, ...]) -> float:
        left = np.delete(np.delete(value, rows, 0), columns, 1)
        return float(np.linalg.det(left)) if left.size else 1.0

    for i in range(n):
        for j in range(n):
            assert g[i, j] == pytest.approx((-1) ** (i + j) * minor((i,), (j,)), abs=1e-12)
            for k in range(n):
                for m in range(n):
                    if i == k or j == m:
                        wanted = 0.0
                    else:
                        sign = (-1) ** (i + j + k + m + (k < i) + (m < j))
                        wanted = sign * minor((i, k), (j, m))
                    assert h[i, j, k, m] == pytest.approx(wanted, abs=1e-11)


def test_slogdet_of_a_singular_matrix() -> None:
    a = matrix()
    sign, logabsdet = linalg.slogdet(a)
    f = sg.function([a], [sign, logabsdet])
    assert [float(x) for x in f(np.ones((3, 3)))] == [0.0, -np.inf]
    with pytest.raises(sg.LinAlgError, match="singular"):
        sg.function([a], sg.grad(logabsdet, a))(np.zeros((3, 3)))


def test_derivatives_of_the_pseudo_inverse_along_a_fixed_rank() -> None:
    """Along x y with x (4, 2), y (2, 3): by differences of numbers of 50 digits."""
    x, y = separated(4, 2, seed=5), separated(2, 3, seed=6)
    t = random(4, 2, seed=7)
    left, right, direction = sg.tensor("x", (4, 2)), sg.tensor("y", (2, 3)), sg.tensor("t", (4, 2))
    p = linalg.pinv(left @ right)
    slope = sg.function([left, right, direction], sg.jvp(p, left, direction))(x, y, t)
    with mpmath.workdps(50):

        def at(h: Any) -> Any:
            m = mpmath.matrix(x.tolist()) + h * mpmath.matrix(t.tolist())
            n = mpmath.matrix(y.tolist())
            return n.T * (n * n.T) ** -1 * (m.T * m) ** -1 * m.T

        h = mpmath.mpf(10) ** -15
        wanted = (at(h) - at(-h)) / (2 * h)
    np.testing.assert_allclose(slope, np.array(wanted.tolist(), dtype=float), rtol=1e-11, atol=1e-12)


# ---- ill-conditioned matrices -----------------------------------------------------------------------


@pytest.mark.parametrize("power", [2, 5, 8, 11])
def test_ill_conditioned(power: int) -> None:
    """Values and gradients to the condition number times eps, against 60 digits."""
    n, condition = 4, 10.0**power
    u, _, vh = np.linalg.svd(random(n, n, seed=8))
    general = (u * np.logspace(0, -power, n)) @ vh
    definite = (u * np.logspace(0, -power, n)) @ u.T
    definite = (definite + definite.T) / 2
    b = random(n, 1, seed=9)
    a = matrix(n)
    right = sg.tensor("b", (n, 1))
    x = linalg.solve(a, right)
    l = linalg.cholesky(a)
    logdet = 2 * sg.sum(sg.log(sg.diagonal(l)))
    f = sg.function([a, right], [x, sg.grad(sg.sum(x), a), linalg.inv(a)])
    g = sg.function([a], [logdet, sg.grad(logdet, a)])
    with mpmath.workdps(60):
        inverse = mpmath.matrix(general.tolist()) ** -1
        solution = inverse * mpmath.matrix(b.tolist())
        back = inverse.T * mpmath.ones(n, 1)
        slope = -(back * solution.T)
        of_definite = np.array((mpmath.matrix(definite.tolist()) ** -1).tolist(), dtype=float)
        exact = [np.array(m.tolist(), dtype=float) for m in (solution, slope, inverse)]
        log = float(mpmath.log(mpmath.det(mpmath.matrix(definite.tolist()))))
    eps = np.finfo(float).eps
    for found, wanted in zip(f(general, b), exact, strict=True):
        assert np.abs(found - wanted).max() <= 20 * condition * eps * np.abs(wanted).max()
    found, slope_of_log = g(definite)
    assert abs(found - log) <= 20 * condition * eps
    wanted = np.tril(2 * of_definite) - np.diag(np.diag(of_definite))
    assert np.abs(slope_of_log - wanted).max() <= 50 * condition * eps * np.abs(wanted).max()


# ---- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "good", "bad", "phrase"),
    [
        (linalg.cholesky, np.eye(3), -np.eye(3), "not positive definite"),
        (linalg.inv, np.eye(3), np.ones((3, 3)), "singular"),
        (lambda a: linalg.solve(a, sg.ones(3)), np.eye(3), np.zeros((3, 3)), "singular"),
        (
            lambda a: linalg.solve_triangular(a, sg.ones(3)),
            np.eye(3),
            np.diag([1.0, 0.0, 1.0]),
            "singular",
        ),
        (linalg.svdvals, np.eye(3), np.full((3, 3), np.nan), "NaN or an infinity"),
        (lambda a: linalg.eigh(a)[0], np.eye(3), np.full((3, 3), np.inf), "NaN or an infinity"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("n", [3, "n"])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_failure_names_the_node_and_the_matrix_and_leaves_state_alone(
    build: Any, good: np.ndarray, bad: np.ndarray, phrase: str, n: Any, dtype: str
) -> None:
    good, bad = good.astype(dtype), bad.astype(dtype)
    a = sg.tensor("a", (2, 2, n, n), dtype)
    if n == "n" and build is not linalg.cholesky and build is not linalg.inv:
        pytest.skip("the right-hand side has a fixed size")
    count = sg.shared(np.zeros(()), "count")
    f = sg.function([a], build(a), updates={count: count + 1})
    batch = np.stack([[good, good], [good, bad]])
    f(np.stack([[good, good], [good, good]]))
    with pytest.raises(sg.LinAlgError, match=phrase) as caught:
        f(batch)
    assert isinstance(caught.value, np.linalg.LinAlgError)
    assert isinstance(caught.value, sg.SymgradError)
    assert "matrix of the batch: (1, 1)" in str(caught.value)
    assert "test_linalg.py" in str(caught.value)
    assert count.get() == 1


@pytest.mark.parametrize("name", ["cholesky", "inv", "det", "slogdet", "eigh", "eigvalsh", "expm"])
def test_rectangular_matrices_are_refused_when_the_graph_is_built(name: str) -> None:
    with pytest.raises(sg.LinAlgError, match="square") as caught:
        getattr(linalg, name)(sg.tensor("a", (3, 4)))
    assert isinstance(caught.value, sg.ShapeError)
    with pytest.raises(sg.LinAlgError, match="square"):
        getattr(linalg, name)(sg.tensor("a", ("m", "n")))


def test_right_hand_sides_that_do_not_fit() -> None:
    with pytest.raises(sg.ShapeError, match="as many rows"):
        linalg.solve(matrix(3), sg.vector("b", 4))


def test_arbitrary_vectors_have_no_derivative() -> None:
    a = sg.tensor("a", (3, 5))
    cost = sg.sum(linalg.svd(a).Vh)
    with pytest.raises(sg.GradientError, match="arbitrary"):
        sg.grad(cost, a)
    cost = sg.sum(linalg.qr(a.mT, "complete").Q)
    with pytest.raises(sg.GradientError, match="arbitrary"):
        sg.grad(cost, a)


# ---- assumptions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("symmetric", np.array([[1.0, 2.0], [2.0, -1.0]])),
        ("positive_definite", np.array([[2.0, 1.0], [1.0, 2.0]])),
        ("lower_triangular", np.array([[2.0, 0.0], [1.0, 3.0]])),
        ("upper_triangular", np.array([[2.0, 1.0], [0.0, 3.0]])),
        ("diagonal", np.array([[2.0, 0.0], [0.0, 3.0]])),
        ("orthogonal", np.array([[0.6, -0.8], [0.8, 0.6]])),
    ],
)
@pytest.mark.parametrize("size", [2, "n"])
def test_assumptions_give_the_same_and_are_checked_on_demand(kind: str, value: np.ndarray, size: Any) -> None:
    a, b = matrix(size), sg.vector("b", size)
    assumed = sg.assume(a, kind)

    def results(m: Any) -> list[Any]:
        cost = b @ linalg.inv(m) @ b + linalg.det(m) + linalg.slogdet(m)[1] + sg.sum(linalg.solve(m.mT, b))
        return [cost, sg.grad(cost, a), linalg.inv(m)]

    plain = sg.function([a, b], results(a), validate=False)
    quick = sg.function([a, b], results(assumed), validate=False)
    strict = sg.function([a, b], results(assumed), validate=True)
    rhs = np.array([1.0, -2.0])
    for found, looked, wanted in zip(quick(value, rhs), strict(value, rhs), plain(value, rhs), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(looked, wanted, rtol=1e-12, atol=1e-14)
    with pytest.raises(sg.LinAlgError, match=f"assumed {kind.replace('_', ' ')}"):
        strict(np.array([[1.0, 5.0], [4.0, 2.0]]), rhs)
    assert "assume" not in quick.optimized.stats()["ops"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("symmetric", np.array([[1.0, 2.0 + 1j], [2.0 - 1j, -1.0]])),
        ("positive_definite", np.array([[3.0, 1.0 - 1j], [1.0 + 1j, 2.0]])),
        ("upper_triangular", np.array([[2.0 + 1j, 1.0 + 1j], [0.0, 3.0 - 2j]])),
        ("orthogonal", np.array([[0.6, -0.8j], [-0.8j, 0.6]])),
    ],
)
def test_assumptions_of_complex_matrices(kind: str, value: np.ndarray) -> None:
    """Symmetric means Hermitian, and orthogonal unitary."""
    a, b = complex_matrix("n"), sg.tensor("b", ("n",), "complex128")

    def results(m: Any) -> list[Any]:
        cost = sg.real(b @ linalg.inv(m) @ b + linalg.det(m)) + linalg.slogdet(m)[1]
        cost = cost + sg.sum(sg.imag(linalg.solve(m.mT, b) + linalg.solve(sg.conj(m), b)))
        return [cost, sg.grad(cost, a), linalg.inv(m), linalg.inv(2j * m), linalg.slogdet(m)[0]]

    plain = sg.function([a, b], results(a))
    quick = sg.function([a, b], results(sg.assume(a, kind)))
    strict = sg.function([a, b], results(sg.assume(a, kind)), validate=True)
    rhs = np.array([1.0 + 1j, -2.0])
    for found, looked, wanted in zip(quick(value, rhs), strict(value, rhs), plain(value, rhs), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(looked, wanted, rtol=1e-12, atol=1e-14)
    with pytest.raises(sg.LinAlgError, match="assumed"):
        strict(np.array([[1.0, 5.0], [4.0 + 1j, 2.0]]), rhs)


def test_properties_of_complex_matrices() -> None:
    a, x, b = (
        complex_matrix("n"),
        sg.tensor("x", ("n", "m"), "complex128"),
        sg.tensor("b", ("n",), "complex128"),
    )
    s = sg.scalar("s")
    one = sg.eye("n", dtype="complex128")
    gram = x @ sg.conj(x).mT
    assert "cholesky" in ops(linalg.solve(gram + one, b), x, b)
    assert "cholesky" in ops(linalg.solve(gram + sg.exp(s) * one, b), x, b, s)
    assert "cholesky" not in ops(linalg.solve(x @ x.mT + one, b), x, b)  # symmetric, not Hermitian
    assert "cholesky" not in ops(linalg.solve(gram + sg.exp(1j * s) * one, b), x, b, s)
    unitary = linalg.eigh(a).eigenvectors
    assert ops(linalg.inv(unitary), a).keys() == {"eigh", "conj", "permute_dims"}
    cost = sg.real(sg.vecdot(b, linalg.solve(a, b))) + linalg.slogdet(a)[1]
    found = ops([cost, sg.grad(cost, a)], a, b)
    assert found["lu_factor"] == 1
    assert "solve" not in found


def test_a_matrix_and_its_adjoint_share_factors() -> None:
    a, b = complex_matrix("n"), sg.tensor("b", ("n", 2), "complex128")
    adjoint = sg.conj(a).mT
    outputs = [linalg.solve(a, b), linalg.solve(adjoint, b), linalg.det(adjoint), *linalg.slogdet(adjoint)]
    outputs.append(linalg.inv(adjoint))
    f = sg.function([a, b], outputs)
    assert f.optimized.stats()["ops"]["lu_factor"] == 1
    rng = np.random.default_rng(0)
    m, right = (rng.normal(size=s) + 1j * rng.normal(size=s) for s in ((4, 4), (4, 2)))
    across = m.conj().T
    wanted = [np.linalg.solve(m, right), np.linalg.solve(across, right), np.linalg.det(across)]
    wanted += [*np.linalg.slogdet(across), np.linalg.inv(across)]
    for found, expected in zip(f(m, right), wanted, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


def ops(y: Any, *inputs: Any) -> dict[str, int]:
    found: dict[str, int] = sg.optimize(sg.Graph(list(inputs), y)).stats()["ops"]
    return found


def test_properties_pass_through_what_is_done_to_matrices() -> None:
    n = "n"
    a, b, x = matrix(n), sg.vector("b", n), sg.tensor("x", (n, "m"))
    s = sg.scalar("s")
    gram = x @ x.mT + sg.exp(s) * sg.eye(n)
    assert "cholesky" in ops(linalg.solve(gram, b), x, b, s)
    assert "cholesky" not in ops(linalg.solve(x @ x.mT + s * sg.eye(n), b), x, b, s)
    lower = linalg.cholesky(a)
    found = ops(linalg.solve(lower.mT, linalg.solve(lower, b)), a, b)
    assert found["solve_triangular"] == 2
    assert "solve" not in found
    assert "lu_factor" not in found
    assert "slogdet" not in ops(linalg.slogdet(linalg.qr(a).R)[1], a)
    assert "solve" not in ops(linalg.solve(linalg.eigh(a).eigenvectors, b), a, b)


def test_a_likelihood_and_its_gradient_factor_once() -> None:
    a, b = matrix("n"), sg.vector("b", "n")
    k = sg.assume(a, "positive_definite")
    cost = b @ linalg.solve(k, b) + linalg.slogdet(k)[1]
    found = ops([cost, sg.grad(cost, a)], a, b)
    assert found["cholesky"] == 1
    assert found["cholesky_inverse"] == 1
    assert "lu_factor" not in found
    cost = b @ linalg.solve(a, b) + linalg.slogdet(a)[1]
    found = ops([cost, sg.grad(cost, a)], a, b)
    assert found["lu_factor"] == 1
    assert "solve" not in found


@pytest.mark.native
def test_log_det_does_not_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMGRAD_VALIDATE", "0")  # which would factor it some fifty times
    value = random(300, 300, low=-50.0, high=50.0, seed=10)
    a = matrix(300)
    d = linalg.det(a)
    f = sg.function([a], [d, sg.log(sg.abs(d))])
    plain, logarithm = f(value)
    assert np.isinf(plain)
    with mpmath.workdps(40):
        lu, _ = scipy.linalg.lu_factor(value)
        wanted = float(mpmath.fsum(mpmath.log(abs(v)) for v in np.diag(lu).tolist()))
    assert float(logarithm) == pytest.approx(wanted, rel=1e-12)
    wanted_gradient = np.linalg.inv(value).T
    g = sg.function([a], sg.grad(sg.log(sg.abs(d)), a))(value)
    np.testing.assert_allclose(g, wanted_gradient, atol=1e-10 * np.abs(wanted_gradient).max())


# ---- sizes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 8, 9, 40])
@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128", "complex64"])
def test_known_sizes_as_symbolic_ones(n: int, dtype: str) -> None:
    """Unrolled code, LAPACK, and the two sizes between; complex matrices are called back."""
    rng = np.random.default_rng(n)
    value = rng.normal(size=(3, n, n)) + 2 * np.eye(n)
    if dtype.startswith("complex"):
        value = value + 1j * rng.normal(size=(3, n, n))
    value = value.astype(dtype)
    definite = (value @ np.conj(np.swapaxes(value, 1, 2)) + np.eye(n)).astype(dtype)
    right = rng.normal(size=(3, n, 2)).astype(dtype)
    found = []
    for size in (n, "n"):
        a, p = (sg.tensor(name, (3, size, size), dtype) for name in "ap")
        b = sg.tensor("b", (3, size, 2), dtype)
        outputs = [
            linalg.solve(a, b),
            linalg.solve(a.mT, b),
            linalg.inv(a),
            linalg.det(a),
            linalg.slogdet(a)[1],
            linalg.cholesky(p),
            linalg.solve_triangular(p, b, lower=True, trans=1),
        ]
        found.append(sg.function([a, p, b], outputs)(value, definite, right))
    condition = np.linalg.cond(value.astype(np.result_type(dtype, float))).max()
    for x, y in zip(*found, strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=50 * condition * np.finfo(dtype).eps * np.abs(y).max())


@pytest.mark.parametrize("n", [128, 129, 150, 200])
def test_factors_block_by_block(n: int) -> None:
    """Large Cholesky factors, their inverses, and where a matrix stops being positive definite."""
    rng = np.random.default_rng(n)
    value = rng.normal(size=(2, n, n)) / np.sqrt(n)
    value = value @ np.swapaxes(value, 1, 2) + np.eye(n)
    a = sg.tensor("a", (2, "n", "n"))
    f = sg.function([a], [linalg.cholesky(a), linalg.inv(sg.assume(a, "positive_definite"))], validate=False)
    factor, inverse = f(value)
    np.testing.assert_allclose(factor, np.linalg.cholesky(value), atol=1e-13)
    np.testing.assert_allclose(inverse @ value, np.broadcast_to(np.eye(n), value.shape), atol=1e-12)
    value[1, n - 3, n - 3] = -1.0
    with pytest.raises(sg.LinAlgError, match="not positive definite") as caught:
        f(value)
    assert "matrix of the batch: 1" in str(caught.value)
    assert f"leading minor: {n - 2}" in str(caught.value)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("n", [2, 4, 12])
def test_cholesky_hands_nan_on(n: int, dtype: str, backend: str) -> None:
    """As NumPy does: a pivot that is NaN is no pivot that is not positive."""
    a = sg.matrix("a", shape=(n, n), dtype=dtype)
    f = sg.function([a], sg.linalg.cholesky(a), backend=backend)
    for place in ((0, 0), (1, 1), (n - 1, 0), (n - 1, n - 1)):
        matrix = np.asarray(2 * np.eye(n), dtype)
        matrix[place] = np.nan
        np.testing.assert_array_equal(f(matrix), np.linalg.cholesky(matrix))
    for pivot in (0.0, -1.0):
        matrix = np.asarray(2 * np.eye(n), dtype)
        matrix[1, 1] = pivot
        with pytest.raises(sg.LinAlgError, match="not positive definite"):
            f(matrix)


@pytest.mark.parametrize("p", [None, 2, -2, 1, -1, np.inf, -np.inf, "fro"])
def test_cond_of_singular_matrices_is_that_of_numpy(p: Any, backend: str) -> None:
    """inf, of one in a batch too, with derivatives of 0; what is regular keeps its own."""
    a = sg.tensor("a", ("k", 2, 2))
    y = linalg.cond(a, p)
    f = sg.function([a], [y, sg.grad(sg.sum(y), a)], backend=backend)
    value = np.array([[[1.0, 2.0], [3.0, 4.0]], np.zeros((2, 2)), [[1.0, 0.0], [0.0, 0.0]]])
    found, slope = f(value)
    np.testing.assert_allclose(found, np.linalg.cond(value, p), rtol=1e-12)
    np.testing.assert_allclose(slope[0], f(value[:1])[1][0], rtol=1e-12)
    assert (slope[1:][np.isinf(found[1:])] == 0).all()
    assert np.isfinite(slope).all()
    large = sg.matrix("large", shape=("n", "n"))
    of_large = sg.function([large], linalg.cond(large, p), backend=backend)
    assert of_large(np.zeros((20, 20))) == np.inf


def test_the_determinant_of_what_is_not_finite(backend: str) -> None:
    """NaN, with its derivatives, and without a word; 0 where the cotangent is."""
    a, v = sg.tensor("a", (2, 3, 3)), sg.tensor("v", (2, 3, 3))
    slope = sg.grad(sg.sum(sg.linalg.det(a)), a)
    f = sg.function([a, v], [slope, sg.vjp(slope, [a], v)[0]])
    for bad in (np.nan, np.inf):
        first, second = f(np.stack([2 * np.eye(3), np.full((3, 3), bad)]), np.ones((2, 3, 3)))
        np.testing.assert_allclose(first[0], 4 * np.eye(3), atol=1e-13)
        assert np.isfinite(second[0]).all()
        assert np.isnan([first[1], second[1]]).all()
    x = sg.scalar("x")
    y = sg.where(x > 0, sg.linalg.det(sg.stack([sg.stack([x, 1 / x]), sg.stack([1 / x, x])])), x)
    for wanted in (1.0, 0.0):
        y = sg.grad(y, x)
        assert y.eval({x: 0.0}) == wanted
