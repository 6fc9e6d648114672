"""What JAX and PyTorch give for the cases of docs/derivatives.md: writes tests/autodiff/peers.json.

    pip install 'symgrad[bench]' && python benchmarks/derivatives.py

Float64 on one CPU. The table in tests/autodiff/conventions.py names each function in each system's terms.
What a system does not have, or refuses, is told as "-".
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import torch
import torch.nn.functional

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.autodiff.conventions import CASES

jax.config.update("jax_enable_x64", True)


def stacked(tensors: Any) -> Any:
    """torch.stack, which takes no numbers."""
    return torch.stack([torch.as_tensor(t, dtype=torch.float64) for t in tensors])


def by_jax(text: str, at: float) -> list[float]:
    f = eval(f"lambda x: {text}", {"jax": jax, "jnp": jnp})
    found = []
    for _ in range(3):
        f = jax.grad(f)
        found.append(float(f(jnp.float64(at))))
    return found


def by_torch(text: str, at: float) -> list[float]:
    f = eval(f"lambda x: {text}", {"torch": torch, "tstack": stacked, "F": torch.nn.functional})
    x = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    y, found = f(x), []
    for _ in range(3):
        if not y.requires_grad:
            found.append(0.0)
            continue
        (g,) = torch.autograd.grad(y, x, create_graph=True, allow_unused=True)
        y = torch.zeros((), dtype=torch.float64) if g is None else g
        found.append(float(y))
    return found


def main() -> None:
    cases: dict[str, Any] = {}
    for case in CASES:
        for name, run in (("jax", by_jax), ("torch", by_torch)):
            text = getattr(case, name)
            try:
                cases[f"{text} @ {case.at}"] = [repr(v) for v in run(text, case.at)]
            except Exception as error:
                print(f"{name}: {text}: {error}", file=sys.stderr)
                cases[f"{text} @ {case.at}"] = None
    versions = {"JAX": jax.__version__, "PyTorch": torch.__version__.split("+")[0]}
    path = Path(__file__).parents[1] / "tests" / "autodiff" / "peers.json"
    path.write_text(json.dumps({"versions": versions, "cases": cases}, indent=1) + "\n")
    print(f"wrote {path.name}: {len(cases)} cases")


if __name__ == "__main__":
    main()
