"""Where a tensor comes from: `why`."""

from __future__ import annotations

from symgrad.errors import GraphError
from symgrad.ir.origin import Step
from symgrad.ir.tensor import Shared, Tensor, is_leaf
from symgrad.ops.create import Fill
from symgrad.text.literals import write_number
from symgrad_compiler import passes
from symgrad_compiler.passes.checks import pass_name
from symgrad_compiler.passes.listing import described
from symgrad_compiler.rewrite.rules import rules_called

#: Rules of one name that are told: an origin keeps no more than the name.
_MOST_RULES = 2


def why(tensor: Tensor) -> str:
    """Where a tensor comes from: the user's line, what it was derived from, and the rewrites since, in order.

    One line a step. A rule is told with its class and maths, as far as rules of that name exist here. A
    tensor that stands for several, equal ones that were merged, has the chain of each. The tensor may be of a
    graph as built, as optimised (`f.optimized.find("d_w")`) or as parsed.

    Raises:
        GraphError: what is given is no tensor.

    >>> import symgrad as sg
    >>> with sg.ir.origin.scope((sg.ir.origin.Origin("model.py", 3),)):
    ...     x = sg.vector("x", size=3)
    ...     y = sg.sum(sg.log(sg.cosh(x)))
    >>> print(sg.why(sg.grad(y, x)))
    d_x: f64[3] = multiply(d_log_cosh, tanh)
      model.py:3
      > rule log_cosh   stable: log(cosh(x)) = log_cosh(x)
      > vjp log_cosh.x  the derivative of log_cosh towards x
    """
    if not isinstance(tensor, Tensor):
        raise GraphError(
            f"why takes a tensor, not a {type(tensor).__name__}",
            hint='a tensor of a compiled function: f.optimized.find("d_w")',
        )
    lines = [_statement(tensor)]
    for origin in tensor.node.origins:
        place = f"{origin.relative().file}:{origin.line}" if origin.file else "(a line that is not known)"
        lines.append(f"  {place}  {origin.source()}".rstrip())
        width = max((len(str(step)) for step in origin.steps), default=0)
        lines += [f"  > {step!s:<{width}}  {_meaning(step)}".rstrip() for step in origin.steps]
    return "\n".join(lines)


def _statement(tensor: Tensor) -> str:
    """The tensor's line of a graph, less attributes."""
    node = tensor.node
    if is_leaf(tensor):
        role = "shared state" if isinstance(tensor, Shared) else "an input"
        return f"{tensor.name or 'it'}: {tensor.type} is {role}"
    if isinstance(node.op, Fill):
        return f"{_called(tensor)}: {tensor.type} = {write_number(node.op.value.numpy, tensor.dtype)}"
    operands = [
        write_number(t.node.op.value.numpy, t.dtype) if isinstance(t.node.op, Fill) else _called(t)
        for t in node.inputs
    ]
    return f"{_called(tensor)}: {tensor.type} = {node.op.name}({', '.join(operands)})"


def _called(tensor: Tensor) -> str:
    """What the user calls the tensor, or what it is the derivative of; else its op."""
    depth = 0
    while tensor.name is None and tensor.derivative_of is not None:
        tensor, depth = tensor.derivative_of, depth + 1
    return "d_" * depth + (tensor.name or tensor.node.op.name)


def _meaning(step: Step) -> str:
    """What a step says, in a line."""
    if step.kind == "vjp":
        of, dot, operand = step.what.rpartition(".")
        return f"the derivative of {of} towards {operand}" if dot else f"the derivative of {step.what}"
    if step.kind == "jvp":
        return f"the derivative of {step.what}, forwards"
    if step.kind == "rule":
        found = list(dict.fromkeys((r.kind, r.maths) for r in rules_called(step.what)))
        kinds = "/".join(dict.fromkeys(kind for kind, _ in found))
        maths = [m for _, m in found[:_MOST_RULES]]
        maths += [f"{len(found) - _MOST_RULES} more of this name"] if len(found) > _MOST_RULES else []
        return f"{kinds}: {', or '.join(maths)}" if found else ""
    known = [p for p in passes.default if pass_name(p) == step.what]
    return described(known[0]) if known else ""
