"""Jobs that threads share: words in memory, and calls through the thread pool."""

from __future__ import annotations

from collections.abc import Sequence

from symgrad_compiler.backends.llvm.contract.integers import Int
from symgrad_compiler.backends.llvm.contract.words import Words
from symgrad_compiler.backends.llvm.ir import Function, Value
from symgrad_runtime.threads import PARALLEL


def job_of(f: Function, words: Sequence[Value]) -> Value:
    """Words in memory."""
    room = f.volatile(f"alloca [{len(words)} x i64], align 16", "ptr")
    job = Words(f, room)
    for i, value in enumerate(words):
        job[i] = value
    return room


def share(f: Function, name: str, job: Value, total: Int, work: Int, unit: int = 1) -> None:
    """Let threads share all of range(total)."""
    pool = f.parameters["pool"]
    function = f.load(f.field(pool, PARALLEL), "ptr")
    f.do(
        f"call void {function.text}(ptr {pool.text}, ptr @{name}, ptr {job.text}, ptr null, "
        f"i64 {total.value.text}, i64 {unit}, i64 {work.value.text}, i64 0)"
    )
