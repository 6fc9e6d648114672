"""What a row of samples is made of: `Sample`, and arrays to run ops on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import symgrad as sg


@dataclass(frozen=True)
class Sample:
    build: Callable[..., Any]
    operands: tuple[np.ndarray, ...]
    reference: Callable[..., Any] | None = None
    smooth: bool = True
    shapes: tuple[tuple[Any, ...], ...] | None = None


def random(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


A, B = random(3, 4, seed=1), random(3, 4, seed=2)
P, Q = random(3, 4, low=0.2, high=2.0, seed=3), random(3, 4, low=0.2, high=2.0, seed=4)
I, J = np.arange(12).reshape(3, 4) - 4, np.arange(12)[::-1].reshape(3, 4) % 5 + 1
C, D = I % 2 == 0, I % 3 == 0
ROWS = np.array([2, 0, 2, -1])
TABLE = np.array([[0, 1, 1, 2], [2, 2, 0, 0], [3, 3, 3, 1]])


def one(name: str, reference: Any, *operands: np.ndarray, smooth: bool = True) -> Sample:
    return Sample(getattr(sg, name), operands, reference, smooth)
