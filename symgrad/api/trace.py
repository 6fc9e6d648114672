"""Python functions on tensors as graphs: `trace`."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from symgrad import registry
from symgrad.api.structure import tensors
from symgrad.errors import GraphError
from symgrad.ir.graph import Graph
from symgrad.ir.op import Input
from symgrad.ir.tensor import MAX_NAME, RESERVED, Tensor, make_input
from symgrad.types import TensorType, as_shape
from symgrad.types import dtype as as_dtype

Function = Callable[..., Any]


def trace(f: Any, *specs: Any, name: str | None = None, **options: Any) -> Any:
    """The graph of a Python function on tensors. (Of a tensor: the sum of its diagonal,
    `symgrad.linalg.trace`.)

    Args:
        f: takes tensors, returns a tensor, a sequence or a dict of tensors.
        specs: for each parameter an input tensor, or (shape, dtype) of one that is named after the parameter.
        name: the graph's name; the function's unless given.

    >>> import symgrad as sg
    >>> g = sg.trace(lambda x, y: x @ y, (("n", 3), "float64"), ((3,), "float64"))
    >>> g.inputs, g.outputs
    ((<x: f64[n,3]>, <y: f64[3]>), (<matmul: f64[n]>,))
    """
    if not callable(f):
        return registry.language["trace"](f, *specs, **options)
    names = parameter_names(f, len(specs))
    inputs = [_input(spec, wish) for spec, wish in zip(specs, names, strict=True)]
    result = f(*inputs)
    outputs = result if isinstance(result, (Tensor, dict)) else tensors(result)
    return Graph(inputs, outputs, name=name or function_name(f))


def _input(spec: Any, name: str) -> Tensor:
    if isinstance(spec, Tensor):
        return spec if isinstance(spec.node.op, Input) else make_input(spec.type, name)
    if isinstance(spec, TensorType):
        return make_input(spec, name)
    if isinstance(spec, tuple) and len(spec) == 2 and isinstance(spec[0], (tuple, list)):
        return make_input(TensorType(as_dtype(spec[1]), as_shape(spec[0])), name)
    if hasattr(spec, "shape") and hasattr(spec, "dtype"):
        return make_input(TensorType(as_dtype(spec.dtype), as_shape(spec.shape)), name)
    raise GraphError(
        "a spec must be an input tensor or (shape, dtype)",
        facts=[("got", repr(spec)[:80])],
        hint='(("n", 3), "float64")',
    )


def parameter_names(f: Function, count: int) -> list[str]:
    """The names of the first parameters of a function, where they can be found out."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.kind in plain][:count]
    names += [f"x{i}" for i in range(len(names), count)]
    return [n if is_free(n) else f"{n[: MAX_NAME - 1]}_" for n in names]


def function_name(f: Function) -> str:
    name = getattr(f, "__name__", "")
    return name if name.isidentifier() and is_free(name) else "main"


def is_free(name: str) -> bool:
    return name not in RESERVED and len(name) <= MAX_NAME


def unique_names(names: Sequence[str]) -> list[str]:
    """Different names for inputs, each as wished where it is the first to wish so; repeats get a number.

    >>> unique_names(["x", "x", "min"])
    ['x', 'x_1', 'min_']
    """
    found: dict[str, None] = {}
    repeats: Counter[str] = Counter()
    for wish in names:
        name = wish if is_free(wish) else f"{wish[: MAX_NAME - 1]}_"
        while name in found:
            repeats[wish] += 1
            suffix = f"_{repeats[wish]}"
            name = wish[: MAX_NAME - len(suffix)] + suffix
        found[name] = None
    return list(found)
