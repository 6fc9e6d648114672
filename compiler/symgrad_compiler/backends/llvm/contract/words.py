"""Structs of 8-byte words, loops over them, calls: what the functions of a product are written with."""

from __future__ import annotations

from collections.abc import Callable

from symgrad_compiler.backends.llvm.contract.integers import Int, Operand
from symgrad_compiler.backends.llvm.ir import Function, Value, literal


class Words:
    """Words in memory: `words[w]` is an integer."""

    def __init__(self, f: Function, at: Value) -> None:
        self.f, self.at = f, at

    def pointer_to(self, word: int) -> Value:
        return self.f.field(self.at, 8 * word)

    def __getitem__(self, word: int) -> Int:
        return Int(self.f, self.f.load(self.pointer_to(word), "i64"))

    def pointer(self, word: int) -> Value:
        return self.f.load(self.pointer_to(word), "ptr")

    def __setitem__(self, word: int, value: Value | Operand) -> None:
        if isinstance(value, int):
            value = literal(value, "i64")
        self.f.store(value.value if isinstance(value, Int) else value, self.pointer_to(word))


def every(f: Function, start: Int, stop: Int, step: Operand, body: Callable[[Int], None]) -> None:
    """for i in range(start, stop, step): body(i)"""

    def inside(index: Value, _: list[Value]) -> list[Value]:
        body(Int(f, index))
        return []

    by = literal(step, "i64") if isinstance(step, int) else step.value
    f.loop(start.value, stop.value, by, [], inside)


def call(f: Function, function: str | Value, *arguments: Value | Int) -> None:
    """Call a function without result, of the module or by a pointer."""
    values = [a.value if isinstance(a, Int) else a for a in arguments]
    listed = ", ".join(f"{v.type} {v.text}" for v in values)
    name = f"@{function}" if isinstance(function, str) else function.text
    f.do(f"call void {name}({listed})")
