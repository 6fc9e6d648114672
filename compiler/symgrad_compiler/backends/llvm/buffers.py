"""The pool of large blocks, in LLVM IR; `symgrad_runtime.buffers` has its words and says what it is for.

    take(pool, bytes)    a block of at least so many bytes, 64-byte aligned, or null
    give(pool, block)    takes it back: it is idle from now on, or freed
    trim(pool, bytes)    frees idle blocks, the oldest first, until no more than so many bytes are idle
    malloc, calloc, realloc, free of NumPy's memory handlers
    array(api, rank, dims, dtype)    PyArray_Empty with memory of the pool

A request is rounded up to one of eight sizes for each power of two, and met with an idle block of that size
or the next: with at most a quarter more than was asked for. In front of each block is a header, which also
links the idle ones: in their class, last given first taken, and all by age. So what NumPy says of sizes when
it frees is not needed. Everything runs under the GIL.
"""

from __future__ import annotations

from symgrad_compiler.backends.llvm.ir import Module, Value
from symgrad_compiler.backends.llvm.names import ARRAY, GIVE, TAKE, TRIM
from symgrad_compiler.backends.llvm.plain import NULL, Plain
from symgrad_runtime.buffers import HUGE, LARGE, MAPPED, Word
from symgrad_runtime.context import API_FUNCTIONS, CAPSULE, DEFAULT_HANDLER, EMPTY, GET_HANDLER, SET_HANDLER

MALLOC, CALLOC, REALLOC, FREE = (f"buffer_{name}" for name in ("malloc", "calloc", "realloc", "free"))
_FRESH, _RELEASE, _UNLINK = (f"buffer_{name}" for name in ("fresh", "release", "unlink"))

#: Where a header's words are, before the block. CLASS is 0 for blocks that are too small to be kept; START is
#: where the memory begins, LENGTH how much is mapped, 0 where it is not.
_HEADER = 64
(_CAPACITY, _CLASS, _START, _LENGTH, _NEWER, _OLDER, _BEFORE, _AFTER) = range(-_HEADER, 0, 8)
#: Blocks that are mapped start in different places of a page, so that programs that go through many at once
#: do not find all of them in the same few places of the cache: some 3 % where there are twelve.
_COLOURS, _COLOUR_STEP, _PAGE = 48, 5, 4096
_READ_WRITE = 3


def emit_buffers(module: Module) -> None:
    """All functions of the pool."""
    for make in (_release, _unlink, _trim, _fresh, _take, _give, _malloc, _calloc, _realloc, _free, _array):
        make(module)


class _Code(Plain):
    """A function of the pool; `pool` is its first parameter."""

    def __init__(
        self, module: Module, name: str, result: str, *more: tuple[str, str], linkage: str = ""
    ) -> None:
        super().__init__(module, name, [("pool", "ptr"), *more], result, linkage)
        self.pool = self.f.parameters["pool"]

    def parameter(self, name: str) -> Value:
        return self.f.parameters[name]

    def word(self, word: Word, kind: str = "i64") -> Value:
        return self.read(self.pool, 8 * word, kind)

    def add(self, word: Word, amount: Value) -> None:
        self.write(self.binary("add", self.word(word), amount), self.pool, 8 * word)

    def less(self, word: Word, amount: Value) -> None:
        self.write(self.binary("sub", self.word(word), amount), self.pool, 8 * word)

    def libc(self, word: Word, result: str, *arguments: Value) -> Value:
        return self.indirect(self.word(word, "ptr"), result, *arguments)

    def up(self, value: Value, multiple: int) -> Value:
        more = self.binary("add", value, self.number(multiple - 1))
        return self.binary("and", more, self.number(-multiple))

    def number_of(self, pointer: Value) -> Value:
        return self.f.volatile(f"ptrtoint ptr {pointer.text} to i64", "i64")

    def pointer_of(self, number: Value) -> Value:
        return self.f.volatile(f"inttoptr i64 {number.text} to ptr", "ptr")

    def head(self, number: Value) -> Value:
        """Where the pool notes the newest idle block of a class."""
        return self.f.offset(self.f.field(self.pool, 8 * Word.CLASSES), number, "i64")

    def link(self, block: Value, place: int, neighbour: Value, back: int, otherwise: Value) -> None:
        """Let a neighbour's word `back`, or the pool's if there is no neighbour, be the block's `place`."""
        value = self.read(block, place, "ptr")
        self.f.either(
            self.is_null(neighbour),
            lambda: self.f.store(value, otherwise),
            lambda: self.write(value, neighbour, back),
        )


def _release(module: Module) -> None:
    """void release(pool, block): the memory goes back to the system."""
    c = _Code(module, _RELEASE, "void", ("block", "ptr"), linkage="internal ")
    block = c.parameter("block")
    start, length = c.read(block, _START, "ptr"), c.read(block, _LENGTH)
    c.f.either(
        c.test("eq", length, c.number(0)),
        lambda: _ignore(c.libc(Word.FREE, "void", start)),
        lambda: _ignore(c.libc(Word.MUNMAP, "i32", start, length)),
    )
    c.give_back()


def _ignore(_: Value) -> None:
    """Statuses that say nothing: unmapping what was mapped, advice."""


def _unlink(module: Module) -> None:
    """void unlink(pool, block): an idle block leaves both lists."""
    c = _Code(module, _UNLINK, "void", ("block", "ptr"), linkage="internal ")
    block = c.parameter("block")
    newer, older = c.read(block, _NEWER, "ptr"), c.read(block, _OLDER, "ptr")
    c.link(block, _OLDER, newer, _OLDER, c.f.field(c.pool, 8 * Word.NEWEST))
    c.link(block, _NEWER, older, _NEWER, c.f.field(c.pool, 8 * Word.OLDEST))
    before, after = c.read(block, _BEFORE, "ptr"), c.read(block, _AFTER, "ptr")
    c.link(block, _AFTER, before, _AFTER, c.head(c.read(block, _CLASS)))
    c.f.when(c.test("ne", after, NULL), lambda: c.write(before, after, _BEFORE))
    c.less(Word.IDLE, c.read(block, _CAPACITY))
    c.give_back()


def _trim(module: Module) -> None:
    """void trim(pool, bytes): release the oldest idle blocks until no more than so many bytes are idle."""
    c = _Code(module, TRIM, "void", ("bytes", "i64"))

    def body(_: list[Value]) -> list[Value]:
        oldest = c.word(Word.OLDEST, "ptr")
        c.call(_UNLINK, "void", c.pool, oldest)
        c.call(_RELEASE, "void", c.pool, oldest)
        return []

    c.f.repeat([], lambda _: c.test("sgt", c.word(Word.IDLE), c.parameter("bytes")), body)
    c.give_back()


def _fresh(module: Module) -> None:
    """ptr fresh(pool, capacity, class): a block from the system, or null."""
    c = _Code(module, _FRESH, "ptr", ("capacity", "i64"), ("class", "i64"), linkage="internal ")
    f, capacity = c.f, c.parameter("capacity")
    start, length = c.variable("ptr", NULL), c.variable("i64", c.number(0))
    before = c.variable("i64", c.number(0))

    def in_pages() -> None:
        behind = c.up(c.binary("add", capacity, c.number(_PAGE)), _PAGE)
        room = c.binary("add", behind, c.number(_PAGE + HUGE))
        flags = f.volatile(f"trunc i64 {c.word(Word.FLAGS).text} to i32", "i32")
        protection, no_file = c.number(_READ_WRITE, "i32"), c.number(-1, "i32")
        mapped = c.libc(Word.MMAP, "ptr", NULL, room, protection, flags, no_file, c.number(0))
        got = c.number_of(mapped)

        def unmap(start: Value, end: Value) -> None:
            some = c.binary("sub", end, start)
            f.when(
                c.test("ne", some, c.number(0)),
                lambda: _ignore(c.libc(Word.MUNMAP, "i32", c.pointer_of(start), some)),
            )

        def cut() -> None:
            """What remains: a page, a multiple of HUGE, what lies behind it."""
            middle = c.up(c.binary("add", got, c.number(_PAGE)), HUGE)
            begin = c.binary("sub", middle, c.number(_PAGE))
            end = c.binary("add", middle, behind)
            size = c.binary("sub", end, begin)
            unmap(got, begin)
            unmap(end, c.binary("add", got, room))
            advice = f.volatile(f"trunc i64 {c.word(Word.ADVICE).text} to i32", "i32")
            f.when(
                c.test("ne", advice, c.number(0, "i32")),
                lambda: _ignore(c.libc(Word.MADVISE, "i32", c.pointer_of(begin), size, advice)),
            )
            f.store(c.pointer_of(begin), start)
            f.store(size, length)
            now = c.word(Word.COLOUR)
            then = c.binary("urem", c.binary("add", now, c.number(_COLOUR_STEP)), c.number(_COLOURS))
            c.write(then, c.pool, 8 * Word.COLOUR)
            lines = c.binary("mul", now, c.number(_HEADER))
            f.store(c.binary("add", lines, c.number(_PAGE - _HEADER)), before)

        f.when(c.test("ne", got, c.number(-1)), cut)

    def plain() -> None:
        room = c.binary("add", capacity, c.number(_HEADER))
        status = c.libc(Word.ALIGNED, "i32", start, c.number(_HEADER), room)
        f.when(c.test("ne", status, c.number(0, "i32")), lambda: f.store(NULL, start))

    f.either(c.test("uge", capacity, c.number(MAPPED)), in_pages, plain)
    begin = f.load(start, "ptr")
    c.unless(c.is_null(begin), NULL)
    at = c.binary("add", f.load(before, "i64"), c.number(_HEADER))
    block = f.volatile(f"getelementptr i8, ptr {begin.text}, i64 {at.text}", "ptr")
    c.write(capacity, block, _CAPACITY)
    c.write(c.parameter("class"), block, _CLASS)
    c.write(begin, block, _START)
    c.write(f.load(length, "i64"), block, _LENGTH)
    c.give_back(block)


def _take(module: Module) -> None:
    c = _Code(module, TAKE, "ptr", ("bytes", "i64"))
    f, bytes_ = c.f, c.parameter("bytes")
    c.unless(c.test("ugt", bytes_, c.number(2**62)), NULL)
    block = c.variable("ptr", NULL)
    kept = c.test("uge", bytes_, c.number(LARGE))
    # The bits that bytes - 1 has: a step is an eighth of the largest power of two in it.
    less = c.binary("sub", bytes_, c.number(1))
    zeros = f.intrinsic("llvm.ctlz.i64", ("i64", 1), less, Value("false", "i1"), pure=False)
    bits = c.binary("sub", c.number(64), zeros)
    shift = c.binary("sub", bits, c.number(4))
    steps = c.binary("add", c.binary("lshr", less, shift), c.number(1))  # 9 to 16
    rounded = c.binary("shl", steps, shift)
    counted = c.binary("add", c.binary("shl", bits, c.number(3)), c.binary("sub", steps, c.number(9)))
    capacity, number = c.variable("i64", bytes_), c.variable("i64", c.number(0))

    def idle() -> None:
        f.store(rounded, capacity)
        f.store(counted, number)
        for further in (0, 1):
            some = f.load(c.head(c.binary("add", counted, c.number(further))), "ptr")
            none_yet = c.is_null(f.load(block, "ptr"))
            found = c.binary("and", none_yet, c.test("ne", some, NULL))
            best = f.volatile(
                f"select i1 {found.text}, ptr {some.text}, ptr {f.load(block, 'ptr').text}", "ptr"
            )
            f.store(best, block)

    f.when(kept, idle)

    def again() -> None:
        c.call(_UNLINK, "void", c.pool, f.load(block, "ptr"))
        c.add(Word.USED_AGAIN, c.number(1))

    def fresh() -> None:
        def one() -> None:
            f.store(c.call(_FRESH, "ptr", c.pool, f.load(capacity, "i64"), f.load(number, "i64")), block)

        one()

        def without_idle() -> None:
            c.call(TRIM, "void", c.pool, c.number(0))
            one()

        f.when(c.is_null(f.load(block, "ptr")), without_idle)
        c.add(Word.FRESH, c.number(1))

    f.either(c.test("ne", f.load(block, "ptr"), NULL), again, fresh)
    made = f.load(block, "ptr")
    c.unless(c.is_null(made), NULL)
    c.add(Word.LIVE, c.read(made, _CAPACITY))
    c.give_back(made)


def _give(module: Module) -> None:
    c = _Code(module, GIVE, "void", ("block", "ptr"))
    f, block = c.f, c.parameter("block")
    c.unless(c.is_null(block), None)
    capacity, number = c.read(block, _CAPACITY), c.read(block, _CLASS)
    c.less(Word.LIVE, capacity)
    bound = c.word(Word.BOUND)
    small = c.test("eq", number, c.number(0))
    release, keep = f.label(), f.label()
    f.branch_if(c.binary("or", small, c.test("ugt", capacity, bound)), release, keep)
    f.start(release)
    c.call(_RELEASE, "void", c.pool, block)
    c.give_back()
    f.start(keep)
    first, newest = f.load(c.head(number), "ptr"), c.word(Word.NEWEST, "ptr")
    for value, place in ((NULL, _NEWER), (newest, _OLDER), (NULL, _BEFORE), (first, _AFTER)):
        c.write(value, block, place)
    f.when(c.test("ne", first, NULL), lambda: c.write(block, first, _BEFORE))
    f.either(
        c.is_null(newest),
        lambda: c.write(block, c.pool, 8 * Word.OLDEST),
        lambda: c.write(block, newest, _NEWER),
    )
    c.write(block, c.pool, 8 * Word.NEWEST)
    f.store(block, c.head(number))
    c.add(Word.IDLE, capacity)
    c.call(TRIM, "void", c.pool, bound)
    c.give_back()


# ---- NumPy's memory handler --------------------------------------------------------------------------------


def _malloc(module: Module) -> None:
    c = _Code(module, MALLOC, "ptr", ("bytes", "i64"))
    c.give_back(c.call(TAKE, "ptr", c.pool, c.parameter("bytes")))


def _calloc(module: Module) -> None:
    c = _Code(module, CALLOC, "ptr", ("count", "i64"), ("each", "i64"))
    count, each = c.parameter("count"), c.parameter("each")
    both = c.f.volatile(
        f"call {{i64, i1}} @llvm.umul.with.overflow.i64(i64 {count.text}, i64 {each.text})", "i64"
    )
    module.declare("declare {i64, i1} @llvm.umul.with.overflow.i64(i64, i64)")
    c.unless(c.f.volatile(f"extractvalue {{i64, i1}} {both.text}, 1", "i1"), NULL)
    size = c.f.volatile(f"extractvalue {{i64, i1}} {both.text}, 0", "i64")
    made = c.call(TAKE, "ptr", c.pool, size)
    c.unless(c.is_null(made), NULL)
    c.libc(Word.MEMSET, "ptr", made, c.number(0, "i32"), size)
    c.give_back(made)


def _realloc(module: Module) -> None:
    c = _Code(module, REALLOC, "ptr", ("block", "ptr"), ("bytes", "i64"))
    f, block, size = c.f, c.parameter("block"), c.parameter("bytes")
    new, copy = f.label(), f.label()
    f.branch_if(c.is_null(block), new, copy)
    f.start(new)
    c.give_back(c.call(TAKE, "ptr", c.pool, size))
    f.start(copy)
    capacity = c.read(block, _CAPACITY)
    fits = c.test("ule", size, capacity)
    much = c.test("uge", size, c.binary("lshr", capacity, c.number(1)))
    c.unless(c.binary("and", fits, much), block)
    made = c.call(TAKE, "ptr", c.pool, size)
    c.unless(c.is_null(made), NULL)
    smaller = f.volatile(f"select i1 {fits.text}, i64 {size.text}, i64 {capacity.text}", "i64")
    c.libc(Word.MEMCPY, "ptr", made, block, smaller)
    c.call(GIVE, "void", c.pool, block)
    c.give_back(made)


def _free(module: Module) -> None:
    c = _Code(module, FREE, "void", ("block", "ptr"), ("bytes", "i64"))
    c.call(GIVE, "void", c.pool, c.parameter("block"))
    c.give_back()


def _array(module: Module) -> None:
    """PyObject *array(api, rank, dims, dtype): with memory of the pool, unless another memory handler is set.

    NumPy takes the handler of the context at hand; it is set for this one allocation, and an exception of the
    allocation survives the way back.
    """
    c = Plain(module, ARRAY, [("api", "ptr"), ("rank", "i32"), ("dims", "ptr"), ("dtype", "ptr")], "ptr", "")
    f = c.f
    api, rank, dims, dtype = (f.parameters[n] for n in ("api", "rank", "dims", "dtype"))

    def table(index: int) -> Value:
        return c.read(api, 8 * index, "ptr")

    def python(name: str, result: str, *arguments: Value) -> Value:
        return c.indirect(table(API_FUNCTIONS.index(name)), result, *arguments)

    def empty() -> Value:
        python("Py_IncRef", "void", dtype)  # PyArray_Empty takes a reference
        return c.indirect(table(EMPTY), "ptr", rank, dims, dtype, c.number(0, "i32"))

    capsule = table(CAPSULE)
    pooled, ordinary, switch = f.label(), f.label(), f.label()
    f.branch_if(c.is_null(capsule), ordinary, pooled)
    f.start(ordinary)
    c.give_back(empty())
    f.start(pooled)
    now = c.indirect(table(GET_HANDLER), "ptr")
    c.unless(c.is_null(now), NULL)
    python("Py_DecRef", "void", now)
    f.branch_if(c.test("eq", now, table(DEFAULT_HANDLER)), switch, ordinary)
    f.start(switch)
    old = c.indirect(table(SET_HANDLER), "ptr", capsule)
    c.unless(c.is_null(old), NULL)
    error = [c.variable("ptr", NULL) for _ in range(3)]
    made = c.variable("ptr", empty())

    def restore() -> None:
        back = c.indirect(table(SET_HANDLER), "ptr", old)
        python("Py_DecRef", "void", old)

        def failed() -> None:
            python("Py_DecRef", "void", f.load(made, "ptr"))
            f.store(NULL, made)

        fine = c.test("ne", back, NULL)
        f.when(fine, lambda: _ignore(python("Py_DecRef", "void", back)))
        lost = c.binary("and", c.is_null(back), c.test("ne", f.load(made, "ptr"), NULL))
        f.when(lost, failed)

    def with_error() -> None:
        python("PyErr_Fetch", "void", *error)
        restore()
        python("PyErr_Restore", "void", *[f.load(e, "ptr") for e in error])

    f.either(c.is_null(f.load(made, "ptr")), with_error, restore)
    c.give_back(f.load(made, "ptr"))
