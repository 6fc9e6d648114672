"""Samples of shape and creation: ops, and functions made of them.

Where a shape is symbolic, the symbolic axis is summed over, so that the type of the result is known.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import symgrad as sg
from symgrad.ir.tensor import apply
from symgrad.ops.diagonals import DiagonalMatrix
from tests.ops.sample import A, B, C, I, Sample, random

V, W = random(4, seed=11), random(3, seed=12)
S = random(3, 3, seed=13)
T = random(2, 3, 4, seed=14)
EMPTY = np.zeros((0, 3))
ONE = random(1, 1, seed=15)
ZERO = np.array(0.7)


def made(build: Any, reference: Any, *operands: np.ndarray, shapes: Any = None) -> Sample:
    """A sample that is smooth if its operands are floats."""
    return Sample(build, operands, reference, all(a.dtype.kind == "f" for a in operands), shapes)


def row(name: str, *cases: tuple[tuple[Any, ...], dict[str, Any]]) -> list[Sample]:
    """Samples of a function that NumPy has under the same name: operand, attributes, keywords."""
    ours, theirs = getattr(sg, name), getattr(np, name)
    return [
        made(
            lambda x, a=args, k=kw: ours(x, *a[1:], **k),
            lambda x, a=args, k=kw: theirs(x, *a[1:], **k),
            args[0],
        )
        for args, kw in cases
    ]


def case(*args: Any, **kw: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kw


def on_diagonal(g: np.ndarray, rows: int, columns: int, k: int) -> np.ndarray:
    result = np.zeros((rows, columns))
    for i, value in enumerate(g):
        result[i + max(-k, 0), i + max(k, 0)] = value
    return result


def alternating(parts: Any) -> Any:
    """One value that depends on each part in a way of its own."""
    return sum((i + 1) * part for i, part in enumerate(parts))


#: Each mode with widths below, at and beyond the sizes of A; a size-1 axis; a 1-d tensor.
PADS = [
    case(x, width, mode=mode)
    for mode in ("constant", "edge", "reflect", "symmetric", "wrap")
    for x, width in [(A, ((1, 2), (3, 0))), (A, ((5, 4), (0, 9))), (ONE, 2), (V, (2, 1)), (I, 1)]
]

SHAPE: dict[str, list[Sample]] = {
    "reshape": row(
        "reshape",
        case(A, (2, -1)),
        case(T, (3, 2, 2, 2)),
        case(EMPTY, (3, 0)),
        case(ZERO, (1, 1)),
        case(C, (12,)),
    ),
    "permute_dims": [
        made(lambda x: sg.permute_dims(x, (2, 0, 1)), lambda x: x.transpose(2, 0, 1), T),
        made(lambda x: sg.permute_dims(x, (-1, 0, 1)), lambda x: x.transpose(2, 0, 1), T),
        made(lambda x: x.transpose() + x.T + x.transpose(1, 0), lambda x: 3 * x.T, A),
    ],
    "matrix_transpose": [made(lambda x: sg.matrix_transpose(x) + x.mT, lambda x: 2 * x.swapaxes(1, 2), T)],
    "moveaxis": row("moveaxis", case(T, 0, -1), case(T, (0, -1), (1, 0)), case(T, (), ())),
    "swapaxes": row("swapaxes", case(T, 0, -1), case(T, 1, 1), case(EMPTY, 0, 1)),
    "expand_dims": row("expand_dims", case(A, axis=0), case(A, axis=(0, -1)), case(ZERO, axis=(1, 0))),
    "squeeze": [
        *row("squeeze", case(A[:1], axis=0), case(A[:, None, :, None], axis=(-1, 1)), case(ONE), case(A)),
        made(lambda x: sg.sum(sg.squeeze(x), axis=0), lambda x: x.sum(), A[:, :1], shapes=(("n", 1),)),
    ],
    "ravel": row("ravel", case(A), case(EMPTY), case(ZERO)),
    "atleast_1d": row("atleast_1d", case(ZERO), case(V)),
    "atleast_2d": row("atleast_2d", case(ZERO), case(V), case(T)),
    "broadcast_to": row("broadcast_to", case(A[:, :1], (2, 3, 4)), case(ZERO, (2, 0)), case(C[:1], (3, 4))),
    "broadcast_arrays": [
        made(
            lambda *xs: alternating(sg.broadcast_arrays(*xs)),
            lambda *xs: alternating(np.broadcast_arrays(*xs)),
            *ops,
        )
        for ops in [(A, V), (W[:, None], V, ZERO), (A,)]
    ],
    "concat": [
        made(lambda x, y: sg.concat([x, y, x], axis=1), lambda x, y: np.concatenate([x, y, x], 1), A, B),
        made(lambda x, y: sg.concat([x, y], axis=-2), lambda x, y: np.concatenate([x, y]), A, B[:1]),
        made(lambda x, y: sg.concat([x, y], axis=None), lambda x, y: np.concatenate([x, y], None), A, V),
        made(lambda x, y: sg.concat([x, y]), lambda x, y: np.concatenate([x, y]), EMPTY, S),
        made(lambda x, y: sg.concat([x, y]), lambda x, y: np.concatenate([x, y]), A, I),
        made(
            lambda x, y: sg.sum(sg.concat([x, y * 2]) ** 2, axis=0),
            lambda x, y: (x**2).sum(0) + 4 * (y**2).sum(0),
            A,
            B,
            shapes=(("n", 4), ("m", 4)),
        ),
    ],
    "stack": [
        made(lambda x, y: sg.stack([x, y], axis=-1), lambda x, y: np.stack([x, y], -1), A, B),
        made(lambda x, y: sg.stack([x, y]), lambda x, y: np.stack([x, y]), np.array(1.0), ZERO),
        made(lambda x, y: sg.stack([x, y], axis=1), lambda x, y: np.stack([x, y], 1), C, I),
    ],
    "unstack": [
        made(lambda x: sg.unstack(x, axis=1)[2], lambda x: x[:, 2], A),
        made(lambda x: sg.unstack(x, axis=-3)[0] * sg.unstack(x)[1], lambda x: x[0] * x[1], T),
    ],
    "split": [
        made(lambda x: sg.split(x, sizes=[1, 3], axis=1)[1], lambda x: x[:, 1:], A),
        made(lambda x: sg.split(x, sizes=[1, 2], axis=0)[0] * 2, lambda x: x[:1] * 2, A),
        made(lambda x: sg.split(x, 2, axis=-1)[1], lambda x: x[:, 2:], A),
        made(lambda x: sg.split(x, sizes=[0, 3])[0], lambda x: x[:0], A),
        made(lambda x: list(sg.split(x, [1, 3], axis=1)), lambda x: np.split(x, [1, 3], axis=1), A),
        made(lambda x: list(sg.split(x, [1, -1, 9], axis=1)), lambda x: np.split(x, [1, -1, 9], axis=1), A),
    ],
    "array_split": [
        made(lambda x, i=i: sg.array_split(x, 3)[i], lambda x, i=i: np.array_split(x, 3)[i], V)
        for i in range(3)
    ],
    "flip": row(
        "flip", case(A), case(A, axis=-1), case(T, axis=(0, 2)), case(EMPTY), case(I, axis=0), case(ZERO)
    ),
    "roll": [
        *row(
            "roll", case(A, 2), case(A, -5, axis=1), case(A, (1, -2), axis=(0, -1)), case(A, 7, axis=(0, 1))
        ),
        *row("roll", case(A, (1, 1), axis=(0, 0)), case(EMPTY, 3, axis=0), case(ONE, 4), case(C, 1, axis=0)),
        made(
            lambda x: sg.sum(sg.roll(x, 5, axis=0) * x, axis=0),
            lambda x: (np.roll(x, 5, 0) * x).sum(0),
            A,
            shapes=(("n", 4),),
        ),
        made(
            lambda x: sg.sum(sg.roll(x, -2) * x),
            lambda x: (np.roll(x, -2) * x).sum(),
            A,
            shapes=(("n", "m"),),
        ),
    ],
    "tile": [
        *row(
            "tile",
            case(A, (2, 3)),
            case(A, 2),
            case(V, (2, 1, 3)),
            case(ZERO, 3),
            case(A, (0, 1)),
            case(I, (1, 2)),
        ),
        made(
            lambda x: sg.sum(sg.tile(x, (2, 3)), axis=0),
            lambda x: np.tile(x, (2, 3)).sum(0),
            A,
            shapes=(("n", 4),),
        ),
    ],
    "repeat": [
        *row("repeat", case(A, 2), case(A, 3, axis=-1), case(A, [2, 0, 1], axis=0), case(A, 0, axis=1)),
        *row("repeat", case(ONE, 2, axis=0), case(EMPTY, 2, axis=0), case(ZERO, 3), case(C, [2], axis=0)),
        made(
            lambda x: sg.sum(sg.repeat(x, 2, axis=0), axis=0), lambda x: 2 * x.sum(0), A, shapes=(("n", 4),)
        ),
    ],
    "pad": [
        *row("pad", *PADS),
        *row("pad", case(A, ((1, 0), (2, 1)), constant_values=((1.5, 2.5), (3.5, 4.5)))),
        *row("pad", case(I, 1, constant_values=7), case(EMPTY, 1, constant_values=2.0), case(C, 1)),
        *row(
            "pad",
            case(ZERO, 3),
            case(A, 0, mode="edge"),
            case(A, (1, 2), mode="wrap"),
            case(C, 1, constant_values=True),
        ),
        *[
            made(
                lambda x, m=mode: sg.sum(sg.pad(x, ((2, 1), (1, 1)), m) ** 2, axis=0),
                lambda x, m=mode: (np.pad(x, ((2, 1), (1, 1)), m) ** 2).sum(0),
                A,
                shapes=(("n", 4),),
            )
            for mode in ("constant", "edge", "reflect", "symmetric", "wrap")
        ],
        made(
            lambda x, v: sg.pad(x, (1, 2), constant_values=v),
            lambda x, v: np.concatenate([[v], x, [v, v]]),
            V,
            ZERO,
        ),
    ],
    "meshgrid": [
        made(
            lambda *xs, k=k: alternating(sg.meshgrid(*xs, indexing=k)),
            lambda *xs, k=k: alternating(np.meshgrid(*xs, indexing=k)),
            *lines,
        )
        for k in ("xy", "ij")
        for lines in [(V, W), (V, W, ZERO), (V,), (V[:0], W)]
    ],
    "tril": row(
        "tril", case(A), case(A, k=1), case(T, k=-1), case(A, k=-9), case(C), case(I, k=2), case(EMPTY)
    ),
    "triu": row(
        "triu", case(A), case(A, k=1), case(T, k=-1), case(A, k=9), case(C), case(I, k=-2), case(EMPTY)
    ),
    "tri": [made(lambda x: x * sg.tri(3, 4, -1), lambda x: x * np.tri(3, 4, -1), A)],
    "eye": [
        made(lambda x: x * sg.eye(3, 4, k=1), lambda x: x * np.eye(3, 4, k=1), A),
        made(lambda x: x @ sg.eye(4, dtype="float32"), lambda x: x, A),
        made(lambda x: sg.sum(x * sg.eye(x.shape[0], k=1)), lambda x: x.trace(1), S, shapes=(("n", "n"),)),
    ],
    "identity": [made(lambda x: x + sg.identity(3), lambda x: x + np.eye(3), S)],
    "diag": [
        *row("diag", case(V), case(V, 2), case(V, -1), case(A), case(A, 1), case(A, -2), case(A, 9)),
        *row("diag", case(V[:0], 1), case(V[:1]), case(I, -1), case(I[0], 1)),
        made(lambda x: sg.sum(sg.diag(x, 1), axis=0)[:4] * 1.0, lambda x: np.diag(x, 1).sum(0)[:4], V),
    ],
    "diagonal": [
        *row("diagonal", case(A), case(A, -1), case(A, 2), case(T), case(T, 1, -1, 0), case(T, 0, 1, 2)),
        *row("diagonal", case(EMPTY), case(ONE), case(I, 1)),
        made(lambda x: x.diagonal(offset=1) ** 2, lambda x: x.diagonal(1) ** 2, S),
        made(
            lambda x: sg.sum(sg.diagonal(x, 1) ** 2),
            lambda x: (x.diagonal(1) ** 2).sum(),
            A,
            shapes=(("n", "m"),),
        ),
    ],
    "main_diagonal": row("diagonal", case(S.T), case(A.T), case(T, 0, -2, -1)),
    "diagonal_matrix": [
        made(
            lambda g, k=k: apply(DiagonalMatrix((3, 5), k), g),
            lambda g, k=k: on_diagonal(g, 3, 5, k),
            random(min(3 + min(k, 0), 5 - max(k, 0)), seed=k + 20),
        )
        for k in (0, 1, 3, -1, -2)
    ]
    + [made(lambda g: apply(DiagonalMatrix((3, 3), 0), g), None, random(2, 3, seed=30))],
    "matrix trace": [
        made(lambda x: x.trace(), np.trace, A),
        made(lambda x: x.trace(1, -1, 0), lambda x: x.trace(1, -1, 0), T),
        made(lambda x: x.trace(dtype="float32"), lambda x: x.trace(dtype="float32"), I),
    ],
    "linspace": [
        made(lambda x: x * sg.linspace(1, 2, 4), lambda x: x * np.linspace(1, 2, 4), A),
        made(lambda x, y: sg.linspace(x, y, 5), lambda x, y: np.linspace(x, y, 5), ZERO, np.array(2.5)),
        made(
            lambda x, y: sg.linspace(x, y, 4, endpoint=False), lambda x, y: np.linspace(x, y, 4, False), A, V
        ),
        made(lambda x, y: sg.linspace(x, y, 1), lambda x, y: np.linspace(x, y, 1), ZERO, np.array(2.5)),
        made(lambda x, y: sg.linspace(x, y, 0), lambda x, y: np.linspace(x, y, 0), ZERO, np.array(2.5)),
        made(
            lambda x: x @ sg.linspace(0.0, 1.0, x.shape[0]),
            lambda x: x @ np.linspace(0, 1, 4),
            V,
            shapes=(("n",),),
        ),
    ],
    "arange": [
        made(lambda x: x * sg.arange(0.5, 2.5, 0.5), lambda x: x * np.arange(0.5, 2.5, 0.5), A),
        made(lambda x: x * sg.arange(3, -1, -1), lambda x: x * np.arange(3, -1, -1), A),
    ],
    "full": [
        made(lambda x: sg.full((3, 2), x), lambda x: np.full((3, 2), x), ZERO),
        made(lambda x: sg.full((3, 4), x), lambda x: np.full((3, 4), x), V),
    ],
    "full_like": [made(lambda x: sg.full_like(x, 2.5) * x, lambda x: 2.5 * x, A)],
    "zeros": [made(lambda x: sg.zeros((3, 1)) + x, lambda x: x, A)],
    "ones": [made(lambda x: sg.ones(4) * x, lambda x: x, A)],
    "empty": [made(lambda x: sg.empty((3, 1)) * x, lambda x: 0 * x, A)],
    "zeros_like": [made(lambda x: sg.zeros_like(x, dtype="float32") + x, lambda x: x, A)],
    "ones_like": [made(lambda x: sg.ones_like(x) * x, lambda x: x, A)],
    "empty_like": [made(lambda x: sg.empty_like(x) + x, lambda x: x, A)],
    "asarray": [
        made(
            lambda x, y: sg.asarray([[x, 1], [y, x * y]]),
            lambda x, y: np.array([[x, 1], [y, x * y]]),
            ZERO,
            np.array(2.5),
        ),
        made(lambda x: sg.asarray(x, dtype="float64") * 2, lambda x: 2.0 * x, I),
    ],
}
