"""Softmax regression on a design matrix of the size of a last-level cache."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.workloads import softmax_regression

WORKLOAD = replace(
    softmax_regression.WORKLOAD,
    name="logreg",
    title="loss and gradient of softmax regression, 10,000 x 784, 10 classes, float32",
    sizes={"rows": 10_000, "columns": 784, "classes": 10},
)
