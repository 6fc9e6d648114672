"""Fourier transforms: against their definition, with sizes that are symbols, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import symgrad as sg

RNG = np.random.default_rng(0)


def dft(n: int) -> np.ndarray:
    """The matrix of the transform."""
    k = np.arange(n)
    return np.exp(-2j * np.pi * np.outer(k, k) / n)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_the_adjoints_are_those_of_the_matrices(n: int) -> None:
    z, x = sg.vector("z", size=n, dtype="complex128"), sg.vector("x", size=n)
    g = RNG.normal(size=n) + 1j * RNG.normal(size=n)
    half = n // 2 + 1
    cases = [
        (sg.fft.fft(z), z, dft(n), g),
        (sg.fft.ifft(z, norm="ortho"), z, np.conj(dft(n)) / np.sqrt(n), g),
        (sg.fft.rfft(x), x, dft(n)[:half], g[:half]),
    ]
    for y, wrt, matrix, cotangent in cases:
        found = sg.vjp(y, wrt, cotangent).eval({wrt: np.zeros(n)})
        wanted = np.conj(matrix.T) @ cotangent
        wanted = wanted if wrt is z else wanted.real
        np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("n", [1, 4, 5])
def test_the_adjoint_of_irfft(n: int) -> None:
    half = n // 2 + 1
    h = sg.vector("h", size=half, dtype="complex128")
    g = RNG.normal(size=n)
    y = sg.fft.irfft(h, n)
    found = sg.vjp(y, h, g).eval({h: np.zeros(half)})
    basis = np.eye(half)
    real = np.array([np.fft.irfft(e, n) for e in basis])
    imaginary = np.array([np.fft.irfft(1j * e, n) for e in basis])
    np.testing.assert_allclose(found, real @ g + 1j * (imaginary @ g), rtol=1e-13, atol=1e-13)


def test_parseval() -> None:
    """The gradient of sum |fft(x)|^2 is 2 n x."""
    x = sg.vector("x", size="n")
    f = sg.function([x], sg.grad(sg.sum(sg.abs(sg.fft.fft(x)) ** 2), x))
    for n in (1, 6, 7):
        a = RNG.normal(size=n)
        np.testing.assert_allclose(f(a), 2 * n * a, rtol=1e-13)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_symbolic_sizes_and_lengths(name: str) -> None:
    """x may be shorter or longer than n, and n an int or a size."""
    x, y = sg.vector("x", size="n"), sg.vector("y", size="m")
    transform = getattr(sg.fft, name)
    f = sg.function([x, y], [transform(x, sg.size("m")), transform(x, 5)], on_unused_input="ignore")
    for n, m in ((3, 5), (5, 5), (8, 5), (4, 1), (1, 6)):
        a = RNG.normal(size=n)
        theirs = getattr(np.fft, name)
        found = f(a, np.zeros(m))
        np.testing.assert_allclose(found[0], theirs(a, m), rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(found[1], theirs(a, 5), rtol=1e-13, atol=1e-14)


def test_single_precision_stays() -> None:
    x = sg.vector("x", size=8, dtype="float32")
    y = sg.fft.rfft(x)
    assert y.dtype.name == "complex64"
    assert sg.fft.irfft(y).dtype.name == "float32"
    assert sg.grad(sg.sum(sg.abs(y)), x).dtype.name == "float32"
    found = sg.function([x], [y, sg.fft.irfft(y)])(np.arange(8, dtype="float32"))
    assert [v.dtype.name for v in found] == ["complex64", "float32"]
    assert sg.fft.fft(sg.vector("i", size=3, dtype="int8")).dtype.name == "complex128"


def test_no_elements() -> None:
    """Where NumPy raises, sums of nothing."""
    z = sg.vector("z", size="n", dtype="complex128")
    x = sg.vector("x", size="n")
    found = sg.function([z, x], [sg.fft.fft(z), sg.fft.rfft(x), sg.fft.irfft(z, 4)])(np.zeros(0), np.zeros(0))
    assert [v.tolist() for v in found] == [[], [0], [0, 0, 0, 0]]


def test_frequencies_and_shifts_of_symbolic_sizes() -> None:
    x = sg.vector("x", size="n")
    n = x.shape[0]
    made = [
        sg.fft.fftfreq(n, 0.5),
        sg.fft.rfftfreq(n),
        sg.fft.fftshift(x),
        sg.fft.ifftshift(sg.fft.fftshift(x)),
    ]
    f = sg.function([x], made)
    for size in (1, 2, 5, 6):
        a = RNG.normal(size=size)
        found = f(a)
        wanted = [np.fft.fftfreq(size, 0.5), np.fft.rfftfreq(size), np.fft.fftshift(a), a]
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-15)
    assert sg.fft.fftfreq(4, dtype="float32").dtype.name == "float32"


def test_vmap_and_higher_orders() -> None:
    x = sg.matrix("x", shape=(3, 5))
    rows = sg.vmap(lambda row: sg.grad(sg.sum(sg.abs(sg.fft.rfft(row**2)) ** 2), row))(x)
    a = RNG.normal(size=(3, 5))
    v = sg.vector("v", size=5)
    one = sg.function([v], sg.grad(sg.sum(sg.abs(sg.fft.rfft(v**2)) ** 2), v))
    np.testing.assert_allclose(rows.eval({x: a}), np.stack([one(row) for row in a]), rtol=1e-13)
    assert sg.check_grad(sg.sum(sg.abs(sg.fft.rfft(v**3))), v, {v: a[0]}, order=3).ok


def test_a_name_that_generated_code_uses() -> None:
    fft = sg.vector("fft", size=4)
    f = sg.function([fft], sg.fft.fft(fft).named("numeric"), backend="numpy")
    np.testing.assert_allclose(f(fft=np.arange(4.0)), np.fft.fft(np.arange(4.0)))


def test_refusals() -> None:
    x, z = sg.vector("x", size=4), sg.vector("z", size=4, dtype="complex128")
    with pytest.raises(sg.DTypeError, match=r"(?s)takes real numbers.*complex ones"):
        sg.fft.rfft(z)
    with pytest.raises(sg.GraphError, match='norm must be "backward", "ortho" or "forward", not'):
        sg.fft.fft(x, norm="unitary")
    with pytest.raises(sg.AxisError):
        sg.fft.fft(x, axis=1)
    with pytest.raises(sg.ShapeError, match="a length for each axis"):
        sg.fft.fftn(x, s=(4, 4), axes=(0,))
    with pytest.raises(sg.ShapeError, match="negative"):
        sg.fft.fft(x, n=-2)
    with pytest.raises(sg.ShapeError, match="at least one axis"):
        sg.fft.rfftn(sg.scalar("s"))
    with pytest.raises(sg.ShapeError, match="needs the length n"):
        sg.fft.irfft(sg.zeros(0))
