"""What is computed from interleaved tensors, such as gradients of pools: part by part, the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.interleave import Interleave
from symgrad_compiler.passes import merge
from symgrad_compiler.plan import fuse
from symgrad_compiler.plan.expand import expand
from symgrad_compiler.plan.fuse import make_plan
from symgrad_compiler.plan.in_parts import MOST_OPERATIONS, in_parts
from symgrad_compiler.plan.steps import Access, Kernel, RowLoop

Net = Callable[[Tensor, Tensor], Tensor]


def pooled(x: Tensor, size: Any = 2, **how: Any) -> Tensor:
    return sg.max_pool2d(x, size, channels="last", **how)


def mean(x: Tensor, size: Any = 2, **how: Any) -> Tensor:
    return sg.avg_pool2d(x, size, channels="last", **how)


BATCHES: list[Any] = [2, "n"]
#: A tensor (n, 8, 9, 16) and a bias (16,) to what is summed up: the windows of some leave rows and columns.
NETS: dict[str, Net] = {
    "relu": lambda x, b: pooled(sg.relu(x + b)),
    "relu, and no row left": lambda x, b: pooled(sg.relu(x + b), (2, 3)),
    "tanh": lambda x, b: pooled(sg.tanh(x + b), (1, 3)),
    "gelu": lambda x, b: pooled(sg.gelu(x * b), (4, 1)),
    "a mask of rows": lambda x, b: pooled(sg.where(b > 0, x, sg.relu(x)) + b, (2, 3)),
    "a scale": lambda x, b: pooled(sg.relu(x) * b, (2, 3)),
    "windows that overlap": lambda x, b: pooled(sg.relu(x + b), 3, stride=2, padding=1),
    "windows with holes": lambda x, b: pooled(sg.relu(x + b), 2, stride=3, dilation=2),
    "windows with space between": lambda x, b: pooled(sg.relu(x + b), 2, stride=4),
    "one axis": lambda x, b: pooled(sg.relu(x + b), (1, 3)),
    "means": lambda x, b: mean(sg.relu(x + b), (2, 3)),
    "means that leave rows": lambda x, b: mean(sg.tanh(x + b)),
    "means that overlap": lambda x, b: mean(sg.relu(x + b), 3, stride=2),
    "both": lambda x, b: pooled(h := sg.relu(x + b), (2, 3)) * mean(h, (2, 3)),
    "two pools": lambda x, b: sg.sum(pooled(h := sg.relu(x + b), (2, 3))) + sg.sum(pooled(h, 3)),
    "after a power": lambda x, b: pooled((x + b) ** 3, (2, 3)),
    "channels first": lambda x, b: sg.max_pool2d(sg.relu(x + b), 3),
    "sums by place": lambda x, b: pooled(sg.relu(x + sg.mean(x, axis=(0, 3), keepdims=True) + b), (2, 3)),
    "normalised": lambda x, b: pooled(sg.relu(x - sg.mean(x, axis=(0, 1, 2)) + b), (2, 3)),
}
#: Those whose gradient of x has a sum in it.
WITH_SUMS = ("normalised", "sums by place")
#: Those of which nothing is computed part by part: what follows is cut out of a larger image, has to
#: know of the zeros behind parts that end early, or takes other turns.
UNCHANGED = ("windows that overlap", "means that leave rows", "two pools")


def cost_of(net: Net, batch: Any, dtype: str) -> tuple[Tensor, Tensor, Tensor]:
    x, b = sg.tensor("x", (batch, 8, 9, 16), dtype), sg.vector("b", size=16, dtype=dtype)
    return x, b, sg.sum(sg.sin(net(x, b)))


def arguments(dtype: str, special: bool = False) -> list[Any]:
    rng = np.random.default_rng(3)
    x = rng.integers(-3, 4, (2, 8, 9, 16)) / 2  # many ties
    if special:
        x = rng.choice([0.0, -0.0, 1.0, np.nan, np.inf, -np.inf], x.shape)
    return [x.astype(dtype), (rng.standard_normal(16) / 4).astype(dtype)]


def plainly(monkeypatch: pytest.MonkeyPatch, *given: Any) -> Any:
    """A function whose plan takes interleaved tensors as a whole."""
    with monkeypatch.context() as patch:
        patch.setenv("SYMGRAD_CACHE_DIR", "")
        patch.setattr(fuse, "in_parts", lambda graph: graph)
        return sg.function(*given, backend="llvm", on_unused_input="ignore")


# ---- numbers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "batch"), [("float32", 2), ("float64", "n")])
@pytest.mark.parametrize("net", NETS)
def test_elementwise_gradients_have_the_same_bits(
    net: str, dtype: str, batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums of gradients are another order of additions."""
    x, b, cost = cost_of(NETS[net], batch, dtype)
    outputs = sg.grad(cost, [x, b])
    plain = plainly(monkeypatch, [x, b], outputs)
    found = sg.function([x, b], outputs, backend="llvm")
    for special in (False, True):
        values = arguments(dtype, special)
        (d_x, d_b), (wanted, of_b) = found(*values), plain(*values)
        rounding = 32 * np.finfo(dtype).eps
        rounding *= float(np.sum(np.abs(wanted[np.isfinite(wanted)])))
        if net in WITH_SUMS:
            np.testing.assert_allclose(d_x, wanted, rtol=0, atol=rounding)
        else:
            np.testing.assert_array_equal(d_x.view(f"u{d_x.itemsize}"), wanted.view(f"u{d_x.itemsize}"))
        np.testing.assert_allclose(d_b, of_b, rtol=0, atol=rounding)


@pytest.mark.parametrize("net", NETS)
def test_which_plans_change(net: str) -> None:
    x, b, cost = cost_of(NETS[net], 2, "float32")
    graph = sg.optimize(sg.Graph([x, b], sg.grad(cost, [x, b])))
    expanded = merge(expand(graph)[0])
    assert (in_parts(expanded) is expanded) == (net in UNCHANGED)


@pytest.mark.parametrize("net", NETS)
def test_as_numpy(net: str) -> None:
    """First and second derivatives."""
    x, b, cost = cost_of(NETS[net], "n", "float64")
    d_x, d_b = sg.grad(cost, [x, b])
    outputs = [d_x, d_b, *sg.grad(sg.sum(sg.sin(d_x)) + sg.sum(sg.sin(d_b)), [x, b])]
    rng = np.random.default_rng(4)
    values = rng.standard_normal((2, 8, 9, 16)), rng.standard_normal(16)
    native, plain = (sg.function([x, b], outputs, backend=k)(*values) for k in ("llvm", "numpy"))
    for a, c in zip(native, plain, strict=True):
        np.testing.assert_allclose(a, c, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("batch", BATCHES)
def test_a_convolutional_network(batch: Any) -> None:
    """The loss and all gradients of two layers, against NumPy's backend."""
    x, v, w = sg.tensor("x", (batch, 2, 18, 18)), sg.tensor("v", (8, 2, 3, 3)), sg.tensor("w", (16, 8, 3, 3))
    a, b, u = sg.vector("a", size=8), sg.vector("b", size=16), sg.matrix("u", shape=(16 * 9, 5))
    h = sg.max_pool2d(sg.relu(sg.conv2d(x, v) + a[:, None, None]), 2)
    h = sg.max_pool2d(sg.relu(sg.conv2d(h, w) + b[:, None, None]), 2)
    cost = sg.mean(sg.logsumexp(sg.reshape(h, (h.shape[0], -1)) @ u, axis=1))
    inputs = [x, v, w, a, b, u]
    outputs = [cost, *sg.grad(cost, inputs)]
    rng = np.random.default_rng(8)
    values = [rng.standard_normal((2, 2, 18, 18))]
    values += [rng.standard_normal(t.shape) / 3 for t in inputs[1:]]
    native, plain = (sg.function(inputs, outputs, backend=k)(*values) for k in ("llvm", "numpy"))
    for found, wanted in zip(native, plain, strict=True):
        assert np.any(wanted != 0)
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("sides", [(4, 6), (5, 7), (2, 2), (0, 4)])
def test_sides_that_are_known_when_it_runs(sides: tuple[int, int]) -> None:
    x, b = sg.tensor("x", ("n", "h", "w", 16)), sg.vector("b", size=16)
    shape = (3, *sides, 16)
    for pool in (pooled, mean):
        if 0 in sides and pool is pooled:
            continue  # no window fits
        outputs = sg.grad(sg.sum(sg.sin(pool(sg.relu(x + b)))), [x, b])
        values = np.random.default_rng(5).standard_normal(shape), np.ones(16)
        if 0 in sides:
            for backend in ("llvm", "numpy"):
                with pytest.raises((sg.ShapeError, IndexError)):
                    sg.function([x, b], outputs, backend=backend)(*values)
            continue
        native, plain = (sg.function([x, b], outputs, backend=k)(*values) for k in ("llvm", "numpy"))
        for a, c in zip(native, plain, strict=True):
            np.testing.assert_allclose(a, c, rtol=1e-12, atol=1e-13)


def test_integers() -> None:
    """Sums of integers wrap, in whichever order."""
    g, y = sg.tensor("g", (2, 3, 4, 64), "int8"), sg.tensor("y", (2, 6, 8, 64), "int8")
    whole = apply(Interleave((2, 2), (1, 2), y.shape), *[g + r for r in range(4)])
    outputs = [whole * y, sg.sum(whole * y, axis=(1, 2))]
    rng = np.random.default_rng(6)
    values = [rng.integers(-128, 128, t.shape).astype("int8") for t in (g, y)]
    native, plain = (sg.function([g, y], outputs, backend=k)(*values) for k in ("llvm", "numpy"))
    for a, c in zip(native, plain, strict=True):
        np.testing.assert_array_equal(a, c)


# ---- the plan -------------------------------------------------------------------------------------------


def test_a_layer_reads_its_activations_in_the_forward_pass_alone() -> None:
    """The gradient of a bias, relu and a pool is made from masks, in one kernel with its sum."""
    x, w = sg.tensor("x", (8, 3, 14, 14), "float32"), sg.tensor("w", (32, 3, 3, 3), "float32")
    c, v = sg.vector("c", size=32, dtype="float32"), sg.matrix("v", shape=(32 * 36, 10), dtype="float32")
    h = sg.max_pool2d(sg.relu(sg.conv2d(x, w) + c[:, None, None]), 2)
    cost = sg.sum(sg.square(sg.reshape(h, (8, -1)) @ v))
    plan = make_plan(sg.function([x, w, c, v], sg.grad(cost, [w, c]), backend="llvm").optimized)
    steps = [s for step in plan.steps for s in (step.whole if isinstance(step, RowLoop) else [step])]
    (writer,) = [s for s in steps if isinstance(s, Kernel) and len(s.stores) == 4]
    whole = 8 * 12 * 12 * 32
    assert [access.storage.size for _, access in writer.stores] == [whole] * 4
    assert len(writer.reductions) == 1
    read = [(t.dtype.name, s.storage.size) for t, s in writer.sources.items() if isinstance(s, Access)]
    one = whole // 4  # masks, what arrives, and how many share it
    assert sorted(read) == [("bool", one)] * 4 + [("float32", one), ("uint8", one)]


# ---- what is taken inside -------------------------------------------------------------------------------

G = sg.tensor("g", (3, 4, 64))
Y = sg.tensor("y", (3, 8, 64))
ODD = sg.tensor("odd", (3, 9, 64))
THIN = sg.tensor("thin", (3, 8, 3))
LONG = sg.tensor("long", (3, 5, 64))


def turns(*parts: Tensor, like: Tensor = Y) -> Tensor:
    return apply(Interleave((2,), (1,), like.shape), *parts)


def long_chain(t: Tensor) -> Tensor:
    for i in range(MOST_OPERATIONS):
        t = t * Y + float(i)
    return t


INSIDE: dict[str, Tensor] = {
    "a product": turns(G, -G) * Y,
    "a chain": sg.where(Y > 0, turns(G, -G) * 2, sg.cos(Y)),
    "two that take turns": turns(G, -G) + turns(2 * G, G),
    "a broadcast": turns(G, -G) * sg.sum(Y, axis=(0, 1)),
    "a broadcast along other axes": turns(G, -G) * sg.sum(Y, axis=(0, 2))[:, None],
    "another dtype": sg.astype(turns(G, -G), "float32"),
    "parts that end early": sg.where(ODD > 0, turns(G, -G, like=ODD), 0),
}
WHOLE: dict[str, Tensor] = {
    "parts that end early, and not of zeros": sg.exp(turns(G, -G, like=ODD)),
    "zeros of another sign": sg.where(ODD > 0, turns(G, -G, like=ODD), -0.0),
    "short runs": turns(G[..., :3], -G[..., :3], like=THIN) * THIN,
    "other turns": sg.relu(
        turns(G, -G) - apply(Interleave((4,), (1,), Y.shape), *[G[:, :2] * i for i in range(4)])
    ),
}


@pytest.mark.parametrize("case", INSIDE)
def test_inside(case: str) -> None:
    result = INSIDE[case]
    made = in_parts(graph_of(result))
    assert [n.op.name for n in made.nodes].count("interleave") == 1
    assert made.outputs[0].node.op.name == "interleave"
    agree(result)


@pytest.mark.parametrize("case", WHOLE)
def test_whole(case: str) -> None:
    result = WHOLE[case]
    agree(result)
    if case == "other turns":  # one of both, at least, lies in memory as a whole
        return
    graph = graph_of(result)
    assert in_parts(graph) is graph


def test_a_result_is_not_computed_twice() -> None:
    whole = turns(G, -G)
    graph = sg.Graph([G, Y], [whole, whole * Y])
    assert in_parts(graph) is graph
    graph = sg.Graph([G, Y], [sg.cumsum(whole, axis=1), whole * Y])
    assert in_parts(graph) is graph


def test_long_chains_are_not_written_out() -> None:
    graph = graph_of(long_chain(turns(G, -G)))
    made = in_parts(graph)
    assert len(made.nodes) < len(graph.nodes) + 2 * MOST_OPERATIONS
    agree(graph.outputs[0])


def test_a_sum_of_what_is_also_needed_as_a_whole() -> None:
    """Its parts are added up where they are made."""
    whole = turns(G, -2 * G)
    graph = sg.Graph([G], [whole, sg.sum(whole, axis=(0, 1)), sg.sum(whole, axis=0)])
    _, everything, some = in_parts(graph).outputs
    assert everything.node.inputs[0].shape == G.shape
    assert some.node.inputs[0].shape == Y.shape


def test_parts_of_other_sizes_are_summed_up_apart() -> None:
    result = sg.sum(turns(LONG, G, like=ODD), axis=1)
    made = in_parts(graph_of(result))
    assert sorted(n.output.shape for n in made.nodes if n.op.name == "sum") == [(3, 64), (3, 64)]
    agree(result)


def test_views_that_are_there_are_read_again() -> None:
    """What the pool reads is what the mask reads: no slice is made."""
    x = sg.tensor("x", ("n", 8, 8, 32), "float32")
    cost = sg.sum(pooled(sg.relu(x)))
    f = sg.function([x], sg.grad(cost, x), backend="llvm")
    graph = make_plan(f.optimized).graph
    assert not any(n.op.name == "slice" and n.inputs[0].node.op.name == "relu" for n in graph.nodes)


def graph_of(result: Tensor) -> sg.Graph:
    found: set[Tensor] = set()
    stack = [result]
    while stack:
        tensor = stack.pop()
        if tensor not in found:
            found.add(tensor)
            stack += tensor.node.inputs
    return sg.Graph([t for t in (G, Y, ODD, THIN, LONG) if t in found], result)


def agree(result: Tensor) -> None:
    """Compare the backends."""
    inputs = graph_of(result).inputs
    rng = np.random.default_rng(7)
    values = [rng.standard_normal(t.shape) for t in inputs]
    native, plain = (sg.function(inputs, result, backend=k)(*values) for k in ("llvm", "numpy"))
    np.testing.assert_allclose(native, plain, rtol=1e-12)
