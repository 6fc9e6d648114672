"""How a step touches memory when its leading axes are taken together as rows.

    exp(x - m), x of shape (batch, head, column), two row axes:
        row i of x lies within [i columns, (i + 1) columns), row i of m within [i, i + 1)

`rows.py` puts steps that go through the same rows of memory in one loop; what each of them reads and writes
in a row is said here, and how many of its leading axes can be rows at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symgrad.dims import Dim, Shape, is_never_negative, product
from symgrad.ops.strided import Strided
from symgrad.records import record
from symgrad_compiler.plan import row_products
from symgrad_compiler.plan.steps import (
    IOTA,
    STATE,
    Access,
    FillStep,
    Gather,
    Index,
    Kernel,
    MatMulStep,
    RowStep,
    Scatter,
    Step,
    Storage,
)


@record
class Use:
    """How the rows of a step touch a storage: row i lies within [i stride, (i + 1) stride), or not."""

    storage: Storage
    writes: bool
    stride: Dim
    is_own: bool


def space_of(step: Step) -> Shape:
    """What a step goes through, rows first; nothing where it cannot be cut into rows."""
    if isinstance(step, Kernel):
        return step.space
    if isinstance(step, MatMulStep):
        return () if row_products.role_of(step) is None else (row_products.rows_of(step),)
    return step.out.layout.shape if isinstance(step, FillStep) else ()


def reductions_by_row(kernel: Kernel, k: int) -> bool | None:
    """Whether reductions keep the first k axes, or (False) reduce over all of them; None for neither."""
    if not kernel.reductions:
        return True
    axes = set(kernel.reductions[0].axes)
    inside = sum(a in axes for a in range(k))
    return True if inside == 0 else False if inside == k else None


def most_row_axes(step: Step) -> int:
    """How many leading axes can be one axis of rows."""
    space = space_of(step)
    if isinstance(step, MatMulStep):
        return len(space)
    if isinstance(step, FillStep):
        whole = step.out.layout.is_contiguous and step.out.layout.offset == 0
        return len(space) if whole and all(map(is_never_negative, space)) else 0
    if not isinstance(step, Kernel) or any(r.kind.startswith("arg") and 0 in r.axes for r in step.reductions):
        return 0
    if any(a.storage.kind == STATE for a in step.writes()):
        return 0
    k = len(space)
    if not all(map(is_never_negative, space)):  # the product of two negative sizes is positive
        k = min(k, 1)
    while k and reductions_by_row(step, k) is None:
        k -= 1
    for layout in _layouts(step, k):
        k = min(k, _joinable(layout, k))
    return k


def _layouts(kernel: Kernel, k: int) -> Iterator[Strided]:
    """The layouts over the space, and those of results that have the rows."""
    for source in kernel.sources.values():
        if isinstance(source, Access):
            yield source.layout
    indexed: list[Gather | Scatter] = [*kernel.gathers.values(), *kernel.scatters]
    for each in indexed:
        yield each.layout
        yield from (i.access.layout for i in each.indices)
    yield from (access.layout for _, access in kernel.stores)
    if reductions_by_row(kernel, k):
        yield from (access.layout for _, access in kernel.results)


def _joinable(layout: Strided, k: int) -> int:
    """How many of the first k axes advance as one."""
    last: tuple[Dim, Dim] | None = None
    for axis in reversed(range(k)):
        size, stride = layout.shape[axis], layout.strides[axis]
        if size == 1:
            continue
        if last is not None and stride != last[1] * last[0]:
            k, last = axis + 1, None
        last = (size, stride)
    return k


def row_stride(layout: Strided, k: int) -> Dim:
    """How far the joined axes advance."""
    return next((layout.strides[a] for a in reversed(range(k)) if layout.shape[a] != 1), 0)


def uses_of(step: RowStep, k: int) -> list[Use]:
    """How a step touches memory, if its first k axes are the rows."""
    rows = product(space_of(step)[:k])
    found: list[Use] = []

    def add(storage: Storage, layout: Strided, writes: bool, further: Dim = 0) -> None:
        stride = row_stride(layout, k)
        inside = layout.offset
        for size, step_ in zip(layout.shape[k:], layout.strides[k:], strict=True):
            inside = inside + (size - 1) * step_
        own = (
            stride != 0
            and storage.size == rows * stride
            and all(is_never_negative(s) for s in layout.strides[k:])
            and is_never_negative(layout.offset)
            and is_never_negative(stride - 1 - inside - further)
        )
        found.append(Use(storage, writes, stride, own))

    if isinstance(step, FillStep):
        add(step.out.storage, step.out.layout, True)
        return found
    if isinstance(step, MatMulStep):
        for access, writes in row_products.by_row(step):
            add(access.storage, access.layout, writes)
        found += [Use(access.storage, writes, 0, False) for access, writes in row_products.beside(step)]
        return found
    for source in step.sources.values():
        if isinstance(source, Access) and source.storage.kind != IOTA:
            add(source.storage, source.layout, False)
    for gather in step.gathers.values():
        add(gather.storage, gather.layout, False, _reach(gather.indices))
    for scatter in step.scatters:
        add(scatter.storage, scatter.layout, True, _reach(scatter.indices))
    indexed: list[Gather | Scatter] = [*step.gathers.values(), *step.scatters]
    for each in indexed:
        for index in each.indices:
            if index.access.storage.kind != IOTA:
                add(index.access.storage, index.access.layout, False)
    for _, access in step.stores:
        add(access.storage, access.layout, True)
    by_row = reductions_by_row(step, k)
    for _, access in step.results:
        if by_row:
            add(access.storage, access.layout, True)
        else:
            found.append(Use(access.storage, True, 0, False))
    return found


def _reach(indices: Sequence[Index]) -> Dim:
    """How far indices may lead."""
    total: Dim = 0
    for index in indices:
        total = total + (index.size - 1) * index.stride
    return total
