"""Tables in memory, where registers have no room for them: vectors of 4 float64 on AVX2.

Its instructions that gather take twelve cycles and more. Instead each lane loads its row, two numbers at a
time, and these are turned into columns: an exchange of halves and one of neighbours for two columns.
"""

from __future__ import annotations

import numpy

from symgrad_compiler.backends.llvm.ir import Value, vector_type
from symgrad_compiler.backends.llvm.scalars import Code

_LANES = 4


def holds_rows(b: Code, x: Value) -> bool:
    """Whether rows are looked up by elements like x."""
    return b.machine.has_avx2 and x.kind == "f64" and x.lanes % _LANES == 0


def columns(b: Code, index: Value, name: str, table: numpy.ndarray) -> list[Value]:
    """table[index], a vector for each of an even number of columns; the index is in the table."""
    width = table.shape[1]
    listed = "\\" + table.tobytes().hex("\\")
    b.f.module.declare(f'@{name} = internal constant [{table.nbytes} x i8] c"{listed}", align 16')
    starts = [_row(b, index, lane, name, width) for lane in range(index.lanes)]
    parts = [_turned(b, starts[i : i + _LANES], width) for i in range(0, index.lanes, _LANES)]
    return [_joined(b, [part[column] for part in parts]) for column in range(width)]


def _row(b: Code, index: Value, lane: int, name: str, width: int) -> Value:
    number = b.f.emit(f"extractelement {index.type} {index.text}, i64 {lane}", "i64")
    return b.f.emit(f"getelementptr [{width} x double], ptr @{name}, i64 {number.text}", "ptr")


def _turned(b: Code, rows: list[Value], width: int) -> list[Value]:
    """The columns of 4 rows."""
    found = []
    for column in range(0, width, 2):
        pairs = []
        for row in rows:
            at = b.f.emit(f"getelementptr double, ptr {row.text}, i64 {column}", "ptr")
            pairs.append(b.f.emit(f"load <2 x double>, ptr {at.text}, align 16", "f64", 2))
        low, high = (_shuffled(b, pairs[i], pairs[i + 2], (0, 1, 2, 3)) for i in (0, 1))
        found += [_shuffled(b, low, high, chosen) for chosen in ((0, 4, 2, 6), (1, 5, 3, 7))]
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
