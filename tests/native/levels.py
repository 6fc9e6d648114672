"""Which levels of x86-64 a test can be run on, on this machine."""

from __future__ import annotations

import llvmlite.binding as llvm
import pytest

from symgrad_compiler.backends.llvm.target import LEVELS, missing


def skip_unless_below(level: str) -> None:
    """Skip a test of code for a level that this processor cannot run, or that all others are of: its own."""
    if not llvm.get_process_triple().startswith("x86_64"):
        pytest.skip("levels of x86-64")
    features = llvm.get_host_cpu_features()
    fitting = [name for name, needs in LEVELS.items() if not missing(needs, features)]
    if level not in fitting:
        pytest.skip(f"this processor cannot run {level}")
    if level == fitting[-1]:
        pytest.skip(f"this processor is of {level}: all tests are of its code")
