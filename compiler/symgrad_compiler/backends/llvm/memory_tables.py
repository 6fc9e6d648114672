"""Tables in memory, where registers have no room for them.

The instructions of AVX2 that gather take twelve cycles and more, SSE2 and NEON have none. Instead each lane
loads its row, two numbers at a time, and these are turned into columns: for two columns of four rows an
exchange of halves and one of neighbours.
"""

from __future__ import annotations

import numpy

from symgrad_compiler.backends.llvm.ir import Value, vector_type
from symgrad_compiler.backends.llvm.scalars import Code


def columns(b: Code, index: Value, name: str, table: numpy.ndarray) -> list[Value]:
    """table[index], a value for each of an even number of columns; the index is in the table."""
    width = table.shape[1]
    listed = "\\" + table.tobytes().hex("\\")
    b.f.module.declare(f'@{name} = internal constant [{table.nbytes} x i8] c"{listed}", align 16')
    starts = [_row(b, index, lane, name, width) for lane in range(index.lanes)]
    if len(starts) == 1:
        return [b.f.emit(f"load double, ptr {_at(b, starts[0], i).text}", "f64") for i in range(width)]
    size = 4 if len(starts) % 4 == 0 else 2
    parts = [_turned(b, starts[i : i + size], width) for i in range(0, index.lanes, size)]
    return [_joined(b, [part[column] for part in parts]) for column in range(width)]


def _row(b: Code, index: Value, lane: int, name: str, width: int) -> Value:
    number = index
    if index.lanes > 1:
        number = b.f.emit(f"extractelement {index.type} {index.text}, i64 {lane}", "i64")
    return b.f.emit(f"getelementptr [{width} x double], ptr @{name}, i64 {number.text}", "ptr")


def _at(b: Code, row: Value, column: int) -> Value:
    return b.f.emit(f"getelementptr double, ptr {row.text}, i64 {column}", "ptr")


def _turned(b: Code, rows: list[Value], width: int) -> list[Value]:
    """The columns of 4 rows, or of 2."""
    found = []
    for column in range(0, width, 2):
        pairs = []
        for row in rows:
            at = _at(b, row, column)
            pairs.append(b.f.emit(f"load <2 x double>, ptr {at.text}, align 16", "f64", 2))
        if len(rows) == 4:
            pairs = [_shuffled(b, pairs[i], pairs[i + 2], (0, 1, 2, 3)) for i in (0, 1)]
        first, second = pairs
        for side in (0, 1):
            chosen = (i + side + other for i in range(0, len(rows), 2) for other in (0, len(rows)))
            found.append(_shuffled(b, first, second, tuple(chosen)))
    return found


def _joined(b: Code, parts: list[Value]) -> Value:
    while len(parts) > 1:
        lanes = range(2 * parts[0].lanes)
        parts = [_shuffled(b, x, y, tuple(lanes)) for x, y in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def _shuffled(b: Code, x: Value, y: Value, chosen: tuple[int, ...]) -> Value:
    listed = ", ".join(f"i32 {i}" for i in chosen)
    text = f"shufflevector {x.type} {x.text}, {y.type} {y.text}, {vector_type('i32', len(chosen))} <{listed}>"
    return b.f.emit(text, x.kind, len(chosen))
