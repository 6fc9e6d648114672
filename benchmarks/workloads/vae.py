"""A variational autoencoder 784-400-20-400-784: the negative evidence bound and its gradient by all weights.

The noise is an argument, so that all systems compute the same. Pixels are Bernoulli, given as logits; the
code is normal with a diagonal (Kingma and Welling 2014, appendix B for the divergence), s its log variance:

    loss = mean over the batch of  sum(softplus(l) - x l)  +  sum(mean^2 + exp(s) - 1 - s) / 2
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from benchmarks.harness import Array, Data, Program, Workload

LAYERS = ("hidden", "mean", "spread", "back", "pixel")


def inputs(rng: np.random.Generator, batch: int, pixels: int, hidden: int, code: int) -> dict[str, Array]:
    shapes = ((pixels, hidden), (hidden, code), (hidden, code), (code, hidden), (hidden, pixels))
    found = {
        "x": rng.random((batch, pixels), dtype=np.float32),
        "noise": rng.standard_normal((batch, code), dtype=np.float32),
    }
    for name, shape in zip(LAYERS, shapes, strict=True):
        found[f"w_{name}"] = rng.standard_normal(shape, dtype=np.float32) * np.float32(shape[0] ** -0.5)
        found[f"b_{name}"] = np.zeros(shape[1], np.float32)
    return found


def by_symgrad(sg: Any, data: Data) -> Program:
    a = [sg.tensor(name, value.shape, dtype=str(value.dtype)) for name, value in data.items()]
    x, noise, w_h, b_h, w_m, b_m, w_s, b_s, w_b, b_b, w_p, b_p = a
    h = sg.relu(x @ w_h + b_h)
    mean, spread = h @ w_m + b_m, h @ w_s + b_s
    code = mean + sg.exp(spread / 2) * noise
    logits = sg.relu(code @ w_b + b_b) @ w_p + b_p
    divergence = sg.sum(mean**2 + sg.exp(spread) - 1 - spread) / 2
    loss = (sg.sum(sg.softplus(logits) - x * logits) + divergence) / x.shape[0]
    return Program(sg.function(a, [loss, *sg.grad(loss, a[2:])]), tuple(data.values()))


def by_numpy(np: Any, data: Data) -> Program:
    def both(x: Array, noise: Array, *weights: Array) -> list[Any]:
        (w_h, w_m, w_s, w_b, w_p), (b_h, b_m, b_s, b_b, b_p) = weights[0::2], weights[1::2]
        h = np.maximum(x @ w_h + b_h, 0)
        mean, spread = h @ w_m + b_m, h @ w_s + b_s
        deviation = np.exp(spread / 2)
        code = mean + deviation * noise
        k = np.maximum(code @ w_b + b_b, 0)
        logits = k @ w_p + b_p
        divergence = np.sum(mean**2 + deviation**2 - 1 - spread) / 2
        loss = (np.sum(np.logaddexp(0, logits) - x * logits) + divergence) / len(x)
        d_logits = (expit(logits) - x) / len(x)
        d_k = (d_logits @ w_p.T) * (k > 0)
        d_code = d_k @ w_b.T
        d_mean = d_code + mean / len(x)
        d_spread = (d_code * deviation * noise + (deviation**2 - 1) / len(x)) / 2
        d_h = (d_mean @ w_m.T + d_spread @ w_s.T) * (h > 0)
        pairs = ((x, d_h), (h, d_mean), (h, d_spread), (code, d_k), (k, d_logits))
        return [loss, *(part for left, g in pairs for part in (left.T @ g, g.sum(axis=0)))]

    return Program(both, tuple(data.values()))


def by_jax(jax: Any, data: Data) -> Program:
    jnp = jax.numpy

    def loss(x: Any, noise: Any, *weights: Any) -> Any:
        w_h, b_h, w_m, b_m, w_s, b_s, w_b, b_b, w_p, b_p = weights
        h = jax.nn.relu(x @ w_h + b_h)
        mean, spread = h @ w_m + b_m, h @ w_s + b_s
        code = mean + jnp.exp(spread / 2) * noise
        logits = jax.nn.relu(code @ w_b + b_b) @ w_p + b_p
        divergence = jnp.sum(mean**2 + jnp.exp(spread) - 1 - spread) / 2
        return (jnp.sum(jax.nn.softplus(logits) - x * logits) + divergence) / len(x)

    return Program(jax.jit(jax.value_and_grad(loss, tuple(range(2, 12)))), tuple(data.values()))


def by_torch(forms: Any, data: Data) -> Program:
    torch = forms.torch
    functional = torch.nn.functional

    def loss(x: Any, noise: Any, *weights: Any) -> Any:
        w_h, b_h, w_m, b_m, w_s, b_s, w_b, b_b, w_p, b_p = weights
        h = functional.relu(torch.addmm(b_h, x, w_h))
        mean, spread = torch.addmm(b_m, h, w_m), torch.addmm(b_s, h, w_s)
        code = mean + torch.exp(spread / 2) * noise
        logits = torch.addmm(b_p, functional.relu(torch.addmm(b_b, code, w_b)), w_p)
        divergence = (mean.square() + spread.exp() - 1 - spread).sum() / 2
        pixels = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        return (pixels + divergence) / len(x)

    return Program(forms.value_and_gradient(loss, tuple(range(2, 12))), tuple(data.values()))


def by_pytensor(pytensor: Any, data: Data) -> Program:
    pt = pytensor.tensor
    a = [pt.tensor(name, dtype=value.dtype, shape=value.shape) for name, value in data.items()]
    x, noise, w_h, b_h, w_m, b_m, w_s, b_s, w_b, b_b, w_p, b_p = a
    h = pt.maximum(x @ w_h + b_h, 0)
    mean, spread = h @ w_m + b_m, h @ w_s + b_s
    code = mean + pt.exp(spread / np.float32(2)) * noise
    logits = pt.maximum(code @ w_b + b_b, 0) @ w_p + b_p
    divergence = pt.sum(mean**2 + pt.exp(spread) - 1 - spread) / np.float32(2)
    loss = (pt.sum(pt.softplus(logits) - x * logits) + divergence) / np.float32(len(data["x"]))
    return Program(pytensor.function(a, [loss, *pytensor.grad(loss, a[2:])]), tuple(data.values()))


def flops(batch: int, pixels: int, hidden: int, code: int) -> int:
    """Three products of each layer, but for the gradient by x, which nobody asks for."""
    return 2 * batch * hidden * (5 * pixels + 9 * code)


WORKLOAD = Workload(
    name="vae",
    title="loss and gradient of a variational autoencoder 784-400-20, batch of 128, float32",
    inputs=inputs,
    versions={
        "symgrad": by_symgrad,
        "numpy": by_numpy,
        "jax": by_jax,
        "torch": by_torch,
        "pytensor": by_pytensor,
    },
    outputs=("loss", *(f"d_{kind}_{name}" for name in LAYERS for kind in "wb")),
    sizes={"batch": 128, "pixels": 784, "hidden": 400, "code": 20},
    tiny={"batch": 7, "pixels": 23, "hidden": 13, "code": 4},
    flops=flops,
)
