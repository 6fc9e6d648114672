"""What `profile` measures, the same for both backends: pieces of a program and their times, run by run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from symgrad.locks import Lock
from symgrad_compiler.backends.limits import Limits

#: Runs before those that count.
WARM_UP = 2
_one_at_a_time = Lock()


@dataclass(frozen=True)
class Piece:
    """What one clock measures: a step; a step inside a loop over rows, which the loop's time includes."""

    #: As `plan()` counts: "2"; "2.0" in a loop.
    number: str
    what: str
    #: As `plan()` has them, for the sizes of the call: an elementary function of an element is one.
    flops: int
    #: About how many multiplications with an addition, of float64, that takes.
    operations: float
    #: Memory that is read and written.
    bytes: int
    #: The limits of what runs it.
    limits: Limits
    is_part: bool = False


@dataclass(frozen=True)
class Measured:
    """Nanoseconds, run by run: of each piece, and of whole calls."""

    backend: str
    pieces: tuple[Piece, ...]
    times: tuple[tuple[int, ...], ...]
    calls: tuple[int, ...]


def runs(
    once: Callable[[], int], times: Any, repeat: int
) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """The times of `repeat` calls: `once` calls and says how long that took; what its pieces took it adds to
    `times`. One measurement at a time."""
    pieces, calls = [], []
    with _one_at_a_time:
        for number in range(WARM_UP + repeat):
            for i in range(len(times)):
                times[i] = 0
            took = once()
            if number >= WARM_UP:
                pieces.append(tuple(int(t) for t in times))
                calls.append(took)
    return tuple(pieces), tuple(calls)
