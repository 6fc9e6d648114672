"""What is converted for a dtype, and what is not: arguments, states, updates, givens."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

import symgrad as sg

LONG = 2**53 + 1
#: dtype, value, what it becomes.
TAKEN: list[tuple[str, Any, Any]] = [
    ("float32", np.array([1, 2**24]), [1.0, 2.0**24]),
    ("float32", np.array([3 * 2**40, -(2**63)]), [3 * 2.0**40, -(2.0**63)]),
    ("float32", np.array([2**63], np.uint64), [2.0**63]),
    ("float32", np.int32(5), 5.0),
    ("float32", 2**24, 2.0**24),
    ("float32", 2**70, 2.0**70),
    ("float32", [0.1, 1], np.float32([0.1, 1])),
    ("float32", 1e-300, 0.0),
    ("float32", [float("inf"), -np.inf], [np.inf, -np.inf]),
    ("float32", np.array([True, False]), [1.0, 0.0]),
    ("float32", np.array([0.5], np.float16), [0.5]),
    ("float64", np.array([2**53, -(2**63)]), [2.0**53, -(2.0**63)]),
    ("float64", [2**70, 0.5], [2.0**70, 0.5]),
    ("float64", np.array([1.5], ">f4"), [1.5]),
    ("float64", [], []),
    ("complex64", [1, 2.5j], [1, 2.5j]),
    ("int8", np.array([127, -128]), [127, -128]),
    ("int8", [1, True], [1, 1]),
    ("int8", [], []),
    ("uint8", [5, 255], [5, 255]),
    ("uint64", [2**63, 1], [2**63, 1]),
    ("uint64", 2**64 - 1, 2**64 - 1),
    ("float64", np.ma.array([1.0, 2.0]), [1.0, 2.0]),
]

#: dtype, value, what the message says.
REFUSED: list[tuple[str, Any, str]] = [
    ("float32", np.array([1, 2**24 + 1]), "16777217"),
    ("float32", 2**24 + 1, "16777217"),
    ("float32", np.int64(2**24 + 1), "16777217"),
    ("float32", 1e300, "1e+300"),
    ("float32", [1.0, -1e300], "-1e+300"),
    ("float32", np.array([1.0]), "float64"),
    ("float32", 10**400, "1329 bits"),
    ("float64", np.array([LONG]), str(LONG)),
    ("float64", np.array([[0, -LONG]]), f"{-LONG} at [0, 1]"),
    ("float64", LONG, str(LONG)),
    ("float64", [LONG, 0.5], str(LONG)),
    ("float64", np.array([2**64 - 1], np.uint64), str(2**64 - 1)),
    ("float64", 1j, "complex128"),
    ("complex64", 1e300j, "1e+300j"),
    ("complex128", LONG, str(LONG)),
    ("int8", 300, "300"),
    ("int8", np.array([1, 300]), "300 at [1]"),
    ("int8", 2**70, str(2**70)),
    ("int8", [1.0], "float64"),
    ("uint8", [-1], "-1"),
    ("uint64", [2**63, -1], "-1"),
    ("bool", [0, 1], "int64"),
    ("float64", np.ma.array([1.0, 2.0], mask=[True, False]), "masked"),
    ("float64", "a", "str"),
    ("float64", None, "NoneType"),
    ("float64", [[1.0], [1.0, 2.0]], "unequal lengths"),
]


def _input(dtype: str, value: Any) -> sg.Tensor:
    try:
        shape = np.shape(value)
    except ValueError:
        shape = (2,)
    return sg.tensor("x", shape, dtype)


def _zeros(x: sg.Tensor) -> Any:
    return np.zeros(x.shape, x.dtype)


@pytest.mark.parametrize(("dtype", "value", "becomes"), TAKEN, ids=repr)
def test_taken(dtype: str, value: Any, becomes: Any, backend: str) -> None:
    x = _input(dtype, value)
    expected = np.array(becomes, dtype)
    results = [sg.function([x], sg.reshape(x, x.shape), backend=backend)(value)]
    state = sg.shared(_zeros(x), "w")
    state.set(value)
    results.append(state.get())
    state.set(_zeros(x))
    sg.function([], [], updates={state: value}, backend=backend)()
    results.append(state.get())
    results.append(sg.function([], x + _zeros(x), givens={x: value}, backend=backend)())
    for result in results:
        np.testing.assert_array_equal(result, expected)
        assert result.dtype == expected.dtype


@pytest.mark.parametrize(("dtype", "value", "says"), REFUSED, ids=repr)
def test_refused(dtype: str, value: Any, says: str, backend: str) -> None:
    x = _input(dtype, value)
    f = sg.function([x], sg.reshape(x, x.shape), backend=backend)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(sg.InputError) as caught:
            f(value)
    assert says in str(caught.value)
    assert "'x'" in str(caught.value)


@pytest.mark.parametrize(("dtype", "value", "says"), REFUSED, ids=repr)
def test_refused_elsewhere(dtype: str, value: Any, says: str) -> None:
    x = _input(dtype, value)
    state = sg.shared(_zeros(x), "w")
    for use in (
        lambda: state.set(value),
        lambda: setattr(state, "value", value),
        lambda: sg.function([], [], updates={state: value}),
        lambda: sg.function([], x + _zeros(x), givens={x: value}),
    ):
        with pytest.raises((sg.DTypeError, sg.ShapeError, sg.GraphError)) as caught:
            use()
        assert says in str(caught.value)
        assert caught.value.at
    np.testing.assert_array_equal(state.get(), _zeros(x))


#: dtype, value, what the message says.
NOT_HELD: list[tuple[str, Any, str]] = [
    ("int8", [1, 300], "300 is not a value of int8"),
    ("int8", np.array([[1.5]]), "1.5 is not a value of int8"),
    ("int64", [np.nan], "nan is not a value of int64"),
    ("int64", math.nan, "nan is not a value of int64"),
    ("uint8", [-1], "-1 is not a value of uint8"),
    ("bool", [0, 2], "2 is not a value of bool"),
    ("float64", 1j, "1j is not a value of float64"),
    ("float64", [1j], "1j is not a value of float64"),
    ("int64", [1j], "1j is not a value of int64"),
]


@pytest.mark.parametrize(("dtype", "value", "says"), NOT_HELD, ids=repr)
def test_constants_are_values_of_their_dtype(dtype: str, value: Any, says: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(sg.DTypeError, match=says):
            sg.constant(value, dtype)


def test_constants_of_a_dtype_are_rounded() -> None:
    held: list[tuple[str, Any]] = [("float32", [0.1, 1e300]), ("int8", [1.0, -128.0]), ("bool", [0, 1.0])]
    held += [("complex64", [1, 0.1j]), ("float64", [1 + 0j]), ("float32", np.arange(3)), ("int8", [])]
    for dtype, value in held:
        found = sg.constant(value, dtype).eval()
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(found, _as(value, dtype))
        assert found.dtype == dtype


def _as(value: Any, dtype: str) -> Any:
    array = np.asarray(value)
    return (array if np.dtype(dtype).kind == "c" else array.real).astype(dtype)


def test_conversions_in_a_graph_do_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sg.astype(sg.constant(math.nan), "int64").dtype == "int64"
        assert sg.astype(sg.constant(1e300), "float32").eval() == math.inf


def test_updates_of_parts_are_values_of_the_dtype() -> None:
    x = sg.vector("x", size=3, dtype="int8")
    with pytest.raises(sg.DTypeError, match="300 is not a value of int8"):
        x.at[:2].set([1, 300])


def test_masked_elements_have_no_value() -> None:
    x, masked = sg.vector("x", size=2), np.ma.array([1, 0], mask=[True, False])
    for use in (
        lambda: x + masked,
        lambda: x * np.ma.masked,
        lambda: sg.constant(masked, "float64"),
        lambda: sg.shared(masked),
        lambda: x[masked],
    ):
        with pytest.raises(sg.DTypeError, match="no masked elements") as caught:
            use()
        assert caught.value.at
    np.testing.assert_array_equal((x + np.ma.array([1, 0])).eval({x: [1, 1]}), [2, 1])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e10, 128.0, -129.5])
def test_cast_takes_no_number_for_another(value: float, backend: str) -> None:
    """Found in review: NaN became 0, and 1e10, too."""
    x = sg.vector("x", size="n", dtype="int8")
    f = sg.function([x], x + 1, cast=True, backend=backend)
    np.testing.assert_array_equal(f(np.array([1.9, -2.9, 126.5, -128.9])), [2, -1, 127, -127])
    with pytest.raises(sg.InputError, match="which does not hold"):
        f(np.array([1.0, value]))


def test_cast_rounds() -> None:
    x = sg.vector("x", dtype="float32")
    f = sg.function([x], x * 1, cast=True)
    np.testing.assert_array_equal(f(np.array([2**24 + 1])), [2.0**24])
    np.testing.assert_array_equal(f([1e300]), [np.inf])


def test_words_for_states() -> None:
    state = sg.shared(np.array([1, 2], "int8"))
    with pytest.raises(sg.DTypeError, match="shared state of int8 does not hold 300"):
        state.set([300, 1])
    with pytest.raises(sg.DTypeError, match="shared state holds numbers"):
        state.set("a")
    with pytest.raises(sg.ShapeError, match="the shape of shared state is fixed"):
        state.set([[1, 2], [3]])
    with pytest.raises(sg.ShapeError, match="the update of w has another type"):
        sg.function([], [], updates={sg.shared(np.zeros(2), "w"): 0.0})


def test_givens_are_for_tensors() -> None:
    x = sg.scalar("x")
    with pytest.raises(sg.GraphError, match="givens are for tensors, not for str") as caught:
        sg.function([], x * 2, givens={"x": 1.0})  # type: ignore[dict-item]
    assert "hint" in str(caught.value)
