"""Elements of memory in the lanes of vectors: loads and stores, side by side or apart, masked or not."""

from __future__ import annotations

from collections.abc import Sequence

from symgrad_compiler.backends.llvm import turns
from symgrad_compiler.backends.llvm.ir import BITS, LLVM_TYPES, Value, literal, type_suffix, vector_type
from symgrad_compiler.backends.llvm.scalars import Code

#: Bytes of results from which they are written past the caches: those of a last-level cache's share.
STREAMED = 16 * 1024 * 1024


def lane_numbers(lanes: int, kind: str = "i64") -> Value:
    """0, 1, 2, ..."""
    return Value(f"<{', '.join(f'{kind} {i}' for i in range(lanes))}>", kind, lanes)


def lane_mask(code: Code, index: Value, stop: Value, lanes: int) -> Value:
    """The lanes of a vector at `index` that lie before `stop`."""
    f = code.f
    left = f.emit(f"sub i64 {stop.text}, {index.text}", "i64")
    short = f.emit(f"trunc i64 {left.text} to i32", "i32")
    full = f.emit(f"icmp sgt i64 {left.text}, {lanes}", "i1")
    count = f.emit(f"select i1 {full.text}, i32 {lanes}, i32 {short.text}", "i32")
    steps = ", ".join(f"i32 {i}" for i in range(lanes))
    counts = code.splat(count, lanes)
    return f.emit(f"icmp ult <{lanes} x i32> <{steps}>, {counts.text}", "i1", lanes)


def read(code: Code, at: Value, stride: Value, kind: str, lanes: int, mask: Value | None) -> Value:
    """The elements at `at`, `at + stride`, ...: one for all lanes where the stride is 0."""
    memory = memory_kind(kind)
    if stride.number == 0:
        return _from_memory(code, code.f.load(at, memory), kind)
    if stride.number == 1:
        return _from_memory(code, _load(code, at, memory, lanes, mask), kind)
    if turns.takes_turns(stride, memory, mask):
        apart = int(stride.number)  # type: ignore[arg-type]
        return _from_memory(code, turns.load_apart(code, at, apart, memory, lanes, mask), kind)
    return gather(code, at, code.multiply(lane_numbers(lanes), stride), kind, mask)


def _load(code: Code, at: Value, kind: str, lanes: int, mask: Value | None) -> Value:
    f, type_, align = code.f, vector_type(kind, lanes), BITS[kind] // 8
    if mask is None:
        return f.volatile(f"load {type_}, ptr {at.text}, align {align}", kind, lanes)
    name = f"llvm.masked.load.v{lanes}{type_suffix(kind)}.p0"
    f.module.declare(f"declare {type_} @{name}(ptr, i32 immarg, <{lanes} x i1>, {type_})")
    listed = f"ptr {at.text}, i32 {align}, {mask.type} {mask.text}, {type_} zeroinitializer"
    return frozen(code, f.volatile(f"call {type_} @{name}({listed})", kind, lanes))


def frozen(code: Code, loaded: Value) -> Value:
    """What was loaded, where and as it was: LLVM makes one load with a mask of a load and the selection that
    alone uses it; and LLVM 22 puts a load with a mask to the selection by that mask, behind stores to the
    same memory (LLVM issue 215453)."""
    return code.f.volatile(f"freeze {loaded.type} {loaded.text}", loaded.kind, loaded.lanes)


def gather(code: Code, at: Value, steps: Value, kind: str, mask: Value | None) -> Value:
    """The elements at distances `steps` from `at`."""
    f, lanes, memory = code.f, steps.lanes, memory_kind(kind)
    pointers = _pointers(code, at, steps, memory)
    type_ = vector_type(memory, lanes)
    name = f"llvm.masked.gather.v{lanes}{type_suffix(memory)}.v{lanes}p0"
    f.module.declare(f"declare {type_} @{name}(<{lanes} x ptr>, i32 immarg, <{lanes} x i1>, {type_})")
    mask = mask or literal(1, "i1", lanes)
    listed = f"{pointers.type} {pointers.text}, i32 {BITS[memory] // 8}, {mask.type} {mask.text}"
    loaded = f.volatile(f"call {type_} @{name}({listed}, {type_} zeroinitializer)", memory, lanes)
    return _from_memory(code, frozen(code, loaded), kind)


def is_streamed(code: Code, starts: Sequence[Value], size: Value, register: int) -> Value:
    """Whether what is written from `starts` on goes past the caches: so many bytes are more than they hold,
    and whole registers fit."""
    f, addresses = code.f, literal(0, "i64")
    for start in starts:
        address = f.emit(f"ptrtoint ptr {start.text} to i64", "i64")
        addresses = f.emit(f"or i64 {addresses.text}, {address.text}", "i64")
    rest = f.emit(f"and i64 {addresses.text}, {register - 1}", "i64")
    fits = f.emit(f"icmp eq i64 {rest.text}, 0", "i1")
    return code.logical_and(fits, code.less(literal(STREAMED, "i64"), size))


def write_past_caches(code: Code, value: Value, at: Value, lanes: int, register: int) -> None:
    """Store lanes at `at`, which whole registers fit, in memory that nothing reads soon: the lines that they
    fill are not read first."""
    f = code.f
    value = code.splat(value, lanes)
    f.module.declare("!0 = !{i32 1}")
    f.do(f"store {value.type} {value.text}, ptr {at.text}, align {register}, !nontemporal !0")


def write(code: Code, value: Value, at: Value, stride: Value, lanes: int, mask: Value | None) -> None:
    """Store lanes at `at`, `at + stride`, ..."""
    f = code.f
    value = code.convert(value, "u8") if value.kind == "i1" else value
    if lanes == 1:
        f.store(value, at)
        return
    value = code.splat(value, lanes)
    align = BITS[value.kind] // 8
    if stride.number == 1 and mask is None:
        f.do(f"store {value.type} {value.text}, ptr {at.text}, align {align}")
        return
    if stride.number == 2 and mask is None:  # two vectors with every second lane
        for half, start in enumerate((0, lanes // 2)):
            chosen = [None if i % 2 else start + i // 2 for i in range(lanes)]
            spaced = turns.shuffled(code, value, value, chosen)
            even = Value(f"<{', '.join(f'i1 {1 - i % 2}' for i in range(lanes))}>", "i1", lanes)
            write(
                code,
                spaced,
                f.offset(at, literal(half * lanes, "i64"), value.kind),
                literal(1, "i64"),
                lanes,
                even,
            )
        return
    mask = mask or literal(1, "i1", lanes)
    if stride.number == 1:
        name, where = f"llvm.masked.store.v{lanes}{type_suffix(value.kind)}.p0", at
    else:
        name = f"llvm.masked.scatter.v{lanes}{type_suffix(value.kind)}.v{lanes}p0"
        where = _pointers(code, at, code.multiply(lane_numbers(lanes), stride), value.kind)
    f.module.declare(f"declare void @{name}({value.type}, {where.type}, i32 immarg, <{lanes} x i1>)")
    listed = f"{value.type} {value.text}, {where.type} {where.text}, i32 {align}, {mask.type} {mask.text}"
    f.do(f"call void @{name}({listed})")


def _pointers(code: Code, at: Value, steps: Value, kind: str) -> Value:
    lanes = steps.lanes
    expression = f"getelementptr {LLVM_TYPES[kind]}, ptr {at.text}, <{lanes} x i64> {steps.text}"
    return code.f.emit(expression, "ptr", lanes)


def _from_memory(code: Code, value: Value, kind: str) -> Value:
    """Booleans are bytes in memory."""
    return code.convert(value, "i1") if kind == "i1" else Value(value.text, kind, value.lanes)


def memory_kind(kind: str) -> str:
    """How a kind lies in memory."""
    return "u8" if kind == "i1" else kind
