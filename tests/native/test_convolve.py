"""Convolutions in native code: any sizes, strides, edges and groups, numbers of threads and levels of the
machine, against sums in NumPy, tap by tap."""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.ir.tensor import apply
from symgrad.ops.conv import Conv, ConvInput, ConvWeights
from symgrad_compiler.backends.llvm.compile import _entry
from symgrad_compiler.backends.llvm.convolve.cutting import choose_width
from symgrad_compiler.backends.llvm.convolve.emit import emit_convolution
from symgrad_compiler.backends.llvm.ir import Module
from symgrad_compiler.backends.llvm.scalars import Machine
from symgrad_compiler.backends.llvm.target import Engine, compile_object, host
from symgrad_compiler.plan import convolutions
from symgrad_compiler.plan.geometry import FORWARD, INPUT, WEIGHTS, Axis, Convolution, correlations
from symgrad_runtime import threads
from tests.native.levels import skip_unless_below

Array = np.ndarray[Any, Any]
KINDS = {"f32": np.float32, "f64": np.float64}
WHATS = (FORWARD, INPUT, WEIGHTS)
LINE = 64


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = sg.get_num_threads()
    yield
    sg.set_num_threads(before)


def shapes(c: Convolution, n: int) -> dict[str, tuple[int, ...]]:
    return {
        "x": (n, *c.sizes, c.channels),
        "w": (*c.taps, c.channels // c.groups, c.features),
        "g": (n, *c.outs, c.features),
    }


def reference(c: Convolution, a: Array, b: Array, n: int) -> Array:
    """In float64."""
    names = {FORWARD: "xwg", INPUT: "gwx", WEIGHTS: "xgw"}[c.what]
    out = np.zeros(shapes(c, n)[names[2]])
    arrays = dict(zip(names, (a.astype(np.float64), b.astype(np.float64), out), strict=True))
    channels, features = c.channels // c.groups, c.features // c.groups
    for taps in itertools.product(*map(range, c.taps)):
        met = [axis.results_of(t) for axis, t in zip(c.axes, taps, strict=True)]
        if not all(map(len, met)):
            continue
        first = [r[0] * k.stride + t * k.dilation - k.low for r, k, t in zip(met, c.axes, taps, strict=True)]
        last = [r[-1] * k.stride + t * k.dilation - k.low for r, k, t in zip(met, c.axes, taps, strict=True)]
        of_x = [slice(i, j + 1, k.stride) for i, j, k in zip(first, last, c.axes, strict=True)]
        of_g = [slice(r[0], r[-1] + 1) for r in met]
        for group in range(c.groups):
            of_c = slice(group * channels, (group + 1) * channels)
            of_o = slice(group * features, (group + 1) * features)
            x = arrays["x"][(slice(None), *of_x, of_c)]
            w = arrays["w"][(*taps, slice(None), of_o)]
            g = arrays["g"][(slice(None), *of_g, of_o)]
            if c.what == FORWARD:
                g += x @ w
            elif c.what == INPUT:
                x += g @ w.T
            else:
                w += x.reshape(-1, channels).T @ g.reshape(-1, features)
    return out


def aligned(size: int, dtype: Any) -> Array:
    """An array that starts at a cache line."""
    room = np.zeros(size * np.dtype(dtype).itemsize + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + size * np.dtype(dtype).itemsize].view(dtype)


class Compiled:
    """The native function of a convolution."""

    def __init__(self, c: Convolution) -> None:
        _entry()
        module = Module()
        emit_convolution(module, c, host().machine, "conv", linkage="")
        self._engine = Engine([compile_object(module.text(), host(), simplify=False)], host())
        pointer, number = ctypes.c_void_p, ctypes.c_int64
        kinds = (pointer, pointer, pointer, pointer, number, pointer, number)
        self._function = ctypes.CFUNCTYPE(None, *kinds)(self._engine.address("conv"))
        self._room = aligned(c.room + LINE, np.uint8)
        self._room[c.room :] = 3

    def __call__(self, a: Array, b: Array, out: Array, images: int, streams: bool = False) -> None:
        places = [x.ctypes.data for x in (a, b, out)]
        self._function(threads.pool().address, *places, images, self._room.ctypes.data, streams)
        assert (self._room[-LINE:] == 3).all(), "written beyond the room"


def check(rng: np.random.Generator, c: Convolution, *batches: int) -> None:
    """Near NumPy's, nothing written outside, the same bits for every number of threads."""
    run = Compiled(c)
    names = {FORWARD: "xwg", INPUT: "gwx", WEIGHTS: "xgw"}[c.what]
    for n in batches:
        given = shapes(c, n)
        dtype = KINDS[c.kind]
        a, b = (rng.standard_normal(given[k]).astype(dtype) for k in names[:2])
        exact, size = reference(c, a, b, n), reference(c, np.abs(a), np.abs(b), n)
        found = []
        for count in (1, 2, 3):  # once past the caches
            sg.set_num_threads(count)
            around = aligned(exact.size + 2 * LINE, dtype)
            around[:] = 7
            out = around[LINE : LINE + exact.size].reshape(exact.shape)
            run(a, b, out, n, streams=count == 2)
            assert (around[:LINE] == 7).all(), f"written before: {c}"
            assert (around[LINE + exact.size :] == 7).all(), f"written behind: {c}"
            found.append(out)
        # Each addition rounds once; errors of different signs mostly cancel.
        bound = 30 * np.finfo(dtype).eps * size
        assert np.all(np.abs(found[0] - exact) <= bound), f"{n} images: {c}"
        for each in found[1:]:
            np.testing.assert_array_equal(each, found[0], str(c))


def spec(
    what: str,
    kind: str,
    sizes: tuple[int, ...],
    taps: tuple[int, ...],
    channels: int,
    features: int,
    strides: tuple[int, ...] = (),
    dilations: tuple[int, ...] = (),
    padding: tuple[tuple[int, int], ...] = (),
    groups: int = 1,
) -> Convolution:
    rank = len(sizes)
    strides, dilations = strides or (1,) * rank, dilations or (1,) * rank
    padding = padding or ((0, 0),) * rank
    outs = tuple(
        (h + low + high - d * (t - 1) - 1) // s + 1
        for h, (low, high), d, t, s in zip(sizes, padding, dilations, taps, strides, strict=True)
    )
    lows = tuple(low for low, _ in padding)
    return Convolution(what, kind, sizes, taps, outs, strides, dilations, lows, channels, features, groups)


SAME = ((1, 1), (1, 1))
#: Of each kind of code: long rows and small images, edges and none, strides, dilations, groups, axes.
CASES: dict[str, dict[str, Any]] = {
    "small": dict(sizes=(12, 12), taps=(5, 5), channels=32, features=64),
    "first layer": dict(sizes=(28, 28), taps=(5, 5), channels=1, features=32),
    "padded rows": dict(sizes=(9, 33), taps=(3, 3), channels=16, features=40, padding=SAME),
    "padded, small": dict(sizes=(7, 7), taps=(3, 3), channels=24, features=33, padding=SAME),
    "stride 2": dict(sizes=(20, 31), taps=(3, 3), channels=8, features=16, strides=(2, 2), padding=SAME),
    "stride over taps": dict(sizes=(11, 14), taps=(2, 1), channels=5, features=3, strides=(3, 4)),
    "dilated": dict(sizes=(14, 40), taps=(3, 3), channels=9, features=17, dilations=(2, 3), padding=SAME),
    "both": dict(sizes=(15, 21), taps=(3, 2), channels=4, features=4, strides=(2, 3), dilations=(3, 2)),
    "more padding than taps": dict(
        sizes=(4, 5), taps=(2, 3), channels=3, features=7, padding=((3, 4), (5, 2))
    ),
    "cropped": dict(sizes=(13, 12), taps=(3, 3), channels=6, features=8, padding=((-2, 1), (1, -3))),
    "taps beyond the image": dict(
        sizes=(2, 3), taps=(5, 6), channels=4, features=5, padding=((2, 2), (3, 3))
    ),
    "one feature": dict(sizes=(10, 10), taps=(3, 3), channels=7, features=1),
    "one place": dict(sizes=(4, 4), taps=(4, 4), channels=20, features=50),
    "groups": dict(sizes=(8, 20), taps=(3, 3), channels=24, features=54, groups=3, padding=SAME),
    "thin groups": dict(sizes=(8, 20), taps=(3, 3), channels=6, features=12, groups=6),
    "depthwise": dict(sizes=(10, 30), taps=(3, 3), channels=33, features=33, groups=33, padding=SAME),
    "depthwise, stride": dict(
        sizes=(10, 31), taps=(3, 3), channels=70, features=70, groups=70, strides=(2, 2), padding=SAME
    ),
    "1 axis": dict(sizes=(50,), taps=(7,), channels=10, features=20, padding=((3, 3),)),
    "3 axes": dict(
        sizes=(5, 6, 16), taps=(3, 2, 3), channels=6, features=18, padding=((1, 1), (0, 1), (1, 1))
    ),
    "4 axes": dict(sizes=(3, 4, 3, 5), taps=(2, 2, 1, 3), channels=3, features=4, strides=(1, 2, 1, 1)),
    "few features": dict(sizes=(9, 33), taps=(3, 3), channels=48, features=3, padding=SAME),
    "few channels": dict(
        sizes=(21, 30), taps=(5, 7), channels=3, features=64, strides=(2, 2), padding=((2, 2), (3, 3))
    ),
    "few of both, small": dict(sizes=(7, 7), taps=(3, 3), channels=16, features=2, padding=SAME),
    "few in groups": dict(sizes=(8, 20), taps=(3, 3), channels=64, features=6, groups=2, padding=SAME),
    "few channels in groups": dict(
        sizes=(9, 15), taps=(3, 4), channels=4, features=96, groups=2, strides=(2, 1), dilations=(1, 2)
    ),
    "few features, 3 axes": dict(sizes=(4, 6, 9), taps=(2, 3, 3), channels=16, features=1),
    "many features": dict(sizes=(6, 6), taps=(3, 3), channels=40, features=300, padding=SAME),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", WHATS)
@pytest.mark.parametrize("case", CASES)
def test_cases(case: str, what: str, kind: str) -> None:
    check(np.random.default_rng(1), spec(what, kind, **CASES[case]), 0, 1, 3)


def test_few_columns_are_dot_products() -> None:
    avx512 = Machine(64, has_masks=True, has_fma=True, has_avx512=True)
    for name, what in (("few features", FORWARD), ("few channels", INPUT), ("few in groups", FORWARD)):
        width, _ = choose_width(correlations(spec(what, "f32", **CASES[name])), avx512)
        assert width.dots
    for name in ("first layer", "many features", "depthwise"):
        width, _ = choose_width(correlations(spec(FORWARD, "f32", **CASES[name])), avx512)
        assert not width.dots


@pytest.mark.parametrize("channels", [1, 3, 8, 17, 33])
@pytest.mark.parametrize("what", WHATS)
def test_tails_of_channels(what: str, channels: int) -> None:
    rng = np.random.default_rng(2)
    for features in (1, 8, 15, 17, 33, 65):
        c = spec(what, "f32", (5, 17), (3, 3), channels, features, padding=SAME)
        check(rng, c, 2)


@pytest.mark.slow
@pytest.mark.parametrize("what", WHATS)
def test_large(what: str) -> None:
    """Several tasks, blocks, chunks; weights beyond the second cache."""
    rng = np.random.default_rng(3)
    check(rng, spec(what, "f32", (56, 56), (3, 3), 32, 48, padding=SAME), 5)
    check(rng, spec(what, "f32", (7, 7), (3, 3), 400, 260, padding=SAME), 5)


def random_spec(rng: np.random.Generator, what: str) -> Convolution | None:
    def pick(*values: int) -> int:
        return int(rng.choice(values))

    rank = pick(1, 2, 2, 3)
    sizes = tuple(int(n) for n in rng.integers(1, (50, 18, 8)[rank - 1], rank))
    taps = tuple(int(rng.integers(1, min(5, n + 2) + 1)) for n in sizes)
    strides = tuple(pick(1, 1, 2, 3) for _ in sizes)
    dilations = tuple(pick(1, 1, 2, 3) for _ in sizes)
    padding = tuple((pick(0, 1, 2, 3), pick(0, 1, 2, -1)) for _ in sizes)
    groups = pick(1, 1, 1, 2, 3)
    channels, features = groups * pick(1, 3, 8, 17, 32), groups * pick(1, 3, 8, 16, 17, 40, 64, 65)
    if pick(0, 0, 0, 1):
        groups = channels = features
    numbers = zip(sizes, padding, dilations, taps, strict=True)
    if any(h + low + high < d * (t - 1) + 1 for h, (low, high), d, t in numbers):
        return None
    kind = ("f32", "f64")[pick(0, 1)]
    return spec(what, kind, sizes, taps, channels, features, strides, dilations, padding, groups)


@pytest.mark.parametrize("what", WHATS)
def test_random(what: str) -> None:
    rng = np.random.default_rng(4)
    for _ in range(int(os.environ.get("SYMGRAD_CAMPAIGN_CASES", "15"))):
        c = random_spec(rng, what)
        if c is not None:
            check(rng, c, int(rng.integers(0, 5)))


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2, 3, 4])
def test_classes_of_the_input_cover_it(stride: int, dilation: int) -> None:
    """Each element of x is in one class, and meets by it what the sum of the whole axis says."""
    for size, taps, low in itertools.product((1, 5, 8, 11), (1, 2, 3, 5), (-1, 0, 1, 3)):
        out = (size + low + 2 - dilation * (taps - 1) - 1) // stride + 1
        if out < 1:
            continue
        c = replace(
            spec(INPUT, "f32", (size,), (taps,), 1, 1),
            outs=(out,),
            strides=(stride,),
            dilations=(dilation,),
            lows=(low,),
        )
        met: dict[int, set[tuple[int, int]]] = {}
        for (axis,) in (x.axes for x in correlations(c)):
            for i in range(axis.out):
                h = axis.first + i * axis.step
                assert h not in met
                met[h] = {
                    (i * axis.stride + t * axis.dilation - axis.low, axis.first_tap + t * axis.tap_step)
                    for t in axis.taps_of(i)
                }
        wanted: dict[int, set[tuple[int, int]]] = {h: set() for h in range(size)}
        for i, t in itertools.product(range(out), range(taps)):
            h = i * stride + t * dilation - low
            if 0 <= h < size:
                wanted[h].add((i, taps - 1 - t))
        assert met == wanted


def test_ranges_of_an_axis() -> None:
    """What `taps_of` and `results_of` say, element by element."""
    for size, out, taps, stride, dilation, low in itertools.product(
        (1, 4, 7), (1, 3, 6), (1, 2, 4), (1, 2), (1, 3), (-1, 0, 2)
    ):
        axis = Axis(size, out, taps, stride, dilation, low)
        pairs = {
            (i, t) for i in range(out) for t in range(taps) if 0 <= i * stride + t * dilation - low < size
        }
        assert pairs == {(i, t) for i in range(out) for t in axis.taps_of(i)}
        assert pairs == {(i, t) for t in range(taps) for i in axis.results_of(t)}
        assert axis.is_inside == (len(pairs) == out * taps)


# ---- in programs ------------------------------------------------------------------------------------------


def family(channels: str, strong: str = "") -> list[tuple[Any, tuple[int, ...], tuple[int, ...]]]:
    """One geometry as each op of the family, with the shapes of its operands."""
    common = (channels, (2, 1), ((1, 1), (0, 2)), (1, 2), 2)
    x, w, g = (3, 8, 9, 4), (3, 2, 2, 6), (3, 4, 9, 6)
    if channels == "first":
        x, w, g = (3, 4, 8, 9), (6, 2, 3, 2), (3, 6, 4, 9)
    named = {k: k if k in strong else "" for k in "xwg"}
    return [
        (Conv(*common, named["x"] + named["w"]), x, w),
        (ConvInput(*common, named["g"] + named["w"], (8, 9)), g, w),
        (ConvWeights(*common, named["x"] + named["g"], (3, 2)), x, g),
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels", ["first", "last"])
@pytest.mark.parametrize("number", range(3))
def test_programs(number: int, channels: str, dtype: str) -> None:
    op, a, b = family(channels)[number]
    rng = np.random.default_rng(5)
    names = [sg.tensor(n, s, dtype) for n, s in zip("ab", (a, b), strict=True)]
    out = apply(op, *names)
    f, h = (sg.function(names, [out, sg.exp(out)], backend=backend) for backend in ("llvm", "numpy"))
    assert f"{op.name} " in str(f.plan())
    arrays = [rng.standard_normal(s).astype(dtype) for s in (a, b)]
    for x, y in zip(f(*arrays), h(*arrays), strict=True):
        np.testing.assert_allclose(x, y, rtol=100 * np.finfo(dtype).eps, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("channels", ["first", "last"])
@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("strong", ["x", "w", "g", "xwg"])
def test_strong_zeros(strong: str, number: int, channels: str) -> None:
    """A zero of a strong operand makes 0 of an infinite factor; other products are as they are."""
    op, a, b = family(channels, strong)[number]
    names = [sg.tensor(n, s) for n, s in zip("ab", (a, b), strict=True)]
    f, h = (sg.function(names, apply(op, *names), backend=backend) for backend in ("llvm", "numpy"))
    rng = np.random.default_rng(6)
    arrays = [rng.standard_normal(s) * (rng.random(s) < 0.6) for s in (a, b)]
    for array, other in zip(arrays, reversed(arrays), strict=True):
        at = tuple(rng.integers(s) for s in array.shape)
        before = array[at]
        array[at] = np.inf
        with np.errstate(invalid="ignore"):
            found, wanted = f(*arrays), h(*arrays)
        inner = np.isfinite(wanted) | np.isinf(wanted)
        assert inner.any(), other.shape
        np.testing.assert_allclose(found[inner], wanted[inner], rtol=1e-12, atol=1e-13)
        array[at] = before


def test_many_images_and_a_symbolic_batch() -> None:
    x, w = sg.tensor("x", ("n", 6, 6, 3), "float32"), sg.tensor("w", (3, 3, 3, 8), "float32")
    y = sg.conv2d(x, w, channels="last", padding="same")
    step = sg.function([x, w], [y, *sg.grad(sg.square(y).sum(), [x, w])])
    same = sg.function([x, w], [y, *sg.grad(sg.square(y).sum(), [x, w])], backend="numpy")
    assert [line for line in str(step.plan()).splitlines() if "conv_weights" in line]
    rng = np.random.default_rng(7)
    for n in (0, 1, 2, 65):
        a, b = (rng.standard_normal(s).astype(np.float32) for s in ((n, 6, 6, 3), (3, 3, 3, 8)))
        for found, wanted in zip(step(a, b), same(a, b), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=1e-4)


def test_symbolic_sizes_take_windows_and_products() -> None:
    x, w = sg.tensor("x", (2, "h", "h", 3)), sg.tensor("w", (3, 3, 3, 8))
    f = sg.function([x, w], sg.conv2d(x, w, channels="last"))
    assert "matmul" in str(f.plan())
    a, b = np.ones((2, 7, 7, 3)), np.ones((3, 3, 3, 8))
    np.testing.assert_array_equal(f(a, b), np.full((2, 5, 5, 8), 27.0))


def test_equal_convolutions_share_their_code() -> None:
    x, w, v = sg.tensor("x", (2, 9, 9, 4)), sg.tensor("w", (3, 3, 4, 4)), sg.tensor("v", (3, 3, 4, 4))
    y = sg.conv2d(x, w, channels="last", padding=1)
    f = sg.function([x, w, v], sg.conv2d(sg.tanh(y), v, channels="last", padding=1))
    assert str(f.plan()).count("conv ") == 2
    assert len(re.findall(r"define .*\.convolution\.forward\(", f.code("llvm"))) == 1


@pytest.mark.parametrize(("most", "copies"), [(8 * 4 * 9 * 4, 1), (8 * 4 * 9 * 4 - 1, 2)])
def test_small_copies_are_kept(most: int, copies: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are read by the convolution and by the gradient for its input."""
    monkeypatch.setattr(convolutions, "MOST_KEPT", most)
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", "")
    x, w = sg.tensor("x", (2, 4, 6, 6), "float32"), sg.tensor("w", (8, 4, 3, 3), "float32")
    y = sg.conv2d(x, w)
    f = sg.function([x, w], [y, *sg.grad(sg.square(y).sum(), [x, w])], backend="llvm")
    assert len(re.findall(r"^ +permute_dims\w* = w\[", str(f.plan()), re.M)) == copies
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-1, 2, t.shape).astype(np.float32) for t in (x, w))
    same = sg.function([x, w], [y, *sg.grad(sg.square(y).sum(), [x, w])], backend="numpy")
    for found, wanted in zip(f(a, b), same(a, b), strict=True):
        np.testing.assert_array_equal(found, wanted)


# ---- older processors -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("level", ["x86-64-v2", "x86-64-v3"])
def test_levels(level: str) -> None:
    skip_unless_below(level)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", __file__]
    command += ["-k", "test_cases and f32 or test_random"]
    environment = {**os.environ, "SYMGRAD_CPU": level}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize("what", ["forward", "input"])
def test_pointwise_convolutions_are_products_into_their_result(what: str) -> None:
    """Reshapes, axes of size 1 that move and slices of everything leave nothing to copy."""
    x, w = sg.tensor("x", (2, 9, 7, 32), "float32"), sg.tensor("w", (1, 1, 32, 64), "float32")
    y = sg.conv2d(x, w, channels="last")
    g = sg.tensor("g", y.shape, "float32")
    inputs, result = ([x, w], y) if what == "forward" else ([w, g], sg.vjp(y, [x], g)[0])
    f = sg.function(inputs, result, backend="llvm")
    steps = f._compiled._compilation.plan.steps
    assert [type(step).__name__ for step in steps] == ["MatMulStep"]
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal([int(d) for d in t.shape]).astype("float32") for t in inputs)
    expected = a @ b[0, 0] if what == "forward" else b @ a[0, 0].T
    np.testing.assert_allclose(f(a, b), expected, rtol=1e-4, atol=1e-4)
