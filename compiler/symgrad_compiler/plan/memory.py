"""Room in the arena, by liveness: a step writes into memory whose last reader has run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from symgrad.dims import Dim
from symgrad_compiler.plan.steps import ARENA, Kernel, RowLoop, Step, Storage

#: Slots start at multiples of this: a cache line, and the widest vector.
ALIGNMENT = 64
#: A free slot may be this many times too large.
SLACK = 4


def assign(steps: Sequence[Step]) -> list[Dim]:
    """Give every arena storage a slot (`storage.index`); returns the slots' sizes in bytes."""
    flat = list(_flat(steps))
    first, last = _lifetimes(flat)
    starting: dict[int, list[Storage]] = defaultdict(list)
    ending: dict[int, list[Storage]] = defaultdict(list)
    for storage, number in last.items():
        starting[first[storage]].append(storage)
        ending[number].append(storage)
    slots: list[Dim] = []
    free: list[int] = []
    placed: set[Storage] = set()
    for number, (step, _) in enumerate(flat):
        dying = dict.fromkeys(s for s in ending[number] if s in placed)
        for storage in starting[number]:
            heir = _inherit(step, storage, dying)
            if heir is not None:
                storage.index = heir.index
                del dying[heir]
            else:
                storage.index = _take(bytes_of(storage), slots, free)
            placed.add(storage)
        free.extend(s.index for s in dying)
        free.extend(s.index for s in starting[number] if last[s] == number)
    return slots


@dataclass(frozen=True)
class _Loop:
    """The numbers of a loop's first and last step, and the storages that live within one round."""

    first: int
    last: int
    local: frozenset[Storage]


def _flat(steps: Sequence[Step]) -> Iterator[tuple[Step, _Loop | None]]:
    """The steps, those of loops one by one."""
    number = 0
    for step in steps:
        body = step.body if isinstance(step, RowLoop) else (step,)
        loop = _Loop(number, number + len(body) - 1, step.local) if isinstance(step, RowLoop) else None
        for each in body:
            yield each, loop
        number += len(body)


def bytes_of(storage: Storage) -> Dim:
    """The size of a storage in bytes."""
    return storage.size * storage.dtype.itemsize


def _lifetimes(
    flat: Sequence[tuple[Step, _Loop | None]],
) -> tuple[dict[Storage, int], dict[Storage, int]]:
    first: dict[Storage, int] = {}
    last: dict[Storage, int] = {}
    for number, (step, loop) in enumerate(flat):
        for access in (*step.reads(), *step.writes()):
            storage = access.storage
            if storage.kind != ARENA:
                continue
            stays = loop is not None and storage not in loop.local
            first.setdefault(storage, loop.first if stays and loop else number)
            last[storage] = loop.last if stays and loop else number
    return first, last


def _inherit(step: Step, storage: Storage, dying: dict[Storage, None]) -> Storage | None:
    """An operand that dies with this kernel and is read only at the element that is written."""
    if not isinstance(step, Kernel):
        return None
    access = next((a for _, a in step.stores if a.storage is storage), None)
    if access is None:
        return None
    wanted = bytes_of(storage)
    for other in sorted(dying, key=lambda s: s.index):
        if other.dtype.itemsize != storage.dtype.itemsize or bytes_of(other) != wanted:
            continue
        indexed = {g.storage for g in step.gathers.values()} | {
            i.access.storage for g in step.gathers.values() for i in g.indices
        }
        same = all(a.layout == access.layout for a in step.reads() if a.storage is other)
        if same and other not in indexed:
            return other
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
