"""Ops of the user's own, declared outside the sources as CONTRIBUTING tells, and what can be wrong with them.

This module has no `from __future__ import annotations`, as a newcomer's may not.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import symgrad as sg
from symgrad import registry
from symgrad.dims import Dim, Shape
from symgrad.ir.tensor import apply, apply_all
from symgrad.ops.kinds import FLOATS, Custom, Linear, declare, elementwise
from symgrad.text.attributes import codec
from symgrad.types import DType, TensorType

x = sg.vector("x", size=3)
#: NumPy forms that give another type than x's.
FORMS = {"shortens": "numpy.sum({x}, keepdims=True)", "narrows": "{x}.astype('f4')", "counts": "5"}


def declared(name: str, **changes: Any) -> Any:
    """An elementwise op, sin unless changed."""
    row: dict[str, Any] = {
        "accepts": FLOATS,
        "d_x": lambda x, out: sg.cos(x),
        "numpy": "numpy.sin({x}, out={out})",
        "scalar": lambda b, x: b.call("sin", x),
    }
    return elementwise(f"{name}(x)", "sin", **{**row, **changes})


@dataclass(frozen=True)
class Turned(Linear):
    """x backwards, once for each entry of `times`."""

    axis: int
    times: tuple[int, ...] = (1,)
    shape: Shape = ()
    size: Dim = 1
    to: DType | None = None
    name: ClassVar[str] = "turned"
    operands = ("x",)
    numpy = "numpy.flip({x}, {axis})"

    def infer(self, x: TensorType) -> TensorType:
        return x

    def transpose_x(self, g: Any, x: Any) -> Any:
        return apply(self, g)

    def batched_op(self, size: Any) -> "Turned":
        return Turned(self.axis + 1)


@dataclass(frozen=True)
class Ends(Custom):
    """The least and the largest element."""

    name: ClassVar[str] = "ends"
    operands = ("x",)
    numpy = "(numpy.min({x}), numpy.max({x}))"

    def infer(self, x: TensorType) -> tuple[TensorType, ...]:
        return x.with_shape(()), x.with_shape(())

    def vjp_x(self, gs: Any, x: Any, out: Any) -> Any:
        return sum(g * (x == y) for g, y in zip(gs, out, strict=True) if g is not None)


@pytest.fixture(scope="module", autouse=True)
def _declared_here_only() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "ops", dict(registry.ops))
        patch.setattr(registry, "language", dict(registry.language))
        declare(Turned)
        declare(Ends)
        declared("my_sin")
        declared("plain_sin", numpy="numpy.sin({x})")
        declared("returns_none", scalar=lambda b, x: None)
        declared("returns_number", scalar=lambda b, x: 1.0)
        for name, form in FORMS.items():
            bare(name=name, infer=lambda self, x: x, numpy=form, no_gradient={"x": "none here"})
        yield


def test_an_op_with_attributes(backend: str) -> None:
    v = sg.vector("v", size="n")
    y = apply(Turned(0, (1, 2), (*v.shape, 3), 2 * v.size, sg.float32), v)
    graph = sg.Graph([v], [y, sg.grad(sg.sum(y * sg.arange(v.size)), v)])
    assert sg.parse(sg.emit(graph)).same(graph)
    value, gradient = sg.function([v], graph.outputs, backend=backend)([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(value, [3, 2, 1])
    np.testing.assert_array_equal(gradient, [2, 1, 0])
    rows = sg.vmap(lambda row: apply(Turned(0), row))(sg.matrix("m", shape=(1, 3)))
    np.testing.assert_array_equal(rows.eval({"m": [[1, 2, 3]]}), [[3, 2, 1]])


def test_an_op_with_two_outputs(backend: str) -> None:
    low, high = apply_all(Ends(), (x,))
    graph = sg.Graph([x], [low, high, sg.grad(high - low, x)])
    assert sg.parse(sg.emit(graph)).same(graph)
    results = sg.function([x], graph.outputs, backend=backend)([2.0, 1.0, 3.0])
    for found, expected in zip(results, [1, 3, [0, -1, 1]], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_an_elementwise_op(backend: str) -> None:
    op = registry.ops["my_sin"]
    f = sg.function([x], [op(x), sg.grad(sg.sum(op(x)), x)], backend=backend)
    np.testing.assert_allclose(f([1.0, 2.0, 3.0]), [np.sin([1, 2, 3]), np.cos([1, 2, 3])])


@pytest.mark.parametrize("engine", ["numpy", "llvm"])
def test_a_state_whose_new_value_is_in_an_array_of_its_own(engine: str) -> None:
    state = sg.shared(np.ones(3))
    update = sg.function([], [], updates={state: registry.ops["plain_sin"](state)}, backend=engine)
    update()
    np.testing.assert_allclose(state.get(), np.sin(np.ones(3)))


def test_aliases_of_types_have_text_as_written() -> None:
    assert codec("int | Size") is codec("Dim")


def bare(**parts: Any) -> Any:
    return declare(dataclass(frozen=True)(type("Bare", (Linear,), {"operands": ("x",), **parts})))


def compiled(name: str) -> Any:
    return sg.function([x], registry.ops[name](x), backend="llvm")


@pytest.mark.parametrize(
    ("name", "promised", "given"),
    [
        ("shortens", "(3,)", "float64 of shape (1,)"),
        ("narrows", "float64 of shape (3,)", "float32 of shape (3,)"),
        ("counts", "(3,)", "int64 of shape ()"),
    ],
)
@pytest.mark.parametrize("engine", ["numpy", "llvm"])
def test_a_form_that_gives_another_type(engine: str, name: str, promised: str, given: str) -> None:
    v = sg.vector("v", size="n")
    f = sg.function([v], apply(registry.ops[name](), v) * 2, backend=engine)
    with pytest.raises(sg.ExecutionError) as caught:
        f([1.0, 2.0, 3.0])
    for phrase in (f"the NumPy form of {name} gives {given}", promised, "test_declare.py"):
        assert phrase in str(caught.value)


def wrong_rule() -> Any:
    op = bare(name="odd", infer=lambda self, x: x, transpose_x=lambda self, g, x: "a", numpy="{x}")
    return sg.grad(sg.sum(apply(op(), x)), x)


FAULTS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: declared("f", accepts="float"),
        TypeError,
        "f: accepts is a tuple of kinds of dtypes among bool",
    ),
    (lambda: declared("f", accepts=("floats",)), TypeError, "accepts is a tuple of kinds"),
    (lambda: declared("f", numpy="numpy.sin({y})"), TypeError, "f: numpy is a template in x and out"),
    (lambda: declared("f", numpy="numpy.sin({x)"), TypeError, "f: numpy is a template in x and out"),
    (lambda: bare(infer=lambda self, x: x), TypeError, "the op Bare has no `name`"),
    (lambda: bare(name="f"), TypeError, "the op Bare has no `infer`"),
    (lambda: compiled("returns_none"), sg.CompileError, "the scalar form of an op returns NoneType"),
    (lambda: compiled("returns_number"), sg.CompileError, "the scalar form of an op returns float"),
    (wrong_rule, sg.GradientError, "a derivative rule returned no tensor but str"),
]


@pytest.mark.parametrize(("make", "kind", "phrase"), FAULTS, ids=[phrase for _, _, phrase in FAULTS])
def test_faults(make: Callable[[], Any], kind: type[Exception], phrase: str) -> None:
    with pytest.raises(kind) as caught:
        make()
    assert phrase in str(caught.value)
