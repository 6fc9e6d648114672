"""The order of a plan's steps: one in which little of the arena is live at once, checks of sizes first."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from symgrad_compiler.plan import memory
from symgrad_compiler.plan.arena import nominal
from symgrad_compiler.plan.checks import is_of_sizes
from symgrad_compiler.plan.dependencies import dependencies
from symgrad_compiler.plan.order import Tasks, best
from symgrad_compiler.plan.planner import Planner
from symgrad_compiler.plan.steps import ARENA, Kernel, Step, Storage


def low_peak(p: Planner, steps: Sequence[Step], commits: Collection[Step]) -> list[Step]:
    """The steps in an order of low peak. `commits` are those that write states in place."""
    start = next((i for i, s in enumerate(steps) if not is_of_sizes(s)), len(steps))
    first, rest = list(steps[:start]), list(steps[start:])
    tasks = Tasks(dependencies(p, rest, commits))
    numbers: dict[Storage, int] = {}
    for step in rest:
        touched = {a.storage: None for a in (*step.reads(), *step.writes()) if a.storage.kind == ARENA}
        for storage in touched:
            if storage not in numbers:
                numbers[storage] = len(tasks.sizes)
                tasks.sizes.append(nominal(memory.bytes_of(storage)))
        tasks.touches.append(sorted(numbers[s] for s in touched))
        tasks.in_place.append(isinstance(step, Kernel) and bool(step.stores))
    chosen = best(tasks)
    if chosen == list(range(len(rest))):
        return list(steps)
    other = [*first, *[rest[i] for i in chosen]]
    return min([list(steps), other], key=memory.live_bytes)
