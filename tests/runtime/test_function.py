"""Compiled functions: calls, arguments, state, aliasing, failures, threads."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import traceback
import weakref
from typing import Any

import numpy as np
import pytest

import symgrad as sg


def test_forms_of_outputs_and_calls() -> None:
    x, y = sg.scalar("x"), sg.scalar("y")
    assert sg.function([x, y], x - y)(5.0, 3) == 2.0
    assert sg.function([x, y], [x - y, y])(y=1, x=2.0) == [1.0, 1.0]
    assert sg.function({"a": x, "b": y}, {"d": x - y})(1.0, b=4.0) == {"d": -3.0}
    assert isinstance(sg.function([x], x * 2)(1.0), np.float64)


@pytest.mark.parametrize("value", [1.0, np.array(2.0), 3], ids=["number", "array", "converted"])
@pytest.mark.parametrize("updates", [False, True], ids=["plain", "updates"])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("form", [tuple, list])
def test_a_tuple_for_a_tuple(form: Any, count: int, updates: bool, value: Any) -> None:
    x, state = sg.scalar("x"), sg.shared(0.0, "s")
    outputs = form([x * 2, sg.stack([x, x]), x + 1][:count])
    f = sg.function([x], outputs, updates={state: x + 1} if updates else None, on_unused_input="ignore")
    result = f(value)
    assert type(result) is form
    assert len(result) == count
    for have, expected in zip(result, [2.0 * value, [value] * 2, value + 1.0], strict=False):
        np.testing.assert_array_equal(have, expected)
    y = sg.scalar("y")
    given = sg.function([y], outputs, givens={x: y * 1}, on_unused_input="ignore")
    assert type(given(value)) is form
    into = form([np.empty(()), np.empty(2), np.empty(())][:count])
    f.into(into, value)
    np.testing.assert_array_equal(into[0] if count else 2.0 * value, 2.0 * value)


def test_symbolic_sizes_serve_every_value() -> None:
    x = sg.matrix("x", shape=("n", 3))
    f = sg.function([x], [sg.mean(x, axis=0), x.shape[0] * sg.sum(x)])
    for n in (4, 1, 2, 4):
        data = np.arange(3.0 * n).reshape(n, 3)
        mean, total = f(data)
        np.testing.assert_allclose(mean, data.mean(0))
        assert total == n * data.sum()
    assert f(np.empty((0, 3)))[1] == 0


def test_derived_sizes_are_checked() -> None:
    x, y = sg.vector("x", size="n"), sg.tensor("y", (2 * sg.size("n"),))
    f = sg.function([x, y], sg.concat([x, x]) + y)
    np.testing.assert_array_equal(f([1.0, 2.0], np.zeros(4)), [1.0, 2.0, 1.0, 2.0])
    with pytest.raises(sg.InputError, match="wrong shape"):
        f([1.0, 2.0], np.zeros(5))


@pytest.mark.parametrize(
    "value",
    [[1, 2, 3], (1.0, 2.0, 3.0), np.array([1, 2, 3], np.int16), np.arange(1.0, 7.0)[::2][:3] * 0 + [1, 2, 3]],
)
def test_lossless_arguments_are_converted(value: Any) -> None:
    x = sg.vector("x", size=3)
    np.testing.assert_array_equal(sg.function([x], x * 2)(value), [2.0, 4.0, 6.0])


def test_byte_order_and_strides() -> None:
    x = sg.matrix("x", shape=(2, 3))
    f = sg.function([x], x @ sg.ones((3, 1)))
    data = np.arange(6.0).reshape(3, 2).T
    np.testing.assert_array_equal(f(data), data.sum(1, keepdims=True))
    np.testing.assert_array_equal(f(data.astype(">f8")), data.sum(1, keepdims=True))


def test_results_share_memory_with_nothing() -> None:
    x = sg.matrix("x", shape=(2, 3))
    w = sg.shared(np.ones((2, 3)), "w")
    y = x * 2
    f = sg.function([x], [x, x.T, w, y, y.T, y, sg.constant(np.zeros((2, 2))), sg.reshape(y, (6,))])
    data = np.arange(6.0).reshape(2, 3)
    first, second = f(data), f(data)
    arrays = [*first, *second, data, w.state.array]
    for i, a in enumerate(arrays):
        assert a.flags.c_contiguous
        assert not any(np.shares_memory(a, b) for b in arrays[i + 1 :])
    np.testing.assert_array_equal(first[4], (data * 2).T)


def test_into_writes_in_the_callers_arrays() -> None:
    x = sg.vector("x", size=3)
    f = sg.function([x], {"a": x + 1, "b": sg.sum(x)})
    out = {"a": np.empty(3), "b": np.empty(())}
    f.into(out, [1.0, 2.0, 3.0])
    assert out["b"] == 6.0
    np.testing.assert_array_equal(out["a"], [2.0, 3.0, 4.0])
    with pytest.raises(sg.InputError, match="does not fit"):
        f.into({"a": np.empty(3, np.float32), "b": np.empty(())}, [1.0, 2.0, 3.0])


def test_into_arrays_of_a_wrong_shape_changes_no_state() -> None:
    s, x = sg.shared(np.zeros(3), "s"), sg.tensor("x", ("n", "m"))
    f = sg.function([x], x @ x.T, updates={s: s + 1.0})
    with pytest.raises(sg.InputError, match="output 0 of main has the wrong shape"):
        f.into(np.zeros((5, 5)), np.ones((2, 3)))
    np.testing.assert_array_equal(s.get(), np.zeros(3))
    f.into(np.zeros((2, 2)), np.ones((2, 3)))
    np.testing.assert_array_equal(s.get(), np.ones(3))


def test_updates_use_the_old_state() -> None:
    a, b = sg.shared(1.0, "a"), sg.shared(np.array([2.0, 3.0]), "b")
    c = sg.shared(np.array([5.0, 7.0]), "c")
    x = sg.scalar("x")
    f = sg.function([x], [a, b], updates={a: a + x, b: c, c: b})
    assert f(10.0)[0] == 1.0
    assert a.get() == 11.0
    np.testing.assert_array_equal(b.get(), [5.0, 7.0])
    np.testing.assert_array_equal(c.get(), [2.0, 3.0])


def test_elementwise_updates_that_read_each_other() -> None:
    a, b = sg.shared(np.array([1.0, 2.0]), "a"), sg.shared(np.array([10.0, 20.0]), "b")
    f = sg.function([], [], updates={a: a + b, b: a * b})
    f()
    np.testing.assert_array_equal(a.get(), [11.0, 22.0])
    np.testing.assert_array_equal(b.get(), [10.0, 40.0])


@pytest.mark.parametrize("is_read", [False, True])
def test_states_that_get_the_same_value(is_read: bool) -> None:
    """Found by random graphs: the NumPy backend wrote it to one of them, and swapped the other's arrays."""
    a, b, c = (sg.shared(np.full(3, v), n) for n, v in (("a", 1.0), ("b", 2.0), ("c", 4.0)))
    x = sg.vector("x", size=3)
    new = sg.exp(b * x)
    f = sg.function([x], sg.sum(new) if is_read else [], updates={a: new, b: new, c: new + 1})
    value = np.full(3, 2.0)
    for x_ in (np.array([0.0, 1.0, -1.0]), np.array([0.5, 0.1, 0.2])):
        value = np.exp(value * x_)
        f(x_)
        for state, wanted in ((a, value), (b, value), (c, value + 1)):
            np.testing.assert_allclose(state.get(), wanted, rtol=1e-14)
    a.set(np.zeros(3))
    np.testing.assert_allclose(b.get(), value, rtol=1e-14)


def test_momentum_step() -> None:
    w, v = sg.shared(np.array([1.0, 2.0]), "w"), sg.shared(np.zeros(2), "v")
    new = 0.9 * v - 0.1 * sg.grad(sg.sum(w * w), w)
    step = sg.function([], sg.sum(w * w), updates={v: new, w: w + new})
    expected_w, expected_v = np.array([1.0, 2.0]), np.zeros(2)
    for _ in range(5):
        assert step() == pytest.approx((expected_w**2).sum())
        expected_v = 0.9 * expected_v - 0.2 * expected_w
        expected_w = expected_w + expected_v
        np.testing.assert_allclose(w.get(), expected_w, rtol=1e-14)


def test_a_failing_call_changes_no_state() -> None:
    w, u = sg.shared(np.arange(3.0), "w"), sg.shared(np.zeros(2), "u")
    i = sg.vector("i", size=2, dtype="int64")
    f = sg.function([i], sg.sum(w), updates={w: w * 2, u: sg.take(w, i) * 1.0})
    with pytest.raises(IndexError, match="take"):
        f([0, 7])
    np.testing.assert_array_equal(w.get(), np.arange(3.0))
    np.testing.assert_array_equal(u.get(), [0.0, 0.0])
    f([0, 2])
    np.testing.assert_array_equal(u.get(), [0.0, 2.0])


def test_nan_guard_names_the_node() -> None:
    x = sg.vector("x", size=2)
    y = sg.log(x).named("y")
    f = sg.function([x], sg.sum(y), nan_guard=True)
    with pytest.raises(sg.ExecutionError, match="y is not finite, first made by log"):
        f([1.0, 0.0])
    assert f([1.0, 1.0]) == 0.0


def test_generated_code_reads_well() -> None:
    x = sg.vector("x", size=3)
    f = sg.function([x], sg.tanh(x * 2).named("y"), name="demo")
    code = f.code("numpy")
    assert "def demo(" in code
    assert "y = numpy.tanh(" in code


def test_tracebacks_show_the_generated_line() -> None:
    x, i = sg.vector("x", size=3), sg.scalar("i", dtype="int64")
    f = sg.function([x, i], sg.take(x, i), name="demo", backend="numpy")
    with pytest.raises(IndexError) as caught:
        f([1.0, 2.0, 3.0], 5)
    assert caught.value.__cause__ is not None
    assert "numeric.take(x, i, 0" in "".join(traceback.format_exception(caught.value.__cause__))


@pytest.mark.parametrize("form", ["call", "into", "profile", "eval"])
@pytest.mark.parametrize(
    "pick",
    [sg.take, lambda x, i: x[i], lambda x, i: x.at[i].set(1.0), lambda x, i: sg.exp(x)[i] * 2],
    ids=["take", "getitem", "at", "fused"],
)
def test_index_errors_are_of_ours(pick: Any, form: str) -> None:
    x, i = sg.vector("x", size=3), sg.scalar("i", dtype="int64")
    y = pick(x, i).named("y")
    f = sg.function([x, i], y)
    run = {
        "call": lambda: f(np.ones(3), 5),
        "into": lambda: f.into(np.empty(y.shape), np.ones(3), 5),
        "profile": lambda: f.profile(np.ones(3), 5, repeat=1),
        "eval": lambda: y.eval({x: np.ones(3), i: 5}),
    }[form]
    with pytest.raises(sg.IndexRangeError) as caught:
        run()
    assert isinstance(caught.value, sg.SymgradError)
    assert isinstance(caught.value, IndexError)
    assert caught.value.what == "index 5 is out of bounds for axis 0 with size 3"
    assert caught.value.at
    assert "test_function.py" in caught.value.at


def test_names_that_a_graph_does_not_have() -> None:
    x = sg.scalar("x")
    with pytest.raises(sg.NameNotFoundError, match="no tensor called 'q'") as caught:
        sg.Graph([x], x * 2).find("q")
    assert isinstance(caught.value, KeyError)


def test_functions_are_freed() -> None:
    x = sg.scalar("x")
    f = sg.function([x], x + 1)
    program = weakref.ref(f._program)
    del f
    gc.collect()
    assert program() is None


def test_buffers_are_reused() -> None:
    x = sg.vector("x", size=1000)
    y = x
    for _ in range(50):
        y = sg.sin(y) + x
    assert sg.function([x], sg.sum(y), backend="numpy").memory.peak == 8000
    assert sg.function([x], sg.sum(y), backend="llvm").memory.peak == 8000


def test_long_programs_are_cut_into_parts() -> None:
    x, y = sg.scalar("x"), sg.scalar("y")
    early, z = sg.sin(y), x
    for _ in range(2500):
        z = sg.sin(z + y)
    f = sg.function([x, y], [z, early * z])
    expected = 0.5
    for _ in range(2500):
        expected = np.sin(expected + 0.25)
    first, second = f(0.5, 0.25)
    assert first == pytest.approx(expected, rel=1e-12)
    assert second == pytest.approx(np.sin(0.25) * expected, rel=1e-12)
    assert "part_1" in f.code()


def test_several_threads() -> None:
    x = sg.matrix("x", shape=("n", 50))
    count = sg.shared(0.0, "count")
    f = sg.function([x], sg.sum(sg.sin(x) ** 2 + sg.cos(x) ** 2, axis=1), updates={count: count + 1})
    faults = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(50):
            n = int(rng.integers(1, 30))
            result = f(rng.normal(size=(n, 50)))
            if not np.allclose(result, 50.0) or result.shape != (n,):
                faults.append(seed)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not faults
    assert count.get() == 200.0


def test_names_that_python_has_taken() -> None:
    x = sg.vector("numpy", size="lambda")
    y = (x * 2).named("class_")
    z = sg.scalar("buffer_0")
    f = sg.function([x, z], sg.sum(sg.exp(y) + z).named("buffers"), name="numeric")
    assert f([0.0, 0.0], 1.0) == 4.0


def test_givens() -> None:
    x, y = sg.scalar("x"), sg.scalar("y")
    h = sg.exp(x)
    assert sg.function([y], h + x, givens={x: y * 2})(0.0) == 1.0
    assert sg.function([x, y], h * 2, givens={h: y}, on_unused_input="ignore")(5.0, 3.0) == 6.0


def test_eval() -> None:
    x = sg.scalar("x")
    y = x * 2
    assert y.eval({x: 2.0}) == 4.0
    assert y.eval({"x": 3}) == 6.0
    assert sg.constant([1.0]).eval().tolist() == [1.0]
    with pytest.raises(sg.InputError, match="needs a value for x"):
        y.eval()


def test_shared_state() -> None:
    w = sg.shared([1.0, 2.0], name="w")
    w.value = [3.0, 4.0]
    assert w.value.tolist() == [3.0, 4.0]
    w.get()[0] = 99
    assert w.get()[0] == 3.0
    with pytest.raises(sg.ShapeError):
        w.set([1.0])
    with pytest.raises(sg.DTypeError):
        sg.shared(np.zeros(2, np.float32)).set(np.zeros(2))


@pytest.mark.parametrize("given", [["a"], ["a", "b", "c"], []])
def test_arrays_for_outputs_by_name(given: list[str], backend: str) -> None:
    x = sg.vector("x", size=2)
    f = sg.function([x], {"a": x * 2, "b": x + 1}, backend=backend)
    with pytest.raises(sg.InputError, match="outputs by name"):
        f.into({name: np.empty(2) for name in given}, np.ones(2))
    with pytest.raises(sg.InputError, match="outputs by name"):
        f.into([np.empty(2)] * 2, np.ones(2))
    out = {"b": np.empty(2), "a": np.empty(2)}
    f.into(out, np.ones(2))
    np.testing.assert_array_equal([out["a"], out["b"]], [[2, 2], [2, 2]])


def test_updates_of_another_dtype_or_shape() -> None:
    state = sg.shared(np.zeros(2, np.float32), "w")
    with pytest.raises(sg.DTypeError, match="the update of w has another type"):
        sg.function([], [], updates={state: sg.astype(state, "float64")})
    with pytest.raises(sg.ShapeError, match="the update of w has another type"):
        sg.function([], [], updates={state: sg.concat([state, state])})


def test_copies_are_the_function_and_pickles_say_what_to_do(backend: str) -> None:
    x = sg.scalar("x")
    f = sg.function([x], x * 2, backend=backend)
    assert copy.copy(f) is f
    assert copy.deepcopy({"f": f})["f"] is f
    with pytest.raises(TypeError, match=r"pickle f\.graph"):
        pickle.dumps(f)
    w = sg.shared(np.zeros(2), "w")
    for copied in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"w\.get\(\) is a copy of its value"):
            copied(w)


def test_any_name_is_one_of_an_argument(backend: str) -> None:
    x, y = sg.vector("x", size=2), sg.vector("y", size=2)
    w = sg.shared(np.zeros(2), "w")
    for updates in ({}, {w: w + x}):
        f = sg.function({"self": x, "args": y}, x - y, updates=updates, backend=backend)
        assert f(args=[1.0, 2.0], self=[3.0, 5.0]).tolist() == [2.0, 3.0]
        assert f.profile(args=[1.0, 2.0], self=[3.0, 5.0], repeat=2).rows
