"""Loops over rows: kernels that go through the same rows of memory are run block of rows by block of rows.

    loop over rows of x:   maximum of each row; exp(x - maximum) and its sum; exp / sum        (softmax)

The blocks are small enough to stay in the cache, so that memory is visited once however many kernels there
are: x comes in once, the result goes out once, and what lies between has room for one block only. A kernel
joins a loop if, for each storage that it shares with the loop and that one of them writes, both touch in each
block only the rows of that block.

A reduction over the rows themselves is added up from block to block, in chunks of many blocks that threads
can share: each chunk has its own sum, and these are added up after the loop; so is what is added to memory at
indices, where that memory is small. Chunks depend on sizes alone, so
the result is the same for every number of threads. A long reduction is such a loop of one kernel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from symgrad.dims import Dim, Shape, floordiv, maximum, product
from symgrad.ir.values import Scalar
from symgrad.ops.strided import Strided
from symgrad_compiler.plan import row_products
from symgrad_compiler.plan.join import joined
from symgrad_compiler.plan.narrow import by_columns
from symgrad_compiler.plan.row_uses import (
    Use,
    most_row_axes,
    reductions_by_row,
    row_stride,
    space_of,
    uses_of,
)
from symgrad_compiler.plan.steps import (
    ARENA,
    CHUNK,
    ROW,
    ROWS,
    Access,
    FillStep,
    Gather,
    Index,
    Kernel,
    MatMulStep,
    Number,
    Reduction,
    RowLoop,
    RowStep,
    Scatter,
    Source,
    Step,
    Storage,
    identity,
)

#: Bytes of all rows of a block: they fit into the cache next to a core, beside what else is there.
BLOCK_BYTES = 128 * 1024
#: The same of a loop with matrix products, which take their time for each block: so many rows at least, if
#: that fits into the second cache.
PRODUCT_BYTES, PRODUCT_ROWS = 176 * 1024, 32
#: A row beyond this leaves the cache before it is read again.
MOST_ROW_BYTES = 1024 * 1024
#: Below this everything stays in the cache anyway.
LEAST_BYTES = 256 * 1024
#: Sums over rows are made in this many chunks, each of so many rows at least.
CHUNKS, LEAST_CHUNK = 16, 64
#: A single reduction to more elements than this is left to be shared by columns.
MOST_KEPT = 16384
#: The most kernels of a loop; how many loops are open at a time.
MOST_STEPS, OPEN = 64, 6


def over_rows(steps: Sequence[Step], needs: Sequence[Sequence[int]]) -> list[Step]:
    """The steps, those that go through the same rows in loops; `needs` must run before each."""
    row_products.mark_reduced(steps)
    return _Grouping(steps, needs).run()


# ---- groups -------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Group:
    """Steps that are to run as one loop over `rows`, by number; at first one step. `key` is the place in
    the order."""

    key: tuple[int, int, int]
    steps: dict[int, Step]
    rows: Shape
    #: How steps touch memory, by number and count of row axes, as far as it is known.
    known: dict[tuple[int, int], list[Use]]
    #: How its steps touch each storage.
    uses: dict[Storage, list[Use]] = field(default_factory=dict)
    #: Whether it has been moved before another, where it must stay.
    fixed: bool = False

    @classmethod
    def of(
        cls,
        key: tuple[int, int, int],
        steps: dict[int, Step],
        rows: Shape,
        known: dict[tuple[int, int], list[Use]],
    ) -> _Group:
        made = cls(key, {}, rows, known)
        made.add(steps)
        return made

    def over(self, rows: Shape) -> _Group:
        """The same steps over fewer leading axes."""
        return _Group.of(self.key, self.steps, rows, self.known)

    def add(self, steps: dict[int, Step]) -> None:
        self.steps.update(steps)
        k = len(self.rows)
        for number, step in steps.items() if k else ():
            uses = self.known.get((number, k))
            if uses is None:
                uses = self.known[number, k] = uses_of(step, k)  # type: ignore[arg-type]
            for use in uses:
                self.uses.setdefault(use.storage, []).append(use)


class _Grouping:
    """One walk over the steps. A step joins an open group if all that it depends on runs before that group or
    in it, or can be brought there."""

    def __init__(self, steps: Sequence[Step], needs: Sequence[Sequence[int]]) -> None:
        self.steps = steps
        self.needs = needs
        #: The group of each step.
        self.of: list[_Group] = []
        self.open: list[_Group] = []
        self.known: dict[tuple[int, int], list[Use]] = {}

    def run(self) -> list[Step]:
        for number, step in enumerate(self.steps):
            self.of.append(self._group(number, step))
        groups = sorted(dict.fromkeys(self.of), key=lambda g: g.key)
        users: dict[Storage, set[_Group]] = defaultdict(set)
        for step, group in zip(self.steps, self.of, strict=True):
            for access in (*step.reads(), *step.writes()):
                users[access.storage].add(group)
        result: list[Step] = []
        for group in groups:
            own = {s for s in group.uses if s.kind == ARENA and len(users[s]) == 1}
            result += _as_loop(group, own)
        return result

    def _group(self, number: int, step: Step) -> _Group:
        space = space_of(step)[: most_row_axes(step)]
        while space and space[-1] == 1:
            space = space[:-1]
        made = _Group.of((number, 1, 0), {number: step}, space, self.known)
        if not space:
            return made
        for group in self.open:
            rows = _common(group.rows, space)
            if rows and self._join(number, made, group, rows):
                return group
        self.open = [*self.open[1 - OPEN :], made]
        return made

    def _join(self, number: int, single: _Group, group: _Group, rows: Shape) -> bool:
        """Let a step join a group, with what it needs, if that may be."""
        if single.uses.keys().isdisjoint(group.uses):
            return False
        late = self._late(number, group)
        if late is None or len(group.steps) + len(late) >= MOST_STEPS:
            return False
        for unit in late:
            rows = _common(rows, unit.rows) or rows
        single = single if single.rows == rows else single.over(rows)
        others = group if group.rows == rows else group.over(rows)
        if not _share(single, others) or not _agree(single, others):
            return False
        absorbed: list[_Group] = []
        moved: list[_Group] = []
        for unit in late:
            there = unit if unit.rows == rows else unit.over(_common(unit.rows, rows))
            if there.rows == rows and all(_agree(there, each) for each in (single, others, *absorbed)):
                absorbed.append(there)
                continue
            needs = [self.of[m] for n in unit.steps for m in self.needs[n]]
            taken = {k for each in absorbed for k in each.steps}
            if (
                len(unit.steps) > 1
                or unit.fixed
                or any(g is group or not taken.isdisjoint(g.steps) for g in needs)
            ):
                return False
            moved.append(unit)
        self._merge(single, group, absorbed, moved)
        return True

    def _late(self, number: int, group: _Group) -> list[_Group] | None:
        """The groups behind `group` that a step needs, in order; None where they are many."""
        late: dict[_Group, None] = {}
        stack = [self.of[n] for n in self.needs[number]]
        while stack:
            unit = stack.pop()
            if unit is group or unit in late or unit.key < group.key:
                continue
            late[unit] = None
            if len(late) > MOST_STEPS:
                return None
            stack += [self.of[m] for n in unit.steps for m in self.needs[n]]
        return sorted(late, key=lambda g: g.key)

    def _merge(
        self, single: _Group, group: _Group, absorbed: Sequence[_Group], moved: Sequence[_Group]
    ) -> None:
        for unit in moved:
            (number,) = unit.steps
            unit.key, unit.fixed = (group.key[0], 0, number), True
            self._close(unit)
        if group.rows == single.rows and not absorbed:
            group.add(single.steps)
            return
        steps = {**group.steps, **single.steps}
        for each in absorbed:
            self._close(self.of[next(iter(each.steps))])
            steps.update(each.steps)
        for number in steps:
            if number < len(self.of):
                self.of[number] = group
        group.rows, group.steps, group.uses = single.rows, {}, {}
        group.add(dict(sorted(steps.items())))

    def _close(self, group: _Group) -> None:
        if group in self.open:
            self.open.remove(group)


def _share(a: _Group, b: _Group) -> bool:
    """Whether both touch rows of one storage."""
    return any(
        u.stride != 0 and any(v.stride != 0 for v in b.uses.get(s, ()))
        for s, uses in a.uses.items()
        for u in uses
    )


def _agree(a: _Group, b: _Group) -> bool:
    """Whether, in each storage that one of them writes, both keep to the rows of a block."""
    for storage, uses in a.uses.items():
        for other in b.uses.get(storage, ()):
            for use in uses:
                by_rows = use.is_own and other.is_own and use.stride == other.stride
                if (use.writes or other.writes) and not by_rows:
                    return False
    return True


def _common(a: Shape, b: Shape) -> Shape:
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    return a[:count]


# ---- loops --------------------------------------------------------------------------------------------


def _as_loop(group: _Group, alone: Collection[Storage]) -> list[Step]:
    """The group as a loop, if it is one and gains from it; else its steps. `alone` is what nothing else
    touches."""
    steps = joined(list(group.steps.values()), alone)
    if len(steps) < len(group.steps):
        group = _Group.of(group.key, dict(enumerate(steps)), group.rows, {})
        alone = [s for s in alone if s in group.uses]
    if len(steps) == 1 and not _is_long_reduction(steps[0], len(group.rows)):
        return steps
    rows = product(group.rows)
    row_bytes: Dim = 0
    for storage, uses in group.uses.items():
        stride = next((u.stride for u in uses if u.stride != 0), 0)
        row_bytes = row_bytes + stride * storage.dtype.itemsize
    block = _block(rows, row_bytes, _block_bytes(steps, row_bytes))
    if block is None:
        return steps
    return _Cutter(group, alone, rows, block).loop()


def _block_bytes(steps: Sequence[Step], row_bytes: Dim) -> int:
    """How much memory the rows of a block may take."""
    if not any(isinstance(s, MatMulStep) for s in steps):
        return BLOCK_BYTES
    wanted = PRODUCT_ROWS * row_bytes if isinstance(row_bytes, int) else 0
    return max(PRODUCT_BYTES, min(wanted, MOST_ROW_BYTES))


def _is_long_reduction(step: Step, k: int) -> bool:
    """Whether a step reduces over the rows to few elements, or adds them to few."""
    if not isinstance(step, Kernel) or not k:
        return False
    if step.scatters:
        return all(_is_small_sum(s) for s in step.scatters)
    if reductions_by_row(step, k) is not False:
        return False
    kept = [product(access.layout.shape) for _, access in step.results]
    return all(not isinstance(size, int) or size <= MOST_KEPT for size in kept)


def _is_small_sum(scatter: Scatter) -> bool:
    """Whether each chunk can have its own memory for what is added at indices."""
    size = scatter.storage.size
    return scatter.mode == "add" and isinstance(size, int) and size <= MOST_KEPT


def _chunk(rows: Dim, block: Dim) -> Dim:
    """How many rows a chunk has: whole blocks."""
    if isinstance(rows, int) and isinstance(block, int):
        return -(-max(-(-rows // CHUNKS), LEAST_CHUNK) // block) * block
    least = maximum(floordiv(rows + CHUNKS - 1, CHUNKS), LEAST_CHUNK)
    return block * floordiv(least + block - 1, block)


def _block(rows: Dim, row_bytes: Dim, bytes_: int) -> Dim | None:
    """How many rows a block has; None where blocks gain nothing. Of rows whose length is not known, a number
    that each call computes."""
    if not isinstance(row_bytes, int):
        return maximum(1, floordiv(bytes_, row_bytes))
    if row_bytes > MOST_ROW_BYTES or row_bytes <= 0:
        return None
    block = max(1, bytes_ // row_bytes)
    if not isinstance(rows, int):
        return block
    if rows * row_bytes <= LEAST_BYTES or rows <= block:
        return None
    return next((b for b in range(block, block // 2, -1) if rows % b == 0), block)


class _Cutter:
    """Makes the steps of a group steps over a block."""

    def __init__(self, group: _Group, alone: Collection[Storage], rows: Dim, block: Dim) -> None:
        self.group = group
        self.rows = rows
        self.block = block
        self.k = len(group.rows)
        even = isinstance(rows, int) and isinstance(block, int) and rows % block == 0
        self.count: Dim = block if even else ROWS
        self.own = {s for s in alone if all(u.is_own for u in group.uses[s])}
        kernels = [s for s in group.steps.values() if isinstance(s, Kernel)]
        common = [s for kernel in kernels for s in kernel.scatters if not self._keeps_to_rows(s)]
        self.splits = all(map(_is_small_sum, common))
        sums = bool(common) or any(reductions_by_row(s, self.k) is False for s in kernels)
        sums = sums or any(row_products.role_of(s) == "sum" for s in group.steps.values())
        self.chunk = _chunk(rows, block) if sums else block
        known = isinstance(rows, int) and isinstance(self.chunk, int)
        self.chunks = -(-rows // self.chunk) if known else CHUNKS
        self.before: list[Step] = []
        self.after: list[Step] = []

    def loop(self) -> list[Step]:
        strides = {u.storage: u.stride for uses in self.group.uses.values() for u in uses if u.stride != 0}
        inside = (Kernel, FillStep, MatMulStep)
        steps = [self._step(s) for s in self.group.steps.values() if isinstance(s, inside)]
        for storage in self.own:
            storage.size = self.block * strides[storage]
        whole, body = zip(*steps, strict=True)
        body = tuple(by_columns(body, {s: strides[s] for s in self.own}, self.count))
        loop = RowLoop(self.rows, self.block, self.chunk, whole, body, frozenset(self.own), self.splits)
        return [*self.before, loop, *self.after]

    def _keeps_to_rows(self, scatter: Scatter) -> bool:
        """Whether a block writes only to its own rows."""
        return all(u.is_own for u in self.group.uses[scatter.storage] if u.writes)

    def _step(self, step: RowStep) -> tuple[RowStep, RowStep]:
        """A step over all rows, and over a block."""
        if isinstance(step, FillStep):
            return step, FillStep(self._access(step.out))
        if isinstance(step, MatMulStep):
            return row_products.cut(step, self._access, self.chunks, self.before, self.after)
        k, by_row = self.k, reductions_by_row(step, self.k)
        cut = Kernel((self.count, *step.space[k:]))
        for node in step.nodes:
            cut.add(node)
        cut.weight = step.weight
        cut.sources = {t: self._source(s) for t, s in step.sources.items()}
        cut.gathers = {
            t: Gather(g.storage, self._layout(g.storage, g.layout), self._indices(g.indices))
            for t, g in step.gathers.items()
        }
        scatters = [self._scatter(s) for s in step.scatters]
        step = replace(step, scatters=[whole for whole, _ in scatters]) if scatters else step
        cut.scatters = [part for _, part in scatters]
        cut.stores = [(t, self._access(a)) for t, a in step.stores]
        reductions = {r: self._reduction(r, bool(by_row)) for r in step.reductions}
        cut.reductions = list(reductions.values())
        if by_row:
            cut.results = [(reductions[r], self._access(a)) for r, a in step.results]
            return step, cut
        cut.lost = {}
        partial = [(r, self._by_chunks(r, reductions[r], a, cut)) for r, a in step.results]
        return replace(step, results=partial), cut

    def _scatter(self, scatter: Scatter) -> tuple[Scatter, Scatter]:
        """A scatter over all rows, and over a block: into memory of its chunk, added up after the loop, where
        chunks would write to the same elements."""
        storage, indices = scatter.storage, self._indices(scatter.indices)
        if self._keeps_to_rows(scatter) or not self.splits:
            return scatter, replace(scatter, layout=self._layout(storage, scatter.layout), indices=indices)
        size = storage.size
        partial = Storage(ARENA, storage.dtype, self.chunks * size, label=f"{storage} by chunks")
        self.before.append(FillStep(Access(partial, Strided.contiguous((partial.size,)))))
        tensor, shape = scatter.value, (self.chunks, size)
        total = Kernel(shape, sources={tensor: Access(partial, Strided.contiguous(shape))}, weight=1, lost={})
        total.reductions.append(Reduction(tensor.node, "add", tensor, (0,)))
        total.results.append((total.reductions[0], Access(storage, Strided.contiguous((size,)))))
        self.after.append(total)
        inside = self._layout(storage, scatter.layout)
        of_chunk = Strided(inside.shape, inside.strides, scatter.layout.offset + CHUNK * size)
        part = replace(scatter, storage=partial, layout=of_chunk, indices=indices)
        return replace(scatter, storage=partial), part

    def _by_chunks(self, reduction: Reduction, part: Reduction, access: Access, cut: Kernel) -> Access:
        """Memory for the reduction of each chunk; of sums, before it, for what additions lost."""
        tensor, shape = reduction.tensor, access.layout.shape
        size = product(shape)
        is_sum = reduction.kind == "add" and tensor.dtype.kind == "float"
        partial = Storage(
            ARENA, tensor.dtype, (1 + is_sum) * self.chunks * size, label=f"{reduction.kind} by chunks"
        )
        inside = Strided.contiguous(shape).strides

        def of_chunk(first: Dim) -> Access:
            return Access(partial, Strided(shape, inside, first + CHUNK * size))

        everything = Strided((self.chunks, *shape), (size, *inside), 0)
        if is_sum:
            assert cut.lost is not None
            cut.lost[part] = of_chunk(0)
            everything = Strided((2, *everything.shape), (self.chunks * size, *everything.strides), 0)
            self.before.append(FillStep(Access(partial, Strided.contiguous((partial.size,)))))
        else:
            nothing = Number(Scalar.of(identity(reduction.kind, tensor.dtype), tensor.dtype))
            fill = Kernel(everything.shape, sources={tensor: nothing})
            fill.stores.append((tensor, Access(partial, everything)))
            self.before.append(fill)
        cut.results.append((part, of_chunk(self.chunks * size if is_sum else 0)))
        self.after.append(self._together(reduction, Access(partial, everything), access))
        return Access(partial, Strided.contiguous(shape))

    def _together(self, reduction: Reduction, partial: Access, access: Access) -> Kernel:
        """The reduction of those of all chunks."""
        tensor, shape = reduction.tensor, partial.layout.shape
        made = Kernel(shape, sources={tensor: partial}, weight=1)
        axes = tuple(range(len(shape) - len(access.layout.shape)))
        made.reductions.append(Reduction(reduction.node, reduction.kind, tensor, axes))
        made.results.append((made.reductions[0], access))
        return made

    def _reduction(self, reduction: Reduction, by_row: bool) -> Reduction:
        first = () if by_row else (0,)
        axes = (*first, *(a - self.k + 1 for a in reduction.axes if a >= self.k))
        return Reduction(reduction.node, reduction.kind, reduction.value, axes)

    def _source(self, source: Source) -> Source:
        return self._access(source) if isinstance(source, Access) else source

    def _indices(self, indices: Sequence[Index]) -> tuple[Index, ...]:
        return tuple(replace(i, access=self._access(i.access)) for i in indices)

    def _access(self, access: Access) -> Access:
        return Access(access.storage, self._layout(access.storage, access.layout))

    def _layout(self, storage: Storage, layout: Strided) -> Strided:
        """The layout of a block: its rows are one axis, and start at the block's first, in memory for all
        rows."""
        stride = row_stride(layout, self.k)
        offset = layout.offset if storage in self.own else layout.offset + ROW * stride
        shape, strides = layout.shape[self.k :], layout.strides[self.k :]
        return Strided((self.count, *shape), (stride, *strides), offset)
