"""Sizes that come out negative, such as that of x[1:-1] for one element: axes without elements, as in NumPy;
or a clear error, where another size is made of them. Never other numbers."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.ir.tensor import Tensor

Function = Callable[[Tensor], Tensor]

SLICES: list[Function] = [
    lambda x: x[3:-4, 3:-4],
    lambda x: x[3:-4],
    lambda x: x[:, 3:-4],
    lambda x: x[3:-4, 2:-3:2],
    lambda x: x[-1:1:-1, 1:],
    lambda x: x[1:-1, 1:-1][:, :-4],
]
#: Those that have a value for every slice.
EMPTY: dict[str, Function] = {
    "elementwise": lambda z: sg.exp(z) * 2,
    "sum": sg.sum,
    "sum over rows": lambda z: sg.sum(sg.exp(z), axis=0),
    "sum over columns": lambda z: sg.sum(z, axis=1),
    "mean": sg.mean,
    "mean over rows": lambda z: sg.mean(z, axis=0),
    "var": lambda z: sg.var(z, axis=1),
    "std": sg.std,
    "prod": lambda z: sg.prod(z, axis=1),
    "any": lambda z: sg.any(z > 0, axis=0),
    "norm": lambda z: sg.norm(z, axis=1),
    "count": lambda z: sg.count_nonzero(z >= 0),
    "ones": lambda z: sg.sum(sg.ones_like(z)),
    "transpose": lambda z: z.T + 1,
    "cumulative": lambda z: sg.cumsum(z, axis=0) - sg.cumsum(z, axis=1),
    "product": lambda z: z @ z.T,
    "product over rows": lambda z: z.T @ z + 1,
    "softmax": lambda z: sg.softmax(z, axis=1) + 1,
    "logsumexp": lambda z: sg.logsumexp(z, axis=1),
    "a new axis": lambda z: sg.sum(z[None] * sg.asarray([1.0, 2.0])[:, None, None], axis=0),
    "flip": lambda z: sg.flip(z) + 1,
    "sort": lambda z: sg.sort(z, axis=0),
    "argsort": lambda z: sg.argsort(z, axis=1),
    "take along": lambda z: sg.take_along_axis(z, sg.argsort(z * z, axis=1), axis=1),
    "gather": lambda z: sg.take(z, sg.argsort(sg.sum(z, axis=1)), axis=0),
    "scatter": lambda z: sg.zeros_like(z).at[sg.argsort(sg.sum(z, axis=1))].add(z),
    "diagonal": lambda z: sg.diagonal(z) + 1,
    "trace": sg.trace,
    "stack": lambda z: sg.stack([z, z * 2]) + 1,
    "stack rows": lambda z: sg.sum(sg.stack([z, z * 2], axis=1) ** 2),
    "concat along another axis": lambda z: sg.concat([z[None], sg.exp(z)[None], z[None]], axis=0) * 2,
    "split along another axis": lambda z: sg.split(sg.stack([z, z * 2, z], axis=2) + 1, [1], axis=2)[1],
    "mirrored along another axis": lambda z: sg.pad(z[None] + 1, ((1, 2), (0, 0), (0, 0)), "edge"),
}
#: Those that make another size of that of the slice.
OTHERS: dict[str, Function] = {
    "ravel": lambda z: sg.reshape(z, (-1,)) + 1,
    "concat": lambda z: sg.concat([z, z * 2], axis=0) + 1,
    "pad": lambda z: sg.pad(z, 1) + 1,
    "repeat": lambda z: sg.repeat(z, 2, axis=0) + 1,
    "tile": lambda z: sg.tile(z, (2, 1)) + 1,
    "take": lambda z: sg.sum(sg.take(z, sg.asarray([0, 1]), axis=0)),
    "largest": lambda z: sg.max(z, axis=0),
    "eye": lambda z: sg.eye(z.shape[0]) + 1,
    "tril": lambda z: sg.tril(z) + 1,
    "median": lambda z: sg.median(z, axis=1),
    "roll": lambda z: sg.roll(z, 1, axis=0) + 1,
}
CLEAR = re.compile("comes out negative|out of bounds|which has no identity|no elements|of an empty")
ENDS = [(9, 10), (8, 8), (7, 7), (3, 3), (4, 9), (9, 4), (5, 5), (1, 1), (0, 3), (3, 0)]


def all_of(function: Function, cut: Function, x: Tensor) -> list[Tensor]:
    """The value, a gradient, and something else that needs memory."""
    y = function(cut(x))
    total = sg.sum(sg.sin(y)) if y.dtype.kind == "float" else sg.sum(x)
    return [y, sg.grad(total + sg.sum(x), x), sg.cumsum(x, axis=0)]


def program(function: Function, cut: Function, shape: Any, backend: str) -> Any:
    x = sg.tensor("x", shape)
    return sg.function([x], all_of(function, cut, x), backend=backend)


def value(f: Any, x: np.ndarray) -> Any:
    """What a function gives, or the error that it raises."""
    try:
        return f(x)
    except (sg.SymgradError, IndexError) as error:
        return error


@functools.cache
def given(shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng([3, *shape]).normal(size=shape)


@functools.cache
def empty_ones(cut: Function, shape: tuple[int, int]) -> dict[str, Any]:
    """What all functions of EMPTY give where sizes are known, made by one program."""
    x = sg.tensor("x", shape)
    outputs = [t for function in EMPTY.values() for t in all_of(function, cut, x)]
    found = sg.function([x], outputs, backend="numpy", validate=False)(given(shape))
    return {name: found[3 * i : 3 * i + 3] for i, name in enumerate(EMPTY)}


def wanted_of(name: str, cut: Function, shape: tuple[int, int]) -> Any:
    """What a function gives where sizes are known; None if it says at once that there is nothing to choose
    from."""
    if name in EMPTY:
        return empty_ones(cut, shape)[name]
    try:
        return value(program(OTHERS[name], cut, shape, "numpy"), given(shape))
    except sg.ShapeError:
        return None


@pytest.mark.parametrize("cut", SLICES[:1], ids=range(1))
@pytest.mark.parametrize("name", [*EMPTY, *OTHERS])
def test_slices_of_nothing(name: str, cut: Function, backend: str) -> None:
    slices_of_nothing(name, cut, backend)


def others() -> list[Any]:
    """The other slices; every second is a campaign's."""
    marks = [[], [pytest.mark.campaign]]
    return [pytest.param(cut, id=str(i), marks=marks[i % 2]) for i, cut in enumerate(SLICES)][1:]


@pytest.mark.native
@pytest.mark.parametrize("cut", others())
@pytest.mark.parametrize("name", [*EMPTY, *OTHERS])
def test_other_slices_of_nothing(name: str, cut: Function, backend: str) -> None:
    slices_of_nothing(name, cut, backend)


def slices_of_nothing(name: str, cut: Function, backend: str) -> None:
    f = program(EMPTY.get(name) or OTHERS[name], cut, ("m", "n"), backend)
    agreed = 0
    for shape in ENDS:
        found = value(f, given(shape))
        if isinstance(found, Exception) and name in OTHERS:
            assert CLEAR.search(str(found)), (shape, found)
            continue
        assert not isinstance(found, Exception), (shape, found)
        wanted = wanted_of(name, cut, shape)
        if wanted is None:
            continue
        assert not isinstance(wanted, Exception), (shape, wanted)
        for a, b in zip(found, wanted, strict=True):
            assert np.shape(a) == np.shape(b), shape
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12, err_msg=str(shape))
        agreed += 1
    assert agreed == len(ENDS) if name in EMPTY else agreed


def test_the_error_names_the_size(backend: str) -> None:
    x = sg.vector("x", size="n")
    f = sg.function([x], sg.concat([x[1:-1], x]), backend=backend)
    assert f(np.arange(3.0)).tolist() == [1, 0, 1, 2]
    with pytest.raises(sg.InputError, match=r"a size comes out negative: n-2 is -1\n(.|\n)*concat") as caught:
        f(np.ones(1))
    assert "test_negative_sizes.py" in str(caught.value)


def test_what_looks_through_windows_says_that_they_do_not_fit(backend: str) -> None:
    """In one way for every size, with gradients too; but not of an image that has a size of its own."""
    x, w = sg.tensor("x", ("b", 2, "n", "m")), sg.tensor("w", (3, 2, 3, 3))
    for y in (sg.conv2d(x, w), sg.max_pool2d(x, 3, stride=1), sg.avg_pool2d(x, 3, stride=1)):
        outputs = [y, sg.grad(sg.sum(y * y), x)]
        f = sg.function([x, w], outputs, backend=backend, on_unused_input="ignore")
        assert f(np.ones((2, 2, 3, 4)), np.ones(w.shape))[1].shape == (2, 2, 3, 4)
        for n, m in ((2, 5), (1, 5), (0, 5), (1, 1), (5, 0)):
            with pytest.raises(IndexError, match="out of bounds"):
                f(np.ones((2, 2, n, m)), np.ones(w.shape))
    z = x[:, :, 1:-1]
    for y in (sg.conv2d(z, w, padding=1), sg.max_pool2d(z, 3, padding=1), sg.avg_pool2d(z, 3, padding=1)):
        f = sg.function([x, w], y, backend=backend, on_unused_input="ignore")
        with pytest.raises(sg.InputError, match="comes out negative: n-2 is -1"):
            f(np.ones((1, 2, 1, 5)), np.ones(w.shape))
    channels = sg.max_pool2d(x[1:-1], 1)
    f = sg.function([x], sg.concat([channels, channels]), backend=backend)
    with pytest.raises(sg.InputError, match="comes out negative: b-2 is -1"):
        f(np.ones((1, 2, 5, 5)))
