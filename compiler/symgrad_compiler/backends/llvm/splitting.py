"""Steps that threads share: functions over a range of pieces, and their calls through the pool.

    void <step>.range(ptr frame, ptr places, ptr own, i64 start, i64 stop)
    void <step>(ptr frame[, ptr places])      calls it for all, by `parallel` of `pool.py`

A kernel is split along its outermost loop, if that is no reduction; a loop over rows by its chunks. Results
do not depend on how: whatever is added up, is added up in blocks that follow from sizes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgrad.dims import Dim, product
from symgrad_compiler.backends.llvm.frame import POOL, PRODUCTS, Frame, frame_word
from symgrad_compiler.backends.llvm.ir import Function, Module, Value, literal
from symgrad_compiler.backends.llvm.pool import SPLIT_FROM
from symgrad_compiler.backends.llvm.sizes import Sizes
from symgrad_compiler.plan.arena import ALIGNMENT
from symgrad_compiler.plan.steps import (
    CHUNK,
    IOTA,
    ROW,
    ROWS,
    FillStep,
    Kernel,
    MatMulStep,
    RowLoop,
    RowStep,
    Storage,
)
from symgrad_runtime.threads import PARALLEL

#: The parameters of a function over a range.
RANGE = [("frame", "ptr"), ("places", "ptr"), ("own", "ptr"), ("start", "i64"), ("stop", "i64")]
#: Frames up to this many words are copied by each thread that runs a loop over rows.
MOST_WORDS = 16384


def step_work(step: RowStep) -> Dim:
    """About how many simple operations a kernel takes, loads and stores included."""
    if isinstance(step, FillStep):
        return product(step.out.layout.shape)
    if isinstance(step, MatMulStep):
        return product(step.out.layout.shape) * step.a.layout.shape[-1]
    streams = len(step.sources) + len(step.gathers) + len(step.stores) + len(step.scatters)
    return product(step.space) * (step.weight + 1 + 2 * streams)


def may_gain(work: Dim) -> bool:
    """Whether threads could gain on so much work."""
    return not isinstance(work, int) or work >= SPLIT_FROM


def call_split(
    f: Function, name: str, places: Value, total: Value, unit: int, work: Value, scratch: Value
) -> None:
    """Call `name`, a function over a range, on all of range(total)."""
    frame = f.parameters["frame"]
    pool = f.load(f.field(frame, 8 * POOL), "ptr")
    function = f.load(f.field(pool, PARALLEL), "ptr")
    f.do(
        f"call void {function.text}(ptr {pool.text}, ptr @{name}, ptr {frame.text}, ptr {places.text}, "
        f"i64 {total.text}, i64 {unit}, i64 {work.text}, i64 {scratch.text})"
    )


def emit_kernel_call(
    module: Module, frame: Frame, kernel: Kernel, name: str, is_shared: bool, extent: Dim, unit: int
) -> None:
    """The function that calls `<name>.range` for all of the outermost loop."""
    parameters = [("frame", "ptr"), ("places", "ptr")] if is_shared else [("frame", "ptr")]
    f = module.function(name, parameters)
    sizes = _sizes(f, frame)
    places = f.parameters["places"] if is_shared else Value("null", "ptr")
    work = sizes(step_work(kernel))
    call_split(f, f"{name}.range", places, sizes.extent(extent), unit, work, literal(0, "i64"))
    f.do("ret void")


def _sizes(f: Function, frame: Frame) -> Sizes:
    """Sizes, read from the frame."""
    return Sizes(f, lambda name: frame_word(f, frame.size_word(name), "i64"))


# ---- loops over rows ----------------------------------------------------------------------------------


def emit_rows(
    module: Module, frame: Frame, loop: RowLoop, name: str, calls: Sequence[str], flag: int | None = None
) -> None:
    """The functions of a loop over rows, whose body is `calls`. Each thread has a frame of its own, for what
    the loop sets, and for the places of what lives in a block. `flag` is a word that the body may set, which
    the call's frame then has."""
    copies = frame.words <= MOST_WORDS
    _emit_range(module, frame, loop, f"{name}.range", calls, copies, flag)
    f = module.function(name, [("frame", "ptr")])
    sizes = _sizes(f, frame)
    chunks = _chunks(f, sizes, loop)
    null = Value("null", "ptr")
    work: Dim = 0
    for step in loop.whole:
        work = work + step_work(step)
    if copies and loop.splits and may_gain(work):
        scratch = _own(f, sizes, frame, loop, lambda word, offset: None)
        call_split(f, f"{name}.range", null, chunks, 1, sizes(work), scratch)
    else:
        listed = f"ptr %frame, ptr null, ptr null, i64 0, i64 {chunks.text}"
        f.do(f"call void @{name}.range({listed})")
    f.do("ret void")


def _chunks(f: Function, sizes: Sizes, loop: RowLoop) -> Value:
    rows, chunk = sizes.extent(loop.rows), sizes(loop.chunk)
    up = f.emit(f"add i64 {rows.text}, {chunk.text}", "i64")
    less = f.emit(f"sub i64 {up.text}, 1", "i64")
    return f.emit(f"sdiv i64 {less.text}, {chunk.text}", "i64")


def _emit_range(
    module: Module,
    frame: Frame,
    loop: RowLoop,
    name: str,
    calls: Sequence[str],
    copies: bool,
    flag: int | None,
) -> None:
    parameters = [("call" if copies else "frame", "ptr"), *RANGE[1:]]
    f = module.function(name, parameters)
    if copies:
        f.do(f"%frame = alloca i64, i64 {frame.words}, align 64")
        f.parameters["frame"] = Value("%frame", "ptr")
        _copy(f, frame, loop)
        if flag is not None:
            f.store(literal(0, "i64"), f.field(f.parameters["frame"], 8 * flag))
    sizes = _sizes(f, frame)
    rows, chunk, block = sizes.extent(loop.rows), sizes(loop.chunk), sizes(loop.block)
    if copies:
        own = f.parameters["own"]
        is_worker = f.emit(f"icmp ne ptr {own.text}, null", "i1")

        def places() -> None:
            def put(word: int, offset: Value) -> None:
                at = f.emit(f"getelementptr i8, ptr {own.text}, i64 {offset.text}", "ptr")
                f.store(at, f.field(f.parameters["frame"], 8 * word))

            _own(f, sizes, frame, loop, put)

        f.when(is_worker, places)

    def set_word(symbol: Dim, value: Value) -> None:
        f.store(value, f.field(f.parameters["frame"], 8 * frame.size_word(str(symbol))))

    def one_chunk(number: Value, _: list[Value]) -> list[Value]:
        set_word(CHUNK, number)
        first = f.emit(f"mul i64 {number.text}, {chunk.text}", "i64")
        end = _smaller(f, f.emit(f"add i64 {first.text}, {chunk.text}", "i64"), rows)

        def one_block(start: Value, _: list[Value]) -> list[Value]:
            rest = f.emit(f"sub i64 {end.text}, {start.text}", "i64")
            set_word(ROW, start)
            set_word(ROWS, _smaller(f, block, rest))
            for call in calls:
                f.do(call)
            return []

        f.loop(first, end, block, [], one_block)
        return []

    f.loop(f.parameters["start"], f.parameters["stop"], literal(1, "i64"), [], one_chunk)
    if copies and flag is not None:
        found = f.load(f.field(f.parameters["frame"], 8 * flag), "i64")
        is_set = f.emit(f"icmp ne i64 {found.text}, 0", "i1")
        f.when(is_set, lambda: f.store(found, f.field(f.parameters["call"], 8 * flag)))
    f.do("ret void")


def _smaller(f: Function, a: Value, b: Value) -> Value:
    less = f.emit(f"icmp slt i64 {a.text}, {b.text}", "i1")
    return f.emit(f"select i1 {less.text}, i64 {a.text}, i64 {b.text}", "i64")


def _copy(f: Function, frame: Frame, loop: RowLoop) -> None:
    """The words of a frame that the body of a loop reads. Products in it have no pool: threads share the
    loop."""
    if any(isinstance(step, MatMulStep) for step in loop.body):
        f.store(literal(0, "i64"), f.field(f.parameters["frame"], 8 * POOL))
    words = {frame.size_word(name) for name in frame.size_names}
    for step in loop.body:
        if isinstance(step, MatMulStep):
            words.add(PRODUCTS[step.out.storage.dtype.short])
        for access in (*step.reads(), *step.writes()):
            if access.storage.kind != IOTA:
                words.add(frame.place(access.storage)[0])
    for word in sorted(words):
        value = f.load(f.field(f.parameters["call"], 8 * word), "i64")
        f.store(value, f.field(f.parameters["frame"], 8 * word))


def _own(f: Function, sizes: Sizes, frame: Frame, loop: RowLoop, put: Callable[[int, Value], None]) -> Value:
    """Lay out the memory that each thread has for itself: `put(word, offset)` for each part. Its size."""
    slots: dict[int, Storage] = {}
    for storage in sorted(loop.local, key=lambda s: s.index):
        slots.setdefault(frame.place(storage)[0], storage)
    total = literal(0, "i64")
    for word, storage in slots.items():
        put(word, total)
        size = sizes(storage.size * storage.dtype.itemsize)
        up = f.emit(f"add i64 {size.text}, {ALIGNMENT - 1}", "i64")
        whole = f.emit(f"and i64 {up.text}, {-ALIGNMENT}", "i64")
        total = f.emit(f"add i64 {total.text}, {whole.text}", "i64")
    return total
