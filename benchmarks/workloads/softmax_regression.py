"""Softmax regression on a design matrix beyond all caches: the mean loss, its gradient by weights and bias.

A step has to read the matrix once. How long that takes is measured beside it, as the row `read`.
"""

from __future__ import annotations

import numpy as np

from benchmarks.harness import Array, Workload
from benchmarks.workloads import mlp


def inputs(rng: np.random.Generator, rows: int, columns: int, classes: int) -> dict[str, Array]:
    return {
        "x": rng.standard_normal((rows, columns), dtype=np.float32),
        "label": rng.integers(0, classes, rows),
    } | mlp.layers(rng, (columns, classes), scale=0.2)


def matrix(rows: int, columns: int, classes: int) -> int:
    """Bytes of the design matrix."""
    return 4 * rows * columns


WORKLOAD = Workload(
    name="softmax-regression",
    title="loss and gradient of softmax regression, 60,000 x 784, 10 classes, float32",
    inputs=inputs,
    versions=mlp.VERSIONS,
    outputs=("loss", "d_w", "d_b"),
    sizes={"rows": 60_000, "columns": 784, "classes": 10},
    tiny={"rows": 61, "columns": 30, "classes": 3},
    moved=matrix,
    read=matrix,
)
