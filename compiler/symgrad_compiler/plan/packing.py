"""Packing of memory: offsets for sizes that are numbers, so that what lives at once does not overlap.

To need the least room is NP-hard. Here are a few greedy ways, in n log n but for the last, which are for few
blocks.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy

#: The first and the last step of a life, both included.
Span: TypeAlias = tuple[int, int]
#: The most blocks that are packed by size, at a quadratic price; beyond, by time alone.
MAX_BY_SIZE = 2000


def offsets(spans: Sequence[Span], sizes: Sequence[int]) -> tuple[list[int], int]:
    """Offsets of blocks of these sizes, and the room that they take: the best of a few ways."""
    if not spans:
        return [], 0
    least = _least_room(spans, sizes)
    best = _by_time(spans, sizes)
    if best[1] > least and len(spans) <= MAX_BY_SIZE:
        lengths = [last - first for first, last in spans]
        for order in (
            sorted(range(len(sizes)), key=lambda i: (-sizes[i], -lengths[i], spans[i][0])),
            sorted(range(len(sizes)), key=lambda i: (-lengths[i], -sizes[i], spans[i][0])),
        ):
            best = min(best, _in_gaps(spans, sizes, order), key=lambda found: found[1])
            if best[1] == least:
                break
    return best


def _least_room(spans: Sequence[Span], sizes: Sequence[int]) -> int:
    changes: dict[int, int] = defaultdict(int)
    for (first, last), size in zip(spans, sizes, strict=True):
        changes[first] += size
        changes[last + 1] -= size
    live = most = 0
    for time in sorted(changes):
        live += changes[time]
        most = max(most, live)
    return most


def _by_time(spans: Sequence[Span], sizes: Sequence[int]) -> tuple[list[int], int]:
    """As a program allocates: each block takes the smallest hole that is large enough."""
    found = [0] * len(sizes)
    ending: dict[int, list[int]] = defaultdict(list)
    starting: dict[int, list[int]] = defaultdict(list)
    for i, (first, last) in enumerate(spans):
        starting[first].append(i)
        ending[last + 1].append(i)
    holes = _Holes()
    for time in sorted({*starting, *ending}):
        for i in ending[time]:
            holes.give(found[i], sizes[i])
        for i in sorted(starting[time], key=lambda i: -sizes[i]):
            found[i] = holes.take(sizes[i])
    return found, holes.end


class _Holes:
    """Free memory below `end`; neighbours are one hole."""

    def __init__(self) -> None:
        self.end = 0
        self._sized: list[tuple[int, int]] = []  # (size, start), sorted
        self._starts: dict[int, int] = {}  # start -> size
        self._ends: dict[int, int] = {}  # end -> size

    def take(self, size: int) -> int:
        at = bisect.bisect_left(self._sized, (size, -1))
        if at < len(self._sized):
            have, start = self._sized[at]
            self._remove(start, have)
            if have > size:
                self._add(start + size, have - size)
            return start
        start = self.end
        last = self._ends.get(self.end)
        if last is not None:  # the hole at the end grows
            start -= last
            self._remove(start, last)
        self.end = start + size
        return start

    def give(self, start: int, size: int) -> None:
        if not size:
            return
        before = self._ends.get(start)
        if before is not None:
            self._remove(start - before, before)
            start, size = start - before, size + before
        after = self._starts.get(start + size)
        if after is not None:
            self._remove(start + size, after)
            size += after
        self._add(start, size)

    def _add(self, start: int, size: int) -> None:
        bisect.insort(self._sized, (size, start))
        self._starts[start] = self._ends[start + size] = size

    def _remove(self, start: int, size: int) -> None:
        del self._sized[bisect.bisect_left(self._sized, (size, start))]
        del self._starts[start], self._ends[start + size]


def _in_gaps(spans: Sequence[Span], sizes: Sequence[int], order: Sequence[int]) -> tuple[list[int], int]:
    """One after the other, each into the smallest gap between the blocks placed before that live when it
    does."""
    count = len(sizes)
    first, last = (numpy.array(ends, numpy.int64) for ends in zip(*spans, strict=True))
    size = numpy.array(sizes, numpy.int64)
    placed: numpy.ndarray[Any, Any] = numpy.empty(count, numpy.int64)  # sorted by offset
    place = numpy.zeros(count, numpy.int64)
    top = 0
    for n, i in enumerate(order):
        others = placed[:n]
        others = others[(first[others] <= last[i]) & (last[others] >= first[i])]
        starts = place[others]
        free = numpy.maximum.accumulate(numpy.concatenate(([0], starts + size[others])))
        gaps = starts - free[:-1]
        fits = numpy.flatnonzero(gaps >= size[i])
        at = int(free[fits[numpy.argmin(gaps[fits])]]) if fits.size else int(free[-1])
        place[i] = at
        position = int(numpy.searchsorted(place[placed[:n]], at))
        placed[position + 1 : n + 1] = placed[position:n].copy()
        placed[position] = i
        top = max(top, at + sizes[i])
    return place.tolist(), top
