"""Kernels one behind the other that go through the same elements become one: what the second reads of the
first stays in registers.

One walk over the nodes opens a kernel for what has nothing in common with earlier ones yet; that both are
needed by the same result shows later.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from symgrad_compiler.plan.planner import MAX_STREAMS, MAX_WEIGHT
from symgrad_compiler.plan.steps import Access, Kernel, Step, Storage


def joined(steps: Sequence[Step], own: Collection[Storage]) -> list[Step]:
    """The steps, with neighbours joined where that may be; nothing else touches the storages in `own`."""
    result: list[Step] = []
    for number, step in enumerate(steps):
        first = result[-1] if result else None
        if isinstance(first, Kernel) and isinstance(step, Kernel) and _may_join(first, step):
            others = (*result[:-1], *steps[number + 1 :])
            both = _both(first, step, _read_by_second_alone(first, others, own))
            if _streams(both) <= MAX_STREAMS:
                result[-1] = both
                continue
        result.append(step)
    return result


def _streams(kernel: Kernel) -> int:
    return sum(isinstance(s, Access) for s in kernel.sources.values()) + len(kernel.stores)


def _may_join(first: Kernel, second: Kernel) -> bool:
    """Whether all that the second reads of what the first writes are values of the same element, and it
    writes nothing that the first touches."""
    if (
        first.space != second.space
        or first.scatters
        or second.scatters
        or first.lost is not None
        or second.lost is not None
    ):
        return False
    if len({r.axes for r in (*first.reductions, *second.reductions)}) > 1:
        return False
    sources = {**first.sources, **second.sources}
    if first.weight + second.weight > MAX_WEIGHT or any(sources[t] != s for t, s in first.sources.items()):
        return False
    written = {access.storage for access in first.writes()}
    handed_over = [
        source
        for tensor, source in second.sources.items()
        if any(value is tensor and access == source for value, access in first.stores)
    ]
    reads = [access for access in second.reads() if access.storage in written]
    if not handed_over or len(reads) != len(handed_over):
        return False
    touched = written | {access.storage for access in first.reads()}
    return touched.isdisjoint(access.storage for access in second.writes())


def _read_by_second_alone(first: Kernel, others: Sequence[Step], own: Collection[Storage]) -> set[Storage]:
    """What the first stores for nobody else."""
    used = {access.storage for step in others for access in (*step.reads(), *step.writes())}
    return {access.storage for _, access in first.stores if access.storage in own} - used


def _both(first: Kernel, second: Kernel, dropped: Collection[Storage]) -> Kernel:
    """What both do, but for stores to `dropped`."""
    made = Kernel(first.space, weight=first.weight + second.weight)
    for node in (*first.nodes, *second.nodes):
        (value,) = node.outputs
        if not made.computes(value) and value not in first.sources:  # else it is known, computed or read
            made.add(node)
    sources = {**first.sources, **second.sources}
    made.sources = {t: s for t, s in sources.items() if not made.computes(t)}
    made.gathers = {t: g for t, g in {**first.gathers, **second.gathers}.items() if made.computes(t)}
    made.reductions = [*first.reductions, *second.reductions]
    stores = [s for s in first.stores if s[1].storage not in dropped]
    made.stores = [*stores, *second.stores]
    made.results = [*first.results, *second.results]
    made.prune()
    return made
