"""The sums of the lanes of several registers, put side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from symgrad_compiler.backends.llvm.ir import Value
from symgrad_compiler.backends.llvm.scalars import Code
from symgrad_compiler.backends.llvm.turns import shuffled

#: A register, by its number, and a lane of it.
Place: TypeAlias = tuple[int, int]


def totals(code: Code, registers: Sequence[Value]) -> list[Value]:
    """The sum of the lanes of each: halves of pairs are put side by side and added, until a register holds as
    many totals as it has lanes. Where each ends, `places` says."""
    lanes = registers[0].lanes
    parts, width = list(registers), lanes
    while width > 1:  # each register holds lanes / width values, in `width` lanes each
        half = width // 2
        made = []
        for i in range(0, len(parts), 2):
            x, y = parts[i], parts[min(i + 1, len(parts) - 1)]
            low = _lower_halves(lanes, width)
            high = [k + half for k in low]
            made.append(code.add(shuffled(code, x, y, low), shuffled(code, x, y, high)))
        parts, width = made, half
    return parts


def places(count: int, lanes: int) -> list[Place]:
    """Where the totals of so many registers end."""
    holds, width = [[i] * lanes for i in range(count)], lanes
    while width > 1:
        made = []
        for i in range(0, len(holds), 2):
            both = holds[i] + holds[min(i + 1, len(holds) - 1)]
            made.append([both[k] for k in _lower_halves(lanes, width)])
        holds, width = made, width // 2
    return [
        next((r, lane) for r, held in enumerate(holds) for lane in range(lanes) if held[lane] == number)
        for number in range(count)
    ]


def _lower_halves(lanes: int, width: int) -> list[int]:
    """Of two registers cut into pieces of `width` lanes, the lanes of the lower half of each."""
    return [k for k in range(2 * lanes) if k % width < width // 2]


def side_by_side(code: Code, registers: Sequence[Value], run: Sequence[Place]) -> Value:
    """Lanes of registers in the first lanes of one."""
    lanes = registers[0].lanes
    rest = [None] * (lanes - len(run))
    first, *others = sorted({register for register, _ in run})
    found: list[int | None] = [lane if register == first else None for register, lane in run]
    value = registers[first]
    for other in others or [first]:
        for place, (register, lane) in enumerate(run):
            if register == other != first:
                found[place] = lanes + lane
        value = shuffled(code, value, registers[other], [*found, *rest])
        found = list(range(len(run)))
    return value
