"""Convolutions: symgrad beside PyTorch and JAX, and beside what the processor can do.

    python benchmarks/convolutions.py                              all layers, and both gradients, float32
    python benchmarks/convolutions.py --python torch=/path/python  PyTorch in an environment of its own
    python benchmarks/convolutions.py --layers res64 depthwise128  some layers
    python benchmarks/convolutions.py --what forward               of forward, input, weights
    python benchmarks/convolutions.py --threads 1                  of each system

The layers are those of ResNets and MobileNets, 8 images at a time. Each system runs in a process of its own;
they take turns, with images in both orders of channels, and the faster order of each system counts (it is
named). Arguments are arrays of the system's own, and sums of the results are compared. A line has medians of
all timings in thousands of millions of operations a second, symgrad's also in percent of the multiply-adds
that the cores can do (measured in the same run), and symgrad's speed as a multiple of each peer's.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

BATCH = 8
WHAT, ORDERS, PEERS = ("forward", "input", "weights"), ("last", "first"), ("torch", "jax")
#: What each reads.
_READ = {"forward": "xw", "input": "wg", "weights": "xg"}
Call = Callable[[], Any]


@dataclass(frozen=True)
class Layer:
    """Square images of `size` pixels a side with `c` channels, square kernels of `k`, `o` outputs; padded so
    that a stride of 1 keeps the size."""

    name: str
    size: int
    c: int
    o: int
    k: int
    stride: int = 1
    groups: int = 1

    @property
    def padding(self) -> int:
        return self.k // 2

    @property
    def places(self) -> int:
        """Pixels a side of the result."""
        return (self.size + 2 * self.padding - self.k) // self.stride + 1

    @property
    def flops(self) -> int:
        return 2 * BATCH * self.places**2 * self.o * self.c // self.groups * self.k**2

    def arrays(self, order: str) -> dict[str, np.ndarray[Any, Any]]:
        """x, w and g; the same numbers in both orders, the weights as symgrad has them."""
        rng = np.random.default_rng(0)
        shapes = {
            "x": (BATCH, self.size, self.size, self.c),
            "w": (self.k, self.k, self.c // self.groups, self.o),
            "g": (BATCH, self.places, self.places, self.o),
        }
        found = {name: rng.standard_normal(s, dtype=np.float32) for name, s in shapes.items()}
        if order == "last":
            return found
        moves = {"x": (0, 3, 1, 2), "w": (3, 2, 0, 1), "g": (0, 3, 1, 2)}
        return {name: np.ascontiguousarray(a.transpose(moves[name])) for name, a in found.items()}


LAYERS = {
    layer.name: layer
    for layer in (
        Layer("stem", 224, 3, 64, 7, stride=2),
        Layer("res64", 56, 64, 64, 3),
        Layer("res128", 28, 128, 128, 3),
        Layer("res256", 14, 256, 256, 3),
        Layer("res512", 7, 512, 512, 3),
        Layer("half128", 56, 64, 128, 3, stride=2),
        Layer("half512", 14, 256, 512, 3, stride=2),
        Layer("shortcut128", 56, 64, 128, 1, stride=2),
        Layer("point64", 56, 256, 64, 1),
        Layer("point512", 14, 512, 512, 1),
        Layer("depthwise128", 56, 128, 128, 3, groups=128),
        Layer("depthwise512", 14, 512, 512, 3, groups=512),
        Layer("depthhalf256", 28, 256, 256, 3, stride=2, groups=256),
        Layer("grouped128", 28, 128, 128, 3, groups=4),
    )
}


# ---- in a worker ------------------------------------------------------------------------------------------


def _symgrad(layer: Layer, what: str, order: str) -> Call:
    sg = importlib.import_module("symgrad")
    arrays = layer.arrays(order)
    tensors = {name: sg.tensor(name, a.shape, a.dtype) for name, a in arrays.items()}
    x, w, g = tensors.values()
    y = sg.conv2d(x, w, stride=layer.stride, padding=layer.padding, groups=layer.groups, channels=order)
    result = y if what == "forward" else sg.vjp(y, [x if what == "input" else w], g)[0]
    f = sg.function([tensors[name] for name in _READ[what]], result)
    arguments = [arrays[name] for name in _READ[what]]
    return lambda: f(*arguments)


def _torch(layer: Layer, what: str, order: str) -> Call:
    torch = importlib.import_module("torch")
    arrays = {name: torch.from_numpy(a) for name, a in layer.arrays("first").items()}
    if order == "last":
        arrays = {name: t.contiguous(memory_format=torch.channels_last) for name, t in arrays.items()}
    x, w, g = arrays.values()
    geometry = ([layer.stride] * 2, [layer.padding] * 2, [1, 1])
    if what == "forward":
        return lambda: torch.conv2d(x, w, None, *geometry, layer.groups)
    mask = [what == "input", what == "weights", False]
    backward = torch.ops.aten.convolution_backward
    place = mask.index(True)
    return lambda: backward(g, x, w, None, *geometry, False, [0, 0], layer.groups, mask)[place]


def _jax(layer: Layer, what: str, order: str) -> Call:
    jax = importlib.import_module("jax")
    arrays = {name: jax.numpy.asarray(a) for name, a in layer.arrays(order).items()}
    x, w, g = arrays.values()
    numbers = ("NHWC", "HWIO", "NHWC") if order == "last" else ("NCHW", "OIHW", "NCHW")

    def forward(x: Any, w: Any) -> Any:
        return jax.lax.conv_general_dilated(
            x, w, [layer.stride] * 2, [(layer.padding,) * 2] * 2,
            dimension_numbers=numbers, feature_group_count=layer.groups,
        )  # fmt: skip

    made: dict[str, tuple[Any, tuple[Any, Any]]] = {
        "forward": (forward, (x, w)),
        "input": (lambda w, g: jax.vjp(lambda x: forward(x, w), x)[1](g)[0], (w, g)),
        "weights": (lambda x, g: jax.vjp(lambda w: forward(x, w), w)[1](g)[0], (x, g)),
    }
    function, arguments = made[what]
    compiled = jax.jit(function)
    return lambda: compiled(*arguments).block_until_ready()


_MAKERS: dict[str, Callable[[Layer, str, str], Call]] = {"symgrad": _symgrad, "torch": _torch, "jax": _jax}


def work(system: str, threads: int) -> None:
    """Answer requests, a line each: the sum of absolute values of the result, and the seconds of calls."""
    if system in ("symgrad", "torch"):
        importlib.import_module(system).set_num_threads(threads)
    calls: dict[tuple[str, ...], Call] = {}
    for line in sys.stdin:
        wanted = json.loads(line)
        key = (wanted["layer"], wanted["what"], wanted["order"])
        if key not in calls:
            if calls and next(iter(calls))[:2] != key[:2]:
                calls.clear()
            calls[key] = _MAKERS[system](LAYERS[key[0]], key[1], key[2])
        found = np.abs(np.asarray(calls[key]())).sum(dtype=np.float64)
        print(json.dumps([float(found), _timings(calls[key], wanted["seconds"])]), flush=True)


def _timings(call: Call, seconds: float) -> list[float]:
    found = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(found) < 3:
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found


# ---- in the one that asks ---------------------------------------------------------------------------------


class Worker:
    """A system in a process of its own."""

    def __init__(self, system: str, python: str, threads: int) -> None:
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, str(threads)) | {"JAX_PLATFORMS": "cpu"}
        environment.pop("SYMGRAD_VALIDATE", None)
        command = [python, __file__, "--worker", system, "--threads", str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def time(self, **wanted: Any) -> tuple[float, list[float]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(wanted), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"a worker failed on {wanted}")
        total, times = json.loads(answer)
        return total, times


def _peak(threads: int) -> float:
    """Thousands of millions of float32 operations a second."""
    machine = Path(__file__).with_name("machine.py")
    done = subprocess.run([sys.executable, str(machine)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return float(found["float32 GFLOP/s"]) * threads / found["cores"]


def compare(given: argparse.Namespace) -> None:
    peak = _peak(given.threads)
    python = dict(pair.split("=", 1) for pair in given.python)
    systems = ["symgrad", *given.peers]
    workers = {s: Worker(s, python.get(s, sys.executable), given.threads) for s in systems}
    print(f"{given.threads} threads, {peak:.0f} GFLOP/s of float32 multiply-adds")
    heads = "".join(f"{s:>17}" for s in systems) + "   of peak" + "".join(f"   x {p}" for p in given.peers)
    print(f"{'layer':14}{'what':9}{heads}")
    ratios: dict[str, list[float]] = {p: [] for p in given.peers}
    fastest: list[float] = []
    for layer in (LAYERS[name] for name in given.layers):
        for what in given.what:
            best = _best(workers, layer, what, given)
            own = best["symgrad"][0]
            shown = "".join(f"{layer.flops / t / 1e9:11.1f} {order:5}" for t, order in best.values())
            line = f"{layer.name:14}{what:9}{shown} {100 * layer.flops / own / 1e9 / peak:7.0f} %"
            for p in given.peers:
                ratios[p].append(best[p][0] / own)
                line += f" {best[p][0] / own:{len(p) + 4}.2f}"
            if given.peers:
                fastest.append(min(best[p][0] for p in given.peers) / own)
            print(line, flush=True)
    for name, found in (*ratios.items(), ("the fastest of them", fastest)):
        if found:
            mean = math.exp(sum(map(math.log, found)) / len(found))
            print(f"{mean:.2f} x {name} in geometric mean, at least {min(found):.2f} x")


def _best(
    workers: dict[str, Worker], layer: Layer, what: str, given: argparse.Namespace
) -> dict[str, tuple[float, str]]:
    """The median seconds of each system's faster order, and which it is."""
    times: dict[tuple[str, str], list[float]] = {(s, order): [] for s in workers for order in ORDERS}
    for _ in range(given.rounds):
        for (system, order), found in times.items():
            total, seconds = workers[system].time(
                layer=layer.name, what=what, order=order, seconds=given.seconds
            )
            _check(layer, what, total)
            found += seconds
    return {s: min((float(np.median(times[s, order])), order) for order in ORDERS) for s in workers}


_totals: dict[tuple[str, str], float] = {}


def _check(layer: Layer, what: str, total: float) -> None:
    """Refuse a result whose sum of absolute values is not that of the others."""
    first = _totals.setdefault((layer.name, what), total)
    if not math.isclose(total, first, rel_tol=1e-4):
        raise SystemExit(f"{layer.name}, {what}: the results of two systems differ")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--layers", nargs="*", choices=LAYERS, default=list(LAYERS))
    options.add_argument("--what", nargs="*", choices=WHAT, default=WHAT)
    options.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    options.add_argument("--python", nargs="*", default=[], metavar="PEER=PATH", help="interpreters")
    options.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options.add_argument("--rounds", type=int, default=3, help="turns of each system (default 3)")
    options.add_argument("--seconds", type=float, default=0.1, help="of a turn (default 0.1)")
    options.add_argument("--worker", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.worker:
        work(given.worker, given.threads)
    else:
        compare(given)


if __name__ == "__main__":
    main()
