"""The key of a program in the cache on disk: all that its code depends on, but no names and no origins."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy

from symgrad import dims, errors
from symgrad.dims import Size
from symgrad.ir.graph import Graph
from symgrad.ir.op import Op, attributes
from symgrad.ir.tensor import Node, Tensor
from symgrad.ir.values import ArrayData, Scalar
from symgrad.ops.kinds import Elementwise
from symgrad.types import DType
from symgrad_compiler.passes.pipeline import pass_name
from symgrad_runtime import cache as runtime_cache

_PACKAGES = ("symgrad", "symgrad_compiler", "symgrad_runtime")


def program_key(
    graph: Graph,
    passes: Sequence[Callable[[Graph], Graph]],
    target: str,
    memory_budget: int | None = None,
    *,
    validated: bool = False,
    nan_guard: bool = False,
) -> str | None:
    """The key; None where the program depends on code that is not ours, a user's op or pass, which may
    change. What was validated when it was compiled is kept as such: the arguments would be the same again."""
    if not all(isinstance(step, FunctionType) and _is_ours(step) for step in passes):
        return None
    digest = hashlib.sha256()

    def feed(*parts: Any) -> None:
        digest.update(repr(parts).encode())

    feed(_sources(), numpy.__version__, target, dims.assumptions(), memory_budget, validated, nan_guard)
    feed([f"{p.__module__}.{pass_name(p)}" for p in passes])
    numbers: dict[Tensor, int] = {}
    for tensor in (*graph.inputs, *graph.states):
        numbers[tensor] = len(numbers)
        feed(str(tensor.type))
    feed(len(graph.inputs), len(graph.states))
    for node in graph.nodes:
        if not _op_is_ours(node.op):
            return None
        feed(*_node(node, numbers))
        for tensor in node.outputs:
            numbers[tensor] = len(numbers)
    feed([numbers[t] for t in graph.outputs])
    feed([(numbers[s], numbers[v]) for s, v in graph.updates.items()])
    return digest.hexdigest()


def fixed_key(name: str, target: str) -> str:
    """The key of code that is the same for every program: it depends on the sources and the machine alone."""
    return hashlib.sha256(repr((name, _sources(), target)).encode()).hexdigest()


def _node(node: Node, numbers: dict[Tensor, int]) -> tuple[Any, ...]:
    values = [_plain(v) for v in attributes(node.op).values()]
    return (node.op.name, values, [numbers[t] for t in node.inputs])


def _plain(value: Any) -> Any:
    """An attribute as something whose repr says all about it."""
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Scalar):
        return (value.dtype.name, value.bits)
    if isinstance(value, ArrayData):
        return value.digest
    if isinstance(value, Size):
        return ("size", str(value))
    if isinstance(value, DType):
        return ("dtype", value.name)
    return value


def _is_ours(thing: Any) -> bool:
    module = getattr(thing, "__module__", None) or ""
    return module.split(".")[0] in _PACKAGES


def _op_is_ours(op: Op) -> bool:
    return _is_ours(op.scalar) if isinstance(op, Elementwise) else _is_ours(type(op))


@cache
def _sources() -> str:
    """Path, size and time of every source file, so that changed code is never taken for old; and the file
    with the version, should an installer give all files of all versions one time."""
    symgrad = Path(errors.__file__).parent
    parts: list[Any] = [(symgrad / "__init__.py").read_bytes()]
    for root in (symgrad, Path(runtime_cache.__file__).parent, Path(__file__).parents[2]):
        for folder, below, files in os.walk(root):
            below.sort()
            for file in sorted(f for f in files if f.endswith(".py")):
                path = f"{folder}/{file}"
                status = os.stat(path)
                parts.append((path.removeprefix(str(root)), status.st_size, status.st_mtime_ns))
    return hashlib.sha256(repr(parts).encode()).hexdigest()
