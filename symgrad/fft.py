"""Fourier transforms by NumPy's names, as the namespace `symgrad.fft`.

complex numbers     fft, ifft, fft2, ifft2, fftn, ifftn
real numbers        rfft, irfft, rfft2, irfft2, rfftn, irfftn, hfft, ihfft
frequencies         fftfreq, rfftfreq, fftshift, ifftshift
"""

from __future__ import annotations

from symgrad.ops.fft import (
    fft,
    fft2,
    fftfreq,
    fftn,
    fftshift,
    hfft,
    ifft,
    ifft2,
    ifftn,
    ifftshift,
    ihfft,
    irfft,
    irfft2,
    irfftn,
    rfft,
    rfft2,
    rfftfreq,
    rfftn,
)

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]
