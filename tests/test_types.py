"""Dtypes: what they are equal to, and what NumPy makes of them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.types import DTYPES, DType

SAME: list[tuple[str, list[Any]]] = [
    ("float64", ["float64", "f64", "f8", "double", np.float64, np.dtype("float64"), float, np.dtype(float)]),
    ("float32", ["float32", "f32", "f4", np.float32, np.dtype("float32")]),
    ("int8", ["int8", "i8", np.int8, np.dtype("int8")]),
    ("int64", ["int64", "i64", np.int64, np.dtype("int64"), int]),
    ("bool", ["bool", np.bool_, bool, np.dtype(bool)]),
    ("complex128", ["complex128", "c128", np.complex128, complex]),
]
NONE_OF_THEM = [
    "flaot64",
    "",
    "1,(",
    "f4,f4",
    None,
    3,
    1.5,
    [],
    ["float64"],
    object,
    list,
    str,
    np.dtype("O"),
    np,
]


@pytest.mark.parametrize(("name", "others"), SAME, ids=[name for name, _ in SAME])
def test_equal_to_what_stands_for_it(name: str, others: list[Any]) -> None:
    for other in others:
        for found in DTYPES.values():
            is_same = found is DTYPES[name]
            assert (found == other) is is_same, (found, other)
            assert (found != other) is not is_same
            assert (other == found) is is_same
            assert (other != found) is not is_same


@pytest.mark.parametrize("other", NONE_OF_THEM, ids=repr)
@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_not_equal_to_what_is_no_dtype(dtype: DType, other: Any) -> None:
    assert dtype != other
    assert (dtype == other) is False


def test_byte_order_counts() -> None:
    swapped = np.dtype("float64").newbyteorder()
    assert sg.float64 != swapped
    assert swapped != sg.float64


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_numpy_takes_them(dtype: DType) -> None:
    assert np.dtype(dtype) == dtype.numpy
    assert np.zeros(2, dtype).dtype == dtype.numpy
    assert np.ones(2).astype(dtype).dtype == dtype
    assert dtype.dtype is dtype.numpy


def test_of_a_tensor() -> None:
    x = sg.scalar("x", dtype="float32")
    assert x.dtype == "float32"
    assert x.dtype in {sg.float32}
    assert x.dtype in ("float32", "float64")
    assert hash(x.dtype) == hash(sg.float32)
    assert pickle.loads(pickle.dumps(x.dtype)) is sg.float32
