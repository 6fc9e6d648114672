"""A small network, with values."""

from __future__ import annotations

from typing import Any

import numpy as np

import symgrad as sg


def mlp(x: Any, ws: list[Any]) -> Any:
    h = x
    for w in ws[:-1]:
        h = sg.tanh(h @ w)
    return h @ ws[-1]


def network() -> tuple[Any, list[Any], dict[Any, Any]]:
    """(loss, weights, values) of a network of three layers."""
    rng = np.random.default_rng(0)
    x = sg.matrix("x", ("n", 4))
    ws = [sg.matrix(f"w{i}", s) for i, s in enumerate([(4, 5), (5, 5), (5, 3)])]
    loss = sg.mean(sg.logsumexp(mlp(x, ws), axis=1) - mlp(x, ws)[:, 0])
    values = {x: rng.normal(size=(6, 4))} | {w: rng.normal(size=w.shape) for w in ws}
    return loss, ws, values
