"""Samples of indexing, updates and sorting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import symgrad as sg
from symgrad.ir.tensor import apply
from symgrad.ops.gather import Gather, InRange, ScatterAdd
from symgrad.ops.scatter import Scatter
from symgrad.ops.slices import SetSlice
from tests.ops.sample import ROWS, TABLE, A, B, C, I, P, Sample, random

#: Rows and columns of A, one place twice.
R, S = np.array([[0, 2], [2, -1]]), np.array([[1, 3], [-1, 0]])
FLAT = np.array([1, 3, 1, 0, 1])
SEGMENTS = np.array([2, 0, 2, 1])
UFUNCS: dict[str, Any] = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def updated(mode: str, key: Any) -> Callable[..., Any]:
    """`x.at[key].mode(v)` in NumPy."""

    def update(x: Any, v: Any) -> Any:
        result = x.copy()
        if mode == "set":
            result[key] = v
        else:
            UFUNCS[mode].at(result, key, v)
        return result

    return update


def at(mode: str, key: Any, x: Any, v: Any) -> Sample:
    return Sample(lambda x, v: getattr(x.at[key], mode)(v), (x, v), updated(mode, key))


def along(mode: str) -> Sample:
    """Repeated rows of a symbolic number, at indices that are not known before."""

    def build(x: Any, v: Any, i: Any) -> Any:
        return getattr(x.at[i], mode)(v)

    def reference(x: Any, v: Any, i: Any) -> Any:
        return updated(mode, i)(x, v)

    return Sample(build, (A, random(5, 4, seed=5), FLAT % 3), reference, smooth=False)


def segments(name: str, ufunc: Any, empty: float) -> Sample:
    def reference(x: Any) -> Any:
        result = np.full((5, 4), float(empty))
        ufunc.at(result, SEGMENTS, x)
        return result

    def build(x: Any) -> Any:
        return getattr(sg, name)(x, SEGMENTS, 5)[:3]

    return Sample(build, (random(4, 4),), lambda x: reference(x)[:3])


INDEXING: dict[str, list[Sample]] = {
    "take": [
        Sample(lambda x: sg.take(x, ROWS, axis=0), (A,), lambda x: x.take(ROWS, axis=0)),
        Sample(lambda x: x[:, [[0, 0], [3, 1]]], (A,), lambda x: x[:, [[0, 0], [3, 1]]]),
        Sample(lambda x: sg.take(x, [5, -1]), (A,), lambda x: x.take([5, -1])),
        Sample(lambda x, i: x[i], (A, np.array(1)), lambda x, i: x[i], smooth=False),
    ],
    "gather": [
        Sample(lambda x: x[R, S], (A,), lambda x: x[R, S]),
        Sample(lambda x: x[R, :, S], (random(3, 2, 4),), lambda x: x[R, :, S]),
        Sample(lambda x: x[:, R, S], (random(2, 3, 4),), lambda x: x[:, R, S]),
        Sample(lambda x: x[C], (A,), lambda x: x[C]),
        Sample(
            lambda x, i: apply(Gather((0, 1)), x, i, i),
            (A, ROWS % 3),
            lambda x, i: x[i, i],
            smooth=False,
        ),
    ],
    "scatter_add": [
        Sample(lambda g: apply(ScatterAdd((0,), (5, 3)), g, sg.constant(ROWS)), (random(4, 3),), None),
        Sample(
            lambda g: apply(ScatterAdd((0, 2), (3, 2, 4)), g, sg.constant(R), sg.constant(S)),
            (random(2, 2, 2),),
            None,
        ),
    ],
    "scatter": [
        at("set", (R, S), A, B[:2, :2]),
        at("set", (slice(None), FLAT), A, random(3, 5)),
        at("add", (R, S), A, B[:2, :2]),
        at("add", (slice(0, 2), FLAT), A, random(2, 5)),
        at("mul", (FLAT,), random(4, 2), random(5, 2)),
        at("max", (slice(None), FLAT), A, random(3, 5)),
        at("min", (FLAT, 1), random(4, 2), random(5)),
        *[along(mode) for mode in ("set", "add", "mul", "max", "min")],
        Sample(
            lambda x, v: apply(Scatter((1,), "add"), x, v, sg.constant(FLAT)),
            (I, np.arange(15).reshape(5, 3)),
            None,
            smooth=False,
        ),
    ],
    "set_slice": [
        at("set", (slice(1, None), slice(None, None, -2)), A, B[:2, :2]),
        at("add", (-1, None, Ellipsis, slice(1, 3)), A, random(2)),
        at("mul", (slice(None), 0), A, random(3)),
        at("max", (0,), A, B[0]),
        Sample(lambda x, v: apply(SetSlice((0, 1), (3, 4), (2, 2)), x, v), (A, B[:2, :2]), None),
    ],
    "at": [
        Sample(lambda x, v: x.at[x > 0].set(v), (A, B), lambda x, v: np.where(x > 0, v, x)),
        Sample(lambda x: x.at[C].add(1.5), (A,), lambda x: x + 1.5 * C),
    ],
    "take_along_axis": [
        Sample(
            lambda x: sg.take_along_axis(x, TABLE, axis=1), (A,), lambda x: np.take_along_axis(x, TABLE, 1)
        ),
        Sample(
            lambda x: sg.take_along_axis(x, FLAT[None], axis=1),
            (A,),
            lambda x: np.take_along_axis(x, FLAT[None], 1),
        ),
    ],
    "put_along_axis": [
        Sample(lambda x, v: sg.put_along_axis(x, TABLE[:, :2], v, axis=1), (A, B[:, :2]), None),
    ],
    "segment_sum": [segments("segment_sum", np.add, 0)],
    "segment_prod": [segments("segment_prod", np.multiply, 1)],
    "segment_max": [segments("segment_max", np.maximum, -np.inf)],
    "segment_min": [segments("segment_min", np.minimum, np.inf)],
    "bincount": [
        Sample(lambda i: sg.bincount(i, length=9), (FLAT,), lambda i: np.bincount(i, None, 9), smooth=False),
        Sample(lambda w: sg.bincount(FLAT, w, length=4), (random(5),), lambda w: np.bincount(FLAT, w, 4)),
    ],
    "in_range": [
        Sample(lambda i: apply(InRange(4, 0), i), (FLAT,), lambda i: i, smooth=False),
        Sample(lambda i: apply(InRange(4, 0, from_end=False), i), (FLAT,), lambda i: i, smooth=False),
    ],
    "one_hot": [Sample(lambda i: sg.one_hot(i, 4), (FLAT,), lambda i: np.eye(4)[i], smooth=False)],
    "argsort": [
        Sample(
            lambda x: sg.argsort(x, axis=0), (A,), lambda x: np.argsort(x, 0, kind="stable"), smooth=False
        ),
        Sample(
            lambda x: sg.argsort(x, descending=True),
            (I % 3,),
            lambda x: np.argsort(-x, kind="stable"),
            smooth=False,
        ),
    ],
    "sort": [
        Sample(lambda x: sg.sort(x, axis=0), (A,), lambda x: np.sort(x, 0)),
        Sample(lambda x: sg.sort(x, descending=True), (P,), lambda x: -np.sort(-x)),
    ],
    "topk": [
        Sample(lambda x: sg.topk(x, 2)[0], (A,), lambda x: -np.sort(-x)[:, :2]),
        Sample(
            lambda x: sg.topk(x, 2, axis=0)[1],
            (I % 4,),
            lambda x: np.argsort(-x, 0, kind="stable")[:2],
            smooth=False,
        ),
    ],
    "searchsorted": [
        Sample(  # where a row is not ascending, the answer is anybody's
            lambda x, v: sg.searchsorted(sg.sort(x), v),
            (np.array([0.0, 1.0, 1.0, 2.0]), A),
            lambda x, v: np.searchsorted(np.sort(x), v),
            smooth=False,
        ),
        Sample(
            lambda v: sg.searchsorted([0, 1, 1, 2], v, side="right"),
            (I,),
            lambda v: np.searchsorted([0, 1, 1, 2], v, side="right"),
            smooth=False,
        ),
    ],
}
