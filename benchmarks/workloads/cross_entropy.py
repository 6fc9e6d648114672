"""Softmax cross-entropy over a vocabulary: the mean loss, and its gradient by the logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness import Array, Data, Program, Workload


def inputs(rng: np.random.Generator, rows: int, classes: int) -> dict[str, Array]:
    return {
        "z": 3 * rng.standard_normal((rows, classes), dtype=np.float32),
        "label": rng.integers(0, classes, rows),
    }


def by_symgrad(sg: Any, data: Data) -> Program:
    classes = data["z"].shape[1]
    z = sg.matrix("z", shape=("n", classes), dtype="float32")
    label = sg.vector("label", size="n", dtype="int64")
    chosen = sg.take_along_axis(z, label[:, None], axis=1)[:, 0]
    loss = sg.mean(sg.logsumexp(z, axis=-1) - chosen)
    return Program(sg.function([z, label], [loss, sg.grad(loss, z)]), tuple(data.values()))


def by_numpy(np: Any, data: Data) -> Program:
    def both(z: Array, label: Array) -> list[Any]:
        rows = np.arange(len(z))
        d_z = z - z.max(axis=1, keepdims=True)
        chosen = d_z[rows, label]
        np.exp(d_z, out=d_z)
        total = d_z.sum(axis=1, keepdims=True)
        loss = np.mean(np.log(total[:, 0]) - chosen)
        d_z *= 1 / (total * len(z))
        d_z[rows, label] -= 1 / len(z)
        return [loss, d_z]

    return Program(both, tuple(data.values()))


def by_jax(jax: Any, data: Data) -> Program:
    jnp = jax.numpy

    def loss(z: Any, label: Any) -> Any:
        chosen = jnp.take_along_axis(z, label[:, None], axis=1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(z, axis=-1) - chosen)

    return Program(jax.jit(jax.value_and_grad(loss)), tuple(data.values()))


def by_torch(forms: Any, data: Data) -> Program:
    cross_entropy = forms.torch.nn.functional.cross_entropy
    return Program(forms.value_and_gradient(cross_entropy, (0,)), tuple(data.values()))


def by_pytensor(pytensor: Any, data: Data) -> Program:
    pt = pytensor.tensor
    z, label = pt.fmatrix("z"), pt.lvector("label")
    loss = pt.mean(pt.logsumexp(z, axis=-1) - z[pt.arange(z.shape[0]), label])
    return Program(pytensor.function([z, label], [loss, pytensor.grad(loss, z)]), tuple(data.values()))


WORKLOAD = Workload(
    name="cross-entropy",
    title="softmax cross-entropy, forward and backward, 512 x 32,000, float32",
    inputs=inputs,
    versions={
        "symgrad": by_symgrad,
        "numpy": by_numpy,
        "jax": by_jax,
        "torch": by_torch,
        "pytensor": by_pytensor,
    },
    outputs=("loss", "d_z"),
    sizes={"rows": 512, "classes": 32_000},
    tiny={"rows": 7, "classes": 50},
    moved=lambda rows, classes: 2 * 4 * rows * classes,
)
