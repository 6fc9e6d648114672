"""Graphs: named inputs and outputs, shared state and its updates, and the nodes between."""

from __future__ import annotations

import functools
import importlib
from collections import Counter
from collections.abc import Iterable, Iterator, KeysView, Mapping, Sequence, Set
from typing import Any, NoReturn, TypeAlias

import numpy

from symgrad import registry
from symgrad.dims import Dim, Size, lone_symbol, symbols
from symgrad.errors import DTypeError, GraphError, NameNotFoundError, ShapeError
from symgrad.ir import origin
from symgrad.ir.collector import without_collections
from symgrad.ir.literals import literals
from symgrad.ir.naming import assign_names
from symgrad.ir.op import SharedState, attribute_names
from symgrad.ir.op import attributes as op_attributes
from symgrad.ir.tensor import Node, Shared, Tensor, apply_all, check_name, is_leaf
from symgrad.ir.traverse import ancestors, consumers
from symgrad.ir.verify import verify
from symgrad.lazy import cached_property

Tensors: TypeAlias = Tensor | Sequence[Tensor] | Mapping[str, Tensor]
#: A size as an output is a 0-d tensor.
Outputs: TypeAlias = Tensor | Size | Sequence[Tensor | Size] | Mapping[str, Tensor | Size]
Updates: TypeAlias = Mapping[Tensor, Any] | Sequence[tuple[Tensor, Any]] | None


class Graph:
    """A function on tensors, as data: what a program computes, and nothing about how.

    Args:
        inputs: input tensors in order, or a dict that (re)names them.
        outputs: a tensor, a sequence, or a dict of named tensors.
        updates: for shared tensors, the new value after each call: a tensor, or numbers.
        name: an identifier.

    Raises:
        GraphError: an input that is no leaf or appears twice, a leaf that is read but is no input, two
            equal names, an update of something that is not shared.
        ShapeError: a symbolic size that no input determines.

    >>> import symgrad as sg
    >>> x = sg.vector("x", size=3)
    >>> print(sg.Graph([x], (x * x).named("y"), name="square").stats()["nodes"])
    1
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "given_output_names",
        "input_names",
        "inputs",
        "name",
        "nodes",
        "outputs",
        "states",
        "updates",
    )

    name: str
    inputs: tuple[Tensor, ...]
    input_names: tuple[str, ...]
    outputs: tuple[Tensor, ...]
    #: The names that the caller gave to outputs; None where the tensor's name serves.
    given_output_names: tuple[str | None, ...]
    updates: dict[Shared, Tensor]
    #: The shared tensors that the graph reads or updates, oldest first.
    states: tuple[Shared, ...]
    #: The nodes that compute something, inputs before users; leaves are not among them.
    nodes: tuple[Node, ...]

    def __init__(
        self, inputs: Tensors, outputs: Outputs, updates: Updates = None, name: str = "main"
    ) -> None:
        given_inputs, given_outputs = named_tensors(inputs, "input"), named_tensors(outputs, "output")
        self._build(check_name(name), given_inputs, given_outputs, check_updates(updates))
        _check_sizes(self)
        here = origin.current()
        for tensor in (*self.outputs, *self.updates.values()):
            if tensor.node.origins is here:  # what the line assigns is a graph, or a function
                tensor.is_part = True

    def with_results(self, outputs: Sequence[Tensor], updates: Mapping[Shared, Tensor]) -> Graph:
        """The graph that computes other tensors under the same names: what a pass returns."""
        graph = Graph.__new__(Graph)
        inputs = list(zip(self.input_names, self.inputs, strict=True))
        named_outputs = list(zip(self.given_output_names, outputs, strict=True))
        graph._build(self.name, inputs, named_outputs, dict(updates))
        return graph

    @without_collections
    def _build(
        self,
        name: str,
        given_inputs: Sequence[tuple[str | None, Tensor]],
        given_outputs: Sequence[tuple[str | None, Tensor]],
        updates: dict[Shared, Tensor],
    ) -> None:
        keep = functools.partial(object.__setattr__, self)
        keep("name", name)
        keep("inputs", tuple(t for _, t in given_inputs))
        keep("outputs", tuple(t for _, t in given_outputs))
        keep("updates", updates)
        _check_inputs(self.inputs)
        everything = ancestors([*self.outputs, *self.updates.values(), *self.updates, *self.inputs])
        keep("nodes", tuple([n for n in everything if n.inputs or not is_leaf(n.outputs[0])]))
        leaves = [n.outputs[0] for n in everything if not n.inputs and is_leaf(n.outputs[0])]
        keep("states", tuple(t for t in leaves if isinstance(t, Shared)))
        keep("input_names", tuple(check_name(n or t.name) for n, t in given_inputs))
        _check_leaves(leaves, set(self.inputs), self.nodes)
        _check_names(self)
        keep("given_output_names", tuple(n for n, _ in given_outputs))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(
            f"a graph never changes: {name!r} cannot be set\n"
            "  hint: sg.Graph(inputs, outputs, updates, name) makes another one"
        )

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs: as given, else the tensors' own."""
        pairs = zip(self.given_output_names, self.outputs, strict=True)
        return tuple(n or self.names[t] for n, t in pairs)

    @cached_property
    def names(self) -> dict[Tensor, str]:
        """The printed name of every tensor in the graph, unique."""
        fixed = dict(zip(self.inputs, self.input_names, strict=True))
        return assign_names([*self.inputs, *self.states], self.nodes, fixed, self.literals)

    @cached_property
    def literals(self) -> set[Tensor]:
        """The constants that the text form writes where they are used, see `ir.literals`."""
        return literals(self.nodes, (*self.outputs, *self.updates.values()))

    # ---- questions ----------------------------------------------------------------------------------

    def consumers(self, tensor: Tensor) -> tuple[Node, ...]:
        """The nodes of this graph that read `tensor`."""
        return self._consumers.get(tensor, ())

    @cached_property
    def _consumers(self) -> dict[Tensor, tuple[Node, ...]]:
        return consumers(self.nodes)

    @cached_property
    def _by_name(self) -> dict[str, Tensor]:
        return {name: tensor for tensor, name in self.names.items()}

    def find(self, name: str) -> Tensor:
        """The tensor that is printed as `name`; NameNotFoundError, a KeyError, where there is none."""
        if name in self._by_name:
            return self._by_name[name]
        for output_name, tensor in zip(self.output_names, self.outputs, strict=True):
            if output_name == name:
                return tensor
        raise NameNotFoundError(
            f"the graph {self.name} has no tensor called {name!r}", hint="print(graph) shows the names"
        )

    def stats(self) -> dict[str, Any]:
        """Counts: nodes, nodes by op, inputs, outputs, states, updates."""
        by_op = Counter(node.op.name for node in self.nodes)
        return {
            "nodes": len(self.nodes),
            "ops": dict(sorted(by_op.items())),
            "inputs": len(self.inputs),
            "outputs": len(self.outputs),
            "states": len(self.states),
            "updates": len(self.updates),
        }

    def verify(self) -> None:
        """Check every rule of the IR anew; raises GraphError on a graph that a faulty pass made."""
        leaves = {*self.inputs, *self.states}
        verify(leaves, self.nodes, (*self.outputs, *self.updates.values()), self.names)

    @without_collections
    def same(self, other: Graph, *, origins: bool = True) -> bool:
        """Whether two graphs are the same but for identity: structure, types, attributes, names, constants
        and state values (bitwise), updates, and origins unless `origins=False`."""
        require_graph(other, "same")
        return signature(self, origins) == signature(other, origins)

    # ---- forms --------------------------------------------------------------------------------------

    def __str__(self) -> str:
        text: str = registry.language["emit"](self)
        return text

    def __repr__(self) -> str:
        return f"<graph {self.name}: {len(self.nodes)} nodes>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (parse_text, (str(self),))

    def __copy__(self) -> Graph:
        return self

    def __deepcopy__(self, memo: Any) -> Graph:
        return parse_text(str(self))

    def to_networkx(self) -> Any:
        """A `networkx.MultiDiGraph`: tensors' names as nodes, an edge from each operand to its result."""
        return importlib.import_module("symgrad.interop.networkx").to_networkx(self)

    def to_dot(self) -> str:
        """The graph in Graphviz's DOT language."""
        text: str = registry.language["to_dot"](self)
        return text


class Subgraph:
    """A graph as the attribute of an op: compared by structure, attributes and names, not by origins."""

    __slots__ = ("_hash", "_key", "graph")

    def __init__(self, graph: Graph) -> None:
        if graph.states or graph.updates:
            raise GraphError(
                "a graph inside an op cannot have state of its own",
                facts=[("shared", ", ".join(graph.names[s] for s in graph.states))],
                hint="pass the shared tensor as an argument of the function",
            )
        self.graph = graph
        self._key: tuple[Any, ...] | None = None
        self._hash: int | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What equal graphs share."""
        if self._key is None:
            self._key = signature(self.graph, origins=False)
        return self._key

    def __call__(self, *operands: Tensor) -> tuple[Tensor, ...]:
        """The graph's outputs for other inputs: its nodes once more."""
        table: dict[Tensor, Tensor] = dict(zip(self.graph.inputs, operands, strict=True))
        for node in self.graph.nodes:
            made = apply_all(node.op, tuple([table[t] for t in node.inputs]))
            table.update(zip(node.outputs, made, strict=True))
        return tuple([table[t] for t in self.graph.outputs])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Subgraph):
            return False
        if self.key is other.key:
            return True
        if hash(self) != hash(other) or self.key != other.key:
            return False
        other._key = self._key  # known from now on: a graph may be many times in those that are in each other
        return True

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self.key)
        return self._hash

    def __repr__(self) -> str:
        return f"Subgraph({self.graph!r})"


def parse_text(text: str) -> Graph:
    """The graph that `text` describes (what `pickle` calls to read one)."""
    importlib.import_module("symgrad.api.language")
    graph: Graph = registry.language["parse"](text)
    return graph


def signature(graph: Graph, origins: bool = True) -> tuple[Any, ...]:
    """A value that two graphs share exactly when they are the same (literals count by value, not by name)."""
    names, hidden = graph.names, graph.literals

    def operand(tensor: Tensor) -> Any:
        return (tensor.node.op, tensor.type) if tensor in hidden else names[tensor]

    def describe(node: Node) -> tuple[Any, ...]:
        return (
            node.op.name,
            tuple(op_attributes(node.op).items()),
            tuple([operand(t) for t in node.inputs]) if hidden else tuple([names[t] for t in node.inputs]),
            tuple([(names[t], t.type) for t in node.outputs]),
            tuple([o.relative() for o in node.origins]) if origins else (),
        )

    return (
        graph.name,
        tuple((n, t.type) for n, t in zip(graph.input_names, graph.inputs, strict=True)),
        tuple((names[s], s.type, s.state.array.tobytes()) for s in graph.states),
        tuple([describe(n) for n in graph.nodes if n.outputs[0] not in hidden]),
        tuple((n, names[t]) for n, t in zip(graph.output_names, graph.outputs, strict=True)),
        tuple((names[s], names[t]) for s, t in graph.updates.items()),
    )


# ---- what a graph is made of ------------------------------------------------------------------------


def named_tensors(tensors: Any, what: str) -> list[tuple[str | None, Tensor]]:
    """(name, tensor) pairs from a tensor, a sequence or a dict; the name None where none is given. A size may
    be an output."""
    items: Iterable[tuple[str | None, Any]]
    if isinstance(tensors, Mapping):
        items = [(check_name(n), t) for n, t in tensors.items()]
    elif isinstance(tensors, (Tensor, Size)):
        items = [(None, tensors)]
    elif isinstance(tensors, Set) and not isinstance(tensors, KeysView):
        raise GraphError(
            f"{what}s must be in an order, and a set has none",
            at=origin.locate(origin.current()),
            hint="give a list",
        )
    elif isinstance(tensors, (str, numpy.ndarray)) or not isinstance(tensors, Iterable):
        raise _no_tensor(tensors, what)
    else:
        items = [(None, t) for t in tensors]
    if what == "output":
        items = [(n, Size.as_number(t) if isinstance(t, Size) else t) for n, t in items]
    for _, tensor in items:
        if not isinstance(tensor, Tensor):
            raise _no_tensor(tensor, what)
    return list(items)


def _no_tensor(got: object, what: str) -> GraphError:
    hint = "sg.constant(value) makes a tensor of a value" if what == "output" else None
    return GraphError(
        f"{what}s must be tensors, not {type(got).__name__}",
        facts=[("got", repr(got)[:80])],
        at=origin.locate(origin.current()),
        hint=f"an empty list stands for no {what}s" if got is None else hint,
    )


def require_graph(value: object, what: str) -> None:
    """GraphError unless `value` is a graph."""
    if isinstance(value, Graph):
        return
    hint = None
    if isinstance(value, Tensor):
        hint = "sg.Graph(inputs, outputs) makes a graph of tensors"
    elif isinstance(getattr(value, "graph", None), Graph):
        hint = "a compiled function has two: f.graph and f.optimized"
    raise GraphError(
        f"{what} takes a graph, not {type(value).__name__}",
        facts=[("got", repr(value)[:80])],
        at=origin.locate(origin.current()),
        hint=hint,
    )


def check_updates(updates: Updates) -> dict[Shared, Tensor]:
    """`updates` as a dict, each new value of its state's type."""
    checked: dict[Shared, Tensor] = {}
    for target, value in _pairs(updates):
        if not isinstance(target, Shared):
            raise GraphError(
                "only shared tensors can be updated",
                facts=[("got", repr(target))],
                hint="make it with sg.shared(value)",
            )
        if target in checked:
            raise GraphError(f"two updates of {target.name or 'one shared tensor'}")
        if not isinstance(value, Tensor):
            what = f"the update of {target.name or 'a shared tensor'}"
            value = registry.language["constant_for"](value, target.type, what)
        if value.type != target.type:
            kind = DTypeError if value.shape == target.shape else ShapeError
            raise kind(
                f"the update of {target.name or 'a shared tensor'} has another type",
                facts=[("state", target.type), ("update", value.type)],
                at=origin.locate(value.node.origins),
                hint="shape and dtype of shared state are fixed; reduce or astype the new value",
            )
        checked[target] = value
    return checked


def _pairs(updates: Any) -> list[tuple[Any, Any]]:
    if updates is None:
        return []
    items = updates.items() if isinstance(updates, Mapping) else updates
    pairs = list(items) if isinstance(items, Iterable) and not isinstance(items, Tensor) else None
    if pairs is None or not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs):
        raise GraphError(
            "updates are a dict from shared tensors to their new values",
            facts=[("got", f"{type(updates).__name__} {updates!r:.60}")],
            at=origin.locate(origin.current()),
        )
    return pairs


def _check_inputs(inputs: Sequence[Tensor]) -> None:
    for tensor in inputs:
        if isinstance(tensor, Shared):
            raise GraphError(
                f"the shared tensor {tensor.name or ''} cannot be an input: it is kept between calls",
                hint="leave it out of the inputs",
            )
        if not is_leaf(tensor):
            raise GraphError(
                f"an input must be a leaf; {tensor.name or 'this'} is computed by {tensor.node.op.name}",
                facts=[("tensor", tensor.type)],
                at=origin.locate(tensor.node.origins),
                hint="to replace an intermediate tensor, use sg.function(..., givens={it: new_input})",
            )
    if len(set(inputs)) < len(inputs):
        twice = next(t for t, count in Counter(inputs).items() if count > 1)
        raise GraphError(f"the input {twice.name!r} is listed twice")


def _check_names(graph: Graph) -> None:
    if len(set(graph.input_names)) == len(graph.input_names):
        return
    twice = next(n for n, count in Counter(graph.input_names).items() if count > 1)
    pairs = zip(graph.input_names, graph.inputs, strict=True)
    raise GraphError(
        f"two inputs are called {twice!r}",
        facts=[(n, t.type) for n, t in pairs if n == twice],
        hint="name one of them differently, or pass a dict {name: tensor}",
    )


def _check_leaves(leaves: Iterable[Tensor], inputs: set[Tensor], nodes: Iterable[Node]) -> None:
    missing = [t for t in leaves if t not in inputs and not isinstance(t, Shared)]
    if not missing:
        return
    tensor = missing[0]
    reader = next((n for n in nodes if tensor in set(n.inputs)), None)
    raise GraphError(
        f"the graph reads {tensor.name!r}, which is not among its inputs",
        facts=[("missing", ", ".join(f"{t.name}: {t.type}" for t in missing[:5]))],
        at=origin.locate(reader.origins) if reader else None,
        hint=f"add {tensor.name} to the inputs",
    )


def _check_sizes(graph: Graph) -> None:
    determined = {lone_symbol(d) for t in graph.inputs for d in t.shape}
    for tensor in graph.inputs:
        for dim in tensor.shape:
            _require_sizes(symbols(dim) - determined, tensor, graph)
    checked: set[Dim] = set()
    for node in graph.nodes:
        for tensor in node.outputs:
            for dim in (*tensor.shape, *size_attributes(node)):
                if not isinstance(dim, int) and dim not in checked:
                    _require_sizes(symbols(dim) - determined, tensor, graph)
                    checked.add(dim)


def size_attributes(node: Node) -> Iterator[Dim]:
    """The sizes among a node's attributes."""
    for name in attribute_names(type(node.op)):
        value = getattr(node.op, name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Size):
                yield item


def _require_sizes(unknown: Iterable[str | None], tensor: Tensor, graph: Graph) -> None:
    name = next(iter(unknown), None)
    if name is None:
        return
    raise ShapeError(
        f"no input determines the size {name!r}",
        facts=[(graph.names[tensor], tensor.type)]
        + [(n, t.type) for n, t in zip(graph.input_names, graph.inputs, strict=True) if t is not tensor],
        at=origin.locate(tensor.node.origins),
        hint=f"some input must have a dimension that is {name} alone",
    )


def is_state(node: Node) -> bool:
    """Whether the node is the leaf of a shared tensor."""
    return isinstance(node.op, SharedState)
