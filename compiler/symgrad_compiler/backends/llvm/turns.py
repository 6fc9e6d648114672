"""Elements of memory that take turns: every second, third or fourth one into the lanes of a vector, and
vectors that together fill memory without gaps.

    loads     what lies between is loaded as well, and shuffled away: a gather takes many times as long
    stores    of each residue there is a vector; they are shuffled into one run of memory

No element beyond the last one asked for is touched. Masks are as the kernels make them: the first lanes.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgrad_compiler.backends.llvm.axes import Stream
from symgrad_compiler.backends.llvm.ir import BITS, Value, type_suffix, vector_type
from symgrad_compiler.backends.llvm.scalars import Code

#: The largest distance of elements that is worth it.
MOST_APART = 4


def takes_turns(stride: Value, kind: str, mask: Value | None) -> bool:
    """Whether elements so far apart are read by shuffles: of bytes and half words, whole vectors."""
    number = stride.number
    return isinstance(number, int) and 2 <= number <= MOST_APART and (mask is None or BITS[kind] in (32, 64))


def load_apart(code: Code, at: Value, stride: int, kind: str, lanes: int, mask: Value | None) -> Value:
    """The elements at `at`, `at + stride`, ...: of vectors in a row, up to the last one."""
    last = (lanes - 1) * stride
    starts = [*range(0, (stride - 1) * lanes, lanes), last + 1 - lanes]
    pieces = [_load(code, at, start, stride, kind, lanes, mask) for start in starts]
    found = shuffled(
        code, pieces[0], pieces[0], [i * stride if i * stride < lanes else None for i in range(lanes)]
    )
    for start, piece in zip(starts[1:], pieces[1:], strict=True):  # lane i is element i stride
        there = [i * stride - start for i in range(lanes)]
        order = [lanes + j if 0 <= j < lanes else i for i, j in enumerate(there)]
        found = shuffled(code, found, piece, order)
    return found


def _load(code: Code, at: Value, start: int, stride: int, kind: str, lanes: int, mask: Value | None) -> Value:
    """`lanes` elements in a row from `start`, as far as one asked for is behind them."""
    f, type_, align = code.f, vector_type(kind, lanes), BITS[kind] // 8
    pointer = f.field(at, start * align) if start else at
    if mask is None:
        return f.volatile(f"load {type_}, ptr {pointer.text}, align {align}", kind, lanes)
    needed = [min(-(-(start + j) // stride), lanes) for j in range(lanes)]  # beyond the lanes: none
    inside = _shuffle_mask(code, mask, needed)
    name = f"llvm.masked.load.v{lanes}{type_suffix(kind)}.p0"
    f.module.declare(f"declare {type_} @{name}(ptr, i32 immarg, <{lanes} x i1>, {type_})")
    listed = f"ptr {pointer.text}, i32 {align}, {inside.type} {inside.text}, {type_} zeroinitializer"
    return f.volatile(f"call {type_} @{name}({listed})", kind, lanes)


def store_in_turns(code: Code, values: Sequence[Value], at: Value, lanes: int, mask: Value | None) -> None:
    """Lane i of value r becomes element i * len(values) + r from `at`."""
    f, count = code.f, len(values)
    values = [code.splat(v, lanes) for v in values]
    kind, total = values[0].kind, count * lanes
    if count == 2:
        order = [r * lanes + i for i in range(lanes) for r in range(2)]
        whole = shuffled(code, values[0], values[1], order)
    else:
        pairs = [
            shuffled(code, values[r], values[min(r + 1, count - 1)], list(range(2 * lanes))) for r in (0, 2)
        ]
        whole = shuffled(
            code, pairs[0], pairs[1], [r * lanes + i for i in range(lanes) for r in range(count)]
        )
    align = BITS[kind] // 8
    if mask is None:
        f.do(f"store {whole.type} {whole.text}, ptr {at.text}, align {align}")
        return
    inside = _shuffle_mask(code, mask, [i // count for i in range(total)])
    name = f"llvm.masked.store.v{total}{type_suffix(kind)}.p0"
    f.module.declare(f"declare void @{name}({whole.type}, ptr, i32 immarg, <{total} x i1>)")
    listed = f"{whole.type} {whole.text}, ptr {at.text}, i32 {align}, {inside.type} {inside.text}"
    f.do(f"call void @{name}({listed})")


def groups(streams: Sequence[Stream], axis: int) -> dict[Stream, tuple[Stream, ...]]:
    """The streams, by each of them, that together fill memory without gaps along an axis."""
    found: dict[Stream, tuple[Stream, ...]] = {}
    for first in streams:
        count = first.strides[axis]
        if not isinstance(count, int) or not 2 <= count <= MOST_APART or BITS[first.kind] not in (32, 64):
            continue
        alike = [
            s for s in streams if s not in found and s.storage is first.storage and s.strides == first.strides
        ]
        by_residue = {s.offset - first.offset: s for s in alike}
        row = [by_residue.get(r) for r in range(count)]
        together = tuple(s for s in row if s is not None)
        if len(together) == count and len(alike) == len(by_residue):
            found.update(dict.fromkeys(together, together))
    return found


def shuffled(code: Code, x: Value, y: Value, chosen: Sequence[int | None]) -> Value:
    """Lanes of two vectors, numbered through; None for any."""
    listed = ", ".join("i32 poison" if c is None else f"i32 {c}" for c in chosen)
    expression = f"shufflevector {x.type} {x.text}, {y.type} {y.text}, <{len(chosen)} x i32> <{listed}>"
    return code.f.emit(expression, x.kind, len(chosen))


def _shuffle_mask(code: Code, mask: Value, order: Sequence[int]) -> Value:
    """Lanes of a mask by number; a number beyond them is false."""
    numbers = ", ".join(f"i32 {i}" for i in order)
    nothing = f"{mask.type} zeroinitializer"
    expression = f"shufflevector {mask.type} {mask.text}, {nothing}, <{len(order)} x i32> <{numbers}>"
    return code.f.emit(expression, "i1", len(order))
