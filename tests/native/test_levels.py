"""Native code for older processors, on this one: the tests of this folder with features forced down."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import pytest

HERE = Path(__file__).parent
#: What a level needs of the processor that plays it.
LEVELS = {"x86-64-v2": "sse4.2", "x86-64-v3": "fma"}
#: What `make test` runs at each level; a campaign runs all.
SELECTION = ["test_sweeps.py", "test_scalars.py"]


def run(level: str, *arguments: str) -> None:
    if not llvm.get_process_triple().startswith("x86_64") or not llvm.get_host_cpu_features()[LEVELS[level]]:
        pytest.skip(f"this processor cannot run {level}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", *arguments]
    environment = {**os.environ, "SYMGRAD_CPU": level}
    root = HERE.parents[1]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_functions(level: str) -> None:
    run(level, "-m", "not campaign", *[str(HERE / name) for name in SELECTION])


@pytest.mark.campaign
@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_all(level: str) -> None:
    """The native suite."""
    run(level, "-m", "not campaign", str(HERE), f"--ignore={__file__}")
