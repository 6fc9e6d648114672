"""Trains a 784-128-64-10 ReLU network on MNIST, or any data set of that form.

    python examples/mnist_mlp.py --data DIR [--epochs 10] [--plain]

Gradient descent with momentum and a falling rate; with `--plain`, without either (rate 0.1), which is what
a hand-written NumPy loop is easily compared with.

DIR holds the four idx files, gzipped or not: train-images, train-labels, t10k-images, t10k-labels.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import idx
import network
import numpy as np

import symgrad as sg

BATCH = 128
RATE = 0.05
PLAIN_RATE = 0.1


def main() -> int:
    parser = argparse.ArgumentParser(description="Train a network on MNIST.")
    parser.add_argument("--data", type=Path, required=True, help="the folder with the idx files")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--plain", action="store_true", help="plain gradient descent, rate 0.1")
    options = parser.parse_args()
    try:
        x, y, xt, yt = idx.load(options.data)
    except idx.IdxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    rng = np.random.default_rng(0)
    parameters = network.parameters([784, 128, 64, 10], rng)
    net = network.build_on(*parameters, sg.shared(x, "images"), sg.shared(y, "labels"), batch=BATCH)
    step = network.gradient_step(net, PLAIN_RATE) if options.plain else network.momentum_step(net)
    predict = network.predictor(network.build(*parameters))
    for epoch in range(1, options.epochs + 1):
        order = rng.permutation(len(x))
        rate = () if options.plain else (RATE * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / options.epochs)),)
        start = time.perf_counter()
        loss = np.float32(np.nan)
        for k in range(0, len(x) - BATCH + 1, BATCH):
            loss = step(order[k : k + BATCH], *rate)
        seconds = time.perf_counter() - start
        accuracy = np.mean(predict(xt) == yt)
        print(
            f"epoch {epoch}: {seconds:.2f} s, last loss {loss:.4f}, test accuracy {accuracy:.4f}", flush=True
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
