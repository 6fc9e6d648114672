"""Sizes where ints would do: as outputs, as what an input is there for, in operators, as arguments."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad as sg

SIZES = range(8)


def test_a_size_is_an_output(backend: str) -> None:
    x = sg.vector("x", size="n")
    n = x.shape[0]
    one = sg.function([x], n, backend=backend)
    several = sg.function([x], [x, n], backend=backend)
    named = sg.function([x], {"x": x, "count": 2 * n + 1}, backend=backend)
    y = sg.vector("y", size="n")
    given = sg.function([y], n, givens={x: y}, backend=backend)
    for count in SIZES:
        value = np.arange(float(count))
        assert one(value) == count
        assert one(value).dtype == np.int64
        assert several(value)[0].tolist() == value.tolist()
        assert several(value)[1] == count
        assert named(value)["count"] == 2 * count + 1
    assert given(np.ones(4)) == 4
    graph = sg.Graph([x], n)
    assert str(graph.outputs[0].type) == "i64"
    with pytest.raises(sg.GraphError, match="inputs must be tensors, not Size"):
        sg.Graph([n], n)


def test_an_input_that_is_there_for_its_sizes(backend: str) -> None:
    t = sg.tensor("t", ("n", 3))
    x, w = sg.vector("x", size="m"), sg.vector("w", size="k")
    slope = sg.function([t], sg.grad(sg.sum(t), t), backend=backend)
    twice = sg.function([t], t.shape[0] * sg.constant(2.0), backend=backend)
    part = sg.function([x, w], x[: -w.shape[0]], backend=backend)
    for count in SIZES:
        value = np.ones((count, 3))
        assert slope(value).tolist() == value.tolist()
        assert twice(value) == 2 * count
    assert part(np.arange(3.0), np.ones(1)).tolist() == [0, 1]
    for outputs in (sg.sum(x), x[:2], x * sg.zeros(x.shape)):
        with pytest.raises(sg.GraphError, match="'w' of main is not used"):
            sg.function([x, w], outputs)


EXACT: dict[str, Callable[[Any], Any]] = {
    "7 % n": lambda n: 7 % n,
    "n % 3": lambda n: n % 3,
    "abs(n)": abs,
    "abs(n - 3)": lambda n: abs(n - 3),
    "abs(-n)": lambda n: abs(-n),
    "+n": operator.pos,
    "divmod(n, 2)": lambda n: sum(divmod(n, 2)),
    "divmod(7, n)": lambda n: sum(divmod(7, n)),
    "divmod(n, 2.0)": lambda n: sum(divmod(n, 2.0)),
}


@pytest.mark.parametrize("name", EXACT)
def test_operators_of_ints(name: str, backend: str) -> None:
    x = sg.vector("x", size="n")
    f = sg.function([x], EXACT[name](x.shape[0]), backend=backend, on_unused_input="ignore")
    for count in SIZES:
        if count or "7" not in name:
            assert f(np.ones(count)) == EXACT[name](count), count


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "2**n": (lambda n: 2**n, r"sg.pow\(2, n\)"),
    "n**n": (lambda n: n**n, r"sg.pow\(n, n\)"),
    "n**-1": (lambda n: n**-1, r"sg.pow\(n, -1\)"),
    "n > 3": (lambda n: n > 3, r"sg.greater\(n, 3\)"),
    "n < 3": (lambda n: n < 3, r"sg.less\(n, 3\)"),
    "n >= n": (lambda n: n >= 2 * n, r"sg.greater_equal\(n, 2\*n\)"),
    "n <= 2.5": (lambda n: n <= 2.5, r"sg.less_equal\(n, 2.5\)"),
    "3 < n": (lambda n: n > 3, r"sg.greater\(n, 3\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_operators_without_a_size_say_what_to_do(name: str) -> None:
    function, hint = REFUSED[name]
    n = sg.size("n")
    with pytest.raises(TypeError, match=hint):
        function(n)


def test_the_hints_work(backend: str) -> None:
    x = sg.vector("x", size="n")
    n = x.shape[0]
    outputs = [sg.pow(2, n), sg.greater(n, 3), sg.less_equal(n, 2.5), n > sg.constant(3), sg.constant(2) ** n]
    f = sg.function([x], outputs, backend=backend)
    for count in SIZES:
        found = f(np.ones(count))
        assert [v.item() for v in found] == [2**count, count > 3, count <= 2.5, count > 3, 2**count]


MOVED: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, int], Any]]] = {
    "roll by n-1": (lambda x, n: sg.roll(x, n - 1), lambda x, n: np.roll(x, n - 1)),
    "roll by -2n-1": (lambda x, n: sg.roll(x, -2 * n - 1), lambda x, n: np.roll(x, -2 * n - 1)),
    "roll by 3-n": (lambda x, n: sg.roll(x, 3 - n, axis=0), lambda x, n: np.roll(x, 3 - n)),
    "pad before": (lambda x, n: sg.pad(x, (n, 0)), lambda x, n: np.pad(x, (n, 0))),
    "pad around": (lambda x, n: sg.pad(x, (1, n // 2)), lambda x, n: np.pad(x, (1, n // 2))),
    "pad with": (
        lambda x, n: sg.pad(x, n, constant_values=-1.0),
        lambda x, n: np.pad(x, n, constant_values=-1.0),
    ),
    "pad edge": (lambda x, n: sg.pad(x, (n, 1), "edge"), lambda x, n: np.pad(x, (n, 1), "edge")),
    "pad wrap": (lambda x, n: sg.pad(x, (n // 2, n), "wrap"), lambda x, n: np.pad(x, (n // 2, n), "wrap")),
    "pad symmetric": (
        lambda x, n: sg.pad(x, (n, n // 2), "symmetric"),
        lambda x, n: np.pad(x, (n, n // 2), "symmetric"),
    ),
    "pad reflect": (
        lambda x, n: sg.pad(x, (n // 2, n // 2), "reflect"),
        lambda x, n: np.pad(x, (n // 2, n // 2), "reflect"),
    ),
    "pad a matrix": (
        lambda x, n: sg.pad(x[:, None] * sg.ones((1, 2)), ((0, n), (n, 1))),
        lambda x, n: np.pad(x[:, None] * np.ones((1, 2)), ((0, n), (n, 1))),
    ),
}


def check_moved(name: str, f: Any, count: int) -> None:
    value, size = np.arange(1.0, count + 1), np.ones(count)
    found, slope = f(value, size)
    wanted = MOVED[name][1](value, count)
    assert found.shape == wanted.shape, count
    np.testing.assert_array_equal(found, wanted, err_msg=str(count))
    times = np.array([np.sum(wanted == v) for v in value])
    np.testing.assert_allclose(slope, times * value, err_msg=str(count))


@pytest.mark.parametrize("name", MOVED)
def test_sizes_as_arguments(name: str, backend: str) -> None:
    """Values and gradients, of a vector whose own size is symbolic or known."""
    repeats = name.endswith(("edge", "wrap", "symmetric", "reflect"))  # for which there must be something
    for static in (None, *SIZES):
        if static == 0 and repeats:
            continue
        x, w = sg.vector("x", size="n" if static is None else static), sg.vector("w", size="k")
        y = MOVED[name][0](x, w.shape[0] if static is not None else x.shape[0])
        outputs = [y, sg.grad(sg.sum(y**2) / 2, x, disconnected_inputs="ignore")]
        f = sg.function([x, w], outputs, backend=backend, on_unused_input="ignore")
        for count in SIZES if static is None else (static,):
            if count or not repeats:
                check_moved(name, f, count)


def test_a_width_that_comes_out_negative(backend: str) -> None:
    x, w = sg.vector("x", size="n"), sg.vector("w", size="k")
    f = sg.function([x, w], sg.pad(x, (w.shape[0] - 2, 0)), backend=backend)
    assert f(np.ones(2), np.ones(3)).tolist() == [0, 1, 1]
    with pytest.raises(sg.InputError, match="comes out negative: k-2 is -1"):
        f(np.ones(7), np.ones(1))
