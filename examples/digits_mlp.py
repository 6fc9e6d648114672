"""Trains a classifier on scikit-learn's handwritten digits; what `make demo` runs.

    python examples/digits_mlp.py [--epochs 40] [--out runs/digits]

Prints the network and its gradient as text, shows progress, reports test accuracy, and writes a learning
curve (PNG) and both graphs (.sg text, which `symgrad.load` reads back).
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import network
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import trange

import symgrad as sg

BATCH = 32
RATE = 0.05


def main() -> None:
    options = arguments()
    images, labels = load_digits(return_X_y=True)
    x, xt, y, yt = train_test_split(
        (images / 16).astype(np.float32),
        labels.astype(np.int64),
        test_size=0.2,
        random_state=0,
        stratify=labels,
    )
    rng = np.random.default_rng(0)
    net = network.build(*network.parameters([64, 128, 64, 10], rng))

    forward = sg.Graph([net.x, net.y], {"loss": net.loss}, name="digits")
    gradients = sg.grad(net.loss, net.parameters)
    names = [f"d_{p.name}" for p in net.parameters]
    backward = sg.optimize(
        sg.Graph([net.x, net.y], dict(zip(names, gradients, strict=True)), name="digits_gradient")
    )
    options.out.mkdir(parents=True, exist_ok=True)
    print("The network, as a graph (values of the parameters left out):\n")
    print(readable(forward))
    print("\nIts gradient, as a graph:\n")
    print(readable(backward))
    for graph in (forward, backward):
        sg.save(graph, options.out / f"{graph.name}.sg")

    step, predict = network.momentum_step(net), network.predictor(net)
    losses, accuracy = [], []
    progress = trange(options.epochs, desc="training", unit="epoch", disable=None)
    for epoch in progress:
        rate = RATE * 0.5 * (1 + math.cos(math.pi * epoch / options.epochs))
        order = rng.permutation(len(x))
        batches = [order[k : k + BATCH] for k in range(0, len(order), BATCH)]
        losses.append(float(np.mean([step(x[i], y[i], rate) for i in batches])))
        accuracy.append(float(np.mean(predict(xt) == yt)))
        progress.set_postfix(loss=f"{losses[-1]:.4f}", accuracy=f"{accuracy[-1]:.2%}")

    curve = options.out / "learning_curve.png"
    plot(losses, accuracy, curve)
    print(f"\nafter {options.epochs} epochs: loss {losses[-1]:.4f}, test accuracy {accuracy[-1]:.2%}")
    print(f"learning curve: {curve}")
    print(f"graphs:         {options.out / 'digits.sg'}, {options.out / 'digits_gradient.sg'}")


def readable(graph: sg.Graph) -> str:
    """The text of a graph without its states' data, for people."""
    body = sg.emit(graph).split("\n}")[0] + "\n}"
    return "\n".join(line.split(" @ ")[0].rstrip() for line in body.split("\n"))


def plot(losses: list[float], accuracy: list[float], path: Path) -> None:
    """Loss and test accuracy over epochs."""
    figure, left = plt.subplots(figsize=(7, 4), layout="constrained")
    right = left.twinx()
    epochs = range(1, len(losses) + 1)
    left.semilogy(epochs, losses, color="tab:blue")
    right.plot(epochs, [100 * a for a in accuracy], color="tab:orange")
    left.set(xlabel="epoch", title="64-128-64-10 network on scikit-learn's digits")
    left.set_ylabel("training loss", color="tab:blue")
    right.set_ylabel("test accuracy, %", color="tab:orange")
    left.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train a classifier on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("runs/digits"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
