"""One transformer block: a mean squared error, and its gradient by the input and all weights.

Normalised before each half (Xiong et al. 2020), causal attention, GELU by tanh, residuals:

    u = x + attention(norm(x)) w_out + b_out,    y = u + gelu(norm(u) w_up + b_up) w_down + b_down
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.harness import Array, Data, Program, Workload

HEADS = 4
EPSILON = 1e-5


def inputs(rng: np.random.Generator, batch: int, length: int, width: int) -> dict[str, Array]:
    found = {name: rng.standard_normal((batch, length, width), dtype=np.float32) for name in ("x", "target")}
    shapes = {
        "in": (width, 3 * width),
        "out": (width, width),
        "up": (width, 4 * width),
        "down": (4 * width, width),
    }
    for name, shape in shapes.items():
        if name in ("in", "up"):
            found[f"gain_{name}"] = 1 + rng.standard_normal(width, dtype=np.float32) / 10
            found[f"bias_{name}"] = rng.standard_normal(width, dtype=np.float32) / 10
        found[f"w_{name}"] = rng.standard_normal(shape, dtype=np.float32) * np.float32(shape[0] ** -0.5)
        found[f"b_{name}"] = rng.standard_normal(shape[1], dtype=np.float32) / 10
    return found


def by_symgrad(sg: Any, data: Data) -> Program:
    a = [sg.tensor(name, value.shape, dtype=str(value.dtype)) for name, value in data.items()]
    x, target, gain_in, bias_in, w_in, b_in, w_out, b_out, gain_up, bias_up, w_up, b_up, w_down, b_down = a
    batch, length, width = data["x"].shape

    def norm(x: Any, gain: Any, bias: Any) -> Any:
        centred = x - sg.mean(x, axis=-1, keepdims=True)
        spread = sg.mean(centred**2, axis=-1, keepdims=True)
        return centred / sg.sqrt(spread + EPSILON) * gain + bias

    def heads(x: Any) -> Any:
        return sg.reshape(x, (batch, length, HEADS, width // HEADS)).transpose((0, 2, 1, 3))

    q, k, v = map(heads, sg.split(norm(x, gain_in, bias_in) @ w_in + b_in, 3, axis=-1))
    scores = q @ k.mT * math.sqrt(HEADS / width)
    shares = sg.softmax(sg.where(sg.tri(length, dtype="bool"), scores, -math.inf), axis=-1)
    attention = sg.reshape((shares @ v).transpose((0, 2, 1, 3)), (batch, length, width))
    u = x + attention @ w_out + b_out
    y = u + sg.gelu(norm(u, gain_up, bias_up) @ w_up + b_up, approximate="tanh") @ w_down + b_down
    loss = sg.mean((y - target) ** 2)
    return Program(sg.function(a, [loss, *sg.grad(loss, [x, *a[2:]])]), tuple(data.values()))


def by_numpy(np: Any, data: Data) -> Program:
    batch, length, width = data["x"].shape
    scale = math.sqrt(HEADS / width)
    later = ~np.tri(length, dtype=bool)
    bend = math.sqrt(2 / math.pi)

    def norm(x: Array, gain: Array, bias: Array) -> tuple[Array, Array, Array]:
        centred = x - x.mean(axis=-1, keepdims=True)
        rate = 1 / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + EPSILON)
        normal = centred * rate
        return normal * gain + bias, normal, rate

    def norm_back(g: Array, gain: Array, normal: Array, rate: Array) -> tuple[Array, Array, Array]:
        d_normal = g * gain
        slope = np.mean(d_normal * normal, axis=-1, keepdims=True)
        d_x = rate * (d_normal - d_normal.mean(axis=-1, keepdims=True) - normal * slope)
        return d_x, np.sum(g * normal, axis=(0, 1)), np.sum(g, axis=(0, 1))

    def dense_back(g: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
        rows = g.reshape(-1, g.shape[-1])
        return g @ w.T, x.reshape(-1, x.shape[-1]).T @ rows, rows.sum(axis=0)

    def heads(x: Array) -> Array:
        return np.reshape(x, (batch, length, HEADS, width // HEADS)).swapaxes(1, 2)

    def joined(x: Array) -> Array:
        return x.swapaxes(1, 2).reshape(batch, length, width)

    def both(x: Array, target: Array, *weights: Array) -> list[Any]:
        gain_in, bias_in, w_in, b_in, w_out, b_out, gain_up, bias_up, w_up, b_up, w_down, b_down = weights
        n_in, normal_in, rate_in = norm(x, gain_in, bias_in)
        q, k, v = map(heads, np.split(n_in @ w_in + b_in, 3, axis=-1))
        scores = scale * (q @ k.mT)
        scores[..., later] = -np.inf
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        attention = joined(shares @ v)
        u = x + attention @ w_out + b_out
        n_up, normal_up, rate_up = norm(u, gain_up, bias_up)
        h = n_up @ w_up + b_up
        tanh = np.tanh(bend * (h + 0.044715 * h**3))
        gelu = h * (1 + tanh) / 2
        error = u + gelu @ w_down + b_down - target

        g = error * (2 / error.size)
        d_gelu, *d_down = dense_back(g, gelu, w_down)
        d_h = d_gelu * (1 + tanh + h * (1 - tanh**2) * bend * (1 + 3 * 0.044715 * h**2)) / 2
        d_n, *d_up = dense_back(d_h, n_up, w_up)
        d_u, *d_norm_up = norm_back(d_n, gain_up, normal_up, rate_up)
        d_u += g
        d_attention, *d_out = dense_back(d_u, attention, w_out)
        d_heads = heads(d_attention)
        d_shares = d_heads @ v.mT
        d_scores = scale * shares * (d_shares - np.sum(shares * d_shares, axis=-1, keepdims=True))
        parts = (d_scores @ k, d_scores.mT @ q, shares.mT @ d_heads)
        d_n, *d_in = dense_back(np.concatenate([*map(joined, parts)], axis=-1), n_in, w_in)
        d_x, *d_norm_in = norm_back(d_n, gain_in, normal_in, rate_in)
        return [np.mean(error**2), d_x + d_u, *d_norm_in, *d_in, *d_out, *d_norm_up, *d_up, *d_down]

    return Program(both, tuple(data.values()))


def by_jax(jax: Any, data: Data) -> Program:
    jnp = jax.numpy
    batch, length, width = data["x"].shape

    def norm(x: Any, gain: Any, bias: Any) -> Any:
        centred = x - jnp.mean(x, axis=-1, keepdims=True)
        spread = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
        return centred * jax.lax.rsqrt(spread + EPSILON) * gain + bias

    def heads(x: Any) -> Any:
        return x.reshape(batch, length, HEADS, width // HEADS).transpose(0, 2, 1, 3)

    def loss(x: Any, target: Any, *weights: Any) -> Any:
        gain_in, bias_in, w_in, b_in, w_out, b_out, gain_up, bias_up, w_up, b_up, w_down, b_down = weights
        q, k, v = map(heads, jnp.split(norm(x, gain_in, bias_in) @ w_in + b_in, 3, axis=-1))
        scores = q @ k.mT * math.sqrt(HEADS / width)
        shares = jax.nn.softmax(jnp.where(jnp.tri(length, dtype=bool), scores, -jnp.inf), axis=-1)
        attention = (shares @ v).transpose(0, 2, 1, 3).reshape(batch, length, width)
        u = x + attention @ w_out + b_out
        y = u + jax.nn.gelu(norm(u, gain_up, bias_up) @ w_up + b_up, approximate=True) @ w_down + b_down
        return jnp.mean(jnp.square(y - target))

    return Program(jax.jit(jax.value_and_grad(loss, (0, *range(2, 14)))), tuple(data.values()))


def by_torch(forms: Any, data: Data) -> Program:
    functional = forms.torch.nn.functional
    batch, length, width = data["x"].shape

    def heads(x: Any) -> Any:
        return x.view(batch, length, HEADS, width // HEADS).transpose(1, 2)

    def loss(x: Any, target: Any, *weights: Any) -> Any:
        gain_in, bias_in, w_in, b_in, w_out, b_out, gain_up, bias_up, w_up, b_up, w_down, b_down = weights
        normal = functional.layer_norm(x, (width,), gain_in, bias_in, EPSILON)
        q, k, v = map(heads, functional.linear(normal, w_in.T, b_in).split(width, dim=-1))
        attention = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        joined = attention.transpose(1, 2).reshape(batch, length, width)
        u = x + functional.linear(joined, w_out.T, b_out)
        normal = functional.layer_norm(u, (width,), gain_up, bias_up, EPSILON)
        h = functional.gelu(functional.linear(normal, w_up.T, b_up), approximate="tanh")
        return functional.mse_loss(u + functional.linear(h, w_down.T, b_down), target)

    return Program(forms.value_and_gradient(loss, (0, *range(2, 14))), tuple(data.values()))


def flops(batch: int, length: int, width: int) -> int:
    """Three times those forward: twelve products with squares of the width, and attention over all pairs."""
    return 3 * 2 * batch * length * (12 * width * width + 2 * length * width)


WORKLOAD = Workload(
    name="transformer",
    title="loss and gradient of a transformer block, 8 x 128 x 256, 4 heads, causal, float32",
    inputs=inputs,
    versions={"symgrad": by_symgrad, "numpy": by_numpy, "jax": by_jax, "torch": by_torch},
    outputs=(
        *("loss", "d_x", "d_gain_in", "d_bias_in", "d_w_in", "d_b_in", "d_w_out", "d_b_out"),
        *("d_gain_up", "d_bias_up", "d_w_up", "d_b_up", "d_w_down", "d_b_down"),
    ),
    sizes={"batch": 8, "length": 128, "width": 256},
    tiny={"batch": 2, "length": 7, "width": 16},
    flops=flops,
)
