"""What numerical people do by hand: systems instead of inverses, logarithms of determinants.

These rules also run on a cost before it is differentiated (see `stabilize`), so that derivatives share the
factors.
"""

from __future__ import annotations

from collections.abc import Collection

from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor, apply, apply_all
from symgrad.ops.arithmetic import abs, log
from symgrad.ops.contract import MatMul
from symgrad.ops.determinant import Det, SlogDet
from symgrad.ops.shape import matrix_transpose, reshape
from symgrad.ops.solve import Inverse, Solve
from symgrad_compiler.passes.rewriting import Rewriting, applies
from symgrad_compiler.rewrite.rules import Rule, function_rule


@function_rule(MatMul, kind="rounding", operands=(Inverse,), unshared=True)
def inverse_times(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """inv(a) @ b = solve(a, b)"""
    x, b = tensor.node.inputs
    if not isinstance(x.node.op, Inverse) or x in barriers or _is_strong(tensor):
        return None
    if b.ndim == 1:
        return reshape(apply(Solve(), x.node.inputs[0], reshape(b, (*b.shape, 1))), b.shape)
    return apply(Solve(), x.node.inputs[0], b)


@function_rule(MatMul, kind="rounding", operands=(Inverse,), unshared=True)
def times_inverse(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """b @ inv(a) = solve(a^T, b^T)^T"""
    b, x = tensor.node.inputs
    if not isinstance(x.node.op, Inverse) or x in barriers or _is_strong(tensor):
        return None
    across = matrix_transpose(x.node.inputs[0])
    if b.ndim == 1:
        return reshape(apply(Solve(), across, reshape(b, (*b.shape, 1))), b.shape)
    return matrix_transpose(apply(Solve(), across, matrix_transpose(b)))


def _is_strong(tensor: Tensor) -> bool:
    op = tensor.node.op
    return isinstance(op, MatMul) and bool(op.strong)


@function_rule(log, kind="stable", operands=(Det,))
def log_of_det(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """log(det(a)) = logabsdet + log(sign) of slogdet(a), which does not overflow"""
    (inner,) = tensor.node.inputs
    if inner in barriers:
        return None
    sign, logabsdet = apply_all(SlogDet(), inner.node.inputs)
    return logabsdet + log(sign)


@function_rule(log, kind="stable", operands=(abs,))
def log_of_abs_det(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """log(abs(det(a))) = logabsdet of slogdet(a), which does not overflow"""
    (size,) = tensor.node.inputs
    inner = size.node.inputs[0] if size.node.inputs else size
    if size in barriers or inner in barriers or not isinstance(inner.node.op, Det):
        return None
    return apply_all(SlogDet(), inner.node.inputs)[1]


RULES: list[Rule] = [*inverse_times, *times_inverse, *log_of_det, *log_of_abs_det]
_apply = Rewriting("solve_systems", RULES)


@applies(_apply)
def solve_systems(graph: Graph) -> Graph:
    """Solve systems instead of multiplying by inverses; take logarithms of determinants from factors."""
    return _apply(graph)
