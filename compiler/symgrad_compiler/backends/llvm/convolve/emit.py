"""The function of a convolution:

    void name(ptr pool, ptr a, ptr b, ptr c, i64 images, ptr room, i64 streams[, ptr place ...])

A and B are x and w of `forward`, g and w of `input`, x and g of `weights`; C is the result. The room is
`convolution.room` bytes of memory that nothing else uses in the meantime. `streams` is 1 if C may be written
past the caches: large, read by nobody soon, and where registers fit. The places are those of an epilogue of
`forward` or `input`.
"""

from __future__ import annotations

import math

from symgrad_compiler.backends.llvm.contract.integers import Int
from symgrad_compiler.backends.llvm.convolve import packing, weights
from symgrad_compiler.backends.llvm.convolve.correlate import Correlate
from symgrad_compiler.backends.llvm.convolve.cutting import Cutting, choose_width
from symgrad_compiler.backends.llvm.convolve.sharing import job_of, share
from symgrad_compiler.backends.llvm.convolve.tile import Epilogue
from symgrad_compiler.backends.llvm.ir import Function, Module, literal
from symgrad_compiler.backends.llvm.scalars import Machine
from symgrad_compiler.plan.geometry import (
    WEIGHTS,
    Convolution,
    correlations,
    with_two_axes,
)

PARAMETERS = [
    *[("pool", "ptr"), ("a", "ptr"), ("b", "ptr"), ("c", "ptr"), ("images", "i64"), ("room", "ptr")],
    ("streams", "i64"),
]


def emit_convolution(
    module: Module,
    convolution: Convolution,
    machine: Machine,
    name: str,
    linkage: str = "internal ",
    epilogue: Epilogue | None = None,
) -> None:
    """The function, and those that it calls."""
    made = with_two_axes(convolution)
    places = [(f"place{i}", "ptr") for i in range(len(epilogue.places) if epilogue else 0)]
    f = module.function(name, [*PARAMETERS, *places], linkage=linkage)
    if made.what == WEIGHTS:
        assert epilogue is None
        weights.emit_weights(f, made, machine, name)
    else:
        _emit_correlations(f, made, machine, name, epilogue)
    f.do("ret void")


def _emit_correlations(
    f: Function, c: Convolution, machine: Machine, name: str, epilogue: Epilogue | None
) -> None:
    module, p = f.module, f.parameters
    xs = correlations(c)
    width, most = choose_width(xs, machine)
    panels = packing.panels_of(c, xs[0], width)
    images = Int(f, p["images"])
    weights_at = p["b"]
    places = [p[f"place{i}"] for i in range(len(epilogue.places) if epilogue else 0)]

    def number(value: int) -> Int:
        return Int(f, literal(value, "i64"))

    if panels.is_packed:
        assert packing.room(c, xs[0], panels) <= c.room
        pieces = packing.emit_packing(module, machine, c, xs[0], panels, f"{name}.pack")
        job = job_of(f, [p["b"], p["room"]])
        share(f, f"{name}.pack", job, number(pieces), number(c.weights))
        weights_at = p["room"]
    for i, x in enumerate(xs):
        cut = Cutting(x, panels, most, machine, epilogue)
        made = Correlate(module, machine, cut)
        made.emit(f"{name}.{i}")
        units = images * cut.units
        blocks = units.up_over(made.block)
        job = job_of(f, [p["a"], weights_at, p["c"], units.value, blocks.value, p["streams"], *places])
        moved = 2 * math.prod(a.out for a in x.axes) * x.features * x.groups  # numbers, of an image
        work = images * max(moved, c.work // len(xs))
        share(f, f"{name}.{i}", job, blocks * made.groups, work)
