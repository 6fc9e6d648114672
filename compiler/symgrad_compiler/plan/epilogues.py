"""Elementwise kernels that read what a convolution makes become its epilogue: bias and relu, say, are
computed while a tile of the result is in registers, and what only they read gets no memory.

The kernel must be the first to read the result, element by element; what it reads besides lies as the result
does, or is one number for each channel. The convolution then runs where the kernel ran.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from symgrad.dims import Dim, product
from symgrad.ir.op import Op
from symgrad.ops.cast import AsType
from symgrad.ops.kinds import Elementwise
from symgrad.ops.strided import Strided
from symgrad_compiler.plan.cost import SLOW, is_costly
from symgrad_compiler.plan.geometry import WEIGHTS
from symgrad_compiler.plan.steps import (
    ARENA,
    IOTA,
    OUTPUT,
    Access,
    ConvolutionStep,
    Kernel,
    Number,
    Source,
    Step,
    Storage,
)

#: The most operations of an epilogue, and the most results.
_OPERATIONS, _RESULTS = 12, 3


def with_epilogues(steps: Sequence[Step], commits: Collection[Step]) -> list[Step]:
    """The steps, some kernels taken into convolutions. `commits` are those that write states in place."""
    if not any(isinstance(s, ConvolutionStep) for s in steps):
        return list(steps)
    touched: dict[Storage, list[int]] = defaultdict(list)
    written: dict[Storage, list[int]] = defaultdict(list)
    for number, step in enumerate(steps):
        for storage in dict.fromkeys(a.storage for a in (*step.reads(), *step.writes())):
            touched[storage].append(number)
        for storage in dict.fromkeys(a.storage for a in step.writes()):
            written[storage].append(number)
    made: list[Step | None] = list(steps)
    for here, step in enumerate(steps):
        if not isinstance(step, ConvolutionStep) or step.strong or step.convolution.what == WEIGHTS:
            continue
        readers = [n for n in touched[step.out.storage] if n > here]
        there = readers[0] if readers else here
        kernel = made[there]
        if not isinstance(kernel, Kernel) or kernel in commits or not _fits(kernel, step):
            continue
        if any(here < n < there for a in (step.a, step.b) for n in written[a.storage]):
            continue
        _take(step, kernel, is_kept=step.out.storage.kind != ARENA or len(readers) > 1)
        made[here], made[there] = None, step
    return [s for s in made if s is not None]


def _fits(kernel: Kernel, step: ConvolutionStep) -> bool:
    """Whether a kernel can be the epilogue."""
    if kernel.reductions or kernel.gathers or kernel.scatters or not kernel.stores:
        return False
    if len(kernel.nodes) > _OPERATIONS or len(kernel.stores) > _RESULTS:
        return False
    if not all(_is_simple(n.op) for n in kernel.nodes):
        return False
    dtype = step.out.storage.dtype
    layout = _layout(kernel, step)
    if layout is None:
        return False
    features = step.out.layout.shape[-1]
    for source in kernel.sources.values():
        if isinstance(source, Number):
            continue
        if not isinstance(source, Access) or source.storage.dtype is not dtype:
            return False
        if source.storage.kind == IOTA:
            return False
        is_result = source.storage is step.out.storage
        if not is_full(source, layout) and (is_result or not _is_row(source, layout, features)):
            return False
    return all(
        a.storage.dtype is dtype and a.storage.kind in (ARENA, OUTPUT) and is_full(a, layout)
        for _, a in kernel.stores
    )


def _is_simple(op: Op) -> bool:
    return isinstance(op, AsType) or (isinstance(op, Elementwise) and op not in SLOW and not is_costly(op))


def _layout(kernel: Kernel, step: ConvolutionStep) -> Strided | None:
    """How the result lies over the space of the kernel; None where a kernel does not visit all of it once."""
    found = next((s for s in kernel.sources.values() if _is_in(s, step.out.storage)), None)
    if not isinstance(found, Access) or found.layout.offset != 0:
        return None
    layout = found.layout
    steps = [(s, i) for i, s in enumerate(layout.strides) if layout.shape[i] != 1]
    if not all(isinstance(s, int) and s > 0 for s, _ in steps):
        return None
    order = [i for _, i in sorted(steps, key=lambda pair: -int(pair[0]))]
    whole = product(layout.shape) == product(step.out.layout.shape)
    return layout if whole and layout.permute(order).is_contiguous else None


def _is_in(source: Source, storage: Storage) -> bool:
    return isinstance(source, Access) and source.storage is storage


def is_full(access: Access, layout: Strided) -> bool:
    """Whether an operand lies as the result does."""
    same = all(
        s == t or d == 1 for d, s, t in zip(layout.shape, access.layout.strides, layout.strides, strict=True)
    )
    return same and access.layout.offset == 0


def _is_row(access: Access, layout: Strided, features: Dim) -> bool:
    """Whether an operand is one number for each channel: channels lie side by side, in both."""
    for size, step, of_result in zip(layout.shape, access.layout.strides, layout.strides, strict=True):
        if size != 1 and of_result == 1 and (step != 1 or size != features):
            return False
        if size != 1 and of_result != 1 and step != 0:
            return False
    return features != 1


def _take(step: ConvolutionStep, kernel: Kernel, is_kept: bool) -> None:
    """Let the kernel be the epilogue; the result itself is kept if somebody else reads it."""
    if is_kept:
        kept = next((t, s) for t, s in kernel.sources.items() if _is_in(s, step.out.storage))
        assert isinstance(kept[1], Access)
        kernel.stores.insert(0, (kept[0], kept[1]))
    step.epilogue = kernel
