"""Index forms, run literally: for all values of the letters, the product is added to the element."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_TENSOR = re.compile(r"(\w+)\[(.*?)\]")
_TERM = re.compile(r"(?:(\d+)\*)?([a-z]\d*)|([+-]\d+)(?![\d*])")


def run(form: str, operands: dict[str, Array], shape: tuple[int, ...], groups: int = 1) -> Array:
    """The result, of `shape`, of a form such as `y[n,o,i] += x[n,c,2*i+p-1] * w[o,c,p]`.

    A letter runs through the axis in which it stands alone. In `(g,o)` it is element o of group g.
    """
    (target, out), *sources = [(m[1], axes(m[2])) for m in _TENSOR.finditer(form)]
    extents: dict[str, int] = {"g": groups}
    for name, indices in [(target, out), *sources]:
        sizes = shape if name == target else operands[name].shape
        for index, size in zip(indices, sizes, strict=True):
            if index.startswith("("):
                extents[index[3:-1]] = size // groups
            elif re.fullmatch(r"[a-z]\d*", index):
                extents[index] = size
    letters = list(extents)
    grid = dict(
        zip(letters, np.indices([extents[a] for a in letters]).reshape(len(letters), -1), strict=True)
    )
    inside = np.ones(grid["g"].shape, bool)
    places = {}
    for name, indices in [(target, out), *sources]:
        sizes = shape if name == target else operands[name].shape
        places[name] = [position(index, grid, extents) for index in indices]
        for at, size in zip(places[name], sizes, strict=True):
            inside &= (at >= 0) & (at < size)
    factors = [operands[name][tuple(at[inside] for at in places[name])] for name, _ in sources]
    result = np.zeros(shape, np.result_type(*factors))
    np.add.at(result, tuple(at[inside] for at in places[target]), np.multiply(*factors))
    return result


def axes(text: str) -> list[str]:
    """`n,(g,c),i+p` -> `n`, `(g,c)`, `i+p`."""
    return re.findall(r"\([^)]*\)|[^,]+", text)


def position(index: str, grid: dict[str, Array], extents: dict[str, int]) -> Array:
    """The values of an index over the grid."""
    if index.startswith("("):
        outer, inner = index[1:-1].split(",")
        return grid[outer] * extents[inner] + grid[inner]
    total = np.zeros_like(grid["g"])
    for factor, letter, number in _TERM.findall(index):
        total = total + (int(number) if number else int(factor or 1) * grid[letter])
    return total
