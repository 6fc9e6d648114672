"""The native entry: what Python calls, for every program, compiled once.

    call     a function: checks arguments by reading the array objects, allocates results, runs the program
    launch   a program on checked arrays: inputs, outputs, states, spares

`call` takes arrays that need no conversion, and NumPy and Python scalars for 0-d inputs. Whatever else it
meets, a failure of the program included, goes to the slow Python path, which converts or raises. The layouts
of `PyArrayObject` and `PyArray_Descr` are part of NumPy's ABI, the same in all versions from 1.20 on.
"""

from __future__ import annotations

from symgrad_compiler.backends.llvm.attention import PERIOD, STOPPED, emit_attend
from symgrad_compiler.backends.llvm.buffers import emit_buffers
from symgrad_compiler.backends.llvm.frame import DUE
from symgrad_compiler.backends.llvm.ir import Module, Value
from symgrad_compiler.backends.llvm.names import ARRAY, CALL, GIVE, LAUNCH, TAKE
from symgrad_compiler.backends.llvm.plain import NULL, Plain
from symgrad_compiler.backends.llvm.pool import emit_pool
from symgrad_runtime.buffers import LARGE
from symgrad_runtime.callable import OFFSET
from symgrad_runtime.context import (
    API_FUNCTIONS,
    BINDS,
    EMPTY,
    FIXED,
    LIST,
    NDARRAY,
    NONE,
    PARAMETER_WORDS,
    POOL,
    RESULT_WORDS,
    SCALAR,
    SINGLE,
    TUPLE,
    Word,
)

#: Work, in simple operations, from which the GIL is released: some ten microseconds.
RELEASE_FROM = 30_000
#: Offsets in PyObject, PyArrayObject and PyArray_Descr, and the flags C_CONTIGUOUS | ALIGNED.
_TYPE, _DATA, _NDIM, _DIMS, _DESCR, _FLAGS = 8, 16, 24, 32, 56, 64
_BYTEORDER, _TYPE_NUMBER = 26, 28
_NEEDED_FLAGS = 0x101
_SCALAR_VALUE = 16
_OFFSET_BIT = (1 << 63) - 1


def emit_entry(triple: str) -> str:
    """The module of both entries, of the pool of large blocks, and of the thread pool."""
    module = Module()
    _Invoke(module).emit()
    _Call(module).emit()
    _Launch(module).emit()
    emit_buffers(module)
    emit_pool(module, triple)
    emit_attend(module)
    return module.text()


class _Base(Plain):
    """Reading contexts and calling Python."""

    def word(self, context: Value, word: Word, kind: str = "i64") -> Value:
        return self.read(context, 8 * word, kind)

    def put(self, context: Value, word: Word, value: Value) -> None:
        self.write(value, context, 8 * word)

    def api(self, context: Value, index: int) -> Value:
        return self.read(self.word(context, Word.API, "ptr"), 8 * index, "ptr")

    def python(self, context: Value, name: str, result: str, *arguments: Value) -> Value:
        return self.indirect(self.api(context, API_FUNCTIONS.index(name)), result, *arguments)

    def copy_static(self, context: Value, frame: Value) -> None:
        static = self.word(context, Word.STATIC_WORDS, "ptr")
        self.each(
            self.word(context, Word.STATIC),
            lambda i: self.f.store(self.read_at(static, i), self.f.offset(frame, i, "i64")),
        )


class _Invoke(_Base):
    """i32 invoke(context, frame, bytes, work): an arena, the GIL, the program. -1 without memory."""

    def __init__(self, module: Module) -> None:
        parameters = [("context", "ptr"), ("frame", "ptr"), ("bytes", "i64"), ("work", "i64")]
        super().__init__(module, "invoke", parameters, "i32", "internal ")

    def emit(self) -> None:
        f = self.f
        context, frame, bytes_, work = (f.parameters[n] for n in ("context", "frame", "bytes", "work"))
        zero = self.number(0)
        own = f.volatile("alloca ptr, align 8", "ptr")
        kept = f.volatile("alloca i64, align 8", "ptr")
        f.store(Value("null", "ptr"), own)
        f.store(zero, kept)

        def arena() -> None:
            busy = self.word(context, Word.ARENA_BUSY)
            large = self.test("sge", self.word(context, Word.ARENA_BYTES), bytes_)
            usable = f.volatile(f"and i1 {self.test('eq', busy, zero).text}, {large.text}", "i1")
            take, make, ready = f.label(), f.label(), f.label()
            f.branch_if(usable, take, make)
            f.start(take)
            f.store(self.word(context, Word.ARENA, "ptr"), own)
            f.store(self.number(1), kept)
            self.put(context, Word.ARENA_BUSY, self.number(1))
            f.branch(ready)
            f.start(make)
            pool = self.api(context, POOL)
            fresh = self.call(TAKE, "ptr", pool, bytes_)
            self.require(self.test("ne", fresh, NULL), "no_memory")
            f.store(fresh, own)
            keep, done = f.label(), f.label()
            f.branch_if(self.test("eq", busy, zero), keep, done)
            f.start(keep)
            self.call(GIVE, "void", pool, self.word(context, Word.ARENA, "ptr"))
            self.put(context, Word.ARENA, fresh)
            self.put(context, Word.ARENA_BYTES, bytes_)
            self.put(context, Word.ARENA_BUSY, self.number(1))
            f.store(self.number(1), kept)
            f.branch(done)
            f.start(done)
            f.branch(ready)
            f.start(ready)

        f.when(self.test("sgt", bytes_, zero), arena)
        f.store(f.load(own, "ptr"), f.offset(frame, self.word(context, Word.ARENA_AT), "i64"))
        program = self.word(context, Word.PROGRAM, "ptr")
        long = self.test("sgt", work, self.number(RELEASE_FROM))

        def released() -> Value:
            first = self.binary("add", self.call("now", "i64"), self.number(PERIOD))
            self.write(first, frame, 8 * DUE)
            thread = self.python(context, "PyEval_SaveThread", "ptr")
            status = self.indirect(program, "i32", frame)
            self.python(context, "PyEval_RestoreThread", "void", thread)
            return status

        status = f.choose(long, released, lambda: self.indirect(program, "i32", frame))
        was_kept = self.test("ne", f.load(kept, "i64"), zero)
        mine, other, end = f.label(), f.label(), f.label()
        f.branch_if(was_kept, mine, other)
        f.start(mine)
        self.put(context, Word.ARENA_BUSY, zero)
        f.branch(end)
        f.start(other)
        self.call(GIVE, "void", self.api(context, POOL), f.load(own, "ptr"))
        f.branch(end)
        f.start(end)
        f.do(f"ret i32 {status.text}")
        f.start("no_memory")
        f.do("ret i32 -1")


class _Entry(_Base):
    """The parts that both entries share."""

    frame: Value
    layout: Value

    def __init__(self, module: Module, name: str) -> None:
        parameters = [("self", "ptr"), ("args", "ptr"), ("count", "i64"), ("names", "ptr")]
        super().__init__(module, name, parameters, "ptr", "")
        self.context = self.read(self.f.parameters["self"], OFFSET + 8, "ptr")

    def sizes_of(self, index: Value, array: Value, rank: Value, dims_record: Value, bad: str | None) -> None:
        """Read the dimensions of an array: bind sizes; check them where a label for failure is given."""
        f = self.f
        dims = self.read(array, _DIMS, "ptr")

        def one(k: Value) -> None:
            have = self.read_at(dims, k)
            twice = self.binary("shl", k, self.number(1))
            kind = self.read_at(dims_record, twice)
            value = self.read_at(dims_record, self.binary("add", twice, self.number(1)))
            binds = self.test("eq", kind, self.number(BINDS))
            bind, check, after = f.label(), f.label(), f.label()
            f.branch_if(binds, bind, check)
            f.start(bind)
            place = self.binary("add", self.word(self.context, Word.SIZES_AT), value)
            f.store(have, f.offset(self.frame, place, "i64"))
            f.branch(after)
            f.start(check)
            if bad is not None:
                fixed = self.test("eq", kind, self.number(FIXED))
                a, b, c = f.label(), f.label(), f.label()
                f.branch_if(fixed, a, b)
                f.start(a)
                self.require(self.test("eq", have, value), bad)
                f.branch(c)
                f.start(b)
                bound_at = self.binary("add", self.word(self.context, Word.SIZES_AT), value)
                self.require(self.test("eq", have, self.read_at(self.frame, bound_at)), bad)
                f.branch(c)
                f.start(c)
            f.branch(after)
            f.start(after)

        self.each(rank, one)

    def lay_out(self) -> tuple[Value, Value]:
        """Ask the program for its layout: (bytes, work)."""
        f = self.f
        outputs = self.word(self.context, Word.OUTPUTS)
        behind = self.binary("add", self.word(self.context, Word.FRAME), outputs)
        self.layout = f.offset(self.frame, behind, "i64")
        sizes = f.offset(self.frame, self.word(self.context, Word.SIZES_AT), "i64")
        self.indirect(self.word(self.context, Word.LAYOUT, "ptr"), "void", sizes, self.layout)
        return self.read(self.layout, 0), self.read(self.layout, 8)

    def invoke(self, bytes_: Value, work: Value) -> Value:
        listed = f"ptr {self.context.text}, ptr {self.frame.text}, i64 {bytes_.text}, i64 {work.text}"
        return self.f.volatile(f"call i32 @invoke({listed})", "i32")


class _Call(_Entry):
    """PyObject *call(self, args, nargsf, kwnames)"""

    def __init__(self, module: Module) -> None:
        super().__init__(module, CALL)

    def emit(self) -> None:
        f, context = self.f, self.context
        args, count, names = (f.parameters[n] for n in ("args", "count", "names"))
        self.require(f.volatile(f"icmp eq ptr {names.text}, null", "i1"), "slow")
        self.require(self.test("ne", self.word(context, Word.FAST), self.number(0)), "slow")
        given = self.binary("and", count, self.number(_OFFSET_BIT))
        inputs = self.word(context, Word.INPUTS)
        self.require(self.test("eq", given, inputs), "slow")
        total = self.word(context, Word.TOTAL)
        self.frame = f.volatile(f"alloca i64, i64 {total.text}, align 16", "ptr")
        self.copy_static(context, self.frame)
        ndarray = self.api(context, NDARRAY)
        parameters = self.word(context, Word.PARAMETERS, "ptr")
        static = self.word(context, Word.STATIC)

        def argument(i: Value) -> None:
            value = self.read_at(args, i, "ptr")
            record = f.offset(parameters, self.binary("mul", i, self.number(PARAMETER_WORDS)), "i64")
            rank = self.read(record, 8)
            type_ = self.read(value, _TYPE, "ptr")
            place = f.offset(self.frame, self.binary("add", static, i), "i64")
            array, scalar, after = f.label(), f.label(), f.label()
            f.branch_if(f.volatile(f"icmp eq ptr {type_.text}, {ndarray.text}", "i1"), array, scalar)
            f.start(array)
            self._check_array(value, record, rank)
            f.store(self.read(value, _DATA, "ptr"), place)
            self.sizes_of(i, value, rank, self.read(record, 32, "ptr"), "slow")
            f.branch(after)
            f.start(scalar)
            first, second = self.read(record, 16, "ptr"), self.read(record, 24, "ptr")
            fits = f.volatile(
                f"or i1 {self._same(type_, first).text}, {self._same(type_, second).text}", "i1"
            )
            self.require(fits, "slow")
            f.store(f.field(value, _SCALAR_VALUE), place)
            f.branch(after)
            f.start(after)

        self.each(inputs, argument)
        bytes_, work = self.lay_out()
        made = f.volatile("alloca i64, align 8", "ptr")
        f.store(self.number(0), made)
        self._allocate(made)
        status = self.invoke(bytes_, work)
        self.require(self.test("ne", status, self.number(STOPPED, "i32")), "failed")
        self.require(self.test("eq", status, self.number(0, "i32")), "drop")
        self._answer()
        f.start("drop")
        self._release(made)
        f.branch("slow")
        f.start("slow")
        answer = self.python(
            context, "PyObject_Vectorcall", "ptr", self.word(context, Word.SLOW, "ptr"), args, count, names
        )
        f.do(f"ret ptr {answer.text}")

    def _same(self, a: Value, b: Value) -> Value:
        return self.f.volatile(f"icmp eq ptr {a.text}, {b.text}", "i1")

    def _check_array(self, value: Value, record: Value, rank: Value) -> None:
        """Type number, native byte order, rank, C order and alignment."""
        f = self.f
        descr = self.read(value, _DESCR, "ptr")
        wanted = f.volatile(f"trunc i64 {self.read(record, 0).text} to i32", "i32")
        self.require(self.test("eq", self.read(descr, _TYPE_NUMBER, "i32"), wanted), "slow")
        order = self.read(descr, _BYTEORDER, "u8")
        native = self.test("eq", order, self.number(ord("="), "u8"))
        none = self.test("eq", order, self.number(ord("|"), "u8"))
        self.require(f.volatile(f"or i1 {native.text}, {none.text}", "i1"), "slow")
        ndim = f.volatile(f"sext i32 {self.read(value, _NDIM, 'i32').text} to i64", "i64")
        self.require(self.test("eq", ndim, rank), "slow")
        flags = self.binary("and", self.read(value, _FLAGS, "i32"), self.number(_NEEDED_FLAGS, "i32"))
        self.require(self.test("eq", flags, self.number(_NEEDED_FLAGS, "i32")), "slow")

    def _objects(self) -> Value:
        """Where the result objects are kept: behind the frame."""
        return self.f.offset(self.frame, self.word(self.context, Word.FRAME), "i64")

    def _result(self, k: Value) -> tuple[Value, Value]:
        """The dtype object and the rank of a result."""
        records = self.word(self.context, Word.RESULTS, "ptr")
        record = self.f.offset(records, self.binary("mul", k, self.number(RESULT_WORDS)), "i64")
        return self.read(record, 0, "ptr"), self.read(record, 8)

    def _bytes(self, k: Value, rank: Value, dims: Value) -> Value:
        """How large a result is; a size beyond 64 bits is an error of NumPy's, large or small."""
        records = self.word(self.context, Word.RESULTS, "ptr")
        record = self.f.offset(records, self.binary("mul", k, self.number(RESULT_WORDS)), "i64")

        def times(i: Value, so_far: list[Value]) -> list[Value]:
            return [self.binary("mul", so_far[0], self.read_at(dims, i))]

        item = self.read(record, 16)
        return self.f.loop(self.number(0), rank, self.number(1), [item], times)[0]

    def _allocate(self, made: Value) -> None:
        """A new array for each result; 16 bytes behind the layout for one without dimensions."""
        f, context = self.f, self.context
        outputs = self.word(context, Word.OUTPUTS)
        objects = self._objects()
        first = self.binary("add", self.word(context, Word.STATIC), self.word(context, Word.INPUTS))
        scratch_words = self.binary("mul", outputs, self.number(2))
        scratch = f.offset(
            self.frame, self.binary("sub", self.word(context, Word.TOTAL), scratch_words), "i64"
        )
        at = f.volatile("alloca i64, align 8", "ptr")
        f.store(self.number(2), at)

        def one(k: Value) -> None:
            dtype, rank = self._result(k)
            place = f.offset(self.frame, self.binary("add", first, k), "i64")
            array, scalar, after = f.label(), f.label(), f.label()
            f.branch_if(self.test("eq", rank, self.number(0)), scalar, array)
            f.start(scalar)
            f.store(f.offset(scratch, self.binary("mul", k, self.number(2)), "i64"), place)
            f.store(Value("null", "ptr"), f.offset(objects, k, "i64"))
            f.branch(after)
            f.start(array)
            dims = f.offset(self.layout, f.load(at, "i64"), "i64")
            f.store(self.binary("add", f.load(at, "i64"), rank), at)
            short = f.volatile(f"trunc i64 {rank.text} to i32", "i32")

            def small() -> Value:
                self.python(context, "Py_IncRef", "void", dtype)  # PyArray_Empty takes a reference
                empty = self.api(context, EMPTY)
                return self.indirect(empty, "ptr", short, dims, dtype, self.number(0, "i32"))

            def large() -> Value:
                return self.call(ARRAY, "ptr", self.word(context, Word.API, "ptr"), short, dims, dtype)

            is_large = self.test("uge", self._bytes(k, rank, dims), self.number(LARGE))
            fresh = f.choose(is_large, large, small)
            f.store(fresh, f.offset(objects, k, "i64"))
            some = f.volatile(f"icmp ne ptr {fresh.text}, null", "i1")
            good = f.label()
            f.branch_if(some, good, "failed")
            f.start(good)
            f.store(self.read(fresh, _DATA, "ptr"), place)
            f.branch(after)
            f.start(after)
            f.store(self.binary("add", k, self.number(1)), made)

        self.each(outputs, one)
        go_on = f.label()
        f.branch(go_on)
        f.start("failed")  # without memory, or stopped, with Python's exception set
        self._release(made)
        f.do("ret ptr null")
        f.start(go_on)

    def _release(self, made: Value) -> None:
        f = self.f
        objects = self._objects()

        def one(k: Value) -> None:
            found = self.read_at(objects, k, "ptr")
            some = f.volatile(f"icmp ne ptr {found.text}, null", "i1")

            def drop() -> None:
                self.python(self.context, "Py_DecRef", "void", found)

            f.when(some, drop)

        self.each(f.load(made, "i64"), one)

    def _answer(self) -> None:
        """The results in their form."""
        f, context = self.f, self.context
        objects = self._objects()
        outputs = self.word(context, Word.OUTPUTS)
        first = self.binary("add", self.word(context, Word.STATIC), self.word(context, Word.INPUTS))

        def wrap(k: Value) -> None:
            dtype, rank = self._result(k)

            def scalar() -> None:
                data = self.read_at(self.frame, self.binary("add", first, k), "ptr")
                made = self.indirect(self.api(context, SCALAR), "ptr", data, dtype, Value("null", "ptr"))
                f.store(made, f.offset(objects, k, "i64"))

            f.when(self.test("eq", rank, self.number(0)), scalar)

        self.each(outputs, wrap)
        form = self.word(context, Word.FORM)
        single, several, as_list, no_list, as_tuple, as_dict = (f.label() for _ in range(6))
        f.branch_if(self.test("eq", form, self.number(SINGLE)), single, several)
        f.start(single)
        f.do(f"ret ptr {self.read(objects, 0, 'ptr').text}")
        f.start(several)
        f.branch_if(self.test("eq", form, self.number(LIST)), as_list, no_list)
        f.start(as_list)
        made = self.python(context, "PyList_New", "ptr", outputs)
        items = self.read(made, 24, "ptr")  # ob_item; filling a new list by hand is what PyList_SET_ITEM does
        self.each(outputs, lambda k: f.store(self.read_at(objects, k, "ptr"), f.offset(items, k, "i64")))
        f.do(f"ret ptr {made.text}")
        f.start(no_list)
        f.branch_if(self.test("eq", form, self.number(TUPLE)), as_tuple, as_dict)
        f.start(as_tuple)
        made = self.python(context, "PyTuple_New", "ptr", outputs)
        items = f.field(made, 24)  # PyTuple_SET_ITEM
        self.each(outputs, lambda k: f.store(self.read_at(objects, k, "ptr"), f.offset(items, k, "i64")))
        f.do(f"ret ptr {made.text}")
        f.start(as_dict)
        answer = self.python(context, "PyDict_New", "ptr")
        keys = self.word(context, Word.KEYS, "ptr")

        def item(k: Value) -> None:
            value = self.read_at(objects, k, "ptr")
            self.python(context, "PyDict_SetItem", "i32", answer, self.read_at(keys, k, "ptr"), value)
            self.python(context, "Py_DecRef", "void", value)

        self.each(outputs, item)
        f.do(f"ret ptr {answer.text}")


class _Launch(_Entry):
    """PyObject *launch(self, args, nargsf, kwnames): None, or the error record as a tuple of 4 ints"""

    def __init__(self, module: Module) -> None:
        super().__init__(module, LAUNCH)

    def emit(self) -> None:
        f, context = self.f, self.context
        args = f.parameters["args"]
        total = self.word(context, Word.TOTAL)
        eight = self.binary("mul", total, self.number(8))
        self.frame = self.python(context, "PyMem_RawMalloc", "ptr", eight)
        self.copy_static(context, self.frame)
        inputs = self.word(context, Word.INPUTS)
        more = self.binary("add", self.word(context, Word.OUTPUTS), self.word(context, Word.STATES))
        static = self.word(context, Word.STATIC)
        parameters = self.word(context, Word.PARAMETERS, "ptr")

        def pointer(k: Value) -> None:
            array = self.read_at(args, k, "ptr")
            place = f.offset(self.frame, self.binary("add", static, k), "i64")
            f.store(self.read(array, _DATA, "ptr"), place)

        self.each(self.binary("add", inputs, more), pointer)

        def sizes(i: Value) -> None:
            record = f.offset(parameters, self.binary("mul", i, self.number(PARAMETER_WORDS)), "i64")
            array = self.read_at(args, i, "ptr")
            self.sizes_of(i, array, self.read(record, 8), self.read(record, 32, "ptr"), None)

        self.each(inputs, sizes)
        bytes_, work = self.lay_out()
        status = self.invoke(bytes_, work)
        fine, bad = f.label(), f.label()
        f.branch_if(self.test("eq", status, self.number(0, "i32")), fine, bad)
        f.start(fine)
        self.python(context, "PyMem_RawFree", "void", self.frame)
        none = self.api(context, NONE)
        self.python(context, "Py_IncRef", "void", none)
        f.do(f"ret ptr {none.text}")
        f.start(bad)
        stopped, wrong = f.label(), f.label()
        f.branch_if(self.test("eq", status, self.number(STOPPED, "i32")), stopped, wrong)
        f.start(stopped)
        self.python(context, "PyMem_RawFree", "void", self.frame)
        f.do("ret ptr null")
        f.start(wrong)
        no_memory = self.test("slt", status, self.number(0, "i32"))

        def say() -> None:
            at = f.offset(self.frame, self.word(context, Word.ERROR_AT), "i64")
            f.store(self.number(-1), at)

        f.when(no_memory, say)
        answer = self.python(context, "PyTuple_New", "ptr", self.number(4))

        def item(k: Value) -> None:
            at = self.binary("add", self.word(context, Word.ERROR_AT), k)
            made = self.python(context, "PyLong_FromLongLong", "ptr", self.read_at(self.frame, at))
            f.store(made, f.offset(f.field(answer, 24), k, "i64"))  # PyTuple_SET_ITEM

        self.each(self.number(4), item)
        self.python(context, "PyMem_RawFree", "void", self.frame)
        f.do(f"ret ptr {answer.text}")
