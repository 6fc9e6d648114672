"""The way in: which kind of product it is, and the loops over products.

product(pool, request)      what `request.py` says
whole(pool, request)        one of them, in parts if its inner dimension is long
one(pool, request)          one of them as it is: of matrices, of a matrix and a vector, of nothing
items(job, ..., range)      some of a batch of small products, each by one thread
parts(job, ..., range)      some stretches of a long inner dimension, where C is small; each has a C of its
                            own, and they are added up in their order
"""

from __future__ import annotations

from symgrad_compiler.backends.llvm.contract.integers import Int
from symgrad_compiler.backends.llvm.contract.product import single_name, split_name
from symgrad_compiler.backends.llvm.contract.request import WORDS, Request, name_of
from symgrad_compiler.backends.llvm.contract.room import GIVE, TAKE
from symgrad_compiler.backends.llvm.contract.skinny import LEAST_INNER, MOST_COLUMNS, shape, skinny_name
from symgrad_compiler.backends.llvm.contract.tiles import Tiles
from symgrad_compiler.backends.llvm.contract.vector import ROWS, UNIT, columns_name, dots_name
from symgrad_compiler.backends.llvm.contract.words import Words, call, every
from symgrad_compiler.backends.llvm.ir import Function, Module, Value, literal
from symgrad_compiler.backends.llvm.lanes import lane_mask, read, write
from symgrad_compiler.backends.llvm.scalars import Code
from symgrad_compiler.backends.llvm.splitting import RANGE

#: Multiplications below which threads share the products of a batch, not each product.
_SMALL = 2_000_000
#: A long inner dimension is cut where C has no more elements than this, the inner dimension is as long, and
#: there are so many multiplications: into so many parts, of so many steps at least.
_FEW, _LONG, _MANY, _PARTS, _LEAST = 16384, 8192, 2**19, 16, 4096
_ONE, _ZERO = literal(1, "i64"), literal(0, "i64")
#: A word behind the request: the steps of a part.
_PART = WORDS


def emit_ways(module: Module, tiles: Tiles) -> None:
    """All functions; `product` is the one to be called from outside."""
    for way in (_One, _Items, _Parts, _Whole, _Product):
        way(module, tiles).emit()


class _Way:
    """A function of a request, or over a range of a job."""

    title, parameters, linkage = "", [("pool", "ptr"), ("request", "ptr")], "internal "

    def __init__(self, module: Module, tiles: Tiles) -> None:
        self.tiles, self.kind = tiles, tiles.kind
        self.f: Function = module.function(self.name_of(tiles), self.parameters, linkage=self.linkage)
        self.code = Code(self.f, machine=tiles.machine)

    @classmethod
    def name_of(cls, tiles: Tiles) -> str:
        return f"contract.{cls.title}.{tiles.kind}"

    def emit(self) -> None:
        raise NotImplementedError

    def number(self, value: int) -> Int:
        return Int(self.f, literal(value, "i64"))

    def at(self, pointer: Value, index: Int) -> Value:
        return self.f.offset(pointer, index.value, self.kind)

    def both(self, a: Value, b: Value) -> Value:
        return self.code.logical_and(a, b)

    def copy(self, source: Words, words: int = WORDS) -> Words:
        """A request of its own."""
        made = Words(self.f, self.f.volatile(f"alloca [{words} x i64], align 16", "ptr"))
        for word in Request:
            made[word] = source[word]
        return made

    def size(self, request: Words) -> Int:
        return request[Request.ROWS] * request[Request.COLUMNS] * request[Request.INNER]


class _One(_Way):
    title = "one"

    def emit(self) -> None:
        f = self.f
        request = Words(f, f.parameters["request"])
        rows, columns, inner = (request[w] for w in (Request.ROWS, Request.COLUMNS, Request.INNER))
        empty = self.code.logical_or(rows.equals(0), self.code.logical_or(columns.equals(0), inner.equals(0)))

        def is_skinny(few: Int, many: Int, step: Request) -> Value:
            dots = self.both(request[step].equals(1), inner >= LEAST_INNER)
            return self.both(self.both(few <= MOST_COLUMNS, few < many), dots)

        def matrix() -> None:
            tall = is_skinny(columns, rows, Request.A_COLUMN)
            either = self.code.logical_or(tall, is_skinny(rows, columns, Request.B_ROW))
            f.either(either, lambda: self._skinny(request, tall), lambda: self._matrix(request))

        def some() -> None:
            is_row = rows.equals(1)
            is_vector = self.code.logical_or(is_row, columns.equals(1))
            f.either(is_vector, lambda: self._vector(request, is_row), matrix)

        f.either(empty, lambda: self._nothing(request), some)
        f.do("ret void")

    def _matrix(self, request: Words) -> None:
        call(self.f, single_name(self.tiles), self.f.parameters["pool"], request.at)

    def _skinny(self, request: Words, is_tall: Value) -> None:
        """Few columns, or few rows: then C^T = B^T A^T. The columns of B without gaps, in a copy if they have
        gaps."""
        f, tiles = self.f, self.tiles
        job = self.copy(request)

        def across() -> None:
            _flip(request, job)
            job[Request.C_ROW], job[Request.C_COLUMN] = 1, request[Request.C_ROW]
            job[Request.A_AHEAD] = request[Request.B_AHEAD]

        job[Request.C_COLUMN] = 1
        f.when(self.code.logical_not(is_tall), across)
        rows, columns, inner = (job[w] for w in (Request.ROWS, Request.COLUMNS, Request.INNER))

        def run() -> None:
            function = Value(f"@{skinny_name(tiles)}", "ptr")
            work = rows * columns * inner // 4
            unit = self.number(shape(tiles)[0])
            call(f, split_name(tiles), f.parameters["pool"], function, job.at, rows, unit, work)

        def copied() -> None:
            length = inner.up_to(tiles.lanes)
            room = f.volatile(f"call ptr @{TAKE}(i64 {(columns * length * tiles.bytes).value.text})", "ptr")

            def with_room() -> None:
                b, steps = job.pointer(Request.B), (job[Request.B_ROW], job[Request.B_COLUMN])

                def column(j: Int) -> None:
                    source, to = self.at(b, j * steps[1]), self.at(room, j * length)
                    every(
                        f,
                        self.number(0),
                        inner,
                        1,
                        lambda k: f.store(f.load(self.at(source, k * steps[0]), self.kind), self.at(to, k)),
                    )

                every(f, self.number(0), columns, 1, column)
                job[Request.B], job[Request.B_ROW], job[Request.B_COLUMN] = room, 1, length
                run()
                call(f, GIVE, room)

            got = f.emit(f"icmp ne ptr {room.text}, null", "i1")
            f.either(got, with_room, lambda: self._matrix(request))

        f.either(job[Request.B_ROW].equals(1), run, copied)

    def _nothing(self, request: Words) -> None:
        """A sum of nothing is 0."""
        f = self.f
        zero = literal(0, self.kind)

        def row(i: Int) -> None:
            c = self.at(request.pointer(Request.C), i * request[Request.C_ROW])
            every(
                f,
                self.number(0),
                request[Request.COLUMNS],
                1,
                lambda j: f.store(zero, self.at(c, j)),
            )

        f.when(
            request[Request.ADDS].equals(0),
            lambda: every(f, self.number(0), request[Request.ROWS], 1, row),
        )

    def _vector(self, request: Words, is_row: Value) -> None:
        """y = A x; of a row times a matrix, A is the transposed matrix."""
        f = self.f

        def word(column: Request, row: Request) -> Int:
            """A word of the request for a column, and the one that stands for it for a row."""
            return request[row].where(is_row, request[column])

        made = self.copy(request)
        made[Request.ROWS] = word(Request.ROWS, Request.COLUMNS)
        made[Request.A] = word(Request.A, Request.B)
        made[Request.A_ROW] = word(Request.A_ROW, Request.B_COLUMN)
        made[Request.A_COLUMN] = word(Request.A_COLUMN, Request.B_ROW)
        made[Request.B] = word(Request.B, Request.A)
        made[Request.B_ROW] = word(Request.B_ROW, Request.A_COLUMN)
        made[Request.C_ROW] = self.number(1).where(is_row, request[Request.C_ROW])
        work = made[Request.ROWS] * made[Request.INNER]
        pool, rows = f.parameters["pool"], made[Request.ROWS]

        def share(name: str, unit: int) -> None:
            function = Value(f"@{name}", "ptr")
            call(f, split_name(self.tiles), pool, function, made.at, rows, self.number(unit), work)

        has_rows = self.both(made[Request.A_COLUMN].equals(1), made[Request.B_ROW].equals(1))
        has_columns = self.both(made[Request.A_ROW].equals(1), made[Request.C_ROW].equals(1))

        def otherwise() -> None:
            f.either(
                has_columns,
                lambda: share(columns_name(self.tiles), UNIT),
                lambda: self._matrix(request),
            )

        f.either(has_rows, lambda: share(dots_name(self.tiles), ROWS), otherwise)


class _Items(_Way):
    """Some products of a batch."""

    title, parameters = "items", [("job", "ptr"), *RANGE[1:]]

    def emit(self) -> None:
        f = self.f
        job = Words(f, f.parameters["job"])
        item = self.copy(job)
        start, stop = (Int(f, f.parameters[n]) for n in ("start", "stop"))
        every(f, start, stop, 1, lambda i: self._item(job, item, i))
        f.do("ret void")

    def _item(self, job: Words, item: Words, index: Int) -> None:
        place_item(self, job, item, index)
        call(self.f, _One.name_of(self.tiles), Value("null", "ptr"), item.at)


def place_item(way: _Way, batch: Words, item: Words, index: Int) -> None:
    """Let `item` be product number `index` of a batch."""
    for start, step in (
        (Request.A, Request.A_BATCH),
        (Request.B, Request.B_BATCH),
        (Request.C, Request.C_BATCH),
    ):
        item[start] = way.at(batch.pointer(start), index * batch[step])


class _Parts(_Way):
    """Some parts of a long inner dimension; C of the job has room for all."""

    title, parameters = "parts", [("job", "ptr"), *RANGE[1:]]

    def emit(self) -> None:
        f = self.f
        job = Words(f, f.parameters["job"])
        part = self.copy(job)
        start, stop = (Int(f, f.parameters[n]) for n in ("start", "stop"))
        length = job[_PART]

        def one(index: Int) -> None:
            first = index * length
            part[Request.INNER] = (job[Request.INNER] - first).at_most(length)
            part[Request.A] = self.at(job.pointer(Request.A), first * job[Request.A_COLUMN])
            part[Request.B] = self.at(job.pointer(Request.B), first * job[Request.B_ROW])
            before = index * job[Request.ROWS] * job[Request.COLUMNS]
            part[Request.C] = self.at(job.pointer(Request.C), before)
            call(f, _One.name_of(self.tiles), Value("null", "ptr"), part.at)

        every(f, start, stop, 1, one)
        f.do("ret void")


class _Whole(_Way):
    """One product; in parts where the inner dimension is long and C small."""

    title = "whole"

    def emit(self) -> None:
        f = self.f
        request = Words(f, f.parameters["request"])
        inner, c = request[Request.INNER], request[Request.ROWS] * request[Request.COLUMNS]
        is_long = self.both(self.both(c <= _FEW, inner >= _LONG), c * inner >= _MANY)
        f.either(is_long, lambda: self._in_parts(request, c), lambda: self._call(request))
        f.do("ret void")

    def _call(self, request: Words) -> None:
        call(self.f, _One.name_of(self.tiles), self.f.parameters["pool"], request.at)

    def _in_parts(self, request: Words, c: Int) -> None:
        """C of many rows and few columns is made in parts that lie the other way, C^T = B^T A^T, if that
        reads rows of A^T."""
        f = self.f
        inner = request[Request.INNER]
        length = inner.up_over((inner // _LEAST).at_most(_PARTS)).up_to(UNIT)
        parts = inner.up_over(length)
        bytes_ = parts * c * self.tiles.bytes
        room = f.volatile(f"call ptr @{TAKE}(i64 {bytes_.value.text})", "ptr")

        def run(across: bool) -> None:
            job = self.copy(request, WORDS + 1)
            if across:
                _flip(request, job)
            job[_PART], job[Request.C], job[Request.C_ROW] = length, room, job[Request.COLUMNS]
            job[Request.ADDS] = 0
            f.store(literal(1, self.kind), job.pointer_to(Request.ALPHA))
            function, split = Value(f"@{_Parts.name_of(self.tiles)}", "ptr"), split_name(self.tiles)
            work = (c * inner).up_over(2)
            call(f, split, f.parameters["pool"], function, job.at, parts, self.number(1), work)
            self._add_up(request, job, room, parts, c, across)
            call(f, GIVE, room)

        def with_room() -> None:
            is_tall = request[Request.COLUMNS] < request[Request.ROWS]
            across = self.both(is_tall, request[Request.A_ROW].equals(1))
            f.either(across, lambda: run(True), lambda: run(False))

        got = f.emit(f"icmp ne ptr {room.text}, null", "i1")
        f.either(got, with_room, lambda: self._call(request))

    def _add_up(self, request: Words, job: Words, room: Value, parts: Int, c: Int, across: bool) -> None:
        """C = alpha times the sum of the parts, or as much more."""
        f, code, kind, lanes = self.f, self.code, self.kind, self.tiles.lanes
        columns = job[Request.COLUMNS]
        alpha = code.splat(f.load(request.pointer_to(Request.ALPHA), kind), lanes)
        adds = request[Request.ADDS].differs(0)
        row_step = request[Request.C_ROW]
        stride = row_step.value if across else _ONE

        def some(i: Int, j: Int) -> None:
            mask = lane_mask(code, j.value, columns.value, lanes)
            first = self.at(room, i * columns + j)

            def add(index: Value, carried: list[Value]) -> list[Value]:
                at = self.at(first, Int(f, index) * c)
                return [code.add(carried[0], read(code, at, _ONE, kind, lanes, mask))]

            start = read(code, first, _ONE, kind, lanes, mask)
            (total,) = f.loop(_ONE, parts.value, _ONE, [start], add)
            at = self.at(request.pointer(Request.C), j * row_step + i if across else i * row_step + j)
            scaled = code.multiply(alpha, total)
            more = f.choose(
                adds, lambda: code.add(scaled, read(code, at, stride, kind, lanes, mask)), lambda: scaled
            )
            write(code, more, at, stride, lanes, mask)

        every(
            f,
            self.number(0),
            job[Request.ROWS],
            1,
            lambda i: every(f, self.number(0), columns, lanes, lambda j: some(i, j)),
        )


def _flip(request: Words, job: Words) -> None:
    """Let the job make C^T = B^T A^T."""
    job[Request.ROWS], job[Request.COLUMNS] = request[Request.COLUMNS], request[Request.ROWS]
    job[Request.A], job[Request.B] = request.pointer(Request.B), request.pointer(Request.A)
    job[Request.A_ROW], job[Request.A_COLUMN] = request[Request.B_COLUMN], request[Request.B_ROW]
    job[Request.B_ROW], job[Request.B_COLUMN] = request[Request.A_COLUMN], request[Request.A_ROW]
    job[Request.A_AHEAD] = job[Request.B_AHEAD] = 0


class _Product(_Way):
    """The way in."""

    title, linkage = "product", ""

    @classmethod
    def name_of(cls, tiles: Tiles) -> str:
        return name_of(tiles.kind)

    def emit(self) -> None:
        f = self.f
        request = Words(f, f.parameters["request"])
        is_one = request[Request.BATCH].equals(1)
        f.either(is_one, lambda: self._whole(request), lambda: self._batch(request))
        f.do("ret void")

    def _whole(self, request: Words) -> None:
        call(self.f, _Whole.name_of(self.tiles), self.f.parameters["pool"], request.at)

    def _batch(self, request: Words) -> None:
        f, count = self.f, request[Request.BATCH]
        item = self.copy(request)
        item[Request.BATCH] = 1
        size = self.size(request)

        def shared() -> None:
            function = Value(f"@{_Items.name_of(self.tiles)}", "ptr")
            work = (size * count).up_over(4)
            split = split_name(self.tiles)
            call(f, split, f.parameters["pool"], function, request.at, count, self.number(1), work)

        def one(index: Int) -> None:
            place_item(self, request, item, index)
            self._whole(item)

        f.either(size < _SMALL, shared, lambda: every(f, self.number(0), count, 1, one))
