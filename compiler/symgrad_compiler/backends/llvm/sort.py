"""The indices that sort an axis, or those of some ranks: a stable merge sort of rows of integer keys with
their positions.

Floats become integers in the same order: where the sign bit is set, the others are flipped; -0 is made 0
first, and NaN the largest. Descending, all bits are flipped, which reverses the order of integers. So all
comparisons are of integers, and equal elements keep their order in either direction.

Runs of a few keys are sorted by insertion, then merged, two at a time, from one row of memory to another and
back. Two runs of equal length are merged from both ends at once, each end making half of the result: neither
can leave its run, so nothing is compared but keys, nothing branches, and the two chains overlap.

Where few positions are read, as of the largest ten, these alone are kept in order, and the others are
compared with the last of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgrad.dims import Dim
from symgrad.ops.strided import Strided
from symgrad_compiler.backends.llvm.ir import BITS, Function, Module, Value, literal
from symgrad_compiler.backends.llvm.lanes import memory_kind
from symgrad_compiler.backends.llvm.scalars import FLOATS, Code, kind_of
from symgrad_compiler.backends.llvm.steps import StepEmitter
from symgrad_compiler.plan.steps import Access, SortStep
from symgrad_runtime.native import INDEX_ERROR

#: The length of runs that are sorted by insertion.
RUN = 8

_ZERO, _ONE = literal(0, "i64"), literal(1, "i64")


def emit_sort(emitter: StepEmitter, step: SortStep) -> None:
    """`i32 name(ptr frame)`: each row of keys becomes integers with their positions, is sorted, and the
    positions are written."""
    f, code = emitter.f, emitter.code
    source, target = step.keys, step.out
    kind = memory_kind(kind_of(source.storage.dtype))
    key = kind_of(step.rows[0].dtype)
    first = None if step.first is None else literal(step.first, "i64")
    rows = [emitter.pointer(Access(r, Strided.contiguous((r.size,)))) for r in step.rows]
    length = emitter.sizes.extent(source.layout.shape[step.axis])
    ranks = step.ranks
    starts = [emitter.pointer(x) for x in (source, target, ranks) if x is not None]
    count = emitter.sizes.extent(target.layout.shape[step.axis])
    count = count if first is None else smaller(code, first, count)

    def others(values: Sequence[Dim]) -> list[Dim]:
        return [v for i, v in enumerate(values) if i != step.axis]

    def row(indices: list[Value]) -> None:
        here, there = (
            f.offset(start, emitter.position(others(access.layout.strides), indices), k)
            for start, access, k in zip(starts, (source, target), (kind, "i64"), strict=False)
        )
        from_step, to_step = (emitter.sizes(a.layout.strides[step.axis]) for a in (source, target))

        def key_of(i: Value) -> Value:
            value = f.load(f.offset(here, code.multiply(i, from_step), kind), kind)
            return sortable(code, value, step.descending)

        def prepare(i: Value, _: list[Value]) -> list[Value]:
            f.store(key_of(i), f.offset(rows[0], i, key))
            f.store(i, f.offset(rows[2], i, "i64"))
            return []

        def select(i: Value, _: list[Value]) -> list[Value]:
            """Insert an element into those kept, if it comes before the last of them or these are not all."""
            assert first is not None
            kept, value = smaller(code, i, first), key_of(i)
            last = f.load(f.offset(rows[0], code.subtract(first, _ONE), key), key)
            comes = code.logical_or(code.less(i, first), code.less(value, last))
            end = smaller(code, kept, code.subtract(first, _ONE))
            f.when(comes, lambda: _put(code, (rows[0], rows[2]), _ZERO, end, value, i))
            return []

        if first is None:
            function = _sort(emitter.module, key)
            f.loop(_ZERO, length, _ONE, [], prepare)
            listed = ", ".join(f"ptr {r.text}" for r in rows)
            found = f.volatile(f"call ptr @{function.name}({listed}, i64 {length.text})", "ptr")
        else:
            f.loop(_ZERO, length, _ONE, [], select)
            found = rows[2]

        def deliver(i: Value, _: list[Value]) -> list[Value]:
            position = f.load(f.offset(found, rank(i), "i64"), "i64")
            f.store(position, f.offset(there, code.multiply(i, to_step), "i64"))
            return []

        f.loop(_ZERO, count, _ONE, [], deliver)

    def rank(i: Value) -> Value:
        if ranks is None:
            return i
        at = code.multiply(i, emitter.sizes(ranks.layout.strides[0]))
        number = f.load(f.offset(starts[2], at, "i64"), "i64")
        outside = code.logical_or(code.less(number, _ZERO), code.less_equal(length, number))
        emitter.fail(outside, INDEX_ERROR, number, length)
        return number

    emitter.nest(others(source.layout.shape), row)
    emitter.finish()


def sortable(code: Code, x: Value, descending: bool) -> Value:
    """x as an integer, in the order of the sort."""
    if x.kind not in FLOATS:
        return code.bits_xor(x, code.constant(-1, x)) if descending else x
    size = BITS[x.kind]
    bits = code.bits(code.add(x, code.constant(0, x)), f"i{size}")
    sign = code.shift_right(bits, size - 1)
    key = code.bits_xor(bits, code.bits_and(sign, code.constant(2 ** (size - 1) - 1, bits)))
    if descending:
        key = code.bits_xor(key, code.constant(-1, key))
    return code.select(code.is_nan(x), code.constant(2 ** (size - 1) - 1, key), key)


# ---- a row ------------------------------------------------------------------------------------------


def _made(
    module: Module, name: str, result: str, parameters: str, body: Callable[[Function], None]
) -> Function:
    """A function of pointers and an i64 for each word of `parameters` behind them, made once in a module."""
    if name not in module.made:
        kinds = [("ptr" if p[0] == "@" else "i64", p.lstrip("@")) for p in parameters.split()]
        f = module.made[name] = module.function(name, [(p, k) for k, p in kinds], result)
        body(f)
    return module.made[name]


def _sort(module: Module, kind: str) -> Function:
    """ptr sort(a, b, p, q, n): sorts keys a with positions p, by way of b and q; the positions, p or q."""

    def body(f: Function) -> None:
        code = Code(f)
        a, b, p, q, n = f.parameters.values()
        insert, merge = _insert(module, kind), _merge(module, kind)

        def run(start: Value, _: list[Value]) -> list[Value]:
            stop = smaller(code, code.add(start, literal(RUN, "i64")), n)
            f.do(f"call void @{insert.name}(ptr {a.text}, ptr {p.text}, i64 {start.text}, i64 {stop.text})")
            return []

        f.loop(_ZERO, n, literal(RUN, "i64"), [], run)

        def level(now: list[Value]) -> list[Value]:
            width, a, b, p, q = now
            double = code.add(width, width)

            def pair(low: Value, _: list[Value]) -> list[Value]:
                middle, high = (smaller(code, code.add(low, w), n) for w in (width, double))
                pointers = ", ".join(f"ptr {v.text}" for v in (a, p, b, q))
                f.do(
                    f"call void @{merge.name}({pointers}, i64 {low.text}, i64 {middle.text}, i64 {high.text})"
                )
                return []

            f.loop(_ZERO, n, double, [], pair)
            return [double, b, a, q, p]

        last = f.repeat([literal(RUN, "i64"), a, b, p, q], lambda now: code.less(now[0], n), level)
        f.do(f"ret ptr {last[3].text}")

    return _made(module, f"sort.{kind}", "ptr", "@a @b @p @q n", body)


def smaller(code: Code, x: Value, y: Value) -> Value:
    return code.select(code.less(x, y), x, y)


def _insert(module: Module, kind: str) -> Function:
    """void insert(a, p, start, stop): sorts a run by insertion."""

    def body(f: Function) -> None:
        code = Code(f)
        a, p, start, stop = f.parameters.values()

        def element(i: Value, _: list[Value]) -> list[Value]:
            key, position = f.load(f.offset(a, i, kind), kind), f.load(f.offset(p, i, "i64"), "i64")
            _put(code, (a, p), start, i, key, position)
            return []

        f.loop(code.add(start, _ONE), stop, _ONE, [], element)
        f.do("ret void")

    return _made(module, f"insert.{kind}", "void", "@a @p start stop", body)


def _put(
    code: Code, rows: tuple[Value, Value], start: Value, place: Value, key: Value, position: Value
) -> None:
    """Insert a key with its position into rows that are in order from `start` on; those that come after it
    move up, the last of them to `place`."""
    f, (keys, positions) = code.f, rows

    def before(j: Value) -> Value:
        """The place before j; the first for the first."""
        return code.select(code.less(start, j), code.subtract(j, _ONE), start)

    def is_later(now: list[Value]) -> Value:
        (j,) = now
        behind = code.less(key, f.load(f.offset(keys, before(j), key.kind), key.kind))
        return code.logical_and(code.less(start, j), behind)

    def shift(now: list[Value]) -> list[Value]:
        (j,) = now
        i = before(j)
        f.store(f.load(f.offset(keys, i, key.kind), key.kind), f.offset(keys, j, key.kind))
        f.store(f.load(f.offset(positions, i, "i64"), "i64"), f.offset(positions, j, "i64"))
        return [i]

    (found,) = f.repeat([place], is_later, shift)
    f.store(key, f.offset(keys, found, key.kind))
    f.store(position, f.offset(positions, found, "i64"))


def _merge(module: Module, kind: str) -> Function:
    """void merge(a, p, b, q, low, middle, high): merges a[low:middle] and a[middle:high] into b[low:high]."""

    def body(f: Function) -> None:
        code = Code(f)
        a, p, b, q, low, middle, high = f.parameters.values()

        def key(i: Value) -> Value:
            return f.load(f.offset(a, i, kind), kind)

        def put(at: Value, value: Value, source: Value) -> None:
            f.store(value, f.offset(b, at, kind))
            f.store(f.load(f.offset(p, source, "i64"), "i64"), f.offset(q, at, "i64"))

        def copy(start: Value, stop: Value, to: Value) -> None:
            count = code.subtract(stop, start)
            _copy(f, f.offset(a, start, kind), f.offset(b, to, kind), count, kind)
            _copy(f, f.offset(p, start, "i64"), f.offset(q, to, "i64"), count, "i64")

        def front(i: Value, j: Value, at: Value) -> tuple[Value, Value]:
            """The smaller of two, the left of equal ones."""
            x, y = key(i), key(j)
            right = code.less(y, x)
            put(at, code.select(right, y, x), code.select(right, j, i))
            step = code.convert(right, "i64")
            return code.add(i, code.subtract(_ONE, step)), code.add(j, step)

        def back(i: Value, j: Value, at: Value) -> tuple[Value, Value]:
            """The larger of two, the right of equal ones."""
            x, y = key(i), key(j)
            left = code.less(y, x)
            put(at, code.select(left, x, y), code.select(left, i, j))
            step = code.convert(left, "i64")
            return code.subtract(i, step), code.subtract(j, code.subtract(_ONE, step))

        def from_both_ends() -> None:
            ends = [low, middle, code.subtract(middle, _ONE), code.subtract(high, _ONE)]

            def both(k: Value, now: list[Value]) -> list[Value]:
                i, j, u, v = now
                return [
                    *front(i, j, code.add(low, k)),
                    *back(u, v, code.subtract(code.subtract(high, _ONE), k)),
                ]

            f.loop(_ZERO, code.subtract(middle, low), _ONE, ends, both)

        def from_the_front() -> None:
            def inside(now: list[Value]) -> Value:
                return code.logical_and(code.less(now[0], middle), code.less(now[1], high))

            def one(now: list[Value]) -> list[Value]:
                i, j, at = now
                return [*front(i, j, at), code.add(at, _ONE)]

            i, j, at = f.repeat([low, middle, low], inside, one)
            left = code.less(i, middle)
            copy(code.select(left, i, j), code.select(left, middle, high), at)

        def merge() -> None:
            even = code.equal(code.subtract(middle, low), code.subtract(high, middle))
            f.either(even, from_both_ends, from_the_front)

        def in_order() -> Value:
            return code.less_equal(key(code.subtract(middle, _ONE)), key(middle))

        alone = code.less_equal(high, middle)
        sorted_ = f.choose(alone, lambda: literal(1, "i1"), in_order)
        f.either(sorted_, lambda: copy(low, high, low), merge)
        f.do("ret void")

    return _made(module, f"merge.{kind}", "void", "@a @p @b @q low middle high", body)


def _copy(f: Function, source: Value, target: Value, count: Value, kind: str) -> None:
    f.module.declare("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1 immarg)")
    size = f.emit(f"mul i64 {count.text}, {max(BITS[kind] // 8, 1)}", "i64")
    f.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {target.text}, ptr {source.text}, i64 {size.text}, i1 false)")
