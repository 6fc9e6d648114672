"""Graphs as pictures: Graphviz's DOT language."""

from __future__ import annotations

from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor
from symgrad.registry import provide
from symgrad.text.literals import write_number


@provide("to_dot")
def to_dot(graph: Graph) -> str:
    """The graph in DOT: boxes for inputs and states, ellipses for ops, double borders for outputs.

    >>> import symgrad as sg
    >>> x = sg.vector("x", "n")
    >>> print(to_dot(sg.Graph([x], (-x).named("y"))))
    digraph "main" {
      rankdir=TB;
      "x" [label="x\\nf64[n]", shape=box];
      "y" [label="y = negative\\nf64[n]", shape=ellipse, peripheries=2];
      "x" -> "y" [label="x"];
    }
    <BLANKLINE>
    """
    names, results = graph.names, {*graph.outputs}
    lines = [f"digraph {quote(graph.name)} {{", "  rankdir=TB;"]
    for tensor in (*graph.inputs, *graph.states):
        style = "box" if tensor in set(graph.inputs) else "box3d"
        lines.append(_vertex(names[tensor], names[tensor], tensor, style, tensor in results))
    for node in graph.nodes:
        for tensor in node.outputs:
            label = f"{names[tensor]} = {node.op.name}"
            if tensor in graph.literals:
                label = write_number(node.op.value.numpy, node.op.value.dtype)  # type: ignore[attr-defined]
            style = "plaintext" if node.op.name in ("fill", "constant") else "ellipse"
            lines.append(_vertex(names[tensor], label, tensor, style, tensor in results))
            for i, operand in enumerate(node.inputs):
                edge = f"{quote(names[operand])} -> {quote(names[tensor])}"
                lines.append(f"  {edge} [label={quote(node.op.operand_name(i))}];")
    for state, new in graph.updates.items():
        edge = f"{quote(names[new])} -> {quote(names[state])}"
        lines.append(f'  {edge} [label="update", style=dashed, constraint=false];')
    return "\n".join([*lines, "}", ""])


def _vertex(name: str, label: str, tensor: Tensor, shape: str, result: bool) -> str:
    border = ", peripheries=2" if result else ""
    text = quote(f"{label}\n{tensor.type}")
    return f"  {quote(name)} [label={text}, shape={shape}{border}];"


def quote(text: str) -> str:
    """A quoted string of DOT.

    >>> print(quote('say "x"'))
    "say \\"x\\""
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
