"""About how much work an element of a node is: the operations in the code that is emitted for it, counted in
multiplications with an addition of float64. What is float32 is half of that."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache

from symgrad.ir.tensor import Node
from symgrad.ops.cast import AsType
from symgrad.ops.create import fill_value
from symgrad.ops.kinds import Elementwise
from symgrad_compiler.backends.llvm.ir import Function, Module, Value, literal
from symgrad_compiler.backends.llvm.maths import Maths
from symgrad_compiler.backends.llvm.scalars import Code, Machine, kind_of
from symgrad_compiler.backends.llvm.target import host

#: Lanes of the code that is counted.
_LANES = 8
#: What a division and a square root take, in multiplications.
_SLOW = {"fdiv": 16, "sqrt": 16}
_VECTOR = re.compile(r"<(\d+) x (double|float|i64|i32|i16|i8)>")
_BYTES = {"double": 8, "float": 4, "i64": 8, "i32": 4, "i16": 2, "i8": 1}
_CALL = re.compile(r"call [^@]*@([-\w.$]+)\(")


def effort(node: Node) -> float:
    """The work for one element."""
    if isinstance(node.op, AsType):
        return max(t.dtype.itemsize for t in (*node.inputs, *node.outputs)) / 8
    if not isinstance(node.op, Elementwise):
        return 1.0
    known = tuple(fill_value(t) for t in node.inputs)
    return _counted(node.op, tuple(kind_of(t.dtype) for t in node.inputs), known, host().machine)


@lru_cache(maxsize=4096)
def _counted(
    op: Elementwise, kinds: tuple[str, ...], known: tuple[float | None, ...], machine: Machine
) -> float:
    module = Module()
    f = module.function("op", [])
    operands = [
        Value(f"%x{i}", kind, _LANES) if value is None else literal(value, kind)
        for i, (kind, value) in enumerate(zip(kinds, known, strict=True))
    ]
    op.scalar(Code(f, Maths(module, machine), machine), *operands)
    return _work(f, {g.name: g for g in module.functions}) / _LANES


def _work(main: Function, functions: dict[str, Function]) -> float:
    """The work of a function with all that it calls: each as often as it is called."""
    total = 0.0
    calls: dict[str, float] = defaultdict(float)
    calls[main.name] = 1.0
    for name in _callers_first(main, functions):
        for line in functions[name].instructions():
            called = _CALL.search(line)
            if called is not None and called[1] in functions:
                calls[called[1]] += calls[name]
            else:
                total += calls[name] * _line(line)
    return total


def _callers_first(main: Function, functions: dict[str, Function]) -> list[str]:
    """The functions, each before those that it calls."""
    order: dict[str, None] = {}
    stack = [(main.name, False)]
    while stack:
        name, done = stack.pop()
        if done:
            order.setdefault(name)
        elif name not in order:
            stack.append((name, True))
            found = [
                m[1] for line in functions[name].instructions() for m in [_CALL.search(line)] if m is not None
            ]
            stack += [(called, False) for called in found if called in functions]
    return list(order)[::-1]


def _line(line: str) -> float:
    """What one instruction on vectors takes."""
    vector = _VECTOR.search(line)
    if vector is None or " phi " in line:
        return 0.0
    slow = next((n for word, n in _SLOW.items() if word in line), 1)
    return slow * int(vector[1]) * _BYTES[vector[2]] / 8
