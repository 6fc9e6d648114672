"""First to fourth derivative of a function, as text and as numbers.

The gradient of a graph is a graph, so it can be differentiated again, and again.
"""

from __future__ import annotations

import symgrad as sg


def main() -> None:
    x = sg.scalar("x")
    y = sg.exp(sg.sin(x)).named("y")
    derivatives = [y]
    for order in range(1, 5):
        derivatives.append(sg.grad(derivatives[-1], x).named(f"y{order}"))
        graph = sg.optimize(sg.Graph([x], derivatives[-1], name=f"derivative_{order}"))
        print(f"# derivative {order} of exp(sin(x)): {len(graph.nodes)} nodes")
        print("\n".join(line.split(" @ ")[0].rstrip() for line in str(graph).split("\n")), end="\n")
    f = sg.function([x], derivatives)
    print("at x = 0.5: " + ", ".join(f"{v:.12f}" for v in f(0.5)))


if __name__ == "__main__":
    main()
