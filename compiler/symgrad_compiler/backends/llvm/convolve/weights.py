"""The gradient for the weights: d_w[t, c, o] = sum over n, i of x[n, i s + t d - low, c] g[n, i, o].

    tiles(job, places, own, start, stop)      some tasks: tiles of the result, over some of the images
    add(job, places, own, start, stop)        some of the result: the sum of what was found for each chunk

Rows of a tile are taps and channels, each a place of x; columns are features, read from g where they are.
What is summed over (images, places) is cut into blocks that stay in the second cache while all tiles of a
task go through them. Blocks are dealt to chunks, each with a result of its own; these are added up in their
order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from enum import IntEnum
from functools import cached_property

from symgrad_compiler.backends.llvm.contract.integers import Int
from symgrad_compiler.backends.llvm.contract.words import Words, call, every
from symgrad_compiler.backends.llvm.convolve.cutting import Placed, byte_steps
from symgrad_compiler.backends.llvm.convolve.shapes import choose, heights
from symgrad_compiler.backends.llvm.convolve.sharing import job_of, share
from symgrad_compiler.backends.llvm.convolve.tile import Loop, Segment, Tile, tile_function
from symgrad_compiler.backends.llvm.ir import Function, Module, Value, literal
from symgrad_compiler.backends.llvm.lanes import read, write
from symgrad_compiler.backends.llvm.scalars import Code, Machine
from symgrad_compiler.backends.llvm.splitting import RANGE
from symgrad_compiler.plan.geometry import Axis, Convolution

#: Bytes of x and g in a block; elements of a piece of the sum of what chunks found.
_BLOCK, _PIECE = 500_000, 4096
#: Channels from which rows of a tile are of one tap, where taps have edges of their own.
_MANY = 8
#: Rows side by side from which tiles keep to them.
_LONG = 56
_ONE = literal(1, "i64")


class Job(IntEnum):
    """The words of a job."""

    X = 0
    G = 1
    TO = 2
    IMAGES = 3
    BLOCKS = 4
    CHUNKS = 5


def emit_weights(f: Function, convolution: Convolution, machine: Machine, name: str) -> None:
    """The body of the function of a convolution, and the functions that it calls."""
    _Weights(f.module, convolution, machine, name).emit(f)


class _Weights:
    def __init__(self, module: Module, convolution: Convolution, machine: Machine, name: str) -> None:
        self.module, self.machine, self.name = module, machine, name
        self.c = c = convolution
        self.bytes = c.bytes
        self.groups = 1 if c.is_depthwise else c.groups
        self.channels = 1 if c.is_depthwise else c.channels // c.groups
        self.features = c.features // self.groups
        self.outer, self.last = c.axes[:-1], c.axes[-1]
        self.a_steps = byte_steps([a.size for a in c.axes], c.channels * self.bytes)
        self.b_steps = byte_steps([a.out for a in c.axes], c.features * self.bytes)
        counts = [(1, n) for n in self._rows_in_a_row()]
        self.width, self.most = choose(counts, self.features, c.kind, machine, c.is_depthwise)

    # ---- tiles --------------------------------------------------------------------------------------

    @cached_property
    def _is_inside(self) -> bool:
        """Whether rows of all taps meet the same places along the outer axes."""
        return all(a.is_inside for a in self.outer)

    @cached_property
    def outer_taps(self) -> tuple[int, ...]:
        """The taps along outer axes, where tiles keep to one of them."""
        return () if self._is_inside else tuple(a.taps for a in self.outer)

    @cached_property
    def _rows(self) -> list[tuple[tuple[int, ...], int]]:
        """Taps and channel of each row, for one of the outer taps."""
        axes = self.c.axes if self._is_inside else (self.last,)
        taps = itertools.product(*[range(a.taps) for a in axes])
        return [(t, c) for t in taps for c in range(self.channels)]

    def _rows_in_a_row(self) -> list[int]:
        """How many rows tiles may be cut from, once for each such run: where there are enough of them, runs
        have no gaps, so that tiles are alike."""
        rows, side_by_side = len(self._rows), self.last.taps * self.channels
        if not self.last.is_inside:
            each = self.channels if self.channels >= _MANY else rows
        elif self.last.dilation > 1:
            each = self.channels if self.channels >= _LONG else rows
        else:
            each = side_by_side if side_by_side >= _LONG else rows
        return [each] * (rows // each)

    def tiles(self, columns: int) -> list[Placed]:
        """For one of the outer taps, and a panel of so many columns."""
        axes = self.c.axes if self._is_inside else (self.last,)
        steps = self.a_steps[len(self.c.axes) - len(axes) : len(self.c.axes)]
        found, start = [], 0
        for run in self._rows_in_a_row():
            for height in heights(run, self.most):
                rows = self._rows[start : start + height]
                a = [
                    sum(t * x.dilation * s for t, x, s in zip(taps, axes, steps, strict=True))
                    + channel * self.bytes
                    for taps, channel in rows
                ]
                each = self.c.features * self.bytes
                tile = Tile(
                    self.c.kind,
                    self.width.lanes,
                    self.width.vectors_of(columns),
                    tuple(p - a[0] for p in a),
                    tuple(i * each for i in range(height)),
                    columns,
                    self._segments([taps[-1] for taps, _ in rows]),
                    ((self.a_steps[-1], self.b_steps[-1]), *self._around),
                    may_add=True,
                    is_lanewise=self.c.is_depthwise,
                    reads_beyond=False,
                )
                found.append(Placed(tile, a[0], start * each))
                start += height
        return found

    @property
    def _around(self) -> list[tuple[int, int]]:
        """Steps from place to place along outer axes, in x and g."""
        return [(axis.stride * self.a_steps[i], self.b_steps[i]) for i, axis in enumerate(self.outer)]

    def _segments(self, taps: list[int]) -> tuple[Segment, ...]:
        """The places along the last axis, cut where rows begin and end to meet elements."""
        axis = self.last
        met = [axis.results_of(t) for t in taps]
        a_step, b_step = axis.stride * self.a_steps[len(self.outer)], self.b_steps[len(self.outer)]
        cuts = sorted({j for r in met for j in (r.start, r.stop)})
        found = []
        for low, high in itertools.pairwise(cuts):
            rows = tuple(i for i, r in enumerate(met) if r.start <= low < r.stop)
            if rows:
                loops = (Loop(high - low, a_step, b_step),)
                found.append(Segment(rows, loops, low * a_step, low * b_step))
        return tuple(found)

    # ---- blocks, chunks, tasks ----------------------------------------------------------------------

    @cached_property
    def _all_tiles(self) -> int:
        """Of the result."""
        each = sum(len(heights(run, self.most)) for run in self._rows_in_a_row())
        return each * math.prod(self.outer_taps) * self.width.panels * self.groups

    @cached_property
    def _block(self) -> tuple[int, int]:
        """Images and places along the first axis of a block."""
        parts, _ = self.c.cut
        panels = self.width.panels * self.groups
        of_g = -(-panels // parts) / panels
        image = max(1, int(self.a_steps[-1] + self.b_steps[-1] * of_g))
        if image <= _BLOCK:
            return _BLOCK // image, max(1, self.outer[0].out)
        places = max(1, self.outer[0].out)
        count = -(-image // _BLOCK)
        return 1, -(-places // count)

    def emit(self, f: Function) -> None:
        p = f.parameters
        parts, chunks = self.c.cut
        images = Int(f, p["images"])
        many, places = self._block
        blocks = images.up_over(many) * -(-max(1, self.outer[0].out) // places)
        used = blocks.at_most(chunks).at_least(1)
        several = used > 1
        to = f.emit(f"select i1 {several.text}, ptr {p['room'].text}, ptr {p['c'].text}", "ptr")
        job = job_of(f, [p["a"], p["b"], to, images.value, blocks.value, used.value])
        self._emit_tiles(f"{self.name}.tiles")
        share(f, f"{self.name}.tiles", job, used * parts, images * self.c.work)
        if chunks > 1:
            self._emit_add(f"{self.name}.add")
            pieces = -(-self.c.weights // _PIECE)
            job = job_of(f, [p["room"], p["c"], used.value])
            total = Int(f, literal(pieces, "i64"))
            f.when(several, lambda: share(f, f"{self.name}.add", job, total, used * self.c.weights))

    # ---- code ---------------------------------------------------------------------------------------

    def _emit_tiles(self, name: str) -> None:
        f = self.module.function(name, [("job", "ptr"), *RANGE[1:]])
        job = Words(f, f.parameters["job"])
        parts, _ = self.c.cut
        many, places = self._block
        images, blocks, chunks = job[Job.IMAGES], job[Job.BLOCKS], job[Job.CHUNKS]
        rows = -(-max(1, self.outer[0].out) // places)
        size = self.c.weights * self.bytes

        def task(index: Int) -> None:
            part, chunk = index % parts, index // parts
            first, last = part * self._all_tiles // parts, (part + 1) * self._all_tiles // parts
            low = chunk * blocks // chunks
            high = (chunk + 1) * blocks // chunks
            to = f.offset(job.pointer(Job.TO), (chunk * size).value, "i8")

            def block(number: Int) -> None:
                n = number // rows * many
                i = number % rows * places
                count = (images - n).at_most(many).where(number < high, 0)
                adds = Int(f, literal(1, "i64")).where(number > low, 0)
                every(f, first, last, 1, lambda t: self._tile(f, job, t, to, adds, (n, count), i))

            # At least one block, for the zeros of an empty sum.
            every(f, low, high.at_least(low + 1), 1, block)

        every(f, Int(f, f.parameters["start"]), Int(f, f.parameters["stop"]), 1, task)
        f.do("ret void")

    def _tile(
        self, f: Function, job: Words, index: Int, to: Value, adds: Int, images: tuple[Int, Int], place: Int
    ) -> None:
        """One tile, over one block."""
        width, places = self.width, self._block[1]
        each = self._all_tiles // (math.prod(self.outer_taps) * width.panels * self.groups)
        number, rest = index % each, index // each
        x = f.offset(job.pointer(Job.X), (images[0] * self.a_steps[-1]).value, "i8")
        g = f.offset(job.pointer(Job.G), (images[0] * self.b_steps[-1]).value, "i8")
        x = f.field(x, -self.last.low * self.a_steps[len(self.outer)])
        counts = [images[1]]
        taps, many = Int(f, literal(0, "i64")), 1
        for i, axis in reversed(list(enumerate(self.outer))):
            tap = Int(f, literal(0, "i64"))
            if self.outer_taps:
                tap, rest = rest % axis.taps, rest // axis.taps
                taps = taps + tap * many
                many *= axis.taps
            low, high = _results_of(axis, tap)
            if i == 0:
                low, high = low.at_least(place), high.at_most(place + places)
            counts.insert(1, (high - low).at_least(0))
            element = low * axis.stride + tap * axis.dilation - axis.low
            x = f.offset(x, (element * self.a_steps[i]).value, "i8")
            g = f.offset(g, (low * self.b_steps[i]).value, "i8")
        to = f.offset(to, (taps * (len(self._rows) * self.c.features * self.bytes)).value, "i8")
        panel, group = rest % width.panels, rest // width.panels
        at = (group * self.features + panel * width.panel) * self.bytes
        to, g = f.offset(to, at.value, "i8"), f.offset(g, at.value, "i8")
        channel = at if self.c.is_depthwise else group * (self.channels * self.bytes)
        x = f.offset(x, channel.value, "i8")

        def some(columns: int) -> None:
            self._select(f, number, self.tiles(columns), x, g, to, [adds, *counts])

        if width.panels == 1:
            some(width.last)
        elif width.last == width.panel:
            some(width.panel)
        else:
            f.either(panel.equals(width.panels - 1), lambda: some(width.last), lambda: some(width.panel))

    def _select(
        self, f: Function, number: Int, tiles: list[Placed], x: Value, g: Value, to: Value, rest: list[Int]
    ) -> None:
        """Call the tile of a number: equal ones are called at one place."""
        tables = {}
        for title, values in (("a", [t.a for t in tiles]), ("c", [t.c for t in tiles])):
            listed = ", ".join(f"i64 {v}" for v in values)
            text = f"constant [{len(values)} x i64] [{listed}], align 8"
            table = f"@{self.name}.{title}{tiles[0].tile.columns}"
            self.module.declare(f"{table} = private {text}")
            at = f.offset(Value(table, "ptr"), number.value, "i64")
            tables[title] = f.load(at, "i64")
        x, to = f.offset(x, tables["a"], "i8"), f.offset(to, tables["c"], "i8")
        kinds: dict[str, list[int]] = {}
        for i, placed in enumerate(tiles):
            kinds.setdefault(tile_function(self.module, placed.tile, self.machine), []).append(i)
        if len(kinds) == 1:
            call(f, next(iter(kinds)), x, g, to, *rest)
            return
        names = [next(n for n, numbers in kinds.items() if i in numbers) for i in range(len(tiles))]
        table = f"@{self.name}.f{tiles[0].tile.columns}"
        listed = ", ".join(f"ptr @{n}" for n in names)
        self.module.declare(f"{table} = private constant [{len(names)} x ptr] [{listed}], align 8")
        function = f.load(f.offset(Value(table, "ptr"), number.value, "ptr"), "ptr")
        call(f, function, x, g, to, *rest)

    def _emit_add(self, name: str) -> None:
        """The sum of the results of all chunks."""
        f = self.module.function(name, [("job", "ptr"), *RANGE[1:]])
        code = Code(f, machine=self.machine)
        job = Words(f, f.parameters["job"])
        source, to, chunks = job.pointer(0), job.pointer(1), job[2]
        kind, total = self.c.kind, self.c.weights
        lanes = self.machine.vector_bytes // self.bytes * 4  # several registers: additions overlap

        def at(pointer: Value, index: Int) -> Value:
            return f.offset(pointer, index.value, kind)

        def add(lanes: int) -> Callable[[Int], None]:
            def one(i: Int) -> None:
                def more(k: Value, carried: list[Value]) -> list[Value]:
                    here = at(source, i + Int(f, k) * total)
                    return [code.add(carried[0], read(code, here, _ONE, kind, lanes, None))]

                first = read(code, at(source, i), _ONE, kind, lanes, None)
                (value,) = f.loop(_ONE, chunks.value, _ONE, [first], more)
                write(code, value, at(to, i), _ONE, lanes, None)

            return one

        def piece(index: Int) -> None:
            first = index * _PIECE
            last = (first + _PIECE).at_most(total)
            whole = first + (last - first) // lanes * lanes
            every(f, first, whole, lanes, add(lanes))
            every(f, whole, last, 1, add(1))

        every(f, Int(f, f.parameters["start"]), Int(f, f.parameters["stop"]), 1, piece)
        f.do("ret void")


def _results_of(axis: Axis, t: Int) -> tuple[Int, Int]:
    """`Axis.results_of`, at run time."""
    if axis.is_inside:
        zero = t - t
        return zero, zero + axis.out
    at = t * axis.dilation - axis.low
    low = (0 - at).at_least(0).up_over(axis.stride)
    reach = (axis.size - 1) - at
    high = reach.at_least(0) // axis.stride + 1
    return low, high.where(reach >= 0, 0).at_most(axis.out)
