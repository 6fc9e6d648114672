"""The derivative matrix: every op x sample x dtype x backend.

One program for each op and dtype computes, for all its samples: the value, a jvp, a vjp, the jvp and the
vjp of that vjp (second derivatives, forward over reverse and reverse over reverse), and the value under
vmap. Then

    type        what is inferred is what comes out
    value       NumPy's or SciPy's
    first       the jvp against finite differences in a random direction, a complex one of complex operands;
                <g, J t> = <J^T g, t>
    second      the jvp of the vjp against finite differences; the same identity for it
    vmap        against a loop
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad import registry
from symgrad.api.structure import flatten
from symgrad.ir.op import Op
from symgrad.ir.traverse import ancestors
from symgrad.ops.kinds import Elementwise, TensorOp
from tests.ops.samples import SAMPLES, Sample
from tests.ops.samples_complex import COMPLEX
from tests.ops.samples_linalg_complex import LINALG_COMPLEX

STEP = 1e-4
#: Coefficients of f(x - 2h) ... f(x + 2h) in the derivative, times h.
STENCIL = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}
#: Rules and shells that no graph of samples holds by itself; tests/autodiff/test_transforms.py runs them.
WITH_GRAPHS = {"custom_vjp", "custom_jvp", "checkpoint", "barrier", "implicit_root"}

#: The passes of float32 programs, and of what they are compared with, are validated in a campaign: they are
#: those of float64.
IS_CAMPAIGN = os.environ.get("SYMGRAD_TEST_PROFILE") == "campaign"

COMPLEX_ROWS = {*COMPLEX, *LINALG_COMPLEX}


def test_every_op_has_a_row() -> None:
    missing = sorted(set(registry.ops) - set(SAMPLES) - WITH_GRAPHS)
    assert not missing, f"add a row to tests/ops/samples_*.py for: {missing}"


def test_every_op_of_complex_numbers_has_complex_samples() -> None:
    """The default takes complex numbers: a rule that holds for real ones only would be wrong unseen."""
    for name, op in registry.ops.items():
        if isinstance(op, Elementwise) and "complex" in op.accepts and op.reason(0) is None:
            rows = [*SAMPLES.get(name, ()), *SAMPLES.get(f"{name} of complex", ())]
            has_complex = any(a.dtype.kind == "c" for sample in rows for a in sample.operands)
            assert has_complex, f"add a row {name + ' of complex'!r} of samples, or accepts=FLOATS to {name}"


class Plan:
    """What is computed for one sample."""

    def __init__(self, sample: Sample, number: int, dtype: str) -> None:
        rng = np.random.default_rng(number)
        self.sample, self.dtype = sample, dtype
        self.values = [a.astype(with_parts(a.dtype, dtype)) for a in sample.operands]
        moving = [i for i, a in enumerate(self.values) if a.dtype.kind in "fc"] if sample.smooth else []
        self.shapes = [
            [f"{d}_{number}" if isinstance(d, str) else d for d in shape]
            for shape in (sample.shapes or [a.shape for a in self.values])
        ]
        xs = [
            sg.tensor(f"x{number}_{i}", s, a.dtype)
            for i, (s, a) in enumerate(zip(self.shapes, self.values, strict=True))
        ]
        self.ys = flatten(sample.build(*xs))
        self.inputs, self.fixed = list(xs), []
        self.t = [self.constant(rng, f"t{number}_{i}", xs[i]) for i in moving]
        floats = [y for y in self.ys if y.dtype.is_differentiable] if moving else []
        self.g = [self.constant(rng, f"g{number}_{i}", y) for i, y in enumerate(floats)]
        self.u = [self.constant(rng, f"u{number}_{i}", xs[i]) for i in moving]
        wrt = [xs[i] for i in moving]
        self.outputs: dict[str, list[Any]] = {"value": self.ys}
        if floats:
            ignore: dict[str, Any] = {"disconnected_inputs": "ignore"}
            sent = sg.vjp(floats, wrt, self.g, **ignore)
            self.outputs["jvp"] = sg.jvp(floats, wrt, self.t, **ignore)
            self.outputs["vjp"] = sent
            self.outputs["jvp of vjp"] = sg.jvp(sent, wrt, self.t, **ignore)
            self.outputs["vjp of vjp"] = sg.vjp(sent, wrt, self.u, **ignore)
        twice = [sg.tensor(f"{x.name}_twice", (2, *x.shape), x.dtype) for x in xs]
        if xs:
            self.outputs["vmap"] = flatten(sg.vmap(sample.build)(*twice))
        self.inputs += twice
        self.moving = moving
        self.direction = [a for _, a in self.fixed[: len(self.t)]]

    def constant(self, rng: Any, name: str, like: Any) -> Any:
        shape = [int(d) if isinstance(d, int) else self._size(str(d)) for d in like.shape]
        value = rng.uniform(-1, 1, shape)
        if like.dtype.kind == "complex":
            value = value + 1j * rng.uniform(-1, 1, shape)
        tensor = sg.tensor(name, like.shape, like.dtype)
        value = np.asarray(value, like.dtype.numpy)
        self.fixed.append((tensor, value))
        self.inputs.append(tensor)
        return tensor

    def _size(self, name: str) -> int:
        found = zip(self.shapes, self.values, strict=True)
        return next(n for shape, a in found for d, n in zip(shape, a.shape, strict=True) if d == name)

    def arguments(self, step: float = 0.0, flipped: bool = False) -> list[Any]:
        """Values of the inputs: the sample's, or a step away, or in reverse order."""
        moved = dict(zip(self.moving, self.direction, strict=True)) if step else {}
        values = [a + step * moved[i] if i in moved else a for i, a in enumerate(self.values)]
        values = [flip(a) for a in values] if flipped else values
        return [*values, *[a for _, a in self.fixed], *[np.stack([a, flip(a)]) for a in self.values]]


def with_parts(dtype: np.dtype, part: str) -> np.dtype:
    """The dtype of a sample's operand, in another precision."""
    names = {"f": part, "c": {"float32": "complex64", "float64": "complex128"}[part]}
    return np.dtype(names.get(dtype.kind, dtype))


def flip(a: np.ndarray) -> np.ndarray:
    """The elements in another order: still in the function's domain."""
    return a.reshape(-1)[::-1].reshape(a.shape).copy()


class Program:
    """All samples of an op, compiled together; of what a plan computes, `keys`."""

    def __init__(
        self, name: str, dtype: str, backend: str | None = None, keys: Collection[str] | None = None
    ) -> None:
        self.plans = [Plan(s, i, dtype) for i, s in enumerate(SAMPLES[name])]
        for plan in self.plans if keys is not None else ():
            plan.outputs = {key: ts for key, ts in plan.outputs.items() if key in keys}
        outputs = [t for p in self.plans for key in p.outputs for t in p.outputs[key]]
        inputs = [t for p in self.plans for t in p.inputs]
        self.f = sg.function(
            inputs,
            outputs,
            on_unused_input="ignore",
            name="matrix",
            backend=backend,
            validate=None if dtype == "float64" and keys is None else IS_CAMPAIGN,
        )

    def __call__(self, step: float = 0.0, flipped: bool = False) -> list[dict[str, list[Any]]]:
        arguments = [a for p in self.plans for a in p.arguments(step, flipped)]
        found = iter(self.f(*arguments))
        return [{key: [next(found) for _ in ts] for key, ts in p.outputs.items()} for p in self.plans]


def dot(xs: Any, ys: Any) -> float:
    """The inner product over the reals, Re(conj(x) y): the one in which transposes are adjoints."""
    return float(sum(np.vdot(x, y).real for x, y in zip(xs, ys, strict=True)))


def close(found: Any, expected: Any, tolerance: float, what: str) -> None:
    scale = 1 + max((float(np.abs(e).max(initial=0)) for e in expected), default=0.0)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale, err_msg=what)


@pytest.mark.parametrize("name", SAMPLES)
def test_float64(name: str) -> None:
    program = Program(name, "float64")
    base, flipped = program(), program(flipped=True)
    around = {k: program(step=k * STEP) for k in STENCIL}
    for i, (plan, at) in enumerate(zip(program.plans, base, strict=True)):
        what = f"{name}, sample {i}"
        for y, a in zip(plan.ys, at["value"], strict=True):
            assert np.asarray(a).dtype == y.dtype.numpy, what
            assert all(m == n for m, n in zip(y.shape, np.shape(a), strict=True) if isinstance(m, int)), what
        if plan.sample.reference is not None:
            expected = flatten(plan.sample.reference(*plan.sample.operands))
            for a, b in zip(at["value"], expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=2e-13, atol=1e-15, err_msg=what)
        if "vmap" in at:
            for a, b, c in zip(at["vmap"], at["value"], flipped[i]["value"], strict=True):
                np.testing.assert_allclose(
                    a, np.stack([b, c]), rtol=1e-12, atol=1e-14, err_msg=f"{what}, vmap"
                )
        if "jvp" not in at:
            continue
        floats = [k for k, y in enumerate(plan.ys) if y.dtype.is_differentiable]
        difference = [sum(c * around[k][i]["value"][j] for k, c in STENCIL.items()) / STEP for j in floats]
        close(at["jvp"], difference, 1e-8, f"{what}, jvp against finite differences")
        second = [
            sum(c * around[k][i]["vjp"][j] for k, c in STENCIL.items()) / STEP for j in range(len(at["vjp"]))
        ]
        close(at["jvp of vjp"], second, 1e-8, f"{what}, second derivative against finite differences")
        identities(plan, at, 1e-11, what)


def identities(plan: Plan, at: dict[str, list[Any]], tolerance: float, what: str) -> None:
    """Forward and reverse mode are adjoint, for the function and for its vjp."""
    fixed = dict(plan.fixed)
    t, g, u = ([fixed[x] for x in tensors] for tensors in (plan.t, plan.g, plan.u))
    for key, left, right in [("first", at["jvp"], at["vjp"]), ("second", at["jvp of vjp"], at["vjp of vjp"])]:
        a, b = dot(g if key == "first" else u, left), dot(right, t)
        scale = 1 + sum(float(np.abs(x).sum()) for x in (*left, *right))
        assert abs(a - b) <= tolerance * scale, f"{what}, {key} derivative: forward {a}, reverse {b}"


@pytest.mark.native
@pytest.mark.seen
@pytest.mark.parametrize("name", [n for n, row in SAMPLES.items() if any(_.smooth for _ in row)])
def test_float32(name: str) -> None:
    """As in float64. What comes from the same rules is a campaign's: second derivatives, batches, and of
    complex numbers those in reverse."""
    keys = ["value", "jvp"] if name in COMPLEX_ROWS else ["value", "jvp", "vjp"]
    if IS_CAMPAIGN:
        keys = ["value", "vmap", "jvp", "vjp", "jvp of vjp"]
    program = Program(name, "float32", keys=keys)
    narrow, wide = program(), Program(name, "float64", backend="numpy", keys=keys)()
    for i, (a, b) in enumerate(zip(narrow, wide, strict=True)):
        if "jvp" not in a:
            continue
        for key in keys:
            what = f"{name}, sample {i}, {key}"
            wanted = program.plans[i].outputs[key]
            for x, t in zip(a[key], wanted, strict=True):
                assert np.asarray(x).dtype == t.dtype.numpy, what
            close(a[key], b[key], 2e-4, what)


# ---- errors -----------------------------------------------------------------------------------------


def nodes_of(name: str) -> Iterator[Any]:
    """The nodes of an op in the graphs of its samples."""
    for sample in SAMPLES[name]:
        xs = [sg.tensor(f"x{i}", a.shape, a.dtype) for i, a in enumerate(sample.operands)]
        ys = flatten(sample.build(*xs))
        yield from (n for n in ancestors(ys) if n.op.name == name)


@pytest.mark.native
@pytest.mark.parametrize("name", [n for n in SAMPLES if n in registry.ops])
def test_infer_refuses_or_answers(name: str) -> None:
    """Types that do not fit raise an error of symgrad's that says what is wrong, and nothing else."""
    seen: set[Op] = set()
    for node in nodes_of(name):
        types = [t.type for t in node.inputs]
        if node.op in seen or not types:
            continue
        seen.add(node.op)
        refused = 0
        for i, t in enumerate(types):
            for other in (
                t.with_shape(()),
                t.with_shape((*t.shape, 3)),
                t.with_shape(tuple(d + 1 for d in t.shape)),
                t.with_dtype(sg.dtype("bool")),
                t.with_dtype(sg.dtype("complex128")),
                t.with_dtype(sg.dtype("int64")),
            ):
                changed = [other if k == i else u for k, u in enumerate(types)]
                try:
                    node.op.infer(*changed)
                except sg.SymgradError:
                    refused += 1
        assert refused or isinstance(node.op, TensorOp)
        if isinstance(node.op, Elementwise) and len(types) > 1:
            assert refused >= 3, f"{name} takes operands of different types"
