"""The NumPy backend: a graph as Python source that a person can read, one statement a step.

    def mlp(inputs, state, spare, sizes, buffers):
        x, y = inputs
        w, = state
        buffer_0, = buffers
        h = numeric.matmul(x, w, '', buffer_0)
        a = numpy.tanh(h, out=buffer_0)          # h is not needed any more
        ...

Every op brings its template (`op.numpy`). Long programs are cut into parts, which hand over through `frame`
what later parts read, so that compiling stays linear.
"""

from __future__ import annotations

import importlib
import itertools
import keyword
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy

from symgrad.dims import Dim, symbols
from symgrad.errors import CompileError
from symgrad.ir import origin
from symgrad.ir.graph import Graph
from symgrad.ir.op import Op, attributes
from symgrad.ir.origin import Origin
from symgrad.ir.tensor import Node, Shared, Tensor
from symgrad.ir.values import ArrayData
from symgrad.ops import numeric
from symgrad.ops.bounds import Bound
from symgrad.ops.create import Fill
from symgrad.ops.evaluate import on_demand
from symgrad.ops.kinds import Elementwise, TensorOp
from symgrad.ops.shape import Broadcast
from symgrad_compiler.backends.clock import Clock
from symgrad_compiler.backends.guard import Checks
from symgrad_compiler.backends.in_place import writes_elsewhere, written_last
from symgrad_compiler.backends.literals import SizeNames, dtype_code, number, typed
from symgrad_compiler.plan.arena import Arena, aligned
from symgrad_compiler.plan.buffers import Buffer, assign
from symgrad_compiler.plan.schedule import schedule
from symgrad_compiler.plan.sizes import SizeChecks
from symgrad_runtime.entry import Entry, Parameter
from symgrad_runtime.program import Program

#: Statements in one Python function.
PART = 1000
RESERVED = frozenset(
    {
        *("numpy", "numeric", "special", "fft", "linalg", "partial", "allocate", "arena"),
        *("guard", "guard_leaf", "clock_start", "clock_stop"),
        *("inputs", "state", "spare", "sizes", "buffers", "frame", "min", "max", "complex", "aligned"),
    }
)
_serial = itertools.count(1)
#: A variable: not what comes behind a dot.
_WORD = re.compile(r"(?<![\w.])[^\W\d]\w*")


def compile_numpy(
    graph: Graph,
    *,
    cast: bool = False,
    nan_guard: bool = False,
    clock: Clock | None = None,
    sizes: SizeChecks | None = None,
) -> Program:
    """`graph` as a program of NumPy calls, with a clock around each statement if there is one. It begins with
    checks of sizes (`size_checks`)."""
    emitter = _Emitter(graph, nan_guard, clock)
    emitter.check_sizes(sizes or {})
    units = emitter.units()
    serial = next(_serial)
    files = {f"symgrad-{graph.name}-{serial}.{i}.py": unit for i, unit in enumerate(units)}
    namespace: dict[str, Any] = {
        "numpy": numpy,
        "numeric": numeric,
        "partial": partial,
        "aligned": aligned,
        **emitter.constants,
    }
    if emitter.checks is not None:
        namespace["guard"], namespace["guard_leaf"] = emitter.checks.node, emitter.checks.leaf
    if clock is not None:
        namespace["clock_start"], namespace["clock_stop"] = clock.start, clock.stop
    if "special" in emitter.on_demand:
        namespace["special"] = importlib.import_module("symgrad_compiler.backends.special").special
    if "fft" in emitter.on_demand:
        namespace["fft"] = importlib.import_module("symgrad_compiler.backends.fft")
    if "linalg" in emitter.on_demand:
        namespace["linalg"] = importlib.import_module("symgrad_compiler.backends.matrices")
    for filename, unit in files.items():
        scope = {**namespace, "__name__": filename, "__loader__": _Source(unit)}
        exec(compile(unit.text(), filename, "exec", dont_inherit=True), scope)
        namespace.update((n, scope[n]) for n in unit.functions())

    def locate(filename: str, line: int) -> str | None:
        node = files[filename].nodes.get(line) if filename in files else None
        return None if node is None else emitter.describe(node)

    parameters = [Parameter(n, t.type) for n, t in zip(graph.input_names, graph.inputs, strict=True)]
    return Program(
        name=graph.name,
        entry=Entry(graph.name, parameters, emitter.size_names, cast),
        states=tuple(s.state for s in graph.states),
        updated=tuple(emitter.swaps(s) for s in graph.states),
        run=namespace[emitter.function],
        allocate=namespace["allocate"],
        source=lambda: "\n".join(unit.text() for unit in units),
        locate=locate,
        report=emitter.report,
    )


def arena_of(graph: Graph, *, nan_guard: bool = False) -> Arena:
    """The arena of a graph's program."""
    return _Emitter(graph, nan_guard).buffers.arena


class _Source:
    """Lets tracebacks show generated code: `linecache` asks the `__loader__` of a frame's globals."""

    def __init__(self, unit: _Unit) -> None:
        self._unit = unit

    def get_source(self, _name: str) -> str:
        return self._unit.text()


class _Emitter:
    """Writes the source of one graph."""

    def __init__(self, graph: Graph, nan_guard: bool, clock: Clock | None = None) -> None:
        self.graph = graph
        self.clock = clock
        self.checks = Checks(graph) if nan_guard else None
        self.schedule = schedule(graph)
        self.results = set(graph.outputs)
        self.size_names = tuple(sorted({n for t in graph.inputs for d in t.shape for n in symbols(d)}))
        self.sizes = SizeNames(self.size_names, RESERVED)
        self._taken = {*RESERVED, *self.sizes.variables.values()}
        self.function = self._claim(graph.name)
        self.names: dict[Tensor, str] = {}
        self.constants: dict[str, Any] = {}
        self._buffer_names: dict[Buffer, str] = {}
        self.statements: list[tuple[str, Node]] = []
        self.ending: list[str] = []
        self.on_demand: set[str] = set()
        self.in_place = {} if nan_guard or clock else written_last(graph, self.schedule)
        self._spare_of = self._assign_spares()
        self.order = [n for n in self.schedule.steps if n.outputs[0] not in self.in_place]
        self.last = [value.node for value in self.in_place]
        elsewhere = {*self.results, *self.in_place, *self._spare_of}
        self.buffers = assign(
            self.schedule, [*self.order, *self.last], elsewhere, over_operands=not nan_guard
        )

    # ---- names --------------------------------------------------------------------------------------

    def _claim(self, wish: str) -> str:
        name = unicodedata.normalize("NFKC", wish)
        if keyword.iskeyword(name) or keyword.issoftkeyword(name):
            name += "_"
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def _name(self, tensor: Tensor) -> str:
        found = self.names.get(tensor)
        if found is None:
            found = self.names[tensor] = self._claim(self.graph.names[tensor])
        return found

    def _buffer_name(self, buffer: Buffer) -> str:
        found = self._buffer_names.get(buffer)
        if found is None:
            found = self._buffer_names[buffer] = self._claim(f"buffer_{buffer.number}")
        return found

    # ---- results ------------------------------------------------------------------------------------

    def _assign_spares(self) -> dict[Tensor, tuple[Shared, str]]:
        """New values that their step can write straight into the spare array of their state, or of one of
        those whose new value it is."""
        found: dict[Tensor, tuple[Shared, str]] = {}
        for state, value in self.graph.updates.items():
            taken = value in self.in_place or value in self.results or value in found
            if not taken and writes_elsewhere(value):
                found[value] = state, self._claim(f"new_{self.graph.names[state]}")
        return found

    # ---- statements ---------------------------------------------------------------------------------

    def units(self) -> list[_Unit]:
        """The source, in units."""
        graph = self.graph
        inputs = [self._name(t) for t in graph.inputs]
        states = [self._name(t) for t in graph.states]
        self._check_leaves()
        for node in self.order:
            self._step(node)
        results = self._results()
        updated = [s for s in graph.states if self.swaps(s)]
        spares = [self._spare(s) for s in updated]
        head = [("inputs", inputs), ("state", states), ("spare", spares)]
        head += [("sizes", list(self.sizes.variables.values()))]
        head += [("buffers", [self._buffer_name(b) for b in self.buffers.all])]
        return self._assemble(head, results)

    def swaps(self, state: Shared) -> bool:
        """Whether the new value of the state is computed into a spare array."""
        return state in self.graph.updates and self.graph.updates[state] not in self.in_place

    def _spare(self, state: Shared) -> str:
        value = self.graph.updates[state]
        first, name = self._spare_of.get(value, (None, ""))
        if first is state:
            return name
        name = self._claim(f"new_{self.graph.names[state]}")
        self.ending.append(f"numpy.copyto({name}, {self._name(value)})")
        return name

    def _step(self, node: Node) -> None:
        operands = [self._operand(node, i) for i in range(len(node.inputs))]
        targets = ", ".join(self._name(t) for t in node.outputs)
        self._statement(f"{targets} = {self._expression(node, operands)}", node)
        if _is_unproven(node.op):
            for t in node.outputs:
                promised = f"{self.sizes.shape(t.shape)}, {dtype_code(t.dtype)}"
                text = f"numeric.check_form({node.op.name!r}, {self._name(t)}, {promised})"
                self.statements.append((text, node))
        check = None if self.checks is None else self.checks.of_node(node)
        if check is not None:
            listed = f"({''.join(f'{o}, ' for o in operands)})"
            self.statements.append((f"guard({check}, ({targets},), {listed})", node))

    def _later(self, node: Node) -> str:
        """A step that is one call, to be made later."""
        operands = [self._operand(node, i) for i in range(len(node.inputs))]
        function, arguments = self._expression(node, operands).split("(", 1)
        return f"partial({function}, {arguments}"

    def _expression(self, node: Node, operands: Sequence[str]) -> str:
        """The NumPy form of a step."""
        op = node.op
        if not isinstance(op, TensorOp) or not op.numpy:
            raise CompileError(
                f"the op {op.name} has no NumPy form",
                at=origin.locate(node.origins),
                facts=[("node", repr(node))],
            )
        self.on_demand |= on_demand(op)
        fields = {name: self._attribute(value) for name, value in attributes(op).items()}
        if "shape" in fields:
            fields["shape"] = self.sizes.shape(op.shape)  # type: ignore[attr-defined]
        single = len(op.operands)
        if op.operands and op.operands[-1].endswith("*"):
            single -= 1
            fields[op.operands[-1].rstrip("*")] = f"({', '.join(operands[single:])},)"
        fields.update(zip(op.operands[:single], operands[:single], strict=True))
        out = self._out(node) if "{out}" in op.numpy else "None"
        return op.numpy.format(out=out, **fields)

    def _statement(self, text: str, node: Node) -> None:
        """A statement that computes, with a clock around it where there is one."""
        if self.clock is None:
            self.statements.append((text, node))
            return
        number = self.clock.add(node, text)
        self.statements += [("clock_start()", node), (text, node), (f"clock_stop({number})", node)]

    def check_sizes(self, sizes: SizeChecks) -> None:
        code = self.sizes.code
        for size, node in sizes.items():
            if isinstance(size, Bound):
                values = f"{code(size.bound)}, {code(size.reach)}"
                text = f"numeric.check_bound({str(size.bound)!r}, {size.from_end}, {values})"
            else:
                text = f"numeric.check_size({str(size)!r}, {code(size)})"
            self.statements.append((text, node))

    def _check_leaves(self) -> None:
        if self.checks is None:
            return
        for tensor in (*self.graph.inputs, *self.graph.states):
            check = self.checks.of_leaf(tensor)
            if check is not None:
                self.statements.append((f"guard_leaf({check}, {self._name(tensor)})", tensor.node))

    def _attribute(self, value: Any) -> str:
        if not isinstance(value, ArrayData):
            return self.sizes.attribute(value)
        name = self._claim(f"constant_{len(self.constants)}")
        self.constants[name] = value.array
        return name

    def _operand(self, node: Node, index: int) -> str:
        tensor = node.inputs[index]
        if tensor not in self.schedule.virtual:
            return self._name(tensor)
        op = tensor.node.op
        if isinstance(op, Fill):
            assert isinstance(node.op, Elementwise)
            literal = node.op.conditions or all(isinstance(t.node.op, Fill) for t in node.inputs)
            return typed(op.value) if literal else number(op.value.python)
        assert isinstance(op, Broadcast)
        inner = tensor.node.inputs[0]
        if inner in self.schedule.virtual and isinstance(inner.node.op, Fill):
            return typed(inner.node.op.value)
        base = self._operand(tensor.node, 0) if inner in self.schedule.virtual else self._name(inner)
        lead = next((i for i in range(tensor.ndim) if i not in op.axes), tensor.ndim)
        if not inner.ndim or all(a < lead for a in op.axes):
            return base
        return f"{base}[{', '.join('None' if i in op.axes else ':' for i in range(lead, tensor.ndim))}]"

    def _out(self, node: Node) -> str:
        """Where the step writes: a result's own array, a dying operand's buffer, or a free one."""
        tensor = node.outputs[0]
        if not tensor.ndim:
            return "None"
        if tensor in self.in_place:
            return self._name(self.in_place[tensor])
        if tensor in self._spare_of:
            return self._spare_of[tensor][1]
        if tensor in self.results:
            return f"numpy.empty({self.sizes.shape(tensor.shape)}, {dtype_code(tensor.dtype)})"
        return self._buffer_name(self.buffers.of[tensor])

    def _results(self) -> str:
        """The returned tuple: arrays that share memory with nothing else, scalars where 0-d."""
        seen: set[Tensor] = set()
        values = []
        for tensor in self.graph.outputs:
            name = self._name(tensor)
            op = tensor.node.op
            own = isinstance(op, TensorOp) and "{out}" in op.numpy and tensor not in seen
            if not tensor.ndim:
                values.append(f"{dtype_code(tensor.dtype)}({name})")
            else:
                values.append(name if own else f"numpy.array({name}, order='C')")
            seen.add(tensor)
        return f"({', '.join(values)}{',' if values else ''})"

    # ---- assembly -----------------------------------------------------------------------------------

    def _assemble(self, head: list[tuple[str, list[str]]], results: str) -> list[_Unit]:
        sizes = list(self.sizes.variables.values())
        allocate = [f"def allocate({', '.join(sizes)}):", *self._views(), ""]
        signature = f"def {self.function}(inputs, state, spare, sizes, buffers):"
        unpack = [f"    {', '.join(names)}, = {what}" for what, names in head if names]
        tail = [f"    {line}" for line in self.ending]
        if self.last:
            later = [f"        {self._later(node)}," for node in self.last]
            tail += [f"    return {results}, (", *later, "    )"]
        else:
            tail.append(f"    return {results}, ()")
        if len(self.statements) <= PART:
            unit = _Unit([*allocate, "", signature, *unpack])
            unit.write(self.statements)
            unit.lines += tail
            return [unit]
        return self._parts(
            _Unit([*allocate, ""]), [signature, *unpack], {n for _, names in head for n in names}, tail
        )

    def _views(self) -> Iterator[str]:
        """The arena, and the buffers as views of it."""
        arena = self.buffers.arena
        starts, end = ["0"], str(arena.fixed_bytes)
        for i, region in enumerate(arena.regions[1:], 1):
            starts.append(self._claim(f"region_{i}"))
            yield f"    {starts[-1]} = {end}"
            end = f"{starts[-1]} + {self._room(region.size, region.slack)}"
        yield f"    arena = numpy.empty({end}, numpy.uint8)"
        yield "    return ("
        for buffer in self.buffers.all:
            slot, type_ = buffer.slot, buffer.type
            room = self._room(slot.offset, slot.slack)
            start = room if not slot.region else f"{starts[slot.region]} + {room}"
            shape = self.sizes.shape(type_.shape)
            yield f"        numpy.ndarray({shape}, {dtype_code(type_.dtype)}, arena, {start}),"
        yield "    )"

    def _room(self, bytes: Dim, slack: int) -> str:
        if isinstance(bytes, int):
            return str(bytes + slack)
        return f"aligned(max({self.sizes.code(bytes)}, 0))" + (f" + {slack}" if slack else "")

    def _parts(self, first: _Unit, opening: list[str], known: set[str], tail: list[str]) -> list[_Unit]:
        """Parts of `PART` statements; each loads from `frame` what it reads, stores what later parts read."""
        parts = [self.statements[i : i + PART] for i in range(0, len(self.statements), PART)]
        variables = {*known, *self.names.values()}
        reads = [{w for text, _ in part for w in _WORD.findall(text) if w in variables} for part in parts]
        ending = {w for line in tail for w in _WORD.findall(line) if w in variables}
        last = dict.fromkeys(ending, len(parts))
        for k in reversed(range(len(parts))):
            for name in reads[k]:
                last.setdefault(name, k)
        home = dict.fromkeys(known, -1)
        units = [first]
        for k, part in enumerate(parts):
            made = [n for text, _ in part if " = " in text for n in text.split(" = ")[0].split(", ")]
            before = sorted(n for n in reads[k] if n in home)
            unit = _Unit([f"def part_{k}(frame):", *[f"    {n} = frame[{n!r}]" for n in before]])
            unit.write(part)
            home.update(dict.fromkeys(made, k))
            unit.lines += [f"    frame[{n!r}] = {n}" for n in made if last.get(n, -1) > k]
            unit.lines += [f"    del frame[{n!r}]" for n in before if last[n] == k]
            units.append(unit)
        main = [*opening, f"    frame = {{{', '.join(f'{n!r}: {n}' for n in sorted(known))}}}"]
        main += [f"    part_{k}(frame)" for k in range(len(parts))]
        # What the tail itself makes, at the very end, is in no part.
        main += [f"    {n} = frame[{n!r}]" for n in sorted(ending & home.keys() - known)]
        return [*units, _Unit([*main, *tail])]

    def describe(self, node: Node) -> str:
        """A node for an error message: its line of text and its origin."""
        where = origin.locate(node.origins)
        names = ", ".join(f"{self.graph.names.get(t, node.op.name)}: {t.type}" for t in node.outputs)
        return f"{names} = {node.op.name}(...)" + (f" at {where}" if where else "")

    # ---- report -------------------------------------------------------------------------------------

    def report(self) -> str:
        """Steps and buffers, as text."""
        lines = [f"{self.graph.name}: {len(self.schedule.steps)} steps, {len(self.schedule.virtual)} inlined"]
        lines += [f"  {text}" for text, _ in self.statements]
        arena = self.buffers.arena
        lines.append(arena.summary())
        for buffer in self.buffers.all:
            lines.append(f"  {self._buffer_name(buffer)}: {buffer.type} at {arena.position(buffer.slot)}")
        return "\n".join(lines)


class _Unit:
    """Source that is compiled at once, and which node each line is for."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.nodes: dict[int, Node] = {}

    def write(self, statements: Sequence[tuple[str, Node]]) -> None:
        """Append statements, with a comment where the user's line changes."""
        before: Origin | None = None
        for text, node in statements:
            here = node.origins[0]
            if before is None or (here.file, here.line) != (before.file, before.line):
                self.lines.append(f"    # {ascii(str(here).partition(' > ')[0])[1:-1]}")
                before = here
            self.lines.append(f"    {text}")
            self.nodes[len(self.lines)] = node

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def functions(self) -> list[str]:
        """The names of the functions that the unit defines."""
        return [line[4 : line.index("(")] for line in self.lines if line.startswith("def ")]


def _is_unproven(op: Op) -> bool:
    """Whether a user declared it, and its NumPy form makes its own arrays: no elementwise op of ours does."""
    if not isinstance(op, TensorOp) or "{out}" in op.numpy:
        return False
    return isinstance(op, Elementwise) or not type(op).__module__.startswith("symgrad.")
