"""Trains a convolutional network on MNIST, or, without a data set at hand, on scikit-learn's digits.

    python examples/mnist_cnn.py [--data DIR] [--epochs N] [--compare torch]

Two layers of convolution, ReLU and pooling, two dense layers; gradient descent with momentum and a falling
rate. `--compare torch` then trains the same network from the same numbers in PyTorch, if it is installed.

DIR holds the four idx files, gzipped or not: train-images, train-labels, t10k-images, t10k-labels.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import idx
import network
import numpy as np
from sklearn.datasets import load_digits

import symgrad as sg

BATCH = 64
RATE = 0.05
CHANNELS = (16, 32)
HIDDEN = 128
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def main() -> int:
    options = arguments()
    try:
        data = idx.load(options.data) if options.data else digits()
    except idx.IdxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    epochs = options.epochs or (5 if options.data else 30)
    side = math.isqrt(data[0].shape[1])
    weights = initial(side, np.random.default_rng(0))
    step, predict = compiled(data, side, weights)
    seconds = {"symgrad": train("symgrad", step, predict, data, epochs)}
    if options.compare:
        try:
            other = importlib.import_module(f"mnist_cnn_{options.compare}")
        except ModuleNotFoundError as error:
            print(f"error: {error}\n  hint: install {options.compare} to compare with it", file=sys.stderr)
            return 1
        step, predict = other.compiled(data, side, weights)
        seconds[options.compare] = train(options.compare, step, predict, data, epochs)
    print("seconds of training: " + ", ".join(f"{name} {s:.1f}" for name, s in seconds.items()))
    return 0


def digits() -> Arrays:
    """Training images and labels, test images and labels: 8 by 8 pixels in [0, 1], in rows."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = (images[order] / 16).astype(np.float32), labels[order].astype(np.int64)
    return images[:-360], labels[:-360], images[-360:], labels[-360:]


def initial(side: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Weights by He's rule: of convolutions (height, width, channels, outputs), of dense layers matrices."""
    first, second = CHANNELS
    shapes = [(3, 3, 1, first), (3, 3, first, second), ((side // 4) ** 2 * second, HIDDEN), (HIDDEN, 10)]
    made = [rng.standard_normal(s) * np.sqrt(2 / math.prod(s[:-1])) for s in shapes]
    return [w.astype(np.float32) for w in made]


def build(
    x: Any, y: Any, inputs: list[Any], side: int, weights: list[Any], biases: list[Any]
) -> network.Network:
    """The network on images in rows, as a graph."""
    h = sg.reshape(x, (x.shape[0], side, side, 1))
    for w, b in zip(weights[:2], biases[:2], strict=True):
        z = sg.nn.conv2d(h, w, padding="same", channels="last") + b
        h = sg.nn.max_pool2d(sg.nn.relu(z), 2, channels="last")
    h = sg.reshape(h, (x.shape[0], -1))
    h = sg.nn.relu(h @ weights[2] + biases[2])
    logits = (h @ weights[3] + biases[3]).named("logits")
    log_probability = sg.nn.log_softmax(logits, axis=1)
    loss = -sg.mean(sg.sum(log_probability * sg.nn.one_hot(y, 10, "float32"), axis=1))
    return network.Network(weights, biases, inputs, x, y, loss.named("loss"), sg.argmax(logits, axis=1))


def compiled(
    data: Arrays, side: int, values: list[np.ndarray]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A training step, (rows of the data, rate) -> loss, and a classifier of images."""
    weights = [sg.shared(w, f"w{i}") for i, w in enumerate(values)]
    biases = [sg.shared(np.zeros(w.shape[-1], np.float32), f"b{i}") for i, w in enumerate(values)]
    images, labels = sg.shared(data[0], "images"), sg.shared(data[1], "labels")
    rows = sg.vector("rows", size=BATCH, dtype="int64")
    batch = sg.take(images, rows, axis=0), sg.take(labels, rows)
    step = network.momentum_step(build(*batch, [rows], side, weights, biases))
    x, y = sg.tensor("x", ("n", side * side), "float32"), sg.tensor("y", ("n",), "int64")
    return step, network.predictor(build(x, y, [x, y], side, weights, biases))


def train(
    name: str, step: Callable[..., Any], predict: Callable[..., Any], data: Arrays, epochs: int
) -> float:
    """Train, tell how it goes, and return the seconds that it took, without those of testing."""
    x, _, xt, yt = data
    rng = np.random.default_rng(0)
    total = 0.0
    for epoch in range(1, epochs + 1):
        rate = RATE * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / epochs))
        order = rng.permutation(len(x))
        start = time.perf_counter()
        losses = [float(step(rows, rate)) for rows in batches(order)]
        seconds = time.perf_counter() - start
        total += seconds
        found = np.concatenate([predict(xt[k : k + 500]) for k in range(0, len(xt), 500)])
        error, loss = np.mean(found != yt), np.mean(losses)
        print(f"{name}, epoch {epoch}: {seconds:.2f} s, loss {loss:.4f}, test error {error:.2%}", flush=True)
    return total


def batches(order: np.ndarray) -> Iterator[np.ndarray]:
    for k in range(0, len(order) - BATCH + 1, BATCH):
        yield order[k : k + BATCH]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train a convolutional network on handwritten digits.")
    parser.add_argument("--data", type=Path, help="the folder with the idx files")
    parser.add_argument("--epochs", type=int, help="5 on idx files, 30 on scikit-learn's digits unless given")
    parser.add_argument("--compare", choices=["torch"], help="train the same in this, too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
