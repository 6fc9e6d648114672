"""Scalar code: what builders know, and ops that call what they do not know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.special

import symgrad as sg
from symgrad import registry
from symgrad.ops.kinds import Elementwise, elementwise
from symgrad.ops.scalar import FUNCTIONS, functions_used
from symgrad_compiler.backends.llvm import maths, scalars


def test_every_function_has_a_native_form() -> None:
    direct = {*scalars._FLOAT, *scalars._INTEGER, *maths.FUNCTIONS}
    assert direct >= FUNCTIONS


def test_every_op_of_the_language_is_native() -> None:
    """But parts of complex numbers, which are planes of memory (`plan/planes.py`)."""
    planes = {"real", "imag", "conj", "complex"}
    ours = [op for n, op in registry.ops.items() if isinstance(op, Elementwise) and n not in planes]
    assert not {f for op in ours for f in functions_used(op.scalar, len(op.operands))} - FUNCTIONS


@pytest.fixture(scope="module")
def arctan() -> Iterator[Any]:
    yield elementwise(
        "test_arctan(x)",
        "the inverse tangent",
        d_x=lambda x, out: 1 / (1 + x * x),
        numpy="numpy.arctan({x}, out={out})",
        scalar=lambda b, x: b.call("a function that no builder knows", x),
    )
    del registry.ops["test_arctan"], registry.language["test_arctan"]


def test_an_op_without_a_native_form_calls_back(arctan: Any) -> None:
    x = sg.vector("x", size="n")
    y = arctan(x * 2)
    f = sg.function([x], [y, sg.grad(sg.sum(y), x)], backend="llvm")
    assert "call back" in f.plan()
    a = np.linspace(-2, 2, 7)
    value, slope = f(a)
    np.testing.assert_allclose(value, np.arctan(2 * a), rtol=1e-15)
    np.testing.assert_allclose(slope, 2 / (1 + 4 * a * a), rtol=1e-14)


@pytest.fixture(scope="module")
def owens_t() -> Iterator[Any]:
    yield elementwise(
        "test_owens_t(x)",
        "Owen's T function at (x, 1)",
        d_x=lambda x, out: -sg.exp(-x * x / 2) * sg.erf(x / sg.sqrt(2.0)) / (2 * (2 * np.pi) ** 0.5),
        numpy="special.owens_t({x}, 1.0, out={out})",
        scalar=lambda b, x: b.call("a function that no builder knows", x),
    )
    del registry.ops["test_owens_t"], registry.language["test_owens_t"]


def test_an_op_may_be_made_of_scipy(owens_t: Any, backend: str) -> None:
    x = sg.vector("x", size="n")
    y = owens_t(x)
    f = sg.function([x], [y, sg.grad(sg.sum(y), x)], backend=backend)
    a = np.linspace(-2, 2, 7)
    value, slope = f(a)
    np.testing.assert_array_equal(value, scipy.special.owens_t(a, 1.0))
    h = 1e-5
    differences = (scipy.special.owens_t(a + h, 1.0) - scipy.special.owens_t(a - h, 1.0)) / (2 * h)
    np.testing.assert_allclose(slope, differences, rtol=1e-8, atol=1e-11)


def test_a_declaration_says_what_is_wrong_with_it() -> None:
    with pytest.raises(TypeError, match="there is no argument 'd_z'; rules are d_x, vjp_x"):
        elementwise("test_f(x)", "f", d_z=lambda x, out: x, numpy="", scalar=lambda b, x: x)
    with pytest.raises(TypeError, match="there is no argument 'acepts'"):
        elementwise("test_f(x)", "f", acepts=1.0, no_gradient="none", numpy="", scalar=lambda b, x: x)
    with pytest.raises(TypeError, match=r"not a signature: 'test_f\(x,y\)'; expected one such as"):
        elementwise("test_f(x,y)", "f", no_gradient="none", numpy="", scalar=lambda b, x, y: x)
    assert "test_f" not in registry.ops


def test_an_integer_is_an_integer_also_out_of_range() -> None:
    """int(inf) is any integer; LLVM must not take the way there and back for a rounding."""
    x = sg.scalar("x")
    whole = sg.astype(sg.astype(x, "int64"), "float64")
    f = sg.function([x], sg.broadcast_to(whole, (3,)) + 128.0, backend="llvm")
    with np.errstate(all="ignore"):
        assert all(np.isfinite(f(value)).all() for value in (np.inf, -np.inf, np.nan, 1e300))
    assert f(2.5).tolist() == [130.0] * 3
