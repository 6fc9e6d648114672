"""The ops at the limits of what they take: axes of size 0 and 1 where sizes are symbols, and zeros,
infinities, NaN, huge and tiny numbers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad import registry
from symgrad.api.structure import flatten
from symgrad.ops.kinds import Elementwise
from tests.ops.samples import SAMPLES, Sample
from tests.ops.samples_complex import COMPLEX
from tests.ops.samples_fft import FFT
from tests.ops.samples_linalg import LINALG
from tests.ops.samples_linalg_complex import LINALG_COMPLEX

#: The sizes of samples, as symbols.
SYMBOLS = {2: "p", 3: "r", 4: "c", 5: "q", 6: "s", 7: "u"}
#: Ops that state a size, which a call then checks.
PROMISED = {"slice", "specify_shape", "at", "topk", "pad", "diag", "median", "quantile", "split"}
#: Known to be of size 1 is not the same as being so when it runs.
LITERAL = {"squeeze"}


# ---- sizes ------------------------------------------------------------------------------------------


def symbolic(sample: Sample) -> tuple[list[Any], list[Any]] | None:
    """(inputs, outputs) of a sample with symbols for sizes; None where it needs known ones."""
    if sample.shapes or not any(d in SYMBOLS for a in sample.operands for d in a.shape):
        return None
    xs = [
        sg.tensor(f"x{i}", [SYMBOLS.get(d, d) for d in a.shape], a.dtype)
        for i, a in enumerate(sample.operands)
    ]
    try:
        return xs, flatten(sample.build(*xs))
    except (sg.SymgradError, IndexError, TypeError, ValueError):
        return None


def some_complex(rng: Any, shape: Any) -> np.ndarray:
    return rng.uniform(0.25, 0.75, shape) + 1j * rng.uniform(0.25, 0.75, shape)


def sizes_of(operands: Any) -> Iterator[dict[int, int]]:
    """Other sizes: each axis empty, each of size 1, all of size 1."""
    found = sorted({d for a in operands for d in a.shape if d in SYMBOLS})
    for n in (0, 1):
        for d in found:
            yield {d: n}
    yield dict.fromkeys(found, 1)


@pytest.mark.native
@pytest.mark.parametrize("name", SAMPLES)
def test_symbolic_empty_and_single(name: str) -> None:
    rng = np.random.default_rng(5)
    for number, sample in enumerate(SAMPLES[name]):
        built = symbolic(sample)
        if built is None or sample.reference is None:
            continue
        xs, ys = built
        f = sg.function(xs, ys, on_unused_input="ignore")
        for sizes in ({}, *(() if name in LITERAL else sizes_of(sample.operands))):
            shapes = [[sizes.get(d, d) for d in a.shape] for a in sample.operands]
            operands = [
                rng.uniform(0.25, 0.75, s)
                if a.dtype.kind == "f"
                else some_complex(rng, s)
                if a.dtype.kind == "c"
                else np.resize(a, s)
                if a.size
                else a
                for s, a in zip(shapes, sample.operands, strict=True)
            ]
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                try:
                    expected = flatten(sample.reference(*operands))
                except (ValueError, IndexError, ZeroDivisionError):
                    continue
            try:
                found = f(*operands)
            except (IndexError, sg.ShapeError, sg.InputError):
                assert name.removesuffix(" of complex") in PROMISED, f"{name}, sample {number}, sizes {sizes}"
                continue
            for a, b in zip(found, expected, strict=True):
                what = f"{name}, sample {number}, sizes {sizes}"
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14, err_msg=what)


# ---- special values ---------------------------------------------------------------------------------

SPECIAL_VALUES = np.array(
    [0.0, -0.0, np.inf, 1.5, -np.inf, np.nan, -2.5, 1e308, -1e308, 5e-324, 1e-200, 1e200]
)
#: Of sums of products: no product overflows, so that the sum is the same in every order.
OF_SUMS = np.array([0.0, -0.0, np.inf, 1.5, -np.inf, np.nan, -2.5, 1e100, 3.0, 5e-324, 1e-200, 0.25])
SUMS_OF_PRODUCTS = {"convolution", "dot", "einsum", "inner", "kron", "tensordot", "vdot", "vecdot"}
#: Where the reference of the samples is not what the function is, at such values: it overflows, say.
WRITTEN_NAIVELY = set(
    [
        "log_cosh",
        "softplus",
        "masked_multiply",
        "masked_multiply_both",
        "logsumexp",
        "softmax",
        "log_softmax",
        "matmul",
        "softmax_of_axes",
        "softmax_from_log",
        "softmax_centred",
        "linear_recurrence",
        "vector_norm",
        "norm",
        "einsum",
        "over_hypot",
        "over_squares",
        "log_sigmoid",
        "xlogx",
        "xlogx_derivative",
        "sinc_derivative",
        "gelu",
        "gelu_derivative",
        "gelu_tanh",
        "gelu_tanh_derivative",
        "silu",
        "silu_derivative",
        "gammaln",
        "eye",
        "quantile",
        "conv",
        "conv_input",
        "conv_weights",
        "fold",
    ]
)


@pytest.mark.parametrize(
    "name",
    sorted(
        set(SAMPLES)
        - WRITTEN_NAIVELY
        - {"astype"}
        - set(COMPLEX)
        - set(FFT)
        - set(LINALG)
        - set(LINALG_COMPLEX)
    ),
)  # C leaves such casts open
def test_special_values(name: str) -> None:
    """Zeros, infinities, NaN, huge and tiny numbers everywhere: what NumPy gives."""
    values = OF_SUMS if name in SUMS_OF_PRODUCTS else SPECIAL_VALUES
    inputs, outputs, arguments, wanted = [], [], [], []
    for number, sample in enumerate(SAMPLES[name]):
        if sample.reference is None or sample.shapes or not any(a.dtype.kind == "f" for a in sample.operands):
            continue
        for start in (0, 5):
            operands = [
                np.resize(np.roll(values, -start - 3 * k), a.shape) if a.dtype == np.float64 else a
                for k, a in enumerate(sample.operands)
            ]
            xs = [
                sg.tensor(f"x{number}_{start}_{i}", a.shape, a.dtype) for i, a in enumerate(sample.operands)
            ]
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                wanted += flatten(sample.reference(*operands))
            inputs += xs
            outputs += flatten(sample.build(*xs))
            arguments += operands
    found = sg.function(inputs, outputs, on_unused_input="ignore")(*arguments) if outputs else []
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=0, err_msg=name)


#: Of the rows of complex numbers: those whose reference overflows, or has a parameter that is not special.
NOT_AT_SPECIAL_VALUES = {"rsqrt", "sech_squared", "sinc", "pow"}


@pytest.mark.parametrize(
    "name",
    [n for n, row in COMPLEX.items() if len(row[0].operands) == 1 and row[0].operands[0].ndim == 2],
)
def test_special_values_of_complex_numbers(name: str) -> None:
    """What NumPy gives; which parts of a result are infinite and which NaN is open, element by element."""
    base = name.removesuffix(" of complex")
    sample = COMPLEX[name][0]
    z = sample.operands[0]
    if (
        base in NOT_AT_SPECIAL_VALUES
        or z.dtype.kind != "c"
        or not isinstance(registry.ops.get(base), Elementwise)
    ):
        pytest.skip("its reference is no function of single complex numbers that holds everywhere")
    x = sg.tensor("z", z.shape, "complex128")
    f = sg.function([x], flatten(sample.build(x)))
    assert sample.reference is not None
    for shift in range(len(SPECIAL_VALUES)):
        at = np.resize(SPECIAL_VALUES, z.shape) + 0j
        at.imag = np.resize(np.roll(SPECIAL_VALUES, shift), z.shape)
        with np.errstate(all="ignore"):
            expected = flatten(sample.reference(at))
        for a, b in zip(f(at), expected, strict=True):
            finite = np.isfinite(b)
            np.testing.assert_array_equal(np.isfinite(a), finite, err_msg=f"{name} at {at}")
            np.testing.assert_allclose(a[finite], b[finite], rtol=1e-14, atol=1e-300, err_msg=name)
