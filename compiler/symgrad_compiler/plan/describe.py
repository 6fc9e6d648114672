"""A plan as text: steps with their loops, code, memory, flops and bytes; then the arena."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from symgrad import dims
from symgrad.dims import Dim, Size, product
from symgrad.ir import origin
from symgrad.ir.tensor import Node, Tensor
from symgrad.types import format_shape
from symgrad_compiler.plan import memory
from symgrad_compiler.plan.checks import Elements, Equal, Exponents, Indices, Inside, NotNegative, Sign
from symgrad_compiler.plan.memory import bytes_of
from symgrad_compiler.plan.steps import (
    ARENA,
    IOTA,
    Access,
    Check,
    ConvolutionStep,
    FillStep,
    Gather,
    Kernel,
    MatMulStep,
    MatrixStep,
    Number,
    Plan,
    RowLoop,
    ScanStep,
    Scatter,
    SearchStep,
    SizeNumber,
    SortStep,
    Source,
    Step,
    Storage,
)


def describe(plan: Plan) -> str:
    """The plan as text."""
    graph = plan.graph
    flops = _total(map(flops_of, plan.steps))
    traffic = _total(map(traffic_of, plan.steps))
    kernels = sum(isinstance(s, Kernel) for s in plan.steps)
    head = f"{graph.name}: {len(plan.steps)} steps, {kernels} of them kernels; flops {flops}, bytes {traffic}"
    lines = [head]
    for number, step in enumerate(plan.steps):
        lines += [
            f"{number:3}  {line}" if i == 0 else f"     {line}" for i, line in enumerate(_step(plan, step))
        ]
    lines += memory.lines(plan.arena)
    for state in plan.in_place:
        lines.append(f"  {graph.names[state]}: written in place")
    for state in plan.spares:
        lines.append(f"  {graph.names[state]}: changes places with a spare array")
    return "\n".join(lines)


def step_title(plan: Plan, step: Step) -> str:
    """What a step is, and its results, in a line.

    >>> import symgrad as sg
    >>> from symgrad_compiler.plan.fuse import make_plan
    >>> plan = make_plan(sg.Graph([x := sg.vector("x", size="n")], sg.exp(x).named("y") * 2))
    >>> step_title(plan, plan.steps[0])
    'kernel over (n,): multiply'
    """
    names = plan.graph.names
    if isinstance(step, Kernel):
        made = [*[t for t, _ in step.stores], *[r.tensor for r, _ in step.results]]
        made += [s.value for s in step.scatters]
        listed = ", ".join(dict.fromkeys(_name(names, t) for t in made))
        return f"kernel over {format_shape(step.space)}: {listed}"
    if isinstance(step, RowLoop):
        return f"loop over {step.rows} rows, {step.block} at a time"
    return next(_step(plan, step)).partition(": ")[0]


def nodes_of(plan: Plan, step: Step) -> Iterator[str]:
    """The nodes that a step computes, each with its op and its line."""
    if isinstance(step, RowLoop):
        for each in step.whole:
            yield from nodes_of(plan, each)
    elif isinstance(step, Kernel):
        for node in (*step.nodes, *[r.node for r in step.reductions]):
            yield _located(plan, node)
    elif not isinstance(step, FillStep):
        yield _located(plan, step.node)
        if isinstance(step, ConvolutionStep) and step.epilogue is not None:
            yield from nodes_of(plan, step.epilogue)


def _located(plan: Plan, node: Node) -> str:
    where = origin.locate(node.origins)
    return f"{_name(plan.graph.names, node.outputs[0])} by {node.op.name}" + (f" at {where}" if where else "")


def _total(sizes: Iterable[Dim]) -> Dim:
    total: Dim = 0
    for size in sizes:
        total = total + size
    return total


def _step(plan: Plan, step: Step) -> Iterator[str]:
    names = plan.graph.names
    if isinstance(step, Kernel):
        yield f"kernel over {format_shape(step.space)}: flops {flops_of(step)}, bytes {traffic_of(step)}"
        yield from _body(names, step)
    elif isinstance(step, MatMulStep):
        strong = f", strong zeros of {step.strong}" if step.strong else ""
        arrow = {None: "<-", 1.0: "+="}.get(step.factor, f"+= {step.factor} *")
        product = f"{_access(step.a)} @ {_access(step.b)}{strong}"
        yield f"matmul {_access(step.out)} {arrow} {product}: flops {flops_of(step)}"
    elif isinstance(step, MatrixStep):
        outs = ", ".join(_access(a) for a in step.outs)
        operands = ", ".join(map(_access, step.operands))
        yield f"{step.node.op.name} {outs} <- {operands}: flops {flops_of(step)}"
    elif isinstance(step, ConvolutionStep):
        strong = f", strong zeros of {' and '.join(step.strong)}" if step.strong else ""
        operands = f"{_access(step.a)}, {_access(step.b)}{strong}"
        result = f"({', '.join(map(str, step.out.layout.shape))})" if step.epilogue else _access(step.out)
        yield f"{step.node.op.name} {result} <- {operands}: flops {flops_of(step)}"
        if step.epilogue is not None:
            yield from _body(names, step.epilogue, step.out.storage)
    elif isinstance(step, ScanStep):
        operands = ", ".join(map(_access, step.operands))
        way = f"{step.mode}, backwards" if step.reverse else step.mode
        yield f"scan {_access(step.out)} <- {step.kind} along axis {step.axis} of {operands} ({way})"
    elif isinstance(step, Check):
        yield f"check {_check(step)}"
    elif isinstance(step, SortStep):
        direction = "descending" if step.descending else "ascending"
        chosen = "" if step.ranks is None else f", at {_access(step.ranks)}"
        chosen = chosen if step.first is None else f", the first {step.first}"
        yield f"sort {_access(step.out)} <- {_access(step.keys)} along axis {step.axis}, {direction}{chosen}"
    elif isinstance(step, SearchStep):
        yield f"search {_access(step.out)} <- {_access(step.values)} in {_access(step.row)}, {step.side}"
    elif isinstance(step, RowLoop):
        yield (
            f"loop over {step.rows} rows, {step.block} at a time, {len(step.body)} steps: "
            f"flops {flops_of(step)}, bytes {traffic_of(step)}"
        )
        own = step.local | {a.storage for a in step.lost}
        yield f"  in: {_names(step.reads(), own)}; out: {_names(step.writes(), own)}"
        for each in step.body:
            for i, line in enumerate(_step(plan, each)):
                yield f"  {line}" if i else f"- {line}"
    elif isinstance(step, FillStep):
        yield f"zeros {_access(step.out)}"
    else:
        outs = ", ".join(_access(a) for a in step.outs)
        operands = ", ".join(map(_source, step.operands))
        yield f"call back {outs} <- {step.node.op.name}({operands}): no native form"


def _check(check: Check) -> str:
    """What must hold."""
    match check:
        case NotNegative():
            return f"that {check.size} is not negative"
        case Sign():
            return f"that {check.bound.bound} is {'' if check.bound.from_end else 'not '}negative"
        case Equal():
            return f"{check.sizes[0]} == {check.sizes[1]}"
        case Elements():
            return f"that {check.count} is not 0"
        case Inside():
            return f"that {check.first} and {check.last} are below {check.size}"
        case Indices():
            return f"{_access(check.index)} against {check.size}{'' if check.from_end else ', none negative'}"
    assert isinstance(check, Exponents)
    return f"that none of {_access(check.exponent)} is negative"


def _body(names: dict[Tensor, str], kernel: Kernel, made: Storage | None = None) -> Iterator[str]:
    """What a kernel does, line by line; what is in the storage `made` is not read, but made there."""
    for tensor, source in kernel.sources.items():
        if isinstance(source, Access) and source.storage is made:
            yield f"  {_name(names, tensor)} = the result"
        elif not isinstance(source, Number):  # written where they are used
            yield f"  {_name(names, tensor)} = {_source(source)}"
    for node in kernel.nodes:
        yield f"  {_code(names, node, kernel)}"
    for reduction in kernel.reductions:
        target = _name(names, reduction.tensor)
        value = _name(names, reduction.value)
        yield f"  {target} = {reduction.kind} over axes {reduction.axes} of {value}"
    for tensor, access in kernel.stores:
        yield f"  {_access(access)} <- {_operand(names, tensor, kernel)}"
    for reduction, access in kernel.results:
        yield f"  {_access(access)} <- {_name(names, reduction.tensor)}"
    for scatter in kernel.scatters:
        value = _name(names, scatter.value)
        yield f"  {scatter.storage}[{_indices(scatter)}] {UPDATES[scatter.mode]} {value}"


def _names(accesses: Iterable[Access], local: frozenset[Storage]) -> str:
    """The memory beyond a loop that it visits, each once."""
    found = dict.fromkeys(a.storage for a in accesses if a.storage.kind != IOTA and a.storage not in local)
    return ", ".join(map(_storage, found)) or "nothing"


def _name(names: dict[Tensor, str], tensor: Tensor) -> str:
    return names.get(tensor) or f"{tensor.node.op.name}_{tensor.node.id}"


def _code(names: dict[Tensor, str], node: Node, kernel: Kernel) -> str:
    out = node.outputs[0]
    gather = kernel.gathers.get(out)
    if gather is not None:
        return f"{_name(names, out)} = {gather.storage}[{_indices(gather)}]"
    operands = ", ".join(_operand(names, t, kernel) for t in node.inputs)
    return f"{_name(names, out)} = {node.op.name}({operands})"


def _operand(names: dict[Tensor, str], tensor: Tensor, kernel: Kernel) -> str:
    source = kernel.sources.get(tensor)
    return str(source.value.python) if isinstance(source, Number) else _name(names, tensor)


def _indices(indexed: Gather | Scatter) -> str:
    return ", ".join(f"{_access(i.access)} of {i.size}" for i in indexed.indices)


#: How the modes of updates are written.
UPDATES = {"set": "=", "add": "+=", "mul": "*=", "max": "max=", "min": "min="}


def _source(source: Source) -> str:
    if isinstance(source, Number):
        return str(source.value.python)
    if isinstance(source, SizeNumber):
        return str(source.size)
    return _access(source)


def _access(access: Access) -> str:
    """A storage, with the layout where it is not plainly contiguous."""
    storage, layout = access.storage, access.layout
    place = f" in buffer{storage.index}" if storage.kind == ARENA else ""
    plain = layout.is_contiguous and layout.offset == 0
    shape = f"[{', '.join(map(str, layout.shape))}]"
    if plain:
        return f"{_storage(storage)}{shape}{place}"
    offset = "" if layout.offset == 0 else f" from {layout.offset}"
    return f"{_storage(storage)}{shape} by ({', '.join(map(str, layout.strides))}){offset}{place}"


def _storage(storage: Storage) -> str:
    return str(storage) if storage.kind != ARENA or storage.label else f"{storage.dtype.short}"


def flops_of(step: Step) -> Dim:
    """Operations on elements, elementary functions counted as one."""
    if isinstance(step, Kernel):
        return product(step.space) * (len(step.nodes) + len(step.reductions) - len(step.gathers))
    if isinstance(step, MatMulStep):
        return 2 * product(step.out.layout.shape) * step.a.layout.shape[-1]
    if isinstance(step, MatrixStep):
        return _flops_of_factor(step)
    if isinstance(step, ConvolutionStep):
        products = 2 * step.convolution.products * step.images
        return products if step.epilogue is None else products + flops_of(step.epilogue)
    if isinstance(step, RowLoop):
        return _total(map(flops_of, step.whole))
    if isinstance(step, ScanStep):
        return len(step.operands) * product(step.out.layout.shape)
    return 0


def _flops_of_factor(step: MatrixStep) -> Dim:
    """n^3 / 3 for Cholesky's factor, twice that for its inverse and for LU; n^2 for a column of a system."""
    shape = step.operands[0].layout.shape
    if len(step.operands) == 2:
        return product(shape) * step.outs[0].layout.shape[-1]
    whole = product(shape) * shape[-1] * (1 if step.node.op.name == "cholesky" else 2)
    return dims.floordiv(whole, 3)


def traffic_of(step: Step, local: Collection[Storage] = ()) -> Dim:
    """Memory that is touched, each storage once, but for what is local to a loop over rows."""
    seen: dict[Storage, None] = {}
    local = step.local if isinstance(step, RowLoop) else local
    for access in (*step.reads(), *step.writes()):
        if access.storage.kind != IOTA and access.storage not in local:
            seen[access.storage] = None
    return _total(_touched(step, s) for s in seen)


def _touched(step: Step, storage: Storage) -> Dim:
    most: Dim = 0
    for access in (*step.reads(), *step.writes()):
        if access.storage is storage:
            size: Dim = 1
            for extent, stride in zip(access.layout.shape, access.layout.strides, strict=True):
                size = size * (extent if stride != 0 else 1)
            if isinstance(size, Size) or isinstance(most, Size) or size > most:
                most = size
    whole = bytes_of(storage)
    touched = most * storage.dtype.itemsize
    return min(whole, touched) if isinstance(whole, int) and isinstance(touched, int) else touched
