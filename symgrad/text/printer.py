"""From graphs to text: one op a line, the same text for the same graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from symgrad.ir.collector import without_collections
from symgrad.ir.graph import Graph, require_graph
from symgrad.ir.origin import Origin
from symgrad.ir.tensor import Node, Tensor
from symgrad.registry import provide
from symgrad.text.attributes import write_attributes, write_value
from symgrad.text.data import Blobs
from symgrad.text.literals import write_number
from symgrad.text.origins import write_origins
from symgrad.types import TensorType

_HEADER = 100
#: Origins stand in a column of their own, at most this far to the right.
_MAX_COLUMN = 72


@provide("emit")
def emit(graph: Graph) -> str:
    """The text of a graph; `parse` gives the graph back.

    Sizes, types, names, attributes, constants, state values (bit for bit) and origins are all in the text.

    >>> import symgrad as sg
    >>> with sg.ir.origin.scope((sg.ir.origin.UNKNOWN,)):
    ...     x = sg.tensor("x", ("n", 3))
    ...     graph = sg.Graph([x], (2 * x).named("y"), name="double")
    >>> print(emit(graph))
    graph double(x: f64[n,3]) -> (y: f64[n,3]) {
      y: f64[n,3] = multiply(2.0, x)
      return y
    }
    <BLANKLINE>
    """
    require_graph(graph, "emit")
    blobs = Blobs()
    return "\n".join([*with_inner(graph, blobs), *blobs.sections(), ""])


def with_inner(graph: Graph, blobs: Blobs) -> list[str]:
    """The lines of a graph and of the graphs in its attributes; big arrays go to `blobs`."""
    lines = body(graph, blobs)
    printed = 0
    while printed < len(blobs.graphs):
        inner, name = list(blobs.graphs.items())[printed]
        lines += ["", *body(inner.graph, blobs, f"{name} = ")]
        printed += 1
    return lines


@without_collections
def body(graph: Graph, blobs: Blobs, label: str = "") -> list[str]:
    """The lines from `graph` to the closing brace; big arrays and inner graphs go to `blobs`."""
    names = graph.names
    lines = _header(graph, label)
    for state in graph.states:
        value = write_value(state.get(), state.type, blobs)
        lines.append(f"  state {names[state]}: {state.type} = {value}")
    lines += _Ops(graph, names, blobs).lines()
    lines += results(graph, graph.output_names, names)
    lines.append("}")
    return lines


def statements(graph: Graph, names: Mapping[Tensor, str], blobs: Blobs) -> dict[Node, str]:
    """The line of each node under names of the caller's choice, without its origin; literals have none."""
    ops = _Ops(graph, names, blobs)
    return {n: ops.body(n) for n in graph.nodes if n.outputs[0] not in graph.literals}


def results(graph: Graph, output_names: Iterable[str], names: Mapping[Tensor, str]) -> list[str]:
    """The lines that say what a graph returns and which states it updates."""
    returned = [
        name if name == names[tensor] else f"{name} = {names[tensor]}"
        for name, tensor in zip(output_names, graph.outputs, strict=True)
    ]
    updates = [f"  update {names[state]} = {names[new]}" for state, new in graph.updates.items()]
    return [f"  return {', '.join(returned)}".rstrip(), *updates]


def _header(graph: Graph, label: str) -> list[str]:
    inputs = [f"{n}: {t.type}" for n, t in zip(graph.input_names, graph.inputs, strict=True)]
    outputs = [f"{n}: {t.type}" for n, t in zip(graph.output_names, graph.outputs, strict=True)]
    line = f"graph {label}{graph.name}({', '.join(inputs)}) -> ({', '.join(outputs)}) {{"
    if len(line) <= _HEADER:
        return [line]
    return [
        f"graph {label}{graph.name}(",
        *[f"  {i}," for i in inputs],
        ") -> (",
        *[f"  {o}," for o in outputs],
        ") {",
    ]


class _Ops:
    """Prints the nodes; what many of them share (types, origins) is written once and kept."""

    def __init__(self, graph: Graph, names: Mapping[Tensor, str], blobs: Blobs) -> None:
        self.graph = graph
        self.names = names
        self.literals = graph.literals
        self.blobs = blobs
        self.types: dict[TensorType, str] = {}
        self.origins: dict[tuple[Origin, ...], str] = {}
        self.by_identity: dict[int, str] = {}

    def lines(self) -> list[str]:
        literals = self.literals
        nodes = [n for n in self.graph.nodes if n.outputs[0] not in literals]
        bodies = [self.body(n) for n in nodes]
        column = min(max(map(len, bodies), default=0), _MAX_COLUMN)
        origins = [self.origin(n) for n in nodes]
        return [f"{b:<{column}}{o}" if o else b for b, o in zip(bodies, origins, strict=True)]

    def body(self, node: Node) -> str:
        names, outputs = self.names, node.outputs
        results = ", ".join([f"{names[t]}: {self.type(t.type)}" for t in outputs])
        arguments = self.operands(node) if self.literals else [names[t] for t in node.inputs]
        arguments += write_attributes(node.op, outputs[0].type, self.blobs)
        return f"  {results} = {node.op.name}({', '.join(arguments)})"

    def operands(self, node: Node) -> list[str]:
        names, literals = self.names, self.literals
        written = []
        for tensor in node.inputs:
            if tensor in literals:
                value = tensor.node.op.value  # type: ignore[attr-defined]
                written.append(write_number(value.numpy, value.dtype))
            else:
                written.append(names[tensor])
        return written

    def type(self, type: TensorType) -> str:
        found = self.types.get(type)
        if found is None:
            found = self.types[type] = str(type)
        return found

    def origin(self, node: Node) -> str:
        found = self.by_identity.get(id(node.origins))
        if found is None:
            found = self.by_identity[id(node.origins)] = self.origins_text(node.origins)
        return found

    def origins_text(self, origins: Sequence[Origin]) -> str:
        key = tuple(origins)
        found = self.origins.get(key)
        if found is None:
            text = write_origins(key)
            found = self.origins[key] = f"  @ {text}" if text else ""
        return found
