"""Matrix products in loops over rows: a tall matrix is read once, with what is done to its rows.

    z = x @ w       each row of x gives a row of z                          ("rows")
    d_w = x.T @ g   rows of x and of g are added up: by chunks, as sums are  ("sum")

where x has many rows, and w and d_w few columns. With more columns, z is in a loop where its rows are only
reduced, and so never have to be in memory all at once: min(x @ w, axis=1). Otherwise, whole products are
faster. In any case w stays in the cache beside a block of x.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from symgrad.dims import Dim, product
from symgrad.ops.strided import Strided
from symgrad_compiler.plan.steps import (
    ARENA,
    CHUNK,
    STATE,
    Access,
    FillStep,
    Kernel,
    MatMulStep,
    Reduction,
    Step,
    Storage,
)

#: The most elements of the small matrix, and of its shorter side.
MOST_SMALL, MOST_SIDE = 16384, 24
#: Rows from which on a product is worth a loop.
LEAST_ROWS = 1024
#: The most bytes of the small matrix where rows of the result are only reduced.
MOST_BESIDE = 128 * 1024
Role: TypeAlias = Literal["rows", "sum"]


def role_of(step: Step) -> Role | None:
    """What the rows of a loop would be to a product; None where it stands alone."""
    if not isinstance(step, MatMulStep) or step.factor is not None or step.alone:
        return None
    if step.out.storage.kind == STATE:
        return None
    if len(step.out.layout.shape) != 2 or step.out.storage.dtype.kind != "float":
        return None
    (m, n), k = step.out.layout.shape, step.a.layout.shape[-1]
    is_beside = _is_small(k, n) or (step.reduced and _fits_beside(k, n, step.out.storage.dtype.itemsize))
    if is_beside and _is_many(m) and step.a.layout.strides[-1] == 1:
        return "rows"
    if is_tall_sum(m, n, k) and 1 in (step.a.layout.strides[-2], step.b.layout.strides[-1]):
        # Strong zeros are cheap where the other operand is seen to be finite: where it has no gaps.
        other = {"a": step.b, "b": step.a}.get(step.strong)
        return "sum" if not step.strong or (other is not None and other.layout.is_dense) else None
    return None


def mark_reduced(steps: Sequence[Step]) -> None:
    """Say of products whether what becomes of their results are numbers for each row."""
    readers: dict[Storage, list[Step]] = defaultdict(list)
    for step in steps:
        for storage in {access.storage for access in step.reads()}:
            readers[storage].append(step)
    reducing: set[Step] = set()

    def is_reduced(storage: Storage) -> bool:
        found = readers[storage]
        return storage.kind == ARENA and bool(found) and all(s in reducing for s in found)

    for step in reversed(steps):
        if isinstance(step, MatMulStep):
            step.reduced = is_reduced(step.out.storage)
        elif isinstance(step, Kernel) and len(step.space) == 2 and not step.scatters:
            by_row = not step.reductions or step.reductions[0].axes == (1,)
            if by_row and all(is_reduced(access.storage) for _, access in step.stores):
                reducing.add(step)


def may_join_rows(m: Dim, n: Dim, k: Dim) -> bool:
    """Whether a product of matrices of these sizes may be in a loop over rows, in either role."""
    return (_is_small(k, n) and _is_many(m)) or is_tall_sum(m, n, k)


def is_tall_sum(m: Dim, n: Dim, k: Dim) -> bool:
    """Whether a product adds up many rows to a small matrix."""
    return _is_small(m, n) and _is_many(k)


def _is_small(rows: Dim, columns: Dim) -> bool:
    if not (isinstance(rows, int) and isinstance(columns, int)):
        return False
    return 0 < rows * columns <= MOST_SMALL and 1 < min(rows, columns) <= MOST_SIDE


def _fits_beside(rows: Dim, columns: Dim, itemsize: int) -> bool:
    if not (isinstance(rows, int) and isinstance(columns, int)):
        return False
    return rows > 1 and columns > MOST_SIDE and rows * columns * itemsize <= MOST_BESIDE


def _is_many(rows: Dim) -> bool:
    return not isinstance(rows, int) or rows >= LEAST_ROWS


def rows_of(step: MatMulStep) -> Dim:
    return step.out.layout.shape[0] if role_of(step) == "rows" else step.a.layout.shape[1]


def by_row(step: MatMulStep) -> list[tuple[Access, bool]]:
    """What has the rows as its first axis, and whether it is written."""
    if role_of(step) == "rows":
        return [(step.a, False), (step.out, True)]
    return [(_transposed(step.a), False), (step.b, False)]


def beside(step: MatMulStep) -> list[tuple[Access, bool]]:
    """What has not."""
    return [(step.b, False)] if role_of(step) == "rows" else [(step.out, True)]


def _transposed(access: Access) -> Access:
    layout = access.layout
    return Access(access.storage, Strided(layout.shape[::-1], layout.strides[::-1], layout.offset))


def cut(
    step: MatMulStep, access: Callable[[Access], Access], chunks: Dim, before: list[Step], after: list[Step]
) -> tuple[MatMulStep, MatMulStep]:
    """The product over all rows, and over a block; `access` cuts what has the rows as its first axis."""
    if role_of(step) == "rows":
        step = _with_columns(step, before)
        return step, replace(step, a=access(step.a), out=access(step.out), tall="rows")
    (m, n), out = step.out.layout.shape, step.out
    assert isinstance(m, int)
    assert isinstance(n, int)
    partial = Storage(ARENA, out.storage.dtype, chunks * (m * n), label="product by chunks")
    before.append(FillStep(Access(partial, Strided.contiguous((partial.size,)))))
    # rows of the longer side, so that rows of the tall matrix are read in order
    strides = (1, m) if m > n else (n, 1)
    tensor, shape = step.node.outputs[0], (chunks, m, n)
    total = Kernel(shape, sources={tensor: Access(partial, Strided(shape, (m * n, *strides), 0))}, weight=1)
    total.reductions.append(Reduction(tensor.node, "add", tensor, (0,)))
    total.results.append((total.reductions[0], out))
    after.append(total)
    whole = replace(step, out=Access(partial, Strided((m, n), strides, 0)), factor=1.0)
    of_chunk = Access(partial, Strided((m, n), strides, CHUNK * (m * n)))
    a = _transposed(access(_transposed(step.a)))
    return whole, replace(whole, a=a, b=access(step.b), out=of_chunk, tall="sum")


def _with_columns(step: MatMulStep, before: list[Step]) -> MatMulStep:
    """With columns of b that have no gaps: each element of the result is a dot product. Of many columns, with
    rows that have none."""
    b = step.b.layout
    if _is_small(*b.shape):
        return (
            step
            if b.strides[-2] == 1
            else replace(step, b=_transposed(_copy(_transposed(step.b), step, before)))
        )
    return step if b.strides[-1] == 1 else replace(step, b=_copy(step.b, step, before))


def _copy(access: Access, step: MatMulStep, before: list[Step]) -> Access:
    """A copy without gaps, made before the loop."""
    copy = Storage(
        ARENA, access.storage.dtype, product(access.layout.shape), label=f"copy of {access.storage}"
    )
    tensor = step.node.inputs[1]
    kernel = Kernel(access.layout.shape, sources={tensor: access})
    made = Access(copy, Strided.contiguous(access.layout.shape))
    kernel.stores.append((tensor, made))
    before.append(kernel)
    return made
