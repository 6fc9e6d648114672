"""The network of mnist_cnn.py in PyTorch, from the same numbers on as many threads; for `--compare torch`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import symgrad as sg

MOMENTUM = 0.9


def compiled(data: Any, side: int, values: list[np.ndarray]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A training step, (rows of the data, rate) -> loss, and a classifier of images."""
    torch.set_num_threads(sg.get_num_threads())
    kernels = [torch.tensor(w.transpose(3, 2, 0, 1)).contiguous() for w in values[:2]]
    # PyTorch has channels in front of pixels: so do the rows of the first dense matrix, here.
    pixels, outputs = (side // 4) ** 2, values[2].shape[1]
    dense = values[2].reshape(pixels, -1, outputs).transpose(1, 0, 2).reshape(-1, outputs)
    weights = [*kernels, torch.tensor(dense.T.copy()), torch.tensor(values[3].T.copy())]
    biases = [torch.zeros(w.shape[0]) for w in weights]
    parameters = [*weights, *biases]
    for p in parameters:
        p.requires_grad_()
    optimizer = torch.optim.SGD(parameters, lr=0.0, momentum=MOMENTUM)
    images, labels = torch.tensor(data[0]), torch.tensor(data[1])

    def logits(x: torch.Tensor) -> torch.Tensor:
        h = x.reshape(-1, 1, side, side)
        for w, b in zip(weights[:2], biases[:2], strict=True):
            h = functional.max_pool2d(functional.relu(functional.conv2d(h, w, b, padding="same")), 2)
        h = functional.relu(functional.linear(h.flatten(1), weights[2], biases[2]))
        return functional.linear(h, weights[3], biases[3])

    def step(rows: np.ndarray, rate: float) -> float:
        optimizer.param_groups[0]["lr"] = rate
        at = torch.from_numpy(rows)
        loss = functional.cross_entropy(logits(images[at]), labels[at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return logits(torch.from_numpy(x)).argmax(1).numpy()

    return step, predict
