"""Room in the arena for the storages of a plan, by liveness: a step writes into memory whose last reader has
run. See `arena` for how lifetimes become offsets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from symgrad.dims import Dim
from symgrad_compiler.plan.arena import ALIGNMENT, Arena, Block, aligned, pack, peak
from symgrad_compiler.plan.steps import ARENA, Access, Kernel, Step, Storage

__all__ = ["ALIGNMENT", "aligned", "assign", "bytes_of", "lifetimes", "lines", "live_bytes", "place"]


def assign(steps: Sequence[Step]) -> Arena:
    """Give every arena storage a slot (`storage.index`)."""
    numbered = [(step, number) for number, step in enumerate(steps)]
    return place(numbered, lifetimes(numbered))


def bytes_of(storage: Storage) -> Dim:
    """The size of a storage in bytes."""
    return storage.size * storage.dtype.itemsize


def lifetimes(steps: Iterable[tuple[Step, int]]) -> dict[Storage, tuple[int, int]]:
    """The first and the last of the steps, by their numbers, that touch each arena storage.

    A step that holds others (a loop) is listed as those, with numbers of their own; whoever plans it extends
    the lifetime of what must last for the whole loop, and calls `place`.
    """
    found: dict[Storage, tuple[int, int]] = {}
    for step, number in steps:
        for access in (*step.reads(), *step.writes()):
            if access.storage.kind == ARENA:
                first, _ = found.get(access.storage, (number, number))
                found[access.storage] = (first, number)
    return found


def place(steps: Iterable[tuple[Step, int]], lives: dict[Storage, tuple[int, int]]) -> Arena:
    """As `assign`, for steps with numbers and lifetimes in these."""
    blocks = _blocks(steps, lives)
    arena = pack(list(dict.fromkeys(blocks.values())))
    for storage, block in blocks.items():
        storage.index = block.slot
    return arena


def live_bytes(steps: Sequence[Step]) -> int:
    """The most bytes of the arena that are live at once in this order; symbolic sizes count as
    `arena.NOMINAL`."""
    numbered = [(step, number) for number, step in enumerate(steps)]
    return peak(list(dict.fromkeys(_blocks(numbered, lifetimes(numbered)).values())))


def lines(arena: Arena) -> list[str]:
    """The arena as text."""
    slots = enumerate(arena.slots)
    return [
        arena.summary(),
        *[f"  buffer{i}: {slot.size} bytes at {arena.position(slot)}" for i, slot in slots],
    ]


def _blocks(steps: Iterable[tuple[Step, int]], lives: dict[Storage, tuple[int, int]]) -> dict[Storage, Block]:
    """The block of each storage: its own, or that of an operand which it takes the place of."""
    ending: dict[int, list[Storage]] = defaultdict(list)
    for storage, (_, last) in lives.items():
        ending[last].append(storage)
    blocks: dict[Storage, Block] = {}
    for step, number in steps:
        dying = dict.fromkeys(s for s in ending[number] if s in blocks)
        for access in step.writes():
            storage = access.storage
            if storage.kind != ARENA or storage in blocks:
                continue
            heir = _inherit(step, access, dying)
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
