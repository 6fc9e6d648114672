"""Samples of Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import symgrad as sg
from tests.ops.sample import A, Sample, random

Z = random(3, 4, seed=31) + 1j * random(3, 4, seed=32)
#: An odd number of elements.
X5, Z5 = random(2, 5, seed=33), random(2, 5, seed=34) + 1j * random(2, 5, seed=35)
NORMS = ("backward", "ortho", "forward")


def same(name: str, *operands: np.ndarray, **options: Any) -> Sample:
    """A function of `sg.fft` and NumPy's of that name."""
    return of(lambda xp, x: getattr(xp.fft, name)(x, **options), *operands)


def of(build: Callable[..., Any], *operands: np.ndarray, **options: Any) -> Sample:
    """The same expression with symgrad and with NumPy as first argument."""
    return Sample(lambda *xs: build(sg, *xs), operands, lambda *xs: build(np, *xs), **options)


FFT: dict[str, list[Sample]] = {
    "fft": [
        same("fft", Z),
        same("fft", A),
        *[same("fft", Z5, norm=norm) for norm in NORMS],
        same("fft", Z, axis=0),
        same("fft2", Z, norm="ortho"),
        same("fftn", np.stack([Z, Z + 1j]), axes=(0, 2)),
    ],
    "ifft": [
        *[same("ifft", Z, norm=norm) for norm in NORMS],
        same("ifft", Z5),
        same("ifft2", Z),
        same("ifftn", Z5, norm="forward"),
    ],
    "rfft": [
        *[same("rfft", A, norm=norm) for norm in NORMS],
        same("rfft", X5),
        same("rfft", X5, axis=0),
        same("rfft2", A),
        same("rfftn", np.stack([A, A * A]), axes=(2, 0), norm="ortho"),
    ],
    "irfft": [
        *[same("irfft", Z, norm=norm) for norm in NORMS],
        *[same("irfft", Z, n=n) for n in (1, 4, 5, 7, 9)],
        same("irfft", Z5, axis=0),
        same("irfft2", Z),
        same("irfftn", np.stack([Z, Z + 1j]), s=(3, 5), axes=(1, 2), norm="forward"),
    ],
    "hfft": [*[same("hfft", Z, norm=norm) for norm in NORMS], same("hfft", Z, n=5)],
    "ihfft": [*[same("ihfft", A, norm=norm) for norm in NORMS], same("ihfft", X5)],
    "lengths": [
        same("fft", Z, n=6),
        same("fft", Z, n=3),
        same("ifft2", Z, s=(2, 7)),
        same("rfft", A, n=7),
        same("rfft", A, n=2),
        same("rfftn", A, s=(4, 3), axes=(0, 1)),
    ],
    "fftshift": [same("fftshift", A), same("fftshift", X5, axes=1), same("fftshift", Z5)],
    "ifftshift": [same("ifftshift", X5), same("ifftshift", Z5, axes=(0, 1))],
    "fftfreq": [of(lambda xp, x: x * xp.fft.fftfreq(5, 0.1), X5), of(lambda xp, x: x * xp.fft.fftfreq(4), A)],
    "rfftfreq": [
        of(lambda xp, x: xp.fft.rfft(x) * xp.fft.rfftfreq(5, 0.1), X5),
        of(lambda xp, x: xp.fft.rfft(x) * xp.fft.rfftfreq(4), A),
    ],
    "convolution": [
        of(lambda xp, x, y: xp.fft.irfft(xp.fft.rfft(x) * xp.fft.rfft(y), n=5), X5, X5[::-1].copy()),
        of(lambda xp, x: xp.abs(xp.fft.fft(x)) ** 2, X5),
    ],
}
