"""Room in the arena, by liveness: a step writes into memory whose last reader has run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from symgrad.dims import Dim
from symgrad_compiler.plan.steps import ARENA, Access, Kernel, Step, Storage

#: Slots start at multiples of this: a cache line, and the widest vector.
ALIGNMENT = 64
#: A free slot may be this many times too large.
SLACK = 4


def assign(steps: Sequence[Step]) -> list[Dim]:
    """Give every arena storage a slot (`storage.index`); returns the slots' sizes in bytes."""
    first, last = _lifetimes(steps)
    ending: dict[int, list[Storage]] = defaultdict(list)
    for storage, number in last.items():
        ending[number].append(storage)
    slots: list[Dim] = []
    free: list[int] = []
    placed: set[Storage] = set()
    for number, step in enumerate(steps):
        dying = dict.fromkeys(s for s in ending[number] if s in placed)
        fresh = [a for a in step.writes() if a.storage.kind == ARENA and first[a.storage] == number]
        for access in fresh:
            storage = access.storage
            if storage in placed:
                continue
            heir = _inherit(step, access, dying)
            if heir is not None:
                storage.index = heir.index
                del dying[heir]
            else:
                storage.index = _take(bytes_of(storage), slots, free)
            placed.add(storage)
        free.extend(s.index for s in dying)
        free.extend(s.index for s in dict.fromkeys(a.storage for a in fresh) if last[s] == number)
    return slots


def bytes_of(storage: Storage) -> Dim:
    """The size of a storage in bytes."""
    return storage.size * storage.dtype.itemsize


def _lifetimes(steps: Sequence[Step]) -> tuple[dict[Storage, int], dict[Storage, int]]:
    first: dict[Storage, int] = {}
    last: dict[Storage, int] = {}
    for number, step in enumerate(steps):
        for access in (*step.reads(), *step.writes()):
            if access.storage.kind == ARENA:
                first.setdefault(access.storage, number)
                last[access.storage] = number
    return first, last


def _inherit(step: Step, access: Access, dying: dict[Storage, None]) -> Storage | None:
    """An operand that dies with this kernel and is read only at the element that is written."""
    if not isinstance(step, Kernel) or not any(a is access for _, a in step.stores):
        return None
    wanted = bytes_of(access.storage)
    for storage in sorted(dying, key=lambda s: s.index):
        if storage.dtype.itemsize != access.storage.dtype.itemsize or bytes_of(storage) != wanted:
            continue
        indexed = {g.storage for g in step.gathers.values()} | {
            i.access.storage for g in step.gathers.values() for i in g.indices
        }
        same = all(a.layout == access.layout for a in step.reads() if a.storage is storage)
        if same and storage not in indexed:
            return storage
    return None


def _take(size: Dim, slots: list[Dim], free: list[int]) -> int:
    """A free slot of this size, or somewhat larger; else a new one."""
    best: int | None = None
    for slot in free:
        have = slots[slot]
        if have == size:
            best = slot
            break
        if isinstance(have, int) and isinstance(size, int) and size <= have <= SLACK * size + ALIGNMENT:
            smaller = best is None or have < slots[best]  # type: ignore[operator]
            best = slot if smaller else best
    if best is None:
        slots.append(size)
        return len(slots) - 1
    free.remove(best)
    return best
