"""Samples of windows, convolutions and pooling.

The references of convolutions are their index forms, run literally.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import symgrad as sg
from symgrad.ir.tensor import apply
from symgrad.ops.conv import Conv, ConvInput, Convolution, ConvWeights, index_form
from symgrad.ops.interleave import Interleave
from symgrad.ops.pool import MaxPool, SpreadToMax, SumAtMax, SumPool, SumUnpool
from symgrad.ops.windows import Fold, Windows
from symgrad.types import FLOAT64, TensorType
from tests.ops.index_form import run
from tests.ops.sample import A, Sample, random

#: Of three spatial axes at most: what each axis has.
PLAIN = ("first", (1, 1), ((0, 0), (0, 0)), (1, 1))
STRIDED = ("first", (2, 1), ((1, 0), (2, 1)), (1, 2))
LAST = ("last", (1, 3), ((0, 1), (1, 1)), (2, 1))
LINE = ("first", (2,), ((1, -1),), (1,))
BOX = ("last", (1, 2, 1), ((0, 0), (1, 0), (0, 1)), (1, 1, 2))


def shapes(op: Convolution, images: tuple[int, ...], weights: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The shapes of x, w and y."""
    result = op.result_shape(images, weights)
    return {"x": images, "w": weights, "y": tuple(int(d) for d in result)}


def family(
    images: tuple[int, ...],
    weights: tuple[int, ...],
    geometry: tuple[Any, ...],
    groups: int = 1,
    strong: bool = False,
) -> dict[str, list[Sample]]:
    """A sample of each op of the family."""
    sizes = shapes(Conv(*geometry, groups), images, weights)
    spatial = [Conv(*geometry).spatial(s, t) for s, t in ((images, "x"), (weights, "w"))]
    names = {"conv": ("", "xw"), "conv_input": ("", "gw"), "conv_weights": ("", "xg")}
    found = {}
    for name, (_, letters) in names.items():
        mark = letters if strong else ""
        op: Convolution
        if name == "conv":
            op = Conv(*geometry, groups, mark)
        elif name == "conv_input":
            op = ConvInput(*geometry, groups, mark, spatial[0])
        else:
            op = ConvWeights(*geometry, groups, mark, spatial[1])
        found[name] = [of(op, sizes, groups)]
    return found


def of(op: Convolution, sizes: dict[str, tuple[int, ...]], groups: int) -> Sample:
    """An op on random operands, against its index form."""
    names = [o.replace("g", "y") for o in op.operands]
    operands = tuple(random(*sizes[name], seed=30 + i) for i, name in enumerate(names))

    def reference(*arrays: np.ndarray) -> np.ndarray:
        out = op.infer(*[TensorType(FLOAT64, a.shape) for a in arrays]).shape
        return run(index_form(op), dict(zip(names, arrays, strict=True)), out, groups)

    return Sample(lambda a, b: apply(op, a, b), operands, reference)


CASES = [
    family((2, 2, 4, 5), (3, 2, 2, 3), PLAIN),
    family((2, 4, 5, 6), (2, 2, 3, 2), STRIDED, groups=2),
    family((1, 5, 7, 4), (2, 2, 2, 6), LAST, groups=2),
    family((2, 3, 8), (3, 1, 3), LINE, groups=3),
    family((1, 2, 4, 3, 1), (2, 2, 2, 1, 2), BOX),
    family((2, 2, 4, 5), (3, 2, 2, 3), PLAIN, strong=True),
]

X = random(2, 7, 5, seed=40)


def windows(x: np.ndarray, sizes: Any, steps: Any, dilations: Any, axes: Any) -> np.ndarray:
    """NumPy's, thinned out."""
    extents = [(k - 1) * d + 1 for k, d in zip(sizes, dilations, strict=True)]
    found = np.lib.stride_tricks.sliding_window_view(x, extents, axes)
    at = [slice(None)] * x.ndim
    for axis, step in zip(axes, steps, strict=True):
        at[axis] = slice(None, None, step)
    return found[(*at, *[slice(None, None, d) for d in dilations])]


def pooled(x: np.ndarray, function: Any, *geometry: Any) -> np.ndarray:
    """A function of each window."""
    found = windows(x, *geometry)
    return function(found, axis=tuple(range(x.ndim, found.ndim)))


#: Sizes, steps, dilations and axes of windows: apart, with gaps, overlapping, one axis, large.
POOLS = [
    ((2, 2), (2, 2), (1, 1), (1, 2)),
    ((2, 1), (3, 2), (2, 1), (1, 2)),
    ((3, 2), (2, 1), (1, 2), (1, 2)),
    ((4,), (1,), (1,), (1,)),
    ((5, 4), (1, 1), (1, 1), (1, 2)),
]


def at_max(x: np.ndarray, geometry: Any) -> np.ndarray:
    return pooled(x, np.max, *geometry)


def sums_at_max(t: np.ndarray, x: np.ndarray, geometry: Any) -> np.ndarray:
    inside = windows(x, *geometry)
    taken = inside == at_max(x, geometry).reshape(*inside.shape[: x.ndim], *[1] * len(geometry[0]))
    return np.where(taken, windows(t, *geometry), 0).sum(tuple(range(x.ndim, inside.ndim)))


def fixed(like: Any, *arrays: np.ndarray) -> list[Any]:
    """Constants of the dtype of a tensor."""
    return [sg.constant(a.astype(like.dtype.numpy)) for a in arrays]


def turns(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Columns of a and b in turn, zeros behind those of b."""
    result = np.zeros((a.shape[0], 2 * a.shape[1]))
    result[:, ::2] = a
    result[:, 1 : 2 * b.shape[1] : 2] = b
    return result


T = random(2, 7, 5, seed=41)
INDEX = np.arange(70).reshape(2, 7, 5) % 11

CONV: dict[str, list[Sample]] = {
    **{name: [s for case in CASES for s in case[name]] for name in ("conv", "conv_input", "conv_weights")},
    "windows": [
        Sample(lambda x: sg.sliding_windows(x, 3, axes=1), (X,), lambda x: windows(x, [3], [1], [1], [1])),
        Sample(
            lambda x: sg.sliding_windows(x, (2, 3), steps=(2, 1), dilations=(1, 2), axes=(2, 1)),
            (X,),
            lambda x: windows(x, [2, 3], [2, 1], [1, 2], [2, 1]),
        ),
        Sample(
            lambda x: apply(Windows((2,), (3,), (1,), (1,)), x),
            (X,),
            lambda x: windows(x, [2], [3], [1], [1]),
        ),
    ],
    "fold": [
        Sample(lambda w: apply(Fold((3,), (1,), (1,), (1,), (2, 7, 5)), w), (random(2, 5, 5, 3),), None),
        Sample(
            lambda w: apply(Fold((2, 2), (2, 3), (1, 2), (0, 1), (6, 7, 2)), w),
            (random(3, 2, 2, 2, 2),),
            None,
        ),
    ],
    "max_pool": [
        *[Sample(lambda x, p=p: apply(MaxPool(*p), x), (X,), lambda x, p=p: at_max(x, p)) for p in POOLS],
        Sample(lambda x: apply(MaxPool(*POOLS[0]), x), (INDEX,), lambda x: at_max(x, POOLS[0]), smooth=False),
    ],
    "sum_pool": [
        Sample(lambda x, p=p: apply(SumPool(*p), x), (X,), lambda x, p=p: pooled(x, np.sum, *p))
        for p in POOLS
    ],
    "sum_unpool": [
        Sample(lambda g, p=p: apply(SumUnpool(*p, X.shape), g), (random(*at_max(X, p).shape, seed=42),), None)
        for p in POOLS
    ],
    "sum_at_max": [
        Sample(
            lambda t, p=p: apply(SumAtMax(*p), t, *fixed(t, X, at_max(X, p))),
            (T,),
            lambda t, p=p: sums_at_max(t, X, p),
        )
        for p in POOLS
    ],
    "spread_to_max": [
        Sample(
            lambda g, p=p: apply(SpreadToMax(*p), g, *fixed(g, X, at_max(X, p))),
            (random(*at_max(X, p).shape, seed=43),),
            None,
        )
        for p in POOLS
    ],
    "interleave": [
        Sample(lambda a, b: apply(Interleave((2,), (1,), (3, 8)), a, b), (A, A[:, :3]), turns),
        Sample(
            lambda *parts: apply(Interleave((2, 2), (0, 1), (5, 7)), *parts),
            (A, A[:, :3], A[:2], A[:2, :3]),
            None,
        ),
        Sample(lambda a: apply(Interleave((1,), (0,), (3, 4)), a), (A,), lambda a: a),
    ],
}
