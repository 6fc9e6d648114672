"""Elementary functions on vectors, as LLVM functions that a module makes on first use. Their code is in
the rooms `exponentials`, `logarithms`, `angles`, `inverse`, `powers`, `special`.

Each works on float64; float32 goes through float64 with shorter polynomials, unless `singles` has its
function. Polynomials are near-minimax fits (Chebyshev interpolation at high precision) of the quotients
named beside them. Where a fast reduction ends (sin of 1e9), lanes go through the C library one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from symgrad.ops.scalar import OF_ORDER
from symgrad_compiler.backends.llvm.angles import angle_function
from symgrad_compiler.backends.llvm.exponentials import cosh, exp, exp2, expm1, sigmoid, sinh, tanh
from symgrad_compiler.backends.llvm.inverse import (
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
)
from symgrad_compiler.backends.llvm.ir import Module, Value, vector_type
from symgrad_compiler.backends.llvm.logarithms import log, log1p, log2, log10, logaddexp, softplus
from symgrad_compiler.backends.llvm.powers import cbrt, hypot, power, repeated_power
from symgrad_compiler.backends.llvm.scalars import Code, Machine
from symgrad_compiler.backends.llvm.singles import in_float32
from symgrad_compiler.backends.llvm.special import LONG, SPECIAL

#: Calls that are inlined, in one kernel and in one module; more are left as calls.
MOST_INLINED = 8
MOST_INLINED_IN_ALL = 100


class Maths:
    """The elementary functions of one module. `inline(function)` says whether a call is inlined."""

    def __init__(self, module: Module, machine: Machine) -> None:
        self.module = module
        self.machine = machine
        self.inline = True
        self._inlined = 0

    def may_inline(self, calls: int) -> bool:
        """Whether a kernel with so many calls gets them inlined: compile time must stay linear in the
        graph."""
        if calls > MOST_INLINED or self._inlined + calls > MOST_INLINED_IN_ALL:
            return False
        self._inlined += calls
        return True

    @contextmanager
    def apart(self) -> Iterator[None]:
        """What is called in this scope is not inlined, and so compiled beside its caller: for code that runs
        once where other code runs often."""
        with self._inlining(False):
            yield

    @contextmanager
    def _inlining(self, inline: bool) -> Iterator[None]:
        before, self.inline = self.inline, inline
        try:
            yield
        finally:
            self.inline = before

    def __call__(self, code: Code, function: str, *operands: Value) -> Value:
        x = operands[0]
        if function == "power":
            repeated = repeated_power(code, x, operands[1])
            if repeated is not None:
                return repeated
        implementation, label = FUNCTIONS[function], function
        if function in OF_ORDER:
            assert x.number is not None
            order = int(x.number)
            implementation, label = partial(implementation, order=order), f"{function}.{order}"
            operands = operands[1:]
        elif function == "gaussian" and x.number is not None:
            implementation, label = partial(_first_known, implementation, x.number), f"{function}.{x.number}"
            operands = operands[1:]
        name = f"{label}.{x.kind}x{x.lanes}"
        if name not in self.module.made:
            with self._inlining(True):  # whoever calls it first
                self._make(name, implementation, x.kind, x.lanes, len(operands))
        listed = ", ".join(f"{v.type} {v.text}" for v in operands)
        how = "alwaysinline" if self.inline and function not in LONG else "noinline"
        return code.f.emit(f"call {x.type} @{name}({listed}) {how}", x.kind, x.lanes)

    def _make(
        self, name: str, implementation: Callable[..., Value], kind: str, lanes: int, count: int
    ) -> None:
        type_ = vector_type(kind, lanes)
        names = ["x", "y"][:count]
        made = self.module.function(name, [(n, type_) for n in names], type_)
        self.module.made[name] = made
        inner = Code(made, self, self.machine)
        operands = [Value(f"%{n}", kind, lanes) for n in names]
        single = in_float32(inner, name.split(".", maxsplit=1)[0], operands[0]) if kind == "f32" else None
        if single is not None:
            result = single(inner, operands[0])
        elif kind == "f32":
            wide = [inner.convert(v, "f64") for v in operands]
            result = inner.convert(implementation(inner, *wide, single=True), "f32")
        else:
            result = implementation(inner, *operands, single=False)
        made.do(f"ret {type_} {result.text}")


def _first_known(
    implementation: Callable[..., Value], number: float, b: Code, x: Value, single: bool
) -> Value:
    """A function of two numbers, of which the first is known."""
    return implementation(b, b.constant(number, x), x, single=single)


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exp": exp,
    "exp2": exp2,
    "expm1": expm1,
    "log": log,
    "log1p": log1p,
    "log2": log2,
    "log10": log10,
    "tanh": tanh,
    "sinh": sinh,
    "cosh": cosh,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "logaddexp": logaddexp,
    "sin": angle_function("sin"),
    "cos": angle_function("cos"),
    "tan": angle_function("tan"),
    "arcsin": arcsin,
    "arccos": arccos,
    "arctan": arctan,
    "arctan2": arctan2,
    "arcsinh": arcsinh,
    "arccosh": arccosh,
    "arctanh": arctanh,
    "power": power,
    "cbrt": cbrt,
    "hypot": hypot,
}
FUNCTIONS |= SPECIAL
