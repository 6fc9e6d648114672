"""Where cotangents meet: contributions are collected per tensor and added once, when all have come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from symgrad.errors import GradientError
from symgrad.ir import origin
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.arithmetic import add


class Cotangents:
    """Contributions and totals.

    `totals` maps a tensor to its complete cotangent. `masked` holds the tensors whose cotangent may have
    zeros that must stay zeros (see `symgrad.ops.kinds`).
    """

    def __init__(self, seeds: Mapping[Tensor, Tensor], known: Iterable[Tensor] = ()) -> None:
        self.totals: dict[Tensor, Tensor] = {}
        self.masked: set[Tensor] = set()
        self._known = frozenset(known)
        self._parts: dict[Tensor, list[Tensor]] = {t: [g] for t, g in seeds.items()}

    def add(self, tensor: Tensor, part: Tensor | None, masked: bool) -> None:
        """A contribution from one path; None where the path is blocked."""
        if part is None or tensor in self._known:
            return
        if not isinstance(part, Tensor):
            raise GradientError(
                f"a derivative rule returned no tensor but {type(part).__name__}",
                facts=[("operand", tensor.type), ("got", repr(part)[:80])],
                at=origin.locate(origin.current()),
                hint="this is a fault of the op's rule; None stands for no derivative",
            )
        if part.type != tensor.type:
            raise GradientError(
                "a derivative rule returned a cotangent of the wrong type",
                facts=[("operand", tensor.type), ("cotangent", part.type), ("origin", part.node.origins[0])],
                hint="this is a fault of the op's rule",
            )
        self._parts.setdefault(tensor, []).append(part)
        if masked:
            self.masked.add(tensor)

    def total(self, tensor: Tensor) -> Tensor | None:
        """The sum of all contributions to `tensor`, named after it; None where none came."""
        parts = self._parts.pop(tensor, None)
        if parts is None:
            return self.totals.get(tensor)
        total = parts[0]
        for part in parts[1:]:
            with origin.scope(part.node.origins):
                total = apply(add, total, part)
        self.totals[tensor] = total
        if total.name is None and total.derivative_of is None:
            total.derivative_of = tensor
        return total
