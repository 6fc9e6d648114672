"""The arena: blocks of memory with lifetimes, packed so that blocks that live at once do not overlap.

    Arena  = Regions, one behind the other
    Region = slots whose sizes are integer multiples of one symbolic expression (its unit), or of 1 byte
    Slot   = offset and size in a region

Numbers alone are packed (`packing`): in the region of `n*k`, a block of `12*n*k` bytes has size 12. So what
holds for blocks of fixed sizes holds for symbolic ones, whatever n and k will be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import numpy

from symgrad.dims import Dim, Size, evaluate, symbols
from symgrad.records import record
from symgrad_compiler.plan import packing

#: Slots start at multiples of this: a cache line, and the widest vector. Blocks smaller than it lie together.
ALIGNMENT = 64
_WORD = 8
#: How many sums of sizes are shown, where none is known to be the largest.
MAX_SHOWN = 4
#: The most sums of sizes that are kept, where none is known to be the largest.
MAX_SUMS = 16
#: What symbolic sizes count as where two ways to use memory must be compared.
NOMINAL = 128


@record
class Slot:
    """Where a block lies: `offset` bytes (rounded up to a cache line) and `slack` from its region's start."""

    region: int
    offset: Dim
    size: Dim
    slack: int = 0


@record
class Region:
    """A part of the arena: `size` bytes (rounded up to whole cache lines), and `slack`."""

    unit: Dim
    size: Dim
    slack: int = 0


@record
class Arena:
    """All regions. The first is that of fixed sizes."""

    regions: tuple[Region, ...]
    slots: tuple[Slot, ...]
    #: Sums of sizes that are live at once: the largest, or those of which none is known to be the largest.
    live: tuple[Dim, ...]

    def bytes(self, values: dict[str, int]) -> int:
        """The size for values of the symbolic sizes."""
        return sum(aligned(max(0, evaluate(r.size, values))) + r.slack for r in self.regions)

    def lower_bound(self, values: dict[str, int]) -> int:
        """The most bytes that are live at once: no arena can be smaller."""
        return max(evaluate(size, values) for size in self.live)

    @property
    def fixed_bytes(self) -> int:
        """The size of the first region."""
        size = self.regions[0].size
        assert isinstance(size, int)
        return aligned(size)

    @property
    def total(self) -> Dim:
        """The size, but for the rounding of symbolic parts."""
        total: Dim = self.fixed_bytes
        for region in self.regions[1:]:
            total = total + region.size + region.slack
        return total

    def summary(self) -> str:
        """Its size, and how much of it is needed at once."""
        said = f"arena: {self.total} bytes at the peak"
        if not self.slots:
            return said
        most = [str(size) for size in self.live[:MAX_SHOWN]] + ["..."] * (len(self.live) > MAX_SHOWN)
        largest = most[0] if len(most) == 1 else f"max({', '.join(most)})"
        return f"{said}, of which {largest} are live at once"

    def position(self, slot: Slot) -> str:
        """Where a slot starts."""
        unit = self.regions[slot.region].unit
        return str(slot.offset) if isinstance(unit, int) else f"{slot.offset} of the region of {unit}"


@dataclass(eq=False)
class Block:
    """Memory that must last from step `first` to step `last`, both included."""

    size: Dim
    first: int
    last: int
    #: Set by `pack`: the number of its slot.
    slot: int = -1


def aligned(size: int) -> int:
    """A size rounded up to whole cache lines."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def nominal(size: Dim) -> int:
    """A size where all symbols are `NOMINAL`."""
    return size if isinstance(size, int) else evaluate(size, dict.fromkeys(symbols(size), NOMINAL))


def factored(size: Dim) -> tuple[int, Dim]:
    """(c, u) with size = c u, c a positive integer and as large as can be.

    >>> from symgrad.dims import size
    >>> c, u = factored(4 * size("n") + 8)
    >>> print(c, u)
    4 n+2
    """
    if isinstance(size, int):
        return size, 1
    divisor = gcd(*[c for _, c in size.terms])
    return divisor, Size([(m, c // divisor) for m, c in size.terms])


def pack(blocks: Sequence[Block]) -> Arena:
    """Give every block its slot."""
    members: dict[Dim, list[tuple[Block, int]]] = {1: []}
    for block in blocks:
        count, unit = factored(block.size)
        members.setdefault(unit, []).append((block, count))
    regions: list[Region] = []
    slots: dict[Slot, int] = {}
    for unit, parts in members.items():
        place = _fixed if unit == 1 else _symbolic
        size, offsets, slacks, above = place([b for b, _ in parts], [c for _, c in parts])
        for (block, _), offset, slack in zip(parts, offsets, slacks, strict=True):
            slot = Slot(len(regions), offset * unit, block.size, slack)
            block.slot = slots.setdefault(slot, len(slots))
        regions.append(Region(unit, size * unit, above))
    return Arena(tuple(regions), tuple(slots), most_live(blocks))


#: Room, offsets, slacks, and the slack of the region.
Packed = tuple[int, list[int], list[int], int]


def _fixed(blocks: Sequence[Block], sizes: Sequence[int]) -> Packed:
    """Whole cache lines; blocks that are smaller, behind those, in words."""
    large = [i for i, size in enumerate(sizes) if size >= ALIGNMENT]
    small = [i for i, size in enumerate(sizes) if size < ALIGNMENT]
    offsets = [0] * len(sizes)
    end = 0
    for numbers, unit in ((large, ALIGNMENT), (small, _WORD)):
        found, room = packing.offsets(
            [(blocks[i].first, blocks[i].last) for i in numbers], [-(-sizes[i] // unit) for i in numbers]
        )
        for i, offset in zip(numbers, found, strict=True):
            offsets[i] = end + unit * offset
        end += unit * room
    return end, offsets, [0] * len(sizes), 0


def _symbolic(blocks: Sequence[Block], sizes: Sequence[int]) -> Packed:
    """Multiples of a unit that is not known. Rounding an offset up to a cache line may push a block into the
    next one, unless that begins a cache line further: the slack counts how often that can happen below it.

    Let A be the place of a block, o its offset and s its size times the unit. A = up(o) + 64 r with r greater
    than the r of all blocks below it that live at the same time; then A' + s' <= o' + 63 + 64 r' + s' <
    o + 64 (r' + 1) <= A. Where o' and s' are whole cache lines for any unit, r = r' is enough.
    """
    offsets, room = packing.offsets([(b.first, b.last) for b in blocks], sizes)
    slacks = [0] * len(sizes)
    if all(size % ALIGNMENT == 0 for size in sizes) or not any(offsets):
        return room, offsets, slacks, 0
    upwards = sorted(range(len(sizes)), key=lambda i: offsets[i])
    if len(sizes) > packing.MAX_BY_SIZE:
        rank = {offset: r for r, offset in enumerate(sorted(set(offsets)))}
        return room, offsets, [ALIGNMENT * rank[o] for o in offsets], ALIGNMENT * len(rank)
    above = numpy.zeros(max(b.last for b in blocks) + 1, numpy.int64)
    for i in upwards:
        span = slice(blocks[i].first, blocks[i].last + 1)
        rank_here = int(above[span].max())
        slacks[i] = ALIGNMENT * rank_here
        is_exact = offsets[i] % ALIGNMENT == 0 and sizes[i] % ALIGNMENT == 0
        above[span] = rank_here + (not is_exact)
    return room, offsets, slacks, max(slacks) + ALIGNMENT


# ---- liveness -----------------------------------------------------------------------------------------


def most_live(blocks: Sequence[Block]) -> tuple[Dim, ...]:
    """The sums of sizes that are live at once, without those that another one exceeds whatever the symbolic
    sizes are (which are not negative)."""
    changes: dict[int, list[tuple[Dim, int]]] = defaultdict(list)
    for block in blocks:
        count, unit = factored(block.size)
        changes[block.first].append((unit, count))
        changes[block.last + 1].append((unit, -count))
    live: dict[Dim, int] = defaultdict(int)
    front: list[dict[Dim, int]] = []
    for time in sorted(changes):
        for unit, count in changes[time]:
            live[unit] += count
        if any(count > 0 for _, count in changes[time]) and not any(_covers(f, live) for f in front):
            now = {unit: count for unit, count in live.items() if count}
            front = [f for f in front if not _covers(now, f)] + [now]
            if len(front) > MAX_SUMS:
                front.remove(min(front, key=lambda f: nominal(_sum(f))))
    sums = sorted({_sum(f) for f in front}, key=lambda s: (-nominal(s), str(s)))
    return tuple(sums) or (0,)


def _sum(counts: dict[Dim, int]) -> Dim:
    total: Dim = 0
    for unit, count in counts.items():
        total = total + count * unit
    return total


def _covers(a: dict[Dim, int], b: dict[Dim, int]) -> bool:
    return all(count <= a.get(unit, 0) for unit, count in b.items())


def peak(blocks: Sequence[Block]) -> int:
    """The most bytes that are live at once, with symbolic sizes taken as `NOMINAL`."""
    changes: dict[int, int] = defaultdict(int)
    for block in blocks:
        size = nominal(block.size)
        changes[block.first] += size
        changes[block.last + 1] -= size
    live = most = 0
    for time in sorted(changes):
        live += changes[time]
        most = max(most, live)
    return most
