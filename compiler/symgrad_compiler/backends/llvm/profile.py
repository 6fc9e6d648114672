"""The pieces of a native program for `profile`: what each step does, for the sizes of a call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from symgrad.dims import Dim, evaluate, product
from symgrad_compiler.backends.limits import Limits
from symgrad_compiler.backends.llvm.clock import Place
from symgrad_compiler.backends.llvm.effort import effort
from symgrad_compiler.backends.llvm.limits import natively
from symgrad_compiler.backends.measure import Piece
from symgrad_compiler.plan import describe
from symgrad_compiler.plan.steps import (
    ConvolutionStep,
    Kernel,
    MatMulStep,
    Plan,
    RowLoop,
    RowStep,
    Step,
    Storage,
)
from symgrad_runtime.threads import get_num_threads


def pieces(plan: Plan, places: list[Place], sizes: Mapping[str, int]) -> Iterator[Piece]:
    """What each clock of a plan measures."""
    limits: Limits = natively(get_num_threads())
    for place in places:
        step: Step | RowStep = place.step
        local: frozenset[Storage] = frozenset()
        if place.part is not None:  # what it does over all rows
            loop = plan.steps[place.number]
            assert isinstance(loop, RowLoop)
            step, local = loop.whole[place.part], loop.local
        if place.part is not None:  # the clocks add up what threads took
            limits = natively(1)
        yield Piece(
            number=str(place.number) if place.part is None else f"{place.number}.{place.part}",
            what=describe.step_title(plan, step),
            flops=_number(describe.flops_of(step), sizes),
            operations=_operations(step, sizes),
            bytes=_number(describe.traffic_of(step, local), sizes),
            limits=limits,
            is_part=place.part is not None,
        )


def by_the_clock(places: list[Place], times: Sequence[int]) -> tuple[int, ...]:
    """The times of one run, where the parts of a loop that threads share have their part of its time: they
    add up what each thread took."""
    found = list(times)
    inside: dict[int, list[int]] = defaultdict(list)
    for i, place in enumerate(places):
        if place.part is not None:
            inside[place.number].append(i)
    for i, place in enumerate(places):
        parts = inside[place.number] if place.part is None else []
        taken = sum(times[k] for k in parts)
        for k in parts if taken > times[i] else ():
            found[k] = times[k] * times[i] // taken
    return tuple(found)


def _number(dim: Dim, sizes: Mapping[str, int]) -> int:
    return max(0, evaluate(dim, sizes))


def _operations(step: Step | RowStep, sizes: Mapping[str, int]) -> float:
    """About how many multiplications with an addition, of float64, a step takes."""
    if isinstance(step, Kernel):
        each = sum(effort(n) for n in step.nodes if n.outputs[0] not in step.gathers)
        each += sum(r.value.dtype.itemsize / 8 for r in step.reductions)
        return each * _number(product(step.space), sizes)
    if isinstance(step, RowLoop):
        return sum(_operations(each, sizes) for each in step.whole)
    if isinstance(step, MatMulStep):
        products = product(step.out.layout.shape) * step.a.layout.shape[-1]
        return _number(products, sizes) * step.out.storage.dtype.itemsize / 8
    if isinstance(step, ConvolutionStep):
        return _number(step.images, sizes) * step.convolution.products * step.convolution.bytes / 8
    return float(_number(describe.flops_of(step), sizes))
