"""`f.profile`: its rows are the plan's steps, its numbers fit together, no state changes."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.api.profile import profile_of
from symgrad.ops.transcendental import exp, tanh
from symgrad_compiler.backends.limits import Limits, by_numpy
from symgrad_compiler.backends.llvm.effort import effort
from symgrad_compiler.backends.llvm.limits import natively
from symgrad_compiler.backends.measure import Measured, Piece


def gradient_step(backend: str) -> Any:
    x, y = sg.matrix("x", shape=("n", 30)), sg.matrix("y", shape=("n", 3))
    w = sg.shared(np.full((30, 3), 0.1), "w")
    loss = sg.mean((sg.tanh(x @ w) - y) ** 2)
    return sg.function([x, y], loss, updates={w: w - 0.1 * sg.grad(loss, w)}, backend=backend), w


def test_a_step_of_gradient_descent(backend: str) -> None:
    f, w = gradient_step(backend)
    a, b = np.ones((2000, 30)), np.ones((2000, 3))
    before = w.get()
    found = f.profile(a, b, repeat=5)
    np.testing.assert_array_equal(w.get(), before)
    assert found.backend == backend
    assert found.repeat == 5
    whole = [r for r in found.rows if not r.is_part]
    assert [r.step for r in whole] == [str(i) for i in range(len(whole))]
    assert all(r.time >= 0 for r in found.rows)
    assert sum(r.time for r in whole) + found.rest == pytest.approx(found.total, rel=0.3)
    assert sum(r.share for r in whole) < 1.3
    text = str(found)
    assert "not in steps" in text
    assert "limits of " in text
    assert all(r.step in text for r in found.rows)
    f(a, b)
    assert not np.array_equal(w.get(), before)


def test_rows_are_those_of_the_plan() -> None:
    f, _ = gradient_step("llvm")
    found = f.profile(np.ones((100, 30)), np.ones((100, 3)), repeat=1)
    lines = [line for line in f.plan().splitlines() if line[:3].strip().isdigit()]
    assert [line.split()[:2] for line in lines] == [
        [r.step, r.what.split()[0]] for r in found.rows if not r.is_part
    ]


def test_a_loop_over_rows_and_its_parts() -> None:
    x = sg.matrix("x", dtype="float32")
    f = sg.function([x], sg.softmax(sg.tanh(x), axis=1))
    found = f.profile(np.ones((4000, 300), np.float32), repeat=5)
    loop, *parts = found.rows
    assert loop.what.startswith("loop over")
    assert [p.step for p in parts] == [f"0.{i}" for i in range(len(parts))]
    assert all(p.is_part for p in parts)
    assert 0.1 < sum(p.time for p in parts) / loop.time <= 1.0 + 1e-9
    assert sum(p.flops for p in parts) == loop.flops
    assert loop.bytes == 2 * 4000 * 300 * 4
    assert "  0.1  " in str(found)


def test_parts_that_were_held_up_in_different_runs_fit_into_their_loop() -> None:
    """The medians of the parts are 6, 6 and 6, that of their loop is 13."""
    piece = Piece("0", "loop", flops=1, operations=1, bytes=1, limits=natively(1))
    pieces = (
        piece,
        *(replace(piece, number=f"0.{i}", is_part=True) for i in range(3)),
        replace(piece, number="1"),
    )
    runs = ((13, 6, 6, 1, 5), (13, 6, 1, 6, 5), (13, 1, 6, 6, 5))
    found = profile_of("f", Measured("llvm", pieces, runs, calls=(20, 20, 20)))
    loop, *parts, last = [r.time * 1e9 for r in found.rows]
    assert loop == pytest.approx(13)
    assert last == pytest.approx(5)
    assert parts == pytest.approx([13 / 3] * 3)
    assert found.rest == pytest.approx(2e-9)


def test_more_work_takes_more_time() -> None:
    x, y = sg.vector("x"), sg.matrix("y", shape=(200, 200))
    f = sg.function([x, y], [sg.cumsum(x), y @ y])
    found = f.profile(np.ones(200_000), np.ones((200, 200)), repeat=5)
    (product,) = [r for r in found.rows if r.what.startswith("matmul")]
    assert product.flops == 2 * 200**3
    assert product.bytes == 8 * 2 * 200**2
    assert product.gflops == product.flops / product.time / 1e9
    by_time = found.table("time").splitlines()[2:]
    assert [line.split()[0] for line in by_time[: len(found.rows)]] == [
        r.step for r in sorted(found.rows, key=lambda r: -r.time)
    ]
    slow = f.profile(np.ones(2_000_000), np.ones((200, 200)), repeat=5)
    scans = [next(r for r in p.rows if r.what.startswith("scan")) for p in (found, slow)]
    assert scans[1].time > 3 * scans[0].time
    with pytest.raises(sg.InputError, match="there is no order 'name'"):
        found.table("name")


def test_arguments_are_checked_as_in_a_call() -> None:
    f, _ = gradient_step("llvm")
    with pytest.raises(sg.InputError, match="has the wrong shape"):
        f.profile(np.ones((4, 30)), np.ones((5, 3)))
    assert f.profile(np.ones((4, 30)), y=np.ones((4, 3)), repeat=1).repeat == 1
    with pytest.raises(sg.InputError, match="repeat is a number of runs"):
        f.profile(np.ones((4, 30)), np.ones((4, 3)), repeat=0)
    x, i = sg.vector("x"), sg.vector("i", dtype="int64")
    taken = sg.function([x, i], sg.take(x, i))
    with pytest.raises(IndexError, match="out of bounds"):
        taken.profile(np.ones(3), np.array([7]))
    guarded = sg.function([x], sg.log(x), nan_guard=True)
    with pytest.raises(sg.ExecutionError, match="first made by log"):
        guarded.profile(np.zeros(3))


def test_two_threads_may_profile_one_function() -> None:
    f, _ = gradient_step("llvm")
    found: list[Any] = []
    a, b = np.ones((500, 30)), np.ones((500, 3))
    threads = [threading.Thread(target=lambda: found.append(f.profile(a, b, repeat=5))) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == 3
    for p in found:
        assert sum(r.time for r in p.rows if not r.is_part) <= 1.2 * p.total


def test_functions_without_steps_and_with_callbacks() -> None:
    x = sg.vector("x")
    assert sg.function([x], x, name="same").profile(np.ones(3), repeat=1).name == "same"
    found = sg.function([x], sg.abs(sg.fft.fft(x))).profile(np.ones(1001), repeat=2)
    assert any(r.what.startswith("call back") for r in found.rows)
    empty = sg.function([x], sg.exp(x)).profile(np.empty(0), repeat=1)
    assert [r.flops for r in empty.rows] == [0]


def test_limits_are_what_a_machine_can_do() -> None:
    """Native and NumPy's measurements are of one order, and made once."""
    start = time.perf_counter()
    ours, again = natively(1), natively(1)
    assert ours is again
    assert time.perf_counter() - start < 20
    assert ours.peak32 > 1.3 * ours.peak64 > 1
    theirs = by_numpy(1)
    assert isinstance(theirs, Limits)
    assert 0.1 < ours.bandwidth / theirs.bandwidth < 10


def test_effort_counts_what_functions_are_made_of() -> None:
    wide, narrow = sg.vector("x"), sg.vector("x", dtype="float32")
    assert effort((wide + 1.0).node) == 1
    assert effort((narrow + 1.0).node) == 0.5
    assert 10 < effort(exp(wide).node) < 100
    assert effort(tanh(wide).node) > effort(exp(wide).node)
    assert effort((1.0 / wide).node) > 4


def test_a_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    f, _ = gradient_step("llvm")
    found = f.profile(np.ones((100, 30)), np.ones((100, 3)), repeat=1)
    figure = found.plot(str(tmp_path / "profile.png"))
    bars, roof = figure.axes
    assert len(bars.patches) == len(found.rows)
    assert roof.get_title() == "roofline"
    assert (tmp_path / "profile.png").stat().st_size > 1000

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(sg.CompileError, match=r"(?s)needs matplotlib.*symgrad\[plot\]"):
        found.plot()
