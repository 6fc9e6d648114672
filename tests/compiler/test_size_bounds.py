"""Bounds of slices that are sizes: NumPy's meaning, or an error in the call that says which bound is on
another side than it was taken to be. Never other values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad import dims

#: A slice of x (of size n; k is the size of w), and for which n and k it has to be NumPy's. Elsewhere it is
#: that or an error.
Case = tuple[Callable[[Any, Any, Any], Any], Callable[[int, int], bool]]

SLICES: dict[str, Case] = {
    "x[:-k]": (lambda x, n, k: x[:-k], lambda n, k: k > 0 or n == 0),
    "x[-k:]": (lambda x, n, k: x[-k:], lambda n, k: 0 < k <= n),
    "x[k:-k]": (lambda x, n, k: x[k:-k], lambda n, k: k > 0),
    "x[h:-h]": (lambda x, n, k: x[k // 2 : -(k // 2)], lambda n, k: k > 1),
    "x[h:-k//2]": (lambda x, n, k: x[k // 2 : -k // 2], lambda n, k: k > 0),
    "x[:-k-1]": (lambda x, n, k: x[: -k - 1], lambda n, k: True),
    "x[-n:]": (lambda x, n, k: x[-n:], lambda n, k: True),
    "x[:-n]": (lambda x, n, k: x[:-n], lambda n, k: True),
    "x[:n-k]": (lambda x, n, k: x[: n - k], lambda n, k: (n >= k or 2 * n <= k) and n != 1),
    "x[:9-k]": (lambda x, n, k: x[: 9 - k], lambda n, k: n >= 9 - k),
    "x[:n-6]": (lambda x, n, k: x[: n - 6], lambda n, k: n >= 6 or n <= 3),
    "x[:n-2]": (lambda x, n, k: x[: n - 2], lambda n, k: True),
    "x[n-2:]": (lambda x, n, k: x[n - 2 :], lambda n, k: n >= 2),
    "x[1-k:]": (lambda x, n, k: x[1 - k :], lambda n, k: 1 < k <= n + 1),
    "x[:1-k:-1]": (lambda x, n, k: x[: 1 - k : -1], lambda n, k: 1 < k < n + 2),
    "x[:-k:-1]": (lambda x, n, k: x[:-k:-1], lambda n, k: 0 < k <= n + 1),
    "x[-k::-1]": (lambda x, n, k: x[-k::-1], lambda n, k: k > 0),
    "x[:k-3:-1]": (lambda x, n, k: x[: k - 3 : -1], lambda n, k: k >= 3),
    "x[k-3::-1]": (lambda x, n, k: x[k - 3 :: -1], lambda n, k: 3 <= k < n + 3),
    "x[:k-3:-2]": (lambda x, n, k: x[: k - 3 : -2], lambda n, k: k >= 3),
    "x[:-k:2]": (lambda x, n, k: x[:-k:2], lambda n, k: k > 0),
    "x[k:]": (lambda x, n, k: x[k:], lambda n, k: True),
    "x[:k]": (lambda x, n, k: x[:k], lambda n, k: k <= n),
    "x[-k]": (lambda x, n, k: x[-k], lambda n, k: 0 < k <= n),
    "x[-n]": (lambda x, n, k: x[-n], lambda n, k: n > 0),
    "x[n-2]": (lambda x, n, k: x[n - 2], lambda n, k: n > 1),
    "x[k-n]": (lambda x, n, k: x[k - n], lambda n, k: n <= k < 2 * n),
    "x[k:]-x[:-k]": (lambda x, n, k: x[k:] - x[:-k], lambda n, k: k > 0),
}
FAILS = (sg.InputError, IndexError)


def outcome(function: Any, *given: Any) -> Any:
    try:
        return function(*given)
    except (*FAILS, ValueError) as error:
        return error


def agrees(found: Any, wanted: Any) -> bool:
    return np.shape(found) == np.shape(wanted) and np.array_equal(found, wanted)


@pytest.mark.parametrize("name", SLICES)
def test_slices_at_sizes(name: str, backend: str) -> None:
    """Values, gradients and updates, of vectors of symbolic and of known sizes."""
    cut, must = SLICES[name]
    for static in (None, 0, 1, 5):
        x, w = sg.vector("x", size="n" if static is None else static), sg.vector("w", size="k")
        try:
            y = cut(x, x.shape[0], w.shape[0])
        except (sg.ShapeError, IndexError):
            assert static is not None
            continue
        options: dict[str, Any] = {"backend": backend, "on_unused_input": "ignore"}
        value = sg.function([x, w], y, **options)
        slope = sg.function([x, w], sg.grad(sg.sum(y * y), x) + 0 * x, **options)
        update = None
        if "]-x" not in name:
            at = cut(x.at, x.shape[0], w.shape[0])
            update = sg.function([x, w], at.add(1.0), **options)
        for n in range(8) if static is None else (static,):
            for k in range(8):
                given = np.arange(1.0, n + 1), np.zeros(k)
                wanted = outcome(lambda x, k=k: cut(x, len(x), k), given[0])
                found = outcome(value, *given)
                if must(n, k) and not isinstance(wanted, Exception):
                    assert not isinstance(found, Exception), (n, k, found)
                if isinstance(found, Exception):
                    assert isinstance(found, FAILS), (n, k, found)
                    assert isinstance(outcome(slope, *given), FAILS), (n, k)
                    assert update is None or isinstance(outcome(update, *given), FAILS), (n, k)
                    continue
                assert not isinstance(wanted, Exception), (n, k, found)
                assert agrees(found, wanted), (n, k, found, wanted)
                if update is None:
                    continue
                changed = given[0].copy()
                changed[_key(cut, n, k)] += 1
                assert agrees(update(*given), changed), (n, k)
                expected = np.zeros(n)
                expected[_key(cut, n, k)] = 2 * wanted
                assert agrees(slope(*given), expected), (n, k)


class _Keys:
    def __getitem__(self, key: Any) -> Any:
        return key


def _key(cut: Any, n: int, k: int) -> Any:
    return cut(_Keys(), n, k)


def test_split_at_sizes(backend: str) -> None:
    x, w = sg.vector("x", size="n"), sg.vector("w", size="k")
    f = sg.function([x, w], sg.split(x, [-w.shape[0]]), backend=backend, on_unused_input="ignore")
    for n in range(8):
        for k in range(8):
            found, wanted = outcome(f, np.arange(n), np.zeros(k)), np.split(np.arange(n), [-k])
            if isinstance(found, Exception):
                assert isinstance(found, FAILS)
                assert not 0 < k <= n, (n, k, found)
            else:
                assert all(map(agrees, found, wanted)), (n, k)


def test_what_is_cut_off_at_the_end(backend: str) -> None:
    """Where the user says so; else a slice of known bounds has a known size."""
    x = sg.vector("x", size="n")
    plain = sg.function([x], x[:3], backend=backend)
    assert x[:3].shape == (3,)
    with pytest.raises(IndexError):
        plain(np.ones(2))
    y = x[: dims.minimum(x.shape[0], 3)]
    outputs = [y, sg.grad(sg.sum(y * y), x), x.at[: dims.minimum(x.shape[0], 3)].add(1.0)]
    f = sg.function([x], outputs, backend=backend)
    for n in range(8):
        given, ones = np.arange(1.0, n + 1), np.arange(n) < 3
        assert all(map(agrees, f(given), [given[:3], 2 * given * ones, given + ones])), n


def test_the_shape_is_clean() -> None:
    x, w = sg.matrix("x", shape=("n", "m")), sg.vector("w", size="k")
    n, k = x.shape[0], w.shape[0]
    assert x[k:].shape == x[:-k].shape == (n - k, x.shape[1])
    assert x[-k:].shape == (k, x.shape[1])
    assert x[k:-k, 1:-1].shape == (n - 2 * k, x.shape[1] - 2)


def test_the_error_names_the_bound(backend: str) -> None:
    x, w = sg.vector("x", size="n"), sg.vector("w", size="k")
    n, k = x.shape[0], w.shape[0]
    f = sg.function([x, w], x[:-k], backend=backend, on_unused_input="ignore")
    with pytest.raises(
        sg.InputError, match=r"counts from the end does not come out negative: -k is 0"
    ) as caught:
        f(np.ones(3), np.ones(0))
    assert "test_size_bounds.py" in str(caught.value)
    assert "hint: " in str(caught.value)
    f = sg.function([x, w], sg.grad(sg.sum(x[: n - k]), x), backend=backend, on_unused_input="ignore")
    with pytest.raises(sg.InputError, match=r"a slice bound comes out negative: -k\+n is -1") as caught:
        f(np.ones(3), np.ones(4))
    assert "hint: " in str(caught.value)


def test_what_cannot_fail_is_not_checked() -> None:
    x = sg.vector("x", size="n")
    n = x.shape[0]
    for y in (
        x[: n - 1],
        x[n - 1],
        x[1 : n - 2],
        x[n // 2 :],
        x[-n:],
        x[: -n // 2 - 1],
        x[::-1],
        sg.roll(x, 2),
    ):
        assert "specify_shape" not in str(sg.Graph([x], y))


def test_a_function_with_checks_can_be_watched(backend: str) -> None:
    x, w = sg.vector("x", size="n"), sg.vector("w", size="k")
    y = sg.sum(x[: -w.shape[0]] ** 2)
    f = sg.function([x, w], [y, sg.grad(y, x)], backend=backend, validate=True)
    assert f(np.arange(3.0), np.ones(1))[1].tolist() == [0, 2, 0]
    assert "drop_bounds" in str(sg.explain(f))
    assert "-k" in f.plan()


def test_stable_forms_look_through_the_checks() -> None:
    x, w = sg.vector("x", size="n"), sg.vector("w", size="k")
    y = sg.log(sg.softmax(x)[: -w.shape[0]])
    f = sg.function([x, w], [y, sg.grad(sg.sum(y), x)], on_unused_input="ignore")
    assert "log_softmax" in str(f.optimized)
    assert "= specify_shape(" not in str(f.optimized)


def test_the_checks_are_kept(backend: str) -> None:
    """By the text form, by vmap, and by a slice that is part of something else."""
    x, w = sg.vector("x", size="n"), sg.vector("w", size="k")
    k = w.shape[0]
    batch = sg.matrix("batch", shape=("b", "n"))
    mapped = sg.vmap(lambda row: sg.sum(row[:-k] * 2))(batch)
    by_hand = sg.optimize(sg.Graph([x, w], [x[:-k], w]))
    h = sg.function(by_hand.inputs, by_hand.outputs, backend=backend)
    read = sg.parse(sg.emit(sg.Graph([x, w], [sg.sum(x[:-k]), w])))
    f = sg.function(read.inputs, read.outputs, backend=backend)
    g = sg.function([batch, w], mapped, backend=backend, on_unused_input="ignore")
    assert f(np.arange(4.0), np.ones(1))[0] == 3
    assert g(np.ones((2, 4)), np.ones(1)).tolist() == [6, 6]
    assert h(np.arange(4.0), np.ones(1))[0].tolist() == [0, 1, 2]
    for call in (
        lambda: f(np.arange(4.0), np.ones(0)),
        lambda: g(np.ones((2, 4)), np.ones(0)),
        lambda: h(np.arange(4.0), np.ones(0)),
    ):
        with pytest.raises(sg.InputError, match="-k is 0"):
            call()
