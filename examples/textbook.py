"""Back-propagation by its textbook names, on a two-layer network with weight decay.

    get_operation(V)     V.node.op               get_inputs(V, G)      V.node.inputs
    get_consumers(V, G)  G.consumers(V)          op.bprop              the op's rule
    build_grad           autodiff/reverse.py     grad_table            sg.grad_table(cost, wrt)

Two paths lead from each weight to the cost: one through the network, one through the penalty. Their
contributions meet at the weight and are added.
"""

from __future__ import annotations

import numpy as np

import symgrad as sg


def main() -> None:
    x, y = sg.matrix("X", shape=("m", 3)), sg.vector("y", size="m", dtype="int64")
    w1, w2 = sg.matrix("W1", shape=(3, 4)), sg.matrix("W2", shape=(4, 2))
    decay = sg.scalar("decay")
    h = sg.relu((x @ w1).named("U1")).named("H")
    u2 = (h @ w2).named("U2")
    rows = sg.log_softmax(u2, axis=1)
    j_mle = (-sg.mean(sg.sum(rows * sg.one_hot(y, 2), axis=1))).named("J_MLE")
    penalty = (sg.sum(w1**2) + sg.sum(w2**2)).named("u8")
    cost = (j_mle + decay * penalty).named("J")
    graph = sg.Graph([x, y, w1, w2, decay], cost, name="textbook")

    print("G, the computational graph:\n")
    print("\n".join(line.split(" @ ")[0].rstrip() for line in str(graph).split("\n")))

    print("The two paths that meet at each weight:\n")
    for weight in (w1, w2):
        for consumer in graph.consumers(weight):
            path = follow(graph, consumer.outputs[0], cost)
            print(f"  {weight.name} -> " + " -> ".join(graph.names[t] for t in path))
    print(
        "\nget_inputs(H, G) =", [graph.names[t] for t in h.node.inputs], " get_operation(H) =", h.node.op.name
    )

    table = sg.grad_table(cost, [w1, w2])
    print("\ngrad_table:\n")
    for tensor in sorted(table, key=lambda t: -t.node.id):
        if tensor in graph.names:
            print(f"  grad_table[{graph.names[tensor]}] = {table[tensor].node.op.name}: {table[tensor].type}")

    gradients = sg.function([x, y, w1, w2, decay], [table[w1], table[w2]])
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(5, 3)), rng.integers(0, 2, 5), rng.normal(size=(3, 4)), rng.normal(size=(4, 2))]
    with_decay, without = gradients(*data, 0.1), gradients(*data, 0.0)
    for name, weight, a, b in zip(("W1", "W2"), data[2:], with_decay, without, strict=True):
        print(f"\n{name}: the penalty's path adds 2 * 0.1 * {name}: {np.allclose(a - b, 0.2 * weight)}")


def follow(graph: sg.Graph, tensor: object, cost: object) -> list[sg.Tensor]:
    """One way from `tensor` to the cost, by first consumers."""
    path = [tensor]
    while path[-1] is not cost:
        path.append(graph.consumers(path[-1])[0].outputs[0])
    return path


if __name__ == "__main__":
    main()
