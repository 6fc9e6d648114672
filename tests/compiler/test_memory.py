"""The arena, the orders, and the memory budget."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad as sg
from symgrad.dims import evaluate, size
from symgrad_compiler.plan import order_nodes
from symgrad_compiler.plan.arena import ALIGNMENT, Arena, Block, aligned, pack
from symgrad_compiler.plan.fuse import make_plan
from symgrad_compiler.plan.order import Tasks, best, eager, lazy, orders, peak
from symgrad_compiler.plan.recompute import Choice, Recomputation
from symgrad_compiler.plan.steps import ARENA, Check, Plan
from symgrad_runtime.context import Word
from tests.agreement import some_arguments
from tests.graphs import graphs

n, k = size("n"), size("k")
UNITS = (1, n, n * k, n + 1)
SIZES = [{"n": 0, "k": 0}, {"n": 1, "k": 1}, {"n": 7, "k": 3}, {"n": 64, "k": 5}]


def span(arena: Arena, number: int, values: dict[str, int]) -> tuple[int, int]:
    """Where a slot starts and ends, as both backends compute it."""
    starts = [0]
    for region in arena.regions:
        starts.append(starts[-1] + aligned(max(0, evaluate(region.size, values))) + region.slack)
    slot = arena.slots[number]
    offset = max(0, evaluate(slot.offset, values))
    start = starts[slot.region] + (aligned(offset) if slot.region else offset) + slot.slack
    return start, start + max(0, evaluate(slot.size, values))


blocks = st.builds(
    lambda unit, count, first, length: Block(UNITS[unit] * count, first, first + length),
    st.integers(0, len(UNITS) - 1),
    st.one_of(st.integers(0, 40), st.sampled_from([64, 128, 2048, 4000])),
    st.integers(0, 20),
    st.integers(0, 12),
)


@given(st.lists(blocks, max_size=30))
def test_what_lives_at_once_does_not_overlap(given_blocks: list[Block]) -> None:
    arena = pack(given_blocks)
    for values in SIZES:
        spans = [span(arena, b.slot, values) for b in given_blocks]
        live = [
            sum(evaluate(b.size, values) for b in given_blocks if b.first <= time <= b.last)
            for time in range(33)
        ]
        assert arena.lower_bound(values) == max(live)
        for i, (a, here) in enumerate(zip(given_blocks, spans, strict=True)):
            assert here[1] <= arena.bytes(values)
            unit = a.size if isinstance(a.size, int) else ALIGNMENT
            assert here[0] % (ALIGNMENT if unit >= ALIGNMENT else 8) == 0
            for b, there in zip(given_blocks[:i], spans, strict=False):
                if a.first <= b.last and b.first <= a.last:
                    assert here[1] <= there[0] or there[1] <= here[0]


def test_holes_are_used() -> None:
    """A block that fits into no single slot of what died, but into two of them that are neighbours."""
    arena = pack([Block(640, 0, 1), Block(640, 0, 1), Block(1280, 2, 3), Block(64, 0, 3)])
    assert arena.bytes({}) == 1280 + 64


def test_numbers_waste_little() -> None:
    assert pack([Block(8, 0, 100) for _ in range(100)]).bytes({}) == aligned(800)


# ---- orders ---------------------------------------------------------------------------------------------


@st.composite
def tasks(draw: st.DrawFn) -> Tasks:
    count = draw(st.integers(1, 14))
    pieces = draw(st.integers(1, 8))
    made = Tasks(sizes=draw(st.lists(st.integers(0, 9), min_size=pieces, max_size=pieces)))
    for i in range(count):
        made.before.append(sorted(draw(st.sets(st.integers(0, i - 1), max_size=3))) if i else [])
        made.touches.append(sorted(draw(st.sets(st.integers(0, pieces - 1), max_size=3))))
        made.in_place.append(draw(st.booleans()))
    return made


@given(tasks())
def test_orders_are_possible_and_never_worse(made: Tasks) -> None:
    for order in orders(made):
        assert sorted(order) == list(range(len(made)))
        place = {task: i for i, task in enumerate(order)}
        assert all(place[b] < place[i] for i, before in enumerate(made.before) for b in before)
    assert peak(made, best(made)) <= peak(made, list(range(len(made))))


def test_eager_frees_and_lazy_waits() -> None:
    # 0 makes a, 1 makes b, 2 makes c; 3 turns a into a number, 4 reads b, c and the number
    made = Tasks(
        before=[[], [], [], [0], [1, 2, 3]],
        touches=[[0], [1], [2], [0, 3], [1, 2, 3]],
        in_place=[False] * 5,
        sizes=[100, 10, 10, 1],
    )
    assert eager(made, range(5)) == [0, 3, 1, 2, 4]
    assert lazy(made, range(5)) == [0, 3, 1, 2, 4]
    assert best(made) == [0, 3, 1, 2, 4]


# ---- plans ----------------------------------------------------------------------------------------------

Network = tuple[list[Any], Any, list[Any], list[Any]]


def network(batch: int | str, widths: tuple[int, ...], activation: Callable[[Any], Any] = sg.tanh) -> Network:
    """Inputs, the loss, parameters and gradients of a network with softmax cross-entropy."""
    rng = np.random.default_rng(0)
    x, y = sg.tensor("x", (batch, widths[0]), "float32"), sg.tensor("y", (batch,), "int64")
    parameters, h = [], x
    for i, (a, b) in enumerate(itertools.pairwise(widths)):
        w = sg.shared((rng.normal(size=(a, b)) / a**0.5).astype(np.float32), f"w{i}")
        c = sg.shared(np.zeros(b, np.float32), f"b{i}")
        parameters += [w, c]
        h = h @ w + c
        h = activation(h) if i < len(widths) - 2 else h
    picked = sg.take_along_axis(sg.log_softmax(h, axis=1), y[:, None], axis=1)
    loss = -sg.mean(picked)
    return [x, y], loss, parameters, sg.grad(loss, parameters)


def step(net: Network, optimizer: str, **options: Any) -> Any:
    inputs, loss, parameters, gradients = net
    updates: dict[Any, Any] = {}
    for i, (p, g) in enumerate(zip(parameters, gradients, strict=True)):
        if optimizer == "sgd":
            updates[p] = p - 0.1 * g
            continue
        m, v = (sg.shared(np.zeros(p.shape, np.float32), f"{s}{i}") for s in "mv")
        updates[m], updates[v] = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        updates[p] = p - 0.001 * updates[m] / (sg.sqrt(updates[v]) + 1e-8)
    return sg.function(inputs, loss, updates=updates, **options)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("activation", [sg.tanh, sg.relu])
@pytest.mark.parametrize(("batch", "on"), [(128, "llvm"), ("n", "llvm"), (128, "numpy")])
def test_the_arena_of_a_training_step_is_near_the_lower_bound(
    batch: int | str, on: str, optimizer: str, activation: Callable[[Any], Any]
) -> None:
    """Fixed and symbolic sizes do not share memory: where both are large, but not at once, as the gradients
    and the activations of Adam's step, the arena of a symbolic batch is larger (1.43 times, for n = 128)."""
    f = step(network(batch, (784, 512, 512, 10), activation), optimizer, backend=on)
    planned, needed = (evaluate(d, {"n": 128}) for d in (f.memory.peak, f.memory.lower_bound))
    assert needed <= planned <= (1.5 if (batch, optimizer) == ("n", "adam") else 1.2) * needed


def test_updates_run_as_soon_as_their_gradient_is_there() -> None:
    """Else all gradients are live at the end, as much memory as the weights take."""
    f = step(network(4, (64,) * 17), "adam", backend="llvm")
    weights = 16 * 64 * 64 * 4
    assert f.memory.peak < weights / 2


def states_of(plan: Plan) -> tuple[list[int], int]:
    """The numbers of the steps that write states, and the last one that may fail."""
    writers = [i for i, s in enumerate(plan.steps) if any(a.storage.kind == "state" for a in s.writes())]
    return writers, max(i for i, s in enumerate(plan.steps) if isinstance(s, Check))


def test_states_change_after_all_that_may_fail() -> None:
    inputs, loss, parameters, gradients = network(8, (16, 16, 16))
    rows = sg.vector("rows", size=3, dtype="int64")
    extra = sg.sum(sg.take(gradients[0], rows, axis=0))
    updates = {p: p - 0.1 * g for p, g in zip(parameters, gradients, strict=True)}
    writers, last = states_of(make_plan(sg.optimize(sg.Graph([*inputs, rows], [loss, extra], updates))))
    assert min(writers) > last
    f = sg.function([*inputs, rows], [loss, extra], updates=updates, backend="llvm")
    before = [p.state.array.copy() for p in parameters]
    with pytest.raises(IndexError):
        f(np.ones((8, 16), np.float32), np.zeros(8, int), np.array([0, 1, 99]))
    assert all(np.array_equal(p.state.array, b) for p, b in zip(parameters, before, strict=True))


def test_memory_of_a_state_read_through_a_barrier_is_not_changed_too_early() -> None:
    w = sg.shared(np.arange(4.0).reshape(2, 2) + 1, "w")
    x = sg.matrix("x", (2, 2))
    for backend in ("numpy", "llvm"):
        w.state.array = np.arange(4.0).reshape(2, 2) + 1
        y = sg.checkpoint(lambda a: sg.tanh(a @ w) @ w)(x)
        gradient = sg.grad(sg.sum(y), w)
        f = sg.function([x], sg.sum(y), updates={w: w - 0.5 * gradient}, backend=backend)
        f(np.eye(2))
        if backend == "numpy":
            expected = w.get()
    np.testing.assert_allclose(w.get(), expected, rtol=1e-12)


def test_checkpoints_lower_the_peak_of_a_chain() -> None:
    x = sg.matrix("x", (64, 64))
    ws = [sg.matrix(f"w{i}", (64, 64)) for i in range(16)]

    def peak_of(wrap: Callable[[Any], Any]) -> int:
        h = x
        for i in range(0, 16, 4):

            @wrap
            def block(h: Any, *part: Any) -> Any:
                for w in part:
                    h = sg.tanh(h @ w)
                return h

            h = block(h, *ws[i : i + 4])
        peak: int = sg.function([x, *ws], sg.grad(sg.sum(h), ws), backend="llvm").memory.peak
        return peak

    assert peak_of(sg.checkpoint) < 0.6 * peak_of(lambda f: f)


# ---- memory_budget --------------------------------------------------------------------------------------

#: 50 layers.
DEEP = (32,) * 50 + (10,)


def values() -> tuple[Any, Any]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(16, 32)).astype(np.float32), rng.integers(0, 10, 16)


def measured_arena(f: Any, backend: str) -> int:
    """The bytes that the program really has for intermediate results."""
    if backend == "numpy":
        views = f._program.allocate()
        return int(views[0].base.nbytes)
    return int(f._program.context.words[Word.ARENA_BYTES])


@pytest.mark.parametrize("activation", [sg.tanh, sg.relu])
def test_a_third_of_the_memory_for_half_more_work(backend: str, activation: Callable[[Any], Any]) -> None:
    inputs, loss, _, gradients = network(16, DEEP, activation)
    free = sg.function(inputs, [loss, *gradients], backend=backend)
    budget = free.memory.peak // 3
    tight = sg.function(inputs, [loss, *gradients], backend=backend, memory_budget=budget)
    memory = tight.memory
    assert memory.budget == budget
    assert memory.lower_bound <= memory.peak <= budget
    assert (memory.unlimited_peak, memory.unlimited_flops) == (free.memory.peak, free.memory.flops)
    assert memory.flops <= 1.5 * memory.unlimited_flops
    for expected, found in zip(free(*values()), tight(*values()), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert measured_arena(free, backend) == free.memory.peak
    assert measured_arena(tight, backend) == memory.peak
    assert str(memory) in tight.plan()
    if backend == "llvm":
        flops = [int(f.plan().split("flops ")[1].split(",")[0]) for f in (tight, free)]
        assert flops[0] <= 1.5 * flops[1]


@pytest.mark.native
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", [sg.tanh, sg.sigmoid, sg.silu])
def test_a_third_of_the_memory_for_squared_errors(
    backend: str, activation: Callable[[Any], Any], dtype: str
) -> None:
    """Their factor 2 / n joins what scales the gradient, late; slopes of the forward part came before it."""
    x = sg.tensor("x", (16, 32), dtype)
    ws = [sg.tensor(f"w{i}", (32, 32), dtype) for i in range(12)]
    h = x
    for w in ws:
        h = activation(h @ w)
    for loss in (sg.mean(h**2), 0.5 * sg.mean((h - 0.1) ** 2), sg.sum(h**2)):
        outputs = [loss, *sg.grad(loss, ws)]
        free = sg.function([x, *ws], outputs, backend=backend)
        budget = free.memory.peak // 3
        tight = sg.function([x, *ws], outputs, backend=backend, memory_budget=budget)
        assert tight.memory.peak <= budget
        assert tight.memory.flops <= 1.5 * free.memory.flops
        rng = np.random.default_rng(1)
        arrays = [rng.normal(size=t.shape).astype(dtype) / 6 for t in (x, *ws)]
        for expected, found in zip(free(*arrays), tight(*arrays), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_training_step_within_a_budget_gives_the_same_states() -> None:
    nets = [network(16, (*DEEP[:20], 10)) for _ in range(2)]
    free = step(nets[0], "sgd", backend="llvm")
    tight = step(nets[1], "sgd", backend="llvm", memory_budget=free.memory.peak // 2)
    for _ in range(3):
        assert free(*values()) == tight(*values())
    for a, b in zip(nets[0][2], nets[1][2], strict=True):
        np.testing.assert_array_equal(a.get(), b.get())
    assert tight.memory.flops <= 1.5 * free.memory.flops


@settings(max_examples=60)
@given(graphs(), st.integers(1, 4), st.sampled_from([0.0, 0.5]), st.integers(0, 100))
def test_what_is_computed_again_is_the_same(graph: Any, segments: int, price: float, seed: int) -> None:
    again = Recomputation(graph)
    rebuilt = again.rebuilt(again.kept(Choice(segments, segments, price)))
    rebuilt.verify()
    for chosen, _ in some_arguments(graph, 1, seed):
        found = []
        for each in (graph, rebuilt):
            for s in graph.states:
                s.state.array = chosen.values[s].copy()
            inputs = dict(zip(each.input_names, each.inputs, strict=True))
            f = sg.function(
                inputs, list(each.outputs), updates=each.updates, on_unused_input="ignore", backend="numpy"
            )
            outputs = f(*[chosen.values[t] for t in graph.inputs])
            found.append([np.asarray(v) for v in [*outputs, *[s.get() for s in graph.states]]])
        for a, b in zip(*found, strict=True):
            np.testing.assert_array_equal(a, b)


def test_cheap_operations_are_repeated_before_products() -> None:
    """What an activation function is made of is computed again; no product runs twice."""
    x = sg.matrix("x", (64, 256))
    ws = [sg.matrix(f"w{i}", (256, 256)) for i in range(6)]
    h = x
    for w in ws:
        z = h @ w
        h = z * sg.exp(-z * z) + sg.cumsum(z, axis=1)
    inputs, results = [x, *ws], sg.grad(sg.sum(h), ws)
    free = sg.function(inputs, results, backend="numpy")
    tight = sg.function(inputs, results, backend="numpy", memory_budget=int(0.75 * free.memory.peak))
    products = [sum(m.op.name == "matmul" for m in f.optimized.nodes) for f in (free, tight)]
    assert products[0] == products[1]
    assert len(tight.optimized.nodes) > len(free.optimized.nodes)
    rng = np.random.default_rng(0)
    given_values = [rng.normal(size=t.shape) / 16 for t in inputs]
    for a, b in zip(free(*given_values), tight(*given_values), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_budget_that_is_large_enough_changes_nothing() -> None:
    inputs, loss, _, gradients = network(16, (32,) * 5)
    free = sg.function(inputs, [loss, *gradients])
    same = sg.function(inputs, [loss, *gradients], memory_budget=free.memory.peak)
    assert [m.op for m in same.optimized.nodes] == [m.op for m in free.optimized.nodes]
    assert same.memory.flops == free.memory.flops


def test_a_budget_that_cannot_be_met(backend: str) -> None:
    inputs, loss, _, gradients = network(16, (32,) * 9)
    with pytest.raises(sg.CompileError, match=r"memory_budget=1000[\s\S]*smallest found: \d+ bytes"):
        sg.function(inputs, [loss, *gradients], memory_budget=1000, backend=backend)


def test_a_budget_needs_fixed_sizes() -> None:
    x = sg.vector("x", "n")
    with pytest.raises(sg.CompileError, match="memory_budget needs fixed sizes"):
        sg.function([x], sg.sum(sg.exp(x)), memory_budget=1000)


def test_the_program_of_another_budget_is_another_program(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(tmp_path))
    inputs, loss, _, gradients = network(16, (32,) * 9)
    free = sg.function(inputs, [loss, *gradients], backend="llvm")
    free(*values())
    for _ in range(2):  # compiled, then from the cache
        tight = sg.function(
            inputs, [loss, *gradients], backend="llvm", memory_budget=int(0.8 * free.memory.peak)
        )
        tight(*values())
        assert measured_arena(tight, "llvm") == tight.memory.peak <= 0.8 * free.memory.peak


def test_the_arena_counts_only_intermediate_results() -> None:
    x = sg.vector("x", size=1000)
    plan = make_plan(sg.Graph([x], sg.exp(x)))
    assert plan.arena.bytes({}) == 0
    assert not any(a.storage.kind == ARENA for s in plan.steps for a in s.writes())


def test_many_nodes_are_ordered_too() -> None:
    """A tree that was built level by level holds all of a level; leaf by leaf, it fits into few kernels."""
    x = sg.vector("x", size="n")
    level = [sg.sin(x * float(i)) for i in range(6000)]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [a + b for a, b in pairs] + level[len(level) // 2 * 2 :]
    graph = sg.Graph([x], level)
    assert len(graph.nodes) > order_nodes.MANY
    assert len(make_plan(graph, False).steps) < 20


def test_plans_tell_the_peak(backend: str) -> None:
    x = sg.vector("x", size=1000)
    f = sg.function([x], sg.sum(sg.cumsum(x)), backend=backend)
    assert f"arena: {f.memory.peak} bytes at the peak, of which 8000 are live at once" in f.plan()
