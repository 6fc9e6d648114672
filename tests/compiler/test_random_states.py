"""Random programs that change several states, whose new values read each other: what is written when."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

import symgrad as sg
from symgrad.ir.tensor import Tensor
from symgrad_compiler.backends import numpy as numpy_backend

Array = np.ndarray
Formula = Callable[[Sequence[Array]], Array]

#: In the language and in NumPy; of two matrices.
STEPS: list[tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Array, Array], Array]]] = [
    (lambda a, b: a @ b, lambda a, b: a @ b),
    (lambda a, b: a @ b.T + a, lambda a, b: a @ b.T + a),
    (lambda a, b: a + 0.5 * b, lambda a, b: a + 0.5 * b),
    (lambda a, b: sg.tanh(a) * b, lambda a, b: np.tanh(a) * b),
    (lambda a, b: a.T, lambda a, b: a.T),
    (lambda a, b: sg.flip(a, axis=0) + b, lambda a, b: a[::-1] + b),
    (lambda a, b: a - sg.mean(b, axis=0), lambda a, b: a - b.mean(axis=0)),
    (lambda a, b: sg.roll(a, 1, axis=1) * 0.9, lambda a, b: np.roll(a, 1, axis=1) * 0.9),
    (lambda a, b: sg.softmax(a, axis=1) - b, lambda a, b: np.exp(a) / np.exp(a).sum(1, keepdims=True) - b),
    (lambda a, b: a.at[0].set(b[-1]), lambda a, b: np.concatenate([b[-1:], a[1:]])),
    (lambda a, b: sg.cumsum(a, axis=0) - b, lambda a, b: np.cumsum(a, axis=0) - b),
]


def combined(step: Callable[[Array, Array], Array], first: Formula, second: Formula) -> Formula:
    return lambda states: step(first(states), second(states))


def check_program(rng: np.random.Generator, backend: str) -> None:
    size = int(rng.choice([1, 2, 3, 5, 16, 33]))
    count = int(rng.integers(2, 5))
    values = [rng.normal(size=(size, size)) * 0.3 / np.sqrt(size) for _ in range(count)]
    states = [sg.shared(value, f"s{i}") for i, value in enumerate(values)]
    made: list[tuple[Tensor, Formula]] = [(s, lambda now, i=i: now[i]) for i, s in enumerate(states)]
    for _ in range(rng.integers(2, 8)):
        (a, of_a), (b, of_b) = (made[rng.integers(len(made))] for _ in range(2))
        ours, theirs = STEPS[rng.integers(len(STEPS))]
        made.append((ours(a, b), combined(theirs, of_a, of_b)))
    changed = [i for i in range(count) if rng.random() < 0.8]
    news = {i: made[rng.integers(count, len(made))] for i in changed}
    results = [made[rng.integers(len(made))] for _ in range(rng.integers(0, 3))]
    f = sg.function(
        [], [t for t, _ in results], updates={states[i]: t for i, (t, _) in news.items()}, backend=backend
    )
    for _ in range(2):
        wanted = [formula(values) for _, formula in results]
        values = [news[i][1](values) if i in news else value for i, value in enumerate(values)]
        for found, expected in zip(f(), wanted, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
        for state, value in zip(states, values, strict=True):
            np.testing.assert_allclose(state.get(), value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("part", range(4))
def test_random_updates(part: int, backend: str) -> None:
    rng = np.random.default_rng([part, backend == "llvm"])
    for _ in range(25):
        check_program(rng, backend)


def test_random_updates_of_long_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose source is cut into parts, which is done here to short ones."""
    monkeypatch.setattr(numpy_backend, "PART", 3)
    rng = np.random.default_rng(9)
    for _ in range(50):
        check_program(rng, "numpy")


@pytest.mark.slow
@pytest.mark.campaign
@pytest.mark.parametrize("part", range(4))
def test_many_random_updates(part: int, backend: str) -> None:
    rng = np.random.default_rng([part, 7, backend == "llvm"])
    for _ in range(1000):
        check_program(rng, backend)
