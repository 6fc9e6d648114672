"""Random programs of integers of all kinds at once, against NumPy: for LLVM, int8 and uint8 are one type, and
what is computed alike is computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.ir.tensor import Tensor

Array = np.ndarray
Formula = Callable[[Sequence[Array]], Array]

DTYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"]

#: Of two integers of one dtype, in the language and in NumPy alike.
BOTH: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a // b,
    lambda a, b: a % b,
    lambda a, b: a & b,
    lambda a, b: a ^ b,
    lambda a, b: a + 3,
    lambda a, b: (a * 2) // 3,
    lambda a, b: (a + 1) >> 1,
    lambda a, b: -a,
]
COMPARISONS: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a < b,
    lambda a, b: a <= b,
    lambda a, b: a == b,
]


def numbers(rng: np.random.Generator, dtype: str, size: int) -> Array:
    if dtype == "bool":
        return rng.random(size) < 0.5
    info = np.iinfo(dtype)
    special = np.array([0, 1, 2, info.max, info.max - 1, info.min, info.min + 1], dtype)
    near = rng.integers(max(info.min, -9), 10, size).astype(dtype)
    return np.where(rng.random(size) < 0.4, rng.choice(special, size), near)


def step(rng: np.random.Generator, made: list[tuple[Tensor, Formula]]) -> tuple[Tensor, Formula]:
    """Something new of what there is."""
    (a, of_a), (b, of_b) = (made[rng.integers(len(made))] for _ in range(2))
    choice = rng.random()
    if choice < 0.35 or a.dtype.name == "bool":
        dtype = str(rng.choice(DTYPES))
        return a.astype(dtype), lambda given: of_a(given).astype(dtype)
    kind = a.dtype.name
    b, of_other = b.astype(kind), lambda given: of_b(given).astype(kind)
    if choice < 0.5:
        compare = COMPARISONS[rng.integers(len(COMPARISONS))]
        return compare(a, b), lambda given: compare(of_a(given), of_other(given))
    if choice < 0.6:
        where, of_where = a < b, lambda given: np.where(of_a(given) < of_other(given), of_a(given), 2)
        return sg.where(where, a, 2), lambda given: of_where(given).astype(kind)
    if choice < 0.7:
        return sg.maximum(a, b), lambda given: np.maximum(of_a(given), of_other(given))
    both = BOTH[rng.integers(len(BOTH))]
    return both(a, b), lambda given: both(of_a(given), of_other(given))


def check_program(rng: np.random.Generator, backend: str) -> None:
    size = int(rng.choice([1, 7, 16, 33, 100]))
    dtypes = [str(rng.choice(DTYPES)) for _ in range(3)]
    arrays = [numbers(rng, dtype, size) for dtype in dtypes]
    inputs = [sg.tensor(f"x{i}", ("n",), dtype) for i, dtype in enumerate(dtypes)]
    made: list[tuple[Tensor, Formula]] = [(x, lambda given, i=i: given[i]) for i, x in enumerate(inputs)]
    for _ in range(rng.integers(4, 16)):
        made.append(step(rng, made))
    results = [made[rng.integers(3, len(made))] for _ in range(rng.integers(1, 5))]
    f = sg.function(inputs, [t for t, _ in results], backend=backend, on_unused_input="ignore")
    with np.errstate(all="ignore"):
        for found, (tensor, formula) in zip(f(*arrays), results, strict=True):
            expected = formula(arrays)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected, err_msg=str(tensor))


@pytest.mark.parametrize("part", range(4))
def test_random_integers(part: int, backend: str) -> None:
    rng = np.random.default_rng([part, backend == "llvm"])
    for _ in range(40):
        check_program(rng, backend)


@pytest.mark.slow
@pytest.mark.campaign
@pytest.mark.parametrize("part", range(4))
def test_many_random_integers(part: int, backend: str) -> None:
    rng = np.random.default_rng([part, 7, backend == "llvm"])
    for _ in range(1500):
        check_program(rng, backend)


def test_signed_and_unsigned_of_the_same_bits() -> None:
    x = sg.tensor("x", ("n",), "int8")
    u = x.astype("uint8")
    outputs = [(x * 3) // 2, (u * 3) // 2, (u + 1).astype("int64") - (x + 1).astype("int64")]
    given = np.array([-64, -1, 3], np.int8)
    bits = given.view(np.uint8)
    halves, whole, apart = sg.function([x], outputs, backend="llvm")(given)
    np.testing.assert_array_equal(halves, given * np.int8(3) // np.int8(2))
    np.testing.assert_array_equal(whole, bits * np.uint8(3) // np.uint8(2))
    np.testing.assert_array_equal(apart, (bits + np.uint8(1)).astype(int) - (given + np.int8(1)).astype(int))
