"""Complex numbers as pairs of real ones: what plans look like, and memory that pairs share with others."""

from __future__ import annotations

import re

import numpy as np
import pytest

import symgrad as sg

RNG = np.random.default_rng(0)


def some(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


def plan(inputs: list[sg.Tensor], outputs: object) -> str:
    return sg.function(inputs, outputs, backend="llvm").plan()


def test_what_is_elementwise_is_one_kernel() -> None:
    z, w = (sg.vector(n, size="n", dtype="complex128") for n in "zw")
    text = plan([z, w], sg.sum(sg.abs(z * sg.conj(w) + 2j * sg.exp(z)) ** 2))
    assert text.count("kernel over") == 2  # and one that adds up what threads have
    assert "call back" not in text


def test_a_product_of_matrices_is_four() -> None:
    a, b = (sg.matrix(n, shape=("n", "n"), dtype="complex64") for n in "ab")
    assert len(re.findall(r"^ *\d+  matmul ", plan([a, b], sg.conj(a).T @ b), flags=re.M)) == 4


def test_ops_without_form_are_called_back_on_memory() -> None:
    z = sg.vector("z", size="n", dtype="complex128")
    text = plan([z], sg.real(sg.fft.ifft(sg.fft.fft(2 * z) * sg.log(z))))
    assert text.count("call back") == 3
    assert "call back log[n, 2] in buffer" in text
    assert "<- log(z[n, 2])" in text  # the argument itself, not a copy


def test_arguments_as_results_constants_and_results_twice() -> None:
    z = sg.tensor("z", (2, "n"), "complex128")
    c = sg.constant(some(2, 1))
    made = [
        z,
        z.T,
        z * c,
        z * c,
        c,
        sg.full((2,), 1 + 2j),
        sg.reshape(z.T, (z.size,)),
        sg.real(z),
        z[:, ::-1],
    ]
    f = sg.function([z], made, backend="llvm")
    g = sg.function([z], made, backend="numpy")
    for n in (0, 1, 5):
        a = some(2, n)
        for ours, theirs in zip(f(a), g(a), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-15)
        assert not any(np.shares_memory(v, a) for v in f(a))


def test_states() -> None:
    start = some(3)
    w, v = sg.shared(start, "w"), sg.shared(np.zeros(3), "v")
    x = sg.vector("x", size=3, dtype="complex128")
    f = sg.function([x], w * x, updates={w: w * x + 1j, v: v + sg.abs(w)}, backend="llvm")
    a = some(3)
    np.testing.assert_allclose(f(a), start * a)
    np.testing.assert_allclose(w.get(), start * a + 1j)
    np.testing.assert_allclose(v.get(), np.abs(start))
    f(a)
    np.testing.assert_allclose(w.get(), (start * a + 1j) * a + 1j)


def test_every_length_and_stride() -> None:
    """Parts are read and written as vectors; what is between them stays as it is."""
    z = sg.vector("z", size="n", dtype="complex64")
    x = sg.vector("x", size="m", dtype="float32")
    made = [z * z, z[::2] * 2, sg.conj(z[::-1]), x[::2] + 1, x.at[::2].set(x[::2] * 3)]
    f = sg.function([z, x], made, backend="llvm")
    g = sg.function([z, x], made, backend="numpy")
    for n in (1, 2, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129, 1000):
        a, b = some(n).astype(np.complex64), RNG.normal(size=2 * n).astype(np.float32)
        for ours, theirs in zip(f(a, b), g(a, b), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_threads_do_not_change_bits() -> None:
    z = sg.vector("z", size="n", dtype="complex128")
    f = sg.function([z], [z * z + 1, sg.sum(z * sg.conj(z)), sg.exp(z)], backend="llvm")
    a = some(300_000)
    before = sg.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            sg.set_num_threads(threads)
            found.append([np.asarray(v).tobytes() for v in f(a)])
    finally:
        sg.set_num_threads(before)
    assert found[0] == found[1]


def test_a_guarded_function_keeps_complex_numbers_whole() -> None:
    z = sg.vector("z", size=2, dtype="complex128")
    f = sg.function([z], 1 / z, nan_guard=True)
    np.testing.assert_allclose(f([1j, 2.0]), [-1j, 0.5])
    with pytest.raises((sg.SymgradError, ArithmeticError), match=r"nan_guard.*divide"):
        f([0.0, 1.0])
