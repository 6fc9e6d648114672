"""The thread pool: results are the same for every number of threads, whoever else calls or forks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.lazy import cached_property
from symgrad_compiler.backends.llvm.target import _Inside
from symgrad_runtime import threads

Tensor = sg.Tensor


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = sg.get_num_threads()
    yield
    sg.set_num_threads(before)


def jobs() -> int:
    """How many jobs the pool has had."""
    pool = threads.pool()
    return int(pool._words[threads.GENERATION : threads.GENERATION + 4].view(np.int32)[0])


def layer_norm(x: Tensor) -> Tensor:
    centred = x - sg.mean(x, axis=1, keepdims=True)
    return centred / sg.sqrt(sg.mean(centred * centred, axis=1, keepdims=True) + 1e-5)


GRAPHS: dict[str, Callable[[Tensor], Any]] = {
    "elementwise": lambda x: sg.tanh(x) * sg.exp(-x * x),
    "transposed": lambda x: sg.exp(x.T) + 1,
    "sum": sg.sum,
    "all of it": lambda x: [sg.sum(x * x), sg.max(x), sg.min(x), sg.prod(1 + x * 1e-6)],
    "over rows": lambda x: [sg.sum(sg.exp(x), axis=0), sg.max(x, axis=0)],
    "over columns": lambda x: [sg.sum(sg.exp(x), axis=1), sg.argmin(x, axis=1)],
    "softmax": lambda x: sg.softmax(x, axis=1),
    "layer norm": lambda x: [layer_norm(x), sg.grad(sg.sum(layer_norm(x) ** 3), x)],
    "one-hot loss": lambda x: sg.grad(sg.sum(sg.logsumexp(x, axis=1) - x[:, 0]), x),
    "gather": lambda x: x[sg.astype(sg.floor(sg.abs(x[:, 0])), "int64"), :] * 2,
    "counts": lambda x: [sg.sum(sg.astype(x > 0, "int64")), sg.any(x > 3, axis=0), sg.count_nonzero(x > 0)],
}


def check_equal(f: Any, reference: Any, shape: tuple[int, ...], dtype: str) -> None:
    """The same bits with 1, 2, 3 and 7 threads, near those of the reference."""
    value = np.random.default_rng(0).normal(size=shape).astype(dtype)
    value[:, 0] %= 2
    results = []
    for count in (1, 2, 3, 7):
        sg.set_num_threads(count)
        found = f(value)
        results.append(found if isinstance(found, list) else [found])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    expected = reference(value)
    for a, b in zip(results[0], expected if isinstance(expected, list) else [expected], strict=True):
        tolerance = 2e-3 if dtype == "float32" else 1e-9
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", GRAPHS)
def test_equal_for_every_number(name: str, dtype: str) -> None:
    x = sg.tensor("x", shape=("rows", "columns"), dtype=dtype)
    y = GRAPHS[name](x)
    f, reference = sg.function([x], y, backend="llvm"), sg.function([x], y, backend="numpy")
    for shape in [(3001, 77), (250, 1024), (70_001, 3), (2, 100_000)]:
        check_equal(f, reference, shape, dtype)


@pytest.mark.parametrize("name", GRAPHS)
def test_equal_for_every_number_where_sizes_are_known(name: str) -> None:
    x = sg.tensor("x", shape=(1003, 260), dtype="float32")
    y = GRAPHS[name](x)
    f, reference = sg.function([x], y, backend="llvm"), sg.function([x], y, backend="numpy")
    check_equal(f, reference, (1003, 260), "float32")


def test_large_work_is_shared_and_small_is_not() -> None:
    x = sg.vector("x")
    f = sg.function([x], sg.exp(x), backend="llvm")
    sg.set_num_threads(2)
    f(np.ones(8))
    before = jobs()
    f(np.ones(500))
    assert jobs() == before
    f(np.ones(1_000_000))
    assert jobs() > before
    sg.set_num_threads(1)
    before = jobs()
    f(np.ones(1_000_000))
    assert jobs() == before


@pytest.mark.parametrize("update", [False, True])
def test_calls_from_several_threads(update: bool) -> None:
    x = sg.matrix("x")
    total = sg.shared(0.0, "total")
    value = sg.sum(sg.tanh(x), axis=1)
    updates = {total: total + sg.sum(value)} if update else None
    f = sg.function([x], value, updates=updates, backend="llvm")
    sg.set_num_threads(3)
    inputs = [np.random.default_rng(i).normal(size=(1000, 300)) for i in range(4)]
    expected = [np.tanh(v).sum(1) for v in inputs]
    wrong: list[int] = []

    def calls(number: int) -> None:
        for _ in range(20):
            if not np.allclose(f(inputs[number]), expected[number], rtol=1e-10):
                wrong.append(number)

    callers = [threading.Thread(target=calls, args=(i,)) for i in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong
    if update:
        assert np.isclose(total.value, 20 * sum(e.sum() for e in expected), rtol=1e-9)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_fork() -> None:
    program = """
import os
import numpy as np
import symgrad as sg
sg.set_num_threads(3)
x = sg.vector("x")
f = sg.function([x], [sg.sum(sg.exp(x)), sg.exp(x)], backend="llvm")
a = np.linspace(0, 1, 600_000)
def right():
    total, values = f(a)
    return np.allclose(values, np.exp(a)) and np.isclose(total, np.exp(a).sum())
assert right()
for _ in range(5):
    child = os.fork()
    if child == 0:
        os._exit(0 if right() and right() and sg.get_num_threads() == 3 else 3)
    assert right()
    assert os.waitpid(child, 0)[1] == 0
assert right()
"""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr.decode()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_fork_while_a_thread_is_in_a_call(backend: str) -> None:
    """It holds the lock of a state, and is not in the child."""
    program = f"""
import os, signal, threading, time
import numpy as np
import symgrad as sg
w = sg.shared(np.ones(300_000), "w")
f = sg.function([], sg.sum(sg.exp(w)), updates={{w: w * 1.0}}, backend={backend!r})
f()
stop = threading.Event()
def call():
    while not stop.is_set():
        f()
thread = threading.Thread(target=call)
thread.start()
hung = 0
for _ in range(8):
    time.sleep(0.01)
    child = os.fork()
    if child == 0:
        f()
        w.set(w.get())
        os._exit(0)
    for _ in range(400):
        if os.waitpid(child, os.WNOHANG)[0]:
            break
        time.sleep(0.02)
    else:
        hung += 1
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
stop.set()
thread.join()
os._exit(hung)
"""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr.decode()


@pytest.mark.parametrize("bad", [0, -1, 2.0, "2", True, 10**6])
def test_no_number_of_threads(bad: Any) -> None:
    before = sg.get_num_threads()
    with pytest.raises(sg.InputError, match="number of threads"):
        sg.set_num_threads(bad)
    assert sg.get_num_threads() == before


def test_the_environment_variable() -> None:
    code = "import symgrad as sg; print(sg.get_num_threads())"
    for value, expected in [("3", "3"), ("", str(threads.available()))]:
        run = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {threads.VARIABLE: value},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert run.stdout.strip() == expected


@pytest.mark.parametrize("text", ["many", "0", "1025", "\u00b2", "\u0663", "9" * 400, "-1", "1.5", "1_0"])
def test_numbers_of_threads_that_are_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(threads.VARIABLE, text)
    with pytest.raises(sg.InputError, match="SYMGRAD_NUM_THREADS is no number of threads"):
        threads._default()


def test_many_jobs_with_more_threads_than_cores() -> None:
    """Workers come late, sleep and wake; the caller never waits for one that has not started."""
    x = sg.vector("x")
    f = sg.function([x], sg.sum(sg.sqrt(x)), backend="llvm")
    sg.set_num_threads(8)
    value = np.arange(100_000.0)
    expected = f(value)
    for i in range(300):
        if i % 50 == 0:
            threading.Event().wait(0.002)
        assert f(value) == expected


@pytest.mark.parametrize("dtype", ["float64", "int64"])
@pytest.mark.parametrize("bins", [7, 60_000])
def test_what_is_added_at_indices(bins: int, dtype: str) -> None:
    """Into memory of each chunk, or by one thread."""
    base = sg.tensor("base", shape=(bins, 3), dtype=dtype)
    group, x = sg.vector("group", size="n", dtype="int64"), sg.tensor("x", shape=("n", 3), dtype=dtype)
    f = sg.function([base, group, x], [base.at[group].add(x * x), sg.sum(x * x, axis=0)], backend="llvm")
    rng = np.random.default_rng(0)
    values = (10 * rng.normal(size=(100_001, 3))).astype(dtype)
    where, start = rng.integers(0, bins, 100_001), rng.integers(0, 9, (bins, 3)).astype(dtype)
    expected = start.copy()
    np.add.at(expected, where, values * values)
    results = []
    for count in (1, 2, 5):
        sg.set_num_threads(count)
        results.append(f(start, where, values))
    for total, columns in results:
        np.testing.assert_array_equal(total, results[0][0])
        np.testing.assert_allclose(total, expected, rtol=1e-11)
        np.testing.assert_allclose(columns, (values * values).sum(0), rtol=1e-11)


def test_threads_that_compile_first_make_one_pool(tmp_path: Path) -> None:
    """Found in review: each of them began the pool anew."""
    script = """
import threading, symgrad as sg
from symgrad_runtime import threads
begun, begin = [], type(threads.pool()).begin
type(threads.pool()).begin = lambda self, *a: begun.append(1) or begin(self, *a)
def work(i):
    x = sg.tensor("x", ("n", i + 3))
    sg.function([x], sg.sum(sg.tanh(x)), backend="llvm")
made = [threading.Thread(target=work, args=(i,)) for i in range(4)]
for t in made: t.start()
for t in made: t.join()
print(len(begun))
"""
    env = {**os.environ, "SYMGRAD_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "1", done.stderr


def test_what_is_computed_later_is_computed_beside() -> None:
    """One thread that computes an attribute keeps no other from that of another object."""

    class Slow:
        def __init__(self, meet: Any) -> None:
            self.meet = meet

        @cached_property
        def met(self) -> bool:
            self.meet.wait(timeout=30)
            return True

    meet = threading.Barrier(2)
    objects = [Slow(meet), Slow(meet)]
    others = [threading.Thread(target=lambda o=o: o.met) for o in objects]  # type: ignore[misc]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert all(vars(o).get("met") for o in objects)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_fork_while_threads_compile() -> None:
    """They hold the lock of LLVM's binding in turns."""
    program = """
import faulthandler, os, signal, threading, time
import numpy as np
import symgrad as sg
x = sg.vector("x")
def made(number):
    return sg.function([x], sg.sin(x * number) + sg.exp(x), backend="llvm")
made(0.5)(np.ones(3))
stop = threading.Event()
def compile_on(number):
    while not stop.is_set():
        number += 1.0
        made(number)(np.ones(3))
threads = [threading.Thread(target=compile_on, args=(1e3 * k,)) for k in range(3)]
for thread in threads:
    thread.start()
hung = 0
for number in range(15):
    time.sleep(0.03)
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(50)  # tells where it hangs
        made(-1.0 - number)(np.ones(3))
        os._exit(0)
    for _ in range(3000):
        if os.waitpid(child, os.WNOHANG)[0]:
            break
        time.sleep(0.02)
    else:
        hung += 1
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
stop.set()
for thread in threads:
    thread.join()
assert hung == 0, hung
"""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={**os.environ, "SYMGRAD_CACHE_DIR": ""},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()


def test_a_fork_gets_its_turn_among_threads_that_compile() -> None:
    """One of them is in LLVM at any time, if none waits for the fork."""
    inside, over = _Inside(), threading.Event()

    def compile_on() -> None:
        while not over.is_set():
            with inside:
                time.sleep(0.002)

    compiling = [threading.Thread(target=compile_on, daemon=True) for _ in range(4 * threads.available())]
    for thread in compiling:
        thread.start()
    seen = []

    def fork() -> None:
        for _ in range(20):
            inside.close()
            seen.append(len(inside._threads))
            inside.open()
            time.sleep(0.005)

    forking = threading.Thread(target=fork, daemon=True)
    forking.start()
    forking.join(10)
    over.set()
    assert seen == [0] * 20
    for thread in compiling:
        thread.join()
    assert not inside._threads
