"""Orders of tasks that need little memory at once.

A task touches pieces of memory; a piece is live from the first task that touches it to the last. Two greedy
ways through the tasks, both in n log n:

    eager   run at once what frees at least as much as it takes, most first; else what comes next
    lazy    the same backwards in time: what takes more than it frees waits until its results are needed

Neither is best in general (the problem is NP-hard), so the peaks are compared, and a given order stays unless
another one has a lower peak.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

#: With more tasks, only one way of each kind is tried.
MANY = 2_000


@dataclass
class Tasks:
    """Tasks 0, 1, ... in a given order that is possible; `before[i]` must run before i."""

    before: list[list[int]] = field(default_factory=list)
    #: The pieces of memory that each task touches, each once.
    touches: list[list[int]] = field(default_factory=list)
    #: Which tasks may write over what they free.
    in_place: list[bool] = field(default_factory=list)
    #: Bytes of each piece.
    sizes: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.before)


def orders(tasks: Tasks) -> Iterator[list[int]]:
    """Possible orders, the given one first."""
    given = list(range(len(tasks)))
    yield given
    eager_order, lazy_order = eager(tasks, given), lazy(tasks, given)
    yield eager_order
    yield lazy_order
    if len(tasks) <= MANY:
        yield eager(tasks, lazy_order)
        yield lazy(tasks, eager_order)


def best(tasks: Tasks) -> list[int]:
    """The order with the lowest peak; the first of those."""
    return min(orders(tasks), key=lambda order: peak(tasks, order))


def peak(tasks: Tasks, order: Sequence[int]) -> int:
    """The most bytes that are live at once."""
    return max(live(tasks, order), default=0)


def live(tasks: Tasks, order: Sequence[int]) -> list[int]:
    """The bytes that are live while each task of the order runs."""
    users = [0] * len(tasks.sizes)
    for touched in tasks.touches:
        for piece in touched:
            users[piece] += 1
    left = list(users)
    now = 0
    amounts: list[int] = []
    for task in order:
        taken = freed = 0
        for piece in tasks.touches[task]:
            if left[piece] == users[piece]:
                taken += tasks.sizes[piece]
            left[piece] -= 1
            if not left[piece]:
                freed += tasks.sizes[piece]
        amounts.append(now + taken - (min(taken, freed) if tasks.in_place[task] else 0))
        now += taken - freed
    return amounts


def eager(tasks: Tasks, order: Sequence[int]) -> list[int]:
    """Tasks that do not make memory grow run as soon as they may, the others in the given order."""
    return _greedy(tasks.before, _after(tasks.before), tasks, order)


def lazy(tasks: Tasks, order: Sequence[int]) -> list[int]:
    """As `eager`, backwards in time."""
    return _greedy(_after(tasks.before), tasks.before, tasks, order[::-1])[::-1]


def _after(before: Sequence[Sequence[int]]) -> list[list[int]]:
    after: list[list[int]] = [[] for _ in before]
    for task, earlier in enumerate(before):
        for other in earlier:
            after[other].append(task)
    return after


def _greedy(
    before: Sequence[Sequence[int]], after: Sequence[Sequence[int]], tasks: Tasks, order: Sequence[int]
) -> list[int]:
    position = [0] * len(order)
    for at, task in enumerate(order):
        position[task] = at
    users: list[list[int]] = [[] for _ in tasks.sizes]
    for task, touched in enumerate(tasks.touches):
        for piece in touched:
            users[piece].append(task)
    left = [len(u) for u in users]
    growth = [sum(tasks.sizes[p] * (1 - (left[p] == 1)) for p in touched) for touched in tasks.touches]
    waiting = [len(b) for b in before]
    done = [False] * len(order)
    ready: list[tuple[int, int]] = []
    harmless: list[tuple[int, int]] = []

    def offer(task: int) -> None:
        if waiting[task] or done[task]:
            return
        if growth[task] <= 0:
            heapq.heappush(harmless, (growth[task], position[task]))
        else:
            heapq.heappush(ready, (0, position[task]))

    for task in order:
        offer(task)
    found: list[int] = []
    while harmless or ready:
        task = order[heapq.heappop(harmless or ready)[1]]
        if done[task]:
            continue
        done[task] = True
        found.append(task)
        changed: set[int] = set()
        for piece in tasks.touches[task]:
            size = tasks.sizes[piece]
            if left[piece] == len(users[piece]):  # live from now on
                for user in users[piece]:
                    growth[user] -= size
                changed.update(users[piece])
            left[piece] -= 1
            if left[piece] == 1:
                (last,) = [user for user in users[piece] if not done[user]]
                growth[last] -= size
                changed.add(last)
        for user in sorted(changed):
            if growth[user] <= 0:
                offer(user)
        for other in after[task]:
            waiting[other] -= 1
            offer(other)
    assert len(found) == len(order)
    return found
