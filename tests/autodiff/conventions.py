"""Where mathematics leaves a choice, or where systems commonly go wrong: the cases and their derivatives.

Each row: what it shows; the point; the function in symgrad's, JAX's and PyTorch's terms; its first, second
and third derivative by symgrad's conventions (docs/derivatives.md has the table, beside what the others
give).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

INF = math.inf
E40 = math.exp(-40.0)


@dataclass(frozen=True)
class Case:
    what: str
    at: float
    symgrad: str
    jax: str
    torch: str
    expected: tuple[float, float, float]


def same(what: str, at: float, text: str, *expected: float) -> Case:
    """A function that all three write alike."""
    return Case(
        what,
        at,
        text.replace("np.", "sg."),
        text.replace("np.", "jnp.").replace("concat(", "concatenate("),
        text.replace("np.stack", "tstack").replace("np.", "torch."),
        expected,  # type: ignore[arg-type]
    )


CASES: list[Case] = [
    # ---- kinks and ties
    same("kink", 0.0, "np.abs(x)", 0, 0, 0),
    Case("kink", 0.0, "sg.relu(x)", "jax.nn.relu(x)", "torch.relu(x)", (0, 0, 0)),
    Case(
        "tie",
        1.0,
        "sg.maximum(x, 1.0)",
        "jnp.maximum(x, 1.0)",
        "torch.maximum(x, torch.ones_like(x))",
        (0.5, 0, 0),
    ),
    Case(
        "tie",
        1.0,
        "sg.minimum(x, 1.0)",
        "jnp.minimum(x, 1.0)",
        "torch.minimum(x, torch.ones_like(x))",
        (0.5, 0, 0),
    ),
    same("tie", 1.0, "np.max(np.stack([x, x * 0 + 1, x]))", 2 / 3, 0, 0),
    Case("bound", 1.0, "sg.clip(x, 0.0, 1.0)", "jnp.clip(x, 0.0, 1.0)", "torch.clip(x, 0.0, 1.0)", (1, 0, 0)),
    Case(
        "kink", 0.0, "sg.leaky_relu(x, 0.1)", "jax.nn.leaky_relu(x, 0.1)", "F.leaky_relu(x, 0.1)", (0.1, 0, 0)
    ),
    # ---- powers
    same("root", 0.0, "np.sqrt(x)", INF, -INF, INF),
    same("power", 0.0, "x**0.0", 0, 0, 0),
    same("power", 0.0, "x**1.0", 1, 0, 0),
    same("power", 0.0, "x**2.0", 0, 2, 0),
    same("power", 0.0, "x**3.0", 0, 0, 6),
    Case(
        "power",
        0.0,
        "x**sg.constant(2.0)",
        "x**jnp.array(2.0)",
        "x**torch.tensor(2.0, dtype=x.dtype)",
        (0, 2, 0),
    ),
    Case("power", 0.0, "x**(x * 0 + 3)", "x**(x * 0 + 3)", "x**(x * 0 + 3)", (0, 0, 6)),
    # ---- norms, angles
    Case(
        "norm of 0",
        0.0,
        "sg.norm(sg.stack([x, x * 2]))",
        "jnp.linalg.norm(jnp.stack([x, x * 2]))",
        "torch.linalg.norm(tstack([x, x * 2]))",
        (0, 0, 0),
    ),
    Case(
        "norm by hand",
        0.0,
        "sg.sqrt(sg.sum(sg.stack([x, x * 2]) ** 2))",
        "jnp.sqrt(jnp.sum(jnp.stack([x, x * 2]) ** 2))",
        "torch.sqrt(torch.sum(tstack([x, x * 2]) ** 2))",
        (0, 0, 0),
    ),
    Case(
        "square of a norm",
        0.0,
        "sg.norm(sg.stack([x, x * 2])) ** 2",
        "jnp.linalg.norm(jnp.stack([x, x * 2])) ** 2",
        "torch.linalg.norm(tstack([x, x * 2])) ** 2",
        (0, 10, 0),
    ),
    Case(
        "spread of a constant",
        1.0,
        "sg.std(sg.stack([x, x * 0 + 1]))",
        "jnp.std(jnp.stack([x, x * 0 + 1]))",
        "torch.std(tstack([x, x * 0 + 1]), correction=0)",
        (0, 0, 0),
    ),
    Case(
        "angle of 0",
        0.0,
        "sg.atan2(x, 0.0 * x)",
        "jnp.arctan2(x, 0.0 * x)",
        "torch.atan2(x, 0.0 * x)",
        (0, 0, 0),
    ),
    same("length of 0", 0.0, "np.hypot(x, x)", 0, 0, 0),
    # ---- logarithms
    Case("0 log 0", 0.0, "sg.xlogy(x, x)", "jax.scipy.special.xlogy(x, x)", "torch.xlogy(x, x)", (0, 0, 0)),
    same("removable", 0.0, "x * np.log(x)", -INF, INF, -INF),
    same("removable", 0.0, "np.sinc(x)", 0, -(math.pi**2) / 3, 0),
    Case(
        "no mass",
        -INF,
        "sg.logsumexp(sg.stack([x, x]))",
        "jax.scipy.special.logsumexp(jnp.stack([x, x]))",
        "torch.logsumexp(tstack([x, x]), 0)",
        (0, 0, 0),
    ),
    # ---- products
    same("zeros in a product", 0.0, "np.prod(np.stack([x, x, x + 2]))", 0, 4, 6),
    same("zeros in a product", 0.0, "np.prod(np.stack([x, x * 0, x + 2]))", 0, 0, 0),
    Case(
        "zeros in a running product",
        0.0,
        "sg.sum(sg.cumulative_prod(sg.stack([x + 3, x, x])))",
        "jnp.sum(jnp.cumprod(jnp.stack([x + 3, x, x])))",
        "torch.cumprod(tstack([x + 3, x, x]), 0).sum()",
        (4, 8, 6),
    ),
    # ---- branches not taken
    same("masked", 0.0, "np.where(x > 0, np.sqrt(x), 0.0)", 0, 0, 0),
    same("masked", -1.0, "np.where(x > 0, np.log(x), 0.0)", 0, 0, 0),
    same("masked", 0.0, "np.where(x > 0, 1 / x, x)", 1, 0, 0),
    same("masked", 0.0, "np.where(x > 0, x**0.5, 2 * x)", 2, 0, 0),
    Case(
        "masked",
        2.0,
        "sg.where(x < 1, sg.acos(x), x)",
        "jnp.where(x < 1, jnp.arccos(x), x)",
        "torch.where(x < 1, torch.acos(x), x)",
        (1, 0, 0),
    ),
    Case(
        "masked",
        0.0,
        "sg.where(x > 0, sg.atan2(x, x), x)",
        "jnp.where(x > 0, jnp.arctan2(x, x), x)",
        "torch.where(x > 0, torch.atan2(x, x), x)",
        (1, 0, 0),
    ),
    Case(
        "masked",
        0.0,
        "sg.where(x > 0, sg.norm(sg.stack([x, x])), x)",
        "jnp.where(x > 0, jnp.linalg.norm(jnp.stack([x, x])), x)",
        "torch.where(x > 0, torch.linalg.norm(tstack([x, x])), x)",
        (1, 0, 0),
    ),
    same("masked inside", -1.0, "np.sqrt(np.where(x > 0, x, 0.0))", 0, 0, 0),
    same("masked", 0.0, "np.where(x > 0, np.log(np.abs(x)), x)", 1, 0, 0),
    # ---- written naively, at large arguments
    same("log(1 + e^x)", 1000.0, "np.log(1 + np.exp(x))", 1, 0, 0),
    same("log(1 + e^x)", -40.0, "np.log(1 + np.exp(x))", E40, E40, E40),
    same("log(sum e^x)", 1000.0, "np.log(np.sum(np.exp(np.stack([x, x - 1000.0]))))", 1, 0, 0),
    Case(
        "log softmax",
        1000.0,
        "-sg.log(sg.softmax(sg.stack([x, x * 0]))[1])",
        "-jnp.log(jax.nn.softmax(jnp.stack([x, x * 0]))[1])",
        "-torch.log(torch.softmax(tstack([x, x * 0]), 0)[1])",
        (1, 0, 0),
    ),
    Case(
        "log sigmoid",
        -1000.0,
        "sg.log(sg.sigmoid(x))",
        "jnp.log(jax.nn.sigmoid(x))",
        "torch.log(torch.sigmoid(x))",
        (1, 0, 0),
    ),
    Case(
        "log of a density",
        40.0,
        "sg.log(sg.exp(-(x**2) / 2) / 2.5)",
        "jnp.log(jnp.exp(-(x**2) / 2) / 2.5)",
        "torch.log(torch.exp(-(x**2) / 2) / 2.5)",
        (-40, -1, 0),
    ),
    same("squashed density", 400.0, "np.log(1 - np.tanh(x) ** 2)", -2, 0, 0),
    Case(
        "log of a tail",
        -50.0,
        "sg.log(sg.special.ndtr(x))",
        "jnp.log(jax.scipy.special.ndtr(x))",
        "torch.log(torch.special.ndtr(x))",
        (50.019984031905636, -0.999600956813196, 1.5923581891197387e-05),
    ),
    Case(
        "log of a tail",
        -50.0,
        "sg.special.log_ndtr(x)",
        "jax.scipy.special.log_ndtr(x)",
        "torch.special.log_ndtr(x)",
        (50.019984031905636, -0.999600956813196, 1.5923581891197387e-05),
    ),
    same("log(1 + x)", 1e-20, "np.log(1 + x)", 1, -1, 2),
    # ---- tails
    same("tail", 20.0, "np.tanh(x)", 4 * E40, -8 * E40, 16 * E40),
    Case("tail", -300.0, "sg.sigmoid(x)", "jax.nn.sigmoid(x)", "torch.sigmoid(x)", (math.exp(-300),) * 3),
    Case(
        "tail",
        300.0,
        "sg.sigmoid(x)",
        "jax.nn.sigmoid(x)",
        "torch.sigmoid(x)",
        (math.exp(-300), -math.exp(-300), math.exp(-300)),
    ),
    Case("tail", -700.0, "sg.softplus(x)", "jax.nn.softplus(x)", "F.softplus(x)", (math.exp(-700),) * 3),
    same("tail", -40.0, "np.expm1(x)", E40, E40, E40),
    Case(
        "tail",
        5.0,
        "sg.erfc(x)",
        "jax.scipy.special.erfc(x)",
        "torch.erfc(x)",
        (-1.5670866531017335e-11, 1.5670866531017335e-10, -1.5357449200396988e-09),
    ),
    # ---- indices
    Case(
        "repeated index",
        2.0,
        "sg.sum(sg.take(sg.stack([x**2]), [0, 0, 0]))",
        "jnp.sum(jnp.take(jnp.stack([x**2]), jnp.array([0, 0, 0])))",
        "tstack([x**2])[[0, 0, 0]].sum()",
        (12, 6, 0),
    ),
    Case(
        "permutation",
        2.0,
        "sg.sort(sg.stack([x**2, x * 0 + 1]))[1]",
        "jnp.sort(jnp.stack([x**2, x * 0 + 1]))[1]",
        "torch.sort(tstack([x**2, x * 0 + 1])).values[1]",
        (4, 2, 0),
    ),
    Case(
        "overwritten",
        2.0,
        "sg.sum(sg.zeros(1).at[[0, 0]].set(sg.stack([x**3, x**2])))",
        "jnp.sum(jnp.zeros(1).at[jnp.array([0, 0])].set(jnp.stack([x**3, x**2])))",
        "torch.zeros(1, dtype=x.dtype).index_put((torch.tensor([0, 0]),), tstack([x**3, x**2])).sum()",
        (4, 2, 0),
    ),
]


#: Functions of a complex z at 1 + 2j, and their gradients, d/dRe + i d/dIm.
COMPLEX: dict[str, complex] = {
    "sg.real(z)": 1,
    "sg.imag(z)": 1j,
    "sg.abs(z)**2": 2 + 4j,
    "sg.real(z * sg.conj(z))": 2 + 4j,
    "sg.abs(z)": (1 + 2j) / 5**0.5,
    "sg.angle(z)": 1j * (1 + 2j) / 5,
    "sg.real(z**2)": 2 - 4j,
    "sg.imag(sg.log(z))": 1j * (1 + 2j) / 5,
    "sg.real(sg.sign(z))": (4 - 2j) / 5**1.5,
    "sg.sum(sg.abs(sg.fft.fft(sg.stack([z, 2j * z])))**2)": 20 + 40j,
}
