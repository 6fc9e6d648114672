"""LayerNorm, then GELU by the error function, forward and backward: of x, gain, bias and the cotangent."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import ndtr

from benchmarks.harness import Array, Data, Program, Workload

EPSILON = 1e-5


def inputs(rng: np.random.Generator, rows: int, columns: int) -> dict[str, Array]:
    return {
        "x": rng.standard_normal((rows, columns), dtype=np.float32),
        "gain": 1 + rng.standard_normal(columns, dtype=np.float32) / 10,
        "bias": rng.standard_normal(columns, dtype=np.float32) / 10,
        "g": rng.standard_normal((rows, columns), dtype=np.float32),
    }


def by_symgrad(sg: Any, data: Data) -> Program:
    columns = data["x"].shape[1]
    x, g = (sg.matrix(name, shape=("n", columns), dtype="float32") for name in ("x", "g"))
    gain, bias = (sg.vector(name, size=columns, dtype="float32") for name in ("gain", "bias"))
    centred = x - sg.mean(x, axis=-1, keepdims=True)
    spread = sg.mean(centred**2, axis=-1, keepdims=True)
    y = sg.gelu(centred / sg.sqrt(spread + EPSILON) * gain + bias)
    backward = sg.vjp(y, [x, gain, bias], g)
    return Program(sg.function([x, gain, bias, g], [y, *backward]), tuple(data.values()))


def by_numpy(np: Any, data: Data) -> Program:
    def both(x: Array, gain: Array, bias: Array, g: Array) -> list[Array]:
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = 1 / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + EPSILON)
        normal = centred * scale
        h = normal * gain + bias
        below = ndtr(h)
        d_h = g * (below + h * np.exp(-h * h / 2) / math.sqrt(2 * math.pi))
        d_normal = d_h * gain
        d_x = scale * (
            d_normal
            - d_normal.mean(axis=-1, keepdims=True)
            - normal * np.mean(d_normal * normal, axis=-1, keepdims=True)
        )
        return [h * below, d_x, np.sum(d_h * normal, axis=0), np.sum(d_h, axis=0)]

    return Program(both, tuple(data.values()))


def by_jax(jax: Any, data: Data) -> Program:
    jnp = jax.numpy

    def forward(x: Any, gain: Any, bias: Any) -> Any:
        centred = x - jnp.mean(x, axis=-1, keepdims=True)
        spread = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
        return jax.nn.gelu(centred * jax.lax.rsqrt(spread + EPSILON) * gain + bias, approximate=False)

    @jax.jit
    def both(x: Any, gain: Any, bias: Any, g: Any) -> Any:
        y, backward = jax.vjp(forward, x, gain, bias)
        return y, *backward(g)

    return Program(both, tuple(data.values()))


def by_torch(forms: Any, data: Data) -> Program:
    functional = forms.torch.nn.functional

    def forward(x: Any, gain: Any, bias: Any) -> Any:
        return functional.gelu(functional.layer_norm(x, x.shape[-1:], gain, bias, EPSILON))

    return Program(forms.value_and_pullback(forward), tuple(data.values()))


def by_pytensor(pytensor: Any, data: Data) -> Program:
    pt = pytensor.tensor
    x, g = pt.fmatrix("x"), pt.fmatrix("g")
    gain, bias = pt.fvector("gain"), pt.fvector("bias")
    centred = x - pt.mean(x, axis=-1, keepdims=True)
    spread = pt.mean(centred**2, axis=-1, keepdims=True)
    h = centred / pt.sqrt(spread + np.float32(EPSILON)) * gain + bias
    y = h * np.float32(0.5) * (1 + pt.erf(h * np.float32(math.sqrt(0.5))))
    backward = pytensor.gradient.pullback(y, [x, gain, bias], g)
    return Program(pytensor.function([x, gain, bias, g], [y, *backward]), tuple(data.values()))


WORKLOAD = Workload(
    name="layernorm-gelu",
    title="LayerNorm and GELU, forward and backward, 4096 x 1024, float32",
    inputs=inputs,
    versions={
        "symgrad": by_symgrad,
        "numpy": by_numpy,
        "jax": by_jax,
        "torch": by_torch,
        "pytensor": by_pytensor,
    },
    outputs=("y", "d_x", "d_gain", "d_bias"),
    sizes={"rows": 4096, "columns": 1024},
    tiny={"rows": 6, "columns": 19},
    moved=lambda rows, columns: 4 * 4 * rows * columns,
)
