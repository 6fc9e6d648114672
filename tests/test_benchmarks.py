"""The benchmarks do not rot: every workload's form for symgrad and NumPy agrees, and the runner runs."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from benchmarks.harness import as_list, differences
from benchmarks.workloads import WORKLOADS

RUN = Path(__file__).parents[1] / "benchmarks" / "run.py"


@pytest.mark.parametrize("name", WORKLOADS)
def test_symgrad_agrees_with_numpy(name: str) -> None:
    workload = WORKLOADS[name]
    data = workload.data(workload.tiny)
    reference = workload.reference(data)
    assert len(reference) == len(workload.outputs)
    for package, module in (("symgrad", sg), ("numpy", np)):
        function, arguments = workload.versions[package](module, data)
        wrong = [
            d for d in differences(workload.outputs, as_list(function(*arguments)), reference) if not d.passes
        ]
        assert not wrong, f"{package}: {wrong}"


@pytest.mark.parametrize("name", WORKLOADS)
def test_data_are_seeded(name: str) -> None:
    first, second = (WORKLOADS[name].data(WORKLOADS[name].tiny) for _ in range(2))
    assert all(np.array_equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("name", [name for name, w in WORKLOADS.items() if w.moved])
def test_bytes_are_counted(name: str) -> None:
    workload = WORKLOADS[name]
    data = workload.data(workload.tiny)
    function, arguments = workload.versions["numpy"](np, data)
    arrays = [*data.values(), *as_list(function(*arguments))]
    assert workload.moved
    counted, there = workload.moved(**workload.tiny), sum(a.nbytes for a in arrays)
    assert counted <= there <= 1.6 * counted  # small arrays are left out; here they are not so small


def test_a_difference_is_seen() -> None:
    one = np.ones(3)
    (d,) = differences(["y"], [one + 1e-6], [one])
    assert not d.passes
    assert d.relative == pytest.approx(1e-6)
    (d,) = differences(["y"], [np.array([1, np.nan, 1])], [one])
    assert not d.passes
    (d,) = differences(["y"], [(one + 1e-6).astype(np.float32)], [one])
    assert d.passes
    (d,) = differences(["y"], [np.array([1, 2])], [np.array([1, 3])])
    assert not d.passes
    with pytest.raises(ValueError, match="shape"):
        differences(["y"], [np.ones(2)], [one])
    with pytest.raises(ValueError, match="2 outputs"):
        differences(["y", "z"], [one], [one])


def run(folder: Path, *arguments: str) -> tuple[str, dict[str, Any]]:
    command = [sys.executable, str(RUN), *arguments, "--tiny", "--quick", "--output", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((folder / "results.json").read_text())


@pytest.mark.slow
@pytest.mark.skipif(find_spec("matplotlib") is None, reason="the chart needs matplotlib")
def test_the_runner(tmp_path: Path) -> None:
    text, found = run(tmp_path, "scalar", "cross-entropy", "--peers", "numpy", "jax", "--plan")
    assert ("jax: not installed (jax)" in text) == (find_spec("jax") is None)
    assert "kernel over" in text  # the plan
    for name in ("scalar", "cross-entropy"):
        systems = {s["system"]: s for s in found["workloads"][name]["systems"]}
        assert systems["symgrad"]["first"] > 0
        assert systems["symgrad"]["warm"] > 0
        assert systems["symgrad"]["apart"] < 1e-4
        assert len(systems["numpy"]["times"][""]) >= 3  # one each round
    assert systems["symgrad"]["times"].keys() == {"", "into"}
    assert "copy" in systems
    assert (tmp_path / "benchmarks.png").stat().st_size > 5000
    assert "times as fast" in (tmp_path / "summary.txt").read_text()


@pytest.mark.slow
def test_a_system_that_cannot_start_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "python"
    missing.write_text("#!/bin/sh\necho no such thing >&2\nexit 3\n")
    missing.chmod(0o755)
    text, _ = run(tmp_path, "scalar", "--peers", "numpy", "--python", f"numpy={missing}")
    assert "numpy: failed: its process ended (no such thing)" in text


@pytest.mark.slow
def test_convolutions() -> None:
    script = RUN.with_name("convolutions.py")
    options = ["--layers", "depthwise512", "grouped128", "--peers", "--rounds", "1", "--seconds", "0.01"]
    done = subprocess.run(
        [sys.executable, str(script), *options], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("depthwise512") == done.stdout.count("grouped128") == 3
