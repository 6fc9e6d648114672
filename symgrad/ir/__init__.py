"""The graph: ops, tensors, nodes, graphs, origins. Knows no particular op.

    Graph  = name, inputs: Tensor*, outputs: Tensor*, updates: (Shared, Tensor)*
    Node   = op: Op, inputs: Tensor*, outputs: Tensor+, origins: Origin*
    Tensor = type: TensorType, node: Node, index: int, name: str?
    Op     = a frozen dataclass; its fields are the attributes
    Origin = file, line, step*           step = "vjp tanh(z).x" | "rule softplus" | ...

Everything is immutable. Ids grow with creation, so sorting by id puts inputs before users.
"""
