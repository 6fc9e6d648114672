"""A small convolutional network: the loss of a batch, and its gradient by all weights and biases."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness import Array, Data, Program, Workload

#: Outputs of the convolutions, width of the hidden layer, classes.
OUTPUTS, HIDDEN, CLASSES = (32, 64), 128, 10


def inputs(rng: np.random.Generator, batch: int, side: int) -> dict[str, Array]:
    first, second = OUTPUTS
    left = ((side - 4) // 2 - 4) // 2

    def normal(*shape: int, scale: float = 1.0) -> Array:
        return np.float32(scale) * rng.standard_normal(shape, dtype=np.float32)

    return {
        "x": normal(batch, 1, side, side),
        "label": rng.integers(0, CLASSES, batch),
        "k0": normal(first, 1, 5, 5, scale=0.1),
        "c0": normal(first, scale=0.1),
        "k1": normal(second, first, 5, 5, scale=0.05),
        "c1": normal(second, scale=0.1),
        "w0": normal(second * left**2, HIDDEN, scale=0.03),
        "b0": normal(HIDDEN, scale=0.1),
        "w1": normal(HIDDEN, CLASSES, scale=0.1),
        "b1": normal(CLASSES, scale=0.1),
    }


def by_symgrad(sg: Any, data: Data) -> Program:
    inputs = {name: sg.tensor(name, a.shape, a.dtype) for name, a in data.items()}
    x, label, k0, c0, k1, c1, w0, b0, w1, b1 = inputs.values()
    h = x
    for k, c in ((k0, c0), (k1, c1)):
        h = sg.nn.max_pool2d(sg.nn.relu(sg.nn.conv2d(h, k) + c[:, None, None]), 2)
    h = sg.nn.relu(sg.reshape(h, (h.shape[0], -1)) @ w0 + b0)
    z = h @ w1 + b1
    loss = sg.mean(sg.logsumexp(z, axis=-1) - sg.take_along_axis(z, label[:, None], axis=1)[:, 0])
    wrt = [k0, c0, k1, c1, w0, b0, w1, b1]
    return Program(sg.function([*inputs.values()], [loss, *sg.grad(loss, wrt)]), tuple(data.values()))


def by_numpy(np: Any, data: Data) -> Program:
    windows_of = np.lib.stride_tricks.sliding_window_view

    def convolution(x: Array, k: Array) -> tuple[Array, Array]:
        """The result (n, i, j, o), and the windows of x as rows (n i j, c p q)."""
        seen = windows_of(x, k.shape[2:], axis=(2, 3)).transpose(0, 2, 3, 1, 4, 5)
        rows = seen.reshape(-1, k[0].size)
        return (rows @ k.reshape(len(k), -1).T).reshape(*seen.shape[:3], len(k)), rows

    def back(d_y: Array, rows: Array, k: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """The gradients of x and k."""
        flat = d_y.reshape(-1, len(k))
        d_rows = (flat @ k.reshape(len(k), -1)).reshape(*d_y.shape[:3], *k.shape[1:])
        d_x = np.zeros(shape, d_y.dtype)
        for p, q in np.ndindex(*k.shape[2:]):
            places = (..., slice(p, p + d_y.shape[1]), slice(q, q + d_y.shape[2]))
            d_x[places] += d_rows[..., p, q].transpose(0, 3, 1, 2)
        return d_x, (flat.T @ rows).reshape(k.shape)

    def pool(h: Array) -> tuple[Array, Array]:
        """The maxima (n, c, i, j), and the four of each, (n, c, i, j, 4), of images (n, i, j, c)."""
        n, i, j, c = h.shape
        fours = h.transpose(0, 3, 1, 2).reshape(n, c, i // 2, 2, j // 2, 2).transpose(0, 1, 2, 4, 3, 5)
        fours = fours.reshape(n, c, i // 2, j // 2, 4)
        return fours.max(axis=-1), fours

    def unpool(d_h: Array, h: Array, fours: Array) -> Array:
        """The gradient of the images."""
        taken = (fours == h[..., None]) & (fours > 0)
        n, c, i, j = h.shape
        spread = (taken * d_h[..., None]).reshape(n, c, i, j, 2, 2).transpose(0, 2, 4, 3, 5, 1)
        return spread.reshape(n, 2 * i, 2 * j, c)

    def both(
        x: Array, label: Array, k0: Array, c0: Array, k1: Array, c1: Array,
        w0: Array, b0: Array, w1: Array, b1: Array,
    ) -> list[Any]:  # fmt: skip
        z0, rows0 = convolution(x, k0)
        h0, fours0 = pool(np.maximum(z0 + c0, 0))
        z1, rows1 = convolution(h0, k1)
        h1, fours1 = pool(np.maximum(z1 + c1, 0))
        flat = h1.reshape(len(x), -1)
        hidden = np.maximum(flat @ w0 + b0, 0)
        z = hidden @ w1 + b1
        z -= z.max(axis=1, keepdims=True)
        total = np.exp(z).sum(axis=1, keepdims=True)
        at = np.arange(len(x)), label
        loss = np.mean(np.log(total[:, 0]) - z[at])
        d_z = np.exp(z) / total
        d_z[at] -= 1
        d_z /= len(x)
        d_hidden = (d_z @ w1.T) * (hidden > 0)
        d_h1 = (d_hidden @ w0.T).reshape(h1.shape)
        d_z1 = unpool(d_h1, h1, fours1)
        d_h0, d_k1 = back(d_z1, rows1, k1, h0.shape)
        d_z0 = unpool(d_h0, h0, fours0)
        d_k0 = (d_z0.reshape(-1, len(k0)).T @ rows0).reshape(k0.shape)
        sums = [d.sum(axis=(0, 1, 2)) for d in (d_z0, d_z1)]
        dense = [flat.T @ d_hidden, d_hidden.sum(axis=0), hidden.T @ d_z, d_z.sum(axis=0)]
        return [loss, d_k0, sums[0], d_k1, sums[1], *dense]

    return Program(both, tuple(data.values()))


def by_jax(jax: Any, data: Data) -> Program:
    jnp, lax = jax.numpy, jax.lax

    def loss(
        x: Any, label: Any, k0: Any, c0: Any, k1: Any, c1: Any, w0: Any, b0: Any, w1: Any, b1: Any
    ) -> Any:
        h = x
        for k, c in ((k0, c0), (k1, c1)):
            h = lax.conv_general_dilated(h, k, (1, 1), "VALID") + c[:, None, None]
            h = lax.reduce_window(
                jax.nn.relu(h), -np.float32(np.inf), lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID"
            )
        z = jax.nn.relu(h.reshape(len(h), -1) @ w0 + b0) @ w1 + b1
        chosen = jnp.take_along_axis(z, label[:, None], axis=1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(z, axis=-1) - chosen)

    gradient = jax.jit(jax.value_and_grad(loss, argnums=tuple(range(2, 10))))
    return Program(gradient, tuple(data.values()))


def by_torch(forms: Any, data: Data) -> Program:
    functional = forms.torch.nn.functional

    def loss(
        x: Any, label: Any, k0: Any, c0: Any, k1: Any, c1: Any, w0: Any, b0: Any, w1: Any, b1: Any
    ) -> Any:
        h = x
        for k, c in ((k0, c0), (k1, c1)):
            h = functional.max_pool2d(functional.relu(functional.conv2d(h, k, c)), 2)
        h = functional.relu(functional.linear(h.flatten(1), w0.T, b0))
        return functional.cross_entropy(functional.linear(h, w1.T, b1), label)

    return Program(forms.value_and_gradient(loss, tuple(range(2, 10))), tuple(data.values()))


def _products(side: int) -> list[int]:
    """Multiplications of one image: forward once, backward twice (once, where no gradient of x is needed)."""
    first, second = OUTPUTS
    places, more = side - 4, (side - 4) // 2 - 4
    left = second * (more // 2) ** 2
    return [
        2 * places**2 * 25 * first,
        3 * more**2 * 25 * first * second,
        3 * left * HIDDEN,
        3 * HIDDEN * CLASSES,
    ]


WORKLOAD = Workload(
    name="cnn",
    title="loss and gradient of a convolutional network, 64 images of 28 x 28, float32",
    inputs=inputs,
    versions={"symgrad": by_symgrad, "numpy": by_numpy, "jax": by_jax, "torch": by_torch},
    outputs=("loss", "d_k0", "d_c0", "d_k1", "d_c1", "d_w0", "d_b0", "d_w1", "d_b1"),
    sizes={"batch": 64, "side": 28},
    tiny={"batch": 3, "side": 16},
    flops=lambda batch, side: 2 * batch * sum(_products(side)),
)
