"""The pool of large blocks: memory comes back, never too early; whatever happens to the arrays."""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import random
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad_compiler.backends.llvm import compile as native
from symgrad_runtime import buffers
from symgrad_runtime.buffers import LARGE, MAPPED, Word, pool
from symgrad_runtime.context import SET_HANDLER, api_table

handler_name = np._core.multiarray.get_handler_name
N = 100_000


@pytest.fixture(scope="module")
def add() -> Any:
    v = sg.vector("v", size="n")
    return sg.function([v], v + 1.0, backend="llvm")


@pytest.fixture(autouse=True)
def nothing_idle(add: Any) -> Iterator[None]:
    """Each test begins without idle blocks, and leaves the bound as it was."""
    words = pool().words
    before = words[Word.BOUND]
    gc.collect()
    pool().trim()
    yield
    words[Word.BOUND] = before


def native_function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    address = native._entry().address(f"buffer_{name}")
    made = ctypes.PYFUNCTYPE(result, ctypes.c_void_p, *arguments)(address)
    return lambda *given: made(pool().address, *given)


def at(array: np.ndarray) -> int:
    return int(array.ctypes.data)


def test_large_results_come_from_the_pool_and_own_their_data(add: Any) -> None:
    ours, numpys = add(np.zeros(LARGE // 8)), add(np.zeros(LARGE // 8 - 1))
    assert (handler_name(ours), handler_name(numpys)) == ("symgrad", "default_allocator")
    assert ours.flags.owndata
    assert ours.base is None
    assert at(ours) % 64 == 0
    assert handler_name() == "default_allocator", "NumPy's own arrays are left alone"


def test_memory_is_used_again_when_the_array_is_gone(add: Any) -> None:
    a = np.arange(float(N))
    result = add(a)
    first = at(result)
    second = add(a)
    assert at(second) != first, "it lives"
    del result
    third = add(a)
    assert at(third) == first
    np.testing.assert_array_equal(third, a + 1)


def test_a_view_keeps_the_memory(add: Any) -> None:
    a = np.arange(float(N))
    view = add(a)[10:20:2]
    taken = [add(a * 0) for _ in range(3)]
    assert all(not np.shares_memory(view, other) for other in taken)
    assert view.tolist() == [11.0, 13.0, 15.0, 17.0, 19.0]
    del view
    before = pool().use().used_again
    again = add(a)
    assert pool().use().used_again == before + 1
    del taken, again


def test_a_buffer_keeps_the_memory(add: Any) -> None:
    buffer = memoryview(add(np.zeros(N)))
    other = add(np.full(N, 5.0))
    assert (buffer[0], buffer[N - 1], other[0]) == (1.0, 1.0, 6.0)


def test_resized_arrays(add: Any) -> None:
    a = np.arange(float(N))
    for size in (10, 3 * N, N + 5, 2_000_000, 8_200, N):
        result = add(a)
        result.resize(size, refcheck=False)
        kept = min(size, N)
        np.testing.assert_array_equal(result[:kept], a[:kept] + 1)
        assert not result[kept:].any(), "NumPy fills with zeros"
        result[...] = 7.0
    assert handler_name(result) == "symgrad"


def test_pickled_and_copied(add: Any) -> None:
    a = np.arange(float(N))
    result = add(a)
    again = pickle.loads(pickle.dumps(result, protocol=5))
    del result
    other = add(a * 2)
    np.testing.assert_array_equal(again, a + 1)
    np.testing.assert_array_equal(other, a * 2 + 1)


def test_shapes_and_dtypes_that_change(add: Any) -> None:
    """A size that NumPy gives when it frees is not that of the block."""
    live = pool().use().live
    for _ in range(3):
        result = add(np.zeros(N))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # NumPy's from 2.5 on
            result.shape = (N // 2, 2)
            result.dtype = np.dtype(np.uint8)
        assert at(result) % 64 == 0
        del result
    assert pool().use().live == live
    assert pool().use().fresh >= 1


def test_freed_in_another_thread(add: Any) -> None:
    first = [add(np.zeros(N))]
    address = at(first[0])
    thread = threading.Thread(target=first.clear)
    thread.start()
    thread.join()
    assert at(add(np.zeros(N))) == address


def test_the_slow_path(add: Any) -> None:
    """Calls with state, with keywords, or with arguments to be converted."""
    x = sg.vector("x", size="n")
    w = sg.shared(0.0, "w")
    f = sg.function([x], x * 3.0, updates={w: w + 1}, backend="llvm")
    for result in (f(np.ones(N)), add(v=np.ones(N)), add([1.0] * N)):
        assert handler_name(result) == "symgrad"
    first = at(f(np.ones(N)))
    assert at(f(np.ones(N))) == first
    assert f(np.ones(N)).tolist()[:2] == [3.0, 3.0]


def test_into_takes_nothing(add: Any) -> None:
    out, a = np.empty(N), np.zeros(N)
    before = pool().use()
    add.into(out, a)
    assert pool().use() == before


def test_the_arena_of_a_function_goes_back(add: Any) -> None:
    x = sg.matrix("x", shape=("n", "n"))
    f = sg.function([x], sg.sum((x @ x) @ x), backend="llvm")
    before = pool().use().live
    f(np.eye(500))
    assert pool().use().live >= before + 2_000_000
    del f
    gc.collect()
    assert pool().use().live == before
    assert pool().use().idle >= 2_000_000


def test_no_more_is_idle_than_the_bound(add: Any) -> None:
    pool().words[Word.BOUND] = bound = 5_000_000
    results = [add(np.zeros(N + 20_000 * k)) for k in range(10)]
    while results:
        results.pop(0)
        assert pool().use().idle <= bound
    assert pool().use().idle > bound - 2_300_000
    before = pool().use().used_again
    newest = add(np.zeros(N + 20_000 * 9))
    assert pool().use().used_again == before + 1, "those that were idle for longest are gone"
    oldest = add(np.zeros(N))
    assert pool().use().used_again == before + 1
    del newest, oldest


def test_what_is_larger_than_the_bound_is_freed(add: Any) -> None:
    pool().words[Word.BOUND] = 500_000
    add(np.zeros(N))
    assert pool().use().idle == 0


def test_memory_that_does_not_exist(add: Any) -> None:
    x = sg.scalar("x")
    f = sg.function([x], sg.broadcast_to(x, (2**30, 2**15)) * 2, backend="llvm")
    idle = add(np.zeros(N))
    del idle
    for _ in range(3):
        with pytest.raises(MemoryError):
            f(1.0)
    assert handler_name() == "default_allocator"
    assert add(np.zeros(N))[0] == 1.0


def test_a_handler_of_the_user_is_respected(add: Any) -> None:
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(int(api_table()[SET_HANDLER]))
    addresses = [native._entry().address(f"buffer_{name}") for name in buffers.HANDLER]
    theirs = buffers._handler(pool().address, addresses)
    pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )(theirs, b"mem_handler")
    ctypes.memmove(pointer, b"theirs\0", 7)
    before = set_handler(theirs)
    try:
        result = add(np.zeros(N))
    finally:
        set_handler(before)
    assert handler_name(result) == "theirs"
    assert handler_name(add(np.zeros(N))) == "symgrad"


def test_threads_with_random_sizes(add: Any) -> None:
    faults: list[tuple[int, int]] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        kept: list[tuple[int, float, Any]] = []
        for _ in range(150):
            n, value = rng.randrange(1, 300_000), float(rng.randrange(1000))
            kept.append((n, value, add(np.full(n, value))))
            if len(kept) > 6:
                kept.pop(rng.randrange(6))
            n, value, result = kept[rng.randrange(len(kept))]
            if result.shape != (n,) or not (result == value + 1).all():
                faults.append((seed, n))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not faults


# ---- the pool itself ------------------------------------------------------------------------------------


def capacity(block: int) -> int:
    return ctypes.c_int64.from_address(block - 64).value


def idle_blocks() -> list[int]:
    """From the newest to the oldest, by the links in their headers; checked in both directions."""
    found, block, newer = [], pool().words[Word.NEWEST], 0
    while block:
        links = (ctypes.c_int64 * 4).from_address(block - 32)
        assert links[0] == newer
        found.append(block)
        newer, block = block, links[1]
    assert pool().words[Word.OLDEST] == newer
    return found


SIZES = [2**k + d for k in range(16, 27) for d in (-1, 0, 1, 2 ** (k - 3), 2 ** (k - 3) + 1)]


@pytest.mark.parametrize("size", SIZES)
def test_at_most_a_quarter_more_than_was_asked_for(size: int) -> None:
    take = native_function("take", ctypes.c_void_p, ctypes.c_int64)
    give = native_function("give", None, ctypes.c_void_p)
    block = take(size)
    room = capacity(block)
    assert size <= room <= (size if size < LARGE else size * 1.125)
    assert block % 64 == 0
    for place in (block, block + size - 8):
        ctypes.c_int64.from_address(place).value = 1
    give(block)
    if size < LARGE:
        assert not idle_blocks()
        return
    for other, meets in ((room, True), (int(room / 1.26), False), (room + 1, False)):
        again = take(other)
        assert (again == block) == meets, f"{other} bytes in a block of {room}"
        give(again)
        if not meets and other >= LARGE:
            pool().trim()
            block = take(size)
            give(block)


def test_random_requests() -> None:
    """Blocks keep what is written into them; the lists of idle ones agree with the counts."""
    take = native_function("take", ctypes.c_void_p, ctypes.c_int64)
    calloc = native_function("calloc", ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    realloc = native_function("realloc", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    free = native_function("free", None, ctypes.c_void_p, ctypes.c_int64)
    rng = random.Random(0)
    pool().words[Word.BOUND] = 40_000_000
    before = pool().use()
    held: dict[int, tuple[int, int]] = {}

    def size() -> int:
        return rng.choice([rng.randrange(1, LARGE), rng.randrange(LARGE, 2**20), rng.randrange(2**20, 2**24)])

    def fill(block: int, bytes_: int) -> None:
        value = rng.randrange(256)
        held[block] = bytes_, value
        ctypes.memset(block, value, bytes_)

    def check(block: int, bytes_: int, value: int) -> None:
        for place in (0, bytes_ // 2, bytes_ - 1):
            assert ctypes.c_uint8.from_address(block + place).value == value

    for _ in range(1500):
        action = rng.random()
        if action < 0.35 or not held:
            bytes_ = size()
            fill(take(bytes_), bytes_)
        elif action < 0.45:
            bytes_ = size()
            block = calloc(1, bytes_)
            check(block, bytes_, 0)
            fill(block, bytes_)
        else:
            block = rng.choice(list(held))
            bytes_, value = held.pop(block)
            check(block, bytes_, value)
            if action < 0.55:
                new = size()
                block = realloc(block, new)
                check(block, min(bytes_, new), value)
                fill(block, new)
            else:
                free(block, 12345)  # the size is not looked at
        idle = [capacity(b) for b in idle_blocks()]
        assert sum(idle) == pool().use().idle <= 40_000_000
        assert sum(map(capacity, held)) == pool().use().live - before.live
    for block in held:
        free(block, 0)
    assert pool().use().live == before.live


def test_calloc_of_more_than_there_is() -> None:
    calloc = native_function("calloc", ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64)
    assert calloc(2**33, 2**33) is None
    assert calloc(2**50, 8) is None
    take = native_function("take", ctypes.c_void_p, ctypes.c_uint64)
    assert [take(n) for n in (2**62, 2**63 - 1, 2**63, 2**64 - 1)] == [None] * 4


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_goes_back_to_the_system(add: Any) -> None:
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    a = np.zeros(4 * MAPPED // 8)
    add(a)
    pool().trim()
    before = resident()
    results = [add(a) for _ in range(4)]
    assert resident() > before + 3.9 * 4 * MAPPED
    del results
    assert resident() > before + 3.9 * 4 * MAPPED, "idle"
    pool().trim()
    assert resident() < before + 0.5 * MAPPED


# ---- processes ------------------------------------------------------------------------------------------

SCRIPT = """
import os, sys, atexit, threading
import numpy as np, symgrad as sg
v = sg.vector("v", size="n")
f = sg.function([v], [v + 1.0, sg.sum((v * 2) @ v)], backend="llvm")
name = np._core.multiarray.get_handler_name
a = np.zeros(100_000)
"""


def run(script: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT + script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_arrays_that_live_to_the_end() -> None:
    """In modules, in cycles, behind atexit: their memory goes back when hardly anything is left."""
    run("""
np.kept = f(a)
class Node: pass
node = Node(); node.me = node; node.data = f(a); node.f = f
sys.modules["late"] = Node(); sys.modules["late"].data = f(a)
threading.kept = [f(a), lambda: f]
atexit.register(lambda: f(a)[0].sum())
class Late:
    def __del__(self): self.data = None
late = Late(); late.data = f(a); late.me = late
""")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork() -> None:
    out = run("""
kept, _ = f(a)
f(a)
child = os.fork()
if child == 0:
    kept[:] = 7
    more = [f(a + k)[0] for k in range(5)]
    assert [m[0] for m in more] == [1, 2, 3, 4, 5]
    del more, kept
    f(a)
    os._exit(0)
_, status = os.waitpid(child, 0)
print(status, kept[0], f(a)[0][0])
""")
    assert out.split() == ["0", "1.0", "1.0"]


def test_without_a_pool() -> None:
    out = run("print(name(f(a)[0]), f(v=a)[0][0], name(f(v=a)[0]))", SYMGRAD_POOL_SIZE="0")
    assert out.split() == ["default_allocator", "1.0", "default_allocator"]


def test_a_bound_that_is_none() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "SYMGRAD_POOL_SIZE": "lots"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "SYMGRAD_POOL_SIZE is no amount of memory" in done.stderr
