"""Room in the arena for the storages of a plan, by liveness: a step writes into memory whose last reader has
run. See `arena` for how lifetimes become offsets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from symgrad.dims import Dim
from symgrad.records import record
from symgrad_compiler.plan.arena import ALIGNMENT, Arena, Block, aligned, pack, peak
from symgrad_compiler.plan.steps import ARENA, Access, Kernel, RowLoop, Step, Storage

__all__ = ["ALIGNMENT", "aligned", "assign", "bytes_of", "lines", "live_bytes"]


def assign(steps: Sequence[Step]) -> Arena:
    """Give every arena storage a slot (`storage.index`)."""
    blocks = _blocks(steps)
    arena = pack(list(dict.fromkeys(blocks.values())))
    for storage, block in blocks.items():
        storage.index = block.slot
    return arena


def bytes_of(storage: Storage) -> Dim:
    """The size of a storage in bytes."""
    return storage.size * storage.dtype.itemsize


@record
class _Loop:
    """The numbers of a loop's first and last step, and the storages that live within one round."""

    first: int
    last: int
    local: frozenset[Storage]


def _flat(steps: Sequence[Step]) -> Iterator[tuple[Step, _Loop | None]]:
    """The steps, those of loops one by one."""
    number = 0
    for step in steps:
        if not isinstance(step, RowLoop):
            yield step, None
            number += 1
            continue
        loop = _Loop(number, number + len(step.body) - 1, step.local)
        for each in step.body:
            yield each, loop
        number += len(step.body)


def _lifetimes(steps: Sequence[tuple[Step, _Loop | None]]) -> dict[Storage, tuple[int, int]]:
    """The first and the last of the steps, by their numbers, that touch each arena storage. What a loop
    shares with others lasts for the whole loop."""
    found: dict[Storage, tuple[int, int]] = {}
    for number, (step, loop) in enumerate(steps):
        for access in (*step.reads(), *step.writes()):
            storage = access.storage
            if storage.kind == ARENA:
                stays = loop is not None and storage not in loop.local
                start, end = (loop.first, loop.last) if loop and stays else (number, number)
                first, _ = found.get(storage, (start, end))
                found[storage] = (first, end)
    return found


def live_bytes(steps: Sequence[Step]) -> int:
    """The most bytes of the arena that are live at once in this order; symbolic sizes count as
    `arena.NOMINAL`."""
    return peak(list(dict.fromkeys(_blocks(steps).values())))


def lines(arena: Arena) -> list[str]:
    """The arena as text."""
    slots = enumerate(arena.slots)
    return [
        arena.summary(),
        *[f"  buffer{i}: {slot.size} bytes at {arena.position(slot)}" for i, slot in slots],
    ]


def _blocks(steps: Sequence[Step]) -> dict[Storage, Block]:
    """The block of each storage: its own, or that of an operand which it takes the place of."""
    flat = list(_flat(steps))
    lives = _lifetimes(flat)
    ending: dict[int, list[Storage]] = defaultdict(list)
    for storage, (_, last) in lives.items():
        ending[last].append(storage)
    blocks: dict[Storage, Block] = {}
    for number, (step, loop) in enumerate(flat):
        dying = dict.fromkeys(s for s in ending[number] if s in blocks and (loop is None or s in loop.local))
        for access in step.writes():
            storage = access.storage
            if storage.kind != ARENA or storage in blocks:
                continue
            stays = loop is not None and storage not in loop.local
            heir = None if stays else _inherit(step, access, dying)
            if heir is None:
                first, last = lives[storage]
                blocks[storage] = Block(bytes_of(storage), first, last)
            else:
                blocks[storage] = blocks[heir]
                blocks[heir].last = lives[storage][1]
                del dying[heir]
    return blocks


def _inherit(step: Step, access: Access, dying: dict[Storage, None]) -> Storage | None:
    """An operand that dies with this kernel and is read only at the element that is written."""
    if not dying or not isinstance(step, Kernel) or not any(a is access for _, a in step.stores):
        return None
    wanted = bytes_of(access.storage)
    indexed: set[Storage] | None = None
    for storage in dying:
        if storage.dtype.itemsize != access.storage.dtype.itemsize or bytes_of(storage) != wanted:
            continue
        if indexed is None:
            indexed = {g.storage for g in step.gathers.values()} | {
                i.access.storage for g in step.gathers.values() for i in g.indices
            }
        same = all(a.layout == access.layout for a in step.reads() if a.storage is storage)
        if same and storage not in indexed:
            return storage
    return None
