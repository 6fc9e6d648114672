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
    kalman,
    layernorm_gelu,
    pairwise,
    scalar,
    ten,
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
    )
}
