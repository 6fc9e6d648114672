"""Native code for older processors, on this one: the tests of this folder with features forced down."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import pytest

from symgrad.errors import CompileError
from symgrad_compiler.backends.llvm import target
from tests.native.levels import skip_unless_below

HERE = Path(__file__).parent
LEVELS = ["x86-64-v2", "x86-64-v3"]
#: What `make test` runs at each level; a campaign runs all.
SELECTION = ["test_sweeps.py", "test_scalars.py"]


def run(level: str, *arguments: str) -> None:
    skip_unless_below(level)
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


UNKNOWN = ["garbage", "native", "x86-64-v5", " x86-64-v3", "i386", "X86-64", "x86-64\n"]


@pytest.mark.parametrize("level", UNKNOWN)
def test_levels_that_are_none(level: str) -> None:
    """LLVM ends the process where it does not know a processor, so this asks before."""
    code = (
        "import symgrad as sg\n"
        "x = sg.scalar('x')\n"
        "try: sg.function([x], x * 2)\n"
        "except sg.CompileError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SYMGRAD_CPU": level},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "SYMGRAD_CPU names no level of processors" in done.stdout
    if llvm.get_process_triple().startswith("x86_64"):
        assert "known here: x86-64" in done.stdout


def test_levels_above_the_processor() -> None:
    known = target.LEVELS["x86-64-v3"].split(",")
    features = {name[1:]: name != "+bmi2" for name in known}
    target._require_level("x86-64-v2", target.LEVELS, features)
    with pytest.raises(CompileError, match="this processor is none of level x86-64-v3") as caught:
        target._require_level("x86-64-v3", target.LEVELS, features)
    assert ("missing", "bmi2") in caught.value.facts
    assert ("known here", "x86-64, x86-64-v2") in caught.value.facts
