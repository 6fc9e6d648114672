"""Bad input: each gets an error at the earliest moment, with what, where and a hint."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad as sg

a, b = sg.vector("a", size="n"), sg.vector("b", size="m")
c, d = sg.scalar("c"), sg.scalar("d")
i = sg.vector("i", size=3, dtype="int64")
v = sg.vector("v", size="n", dtype="float32")
x, w = sg.tensor("x", ("n", 784), "float32"), sg.tensor("w", (512, 10), "float32")
f = sg.function([v, a], [v * 2, a], name="f")

CASES: list[tuple[str, Callable[[], Any], type[Exception], list[str]]] = [
    (
        "matmul",
        lambda: x @ w,
        sg.ShapeError,
        ["x: f32[n,784]", "w: f32[512,10]", "test_error_texts.py", "hint"],
    ),
    ("transpose", lambda: x @ sg.tensor("u", (10, 784), "float32"), sg.ShapeError, ["did you mean x @ u.mT"]),
    ("sizes", lambda: a + b, sg.ShapeError, ["n and m are not provably equal", "sg.assume_equal(sg.size("]),
    ("shapes", lambda: sg.zeros((2, 3)) + sg.zeros(2), sg.ShapeError, ["v[:, None]"]),
    ("size", lambda: sg.function([], sg.zeros(("k",))), sg.ShapeError, ["no input determines the size 'k'"]),
    ("int", lambda: sg.grad(sg.sum(i * 1.0), i), TypeError, ["integers", "i is int64"]),
    ("non-scalar", lambda: sg.grad(a * 2, a), sg.GradientError, ["must be a scalar", "sg.vjp"]),
    ("disconnected", lambda: sg.grad(sg.sum(a), b), sg.DisconnectedInputError, ["does not depend on b"]),
    (
        "blocked",
        lambda: sg.grad(sg.sum(sg.sign(a)), a),
        sg.DisconnectedInputError,
        ["sign is piecewise constant"],
    ),
    (
        "keyword",
        lambda: f([1.0], aa=1),
        sg.InputError,
        ["no input called 'aa'", "f(v, a)", "did you mean 'a'"],
    ),
    ("missing", lambda: f([1.0]), sg.InputError, ["needs 'a'"]),
    ("twice", lambda: f([1.0], v=[1.0]), sg.InputError, ["given twice"]),
    (
        "dtype",
        lambda: f(np.ones(3), np.ones(3)),
        TypeError,
        ["takes float32, not float64", "v.astype('float32')"],
    ),
    (
        "shape",
        lambda: f([1, 2, 3], np.ones(4)),
        ValueError,
        ["f64[n]", "shape (4,)", "n: 3, from axis 0 of v"],
    ),
    ("rank", lambda: f(np.ones((3, 1), np.float32), np.ones(3)), sg.InputError, ["shape (3, 1)"]),
    ("objects", lambda: f(["x"], [1.0]), sg.InputError, ["not an array of numbers"]),
    ("unused", lambda: sg.function([a, b], a * 2), sg.GraphError, ["'b' of main is not used"]),
    (
        "duplicate",
        lambda: sg.function([c, sg.vector("c", size=2)], c),
        sg.GraphError,
        ["two inputs are called 'c'"],
    ),
    (
        "cycle",
        lambda: sg.function([c], c * d, givens={d: c + 1, c: d + 1}),
        sg.GraphError,
        ["givens are cyclic"],
    ),
    ("no input", lambda: sg.function([a], a * c), sg.GraphError, ["reads 'c'", "add c to the inputs"]),
    ("computed input", lambda: sg.function([c * 2], c), sg.GraphError, ["must be a leaf", "givens"]),
    ("truth", lambda: bool(c), TypeError, ["symgrad.where"]),
    ("float", lambda: float(c), TypeError, ["eval"]),
    ("array", lambda: np.asarray(c), TypeError, ["sg.exp, not numpy.exp"]),
    ("function of NumPy", lambda: np.maximum(c, 0), TypeError, ["sg.maximum, not numpy.maximum"]),
    ("function of NumPy alone", lambda: np.divmod(np.ones(3), c), TypeError, ["sg.exp, not numpy.exp"]),
    ("reduction of NumPy", lambda: np.add.reduce(c), TypeError, ["sg.add, not numpy.add"]),
    ("pieces", lambda: sg.array_split(c, 10**30), sg.ShapeError, ["1 to 1,048,576"]),
    ("iteration", lambda: list(a), TypeError, ["symbolic size n"]),
    ("index", lambda: sg.zeros((3,))[5], IndexError, ["out of range"]),
    ("name", lambda: sg.scalar("not a name"), sg.GraphError, ["identifier"]),
    ("garbage", lambda: sg.parse("hello"), sg.ParseError, ["line 1, column 1", "^"]),
    (
        "memory_budget",
        lambda: sg.function([i], sg.sum(sg.cumsum(i)), memory_budget=1),
        sg.CompileError,
        ["memory_budget=1", "smallest found"],
    ),
    ("backend", lambda: sg.function([c], c * 2, backend="fpga"), sg.CompileError, ["no backend 'fpga'"]),
]


@pytest.mark.parametrize(("call", "kind", "phrases"), [p[1:] for p in CASES], ids=[p[0] for p in CASES])
def test_error(call: Callable[[], Any], kind: type[Exception], phrases: list[str]) -> None:
    with pytest.raises(kind) as caught:
        call()
    for phrase in phrases:
        assert phrase in str(caught.value), str(caught.value)


def test_sizes_that_cannot_be_equal() -> None:
    n = sg.size("n")
    with pytest.raises(sg.ShapeError, match=r"n and n\+1 cannot be equal"):
        sg.assume_equal(n, n + 1)
    with sg.assume_equal(n, 4):
        with pytest.raises(sg.ShapeError, match=r"n and 3 cannot be equal(.|\n)*n = 4"):
            sg.assume_equal(n, 3)
        with sg.assume_equal(2 * n, 8):
            pass


def test_assumed_sizes_are_checked_at_each_call() -> None:
    with sg.assume_equal(sg.size("n"), sg.size("m")):
        total = a + b
    g = sg.function([a, b], total)
    np.testing.assert_array_equal(g([1.0], [2.0]), [3.0])
    with pytest.raises(sg.InputError, match="assumed equal"):
        g([1.0], [1.0, 2.0])


m, u = sg.matrix("m", shape=(2, 3)), sg.vector("u", size=3)
HERE = "test_error_texts.py"

AXES: list[tuple[str, Callable[[], Any]]] = [
    ("sum", lambda: m.sum(axis=2)),
    ("mean", lambda: sg.mean(m, axis=2)),
    ("argmax", lambda: sg.argmax(m, axis=2)),
    ("softmax", lambda: sg.softmax(m, axis=2)),
    ("logsumexp", lambda: sg.logsumexp(m, axis=2)),
    ("sort", lambda: sg.sort(m, axis=2)),
    ("cumsum", lambda: sg.cumsum(m, axis=2)),
    ("concat", lambda: sg.concat([m, m], axis=2)),
    ("stack", lambda: sg.stack([m, m], axis=3)),
    ("permute_dims", lambda: sg.permute_dims(m, (0, 2))),
    ("expand_dims", lambda: sg.expand_dims(m, axis=3)),
    ("squeeze", lambda: sg.squeeze(m, 2)),
    ("roll", lambda: sg.roll(m, 1, axis=2)),
    ("flip", lambda: sg.flip(m, axis=2)),
    ("take", lambda: sg.take(m, [0], axis=2)),
    ("swapaxes", lambda: m.swapaxes(0, 2)),
    ("moveaxis", lambda: sg.moveaxis(m, 0, 2)),
]


@pytest.mark.parametrize(("name", "call"), AXES, ids=[name for name, _ in AXES])
def test_axes_that_do_not_exist(name: str, call: Callable[[], Any]) -> None:
    with pytest.raises(sg.AxisError) as caught:
        call()
    error = caught.value
    assert error.what in (f"{name}: axis 2 does not exist", f"{name}: axis 3 does not exist")
    assert ("m", m.type) in error.facts
    assert error.at
    assert HERE in error.at


def assign_an_item() -> None:
    u[0] = 1.0  # type: ignore[index]


SLIPS: list[tuple[str, Callable[[], Any], type[Exception], list[str]]] = [
    ("float axis", lambda: sg.sum(m, axis=1.5), sg.ShapeError, ["sum: an axis must be an int", HERE]),
    ("repeated axis", lambda: sg.sum(m, axis=(0, 0)), sg.ShapeError, ["sum: an axis is repeated", HERE]),
    ("maximum", lambda: sg.max(u, u), sg.ShapeError, ["sg.maximum(a, b)", "u: f64[3]", HERE]),
    ("minimum", lambda: sg.min(u, 1.0), sg.ShapeError, ["sg.minimum(a, b)", HERE]),
    ("broadcast", lambda: sg.broadcast_to(m, (2, 4)), sg.ShapeError, ["m: f64[2,3]", "shape: (2, 4)", HERE]),
    ("fewer", lambda: sg.broadcast_to(m, (3,)), sg.ShapeError, ["fewer dimensions", "m: f64[2,3]", HERE]),
    ("at", lambda: u.at[:2].set(np.ones(3)), sg.ShapeError, ["3 against 2", HERE]),
    (
        "squeezed",
        lambda: sg.squeeze(m, 0),
        sg.ShapeError,
        ["squeeze: only axes of size 1", "m: f64[2,3]", HERE],
    ),
    ("reshape", lambda: sg.reshape(m, (-1, -1)), sg.ShapeError, ["at most one", "m: f64[2,3]", HERE]),
    ("repeat", lambda: sg.repeat(u, -1), sg.ShapeError, ["must not be negative: -1", "u: f64[3]", HERE]),
    ("emit", lambda: sg.emit(u), sg.GraphError, ["emit takes a graph, not Tensor", "sg.Graph(", HERE]),  # type: ignore[arg-type]
    ("emit f", lambda: sg.emit(f), sg.GraphError, ["f.graph and f.optimized"]),  # type: ignore[arg-type]
    ("optimize", lambda: sg.optimize(u), sg.GraphError, ["optimize takes a graph", HERE]),  # type: ignore[arg-type]
    ("explain", lambda: sg.explain(u), sg.GraphError, ["explain takes a graph", HERE]),  # type: ignore[arg-type]
    ("no outputs", lambda: sg.function([u], None), sg.GraphError, ["not NoneType", "empty list"]),
    ("a number", lambda: sg.function([u], 1), sg.GraphError, ["not int", "sg.constant"]),
    ("an array", lambda: sg.function([], np.ones(3)), sg.GraphError, ["not ndarray", "sg.constant"]),
    ("np.sum", lambda: np.sum(u), TypeError, ["sg.sum, not numpy.sum"]),  # type: ignore[call-overload]
    ("np.mean", lambda: np.mean(u), TypeError, ["sg.mean, not numpy.mean"]),  # type: ignore[call-overload]
    ("graph", lambda: setattr(sg.Graph([u], u * 2), "inputs", ()), AttributeError, ["'inputs'", "sg.Graph("]),
    ("item", assign_an_item, TypeError, ["u: f64[3]", "never changes", "x.at[key].set(value)"]),
    ("vmap", lambda: sg.vmap(lambda row: None)(m), sg.GraphError, ["the function returned nothing", HERE]),
    ("trace", lambda: sg.trace(lambda row: None, m), sg.GraphError, ["the function returned nothing", HERE]),
]


@pytest.mark.parametrize(("call", "kind", "phrases"), [p[1:] for p in SLIPS], ids=[p[0] for p in SLIPS])
def test_slip(call: Callable[[], Any], kind: type[Exception], phrases: list[str]) -> None:
    test_error(call, kind, phrases)


untyped: Any = sg
cost, state = sg.sum(u * u), sg.shared(np.ones(3), "w3")
#: Values of another kind than a function takes: a call, its error, what that says.
KINDS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: untyped.function([u], u, updates=5), sg.GraphError, "updates are a dict"),
    (lambda: untyped.function([u], u, updates=[state, state * 2]), sg.GraphError, "updates are a dict"),
    (lambda: untyped.function([u], u, updates=[(state,)]), sg.GraphError, "updates are a dict"),
    (lambda: untyped.function([u], u, updates=state), sg.GraphError, "updates are a dict"),
    (lambda: untyped.function([u], u, givens=5), sg.GraphError, "givens are for tensors, not for int"),
    (lambda: untyped.function({u}, u * 2), sg.GraphError, "inputs must be in an order"),
    (lambda: untyped.Graph([u], {u * 2}), sg.GraphError, "outputs must be in an order"),
    (lambda: untyped.function([u], u, memory_budget="1GB"), sg.CompileError, "is a number of bytes"),
    (lambda: untyped.function([u], u, memory_budget=True), sg.CompileError, "is a number of bytes"),
    (lambda: untyped.function([u], u, nan_guard="no"), sg.CompileError, "nan_guard is True or False"),
    (lambda: untyped.function([u], u, cast=0), sg.CompileError, "cast is True or False"),
    (lambda: untyped.function([u], u, validate="yes"), sg.CompileError, "validate is True or False"),
    (lambda: untyped.function([u], u, memory_budget=-1), sg.CompileError, "is a number of bytes"),
    (lambda: f.into(5, [1.0], [1.0]), sg.InputError, "f has 2 outputs, got int"),
    (lambda: u.eval([1.0, 2.0, 3.0]), sg.InputError, "eval takes a dict from inputs to values, not list"),
    (lambda: untyped.astype(u, u), sg.DTypeError, "is not a dtype of symgrad"),
    (lambda: untyped.grad(cost, u, consider_constant=5), sg.GradientError, "takes tensors, not int"),
    (lambda: untyped.grad(cost, u, consider_constant=None), sg.GradientError, "takes tensors, not NoneType"),
    (lambda: untyped.grad(None, u, known_grads=[(u, 1.0)]), sg.GradientError, "known_grads is a dict"),
    (lambda: untyped.grad(cost, u, known_grads=u), sg.GradientError, "known_grads is a dict"),
    (lambda: untyped.hessian(1.0, u), sg.GradientError, "the cost must be a tensor, not float"),
    (lambda: untyped.hvp([cost], u, u), sg.GradientError, "the cost must be a tensor, not list"),
    (lambda: sg.vjp(None, u, 1.0), sg.GradientError, "the output must be a tensor"),
    (lambda: sg.jvp(None, u, u), sg.GradientError, "the output must be a tensor"),
    (lambda: sg.vjp([cost], u, 1.0), sg.GradientError, "one cotangent for each tensor"),
    (lambda: sg.vjp([cost], u, cost), sg.GradientError, "one cotangent for each tensor"),
    (lambda: sg.jvp(cost, [u], 5), sg.GradientError, "one tangent for each tensor"),
    (lambda: sg.hvp(cost, [u], 1.0), sg.GradientError, "one vector for each tensor"),
    (lambda: untyped.jvp(cost, {1: u}, {2: u}), sg.GradientError, "need the keys of wrt"),
    (lambda: untyped.check_grad(None, u, {}), sg.GradientError, "the cost must be a tensor, not NoneType"),
    (lambda: untyped.check_grad(cost, None, {}), sg.GradientError, "wrt must be a tensor, not NoneType"),
    (lambda: untyped.check_grad(cost, u, {}, order="a"), sg.GradientError, "at least 1, an int"),
    (lambda: untyped.check_grad(cost, u, [1.0]), sg.InputError, "check_grad takes a dict"),
    (lambda: sg.check_grad(cost, u, {u: None}), sg.InputError, "the value for u is not of its dtype"),
    (lambda: sg.check_grad(cost, u, {u: [1j, 0, 0]}), sg.InputError, "the value for u is not of its dtype"),
    (lambda: sg.check_grad(cost, u, {u: 1.0}), sg.InputError, "the value for u has another number of axes"),
    (lambda: untyped.custom_vjp(5, sg.sin), sg.GraphError, "custom_vjp takes a function, not int"),
    (lambda: untyped.custom_vjp(sg.sin, None), sg.GraphError, "custom_vjp takes a function, not NoneType"),
    (lambda: untyped.custom_jvp(sg.sin, 5), sg.GraphError, "custom_jvp takes a function, not int"),
    (lambda: untyped.checkpoint(u), sg.GraphError, "checkpoint takes a function, not Tensor"),
    (lambda: untyped.vmap(None), sg.GraphError, "vmap takes a function, not NoneType"),
    (lambda: untyped.Graph([u], u).same(5), sg.GraphError, "same takes a graph, not int"),
    (lambda: sg.arange(2**64), sg.ShapeError, "has too many elements"),
    (lambda: untyped.pad(u, 1, ["edge"]), sg.ShapeError, "mode must be"),
    (lambda: untyped.quantile(u, 0.5, method=["linear"]), sg.GraphError, "method must be"),
    (lambda: untyped.searchsorted(u, u, side=1), sg.ShapeError, 'side must be "left" or "right", not 1'),
    (lambda: untyped.fft.fft(u, norm={}), sg.GraphError, "norm must be"),
    (
        lambda: untyped.linalg.solve_triangular(m, u, trans=[]),
        sg.GraphError,
        'trans must be 0, 1, 2, "N", "T" or "C", not []',
    ),
    (
        lambda: untyped.linalg.cond(m, [2]),
        sg.GraphError,
        'p must be "fro", "nuc", 1, -1, 2, -2, inf',
    ),
    (lambda: untyped.linalg.qr(m, mode=u), sg.GraphError, 'mode must be "reduced", "complete" or "r", not'),
    (lambda: untyped.linalg.qr(m, mode=np.ones(2)), sg.GraphError, 'mode must be "reduced"'),
    (lambda: untyped.nn.conv1d(u, u, channels=["last"]), sg.ShapeError, 'channels must be "first" or "last"'),
    (
        lambda: untyped.nn.avg_pool1d(u, 2, channels=["last"]),
        sg.ShapeError,
        'channels must be "first" or "last"',
    ),
    (lambda: untyped.custom_root(sg.sin, 1.0, 2.0), sg.GraphError, "custom_root takes a function, not float"),
]


@pytest.mark.parametrize(("call", "kind", "phrase"), KINDS, ids=[phrase for _, _, phrase in KINDS])
def test_values_of_another_kind(call: Callable[[], Any], kind: type[Exception], phrase: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert phrase in str(caught.value)


def test_inputs_may_come_one_by_one() -> None:
    g = untyped.function((t for t in [u, c]), (t for t in [u * c, c]))
    assert [np.sum(r) for r in g([1.0, 2.0, 3.0], 2.0)] == [12.0, 2.0]


def test_errors_are_pickled_and_copied() -> None:
    for kind, call in ((sg.ParseError, lambda: sg.parse("graph f(x: f65")), (sg.ShapeError, lambda: x @ w)):
        with pytest.raises(kind) as caught:  # type: ignore[var-annotated]
            call()
        for again in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):
            assert type(again) is kind
            assert str(again) == str(caught.value)
            assert vars(again).get("line") == vars(caught.value).get("line")
    error = pickle.loads(pickle.dumps(sg.GraphError("a fact that is a tensor", facts=[("x", u)])))
    assert "x: <u: f64[3]>" in str(error)


def test_choices_are_numpy_numbers_too() -> None:
    found = untyped.linalg.solve_triangular(np.eye(2), [1.0, 2.0], trans=np.int64(1))
    np.testing.assert_array_equal(found.eval(), [1.0, 2.0])
