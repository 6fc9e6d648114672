"""The textbook's 2-2-1 ReLU network learns XOR.

No line separates XOR's classes, so a hidden layer is needed; with two units, gradient descent sometimes ends
in a poor minimum, and the script then starts again from other weights.
"""

from __future__ import annotations

import numpy as np

import symgrad as sg

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = np.array([0.0, 1.0, 1.0, 0.0])


def main() -> None:
    x, y = sg.matrix("x", shape=("n", 2)), sg.vector("y", size="n")
    hidden = sg.shared(np.zeros((2, 2)), "W")
    c, w, b = sg.shared(np.zeros(2), "c"), sg.shared(np.zeros(2), "w"), sg.shared(0.0, "b")
    output = (sg.relu(x @ hidden + c) @ w + b).named("output")
    cost = sg.mean((output - y) ** 2).named("cost")
    parameters = [hidden, c, w, b]
    updates = {p: p - 0.1 * g for p, g in zip(parameters, sg.grad(cost, parameters), strict=True)}
    step = sg.function([x, y], cost, updates=updates)
    predict = sg.function([x], output)

    for start in range(100):
        rng = np.random.default_rng(start)
        for p in parameters:
            p.set(rng.normal(size=p.shape))
        steps = 0
        while steps < 3000 and step(X, Y) > 1e-12:
            steps += 1
        found = predict(X)
        if np.abs(found - Y).max() < 1e-3:
            break
    else:
        raise SystemExit("no start led to a solution")
    print(f"learnt from start {start + 1}, after {steps} steps\n")
    print("x1 x2  y  network")
    for row, target, value in zip(X, Y, found, strict=True):
        print(f" {row[0]:.0f}  {row[1]:.0f}  {target:.0f}  {value:.6f}")
    print(
        f"\nW =\n{hidden.get().round(3)}\nc = {c.get().round(3)}, w = {w.get().round(3)}, b = {b.get():.3f}"
    )


if __name__ == "__main__":
    main()
