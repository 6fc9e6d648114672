"""The conventions of docs/derivatives.md: three derivatives of every case, both modes, and through other
ops."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

import symgrad as sg
from tests.autodiff.conventions import CASES, COMPLEX, Case
from tests.golden_text import Golden

PEERS = Path(__file__).with_name("peers.json")


def function(case: Case) -> Callable[[Any], Any]:
    """The case's text as a function: a row of our own table."""
    return eval(f"lambda x: {case.symgrad}", {"sg": sg})  # type: ignore[no-any-return]


def by_reverse(y: Any, x: Any) -> list[Any]:
    found = []
    for _ in range(3):
        y = sg.grad(y, x, disconnected_inputs="ignore")
        found.append(y)
    return found


def by_forward(y: Any, x: Any) -> list[Any]:
    found = []
    for _ in range(3):
        y = sg.jvp(y, x, 1.0, disconnected_inputs="ignore")
        found.append(y)
    return found


def derivatives() -> list[list[float]]:
    """For each case its three derivatives by reverse mode, then by forward mode."""
    inputs, outputs = [], []
    for i, case in enumerate(CASES):
        x = sg.scalar(f"x{i}")
        y = function(case)(x)
        inputs.append(x)
        outputs += [*by_reverse(y, x), *by_forward(y, x)]
    f = sg.function(inputs, outputs, on_unused_input="ignore")
    found = [float(v) for v in f(*[case.at for case in CASES])]
    return [found[6 * i : 6 * i + 6] for i in range(len(CASES))]


def test_conventions() -> None:
    wrong = []
    for case, found in zip(CASES, derivatives(), strict=True):
        for mode, values in (("reverse", found[:3]), ("forward", found[3:])):
            ok = all(
                a == b or (math.isfinite(b) and abs(a - b) <= 1e-13 * abs(b))
                for a, b in zip(values, case.expected, strict=True)
            )
            if not ok:
                wrong.append(f"{case.symgrad} at {case.at}, {mode}: {values}, expected {case.expected}")
    assert not wrong, "\n".join(wrong)


# ---- masked, also through other ops -----------------------------------------------------------------

#: name -> (function, bad point, where it is taken)
MASKED: dict[str, tuple[Callable[[Any], Any], float, Callable[[Any], Any]]] = {
    "log": (sg.log, 0.0, lambda x: x > 0),
    "log beyond": (sg.log, -1.0, lambda x: x > 0),
    "sqrt": (sg.sqrt, 0.0, lambda x: x > 0),
    "sqrt beyond": (sg.sqrt, -1.0, lambda x: x > 0),
    "1/x": (lambda x: 1 / x, 0.0, lambda x: x > 0),
    "norm": (lambda x: sg.norm(sg.stack([x, 2 * x]), axis=0), 0.0, lambda x: x > 0),
    "root of a sum of squares": (
        lambda x: sg.sqrt(sg.sum(sg.stack([x, 2 * x]) ** 2, axis=0)),
        0.0,
        lambda x: x > 0,
    ),
    "x**0.5": (lambda x: x**0.5, 0.0, lambda x: x > 0),
    "x**0.5 beyond": (lambda x: x**0.5, -1.0, lambda x: x > 0),
    "atan2": (lambda x: sg.atan2(x, x), 0.0, lambda x: x > 0),
    "acos": (sg.acos, 1.0, lambda x: x < 1),
    "acos beyond": (sg.acos, 1.5, lambda x: x < 1),
}

N = 3
MATRIX = np.arange(9.0).reshape(3, 3) + 1

#: What may lie between the masked value and the cost, or between the variable and the bad function.
AROUND: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda v: v,
    "sum": lambda v: sg.sum(v) * sg.ones(N),
    "matmul": lambda v: sg.constant(MATRIX) @ v,
    "broadcast": lambda v: sg.sum(sg.broadcast_to(v[:, None], (N, 4)) * 2.0, axis=1),
    "gather": lambda v: sg.take(v, [2, 0, 0]),
    "concat": lambda v: sg.concat([v, v])[1:4],
    "transpose": lambda v: sg.reshape(sg.permute_dims(sg.reshape(v, (N, 1))), (N,)),
}


@pytest.mark.parametrize("name", MASKED)
def test_a_masked_branch_has_derivative_zero(name: str) -> None:
    """Orders one to three, both modes, whatever lies between."""
    f, bad, taken = MASKED[name]
    outputs, labels = [], []
    x = sg.vector("x", size=N)
    for where, outer in AROUND.items():
        masked = outer(sg.where(taken(x), f(x), 0.0))
        for mode in ("reverse", "forward"):
            y = sg.sum(masked * sg.cos(sg.constant(np.arange(1.0, 4.0))))
            for order in (1, 2, 3):
                if mode == "reverse":
                    y = sg.sum(sg.grad(y, x, disconnected_inputs="ignore"))
                else:
                    y = sg.jvp(y, x, sg.ones(N), disconnected_inputs="ignore")
                outputs.append(y)
                labels.append(f"{name}, {where}, {mode}, order {order}")
    found = sg.function([x], outputs)(np.full(N, bad))
    assert not [label for label, v in zip(labels, found, strict=True) if v != 0]


@pytest.mark.parametrize("name", MASKED)
def test_masked_inside(name: str) -> None:
    """A variable that a mask takes away before the bad function: where(c, x, bad) has cotangent 0, and the
    infinite slope there does not show."""
    f, bad, _ = MASKED[name]
    x = sg.vector("x", size=N)
    for inner in (AROUND["matmul"], AROUND["gather"], AROUND["broadcast"]):
        y = sg.sum(f(sg.where(sg.constant(np.zeros(N, bool)), inner(x), bad)))
        g = sg.grad(y, x)
        t = sg.jvp(y, x, np.ones(N))
        second = sg.grad(sg.sum(g), x, disconnected_inputs="ignore")
        for v in sg.function([x], [g, t, second], on_unused_input="ignore")(np.full(N, 0.5)):
            assert not np.any(v), name


# ---- written naively --------------------------------------------------------------------------------


def exact_hessian(f: Callable[..., Any], at: list[float]) -> np.ndarray:
    """Second derivatives of a function of mpmath numbers, with digits to spare."""
    with mpmath.workdps(1600 if max(map(abs, at)) > 100 else 120):
        n = len(at)
        result = np.zeros((n, n))
        for i in range(n):
            for j in range(n):
                order = tuple((k == i) + (k == j) for k in range(n))
                result[i, j] = float(mpmath.diff(f, at, order, h=mpmath.mpf(10) ** -30))
        return result


def lse(*xs: Any) -> Any:
    return mpmath.log(sum(map(mpmath.exp, xs)))


NAIVE: dict[str, tuple[Callable[[Any], Any], Callable[..., Any], list[list[float]]]] = {
    "log(1+exp(x))": (
        lambda x: sg.log(1 + sg.exp(x[0])),
        lambda x: mpmath.log(1 + mpmath.exp(x)),
        [[40.0], [-40.0], [1000.0], [-1000.0]],
    ),
    "log(sum(exp(x)))": (
        lambda x: sg.log(sg.sum(sg.exp(x))),
        lse,
        [[40.0, 0.0, 1.0], [1000.0, 999.0, 998.5], [-1000.0, -1001.0, -1000.5], [40.0, 40.0, 0.0]],
    ),
    "-log(softmax(x))[k]": (
        lambda x: -sg.log(sg.softmax(x))[1],
        lambda *xs: lse(*xs) - xs[1],
        [[40.0, 0.0, 1.0], [1000.0, 999.0, 998.5], [0.0, 40.0, 1.0]],
    ),
    "log(sigmoid(x))": (
        lambda x: sg.log(sg.sigmoid(x[0])),
        lambda x: -mpmath.log(1 + mpmath.exp(-x)),
        [[40.0], [-40.0], [1000.0], [-1000.0]],
    ),
    "logaddexp": (
        lambda x: sg.log(sg.exp(x[0]) + sg.exp(x[1])),
        lse,
        [[40.0, 0.0], [0.0, 40.0], [1000.0, 999.0], [-1000.0, -1001.0]],
    ),
}


@pytest.mark.parametrize("name", NAIVE)
def test_hessians_of_what_is_written_naively(name: str) -> None:
    naive, exact, points = NAIVE[name]
    x = sg.vector("x", size=len(points[0]))
    f = sg.function([x], sg.hessian(naive(x), x))
    for at in points:
        np.testing.assert_allclose(
            f(at), exact_hessian(exact, at), rtol=1e-12, atol=0, err_msg=f"{name} at {at}"
        )


# ---- the document -----------------------------------------------------------------------------------

CHOLESKY = """a = sg.matrix("a", shape=(2, 2))
factor = sg.linalg.cholesky(a)
f = sg.function([a], [factor, sg.grad(factor[1, 1], a)])
for result in f([[4.0, 2.0], [2.0, 5.0]]):
    show(result)"""
EIGH = """a = sg.matrix("a", shape=(2, 2))
w, v = sg.linalg.eigh(a)
f = sg.function([a], [w, sg.grad(w[0], a), sg.jvp(v, a, sg.constant([[0.0, 1.0], [1.0, 0.0]]))])
for point in ([[1.0, 0.0], [0.0, 3.0]], [[1.0, 0.0], [0.0, 1.0]]):
    for result in f(point):
        show(result)"""


def matrices() -> dict[str, str]:
    """The examples of the section on matrices, and what they print."""
    found = {}
    for name, code in (("cholesky", CHOLESKY), ("eigh", EIGH)):
        lines: list[str] = []

        def show(x: np.ndarray, lines: list[str] = lines) -> None:
            lines.append(str((np.asarray(x).round(6) + 0.0).tolist()))

        exec(code, {"sg": sg, "show": show})
        found[name] = "\n".join(lines)
        found[f"{name}_code"] = code.replace("show(result)", "print(result.tolist())")
    return found


PAGE = """# Derivatives

Generated by `tests/autodiff/test_conventions.py`, which holds every line (`pytest --update-golden` rewrites it).

## Ways to differentiate

| | gives |
|---|---|
| `grad(cost, wrt)`, `value_and_grad` | the gradient of a scalar, in the form of `wrt` (a tensor, a sequence or a dict) |
| `vjp(y, wrt, cotangents)` | reverse mode: cotangents of `wrt` |
| `jvp(y, wrt, tangents)` | forward mode: tangents of `y` |
| `jacobian(y, wrt, mode="auto")` | shape `y.shape + x.shape`; one vectorised graph, forward or reverse by size |
| `hessian(cost, wrt)` | the Jacobian of the gradient; for several tensors, a dict of dicts or a list of lists |
| `hvp(cost, wrt, vectors)` | the Hessian times a vector, forward over reverse, without making the Hessian |
| `vmap(f)` | `f` for every element along an axis, derivatives inside `f` included |
| `stop_gradient(x)` | a constant for derivatives |
| `custom_vjp(f, rule)`, `custom_jvp(f, rule)` | your own rule; the other mode follows by transposing it |
| `checkpoint(f)` | values of `f` are computed again for the derivative instead of being kept |
| `custom_root(f, guess, solve)` | a root, differentiated by the implicit function theorem |

All of them add graph and compute nothing, so they nest in any order and to any depth.

Forward mode has direct rules for elementwise and linear ops. For the others it transposes the transpose: the reverse
rule sends a cotangent u back, linearly in u; pulling a tangent back through that linear map gives the tangent of the
output.

## Conventions

Where mathematics leaves a choice, or where systems commonly go wrong: the first, second and third derivative at a
point, in float64, by both modes (`-` where a system refuses, or has no such function). {versions}.

| | function | at | symgrad | JAX | PyTorch |
|---|---|---|---|---|---|
{rows}

In words:

* The cotangent of a value that is not taken (`where`, `maximum`, `clip`, indices, `sort` ...) is exactly 0 at every
  order, whatever that value is. Products with an infinite slope are *strong-zero* products, whose zeros are kept, also
  through sums, matrix products, broadcasts and gathers, and in Jacobians, whose basis vectors are mostly zeros. So are,
  forward, the tangents of what depends on no target (zeros of `pad`, the other parts of a `concat`).
* Ties of `maximum`, `minimum`, `max`, `min` and running maxima are split equally among the tied.
* `abs`, norms, `hypot`, `atan2` and the standard deviation of a constant have the derivative 0 where they have a kink;
  `relu` has 0 at 0, `leaky_relu` its slope, `clip` 1 at its bounds. Roots of sums of squares written by hand,
  `sqrt(sum(x**2))`, are norms. Even powers of all these, `norm(x)**2` or `norm(x) * norm(x)`, are smooth: their Hessians are those of x².
* Where all x are -inf there is no mass: `softmax` is 0, `logsumexp` and `log_softmax` are -inf. Derivatives follow the
  softmax: 0 for the first two; `log_softmax`, as x less its `logsumexp`, sends back its cotangent.
* Products divide by nothing: zeros are right at every order.
* `log(1 + exp(x))`, `log(sum(exp(x)))`, `log(softmax(x))`, `log(sigmoid(x))`, `log(ndtr(x))`, logarithms of products of
  these, and their like are brought into stable form *before* they are differentiated, so that derivatives of all orders
  are exact for large arguments (`stabilize=False` switches it off). Rewriting never crosses a tensor that you named in
  the call.
* Repeated indices accumulate; what a repeated index overwrites has cotangent 0.
* Integers and booleans have no derivative; asking for one is a `TypeError`.

## Complex numbers

The gradient of a real cost with respect to a complex z = x + iy is d/dx + i d/dy: the direction of steepest ascent, as
in PyTorch (JAX has its conjugate). So `z - rate * sg.grad(cost, z)` descends. At z = 1 + 2i:

| cost | gradient |
|---|---|
{complex_rows}

* A cotangent g of y stands for Re(sum(conj(g) dy)), so transposes are adjoints. Of an analytic f, `vjp` sends back
  conj(f'(z)) g, and `jvp` pushes f'(z) t. `a @ b` sends g bᴴ to a.
* Real parameters inside complex computations have real gradients; integers and booleans none.
* The cost must be real: `sg.grad` of a complex one is an error that offers `real`, `imag` and `abs`.
* `sg.jacobian(y, x)`: of a real y the rows are gradients; of a real x it is dy/dx; of two complex ones there is one
  number for each pair only where y is analytic, which `holomorphic=True` promises. `sg.hvp` is the derivative of the
  gradient in a direction, whatever the cost; a `sg.hessian` with respect to complex numbers is an error.
* `abs`, `sign` and `angle` have the derivative 0 at 0, at every order; |z|² written as `sg.real(z * sg.conj(z))` is
  smooth there.
* `sg.check_grad` goes in complex directions t, along which the slope is Re(sum(conj(gradient) t)).

## Fourier transforms

`sg.fft` has the functions of `numpy.fft`. They are linear, and their derivatives are transforms again, exact at every
order, in both modes and under `vmap`:

| | sends back to x |
|---|---|
| `fft(x)` | n `ifft(g)`: the same sums with the other sign in the exponent, without the factor 1 / n |
| `ifft(x)` | `fft(g)` / n |
| `rfft(x)` | n `irfft(g / w)`, where w is 2 for elements that stand for a pair of frequencies, else 1 |
| `irfft(x)` | w `rfft(g)` / n |

The norms "ortho" and "forward" move the factor; with "ortho", `fft` is unitary. float32 stays
in single precision. Sizes and `n` may be symbolic. `sg.passes.fast` takes x for `ifft(fft(x))`.
`examples/deconvolution.py` fits a blurred spectrum through a product of transforms.

## Matrices

**Cholesky.** Of the matrix, the lower triangle alone is read, as in NumPy and LAPACK; so the gradient is lower
triangular: an element below the diagonal stands for itself and for its mirror image. (With `upper=True`, all of that
holds for the upper triangle.) Systems that make the gradient symmetric spread the same numbers over both triangles.

```python
{cholesky_code}
```

```
{cholesky}
```

**Eigenvectors.** `eigh` reads one triangle, and its gradient is in that triangle, too. Vectors have the signs that LAPACK
gives them, and derivatives keep those. With v_i and w_i,

    d w_i = v_i^T da v_i        d v_i = sum over j != i of v_j (v_j^T da v_i) / (w_i - w_j)

where w_i and w_j are equal (to n eps times the largest |w|), that quotient is taken as 0: derivatives are finite, and
right, as far as first derivatives, for functions of the eigenvalues alone and of projections on the whole space of a
repeated one. What is missing is the part between equal eigenvalues: that of `(v * f(w)) @ v.T`, which has a derivative
there (`expm` and `matrix_power` have rules of their own), and of second derivatives. `svd` does the same with gaps of
squared singular values, and takes 1 / s as 0 where s is 0; vectors beyond the singular values (`full_matrices`, a
complete `qr`) have none.

```python
{eigh_code}
```

```
{eigh}
```

**Singular matrices.** The gradient of `det` is the matrix of cofactors, and its second derivative is made of products of
all singular values but two, so both are right at every matrix; third derivatives need an inverse. `slogdet`, `inv`,
`solve` and `qr` of dependent columns have no derivative there: LinAlgError. `pinv` and `lstsq` are differentiated along
matrices of the same rank (Golub and Pereyra).

**Complex matrices.** All of `sg.linalg` takes them; for symmetric and transpose read Hermitian and conjugate transpose.
Of the diagonal of a Hermitian matrix the real part alone is read, so the gradient is real there. The sign that `slogdet`
gives is a complex number of length 1, with a derivative; R of `qr` has a real diagonal. Vectors of `eigh` and `svd` have
the phases that LAPACK gives them, which nothing determines: derivatives turn no phase (v_iᴴ dv_i = 0 for `eigh`,
u_iᴴ du_i = -v_iᴴ dv_i for `svd`). So they are right, at every order, for whatever does not depend on phases, such as
projections, |v|, U f(S) Vh.

**Assumptions.** `sg.assume(a, "positive_definite")` changes how things are computed, not what the gradient is: that of
`solve(a, b)` has both triangles, since `solve` reads both.
"""  # noqa: E501


def shown(value: float | str) -> str:
    number = float(value)
    return "0" if number == 0 else f"{number:.5g}"


def complex_gradients() -> dict[str, str]:
    """The gradient of each row of `COMPLEX` at 1 + 2j, as text."""
    z = sg.scalar("z", dtype="complex128")
    found = {text: sg.grad(eval(text, {"sg": sg, "z": z}), z).eval({z: 1 + 2j}) for text in COMPLEX}
    for text, wanted in COMPLEX.items():
        assert abs(found[text] - wanted) <= 1e-13, f"{text}: {found[text]}, expected {wanted}"
    return {text: f"{v.real:.5g}{v.imag:+.5g}i" for text, v in found.items()}


def test_document(golden: Golden) -> None:
    """docs/derivatives.md is what the table says; peers' numbers come from benchmarks/derivatives.py."""
    peers = json.loads(PEERS.read_text())
    lines = []
    for case, found in zip(CASES, derivatives(), strict=True):
        row = [", ".join(map(shown, found[:3]))]
        for peer in ("jax", "torch"):
            theirs = peers["cases"].get(f"{getattr(case, peer)} @ {case.at}")
            row.append("-" if theirs is None else ", ".join(map(shown, theirs)))
        lines.append(f"| {case.what} | `{case.symgrad}` | {case.at:g} | {' | '.join(row)} |")
    versions = " and ".join(f"{name} {version}" for name, version in peers["versions"].items())
    complex_rows = [f"| `{text}` | {value} |" for text, value in complex_gradients().items()]
    pieces = {"complex_rows": "\n".join(complex_rows), **matrices()}
    page = PAGE.format(rows="\n".join(lines), versions=versions, **pieces)
    golden(Path(__file__).parents[2] / "docs" / "derivatives.md", page)
