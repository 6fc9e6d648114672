"""The benchmarks do not rot: symgrad's form of every workload runs, and agrees with NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

import symgrad as sg
from benchmarks.harness import as_list, differences
from benchmarks.workloads import WORKLOADS


@pytest.mark.parametrize("name", WORKLOADS)
def test_symgrad_agrees_with_numpy(name: str) -> None:
    workload = WORKLOADS[name]
    data = workload.data(workload.tiny)
    function, arguments = workload.versions["symgrad"](sg, data)
    found = as_list(function(*arguments))
    for d in differences(workload.outputs, found, workload.reference(data)):
        assert d.passes, d
    into = function(*arguments)
    for array in as_list(into):
        if array.ndim:
            array[...] = 0
    by_numpy, arguments = workload.versions["numpy"](np, data)
    for d in differences(workload.outputs, as_list(by_numpy(*arguments)), workload.reference(data)):
        assert d.passes, d
