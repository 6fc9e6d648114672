"""Reads idx files, the format of MNIST, plain or gzipped: a big-endian header, then bytes."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

UNSIGNED_BYTE = 0x08


class IdxError(Exception):
    """A file that is missing, cut short, or no idx file."""


def find(folder: Path, key: str) -> Path:
    """The one file of `folder` whose name holds `key`."""
    if not folder.is_dir():
        raise IdxError(f"there is no folder {folder}\n  hint: --data must name the folder with the idx files")
    found = sorted(p for p in folder.iterdir() if key in p.name)
    if not found:
        have = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
        raise IdxError(f"no {key} file in {folder}\n  expected: {key}-idx?-ubyte or .gz\n  found: {have}")
    return found[0]


def read(path: Path, dimensions: int) -> np.ndarray:
    """The array in an idx file of unsigned bytes with the given number of dimensions."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, OSError, zlib.error) as error:
        raise IdxError(f"{path} cannot be read: {error}\n  hint: the file is damaged or cut short") from error
    expected = bytes([0, 0, UNSIGNED_BYTE, dimensions])
    if raw[:4] != expected:
        raise IdxError(
            f"{path} is not the idx file it should be\n  expected: first bytes {expected.hex()}\n"
            f"  found: {raw[:4].hex() or 'nothing'}"
        )
    header = 4 + 4 * dimensions
    shape = tuple(int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(dimensions))
    size = int(np.prod(shape))
    if len(raw) < header or len(raw) - header != size:
        raise IdxError(
            f"{path} is cut short\n  expected: {size} bytes for shape {shape}\n  found: {len(raw) - header}"
        )
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def load(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images and labels, test images and labels; images as float32 rows in [0, 1]."""
    arrays = []
    for part in ("train", "t10k"):
        images = read(find(folder, f"{part}-images"), 3)
        labels = read(find(folder, f"{part}-labels"), 1)
        if len(images) != len(labels):
            raise IdxError(f"{folder}: {len(images)} {part} images but {len(labels)} labels")
        arrays += [
            (images.reshape(len(images), -1) / np.float32(255)).astype(np.float32),
            labels.astype(np.int64),
        ]
    return arrays[0], arrays[1], arrays[2], arrays[3]
