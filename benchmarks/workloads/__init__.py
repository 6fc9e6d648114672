"""The workloads, one file each: inputs, and the same computation in the terms of every system."""

from __future__ import annotations

from benchmarks.harness import Workload
from benchmarks.workloads import (
    black_scholes,
    cnn,
    cross_entropy,
    fourth_derivative,
    gaussian_process,
    hierarchical,
    hvp,
    kalman,
    layernorm_gelu,
    logreg,
    mlp,
    pairwise,
    scalar,
    softmax_regression,
    ten,
    transformer,
    vae,
)

WORKLOADS: dict[str, Workload] = {
    module.WORKLOAD.name: module.WORKLOAD
    for module in (
        scalar,
        ten,
        black_scholes,
        hierarchical,
        layernorm_gelu,
        fourth_derivative,
        pairwise,
        cross_entropy,
        cnn,
        gaussian_process,
        kalman,
        softmax_regression,
        logreg,
        mlp,
        hvp,
        transformer,
        vae,
    )
}
