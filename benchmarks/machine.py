"""What the machine can do at the moment of the run: bytes copied and multiply-adds a second, on all cores.

    python benchmarks/machine.py

Prints one JSON object. The multiply-adds are float32, fused, in vectors of the host's width, twelve of them
under way at a time, in native code made for this.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.systems import copy_program

SUMS = 12
STEPS = 2_000_000
COPIED = 80_000_000  # bytes read and written: beyond the caches
REPEATS = 15


def lanes() -> int:
    """float32 numbers in a vector of this machine."""
    features = llvm.get_host_cpu_features()
    return 16 if features.get("avx512f") else 8 if features.get("avx") else 4


def multiply_adds(width: int) -> str:
    """LLVM IR: SUMS independent sums, one multiply-add each a step."""
    vector = f"<{width} x float>"
    half = f"{vector} splat (float 5.0e-1)"
    sums = [
        f"  %s{i} = phi {vector} [splat (float {i}.0), %entry], [%t{i}, %loop]\n"
        f"  %t{i} = call {vector} @llvm.fma.v{width}f32({vector} %s{i}, {half}, {half})"
        for i in range(SUMS)
    ]
    phis, calls = zip(*(line.split("\n") for line in sums), strict=True)
    added = [f"  %u{i} = fadd {vector} {f'%u{i - 1}' if i > 1 else '%t0'}, %t{i}" for i in range(1, SUMS)]
    body = "\n".join(
        [
            "define void @run(i64 %steps, ptr %out) {",
            "entry:",
            "  br label %loop",
            "loop:",
            "  %k = phi i64 [0, %entry], [%next, %loop]",
            *phis,
            *calls,
            "  %next = add i64 %k, 1",
            "  %more = icmp ult i64 %next, %steps",
            "  br i1 %more, label %loop, label %end",
            "end:",
            *added,
            f"  store {vector} %u{SUMS - 1}, ptr %out, align 4",
            "  ret void",
            "}",
        ]
    )
    return f"{body}\ndeclare {vector} @llvm.fma.v{width}f32({vector}, {vector}, {vector})\n"


def median_seconds(run: Callable[[], object]) -> float:
    run()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def fused(threads: int, steps: int) -> tuple[Callable[[], object], float]:
    """A call of float32 multiply-adds by so many threads, and how many operations it is, two for each."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2
    )
    width = lanes()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(multiply_adds(width)), target)
    engine.finalize_object()
    address = engine.get_function_address("run")
    run = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(address)  # without the GIL
    out = np.zeros((threads, 64), np.float32)
    pool = ThreadPoolExecutor(threads)

    def call(_: object = engine) -> object:  # which must live as long
        if threads == 1:
            return run(steps, out.ctypes.data)
        return [f.result() for f in [pool.submit(run, steps, row.ctypes.data) for row in out]]

    return call, 2.0 * SUMS * width * steps * threads


def gflops() -> float:
    """float32 operations of all cores in a second, in thousands of millions."""
    call, operations = fused(os.cpu_count() or 1, STEPS)
    return operations / median_seconds(call) / 1e9


def main() -> None:
    copy = copy_program(COPIED).function
    found = {
        "cores": os.cpu_count(),
        "processor": llvm.get_host_cpu_name(),
        "copy GB/s": COPIED / median_seconds(copy) / 1e9,
        "float32 GFLOP/s": gflops(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
