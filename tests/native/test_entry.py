"""The native entry: what it takes, what it hands to Python, and that neither leaks."""

from __future__ import annotations

import gc
import inspect
import sys
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.ir.tensor import apply
from symgrad.ops.statistics import ArgQuantile
from symgrad_compiler import driver
from symgrad_compiler.backends import matrices
from symgrad_runtime.native import NativeProgram


@pytest.fixture(autouse=True)
def native() -> None:
    sg.set_backend("llvm")


def test_functions_are_native_and_still_objects() -> None:
    x = sg.scalar("x")
    f = sg.function([x], x * 2, name="double")
    assert f.backend == "llvm"
    assert isinstance(f._program, NativeProgram)
    assert type(f).__call__ is not type(f).__mro__[1].__call__, "the call is the native one"
    f.note = "mine"
    assert f.note == "mine"
    assert f.__name__ == "double"
    assert str(inspect.signature(f)) == "(x)"
    assert weakref.ref(f)() is f
    assert "double(x: f64)" in repr(f)
    assert f(x=3.0) == 6.0


def test_subclasses_work() -> None:
    x = sg.scalar("x")
    f = sg.function([x], x * 2)

    class Mine(type(f)):  # type: ignore[misc]
        def plus(self) -> int:
            return 1

    assert Mine.__new__(Mine).plus() == 1


TAKEN: list[Any] = [np.float64(3), 3.0, np.array(3.0), 3, np.int8(3), np.array(3), True, [3.0][0]]


@pytest.mark.parametrize("value", TAKEN, ids=lambda v: f"{type(v).__name__} {v!r}")
def test_numbers(value: Any) -> None:
    x = sg.scalar("x")
    result = sg.function([x], x + 1)(value)
    assert type(result) is np.float64
    assert result == value + 1


@pytest.mark.parametrize("dtype", ["bool", "int8", "int16", "int32", "int64", "uint8", "uint64", "float32"])
def test_results_have_their_dtype(dtype: str) -> None:
    x, v = sg.scalar("x", dtype=dtype), sg.vector("v", size="n", dtype=dtype)
    f = sg.function([x, v], [sg.where(True, x, x), sg.where(True, v, v)])
    number = np.dtype(dtype).type(1)
    scalar, vector = f(number, np.ones(5, dtype))
    assert type(scalar) is type(number)
    assert vector.dtype == dtype
    assert (scalar == 1, vector.tolist()) == (True, [1] * 5)


def odd_arrays() -> dict[str, Any]:
    base = np.arange(24.0).reshape(4, 6)
    raw = np.zeros(4 * 6 * 8 + 1, np.uint8)
    unaligned = raw[1:].view(np.float64).reshape(4, 6)
    unaligned[...] = base
    read_only = base.copy()
    read_only.flags.writeable = False
    return {
        "strided": np.repeat(base, 2, axis=1)[:, ::2],
        "reversed": base[::-1].copy()[::-1],
        "Fortran order": np.asfortranarray(base),
        "transposed": base.T.copy().T,
        "broadcast": np.broadcast_to(base, (4, 6)),
        "swapped bytes": base.astype(">f8"),
        "unaligned": unaligned,
        "read-only": read_only,
        "subclass": base.view(type("Mine", (np.ndarray,), {})),
        "list": base.tolist(),
        "int32": base.astype(np.int32),
        "float32": base.astype(np.float32),
    }


@pytest.mark.parametrize("kind", odd_arrays())
def test_unusual_arrays_are_converted(kind: str) -> None:
    x = sg.matrix("x", shape=("n", "m"))
    f = sg.function([x], [x * 2, sg.sum(x, axis=0)])
    doubled, sums = f(odd_arrays()[kind])
    np.testing.assert_array_equal(doubled, np.arange(24.0).reshape(4, 6) * 2)
    np.testing.assert_array_equal(sums, np.arange(24.0).reshape(4, 6).sum(0))


def messages(*args: Any, **kwargs: Any) -> set[str]:
    """What both backends say about one call."""
    x, y = sg.matrix("x", shape=("n", 3)), sg.vector("y", size="n")
    found = set()
    for backend in ("llvm", "numpy"):
        f = sg.function([x, y], sg.sum(x, axis=1) + y, name="f", backend=backend)
        with pytest.raises((TypeError, ValueError)) as caught:
            f(*args, **kwargs)
        found.add(f"{type(caught.value).__name__}: {caught.value}")
    return found


X, Y = np.zeros((2, 3)), np.zeros(2)
WRONG: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "too few": ((X,), {}),
    "too many": ((X, Y, Y), {}),
    "unknown name": ((X,), {"z": Y}),
    "twice": ((X, Y), {"x": X}),
    "fixed size": ((np.zeros((2, 4)), Y), {}),
    "bound size": ((X, np.zeros(3)), {}),
    "rank": ((X, np.zeros((2, 1))), {}),
    "dtype": ((X.astype(complex), Y), {}),
    "no array": ((X, object()), {}),
    "text": ((X, "abc"), {}),
    "None": ((None, Y), {}),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors_are_those_of_the_numpy_backend(case: str) -> None:
    args, kwargs = WRONG[case]
    assert len(messages(*args, **kwargs)) == 1


def run_time_errors() -> dict[str, tuple[Any, tuple[Any, ...]]]:
    x, i = sg.vector("x", size="n"), sg.vector("i", size=2, dtype="int64")
    m, row = sg.matrix("m", shape=("n", 3)), sg.matrix("row", shape=(1, 3))
    n, k = sg.size("n"), sg.size("k")
    y = sg.vector("y", size="k")
    with sg.assume_equal(n, k):
        assumed = x + y
    return {
        "take": (sg.function([x, i], sg.take(x, i).named("t")), (np.zeros(3), np.array([0, 3]))),
        "negative": (sg.function([x, i], sg.take(x, i).named("t")), (np.zeros(3), np.array([0, -4]))),
        "along": (
            sg.function([row, i], sg.take_along_axis(row, sg.reshape(i, (1, 2)), axis=1)),
            (np.zeros((1, 3)), np.array([0, 5])),
        ),
        "max of nothing": (sg.function([m], sg.max(m, axis=0)), (np.zeros((0, 3)),)),
        "argmax of nothing": (sg.function([x], sg.argmax(x)), (np.zeros(0),)),
        "last of nothing": (sg.function([x], x[-1]), (np.zeros(0),)),
        "slice beyond": (sg.function([x], x[2:5]), (np.zeros(3),)),
        "reversed beyond": (sg.function([x], x[4::-1]), (np.zeros(3),)),
        "gradient beyond": (sg.function([x], sg.grad(sg.sum(x[2:5] ** 2), x)), (np.zeros(3),)),
        "assumption": (sg.function([x, y], assumed), (np.zeros(2), np.zeros(3))),
    }


@pytest.mark.parametrize("case", run_time_errors())
def test_run_time_errors_are_those_of_the_numpy_backend(case: str) -> None:
    said = []
    for backend in ("llvm", "numpy"):
        sg.set_backend(backend)
        f, args = run_time_errors()[case]
        with pytest.raises((IndexError, sg.SymgradError)) as caught:
            f(*args)
        said.append((type(caught.value), str(caught.value)))
    assert said[0] == said[1]


def test_frames_too_large_for_the_stack() -> None:
    x = sg.vector("x", size="n")
    f = sg.function([x], [x * float(k) for k in range(1200)])
    results = f(np.ones(3))
    assert [r[0] for r in results] == [float(k) for k in range(1200)]
    assert f(np.ones(3))[7].tolist() == [7.0] * 3


def test_without_llvm_numpy_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "why_not_native", lambda: "llvmlite is not installed")
    monkeypatch.setattr(driver, "default_backend", driver.default_backend.__wrapped__)
    with pytest.warns(RuntimeWarning, match="compiles for NumPy: llvmlite is not installed"):
        assert driver.default_backend() == "numpy"
    x = sg.scalar("x")
    with pytest.raises(sg.CompileError, match=r"does not run here(.|\n)*numpy"):
        sg.function([x], x, backend="llvm")


def test_a_failing_call_changes_no_state() -> None:
    w, v = sg.shared(np.arange(3.0), "w"), sg.shared(np.zeros(2), "v")
    i = sg.scalar("i", dtype="int64")
    f = sg.function([i], sg.take(w, i), updates={w: w * 2, v: v + sg.take(w, i)})
    with pytest.raises(IndexError):
        f(3)
    assert w.get().tolist() == [0.0, 1.0, 2.0]
    assert v.get().tolist() == [0.0, 0.0]
    assert f(2) == 2.0
    assert w.get().tolist() == [0.0, 2.0, 4.0]
    assert v.get().tolist() == [2.0, 2.0]


@pytest.mark.parametrize("name", ["llvm", "numpy"])
def test_a_power_that_fails_changes_no_state(name: str) -> None:
    w = sg.shared(np.array([2, 3]), "w")
    k = sg.vector("k", size=2, dtype="int64")
    f = sg.function([k], [], updates={w: w**k}, backend=name)
    with pytest.raises(sg.ExecutionError, match="negative integer powers"):
        f([2, -1])
    assert w.get().tolist() == [2, 3]
    f([2, 1])
    assert w.get().tolist() == [4, 3]


def test_updates_see_the_old_state() -> None:
    a, b = sg.shared(np.ones(4), "a"), sg.shared(np.full(4, 2.0), "b")
    m = sg.shared(np.eye(3), "m")
    f = sg.function([], sg.sum(a), updates={a: b, b: a + b, m: m @ m + m.T})
    m.set(np.arange(9.0).reshape(3, 3))
    before = m.get()
    assert f() == 4.0
    assert (a.get()[0], b.get()[0]) == (2.0, 3.0)
    np.testing.assert_array_equal(m.get(), before @ before + before.T)


def test_products_are_added_to_states() -> None:
    w = sg.shared(np.ones((30, 25), np.float32), "w")
    x = sg.matrix("x", shape=("n", 30), dtype="float32")
    y = sg.matrix("y", shape=("n", 25), dtype="float32")
    f = sg.function([x, y], [], updates={w: w - 0.5 * (x.T @ y)})
    assert "w[30, 25] += -0.5" in f.plan()
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(5, k)).astype(np.float32) for k in (30, 25))
    f(a, b)
    np.testing.assert_allclose(w.get(), 1 - 0.5 * (a.T @ b), rtol=1e-5, atol=1e-5)


def test_into() -> None:
    x = sg.matrix("x", shape=("n", "m"))
    f = sg.function([x], {"double": x * 2, "t": x.T, "s": sg.sum(x)})
    a = np.arange(6.0).reshape(2, 3)
    double, t, s = np.empty((2, 3)), np.empty((2, 3)).T, np.empty(())
    f.into({"double": double, "t": t, "s": s}, a)
    assert double.tolist() == (a * 2).tolist()
    assert t.tolist() == a.T.tolist()
    assert s == 15.0
    with pytest.raises(sg.InputError, match="wrong shape"):
        f.into({"double": np.empty((3, 2)), "t": t, "s": s}, a)
    with pytest.raises(sg.InputError, match="read-only"):
        f.into({"double": np.broadcast_to(1.0, (2, 3)), "t": t, "s": s}, a)


def test_into_arrays_that_share_memory() -> None:
    """Owners, views of them, and one array twice: what is written changes no argument before it is read."""
    x, y = sg.vector("x", size=4), sg.vector("y", size=4)
    f = sg.function([x, y], [sg.flip(x) + y, x * y])
    a, b = np.arange(4.0), np.arange(4.0) + 1
    first, second = a[::-1] + b, a * b

    def check(one: Any, two: Any, u: Any, v: Any) -> None:
        f.into([one, two], u, v)
        np.testing.assert_array_equal(two, second)
        if one is not two:
            np.testing.assert_array_equal(one, first)

    check(np.empty(4), np.empty(4), a.copy(), b.copy())
    u, v = a.copy(), b.copy()
    check(v, u, u, v)
    u, v = a.copy(), b.copy()
    check(u[:], v[::1], u, v)
    room = np.concatenate([a, b])
    check(room[4:], room[:4], room[:4], room[4:])
    u = a.copy()
    check(np.empty(4), u, u[:], b)
    same = np.empty(4)
    check(same, same, a, b)
    u = a.copy()
    f.into([np.empty(4), np.empty(4)], u, u)


def test_into_the_argument_itself() -> None:
    x = sg.vector("x", size="n")
    f = sg.function([x], x[::-1] + x)
    a = np.arange(5.0)
    f.into(a, a)
    assert a.tolist() == [4.0] * 5
    buffer = np.arange(8.0)
    f.into(buffer[3:], buffer[:5])
    assert buffer.tolist() == [0.0, 1.0, 2.0, *[4.0] * 5]


def test_into_allocates_nothing_large() -> None:
    x = sg.vector("x", size="n")
    f = sg.function([x], sg.tanh(x) * 2)
    a, out = np.ones(100_000), np.empty(100_000)
    address = out.ctypes.data
    f.into(out, a)
    assert out.ctypes.data == address
    assert out[0] == pytest.approx(2 * np.tanh(1))


def test_results_never_share_memory() -> None:
    x = sg.vector("x", size="n")
    w = sg.shared(np.zeros(3), "w")
    f = sg.function([x], [x, x, x[:2], w, sg.constant([1.0, 2.0])])
    a = np.arange(3.0)
    results = [*f(a), *f(a)]
    for i, r in enumerate(results):
        assert not np.shares_memory(r, a)
        assert not any(np.shares_memory(r, other) for other in results[i + 1 :])
        r[...] = 9
    assert f(a)[4].tolist() == [1.0, 2.0]
    assert w.get().tolist() == [0.0] * 3


def test_references_are_balanced() -> None:
    x, v = sg.scalar("x"), sg.vector("v", size="n")
    functions = [
        sg.function([x, v], x * v),
        sg.function([x, v], [x * 2, v * 2, sg.sum(v)]),
        sg.function([x, v], {"a": x * 2, "b": v * x}),
    ]
    a, dtype = np.ones(4), np.dtype(np.float64)

    def counts() -> tuple[int, ...]:
        gc.collect()  # what other tests left behind goes now, not while this one counts
        return sys.getrefcount(a), sys.getrefcount(dtype), sys.getrefcount(np.float64)

    for f in functions:
        f(1.5, a)
        before = counts()
        for _ in range(200):
            f(1.5, a)
            f(1.5, [1.0, 2.0])
            with pytest.raises(sg.InputError):
                f(1.5, a, a)
        assert all(abs(after - count) <= 3 for count, after in zip(before, counts(), strict=True))


def test_threads_share_a_function() -> None:
    x = sg.matrix("x", shape=("n", 400))
    f = sg.function([x], sg.sum(sg.exp(sg.sin(x)) @ x.T, axis=1))
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(n, 400)) for n in (3, 40, 80, 120)]
    expected = [f(a) for a in inputs]
    faults: list[int] = []

    def work(k: int) -> None:
        for i in range(30):
            j = (i + k) % 4
            if not np.array_equal(f(inputs[j]), expected[j]):
                faults.append(j)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not faults


def test_other_threads_run_meanwhile() -> None:
    """The GIL is released: Python counts on while a long program runs."""
    x = sg.vector("x", size="n")
    y = x
    for _ in range(20):
        y = sg.sin(y)
    f = sg.function([x], y)
    a, out = np.ones(4_000_000), np.empty(4_000_000)
    count, stop = [0], threading.Event()

    def tick() -> None:
        while not stop.is_set():
            count[0] += 1

    thread = threading.Thread(target=tick)
    f.into(out, a)
    thread.start()
    before = count[0]
    f.into(out, a)
    during = count[0] - before
    stop.set()
    thread.join()
    assert during > 1000


def test_a_callback_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    x = sg.matrix("x", shape=("n", "n"))
    f = sg.function([x], sg.linalg.svdvals(x).named("p"))
    assert "call back" in f.plan()
    np.testing.assert_allclose(f(np.diag([2.0, 3.0, 0.5])), [3, 2, 0.5])

    def fails(*_: Any) -> None:
        raise IndexError("nowhere to be found")

    monkeypatch.setattr(matrices, "svdvals", fails)
    with pytest.raises(IndexError, match=r"nowhere(.|\n)*svdvals"):
        f([[2.5]])


@pytest.mark.parametrize("dtype", ["float64", "float32", "int8", "uint64", "bool"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_searches(dtype: str, side: str) -> None:
    """As NumPy's: equal elements, NaN, infinities, strides, no elements."""
    x, v = sg.vector("x", dtype=dtype), sg.matrix("v", dtype=dtype)
    outputs = [
        sg.searchsorted(x, v, side),
        sg.searchsorted(x, v.T, side),
        sg.searchsorted(x[::2], v[:, ::2], side),
    ]
    f = sg.function([x, v], [*outputs, sg.searchsorted(x, v[0, 0], side)])
    assert "call back" not in f.plan()
    rng = np.random.default_rng(1)
    numbers = {
        "f": [np.nan, -np.inf, np.inf, -0.0, 0.0, 1.0, 1.5],
        "i": [-128, -1, 0, 5, 127],
        "u": [0, 1, 2**63 - 1, 2**63, 2**64 - 1],
        "b": [False, True],
    }[np.dtype(dtype).kind]
    for count in (0, 1, 2, 3, 7, 8, 19):
        for shape in ((1, 1), (2, 3), (3, 4), (1, 9)):
            a = np.sort(np.array(rng.choice(np.array(numbers, dtype), count)))
            b = rng.choice(np.array(numbers, dtype), shape)
            wanted = [np.searchsorted(a, b, side), np.searchsorted(a, b.T, side)]
            wanted += [np.searchsorted(a[::2], b[:, ::2], side), np.searchsorted(a, b[0, 0], side)]
            for found, expected in zip(f(a, b), wanted, strict=True):
                np.testing.assert_array_equal(found, expected)
                assert found.dtype == np.int64


def test_ranks_out_of_range() -> None:
    """Nothing is computed from what lies beside the positions."""
    x, ranks = sg.matrix("x", shape=("n", "m")), sg.tensor("ranks", ("r",), "int64")
    f = sg.function([x, ranks], apply(ArgQuantile(1), x, ranks))
    rows = np.array([[3.0, 1.0, 2.0], [1.0, 1.0, np.nan]])
    assert "call back" not in f.plan()
    assert f(rows, [2, 0, 1]).tolist() == [[0, 1, 2], [2, 0, 1]]
    for wrong in ([3], [0, -1]):
        with pytest.raises(IndexError, match="a rank of a quantile is out of range for 3 elements"):
            f(rows, wrong)
    with pytest.raises(IndexError, match=r"median or quantile of no elements(.|\n)*argquantile"):
        f(np.zeros((2, 0)), [0])
    assert f(np.zeros((0, 0)), [0]).shape == (0, 1)
    assert f(rows, []).shape == (2, 0)


def test_complex_numbers() -> None:
    z = sg.vector("z", size=2, dtype="complex128")
    w = sg.shared(np.zeros(2, complex), "w")
    f = sg.function([z], [sg.exp(z * 1j)[::-1], sg.concat([z, z])], updates={w: w + z})
    assert "call back" not in f.plan()
    a = np.array([1 + 2j, 3.0])
    rotated, twice = f(a)
    np.testing.assert_allclose(rotated, np.exp(1j * a)[::-1])
    assert twice.tolist() == [*a, *a]
    assert w.get().tolist() == a.tolist()


def test_programs_are_freed() -> None:
    x = sg.vector("x", size="n")
    f = sg.function([x], sg.exp(x))
    f(np.zeros(3))
    gone = [weakref.ref(f), weakref.ref(f._program), weakref.ref(f._program.context)]
    del f
    gc.collect()
    assert all(r() is None for r in gone)
